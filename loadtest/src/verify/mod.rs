//! Holds what is stored against the ledger, and the rollups against the flows they were made of. Exactly.
//!
//! Lost is what ingest handed on and is not there; doubled is what is there twice. What ingest never handed on is missed, with its
//! cause, and makes the run invalid rather than wrong (docs/exactly-once.md, rule 20).

mod raw;
mod sql;

pub use raw::{ByMinute, Cause, Excuse, LastLook, Missed as MissedByRaw, against_raw, by_minute};
pub(crate) use sql::OF_EXPORTERS;

use crate::ledger::{Account, Ledger, Side, Sum};
use anyhow::Result;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};
use weir_store::Store;

/// How long to wait for what is on its way.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Ends the wait when the number of rows has not grown for this long.
    pub quiet: Duration,
    /// Ends it in any case.
    pub most: Duration,
    /// Where all rows are there, none more may have come for this long: one that is stored twice comes a batch later.
    pub settled: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(30),
            most: Duration::from_secs(300),
            // A sink's batch, a decoder's cycle, and an insert.
            settled: Duration::from_secs(6),
        }
    }
}

/// What the comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything is there, once, as it was sent.
    Pass,
    /// Something is not.
    Fail,
    /// Not all that was sent was handed on by ingest, so nothing can be said.
    Invalid,
}

/// Of one exporter.
#[derive(Clone, Debug, Serialize)]
pub struct Exporter {
    /// Its address.
    pub address: String,
    /// Its name.
    pub name: String,
    /// Its protocol.
    pub protocol: String,
    /// Flows sent.
    pub sent: u64,
    /// Rows that are there.
    pub rows: u64,
    /// Flows sent that are not there.
    pub lost: u64,
    /// Rows beyond the first of a flow.
    pub doubled: u64,
    /// What is wrong with those that are there, in sentences; empty: nothing.
    pub faults: Vec<String>,
}

/// Of one rollup table.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Rollup {
    /// Its name.
    pub table: String,
    /// Keys that it has or should have.
    pub keys: u64,
    /// Those of which a measure is not what the flows come to.
    pub wrong: u64,
    /// Flows that it should have, by the rows of `flows`.
    pub expected: u64,
    /// Flows that it has.
    pub stored: u64,
    /// Flows that keys have too few of.
    pub lost: u64,
    /// Flows that keys have too many of.
    pub doubled: u64,
    /// The first wrong keys with the differences of their measures.
    pub examples: Vec<String>,
}

/// Datagrams that ingest did not hand on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Missed {
    /// Dropped by the kernel, as ingest's sockets tell.
    pub kernel: u64,
    /// Dropped by ingest or given up by the bus.
    pub ingest: u64,
    /// Sent and not received, for no reason that was counted.
    pub unexplained: u64,
    /// Received and not acknowledged when the generator ended.
    pub unacknowledged: u64,
}

/// The whole comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What it comes to.
    pub verdict: Verdict,
    /// Flows sent.
    pub sent: u64,
    /// Rows in `flows`.
    pub rows: u64,
    /// Flows lost.
    pub lost: u64,
    /// Rows doubled.
    pub doubled: u64,
    /// What ingest did not hand on; absent where ingest's counters were not read.
    pub missed: Option<Missed>,
    /// By exporter.
    pub exporters: Vec<Exporter>,
    /// By rollup table.
    pub rollups: Vec<Rollup>,
}

/// Rows of flows that one comparison of rollups takes at most, unless one exporter has more.
const CHUNK: u64 = 3_000_000;
/// The same where what it gives is collected here.
const COLLECTED: u64 = 500_000;
/// Exporters that one question names at most.
pub(crate) const NAMED: usize = 500;

struct Asking<'a> {
    store: &'a Store,
    from: i64,
    to: i64,
    /// Rollups are compared from there on, or from the start of a slot that it lies in.
    since: i64,
}

/// An answer for each of several exporters.
#[derive(Deserialize)]
struct Of<T> {
    address: String,
    #[serde(flatten)]
    of: T,
}

#[derive(Deserialize)]
struct Row {
    rows: u64,
    sum_bytes: u64,
    sum_packets: u64,
    #[serde(default)]
    minute: i64,
    #[serde(default)]
    interval: u64,
    #[serde(default)]
    inbound: u8,
    #[serde(default)]
    interface: u32,
    #[serde(default)]
    asn: u32,
}

impl Row {
    fn sum(&self) -> Sum {
        Sum { flows: self.rows, bytes: self.sum_bytes, packets: self.sum_packets }
    }
}

impl<'a> Asking<'a> {
    fn new(store: &'a Store, ledger: &Ledger) -> Self {
        const HOUR: i64 = 3_600_000_000_000;
        // Clocks of one machine: what was received lies between the first datagram and a little after the last. A flow is spread over no more
        // than the two hours before it was received.
        let since = ledger.started_ns - 3 * HOUR;
        Self { store, from: ledger.started_ns, to: ledger.ended_ns + 5_000_000_000, since }
    }

    async fn of<T: DeserializeOwned>(&self, account: &Account, sql: String) -> Result<Vec<T>> {
        let parameters = [
            ("exporter", mapped(account)),
            ("from", self.from.to_string()),
            ("to", self.to.to_string()),
            ("sent", account.total.flows.to_string()),
        ];
        Ok(self.store.query(&sql, &parameters).await?)
    }

    async fn of_all<T: DeserializeOwned>(&self, accounts: &[&Account], sql: String) -> Result<Vec<T>> {
        let sent: Vec<_> = accounts.iter().map(|account| account.total.flows.to_string()).collect();
        let parameters = [
            ("exporters", list(accounts.iter().copied())),
            ("from", self.from.to_string()),
            ("to", self.to.to_string()),
            ("sent", sent.join(",")),
        ];
        Ok(self.store.query(&sql, &parameters).await?)
    }

    /// The same where answers name their exporter: by its address.
    async fn of_each<T: DeserializeOwned>(
        &self,
        accounts: &[&Account],
        sql: String,
    ) -> Result<impl Iterator<Item = (String, T)> + use<T>> {
        let rows: Vec<Of<T>> = self.of_all(accounts, sql).await?;
        Ok(rows.into_iter().map(|row| (row.address, row.of)))
    }

    /// Waits until as many rows are there, or nothing more comes.
    async fn wait(&self, ledger: &Ledger, wanted: u64, patience: Patience) -> Result<Wait> {
        let mut wait = Wait::new(patience);
        while !wait.is_over(self.count(ledger).await?, wanted) {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(wait)
    }

    async fn count(&self, ledger: &Ledger) -> Result<u64> {
        #[derive(Deserialize)]
        struct Count {
            count: u64,
        }
        let mut sum = 0;
        for some in ledger.exporters.chunks(NAMED) {
            let some: Vec<_> = some.iter().collect();
            let rows: Vec<Count> = self.of_all(&some, sql::count(self.store.database())).await?;
            sum += rows.first().map_or(0, |row| row.count);
        }
        Ok(sum)
    }
}

fn mapped(account: &Account) -> String {
    account.address.to_ipv6_mapped().to_string()
}

fn list<'a>(accounts: impl Iterator<Item = &'a Account>) -> String {
    exporters(accounts.map(|account| account.address))
}

/// What [`OF_EXPORTERS`] names.
pub(crate) fn exporters(addresses: impl Iterator<Item = Ipv4Addr>) -> String {
    addresses.map(|address| address.to_ipv6_mapped().to_string()).collect::<Vec<_>>().join(",")
}

/// Waits until everything is there or nothing more comes, and compares.
///
/// # Errors
/// Where ClickHouse does not answer as it should.
pub async fn verify(ledger: &Ledger, store: &Store, patience: Patience) -> Result<Report> {
    let asking = Asking::new(store, ledger);
    let mut wait = asking.wait(ledger, ledger.total().flows, patience).await?;
    let grouped = groups(&asking, ledger, COLLECTED).await?;
    let exporters = loop {
        let mut exporters = Vec::new();
        for group in &grouped {
            let mut stored = stored(&asking, group, true).await?;
            for account in group {
                let stored = stored.remove(&mapped(account)).unwrap_or_default();
                exporters.push(exporter(&asking, account, stored).await?);
            }
        }
        // Doubled rows make up the number before the last flow has come.
        if exporters.iter().all(|one| one.lost == 0) || wait.is_quiet() {
            break exporters;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        wait.is_over(asking.count(ledger).await?, ledger.total().flows);
    };
    let rollups = rollups(&asking, ledger, patience).await?;
    let missed = missed(ledger);
    let fault = exporters.iter().any(|one| one.lost + one.doubled > 0 || !one.faults.is_empty())
        || rollups.iter().any(|one| one.wrong > 0);
    // What was not acknowledged when the generator ended may have been since.
    let lost = exporters.iter().any(|one| one.lost > 0);
    let incomplete = missed.is_some_and(|missed| {
        missed.kernel + missed.ingest + missed.unexplained > 0 || (missed.unacknowledged > 0 && lost)
    });
    // What is there too often, and a rollup that is not its flows, are wrong whatever was missed.
    let proven = exporters.iter().any(|one| one.doubled > 0) || rollups.iter().any(|one| one.wrong > 0);
    let verdict = match (incomplete && !proven, fault) {
        (true, _) => Verdict::Invalid,
        (_, true) => Verdict::Fail,
        (_, false) => Verdict::Pass,
    };
    let total = |field: fn(&Exporter) -> u64| exporters.iter().map(field).sum();
    Ok(Report {
        verdict,
        sent: total(|one| one.sent),
        rows: total(|one| one.rows),
        lost: total(|one| one.lost),
        doubled: total(|one| one.doubled),
        missed,
        exporters,
        rollups,
    })
}

fn missed(ledger: &Ledger) -> Option<Missed> {
    let counted = ledger.ingest?;
    let sent = ledger.all_datagrams();
    Some(Missed {
        kernel: counted.kernel_drops,
        ingest: counted.dropped,
        unexplained: sent.saturating_sub(counted.received + counted.kernel_drops),
        unacknowledged: counted.received.saturating_sub(counted.acknowledged + counted.dropped),
    })
}

/// Until when there is anything to wait for.
struct Wait {
    patience: Patience,
    begun: Instant,
    last: u64,
    grown: Instant,
}

impl Wait {
    fn new(patience: Patience) -> Self {
        Self { patience, begun: Instant::now(), last: 0, grown: Instant::now() }
    }

    /// True where all rows are there, as far as their number tells, and no more come, or nothing comes.
    fn is_over(&mut self, rows: u64, wanted: u64) -> bool {
        if rows > self.last {
            (self.last, self.grown) = (rows, Instant::now());
        }
        (rows >= wanted && self.grown.elapsed() >= self.patience.settled) || self.is_quiet()
    }

    /// True where nothing has come for long enough.
    fn is_quiet(&self) -> bool {
        self.grown.elapsed() > self.patience.quiet || self.begun.elapsed() > self.patience.most
    }
}

/// What is stored of an exporter as a whole.
#[derive(Deserialize)]
struct Whole {
    rows: u64,
    known: u64,
    alien: u64,
    places: u64,
    sum_bytes: String,
    sum_packets: String,
    checksum: String,
    wrong_times: u64,
}

impl Default for Whole {
    /// Of one of which nothing is there: then there is no answer.
    fn default() -> Self {
        let none = || "0".to_owned();
        Self {
            rows: 0,
            known: 0,
            alien: 0,
            places: 0,
            sum_bytes: none(),
            sum_packets: none(),
            checksum: none(),
            wrong_times: 0,
        }
    }
}

/// What is stored of an exporter.
#[derive(Default)]
struct Stored {
    whole: Whole,
    minutes: BTreeMap<i64, Sum>,
    rates: BTreeMap<u64, Sum>,
    sides: BTreeMap<Side, Sum>,
}

/// What is stored of some exporters, by address; by side where that is asked for.
async fn stored(asking: &Asking<'_>, group: &[&Account], sides: bool) -> Result<HashMap<String, Stored>> {
    let database = asking.store.database();
    let mut out: HashMap<String, Stored> = HashMap::new();
    for (address, whole) in asking.of_each(group, sql::flows(database)).await? {
        out.entry(address).or_default().whole = whole;
    }
    for (address, row) in asking.of_each::<Row>(group, sql::minutes(database)).await? {
        out.entry(address).or_default().minutes.insert(row.minute, row.sum());
    }
    for (address, row) in asking.of_each::<Row>(group, sql::rates(database)).await? {
        out.entry(address).or_default().rates.insert(row.interval, row.sum());
    }
    if !sides {
        return Ok(out);
    }
    for (address, row) in asking.of_each::<Row>(group, sql::sides(database)).await? {
        let Row { interface, inbound, asn, interval, .. } = row;
        let side = Side { interface, inbound: inbound == 1, asn, interval };
        out.entry(address).or_default().sides.insert(side, row.sum());
    }
    Ok(out)
}

async fn exporter(asking: &Asking<'_>, account: &Account, stored: Stored) -> Result<Exporter> {
    let database = asking.store.database();
    let whole = &stored.whole;
    let sent = account.total.flows;
    let (lost, doubled) = (sent.saturating_sub(whole.known), whole.rows - whole.alien - whole.known);
    let mut faults = Vec::new();
    if whole.alien > 0 {
        faults.push(format!("{} rows have numbers of flows that were never sent", whole.alien));
    }
    faults.extend(differences(account, &stored));
    faults.extend(compare_rates(&account.rates, &stored.rates));
    faults.extend(compare("side", &account.sides, &stored.sides));

    #[derive(Deserialize)]
    struct Place {
        tag: u64,
        #[serde(default)]
        places: String,
    }
    if lost > 0 {
        let some: Vec<Place> = asking.of(account, sql::lost(database)).await?;
        faults
            .push(format!("the first flows lost: {:?}", some.iter().map(|one| one.tag).collect::<Vec<_>>()));
    }
    if doubled > 0 {
        let some: Vec<Place> = asking.of(account, sql::doubled(database)).await?;
        let shown: Vec<String> = some.iter().map(|one| format!("{} from {}", one.tag, one.places)).collect();
        faults.push(format!("the first flows doubled: {}", shown.join(", ")));
    }
    Ok(Exporter {
        address: account.address.to_string(),
        name: account.name.clone(),
        protocol: account.protocol.clone(),
        sent,
        rows: whole.rows,
        lost,
        doubled,
        faults,
    })
}

/// What rows say otherwise than an account, in sentences: each place once, times, sums, checksum, minutes.
fn differences(account: &Account, stored: &Stored) -> Vec<String> {
    let (whole, mut faults) = (&stored.whole, Vec::new());
    if whole.places != whole.rows {
        faults.push(format!("{} rows share their place in weir.raw with another", whole.rows - whole.places));
    }
    if whole.wrong_times > 0 {
        faults.push(format!("{} rows are not anchored at their receive time", whole.wrong_times));
    }
    for (what, stored, sent) in [
        ("bytes", &whole.sum_bytes, account.total.bytes),
        ("packets", &whole.sum_packets, account.total.packets),
        ("checksum", &whole.checksum, account.checksum),
    ] {
        if *stored != sent.to_string() {
            faults.push(format!("{what}: {stored} stored, {sent} sent"));
        }
    }
    let minutes = unblurred(account, &stored.minutes);
    faults.extend(compare("minute", &unblurred(account, &account.minutes), &minutes));
    faults
}

fn compare_rates(sent: &BTreeMap<u64, Sum>, stored: &BTreeMap<u64, Sum>) -> Option<String> {
    compare("sampling interval in thousandths", sent, stored)
}

/// Minutes of which the border is not certain are added to the one after.
fn unblurred(account: &Account, minutes: &BTreeMap<i64, Sum>) -> BTreeMap<i64, Sum> {
    let mut out: BTreeMap<i64, Sum> = BTreeMap::new();
    for (minute, sum) in minutes {
        let mut minute = *minute;
        while account.blurred.contains(&minute) {
            minute += 60;
        }
        *out.entry(minute).or_default() += *sum;
    }
    out
}

fn compare<K: Ord + fmt::Debug>(
    what: &str,
    sent: &BTreeMap<K, Sum>,
    stored: &BTreeMap<K, Sum>,
) -> Option<String> {
    let nothing = Sum::default();
    let keys = sent.keys().chain(stored.keys().filter(|key| !sent.contains_key(key)));
    let wrong: Vec<(&K, &Sum, &Sum)> = keys
        .map(|key| (key, sent.get(key).unwrap_or(&nothing), stored.get(key).unwrap_or(&nothing)))
        .filter(|(_, sent, stored)| sent != stored)
        .collect();
    let (key, sent, stored) = wrong.first()?;
    Some(format!("by {what}: {} differ, the first is {key:?}: {stored:?} stored, {sent:?} sent", wrong.len()))
}

/// Exporters in groups of not too many rows.
async fn groups<'l>(asking: &Asking<'_>, ledger: &'l Ledger, most: u64) -> Result<Vec<Vec<&'l Account>>> {
    #[derive(Deserialize)]
    struct Count {
        count: u64,
    }
    let mut counts = HashMap::new();
    for some in ledger.exporters.chunks(NAMED) {
        let parameters = [("exporters", list(some.iter())), ("since", sql::first(asking.since).to_string())];
        let rows: Vec<Of<Count>> =
            asking.store.query(&sql::count_by_exporter(asking.store.database()), &parameters).await?;
        counts.extend(rows.into_iter().map(|row| (row.address, row.of.count)));
    }
    let counted =
        ledger.exporters.iter().map(|one| (one, counts.get(&mapped(one)).copied().unwrap_or_default()));
    Ok(grouped(counted, most))
}

/// Groups of at most `most` rows, in order; what has more is alone.
fn grouped<T>(counted: impl Iterator<Item = (T, u64)>, most: u64) -> Vec<Vec<T>> {
    let (mut groups, mut group, mut size) = (Vec::new(), Vec::new(), 0);
    for (one, count) in counted {
        if group.len() == NAMED || (size + count > most && !group.is_empty()) {
            groups.push(std::mem::take(&mut group));
            size = 0;
        }
        group.push(one);
        size += count;
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

async fn rollups(asking: &Asking<'_>, ledger: &Ledger, patience: Patience) -> Result<Vec<Rollup>> {
    let begun = Instant::now();
    let groups = groups(asking, ledger, CHUNK).await?;
    let groups: Vec<_> = groups.into_iter().map(|group| list(group.into_iter())).collect();
    loop {
        let mut all = Vec::new();
        for rollup in sql::ROLLUPS {
            all.push(compare_rollup(asking, &rollup, &groups).await?);
        }
        // A batch is written table by table, flows first.
        if all.iter().all(|one| one.wrong == 0) || begun.elapsed() > patience.quiet {
            return Ok(all);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn compare_rollup(asking: &Asking<'_>, rollup: &sql::Rollup, groups: &[String]) -> Result<Rollup> {
    #[derive(Deserialize)]
    struct Check {
        keys: u64,
        wrong: u64,
        expected: String,
        stored: String,
        lost: String,
        doubled: String,
    }
    #[derive(Deserialize)]
    struct Wrong {
        text: String,
    }
    let database = asking.store.database();
    let mut out = Rollup {
        table: rollup.table.to_owned(),
        keys: 0,
        wrong: 0,
        expected: 0,
        stored: 0,
        lost: 0,
        doubled: 0,
        examples: Vec::new(),
    };
    for group in groups {
        let parameters = [("exporters", group.clone()), ("since", rollup.first(asking.since).to_string())];
        let rows: Vec<Check> = asking.store.query(&rollup.check(database), &parameters).await?;
        for row in rows {
            out.keys += row.keys;
            out.wrong += row.wrong;
            out.expected += row.expected.parse::<u64>()?;
            out.stored += row.stored.parse::<u64>()?;
            out.lost += row.lost.parse::<u64>()?;
            out.doubled += row.doubled.parse::<u64>()?;
            if row.wrong > 0 && out.examples.is_empty() {
                let wrong: Vec<Wrong> = asking.store.query(&rollup.wrong(database), &parameters).await?;
                out.examples = wrong.into_iter().map(|one| one.text).collect();
            }
        }
    }
    Ok(out)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<16} {:<20} {:<10} {:>12} {:>12} {:>9} {:>9}",
            "exporter", "name", "protocol", "sent", "stored", "lost", "doubled"
        )?;
        for one in &self.exporters {
            writeln!(
                f,
                "{:<16} {:<20} {:<10} {:>12} {:>12} {:>9} {:>9}",
                one.address, one.name, one.protocol, one.sent, one.rows, one.lost, one.doubled
            )?;
            one.faults.iter().try_for_each(|fault| writeln!(f, "    {fault}"))?;
        }
        writeln!(
            f,
            "{:<16} {:<20} {:<10} {:>12} {:>12} {:>9} {:>9}\n",
            "all", "", "", self.sent, self.rows, self.lost, self.doubled
        )?;
        writeln!(
            f,
            "{:<12} {:>10} {:>8} {:>14} {:>14} {:>9} {:>9}",
            "rollup", "keys", "wrong", "expected", "stored", "lost", "doubled"
        )?;
        for one in &self.rollups {
            writeln!(
                f,
                "{:<12} {:>10} {:>8} {:>14} {:>14} {:>9} {:>9}",
                one.table, one.keys, one.wrong, one.expected, one.stored, one.lost, one.doubled
            )?;
            one.examples.iter().try_for_each(|example| writeln!(f, "    {example}"))?;
        }
        match self.missed {
            None => writeln!(f, "\nmissed: not known, because ingest's counters were not read")?,
            Some(missed) => writeln!(
                f,
                "\nmissed datagrams: {} by the kernel, {} by ingest, {} without a reason, {} not acknowledged",
                missed.kernel, missed.ingest, missed.unexplained, missed.unacknowledged
            )?,
        }
        match self.verdict {
            Verdict::Pass => write!(f, "pass: everything is there, once, as it was sent"),
            Verdict::Fail => {
                write!(f, "fail: {} flows lost, {} doubled; see what differs above", self.lost, self.doubled)
            }
            Verdict::Invalid => {
                write!(f, "invalid: not all that was sent was handed on by ingest, so nothing can be said")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_with_its_key_and_none_is_not() {
        let sum = |flows| Sum { flows, bytes: 1, packets: 1 };
        let sent = BTreeMap::from([(60, sum(1)), (120, sum(2))]);
        assert_eq!(compare("minute", &sent, &sent), None);
        let told = compare("minute", &sent, &BTreeMap::from([(60, sum(1)), (180, sum(2))])).unwrap();
        assert!(told.starts_with("by minute: 2 differ, the first is 120"), "{told}");
    }

    #[test]
    fn groups_have_not_too_many_rows_or_exporters_and_keep_their_order() {
        let of = |counts: &[u64]| grouped(counts.iter().map(|count| (*count, *count)), 10);
        assert_eq!(of(&[4, 6, 1, 30, 2]), [vec![4, 6], vec![1], vec![30], vec![2]]);
        assert_eq!(of(&[]), Vec::<Vec<u64>>::new());
        assert_eq!(of(&vec![0; NAMED + 1]).iter().map(Vec::len).collect::<Vec<_>>(), [NAMED, 1]);
    }
}
