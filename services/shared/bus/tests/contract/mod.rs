//! What every bus must keep, whatever it is made of. Each function is one promise; an implementation's test file runs them all
//! (see `kafka.rs`), each with a name of its own, so that they can run beside each other on one bus.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use weir_bus::{
    Bus, Cleanup, Committed, Error, Event, GroupConsumer, Message, Position, Reader, Record, TopicSpec,
    Transactions, TxnError, Writer,
};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(30);
const DAY: Cleanup = Cleanup::Delete { retention_ms: 86_400_000 };

pub fn topic(bus: &impl Bus, name: &str, partitions: usize, cleanup: Cleanup) -> String {
    assert!(bus.create(&TopicSpec::new(name, partitions, 1, cleanup)).unwrap(), "{name} is new");
    name.to_owned()
}

pub fn message<'a>(topic: &'a str, partition: i32, key: &'a str, value: &'a str) -> Message<'a> {
    Message { topic, partition, key: key.as_bytes(), value: Some(value.as_bytes()), headers: &[] }
}

pub fn write<'a>(bus: &impl Bus, topic: &str, partition: i32, values: impl IntoIterator<Item = &'a str>) {
    let mut writer = bus.writer(8 << 20).unwrap();
    for value in values {
        writer.try_send(&message(topic, partition, "k", value), 1).unwrap().unwrap();
    }
    assert!(writer.flush(LONG));
}

/// A member that has all of `count` partitions, none of them started.
pub fn member<B: Bus>(bus: &B, group: &str, topic: &str, instance: &str, count: usize) -> B::Consumer {
    let mut consumer = bus.join(group, topic, instance).unwrap();
    let mut held = BTreeSet::new();
    let begun = Instant::now();
    while held.len() < count {
        assert!(begun.elapsed() < LONG, "{instance} holds {held:?} of {count} partitions");
        match consumer.poll(SHORT).unwrap() {
            Event::Assigned(partitions) => held.extend(partitions),
            Event::Idle => {}
            other => panic!("{other:?} before everything was assigned"),
        }
    }
    consumer
}

pub fn text(record: &Record<'_>) -> String {
    String::from_utf8(record.value().unwrap().to_vec()).unwrap()
}

/// The next `count` records as (offset, value).
pub fn read(consumer: &mut impl GroupConsumer, count: usize) -> Vec<(i64, String)> {
    let begun = Instant::now();
    let mut records = Vec::new();
    while records.len() < count {
        assert!(begun.elapsed() < LONG, "only {records:?} of {count}");
        if let Event::Record(record) = consumer.poll(SHORT).unwrap() {
            records.push((record.offset(), text(&record)));
        }
    }
    records
}

/// Whatever comes within a while in which something would have come.
fn read_none(consumer: &mut impl GroupConsumer) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(700) {
        let event = consumer.poll(SHORT).unwrap();
        assert!(matches!(event, Event::Idle), "{event:?}");
    }
}

/// Lets what was sent in a transaction reach the log, which happens in the background: an abort right after would keep it from
/// ever being there, and prove nothing.
fn let_it_reach_the_log() {
    std::thread::sleep(Duration::from_millis(300));
}

fn values(bus: &impl Bus, topic: &str, partition: i32) -> Vec<String> {
    let mut values = Vec::new();
    bus.reader().unwrap().restore(topic, &[partition], &mut |record| values.push(text(record))).unwrap();
    values
}

pub fn aborted_transactions_are_never_read<B: Bus>(bus: &B, name: &str) {
    let input = topic(bus, &format!("{name}.in"), 1, DAY);
    let output = topic(bus, &format!("{name}.out"), 1, DAY);
    let mut consumer = member(bus, name, &input, name, 1);
    let mut producer = bus.transactional(name).unwrap();
    for (value, keep) in [("a", false), ("b", true), ("c", false), ("d", true)] {
        producer.begin().unwrap();
        producer.send(&message(&output, 0, "k", value)).unwrap();
        if keep {
            producer.commit(&mut consumer, &[Position::new(0, 0)]).unwrap();
        } else {
            let_it_reach_the_log();
            producer.abort().unwrap();
        }
    }
    assert_eq!(values(bus, &output, 0), ["b", "d"]);
    let mut downstream = member(bus, &format!("{name}.down"), &output, &format!("{name}.down"), 1);
    downstream.start(0, 0).unwrap();
    let seen: Vec<String> = read(&mut downstream, 2).into_iter().map(|(_, value)| value).collect();
    assert_eq!(seen, ["b", "d"]);
    read_none(&mut downstream);
}

pub fn records_and_offsets_appear_together<B: Bus>(bus: &B, name: &str) {
    let input = topic(bus, &format!("{name}.in"), 2, DAY);
    let output = topic(bus, &format!("{name}.out"), 2, DAY);
    write(bus, &input, 1, ["x", "y"]);
    let mut consumer = member(bus, name, &input, name, 2);
    consumer.start(1, 0).unwrap();
    assert_eq!(read(&mut consumer, 2), [(0, "x".to_owned()), (1, "y".to_owned())]);

    let mut reader = bus.reader().unwrap();
    reader.tail(&output, &[(1, 0)]).unwrap();
    let mut producer = bus.transactional(name).unwrap();
    producer.begin().unwrap();
    let headers: &[(&str, &[u8])] = &[("schema", b"7"), ("schema", b"8"), ("other", &[0xff])];
    producer.send(&Message { headers, ..message(&output, 1, "exporter", "flows") }).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(700) {
        assert!(reader.poll_tail(SHORT).unwrap().is_none(), "an open transaction is not read");
    }
    assert_eq!(consumer.committed(&[0, 1]).unwrap(), [(0, None), (1, None)]);

    producer.commit(&mut consumer, &[Position::new(1, 2)]).unwrap();
    let committed = Committed { offset: 2, metadata: String::new() };
    assert_eq!(consumer.committed(&[0, 1]).unwrap(), [(0, None), (1, Some(committed))]);
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < LONG);
        let Some(record) = reader.poll_tail(SHORT).unwrap() else { continue };
        assert_eq!((record.topic(), record.partition(), record.offset()), (output.as_str(), 1, 0));
        assert_eq!((record.key(), record.value()), (Some(&b"exporter"[..]), Some(&b"flows"[..])));
        assert_eq!(record.header("schema"), Some(&b"8"[..]), "the last of a name");
        assert_eq!(record.header("absent"), None);
        break;
    }
}

pub fn an_abort_puts_neither_records_nor_offsets<B: Bus>(bus: &B, name: &str) {
    let input = topic(bus, &format!("{name}.in"), 1, DAY);
    let output = topic(bus, &format!("{name}.out"), 1, DAY);
    let mut consumer = member(bus, name, &input, name, 1);
    let mut producer = bus.transactional(name).unwrap();
    producer.begin().unwrap();
    producer.send(&message(&output, 0, "k", "one")).unwrap();
    let_it_reach_the_log();
    producer.abort().unwrap();
    assert_eq!(consumer.committed(&[0]).unwrap(), [(0, None)]);
    assert!(values(bus, &output, 0).is_empty());
    // The producer goes on.
    producer.begin().unwrap();
    producer.send(&message(&output, 0, "k", "two")).unwrap();
    producer.commit(&mut consumer, &[Position::new(0, 0)]).unwrap();
    assert_eq!(values(bus, &output, 0), ["two"]);
}

pub fn a_transaction_without_offsets_is_refused_and_leaves_nothing<B: Bus>(bus: &B, name: &str) {
    let input = topic(bus, &format!("{name}.in"), 1, DAY);
    let output = topic(bus, &format!("{name}.out"), 1, DAY);
    let mut consumer = member(bus, name, &input, name, 1);
    let mut producer = bus.transactional(name).unwrap();
    producer.begin().unwrap();
    producer.send(&message(&output, 0, "k", "from a timer")).unwrap();
    let_it_reach_the_log();
    let refused = producer.commit(&mut consumer, &[]);
    assert!(matches!(refused, Err(TxnError::NoOffsets)), "{refused:?}");
    assert!(values(bus, &output, 0).is_empty());
    producer.begin().unwrap();
    producer.abort().unwrap();
}

/// Copies a topic into another one, partition by partition, in transactions of seven records: the smallest decoder.
pub struct Copier<B: Bus> {
    pub consumer: B::Consumer,
    producer: B::Producer,
    output: String,
    open: BTreeMap<i32, i64>,
    in_transaction: usize,
    pub held: BTreeSet<i32>,
    pub copied: usize,
}

impl<B: Bus> Copier<B> {
    pub fn new(bus: &B, group: &str, input: &str, output: &str, instance: &str) -> Self {
        Self {
            producer: bus.transactional(instance).unwrap(),
            consumer: bus.join(group, input, instance).unwrap(),
            output: output.to_owned(),
            open: BTreeMap::new(),
            in_transaction: 0,
            held: BTreeSet::new(),
            copied: 0,
        }
    }

    pub fn step(&mut self) {
        match self.consumer.poll(Duration::from_millis(20)).unwrap() {
            Event::Idle => {}
            Event::Record(record) => {
                if self.in_transaction == 0 {
                    self.producer.begin().unwrap();
                }
                let key = std::str::from_utf8(record.key().unwrap()).unwrap();
                let (partition, value) = (record.partition(), text(&record));
                self.producer.send(&message(&self.output, partition, key, &value)).unwrap();
                self.open.insert(partition, record.offset() + 1);
                self.in_transaction += 1;
                if self.in_transaction == 7 {
                    self.commit();
                }
            }
            Event::Assigned(partitions) => {
                self.held.extend(&partitions);
                self.rewind(&partitions);
            }
            Event::Revoked(partitions) => {
                // An abort goes back to where partitions were committed; not those that are leaving, whose positions the
                // next member may hold open.
                self.held.retain(|partition| !partitions.contains(partition));
                self.commit();
                self.consumer.give_up(&partitions).unwrap();
            }
            Event::Lost(partitions) => {
                if self.in_transaction > 0 {
                    self.producer.abort().unwrap();
                }
                self.held.retain(|partition| !partitions.contains(partition));
                self.forget();
            }
        }
    }

    pub fn in_transaction(&self) -> bool {
        self.in_transaction > 0
    }

    pub fn commit(&mut self) {
        if self.in_transaction == 0 {
            return;
        }
        let positions: Vec<Position> =
            self.open.iter().map(|(p, offset)| Position::new(*p, *offset)).collect();
        match self.producer.commit(&mut self.consumer, &positions) {
            Ok(()) => {
                self.copied += self.in_transaction;
                (self.open, self.in_transaction) = (BTreeMap::new(), 0);
            }
            Err(TxnError::Aborted { .. }) => self.forget(),
            Err(other) => panic!("{other}"),
        }
    }

    fn forget(&mut self) {
        (self.open, self.in_transaction) = (BTreeMap::new(), 0);
        let held: Vec<i32> = self.held.iter().copied().collect();
        self.rewind(&held);
    }

    fn rewind(&mut self, partitions: &[i32]) {
        for (partition, committed) in self.consumer.committed(partitions).unwrap() {
            let (begin, _) = self.consumer.bounds(partition).unwrap();
            self.consumer.start(partition, committed.map_or(begin, |committed| committed.offset)).unwrap();
        }
    }
}

pub fn a_rebalance_in_the_middle_of_a_cycle_loses_and_doubles_nothing<B: Bus>(bus: &B, name: &str) {
    const PARTITIONS: usize = 4;
    const EACH: usize = 60;
    let input = topic(bus, &format!("{name}.in"), PARTITIONS, DAY);
    let output = topic(bus, &format!("{name}.out"), PARTITIONS, DAY);
    let numbers: Vec<String> = (0..EACH).map(|n| n.to_string()).collect();
    let send = |half: &[String]| {
        for partition in 0..PARTITIONS {
            write(bus, &input, partition as i32, half.iter().map(String::as_str));
        }
    };
    send(&numbers[..EACH / 2]);
    let mut first = Copier::new(bus, name, &input, &output, &format!("{name}-0"));
    let begun = Instant::now();
    while first.held.len() < PARTITIONS || first.copied < 21 || !first.in_transaction() {
        assert!(begun.elapsed() < LONG);
        first.step();
    }

    // The second joins while the first has a transaction open.
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let second = threads.spawn(|| {
            let mut second = Copier::new(bus, name, &input, &output, &format!("{name}-1"));
            let begun = Instant::now();
            let mut moved = Instant::now();
            while !done.load(Ordering::Relaxed) {
                assert!(begun.elapsed() < LONG);
                let before = (second.copied, second.in_transaction);
                second.step();
                if before != (second.copied, second.in_transaction) {
                    moved = Instant::now();
                }
                if moved.elapsed() > Duration::from_millis(100) {
                    second.commit();
                }
            }
            let copied = second.copied;
            second.consumer.leave().unwrap();
            copied
        });
        let begun = Instant::now();
        while first.held.len() == PARTITIONS {
            assert!(begun.elapsed() < LONG, "the second got nothing");
            first.step();
        }
        send(&numbers[EACH / 2..]);
        let total = PARTITIONS * EACH;
        let mut reader = bus.reader().unwrap();
        let from: Vec<(i32, i64)> = (0..PARTITIONS as i32).map(|partition| (partition, 0)).collect();
        reader.tail(&output, &from).unwrap();
        let mut seen: BTreeMap<i32, Vec<String>> = BTreeMap::new();
        let mut quiet = Instant::now();
        // A while longer than it takes: what is doubled comes late. The second is told to leave only when all is there: what it
        // holds it alone can copy.
        while seen.values().map(Vec::len).sum::<usize>() < total
            || quiet.elapsed() < Duration::from_millis(500)
        {
            assert!(begun.elapsed() < LONG, "{:?}", seen.values().map(Vec::len).collect::<Vec<_>>());
            first.step();
            if !first.in_transaction() || quiet.elapsed() > Duration::from_millis(100) {
                first.commit();
            }
            while let Some(record) = reader.poll_tail(Duration::ZERO).unwrap() {
                seen.entry(record.partition()).or_default().push(text(&record));
                quiet = Instant::now();
            }
        }
        for (partition, values) in seen {
            assert_eq!(values, numbers, "partition {partition}");
        }
        done.store(true, Ordering::Relaxed);
        // It leaves for good, so its partitions come back at once.
        let begun = Instant::now();
        while first.held.len() < PARTITIONS {
            assert!(begun.elapsed() < LONG, "partitions of the one that left: held {:?}", first.held);
            first.step();
        }
        assert!(second.join().unwrap() > 0, "the second did some of the work");
    });
}

pub fn a_zombie_of_the_same_transactional_id_is_fenced<B: Bus>(bus: &B, name: &str) {
    let input = topic(bus, &format!("{name}.in"), 1, DAY);
    let output = topic(bus, &format!("{name}.out"), 1, DAY);
    let mut consumer = member(bus, name, &input, name, 1);
    let mut zombie = bus.transactional(name).unwrap();
    zombie.begin().unwrap();
    zombie.send(&message(&output, 0, "k", "zombie")).unwrap();
    let_it_reach_the_log();
    let mut successor = bus.transactional(name).unwrap();
    successor.begin().unwrap();
    successor.send(&message(&output, 0, "k", "successor")).unwrap();
    let fenced = zombie.commit(&mut consumer, &[Position::new(0, 9)]);
    assert!(matches!(&fenced, Err(TxnError::Fenced { identity, .. }) if identity == name), "{fenced:?}");
    let still = zombie.begin();
    assert!(matches!(still, Err(TxnError::Fenced { .. })), "{still:?}");
    successor.commit(&mut consumer, &[Position::new(0, 1)]).unwrap();
    assert_eq!(values(bus, &output, 0), ["successor"]);
    let committed = consumer.committed(&[0]).unwrap();
    assert!(matches!(&committed[..], [(0, Some(Committed { offset: 1, .. }))]), "{committed:?}");
}

pub fn a_second_member_of_the_same_instance_fences_the_first<B: Bus>(bus: &B, name: &str) {
    let input = topic(bus, &format!("{name}.in"), 2, DAY);
    let mut first = member(bus, name, &input, name, 2);
    let _second = member(bus, name, &input, name, 2);
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < LONG, "the first was not told");
        match first.poll(SHORT) {
            Err(Error::Fenced { identity, .. }) => break assert_eq!(identity, name),
            Err(other) => panic!("{other}"),
            Ok(_) => {}
        }
    }
}

pub fn a_restore_waits_for_the_open_transaction_of_a_dead_member<B: Bus>(bus: &B, name: &str) {
    let input = topic(bus, &format!("{name}.in"), 1, DAY);
    let state = topic(bus, &format!("{name}.state"), 1, Cleanup::Compact);
    let mut consumer = member(bus, name, &input, name, 1);
    let cycle = |producer: &mut B::Producer, key: &str| {
        producer.begin().unwrap();
        producer.send(&message(&state, 0, key, "1")).unwrap();
    };
    let mut producer = bus.transactional(name).unwrap();
    cycle(&mut producer, "before");
    producer.commit(&mut consumer, &[Position::new(0, 0)]).unwrap();

    let restore = || {
        let mut keys = Vec::new();
        let mut reader = bus.reader().unwrap();
        let key = |record: &Record<'_>| String::from_utf8(record.key().unwrap().to_vec()).unwrap();
        reader.restore(&state, &[0], &mut |record| keys.push(key(record))).unwrap();
        keys
    };
    let wait = Duration::from_millis(1500);
    cycle(&mut producer, "aborted by the successor");
    let_it_reach_the_log();
    std::thread::scope(|threads| {
        let restored = threads.spawn(restore);
        std::thread::sleep(wait);
        assert!(!restored.is_finished(), "it did not wait");
        // The member is dead: it neither commits nor aborts. Its successor's start ends what it left.
        producer = bus.transactional(name).unwrap();
        assert_eq!(restored.join().unwrap(), ["before"]);
    });

    cycle(&mut producer, "committed late");
    let_it_reach_the_log();
    std::thread::scope(|threads| {
        let restored = threads.spawn(restore);
        std::thread::sleep(wait);
        assert!(!restored.is_finished(), "it did not wait");
        producer.commit(&mut consumer, &[Position::new(0, 0)]).unwrap();
        assert_eq!(restored.join().unwrap(), ["before", "committed late"]);
    });
}

pub fn a_restore_sees_the_last_value_of_each_key_and_a_tail_goes_on_from_there<B: Bus>(bus: &B, name: &str) {
    let state = topic(bus, &format!("{name}.state"), 2, Cleanup::Compact);
    let mut writer = bus.writer(1 << 20).unwrap();
    let mut put = |key: &str, value: Option<&str>| {
        let message = Message { value: value.map(str::as_bytes), ..message(&state, 1, key, "") };
        writer.try_send(&message, 1).unwrap().unwrap();
        assert!(writer.flush(LONG));
    };
    for (key, value) in [("a", Some("1")), ("b", Some("2")), ("a", Some("3")), ("b", None), ("c", Some(""))] {
        put(key, value);
    }
    let mut reader = bus.reader().unwrap();
    let mut map = BTreeMap::new();
    let (mut records, mut bytes) = (0, 0);
    let mut apply = |record: &Record<'_>| {
        records += 1;
        bytes += (record.key().unwrap().len() + record.value().unwrap_or_default().len()) as u64;
        let key = String::from_utf8(record.key().unwrap().to_vec()).unwrap();
        match record.value() {
            Some(value) => map.insert(key, value.to_vec()),
            None => map.remove(&key),
        };
    };
    let restored = reader.restore(&state, &[1, 0], &mut apply).unwrap();
    assert_eq!(map, BTreeMap::from([("a".to_owned(), b"3".to_vec()), ("c".to_owned(), Vec::new())]));
    assert_eq!((restored[0].records, restored[0].bytes, restored[1].records), (records, bytes, 0));
    assert!(
        (3..=5).contains(&records),
        "{records}: what is superseded may be gone, what is alive and a tombstone may not"
    );
    assert_eq!(reader.restore(&state, &[0], &mut |_| panic!("an empty partition")).unwrap()[0].records, 0);

    put("d", Some("4"));
    reader.tail(&state, &[(1, restored[0].next_offset), (0, 0)]).unwrap();
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < LONG);
        if let Some(record) = reader.poll_tail(SHORT).unwrap() {
            assert_eq!(record.key(), Some(&b"d"[..]));
            break;
        }
    }
}

pub fn partitions_are_restored_side_by_side_each_in_order_and_whole<B: Bus>(bus: &B, name: &str) {
    const PARTITIONS: i32 = 6;
    const EACH: usize = 400;
    let state = topic(bus, name, PARTITIONS as usize, Cleanup::Compact);
    let expected = |partition: i32| -> Vec<String> {
        (0..EACH * partition as usize).map(|n| format!("{partition}/{n}")).collect()
    };
    let mut writer = bus.writer(8 << 20).unwrap();
    for partition in 0..PARTITIONS {
        for value in expected(partition) {
            writer.try_send(&message(&state, partition, &value, &value), 1).unwrap().unwrap();
        }
    }
    assert!(writer.flush(LONG));
    let mut found: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    let mut reader = bus.reader().unwrap();
    // Not all of them, and not in the order of their numbers.
    let asked = [4, 0, 1, 5];
    let restored = reader
        .restore(&state, &asked, &mut |record| {
            found.entry(record.partition()).or_default().push(text(record));
        })
        .unwrap();
    for (partition, restored) in asked.into_iter().zip(restored) {
        let expected = expected(partition);
        assert_eq!(restored.records, expected.len() as u64, "partition {partition}");
        assert_eq!(restored.next_offset, expected.len() as i64, "partition {partition}");
        assert_eq!(found.remove(&partition).unwrap_or_default(), expected, "partition {partition}");
    }
    assert!(found.is_empty(), "{:?} were not asked for", found.keys());
}

pub fn committed_metadata_comes_back<B: Bus>(bus: &B, name: &str) {
    let input = topic(bus, &format!("{name}.in"), 2, DAY);
    let mut consumer = member(bus, name, &input, name, 2);
    let plan = "v1 to=500 n=499 crc=0011 ü".to_owned();
    consumer.commit(&[Position { partition: 1, offset: 0, metadata: plan.clone() }]).unwrap();
    let committed = Some(Committed { offset: 0, metadata: plan });
    assert_eq!(consumer.committed(&[0, 1]).unwrap(), [(0, None), (1, committed)]);

    let mut producer = bus.transactional(name).unwrap();
    producer.begin().unwrap();
    let position = Position { partition: 1, offset: 3, metadata: "in a transaction".to_owned() };
    producer.commit(&mut consumer, &[position]).unwrap();
    drop(consumer);
    // Another member of the group finds it too.
    let mut other = member(bus, name, &input, name, 2);
    let committed = Some(Committed { offset: 3, metadata: "in a transaction".to_owned() });
    assert_eq!(other.committed(&[1]).unwrap(), [(1, committed)]);
}

pub fn a_partition_starts_where_it_is_told_and_not_before<B: Bus>(bus: &B, name: &str) {
    let input = topic(bus, &format!("{name}.in"), 1, DAY);
    write(bus, &input, 0, ["a", "b", "c", "d", "e"]);
    let mut consumer = member(bus, name, &input, name, 1);
    assert_eq!(consumer.bounds(0).unwrap(), (0, 5));
    read_none(&mut consumer);
    consumer.start(0, 3).unwrap();
    assert_eq!(read(&mut consumer, 2), [(3, "d".to_owned()), (4, "e".to_owned())]);
    consumer.seek(0, 1).unwrap();
    assert_eq!(read(&mut consumer, 1), [(1, "b".to_owned())]);
    consumer.pause(0).unwrap();
    read_none(&mut consumer);
    consumer.resume(0).unwrap();
    assert_eq!(read(&mut consumer, 1), [(2, "c".to_owned())]);
    // A seek of what stands still does not make it go.
    consumer.pause(0).unwrap();
    consumer.seek(0, 0).unwrap();
    read_none(&mut consumer);
    consumer.resume(0).unwrap();
    assert_eq!(read(&mut consumer, 5).len(), 5);
    // A start does.
    consumer.pause(0).unwrap();
    consumer.start(0, 4).unwrap();
    assert_eq!(read(&mut consumer, 1), [(4, "e".to_owned())]);
    assert!(matches!(consumer.start(7, 0), Err(Error::NotAssigned { partition: 7, .. })));
}

pub fn an_offset_that_the_log_does_not_have_is_an_error_and_no_jump<B: Bus>(bus: &B, name: &str) {
    let input = topic(bus, &format!("{name}.in"), 2, DAY);
    write(bus, &input, 0, ["a", "b"]);
    write(bus, &input, 1, ["x"]);
    let mut consumer = member(bus, name, &input, name, 2);
    consumer.start(0, 100).unwrap();
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < LONG);
        match consumer.poll(SHORT) {
            Ok(Event::Idle) => {}
            Ok(other) => panic!("{other:?}"),
            Err(Error::OffsetOutOfRange { topic, partition, wanted, begin, end }) => {
                assert_eq!((topic.as_str(), partition, wanted, begin, end), (input.as_str(), 0, 100, 0, 2));
                break;
            }
            Err(other) => panic!("{other}"),
        }
    }
    // The other partition is none the worse, and this one starts anew.
    consumer.start(1, 0).unwrap();
    assert_eq!(read(&mut consumer, 1), [(0, "x".to_owned())]);
    consumer.start(0, 1).unwrap();
    assert_eq!(read(&mut consumer, 1), [(1, "b".to_owned())]);
}

pub fn who_is_no_member_sees_how_far_a_group_is_and_reads_on_from_there<B: Bus>(bus: &B, name: &str) {
    let input = topic(bus, name, 2, DAY);
    write(bus, &input, 0, ["a", "b", "c"]);
    let mut reader = bus.reader().unwrap();
    assert_eq!(reader.committed(name, &input, &[0, 1]).unwrap(), [(0, None), (1, None)]);
    let mut consumer = member(bus, name, &input, name, 2);
    consumer.start(0, 0).unwrap();
    read(&mut consumer, 2);
    let metadata = "beside".to_owned();
    consumer.commit(&[Position { partition: 0, offset: 2, metadata: metadata.clone() }]).unwrap();
    let committed = [(0, Some(Committed { offset: 2, metadata })), (1, None)];
    assert_eq!(reader.committed(name, &input, &[0, 1]).unwrap(), committed);
    for (from, expected) in [(0, vec!["a", "b", "c"]), (2, vec!["c"]), (3, Vec::new())] {
        let mut seen = Vec::new();
        let mut each = |record: &Record<'_>| {
            seen.push(text(record));
            ControlFlow::Continue(())
        };
        reader.read_on(&input, 0, from..3, &mut each).unwrap();
        assert_eq!(seen, expected, "{from}");
    }
    assert_eq!(read(&mut consumer, 1), [(2, "c".to_owned())]);
}

pub fn a_range_is_read_to_its_end_or_until_it_is_broken_off<B: Bus>(bus: &B, name: &str) {
    const COUNT: i64 = 5_000;
    let input = topic(bus, name, 2, DAY);
    let values: Vec<String> = (0..COUNT).map(|n| n.to_string()).collect();
    write(bus, &input, 0, values.iter().map(String::as_str));
    write(bus, &input, 1, ["beside"]);
    let (mut reader, mut writer) = (bus.reader().unwrap(), bus.writer(8 << 20).unwrap());
    let mut read = |range: Range<i64>, most: usize, act: &mut dyn FnMut()| {
        let mut seen = Vec::new();
        let mut each = |record: &Record<'_>| {
            assert_eq!(record.partition(), 0);
            act();
            seen.push(record.offset());
            if seen.len() < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        reader.read_on(&input, 0, range, &mut each).unwrap();
        seen
    };
    let all = usize::MAX;
    // What was fetched ahead for one range is never taken for the next one's.
    for (range, most, expected) in [
        (0..COUNT, 1, 0..1),
        (0..COUNT, 10, 0..10),
        (4_000..COUNT, 3, 4_000..4_003),
        (7..20, all, 7..20),
        (5..COUNT - 1, all, 5..COUNT - 1),
        (2..3, all, 2..3),
        (9..9, all, 0..0),
        (COUNT - 2..COUNT + 9, all, COUNT - 2..COUNT),
        (COUNT..COUNT + 9, all, 0..0),
    ] {
        assert_eq!(read(range.clone(), most, &mut || {}), expected.collect::<Vec<_>>(), "{range:?}, {most}");
    }
    // A reader whose own doing makes the log grow comes to the end that was there before.
    let mut grow = || {
        writer.try_send(&message(&input, 0, "k", "more"), 1).unwrap().unwrap();
        assert!(writer.flush(LONG));
    };
    assert_eq!(read(COUNT - 20..COUNT, all, &mut grow), (COUNT - 20..COUNT).collect::<Vec<_>>());
    assert_eq!(read(COUNT..COUNT + 20, all, &mut || {}).len(), 20);
}

pub fn a_range_waits_for_what_is_open_before_its_end_and_for_nothing_else<B: Bus>(bus: &B, name: &str) {
    let (input, output) =
        (topic(bus, &format!("{name}.in"), 1, DAY), topic(bus, &format!("{name}.out"), 1, DAY));
    let mut consumer = member(bus, name, &input, name, 1);
    let mut producer = bus.transactional(name).unwrap();
    let send = |producer: &mut B::Producer, value: &str| {
        producer.begin().unwrap();
        producer.send(&message(&output, 0, "k", value)).unwrap();
    };
    let read = |range: Range<i64>| {
        let mut seen = Vec::new();
        let mut each = |record: &Record<'_>| {
            seen.push((record.offset(), text(record)));
            ControlFlow::Continue(())
        };
        bus.reader().unwrap().read_on(&output, 0, range, &mut each).map(|()| seen)
    };
    for value in ["first", "second"] {
        send(&mut producer, value);
        producer.commit(&mut consumer, &[Position::new(0, 0)]).unwrap();
    }
    let there = read(0..i64::MAX).unwrap();
    let [first, second] = &there[..] else { panic!("{there:?}") };
    assert_eq!((first.1.as_str(), second.1.as_str()), ("first", "second"));
    // A range whose last offset no record has, as that of a marker on Kafka, does not end with what comes behind it.
    assert_eq!(read(0..second.0).unwrap(), std::slice::from_ref(first));
    let end = bus.reader().unwrap().bounds(&output, 0).unwrap().1;
    assert!(
        matches!(read(end + 1..end + 2), Err(Error::OffsetOutOfRange { partition: 0, wanted, .. }) if wanted == end + 1)
    );

    send(&mut producer, "third");
    let_it_reach_the_log();
    // It would not come back as long as the transaction is open.
    assert_eq!(read(0..end).unwrap(), there);
    std::thread::scope(|threads| {
        let all = threads.spawn(|| read(0..end + 1));
        std::thread::sleep(Duration::from_millis(1500));
        assert!(!all.is_finished(), "it did not wait");
        producer.commit(&mut consumer, &[Position::new(0, 0)]).unwrap();
        assert_eq!(all.join().unwrap().unwrap().last().unwrap(), &(end, "third".to_owned()));
    });
}

pub fn a_topic_that_is_created_again_is_another_incarnation<B: Bus>(bus: &B, name: &str) {
    let spec = TopicSpec::new(name, 3, 1, Cleanup::Compact);
    let incarnation = || bus.check(std::slice::from_ref(&spec)).unwrap()[0].incarnation.clone();
    assert!(
        matches!(bus.check(std::slice::from_ref(&spec)), Err(Error::TopicMissing { topic }) if topic == name)
    );
    assert!(bus.create(&spec).unwrap());
    assert!(!bus.create(&spec).unwrap(), "it is there already");
    let first = incarnation();
    assert_eq!(first, incarnation());
    assert!(bus.delete(name).unwrap());
    assert!(!bus.delete(name).unwrap(), "it is gone already");
    assert!(bus.create(&spec).unwrap());
    assert_ne!(first, incarnation());
}

pub fn topics_that_are_not_as_they_must_be_are_refused_by_name<B: Bus>(bus: &B, name: &str) {
    let raw = topic(bus, &format!("{name}.raw"), 3, DAY);
    let flows = topic(bus, &format!("{name}.flows"), 4, DAY);
    let spec = |topic: &str, cleanup| TopicSpec::new(topic, 3, 1, cleanup);
    let found = bus.check(&[spec(&raw, DAY)]).unwrap();
    assert_eq!((found[0].partitions, found[0].retention_ms), (3, Some(86_400_000)));
    match bus.check(&[spec(&raw, DAY), spec(&flows, DAY)]) {
        Err(Error::PartitionCount { topic, found: 4, expected: 3 }) => assert_eq!(topic, flows),
        other => panic!("{other:?}"),
    }
    match bus.check(&[spec(&raw, Cleanup::Compact)]) {
        Err(Error::TopicSetting { topic, setting: "cleanup.policy", .. }) => assert_eq!(topic, raw),
        other => panic!("{other:?}"),
    }
}

pub fn a_writer_counts_what_is_acknowledged_and_keeps_order<B: Bus>(bus: &B, name: &str) {
    let output = topic(bus, name, 1, DAY);
    let mut writer = bus.writer(8 << 20).unwrap();
    let numbers: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    for number in &numbers {
        writer.try_send(&message(&output, 0, "key", number), 3).unwrap().unwrap();
    }
    assert!(writer.flush(LONG));
    assert_eq!(writer.in_flight(), 0);
    let delivered = writer.delivered();
    let bytes: usize = numbers.iter().map(|number| number.len() + 3).sum();
    assert_eq!(
        (delivered.acked.records, delivered.acked.units, delivered.acked.bytes),
        (500, 1500, bytes as u64)
    );
    assert!(delivered.failed.is_empty());
    assert_eq!(values(bus, &output, 0), numbers);
}

pub fn one_look_takes_all_acknowledgements_that_have_come<B: Bus>(bus: &B, name: &str) {
    let output = topic(bus, name, 1, DAY);
    let mut writer = bus.writer(8 << 20).unwrap();
    for _ in 0..20 {
        writer.try_send(&message(&output, 0, "key", "value"), 1).unwrap().unwrap();
        // Longer than records wait for company: each is sent, and acknowledged, by itself.
        std::thread::sleep(Duration::from_millis(30));
    }
    while values(bus, &output, 0).len() < 20 {
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(1));
    writer.poll(Duration::ZERO);
    assert_eq!((writer.delivered().acked.records, writer.in_flight()), (20, 0));
}
