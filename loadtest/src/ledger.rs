//! What was sent, exactly: the other side of every comparison.
//!
//! Per exporter: flows, bytes and packets in all, by minute, by the sampling rate announced until then, and by side (interface,
//! direction, AS); and a checksum that ties what each flow said to the flow's own number. Minutes are those of sending, and no
//! datagram is sent near a minute's border, so they are the minutes of receiving too.

use crate::encode::Told;
use crate::network::{Exporter, Protocol};
use crate::raw::{Announced, Sent};
use crate::tag;
use crate::traffic::Flow;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::AddAssign;
use std::path::Path;

/// Flows, bytes, packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// Flow records.
    pub flows: u64,
    /// Layer 3 bytes, unscaled.
    pub bytes: u64,
    /// Packets, unscaled.
    pub packets: u64,
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.flows += other.flows;
        self.bytes += other.bytes;
        self.packets += other.packets;
    }
}

/// All of a run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// Seed of the run.
    pub seed: u64,
    /// When it began, ns since the epoch.
    pub started_ns: i64,
    /// When the last datagram was sent.
    pub ended_ns: i64,
    /// Data datagrams.
    pub datagrams: u64,
    /// Datagrams of templates and options.
    pub control_datagrams: u64,
    /// Datagrams that mean nothing.
    #[serde(default)]
    pub garbage_datagrams: u64,
    /// Those of them that nothing can come of but a dead letter.
    #[serde(default)]
    pub noise_datagrams: u64,
    /// What ingest's counters say of the run, if they were asked.
    pub ingest: Option<Ingest>,
    /// By exporter.
    pub exporters: Vec<Account>,
    /// Names of the ASes met.
    pub names: BTreeMap<u32, String>,
    /// Every data datagram, where that was asked for. Not in the file.
    #[serde(skip)]
    pub journal: Vec<Sent>,
    /// Every datagram that announces a rate, as the journal. Not in the file.
    #[serde(skip)]
    pub announced: Vec<Announced>,
}

/// What the flows of a datagram came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entered {
    /// Together.
    pub sum: Sum,
    /// What they add to the account's checksum.
    pub checksum: u64,
    /// Sampling interval in thousandths as announced until then.
    pub interval: u64,
}

/// What ingest counted while the generator sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingest {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams in frames that the bus acknowledged.
    pub acknowledged: u64,
    /// Datagrams that the kernel dropped.
    pub kernel_drops: u64,
    /// Datagrams that ingest dropped or that the bus gave up.
    pub dropped: u64,
}

/// What one exporter sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// Its address.
    pub address: Ipv4Addr,
    /// Its name.
    pub name: String,
    /// Its protocol.
    pub protocol: String,
    /// Its interfaces.
    pub interfaces: Vec<Named>,
    /// In all.
    pub total: Sum,
    /// Sum over its flows of what each said, times its number; wrapping.
    pub checksum: u64,
    /// By minute (seconds since the epoch).
    pub minutes: BTreeMap<i64, Sum>,
    /// Minutes into whose successor a datagram may have slipped, because this program was held up.
    pub blurred: BTreeSet<i64>,
    /// By sampling interval in thousandths as announced until then; 0: unknown.
    pub rates: BTreeMap<u64, Sum>,
    /// The rate announced first, in thousandths; 0: none.
    #[serde(default)]
    pub first_rate: u64,
    /// By side. JSON has no keys but text, so a list.
    #[serde(with = "sides")]
    pub sides: BTreeMap<Side, Sum>,
    /// The part of `sides` that was sent without a rate after the first was announced, observed on ingress: it is not known whether that rate
    /// is its own.
    #[serde(default, with = "sides")]
    pub unsettled: BTreeMap<Side, Sum>,
    /// The part of `sides` that was observed on egress: the same traffic once more.
    #[serde(default, with = "sides")]
    pub egress: BTreeMap<Side, Sum>,
}

/// An interface and its link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// ifIndex.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Link, as the rules name it.
    pub link: String,
}

/// A side of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Side {
    /// ifIndex.
    pub interface: u32,
    /// True: by the input interface and the source AS; false: by the output interface and the destination AS.
    pub inbound: bool,
    /// AS by the database; 0: the network's own.
    pub asn: u32,
    /// Sampling interval in thousandths as announced until then; 0: unknown.
    pub interval: u64,
}

mod sides {
    use super::{Side, Sum};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::collections::BTreeMap;

    type Row = (u32, bool, u32, u64, u64, u64, u64);

    pub fn serialize<S: Serializer>(sides: &BTreeMap<Side, Sum>, to: S) -> Result<S::Ok, S::Error> {
        let row = |(s, sum): (&Side, &Sum)| -> Row {
            (s.interface, s.inbound, s.asn, s.interval, sum.flows, sum.bytes, sum.packets)
        };
        sides.iter().map(row).collect::<Vec<_>>().serialize(to)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<BTreeMap<Side, Sum>, D::Error> {
        let of = |(interface, inbound, asn, interval, flows, bytes, packets): Row| {
            (Side { interface, inbound, asn, interval }, Sum { flows, bytes, packets })
        };
        Ok(Vec::<Row>::deserialize(from)?.into_iter().map(of).collect())
    }
}

/// What a flow says, each with a factor of its own.
const FACTORS: [(&str, u64); 13] = [
    ("toUInt64(ifNull(bytes, 0))", 0x9e37_79b9_7f4a_7c15),
    ("packets", 0xbf58_476d_1ce4_e5b9),
    ("toUInt64(in_if)", 0x94d0_49bb_1331_11eb),
    ("toUInt64(out_if)", 0xd6e8_feb8_6659_fd93),
    ("toUInt64(src_as_exported)", 0xa076_1d64_78bd_642f),
    ("toUInt64(dst_as_exported)", 0xe703_7ed1_a0b4_28db),
    ("toUInt64(proto)", 0x8ebc_6af0_9c88_c6e3),
    ("toUInt64(tcp_flags)", 0x5899_65cc_7537_4cc3),
    ("toUInt64(src_prefix_len)", 0x1d8e_4e27_c47d_124f),
    ("toUInt64(dst_prefix_len)", 0xeb44_acca_b455_d165),
    ("toUInt64(toUnixTimestamp64Nano(exported))", 0xc2b2_ae3d_27d4_eb4f),
    ("toUInt64(toUnixTimestamp64Nano(flow_start))", 0x1656_67b1_9e37_79f9),
    ("toUInt64(toUnixTimestamp64Nano(flow_end))", 0x27d4_eb2f_1656_67c5),
];
/// Factor of the flow's number.
const NUMBER: u64 = 0x2545_f491_4f6c_dd1d;

fn checksum(flow: &Flow, told: &Told) -> u64 {
    let said = [
        flow.bytes,
        flow.packets,
        flow.interfaces.0.into(),
        flow.interfaces.1.into(),
        told.ases.0.into(),
        told.ases.1.into(),
        flow.proto.into(),
        flow.tcp_flags.into(),
        flow.lengths.0.into(),
        flow.lengths.1.into(),
        told.exported_ns as u64,
        told.start_ns as u64,
        told.end_ns as u64,
    ];
    let said = said
        .iter()
        .zip(FACTORS)
        .fold(0_u64, |sum, (value, (_, factor))| sum.wrapping_add(value.wrapping_mul(factor)));
    said.wrapping_mul(flow.tag.wrapping_mul(NUMBER) | 1)
}

/// The same over rows of `flows`, in ClickHouse's words; numbers wrap there too.
pub fn checksum_sql() -> String {
    let said: Vec<String> = FACTORS.iter().map(|(column, factor)| format!("{column} * {factor}")).collect();
    format!("sum(({}) * bitOr(toUInt64({}) * {NUMBER}, 1))", said.join(" + "), tag::sql())
}

impl Account {
    fn new(exporter: &Exporter) -> Self {
        let named = |one: &crate::network::Interface| Named {
            index: one.index,
            name: one.name.clone(),
            link: one.link.clone(),
        };
        let protocol = match exporter.protocol {
            Protocol::NetflowV5 => "netflow_v5",
            Protocol::NetflowV9 => "netflow_v9",
            Protocol::Ipfix => "ipfix",
            Protocol::Sflow => "sflow_v5",
        };
        let interfaces = exporter.interfaces.iter().map(named).collect();
        Self::of(exporter.address, exporter.name.clone(), protocol.to_owned(), interfaces)
    }

    fn of(address: Ipv4Addr, name: String, protocol: String, interfaces: Vec<Named>) -> Self {
        Self {
            address,
            name,
            protocol,
            interfaces,
            total: Sum::default(),
            checksum: 0,
            minutes: BTreeMap::new(),
            blurred: BTreeSet::new(),
            rates: BTreeMap::new(),
            first_rate: 0,
            sides: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            egress: BTreeMap::new(),
        }
    }

    /// The same exporter with nothing sent, over the same minutes.
    pub fn emptied(&self) -> Self {
        let Self { address, name, protocol, interfaces, .. } = self;
        let nothing = Self::of(*address, name.clone(), protocol.clone(), interfaces.clone());
        Self { blurred: self.blurred.clone(), ..nothing }
    }

    /// Name of the link that an interface is on.
    pub fn link(&self, interface: u32) -> &str {
        self.interfaces.iter().find(|one| one.index == interface).map_or("", |one| &one.link)
    }
}

impl Ledger {
    /// Nothing sent yet.
    pub fn new(exporters: &[Exporter], seed: u64, now_ns: i64) -> Self {
        Self {
            seed,
            started_ns: now_ns,
            ended_ns: now_ns,
            exporters: exporters.iter().map(Account::new).collect(),
            ..Self::default()
        }
    }

    /// Enters a datagram of exporter `number` that was sent within `minutes`, first and last.
    pub fn enter(&mut self, number: usize, flows: &[Flow], told: &[Told], minutes: (i64, i64)) -> Entered {
        self.datagrams += 1;
        let account = &mut self.exporters[number];
        let mut all =
            Entered { interval: told.first().map_or(0, |told| told.interval), ..Entered::default() };
        for (flow, told) in flows.iter().zip(told) {
            let sum = Sum { flows: 1, bytes: flow.bytes, packets: flow.packets };
            all.sum += sum;
            all.checksum = all.checksum.wrapping_add(checksum(flow, told));
            let interval = told.interval;
            if account.first_rate == 0 {
                account.first_rate = interval;
            }
            for (interface, inbound, asn) in
                [(flow.interfaces.0, true, flow.ases.0), (flow.interfaces.1, false, flow.ases.1)]
            {
                let side = Side { interface, inbound, asn, interval };
                *account.sides.entry(side).or_default() += sum;
                if flow.egress {
                    *account.egress.entry(side).or_default() += sum;
                } else if interval == 0 && account.first_rate != 0 {
                    *account.unsettled.entry(side).or_default() += sum;
                }
            }
        }
        account.checksum = account.checksum.wrapping_add(all.checksum);
        *account.rates.entry(all.interval).or_default() += all.sum;
        account.total += all.sum;
        *account.minutes.entry(minutes.0).or_default() += all.sum;
        if minutes.0 != minutes.1 {
            account.blurred.insert(minutes.0);
        }
        all
    }

    /// Datagrams of every kind.
    pub fn all_datagrams(&self) -> u64 {
        self.datagrams + self.control_datagrams + self.garbage_datagrams
    }

    /// All exporters together.
    pub fn total(&self) -> Sum {
        self.exporters.iter().fold(Sum::default(), |mut sum, account| {
            sum += account.total;
            sum
        })
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let part = path.with_extension("part");
        std::fs::write(&part, serde_json::to_vec(self)?)
            .with_context(|| format!("writing {}", part.display()))?;
        std::fs::rename(&part, path).with_context(|| format!("writing {}", path.display()))
    }

    /// Reads one.
    ///
    /// # Errors
    /// Where the file can't be read or is no ledger.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is no ledger", path.display()))
    }

    /// Traffic with ASes by link and direction, most first: bytes as sent times the sampling interval, the network's own side left
    /// out. What was sent before its exporter announced its first rate takes that one, whatever was announced afterwards; all else
    /// that was sent without a rate stands beside it, unscaled. What was observed on egress is not counted a second time.
    pub fn top(&self) -> Vec<Top> {
        let mut all: BTreeMap<(&str, bool, u32), Top> = BTreeMap::new();
        for account in &self.exporters {
            for (side, sum) in account.sides.iter().filter(|(side, _)| side.asn != 0) {
                let link = account.link(side.interface);
                let top = all.entry((link, side.inbound, side.asn)).or_insert_with(|| Top {
                    link: link.to_owned(),
                    direction: if side.inbound { "in" } else { "out" },
                    asn: side.asn,
                    name: self.names.get(&side.asn).cloned().unwrap_or_default(),
                    ..Top::default()
                });
                let again = account.egress.get(side).copied().unwrap_or_default();
                let (bytes, flows) = (sum.bytes - again.bytes, sum.flows - again.flows);
                let (interval, unknown) = match side.interval {
                    0 if account.first_rate == 0 => (0, bytes),
                    0 => (account.first_rate, account.unsettled.get(side).map_or(0, |sum| sum.bytes)),
                    announced => (announced, 0),
                };
                top.scaled += u128::from(bytes - unknown) * u128::from(interval);
                top.flows += flows;
                top.bytes_unknown_rate += unknown;
            }
        }
        let mut all: Vec<Top> = all.into_values().collect();
        all.iter_mut().for_each(|top| top.bytes = u64::try_from(top.scaled / 1000).unwrap_or(u64::MAX));
        all.sort_by(|a, b| b.scaled.cmp(&a.scaled).then(b.bytes_unknown_rate.cmp(&a.bytes_unknown_rate)));
        all
    }
}

/// A line of [`Ledger::top`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Top {
    /// Name of the link.
    pub link: String,
    /// `in` or `out`.
    pub direction: &'static str,
    /// AS.
    pub asn: u32,
    /// Its name.
    pub name: String,
    /// Estimate of the bytes of exporters that announced a rate.
    pub bytes: u64,
    /// Bytes as exported of those that announced none.
    pub bytes_unknown_rate: u64,
    /// Flow records.
    pub flows: u64,
    #[serde(skip)]
    scaled: u128,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode::{Clock, Encoder};
    use crate::network::network;
    use crate::traffic::Traffic;
    use crate::world::World;

    fn ledger() -> Ledger {
        let world = World::synthetic(1);
        let exporters = network(&world, 3, Ipv4Addr::new(127, 64, 0, 1));
        let mut ledger = Ledger::new(&exporters, 1, 0);
        let clock = Clock { now_ns: 1_700_000_000_000_000_000, booted_ns: 1_699_000_000_000_000_000 };
        for (n, exporter) in exporters.iter().enumerate() {
            let (mut traffic, mut encoder) = (Traffic::new(exporter, n, 1), Encoder::new(exporter, n, 0, 0));
            let mut told = Vec::new();
            for minute in 0..5 {
                let flows: Vec<_> = (0..4).map(|_| traffic.next(&world, exporter)).collect();
                encoder.control(exporter, clock);
                encoder.data(exporter, &flows, clock, &mut told);
                ledger.enter(n, &flows, &told, (minute * 60, minute * 60));
            }
        }
        ledger
    }

    #[test]
    fn minutes_rates_and_sides_each_add_up_to_the_whole() {
        let ledger = ledger();
        assert_eq!(ledger.total().flows, 60);
        for account in &ledger.exporters {
            let add = |sums: &mut dyn Iterator<Item = &Sum>| {
                sums.fold(Sum::default(), |mut all, sum| {
                    all += *sum;
                    all
                })
            };
            assert_eq!(add(&mut account.minutes.values()), account.total);
            assert_eq!(add(&mut account.rates.values()), account.total);
            for direction in [true, false] {
                let mut sides =
                    account.sides.iter().filter(|(side, _)| side.inbound == direction).map(|(_, sum)| sum);
                assert_eq!(add(&mut sides), account.total);
            }
        }
    }

    #[test]
    fn the_first_rate_is_for_what_was_sent_before_it_alone() {
        let world = World::synthetic(1);
        let exporters = network(&world, 1, Ipv4Addr::new(127, 64, 0, 1));
        let mut ledger = Ledger::new(&exporters, 1, 0);
        let mut traffic = Traffic::new(&exporters[0], 0, 1);
        let flow = Flow { bytes: 100, ases: (174, 0), ..traffic.next(&world, &exporters[0]) };
        // Unknown, 1:50, changed to 1:20, and then one without a rate.
        for interval in [0, 50_000, 20_000, 0] {
            ledger.enter(0, std::slice::from_ref(&flow), &[Told { interval, ..Told::default() }], (0, 0));
        }
        let top = ledger.top();
        assert_eq!(top.iter().map(|top| (top.asn, top.bytes)).collect::<Vec<_>>(), [(174, 12_000)]);
        assert_eq!(top[0].bytes_unknown_rate, 100);
    }

    #[test]
    fn what_was_observed_on_egress_too_is_counted_once() {
        let world = World::synthetic(1);
        let exporters = network(&world, 1, Ipv4Addr::new(127, 64, 0, 1));
        let mut ledger = Ledger::new(&exporters, 1, 0);
        let flow = Traffic::new(&exporters[0], 0, 1).next(&world, &exporters[0]);
        for (egress, bytes) in [(false, 100), (true, 30)] {
            let flow = Flow { egress, bytes, ases: (174, 0), ..flow.clone() };
            ledger.enter(0, &[flow], &[Told { interval: 2000, ..Told::default() }], (0, 0));
        }
        assert_eq!(ledger.total().bytes, 130);
        let top = ledger.top();
        assert_eq!(top.iter().map(|top| (top.bytes, top.flows)).collect::<Vec<_>>(), [(200, 1)]);
    }

    #[test]
    fn a_ledger_is_read_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.json");
        let written = ledger();
        written.save(&path).unwrap();
        let read = Ledger::load(&path).unwrap();
        assert_eq!(serde_json::to_value(&written).unwrap(), serde_json::to_value(&read).unwrap());
        assert_eq!(written.top(), read.top());
        assert!(written.top().windows(2).all(|pair| pair[0].scaled >= pair[1].scaled));
    }

    #[test]
    fn the_checksum_notices_a_flow_that_says_something_else() {
        let world = World::synthetic(1);
        let exporters = network(&world, 1, Ipv4Addr::new(127, 64, 0, 1));
        let flow = Traffic::new(&exporters[0], 0, 1).next(&world, &exporters[0]);
        let right = checksum(&flow, &Told::default());
        assert_ne!(right, checksum(&Flow { bytes: flow.bytes + 1, ..flow.clone() }, &Told::default()));
        assert_ne!(right, checksum(&Flow { tag: flow.tag + 1, ..flow.clone() }, &Told::default()));
        assert_ne!(right, checksum(&flow, &Told { end_ns: 1, ..Told::default() }));
    }
}
