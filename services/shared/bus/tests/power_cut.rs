//! What a power cut takes from the embedded bus, and what it must not: an offset that was given out before it never stands for another
//! record, or two batches would have one insert token, and the second would be dropped for the first.
//!
//! There is no power to cut here. A process that is killed loses nothing, so the files are made what a cut would leave of them, and the bus
//! is opened on another start of the machine.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use weir_bus::{
    Bus, Cleanup, Compression, Config, EmbeddedBus, EmbeddedConfig, Event, Fsync, GroupConsumer, Message,
    Position, Reader, TopicSpec, Writer,
};

const DAY: Cleanup = Cleanup::Delete { retention_ms: 86_400_000 };
const LONG: Duration = Duration::from_secs(20);

fn open_with(path: &Path, boot: &str, fsync: Fsync) -> EmbeddedBus {
    let embedded = EmbeddedConfig {
        path: path.to_owned(),
        reserve_bytes: 1 << 20,
        segment_bytes: 1 << 20,
        raw_bytes: 2 << 20,
        fsync,
        ..EmbeddedConfig::default()
    };
    let config = Config { compression: Compression::None, embedded, ..Config::default() };
    EmbeddedBus::open_on(config, boot.to_owned()).unwrap()
}

fn open(path: &Path, boot: &str) -> EmbeddedBus {
    open_with(path, boot, Fsync::Interval)
}

fn topic(bus: &EmbeddedBus, name: &str, partitions: usize, cleanup: Cleanup) {
    assert!(bus.create(&TopicSpec::new(name, partitions, 1, cleanup)).unwrap());
}

/// Each value is a frame of its own, and its own key.
fn write(bus: &EmbeddedBus, topic: &str, partition: i32, values: &[&str]) {
    let mut writer = bus.writer(8 << 20).unwrap();
    for value in values {
        let (key, value) = (value.as_bytes(), Some(value.as_bytes()));
        writer.try_send(&Message { topic, partition, key, value, headers: &[] }, 1).unwrap().unwrap();
        assert!(writer.flush(LONG));
    }
}

/// Everything on a partition, by offset.
fn all(bus: &EmbeddedBus, topic: &str, partition: i32) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    let each = &mut |record: &weir_bus::Record<'_>| {
        found.push((record.offset(), String::from_utf8(record.value().unwrap().to_vec()).unwrap()));
    };
    bus.reader().unwrap().restore(topic, &[partition], each).unwrap();
    found
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// A member that has all of `count` partitions.
fn member(bus: &EmbeddedBus, topic: &str, count: usize) -> <EmbeddedBus as Bus>::Consumer {
    let mut consumer = bus.join("group", topic, "me").unwrap();
    match consumer.poll(LONG).unwrap() {
        Event::Assigned(partitions) => assert_eq!(partitions.len(), count),
        other => panic!("{other:?}"),
    }
    consumer
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The folder as it is, of a bus that is open: what a power cut leaves that takes nothing.
fn left(folder: &Path) -> TempDir {
    let left = TempDir::new().unwrap();
    copy(folder, left.path());
    left
}

/// The only log file.
fn file(folder: &Path) -> PathBuf {
    let topics = std::fs::read_dir(folder.join("logs")).unwrap().map(|entry| entry.unwrap().path());
    let mut files = topics.flat_map(|topic| std::fs::read_dir(topic).unwrap());
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}

/// Far more than was given out.
const LEAP: i64 = 100_000;

#[test]
fn no_offset_is_used_twice_though_a_power_cut_took_the_word_of_it_and_whatever_is_set_later() {
    for now in [Fsync::Interval, Fsync::Always, Fsync::Never] {
        let folder = TempDir::new().unwrap();
        {
            let bus = open(folder.path(), "before");
            topic(&bus, "bulk", 1, DAY);
            topic(&bus, "state", 1, Cleanup::Compact);
            for topic in ["bulk", "state"] {
                write(&bus, topic, 0, &["a", "b"]);
            }
            let safe = left(folder.path());
            for topic in ["bulk", "state"] {
                write(&bus, topic, 0, &["c", "d"]);
                assert_eq!(all(&bus, topic, 0).last().unwrap().0, 3, "given out");
            }
            drop(bus);
            // Of the index nothing is on the disk that came later; of the logs it is.
            std::fs::remove_dir_all(folder.path().join("index")).unwrap();
            copy(&safe.path().join("index"), &folder.path().join("index"));
        }
        let bus = open_with(folder.path(), "after", now);
        for topic in ["bulk", "state"] {
            write(&bus, topic, 0, &["e"]);
            let there = all(&bus, topic, 0);
            assert_eq!(there[..2], [(0, "a".to_owned()), (1, "b".to_owned())], "{now:?} {topic}");
            let [(offset, value)] = &there[2..] else { panic!("{now:?} {topic}: {there:?}") };
            assert!(*offset > LEAP && value == "e", "{now:?} {topic}: {there:?}");
        }
    }
}

#[test]
fn a_log_that_lost_its_end_in_a_power_cut_goes_on_and_no_offset_is_used_twice() {
    let folder = TempDir::new().unwrap();
    let bus = open(folder.path(), "before");
    topic(&bus, "bulk", 1, DAY);
    write(&bus, "bulk", 0, &["a", "b", "c"]);
    for (boot, leap) in [("before", 0), ("after", LEAP)] {
        let left = left(folder.path());
        let file = std::fs::OpenOptions::new().write(true).open(file(left.path())).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        let bus = open(left.path(), boot);
        write(&bus, "bulk", 0, &["d"]);
        let there = all(&bus, "bulk", 0);
        assert_eq!(there[..2], [(0, "a".to_owned()), (1, "b".to_owned())]);
        let [(offset, value)] = &there[2..] else { panic!("{there:?}") };
        assert!(*offset >= 3 + leap && value == "d", "{there:?}");
        let mut consumer = member(&bus, "bulk", 1);
        // What was read before the cut is behind the gap.
        consumer.start(0, 2).unwrap();
        let read = consumer.poll(LONG).unwrap();
        assert!(matches!(&read, Event::Record(record) if record.offset() == *offset), "{read:?}");
    }
}

#[test]
fn a_frame_that_rotted_costs_itself_also_after_a_power_cut_and_the_end_that_is_not_there_is_cut_off() {
    let folder = TempDir::new().unwrap();
    let bus = open(folder.path(), "before");
    topic(&bus, "bulk", 2, DAY);
    write(&bus, "bulk", 0, &["a", "rotten", "c"]);
    write(&bus, "bulk", 1, &["x", "torn"]);
    let left = left(folder.path());
    let file = file(left.path());
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(6).rposition(|window| window == b"rotten").unwrap();
    bytes[at] ^= 1;
    bytes.pop();
    std::fs::write(&file, bytes).unwrap();
    let bus = open(left.path(), "after");
    write(&bus, "bulk", 0, &["d"]);
    let there = all(&bus, "bulk", 0);
    let values: Vec<&str> = there.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["a", "c", "d"]);
    assert_eq!((there[0].0, there[1].0), (0, 2));
    assert_eq!(all(&bus, "bulk", 1), [(0, "x".to_owned())]);
}

#[test]
fn who_had_read_to_the_end_of_a_partition_before_a_power_cut_is_at_its_end_after_it_and_lost_nothing() {
    const DAYS: i64 = 2 * 86_400_000;
    let folder = TempDir::new().unwrap();
    let bus = open(folder.path(), "0");
    // Nothing ever comes to the last two partitions.
    topic(&bus, "bulk", 3, DAY);
    write(&bus, "bulk", 0, &["a", "b"]);
    let mut consumer = member(&bus, "bulk", 3);
    consumer.commit(&[Position::new(0, 2), Position::new(1, 0)]).unwrap();
    let mut folder = left(folder.path());
    for boot in ["1", "2"] {
        let bus = open(folder.path(), boot);
        let mut consumer = member(&bus, "bulk", 3);
        let at = consumer.committed(&[0, 1, 2]).unwrap();
        let at: Vec<_> = at.into_iter().map(|(_, at)| at.map(|at| at.offset)).collect();
        assert_eq!(at, [Some(2), Some(0), None]);
        let bounds: Vec<_> = (0..3).map(|partition| consumer.bounds(partition).unwrap()).collect();
        assert_eq!(bounds, [(0, 2), (0, 0), (0, 0)], "{boot}");
        folder = left(folder.path());
    }
    let bus = open(folder.path(), "3");
    write(&bus, "bulk", 0, &["c"]);
    let (offset, _) = all(&bus, "bulk", 0).pop().unwrap();
    assert!(offset > 3 * LEAP, "each time they may have been given out again: {offset}");
    // The log's file goes, and with it all that was in it.
    bus.clean(now_ms() + DAYS).unwrap();
    let mut consumer = member(&bus, "bulk", 3);
    let bounds: Vec<_> = (0..3).map(|partition| consumer.bounds(partition).unwrap()).collect();
    assert_eq!(bounds, [(offset + 1, offset + 1), (0, 0), (0, 0)]);
}

#[test]
fn retention_takes_no_offset_for_lost_that_no_record_ever_had() {
    let folder = TempDir::new().unwrap();
    let bus = open(folder.path(), "before");
    let raw = bus.topics().raw;
    topic(&bus, &raw, 1, DAY);
    // More than a file, and more than is kept.
    write(&bus, &raw, 0, &["a", &"b".repeat(3 << 20)]);
    let folder = left(folder.path());
    let bus = open(folder.path(), "after");
    write(&bus, &raw, 0, &["c"]);
    bus.clean(now_ms()).unwrap();
    let mut consumer = member(&bus, &raw, 1);
    let (begin, end) = consumer.bounds(0).unwrap();
    assert!(begin == 2 && end > LEAP, "{begin} to {end}");
    // As who had read all of it goes on.
    consumer.start(0, 2).unwrap();
    let read = consumer.poll(LONG).unwrap();
    assert!(matches!(&read, Event::Record(record) if record.offset() == end - 1), "{read:?}");
}
