//! What a run came to: all that was sent is compared with all that is stored, and told in one report.
//!
//! What must stay true: nothing is excused that was not counted, at the time at which it was counted.

use super::sample::Sample;
use super::{Over, Run, SAMPLES, judge};
use crate::freshness;
use crate::ledger::Ledger;
use crate::raw::{Received, Sent};
use crate::report::{self, Report};
use crate::verify::{self, Cause, Excuse, MissedByRaw, Patience, Verdict, against_raw, by_minute};
use anyhow::Result;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;
use weir_store::Store;

/// What the comparison came to.
pub(super) struct Compared {
    verified: verify::Report,
    missed: MissedByRaw,
    minutes: verify::ByMinute,
    /// Something was missed, so what lies in `weir.raw` decided.
    received: Option<Received>,
    /// Datagrams that ingest said the bus had, beyond those that lie in `weir.raw`.
    unkept: u64,
    /// Why nobody could tell what lies there.
    unread: Option<String>,
}

/// Compares all that was sent where none of it was missed; else what lies in `weir.raw`.
pub(super) fn compare(
    ledger: &Ledger,
    store: &Store,
    over: &Over,
    read: impl FnOnce() -> Result<Option<Received>>,
    runtime: &tokio::runtime::Runtime,
) -> Result<Compared> {
    // All has come that comes: this is for rollups, which follow their flows.
    let patience =
        Patience { quiet: Duration::from_secs(20), most: Duration::from_secs(60), ..Patience::default() };
    let last = over.seen.samples.last().cloned().unwrap_or_default();
    // Where others send too, more is counted, and nothing follows from it.
    let complete = ledger.ingest.is_some_and(|counted| {
        counted.received == ledger.all_datagrams()
            && counted.acknowledged == ledger.all_datagrams()
            && counted.kernel_drops + counted.dropped == 0
    });
    // An hour's result is not thrown away because the bus does not answer.
    let (received, unread) = match (!complete).then(read).transpose() {
        Ok(received) => (received.flatten(), None),
        Err(error) => (None, Some(format!("what lies in weir.raw can't be read: {error:#}"))),
    };
    let (verified, missed) = match &received {
        Some(received) => {
            let excuses = [over.excuses.clone(), excuses(&over.seen.samples, over.begun_ns)].concat();
            runtime.block_on(against_raw(ledger, received, &excuses, store, patience))?
        }
        None => {
            let verified = runtime.block_on(verify::verify(ledger, store, patience))?;
            let mut missed = MissedByRaw::default();
            if !complete {
                // Nobody can tell which: whatever is not there counts as missed without a cause.
                missed.datagrams.insert(Cause::Unexplained, last.sent - last.stored.min(last.sent));
            }
            (verified, missed)
        }
    };
    let minutes = runtime.block_on(by_minute(ledger, received.as_ref(), store, &verified.exporters))?;
    // Counted over restarts, and of one that is killed until right before: what the bus acknowledged in the milliseconds between is left out, so
    // never too many.
    let unkept =
        received.as_ref().map_or(0, |received| last.acknowledged.saturating_sub(received.datagrams()));
    Ok(Compared { verified, missed, minutes, received, unkept, unread })
}

/// Drops that were counted, with the time in which they happened: between two samples, and for ingest's own up to two minutes before,
/// since what it gives up may have waited.
fn excuses(samples: &[Sample], begun_ns: i64) -> Vec<Excuse> {
    const WAITED: i64 = 120_000_000_000;
    const LOOK: i64 = 2_000_000_000;
    let at = |sample: &Sample| begun_ns + (sample.at_s * 1e9) as i64;
    let mut all = Vec::new();
    for pair in samples.windows(2) {
        let (from, to) = (at(&pair[0]) - LOOK, at(&pair[1]) + LOOK);
        for (cause, count, before) in [
            (Cause::Kernel, pair[1].kernel_drops.saturating_sub(pair[0].kernel_drops), 0),
            (Cause::Ingest, pair[1].dropped.saturating_sub(pair[0].dropped), WAITED),
        ] {
            if count > 0 {
                all.push(Excuse { from: from - before, to, cause, most: count });
            }
        }
    }
    all
}

impl Run<'_> {
    /// Puts together what was seen and compared, judged.
    pub(super) fn report(&self, over: Over, compared: Compared, stopped: bool) -> Report {
        let Compared { verified, missed, minutes, received, unkept, unread } = compared;
        let ledger = self.generator.ledger();
        let sending_s = over.steps.last().map_or(0.0, |step| step.to_s);
        let delays = self.delays(&over, received.as_ref());
        let (sent, last) = (ledger.total().flows, over.seen.samples.last().cloned().unwrap_or_default());
        let address = |number: u32| self.exporters[number as usize].address.to_string();
        let mut by_minute: BTreeMap<(u32, i64), report::Minute> = BTreeMap::new();
        let mut exporters: Vec<report::Exporter> = verified.exporters.into_iter().map(exporter).collect();
        let mut all = BTreeMap::new();
        let empty = |number, minute| report::Minute {
            exporter: address(number),
            minute,
            lost: 0,
            doubled: 0,
            missed: BTreeMap::new(),
        };
        for ((number, minute, cause), flows) in &missed.flows {
            let line = by_minute.entry((*number, *minute)).or_insert_with(|| empty(*number, *minute));
            *line.missed.entry(*cause).or_default() += flows;
            *exporters[*number as usize].missed.entry(*cause).or_default() += flows;
            *all.entry(*cause).or_default() += flows;
        }
        if missed.flows.is_empty() {
            all.extend(missed.datagrams);
        }
        for ((number, minute), (lost, doubled)) in minutes {
            let line = by_minute.entry((number, minute)).or_insert_with(|| empty(number, minute));
            (line.lost, line.doubled) = (lost, doubled);
        }
        let mut report = Report {
            scenario: self.scenario.clone(),
            stretch: self.stretch,
            place: self.place,
            verdict: Verdict::Invalid,
            reasons: over.broken,
            compared: if received.is_some() { report::Compared::Raw } else { report::Compared::Sums },
            stopped,
            machine: report::Machine::this(self.weir.clone()),
            started: over.begun_ns / 1_000_000_000,
            sending_s,
            sent,
            missed: all,
            stored: verified.rows,
            lost: verified.lost,
            doubled: verified.doubled,
            unkept,
            garbage: ledger.garbage_datagrams,
            noise: ledger.noise_datagrams,
            dead: last.dead,
            freshness: (!delays.is_empty()).then(|| freshness::freshness(&delays)),
            checks: Vec::new(),
            steps: over.steps,
            faults: over.faults,
            parts: judge::parts(&over.seen.samples, sent, sending_s),
            threads: judge::threads(&over.seen.samples),
            exporters,
            minutes: by_minute.into_values().collect(),
            rollups: verified.rollups,
            tables: Vec::new(),
            topics: BTreeMap::new(),
            samples: judge::thinned(over.seen.samples, SAMPLES),
            delays: judge::delays_by_time(&delays, over.begun_ns, SAMPLES / 2),
        };
        judge::judge(&mut report);
        // Where all that was sent is there, nobody needs to know.
        report.reasons.extend(unread.filter(|_| report.verdict != Verdict::Pass));
        report
    }

    /// Of what lies in `weir.raw`, where that is not all. Of a ramp, freshness is that of the steps that were kept up with.
    fn delays(&self, over: &Over, received: Option<&Received>) -> Vec<(i64, u32, f64)> {
        let ledger = self.generator.ledger();
        let addresses: Vec<Ipv4Addr> = self.exporters.iter().map(|one| one.address).collect();
        let ramp = self.scenario.is_ramp();
        let end =
            over.steps.iter().take_while(|step| step.kept_up || !ramp).last().map_or(0.0, |step| step.to_s);
        let end = over.begun_ns + (end * 1e9) as i64;
        let there = |sent: &&Sent| received.is_none_or(|received| received.times(sent.print) > 0);
        let sent = ledger.journal.iter().filter(there);
        let mut delays = freshness::delays(&addresses, sent, &over.seen.looks);
        delays.retain(|(at, ..)| *at <= end);
        delays
    }
}

fn exporter(one: verify::Exporter) -> report::Exporter {
    report::Exporter {
        address: one.address,
        name: one.name,
        protocol: one.protocol,
        sent: one.sent,
        stored: one.rows,
        lost: one.lost,
        doubled: one.doubled,
        missed: BTreeMap::new(),
        faults: one.faults,
    }
}
