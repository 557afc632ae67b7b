//! The sink between a real broker and a real ClickHouse engine: what becomes of flows when processes die, sleep and change, and when
//! inserts fail in every way that they can.
#![allow(clippy::unwrap_used)]

mod support;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::Deserialize;
use std::path::Path;
use std::time::{Duration, Instant};
use support::bus::Die;
use support::proxy::{Fate, Gate};
use support::{Bench, Bent, broker, exporter, until};
use weir_bus::Bus;
use weir_schemas::inventory::{Entry, Record};
use weir_schemas::rollup::ROLLUPS;
use weir_schemas::{Batch, Connectivity, Flow, RateSource, SamplingKind, deadletter};
use weir_sink::LostBatch;

#[test]
#[ignore = "it is the engine of the others, in a process of its own"]
fn the_engine_of_the_others() {
    support::be_the_engine();
}

#[test]
fn flows_arrive_once_in_flows_and_in_every_rollup_in_few_inserts() {
    let bench = Bench::new("plain");
    let sink = bench.sink("a").configured(|config| config.batch_ms = 1000).start();
    let begun = Instant::now();
    for n in 1..40 {
        bench.write(n % 2, 50 + n as u64);
        std::thread::sleep(Duration::from_millis(50));
    }
    bench.settle();
    let seconds = begun.elapsed().as_secs() as usize + 1;
    let proxy = sink.proxy.clone();
    sink.end().unwrap();
    bench.check();
    let flows = proxy.tokens("flows");
    assert!(flows.len() <= 2 * seconds, "{} inserts in {seconds} s", flows.len());
    // One insert a table and batch, each under a token of its own.
    let inserts = proxy.inserts();
    assert_eq!(inserts.len(), flows.len() * (1 + ROLLUPS.len()));
    let tokens: std::collections::HashSet<_> = inserts.iter().map(|insert| &insert.token).collect();
    assert_eq!(tokens.len(), inserts.len());
}

#[test]
fn an_end_in_order_stores_what_is_held() {
    let bench = Bench::new("drain");
    let sink = bench.sink("a").configured(|config| config.batch_ms = 60_000).start();
    bench.write(0, 10);
    bench.write(1, 20);
    let records = bench.partitions().into_iter().flat_map(|p| bench.read(&bench.topics.flows, p));
    let bytes: u64 = records.map(|(_, value)| value.len() as u64).sum();
    until("all records", || sink.faults.lock().unwrap().delivered == bytes);
    assert!(sink.proxy.inserts().is_empty(), "neither old nor full");
    sink.end().unwrap();
    bench.settle();
    bench.check();
}

#[test]
fn a_crash_at_any_point_of_a_batch_loses_and_doubles_nothing() {
    let bench = Bench::new("crash");
    for die in [Die::BeforePlan, Die::AfterPlan, Die::BeforeEnd, Die::AfterEnd] {
        bench.write(0, 300);
        bench.write(1, 200);
        let sink = bench.sink("a").with(|faults, _| faults.die = Some(die)).start();
        let (faults, proxy) = (sink.faults.clone(), sink.proxy.clone());
        assert!(sink.word().contains("the process died"));
        let planned = faults.lock().unwrap().plans.len();
        assert_eq!(planned > 0, die != Die::BeforePlan, "{die:?}");
        assert_eq!(proxy.inserts().is_empty(), matches!(die, Die::BeforePlan | Die::AfterPlan), "{die:?}");
        // What came meanwhile would make another batch of it, if the plan did not say what it was.
        bench.write(0, 100);
        bench.write(1, 100);
        let next = bench.sink("a").start();
        bench.settle();
        if die == Die::BeforeEnd {
            let again = next.proxy.tokens("flows");
            assert!(proxy.tokens("flows").iter().all(|token| again.contains(token)), "the same tokens");
        }
        next.end().unwrap();
        bench.check();
    }
}

#[test]
fn another_process_takes_over_what_a_dead_one_had_planned() {
    let bench = Bench::bent("takeover", Bent { session_ms: 3000, ..Bent::default() });
    bench.write(0, 300);
    let dead = bench.sink("a").with(|faults, _| faults.die = Some(Die::BeforeEnd)).start();
    dead.word();
    bench.write(0, 100);
    let other = bench.sink("b").start();
    bench.settle();
    other.end().unwrap();
    bench.check();
}

#[test]
fn an_insert_that_fails_in_any_way_is_sent_again_under_the_same_token_on_another_connection() {
    let bench = Bench::new("inserts");
    bench.write(0, 500);
    let fates = [
        ("flows", Fate::Unanswered),
        ("flows", Fate::Cut),
        ("links_1m", Fate::Cut),
        ("links_5m", Fate::Refused),
        ("pairs_5m", Fate::Unanswered),
        ("prefixes_1h", Fate::Refused),
    ];
    let failures = fates.len();
    let sink = bench
        .sink("a")
        .with(|_, proxy| fates.into_iter().for_each(|(table, fate)| proxy.next(table, 1, fate)))
        .start();
    bench.settle();
    let proxy = sink.proxy.clone();
    sink.end().unwrap();
    bench.check();
    let flows = proxy.tokens("flows");
    assert_eq!(flows.len(), failures + 1);
    for table in std::iter::once("flows").chain(ROLLUPS.iter().map(|table| table.name)) {
        let tokens = proxy.tokens(table);
        assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    }
    let inserts = proxy.inserts();
    for (at, failed) in inserts.iter().enumerate().filter(|(_, insert)| !insert.passed) {
        let later = &inserts[at + 1..];
        assert!(later.iter().all(|insert| insert.connection != failed.connection), "{inserts:#?}");
    }
}

#[test]
fn a_crash_in_the_middle_of_the_tables_leaves_no_table_behind_or_ahead() {
    let bench = Bench::new("middle");
    bench.write(0, 400);
    bench.write(1, 400);
    let sink = bench.sink("a").with(|_, proxy| proxy.next("pairs_5m", u32::MAX, Fate::Refused)).start();
    until("a failure", || sink.proxy.tokens("pairs_5m").len() > 2);
    sink.kill();
    bench.write(0, 100);
    let next = bench.sink("a").start();
    bench.settle();
    next.end().unwrap();
    bench.check();
}

#[test]
fn an_insert_of_a_dead_process_that_comes_late_adds_nothing() {
    let bench = Bench::new("late");
    bench.write(0, 400);
    let gate = Gate::default();
    let dead = bench.sink("a").with(|_, proxy| proxy.next("links_1m", 1, Fate::Held(gate.clone()))).start();
    until("the insert", || !dead.proxy.tokens("links_1m").is_empty());
    let late = dead.proxy.clone();
    dead.kill();
    let next = bench.sink("a").start();
    bench.settle();
    bench.check();
    gate.open();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(late.tokens("links_1m").len(), 1);
    next.end().unwrap();
    bench.check();
}

#[test]
fn a_zombie_is_refused_before_it_inserts_and_lives_on() {
    let bench = Bench::bent("zombie", Bent { session_ms: 3000, ..Bent::default() });
    bench.write(0, 300);
    bench.write(1, 300);
    let gate = Gate::default();
    let zombie = bench.sink("a").with(|faults, _| faults.sleep = Some(gate.clone())).start();
    until("its sleep", || zombie.faults.lock().unwrap().asleep);
    let other = bench.sink("b").start();
    bench.settle();
    gate.open();
    bench.write(0, 100);
    bench.write(1, 100);
    bench.settle();
    let stored = other.proxy.tokens("flows");
    let doubled: Vec<_> = zombie.proxy.tokens("flows").into_iter().filter(|t| stored.contains(t)).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    zombie.end().unwrap();
    other.end().unwrap();
    bench.check();
}

#[test]
fn a_batch_whose_partition_is_lost_while_it_is_inserted_sends_no_further_table() {
    let bench = Bench::bent("lost", Bent { session_ms: 3000, ..Bent::default() });
    bench.write(0, 300);
    let (insert, poll) = (Gate::default(), Gate::default());
    let zombie = bench.sink("a").with(|_, proxy| proxy.next("flows", 1, Fate::Held(insert.clone()))).start();
    until("the insert", || !zombie.proxy.tokens("flows").is_empty());
    zombie.faults.lock().unwrap().doze = Some(poll.clone());
    let other = bench.sink("b").start();
    bench.settle();
    poll.open();
    until("the news", || !zombie.faults.lock().unwrap().gone.is_empty());
    // It may come as a wish of others, for which an insert has five seconds to end.
    std::thread::sleep(Duration::from_secs(6));
    insert.open();
    std::thread::sleep(Duration::from_secs(1));
    let sent = zombie.proxy.inserts();
    assert_eq!(sent.len(), 1, "{sent:#?}");
    zombie.end().unwrap();
    other.end().unwrap();
    bench.check();
}

#[test]
fn partitions_that_move_in_mid_stream_lose_and_double_nothing() {
    let bench = Bench::new("move");
    let first = bench.sink("a").start();
    let mut second = None;
    for n in 0..40 {
        bench.write(n % 2, 40);
        if n == 10 {
            second = Some(bench.sink("b").start());
        }
        if n == 30 {
            second.take().unwrap().end().unwrap();
        }
        std::thread::sleep(Duration::from_millis(80));
    }
    bench.settle();
    first.end().unwrap();
    bench.check();
}

#[test]
fn a_partition_whose_leader_is_away_keeps_no_other_from_being_stored_and_is_stored_when_it_is_back() {
    let bench = Bench::new("leaderless");
    bench.write(0, 10);
    bench.write(1, 10);
    let sink = bench.sink("a").with(|faults, _| faults.leaderless = vec![0]).start();
    let stored = |partition| bench.committed(partition).is_some_and(|(offset, _)| offset > 0);
    until("the other partition", || stored(1));
    until("another try", || sink.faults.lock().unwrap().unanswered > 1);
    // An end waits for nothing of it.
    sink.end().unwrap();
    assert!(!stored(0));

    let sink = bench.sink("a").with(|faults, _| faults.leaderless = vec![0]).start();
    until("a try", || sink.faults.lock().unwrap().unanswered > 0);
    sink.faults.lock().unwrap().leaderless.clear();
    bench.settle();
    sink.end().unwrap();
    bench.check();
}

#[test]
fn a_partition_whose_leader_is_away_is_given_up_like_any_other() {
    let bench = Bench::new("moved");
    bench.write(0, 10);
    bench.write(1, 10);
    // Whichever is moved was never begun.
    let first = bench.sink("a").with(|faults, _| faults.leaderless = vec![0, 1]).start();
    until("a try", || first.faults.lock().unwrap().unanswered > 1);
    let second = bench.sink("b").start();
    until("a rebalance", || !first.faults.lock().unwrap().gone.is_empty());
    let [moved] = first.faults.lock().unwrap().gone[..] else { panic!("one of two moves") };
    // What was being asked just then may still be.
    std::thread::sleep(Duration::from_secs(1));
    {
        let mut faults = first.faults.lock().unwrap();
        faults.asked.clear();
        faults.leaderless.clear();
    }
    bench.settle();
    let of_moved = |token: &String| token.rsplit('/').nth(3) == Some(&moved.to_string());
    assert!(!first.faults.lock().unwrap().asked.contains(&moved), "it is somebody else's");
    assert!(!first.proxy.tokens("flows").iter().any(of_moved));
    assert!(second.proxy.tokens("flows").iter().any(of_moved));
    first.end().unwrap();
    second.end().unwrap();
    bench.check();
}

fn recreate(bench: &Bench) {
    let spec = bench.specs.iter().find(|spec| spec.name == bench.topics.flows).unwrap();
    assert!(bench.bus.delete(&spec.name).unwrap());
    until("the topic", || matches!(bench.bus.create(spec), Ok(true)));
}

#[test]
fn a_topic_that_is_created_again_holds_new_flows_at_old_offsets() {
    let bench = Bench::new("anew");
    let ranges = || {
        bench.write(0, 100);
        bench.write(0, 100);
        let sink = bench.sink("a").configured(|config| config.batch_ms = 1000).start();
        bench.settle();
        let tokens = sink.proxy.tokens("flows");
        sink.end().unwrap();
        bench.check();
        tokens
            .into_iter()
            .map(|token| token.rsplitn(5, '/').take(4).map(str::to_owned).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    let before = ranges();
    recreate(&bench);
    assert_eq!(ranges(), before, "the same partition, range and table");
}

#[test]
fn a_topic_that_is_created_again_under_a_running_sink_ends_it_and_loses_nothing() {
    let bench = Bench::new("under");
    let sink = bench.sink("a").start();
    bench.write(0, 100);
    bench.settle();
    recreate(&bench);
    bench.write(0, 100);
    let word = sink.word();
    assert!(word.starts_with("topic under.flows was deleted or created again while the sink ran"), "{word}");
    let sink = bench.sink("a").start();
    bench.settle();
    sink.end().unwrap();
    bench.check();
}

/// Four messages of ten flows in one batch, whose sink dies.
fn forty_flows_and_death(bench: &Bench, die: Die) {
    (0..4).for_each(|_| bench.write(0, 10));
    bench.sink("a").with(|faults, _| faults.die = Some(die)).start().word();
}

/// Removes what lies before an offset, as retention does.
fn delete(bench: &Bench, until: i64) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker().bootstrap()).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&bench.topics.flows, 0, Offset::Offset(until)).unwrap();
    pollster::block_on(admin.delete_records(&list, &AdminOptions::new())).unwrap();
}

/// How many are stored.
fn flows(bench: &Bench) -> u64 {
    #[derive(Deserialize)]
    struct Count {
        flows: u64,
    }
    bench.ask::<Count>(&format!("SELECT count() AS flows FROM {}.flows", bench.store.database()))[0].flows
}

#[test]
fn a_planned_range_that_retention_has_taken_stops_with_its_place() {
    let bench = Bench::new("gone");
    forty_flows_and_death(&bench, Die::AfterPlan);
    // A part, and then all of it, after which no record would ever show what is missing.
    for begin in [2, 4] {
        delete(&bench, begin);
        let word = bench.sink("a").start().word();
        let wanted = "gone.flows/0: offsets 0 to 3 were being inserted when the sink stopped";
        assert!(word.starts_with(wanted) && word.contains(&format!("the log begins at {begin}")), "{word}");
    }
    assert_eq!(flows(&bench), 0);
}

#[test]
fn what_retention_left_of_a_planned_range_is_stored_once_where_that_is_asked_for() {
    let bench = Bench::new("rest");
    let go_on = |end| {
        let sink = bench.sink("a").configured(|config| config.lost_batch = LostBatch::StoreRest).start();
        until("the end of the batch", || {
            bench.committed(0).is_some_and(|(offset, about)| offset == end && !about.contains("\"plan\""))
        });
        sink.end().unwrap();
    };
    let lost = || -> u64 {
        let metrics = support::metrics();
        let line = metrics.lines().find_map(|line| line.strip_prefix("weir_sink_flows_offsets_lost_total "));
        line.map_or(0, |count| count.parse().unwrap())
    };
    let before = lost();
    // Stored, and the word of it was lost with the sink: half of it must not be stored beside the whole.
    forty_flows_and_death(&bench, Die::BeforeEnd);
    delete(&bench, 2);
    let rest = bench.sink("a").configured(|config| config.lost_batch = LostBatch::StoreRest);
    rest.with(|faults, _| faults.die = Some(Die::BeforeEnd)).start().word();
    go_on(4);
    bench.check();
    assert_eq!(lost() - before, 2, "once, however often it was found");
    // Planned, and nothing of it stored.
    forty_flows_and_death(&bench, Die::AfterPlan);
    delete(&bench, 6);
    go_on(8);
    assert_eq!((flows(&bench), lost() - before), (40 + 20, 4));
}

#[test]
fn while_clickhouse_is_away_or_slow_memory_is_bounded_and_then_everything_arrives_once() {
    let bench = Bench::bent("away", Bent { partitions: 16, ..Bent::default() });
    let mut row = Vec::new();
    Batch::default().put_row(&mut row);
    Flow::default().put_row(&mut row);
    let message = bench.message(0, 1000).0.len() as u64;
    let bound = 16 << 20;
    let sink = bench
        .sink("a")
        .configured(|config| {
            (config.batch_bytes, config.memory_bytes) = (8 << 20, bound);
            config.batch_ms = 1000;
        })
        .start();
    bench.write(0, 10);
    bench.settle();
    sink.proxy.away(true);
    // Four times the bound, and less than what every partition may hold by itself.
    let messages = 4 * bound / (row.len() * 1000);
    (0..messages).for_each(|n| bench.write(n as i32 % 16, 1000));
    let delivered = || sink.faults.lock().unwrap().delivered;
    until("standing still", || sink.faults.lock().unwrap().pauses >= 16);
    std::thread::sleep(Duration::from_secs(1));
    let held = delivered();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(delivered(), held, "reading stands still");
    let rows = held / message * 1000 * row.len() as u64;
    assert!(rows < 2 * bound as u64, "{rows} bytes of rows are held, {bound} are allowed");
    sink.proxy.slow(Duration::from_millis(100));
    sink.proxy.away(false);
    bench.settle();
    sink.end().unwrap();
    bench.check();
}

#[test]
fn markers_and_aborted_records_inside_a_planned_range_change_nothing() {
    let bench = Bench::new("markers");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker().bootstrap())
        .set("transactional.id", "markers")
        .create()
        .unwrap();
    let timeout = Duration::from_secs(10);
    producer.init_transactions(timeout).unwrap();
    let transaction = |commits: bool| {
        producer.begin_transaction().unwrap();
        for _ in 0..3 {
            let (value, sums) = bench.message(0, 50);
            let key = exporter();
            producer
                .send(BaseRecord::to(&bench.topics.flows).partition(0).key(&key.0).payload(&value))
                .unwrap();
            if commits {
                bench.count(sums);
            }
        }
        producer.flush(timeout).unwrap();
        if commits { producer.commit_transaction(timeout) } else { producer.abort_transaction(timeout) }
            .unwrap();
    };
    [true, false, true, false].into_iter().for_each(transaction);
    let planned = bench.sink("a").with(|faults, _| faults.die = Some(Die::BeforeEnd)).start();
    let faults = planned.faults.clone();
    planned.word();
    let plan = faults.lock().unwrap().plans[0].clone();
    // Three committed, a marker, three aborted, a marker, three committed: the last of them is at 10.
    assert!(plan.contains("\"first\":0,\"last\":10,\"records\":6"), "{plan}");
    [false, true].into_iter().for_each(transaction);
    let sink = bench.sink("a").start();
    bench.settle();
    sink.end().unwrap();
    bench.check();
}

#[test]
fn what_cannot_be_read_goes_to_the_dead_letters_whole_and_the_rest_goes_on() {
    let bench = Bench::new("dead");
    let (whole, _) = bench.message(0, 50);
    let bad: [&[u8]; 3] = [b"no Avro at all", &whole[..whole.len() - 30], b""];
    bench.write(0, 10);
    for value in bad {
        bench.put(&bench.topics.flows, 0, &exporter().0, value, &[]);
        bench.write(0, 10);
    }
    // The broker does not take them at first; no plan may be made of their places before it has.
    let sink = bench.sink("a").with(|faults, _| faults.lose_letters = 2).start();
    bench.settle();
    sink.end().unwrap();
    bench.check();
    let letters = bench.read(&bench.topics.deadletter, 0);
    for (n, value) in bad.iter().enumerate() {
        let offset = 1 + 2 * n as i64;
        let held = letters.iter().any(|(_, letter)| {
            let (about, bytes) = deadletter::read(letter).unwrap();
            about.reason == "unreadable_batch"
                && (about.topic.as_str(), about.partition, about.offset) == ("dead.flows", 0, offset)
                && bytes == *value
        });
        assert!(held, "the message at {offset}");
    }
}

#[test]
fn a_letter_that_is_too_large_for_a_message_is_cut_and_holds_nothing_up() {
    let bench = Bench::new("large");
    // As large as the client's default lets a message be, so that with its description it would be larger.
    let large = vec![7; 999_900];
    bench.put(&bench.topics.flows, 0, &exporter().0, &large, &[]);
    bench.write(0, 10);
    let sink = bench.sink("a").start();
    bench.settle();
    sink.end().unwrap();
    bench.check();
    let (_, letter) = bench.read(&bench.topics.deadletter, 0).remove(0);
    let (about, bytes) = deadletter::read(&letter).unwrap();
    assert_eq!((about.reason.as_str(), about.offset), ("unreadable_batch", 0));
    assert_eq!(deadletter::cut_from(&letter).unwrap(), Some(large.len()));
    assert!(large.starts_with(bytes) && bytes.len() > 800_000);
}

#[test]
fn a_full_batch_behind_one_that_is_not_stored_shows_as_a_partition_that_stands_still() {
    let bench = Bench::new("still");
    let sink = bench.sink("a").configured(|config| config.batch_rows = 100).start();
    let line = |metric: &str, value: u32| {
        support::metrics().lines().any(|line| line == format!("{metric}{{worker=\"still-a-0\"}} {value}"))
    };
    until("its partitions", || line("weir_sink_partitions", 2));
    sink.proxy.away(true);
    (0..4).for_each(|_| bench.write(0, 100));
    until("standing still", || line("weir_sink_paused", 1));
    sink.proxy.away(false);
    bench.settle();
    until("going on", || line("weir_sink_paused", 0));
    sink.end().unwrap();
    assert!(line("weir_sink_partitions", 0) && line("weir_sink_memory_bytes", 0));
    bench.check();
}

#[test]
fn a_partition_that_stands_still_and_is_found_out_of_range_goes_on_standing_still() {
    let bench = Bench::new("range");
    let sink = bench.sink("a").configured(|config| config.batch_rows = 100).start();
    bench.write(0, 100);
    bench.settle();
    sink.proxy.away(true);
    let before = sink.faults.lock().unwrap().pauses;
    (0..4).for_each(|_| bench.write(0, 100));
    until("standing still", || sink.faults.lock().unwrap().pauses > before);
    let held = sink.faults.lock().unwrap().delivered;
    // One batch is being inserted and one is full. All that was read is still there, so that nothing is missing at the end.
    let topic = bench.topics.flows.clone();
    let gone = weir_bus::Error::OffsetOutOfRange { topic, partition: 0, wanted: 3, begin: 3, end: 5 };
    sink.faults.lock().unwrap().trouble = Some(gone);
    until("being told", || sink.faults.lock().unwrap().trouble.is_none());
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(sink.faults.lock().unwrap().delivered, held, "a full batch takes no more");
    sink.proxy.away(false);
    bench.settle();
    sink.end().unwrap();
    bench.check();
}

#[test]
fn a_sink_is_ready_when_all_its_workers_are_open() {
    let bench = Bench::new("ready");
    let gate = Gate::default();
    let sink = bench
        .sink("a")
        .configured(|config| config.workers = 2)
        .with(|faults, _| faults.late = Some(("-1", gate.clone())))
        .start();
    bench.write(0, 10);
    bench.settle();
    assert!(!sink.health.missing().is_empty(), "one of two works");
    gate.open();
    until("being ready", || sink.health.missing().is_empty());
    sink.end().unwrap();
    bench.check();
}

#[test]
fn ends_that_are_refused_are_tried_again_after_a_while() {
    let bench = Bench::new("refused");
    let sink = bench.sink("a").with(|faults, _| faults.refuse_ends = true).start();
    bench.write(0, 10);
    until("a refusal", || sink.faults.lock().unwrap().ends > 0);
    std::thread::sleep(Duration::from_secs(2));
    let tried = sink.faults.lock().unwrap().ends;
    assert!((2..=6).contains(&tried), "{tried} tries in two seconds");
    sink.faults.lock().unwrap().refuse_ends = false;
    bench.settle();
    sink.end().unwrap();
    bench.check();
}

#[test]
fn a_password_file_that_is_away_for_a_moment_ends_nothing() {
    let bench = Bench::new("password");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sink-password");
    std::fs::write(&file, "secret").unwrap();
    let mut sink = bench.sink("a");
    sink.password_file = Some(file.clone());
    let sink = sink.with(|_, proxy| proxy.next("flows", 2, Fate::Refused)).start();
    std::fs::remove_file(&file).unwrap();
    bench.write(0, 10);
    bench.settle();
    sink.end().unwrap();
    bench.check();
}

#[test]
fn a_message_of_an_unknown_schema_ends_the_sink_and_waits_for_one_that_knows_it() {
    let bench = Bench::new("schema");
    bench.write(0, 10);
    let (value, _) = bench.message(0, 10);
    let header = (weir_schemas::avro::FINGERPRINT_HEADER, &7u64.to_le_bytes()[..]);
    bench.put(&bench.topics.flows, 0, &exporter().0, &value, &[header]);
    for _ in 0..2 {
        let word = bench.sink("a").start().word();
        assert!(
            word.starts_with("schema.flows/0: offset 1 was written with schema 0000000000000007"),
            "{word}"
        );
    }
    assert!(bench.committed(0).is_none_or(|(offset, _)| offset <= 1));
    assert!(bench.read(&bench.topics.deadletter, 0).is_empty());
}

#[test]
fn inventory_is_in_the_joined_tables_and_the_latest_word_counts() {
    let bench = Bench::new("known");
    let say = |record: Record, learned| {
        let key = record.key(&exporter());
        bench.put(&bench.topics.inventory, 0, &key, &Entry::new(record, learned).value(), &[]);
    };
    let link = |provider: &str| Record::Link {
        index: 3,
        valid_from: 0,
        valid_to: u32::MAX,
        link: "transit".to_owned(),
        provider: provider.to_owned(),
        connectivity: Connectivity::Transit,
        neighbour_as: 64_496,
        capacity: 10_000_000_000,
    };
    let interface = Record::Interface {
        index: 3,
        name: "et-0/0/3".to_owned(),
        description: "to the world".to_owned(),
        speed: 100_000_000_000,
    };
    let rate = Record::Rate {
        observation_domain: 1,
        source: RateSource::System,
        scope: 0,
        interval: 1_000_000,
        sampling: SamplingKind::Packet,
        valid_from: 5,
    };
    say(Record::Exporter { name: "edge1".to_owned() }, 1);
    say(interface, 1);
    say(rate, 1);
    say(link("first"), 10);
    bench.put(&bench.topics.inventory, 0, b"short", b"{}", &[]);
    #[derive(Debug, Deserialize, PartialEq)]
    struct Known {
        name: String,
        interface: String,
        speed: u64,
        provider: String,
        interval: u64,
    }
    let known = || -> Vec<Known> {
        bench.ask(
            "SELECT e.name AS name, i.name AS interface, i.speed AS speed, l.provider AS provider, r.sampling_interval AS interval \
             FROM known.exporters AS e FINAL JOIN known.interfaces AS i FINAL ON i.exporter = e.exporter \
             JOIN known.links AS l FINAL ON l.exporter = i.exporter AND l.if_index = i.if_index \
             JOIN known.rates AS r FINAL ON r.exporter = e.exporter",
        )
    };
    let is = |provider: &str| {
        known()
            == [Known {
                name: "edge1".to_owned(),
                interface: "et-0/0/3".to_owned(),
                speed: 100_000_000_000,
                provider: provider.to_owned(),
                interval: 1_000_000,
            }]
    };
    // What fails once is tried again.
    let sink = bench.sink("a").with(|faults, _| (faults.fail_bounds, faults.fail_tail) = (2, 1)).start();
    until("what is known", || is("first"));
    say(link("second"), 20);
    until("the change", || is("second"));
    // What comes late is not the latest.
    say(link("older"), 15);
    say(Record::Exporter { name: "edge1".to_owned() }, 2);
    #[derive(Deserialize)]
    struct Version {
        version: u64,
    }
    let version = || bench.ask::<Version>("SELECT version FROM known.exporters FINAL")[0].version;
    until("what came after it", || version() == 2);
    assert!(is("second"), "{:?}", known());
    sink.end().unwrap();
    // Read again from its beginning, it says the same.
    let sink = bench.sink("a").start();
    bench.write(0, 10);
    bench.settle();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(is("second"), "{:?}", known());
    sink.end().unwrap();
}

#[test]
fn inventory_whose_leader_is_away_keeps_no_flows_from_being_stored() {
    let bench = Bench::new("silent");
    let gate = Gate::default();
    let sink = bench.sink("a").with(|faults, _| faults.inventory = Some(gate.clone())).start();
    bench.write(0, 10);
    bench.write(1, 10);
    bench.settle();
    gate.open();
    sink.end().unwrap();
    bench.check();
}

#[test]
fn a_partition_of_inventory_whose_leader_is_away_keeps_no_other_from_being_followed() {
    #[derive(Deserialize)]
    struct Name {
        name: String,
    }
    let bench = Bench::new("unled");
    let say = |partition, exporter, name: &str| {
        let record = Record::Exporter { name: name.to_owned() };
        let key = record.key(&weir_schemas::Ip::v4([192, 0, 2, exporter]));
        bench.put(&bench.topics.inventory, partition, &key, &Entry::new(record, 1).value(), &[]);
    };
    let known = || -> Vec<String> {
        let found: Vec<Name> = bench.ask("SELECT name FROM unled.exporters FINAL ORDER BY name");
        found.into_iter().map(|found| found.name).collect()
    };
    say(0, 10, "a");
    say(1, 11, "b");
    let sink = bench.sink("a").with(|faults, _| faults.unled = Some(0)).start();
    until("the other partition", || known() == ["b"]);
    say(1, 12, "c");
    until("what came later", || known() == ["b", "c"]);
    until("another try", || sink.faults.lock().unwrap().unanswered > 1);
    sink.faults.lock().unwrap().unled = None;
    until("its leader", || known() == ["a", "b", "c"]);
    say(1, 13, "d");
    until("what came last", || known() == ["a", "b", "c", "d"]);
    sink.end().unwrap();
}

#[test]
fn missing_tables_end_the_start_with_what_makes_them() {
    let bench = Bench::bent("tableless", Bent { migrated: false, ..Bent::default() });
    let word = bench.sink("a").start().word();
    assert!(word.contains("tableless") && word.contains("`weir migrate` makes the tables"), "{word}");
    let bench = Bench::new("half");
    bench.tell("DROP TABLE half.prefixes_1h");
    let word = bench.sink("a").start().word();
    assert!(word.contains("half.prefixes_1h") && word.contains("`weir migrate` makes the tables"), "{word}");
    let bench = Bench::new("narrow");
    bench.tell("ALTER TABLE narrow.flows DROP COLUMN src_mac");
    let word = bench.sink("a").start().word();
    assert!(word.contains("src_mac") && word.contains("`weir migrate` makes the tables"), "{word}");
}

#[test]
fn a_table_that_goes_away_ends_the_sink_and_its_flows_wait() {
    let bench = Bench::new("dropped");
    let sink = bench.sink("a").start();
    bench.write(0, 10);
    bench.settle();
    bench.tell("RENAME TABLE dropped.links_1h TO dropped.away");
    bench.write(0, 10);
    let word = sink.word();
    assert!(word.contains("links_1h") && word.contains("refused"), "{word}");
    bench.tell("RENAME TABLE dropped.away TO dropped.links_1h");
    let sink = bench.sink("a").start();
    bench.settle();
    sink.end().unwrap();
    bench.check();
}
