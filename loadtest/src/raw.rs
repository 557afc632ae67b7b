//! What of the datagrams sent lies in `weir.raw`: the border between missed and lost.
//!
//! A datagram that a dead socket, the kernel or a killed ingest's memory took was never acknowledged, and is *missed*. One that lies in
//! `weir.raw` was, and must come out as rows, once: otherwise it is *lost* (docs/exactly-once.md, rule 20).

use crate::ledger::Entered;
use anyhow::{Context, Result};
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;
use weir_bus::{Bus, Reader};
use weir_schemas::frame;

/// A data datagram that was sent. There are millions of them, so this is kept small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Number of its exporter.
    pub exporter: u32,
    /// Number of its first flow; the others follow.
    pub first: u64,
    /// Flows in it.
    pub flows: u32,
    /// When it was sent, ns since the epoch.
    pub at: i64,
    /// Of the exporter's address and the datagram's bytes.
    pub print: u64,
    /// What its flows add to the checksum of their exporter's account.
    pub checksum: u64,
    /// Bytes of its flows.
    pub bytes: u32,
    /// Packets of its flows.
    pub packets: u32,
    /// Sampling interval in thousandths as announced until then; 0: unknown.
    pub interval: u32,
}

impl Sent {
    /// A datagram of exporter `number` that was sent `at` (ns since the epoch), and what its flows came to.
    pub fn new(number: usize, first: u64, at: i64, print: u64, entered: &Entered) -> Self {
        Self {
            exporter: number as u32,
            first,
            // Some tens of flows, none of which has more than a few thousand packets.
            flows: entered.sum.flows as u32,
            at,
            print,
            checksum: entered.checksum,
            bytes: entered.sum.bytes as u32,
            packets: entered.sum.packets as u32,
            interval: entered.interval as u32,
        }
    }
}

/// A datagram by which an exporter announces its rate in options data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Number of its exporter.
    pub exporter: u32,
    /// When it was sent, ns since the epoch.
    pub at: i64,
    /// Of the exporter's address and the datagram's bytes.
    pub print: u64,
    /// True: the rate itself; false: the template that is needed to understand it.
    pub rate: bool,
}

/// Names a datagram. Sequence numbers make its bytes unlike any other's of its exporter.
pub fn print(exporter: Ipv4Addr, payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (exporter.octets(), payload).hash(&mut hasher);
    hasher.finish()
}

/// What lies there.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// How often each datagram does.
    times: HashMap<u64, u32>,
    datagrams: u64,
    /// Those whose datagrams are told apart; none: all.
    own: HashSet<Ipv4Addr>,
}

/// Where the topic ended when a run began, by partition.
#[derive(Clone, Debug)]
pub struct Begin(Vec<(i32, i64)>);

impl Begin {
    /// Where it ends now.
    ///
    /// # Errors
    /// Where there is no such topic, or the bus does not answer.
    pub fn now<B: Bus>(bus: &B) -> Result<Self> {
        Self::of(bus, |(_, end)| end)
    }

    fn of<B: Bus>(bus: &B, which: impl Fn((i64, i64)) -> i64) -> Result<Self> {
        let topic = bus.topics().raw;
        let mut reader = bus.reader()?;
        let each =
            partitions(bus)?.into_iter().map(|number| Ok((number, which(reader.bounds(&topic, number)?))));
        Ok(Self(each.collect::<Result<_>>()?))
    }
}

fn partitions<B: Bus>(bus: &B) -> Result<Vec<i32>> {
    let topic = bus.topics().raw;
    let there = bus.describe(&[topic.as_str()])?.pop().flatten();
    let there = there.with_context(|| format!("there is no topic {topic}"))?;
    Ok((0..there.partitions as i32).collect())
}

impl Received {
    /// Reads all of the topic.
    ///
    /// # Errors
    /// Where the bus can't be read, or a frame is none.
    pub fn read<B: Bus>(bus: &B) -> Result<Self> {
        Self::default().reading(bus, &Begin::of(bus, |(begin, _)| begin)?)
    }

    /// Reads what came since a run began, and tells the datagrams of its routers apart.
    ///
    /// # Errors
    /// As [`Self::read`], and where retention has taken some of it.
    pub fn since<B: Bus>(bus: &B, begin: &Begin, own: impl IntoIterator<Item = Ipv4Addr>) -> Result<Self> {
        Self { own: own.into_iter().collect(), ..Self::default() }.reading(bus, begin)
    }

    fn reading<B: Bus>(mut self, bus: &B, begin: &Begin) -> Result<Self> {
        let (topic, mut reader) = (bus.topics().raw, bus.reader()?);
        for &(partition, first) in &begin.0 {
            let mut fault = None;
            reader.read_on(&topic, partition, first..i64::MAX, &mut |record| match self
                .take(record.key().unwrap_or_default(), record.value().unwrap_or_default())
            {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    fault = Some(error.context(format!("{topic}/{partition} offset {}", record.offset())));
                    ControlFlow::Break(())
                }
            })?;
            fault.map_or(Ok(()), Err)?;
        }
        Ok(self)
    }

    /// Takes a record of the topic.
    ///
    /// # Errors
    /// Where its key is no address, or its value no frame.
    pub fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let address: [u8; 16] = key.try_into().context("a key is no address")?;
        // Routers of others may send over IPv6.
        let own = Ipv6Addr::from(address).to_ipv4_mapped();
        for datagram in frame::datagrams(value) {
            let datagram = datagram?;
            self.datagrams += 1;
            if let Some(address) = own.filter(|own| self.own.is_empty() || self.own.contains(own)) {
                *self.times.entry(print(address, datagram.payload)).or_default() += 1;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn of(prints: impl Iterator<Item = u64>) -> Self {
        let times: HashMap<u64, u32> = prints.map(|print| (print, 1)).collect();
        Self { datagrams: times.len() as u64, times, ..Self::default() }
    }

    /// How many datagrams were read, of whatever exporter.
    pub fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// How often the datagram of this print lies there.
    pub fn times(&self, print: u64) -> u32 {
        self.times.get(&print).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use weir_bus::{EmbeddedBus, EmbeddedConfig, Message, TopicSpec, Writer};
    use weir_schemas::frame::{Datagram, FrameWriter};

    #[test]
    fn what_lay_there_before_a_run_and_what_others_send_is_not_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let embedded = EmbeddedConfig { path: folder.path().to_owned(), ..EmbeddedConfig::default() };
        let config = weir_bus::Config { embedded, ..weir_bus::Config::default() };
        let bus = EmbeddedBus::open(config.clone()).unwrap();
        assert!(Begin::now(&bus).unwrap_err().to_string().contains("there is no topic weir.raw"));
        for spec in TopicSpec::all(&config, bus.partitions()) {
            bus.create(&spec).unwrap();
        }
        let topic = bus.topics().raw;
        let mut writer = bus.writer(1 << 20).unwrap();
        let [ours, other] = [1, 2].map(|last| Ipv4Addr::new(127, 64, 0, last));
        let mut send = |partition, exporter: Ipv4Addr, payload: &[u8]| {
            let mut frame = FrameWriter::default();
            frame.push(&Datagram { received: 1, listener: 2055, source_port: 7, payload });
            let key = exporter.to_ipv6_mapped().octets();
            let value = Some(frame.as_bytes());
            let message = Message { topic: &topic, partition, key: &key, value, headers: &[] };
            writer.try_send(&message, 1).unwrap().unwrap();
            assert!(writer.flush(Duration::from_secs(20)));
        };
        send(0, ours, b"before");
        let begin = Begin::now(&bus).unwrap();
        for (partition, exporter) in [(0, ours), (1, ours), (1, other)] {
            send(partition, exporter, b"after");
        }
        let since = Received::since(&bus, &begin, [ours]).unwrap();
        assert_eq!(since.datagrams(), 3);
        let times = |all: &Received| {
            [(ours, b"before".as_slice()), (ours, b"after"), (other, b"after")]
                .map(|(exporter, payload)| all.times(print(exporter, payload)))
        };
        assert_eq!(times(&since), [0, 2, 0]);
        let all = Received::read(&bus).unwrap();
        assert_eq!((all.datagrams(), times(&all)), (4, [1, 2, 1]));
    }
}
