//! The protocol decoder → sink → ClickHouse with every crash at every step: no loss, no doubling, whatever happens in whatever order.
//!
//! The planning code is the real one (lanes, plans, resume, batches, tokens); bus and ClickHouse are the few lines that their promises
//! come to. All orders of events up to a bound are tried, and from every state that is met the run is ended without further faults:
//! then every flow must be in every table once. With a rule taken out the same search finds what the rule is for.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};
use weir_schemas::Flow;
use weir_schemas::avro::BatchWriter;
use weir_sink::batch::{Ready, token};
use weir_sink::lane::{Flight, Lane, Place};
use weir_sink::plan::{Metadata, Resume, resume};
use weir_sink::{Config, LostBatch};

/// Says how many states there are, and what is found with each rule taken out.
const DOCUMENT: &str = include_str!("../../../docs/reliability.md");
const PLACE: Place<'_> = Place { topic: "weir.flows", group: "weir-sink" };
const ONE: &str = "incarnation";
/// Records of `weir.raw`: each gives one message.
const RAW: i64 = 3;
/// Tables of a batch that are looked at: its first and its last piece; those between are like them.
const TABLES: usize = 2;

/// What may go wrong, and how often in one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Luck {
    crashes: u8,
    takeovers: u8,
    failures: u8,
}

/// A rule that is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Without {
    Nothing,
    /// Rule 3: records and offsets of a cycle in one transaction.
    Transaction,
    /// Rule 7: the plan is committed before the insert.
    PlanFirst,
    /// Rule 7: a plan that was left behind is repeated.
    Repetition,
    /// Rule 7: the end is committed after the insert.
    InsertFirst,
    /// Rule 8: a token says what is inserted.
    Token,
    /// Rule 10: ClickHouse remembers tokens.
    Window,
}

/// An event. Numbers are of processes of the sink: the one that holds the partition, and one that believes that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The decoder commits a cycle of one record.
    Decode,
    /// It commits, and dies before it knows.
    DecodeUnknown,
    /// Without the transaction: its message is out, and it dies before the offset is.
    DecodeHalf,
    Read(usize),
    Close(usize),
    Plan(usize),
    /// The plan is taken, and the word of it is lost.
    PlanUnknown(usize),
    Insert(usize),
    /// The insert is stored, and the word of it is lost.
    InsertUnknown(usize),
    InsertFails(usize),
    End(usize),
    EndUnknown(usize),
    /// The holder dies, and is started again.
    Crash,
    /// The holder stands still; another takes over, and the first goes on in the belief that nothing happened.
    TakeOver,
}

struct Sink {
    lane: Lane,
    next: i64,
    /// The range that it repeats first.
    repeats: Option<(i64, i64)>,
    /// Offsets of the batch that fills.
    filling: Vec<i64>,
    /// Pieces stored of the one that is being inserted.
    stored: usize,
}

struct World {
    without: Without,
    luck: Luck,
    /// The next record of raw to decode, as committed.
    decoded: i64,
    /// Messages: offset in `weir.flows` and the record that it was made of. A marker lies behind each.
    log: Vec<(i64, i64)>,
    committed: Option<(i64, String)>,
    tokens: BTreeSet<String>,
    /// Times that each table has each message, by record of raw.
    tables: [BTreeMap<i64, u32>; TABLES],
    inserts: u64,
    /// The holder is the last; the first may be a zombie.
    sinks: Vec<Sink>,
}

fn message(record: i64) -> Vec<u8> {
    let (mut writer, mut out) = (BatchWriter::default(), Vec::new());
    writer.push(&Flow { raw_offset: record as u64, ..Flow::default() });
    writer.finish(&weir_schemas::Batch::default(), 0, &mut out);
    out
}

fn metadata(plan: Option<weir_sink::plan::Plan>) -> String {
    Metadata { incarnation: ONE.to_owned(), plan }.text()
}

impl World {
    fn new(without: Without, luck: Luck) -> Self {
        let mut world = Self {
            without,
            luck,
            decoded: 0,
            log: Vec::new(),
            committed: None,
            tokens: BTreeSet::new(),
            tables: [const { BTreeMap::new() }; TABLES],
            inserts: 0,
            sinks: Vec::new(),
        };
        world.sinks.push(world.started());
        world
    }

    fn end(&self) -> i64 {
        self.log.last().map_or(0, |(offset, _)| offset + 2)
    }

    /// A process that was just given the partition.
    fn started(&self) -> Sink {
        let committed = self.committed.as_ref().map(|(offset, metadata)| (*offset, metadata.as_str()));
        let Resume { offset, mut plan, .. } = resume(committed, ONE, (0, self.end()));
        if self.without == Without::Repetition {
            plan = None;
        }
        let repeats = plan.as_ref().map(|plan| (plan.first, plan.last));
        let lane = Lane::new(0, plan, PLACE.topic, LostBatch::Stop).unwrap();
        Sink { lane, next: offset, repeats, filling: Vec::new(), stored: 0 }
    }

    fn is_holder(&self, sink: usize) -> bool {
        sink + 1 == self.sinks.len()
    }

    fn write(&mut self) {
        self.log.push((self.end(), self.decoded));
    }

    /// What can happen now.
    fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let Luck { crashes, takeovers, failures } = self.luck;
        if self.decoded < RAW {
            events.push(Event::Decode);
            if crashes > 0 {
                events.push(Event::DecodeUnknown);
                if self.without == Without::Transaction {
                    events.push(Event::DecodeHalf);
                }
            }
        }
        for (number, sink) in self.sinks.iter().enumerate() {
            if self.log.iter().any(|(offset, _)| *offset >= sink.next)
                && !sink.lane.is_full(&Config::default())
            {
                events.push(Event::Read(number));
            }
            match &sink.lane.sent {
                None if !sink.filling.is_empty() => events.push(Event::Close(number)),
                Some((_, Flight::Waiting { .. })) => {
                    events.push(Event::Plan(number));
                    if failures > 0 && self.is_holder(number) {
                        events.push(Event::PlanUnknown(number));
                    }
                }
                Some((_, Flight::Flying { .. })) => {
                    events.push(Event::Insert(number));
                    if failures > 0 {
                        events.extend([Event::InsertUnknown(number), Event::InsertFails(number)]);
                    }
                }
                Some((_, Flight::Landed)) => {
                    events.push(Event::End(number));
                    if failures > 0 && self.is_holder(number) {
                        events.push(Event::EndUnknown(number));
                    }
                }
                None => {}
            }
        }
        if crashes > 0 {
            events.push(Event::Crash);
        }
        if takeovers > 0 {
            events.push(Event::TakeOver);
        }
        events
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Decode => {
                self.write();
                self.decoded += 1;
            }
            Event::DecodeUnknown => {
                self.luck.crashes -= 1;
                self.write();
                self.decoded += 1;
            }
            Event::DecodeHalf => {
                self.luck.crashes -= 1;
                self.write();
            }
            Event::Read(n) => self.read(n),
            Event::Close(n) => self.close(n),
            Event::Plan(n) => {
                let taken = self.plan(n);
                if taken {
                    self.fly(n);
                }
            }
            Event::PlanUnknown(n) => {
                self.luck.failures -= 1;
                self.plan(n);
            }
            Event::Insert(n) => {
                self.insert(n);
                self.acknowledged(n);
            }
            Event::InsertUnknown(n) => {
                self.luck.failures -= 1;
                self.insert(n);
                self.wait(n);
            }
            Event::InsertFails(n) => {
                self.luck.failures -= 1;
                self.wait(n);
            }
            Event::End(n) => {
                let taken = self.commit_end(n);
                if taken {
                    self.sinks[n].lane.sent = None;
                }
            }
            Event::EndUnknown(n) => {
                self.luck.failures -= 1;
                self.commit_end(n);
            }
            Event::Crash => {
                self.luck.crashes -= 1;
                self.sinks.pop();
                let again = self.started();
                self.sinks.push(again);
            }
            Event::TakeOver => {
                self.luck.takeovers -= 1;
                let other = self.started();
                self.sinks.push(other);
            }
        }
    }

    fn read(&mut self, n: usize) {
        let sink = &mut self.sinks[n];
        let Some((offset, record)) = self.log.iter().find(|(offset, _)| *offset >= sink.next).copied() else {
            return;
        };
        sink.lane.add(offset, None, &message(record), PLACE).unwrap().unwrap();
        sink.filling.push(offset);
        sink.next = offset + 1;
    }

    fn close(&mut self, n: usize) {
        let early = self.without == Without::InsertFirst && self.is_holder(n);
        let sink = &mut self.sinks[n];
        if sink.lane.close(&Config::default(), true, PLACE).unwrap() {
            (sink.filling, sink.stored) = (Vec::new(), 0);
            if early && let Some((ready, _)) = &sink.lane.sent {
                self.committed = Some((ready.plan.last + 1, metadata(None)));
            }
        }
    }

    fn ready(&self, n: usize) -> &Ready {
        &self.sinks[n].lane.sent.as_ref().unwrap().0
    }

    /// Whether the bus takes the plan: not from a process that it has replaced.
    fn plan(&mut self, n: usize) -> bool {
        if matches!(self.without, Without::PlanFirst | Without::InsertFirst) {
            return true;
        }
        let plan = self.ready(n).plan.clone();
        let taken = self.is_holder(n);
        if taken {
            self.committed = Some((plan.first, metadata(Some(plan))));
        }
        taken
    }

    fn fly(&mut self, n: usize) {
        self.sinks[n].lane.sent.as_mut().unwrap().1 = Flight::Flying { tries: 0 };
    }

    fn wait(&mut self, n: usize) {
        let sink = &mut self.sinks[n];
        sink.stored = 0;
        sink.lane.sent.as_mut().unwrap().1 = Flight::Waiting { since: Instant::now(), tries: 0, stored: 0 };
    }

    /// ClickHouse takes the next piece, unless it knows its token.
    fn insert(&mut self, n: usize) {
        let table = self.sinks[n].stored;
        let ready = self.ready(n).clone();
        let piece = if table == 0 { ready.pieces.first() } else { ready.pieces.last() };
        let mut token = token(PLACE.topic, ONE, 0, &ready.plan, piece.unwrap());
        self.inserts += 1;
        if self.without == Without::Token {
            token = self.inserts.to_string();
        }
        let new = self.tokens.insert(token) || self.without == Without::Window;
        if new {
            let range = ready.plan.first..=ready.plan.last;
            for (_, record) in self.log.iter().filter(|(offset, _)| range.contains(offset)) {
                *self.tables[table].entry(*record).or_default() += 1;
            }
        }
    }

    fn acknowledged(&mut self, n: usize) {
        let sink = &mut self.sinks[n];
        sink.stored += 1;
        if sink.stored == TABLES {
            sink.lane.sent.as_mut().unwrap().1 = Flight::Landed;
        }
    }

    fn commit_end(&mut self, n: usize) -> bool {
        let last = self.ready(n).plan.last;
        let taken = self.is_holder(n);
        if taken && self.without != Without::InsertFirst {
            self.committed = Some((last + 1, metadata(None)));
        }
        taken
    }

    /// Everything by which two states differ in what can come of them.
    fn key(&self) -> String {
        let sinks: Vec<String> = self.sinks.iter().map(Sink::key).collect();
        let Self { luck, decoded, log, committed, tokens, tables, .. } = self;
        format!("{luck:?}{decoded}{log:?}{committed:?}{tokens:?}{tables:?}{sinks:?}")
    }

    /// The holder goes on without further faults until all is stored; then what is wrong, if anything, in a word and in full.
    fn finish(mut self) -> Option<(&'static str, String)> {
        while self.decoded < RAW {
            self.happen(Event::Decode);
        }
        let n = self.sinks.len() - 1;
        for _ in 0..100 {
            let more = self.log.iter().any(|(offset, _)| *offset >= self.sinks[n].next);
            let event = match &self.sinks[n].lane.sent {
                Some((_, Flight::Waiting { .. })) => Event::Plan(n),
                Some((_, Flight::Flying { .. })) => Event::Insert(n),
                Some((_, Flight::Landed)) => Event::End(n),
                None if more && !self.sinks[n].lane.is_full(&Config::default()) => Event::Read(n),
                None if !self.sinks[n].filling.is_empty() => Event::Close(n),
                None => break,
            };
            self.happen(event);
        }
        let expected: BTreeMap<i64, u32> = (0..RAW).map(|record| (record, 1)).collect();
        let wrong = self.tables.iter().position(|table| *table != expected)?;
        let word = if self.tables[wrong].values().any(|times| *times > 1) { "doubled" } else { "lost" };
        Some((word, format!("table {wrong} has {:?}", self.tables[wrong])))
    }
}

impl Sink {
    fn key(&self) -> String {
        let sent = self.lane.sent.as_ref().map(|(ready, flight)| {
            let flight = match flight {
                Flight::Waiting { .. } => "waiting",
                Flight::Flying { .. } => "flying",
                Flight::Landed => "landed",
            };
            (ready.plan.first, ready.plan.last, flight)
        });
        let repeats = self.repeats.filter(|_| self.lane.repeats());
        format!("{}{:?}{}{sent:?}{repeats:?}", self.next, self.filling, self.stored)
    }
}

fn replay(events: &[Event], without: Without, luck: Luck) -> World {
    let mut world = World::new(without, luck);
    events.iter().for_each(|event| world.happen(*event));
    world
}

/// What happened, how it ended in a word, and in a sentence.
type Story = (Vec<Event>, (&'static str, String));

/// Every state that can be met, and the first story that ends badly.
fn search(without: Without, luck: Luck) -> (usize, Option<Story>) {
    let (mut met, mut open) = (HashSet::new(), vec![Vec::new()]);
    while let Some(story) = open.pop() {
        let world = replay(&story, without, luck);
        if !met.insert(world.key()) {
            continue;
        }
        for event in world.events() {
            let mut longer = story.clone();
            longer.push(event);
            open.push(longer);
        }
        if let Some(wrong) = world.finish() {
            return (met.len(), Some((story, wrong)));
        }
    }
    (met.len(), None)
}

#[test]
fn no_order_of_crashes_takeovers_and_lost_words_loses_or_doubles_anything() {
    let begun = Instant::now();
    let mut states = 0;
    for luck in
        [Luck { crashes: 3, takeovers: 0, failures: 2 }, Luck { crashes: 1, takeovers: 1, failures: 1 }]
    {
        let (met, wrong) = search(Without::Nothing, luck);
        assert!(wrong.is_none(), "{luck:?}: {wrong:#?}");
        println!("{luck:?}: {met} states");
        states += met;
    }
    println!("{states} states in {:?}", begun.elapsed().max(Duration::from_millis(1)));
    let (before, _) = DOCUMENT.split_once(" states (three crashes").unwrap();
    assert_eq!(
        before.rsplit("In ").next().unwrap().replace(' ', ""),
        states.to_string(),
        "docs/reliability.md"
    );
}

#[test]
fn with_any_rule_taken_out_the_same_search_finds_what_it_is_for() {
    // By the document's words.
    for (without, rule) in [
        (Without::Transaction, "records and offsets in one transaction"),
        (Without::PlanFirst, "plan committed before the insert"),
        (Without::Repetition, "a plan left behind is repeated"),
        (Without::InsertFirst, "end committed after the insert"),
        (Without::Token, "token says what is inserted"),
        (Without::Window, "ClickHouse remembers tokens"),
    ] {
        let (met, wrong) = search(without, Luck { crashes: 1, takeovers: 0, failures: 0 });
        let (story, (word, wrong)) =
            wrong.unwrap_or_else(|| panic!("without {without:?} nothing is found in {met} states"));
        println!("without {without:?}: {wrong} after {story:?} ({met} states)");
        let (_, row) =
            DOCUMENT.split_once(&format!("| {rule} (")).unwrap_or_else(|| panic!("no row of {rule}"));
        let told = row.split('|').nth(1).unwrap().trim();
        assert!(told.starts_with(word), "{rule}: {word} is found, {told:?} is told");
    }
}
