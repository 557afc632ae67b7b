//! From when to when an answer is.
//!
//! What must stay true: no time is averaged over of which tables have dropped rows, and ends that are moved are told.

use super::field::{Need, Needs};
use super::reading::Tables;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;
use weir_schemas::rollup::{ROLLUPS, Table};

/// Seconds before now at which `--last` ends. Flows come after they end: by an active time-out of a minute, which is what is
/// recommended, and by the way through the bus. A router with a longer one is complete later.
pub const ALLOWANCE: u32 = 120;

/// Seconds up to now that are asked for where nothing is complete yet: a little more than [`ALLOWANCE`].
const RECENT: u32 = 240;

/// Why a time can't be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PeriodError {
    /// Ends between minutes.
    #[error("from and to must be whole minutes: {} and {}", written(*.from), written(*.to))]
    NotMinutes {
        /// Start, seconds since the epoch.
        from: u32,
        /// End.
        to: u32,
    },
    /// It ends before it begins, or as it does.
    #[error("from {} is not before to {}", written(*.from), written(*.to))]
    Reversed {
        /// Start, seconds since the epoch.
        from: u32,
        /// End.
        to: u32,
    },
    /// It has not begun yet.
    #[error("from {} is not before now, {}", written(*.from), written(*.now))]
    Ahead {
        /// Start, seconds since the epoch.
        from: u32,
        /// Now.
        now: u32,
    },
    /// Everything of it was dropped.
    #[error("to {} is before all that {table} keeps, which is from {} on{advice}", written(*.to), written(*.begins))]
    Gone {
        /// End, seconds since the epoch.
        to: u32,
        /// The table that fits and keeps most.
        table: &'static str,
        /// Its first slot.
        begins: u32,
        /// Which ends reach back further, if any.
        advice: String,
    },
    /// What is asked for is kept in longer slots.
    #[error("what is asked for is kept in slots of {minutes} minutes: from and to must lie on their borders")]
    Slots {
        /// Of the shortest ones.
        minutes: u32,
    },
    /// No number and unit.
    #[error("{0} is no time: write a number and m, h or d, such as 24h")]
    Duration(String),
}

/// As people write it.
fn written(seconds: u32) -> Timestamp {
    Timestamp::from_second(i64::from(seconds)).unwrap_or_default()
}

type Result<T> = std::result::Result<T, PeriodError>;

/// Seconds from which on the last so much time begins and ends with a slot of [`PEAK_SLOT`].
const LONG: u32 = 6 * 3600;

/// Seconds of the slots whose largest and 95th are given (docs/counting.md, "95th percentile").
pub const PEAK_SLOT: u32 = 300;

/// A time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Start, seconds since the epoch, a whole minute.
    pub from: u32,
    /// End, not included.
    pub to: u32,
}

/// What time an answer covers.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// From when to when it is.
    pub window: Window,
    /// Start as asked: before `from` where no table that fits keeps it.
    pub asked_from: u32,
    /// Seconds that averages divide by: what lies ahead of now is left out.
    pub seconds: u32,
    /// Seconds at its end that can still grow.
    pub incomplete: u32,
}

/// Which times the tables have.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// Now, seconds since the epoch.
    pub now: u32,
    /// Days kept as configured, by table.
    pub days: &'a BTreeMap<String, u32>,
    /// What each has to have all of the time.
    needs: Needs,
}

impl Period {
    /// End of what has begun.
    pub fn end(&self) -> u32 {
        self.window.from.saturating_add(self.seconds).min(self.window.to)
    }

    /// As long a time before it, as far as it has come: where tables have all of it.
    pub fn before(&self, kept: Kept<'_>) -> Option<Window> {
        let Window { from, to, .. } = self.window;
        let begins = from.checked_sub(to - from)?;
        let whole = self.seconds / 60 * 60;
        kept.window(begins, begins + whole, &[]).filter(|_| whole > 0)
    }
}

impl<'a> Kept<'a> {
    /// As configured and by now, with nothing that is needed yet.
    pub fn new(now: u32, days: &'a BTreeMap<String, u32>) -> Self {
        Self { now, days, needs: Needs::default() }
    }

    /// Times that have this as well.
    pub fn with(self, needs: Needs) -> Self {
        Self { needs: self.needs.all(needs), ..self }
    }

    /// Days that a table keeps; 0: always.
    pub fn days(&self, table: &Table) -> u32 {
        self.days.get(table.name).copied().unwrap_or(table.days)
    }

    /// The first slot of which nothing is dropped yet.
    pub(super) fn from(&self, table: &Table) -> u32 {
        match self.days(table) {
            0 => 0,
            days => {
                let first = self.now.saturating_sub(days.saturating_mul(86_400));
                first.checked_next_multiple_of(table.slot).unwrap_or(first)
            }
        }
    }

    /// A time, if tables have all of it, of everything that is needed, in slots between which all of these borders lie.
    pub fn window(&self, from: u32, to: u32, borders: &[u32]) -> Option<Window> {
        let (window, tables) = (Window { from, to }, Tables::of(*self));
        let whole = |need| tables.parts(window, need, borders, &[]).is_some();
        self.needs.each().all(whole).then_some(window)
    }

    /// What is left of a time that can't be read from its very start: from the start of a slot on.
    fn cut(&self, from: u32, to: u32) -> Option<Window> {
        let begins = self
            .tables()
            .filter_map(|table| self.from(table).max(from).checked_next_multiple_of(table.slot))
            .filter(|begins| *begins < to);
        begins.filter_map(|begins| self.window(begins, to, &[])).min_by_key(|window| window.from)
    }

    /// Tables that have something of what is needed.
    fn tables(&self) -> impl Iterator<Item = &'static Table> + use<> {
        self.needs.each().flat_map(tables)
    }

    /// Lengths of their slots, the shortest first.
    fn slots(&self) -> BTreeSet<u32> {
        self.tables().map(|table| table.slot).collect()
    }

    /// The one of what is needed that a time has nothing of; where it is all of them together, the first.
    fn lacking(&self, from: u32, to: u32) -> Need {
        let alone = |need: &Need| Self { needs: Needs::default().and(*need), ..*self };
        let missing = |need: &Need| alone(need).cut(from, to).is_none();
        self.needs.each().find(missing).or(self.needs.each().next()).unwrap_or_default()
    }

    /// The whole slots of [`PEAK_SLOT`] of a time, if there are any and tables still have them.
    pub fn peaks(&self, period: &Period) -> Option<Window> {
        let from = period.window.from;
        let whole = (period.end() - from) / PEAK_SLOT * PEAK_SLOT;
        // Slots begin with the time, and a border behind the first one is a border of each.
        self.window(from, from + whole, &[from, from + PEAK_SLOT]).filter(|_| whole > 0)
    }

    fn period(&self, window: Window, asked_from: u32) -> Period {
        let Window { from, to } = window;
        let end = to.min(self.now);
        let complete = self.now.saturating_sub(ALLOWANCE);
        Period {
            window,
            asked_from,
            seconds: end.saturating_sub(from).max(1),
            incomplete: end.saturating_sub(complete.max(from)),
        }
    }
}

/// Seconds of the shortest slots that there are: they begin and end on minutes, as every question does.
const MINUTE: u32 = 60;

fn tables(need: Need) -> impl Iterator<Item = &'static Table> {
    ROLLUPS.iter().filter(move |table| need.shapes().contains(&table.shape))
}

/// The last so much time, in the shortest slots in which all of it is still there.
pub fn last(text: &str, kept: Kept<'_>) -> Result<Period> {
    let seconds = duration(text)?;
    // Of a long time a coarser table has all, and slots whose 95th is asked for are whole.
    let grid = if seconds >= LONG { PEAK_SLOT } else { MINUTE };
    let snapped = |slot: u32| {
        let slot = slot.max(grid);
        let to = kept.now.saturating_sub(ALLOWANCE) / slot * slot;
        (to.saturating_sub(seconds.div_ceil(slot).saturating_mul(slot)), to)
    };
    let all: Vec<_> = kept.slots().into_iter().map(snapped).collect();
    let whole = all.iter().find(|(from, to)| kept.window(*from, *to, &[]).is_some());
    // Where nothing has all of it, what has most says from when on.
    let most = || all.iter().min_by_key(|(from, to)| kept.cut(*from, *to).map_or(*to, |window| window.from));
    let (from, to) = whole.or_else(most).copied().unwrap_or_else(|| snapped(MINUTE));
    between(from, to, kept)
}

/// The last minutes up to now, those included that can still grow: in the shortest slots in which they are told.
pub fn recent(kept: Kept<'_>) -> Result<Period> {
    let shortest = |need| tables(need).map(|table| table.slot).min();
    let slot = kept.needs.each().filter_map(shortest).max().unwrap_or(MINUTE);
    let from = kept.now.saturating_sub(RECENT) / slot * slot;
    between(from, kept.now.checked_next_multiple_of(slot).unwrap_or(from), kept)
}

/// The time between two ends that were named.
pub fn between(from: u32, to: u32, kept: Kept<'_>) -> Result<Period> {
    if !from.is_multiple_of(60) || !to.is_multiple_of(60) {
        return Err(PeriodError::NotMinutes { from, to });
    }
    if from >= to {
        return Err(PeriodError::Reversed { from, to });
    }
    if from >= kept.now {
        return Err(PeriodError::Ahead { from, now: kept.now });
    }
    if let Some(window) = kept.window(from, to, &[]) {
        return Ok(kept.period(window, from));
    }
    if let Some(window) = kept.cut(from, to) {
        return Ok(kept.period(window, from));
    }
    let need = kept.lacking(from, to);
    let fitting =
        tables(need).filter(|table| from.is_multiple_of(table.slot) && to.is_multiple_of(table.slot));
    let Some(table) = fitting.min_by_key(|table| kept.from(table)) else {
        let shortest = tables(need).map(|table| table.slot).min().unwrap_or(MINUTE);
        return Err(PeriodError::Slots { minutes: shortest / 60 });
    };
    let begins = kept.from(table);
    let fits_more = tables(need).filter(|other| kept.from(other) < begins).min_by_key(|other| other.slot);
    let advice = fits_more
        .map(|other| format!("; ends on whole {} minutes reach back further", other.slot / 60))
        .unwrap_or_default();
    Err(PeriodError::Gone { to, table: table.name, begins, advice })
}

/// Seconds of `30m`, `24h`, `7d`.
pub(super) fn duration(text: &str) -> Result<u32> {
    let wrong = || PeriodError::Duration(text.chars().take(40).collect());
    let units = [('m', 60), ('h', 3600), ('d', 86_400)];
    let found = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)));
    let (number, seconds) = found.ok_or_else(wrong)?;
    let number: u32 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests;
