//! A batch: messages of one partition, turned into the rows of every table.
//!
//! No I/O. The same messages always make the same batch, rows and tokens, whichever process reads them, and that is what makes a
//! retry after a crash safe (docs/exactly-once.md, rules 7 to 9).

use crate::plan::{FORMAT, Plan};
use crate::rollup::{Part, Rollup};
use bytes::Bytes;
use weir_schemas::avro::{AvroError, FINGERPRINT_HEADER, fingerprint, read_batch};
use weir_schemas::rollup::{FLOWS, Table};
use weir_store::SETTINGS_VERSION;

/// Rows of a rollup table at which a batch is full. One more message of long flows can add a million.
const MAX_ROLLUP_ROWS: usize = 400_000;

/// Rows of a piece, more or less: half of what a block holds.
const PIECE_ROWS: usize = weir_store::MAX_INSERT_ROWS / 2;

/// Bytes that rollups keep from one batch to the next.
const KEPT_BYTES: usize = 8 << 20;

/// A batch that fills.
#[derive(Debug, Default)]
pub struct Batch {
    first: Option<i64>,
    last: i64,
    records: u64,
    checksum: crc32fast::Hasher,
    flows: u64,
    rows: Vec<u8>,
    rollup: Rollup,
    /// What the flows of a message add to the rollup, while it is being read.
    parts: Vec<Part>,
    oldest: Option<i64>,
    /// Offsets before it that are lost.
    pub lost: u64,
}

/// A batch that is ready to insert.
#[derive(Clone, Debug)]
pub struct Ready {
    /// What is committed before.
    pub plan: Plan,
    /// Its inserts in their order; a batch without flows has none.
    pub pieces: Vec<Piece>,
    /// Flows in it.
    pub flows: u64,
    /// Receive time of its oldest datagram, ns.
    pub oldest: Option<i64>,
    /// Offsets of it and before it that are lost: those of its plan, and of its own what is not there any more.
    pub lost: u64,
}

/// One insert. A table has several only where a rollup got too wide for one block.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Where the rows go.
    pub table: &'static Table,
    /// Which of the table's pieces it is.
    pub number: usize,
    /// The rows.
    pub rows: Bytes,
}

impl Batch {
    /// Adds a message. One that can't be read adds nothing but its place: it is for the dead letters.
    pub fn add(
        &mut self,
        offset: i64,
        fingerprint_header: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), AvroError> {
        self.first.get_or_insert(offset);
        self.last = offset;
        self.records += 1;
        self.checksum.update(&offset.to_be_bytes());
        self.checksum.update(value);
        let before = self.rows.len();
        let read = check_schema(fingerprint_header).and_then(|()| self.put_rows(value));
        match read {
            Ok((flows, oldest)) => {
                self.flows += flows;
                self.oldest = self.oldest.into_iter().chain(oldest).min();
                self.rollup.add_parts(&self.parts);
            }
            Err(_) => self.rows.truncate(before),
        }
        self.parts.clear();
        read.map(|_| ())
    }

    /// Reads a message whole before anything of it is summed: half a message must not reach the rollups. Gives how many flows it has,
    /// and the receive time of the oldest.
    fn put_rows(&mut self, value: &[u8]) -> Result<(u64, Option<i64>), AvroError> {
        let (batch, flows) = read_batch(value)?;
        let (mut count, mut oldest) = (0, None);
        for flow in flows {
            let flow = flow?;
            batch.put_row(&mut self.rows);
            flow.put_row(&mut self.rows);
            self.parts.extend(self.rollup.part(batch.exporter, &flow));
            oldest = oldest.into_iter().chain([flow.received.0]).min();
            count += 1;
        }
        Ok((count, oldest))
    }

    /// True where nothing was added.
    pub fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Offset of the last message added.
    pub fn last(&self) -> Option<i64> {
        self.first.map(|_| self.last)
    }

    /// Flows so far.
    pub fn flows(&self) -> u64 {
        self.flows
    }

    /// About how many bytes its rows take. Room that was kept from the last batch is none of them: a batch would be full, or reading wait,
    /// for what is not there.
    pub fn bytes(&self) -> usize {
        self.rows.len() + self.rollup.bytes()
    }

    /// True where a rollup is so large that the batch must be inserted.
    pub fn is_wide(&self) -> bool {
        self.rollup.rows() >= MAX_ROLLUP_ROWS
    }

    /// Ends it: plan and rows; `None` where nothing was added. `planned`: the pieces of the plan that it repeats, which it is cut into however
    /// little of it is left. The next one begins in the room that this one needed.
    pub fn finish(&mut self, planned: Option<u32>) -> Option<Ready> {
        let Self { first, last, records, checksum, flows, rows, rollup, parts, oldest, lost } =
            std::mem::take(self);
        let wide = || u32::try_from(rollup.rows().div_ceil(PIECE_ROWS)).unwrap_or(u32::MAX);
        let cut = planned.unwrap_or_else(wide).max(1);
        let plan = Plan {
            format: FORMAT,
            settings: SETTINGS_VERSION,
            first: first?,
            last,
            records,
            checksum: checksum.finalize(),
            pieces: cut,
            lost,
        };
        (self.rollup, self.parts) = (rollup, parts);
        // The next batch is about as large: growing would copy it again and again.
        self.rows.reserve_exact(rows.len() + rows.len() / 8);
        let mut pieces = Vec::new();
        if flows > 0 {
            pieces.push(Piece { table: &FLOWS, number: 0, rows: Bytes::from(rows) });
            for (table, rows) in self.rollup.drain(cut as usize) {
                let numbered = rows.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty());
                pieces.extend(numbered.map(|(number, rows)| Piece {
                    table,
                    number,
                    rows: Bytes::from(rows),
                }));
            }
        }
        // Messages that could not be read have left what they named.
        if flows == 0 || self.rollup.room() > KEPT_BYTES {
            self.rollup = Rollup::default();
        }
        Some(Ready { plan, pieces, flows, oldest, lost })
    }
}

fn check_schema(header: Option<&[u8]>) -> Result<(), AvroError> {
    match header.and_then(|bytes| <[u8; 8]>::try_from(bytes).ok()).map(u64::from_le_bytes) {
        Some(written) if written != fingerprint() => Err(AvroError::UnknownSchema(written)),
        Some(_) => Ok(()),
        // Without a header it must be a registry's schema, which is ours under another number.
        None => Ok(()),
    }
}

impl Ready {
    /// Bytes of its rows.
    pub fn bytes(&self) -> usize {
        self.pieces.iter().map(|piece| piece.rows.len()).sum()
    }
}

/// Token of a batch's insert: topic, its incarnation, partition, range, table, piece (rule 8).
pub fn token(topic: &str, incarnation: &str, partition: i32, plan: &Plan, piece: &Piece) -> String {
    let Piece { table, number, .. } = piece;
    format!("{topic}/{incarnation}/{partition}/{}-{}/{}/{number}", plan.first, plan.last, table.name)
}

/// Name of the header that says which schema wrote a message.
pub const SCHEMA_HEADER: &str = FINGERPRINT_HEADER;

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schemas::avro::BatchWriter;
    use weir_schemas::{Flow, Ip, Time};

    fn message(n: u32) -> Vec<u8> {
        let mut writer = BatchWriter::default();
        for i in 0..n {
            let received = Time(1_800_000_000_000_000_000 + i64::from(i));
            writer.push(&Flow {
                src_as: i,
                bytes: Some(100),
                packets: 1,
                received,
                spread_start: received,
                spread_end: received,
                ..Flow::default()
            });
        }
        let mut out = Vec::new();
        writer.finish(
            &weir_schemas::Batch { exporter: Ip::v4([127, 0, 0, 1]), ..Default::default() },
            0,
            &mut out,
        );
        out
    }

    fn rows(ready: &Ready) -> Vec<(&str, usize, &Bytes)> {
        ready.pieces.iter().map(|piece| (piece.table.name, piece.number, &piece.rows)).collect()
    }

    #[test]
    fn the_same_messages_make_the_same_batch() {
        let make = || {
            let mut batch = Batch::default();
            for (offset, n) in [(5, 3), (6, 2), (9, 4)] {
                batch.add(offset, None, &message(n)).unwrap();
            }
            batch.finish(None).unwrap()
        };
        let (a, b) = (make(), make());
        assert_eq!(a.plan, b.plan);
        assert_eq!((a.plan.first, a.plan.last, a.plan.records, a.flows), (5, 9, 3, 9));
        assert_eq!(a.pieces.len(), 1 + weir_schemas::rollup::ROLLUPS.len());
        assert_eq!(rows(&a), rows(&b));
    }

    #[test]
    fn another_record_or_another_byte_is_another_checksum() {
        let plan = |messages: &[(i64, &[u8])]| {
            let mut batch = Batch::default();
            messages.iter().for_each(|(offset, value)| {
                let _ = batch.add(*offset, None, value);
            });
            batch.finish(None).unwrap().plan
        };
        let (a, b) = (message(3), message(4));
        assert_ne!(plan(&[(1, &a)]).checksum, plan(&[(1, &b)]).checksum);
        assert_ne!(plan(&[(1, &a)]).checksum, plan(&[(2, &a)]).checksum);
        assert_eq!(plan(&[(1, &a), (2, &b)]), plan(&[(1, &a), (2, &b)]));
    }

    #[test]
    fn an_unreadable_message_leaves_no_half_rows_and_keeps_its_place_in_the_plan() {
        let mut batch = Batch::default();
        batch.add(1, None, &message(2)).unwrap();
        let whole = message(3);
        assert!(batch.add(2, None, &whole[..whole.len() - 40]).is_err());
        assert!(batch.add(3, Some(&7u64.to_le_bytes()), &whole).is_err());
        batch.add(4, Some(&fingerprint().to_le_bytes()), &message(1)).unwrap();
        let ready = batch.finish(None).unwrap();
        assert_eq!((ready.flows, ready.plan.records, ready.plan.last), (3, 4, 4));
        let mut clean = Batch::default();
        clean.add(1, None, &message(2)).unwrap();
        clean.add(4, None, &message(1)).unwrap();
        assert_eq!(rows(&clean.finish(None).unwrap()), rows(&ready));
    }

    /// What a batch makes of 5000 flows over 121 minutes on two sides, from the message `from` on.
    fn wide(from: usize, planned: Option<u32>) -> Ready {
        let (mut writer, mut out, mut messages) = (BatchWriter::default(), Vec::new(), Vec::new());
        let end = 1_800_000_000_000_000_000;
        for n in 0..5000 {
            writer.push(&Flow {
                src_as: n,
                dst_as: n,
                bytes: Some(1_000_000),
                packets: 1000,
                received: Time(end),
                spread_start: Time(end - 7_200_000_000_000),
                spread_end: Time(end),
                ..Flow::default()
            });
            if n % 100 == 99 {
                writer.finish(&weir_schemas::Batch::default(), 0, &mut out);
                messages.push(out.clone());
            }
        }
        let mut batch = Batch::default();
        for (offset, message) in (0..).zip(&messages).skip(from) {
            batch.add(offset, None, message).unwrap();
        }
        batch.finish(planned).unwrap()
    }

    fn links(ready: &Ready) -> Vec<(usize, &Bytes)> {
        let links = ready.pieces.iter().filter(|piece| piece.table.name == "links_1m");
        links.map(|piece| (piece.number, &piece.rows)).collect()
    }

    #[test]
    fn a_rollup_that_is_wider_than_a_block_goes_in_several_inserts_with_tokens_of_their_own() {
        let ready = wide(0, None);
        let tokens: std::collections::HashSet<_> =
            ready.pieces.iter().map(|piece| token("t", "A", 0, &ready.plan, piece)).collect();
        assert_eq!((tokens.len(), ready.plan.pieces), (ready.pieces.len(), 3));
        let links = links(&ready);
        assert_eq!(links.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2]);
        // Each row of the same length.
        let row = links.iter().map(|(_, rows)| rows.len()).sum::<usize>() / (5000 * 121 * 2);
        assert!(links.iter().all(|(_, rows)| rows.len() <= PIECE_ROWS * row));
    }

    #[test]
    fn what_is_left_of_a_wide_batch_lies_in_the_pieces_in_which_it_was_planned() {
        let whole = wide(0, None);
        // So little that it would be one piece by itself.
        let rest = wide(whole.plan.records as usize - 1, Some(whole.plan.pieces));
        let (whole, rest) = (links(&whole), links(&rest));
        let row = whole.iter().map(|(_, rows)| rows.len()).sum::<usize>() / (5000 * 121 * 2);
        assert_eq!(rest.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 1, 2]);
        for ((number, whole), (_, rest)) in whole.into_iter().zip(rest) {
            let whole: std::collections::HashSet<_> = whole.chunks(row).collect();
            assert!(rest.chunks(row).all(|row| whole.contains(row)), "{number}");
        }
    }

    #[test]
    fn tokens_differ_by_topic_incarnation_partition_range_table_and_piece() {
        let plan = |first, last| Plan {
            format: 1,
            settings: 1,
            first,
            last,
            records: 1,
            checksum: 0,
            pieces: 1,
            lost: 0,
        };
        let piece = |table, number| Piece { table, number, rows: Bytes::new() };
        let (flows, rollup) = (piece(&FLOWS, 0), piece(&weir_schemas::rollup::ROLLUPS[0], 0));
        let tokens = [
            token("t", "A", 0, &plan(0, 1), &flows),
            token("u", "A", 0, &plan(0, 1), &flows),
            token("t", "B", 0, &plan(0, 1), &flows),
            token("t", "A", 1, &plan(0, 1), &flows),
            token("t", "A", 0, &plan(1, 1), &flows),
            token("t", "A", 0, &plan(0, 2), &flows),
            token("t", "A", 0, &plan(0, 1), &rollup),
            token("t", "A", 0, &plan(0, 1), &piece(&FLOWS, 1)),
        ];
        let distinct: std::collections::HashSet<_> = tokens.iter().collect();
        assert_eq!(distinct.len(), tokens.len());
    }
}
