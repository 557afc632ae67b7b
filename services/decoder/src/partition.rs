//! All that is known of the exporters on one partition, and what a frame of `weir.raw` becomes.
//!
//! No I/O: records go out through [`Emit`], so that the same code runs under a transaction, in a test, or over a capture. What
//! must stay true: the state here after a frame is what a restore of everything emitted so far would give (tested), because an
//! aborted cycle throws this away and restores (docs/exactly-once.md, rule 2).

use crate::config::Config;
use crate::enrich::database::Databases;
use crate::enrich::said::{People, Word};
use crate::enrich::{Enricher, Known};
use crate::quality::Arrivals;
use ahash::{AHashMap, HashMap};
use std::collections::BTreeMap;
use weir_schemas::avro::{self, BatchWriter, FINGERPRINT_HEADER};
use weir_schemas::deadletter::{self, About};
use weir_schemas::frame::{self, Datagram};
use weir_schemas::inventory::{Entry, Record, is_classified};
use weir_schemas::{Batch, Flow, Ip, RateSource, SamplingKind};
use weir_wire::{Budget, Context, Counts, Exporter, Fault, Interface, Output, Rate};

/// Where a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum To {
    /// `weir.flows`.
    Flows,
    /// `weir.state`.
    State,
    /// `weir.inventory`.
    Inventory,
    /// `weir.deadletter`.
    DeadLetter,
}

/// Takes records for the partition's number of each output topic. It keeps its own first error.
pub trait Emit {
    /// Takes a record.
    fn emit(&mut self, to: To, key: &[u8], value: Option<&[u8]>, headers: &[(&str, &[u8])]);
}

/// What a cycle did, for metrics after its commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// What decoding counted.
    pub counts: Counts,
    /// Dead letters by reason.
    pub dead: BTreeMap<&'static str, u64>,
    /// Batches written.
    pub batches: u64,
    /// Flows written.
    pub flows: u64,
    /// Flows of which neither AS is known.
    pub without_as: u64,
    /// Flows whose sampling interval is not known.
    pub without_rate: u64,
    /// Flows whose input interface has no name.
    pub without_interface: u64,
}

/// What all frames of a cycle share.
pub struct Shared<'s> {
    /// Configuration.
    pub config: &'s Config,
    /// Enrichment.
    pub enricher: &'s Enricher,
    /// Databases of this cycle.
    pub databases: &'s Databases,
    /// Name of the raw topic, for dead letters.
    pub raw_topic: &'s str,
}

/// One exporter: the decoder's state, what enrichment knows, and its unfinished batch.
#[derive(Default)]
struct Source {
    wire: Exporter,
    known: Known,
    batch: BatchWriter,
    arrivals: Arrivals,
    /// When it last sent, by the receive time of its datagrams, ns; 0: not since the restore.
    seen: i64,
}

/// An exporter that sent nothing for this long makes room for another where there is none, ns.
const IDLE: i64 = 3600 * 1_000_000_000;

/// For how long a rate that was taken back stays in `weir.inventory`, ns, so that who reads on has heard of it; restores bury it, and nothing else does.
const TOLD: u64 = 24 * 3600 * 1_000_000_000;

/// Interfaces of all exporters together that are known by nothing but their index in flows, at most: addresses can be made up as well as numbers.
const MOST_MET: usize = 1 << 20;

impl Source {
    fn is_silent(&self, clock: i64) -> bool {
        clock.saturating_sub(self.seen) >= IDLE
    }
}

/// The state of one partition.
pub struct Partition {
    number: i32,
    sources: AHashMap<Ip, Source>,
    budget: Budget,
    /// Records of `weir.inventory` as last written, so that only changes are.
    published: HashMap<Vec<u8>, Record>,
    /// Between the begin of a restore and its end, keys of rates that were taken back, and since when they are.
    taken_back: BTreeMap<Vec<u8>, i64>,
    /// Those of them that are people's: they are never written, and never taken back.
    people: People,
    /// How many more interfaces may be met in flows.
    unmet: usize,
    message: Vec<u8>,
    /// Latest receive time of all, ns.
    clock: i64,
    /// No look for room before this receive time: each costs a look at every exporter.
    next_look: i64,
}

/// A value of `weir.raw` that was read.
#[derive(Clone, Copy, Debug)]
pub struct RawRecord<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its key: the exporter.
    pub key: Option<&'a [u8]>,
    /// Its value: a frame.
    pub value: Option<&'a [u8]>,
}

impl Partition {
    /// A partition of which nothing is known.
    pub fn new(number: i32, config: &Config) -> Self {
        Self {
            number,
            sources: AHashMap::default(),
            budget: Budget::new(config.parked_bytes, config.state_bytes),
            published: HashMap::default(),
            taken_back: BTreeMap::new(),
            people: People::default(),
            unmet: MOST_MET,
            message: Vec::new(),
            clock: 0,
            next_look: 0,
        }
    }

    /// Its number.
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Bytes that wait for templates.
    pub fn parked_bytes(&self) -> usize {
        self.budget.parked
    }

    /// Takes back a record of `weir.state`. An error is a record that is lost and learned anew.
    pub fn restore_state(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        shared: &Shared<'_>,
    ) -> Result<(), String> {
        let (kind, exporter, rest) = split_key(key).ok_or("its key has no exporter")?;
        let source = source(&mut self.sources, &self.people, &exporter, shared);
        let own: Vec<u8> = std::iter::once(kind).chain(rest.iter().copied()).collect();
        source
            .wire
            .restore(&own, value, &shared.config.wire, &mut self.budget)
            .map_err(|error| error.to_string())
    }

    /// Goes back in time, with what was restored: see [`Exporter::rewind`].
    pub fn rewind(&mut self) {
        let budget = &mut self.budget;
        self.sources.values_mut().for_each(|source| source.wire.rewind(budget));
    }

    /// Takes back a record of `weir.inventory`.
    pub fn restore_inventory(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        if is_classified(key) {
            return self.hear(key, value);
        }
        let entry =
            value.map(|value| Entry::read(key, value)).transpose().map_err(|error| error.to_string())?;
        self.published.remove(key);
        self.taken_back.remove(key);
        match entry.map(|(_, entry)| entry.record) {
            None => {}
            Some(record) => match taken_back(&record) {
                Some(since) => drop(self.taken_back.insert(key.to_vec(), since)),
                None => drop(self.published.insert(key.to_vec(), record)),
            },
        }
        Ok(())
    }

    /// Takes what a person says of a link: what is decoded from now on is told it. All else in `weir.inventory` is this partition's own word.
    pub fn hear(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        if !is_classified(key) {
            return Ok(());
        }
        let word = match value.map(|value| Entry::read(key, value)).transpose() {
            Ok(None) => None,
            Ok(Some((_, Entry { record: Record::Classified(link), learned, .. }))) => {
                Some(Word { link, said: learned })
            }
            Ok(Some(_)) => return Err("its value is of another kind than its key".to_owned()),
            Err(error) => return Err(error.to_string()),
        };
        let exporter = self.people.take(key, word).ok_or("its key has no exporter")?;
        if let Some(source) = self.sources.get_mut(&exporter) {
            source.known.hear(self.people.of(&exporter));
        }
        Ok(())
    }

    /// Ends a restore: interfaces that options data had named are known again, and what rules now say differently is written.
    pub fn restored(&mut self, shared: &Shared<'_>, now: u64, emit: &mut impl Emit) {
        let Self { sources, published, people, unmet, taken_back, .. } = self;
        for (key, since) in std::mem::take(taken_back) {
            if now.saturating_sub(since.unsigned_abs()) >= TOLD {
                emit.emit(To::Inventory, &key, None, &[]);
            }
        }
        // What was seen in flows alone is in the inventory and nowhere else.
        for (key, record) in published.iter() {
            if let (Record::Interface { .. } | Record::Link { .. }, Some(exporter)) =
                (record, key.first_chunk::<16>())
            {
                source(sources, people, &Ip(*exporter), shared);
            }
        }
        let mut met: Vec<(Ip, u32)> = published
            .iter()
            .filter_map(|(key, record)| match record {
                Record::Interface { index, .. } | Record::Link { index, .. } => {
                    Some((Ip(*key.first_chunk()?), *index))
                }
                _ => None,
            })
            .collect();
        met.sort_unstable();
        for (exporter, index) in met {
            let known = &mut source(sources, people, &exporter, shared).known;
            shared.enricher.meet(&exporter, known, index, unmet);
        }
        let mut exporters: Vec<_> = sources.iter_mut().collect();
        exporters.sort_by_key(|(exporter, _)| **exporter);
        for (exporter, source) in exporters {
            for interface in source.wire.interfaces() {
                let Interface { index, name, description, speed, .. } = interface;
                shared.enricher.learn(exporter, &mut source.known, index, name, description, speed);
            }
            Inventory { published, now, emit }.all(exporter, &source.known);
        }
    }

    /// Decodes a frame.
    pub fn frame(
        &mut self,
        record: &RawRecord<'_>,
        shared: &Shared<'_>,
        tally: &mut Tally,
        emit: &mut impl Emit,
    ) {
        let Some(exporter) = record.key.and_then(|key| <[u8; 16]>::try_from(key).ok()).map(Ip) else {
            let key_length = record.key.map_or(0, <[u8]>::len);
            let sentence = format!("the record's key has {key_length} bytes; an exporter's address has 16");
            return self.bury(record, shared, "bad_key", &sentence, tally, emit);
        };
        let is_full = match self.sources.get_mut(&exporter) {
            // Whoever comes back is not forgotten for having been away.
            Some(source) => {
                source.seen = self.clock;
                false
            }
            None => self.sources.len() >= shared.config.exporters,
        };
        let has_room = if is_full || self.is_short() { self.make_room(shared, tally, emit) } else { true };
        if is_full && !has_room {
            let sentence =
                "no room for another exporter (decoder.exporters): as many sent within the last hour";
            return self.bury(record, shared, "too_many_exporters", sentence, tally, emit);
        }
        for (frame_index, datagram) in (0u32..).zip(frame::datagrams(record.value.unwrap_or_default())) {
            match datagram {
                Ok(datagram) => {
                    self.datagram(exporter, record.offset, frame_index, &datagram, shared, tally, emit)
                }
                Err(error) => return self.bury(record, shared, "bad_frame", &error.to_string(), tally, emit),
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn datagram(
        &mut self,
        exporter: Ip,
        offset: i64,
        frame_index: u32,
        datagram: &Datagram<'_>,
        shared: &Shared<'_>,
        tally: &mut Tally,
        emit: &mut impl Emit,
    ) {
        let Self { number, sources, budget, published, people, unmet, message, clock, .. } = self;
        let is_new = !sources.contains_key(&exporter);
        let Source { wire, known, batch, arrivals, seen } = source(sources, people, &exporter, shared);
        *clock = (*clock).max(datagram.received);
        *seen = *clock;
        let mut inventory = Inventory { published, now: datagram.received.unsigned_abs(), emit };
        if is_new {
            inventory.all(&exporter, known);
        }
        if let Some(told) = arrivals.count(datagram.received, wire) {
            inventory.write(&exporter, told);
        }
        let context = Context { exporter, raw_offset: offset.unsigned_abs(), frame_index };
        let mut collector = Collector {
            header: header(*number, &exporter, shared.config),
            known,
            unmet,
            batch,
            dead: &mut arrivals.dead,
            shared,
            tally,
            inventory,
            message,
        };
        let counts = wire.decode(&context, datagram, &shared.config.wire, budget, &mut collector);
        tally.counts += counts;
    }

    /// Writes what is left of all batches. A cycle ends with it.
    pub fn flush(&mut self, shared: &Shared<'_>, tally: &mut Tally, emit: &mut impl Emit) {
        let Self { number, sources, message, .. } = self;
        for (exporter, source) in sources.iter_mut().filter(|(_, source)| !source.batch.is_empty()) {
            let header = header(*number, exporter, shared.config);
            send_batch(&header, &mut source.batch, shared.config.schema_id, message, tally, emit);
            source.batch.shrink();
        }
    }

    /// Puts a whole record aside, because it can't be read or because it failed again and again.
    pub fn bury(
        &self,
        record: &RawRecord<'_>,
        shared: &Shared<'_>,
        reason: &'static str,
        sentence: &str,
        tally: &mut Tally,
        emit: &mut impl Emit,
    ) {
        let about = About {
            reason: reason.to_owned(),
            sentence: sentence.to_owned(),
            topic: shared.raw_topic.to_owned(),
            partition: self.number,
            offset: record.offset,
            frame_index: 0,
            byte_offset: 0,
            received: 0,
            source_port: 0,
            protocol: "frame".to_owned(),
            observation_domain: 0,
        };
        *tally.dead.entry(reason).or_default() += 1;
        let value = deadletter::write(&about, record.value.unwrap_or_default());
        emit.emit(
            To::DeadLetter,
            deadletter::key(record.key.unwrap_or_default()),
            Some(&value),
            &[("weir-reason", reason.as_bytes())],
        );
    }

    /// True where much is taken of what may wait, be kept or be met of all exporters together.
    fn is_short(&self) -> bool {
        let Budget { parked, parked_limit, state, state_limit, .. } = self.budget;
        parked > parked_limit / 2 || state > state_limit - state_limit / 8 || self.unmet < MOST_MET / 8
    }

    /// Source addresses can be spoofed: where there are too many, those of which nothing is known make room; then, and where what is known is too much,
    /// those that have been silent for long, whose state is deleted. True where there is room for another exporter now. A look at all exporters that made
    /// little room is not repeated for some seconds.
    fn make_room(&mut self, shared: &Shared<'_>, tally: &mut Tally, emit: &mut impl Emit) -> bool {
        let before = self.sources.len();
        let is_full = before >= shared.config.exporters;
        if self.clock < self.next_look {
            return !is_full;
        }
        self.give_up_silent(shared, tally, emit);
        let Self { sources, budget, published, unmet, clock, next_look, .. } = self;
        sources.retain(|exporter, source| {
            if !source.batch.is_empty() || source.wire.parked().0 > 0 {
                return true;
            }
            let is_silent = source.is_silent(*clock);
            let makes_room = is_silent || (is_full && source.wire.is_empty());
            if !makes_room {
                return true;
            }
            *unmet += source.known.met();
            let mut keys = Vec::new();
            source.wire.dump(|key, _| keys.push(key.to_vec()));
            for key in keys {
                // A key that it made itself is always read.
                let _ = source.wire.restore(&key, None, &shared.config.wire, budget);
                emit.emit(To::State, &state_key(exporter, &key), None, &[]);
            }
            false
        });
        // What is known of interfaces stays in the tables; the topic forgets it, and tells it again when the exporter comes back.
        let mut forgotten: Vec<Vec<u8>> = Vec::new();
        published.retain(|key, _| {
            let keep = key.first_chunk().is_none_or(|exporter| sources.contains_key(&Ip(*exporter)));
            if !keep {
                forgotten.push(key.clone());
            }
            keep
        });
        forgotten.sort_unstable();
        for key in forgotten {
            emit.emit(To::Inventory, &key, None, &[]);
        }
        // A look that made much room was worth its cost; one that did not waits.
        let freed = before - sources.len();
        *next_look = if freed * 4 >= before { 0 } else { clock.saturating_add(10 * 1_000_000_000) };
        sources.len() < shared.config.exporters
    }

    /// Gives up what waits of exporters that have been silent for long: it ages by their own datagrams, so that without any it would wait for ever.
    fn give_up_silent(&mut self, shared: &Shared<'_>, tally: &mut Tally, emit: &mut impl Emit) {
        let Self { number, sources, budget, published, unmet, message, clock, .. } = self;
        for (exporter, source) in sources.iter_mut() {
            if source.seen == 0 {
                source.seen = *clock;
            }
            if source.wire.parked().0 == 0 || !source.is_silent(*clock) {
                continue;
            }
            let Source { wire, known, batch, arrivals, .. } = source;
            let mut collector = Collector {
                header: header(*number, exporter, shared.config),
                known,
                unmet,
                batch,
                dead: &mut arrivals.dead,
                shared,
                tally,
                inventory: Inventory { published, now: clock.unsigned_abs(), emit },
                message,
            };
            let context = Context { exporter: *exporter, raw_offset: 0, frame_index: 0 };
            let counts = wire.finish(&context, &shared.config.wire, budget, &mut collector);
            tally.counts += counts;
        }
    }

    /// Exporters that are held in memory.
    pub fn exporters(&self) -> usize {
        self.sources.len()
    }

    /// Records of `weir.inventory` that are held in memory.
    pub fn published(&self) -> usize {
        self.published.len()
    }

    /// Interfaces that are held in memory.
    pub fn interfaces(&self) -> usize {
        self.sources.values().map(|source| source.known.interfaces().count()).sum()
    }

    /// All state, as it would be restored: for tests.
    pub fn dump(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut all = BTreeMap::new();
        for (exporter, source) in &self.sources {
            source.wire.dump(|key, value| {
                all.insert(state_key(exporter, key), value.to_vec());
            });
        }
        all
    }
}

/// Kind first, so that a look at keys tells what they are; then the exporter, then what the kind needs.
fn state_key(exporter: &Ip, key: &[u8]) -> Vec<u8> {
    let (kind, rest) = key.split_at(key.len().min(1));
    [kind, &exporter.0, rest].concat()
}

pub(crate) fn split_key(key: &[u8]) -> Option<(u8, Ip, &[u8])> {
    let (kind, rest) = key.split_first()?;
    let (exporter, rest) = rest.split_first_chunk::<16>()?;
    Some((*kind, Ip(*exporter), rest))
}

fn source<'s>(
    sources: &'s mut AHashMap<Ip, Source>,
    people: &People,
    exporter: &Ip,
    shared: &Shared<'_>,
) -> &'s mut Source {
    sources.entry(*exporter).or_insert_with(|| {
        let mut known = shared.enricher.known(exporter);
        known.hear(people.of(exporter));
        let mut source = Source { known, ..Source::default() };
        source.wire.configure(shared.enricher.own(exporter));
        source
    })
}

/// What flows of a partition's exporter have in common.
fn header(partition: i32, exporter: &Ip, config: &Config) -> Batch<'static> {
    Batch {
        exporter: *exporter,
        raw_partition: partition.unsigned_abs(),
        generation: config.generation,
        ..Batch::default()
    }
}

fn send_batch(
    header: &Batch<'_>,
    batch: &mut BatchWriter,
    schema_id: u32,
    message: &mut Vec<u8>,
    tally: &mut Tally,
    emit: &mut impl Emit,
) {
    tally.batches += 1;
    tally.flows += u64::from(batch.len());
    batch.finish(header, schema_id, message);
    let fingerprint = avro::fingerprint().to_le_bytes();
    emit.emit(To::Flows, &header.exporter.0, Some(message), &[(FINGERPRINT_HEADER, &fingerprint)]);
}

/// Since when a rate is taken back, if this is one that an exporter had announced: there is nothing more to know of it.
fn taken_back(record: &Record) -> Option<i64> {
    match record {
        Record::Rate { source: RateSource::Default, .. } => None,
        Record::Rate { interval: 0, valid_from, .. } => Some(*valid_from),
        _ => None,
    }
}

/// Writes what changed to `weir.inventory`.
struct Inventory<'a, E> {
    published: &'a mut HashMap<Vec<u8>, Record>,
    now: u64,
    emit: &'a mut E,
}

impl<E: Emit> Inventory<'_, E> {
    fn write(&mut self, exporter: &Ip, record: Record) {
        let key = record.key(exporter);
        if self.published.get(&key) != Some(&record) {
            self.emit.emit(To::Inventory, &key, Some(&Entry::new(record.clone(), self.now).value()), &[]);
            // An exporter can announce rates of ever other samplers, and take each back.
            match taken_back(&record) {
                Some(_) => self.published.remove(&key),
                None => self.published.insert(key, record),
            };
        }
    }

    /// All that is known of an exporter: what is configured is told by nothing else.
    fn all(&mut self, exporter: &Ip, known: &Known) {
        self.exporter(exporter, known);
        let mut indexes: Vec<u32> = known.interfaces().map(|(index, _)| index).collect();
        indexes.sort_unstable();
        indexes.into_iter().for_each(|index| self.interface(exporter, known, index));
    }

    fn exporter(&mut self, exporter: &Ip, known: &Known) {
        if !known.name.is_empty() {
            self.write(exporter, Record::Exporter { name: known.name.clone() });
        }
        let rate = Record::Rate {
            observation_domain: 0,
            source: RateSource::Default,
            scope: 0,
            interval: known.sampling_interval * 1000,
            sampling: SamplingKind::Packet,
            // It holds for all of the past.
            valid_from: 0,
        };
        // An exporter without one needs no record, unless one says otherwise.
        if known.sampling_interval != 0 || self.published.contains_key(&rate.key(exporter)) {
            self.write(exporter, rate);
        }
    }

    fn interface(&mut self, exporter: &Ip, known: &Known, index: u32) {
        let Some(interface) = known.interface(index) else { return };
        if !(interface.name.is_empty() && interface.description.is_empty() && interface.speed == 0) {
            let (name, description) = (interface.name.clone(), interface.description.clone());
            self.write(exporter, Record::Interface { index, name, description, speed: interface.speed });
        }
        let link = interface.link.as_ref();
        let record = Record::Link {
            index,
            // A rule holds for all of the past: what a link is called is a word about the interface, not about a time.
            valid_from: 0,
            valid_to: u32::MAX,
            link: link.map(|link| link.name.clone()).unwrap_or_default(),
            provider: link.map(|link| link.provider.clone()).unwrap_or_default(),
            connectivity: link.map(|link| link.connectivity).unwrap_or_default(),
            neighbour_as: link.map(|link| link.neighbour_as).unwrap_or_default(),
            capacity: link.map(|link| link.capacity).unwrap_or_default(),
        };
        // An interface on no link needs no record, unless one says otherwise.
        if link.is_some() || self.published.contains_key(&record.key(exporter)) {
            self.write(exporter, record);
        }
    }
}

/// Takes what decoding of one datagram gives.
struct Collector<'a, 's, E> {
    header: Batch<'static>,
    known: &'a mut Known,
    unmet: &'a mut usize,
    batch: &'a mut BatchWriter,
    /// The exporter's dead letters by reason.
    dead: &'a mut BTreeMap<&'static str, u64>,
    shared: &'a Shared<'s>,
    tally: &'a mut Tally,
    inventory: Inventory<'a, E>,
    message: &'a mut Vec<u8>,
}

impl<E: Emit> Output for Collector<'_, '_, E> {
    #[inline]
    fn flow(&mut self, flow: &Flow<'_>) {
        let exporter = self.header.exporter;
        for index in [flow.in_if, flow.out_if] {
            if self.shared.enricher.meet(&exporter, self.known, index, self.unmet) {
                self.inventory.interface(&exporter, self.known, index);
            }
        }
        let mut flow = *flow;
        self.shared.enricher.enrich(self.known, self.shared.databases, &mut flow);
        self.tally.without_as += u64::from(flow.src_as == 0 && flow.dst_as == 0);
        self.tally.without_rate += u64::from(flow.sampling_interval == 0);
        self.tally.without_interface += u64::from(flow.in_if != 0 && flow.in_if_name.is_empty());
        self.batch.push(&flow);
        if self.batch.is_full() {
            let schema_id = self.shared.config.schema_id;
            send_batch(&self.header, self.batch, schema_id, self.message, self.tally, self.inventory.emit);
        }
    }

    fn fault(&mut self, fault: Fault<'_>) {
        let reason = fault.reason.word();
        let about = About {
            reason: reason.to_owned(),
            sentence: fault.sentence,
            topic: self.shared.raw_topic.to_owned(),
            partition: i32::try_from(self.header.raw_partition).unwrap_or(i32::MAX),
            offset: i64::try_from(fault.context.raw_offset).unwrap_or(i64::MAX),
            frame_index: fault.context.frame_index,
            byte_offset: fault.offset,
            received: fault.received,
            source_port: fault.source_port,
            protocol: fault.protocol.word().to_owned(),
            observation_domain: fault.observation_domain,
        };
        *self.tally.dead.entry(reason).or_default() += 1;
        *self.dead.entry(reason).or_default() += 1;
        let value = deadletter::write(&about, fault.bytes);
        let headers: &[(&str, &[u8])] = &[("weir-reason", reason.as_bytes())];
        self.inventory.emit.emit(To::DeadLetter, &self.header.exporter.0, Some(&value), headers);
    }

    fn state(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.inventory.emit.emit(To::State, &state_key(&self.header.exporter, key), value, &[]);
    }

    fn interface(&mut self, interface: Interface<'_>) {
        let exporter = self.header.exporter;
        let Interface { index, name, description, speed, .. } = interface;
        if self.shared.enricher.learn(&exporter, self.known, index, name, description, speed) {
            self.inventory.exporter(&exporter, self.known);
            self.inventory.interface(&exporter, self.known, index);
        }
    }

    fn rate(&mut self, rate: Rate) {
        let record = Record::Rate {
            observation_domain: rate.observation_domain,
            source: rate.source,
            scope: rate.scope,
            interval: rate.interval,
            sampling: rate.sampling,
            valid_from: rate.valid_from,
        };
        self.inventory.write(&self.header.exporter, record);
    }
}
