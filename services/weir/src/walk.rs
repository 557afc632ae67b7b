//! Reading one partition in order, from one offset to another, for commands that may fail at any record.
//!
//! What must stay true: an error of whoever takes the records ends the reading at once, because a command that is told to end must not read a
//! log of many gigabytes first.

use anyhow::Result;
use std::ops::{ControlFlow, Range};
use weir_bus::{Reader, Record};

/// Gives the committed records of `range`, as [`Reader::read_on`].
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
    let mut failed = Ok(());
    reader.read_on(topic, partition, range, &mut |record| match take(record) {
        Ok(()) => ControlFlow::Continue(()),
        error => {
            failed = error;
            ControlFlow::Break(())
        }
    })?;
    failed
}

/// Whether no committed record lies in `range`.
///
/// # Errors
/// What the bus answers.
pub fn is_empty<R: Reader>(reader: &mut R, topic: &str, partition: i32, range: Range<i64>) -> Result<bool> {
    let mut empty = true;
    reader.read_on(topic, partition, range, &mut |_| {
        empty = false;
        ControlFlow::Break(())
    })?;
    Ok(empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;
    use std::time::Duration;
    use weir_bus::{Bus, Config, EmbeddedBus, Message, TopicSpec, Writer};

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
    fn an_error_ends_the_reading_at_once_and_the_next_begins_anew() {
        with_records(50, |bus, topic| {
            let (mut reader, mut seen) = (bus.reader().unwrap(), Vec::new());
            let error = walk(&mut reader, topic, 0, 0..50, &mut |record| {
                seen.push(record.offset());
                bail!("enough")
            });
            assert_eq!((seen.as_slice(), error.unwrap_err().to_string().as_str()), (&[0][..], "enough"));
            walk(&mut reader, topic, 0, 1..50, &mut |record| {
                seen.push(record.offset());
                Ok(())
            })
            .unwrap();
            assert_eq!(seen, (0..50).collect::<Vec<_>>());
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
}
