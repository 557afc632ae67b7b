//! What was seen, held against what the scenario expects. No I/O.

use crate::report::{Check, Compared, Part, Report, Step};
use crate::run::sample::{Sample, Used};
use crate::verify::{Cause, Verdict};
use std::collections::BTreeMap;

/// A ramp's step is kept up with where at most so many seconds of its flows are not stored at its end.
const BEHIND_S: f64 = 10.0;
/// What was asked for was sent where this share of it was.
const OFFERED: f64 = 0.97;
/// What is said of processes that nobody watches.
const UNSEEN: &str = "nothing: processes are watched with --local alone";

/// A step: what was sent in it and for how long, and the samples at its ends.
pub fn step(asked: f64, (sent, seconds): (u64, f64), from: &Sample, to: &Sample) -> Step {
    let between = (to.at_s - from.at_s).max(0.001);
    let drops = |sample: &Sample| sample.kernel_drops + sample.dropped;
    let offered = sent as f64 / seconds.max(0.001);
    let backlog = to.sent.saturating_sub(to.stored);
    let dropped = drops(to).saturating_sub(drops(from));
    Step {
        asked,
        offered,
        stored: to.stored.saturating_sub(from.stored) as f64 / between,
        backlog,
        dropped,
        kept_up: offered >= asked * OFFERED && dropped == 0 && backlog as f64 <= asked * BEHIND_S,
        from_s: from.at_s,
        to_s: to.at_s,
    }
}

/// Samples until the last row came: what is used while nothing comes any more is not what the flows cost.
fn storing(samples: &[Sample]) -> &[Sample] {
    let grown = samples.windows(2).rposition(|pair| pair[1].stored > pair[0].stored);
    // The look after the last row has that row's cost.
    &samples[..grown.map_or(samples.len(), |at| (at + 3).min(samples.len()))]
}

/// What threads used, as [`parts`].
pub fn threads(samples: &[Sample]) -> BTreeMap<String, f64> {
    storing(samples).last().map_or_else(BTreeMap::new, |sample| sample.threads.clone())
}

/// What each part used, from the samples until the last row came. `sending_s`: how long was sent.
pub fn parts(samples: &[Sample], sent: u64, sending_s: f64) -> Vec<Part> {
    let samples = storing(samples);
    let Some(last) = samples.last() else { return Vec::new() };
    let flows = sent.max(1) as f64;
    let part = |(name, used): (&String, &Used)| {
        let memory = |from: f64, to: f64| {
            let within =
                samples.iter().filter(|one| (from..=to).contains(&(one.at_s / sending_s.max(0.001))));
            let seen: Vec<u64> = within
                .filter_map(|one| Some(one.parts.get(name)?.memory))
                .filter(|memory| *memory > 0)
                .collect();
            seen.iter().sum::<u64>() / (seen.len().max(1) as u64)
        };
        Part {
            name: name.clone(),
            cpu_s: used.cpu_s,
            cpu_s_per_million: used.cpu_s * 1e6 / flows,
            memory_most: samples
                .iter()
                .filter_map(|one| Some(one.parts.get(name)?.memory))
                .max()
                .unwrap_or(0),
            memory_early_late: [memory(0.05, 0.25), memory(0.75, 1.0)],
            written_per_flow: used.written as f64 / flows,
        }
    };
    last.parts.iter().map(part).collect()
}

/// Fills in checks, reasons and verdict of a report that has everything else. Reasons that are there already stay: what is broken at the end.
pub fn judge(report: &mut Report) {
    let expect = &report.scenario.expect;
    // Whatever it led to: nothing that was missed for it is the machine's.
    let broken = !report.reasons.is_empty();
    let all_came = report.missed.values().all(|flows| *flows == 0);
    let mut checks = Vec::new();
    let mut check = |what: &str, wanted: String, seen: String, holds: Option<bool>| {
        checks.push(Check { what: what.to_owned(), wanted, seen, holds });
    };
    let none = || "0".to_owned();
    check("flows lost", none(), report.lost.to_string(), Some(report.lost == 0));
    check("rows doubled", none(), report.doubled.to_string(), Some(report.doubled == 0));
    if report.compared == Compared::Raw {
        let kept = Some(report.unkept == 0);
        check("datagrams acknowledged that are not in weir.raw", none(), report.unkept.to_string(), kept);
    }
    let wrong: u64 = report.rollups.iter().map(|one| one.wrong).sum();
    check("keys of rollups that are wrong", none(), wrong.to_string(), Some(wrong == 0));
    let faults: usize = report.exporters.iter().map(|one| one.faults.len()).sum();
    let seen = if faults == 0 { "all" } else { "see the exporters" };
    let what = match report.compared {
        Compared::Sums => "what exporters' flows say, by minute, rate and side",
        Compared::Raw => {
            "what exporters' flows say that lie in weir.raw, by minute and rate (sides were not compared)"
        }
    };
    check(what, "as sent".to_owned(), seen.to_owned(), Some(faults == 0));
    let wanted: usize = report.scenario.events.iter().map(|event| event.times).sum();
    let done = report.faults.len();
    if wanted > 0 {
        // In a shorter run not all find time.
        let holds = (done >= wanted || report.stretch >= 1.0).then_some(done >= wanted);
        check("faults that were done", wanted.to_string(), done.to_string(), holds);
    }
    if report.scenario.is_ramp() {
        let valid = report.steps.iter().take_while(|step| step.kept_up).last();
        let seen = valid.map_or("none".to_owned(), |step| format!("{:.0} flows/s", step.offered));
        check("last step that was kept up with", "at least one".to_owned(), seen, Some(valid.is_some()));
    } else {
        let share = |step: &Step| step.offered / step.asked.max(0.001);
        let least = report.steps.iter().min_by(|a, b| share(a).total_cmp(&share(b)));
        if let Some(step) = least {
            let wanted = format!("{:.0}", step.asked);
            check(
                "flows a second sent",
                wanted,
                format!("{:.0}", step.offered),
                Some(share(step) >= OFFERED),
            );
        }
    }
    if let Some(most) = expect.freshness_p99_s {
        let seen = report.freshness.map(|fresh| fresh.p99_s);
        let words = seen.map_or("nothing".to_owned(), |p99| format!("{p99:.1} s"));
        let holds = Some(seen.is_some_and(|p99| p99 <= most));
        check("from packet to row, 99 of 100 flows", format!("at most {most} s"), words, holds);
    }
    if let Some(most) = expect.memory_growth {
        let wanted = || format!("at most {:.0} %", most * 100.0);
        let ours = |part: &&Part| !matches!(&*part.name, "engine" | "kafka" | "generator");
        for part in report.parts.iter().filter(ours) {
            let [early, late] = part.memory_early_late;
            let growth = late as f64 / early.max(1) as f64 - 1.0;
            let seen = early > 0 && late > 0;
            let words = if seen { format!("{:.1} %", growth * 100.0) } else { "nothing".to_owned() };
            check(
                &format!("growth of {}'s memory", part.name),
                wanted(),
                words,
                Some(seen && growth <= most),
            );
        }
        if report.parts.is_empty() {
            check("growth of memory", wanted(), UNSEEN.to_owned(), None);
        }
    }
    if expect.min_dead > 0 {
        // Nobody knows how much of it was among what was missed.
        let least = if all_came { expect.min_dead.max(report.noise) } else { expect.min_dead };
        let wanted = format!("at least {least}");
        check("dead letters", wanted, report.dead.to_string(), Some(report.dead >= least));
    }
    if expect.min_dropped > 0 {
        let seen = report.missed.get(&Cause::Ingest).copied().unwrap_or_default();
        let wanted = format!("at least {}", expect.min_dropped);
        // What provokes it has its own length: in a shorter run the buffer may take it all.
        let holds =
            (seen >= expect.min_dropped || report.stretch >= 1.0).then_some(seen >= expect.min_dropped);
        check("flows dropped by ingest, counted", wanted, seen.to_string(), holds);
    }
    if let Some(most) = expect.max_bytes_per_flow {
        let seen: f64 = report.parts.iter().map(|part| part.written_per_flow).sum();
        let (words, holds) = match report.parts.is_empty() {
            true => (UNSEEN.to_owned(), None),
            false => (format!("{seen:.0}"), Some(seen <= most)),
        };
        check("bytes written to disk a flow", format!("at most {most}"), words, holds);
    }
    let unasked: Vec<(&Cause, &u64)> =
        report.missed.iter().filter(|(cause, flows)| !expect.missed.contains(cause) && **flows > 0).collect();
    let failed = checks.iter().filter(|check| check.holds == Some(false));
    report
        .reasons
        .extend(failed.map(|check| format!("{}: {} seen, {} wanted", check.what, check.seen, check.wanted)));
    let invalid = unasked.iter().map(|(cause, flows)| {
        format!(
            "{flows} flows never reached weir.raw ({}), which this scenario did not ask for",
            cause.words()
        )
    });
    // Wrong whatever was missed: a stack that broke, what is there too often, a rollup that is not its flows, and, where it is known that they
    // reached weir.raw, flows that are not there.
    let known = report.compared == Compared::Raw || all_came;
    let gone = report.lost + report.unkept > 0 || faults > 0;
    let proven = broken || report.doubled > 0 || wrong > 0 || (known && gone);
    report.verdict = match (unasked.is_empty() && !report.stopped, report.reasons.is_empty()) {
        (false, _) if !proven => Verdict::Invalid,
        (_, true) => Verdict::Pass,
        (_, false) => Verdict::Fail,
    };
    if report.stopped {
        report.reasons.push("it was stopped before all was sent".to_owned());
    }
    report.reasons.extend(invalid);
    report.checks = checks;
}

/// At most so many samples, evenly, the last one among them.
pub fn thinned(samples: Vec<Sample>, most: usize) -> Vec<Sample> {
    let (count, each) = (samples.len(), samples.len().div_ceil(most).max(1));
    let keep = |n: usize| (count - 1 - n).is_multiple_of(each);
    samples.into_iter().enumerate().filter(|(n, _)| keep(*n)).map(|(_, sample)| sample).collect()
}

/// Median and 99th percentile of delays by the time of sending, in so many slots.
pub fn delays_by_time(delays: &[(i64, u32, f64)], started_ns: i64, slots: usize) -> Vec<(f64, f64, f64)> {
    let (Some(first), Some(last)) = (delays.iter().map(|d| d.0).min(), delays.iter().map(|d| d.0).max())
    else {
        return Vec::new();
    };
    let width = ((last - first) / slots as i64).max(1_000_000_000);
    let mut by_slot: BTreeMap<i64, Vec<(i64, u32, f64)>> = BTreeMap::new();
    for delay in delays {
        by_slot.entry((delay.0 - first) / width).or_default().push(*delay);
    }
    by_slot
        .into_iter()
        .map(|(slot, delays)| {
            let fresh = crate::freshness::freshness(&delays);
            (((first + slot * width - started_ns) as f64) / 1e9, fresh.p50_s, fresh.p99_s)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(at_s: f64, sent: u64, stored: u64) -> Sample {
        Sample { at_s, sent, stored, ..Sample::default() }
    }

    fn report(scenario: &str) -> Report {
        crate::report::tests::passed(&format!("name = 'a'\nabout = 'b.'\n{scenario}"))
    }

    const PHASE: &str = "[[phase]]\nfor_s = 30\nrate = 100\n";

    /// What it comes to once it is changed.
    fn judged(scenario: &str, change: impl FnOnce(&mut Report)) -> (Verdict, String) {
        let mut report = report(scenario);
        change(&mut report);
        judge(&mut report);
        (report.verdict, report.reasons.join("; "))
    }

    #[test]
    fn garbage_that_is_not_among_the_dead_letters_fails() {
        let asks = format!("{PHASE}[expect]\nmin_dead = 10\nmissed = ['dead']\n");
        let flood = |dead| move |report: &mut Report| (report.noise, report.dead) = (100, dead);
        assert_eq!(judged(&asks, flood(100)).0, Verdict::Pass);
        let (verdict, why) = judged(&asks, flood(99));
        assert_eq!((verdict, &*why), (Verdict::Fail, "dead letters: 99 seen, at least 100 wanted"));
        // Some of it was missed too.
        let missed = |report: &mut Report| {
            flood(10)(report);
            report.missed.insert(Cause::Dead, 1);
        };
        assert_eq!(judged(&asks, missed).0, Verdict::Pass);
    }

    #[test]
    fn one_lost_or_doubled_flow_fails_and_what_is_missed_without_being_asked_for_is_invalid() {
        let missed = |cause| move |report: &mut Report| report.missed.extend([(cause, 5)]);
        let asks = format!("{PHASE}[expect]\nmissed = ['dead']\n");
        for (scenario, change, verdict) in [
            (PHASE, Box::new(|_: &mut Report| ()) as Box<dyn FnOnce(&mut Report)>, Verdict::Pass),
            (PHASE, Box::new(|report| report.lost = 1), Verdict::Fail),
            (PHASE, Box::new(|report| report.doubled = 1), Verdict::Fail),
            (PHASE, Box::new(missed(Cause::Kernel)), Verdict::Invalid),
            (&asks, Box::new(missed(Cause::Dead)), Verdict::Pass),
            (&asks, Box::new(missed(Cause::Unexplained)), Verdict::Invalid),
            (
                &asks,
                Box::new(|report| {
                    (report.compared, report.lost) = (Compared::Raw, 1);
                    report.missed.extend([(Cause::Kernel, 5)]);
                }),
                Verdict::Fail,
            ),
            // Nobody knows whether it is one of those that were missed.
            (
                PHASE,
                Box::new(|report| {
                    report.lost = 1;
                    report.missed.extend([(Cause::Kernel, 5)]);
                }),
                Verdict::Invalid,
            ),
            (
                PHASE,
                Box::new(|report| {
                    report.doubled = 1;
                    report.missed.extend([(Cause::Kernel, 5)]);
                }),
                Verdict::Fail,
            ),
            (PHASE, Box::new(|report| (report.stopped, report.lost) = (true, 1)), Verdict::Fail),
            // What a kill may excuse is not what ingest had said the bus has.
            (
                &asks,
                Box::new(|report| {
                    (report.compared, report.unkept) = (Compared::Raw, 1);
                    report.missed.extend([(Cause::Dead, 5)]);
                }),
                Verdict::Fail,
            ),
        ] {
            let (found, why) = judged(scenario, change);
            assert_eq!(found, verdict, "{why}");
            assert_eq!(why.is_empty(), verdict == Verdict::Pass, "{why}");
        }
    }

    #[test]
    fn a_service_that_ended_by_itself_fails_the_run_even_where_nothing_is_lost() {
        let (verdict, why) = judged(PHASE, |report| report.reasons.push("sink-0 ended".to_owned()));
        assert_eq!((verdict, why.as_str()), (Verdict::Fail, "sink-0 ended"));
        let (verdict, why) = judged(PHASE, |report| {
            report.reasons.push("ingest ended".to_owned());
            report.missed.extend([(Cause::Unexplained, 5)]);
        });
        assert_eq!(verdict, Verdict::Fail, "what was missed for it is not the machine's: {why}");
    }

    #[test]
    fn what_is_expected_beyond_is_held_against_what_was_seen() {
        let expects = |rest: &str| format!("{PHASE}[expect]\n{rest}\n");
        let fresh = |p99_s| {
            move |report: &mut Report| {
                report.freshness = Some(crate::freshness::Freshness { p99_s, ..Default::default() });
            }
        };
        assert_eq!(judged(&expects("freshness_p99_s = 10"), fresh(9.9)).0, Verdict::Pass);
        assert_eq!(judged(&expects("freshness_p99_s = 10"), fresh(10.1)).0, Verdict::Fail);
        assert_eq!(judged(&expects("freshness_p99_s = 10"), |_| ()).0, Verdict::Fail, "nothing was seen");
        assert_eq!(judged(&expects("min_dead = 3"), |report| report.dead = 2).0, Verdict::Fail);
        let drops = expects("missed = ['ingest']\nmin_dropped = 3");
        let dropped = |flows| move |report: &mut Report| report.missed.extend([(Cause::Ingest, flows)]);
        assert_eq!(
            (judged(&drops, dropped(2)).0, judged(&drops, dropped(3)).0),
            (Verdict::Fail, Verdict::Pass)
        );
        let short = judged(&drops, |report| report.stretch = 0.1);
        assert_eq!(short.0, Verdict::Pass, "in a shorter run the buffer may take it all: {}", short.1);
        let sent = |offered| {
            move |report: &mut Report| report.steps.push(Step { asked: 100.0, offered, ..Step::default() })
        };
        assert_eq!(judged(PHASE, sent(97.5)).0, Verdict::Pass);
        assert_eq!(judged(PHASE, sent(96.0)).0, Verdict::Fail);
        let kill = format!("{PHASE}[[event]]\nat_s = 1\nact = 'kill'\npart = 'sink'\n");
        assert_eq!(judged(&kill, |_| ()).0, Verdict::Fail, "a kill that was not done proves nothing");
        assert_eq!(judged(&kill, |report| report.stretch = 0.1).0, Verdict::Pass, "there was no time for it");
        assert_eq!(judged(PHASE, |report| report.stopped = true).0, Verdict::Invalid);
        let grown = |name: &str, late| {
            let name = name.to_owned();
            move |report: &mut Report| {
                report.parts.push(Part {
                    name,
                    cpu_s: 0.0,
                    cpu_s_per_million: 0.0,
                    memory_most: late,
                    memory_early_late: [100, late],
                    written_per_flow: 300.0,
                });
            }
        };
        assert_eq!(judged(&expects("memory_growth = 0.1"), grown("sink", 109)).0, Verdict::Pass);
        assert_eq!(judged(&expects("memory_growth = 0.1"), grown("sink", 120)).0, Verdict::Fail);
        assert_eq!(
            judged(&expects("memory_growth = 0.1"), grown("engine", 120)).0,
            Verdict::Pass,
            "no service of ours"
        );
        assert_eq!(judged(&expects("max_bytes_per_flow = 299"), grown("sink", 100)).0, Verdict::Fail);
    }

    #[test]
    fn a_ramp_is_judged_at_the_last_step_before_the_first_that_was_too_much() {
        let ramp = "[[phase]]\nfor_s = 30\nrate = 100\nstep = 100\nsteps = 3\n";
        let step = |asked, kept_up| Step { asked, offered: asked, kept_up, ..Step::default() };
        let mut all = report(ramp);
        all.steps = vec![step(100.0, true), step(200.0, true), step(300.0, false)];
        judge(&mut all);
        let seen = all.checks.iter().find(|check| check.what.starts_with("last step")).unwrap().seen.as_str();
        assert_eq!((all.verdict, seen), (Verdict::Pass, "200 flows/s"));
        assert_eq!(judged(ramp, |report| report.steps.push(step(100.0, false))).0, Verdict::Fail);
    }

    #[test]
    fn a_step_is_kept_up_with_where_all_was_sent_nothing_dropped_and_little_waits() {
        let start = at(0.0, 0, 0);
        let all = (30_000, 30.0);
        assert!(step(1000.0, all, &start, &at(31.0, 30_000, 25_000)).kept_up);
        assert!(!step(1000.0, all, &start, &at(31.0, 30_000, 19_000)).kept_up, "eleven seconds behind");
        assert!(!step(1000.0, (25_000, 30.0), &start, &at(31.0, 25_000, 25_000)).kept_up, "held up");
        let dropped = Sample { kernel_drops: 1, ..at(31.0, 30_000, 30_000) };
        assert!(!step(1000.0, all, &start, &dropped).kept_up);
    }

    #[test]
    fn memory_is_that_of_quarters_and_a_part_that_was_dead_counts_while_it_lived() {
        let with = |at_s, memory| {
            let parts =
                BTreeMap::from([("sink".to_owned(), Used { cpu_s: at_s / 10.0, memory, written: 500 })]);
            Sample { parts, ..at(at_s, 0, 0) }
        };
        let samples = [with(10.0, 100), with(20.0, 0), with(24.0, 200), with(80.0, 400), with(100.0, 600)];
        let parts = parts(&samples, 1_000_000, 100.0);
        assert_eq!((parts[0].memory_early_late, parts[0].memory_most), ([150, 500], 600));
        assert_eq!(parts[0].cpu_s_per_million, 10.0);
    }

    #[test]
    fn samples_are_thinned_and_the_last_one_stays() {
        let samples: Vec<Sample> = (0..1000).map(|n| at(f64::from(n), 0, 0)).collect();
        let some = thinned(samples, 100);
        assert_eq!((some.len(), some[99].at_s), (100, 999.0));
        assert!(thinned(Vec::new(), 100).is_empty());
    }
}
