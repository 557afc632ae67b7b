//! The top rows, and the sums of them and of everything.
//!
//! Rows may be negative: what a window was decoded to wrongly is taken back by rows of its own, and keys of which nothing is left are no rows of the
//! answer.

use super::changes::Changes;
use super::field::{Dimension, EXPORTER, column};
use super::measures::{ALL_PARTS, APART, PARTS, THOUSANDTHS};
use super::period::Window;
use super::read::Body;
use super::reading::Gone;
use super::slots::Slot;
use super::sql::{Of, Statement, keys};
use super::taken::Taken;
use super::{Question, Scope};

/// What is left of a key that was taken back is nothing. A flow counts where it ends, and has bytes and packets before, too.
const SOMETHING: &str = "sum(s.flows) != 0 OR sum(s.packets) != 0 OR sum(s.bytes) != 0";

/// Whether it is of the time that is asked about, and not of the one before.
const NOW: Slot = Slot { name: "now", sql: "t.time >= toDateTime({from:UInt32}, 'UTC')" };

/// A time, and the one before it where that is asked about as well.
#[derive(Clone, Copy)]
pub struct Times {
    /// It.
    pub now: Window,
    /// The one before.
    pub before: Option<Window>,
}

impl Times {
    fn all(&self) -> Vec<Window> {
        self.before.into_iter().chain([self.now]).collect()
    }
}

/// What all of a question's statements have in common.
pub struct Query<'q> {
    pub(super) database: &'q str,
    pub(super) question: &'q Question,
    pub(super) changes: &'q Changes,
    pub(super) taken: Taken,
}

impl<'q> Query<'q> {
    /// Of a question to this database.
    pub fn of(database: &'q str, question: &'q Question, changes: &'q Changes) -> Self {
        Self { database, question, changes, taken: Taken::of(question) }
    }

    /// Keys and ASes of the top rows. Their sums are asked for when they are known, for to rank all there are takes but one; or with it, where it would
    /// take longer to find so many again.
    pub fn top(&self, window: &Window, sums: bool) -> Result<Statement, Gone> {
        let by = &self.question.by;
        let named = |(n, by): (usize, &Dimension)| format!("{} AS key{n}", by.sql());
        let of = by.iter().enumerate().map(named).collect::<Vec<_>>().join(", ");
        let keys = (0..by.len()).map(|n| format!("key{n}")).collect::<Vec<_>>().join(", ");
        let counts = format!("IN ({})", self.question.order.directions());
        // Numbers are told apart as soon as rows are summed up by them; what people read is made of sums.
        let fine = !sums && by.iter().all(|by| by.is_as());
        let body = Body { slots: if sums { &[NOW] } else { &[] }, fine, ..Body::default() };
        let rest =
            format!("GROUP BY {keys} HAVING something ORDER BY ranked DESC, {keys} LIMIT {{top:UInt32}}");
        let (top, said) = if sums {
            let parts = self.statement(
                &[*window],
                &[],
                &format!("{of}, {PARTS}"),
                &body,
                &format!("GROUP BY {keys}, {APART}"),
            )?;
            let ranked = format!(
                "sumIf(s.bytes * toInt128(s.rate), s.direction {counts}) AS ranked, ({SOMETHING}) AS something"
            );
            (
                parts.wrapped(
                    &format!("SELECT {keys}, {ranked}, {ALL_PARTS} AS said"),
                    &format!("AS s {rest}"),
                ),
                ", said",
            )
        } else {
            let ranked =
                format!("sumIf({THOUSANDTHS}, s.direction {counts}) AS ranked, ({SOMETHING}) AS something");
            (self.statement(&[*window], &[], &format!("{of}, {ranked}"), &body, &rest)?, "")
        };
        let asn = by.iter().position(|by| *by == Dimension::As);
        let asn = asn.map_or("0".to_owned(), |n| format!("key{n}"));
        let texts = (0..by.len()).map(|n| format!("toString(key{n})")).collect::<Vec<_>>().join(", ");
        let select = format!("SELECT [{texts}] AS keys, toUInt32({asn}) AS asn{said}");
        let order = format!("ORDER BY ranked DESC, {keys}");
        Ok(top.wrapped(&select, &order).with("top", self.question.top))
    }

    /// All sums of these rows, as [`Part`](super::measures::Part)s.
    pub fn sums(&self, times: &Times, of: Of<'_>) -> Result<Statement, Gone> {
        let select = format!("{} AS row, {PARTS}", self.row(of));
        let body = Body { slots: &[NOW], ases: of.ases(), ..Body::default() };
        let rest = format!("GROUP BY row, {APART}");
        let parts = of.bound(self.statement(&times.all(), &[], &select, &body, &rest)?);
        let rest = format!("{} GROUP BY row", self.these());
        Ok(parts.wrapped(&format!("SELECT row, {ALL_PARTS} AS said"), &rest))
    }

    /// All sums of everything, and beside those that count the ones that don't, by exporter and where they were observed; so are those without a
    /// rate.
    pub fn total(&self, times: &Times) -> Result<Statement, Gone> {
        let named = |value: &str| format!("if(s.counts = 1 AND rate > 0, '', {value})");
        let (exporter, observation) = (named(EXPORTER), named("toString(s.observation)"));
        let select = format!(
            "toBool(s.counts) AS counts, {exporter} AS exporter, {observation} AS observation, {PARTS}"
        );
        let body = Body { all: true, slots: &[NOW], ..Body::default() };
        let rest = format!("GROUP BY counts, exporter, observation, {APART}");
        let parts = self.statement(&times.all(), &[], &select, &body, &rest)?;
        Ok(parts.wrapped(
            &format!("SELECT counts, exporter, observation, {ALL_PARTS} AS said"),
            "GROUP BY counts, exporter, observation",
        ))
    }

    /// Whether something picks sides of flows. Else every flow has both, and one of them stands for it.
    pub fn picks_sides(&self) -> bool {
        let mut tests = self.question.filter.iter().flat_map(|filter| filter.tests());
        self.question.scope == Scope::Boundary
            || tests.any(|test| column(test.field).is_none_or(|column| column.of_side))
    }

    /// Whether rows are named by their ASes alone; else by their places, from 1 on.
    pub fn named_by_as(&self) -> bool {
        self.question.by == [Dimension::As]
    }

    /// Which of the rows are meant, where others were read as well.
    pub(super) fn these(&self) -> &'static str {
        if self.named_by_as() { "" } else { "WHERE row > 0" }
    }

    pub(super) fn row(&self, of: Of<'_>) -> String {
        match of {
            Of::Total => "toUInt64(1)".to_owned(),
            Of::Rows(..) if self.named_by_as() => "toUInt64(s.asn)".to_owned(),
            Of::Rows(..) => format!("indexOf({{rows:Array(Array(String))}}, [{}])", keys(&self.question.by)),
        }
    }
}
