//! What must hold whatever was sent: nothing is lost without a count, faults name the bytes that they are about, memory stays within
//! its limits, what is put out as state is what is known, and the same datagrams give the same flows.

use super::Sent;
use std::collections::BTreeMap;
use weir_schemas::columns::flag;
use weir_schemas::frame::Datagram;
use weir_schemas::value::{MAX_COUNT, MAX_Q};
use weir_schemas::{Flow, Ip, RateSource};
use weir_wire::{
    Budget, Context, Counts, Exporter, Fault, Interface, Options, Output, Rate, TotalCounters, alone,
};

/// When the first datagram is received, ns.
const RECEIVED: i64 = 1_700_000_000_000_000_000;
const SECOND: i64 = 1_000_000_000;
const FRAME_INDEX: u32 = 3;

/// What is tried beside decoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing.
    Plain,
    /// Limits so small that all of them are reached.
    Cramped,
    /// The same once more, which must give the same.
    Again,
    /// Restarts where datagrams ask for them, after which all must be as without.
    Restarted,
}

impl Mode {
    pub(super) fn of(byte: u8) -> Self {
        [Self::Plain, Self::Cramped, Self::Again, Self::Restarted][usize::from(byte & 3)]
    }
}

fn exporter() -> Ip {
    Ip::v4([192, 0, 2, 1])
}

/// Looks at what comes out of datagrams, and keeps it.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    sent: &'a [Sent],
    times: &'a [i64],
    options: &'a Options,
    /// Flows as Avro has them, one after another.
    pub flows: Vec<u8>,
    /// Where each flow ends in it.
    pub ends: Vec<usize>,
    /// Place of each flow: datagram, index of the record.
    places: Vec<(u64, u32)>,
    faults: u64,
    state: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl<'a> Seen<'a> {
    fn at(&self, context: (u64, u32)) -> usize {
        assert_eq!(context.1, FRAME_INDEX, "provenance is of another frame");
        usize::try_from(context.0).expect("a place")
    }
}

impl Output for Seen<'_> {
    fn flow(&mut self, flow: &Flow<'_>) {
        let at = self.at((flow.raw_offset, flow.frame_index));
        assert_eq!(flow.received.0, self.times[at], "a flow has the receive time of its datagram");
        assert!(matches!(flow.family, 0 | 4 | 6), "family {}", flow.family);
        assert!(flow.spread_start.0 <= flow.spread_end.0, "a flow is spread over no time");
        assert!(flow.packets <= MAX_COUNT && flow.bytes.is_none_or(|bytes| bytes <= MAX_COUNT));
        assert!(flow.bytes_l2.is_none_or(|bytes| bytes <= MAX_COUNT));
        assert!(flow.q.is_none_or(|q| q <= MAX_Q), "an error term beyond what a column holds");
        let unknown = flow.sampling_interval == 0;
        assert!(!unknown || flow.rate_source == RateSource::Unknown, "an unknown rate has a source");
        assert!(
            flow.sampling_interval <= self.options.max_sampling_interval.saturating_mul(1000),
            "an interval beyond the bound"
        );
        assert_eq!(flow.flags >> flag::ALL.len(), 0, "a flag that has no word");
        self.places.push((flow.raw_offset, flow.record_index));
        flow.put_avro(&mut self.flows);
        self.ends.push(self.flows.len());
    }

    fn fault(&mut self, fault: Fault<'_>) {
        self.faults += 1;
        assert!(!fault.sentence.is_empty());
        let at = self.at((fault.context.raw_offset, fault.context.frame_index));
        let payload = &self.sent[at].payload;
        assert_eq!(fault.received, self.times[at], "a fault has the receive time of its datagram");
        assert_eq!(fault.source_port, self.sent[at].port, "and its port");
        assert_eq!(
            payload.get(fault.offset..fault.offset + fault.bytes.len()),
            Some(fault.bytes),
            "a fault's bytes lie where it says: {}",
            fault.sentence
        );
        if let Some(part) = alone(payload, fault.offset, fault.bytes.len()) {
            assert!(part.len() <= payload.len(), "what is tried again is longer than what it is taken from");
        }
    }

    fn state(&mut self, key: &[u8], value: Option<&[u8]>) {
        match value {
            Some(value) => self.state.insert(key.to_vec(), value.to_vec()),
            None => self.state.remove(key),
        };
    }

    fn interface(&mut self, interface: Interface<'_>) {
        assert!(interface.name.len().max(interface.description.len()) <= self.options.text_bytes);
    }

    fn rate(&mut self, rate: Rate) {
        assert!(
            rate.interval <= self.options.max_sampling_interval.saturating_mul(1000),
            "a rate beyond the bound"
        );
    }
}

/// One exporter and what it gave.
pub(super) struct Run<'a> {
    pub exporter: Exporter,
    options: &'a Options,
    pub budget: Budget,
    pub counts: Counts,
    pub seen: Seen<'a>,
}

impl<'a> Run<'a> {
    pub(super) fn new(sent: &'a [Sent], times: &'a [i64], options: &'a Options, budget: Budget) -> Self {
        let seen = Seen {
            sent,
            times,
            options,
            flows: Vec::new(),
            ends: Vec::new(),
            places: Vec::new(),
            faults: 0,
            state: BTreeMap::new(),
        };
        Self { exporter: Exporter::default(), options, budget, counts: Counts::default(), seen }
    }

    fn context(at: usize) -> Context {
        Context { exporter: exporter(), raw_offset: at as u64, frame_index: FRAME_INDEX }
    }

    /// Decodes datagram `at`.
    pub(super) fn decode(&mut self, at: usize) {
        let sent = &self.seen.sent[at];
        let datagram = Datagram {
            received: self.seen.times[at],
            listener: 2055,
            source_port: sent.port,
            payload: &sent.payload,
        };
        let counts = self.exporter.decode(
            &Self::context(at),
            &datagram,
            self.options,
            &mut self.budget,
            &mut self.seen,
        );
        self.counts += counts;
        self.holds();
    }

    fn holds(&self) {
        let c = &self.counts;
        assert_eq!(c.sets, c.sets_decoded + c.sets_parked + c.sets_dead, "sets are conserved");
        let (waiting, bytes) = self.exporter.parked();
        assert_eq!(c.sets_parked, c.released + c.expired + waiting as u64, "waiting sets are conserved");
        assert_eq!(c.flows, self.seen.ends.len() as u64, "flows are counted");
        assert_eq!(c.faults, self.seen.faults, "faults are counted");
        assert!(bytes <= self.options.parked_bytes && bytes <= self.budget.parked_limit);
        assert_eq!(self.budget.parked, bytes, "what waits is in the budget");
        assert!(self.budget.state <= self.budget.state_limit, "state is within the budget");
        assert!(
            self.budget.totals <= self.budget.state.min(self.budget.state_limit / 4),
            "and totals within their part"
        );
        assert!(self.exporter.known_templates() <= self.options.templates);
    }

    fn dump(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut all = BTreeMap::new();
        self.exporter.dump(|key, value| {
            all.insert(key.to_vec(), value.to_vec());
        });
        all
    }

    /// Forgets all and knows it again from the state that was put out, which must be all that it knew.
    pub(super) fn restart(&mut self) {
        let before = self.dump();
        assert_eq!(before, self.seen.state, "what was put out is what is known");
        let budget = self.budget;
        self.exporter = Exporter::default();
        self.budget = Budget::new(budget.parked_limit, budget.state_limit);
        for (key, value) in &before {
            let restored = self.exporter.restore(key, Some(value), self.options, &mut self.budget);
            assert_eq!(restored, Ok(()), "what is kept is readable");
        }
        assert_eq!(self.dump(), before, "what is restored is what was kept");
        assert_eq!(self.budget, budget, "and takes as much");
        self.holds();
    }

    /// Ends the input, after which nothing may wait.
    fn finish(&mut self) {
        let at = self.seen.sent.len().saturating_sub(1);
        let counts = self.exporter.finish(&Self::context(at), self.options, &mut self.budget, &mut self.seen);
        self.counts += counts;
        self.holds();
        assert_eq!(self.exporter.parked(), (0, 0), "nothing waits at the end");
        let places = &mut self.seen.places;
        places.sort_unstable();
        let given = places.len();
        places.dedup();
        assert_eq!(given, places.len(), "no two flows have one place");
    }
}

/// When each datagram is received.
pub(super) fn times(sent: &[Sent]) -> Vec<i64> {
    let mut now = RECEIVED;
    sent.iter()
        .map(|sent| {
            now += sent.later * SECOND;
            now
        })
        .collect()
}

/// Decodes datagrams as one exporter's and checks all that must hold.
pub(super) fn check(sent: &[Sent], mode: Mode) {
    let times = times(sent);
    let (options, budget) = if mode == Mode::Cramped {
        let options = Options {
            templates: 8,
            template_fields: 20,
            parked_bytes: 2000,
            options_rows: 4,
            rate_lifetime_s: 600,
            text_bytes: 8,
            total_counters: TotalCounters::Cumulative,
            total_flows: 3,
            ..Options::default()
        };
        (options, Budget::new(3000, 20_000))
    } else if mode == Mode::Restarted {
        // Which exporters restarted, and when they announced a rate, is forgotten with the decoder, so what follows from that may differ.
        let total_counters = TotalCounters::Cumulative;
        let options =
            Options { template_suspect_s: 0, rate_lifetime_s: 0, total_counters, ..Options::default() };
        (options, Budget::default())
    } else {
        (Options::default(), Budget::default())
    };
    let run = |restarts: bool| {
        let mut run = Run::new(sent, &times, &options, budget);
        for (at, sent) in sent.iter().enumerate() {
            if restarts && sent.restart {
                run.restart();
            }
            run.decode(at);
        }
        run
    };
    let mut first = run(mode == Mode::Restarted);
    if matches!(mode, Mode::Again | Mode::Restarted) {
        let second = run(false);
        assert_eq!(first.seen.flows, second.seen.flows, "the same datagrams give the same flows");
        assert_eq!(first.counts, second.counts, "and the same counts");
        assert_eq!(first.seen.state, second.seen.state, "and the same state");
    }
    first.restart();
    first.finish();
}
