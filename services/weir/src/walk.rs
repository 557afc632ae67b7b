//! Reading one partition in order, from one offset to another that is fixed before.
//!
//! What must stay true: nothing at or behind the end is given, however fast the log grows meanwhile, because what is done with a record may be
//! what makes it grow; and an error of whoever takes the records ends the reading at once, because a command that is told to end must not
//! read a log of many gigabytes first.

use anyhow::Result;
use std::ops::{ControlFlow, Range};
use std::time::Duration;
use weir_bus::{Reader, Record};

/// How long a log that says nothing may have more. A bus that is slower than that is read as far as it goes.
const SILENCE: Duration = Duration::from_millis(100);
/// So few offsets are read to the end of the log at once: on Kafka each transaction ends with one that no record has.
const FEW: i64 = 1000;

/// Gives the committed records of `range`, the end not included. Gaps are passed over: whoever has to know of them looks at the offsets.
///
/// # Errors
/// The first error of `take`, or what the bus answers.
pub fn walk<R: Reader>(
    reader: &mut R,
    topic: &str,
    partition: i32,
    range: Range<i64>,
    take: &mut dyn FnMut(&Record<'_>) -> Result<()>,
) -> Result<()> {
    let mut failed = None;
    go(reader, topic, partition, range, &mut |record| match take(record) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            failed = Some(error);
            ControlFlow::Break(())
        }
    })?;
    failed.map_or(Ok(()), Err)
}

/// Whether no committed record lies in `range`.
///
/// # Errors
/// What the bus answers.
pub fn is_empty<R: Reader>(reader: &mut R, topic: &str, partition: i32, range: Range<i64>) -> Result<bool> {
    let mut empty = true;
    go(reader, topic, partition, range, &mut |_| {
        empty = false;
        ControlFlow::Break(())
    })?;
    Ok(empty)
}

fn go<R: Reader>(
    reader: &mut R,
    topic: &str,
    partition: i32,
    range: Range<i64>,
    take: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let mut next = range.start;
    let mut over = next >= range.end;
    // A tail says what has come and can be left at any record.
    if !over && reader.bounds(topic, partition)?.1 - next > FEW {
        reader.tail(topic, &[(partition, next)])?;
        let tailed = loop {
            match reader.poll_tail(SILENCE) {
                Ok(Some(record)) => {
                    next = record.offset() + 1;
                    over = record.offset() >= range.end || take(&record).is_break() || next >= range.end;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
            if over {
                break Ok(());
            }
        };
        // What is followed no longer costs nothing.
        reader.tail(topic, &[])?;
        tailed?;
    }
    if !over {
        // Where nothing comes any more the rest has no records, or the bus is slow: whoever reads to an end knows.
        reader.read_on(topic, &[(partition, next)], &mut |record| {
            over = over || record.offset() >= range.end || take(record).is_break();
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;
    use weir_bus::{
        Bus, Committed, Config, EmbeddedBus, Message, Restored, TopicSpec, Writer, embedded::EmbeddedReader,
    };

    fn with_records(count: i64, act: impl FnOnce(&EmbeddedBus, &str)) {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.embedded.path = folder.path().join("bus");
        let bus = EmbeddedBus::open(config.clone()).unwrap();
        for spec in TopicSpec::all(&config, bus.partitions()) {
            bus.create(&spec).unwrap();
        }
        append(&bus, count);
        let topic = bus.topics().raw;
        act(&bus, &topic);
    }

    fn append(bus: &EmbeddedBus, count: i64) {
        let (mut writer, topic) = (bus.writer(1 << 20).unwrap(), bus.topics().raw);
        let message = Message { topic: &topic, partition: 0, key: &[1], value: Some(&[2]), headers: &[] };
        (0..count).for_each(|_| writer.try_send(&message, 1).unwrap().unwrap());
        assert!(writer.flush(Duration::from_secs(10)));
    }

    #[test]
    fn a_reader_that_makes_its_log_grow_comes_to_the_end_that_was_there_before() {
        for count in [5, FEW + 5] {
            with_records(count, |bus, topic| {
                let (mut reader, mut seen) = (bus.reader().unwrap(), Vec::new());
                let range = 1..reader.bounds(topic, 0).unwrap().1;
                let mut take = |record: &Record<'_>| {
                    if seen.len() < 20 {
                        append(bus, 1);
                    }
                    seen.push(record.offset());
                    Ok(())
                };
                walk(&mut reader, topic, 0, range, &mut take).unwrap();
                assert_eq!(seen, (1..count).collect::<Vec<_>>());
            });
        }
    }

    #[test]
    fn an_error_ends_the_reading_at_once_and_the_next_begins_anew() {
        with_records(FEW + 5, |bus, topic| {
            let mut reader = Counting { reader: bus.reader().unwrap(), read: 0 };
            let error = walk(&mut reader, topic, 0, 0..FEW, &mut |_| bail!("enough")).unwrap_err();
            assert_eq!((reader.read, error.to_string().as_str()), (1, "enough"));
            let mut seen = 0;
            let mut take = |_: &Record<'_>| {
                seen += 1;
                Ok(())
            };
            walk(&mut reader, topic, 0, 0..FEW + 9, &mut take).unwrap();
            assert_eq!(seen, FEW + 5, "an end behind that of the log waits for nothing");
        });
    }

    #[test]
    fn what_has_no_record_is_empty() {
        with_records(5, |bus, topic| {
            let mut reader = bus.reader().unwrap();
            for (range, empty) in [(0..5, false), (4..9, false), (5..9, true), (3..3, true)] {
                assert_eq!(is_empty(&mut reader, topic, 0, range.clone()).unwrap(), empty, "{range:?}");
            }
        });
    }

    /// Counts what it gives.
    struct Counting {
        reader: EmbeddedReader,
        read: u64,
    }

    impl Reader for Counting {
        fn restore(
            &mut self,
            topic: &str,
            partitions: &[i32],
            each: &mut dyn FnMut(&Record<'_>),
        ) -> weir_bus::Result<Vec<Restored>> {
            self.reader.restore(topic, partitions, each)
        }

        fn read_on(
            &mut self,
            topic: &str,
            from: &[(i32, i64)],
            each: &mut dyn FnMut(&Record<'_>),
        ) -> weir_bus::Result<Vec<Restored>> {
            let Self { reader, read } = self;
            reader.read_on(topic, from, &mut |record| {
                *read += 1;
                each(record);
            })
        }

        fn tail(&mut self, topic: &str, from: &[(i32, i64)]) -> weir_bus::Result<()> {
            self.reader.tail(topic, from)
        }

        fn poll_tail(&mut self, timeout: Duration) -> weir_bus::Result<Option<Record<'_>>> {
            self.read += 1;
            self.reader.poll_tail(timeout)
        }

        fn bounds(&mut self, topic: &str, partition: i32) -> weir_bus::Result<(i64, i64)> {
            self.reader.bounds(topic, partition)
        }

        fn committed(
            &mut self,
            group: &str,
            topic: &str,
            partitions: &[i32],
        ) -> weir_bus::Result<Vec<(i32, Option<Committed>)>> {
            self.reader.committed(group, topic, partitions)
        }
    }
}
