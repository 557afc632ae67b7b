//! Kafka keeps what every bus must keep, and what only Kafka has to. One real broker serves all tests of this file.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod contract;

use contract::{Copier, member, message, read, topic, write};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};
use weir_bus::{
    Bus, Cleanup, Config, Error, Event, GroupConsumer, KafkaBus, Position, Reader, TopicSpec, Transactions,
    TxnError, Writer,
};
use weir_stack::kafka::Options;
use weir_stack::{Kafka, Signal};

const DAY: Cleanup = Cleanup::Delete { retention_ms: 86_400_000 };

fn broker() -> &'static Kafka {
    static BROKER: OnceLock<Kafka> = OnceLock::new();
    BROKER.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bus-kafka");
        if dir.exists() {
            std::fs::remove_dir_all(&dir).unwrap();
        }
        Kafka::start(&dir, Options::test()).unwrap_or_else(|error| panic!("{error}"))
    })
}

fn config() -> Config {
    Config {
        bootstrap_servers: broker().bootstrap(),
        session_timeout_ms: 6_000,
        heartbeat_interval_ms: 300,
        transaction_timeout_ms: 10_000,
        restore_timeout_ms: 20_000,
        ..Config::default()
    }
}

fn bus() -> KafkaBus {
    KafkaBus::new(config()).unwrap()
}

macro_rules! contract {
    ($($promise:ident)*) => {
        $(#[test]
        fn $promise() {
            contract::$promise(&bus(), stringify!($promise));
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

fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", broker().bootstrap()).create().unwrap()
}

#[test]
fn weirs_topics_have_their_settings_and_records_the_time_they_were_appended() {
    let config = Config { topic_prefix: "settings".to_owned(), partitions: 3, ..config() };
    let bus = KafkaBus::new(config.clone()).unwrap();
    let specs = TopicSpec::all(&config, config.partitions);
    for spec in &specs {
        bus.create(spec).unwrap();
    }
    bus.check(&specs).unwrap();
    let names: Vec<_> = specs.iter().map(|spec| ResourceSpecifier::Topic(&spec.name)).collect();
    let found = pollster::block_on(admin().describe_configs(&names, &AdminOptions::new())).unwrap();
    for (spec, found) in specs.iter().zip(found) {
        let found = found.unwrap();
        for (name, value) in &spec.settings {
            let entry = found.entries.iter().find(|entry| entry.name == *name).unwrap();
            assert_eq!(entry.value.as_ref(), Some(value), "{name} of {}", spec.name);
        }
    }
    let topics = config.topics();
    write(&bus, &topics.state, 0, ["now"]);
    let mut appended = None;
    bus.reader().unwrap().restore(&topics.state, &[0], &mut |record| appended = record.appended()).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis() as i64;
    assert!((0..60_000).contains(&(now - appended.unwrap())));
}

#[test]
fn what_a_member_died_giving_up_finds_an_owner() {
    let (bus, name) = (bus(), "unowned");
    let input = topic(&bus, name, 4, DAY);
    let held = |consumer: &mut weir_bus::kafka::KafkaConsumer, held: &mut BTreeSet<i32>| match consumer
        .poll(Duration::from_millis(20))
        .unwrap()
    {
        Event::Assigned(partitions) => held.extend(partitions),
        Event::Revoked(partitions) => {
            held.retain(|one| !partitions.contains(one));
            consumer.give_up(&partitions).unwrap();
        }
        Event::Lost(partitions) => held.retain(|one| !partitions.contains(one)),
        Event::Record(_) | Event::Idle => {}
    };
    let (mut first, mut of_first) = (bus.join(name, &input, "unowned-0").unwrap(), BTreeSet::new());
    while of_first.len() < 4 {
        held(&mut first, &mut of_first);
    }
    // It is told to give some up, dies, and is back before its session ends: nobody asks for the second round of the rebalance.
    let (mut second, mut of_second) = (bus.join(name, &input, "unowned-1").unwrap(), BTreeSet::new());
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(30));
        held(&mut second, &mut of_second);
        if let Event::Revoked(_) = first.poll(Duration::from_millis(20)).unwrap() {
            break;
        }
    }
    drop(first);
    let mut first = bus.join(name, &input, "unowned-0").unwrap();
    of_first.clear();
    let begun = Instant::now();
    while &of_first | &of_second != BTreeSet::from([0, 1, 2, 3]) {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{of_first:?} and {of_second:?} of four are owned"
        );
        held(&mut first, &mut of_first);
        held(&mut second, &mut of_second);
    }
    println!("all are owned after {:?}", begun.elapsed());
}

#[test]
fn a_member_that_stood_still_for_too_long_is_not_taken_for_a_zombie_of_itself() {
    let bus =
        KafkaBus::new(Config { session_timeout_ms: 6_000, poll_interval_ms: 6_000, ..config() }).unwrap();
    let input = topic(&bus, "still.in", 1, DAY);
    let output = topic(&bus, "still.out", 1, DAY);
    write(&bus, &input, 0, ["a", "b"]);
    let mut consumer = member(&bus, "still", &input, "still", 1);
    let mut producer = bus.transactional("still").unwrap();
    consumer.start(0, 0).unwrap();
    read(&mut consumer, 1);
    // Its client has given its membership up, and the broker still knows its instance by the member id of before.
    std::thread::sleep(Duration::from_secs(8));
    let refused = consumer.commit(&[Position::new(0, 1)]);
    assert!(matches!(refused, Err(Error::Rebalanced { .. })), "{refused:?}");
    let begun = Instant::now();
    let mut lost = false;
    loop {
        assert!(begun.elapsed() < Duration::from_secs(60), "lost: {lost}");
        match consumer.poll(Duration::from_millis(100)).unwrap() {
            Event::Lost(partitions) => lost = partitions == [0],
            Event::Assigned(partitions) => break assert_eq!(partitions, [0]),
            Event::Revoked(partitions) => consumer.give_up(&partitions).unwrap(),
            Event::Record(_) | Event::Idle => {}
        }
    }
    assert!(lost, "what was held before is announced as lost");
    producer.begin().unwrap();
    producer.send(&message(&output, 0, "k", "of a")).unwrap();
    producer.commit(&mut consumer, &[Position::new(0, 1)]).unwrap();
    consumer.start(0, 1).unwrap();
    assert_eq!(read(&mut consumer, 1), [(1, "b".to_owned())]);
    consumer.commit(&[Position::new(0, 2)]).unwrap();
}

#[test]
fn what_retention_removed_is_an_error_with_both_ends_of_the_log() {
    let bus = bus();
    let input = topic(&bus, "retention.in", 1, DAY);
    write(&bus, &input, 0, ["a", "b", "c", "d"]);
    let mut until = TopicPartitionList::new();
    until.add_partition_offset(&input, 0, Offset::Offset(3)).unwrap();
    pollster::block_on(admin().delete_records(&until, &AdminOptions::new())).unwrap();
    let mut consumer = member(&bus, "retention", &input, "retention", 1);
    consumer.start(0, 1).unwrap();
    let begun = Instant::now();
    let error = loop {
        assert!(begun.elapsed() < Duration::from_secs(20));
        match consumer.poll(Duration::from_millis(100)) {
            Ok(Event::Idle) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!(
        error.to_string(),
        "retention.in/0: offset 1 is not in the log, which holds 3 to 4; retention removed it or the topic was re-created"
    );
    consumer.start(0, 3).unwrap();
    assert_eq!(read(&mut consumer, 1), [(3, "d".to_owned())]);
}

#[test]
fn a_position_that_is_in_the_log_again_is_read_on_from_and_the_others_go_on_where_they_are() {
    let bus = bus();
    let input = topic(&bus, "again.in", 2, DAY);
    write(&bus, &input, 0, ["a", "b"]);
    write(&bus, &input, 1, ["x"]);
    let mut consumer = member(&bus, "again", &input, "again", 2);
    consumer.start(1, 0).unwrap();
    assert_eq!(read(&mut consumer, 1), [(0, "x".to_owned())]);
    // As where a new leader had fallen behind: the broker refuses the position, and has it when that is heard of.
    consumer.start(0, 4).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    write(&bus, &input, 0, ["c", "d", "e", "f"]);
    write(&bus, &input, 1, ["y"]);
    let mut seen = read(&mut consumer, 3);
    seen.sort_unstable();
    assert_eq!(seen, [(1, "y".to_owned()), (4, "e".to_owned()), (5, "f".to_owned())]);
}

#[test]
fn a_member_that_slept_too_long_can_commit_nothing_and_is_told_what_it_lost() {
    let bus =
        KafkaBus::new(Config { session_timeout_ms: 3_000, poll_interval_ms: 3_000, ..config() }).unwrap();
    let (input, output) = (topic(&bus, "sleeper.in", 2, DAY), topic(&bus, "sleeper.out", 2, DAY));
    write(&bus, &input, 0, ["a"]);
    let mut sleeper = member(&bus, "sleeper", &input, "sleeper-0", 2);
    sleeper.start(0, 0).unwrap();
    read(&mut sleeper, 1);
    let mut producer = bus.transactional("sleeper-0").unwrap();
    producer.begin().unwrap();
    producer.send(&message(&output, 0, "k", "from the sleeper")).unwrap();

    // Another member takes everything over while it sleeps.
    let mut other = Copier::new(&bus, "sleeper", &input, &output, "sleeper-1");
    let begun = Instant::now();
    while other.held.len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        other.step();
    }
    let late = producer.commit(&mut sleeper, &[Position::new(0, 1)]);
    assert!(matches!(late, Err(TxnError::Aborted { .. })), "{late:?}");
    // The news comes as what was revoked while it slept and is not its any more, or as lost.
    let mut lost = BTreeSet::new();
    while lost.len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(40), "{lost:?}");
        other.step();
        match sleeper.poll(Duration::from_millis(100)) {
            Ok(Event::Lost(partitions)) => lost.extend(partitions),
            Ok(Event::Revoked(partitions)) => {
                sleeper.give_up(&partitions).unwrap();
                lost.extend(partitions);
            }
            Ok(Event::Idle) => {}
            other => panic!("{other:?}"),
        }
    }
    while other.copied + usize::from(other.in_transaction()) < 1 {
        other.step();
    }
    other.commit();
    let mut seen = Vec::new();
    let mut reader = bus.reader().unwrap();
    reader.restore(&output, &[0], &mut |record| seen.push(record.value().unwrap().to_vec())).unwrap();
    assert_eq!(seen, [b"a".to_vec()], "once, and by the other");
}

#[test]
fn a_transaction_that_stays_open_stops_a_restore_with_its_place() {
    let patient =
        KafkaBus::new(Config { transaction_timeout_ms: 60_000, restore_timeout_ms: 61_000, ..config() });
    let state = topic(&bus(), "stuck.state", 1, Cleanup::Compact);
    let mut producer = patient.unwrap().transactional("stuck").unwrap();
    producer.begin().unwrap();
    producer.send(&message(&state, 0, "k", "v")).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let hasty =
        KafkaBus::new(Config { transaction_timeout_ms: 500, restore_timeout_ms: 800, ..config() }).unwrap();
    let stuck = hasty.reader().unwrap().restore(&state, &[0], &mut |_| {});
    match stuck {
        Err(Error::OpenTransaction { topic, partition: 0, stable: 0, high: 1, .. }) => {
            assert_eq!(topic, state)
        }
        other => panic!("{other:?}"),
    }
    producer.abort().unwrap();
    assert_eq!(hasty.reader().unwrap().restore(&state, &[0], &mut |_| {}).unwrap()[0].records, 0);
}

#[test]
fn a_missing_topic_is_told_by_its_name() {
    let mut consumer = bus().join("nothing", "no.such.topic", "nothing").unwrap();
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < Duration::from_secs(20));
        match consumer.poll(Duration::from_millis(100)) {
            Ok(_) => {}
            Err(Error::TopicMissing { topic }) => break assert_eq!(topic, "no.such.topic"),
            Err(other) => panic!("{other}"),
        }
    }
    let restored = bus().reader().unwrap().restore("no.such.topic", &[0], &mut |_| {});
    assert!(matches!(restored, Err(Error::TopicMissing { .. })), "{restored:?}");
}

#[test]
fn an_unreachable_broker_is_one_clear_sentence_in_bounded_time() {
    let config =
        Config { bootstrap_servers: "127.0.0.1:1".to_owned(), connect_timeout_ms: 700, ..Config::default() };
    let bus = KafkaBus::new(config).unwrap();
    let spec = TopicSpec::new("t", 1, 1, Cleanup::Compact);
    let begun = Instant::now();
    for error in [
        bus.reach().unwrap_err(),
        bus.transactional("nobody").unwrap_err(),
        bus.create(&spec).unwrap_err(),
        bus.check(std::slice::from_ref(&spec)).unwrap_err(),
    ] {
        let words = error.to_string();
        assert!(matches!(error, Error::Unreachable { .. }), "{words}");
        assert!(words.starts_with("no Kafka broker answers at 127.0.0.1:1 after 700ms ("), "{words}");
        assert!(words.contains("Connection refused") && words.contains("bus.bootstrap_servers"), "{words}");
    }
    // Each waits its 0.7 s once, none the 30 s of a request; the rest is room for a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
}

#[test]
fn a_writer_without_a_broker_fills_its_buffer_then_refuses_and_counts_what_it_gives_up() {
    let config = Config { bootstrap_servers: "127.0.0.1:1".to_owned(), ..Config::default() };
    let mut writer = KafkaBus::new(config).unwrap().writer(1 << 20).unwrap();
    let value = "x".repeat(10_000);
    let mut taken = 0;
    while writer.try_send(&message("t", 0, "k", &value), 2).unwrap().is_ok() {
        taken += 1;
        assert!(taken < 200, "a mebibyte holds about 104");
    }
    assert!((95..=105).contains(&taken), "{taken}");
    assert!(!writer.flush(Duration::from_millis(100)));
    let delivered = writer.delivered();
    let failed: u64 = delivered.failed.iter().map(|(_, count)| count.units).sum();
    assert_eq!((delivered.acked.records, failed), (0, 2 * taken));
}

#[test]
fn questions_that_lie_with_a_broker_that_died_are_answered_by_another() {
    const PARTITIONS: [i32; 3] = [0, 1, 2];
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bus-cluster");
    let _ = std::fs::remove_dir_all(&dir);
    let mut brokers = Kafka::cluster(&dir, &Options::test(), 3).unwrap_or_else(|error| panic!("{error}"));
    let bus = KafkaBus::new(Config {
        bootstrap_servers: brokers.iter().map(Kafka::bootstrap).collect::<Vec<_>>().join(","),
        session_timeout_ms: 20_000,
        ..Config::default()
    })
    .unwrap();
    let topic = "asked";
    let mut spec = TopicSpec::new(topic, PARTITIONS.len(), 3, DAY);
    spec.settings.push(("min.insync.replicas", "2".to_owned()));
    bus.create(&spec).unwrap();
    PARTITIONS.iter().for_each(|partition| write(&bus, topic, *partition, ["a", "b"]));
    let (mut consumer, mut reader) = (member(&bus, "asks", topic, "asks-0", 3), bus.reader().unwrap());
    PARTITIONS.iter().for_each(|partition| consumer.start(*partition, 0).unwrap());
    assert_eq!(read(&mut consumer, 6).len(), 6);
    let positions = PARTITIONS.map(|partition| Position { partition, offset: 2, metadata: String::new() });

    let mut ask = |about: &str| {
        for partition in PARTITIONS {
            assert_eq!(reader.bounds(topic, partition).unwrap(), (0, 2), "{about}, {partition}");
            assert_eq!(consumer.bounds(partition).unwrap(), (0, 2), "{about}, {partition}");
        }
        let mut seen = 0;
        reader.restore(topic, &PARTITIONS, &mut |_| seen += 1).unwrap();
        assert_eq!(seen, 6, "{about}");
        while let Err(error) = consumer.commit(&positions) {
            assert!(error.is_away(), "{about}: {error}");
        }
        let committed = reader.committed("asks", topic, &PARTITIONS).unwrap();
        assert!(committed.iter().all(|(_, at)| at.as_ref().is_some_and(|at| at.offset == 2)), "{about}");
        assert_eq!(bus.describe(&[topic]).unwrap()[0].as_ref().unwrap().partitions, 3, "{about}");
    };
    ask("all live");
    // Each leads one partition, and one of them the group.
    brokers[1].kill().unwrap();
    ask("one is dead");
    brokers[1].restart().unwrap();
    brokers[2].signal(Signal::Stop).unwrap();
    ask("one stands still");
    brokers[2].signal(Signal::Continue).unwrap();
}

#[test]
fn a_transaction_may_be_shorter_than_a_brokers_silence() {
    let config = Config { transaction_timeout_ms: 3000, restore_timeout_ms: 9000, ..config() };
    let bus = KafkaBus::new(config).unwrap();
    drop(bus.transactional("short").unwrap());
}
