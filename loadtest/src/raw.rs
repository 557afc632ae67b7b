//! What of the datagrams sent lies in `weir.raw`: the border between missed and lost.
//!
//! A datagram that a dead socket, the kernel or a killed ingest's memory took was never acknowledged, and is *missed*. One that lies in
//! `weir.raw` was, and must come out as rows, once: otherwise it is *lost* (docs/exactly-once.md, rule 20).

use crate::ledger::Entered;
use anyhow::{Context, Result};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{Ipv4Addr, Ipv6Addr};
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
}

impl Received {
    /// Reads all of the topic.
    ///
    /// # Errors
    /// Where the bus can't be read, or a frame is none.
    pub fn read<B: Bus>(bus: &B) -> Result<Self> {
        let topic = bus.topics().raw;
        let there = bus.describe(&[topic.as_str()])?.pop().flatten();
        let there = there.with_context(|| format!("there is no topic {topic}"))?;
        let partitions: Vec<i32> = (0..there.partitions as i32).collect();
        let (mut found, mut fault) = (Self::default(), None);
        bus.reader()?.restore(&topic, &partitions, &mut |record| {
            let taken = found.take(record.key().unwrap_or_default(), record.value().unwrap_or_default());
            if let Err(error) = taken {
                let place = format!("{topic}/{} offset {}", record.partition(), record.offset());
                fault.get_or_insert(error.context(place));
            }
        })?;
        fault.map_or(Ok(found), Err)
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
            if let Some(address) = own {
                *self.times.entry(print(address, datagram.payload)).or_default() += 1;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn of(prints: impl Iterator<Item = u64>) -> Self {
        let times: HashMap<u64, u32> = prints.map(|print| (print, 1)).collect();
        Self { datagrams: times.len() as u64, times }
    }

    /// How many datagrams lie there, of whatever exporter.
    pub fn datagrams(&self) -> u64 {
        self.datagrams
    }

    /// How often the datagram of this print lies there.
    pub fn times(&self, print: u64) -> u32 {
        self.times.get(&print).copied().unwrap_or_default()
    }
}
