//! The decoder on a real broker: what happens to flows when transactions fail, processes change, and records are poison.
//!
//! Failures are made around the real bus: [`Faulty`] aborts commits that were chosen, and sees what was sent and committed.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use support::{data, frame, template};
use weir_bus::kafka::{KafkaConsumer, KafkaProducer, KafkaReader, KafkaWriter};
use weir_bus::{
    Bus, Description, Error, Event, GroupConsumer, KafkaBus, Message, Position, Reader, Result, TopicSpec,
    Topics, Transactions, TxnError, Writer,
};
use weir_decoder::Config;
use weir_runtime::{Health, Stop};
use weir_schemas::avro::read_batch;
use weir_schemas::{Ip, deadletter};
use weir_stack::Kafka;
use weir_stack::bus::{Bends, BentBus, Done};
use weir_stack::kafka::Options;

const PARTITIONS: usize = 3;

/// What comes at all comes by then, on a busy machine too.
const LONG: Duration = Duration::from_secs(120);

/// Of a committed transaction: partitions written for, by topic, and partitions whose offsets were sent.
type Committed = (BTreeSet<(String, i32)>, BTreeSet<i32>);

/// What is to fail, and what was seen.
#[derive(Default)]
struct Plan {
    /// Commits of cycles that wrote flows, still to be aborted.
    abort_flows: u32,
    /// Every cycle that writes for this key aborts.
    poison: Option<Vec<u8>>,
    /// The bus does not answer a question about topics once, from the next assignment on.
    away_when_assigned: bool,
    away: bool,
    committed: Vec<Committed>,
    aborted: u32,
    /// Identities that producers and members were opened under.
    producers: Vec<String>,
    members: Vec<String>,
}

#[derive(Default)]
struct Faulty(Mutex<Plan>);

impl Deref for Faulty {
    type Target = Mutex<Plan>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// What an open transaction has written.
#[derive(Default)]
struct Written {
    sent: BTreeSet<(String, i32)>,
    poisoned: bool,
    flows: bool,
}

impl Bends for Faulty {
    type State = Written;

    fn join(&self, bus: &KafkaBus, group: &str, topic: &str, instance: &str) -> Result<KafkaConsumer> {
        self.lock().unwrap().members.push(instance.to_owned());
        bus.join(group, topic, instance)
    }

    fn transactional(&self, bus: &KafkaBus, id: &str) -> Result<KafkaProducer> {
        self.lock().unwrap().producers.push(id.to_owned());
        bus.transactional(id)
    }

    fn poll<'a>(&self, consumer: &'a mut KafkaConsumer, timeout: Duration) -> Result<Event<'a>> {
        let event = consumer.poll(timeout)?;
        if matches!(event, Event::Assigned(_)) {
            let mut plan = self.lock().unwrap();
            plan.away = std::mem::take(&mut plan.away_when_assigned);
        }
        Ok(event)
    }

    fn describe(&self, bus: &KafkaBus, topics: &[&str]) -> Result<Vec<Option<Description>>> {
        if std::mem::take(&mut self.lock().unwrap().away) {
            return Err(Error::Timeout { doing: "describing topics".to_owned(), waited: Duration::ZERO });
        }
        bus.describe(topics)
    }

    fn send(&self, written: &mut Written, producer: &mut KafkaProducer, message: &Message<'_>) -> Done {
        written.sent.insert((message.topic.to_owned(), message.partition));
        if message.topic.ends_with(".flows") {
            written.flows = true;
            written.poisoned |= self.lock().unwrap().poison.as_deref() == Some(message.key);
        }
        producer.send(message)
    }

    fn end(
        &self,
        written: &mut Written,
        producer: &mut KafkaProducer,
        consumer: &mut KafkaConsumer,
        offsets: &[Position],
    ) -> Done {
        let aborts = {
            let mut plan = self.lock().unwrap();
            let chosen = written.flows && plan.abort_flows > 0;
            plan.abort_flows -= u32::from(chosen);
            plan.aborted += u32::from(chosen || written.poisoned);
            chosen || written.poisoned
        };
        if aborts {
            producer.abort()?;
            return Err(TxnError::Aborted { reason: "made to fail".into(), refused: written.poisoned });
        }
        producer.commit(consumer, offsets)?;
        let partitions = offsets.iter().map(|position| position.partition).collect();
        self.lock().unwrap().committed.push((std::mem::take(&mut written.sent), partitions));
        Ok(())
    }
}

/// A set of topics of its own, on the one broker of this file.
struct Bench {
    bus: KafkaBus,
    plan: Arc<Faulty>,
    specs: Vec<TopicSpec>,
    topics: Topics,
    reader: Mutex<KafkaReader>,
    writer: Mutex<KafkaWriter>,
    /// Follows the flows, and has what came so far.
    flows: Mutex<(KafkaReader, BTreeMap<Ip, Vec<u64>>)>,
}

/// A decoder that runs.
struct Running {
    stop: Stop,
    thread: std::thread::JoinHandle<std::result::Result<(), weir_decoder::Error>>,
}

impl Running {
    fn end(self) -> std::result::Result<(), weir_decoder::Error> {
        self.stop.cancel();
        self.thread.join().unwrap()
    }
}

impl Bench {
    fn new(prefix: &str) -> Self {
        static BROKER: OnceLock<Kafka> = OnceLock::new();
        let broker = BROKER.get_or_init(|| {
            let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("decoder-kafka");
            let _ = std::fs::remove_dir_all(&dir);
            Kafka::start(&dir, Options::test()).unwrap_or_else(|error| panic!("{error}"))
        });
        let config = weir_bus::Config {
            bootstrap_servers: broker.bootstrap(),
            topic_prefix: prefix.to_owned(),
            partitions: PARTITIONS,
            session_timeout_ms: 6000,
            heartbeat_interval_ms: 1500,
            ..weir_bus::Config::default()
        };
        let (specs, topics) = (TopicSpec::all(&config, config.partitions), config.topics());
        let bus = KafkaBus::new(config).unwrap();
        for spec in &specs {
            bus.create(spec).unwrap();
        }
        let (reader, writer) = (Mutex::new(bus.reader().unwrap()), Mutex::new(bus.writer(16 << 20).unwrap()));
        let mut follower = bus.reader().unwrap();
        follower.tail(&topics.flows, &(0..PARTITIONS as i32).map(|p| (p, 0)).collect::<Vec<_>>()).unwrap();
        let flows = Mutex::new((follower, BTreeMap::new()));
        Self { bus, plan: Arc::default(), specs, topics, reader, writer, flows }
    }

    fn start(&self, instance: &str) -> Running {
        self.start_workers(instance, 1)
    }

    fn start_workers(&self, instance: &str, workers: usize) -> Running {
        let config = Config {
            group: format!("{}-decoder", self.topics.raw),
            instance: format!("{}-{instance}", self.topics.raw),
            workers,
            leave_on_stop: true,
            cycle_ms: 50,
            poison_after: 3,
            ..Config::default()
        };
        let (topics, specs, stop) = (self.topics.clone(), self.specs.clone(), Stop::new());
        let bus = BentBus::new(self.bus.clone(), Arc::clone(&self.plan));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(weir_decoder::run(
                config,
                bus,
                topics,
                specs,
                Health::default().condition("bus"),
                stopped,
            ))
        });
        Running { stop, thread }
    }

    /// Writes a frame of an exporter to its partition.
    fn raw(&self, exporter: Ip, payloads: &[Vec<u8>]) {
        let mut writer = self.writer.lock().unwrap();
        let partition = weir_bus::partition(&exporter.0, PARTITIONS);
        let frame = frame(payloads);
        let message = Message {
            topic: &self.topics.raw,
            partition,
            key: &exporter.0,
            value: Some(&frame),
            headers: &[],
        };
        writer.try_send(&message, 1).unwrap().unwrap();
        assert!(writer.flush(Duration::from_secs(10)));
    }

    /// Committed records of a topic: partition, key, value.
    fn read(&self, topic: &str) -> Vec<(i32, Vec<u8>, Vec<u8>)> {
        let mut reader = self.reader.lock().unwrap();
        let mut all = Vec::new();
        for partition in 0..PARTITIONS as i32 {
            let take = &mut |record: &weir_bus::Record<'_>| {
                let (key, value) = (record.key().unwrap_or_default(), record.value().unwrap_or_default());
                all.push((partition, key.to_vec(), value.to_vec()));
            };
            reader.restore(topic, &[partition], take).unwrap();
        }
        all
    }

    /// Packets of all flows by exporter, in order.
    fn packets(&self) -> BTreeMap<Ip, Vec<u64>> {
        let mut flows = self.flows.lock().unwrap();
        let (reader, seen) = &mut *flows;
        while let Some(record) = reader.poll_tail(Duration::from_millis(100)).unwrap() {
            let (batch, flows) = read_batch(record.value().unwrap()).unwrap();
            seen.entry(batch.exporter).or_default().extend(flows.map(|flow| flow.unwrap().packets));
        }
        seen.clone()
    }

    /// Waits until that many flows are there, and a moment longer for those that should not be.
    fn flows(&self, count: usize) -> BTreeMap<Ip, Vec<u64>> {
        let until = Instant::now() + LONG;
        while self.packets().values().flatten().count() < count {
            assert!(Instant::now() < until, "{count} flows did not come: {:?}", self.packets());
        }
        std::thread::sleep(Duration::from_millis(500));
        self.packets()
    }

    /// Waits until everything written to raw is committed by the decoder's group.
    fn drained(&self) {
        let until = Instant::now() + LONG;
        let all: Vec<i32> = (0..PARTITIONS as i32).collect();
        let ends: i64 =
            all.iter().map(|p| self.reader.lock().unwrap().bounds(&self.topics.raw, *p).unwrap().1).sum();
        let group = format!("{}-decoder", self.topics.raw);
        loop {
            let committed = self.reader.lock().unwrap().committed(&group, &self.topics.raw, &all).unwrap();
            let sum: i64 =
                committed.into_iter().filter_map(|(_, committed)| committed).map(|c| c.offset).sum();
            if sum >= ends {
                return;
            }
            assert!(Instant::now() < until, "{sum} of {ends} committed");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

const ONE: Ip = Ip::v4([192, 0, 2, 1]);

#[test]
fn an_aborted_cycle_takes_its_memory_with_it() {
    let bench = Bench::new("abort");
    let decoder = bench.start("a");
    bench.raw(ONE, &[data(256, &[1, 2])]);
    // The template releases what waited; that cycle is aborted twice, and must release it again.
    bench.plan.lock().unwrap().abort_flows = 2;
    bench.raw(ONE, &[template(256), data(256, &[3])]);
    let flows = bench.flows(3);
    assert_eq!(flows[&ONE], [1, 2, 3]);
    assert_eq!(bench.plan.lock().unwrap().aborted, 2);
    decoder.end().unwrap();
}

#[test]
fn a_worker_has_the_same_identity_at_every_start_as_a_member_and_as_a_producer() {
    let bench = Bench::new("identity");
    for _ in 0..2 {
        let decoder = bench.start_workers("a", 2);
        bench.raw(ONE, &[template(256), data(256, &[1])]);
        bench.drained();
        decoder.end().unwrap();
        let mut plan = bench.plan.lock().unwrap();
        let Plan { producers, members, .. } = &mut *plan;
        producers.sort_unstable();
        members.sort_unstable();
        // Group, instance, number: one that was drawn would leave a dead one's transaction open, and its partitions without a member.
        let wanted = [0, 1].map(|n| format!("identity.raw-decoder-identity.raw-a-{n}"));
        assert_eq!((&producers[..], &members[..]), (&wanted[..], &wanted[..]));
        producers.clear();
        members.clear();
    }
}

#[test]
fn partitions_that_come_while_a_commit_fails_are_not_forgotten() {
    let bench = Bench::new("inherit");
    let exporters: Vec<Ip> = (1..10).map(|n| Ip::v4([198, 51, 100, n])).collect();
    let (first, second) = (bench.start("a"), bench.start("b"));
    exporters.iter().for_each(|exporter| bench.raw(*exporter, &[template(256), data(256, &[1])]));
    bench.flows(exporters.len());
    // From here on every commit fails until the first has left, so the second inherits its partitions with a cycle that fails.
    bench.plan.lock().unwrap().abort_flows = u32::MAX;
    exporters.iter().for_each(|exporter| bench.raw(*exporter, &[data(256, &[2])]));
    first.end().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    bench.plan.lock().unwrap().abort_flows = 0;
    exporters.iter().for_each(|exporter| bench.raw(*exporter, &[data(256, &[3])]));
    let flows = bench.flows(exporters.len() * 3);
    exporters.iter().for_each(|exporter| assert_eq!(flows[exporter], [1, 2, 3], "{exporter}"));
    second.end().unwrap();
}

#[test]
fn partitions_whose_restore_fails_as_they_come_are_restored_later() {
    let bench = Bench::new("held");
    bench.raw(ONE, &[template(256), data(256, &[1])]);
    bench.plan.lock().unwrap().away_when_assigned = true;
    let decoder = bench.start("a");
    assert_eq!(bench.flows(1)[&ONE], [1]);
    let plan = bench.plan.lock().unwrap();
    assert!(!plan.away_when_assigned && !plan.away, "it was away");
    drop(plan);
    decoder.end().unwrap();
}

#[test]
fn offsets_of_a_topic_that_was_created_anew_are_not_taken_for_its_own() {
    let bench = Bench::new("anew");
    let first = bench.start("a");
    for n in 0..20 {
        bench.raw(ONE, &[template(256), data(256, &[n])]);
    }
    bench.flows(20);
    bench.drained();
    first.end().unwrap();
    bench.bus.delete(&bench.topics.raw).unwrap();
    let spec = bench.specs.iter().find(|spec| spec.name == bench.topics.raw).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !matches!(bench.bus.create(spec), Ok(true)) {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(100));
    }
    // Fewer than were committed before.
    bench.raw(ONE, &[data(256, &[100])]);
    let second = bench.start("a");
    assert_eq!(bench.flows(21)[&ONE][20..], [100]);
    second.end().unwrap();
}

#[test]
fn a_log_that_lost_its_tail_is_read_on_from_its_end() {
    let bench = Bench::new("tail");
    bench.raw(ONE, &[template(256), data(256, &[1])]);
    let decoder = bench.start("a");
    bench.flows(1);
    bench.drained();
    decoder.end().unwrap();
    // As if the log had held more when it was committed.
    let partition = weir_bus::partition(&ONE.0, PARTITIONS);
    let group = format!("{}-decoder", bench.topics.raw);
    let mut other = bench.bus.join(&group, &bench.topics.raw, "other").unwrap();
    let until = Instant::now() + LONG;
    while !matches!(other.poll(Duration::from_millis(100)).unwrap(), Event::Assigned(_)) {
        assert!(Instant::now() < until);
    }
    let metadata = other.committed(&[partition]).unwrap()[0].1.clone().unwrap().metadata;
    assert!(!metadata.is_empty(), "the incarnation is committed with every offset");
    other.commit(&[Position { partition, offset: 50, metadata }]).unwrap();
    other.leave().unwrap();

    let decoder = bench.start("a");
    std::thread::sleep(Duration::from_secs(2));
    bench.raw(ONE, &[data(256, &[2])]);
    assert_eq!(bench.flows(2)[&ONE], [1, 2]);
    decoder.end().unwrap();
}

#[test]
fn a_new_process_decodes_data_whose_template_it_never_saw() {
    let bench = Bench::new("takeover");
    let first = bench.start("a");
    bench.raw(ONE, &[template(256), data(256, &[1])]);
    bench.flows(1);
    first.end().unwrap();
    let second = bench.start("b");
    bench.raw(ONE, &[data(256, &[2])]);
    assert_eq!(bench.flows(2)[&ONE], [1, 2]);
    second.end().unwrap();
}

#[test]
fn a_record_that_fails_again_and_again_goes_to_the_dead_letters_and_the_rest_goes_on() {
    let bench = Bench::new("poison");
    // Both on one partition, so that the poison stands before the other.
    let same = |n: u8| {
        weir_bus::partition(&Ip::v4([192, 0, 2, n]).0, PARTITIONS) == weir_bus::partition(&ONE.0, PARTITIONS)
    };
    let other = Ip::v4([192, 0, 2, (2..255).find(|n| same(*n)).unwrap()]);
    bench.plan.lock().unwrap().poison = Some(ONE.0.to_vec());
    for n in 1..6 {
        bench.raw(other, &[template(256), data(256, &[n])]);
        if n == 3 {
            bench.raw(ONE, &[template(256), data(256, &[99])]);
        }
    }
    let decoder = bench.start("a");
    let flows = bench.flows(5);
    assert_eq!(flows.get(&ONE), None);
    assert_eq!(flows[&other], [1, 2, 3, 4, 5]);
    let dead = bench.read(&bench.topics.deadletter);
    assert_eq!(dead.len(), 1);
    let (about, bytes) = deadletter::read(&dead[0].2).unwrap();
    assert_eq!((about.reason.as_str(), about.offset), ("poison", 3));
    assert_eq!(bytes, frame(&[template(256), data(256, &[99])]));
    decoder.end().unwrap();
}

#[test]
fn every_transaction_carries_the_offsets_of_what_it_wrote_for_and_partitions_keep_their_number() {
    let bench = Bench::new("offsets");
    let decoder = bench.start("a");
    let exporters: Vec<Ip> = (1..20).map(|n| Ip::v4([198, 51, 100, n])).collect();
    for exporter in &exporters {
        // Flows, state (a template, parked data) and dead letters.
        bench.raw(*exporter, &[template(256), data(256, &[1]), data(300, &[2]), vec![0xee; 20]]);
    }
    bench.flows(exporters.len());
    bench.drained();
    let topics = &bench.topics;
    for topic in [&topics.flows, &topics.state, &topics.deadletter] {
        let records = bench.read(topic);
        assert!(records.len() >= exporters.len(), "{topic}");
        for (partition, key, _) in records {
            // A state key has its kind before the exporter.
            let exporter = if topic == &topics.state { &key[1..17] } else { &key[..16] };
            assert_eq!(partition, weir_bus::partition(exporter, PARTITIONS), "{topic}");
        }
    }
    for (written, offsets) in &bench.plan.lock().unwrap().committed {
        let partitions: BTreeSet<i32> = written.iter().map(|(_, partition)| *partition).collect();
        assert!(!offsets.is_empty() && partitions.is_subset(offsets), "{written:?} {offsets:?}");
    }
    decoder.end().unwrap();
}

#[test]
fn partitions_that_move_in_mid_stream_lose_and_double_nothing() {
    let bench = Bench::new("move");
    let first = bench.start("a");
    let exporters: Vec<Ip> = (1..10).map(|n| Ip::v4([203, 0, 113, n])).collect();
    exporters.iter().for_each(|exporter| bench.raw(*exporter, &[template(256)]));
    let mut second = None;
    for n in 1..40u64 {
        exporters.iter().for_each(|exporter| bench.raw(*exporter, &[data(256, &[n])]));
        if n == 10 {
            second = Some(bench.start("b"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let flows = bench.flows(exporters.len() * 39);
    first.end().unwrap();
    second.unwrap().end().unwrap();
    for exporter in exporters {
        assert_eq!(flows[&exporter], (1..40).collect::<Vec<_>>(), "{exporter}");
    }
}

#[test]
fn topics_that_are_missing_or_uneven_end_the_start_with_their_name() {
    let bench = Bench::new("uneven");
    bench.bus.delete(&bench.topics.state).unwrap();
    let error = bench.start("a").thread.join().unwrap().unwrap_err().to_string();
    assert_eq!(error, "topic uneven.state does not exist; `weir topics` creates it");
    let mut spec = bench.specs.iter().find(|spec| spec.name == bench.topics.state).unwrap().clone();
    spec.partitions = PARTITIONS + 1;
    let until = Instant::now() + Duration::from_secs(60);
    while !matches!(bench.bus.create(&spec), Ok(true)) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
    }
    let error = bench.start("a").thread.join().unwrap().unwrap_err().to_string();
    assert!(error.starts_with("topic uneven.state has 4 partitions, and 3 are expected"), "{error}");
}
