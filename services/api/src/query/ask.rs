//! A question is put to ClickHouse in several statements, and one answer is made of what they say.
//!
//! What changes within its time comes first, then the top rows, and what else is asked about them is asked by their keys. Each statement is read
//! where it has fewest rows (`reading.rs`), so a total may come from hours where its series comes from minutes: their sums are the same flows.

use super::changes::Changes;
use super::field::Dimension;
use super::interval::Slots;
use super::measures::{Part, Side, Sums, whole};
use super::once::Once;
use super::period::{PEAK_SLOT, Window};
use super::reading::Gone;
use super::request::MOST_DETAILED;
use super::slots::{InSlots, Told, count};
use super::sql::{Of, Statement, Value};
use super::stored::stored_from;
use super::sums::{Query, Times};
use super::{Answer, Before, Bytes, Detail, NotIn, PeakSlots, Peaks, Previous, Question, Row, Series};
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
    /// A time was settled that a statement can't have.
    #[error(transparent)]
    Gone(#[from] Gone),
}

/// A statement, where tables have the time of it.
type Asked = std::result::Result<Statement, Gone>;

type Result<T> = std::result::Result<T, AskError>;

/// A row of the top.
#[derive(Deserialize)]
struct Top {
    keys: Vec<String>,
    asn: u32,
    /// Where its sums were asked for at once.
    said: Option<Vec<Part>>,
}

/// What is asked about a row, which is named as the query says.
#[derive(Deserialize)]
struct About<T> {
    row: u64,
    said: Vec<T>,
}

/// What counts, and what doesn't because of where it was observed. What doesn't, or has no rate, is told with its exporter.
#[derive(Deserialize)]
struct Observed {
    counts: bool,
    exporter: String,
    observation: String,
    said: Vec<Part>,
}

/// Asks ClickHouse.
///
/// # Errors
/// [`AskError::Store`], mostly.
pub async fn ask(store: &Store, question: &Question) -> Result<Answer> {
    let changes = Once::of(store, question).changes(question).await?;
    answer(store, question, &changes).await
}

/// The answer, when what changes in its time is known.
pub(crate) async fn answer(store: &Store, question: &Question, changes: &Changes) -> Result<Answer> {
    let (period, detail) = (&question.period, &question.detail);
    let window = &period.window;
    let query = Query::of(store.database(), question, changes);
    let many = question.top > MOST_DETAILED;
    let times = Times { now: *window, before: detail.previous };
    let of_top = query.top(window, many)?;
    let tables = of_top.tables.clone();
    let (top, observed, slots_of_total) = tokio::try_join!(
        rows::<Top>(store, of_top),
        rows::<Observed>(store, query.total(&times)?),
        slots_of_total(store, &query, detail),
    )?;
    let counting = || observed.iter().filter(|one| one.counts).flat_map(|one| &one.said);
    let total = Sums::of(counting().filter(|part| part.now));
    let again = Again { store, query: &query, top: &top };
    let (names, stored_from, said, slots) = tokio::try_join!(
        names(store, ases(&question.by, &top)),
        stored_from(store),
        again.sums(&times, many),
        again.slots(detail),
    )?;
    let sums = said.sums(true);
    let (unknown_rate, other_observation) = not_in(&observed, query.picks_sides());
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
        rows: top.iter().zip(&sums).map(|(row, sums)| named(question, row, sums, &names)).collect(),
        total: total.row(Vec::new()),
        unknown_rate,
        other_observation,
    };
    if let Some(slots) = slots {
        slots.put(&slots_of_total, detail, &mut answer);
    }
    if let Some(window) = &detail.previous {
        let earlier = Sums::of(counting().filter(|part| !part.now));
        said.put_previous(earlier, window, &mut answer);
    }
    Ok(answer)
}

/// The top rows alone, with their sums. Their ASes have no names.
pub(crate) async fn top(store: &Store, question: &Question, changes: &Changes) -> Result<Vec<Row>> {
    let query = Query::of(store.database(), question, changes);
    let top = rows::<Top>(store, query.top(&question.period.window, true)?).await?;
    let sums = |row: &Top| Sums::of(row.said.iter().flatten());
    Ok(top.iter().map(|row| named(question, row, &sums(row), &BTreeMap::new())).collect())
}

/// A row with what it is called.
fn named(question: &Question, row: &Top, sums: &Sums, names: &BTreeMap<u32, String>) -> Row {
    let keys = question.by.iter().zip(&row.keys).map(|(by, key)| by.label(key, names)).collect();
    let by_as = question.by.contains(&Dimension::As);
    Row { asn: by_as.then_some(row.asn), ..sums.row(keys) }
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

/// Bytes of unknown rate among the records that count, and bytes of the records that don't because of where they were observed; most first. Where
/// nothing picks sides of flows, one side stands for both.
fn not_in(observed: &[Observed], picks_sides: bool) -> (Vec<NotIn>, Vec<NotIn>) {
    let (mut unknown, mut other) = (Vec::new(), Vec::new());
    for Observed { counts, exporter, observation, said } in observed {
        let stands = |part: &&Part| part.now && (picks_sides || part.direction == Side::In);
        let sums = Sums::of(said.iter().filter(stands));
        let bytes = sums.bytes_in.saturating_add(sums.bytes_out);
        let unknown_rate = sums.bytes_unknown_rate_in.saturating_add(sums.bytes_unknown_rate_out);
        let of = |bytes, bytes_unknown_rate| NotIn {
            exporter: exporter.clone(),
            observation: observation.clone(),
            bytes,
            bytes_unknown_rate,
        };
        if *counts && unknown_rate > 0 {
            unknown.push(of(0, unknown_rate));
        } else if !counts && (bytes > 0 || unknown_rate > 0) {
            other.push(of(bytes, unknown_rate));
        }
    }
    for all in [&mut unknown, &mut other] {
        all.sort_by(|a, b| {
            let by = |of: &NotIn| (std::cmp::Reverse((of.bytes, of.bytes_unknown_rate)), of.exporter.clone());
            by(a).cmp(&by(b))
        });
    }
    (unknown, other)
}

/// The rows that a statement gives.
pub(crate) async fn rows<T: DeserializeOwned>(store: &Store, statement: Statement) -> Result<Vec<T>> {
    let Statement { sql, parameters, .. } = statement;
    let parameters: Vec<_> = parameters.iter().map(|(name, value)| (name.as_str(), value)).collect();
    Ok(store.query_bound(&sql, &parameters).await?)
}

/// Rows that are asked about again.
struct Again<'a> {
    store: &'a Store,
    query: &'a Query<'a>,
    top: &'a [Top],
}

/// What is said about rows.
struct Said<T> {
    /// Tables that it was read from.
    tables: Vec<&'static str>,
    rows: Vec<Vec<T>>,
}

impl Again<'_> {
    /// What is said about each row; of what nothing is said, nothing was found.
    async fn each<T: DeserializeOwned>(&self, statement: impl Fn(Of<'_>) -> Asked) -> Result<Said<T>> {
        let keys: Vec<_> = self.top.iter().map(|row| row.keys.clone()).collect();
        let by_as = self.query.question.by.contains(&Dimension::As);
        let ases: Vec<_> = self.top.iter().filter(|_| by_as).map(|row| row.asn).collect();
        let of_rows = statement(Of::Rows(&keys, &ases))?;
        let tables = of_rows.tables.clone();
        let said = if keys.is_empty() { Vec::new() } else { rows::<About<T>>(self.store, of_rows).await? };
        let mut placed: Vec<Vec<T>> = self.top.iter().map(|_| Vec::new()).collect();
        for About { row, said } in said {
            let place = if self.query.named_by_as() {
                ases.iter().position(|asn| u64::from(*asn) == row)
            } else {
                usize::try_from(row).ok().and_then(|row| row.checked_sub(1))
            };
            if let Some(place) = place.and_then(|place| placed.get_mut(place)) {
                *place = said;
            }
        }
        Ok(Said { tables, rows: placed })
    }

    /// The sums of each row. What was taken back since it was found has none any more.
    async fn sums(&self, times: &Times, are_there: bool) -> Result<Said<Part>> {
        if are_there {
            let rows = self.top.iter().map(|row| row.said.clone().unwrap_or_default()).collect();
            return Ok(Said { tables: Vec::new(), rows });
        }
        self.each(|of| self.query.sums(times, of)).await
    }

    async fn slots(&self, detail: &Detail) -> Result<Option<Said<Told>>> {
        let Some(asked) = InSlots::of(detail) else { return Ok(None) };
        Ok(Some(self.each(|of| self.query.slots(&asked, of)).await?))
    }
}

/// What is said of all slots.
async fn slots_of_total(store: &Store, query: &Query<'_>, detail: &Detail) -> Result<Vec<Told>> {
    let Some(asked) = InSlots::of(detail) else { return Ok(Vec::new()) };
    let said = rows::<About<Told>>(store, query.slots(&asked, Of::Total)?).await?;
    Ok(said.into_iter().next().map(|one| one.said).unwrap_or_default())
}

impl Said<Told> {
    fn put(self, total: &[Told], detail: &Detail, answer: &mut Answer) {
        let Self { tables, rows } = self;
        if let Some(Slots { interval, starts, .. }) = &detail.series {
            let total = in_slots(starts, total);
            let rows: Vec<_> = rows.iter().map(|told| in_slots(starts, told)).collect();
            if let Some(other) = &mut answer.other {
                other.series = Some(rest(&total, &rows));
            }
            answer.total.series = Some(total);
            for (row, bytes) in answer.rows.iter_mut().zip(rows) {
                row.series = Some(bytes);
            }
            answer.series =
                Some(Series { interval: *interval, starts: starts.clone(), tables: tables.clone() });
        }
        if let Some(window) = &detail.peaks {
            // What is not in the rows has no peaks of its own: the rows' are of different slots.
            answer.total.peaks = Some(peaks(total, &answer.total));
            for (row, told) in answer.rows.iter_mut().zip(&rows) {
                row.peaks = Some(peaks(told, row));
            }
            answer.peaks = Some(PeakSlots { interval: PEAK_SLOT, slots: count(window), tables });
        }
    }
}

impl Said<Part> {
    /// Sums of each row, those of now or those of the time before.
    fn sums(&self, now: bool) -> Vec<Sums> {
        self.rows.iter().map(|parts| Sums::of(parts.iter().filter(|part| part.now == now))).collect()
    }

    fn put_previous(self, total: Sums, window: &Window, answer: &mut Answer) {
        let rows = self.sums(false);
        if let Some(other) = &mut answer.other {
            other.previous = Some(total.without(&rows).into());
        }
        answer.total.previous = Some(total.into());
        for (row, sums) in answer.rows.iter_mut().zip(rows) {
            row.previous = Some(sums.into());
        }
        answer.previous = Some(Before { from: window.from, to: window.to, tables: self.tables });
    }
}

/// The peaks of a row.
fn peaks(told: &[Told], row: &Row) -> Peaks {
    let of = |side: Side, exact: u64, high: f64| {
        let told = told.iter().find(|told| told.direction == side);
        // What is exact is never rough, however little it is.
        let sampled = high > exact as f64;
        let slot = |(bytes, samples): (i128, i128)| (whole(bytes), sampled && samples < ROUGH.into());
        let (max, p95) = told.map_or(((0, 0), (0, 0)), |told| (told.max, told.p95));
        (slot(max), slot(p95))
    };
    let ((max_in, rough_max_in), (p95_in, rough_p95_in)) = of(Side::In, row.bytes_in, row.high_in);
    let ((max_out, rough_max_out), (p95_out, rough_p95_out)) = of(Side::Out, row.bytes_out, row.high_out);
    Peaks { max_in, max_out, p95_in, p95_out, rough_max_in, rough_max_out, rough_p95_in, rough_p95_out }
}

impl From<Sums> for Previous {
    fn from(sums: Sums) -> Self {
        let Row { bytes_in, bytes_out, low_in, high_in, low_out, high_out, .. } = sums.row(Vec::new());
        Self { bytes_in, bytes_out, low_in, high_in, low_out, high_out }
    }
}

/// A number for each slot: nothing was found in those that are not there.
fn in_slots(starts: &[u32], told: &[Told]) -> Bytes {
    let mut all = Bytes { bytes_in: vec![0; starts.len()], bytes_out: vec![0; starts.len()] };
    for Told { direction, series, .. } in told {
        let side = match direction {
            Side::In => &mut all.bytes_in,
            Side::Out => &mut all.bytes_out,
            Side::Unknown => continue,
        };
        for (start, bytes) in series {
            let Ok(place) = starts.binary_search(start) else { continue };
            side[place] = whole(*bytes);
        }
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

    fn told(direction: Side, series: &[(u32, i128)], max: (i128, i128), p95: (i128, i128)) -> Told {
        Told { direction, series: series.to_vec(), max, p95 }
    }

    #[test]
    fn slots_without_traffic_are_zero_and_what_is_left_of_a_total_is_other() {
        let none = (0, 0);
        let row = [
            told(Side::Out, &[(180, 4_999), (60, 2_000)], none, none),
            told(Side::In, &[(60, 1_000), (180, 3_000)], none, none),
        ];
        let row = in_slots(&[60, 120, 180], &row);
        assert_eq!(row, Bytes { bytes_in: vec![1, 0, 3], bytes_out: vec![2, 0, 4] });
        let total = Bytes { bytes_in: vec![5, 7, 3], bytes_out: vec![2, 0, 3] };
        assert_eq!(rest(&total, &[row]), Bytes { bytes_in: vec![4, 7, 0], bytes_out: vec![0, 0, 0] });
    }

    #[test]
    fn a_slot_is_rough_below_400_samples_and_never_where_nothing_is_sampled() {
        let largest =
            [told(Side::In, &[], (9_000, 400), (8_000, 399)), told(Side::Out, &[], (7_000, 1), (0, 0))];
        let sampled = Row { bytes_in: 100, high_in: 110.0, bytes_out: 50, high_out: 50.0, ..Row::default() };
        let peaks = peaks(&largest, &sampled);
        assert_eq!((peaks.rough_max_in, peaks.rough_p95_in), (false, true));
        assert_eq!((peaks.rough_max_out, peaks.rough_p95_out), (false, false));
        assert_eq!((peaks.max_in, peaks.p95_in, peaks.max_out, peaks.p95_out), (9, 8, 7, 0));
    }
}
