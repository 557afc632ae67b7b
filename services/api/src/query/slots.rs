//! The SQL of what is told apart by slots: bytes over time, the largest slots, and what is left of them without some rows.
//!
//! What must stay true: a time is read once, whatever is asked of its slots; amounts are summed in the shortest slots that all of it is made of, and
//! are rounded when they are whole. Slots of nothing are no rows, and count.

use super::Detail;
use super::measures::{SAMPLES, Side, THOUSANDTHS};
use super::period::{PEAK_SLOT, Window};
use super::read::Body;
use super::reading::Gone;
use super::sql::{Of, Statement, Value};
use super::sums::Query;
use crate::pieces::narrow;
use serde::Deserialize;

/// A number that rows are told apart by, from their time.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// What it is called.
    pub name: &'static str,
    /// Its SQL.
    pub sql: &'static str,
}

/// Slots of a series, by where they start.
const STARTS: Slot = Slot { name: "start", sql: "roundDown(toUInt32(t.time), {starts:Array(UInt32)})" };
/// Slots of peaks, by their place: they begin with the time.
const PLACES: Slot =
    Slot { name: "place", sql: "toUInt32(intDiv(toUInt32(t.time) - {from:UInt32}, {peak_slot:UInt32}))" };

/// Where the slot of a series starts in which one of peaks lies.
const START_OF_PLACE: &str = "roundDown({from:UInt32} + place * {peak_slot:UInt32}, {starts:Array(UInt32)})";
/// Whole slots of peaks.
const LARGEST: &str = "groupArrayIf((bytes, samples), place < {slots:UInt32})";

/// What is asked about slots.
#[derive(Clone, Copy)]
pub struct InSlots<'a> {
    /// From when to when.
    window: Window,
    /// Where slots of a series start.
    starts: Option<&'a [u32]>,
    /// How many slots have peaks.
    peaks: Option<u32>,
}

/// Slots of peaks in a time.
pub fn count(window: &Window) -> u32 {
    (window.to - window.from) / PEAK_SLOT
}

/// A border behind the first one is a border of each.
fn between_peaks(window: &Window) -> [u32; 2] {
    [window.from, window.from + PEAK_SLOT]
}

impl<'a> InSlots<'a> {
    /// Of a question; nothing where it is not about slots.
    pub fn of(detail: &'a Detail) -> Option<Self> {
        let (series, peaks) = (detail.series.as_ref(), detail.peaks);
        // Both begin with the question's time; peaks end with their last whole slot.
        let window = series.map(|series| series.window).or(peaks)?;
        let starts = series.map(|series| series.starts.as_slice());
        Some(Self { window, starts, peaks: peaks.as_ref().map(count) })
    }

    /// Borders that lie between them.
    fn borders(&self) -> Vec<u32> {
        let starts = self.starts.and_then(|starts| starts.get(1..)).unwrap_or_default();
        let peaks = self.peaks.map(|_| between_peaks(&self.window));
        starts.iter().copied().chain(peaks.into_iter().flatten()).collect()
    }

    /// Whether each slot of peaks lies in one of the series: then rows have to be told apart by the former alone.
    fn nested(&self) -> bool {
        let starts = self.starts.filter(|_| self.peaks.is_some());
        starts.is_some_and(|starts| {
            starts.iter().all(|start| (start - self.window.from).is_multiple_of(PEAK_SLOT))
        })
    }

    fn bound(&self, statement: Statement) -> Statement {
        let statement = match self.starts {
            Some(starts) => statement.bound("starts", Value::Numbers(starts.to_vec())),
            None => statement,
        };
        let slots = self.peaks.unwrap_or_default();
        ranked(statement, slots).with("slots", slots)
    }
}

/// The 95th of so many slots of peaks: the twentieth part, the largest, is dropped, and it is the next.
fn ranked(statement: Statement, slots: u32) -> Statement {
    statement.with("peak_slot", PEAK_SLOT).with("rank", slots / 20 + 1)
}

/// What is said of the slots of one direction: of a series where each starts that has something, with its bytes, and of peaks the largest and that of the
/// percentile, bytes and samples. Bytes are in thousandths.
#[derive(Debug, Deserialize)]
pub struct Told {
    pub direction: Side,
    pub series: Vec<(u32, i128)>,
    pub max: (i128, i128),
    pub p95: (i128, i128),
}

/// They, as one value.
const TOLD: &str = "groupArray((direction, series, sorted[1], sorted[{rank:UInt32}]))";

impl Query<'_> {
    /// What is asked about slots, as [`Told`].
    pub fn slots(&self, asked: &InSlots<'_>, of: Of<'_>) -> Result<Statement, Gone> {
        let nested = asked.nested();
        let slots = [asked.starts.filter(|_| !nested).map(|_| STARTS), asked.peaks.map(|_| PLACES)];
        let by: Vec<_> = slots.into_iter().flatten().collect();
        let numbers: String = by.iter().map(|slot| format!(", s.{0} AS {0}", slot.name)).collect();
        let select = format!(
            "{} AS row, s.direction AS direction{numbers}, sum({THOUSANDTHS}) AS bytes, sumIf({SAMPLES}, rate > 1000) AS samples",
            self.row(of)
        );
        let names: Vec<_> = by.iter().map(|slot| slot.name).collect();
        // What people read is made of sums, and not of each row.
        let fine = of.ases() || matches!(of, Of::Total);
        let body = Body { slots: &by, fine, ases: of.ases(), ..Body::default() };
        let rest = format!("GROUP BY row, direction, {}", names.join(", "));
        let finest = of.bound(self.statement(&[asked.window], &asked.borders(), &select, &body, &rest)?);
        let (slots, series, peaks) = match (asked.starts, asked.peaks) {
            (Some(_), Some(_)) if nested => {
                let select = format!(
                    "SELECT row, direction, {START_OF_PLACE} AS start, sum(bytes) AS total, {LARGEST} AS places"
                );
                let slots = finest.wrapped(&select, "GROUP BY row, direction, start");
                (slots, "groupArray((start, total))", "arrayFlatten(groupArray(places))")
            }
            (Some(_), Some(_)) => {
                let slots = finest.wrapped(
                    "SELECT row, direction, start, place, sum(bytes) AS bytes, sum(samples) AS samples, grouping(start) = 0 AS of_series",
                    "GROUP BY GROUPING SETS ((row, direction, start), (row, direction, place))",
                );
                let peaks = "groupArrayIf((bytes, samples), NOT of_series AND place < {slots:UInt32})";
                (slots, "groupArrayIf((start, bytes), of_series)", peaks)
            }
            (Some(_), None) => {
                (finest, "groupArray((start, bytes))", "CAST([], 'Array(Tuple(Int128, Int128))')")
            }
            (None, _) => (finest, "CAST([], 'Array(Tuple(UInt32, Int128))')", LARGEST),
        };
        let sorted = format!("arrayPartialReverseSort({{rank:UInt32}}, {peaks})");
        let each = slots.wrapped(
            &format!("SELECT row, direction, {series} AS series, {sorted} AS sorted"),
            &format!("{} GROUP BY row, direction", self.these()),
        );
        Ok(asked.bound(each.wrapped(&format!("SELECT row, {TOLD} AS said"), "GROUP BY row")))
    }

    /// Amounts of each provider in every slot, those of nothing too. A link without a provider is one of its own.
    fn per_provider(&self, window: &Window, of: Of<'_>) -> Result<Statement, Gone> {
        const PROVIDER: &str = "if(l.provider = '', l.link, l.provider)";
        let slots = count(window);
        let sides = ["in", "out"].map(|side| {
            let of = format!("s.direction = '{side}'");
            let bytes = narrow(&format!("intDiv(sumIf({THOUSANDTHS}, {of}), 1000)"));
            let samples = narrow(&format!("sumIf({SAMPLES}, {of} AND rate > 1000)"));
            format!("{bytes} AS bytes_{side}, {samples} AS samples_{side}")
        });
        let sides = sides.join(", ");
        let dense = |side| {
            format!(
                "groupArrayInsertAt(0, {slots})(bytes_{side}, place) AS bytes_{side}, \
                 groupArrayInsertAt(0, {slots})(samples_{side}, place) AS samples_{side}"
            )
        };
        let select = format!("{} AS row, {PROVIDER} AS provider, s.place AS place, {sides}", self.row(of));
        let body = Body { slots: &[PLACES], fine: true, ases: of.ases(), ..Body::default() };
        let (borders, rest) = (between_peaks(window), "GROUP BY row, provider, place");
        let slots = of.bound(self.statement(&[*window], &borders, &select, &body, rest)?);
        let select = format!("SELECT row, provider, {}, {}", dense("in"), dense("out"));
        Ok(slots.wrapped(&select, &format!("{} GROUP BY row, provider", self.these())))
    }

    /// What is left of each provider's slots where rows are taken out of all that it carries, one at a time: the largest and that of the percentile, with
    /// and without, each with the samples that it rests on.
    pub fn without(&self, window: &Window, rows: Of<'_>, carried: &Self) -> Result<Statement, Gone> {
        let of_rows = self.per_provider(window, rows)?;
        let all = carried.per_provider(window, Of::Total)?.beside(&of_rows);
        let sorted = |side: &str| {
            format!(
                "arrayPartialReverseSort({{rank:UInt32}}, arrayZip(t.bytes_{side}, t.samples_{side})) AS all_{side}, \
                 arrayPartialReverseSort({{rank:UInt32}}, arrayMap((t, m, all, its) -> (t - least(t, m), all - least(all, its)), \
                 t.bytes_{side}, m.bytes_{side}, t.samples_{side}, m.samples_{side})) AS left_{side}"
            )
        };
        let sql = format!(
            "SELECT row, provider, all_in[{{rank:UInt32}}] AS p95_in, all_out[{{rank:UInt32}}] AS p95_out, \
             left_in[{{rank:UInt32}}] AS left_p95_in, left_out[{{rank:UInt32}}] AS left_p95_out, bytes_in, bytes_out \
             FROM (SELECT m.row AS row, m.provider AS provider, arraySum(m.bytes_in) AS bytes_in, arraySum(m.bytes_out) AS bytes_out, \
             {}, {} FROM ({}) AS m INNER JOIN ({}) AS t ON t.provider = m.provider) ORDER BY row, provider",
            sorted("in"),
            sorted("out"),
            of_rows.sql,
            all.sql
        );
        let mut both = Statement { sql, ..of_rows };
        for (name, value) in all.parameters {
            if both.parameters.iter().all(|(other, _)| *other != name) {
                both.parameters.push((name, value));
            }
        }
        Ok(ranked(both, count(window)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::interval::Slots;

    #[test]
    fn slots_of_peaks_lie_in_those_of_a_series_where_each_of_these_starts_with_one() {
        let nested = |starts: &[u32], peaks: bool| {
            let window = Window { from: 600, to: 7800 };
            let series = Slots { interval: 3600, starts: starts.to_vec(), window };
            let detail = Detail { series: Some(series), peaks: peaks.then_some(window), ..Detail::default() };
            InSlots::of(&detail).unwrap().nested()
        };
        assert!(nested(&[600, 3600, 7200], true));
        assert!(!nested(&[600, 3660, 7260], true) && !nested(&[600, 660, 720], true));
        assert!(!nested(&[600, 3600, 7200], false), "there are none");
    }
}
