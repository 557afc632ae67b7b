//! The embedded bus keeps what every bus must keep, and what only one on a disk has to.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;

use contract::{member, message, read, topic, write};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;
use weir_bus::{
    Bus, Cleanup, Config, EmbeddedBus, EmbeddedConfig, Error, Event, Fsync, GroupConsumer, Message, Position,
    Reader, TopicSpec, Transactions, TxnError, Writer,
};

const DAY: Cleanup = Cleanup::Delete { retention_ms: 86_400_000 };
const LONG: Duration = Duration::from_secs(20);

fn config(path: &Path) -> Config {
    let embedded = EmbeddedConfig {
        path: path.to_owned(),
        segment_bytes: 1 << 20,
        reserve_bytes: 1 << 20,
        raw_bytes: 4 << 20,
        ..EmbeddedConfig::default()
    };
    Config { restore_timeout_ms: 20_000, embedded, ..Config::default() }
}

fn open(path: &Path) -> EmbeddedBus {
    EmbeddedBus::open(config(path)).unwrap()
}

#[test]
fn topics_that_are_there_keep_their_partitions_whatever_is_set_later() {
    let folder = TempDir::new().unwrap();
    let with = |partitions| {
        let mut config = config(folder.path());
        config.embedded.partitions = partitions;
        let bus = EmbeddedBus::open(config.clone()).unwrap();
        for spec in TopicSpec::all(&config, bus.partitions()) {
            bus.create(&spec).unwrap();
        }
        bus
    };
    assert_eq!(with(3).partitions(), 3);
    let bus = with(5);
    assert_eq!(bus.partitions(), 3);
    assert_eq!(
        bus.describe(&["weir.raw", "weir.state"])
            .unwrap()
            .iter()
            .flatten()
            .map(|t| t.partitions)
            .sum::<usize>(),
        6
    );
}

#[test]
fn topics_that_are_there_are_kept_for_as_long_as_is_set_later() {
    const HOUR: i64 = 3_600_000;
    let folder = TempDir::new().unwrap();
    let retention_ms = |bus: &EmbeddedBus| {
        bus.describe(&["bulk", "state"]).unwrap().into_iter().map(|topic| topic.unwrap().retention_ms)
    };
    let wanted = |hours: i64| TopicSpec::new("bulk", 1, 1, Cleanup::Delete { retention_ms: hours * HOUR });
    {
        let bus = open(folder.path());
        assert!(bus.create(&wanted(24)).unwrap());
        topic(&bus, "state", 1, Cleanup::Compact);
        write(&bus, "bulk", 0, ["a"]);
        // A writer that has the topic as it was goes on.
        let mut writer = bus.writer(1 << 20).unwrap();
        for (hours, value) in [(24, "b"), (72, "c")] {
            assert!(!bus.create(&wanted(hours)).unwrap());
            writer.try_send(&message("bulk", 0, "k", value), 1).unwrap().unwrap();
            assert!(writer.flush(LONG));
        }
        assert_eq!(values(&bus, "bulk", 0), ["a", "b", "c"]);
    }
    let bus = open(folder.path());
    assert!(retention_ms(&bus).eq([Some(72 * HOUR), None]));
    bus.clean(now_ms() + 71 * HOUR).unwrap();
    assert_eq!(values(&bus, "bulk", 0), ["a", "b", "c"]);
    assert!(!bus.create(&wanted(48)).unwrap());
    // What is compacted stays so.
    assert!(!bus.create(&TopicSpec::new("state", 1, 1, DAY)).unwrap());
    assert!(retention_ms(&bus).eq([Some(48 * HOUR), None]));
    bus.clean(now_ms() + 71 * HOUR).unwrap();
    assert!(values(&bus, "bulk", 0).is_empty());
}

macro_rules! contract {
    ($($promise:ident)*) => {
        $(#[test]
        fn $promise() {
            let folder = TempDir::new().unwrap();
            contract::$promise(&open(folder.path()), stringify!($promise));
        })*
    };
}

contract! {
    aborted_transactions_are_never_read
    records_and_offsets_appear_together
    an_abort_puts_neither_records_nor_offsets
    a_transaction_without_offsets_is_refused_and_leaves_nothing
    a_rebalance_in_the_middle_of_a_cycle_loses_and_doubles_nothing
    a_zombie_of_the_same_transactional_id_is_fenced
    a_second_member_of_the_same_instance_fences_the_first
    a_restore_waits_for_the_open_transaction_of_a_dead_member
    a_restore_sees_the_last_value_of_each_key_and_a_tail_goes_on_from_there
    committed_metadata_comes_back
    partitions_are_restored_side_by_side_each_in_order_and_whole
    a_partition_starts_where_it_is_told_and_not_before
    an_offset_that_the_log_does_not_have_is_an_error_and_no_jump
    who_is_no_member_sees_how_far_a_group_is_and_reads_on_from_there
    a_range_is_read_to_its_end_or_until_it_is_broken_off
    a_range_waits_for_what_is_open_before_its_end_and_for_nothing_else
    a_topic_that_is_created_again_is_another_incarnation
    topics_that_are_not_as_they_must_be_are_refused_by_name
    a_writer_counts_what_is_acknowledged_and_keeps_order
    one_look_takes_all_acknowledgements_that_have_come
}

/// Everything on a partition, by offset.
fn all(bus: &EmbeddedBus, topic: &str, partition: i32) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    let each = &mut |record: &weir_bus::Record<'_>| found.push((record.offset(), contract::text(record)));
    bus.reader().unwrap().restore(topic, &[partition], each).unwrap();
    found
}

fn values(bus: &EmbeddedBus, topic: &str, partition: i32) -> Vec<String> {
    all(bus, topic, partition).into_iter().map(|(_, value)| value).collect()
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64
}

/// The log files of the folder's bulk topics, oldest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let topics = std::fs::read_dir(folder.join("logs")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = topics
        .flat_map(|topic| std::fs::read_dir(topic).unwrap().map(|entry| entry.unwrap().path()))
        .collect();
    files.sort();
    files
}

#[test]
fn what_was_acknowledged_is_there_after_the_next_start() {
    let folder = TempDir::new().unwrap();
    let incarnation = {
        let bus = open(folder.path());
        let (bulk, state) = (topic(&bus, "bulk", 2, DAY), topic(&bus, "state", 2, Cleanup::Compact));
        write(&bus, &bulk, 1, ["a", "b"]);
        write(&bus, &state, 0, ["old", "new"]);
        let mut consumer = member(&bus, "group", &bulk, "me", 2);
        let position = Position { partition: 1, offset: 2, metadata: "beside it".to_owned() };
        consumer.commit(&[position]).unwrap();
        bus.describe(&["bulk"]).unwrap()[0].clone().unwrap().incarnation
    };
    let bus = open(folder.path());
    assert_eq!(bus.describe(&["bulk"]).unwrap()[0].clone().unwrap().incarnation, incarnation);
    assert_eq!(all(&bus, "bulk", 1), [(0, "a".to_owned()), (1, "b".to_owned())]);
    assert_eq!(values(&bus, "state", 0), ["new"]);
    let mut consumer = member(&bus, "group", "bulk", "me", 2);
    let committed = consumer.committed(&[1]).unwrap().pop().unwrap().1.unwrap();
    assert_eq!((committed.offset, committed.metadata.as_str()), (2, "beside it"));
    write(&bus, "bulk", 1, ["c"]);
    consumer.start(1, committed.offset).unwrap();
    assert_eq!(read(&mut consumer, 1), [(2, "c".to_owned())]);
}

#[test]
fn a_folder_is_one_process_s_at_a_time() {
    let folder = TempDir::new().unwrap();
    let _bus = open(folder.path());
    let error = EmbeddedBus::open(config(folder.path())).unwrap_err();
    assert!(matches!(error, Error::Embedded { .. }));
    let words = error.to_string();
    assert!(words.starts_with("bus.embedded.path ") && words.ends_with("another process uses it"), "{words}");
}

#[test]
fn a_compacted_topic_holds_one_record_a_key_and_tombstones_for_a_day() {
    let folder = TempDir::new().unwrap();
    let bus = open(folder.path());
    let state = topic(&bus, "state", 1, Cleanup::Compact);
    let mut writer = bus.writer(8 << 20).unwrap();
    for round in 0..50 {
        for key in 0..40 {
            let (key, value) = (format!("key {key}"), format!("round {round}"));
            writer.try_send(&message(&state, 0, &key, &value), 1).unwrap().unwrap();
        }
        assert!(writer.flush(LONG));
    }
    // Several of a key at once, the last a tombstone.
    for value in [Some("other"), Some("and another"), None] {
        let message = Message { value: value.map(str::as_bytes), ..message(&state, 0, "key 7", "") };
        writer.try_send(&message, 1).unwrap().unwrap();
    }
    assert!(writer.flush(LONG));
    let restore = |bus: &EmbeddedBus| {
        let (mut alive, mut tombs) = (BTreeMap::new(), 0);
        let each = &mut |record: &weir_bus::Record<'_>| match record.value() {
            Some(value) => {
                let before = alive.insert(record.key().unwrap().to_vec(), value.to_vec());
                assert!(before.is_none(), "{:?} twice", record.key());
            }
            None => tombs += 1,
        };
        let restored = bus.reader().unwrap().restore("state", &[0], each).unwrap();
        assert_eq!(restored[0].next_offset, 50 * 40 + 3);
        assert!(alive.values().all(|value| value == b"round 49"));
        (alive.len(), tombs)
    };
    assert_eq!(restore(&bus), (39, 1));
    bus.clean(now_ms() + 3_600_000).unwrap();
    assert_eq!(restore(&bus), (39, 1), "a reader may not have seen it yet");
    bus.clean(now_ms() + 25 * 3_600_000).unwrap();
    assert_eq!(restore(&bus), (39, 0));
    drop((bus, writer));
    assert_eq!(restore(&open(folder.path())), (39, 0));
}

#[test]
fn retention_removes_whole_files_by_age_and_by_bytes_and_says_where_the_log_begins() {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    config.compression = weir_bus::Compression::None;
    let bus = EmbeddedBus::open(config).unwrap();
    let raw = bus.topics().raw;
    topic(&bus, &raw, 2, DAY);
    let mut consumer = member(&bus, "group", &raw, "me", 2);
    let megabyte = "x".repeat(1 << 20);
    let mut writer = bus.writer(64 << 20).unwrap();
    for n in 0..8 {
        writer.try_send(&message(&raw, n % 2, "k", &megabyte), 1).unwrap().unwrap();
        assert!(writer.flush(LONG));
    }
    assert_eq!(files(folder.path()).len(), 8);
    // By bytes: four files may stay.
    bus.clean(now_ms()).unwrap();
    assert_eq!(files(folder.path()).len(), 3, "four and their headers are more than four megabytes");
    let bounds = [consumer.bounds(0).unwrap(), consumer.bounds(1).unwrap()];
    assert_eq!(bounds, [(3, 4), (2, 4)]);
    consumer.start(0, 1).unwrap();
    let begun = Instant::now();
    let error = loop {
        assert!(begun.elapsed() < LONG);
        match consumer.poll(Duration::from_millis(50)) {
            Ok(Event::Idle) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("offset 1 is not in the log, which holds 3 to 4"), "{error}");
    consumer.start(0, 3).unwrap();
    assert_eq!(read(&mut consumer, 1)[0].0, 3);
    // By age, the last file too.
    bus.clean(now_ms() + 23 * 3_600_000).unwrap();
    assert_eq!(files(folder.path()).len(), 3);
    bus.clean(now_ms() + 25 * 3_600_000).unwrap();
    assert_eq!(files(folder.path()).len(), 1, "an empty one to append to");
    assert_eq!([consumer.bounds(0).unwrap(), consumer.bounds(1).unwrap()], [(4, 4), (4, 4)]);
    write(&bus, &raw, 0, ["on"]);
    assert_eq!(all(&bus, &raw, 0), [(4, "on".to_owned())]);
}

#[test]
fn a_reader_that_is_far_behind_reads_from_the_files_what_the_others_had_from_memory() {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    config.embedded.cache_bytes = 0;
    config.compression = weir_bus::Compression::Lz4;
    let bus = EmbeddedBus::open(config).unwrap();
    let input = topic(&bus, "input", 3, DAY);
    let value = |n: usize| format!("{n} {}", "x".repeat(3000 + n));
    for n in 0..900 {
        write(&bus, &input, n as i32 % 3, [value(n).as_str()]);
    }
    for partition in 0..3 {
        let expected: Vec<String> = (0..300).map(|n| value(3 * n + partition)).collect();
        assert_eq!(values(&bus, &input, partition as i32), expected);
    }
}

#[test]
fn bytes_that_nobody_committed_are_cut_off_and_what_was_committed_stays() {
    let folder = TempDir::new().unwrap();
    {
        let bus = open(folder.path());
        let bulk = topic(&bus, "bulk", 1, DAY);
        write(&bus, &bulk, 0, ["a", "b"]);
    }
    let file = files(folder.path()).pop().unwrap();
    let length = file.metadata().unwrap().len();
    // A frame that was appended, and whose commit never came; and one that was torn.
    let whole = std::fs::read(&file).unwrap();
    let mut torn = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
    torn.write_all(&whole).unwrap();
    torn.write_all(&whole[..whole.len() / 2]).unwrap();
    let bus = open(folder.path());
    assert_eq!(file.metadata().unwrap().len(), length);
    write(&bus, "bulk", 0, ["c"]);
    let expected = [(0, "a".to_owned()), (1, "b".to_owned()), (2, "c".to_owned())];
    assert_eq!(all(&bus, "bulk", 0), expected);
}

#[test]
fn a_frame_that_rotted_costs_its_own_records_and_the_rest_is_read() {
    let folder = TempDir::new().unwrap();
    {
        let bus = open(folder.path());
        let bulk = topic(&bus, "bulk", 2, DAY);
        for (partition, value) in [(0, "a"), (0, "to be lost"), (1, "x"), (0, "c")] {
            write(&bus, &bulk, partition, [value]);
        }
    }
    let file = files(folder.path()).pop().unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let at = bytes.windows(10).position(|window| window == b"to be lost").unwrap();
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let bus = open(folder.path());
    assert_eq!(all(&bus, "bulk", 0), [(0, "a".to_owned()), (2, "c".to_owned())]);
    let mut consumer = member(&bus, "group", "bulk", "me", 2);
    consumer.start(0, 0).unwrap();
    consumer.start(1, 0).unwrap();
    let mut seen = read(&mut consumer, 3);
    seen.sort();
    assert_eq!(seen, [(0, "a".to_owned()), (0, "x".to_owned()), (2, "c".to_owned())]);
}

/// A folder with `a` and what fills a file in it, then `c` and `d` in another one.
fn two_files() -> (TempDir, Config) {
    let folder = TempDir::new().unwrap();
    let config = Config { compression: weir_bus::Compression::None, ..config(folder.path()) };
    let large = "x".repeat(1 << 20);
    let bus = EmbeddedBus::open(config.clone()).unwrap();
    topic(&bus, "bulk", 1, DAY);
    ["a", &large, "c", "d"].into_iter().for_each(|value| write(&bus, "bulk", 0, [value]));
    assert_eq!(files(folder.path()).len(), 2);
    (folder, config)
}

#[test]
fn a_file_that_is_short_or_gone_costs_what_lay_there_and_the_rest_is_read() {
    let cut = |file: &Path| {
        let length = file.metadata().unwrap().len();
        std::fs::OpenOptions::new().write(true).open(file).unwrap().set_len(length - 1).unwrap();
    };
    let gone = |file: &Path| std::fs::remove_file(file).unwrap();
    type Case<'a> = (&'a dyn Fn(&Path), &'a [&'a str]);
    let cases: [Case<'_>; 2] = [(&cut, &["a", "c", "d"]), (&gone, &["c", "d"])];
    for (number, (damage, expected)) in cases.into_iter().enumerate() {
        let (folder, config) = two_files();
        damage(&files(folder.path())[0]);
        let bus = EmbeddedBus::open(config).unwrap();
        let mut consumer = member(&bus, "group", "bulk", "me", 1);
        consumer.start(0, 0).unwrap();
        let seen: Vec<String> =
            read(&mut consumer, expected.len()).into_iter().map(|(_, value)| value).collect();
        assert_eq!(seen, expected, "{number}");
        assert_eq!(values(&bus, "bulk", 0), expected, "{number}: at once");
    }
}

#[test]
fn a_file_that_cannot_be_read_for_a_moment_costs_nothing_however_often_it_is_tried() {
    let (folder, config) = two_files();
    let file = files(folder.path())[0].clone();
    let aside = folder.path().join("aside");
    std::fs::rename(&file, &aside).unwrap();
    // Nothing is mapped where it begins, so that reading there is the same error as that of a bad sector.
    std::os::unix::fs::symlink("/proc/self/mem", &file).unwrap();
    let bus = EmbeddedBus::open(config).unwrap();
    let mut consumer = member(&bus, "group", "bulk", "me", 1);
    consumer.start(0, 0).unwrap();
    for _ in 0..100 {
        let error = consumer.poll(LONG).unwrap_err();
        assert!(error.is_away(), "{error}");
    }
    std::fs::rename(&aside, &file).unwrap();
    let seen: Vec<String> = read(&mut consumer, 4).into_iter().map(|(_, value)| value).collect();
    assert_eq!([seen[0].as_str(), &seen[2], &seen[3]], ["a", "c", "d"]);
}

#[test]
fn a_journal_that_was_torn_in_its_last_write_loses_that_write_alone() {
    let folder = TempDir::new().unwrap();
    {
        let bus = open(folder.path());
        let bulk = topic(&bus, "bulk", 1, DAY);
        write(&bus, &bulk, 0, ["a"]);
    }
    let journals = std::fs::read_dir(folder.path().join("index")).unwrap().map(|entry| entry.unwrap().path());
    let journal = journals.filter(|path| path.extension().is_some_and(|e| e == "jnl")).max().unwrap();
    let bytes = std::fs::read(&journal).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    // Half of a batch: its beginning once more.
    let begin = end.saturating_sub(40);
    let mut torn = bytes[..end].to_vec();
    torn.extend_from_slice(&bytes[begin..end - 7]);
    std::fs::write(&journal, torn).unwrap();
    let bus = open(folder.path());
    write(&bus, "bulk", 0, ["b"]);
    assert_eq!(values(&bus, "bulk", 0), ["a", "b"]);
}

#[test]
fn a_transaction_that_is_too_large_is_refused_for_its_size() {
    let folder = TempDir::new().unwrap();
    let mut config = config(folder.path());
    config.send_buffer_bytes = 1 << 20;
    let bus = EmbeddedBus::open(config).unwrap();
    let output = topic(&bus, "output", 1, DAY);
    let mut producer = bus.transactional("me").unwrap();
    producer.begin().unwrap();
    let value = "x".repeat(600_000);
    let refused = (0..4).find_map(|_| producer.send(&message(&output, 0, "k", &value)).err());
    assert!(matches!(refused, Some(TxnError::Aborted { refused: true, .. })), "{refused:?}");
    assert!(values(&bus, &output, 0).is_empty());
    producer.begin().unwrap();
}

/// A small disk of its own, where this process may make one.
struct Disk(TempDir);

impl Disk {
    fn new(bytes: u64) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let options = format!("size={bytes}");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

/// `reserve`: what the bus leaves free. With none, the disk itself refuses, in the middle of whatever is being written.
fn full_disk(reserve: u64) {
    if std::env::var_os("WEIR_TEST_NO_MOUNT").is_some() {
        return println!("WEIR_TEST_NO_MOUNT: a full disk is not tried");
    }
    let disk = Disk::new(24 << 20)
        .expect("no disk can be mounted, which needs root; WEIR_TEST_NO_MOUNT=1 leaves it out");
    let path = disk.0.path().join("bus");
    let mut config = config(&path);
    (config.embedded.reserve_bytes, config.embedded.fsync) = (reserve, Fsync::Always);
    config.compression = weir_bus::Compression::None;
    let bus = EmbeddedBus::open(config.clone()).unwrap();
    let bulk = topic(&bus, "bulk", 2, DAY);
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![7; 12 << 20]).unwrap();
    let mut writer = bus.writer(4 << 20).unwrap();
    let value = |n: usize| format!("{n} {}", "x".repeat(100_000));
    let (mut sent, begun) = (0, Instant::now());
    // Until the disk is full, and then the writer's buffer.
    while writer.try_send(&message(&bulk, sent as i32 % 2, "k", &value(sent)), 1).unwrap().is_ok() {
        assert!(begun.elapsed() < LONG && sent < 1000);
        sent += 1;
        writer.poll(Duration::from_millis(5));
    }
    let acknowledged = writer.delivered().acked.records;
    assert!(acknowledged > 20, "{acknowledged}");
    // Those that read are none the worse.
    let there = values(&bus, &bulk, 0).len() + values(&bus, &bulk, 1).len();
    assert!(there as u64 >= acknowledged);
    let mut producer = bus.transactional("me").unwrap();
    let mut consumer = member(&bus, "group", &bulk, "me", 2);
    producer.begin().unwrap();
    let large = value(0).repeat(10);
    for partition in 0..2 {
        producer.send(&message(&bulk, partition, "k", &large)).unwrap();
    }
    let refused = producer.commit(&mut consumer, &[Position::new(0, 0)]);
    assert!(refused.is_err(), "{refused:?}");

    std::fs::remove_file(&ballast).unwrap();
    assert!(writer.flush(LONG), "it goes on by itself");
    assert_eq!((writer.delivered().acked.records, writer.delivered().failed.len()), (sent as u64, 0));
    drop((writer, producer, consumer, bus));
    let bus = EmbeddedBus::open(config).unwrap();
    for partition in 0..2 {
        let expected: Vec<String> = (0..sent).filter(|n| n % 2 == partition).map(value).collect();
        let found = values(&bus, &bulk, partition as i32);
        assert_eq!(found.len(), expected.len(), "partition {partition}");
        assert!(found == expected, "partition {partition}: order or content");
    }
}

#[test]
fn a_disk_that_is_nearly_full_refuses_until_there_is_room_and_loses_nothing() {
    full_disk(4 << 20);
}

#[test]
fn a_disk_that_is_full_to_the_last_byte_loses_and_doubles_nothing() {
    full_disk(0);
}

const CHILD: &str = "WEIR_BUS_TEST_CHILD";

/// The child of the test below: transactions over three topics, each told when it is acknowledged.
#[test]
fn child_of_the_kill_test() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mut config = config(Path::new(&path));
    config.embedded.cache_bytes = 1 << 20;
    let bus = EmbeddedBus::open(config).unwrap();
    for (name, cleanup) in [("in", DAY), ("out", DAY), ("more", DAY), ("state", Cleanup::Compact)] {
        bus.create(&TopicSpec::new(name, 2, 1, cleanup)).unwrap();
    }
    let mut consumer = member(&bus, "group", "in", "child", 2);
    let mut producer = bus.transactional("child").unwrap();
    let mut writer = bus.writer(1 << 20).unwrap();
    let committed = consumer.committed(&[0]).unwrap()[0].1.clone().map_or(0, |committed| committed.offset);
    let pad = "x".repeat(5000);
    for n in committed.. {
        let value = format!("{n} {pad}");
        producer.begin().unwrap();
        producer.send(&message("out", 0, "k", &value)).unwrap();
        producer.send(&message("more", 1, "k", &value)).unwrap();
        producer.send(&message("state", 0, "k", &n.to_string())).unwrap();
        producer.commit(&mut consumer, &[Position::new(0, n + 1)]).unwrap();
        writer.try_send(&message("in", 0, "k", &n.to_string()), 1).unwrap().unwrap();
        assert!(writer.flush(LONG));
        println!("acknowledged {n}");
    }
}

#[test]
fn a_process_killed_at_any_moment_has_each_transaction_whole_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let mut acknowledged = -1_i64;
    let mut written = BTreeSet::new();
    for round in 0..8 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_of_the_kill_test", "--nocapture"])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut number = || {
            lines.find_map(|line| {
                line.split("acknowledged ").nth(1).and_then(|n| n.trim().parse::<i64>().ok())
            })
        };
        let first = number().expect("the child says why on standard error");
        assert!(first > acknowledged, "{first} again after {acknowledged}");
        std::thread::sleep(Duration::from_millis(40 + 37 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        written.insert(first);
        written.extend(std::iter::from_fn(number));
        acknowledged = *written.last().unwrap();

        let bus = open(folder.path());
        let mut consumer = member(&bus, "group", "in", "parent", 2);
        let committed = consumer.committed(&[0]).unwrap()[0].1.clone().unwrap().offset;
        assert!(committed > acknowledged, "{committed} after {acknowledged} was acknowledged");
        let numbers = |topic: &str, partition| -> Vec<i64> {
            let values = values(&bus, topic, partition);
            values.iter().map(|value| value.split(' ').next().unwrap().parse().unwrap()).collect()
        };
        let expected: Vec<i64> = (0..committed).collect();
        assert_eq!(numbers("out", 0), expected);
        assert_eq!(numbers("more", 1), expected);
        assert_eq!(numbers("state", 0), [committed - 1]);
        let found: BTreeSet<i64> = numbers("in", 0).into_iter().collect();
        assert!(found.is_superset(&written), "{:?}", written.difference(&found).collect::<Vec<_>>());
    }
    assert!(acknowledged > 100, "only {acknowledged}");
}
