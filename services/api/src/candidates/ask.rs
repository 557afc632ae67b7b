//! Asks ClickHouse what ASes cost on transit.

use super::{About, Candidate, Candidates, Met, OverTransit};
use crate::query::field::{Dimension, named};
use crate::query::slots::count;
use crate::query::sql::Of;
use crate::query::sums::Query;
use crate::query::{AskError, Detail, Once, Question, ROUGH, Row, Scope, answer, rows, top};
use serde::Deserialize;
use std::collections::BTreeMap;
use weir_filter::{Compare, Expr, Test, Value};
use weir_store::Store;

/// Links on which one AS is met, at most.
const LINKS: u32 = 20;

/// A row and a provider: with bytes of each percentile the samples that it rests on.
#[derive(Deserialize)]
struct Without {
    /// The AS.
    row: u32,
    provider: String,
    bytes_in: u64,
    bytes_out: u64,
    p95_in: (u64, u64),
    p95_out: (u64, u64),
    left_p95_in: (u64, u64),
    left_p95_out: (u64, u64),
}

fn test(field: &str, compare: Compare, values: Vec<Value>) -> Option<Expr> {
    named(field).map(|field| Expr::Test(Test { field, compare, values }))
}

fn both(filter: Option<Expr>, tests: impl IntoIterator<Item = Option<Expr>>) -> Option<Expr> {
    Some(Expr::All(filter.into_iter().chain(tests.into_iter().flatten()).collect()))
}

/// The same question, about transit. What is own or unknown is billed as all else is, and may be one of the rows: it is no AS to peer with.
fn over_transit(question: Question) -> Question {
    let transit = test("connectivity", Compare::Equal, vec![Value::Word("transit")]);
    Question { filter: both(question.filter, [transit]), top: question.top + 1, ..question }
}

/// Asks ClickHouse.
pub(crate) async fn ask(store: &Store, about: About) -> Result<Candidates, AskError> {
    let About { traffic: asked, transits } = about;
    let (question, transits) = (over_transit(asked.clone()), over_transit(transits));
    let window = question.detail.peaks.unwrap_or(question.period.window);
    let sums = Question { detail: Detail { peaks: None, ..question.detail.clone() }, ..question.clone() };
    let once = Once::of(store, &question);
    let (of_rows, of_all) = tokio::try_join!(once.changes(&question), once.changes(&transits))?;
    let mut over = answer(store, &sums, &of_rows).await?;
    over.rows.retain(|row| row.asn != Some(0));
    over.rows.truncate(asked.top as usize);
    let ases: Vec<u32> = over.rows.iter().filter_map(|row| row.asn).collect();
    let mut all = Candidates {
        from: over.from,
        to: over.to,
        stored_from: over.stored_from,
        seconds: over.seconds,
        slots: count(&window),
        tables: Vec::new(),
        previous_seconds: over.previous.as_ref().map_or(0, |before| before.to - before.from),
        candidates: Vec::new(),
        observation: over.observation,
        unknown_rate: std::mem::take(&mut over.unknown_rate),
        other_observation: std::mem::take(&mut over.other_observation),
    };
    if ases.is_empty() {
        return Ok(all);
    }
    let keys: Vec<_> = ases.iter().map(|asn| vec![asn.to_string()]).collect();
    let carried = Query::of(store.database(), &transits, &of_all);
    let query = Query::of(store.database(), &question, &of_rows);
    let without = query.without(&window, Of::Rows(&keys, &ases), &carried)?;
    all.tables.clone_from(&without.tables);
    let of_these = test("as", Compare::In, ases.iter().map(|asn| Value::Number(u64::from(*asn))).collect());
    let met = test("connectivity", Compare::In, vec![Value::Word("ix"), Value::Word("pni")]);
    let elsewhere = |by: &[Dimension], top, scope, tests: Vec<Option<Expr>>| Question {
        by: by.to_vec(),
        top,
        scope,
        filter: both(asked.filter.clone(), tests),
        detail: Detail::default(),
        ..question.clone()
    };
    let boundary = elsewhere(&[Dimension::As], question.top, Scope::Boundary, vec![of_these.clone()]);
    let by = [Dimension::As, Dimension::Link, Dimension::Connectivity];
    let met = elsewhere(&by, question.top * LINKS, Scope::All, vec![of_these, met]);
    let found = async |question: &Question| top(store, question, &once.changes(question).await?).await;
    let (without, boundary, met) =
        tokio::try_join!(rows::<Without>(store, without), found(&boundary), found(&met))?;
    all.candidates = candidates(over.rows, without, &boundary, met);
    Ok(all)
}

/// Puts together what was said of each AS.
fn candidates(rows: Vec<Row>, without: Vec<Without>, boundary: &[Row], met: Vec<Row>) -> Vec<Candidate> {
    let mut transits: BTreeMap<u32, Vec<OverTransit>> = BTreeMap::new();
    for one in without {
        transits.entry(one.row).or_default().push(one.into());
    }
    let sums: BTreeMap<_, _> =
        boundary.iter().map(|row| (row.asn, row.bytes_in.saturating_add(row.bytes_out))).collect();
    let mut links: BTreeMap<_, Vec<Met>> = BTreeMap::new();
    for Row { asn, keys, bytes_in, bytes_out, .. } in met {
        let Ok([_, link, connectivity]) = <[String; 3]>::try_from(keys) else { continue };
        links.entry(asn).or_default().push(Met { link, connectivity, bytes_in, bytes_out });
    }
    let candidate = |row: Row| {
        let transits = row.asn.and_then(|asn| transits.remove(&asn)).unwrap_or_default();
        Candidate {
            asn: row.asn.unwrap_or_default(),
            name: row.keys.into_iter().next().unwrap_or_default(),
            bytes_in: row.bytes_in,
            bytes_out: row.bytes_out,
            low_in: row.low_in,
            high_in: row.high_in,
            low_out: row.low_out,
            high_out: row.high_out,
            bytes_boundary: sums.get(&row.asn).copied().unwrap_or_default(),
            saved: transits.iter().map(|one| one.saved).fold(0, u64::saturating_add),
            transits,
            met: links.remove(&row.asn).unwrap_or_default(),
            previous: row.previous,
        }
    };
    let mut all: Vec<_> = rows.into_iter().map(candidate).collect();
    all.sort_by_key(|one| std::cmp::Reverse((one.saved, one.bytes_in.saturating_add(one.bytes_out))));
    all
}

impl From<Without> for OverTransit {
    fn from(of: Without) -> Self {
        // What is billed without the AS may be the other direction.
        let (billed, left) = (of.p95_in.max(of.p95_out), of.left_p95_in.max(of.left_p95_out));
        // What is not sampled is exact, and what is left may be nothing.
        let rough = |(_, samples): (u64, u64)| samples > 0 && samples < ROUGH;
        Self {
            provider: of.provider,
            bytes_in: of.bytes_in,
            bytes_out: of.bytes_out,
            p95_in: of.p95_in.0,
            p95_out: of.p95_out.0,
            left_p95_in: of.left_p95_in.0,
            left_p95_out: of.left_p95_out.0,
            saved: billed.0.saturating_sub(left.0),
            rough: rough(billed) || rough(left),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn without(row: u32, p95_in: u64, p95_out: u64, left_p95_in: u64, left_p95_out: u64) -> Without {
        let (provider, samples) = (format!("t{p95_in}"), 500);
        let [p95_in, p95_out, left_p95_in, left_p95_out] =
            [p95_in, p95_out, left_p95_in, left_p95_out].map(|bytes| (bytes, samples));
        Without { row, provider, bytes_in: 1, bytes_out: 1, p95_in, p95_out, left_p95_in, left_p95_out }
    }

    #[test]
    fn what_is_saved_is_of_the_direction_that_is_billed_before_and_after() {
        for (of, saved) in [
            // In is billed, with and without.
            (without(1, 100, 40, 70, 40), 30),
            // Without the AS out is billed: what it sends costs nothing more.
            (without(1, 100, 90, 10, 90), 10),
            // What it saves in the direction that is not billed, nobody pays for.
            (without(1, 100, 90, 100, 10), 0),
        ] {
            assert_eq!(OverTransit::from(of).saved, saved);
        }
        let exact = Without { p95_in: (9, 0), p95_out: (1, 0), ..without(1, 9, 1, 0, 0) };
        assert!(!OverTransit::from(exact).rough, "what is not sampled is exact");
        for few in [
            Without { p95_in: (9, 399), ..without(1, 9, 1, 5, 0) },
            // What is left without the AS is billed then, and rests on what is left of the samples.
            Without { left_p95_in: (5, 399), ..without(1, 9, 1, 5, 0) },
        ] {
            assert!(OverTransit::from(few).rough);
        }
        let not_billed = Without { p95_out: (1, 399), left_p95_out: (0, 399), ..without(1, 9, 1, 5, 0) };
        assert!(!OverTransit::from(not_billed).rough);
    }

    #[test]
    fn those_that_save_most_come_first_however_much_they_send() {
        let row = |asn, bytes_in| Row {
            asn: Some(asn),
            keys: vec![format!("AS{asn}")],
            bytes_in,
            ..Row::default()
        };
        let met = Row { keys: ["AS2", "LAN", "ix"].map(str::to_owned).into(), ..row(2, 3) };
        let boundary = [row(2, 103), row(1, 1000)];
        let saved = vec![without(1, 50, 0, 50, 0), without(2, 50, 0, 20, 0), without(2, 70, 0, 65, 0)];
        let all = candidates(vec![row(1, 1000), row(2, 100)], saved, &boundary, vec![met]);
        let shown: Vec<_> = all
            .iter()
            .map(|one| (one.asn, one.saved, one.bytes_boundary, one.transits.len(), one.met.len()))
            .collect();
        assert_eq!(shown, [(2, 35, 103, 2, 1), (1, 0, 1000, 1, 0)]);
        assert_eq!((all[0].met[0].link.as_str(), all[0].met[0].connectivity.as_str()), ("LAN", "ix"));
    }
}
