//! What a person says of a link while the decoder runs, on the bus of one process: it is heard, survives a restart, and can be taken back.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::time::{Duration, Instant};
use support::{data, frame, interface_options, template};
use weir_bus::{Bus, EmbeddedBus, EmbeddedConfig, Message, Reader, TopicSpec, Writer, partition};
use weir_decoder::Config;
use weir_decoder::enrich::links::LinkRule;
use weir_runtime::{Health, Stop};
use weir_schemas::avro::read_batch;
use weir_schemas::inventory::{Classified, Entry, Member, Record};
use weir_schemas::{Connectivity, Ip};

const EXPORTER: Ip = Ip::v4([192, 0, 2, 9]);
const LONG: Duration = Duration::from_secs(60);

struct Bench {
    config: weir_bus::Config,
    bus: EmbeddedBus,
    writer: <EmbeddedBus as Bus>::Writer,
    reader: <EmbeddedBus as Bus>::Reader,
    /// Frames that were sent, each with one flow.
    sent: usize,
    /// What the flows were told of their input interface.
    told: Vec<Connectivity>,
}

impl Bench {
    fn new(folder: &Path) -> Self {
        let embedded =
            EmbeddedConfig { path: folder.join("bus"), partitions: 2, ..EmbeddedConfig::default() };
        let config = weir_bus::Config { embedded, ..weir_bus::Config::default() };
        let bus = EmbeddedBus::open(config.clone()).unwrap();
        for spec in TopicSpec::all(&config, bus.partitions()) {
            bus.create(&spec).unwrap();
        }
        let (writer, mut reader) = (bus.writer(1 << 20).unwrap(), bus.reader().unwrap());
        reader.tail(&bus.topics().flows, &[(0, 0), (1, 0)]).unwrap();
        Self { config, bus, writer, reader, sent: 0, told: Vec::new() }
    }

    fn write(&mut self, topic: &str, key: &[u8], value: &[u8]) {
        let partition = partition(&EXPORTER.0, self.bus.partitions());
        let message = Message { topic, partition, key, value: Some(value), headers: &[] };
        self.writer.try_send(&message, 1).unwrap().unwrap();
        assert!(self.writer.flush(LONG));
    }

    fn say(&mut self, members: &[u32]) {
        let member = |index: &u32| Member { index: *index, valid_from: 0, valid_to: u32::MAX };
        let record = Record::Classified(Classified {
            id: "pni".into(),
            connectivity: Connectivity::Pni,
            members: members.iter().map(member).collect(),
            ..Classified::default()
        });
        let (key, topic) = (record.key(&EXPORTER), self.bus.topics().inventory);
        self.write(&topic, &key, &Entry::new(record, 1).value());
    }

    /// Sends one flow, and waits until it is decoded.
    fn next(&mut self) -> Connectivity {
        let topic = self.bus.topics().raw;
        let options = interface_options(3, "et-0/0/3", "Transit: somebody");
        self.write(&topic, &EXPORTER.0, &frame(&[options, vec![template(256), data(256, &[1])]].concat()));
        self.sent += 1;
        let begun = Instant::now();
        while self.told.len() < self.sent {
            assert!(begun.elapsed() < LONG, "{} of {} flows", self.told.len(), self.sent);
            let Some(record) = self.reader.poll_tail(Duration::from_millis(50)).unwrap() else { continue };
            let (_, flows) = read_batch(record.value().unwrap()).unwrap();
            self.told.extend(flows.map(|flow| flow.unwrap().in_connectivity));
        }
        *self.told.last().unwrap()
    }

    fn until(&mut self, expected: Connectivity) {
        let begun = Instant::now();
        while self.next() != expected {
            assert!(begun.elapsed() < LONG, "{:?}", self.told);
        }
    }

    /// Does something while a decoder runs.
    async fn decoding<T: Send + 'static>(
        mut self,
        does: impl FnOnce(&mut Self) -> T + Send + 'static,
    ) -> (Self, T) {
        let rule = LinkRule {
            description: "^Transit".into(),
            connectivity: "transit".into(),
            ..LinkRule::default()
        };
        let mut config = Config { cycle_ms: 20, workers: 1, ..Config::default() };
        config.enrich.links = vec![rule];
        let (stop, topics) = (Stop::new(), self.bus.topics());
        let specs = TopicSpec::all(&self.config, self.bus.partitions());
        let ready = Health::default().condition("decoder");
        let run =
            tokio::spawn(weir_decoder::run(config, self.bus.clone(), topics, specs, ready, stop.clone()));
        let done = tokio::task::spawn_blocking(move || {
            let of = does(&mut self);
            (self, of)
        });
        let done = done.await.unwrap();
        stop.cancel();
        run.await.unwrap().unwrap();
        done
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_person_says_while_it_runs_is_heard_survives_a_restart_and_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let bench = Bench::new(folder.path());
    let (bench, first) = bench
        .decoding(|bench| {
            let first = bench.next();
            bench.say(&[3]);
            bench.until(Connectivity::Pni);
            first
        })
        .await;
    assert_eq!(first, Connectivity::Transit);
    let (bench, first) = bench.decoding(Bench::next).await;
    assert_eq!(first, Connectivity::Pni, "the next process is told it before it decodes anything");
    let (mut bench, ()) = bench
        .decoding(|bench| {
            bench.say(&[]);
            bench.until(Connectivity::Transit);
        })
        .await;
    assert!(bench.reader.poll_tail(Duration::from_millis(100)).unwrap().is_none());
    assert_eq!(bench.told.len(), bench.sent, "each flow once");
    let heard: Vec<_> = bench.told.chunk_by(|a, b| a == b).map(|run| run[0]).collect();
    assert_eq!(heard, [Connectivity::Transit, Connectivity::Pni, Connectivity::Transit]);
}
