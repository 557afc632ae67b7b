//! Frames in, records out, without a bus: what a partition keeps is what it wrote.
#![allow(clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use std::collections::BTreeMap;
use support::{NOW, data, frame, frame_at, interface_options, rate_options, template};
use weir_decoder::Config;
use weir_decoder::enrich::links::{ExporterConfig, InterfaceConfig, LinkRule};
use weir_decoder::enrich::{Enricher, database::Databases};
use weir_decoder::partition::{Emit, Partition, RawRecord, Shared, Tally, To};
use weir_schemas::avro::read_batch;
use weir_schemas::inventory::{Classified, Entry, Member, Record};
use weir_schemas::quality::Quality;
use weir_schemas::{Connectivity, Ip, RateSource, deadletter};
use weir_wire::{Identity, TotalCounters};

const EXPORTER: [u8; 16] = Ip::v4([192, 0, 2, 9]).0;

type Written = (To, Vec<u8>, Option<Vec<u8>>);

#[derive(Default)]
struct Topics(Vec<Written>);

impl Emit for Topics {
    fn emit(&mut self, to: To, key: &[u8], value: Option<&[u8]>, _: &[(&str, &[u8])]) {
        self.0.push((to, key.to_vec(), value.map(<[u8]>::to_vec)));
    }
}

impl Topics {
    fn of(&self, wanted: To) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.0
            .iter()
            .filter(move |(to, ..)| *to == wanted)
            .map(|(_, key, value)| (key.as_slice(), value.as_deref()))
    }

    /// What compaction leaves.
    fn compacted(&self, wanted: To) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut left = BTreeMap::new();
        for (key, value) in self.of(wanted) {
            match value {
                Some(value) => left.insert(key.to_vec(), value.to_vec()),
                None => left.remove(key),
            };
        }
        left
    }

    fn packets(&self) -> Vec<u64> {
        let batches = self.of(To::Flows).map(|(_, value)| value.unwrap());
        batches.flat_map(|value| read_batch(value).unwrap().1.map(|flow| flow.unwrap().packets)).collect()
    }
}

struct Bench {
    config: Config,
    enricher: Enricher,
    databases: Databases,
    partition: Partition,
    topics: Topics,
    tally: Tally,
    offset: i64,
}

impl Bench {
    fn new(config: Config) -> Self {
        Self {
            enricher: Enricher::new(&config.enrich).unwrap(),
            databases: Databases::default(),
            partition: Partition::new(7, &config),
            topics: Topics::default(),
            tally: Tally::default(),
            offset: 0,
            config,
        }
    }

    fn feed(&mut self, key: &[u8], value: &[u8]) {
        let shared = Shared {
            config: &self.config,
            enricher: &self.enricher,
            databases: &self.databases,
            raw_topic: "weir.raw",
        };
        let record = RawRecord { offset: self.offset, key: Some(key), value: Some(value) };
        self.partition.frame(&record, &shared, &mut self.tally, &mut self.topics);
        self.partition.flush(&shared, &mut self.tally, &mut self.topics);
        self.offset += 1;
    }

    /// Another process takes over from what was written, perhaps under another configuration.
    fn taken_over(&self, config: Config) -> Self {
        self.taken_over_at(5, config)
    }

    fn taken_over_at(&self, now: i64, config: Config) -> Self {
        let mut next = Self { offset: self.offset, ..Self::new(config) };
        let shared = Shared {
            config: &next.config,
            enricher: &next.enricher,
            databases: &next.databases,
            raw_topic: "weir.raw",
        };
        for (key, value) in self.topics.compacted(To::State) {
            next.partition.restore_state(&key, Some(&value), &shared).unwrap();
        }
        for (key, value) in self.topics.compacted(To::Inventory) {
            next.partition.restore_inventory(&key, Some(&value)).unwrap();
        }
        next.partition.restored(&shared, now.unsigned_abs(), &mut next.topics);
        next
    }

    /// Somebody else writes what a person says of a link.
    fn say(&mut self, word: Classified) {
        let record = Record::Classified(word);
        let (key, value) = (record.key(&Ip(EXPORTER)), Entry::new(record, 1).value());
        self.topics.emit(To::Inventory, &key, Some(&value), &[]);
        self.partition.hear(&key, Some(&value)).unwrap();
    }

    /// What one more record is told of its links: in, out, and the neighbours there.
    fn told(&mut self, received: i64) -> String {
        self.feed(&EXPORTER, &frame_at(received, &[template(256), data(256, &[1])]));
        let (_, message) = self.topics.of(To::Flows).last().unwrap();
        let flow = read_batch(message.unwrap()).unwrap().1.next().unwrap().unwrap();
        format!(
            "in {} {} AS{}, out {} {} AS{}",
            flow.in_connectivity.word(),
            flow.in_provider,
            flow.src_neighbour_as,
            flow.out_connectivity.word(),
            flow.out_provider,
            flow.dst_neighbour_as
        )
    }

    fn links(&self) -> Vec<(String, Connectivity)> {
        let entries = self
            .topics
            .of(To::Inventory)
            .map(|(key, value)| Entry::read(key, value.unwrap()).unwrap().1.record);
        entries
            .filter_map(|record| match record {
                Record::Link { provider, connectivity, .. } => Some((provider, connectivity)),
                _ => None,
            })
            .collect()
    }
}

fn transit(provider: &str) -> Config {
    let rule = LinkRule {
        description: "^Transit".into(),
        provider: provider.into(),
        connectivity: "transit".into(),
        ..LinkRule::default()
    };
    let mut config = Config::default();
    config.enrich.links = vec![rule];
    config
}

#[test]
fn data_before_its_template_waits_and_is_decoded_in_order_when_it_comes() {
    let mut bench = Bench::new(Config::default());
    bench.feed(&EXPORTER, &frame(&[data(256, &[1, 2]), data(256, &[3])]));
    assert!(bench.topics.packets().is_empty());
    bench.feed(&EXPORTER, &frame(&[template(256), data(256, &[4])]));
    assert_eq!(bench.topics.packets(), [1, 2, 3, 4]);
    let parked_left = bench.topics.compacted(To::State).len();
    assert_eq!(parked_left, 1, "the template stays, what waited is gone");
}

#[test]
fn whoever_takes_over_decodes_what_waited_and_what_comes_without_a_new_template() {
    let mut first = Bench::new(Config::default());
    first.feed(&EXPORTER, &frame(&[template(256), data(257, &[7])]));
    let mut second = first.taken_over(Config::default());
    second.feed(&EXPORTER, &frame(&[data(256, &[1])]));
    second.feed(&EXPORTER, &frame(&[template(257)]));
    assert_eq!(second.topics.packets(), [1, 7]);
}

#[test]
fn a_rule_that_changed_is_written_at_the_next_start_and_only_then() {
    let mut first = Bench::new(transit("Old"));
    first.feed(&EXPORTER, &frame(&interface_options(3, "et-0/0/3", "Transit: somebody")));
    assert_eq!(first.links(), [("Old".to_owned(), Connectivity::Transit)]);
    assert!(first.taken_over(transit("Old")).topics.0.is_empty(), "nothing changed, nothing is written");
    assert_eq!(first.taken_over(transit("New")).links(), [("New".to_owned(), Connectivity::Transit)]);
    assert_eq!(first.taken_over(Config::default()).links(), [(String::new(), Connectivity::Unknown)]);
}

/// Interface 3 is on a link by a rule; 4 on none.
fn ruled() -> Config {
    let mut config = transit("Ruled");
    config.enrich.links[0].neighbour_as = "1299".into();
    config
}

fn said(members: &[(u32, i64, i64)]) -> Classified {
    let seconds = |ns: i64| u32::try_from(ns / 1_000_000_000).unwrap();
    let member = |&(index, from, to): &(u32, i64, i64)| Member {
        index,
        valid_from: seconds(from),
        valid_to: seconds(to),
    };
    Classified {
        id: "lan".into(),
        name: "LAN".into(),
        provider: "Said".into(),
        connectivity: Connectivity::Pni,
        neighbour_as: 3320,
        members: members.iter().map(member).collect(),
        ..Classified::default()
    }
}

const MINUTE: i64 = 60_000_000_000;
const BY_RULE: &str = "in transit Ruled AS1299, out unknown  AS0";
const ON_NONE: &str = "in unknown  AS0, out unknown  AS0";

#[test]
fn what_a_person_says_of_a_link_beats_rules_from_then_on_and_at_the_times_that_it_is_for() {
    let mut bench = Bench::new(ruled());
    bench.feed(&EXPORTER, &frame(&interface_options(3, "et-0/0/3", "Transit: somebody")));
    assert_eq!(bench.told(NOW), BY_RULE);
    bench.say(said(&[(3, NOW, NOW + MINUTE), (4, 0, NOW + 2 * MINUTE)]));
    for (received, expected) in [
        (NOW - 1, "in unknown  AS0, out pni Said AS3320"),
        (NOW, "in pni Said AS3320, out pni Said AS3320"),
        (NOW + MINUTE - 1, "in pni Said AS3320, out pni Said AS3320"),
        (NOW + MINUTE, "in unknown  AS0, out pni Said AS3320"),
        (NOW + 2 * MINUTE, ON_NONE),
    ] {
        assert_eq!(bench.told(received), expected, "{} ns after", received - NOW);
    }
    // A decoder that takes over is told it by the topic, also before the exporter sends anything.
    assert_eq!(bench.taken_over(ruled()).told(NOW), "in pni Said AS3320, out pni Said AS3320");
    // Said again it is replaced, and taken back rules count.
    bench.say(said(&[(4, 0, NOW + MINUTE)]));
    assert_eq!(bench.told(NOW), "in transit Ruled AS1299, out pni Said AS3320");
    bench.say(said(&[]));
    assert_eq!(bench.told(NOW), BY_RULE);
    assert_eq!(bench.taken_over(ruled()).told(NOW), BY_RULE);
}

#[test]
fn what_cannot_be_read_of_a_persons_word_leaves_the_one_before_in_force() {
    let mut bench = Bench::new(ruled());
    bench.say(said(&[(4, 0, NOW + MINUTE)]));
    let key = Record::Classified(said(&[])).key(&Ip(EXPORTER));
    let other = Entry::new(Record::Exporter { name: "x".into() }, 1).value();
    let newer = Entry { v: 9, ..Entry::new(Record::Classified(said(&[])), 1) }.value();
    for value in [&b"{"[..], &other, &newer] {
        bench.partition.hear(&key, Some(value)).unwrap_err();
    }
    assert_eq!(bench.told(NOW), "in unknown  AS0, out pni Said AS3320");
    bench.partition.hear(&key, None).unwrap();
    assert_eq!(bench.told(NOW), ON_NONE);
}

#[test]
fn an_interface_known_by_its_index_alone_is_on_its_link_too() {
    let rule =
        LinkRule { index: 4, provider: "LAN-IX".into(), connectivity: "ix".into(), ..LinkRule::default() };
    let mut config = Config::default();
    config.enrich.links = vec![rule];
    let mut bench = Bench::new(config.clone());
    bench.feed(&EXPORTER, &frame(&[template(256), data(256, &[1])]));
    assert_eq!(bench.links(), [("LAN-IX".to_owned(), Connectivity::Ix)]);
    config.enrich.links[0].provider = "Other-IX".into();
    assert_eq!(bench.taken_over(config).links(), [("Other-IX".to_owned(), Connectivity::Ix)]);
}

#[test]
fn an_exporter_that_only_the_configuration_knows_is_in_the_inventory_from_its_first_datagram() {
    let mut config = transit("A");
    config.enrich.exporters = vec![ExporterConfig {
        address: "192.0.2.9".into(),
        name: "edge9".into(),
        interfaces: vec![InterfaceConfig {
            index: 5,
            description: "Transit".into(),
            ..InterfaceConfig::default()
        }],
        ..ExporterConfig::default()
    }];
    let mut bench = Bench::new(config.clone());
    bench.feed(&EXPORTER, &frame(&[template(256)]));
    assert_eq!(bench.links(), [("A".to_owned(), Connectivity::Transit)]);
    let written = bench.topics.of(To::Inventory).count();
    assert_eq!(written, 3, "the exporter's name, the interface, its link");
    bench.feed(&EXPORTER, &frame(&[template(256)]));
    let mut next = bench.taken_over(config);
    next.feed(&EXPORTER, &frame(&[template(256)]));
    assert_eq!(bench.topics.of(To::Inventory).count() + next.topics.of(To::Inventory).count(), written);
}

#[test]
fn a_rate_of_the_configuration_is_in_the_inventory_until_it_is_taken_out_of_it() {
    let configured = |sampling_interval| {
        let mut config = Config::default();
        let address = "192.0.2.9".to_owned();
        config.enrich.exporters =
            vec![ExporterConfig { address, sampling_interval, ..ExporterConfig::default() }];
        config
    };
    let told = |bench: &Bench| -> Vec<(RateSource, u64, i64)> {
        let read = |(key, value): (&[u8], Option<&[u8]>)| Entry::read(key, value.unwrap()).unwrap().1.record;
        let rate = |record| match record {
            Record::Rate { source, interval, valid_from, .. } => Some((source, interval, valid_from)),
            _ => None,
        };
        bench.topics.of(To::Inventory).map(read).filter_map(rate).collect()
    };
    let mut bench = Bench::new(configured(2000));
    bench.feed(&EXPORTER, &frame(&[template(256), data(256, &[1])]));
    assert_eq!(told(&bench), [(RateSource::Default, 2_000_000, 0)]);
    assert!(told(&bench.taken_over(configured(2000))).is_empty(), "nothing changed, nothing is written");
    let mut next = bench.taken_over(configured(0));
    next.feed(&EXPORTER, &frame(&[data(256, &[1])]));
    assert_eq!(told(&next), [(RateSource::Default, 0, 0)]);
    let refused = Enricher::new(&configured(1 << 33).enrich).unwrap_err();
    assert_eq!(refused, "decoder.enrich.exporters[0].sampling_interval: 8589934592 is above 4294967296");
}

#[test]
fn rates_that_are_taken_back_leave_nothing_behind_once_everybody_has_heard_of_it() {
    const HOUR: i64 = 3600 * 1_000_000_000;
    let mut bench = Bench::new(Config::default());
    for n in 0..100 {
        let selectors = n * 100..(n + 1) * 100;
        bench.feed(&EXPORTER, &frame(&rate_options(selectors.clone(), 1000)));
        assert_eq!(bench.partition.published(), 100);
        bench.feed(&EXPORTER, &frame(&rate_options(selectors, 0)));
        assert_eq!(bench.partition.published(), 0);
    }
    bench.feed(&EXPORTER, &frame(&rate_options(7..8, 500)));
    assert_eq!(bench.topics.compacted(To::Inventory).len(), 10_000);
    for (hours, left) in [(1, 10_000), (23, 10_000), (25, 1)] {
        let mut next = bench.taken_over_at(NOW + hours * HOUR, Config::default());
        assert_eq!(next.partition.published(), 1);
        bench.topics.0.append(&mut next.topics.0);
        assert_eq!(bench.topics.compacted(To::Inventory).len(), left, "{hours}");
        next.feed(&EXPORTER, &frame_at(NOW + hours * HOUR, &rate_options(7..8, 500)));
        assert_eq!(next.topics.of(To::Inventory).count(), 0, "nothing is new");
    }
}

#[test]
fn who_an_exporter_is_goes_by_configuration_and_the_key_stays_its_source_address() {
    let numbers = |numbers: &[u32]| numbers.iter().flat_map(|n| n.to_be_bytes()).collect::<Vec<u8>>();
    // Version 5, agent 203.0.113.7, one flow sample without records.
    let head = numbers(&[5, 1, 0xcb00_7107, 0, 1, 1, 1]);
    let sample = [head, numbers(&[1, 32, 1, 3, 100, 1000, 0, 3, 7, 0])].concat();
    let agent = Ip::v4([203, 0, 113, 7]);
    let who = |of_all, of_one| {
        let mut config = Config::default();
        config.wire.identity = of_all;
        let address = "192.0.2.9".to_owned();
        config.enrich.exporters =
            vec![ExporterConfig { address, identity: of_one, ..ExporterConfig::default() }];
        let mut bench = Bench::new(config.clone());
        bench.feed(&EXPORTER, &frame(&[sample.clone(), template(256)]));
        // One that is known from a restore alone is configured too.
        let mut next = bench.taken_over(config);
        next.feed(&EXPORTER, &frame(std::slice::from_ref(&sample)));
        assert!(bench.topics.compacted(To::State).keys().all(|key| key[1..17] == EXPORTER));
        let of = |bench: &Bench| {
            let (key, value) = bench.topics.of(To::Flows).next().unwrap();
            let (batch, mut flows) = read_batch(value.unwrap()).unwrap();
            assert_eq!((key, batch.exporter.0), (&EXPORTER[..], EXPORTER));
            flows.next().unwrap().unwrap().exporter_id
        };
        assert_eq!(of(&bench), of(&next));
        of(&bench)
    };
    for (of_all, of_one, wanted) in [
        (Identity::Told, None, agent),
        (Identity::Source, None, Ip(EXPORTER)),
        (Identity::Source, Some(Identity::Agent), agent),
        (Identity::Told, Some(Identity::Source), Ip(EXPORTER)),
        (Identity::OriginalExporter, None, Ip(EXPORTER)),
    ] {
        assert_eq!(who(of_all, of_one), wanted, "{of_all:?}, {of_one:?}");
    }
}

#[test]
fn of_one_exporter_counters_run_on_by_configuration_and_a_takeover_counts_nothing_twice() {
    // Octets and packets since the flow began.
    let totals = |mut template: Vec<u8>| {
        (template[33], template[37]) = (85, 86);
        template
    };
    let other = Ip::v4([192, 0, 2, 10]).0;
    let mut config = Config::default();
    config.enrich.exporters = vec![ExporterConfig {
        address: "192.0.2.9".to_owned(),
        total_counters: Some(TotalCounters::Cumulative),
        ..ExporterConfig::default()
    }];
    let mut bench = Bench::new(config.clone());
    for exporter in [EXPORTER, other] {
        bench.feed(&exporter, &frame(&[totals(template(256)), data(256, &[5])]));
        bench.feed(&exporter, &frame(&[data(256, &[7])]));
    }
    assert_eq!(bench.topics.packets(), [0, 2, 5, 7]);
    assert_eq!(bench.tally.counts.totals_unknown, 1);
    let mut next = bench.taken_over(config);
    next.feed(&EXPORTER, &frame(&[data(256, &[10])]));
    next.feed(&other, &frame(&[data(256, &[10])]));
    assert_eq!(next.topics.packets(), [3, 10]);
    assert!(next.topics.compacted(To::DeadLetter).is_empty());
}

#[test]
fn what_cannot_be_decoded_is_dead_lettered_whole_and_its_neighbours_are_not() {
    let mut bench = Bench::new(Config::default());
    let garbage = vec![0xee; 40];
    bench.feed(&EXPORTER, &frame(&[template(256), garbage.clone(), data(256, &[5])]));
    assert_eq!(bench.topics.packets(), [5]);
    let dead: Vec<_> =
        bench.topics.of(To::DeadLetter).map(|(key, value)| (key.to_vec(), value.unwrap().to_vec())).collect();
    assert_eq!(dead.len(), 1);
    let (about, bytes) = deadletter::read(&dead[0].1).unwrap();
    assert_eq!((dead[0].0.as_slice(), bytes), (&EXPORTER[..], garbage.as_slice()));
    assert_eq!((about.reason.as_str(), about.partition, about.frame_index), ("unknown_version", 7, 1));

    bench.feed(&[1, 2, 3], b"frame");
    bench.feed(&EXPORTER, &[9, 9, 9]);
    let reasons: Vec<_> = bench
        .topics
        .of(To::DeadLetter)
        .map(|(_, value)| deadletter::read(value.unwrap()).unwrap().0.reason)
        .collect();
    assert_eq!(reasons, ["unknown_version", "bad_key", "bad_frame"]);
}

#[test]
fn a_letter_fits_a_message_however_large_the_key_and_the_bytes_of_its_record_are() {
    let mut bench = Bench::new(Config::default());
    // Together as much as a message may hold.
    let (key, value) = (vec![7; 200_000], vec![9; 799_000]);
    bench.feed(&key, &value);
    let (cut, letter) = bench.topics.of(To::DeadLetter).next().unwrap();
    assert!(key.starts_with(cut) && cut.len() + letter.unwrap().len() < 950_000, "{}", cut.len());
    let (about, bytes) = deadletter::read(letter.unwrap()).unwrap();
    assert_eq!((about.reason.as_str(), bytes), ("bad_key", &value[..]));
    assert!(about.sentence.contains("200000 bytes"), "{}", about.sentence);
}

#[test]
fn a_batch_is_cut_before_it_is_too_large_for_a_message() {
    let mut bench = Bench::new(Config::default());
    let many: Vec<u64> = (0..1500).collect();
    let datagrams: Vec<_> = std::iter::once(template(256)).chain((0..10).map(|_| data(256, &many))).collect();
    bench.feed(&EXPORTER, &frame(&datagrams));
    assert_eq!(bench.topics.packets().len(), 15_000);
    let sizes: Vec<_> = bench.topics.of(To::Flows).map(|(_, value)| value.unwrap().len()).collect();
    assert!(
        sizes.len() > 3 && sizes.iter().all(|size| *size <= weir_schemas::avro::MAX_BATCH_BYTES),
        "{sizes:?}"
    );
}

#[test]
fn spoofed_addresses_do_not_fill_memory() {
    let mut bench = Bench::new(Config { exporters: 10, ..Config::default() });
    bench.feed(&EXPORTER, &frame(&[template(256)]));
    for n in 0..200u8 {
        bench.feed(&Ip::v4([203, 0, 113, n]).0, &frame(&[vec![0xee; 8]]));
        assert!(bench.partition.exporters() <= 10);
    }
    // The one of which something is known was kept, and what was sent is put aside with its reason, whoever sent it.
    bench.feed(&EXPORTER, &frame(&[data(256, &[1])]));
    assert_eq!(bench.topics.packets(), [1]);
    assert_eq!(bench.tally.dead.values().sum::<u64>(), 200);
}

/// A datagram of version 5 whose flows come and go by these interfaces, two each.
fn by_interfaces(interfaces: std::ops::Range<u16>) -> Vec<u8> {
    let numbers: Vec<_> = interfaces.collect();
    let mut payload = vec![0; 24];
    (payload[1], payload[3]) = (5, u8::try_from(numbers.len() / 2).unwrap());
    for pair in numbers.chunks(2) {
        let mut record = [0; 48];
        record[12..14].copy_from_slice(&pair[0].to_be_bytes());
        record[14..16].copy_from_slice(&pair[1].to_be_bytes());
        record[19] = 1;
        payload.extend(record);
    }
    payload
}

#[test]
fn interfaces_that_spoofed_addresses_make_up_fill_neither_memory_nor_the_room_of_others() {
    let mut config = Config::default();
    config.enrich.links = vec![LinkRule { index: 7, neighbour_as: "1299".into(), ..LinkRule::default() }];
    let mut bench = Bench::new(config);
    let made_up: Vec<_> = (0..70).map(|n| by_interfaces(1000 + n * 60..1060 + n * 60)).collect();
    for exporter in 0..300_u16 {
        let [high, low] = exporter.to_be_bytes();
        bench.feed(&Ip::v4([203, 0, high, low]).0, &frame(&made_up));
        bench.topics.0.clear();
    }
    assert_eq!(bench.partition.interfaces(), 1 << 20);
    for _ in 0..2 {
        bench.feed(&EXPORTER, &frame_at(LATER, &[by_interfaces(7..9)]));
    }
    let links = bench.topics.of(To::Inventory).filter(|(key, _)| key[16] == b'l').count();
    assert_eq!((links, bench.partition.interfaces()), (1, 2));
}

#[test]
fn exporters_that_went_silent_make_room_and_their_state_goes_with_them() {
    const HOUR: i64 = 3600 * 1_000_000_000;
    let mut bench = Bench::new(Config { exporters: 10, ..transit("T") });
    let address = |n: u8| Ip::v4([203, 0, 113, n]).0;
    for n in 0..10 {
        let options = interface_options(4, "et0", "Transit: T");
        bench.feed(&address(n), &frame(&[vec![template(256)], options, vec![data(256, &[1])]].concat()));
    }
    // All of them may still send: the eleventh is put aside whole, and told why.
    bench.feed(&address(10), &frame(&[template(256), data(256, &[2])]));
    assert_eq!(bench.partition.exporters(), 10);
    assert_eq!(bench.tally.dead, BTreeMap::from([("too_many_exporters", 1)]));
    // What a person said of one of them is not the decoder's to take back.
    let word = Record::Classified(said(&[(3, 0, NOW)]));
    let (key, value) = (word.key(&Ip(address(7))), Entry::new(word, 1).value());
    bench.partition.hear(&key, Some(&value)).unwrap();

    // One of them goes on; an hour later the others are forgotten.
    bench.feed(&address(3), &frame_at(NOW + HOUR + HOUR / 2, &[data(256, &[3])]));
    bench.feed(&address(10), &frame_at(NOW + HOUR + HOUR / 2, &[template(256), data(256, &[4])]));
    assert_eq!(bench.partition.exporters(), 2);
    assert!(
        bench
            .topics
            .of(To::Inventory)
            .any(|(other, value)| other.starts_with(&address(7)) && value.is_none())
    );
    assert!(bench.topics.of(To::Inventory).all(|(other, _)| other != key));
    assert!(bench.topics.packets().ends_with(&[3, 4]));
    assert_eq!(bench.partition.dump(), bench.topics.compacted(To::State));
    let next = bench.taken_over(transit("T"));
    assert_eq!(next.partition.exporters(), 2, "a restart does not bring them back");
}

const LATER: i64 = NOW + 2 * 3600 * 1_000_000_000;

/// One of its own clock, which stands still without it, would wait for ever: 100 000 datagrams of made-up addresses were enough to keep all others out.
#[test]
fn exporters_that_went_silent_while_something_waited_make_room_too() {
    let mut bench = Bench::new(Config { exporters: 3, ..Config::default() });
    let address = |n: u8| Ip::v4([203, 0, 113, n]).0;
    for n in 0..2 {
        bench.feed(&address(n), &frame(&[data(256, &[1])]));
    }
    bench.feed(&EXPORTER, &frame(&[template(256)]));
    bench.feed(&address(2), &frame(&[template(256), data(256, &[2])]));
    assert_eq!(bench.tally.dead, BTreeMap::from([("too_many_exporters", 1)]), "all of them may still send");

    bench.feed(&EXPORTER, &frame_at(LATER, &[data(256, &[3])]));
    bench.feed(&address(2), &frame_at(LATER, &[template(256), data(256, &[4])]));
    assert_eq!(bench.topics.packets(), [3, 4]);
    assert_eq!(bench.tally.dead, BTreeMap::from([("parked_at_end", 2), ("too_many_exporters", 1)]));
    assert_eq!(bench.partition.exporters(), 2);
    assert_eq!(bench.partition.dump(), bench.topics.compacted(To::State));
}

#[test]
fn what_silent_exporters_left_behind_does_not_take_the_room_of_those_that_send() {
    let silent = Ip::v4([203, 0, 113, 1]).0;
    let garbage = [vec![0xee; 8]];
    // Data that waits, and templates, each as much as there is room for.
    let waiting = |n: u16| data(256 + n, &[1; 10]);
    let templates = |n: u16| template(256 + n);
    let few = Config { parked_bytes: 20_000, ..Config::default() };
    let small = Config { state_bytes: 200_000, ..Config::default() };
    for (config, fill, full) in [
        (few, &waiting as &dyn Fn(u16) -> Vec<u8>, "parked_limit"),
        (small, &templates as &dyn Fn(u16) -> Vec<u8>, "state_limit"),
    ] {
        let mut bench = Bench::new(config);
        bench.feed(&EXPORTER, &frame(&garbage));
        let mut n = 0;
        while !bench.tally.dead.contains_key(full) {
            bench.feed(&silent, &frame(&[fill(n)]));
            n += 1;
            assert!(n < 5000, "{full}");
        }
        bench.tally.dead.clear();
        let sent = |id| [data(id, &[1; 10]), template(id)];
        bench.feed(&EXPORTER, &frame(&sent(256)));
        assert_eq!(bench.tally.dead.remove(full), Some(1), "it may still send");
        bench.feed(&EXPORTER, &frame_at(LATER, &garbage));
        bench.feed(&EXPORTER, &frame_at(LATER, &sent(257)));
        assert_eq!(bench.tally.dead.get(full), None);
        assert_eq!(bench.topics.packets(), [1; 10], "{full}");
        assert_eq!(bench.partition.exporters(), 1);
        assert_eq!(bench.partition.dump(), bench.topics.compacted(To::State));
    }
}

/// Being silent takes nothing from one that comes back where it is its own room that is short.
#[test]
fn an_exporter_that_comes_back_has_its_templates() {
    let mut bench = Bench::new(Config { parked_bytes: 1000, ..Config::default() });
    bench.feed(&EXPORTER, &frame(&[template(256), data(257, &[1; 12])]));
    bench.feed(&Ip::v4([203, 0, 113, 1]).0, &frame_at(LATER, &[vec![0xee; 8]]));
    bench.feed(&EXPORTER, &frame_at(LATER, &[data(256, &[7])]));
    assert_eq!(bench.topics.packets(), [7]);
}

fn datagram() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![
        (256u16..259).prop_map(|id| vec![template(id)]),
        (256u16..259, prop::collection::vec(1u64..9, 1..4))
            .prop_map(|(id, packets)| vec![data(id, &packets)]),
        (1u32..4, "[a-z]{1,4}", "[a-z]{0,4}").prop_map(|(n, name, text)| interface_options(n, &name, &text)),
        prop::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| vec![bytes]),
    ]
}

fn word() -> impl Strategy<Value = Classified> {
    let member = (1u32..5, 0..3i64, 0..3i64)
        .prop_map(|(index, from, to)| (index, NOW + (from - 1) * MINUTE, NOW + (to - 1) * MINUTE));
    ("[ab]", prop::collection::vec(member, 0..3)).prop_map(|(id, members)| Classified {
        id: id.clone(),
        provider: id,
        ..said(&members)
    })
}

proptest! {
    /// Rule 2 rests on this: memory can be thrown away, because what was written makes it again.
    #[test]
    fn what_is_kept_is_what_was_written(
        frames in prop::collection::vec((0u8..3, datagram(), prop::option::of(word())), 1..20),
    ) {
        let mut bench = Bench::new(transit("T"));
        for (exporter, payloads, word) in frames {
            word.into_iter().for_each(|word| bench.say(word));
            bench.feed(&Ip::v4([192, 0, 2, 7 + exporter]).0, &frame(&payloads));
        }
        prop_assert_eq!(bench.partition.dump(), bench.topics.compacted(To::State));
        let mut next = bench.taken_over(transit("T"));
        prop_assert_eq!(next.partition.dump(), bench.partition.dump());
        prop_assert!(next.topics.0.is_empty(), "a take-over without a change writes nothing: {:?}", next.topics.0);
        for received in [NOW - MINUTE, NOW, NOW + MINUTE] {
            prop_assert_eq!(next.told(received), bench.told(received));
        }
    }
}

#[test]
fn how_well_telemetry_arrives_is_told_once_a_minute_as_sums_and_another_decoder_begins_its_own() {
    let minute = |n: i64| NOW + n * 60_000_000_000;
    let numbered = |number: u32, packets: &[u64]| {
        let mut message = data(256, packets);
        message[8..12].copy_from_slice(&number.to_be_bytes());
        message
    };
    let told = |bench: &Bench| {
        let entries =
            bench.topics.of(To::Inventory).map(|(key, value)| Entry::read(key, value.unwrap()).unwrap().1);
        entries
            .filter_map(|entry| match entry.record {
                Record::Quality(quality) => Some(quality),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let mut bench = Bench::new(Config::default());
    // Two of the records are missing.
    let first = [template(256), numbered(0, &[1, 2]), numbered(4, &[3]), vec![0, 6, 2]];
    bench.feed(&EXPORTER, &frame_at(minute(0), &first));
    bench.feed(&EXPORTER, &frame_at(minute(1) - 1, &[numbered(5, &[4])]));
    assert_eq!(told(&bench), []);
    bench.feed(&EXPORTER, &frame_at(minute(1), &[numbered(6, &[5])]));
    bench.feed(&EXPORTER, &frame_at(minute(3), &[numbered(7, &[6])]));
    let [one, two] = &told(&bench)[..] else { panic!("{:?}", told(&bench)) };
    assert_eq!((one.since, i64::from(one.time), one.datagrams), (minute(0), minute(0) / 1_000_000_000, 5));
    assert_eq!((one.templates, one.dead.get("unsupported_version")), (1, Some(&1)));
    let counted = |quality: &Quality| {
        quality.sessions.iter().map(|one| (one.by_records, one.received, one.missing)).collect::<Vec<_>>()
    };
    assert_eq!(counted(one), [(true, 4, 2)]);
    assert_eq!((two.since, i64::from(two.time), two.datagrams), (minute(0), minute(1) / 1_000_000_000, 6));
    assert_eq!(counted(two), [(true, 5, 2)]);

    let mut next = bench.taken_over(Config::default());
    // What came meanwhile is nobody's loss.
    next.feed(&EXPORTER, &frame_at(minute(4), &[numbered(1000, &[1])]));
    next.feed(&EXPORTER, &frame_at(minute(5), &[numbered(1001, &[1])]));
    let [anew] = &told(&next)[..] else { panic!("{:?}", told(&next)) };
    assert_eq!((anew.since, anew.datagrams, counted(anew)), (minute(4), 1, vec![(true, 1, 0)]));
}
