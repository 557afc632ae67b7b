//! What a report says, as blocks: whoever renders them decides how they look.

use super::plot::plots;
use super::{Place, Report, Step, clock, date, megabytes, thousands};
use crate::scenario::NAMES;
use crate::verify::Verdict;

/// Exporters shown; more are summed up.
const SHOWN: usize = 24;
/// Exporters and minutes shown.
const MINUTES: usize = 60;

/// A piece of a report.
pub enum Block {
    /// Its head: name and verdict.
    Title(String, Verdict),
    /// A paragraph.
    Text(String),
    /// A list of sentences.
    List(Vec<String>),
    /// A table: head and rows.
    Table(Vec<String>, Vec<Vec<String>>),
    /// A picture: a whole SVG element.
    Picture(String),
}

fn table(out: &mut Vec<Block>, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        out.push(Block::Table(head.iter().map(|text| (*text).to_owned()).collect(), rows));
    }
}

/// The verdict, in a word.
pub fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Invalid => "invalid",
    }
}

/// All of a report.
pub fn blocks(report: &Report) -> Vec<Block> {
    let mut out = Vec::new();
    let o = &mut out;
    let scenario = &report.scenario;
    o.push(Block::Title(scenario.name.clone(), report.verdict));
    o.push(Block::Text(scenario.about.clone()));
    if !report.reasons.is_empty() {
        o.push(Block::List(report.reasons.clone()));
    }
    let machine = &report.machine;
    o.push(Block::Text(format!(
        "Run at {} on {} cores of {}, {} MB of memory, Linux {}; measured: {}. {}",
        date(report.started),
        machine.cores,
        machine.cpu,
        machine.memory_mb,
        machine.kernel,
        machine.weir,
        repeat(report)
    )));
    let missed: u64 = report.missed.values().sum();
    table(
        o,
        &["flows sent", "stored", "lost", "doubled", "missed", "dead letters", "for"],
        std::iter::once(vec![
            thousands(report.sent),
            thousands(report.stored),
            thousands(report.lost),
            thousands(report.doubled),
            thousands(missed),
            thousands(report.dead),
            format!("{:.0} s", report.sending_s),
        ]),
    );
    o.extend(plots(report).into_iter().map(Block::Picture));
    let causes = report.missed.iter().map(|(cause, flows)| vec![cause.words().to_owned(), thousands(*flows)]);
    table(o, &["missed, because", "flows"], causes);
    let check = |one: &super::Check| {
        let holds = one.holds.map_or("not seen", |holds| if holds { "yes" } else { "no" });
        vec![one.what.clone(), one.wanted.clone(), one.seen.clone(), holds.to_owned()]
    };
    table(o, &["what must hold", "wanted", "seen", "holds"], report.checks.iter().map(check));
    table(
        o,
        &["from packet to row", "p50", "p95", "p99", "slowest"],
        report.freshness.iter().map(|fresh| {
            let seconds = |s: f64| format!("{s:.1} s");
            let row = [fresh.p50_s, fresh.p95_s, fresh.p99_s, fresh.max_s].map(seconds);
            [vec![String::new()], row.to_vec()].concat()
        }),
    );
    steps(o, &report.steps, scenario.is_ramp());
    let part = |one: &super::Part| {
        vec![
            one.name.clone(),
            format!("{:.1}", one.cpu_s),
            format!("{:.2}", one.cpu_s_per_million),
            megabytes(one.memory_most),
            one.memory_early_late.map(megabytes).join(" → "),
            format!("{:.0}", one.written_per_flow),
        ]
    };
    let head = [
        "part",
        "CPU s",
        "CPU s per million flows",
        "memory, most",
        "first → last quarter",
        "bytes written a flow",
    ];
    table(o, &head, report.parts.iter().map(part));
    let thread = |(name, cpu_s): (&String, &f64)| {
        let per = cpu_s * 1e6 / report.sent.max(1) as f64;
        vec![name.clone(), format!("{cpu_s:.1}"), format!("{per:.2}")]
    };
    table(
        o,
        &["inside the one process", "CPU s", "CPU s per million flows"],
        report.threads.iter().map(thread),
    );
    let fault = |one: &crate::run::faults::Done| {
        vec![format!("{:.1} s", one.at_s), one.what.clone(), format!("{:.1} s", one.took_s)]
    };
    table(o, &["at", "what went wrong", "over after"], report.faults.iter().map(fault));
    let exporter = |one: &super::Exporter| {
        vec![
            one.address.clone(),
            one.protocol.clone(),
            thousands(one.sent),
            thousands(one.stored),
            thousands(one.lost),
            thousands(one.doubled),
            thousands(one.missed.values().sum()),
            one.faults.join("; "),
        ]
    };
    let head = ["exporter", "protocol", "sent", "stored", "lost", "doubled", "missed", "what else"];
    let wrong = |one: &&super::Exporter| one.lost + one.doubled > 0 || !one.faults.is_empty();
    let few = report.exporters.len() <= SHOWN;
    let shown = report.exporters.iter().filter(|one| few || wrong(one)).take(SHOWN);
    table(o, &head, shown.map(exporter));
    if !few {
        let all = report.exporters.len();
        o.push(Block::Text(format!(
            "{all} exporters in all; shown are those with something wrong, the others are in the JSON."
        )));
    }
    let rollup = |one: &crate::verify::Rollup| {
        vec![
            one.table.clone(),
            thousands(one.keys),
            thousands(one.wrong),
            thousands(one.expected),
            thousands(one.stored),
        ]
    };
    table(o, &["rollup", "keys", "wrong", "flows expected", "stored"], report.rollups.iter().map(rollup));
    let per_flow = |bytes: u64| format!("{:.1}", bytes as f64 / report.sent.max(1) as f64);
    let kept = report.tables.iter().map(|one| {
        vec![
            one.table.clone(),
            thousands(one.rows),
            per_flow(one.rows),
            megabytes(one.bytes),
            per_flow(one.bytes),
        ]
    });
    let topics = report.topics.iter().map(|(topic, bytes)| {
        vec![topic.clone(), String::new(), String::new(), megabytes(*bytes), per_flow(*bytes)]
    });
    table(
        o,
        &["kept at the end, tables merged", "rows", "rows a flow", "on disk", "bytes a flow"],
        kept.chain(topics),
    );
    let minute = |one: &super::Minute| {
        let missed = one.missed.iter().map(|(cause, flows)| format!("{flows} {}", cause.words()));
        vec![
            one.exporter.clone(),
            clock(one.minute),
            one.lost.to_string(),
            one.doubled.to_string(),
            missed.collect::<Vec<_>>().join(", "),
        ]
    };
    let head = ["exporter", "minute (UTC)", "lost", "doubled", "missed"];
    table(o, &head, report.minutes.iter().take(MINUTES).map(minute));
    if report.minutes.len() > MINUTES {
        o.push(Block::Text(format!("{} more lines are in the JSON.", report.minutes.len() - MINUTES)));
    }
    out
}

/// What shared the machine, and how to do it again.
fn repeat(report: &Report) -> String {
    let name = &report.scenario.name;
    let name = if NAMES.contains(&name.as_str()) { name.clone() } else { format!("{name}.toml") };
    let stretch =
        if report.stretch == 1.0 { String::new() } else { format!(" --stretch {}", report.stretch) };
    match report.place {
        Place::Local => format!(
            "Generator and stack shared them. Repeat it with `weir-loadtest run {name} --local{stretch}`."
        ),
        Place::Target => {
            format!("The stack was elsewhere. Repeat it with `weir-loadtest run {name} --target …{stretch}`.")
        }
    }
}

/// What is kept up with is told of a ramp alone: elsewhere a burst may wait.
fn steps(out: &mut Vec<Block>, steps: &[Step], ramp: bool) {
    let rate = |rate: f64| thousands(rate.round() as u64);
    let row = |one: &Step| {
        let mut row = vec![
            rate(one.asked),
            rate(one.offered),
            rate(one.stored),
            thousands(one.backlog),
            thousands(one.dropped),
        ];
        row.extend(ramp.then(|| if one.kept_up { "yes" } else { "no" }.to_owned()));
        row
    };
    let head =
        ["flows/s asked for", "sent", "stored", "not yet stored at its end", "datagrams dropped", "kept up"];
    table(out, &head[..head.len() - usize::from(!ramp)], steps.iter().map(row));
}
