//! Holds what is stored against `weir.raw` where ingest died on the way: flow by flow, by the numbers that flows carry.

use super::{Asking, Exporter, Patience, Report, Verdict, Wait, rollups, sql};
use crate::ledger::{Account, Ledger};
use crate::raw::{Received, Sent};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use weir_store::Store;

/// What was sent and never reached `weir.raw`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Missed {
    /// Datagrams sent while nobody received, or just before: what the socket and the memory of the dead held.
    pub dead: u64,
    /// Others, for which there is no reason.
    pub unexplained: u64,
    /// Flows in all of them, by exporter's address and minute (seconds since the epoch).
    pub flows: BTreeMap<(String, i64), u64>,
}

/// What datagrams received by one that is killed may still be on their way to the bus, ns.
const HELD: i64 = 1_000_000_000;

/// When nobody received, ns since the epoch: from the kill until it listened again.
pub type Outage = (i64, i64);

/// Numbers of flows, as ranges `first..=last` in order.
#[derive(Deserialize)]
struct Range {
    first: u64,
    last: u64,
}

fn missed(ledger: &Ledger, received: &Received, outages: &[Outage]) -> Missed {
    let mut missed = Missed::default();
    for sent in ledger.journal.iter().filter(|sent| received.times(sent) == 0) {
        let dead = outages.iter().any(|(from, to)| (from - HELD..=*to).contains(&sent.at));
        *(if dead { &mut missed.dead } else { &mut missed.unexplained }) += 1;
        let minute = sent.at.div_euclid(60_000_000_000) * 60;
        let address = ledger.exporters[sent.exporter as usize].address.to_string();
        *missed.flows.entry((address, minute)).or_default() += u64::from(sent.flows);
    }
    missed
}

/// Waits until all that lies in `weir.raw` is stored or nothing more comes, and compares.
///
/// # Errors
/// Where ClickHouse does not answer as it should.
pub async fn against_raw(
    ledger: &Ledger,
    received: &Received,
    outages: &[Outage],
    store: &Store,
    patience: Patience,
) -> Result<(Report, Missed)> {
    let asking = Asking { store, from: ledger.started_ns, to: ledger.ended_ns + 5_000_000_000 };
    let there = |sent: &&Sent| received.times(sent) > 0;
    let wanted: u64 = ledger.journal.iter().filter(there).map(|sent| u64::from(sent.flows)).sum();
    let mut wait = Wait::new(patience);
    while !wait.is_over(asking.count(ledger).await?, wanted) {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let mut exporters = Vec::new();
    for (number, account) in ledger.exporters.iter().enumerate() {
        let sent: Vec<Sent> =
            ledger.journal.iter().filter(|sent| sent.exporter as usize == number).copied().collect();
        exporters.push(exporter(&asking, account, &sent, received).await?);
    }
    let rollups = rollups(&asking, ledger, patience).await?;
    let missed = missed(ledger, received, outages);
    let fault = exporters.iter().any(|one| one.lost + one.doubled > 0 || !one.faults.is_empty())
        || rollups.iter().any(|one| one.wrong > 0);
    let verdict = match (fault, missed.unexplained) {
        (true, _) => Verdict::Fail,
        (false, 0) => Verdict::Pass,
        (false, _) => Verdict::Invalid,
    };
    let total = |field: fn(&Exporter) -> u64| exporters.iter().map(field).sum();
    let report = Report {
        verdict,
        sent: total(|one| one.sent),
        rows: total(|one| one.rows),
        lost: total(|one| one.lost),
        doubled: total(|one| one.doubled),
        missed: None,
        exporters,
        rollups,
    };
    Ok((report, missed))
}

async fn exporter(
    asking: &Asking<'_>,
    account: &Account,
    sent: &[Sent],
    received: &Received,
) -> Result<Exporter> {
    #[derive(Deserialize)]
    struct Rows {
        rows: u64,
    }
    let database = asking.store.database();
    let ranges: Vec<Range> = asking.of(account, sql::ranges(database)).await?;
    let rows: Vec<Rows> = asking.of(account, sql::rows(database)).await?;
    let rows = rows.first().map_or(0, |one| one.rows);
    let stored: u64 = ranges.iter().map(|range| range.last - range.first + 1).sum();
    let mut faults = Vec::new();
    let mut lost = 0;
    let mut alien = stored;
    for one in sent {
        let found = within(&ranges, one.first, one.first + u64::from(one.flows));
        if received.times(one) > 0 {
            let gone = u64::from(one.flows) - found;
            if gone > 0 && lost == 0 {
                faults.push(format!("the first lost: {gone} flows of the datagram sent at {} ns", one.at));
            }
            lost += gone;
            alien -= found;
        }
    }
    let twice = sent.iter().filter(|one| received.times(one) > 1).count();
    if twice > 0 {
        faults.push(format!("{twice} datagrams lie in weir.raw more than once"));
    }
    if alien > 0 {
        faults.push(format!("{alien} flows are stored whose datagrams are not in weir.raw"));
    }
    Ok(Exporter {
        address: account.address.to_string(),
        name: account.name.clone(),
        protocol: account.protocol.clone(),
        sent: account.total.flows,
        rows,
        lost,
        doubled: rows - stored,
        faults,
    })
}

/// How many numbers of `first..end` lie in the ranges, which are in order.
fn within(ranges: &[Range], first: u64, end: u64) -> u64 {
    let begin = ranges.partition_point(|range| range.last < first);
    ranges[begin..]
        .iter()
        .take_while(|range| range.first < end)
        .map(|range| (range.last + 1).min(end) - range.first.max(first))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_ranges_and_between_them_they_are_not() {
        let ranges =
            [Range { first: 0, last: 9 }, Range { first: 20, last: 24 }, Range { first: 30, last: 30 }];
        for (first, end, expected) in
            [(0, 10, 10), (5, 10, 5), (5, 25, 10), (10, 20, 0), (9, 31, 7), (24, 40, 2), (31, 50, 0)]
        {
            assert_eq!(within(&ranges, first, end), expected, "{first}..{end}");
        }
    }
}
