//! A question is put to ClickHouse in several statements, and one answer is made of what they say.
//!
//! What changes within its time comes first, then the top rows, and what else is asked about them is asked by their keys. Each statement is read
//! where it has fewest rows (`reading.rs`), so a total may come from hours where its series comes from minutes: their sums are the same flows.

use super::changes::Changes;
use super::field::Dimension;
use super::measures::Sums;
use super::period::{PEAK_SLOT, Window};
use super::request::MOST_DETAILED;
use super::sql::{Of, Query, Statement, Value};
use super::stored::stored_from;
use super::taken::Taken;
use super::{
    Answer, Before, Bytes, Counted, Detail, NotIn, PeakSlots, Peaks, Previous, Question, Row, Series,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use weir_store::{Store, StoreError};

/// Samples in a slot below which it is rough (docs/counting.md, "95th percentile").
pub(crate) const ROUGH: u64 = 400;

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum AskError {
    /// ClickHouse does not answer, or refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A sum over everything is one row, always.
    #[error("ClickHouse answered without a total")]
    NoTotal,
}

type Result<T> = std::result::Result<T, AskError>;

/// A row of the top.
#[derive(Deserialize)]
struct Top {
    keys: Vec<String>,
    asn: u32,
    /// Where they were asked for at once.
    #[serde(flatten)]
    sums: Option<Sums>,
}

/// What is asked about a row, which is named by its place from 1 on.
#[derive(Deserialize)]
struct About<T> {
    row: u64,
    #[serde(flatten)]
    said: T,
}

/// Slot, bytes in, bytes out.
#[derive(Deserialize)]
struct InSlots {
    slots: Vec<(u32, u64, u64)>,
}

/// Bytes of slots, and the samples that they rest on.
#[derive(Default, Deserialize)]
struct Largest {
    max_in: (u64, u64),
    max_out: (u64, u64),
    p95_in: (u64, u64),
    p95_out: (u64, u64),
}

/// Asks ClickHouse.
///
/// # Errors
/// [`AskError::Store`], mostly.
pub async fn ask(store: &Store, question: &Question) -> Result<Answer> {
    let (period, detail) = (&question.period, &question.detail);
    let (window, changes) = (&period.window, changes(store, question).await?);
    let query = Query::of(store.database(), question, &changes);
    let many = question.top > MOST_DETAILED;
    let of_top = if many { query.top_with_sums(window) } else { query.top(window) };
    let tables = of_top.tables.clone();
    let (top, total, observed) = tokio::try_join!(
        rows::<Top>(store, of_top),
        rows::<About<Sums>>(store, query.sums(window, Of::Total)),
        rows::<NotIn>(store, query.by_observation(window)),
    )?;
    let total = total.into_iter().next().ok_or(AskError::NoTotal)?.said;
    let by_as = question.by.contains(&Dimension::As);
    let found = Found { store, query: &query, top: &top, by_as };
    let (names, stored_from, sums, series, peaks, previous) = tokio::try_join!(
        names(store, ases(&question.by, &top)),
        stored_from(store),
        found.sums(window, many),
        found.series(detail),
        found.peaks(detail),
        found.previous(detail)
    )?;
    let (unknown_rate, other_observation) = not_in(observed, question.observation);
    let mut answer = Answer {
        tables,
        from: window.from,
        to: window.to,
        asked_from: period.asked_from,
        stored_from,
        seconds: period.seconds,
        incomplete_seconds: period.incomplete,
        observation: question.observation.word(),
        by: question.by.iter().map(|dimension| dimension.name().to_owned()).collect(),
        series: None,
        peaks: None,
        previous: None,
        other: detail.other.then(|| total.without(&sums).row(Vec::new())),
        rows: top
            .iter()
            .zip(&sums)
            .map(|(row, sums)| {
                let keys = question.by.iter().zip(&row.keys).map(|(by, key)| by.label(key, &names)).collect();
                Row { asn: by_as.then_some(row.asn), ..sums.row(keys) }
            })
            .collect(),
        total: total.row(Vec::new()),
        unknown_rate,
        other_observation,
    };
    series.into_iter().for_each(|series| series.put(&mut answer));
    peaks.into_iter().for_each(|peaks| peaks.put(&mut answer));
    previous.into_iter().for_each(|previous| previous.put(&mut answer));
    Ok(answer)
}

/// What changes in the time of a question, and in the time before it.
pub(crate) async fn changes(store: &Store, question: &Question) -> Result<Changes> {
    let from = question.detail.previous.map_or(question.period.window.from, |previous| previous.from);
    let all = rows(store, Changes::behind(store.database(), from, &Taken::of(question))).await?;
    Ok(all.into_iter().next().unwrap_or_default())
}

#[derive(Deserialize)]
struct Named {
    asn: u32,
    name: String,
}

/// ASes that rows are by.
fn ases(by: &[Dimension], top: &[Top]) -> BTreeSet<u32> {
    let keys = top.iter().flat_map(|row| by.iter().zip(&row.keys));
    keys.filter(|(by, _)| by.is_as()).filter_map(|(_, key)| key.parse().ok()).collect()
}

/// Names of ASes, of those that have one.
pub(crate) async fn names(store: &Store, ases: BTreeSet<u32>) -> Result<BTreeMap<u32, String>> {
    if ases.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql =
        format!("SELECT asn, name FROM {}.asns FINAL WHERE asn IN {{ases:Array(UInt32)}}", store.database());
    let ases = Value::Numbers(ases.into_iter().collect());
    let named = rows::<Named>(store, Statement::of(sql, [("ases".to_owned(), ases)])).await?;
    Ok(named.into_iter().map(|Named { asn, name }| (asn, name)).collect())
}

/// Bytes of unknown rate among the records that count, and bytes of the records that don't because of where they were observed.
fn not_in(observed: Vec<NotIn>, counted: Counted) -> (Vec<NotIn>, Vec<NotIn>) {
    let (counting, other): (Vec<_>, Vec<_>) =
        observed.into_iter().partition(|one| one.observation == counted.word());
    let mut unknown: Vec<_> = counting.into_iter().filter(|one| one.bytes_unknown_rate > 0).collect();
    unknown.iter_mut().for_each(|one| one.bytes = 0);
    unknown.sort_by_key(|one| std::cmp::Reverse(one.bytes_unknown_rate));
    (unknown, other)
}

/// The rows that a statement gives.
pub(crate) async fn rows<T: DeserializeOwned>(store: &Store, statement: Statement) -> Result<Vec<T>> {
    let Statement { sql, parameters, .. } = statement;
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value)).collect();
    Ok(store.query_bound(&sql, &parameters).await?)
}

/// Rows that are asked about again.
struct Found<'a> {
    store: &'a Store,
    query: &'a Query<'a>,
    top: &'a [Top],
    by_as: bool,
}

impl Found<'_> {
    /// What is said about the total, and about each row.
    async fn about<T: DeserializeOwned>(
        &self,
        statement: impl Fn(Of<'_>) -> Statement,
    ) -> Result<Said<Option<T>>> {
        let of_total = rows::<About<T>>(self.store, statement(Of::Total));
        let (total, each) = tokio::try_join!(of_total, self.each(&statement))?;
        Ok(Said { total: total.into_iter().next().map(|one| one.said), ..each })
    }

    /// What is said about each row; of what nothing is said, nothing was found.
    async fn each<T: DeserializeOwned>(
        &self,
        statement: impl Fn(Of<'_>) -> Statement,
    ) -> Result<Said<Option<T>>> {
        let keys: Vec<_> = self.top.iter().map(|row| row.keys.clone()).collect();
        let ases: Vec<_> = self.top.iter().filter(|_| self.by_as).map(|row| row.asn).collect();
        let of_rows = statement(Of::Rows(&keys, &ases));
        let tables = of_rows.tables.clone();
        let said = if keys.is_empty() { Vec::new() } else { rows::<About<T>>(self.store, of_rows).await? };
        let mut placed: Vec<Option<T>> = self.top.iter().map(|_| None).collect();
        for About { row, said } in said {
            let place = usize::try_from(row).ok().and_then(|row| placed.get_mut(row.checked_sub(1)?));
            if let Some(place) = place {
                *place = Some(said);
            }
        }
        Ok(Said { tables, total: None, rows: placed })
    }

    /// The sums of each row. What was taken back since it was found has none any more.
    async fn sums(&self, window: &Window, are_there: bool) -> Result<Vec<Sums>> {
        if are_there {
            return Ok(self.top.iter().map(|row| row.sums.clone().unwrap_or_default()).collect());
        }
        let said = self.each(|of| self.query.sums(window, of)).await?;
        Ok(said.rows.into_iter().map(Option::unwrap_or_default).collect())
    }

    async fn series(&self, detail: &Detail) -> Result<Option<OverTime>> {
        let Some(slots) = &detail.series else { return Ok(None) };
        let said = self.about(|of| self.query.series(&slots.window, &slots.starts, of)).await?;
        let of =
            |found: Option<InSlots>| in_slots(&slots.starts, found.map_or_else(Vec::new, |one| one.slots));
        let tables = said.tables.clone();
        let answered = Series { interval: slots.interval, starts: slots.starts.clone(), tables };
        Ok(Some(OverTime { answered, said: said.map(of) }))
    }

    async fn peaks(&self, detail: &Detail) -> Result<Option<Largests>> {
        let Some(window) = &detail.peaks else { return Ok(None) };
        let slots = (window.to - window.from) / PEAK_SLOT;
        // Of n slots the n/20 largest are dropped, and the next is the 95th.
        let said = self.about(|of| self.query.peaks(window, slots / 20 + 1, of)).await?;
        let answered = PeakSlots { interval: PEAK_SLOT, slots, tables: said.tables.clone() };
        Ok(Some(Largests { answered, said: said.map(Option::unwrap_or_default) }))
    }

    async fn previous(&self, detail: &Detail) -> Result<Option<Earlier>> {
        let Some(window) = &detail.previous else { return Ok(None) };
        let said = self.about(|of| self.query.sums(window, of)).await?;
        let answered = Before { from: window.from, to: window.to, tables: said.tables.clone() };
        Ok(Some(Earlier { answered, said: said.map(Option::unwrap_or_default) }))
    }
}

/// What is said about the total and about rows.
struct Said<T> {
    /// Tables that rows' were read from.
    tables: Vec<&'static str>,
    total: T,
    rows: Vec<T>,
}

impl<T> Said<Option<T>> {
    fn map<R>(self, of: impl Fn(Option<T>) -> R) -> Said<R> {
        Said { tables: self.tables, total: of(self.total), rows: self.rows.into_iter().map(of).collect() }
    }
}

struct OverTime {
    answered: Series,
    said: Said<Bytes>,
}

impl OverTime {
    fn put(self, answer: &mut Answer) {
        if let Some(other) = &mut answer.other {
            other.series = Some(rest(&self.said.total, &self.said.rows));
        }
        answer.total.series = Some(self.said.total);
        for (row, bytes) in answer.rows.iter_mut().zip(self.said.rows) {
            row.series = Some(bytes);
        }
        answer.series = Some(self.answered);
    }
}

struct Largests {
    answered: PeakSlots,
    said: Said<Largest>,
}

impl Largests {
    /// What is not in the rows has no peaks of its own: the rows' are of different slots.
    fn put(self, answer: &mut Answer) {
        answer.total.peaks = Some(self.said.total.peaks(&answer.total));
        for (row, largest) in answer.rows.iter_mut().zip(self.said.rows) {
            row.peaks = Some(largest.peaks(row));
        }
        answer.peaks = Some(self.answered);
    }
}

impl Largest {
    fn peaks(&self, row: &Row) -> Peaks {
        // What is exact is never rough, however little it is.
        let (sampled_in, sampled_out) =
            (row.high_in > row.bytes_in as f64, row.high_out > row.bytes_out as f64);
        let rough = |sampled: bool, samples: u64| sampled && samples < ROUGH;
        Peaks {
            max_in: self.max_in.0,
            max_out: self.max_out.0,
            p95_in: self.p95_in.0,
            p95_out: self.p95_out.0,
            rough_max_in: rough(sampled_in, self.max_in.1),
            rough_max_out: rough(sampled_out, self.max_out.1),
            rough_p95_in: rough(sampled_in, self.p95_in.1),
            rough_p95_out: rough(sampled_out, self.p95_out.1),
        }
    }
}

struct Earlier {
    answered: Before,
    said: Said<Sums>,
}

impl Earlier {
    fn put(self, answer: &mut Answer) {
        let Said { total, rows, .. } = self.said;
        if let Some(other) = &mut answer.other {
            other.previous = Some(total.without(&rows).into());
        }
        answer.total.previous = Some(total.into());
        for (row, sums) in answer.rows.iter_mut().zip(rows) {
            row.previous = Some(sums.into());
        }
        answer.previous = Some(self.answered);
    }
}

impl From<Sums> for Previous {
    fn from(sums: Sums) -> Self {
        let Row { bytes_in, bytes_out, low_in, high_in, low_out, high_out, .. } = sums.row(Vec::new());
        Self { bytes_in, bytes_out, low_in, high_in, low_out, high_out }
    }
}

/// A number for each slot: nothing was found in those that are not there.
fn in_slots(starts: &[u32], found: Vec<(u32, u64, u64)>) -> Bytes {
    let mut all = Bytes { bytes_in: vec![0; starts.len()], bytes_out: vec![0; starts.len()] };
    for (start, bytes_in, bytes_out) in found {
        let Ok(place) = starts.binary_search(&start) else { continue };
        all.bytes_in[place] = bytes_in;
        all.bytes_out[place] = bytes_out;
    }
    all
}

/// What a total has besides its rows.
fn rest(total: &Bytes, rows: &[Bytes]) -> Bytes {
    let less = |of: fn(&Bytes) -> &Vec<u64>| {
        let slots = of(total).iter().enumerate();
        slots
            .map(|(slot, all)| rows.iter().fold(*all, |left, row| left.saturating_sub(of(row)[slot])))
            .collect()
    };
    Bytes { bytes_in: less(|bytes| &bytes.bytes_in), bytes_out: less(|bytes| &bytes.bytes_out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_without_traffic_are_zero_and_what_is_left_of_a_total_is_other() {
        let row = in_slots(&[60, 120, 180], vec![(180, 3, 4), (60, 1, 2)]);
        assert_eq!(row, Bytes { bytes_in: vec![1, 0, 3], bytes_out: vec![2, 0, 4] });
        let total = Bytes { bytes_in: vec![5, 7, 3], bytes_out: vec![2, 0, 3] };
        assert_eq!(rest(&total, &[row]), Bytes { bytes_in: vec![4, 7, 0], bytes_out: vec![0, 0, 0] });
    }

    #[test]
    fn a_slot_is_rough_below_400_samples_and_never_where_nothing_is_sampled() {
        let largest = Largest { max_in: (9, 400), p95_in: (8, 399), max_out: (7, 1), p95_out: (0, 0) };
        let sampled = Row { bytes_in: 100, high_in: 110.0, bytes_out: 50, high_out: 50.0, ..Row::default() };
        let peaks = largest.peaks(&sampled);
        assert_eq!((peaks.rough_max_in, peaks.rough_p95_in), (false, true));
        assert_eq!((peaks.rough_max_out, peaks.rough_p95_out), (false, false));
        assert_eq!((peaks.max_in, peaks.p95_in, peaks.max_out, peaks.p95_out), (9, 8, 7, 0));
    }
}
