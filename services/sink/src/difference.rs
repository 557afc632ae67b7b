//! What a correction adds to the rollups: the rows that flows should have made, less those that they have made.
//!
//! Rows of rollups are added up, so a correction is rows like any others, and commutes with what is inserted meanwhile. It is made of what
//! [`Rollup::finish`] gives for both, read by the table of columns, so that no code but the sink's own says what a flow adds where.
//! No I/O; the same flows always make the same rows, in any order.

use crate::rollup::Rollup;
use ahash::AHashMap;
use weir_schemas::from_row::{RowError, RowReader};
use weir_schemas::rollup::{InterfaceSumRow, LinkRow, PairRow, PrefixRow, Shape, Table};

/// Bytes of each measure at the end of a row.
fn widths(table: &Table) -> Vec<usize> {
    table.measures().map(|column| if (column.clickhouse)() == "Int128" { 16 } else { 8 }).collect()
}

/// A measure of `width` bytes, little-endian.
fn measure(bytes: &[u8]) -> i128 {
    let sign = if bytes.last().is_some_and(|b| b & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().rev().fold(sign, |n, b| n << 8 | i128::from(*b))
}

/// Moves to the end of a row.
fn skip(table: &Table, input: &mut RowReader<'_>) -> Result<(), RowError> {
    match table.shape {
        Shape::Interfaces => InterfaceSumRow::get_row(input).map(drop),
        Shape::Pairs => PairRow::get_row(input).map(drop),
        Shape::Prefixes => PrefixRow::get_row(input).map(drop),
        _ => LinkRow::get_row(input).map(drop),
    }
}

type Sums<'a> = AHashMap<&'a [u8], Vec<i128>>;

/// Adds rows to sums by key, `sign` times.
fn add<'a>(
    sums: &mut Sums<'a>,
    table: &Table,
    widths: &[usize],
    rows: &'a [u8],
    sign: i128,
) -> Result<(), RowError> {
    let measures: usize = widths.iter().sum();
    let mut input = RowReader::new(rows);
    while !input.is_empty() {
        let begin = input.position();
        skip(table, &mut input)?;
        let end = input.position();
        let (key, mut rest) = rows[begin..end].split_at(end - begin - measures);
        let sums = sums.entry(key).or_insert_with(|| vec![0; widths.len()]);
        for (sum, width) in sums.iter_mut().zip(widths) {
            let (bytes, behind) = rest.split_at(*width);
            *sum = sum.saturating_add(sign * measure(bytes));
            rest = behind;
        }
    }
    Ok(())
}

/// Rows of a table in RowBinary, in the pieces in which they are inserted.
pub type Pieces = (&'static Table, Vec<Vec<u8>>);

/// Rows that turn sums of `old` into sums of `new`, by table, in pieces of at most `piece` rows. What is the same in both is
/// in none.
///
/// # Errors
/// Where the sink's own rows are not what the table of columns says: a defect.
pub fn difference(new: Rollup, old: Rollup, piece: usize) -> Result<Vec<Pieces>, RowError> {
    let (new, old) = (new.finish(1), old.finish(1));
    new.iter()
        .zip(&old)
        .map(|((table, new), (_, old))| {
            let (mut sums, widths) = (Sums::default(), widths(table));
            new.iter().try_for_each(|rows| add(&mut sums, table, &widths, rows, 1))?;
            old.iter().try_for_each(|rows| add(&mut sums, table, &widths, rows, -1))?;
            let mut rows: Vec<_> =
                sums.into_iter().filter(|(_, sums)| sums.iter().any(|sum| *sum != 0)).collect();
            rows.sort_unstable();
            let put = |rows: &[(&[u8], Vec<i128>)]| {
                let mut out = Vec::new();
                for (key, sums) in rows {
                    out.extend_from_slice(key);
                    for (sum, width) in sums.iter().zip(&widths) {
                        out.extend_from_slice(&sum.to_le_bytes()[..*width]);
                    }
                }
                out
            };
            Ok((*table, rows.chunks(piece).map(put).collect()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use weir_schemas::rollup::ROLLUPS;
    use weir_schemas::value::{MAX_COUNT, MAX_Q};
    use weir_schemas::{Country, Flow, Ip, Time};

    const MINUTE: i64 = 60_000_000_000;

    fn flow(asn: u32, bytes: u64) -> Flow<'static> {
        Flow {
            spread_start: Time(MINUTE * 7),
            spread_end: Time(MINUTE * 9 + 5),
            family: 4,
            src_as: asn,
            src_country: Country::new(if asn == 1 { "DE" } else { "" }),
            bytes: Some(bytes),
            packets: bytes / 100,
            q: Some(u128::from(bytes)),
            ..Flow::default()
        }
    }

    fn rollup(flows: &[Flow<'_>]) -> Rollup {
        let mut rollup = Rollup::default();
        flows.iter().for_each(|flow| rollup.add(Ip::default(), flow));
        rollup
    }

    fn summed(rows: &[Pieces]) -> Vec<BTreeMap<Vec<u8>, Vec<i128>>> {
        let of = |(table, pieces): &Pieces| {
            let (mut sums, widths) = (Sums::default(), widths(table));
            pieces.iter().for_each(|rows| add(&mut sums, table, &widths, rows, 1).unwrap());
            let left = sums.into_iter().filter(|(_, sums)| sums.iter().any(|sum| *sum != 0));
            left.map(|(key, sums)| (key.to_vec(), sums)).collect()
        };
        rows.iter().map(of).collect()
    }

    #[test]
    fn what_is_the_same_needs_no_correction() {
        let flows = [flow(1, 1000), flow(2, 500)];
        for (table, pieces) in difference(rollup(&flows), rollup(&flows), 10).unwrap() {
            assert!(pieces.is_empty(), "{}", table.name);
        }
    }

    #[test]
    fn a_flow_that_changes_its_as_is_taken_from_the_one_and_given_to_the_other() {
        let corrected = difference(rollup(&[flow(2, 1000)]), rollup(&[flow(1, 1000)]), 10).unwrap();
        let (table, pieces) = &corrected[0];
        assert_eq!((table.name, pieces.len()), ("links_1m", 1));
        let mut input = RowReader::new(&pieces[0]);
        let mut seen = Vec::new();
        while !input.is_empty() {
            let row = LinkRow::get_row(&mut input).unwrap();
            seen.push((row.asn, row.bytes.signum(), row.flows));
        }
        seen.sort_unstable();
        // The side of the destination is what it was; the flow counts in its last minute.
        assert_eq!(seen, [(1, -1, -1), (1, -1, 0), (1, -1, 0), (2, 1, 0), (2, 1, 0), (2, 1, 1)]);
    }

    proptest! {
        #[test]
        fn the_old_with_its_correction_is_the_new(
            old in prop::collection::vec((0..4u32, 0..=MAX_COUNT >> 8, 0..=MAX_Q), 0..20),
            new in prop::collection::vec((0..4u32, 0..=MAX_COUNT >> 8, 0..=MAX_Q), 0..20),
            piece in 1..9usize,
        ) {
            let flows = |all: &[(u32, u64, u128)]| {
                all.iter().map(|(asn, bytes, q)| Flow { q: Some(*q), ..flow(*asn, *bytes) }).collect::<Vec<_>>()
            };
            let (old, new) = (flows(&old), flows(&new));
            let corrected = difference(rollup(&new), rollup(&old), piece).unwrap();
            prop_assert_eq!(corrected.len(), ROLLUPS.len());
            let whole = rollup(&old).finish(1);
            let together: Vec<_> = whole
                .into_iter()
                .zip(corrected)
                .map(|((table, mut rows), (_, more))| {
                    rows.extend(more);
                    (table, rows)
                })
                .collect();
            prop_assert_eq!(summed(&together), summed(&rollup(&new).finish(1)));
        }
    }
}
