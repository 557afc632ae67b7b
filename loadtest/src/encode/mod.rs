//! Flows to datagrams, as routers write them. Shares nothing with the decoder but the standards.

mod sflow;
mod templated;
mod v5;

use crate::network::{Announces, Exporter, Protocol};
use crate::traffic::Flow;
use std::net::IpAddr;

/// The exporter's clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Now, ns since the epoch.
    pub now_ns: i64,
    /// When it was switched on.
    pub booted_ns: i64,
}

impl Clock {
    fn uptime_ms(&self) -> u32 {
        ((self.now_ns - self.booted_ns) / 1_000_000) as u32
    }
    fn seconds(&self) -> u32 {
        (self.now_ns / 1_000_000_000) as u32
    }
}

/// What a datagram tells of a flow: less than the router knew, in some protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Export time in the header, ns since the epoch; 0 where there is none.
    pub exported_ns: i64,
    /// First and last packet, ns since the epoch; 0 where not told.
    pub start_ns: i64,
    /// The same for the last one.
    pub end_ns: i64,
    /// Source and destination AS.
    pub ases: (u32, u32),
    /// Sampling interval as announced before this flow, in thousandths; 0: not announced yet.
    pub interval: u64,
}

/// What a datagram without flows tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Templates, those of options among them.
    Templates,
    /// The sampling rate.
    Rate,
    /// Interfaces.
    Interfaces,
}

/// Data datagrams after which templates and options are sent again.
pub const REFRESH: u64 = 400;

/// Bytes of a datagram's payload, so that none is fragmented.
const ROOM: usize = 1400;

/// The exporting process of one exporter.
#[derive(Debug)]
pub struct Encoder {
    kind: Kind,
    announced: bool,
    datagrams: u64,
    /// Data datagrams before the templates.
    templates_after: u64,
    refresh: u64,
    domains: u32,
}

#[derive(Debug)]
enum Kind {
    V5(v5::Process),
    Templated(templated::Process),
    Sflow(sflow::Process),
}

impl Encoder {
    /// The exporting process of exporter `number`. Templates and options come again after `refresh` datagrams; 0: never. `domains` is added to
    /// its observation domain: what a decoder knows of those of before is not known of it.
    pub fn new(exporter: &Exporter, number: usize, refresh: u64, domains: u32) -> Self {
        let kind = match exporter.protocol {
            Protocol::NetflowV5 => Kind::V5(v5::Process::default()),
            Protocol::NetflowV9 | Protocol::Ipfix => {
                Kind::Templated(templated::Process::new(exporter, number, domains))
            }
            Protocol::Sflow => Kind::Sflow(sflow::Process::default()),
        };
        let announced = matches!(exporter.announces, Announces::Always | Announces::InRecord);
        Self { kind, announced, datagrams: 0, templates_after: exporter.templates_after, refresh, domains }
    }

    /// The exporter starts anew: everything is counted and announced from the beginning, and its template ids have changed their meaning.
    /// Templates come first, as routers do it; the rate that it announced before holds until it announces one again.
    pub fn restart(&mut self, exporter: &Exporter, number: usize) {
        let turned = match &self.kind {
            Kind::Templated(process) => !process.turned(),
            Kind::V5(_) | Kind::Sflow(_) => false,
        };
        *self = Self {
            announced: self.announced,
            templates_after: 0,
            ..Self::new(exporter, number, self.refresh, self.domains)
        };
        if let Kind::Templated(process) = &mut self.kind {
            process.turn(turned);
        }
    }

    /// How many flows fit into a datagram.
    pub fn capacity(&self) -> usize {
        match &self.kind {
            Kind::V5(_) => v5::CAPACITY,
            Kind::Templated(process) => process.capacity(),
            Kind::Sflow(_) => sflow::CAPACITY,
        }
    }

    /// Templates and options that are due before the next data.
    pub fn control(&mut self, exporter: &Exporter, clock: Clock) -> Vec<(Control, Vec<u8>)> {
        let Kind::Templated(process) = &mut self.kind else { return Vec::new() };
        let n = self.datagrams;
        let again = self.refresh != 0
            && n > self.templates_after
            && (n - self.templates_after).is_multiple_of(self.refresh);
        let rate = exporter.announces.by_options() && n >= exporter.rate_after && n >= self.templates_after;
        if n == self.templates_after || again || (rate && !self.announced) {
            self.announced |= rate;
            process.control(exporter, clock, rate)
        } else {
            Vec::new()
        }
    }

    /// A datagram of flows, at most [`capacity`](Self::capacity) of them, and what it tells of each.
    pub fn data(
        &mut self,
        exporter: &Exporter,
        flows: &[Flow],
        clock: Clock,
        told: &mut Vec<Told>,
    ) -> Vec<u8> {
        told.clear();
        let known = if self.announced { u64::from(exporter.interval) * 1000 } else { 0 };
        self.datagrams += 1;
        let bytes = match &mut self.kind {
            Kind::V5(process) => process.data(exporter, flows, clock, told),
            Kind::Templated(process) => process.data(exporter, flows, clock, told),
            Kind::Sflow(process) => process.data(exporter, flows, clock, told),
        };
        told.iter_mut().for_each(|told| told.interval = known);
        bytes
    }
}

/// Bytes in network order.
trait Put {
    fn u8(&mut self, n: u8);
    fn u16(&mut self, n: u16);
    fn u32(&mut self, n: u32);
    fn u64(&mut self, n: u64);
    fn address(&mut self, address: IpAddr);
    /// Writes a number over what is there.
    fn set_u16(&mut self, at: usize, n: usize);
}

impl Put for Vec<u8> {
    fn u8(&mut self, n: u8) {
        self.push(n);
    }
    fn u16(&mut self, n: u16) {
        self.extend_from_slice(&n.to_be_bytes());
    }
    fn u32(&mut self, n: u32) {
        self.extend_from_slice(&n.to_be_bytes());
    }
    fn u64(&mut self, n: u64) {
        self.extend_from_slice(&n.to_be_bytes());
    }
    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(a) => self.extend_from_slice(&a.octets()),
            IpAddr::V6(a) => self.extend_from_slice(&a.octets()),
        }
    }
    fn set_u16(&mut self, at: usize, n: usize) {
        self[at..at + 2].copy_from_slice(&(n as u16).to_be_bytes());
    }
}
