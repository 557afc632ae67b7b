//! Holds what is stored against `weir.raw` where ingest died on the way: flow by flow, by the numbers that flows carry, and by what the
//! flows that lie there say together.

use super::{
    Asking, COLLECTED, Exporter, Patience, Report, Stored, Verdict, compare_rates, differences, groups,
    mapped, rollups, sql,
};
use crate::ledger::{Account, Ledger, Sum};
use crate::raw::{Announced, Received, Sent};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use weir_store::Store;

/// Why a datagram never reached `weir.raw`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Ingest was dead, or died with it in its memory or its socket's buffer.
    Dead,
    /// The kernel had no room for it.
    Kernel,
    /// Ingest dropped it and counted it.
    Ingest,
    /// None that was counted.
    Unexplained,
}

impl Cause {
    /// As a report says it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Dead => "ingest was dead",
            Self::Kernel => "dropped by the kernel",
            Self::Ingest => "dropped by ingest, counted",
            Self::Unexplained => "without a cause",
        }
    }
}

/// What may have taken datagrams: when, why, and how many at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Excuse {
    /// Sent from then on, ns since the epoch.
    pub from: i64,
    /// Sent until then.
    pub to: i64,
    /// Why.
    pub cause: Cause,
    /// Most datagrams that were counted.
    pub most: u64,
}

/// What was known of one that receives right before it was killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastLook {
    /// What was sent until then is in what it had counted or held, ns since the epoch.
    pub at: i64,
    /// Datagrams that it and its sockets had then, and nobody had acknowledged.
    pub held: u64,
}

/// How old what one holds may be when it is killed, ns. A frame waits for others for 100 ms (`ingest.frame_age_ms`), and for the bus as long as
/// that is busy or away; so the number that was held is the bound, and this only keeps what went astray long before from being excused.
const HELD: i64 = 10_000_000_000;

impl Excuse {
    /// Nobody received, from the last look before a kill until it listened again, ns since the epoch. Of what was sent before, no more is
    /// excused than was held.
    pub fn dead(last: LastLook, listened: i64) -> [Self; 2] {
        let since = Self { from: last.at, to: listened, cause: Cause::Dead, most: u64::MAX };
        [Self { from: last.at - HELD, to: last.at - 1, most: last.held, ..since }, since]
    }
}

/// What was sent and never reached `weir.raw`.
#[derive(Clone, Debug, Default)]
pub struct Missed {
    /// Data datagrams by cause.
    pub datagrams: BTreeMap<Cause, u64>,
    /// Flows in them, by exporter's number, minute (seconds since the epoch) and cause.
    pub flows: BTreeMap<(u32, i64, Cause), u64>,
}

impl Missed {
    /// Datagrams missed for this cause.
    pub fn of(&self, cause: Cause) -> u64 {
        self.datagrams.get(&cause).copied().unwrap_or_default()
    }
}

/// Numbers of flows, as ranges `first..=last` in order.
#[derive(Clone, Copy, Deserialize)]
struct Range {
    first: u64,
    last: u64,
}

fn missed(ledger: &Ledger, received: &Received, excuses: &[Excuse]) -> Missed {
    let mut missed = Missed::default();
    let mut excuses = excuses.to_vec();
    for sent in ledger.journal.iter().filter(|sent| received.times(sent.print) == 0) {
        let excuse = excuses.iter_mut().find(|one| one.most > 0 && (one.from..=one.to).contains(&sent.at));
        let cause = excuse.map_or(Cause::Unexplained, |one| {
            one.most -= 1;
            one.cause
        });
        *missed.datagrams.entry(cause).or_default() += 1;
        *missed.flows.entry((sent.exporter, minute(sent.at), cause)).or_default() += u64::from(sent.flows);
    }
    missed
}

fn minute(ns: i64) -> i64 {
    ns.div_euclid(60_000_000_000) * 60
}

/// Flows lost and doubled in a minute, by exporter's number and minute (seconds since the epoch).
pub type ByMinute = BTreeMap<(u32, i64), (u64, u64)>;

/// Where flows are lost or doubled: by exporter and minute of sending and receiving. Without `received`, all of the journal was.
///
/// # Errors
/// Where ClickHouse does not answer as it should.
pub async fn by_minute(
    ledger: &Ledger,
    received: Option<&Received>,
    store: &Store,
    wrong: &[Exporter],
) -> Result<ByMinute> {
    #[derive(Deserialize)]
    struct Twice {
        minute: i64,
        doubled: u64,
    }
    let asking = Asking::new(store, ledger);
    let mut all = ByMinute::new();
    let numbered = ledger.exporters.iter().zip(wrong).enumerate();
    for (number, (account, _)) in numbered.filter(|(_, (_, one))| one.lost + one.doubled > 0) {
        let ranges: Vec<Range> = asking.of_all(&[account], sql::ranges(store.database())).await?;
        let own = ledger.journal.iter().filter(|sent| sent.exporter as usize == number);
        for sent in own.filter(|sent| received.is_none_or(|received| received.times(sent.print) > 0)) {
            let found = within(&ranges, sent.first, sent.first + u64::from(sent.flows));
            let lost = u64::from(sent.flows) - found;
            if lost > 0 {
                all.entry((sent.exporter, minute(sent.at))).or_default().0 += lost;
            }
        }
        let twice: Vec<Twice> = asking.of(account, sql::doubled_by_minute(store.database())).await?;
        for one in twice {
            all.entry((number as u32, one.minute)).or_default().1 += one.doubled;
        }
    }
    Ok(all)
}

/// Waits until all that lies in `weir.raw` is stored or nothing more comes, and compares.
///
/// # Errors
/// Where ClickHouse does not answer as it should.
pub async fn against_raw(
    ledger: &Ledger,
    received: &Received,
    excuses: &[Excuse],
    store: &Store,
    patience: Patience,
) -> Result<(Report, Missed)> {
    let asking = Asking::new(store, ledger);
    let there = |sent: &&Sent| received.times(sent.print) > 0;
    let wanted: u64 = ledger.journal.iter().filter(there).map(|sent| u64::from(sent.flows)).sum();
    asking.wait(ledger, wanted, patience).await?;
    let mut exporters = Vec::new();
    let mut journals = vec![Journal::default(); ledger.exporters.len()];
    for one in &ledger.journal {
        journals[one.exporter as usize].sent.push(one);
    }
    for one in &ledger.announced {
        journals[one.exporter as usize].announced.push(one);
    }
    for group in groups(&asking, ledger, COLLECTED).await? {
        let (mut stored, mut ranges) =
            (super::stored(&asking, &group, false).await?, ranges(&asking, &group).await?);
        for account in group {
            let address = mapped(account);
            let stored =
                (stored.remove(&address).unwrap_or_default(), ranges.remove(&address).unwrap_or_default());
            exporters.push(exporter(account, &journals[exporters.len()], received, stored));
        }
    }
    let rollups = rollups(&asking, ledger, patience).await?;
    let missed = missed(ledger, received, excuses);
    let fault = exporters.iter().any(|one| one.lost + one.doubled > 0 || !one.faults.is_empty())
        || rollups.iter().any(|one| one.wrong > 0);
    let verdict = match (fault, missed.of(Cause::Unexplained)) {
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

/// Numbers of flows that are stored of exporters, by address.
async fn ranges(asking: &Asking<'_>, group: &[&Account]) -> Result<HashMap<String, Vec<Range>>> {
    let mut out: HashMap<String, Vec<Range>> = HashMap::new();
    for (address, range) in asking.of_each(group, sql::ranges(asking.store.database())).await? {
        out.entry(address).or_default().push(range);
    }
    Ok(out)
}

/// What one exporter sent, in order.
#[derive(Clone, Default)]
struct Journal<'l> {
    sent: Vec<&'l Sent>,
    announced: Vec<&'l Announced>,
}

impl Journal<'_> {
    /// The account of what lies in `weir.raw`; sides are not known of it. False: which of its flows have a rate is not known either, as the rate
    /// came without its template: then it depends on when both are put together.
    fn received(&self, account: &Account, received: &Received) -> (Account, bool) {
        let mut of = account.emptied();
        let mut announced = self.announced.iter().filter(|one| received.times(one.print) > 0).peekable();
        // One that announces nothing in options data tells its rate with its flows, or has none.
        let (mut rate, mut template, mut cut, mut certain) = (self.announced.is_empty(), false, false, true);
        for one in self.sent.iter().filter(|one| received.times(one.print) > 0) {
            while let Some(said) = announced.next_if(|said| said.at <= one.at) {
                match said.rate {
                    true => (rate, cut) = (rate || template, cut || !template),
                    false => template = true,
                }
            }
            certain &= rate || !cut;
            let interval = if rate { u64::from(one.interval) } else { 0 };
            let sum = Sum { flows: one.flows.into(), bytes: one.bytes.into(), packets: one.packets.into() };
            of.total += sum;
            of.checksum = of.checksum.wrapping_add(one.checksum);
            *of.minutes.entry(minute(one.at)).or_default() += sum;
            *of.rates.entry(interval).or_default() += sum;
        }
        (of, certain)
    }
}

fn exporter(
    account: &Account,
    journal: &Journal<'_>,
    received: &Received,
    (stored, ranges): (Stored, Vec<Range>),
) -> Exporter {
    let (sent, rows) = (&journal.sent, stored.whole.rows);
    let known: u64 = ranges.iter().map(|range| range.last - range.first + 1).sum();
    let mut faults = Vec::new();
    let mut lost = 0;
    let mut alien = known;
    for one in sent {
        let found = within(&ranges, one.first, one.first + u64::from(one.flows));
        if received.times(one.print) > 0 {
            let gone = u64::from(one.flows) - found;
            if gone > 0 && lost == 0 {
                faults.push(format!("the first lost: {gone} flows of the datagram sent at {} ns", one.at));
            }
            lost += gone;
            alien -= found;
        }
    }
    let twice = sent.iter().filter(|one| received.times(one.print) > 1).count();
    if twice > 0 {
        faults.push(format!("{twice} datagrams lie in weir.raw more than once"));
    }
    if alien > 0 {
        faults.push(format!("{alien} flows are stored whose datagrams are not in weir.raw"));
    }
    let (there, certain) = journal.received(account, received);
    faults.extend(differences(&there, &stored));
    faults.extend(compare_rates(&there.rates, &stored.rates).filter(|_| certain));
    Exporter {
        address: account.address.to_string(),
        name: account.name.clone(),
        protocol: account.protocol.clone(),
        sent: account.total.flows,
        rows,
        lost,
        doubled: rows - known,
        faults,
    }
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
    use crate::network::network;
    use crate::world::World;

    #[test]
    fn what_is_missed_has_the_cause_that_was_counted_then_and_no_more_of_it_than_was_counted() {
        let exporters = network(&World::synthetic(1), 1, std::net::Ipv4Addr::new(127, 64, 0, 1));
        let mut ledger = Ledger::new(&exporters, 1, 0);
        let second = 1_000_000_000;
        ledger.journal = (0..6)
            .map(|n| Sent { first: n * 10, flows: 10, at: n as i64 * second, print: n, ..Sent::default() })
            .collect();
        let kernel = Excuse { from: 3 * second, to: 6 * second, cause: Cause::Kernel, most: 2 };
        let [held, dead] = Excuse::dead(LastLook { at: second, held: 1 }, 2 * second);
        let missed = missed(&ledger, &Received::default(), &[held, dead, kernel]);
        assert_eq!([Cause::Dead, Cause::Kernel, Cause::Unexplained].map(|cause| missed.of(cause)), [3, 2, 1]);
        assert_eq!(missed.flows[&(0, 0, Cause::Dead)], 30);
    }

    #[test]
    fn what_lies_in_weir_raw_has_the_rate_whose_announcement_lies_there_too() {
        let exporters = network(&World::synthetic(1), 1, std::net::Ipv4Addr::new(127, 64, 0, 1));
        let ledger = Ledger::new(&exporters, 1, 0);
        let account = &ledger.exporters[0];
        let sent: Vec<Sent> = (0..6)
            .map(|n| Sent {
                flows: 10,
                bytes: 5,
                at: n as i64 * 10,
                print: n,
                checksum: 7,
                interval: 9,
                ..Sent::default()
            })
            .collect();
        // Before the second datagram and before the fourth.
        let announced = [(9, 100, false), (9, 101, true), (29, 102, false), (29, 103, true)]
            .map(|(at, print, rate)| Announced { exporter: 0, at, print, rate });
        let of = |missing: &[u64], announced: &[Announced]| {
            let there = (0..6).chain(100..104).filter(|print| !missing.contains(print));
            let received = Received::of(there);
            let journal = Journal { sent: sent.iter().collect(), announced: announced.iter().collect() };
            let (of, certain) = journal.received(account, &received);
            assert_eq!((of.total.bytes, of.checksum), (of.total.flows / 2, of.total.flows / 10 * 7));
            (of.rates.into_iter().map(|(rate, sum)| (rate, sum.flows)).collect::<Vec<_>>(), certain)
        };
        assert_eq!(of(&[], &[]), (vec![(9, 60)], true), "told with the flows");
        assert_eq!(of(&[], &announced), (vec![(0, 10), (9, 50)], true));
        assert_eq!(of(&[0, 3], &announced), (vec![(9, 40)], true));
        assert_eq!(
            of(&[101], &announced),
            (vec![(0, 30), (9, 30)], true),
            "the first announcement was missed"
        );
        assert_eq!(
            of(&[101, 102], &announced),
            (vec![(0, 30), (9, 30)], true),
            "two templates are as good as one"
        );
        assert!(!of(&[100], &announced).1, "a rate without its template");
        assert_eq!(of(&[100, 1, 2], &announced), (vec![(0, 10), (9, 30)], true), "which concerns no flow");
    }

    #[test]
    fn of_what_was_sent_before_a_kill_no_more_is_excused_than_was_held_then() {
        let exporters = network(&World::synthetic(1), 1, std::net::Ipv4Addr::new(127, 64, 0, 1));
        let mut ledger = Ledger::new(&exporters, 1, 0);
        let millisecond = 1_000_000;
        ledger.journal = (0..100)
            .map(|n| Sent {
                first: n * 10,
                flows: 10,
                at: n as i64 * millisecond,
                print: n,
                ..Sent::default()
            })
            .collect();
        let excuses = Excuse::dead(LastLook { at: 60 * millisecond, held: 12 }, 99 * millisecond);
        let missed = missed(&ledger, &Received::default(), &excuses);
        assert_eq!((missed.of(Cause::Dead), missed.of(Cause::Unexplained)), (12 + 40, 48));
    }

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
