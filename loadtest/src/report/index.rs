//! All reports of a folder in one table.

use super::content::word;
use super::{Report, date, thousands};
use crate::verify::Verdict;
use std::fmt::Write;

/// A table of reports in the given order, as Markdown, with links to `NAME.md` and `NAME.html` beside it.
pub fn index(reports: &[Report]) -> String {
    let mut out = "# Results\n\nMade by `weir-loadtest run` from the reports beside it.\n\n".to_owned();
    out += "| scenario | verdict | flows/s sent | flows sent | lost | doubled | missed | packet to row, p99 | run at | |\n";
    out += &format!("|{}\n", "---|".repeat(10));
    for report in reports {
        let name = &report.scenario.name;
        let fresh = report.freshness.map_or(String::new(), |fresh| format!("{:.1} s", fresh.p99_s));
        let _ = writeln!(
            out,
            "| [{name}]({name}.md) ([page]({name}.html)) | {} | {} | {} | {} | {} | {} | {fresh} | {} | {} |",
            word(report.verdict),
            thousands(rate(report).round() as u64),
            thousands(report.sent),
            thousands(report.lost),
            thousands(report.doubled),
            missed(report),
            date(report.started),
            remark(report).replace('|', "\\|"),
        );
    }
    out
}

/// Flows a second while it was sent: between two phases there is a pause.
fn rate(report: &Report) -> f64 {
    let lengths =
        report.scenario.phases.iter().flat_map(|phase| std::iter::repeat_n(phase.for_s, phase.steps));
    let steps = report.steps.iter().zip(lengths);
    let (flows, seconds) = steps
        .fold((0.0, 0.0), |(flows, seconds), (step, for_s)| (flows + step.offered * for_s, seconds + for_s));
    if seconds > 0.0 { flows / seconds } else { 0.0 }
}

/// How many were missed, and why.
fn missed(report: &Report) -> String {
    let causes: Vec<_> = report
        .missed
        .iter()
        .map(|(cause, flows)| format!("{}: {}", thousands(*flows), cause.words()))
        .collect();
    if causes.is_empty() { "0".to_owned() } else { causes.join("; ") }
}

/// What a ramp kept up with, or why it does not pass.
fn remark(report: &Report) -> String {
    let stretched = (report.stretch != 1.0).then(|| format!("{} times as long", report.stretch));
    if report.verdict != Verdict::Pass {
        return stretched.into_iter().chain(report.reasons.iter().cloned()).collect::<Vec<_>>().join("; ");
    }
    let ramp = report.scenario.is_ramp();
    let limit = report.steps.iter().take_while(|step| step.kept_up).last().filter(|_| ramp);
    let limit = limit.map(|step| format!("kept up with {} flows/s", thousands(step.offered.round() as u64)));
    stretched.into_iter().chain(limit).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Step;
    use crate::report::tests::passed;
    use crate::verify::Cause;

    #[test]
    fn a_line_says_what_was_missed_why_it_does_not_pass_and_how_far_a_ramp_got() {
        let mut ramp = passed("name = 'a'\nabout = ''\n[[phase]]\nfor_s = 1\nrate = 1\nsteps = 2\n");
        ramp.steps = vec![
            Step { offered: 20_000.4, kept_up: true, ..Step::default() },
            Step { offered: 30_000.0, ..Step::default() },
        ];
        let mut failed = passed("name = 'b'\nabout = ''\n[[phase]]\nfor_s = 1\nrate = 1\n");
        failed.verdict = Verdict::Fail;
        failed.reasons = vec!["x|y".to_owned()];
        failed.missed = [(Cause::Dead, 1200)].into();
        ramp.sending_s = 1000.0;
        let made = index(&[ramp, failed]);
        assert!(made.contains("| pass | 25 000 | 1 000 |"), "pauses are no time of sending: {made}");
        let lines: Vec<_> = made.lines().rev().take(2).collect();
        assert!(
            lines[1].starts_with("| [a](a.md)") && lines[1].ends_with("| kept up with 20 000 flows/s |"),
            "{made}"
        );
        assert!(lines[0].contains("| 1 200: ingest was dead |") && lines[0].ends_with("| x\\|y |"), "{made}");
    }
}
