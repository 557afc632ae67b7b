//! An output that keeps everything, and an exporter with a clock of its own.

use super::RECEIVED;
use std::collections::BTreeMap;
use weir_schemas::frame::Datagram;
use weir_schemas::{Flow, Ip, U32s};
use weir_wire::{Budget, Context, Counts, Exporter, Fault, Interface, Options, Output, Rate, Reason};

/// A flow with its lists.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub flow: Flow<'static>,
    pub labels: Vec<u32>,
    pub path: Vec<u32>,
}

impl std::ops::Deref for Kept {
    type Target = Flow<'static>;
    fn deref(&self) -> &Flow<'static> {
        &self.flow
    }
}

/// A fault, kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub reason: Reason,
    pub context: Context,
    pub offset: usize,
    pub bytes: Vec<u8>,
    pub sentence: String,
}

/// Keeps what decoding gives, and state as a compacted topic would.
#[derive(Clone, Debug, Default)]
pub struct Sink {
    pub flows: Vec<Kept>,
    pub faults: Vec<Found>,
    pub state: BTreeMap<Vec<u8>, Vec<u8>>,
    pub state_writes: usize,
    /// All that was written to it, in order.
    pub written: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub interfaces: Vec<(u32, String, String)>,
    pub rates: Vec<Rate>,
}

impl Output for Sink {
    fn flow(&mut self, flow: &Flow<'_>) {
        // Everything but the lists and texts is copied; those borrow from the call.
        let fixed = Flow {
            as_path: U32s::default(),
            mpls_labels: U32s::default(),
            exporter_name: "",
            in_if_name: "",
            out_if_name: "",
            in_if_description: "",
            out_if_description: "",
            in_provider: "",
            out_provider: "",
            ..*flow
        };
        self.flows.push(Kept {
            flow: outlive(fixed),
            labels: flow.mpls_labels.iter().collect(),
            path: flow.as_path.iter().collect(),
        });
    }

    fn fault(&mut self, fault: Fault<'_>) {
        self.faults.push(Found {
            reason: fault.reason,
            context: fault.context,
            offset: fault.offset,
            bytes: fault.bytes.to_vec(),
            sentence: fault.sentence,
        });
    }

    fn state(&mut self, key: &[u8], value: Option<&[u8]>) {
        self.state_writes += 1;
        self.written.push((key.to_vec(), value.map(<[u8]>::to_vec)));
        match value {
            Some(value) => self.state.insert(key.to_vec(), value.to_vec()),
            None => self.state.remove(key),
        };
    }

    fn interface(&mut self, i: Interface<'_>) {
        self.interfaces.push((i.index, i.name.to_owned(), i.description.to_owned()));
    }

    fn rate(&mut self, rate: Rate) {
        self.rates.push(rate);
    }
}

/// A flow that borrows nothing, rebuilt from its Avro form: all columns, whatever they are.
fn outlive(flow: Flow<'_>) -> Flow<'static> {
    let mut bytes = Vec::new();
    flow.put_avro(&mut bytes);
    let bytes: &'static [u8] = bytes.leak();
    Flow::get_avro(&mut weir_schemas::avro::Reader::new(bytes)).expect("a flow reads what it wrote")
}

/// An exporter that is sent datagrams, a second apart, each at a place of its own.
#[derive(Debug, Default)]
pub struct Router {
    pub exporter: Exporter,
    pub options: Options,
    pub budget: Budget,
    pub sent: u64,
    pub counts: Counts,
}

impl Router {
    pub fn context(&self) -> Context {
        Context { exporter: Ip::v4([192, 0, 2, 1]), raw_offset: self.sent, frame_index: 3 }
    }

    pub fn at(&mut self, received: i64, port: u16, payload: &[u8], out: &mut Sink) -> Counts {
        let datagram = Datagram { received, listener: 2055, source_port: port, payload };
        let counts = self.exporter.decode(&self.context(), &datagram, &self.options, &mut self.budget, out);
        self.sent += 1;
        self.counts += counts;
        counts
    }

    /// Sends a datagram from a port.
    pub fn from(&mut self, port: u16, payload: &[u8], out: &mut Sink) -> Counts {
        self.at(RECEIVED, port, payload, out)
    }

    /// Sends a datagram from port 1000, and gives what came of it alone.
    pub fn send(&mut self, payload: &[u8]) -> Sink {
        let mut out = Sink::default();
        self.from(1000, payload, &mut out);
        out
    }

    /// All of its state.
    pub fn dump(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut all = BTreeMap::new();
        self.exporter.dump(|key, value| {
            all.insert(key.to_vec(), value.to_vec());
        });
        all
    }

    /// Another decoder's view of it, after a restart: what the state topic holds.
    pub fn restarted(&self, state: &BTreeMap<Vec<u8>, Vec<u8>>) -> Self {
        let budget = Budget::new(self.budget.parked_limit, self.budget.state_limit);
        let mut router = Self { options: self.options.clone(), sent: self.sent, budget, ..Self::default() };
        for (key, value) in state {
            router
                .exporter
                .restore(key, Some(value), &router.options, &mut router.budget)
                .expect("kept state is readable");
        }
        router
    }
}

/// One datagram to a new exporter.
pub fn decode(payload: &[u8]) -> Sink {
    Router::default().send(payload)
}

/// The one flow of one datagram to a new exporter.
pub fn one(payload: &[u8]) -> Kept {
    let out = decode(payload);
    assert_eq!((out.flows.len(), &out.faults[..]), (1, &[][..]));
    out.flows[0].clone()
}

/// The words of a flow's flags.
pub fn flags(flow: &Flow<'_>) -> Vec<&'static str> {
    use weir_schemas::columns::flag;
    flag::ALL.iter().filter(|(bit, _, _)| flow.flags & bit != 0).map(|(_, word, _)| *word).collect()
}
