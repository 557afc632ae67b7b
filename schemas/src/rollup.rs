//! The rollup tables and the tables that queries join, as columns.
//!
//! Links are not frozen into rollups: rows keep exporter and interface, and what an interface is *called* or *pays for* is joined
//! when asked (docs/ARCHITECTURE.md, 8). Measures are unscaled; the sampling interval is part of the key. They are signed, so that what a
//! window was decoded to wrongly can be taken back by rows that are added like any others: a sum over all rows of a key is never negative.

use crate::enums::*;
use crate::quality::{ArrivalRow, CheckRow, FaultRow, SessionRow};
use crate::record::{Column, Role, record};
use crate::value::{Country, Ip, Slot, Time};

macro_rules! rollup {
    ($(#[$meta:meta])* pub struct $Name:ident { $($keys:tt)* }) => {
        record! {
            $(#[$meta])*
            pub struct $Name {
                $($keys)*
                #[doc = "Thousandths of the sampling interval N; 0: unknown."]
                sampling_interval: u64, Thousandths, Dimension;
                #[doc = "Kind of sampling that the interval describes."]
                sampling_kind: SamplingKind, None, Dimension;
                #[doc = "Bytes of layer 3, unscaled."]
                bytes: i64, Bytes, Measure;
                #[doc = "Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3."]
                bytes_l2: i64, Bytes, Measure;
                #[doc = "The part of bytes_l2 that is estimated."]
                bytes_l2_estimated: i64, Bytes, Measure;
                #[doc = "Packets, unscaled."]
                packets: i64, Packets, Measure;
                #[doc = "Flow records that end in the slot."]
                flows: i64, Flows, Measure;
                #[doc = "Error term of bytes."]
                q: i128, SquareBytes, Measure;
                #[doc = "Error term of bytes_l2."]
                q_l2: i128, SquareBytes, Measure;
                #[doc = "Error term of packets under flow sampling: the sum of the squared packets of a record; else 0."]
                q_packets: i128, None, Measure;
            }
        }
    };
}

rollup! {
    /// A side of flows on an interface: the input interface with the source AS, or the output interface with the destination AS.
    pub struct LinkRow {
        #[doc = "Start of the slot."]
        time: Slot, None, Time;
        #[doc = "Transport source address of the datagrams."]
        exporter: Ip, None, Dimension;
        #[doc = "Interface index; 0: not known."]
        if_index: u32, None, Dimension;
        #[doc = "Side: in by the input interface, out by the output interface."]
        direction: Direction, None, Dimension;
        #[doc = "Where the packets were observed."]
        observation: Observation, None, Dimension;
        #[doc = "Address family: 4, 6, or 0 where it is not IP."]
        family: u8, None, Dimension;
        #[doc = "Origin AS: in: the source's; out: the destination's; 0: own or unknown."]
        asn: u32, None, Dimension;
        #[doc = "Neighbour AS on that side; 0: unknown."]
        neighbour_as: u32, None, Dimension;
    }
}

rollup! {
    /// A side of flows on an interface, whatever its ASes: what a link carries in all.
    pub struct InterfaceSumRow {
        #[doc = "Start of the slot."]
        time: Slot, None, Time;
        #[doc = "Transport source address of the datagrams."]
        exporter: Ip, None, Dimension;
        #[doc = "Interface index; 0: not known."]
        if_index: u32, None, Dimension;
        #[doc = "Side: in by the input interface, out by the output interface."]
        direction: Direction, None, Dimension;
        #[doc = "Where the packets were observed."]
        observation: Observation, None, Dimension;
        #[doc = "Address family: 4, 6, or 0 where it is not IP."]
        family: u8, None, Dimension;
    }
}

rollup! {
    /// Flows between two ASes through a pair of interfaces.
    pub struct PairRow {
        #[doc = "Start of the slot."]
        time: Slot, None, Time;
        #[doc = "Transport source address of the datagrams."]
        exporter: Ip, None, Dimension;
        #[doc = "Input interface index; 0: not known."]
        in_if: u32, None, Dimension;
        #[doc = "Output interface index; 0: not known."]
        out_if: u32, None, Dimension;
        #[doc = "Where the packets were observed."]
        observation: Observation, None, Dimension;
        #[doc = "Address family: 4, 6, or 0 where it is not IP."]
        family: u8, None, Dimension;
        #[doc = "Source AS; 0: own or unknown."]
        src_as: u32, None, Dimension;
        #[doc = "Destination AS; 0: own or unknown."]
        dst_as: u32, None, Dimension;
        #[doc = "Country of the source."]
        src_country: Country, None, Dimension;
        #[doc = "Country of the destination."]
        dst_country: Country, None, Dimension;
        #[doc = "Class of the transport protocol."]
        protocol_class: ProtocolClass, None, Dimension;
    }
}

rollup! {
    /// A side of flows on an interface, by the prefix of the far address.
    pub struct PrefixRow {
        #[doc = "Start of the slot."]
        time: Slot, None, Time;
        #[doc = "Transport source address of the datagrams."]
        exporter: Ip, None, Dimension;
        #[doc = "Interface index; 0: not known."]
        if_index: u32, None, Dimension;
        #[doc = "Side: in by the input interface, out by the output interface."]
        direction: Direction, None, Dimension;
        #[doc = "Where the packets were observed."]
        observation: Observation, None, Dimension;
        #[doc = "Address family: 4, 6, or 0 where it is not IP."]
        family: u8, None, Dimension;
        #[doc = "Prefix: in: the source's; out: the destination's; as exported, else /24 or /48."]
        prefix: Ip, None, Dimension;
        #[doc = "Its length."]
        prefix_len: u8, Bits, Dimension;
        #[doc = "Its origin AS; 0: own or unknown."]
        asn: u32, None, Dimension;
    }
}

record! {
    /// An exporter, as last known.
    pub struct ExporterRow {
        #[doc = "Transport source address of the datagrams."]
        exporter: Ip, None, Dimension;
        #[doc = "Name."]
        name: &'a str, None, Dimension;
        #[doc = "When this was learned; the latest wins."]
        version: u64, Nanoseconds, Provenance;
    }
}

record! {
    /// An interface, as last known.
    pub struct InterfaceRow {
        #[doc = "Transport source address of the datagrams."]
        exporter: Ip, None, Dimension;
        #[doc = "Interface index."]
        if_index: u32, None, Dimension;
        #[doc = "Name."]
        name: &'a str, None, Dimension;
        #[doc = "Description."]
        description: &'a str, None, Dimension;
        #[doc = "Speed; 0 where not known."]
        speed: u64, BitsPerSecond, Dimension;
        #[doc = "When this was learned; the latest wins."]
        version: u64, Nanoseconds, Provenance;
    }
}

record! {
    /// An interface's membership in a link, with validity.
    pub struct LinkMemberRow {
        #[doc = "Transport source address of the datagrams."]
        exporter: Ip, None, Dimension;
        #[doc = "Interface index."]
        if_index: u32, None, Dimension;
        #[doc = "From when on the interface is a member."]
        valid_from: Slot, None, Time;
        #[doc = "Until when the interface is a member."]
        valid_to: Slot, None, Time;
        #[doc = "Name of the link; empty: the interface is on no link."]
        link: &'a str, None, Dimension;
        #[doc = "Provider."]
        provider: &'a str, None, Dimension;
        #[doc = "What the link is for."]
        connectivity: Connectivity, None, Dimension;
        #[doc = "AS at the other end; 0: unknown or many."]
        neighbour_as: u32, None, Dimension;
        #[doc = "Capacity that is paid for or usable; 0: unknown."]
        capacity: u64, BitsPerSecond, Dimension;
        #[doc = "When this was said; the latest wins."]
        version: u64, Nanoseconds, Provenance;
    }
}

record! {
    /// An interface's membership in a link that a person classified, with validity. Of a link and exporter the rows of the latest version count.
    pub struct ClassifiedRow {
        #[doc = "Transport source address of the datagrams."]
        exporter: Ip, None, Dimension;
        #[doc = "What the link is called for good, whatever its name is."]
        link_id: &'a str, None, Dimension;
        #[doc = "Interface index."]
        if_index: u32, None, Dimension;
        #[doc = "From when on the interface is a member."]
        valid_from: Slot, None, Time;
        #[doc = "Until when the interface is a member; the same as valid_from: the exporter has no member any more."]
        valid_to: Slot, None, Time;
        #[doc = "Name of the link."]
        link: &'a str, None, Dimension;
        #[doc = "Provider."]
        provider: &'a str, None, Dimension;
        #[doc = "What the link is for."]
        connectivity: Connectivity, None, Dimension;
        #[doc = "AS at the other end; 0: unknown or many."]
        neighbour_as: u32, None, Dimension;
        #[doc = "Capacity that is paid for or usable; 0: unknown."]
        capacity: u64, BitsPerSecond, Dimension;
        #[doc = "Rate that is paid for whether it is used or not; 0: none."]
        commit_rate: u64, BitsPerSecond, Dimension;
        #[doc = "Price of a Mbit/s for a month, in thousandths of the currency's unit; 0: unknown, or free."]
        price: u64, Thousandths, Dimension;
        #[doc = "Currency of the price (ISO 4217); empty: none."]
        currency: &'a str, None, Dimension;
        #[doc = "When this was said; the latest wins."]
        version: u64, Nanoseconds, Provenance;
    }
}

record! {
    /// An announced sampling interval.
    pub struct RateRow {
        #[doc = "Transport source address of the datagrams."]
        exporter: Ip, None, Dimension;
        #[doc = "Observation domain."]
        observation_domain: u32, None, Dimension;
        #[doc = "What kind of announcement it is."]
        rate_source: RateSource, None, Dimension;
        #[doc = "Interface, line card, sampler or template it is for; 0 for the system or domain."]
        scope: u64, None, Dimension;
        #[doc = "Sampling interval N."]
        sampling_interval: u64, Thousandths, Dimension;
        #[doc = "Kind of sampling."]
        sampling_kind: SamplingKind, None, Dimension;
        #[doc = "Receive time from which it applies."]
        valid_from: Time, Nanoseconds, Time;
        #[doc = "When this was learned; the latest wins."]
        version: u64, Nanoseconds, Provenance;
    }
}

record! {
    /// The name of an AS.
    pub struct AsRow {
        #[doc = "AS number."]
        asn: u32, None, Dimension;
        #[doc = "Name of its holder."]
        name: &'a str, None, Dimension;
        #[doc = "When this was loaded; the latest wins."]
        version: u64, Nanoseconds, Provenance;
    }
}

record! {
    /// A window that was decoded again, as far as it has come.
    pub struct RedecodeRow {
        #[doc = "Decode generation of its rows."]
        generation: u32, None, Provenance;
        #[doc = "Start of the window, by receive time."]
        window_from: Time, Nanoseconds, Time;
        #[doc = "End of the window, not included."]
        window_to: Time, Nanoseconds, Time;
        #[doc = "How far it has come: decoding, staged, summed, swapped, given_up."]
        phase: &'a str, None, Dimension;
        #[doc = "Who works on it: a number that each run draws."]
        owner: u64, None, Provenance;
        #[doc = "JSON: what its old rows are, in which steps they are taken back, and sums before and after."]
        details: &'a str, None, Provenance;
        #[doc = "When this was written; the latest wins."]
        version: u64, Nanoseconds, Provenance;
    }
}

/// What the rows of a table are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Flows as they are.
    Flows,
    /// Sides by AS.
    Links,
    /// Sides, whatever their AS.
    Interfaces,
    /// AS pairs.
    Pairs,
    /// Sides by prefix.
    Prefixes,
    /// The latest row of each key counts.
    Latest,
}

/// Which rows lie next to each other, and are read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Those of a slot: for a short time of all ASes.
    ByTime,
    /// Those of an AS within this many seconds, of which a partition is made up: for a long time of few ASes. All of a time is read from longer slots.
    ByAs(u32),
}

/// A table of the store: all that its DDL, its writer and the choice of a table for a query need.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Name.
    pub name: &'static str,
    /// What its rows are.
    pub shape: Shape,
    /// Length of a slot in seconds; 0 where rows are not slots.
    pub slot: u32,
    /// Columns; of `flows` without those of the batch.
    pub columns: &'static [Column],
    /// What it is partitioned by.
    pub partition_by: &'static str,
    /// Order of its rows.
    pub order_by: &'static str,
    /// How rows of a shape lie together.
    pub lie: Lie,
    /// Expression of the time that retention counts from; empty: kept always.
    pub age: &'static str,
    /// Days kept unless configured otherwise; 0: always.
    pub days: u32,
}

const PAIRS: &str = "time, exporter, in_if, out_if, observation, family, src_as, dst_as, src_country, dst_country, protocol_class, sampling_interval, sampling_kind";
const INTERFACES: &str =
    "time, exporter, if_index, direction, observation, family, sampling_interval, sampling_kind";
const DAY: &str = "toYYYYMMDD(time)";
const MONTH: &str = "toYYYYMM(time)";
/// Rows of a day lie by AS.
pub const A_DAY: Lie = Lie::ByAs(86_400);

/// A key of sides, by AS, with what is before and behind it.
macro_rules! by_as {
    (links $before:literal $behind:literal) => {
        concat!(
            $before,
            "asn, exporter, if_index, direction, observation, family, neighbour_as, sampling_interval, sampling_kind",
            $behind
        )
    };
    (prefixes $before:literal $behind:literal) => {
        concat!(
            $before,
            "asn, prefix, prefix_len, exporter, if_index, direction, observation, family, sampling_interval, sampling_kind",
            $behind
        )
    };
}

const fn rollup(
    name: &'static str,
    shape: Shape,
    slot: u32,
    (partition_by, lie): (&'static str, Lie),
    days: u32,
) -> Table {
    let (columns, order_by) = match (shape, lie) {
        (Shape::Interfaces, _) => (InterfaceSumRow::COLUMNS, INTERFACES),
        (Shape::Pairs, _) => (PairRow::COLUMNS, PAIRS),
        (Shape::Prefixes, _) => (PrefixRow::COLUMNS, by_as!(prefixes "toDate(time), " ", time")),
        (_, Lie::ByTime) => (LinkRow::COLUMNS, by_as!(links "time, " "")),
        (_, A_DAY) => (LinkRow::COLUMNS, by_as!(links "toDate(time), " ", time")),
        (_, Lie::ByAs(_)) => (LinkRow::COLUMNS, by_as!(links "" ", time")),
    };
    Table { name, shape, slot, columns, partition_by, order_by, lie, age: "time", days }
}

const fn latest(name: &'static str, columns: &'static [Column], order_by: &'static str) -> Table {
    let (shape, lie) = (Shape::Latest, Lie::ByTime);
    Table { name, shape, slot: 0, columns, partition_by: "", order_by, lie, age: "", days: 0 }
}

/// What was told minute by minute, as often as it was told.
const fn told(name: &'static str, columns: &'static [Column], order_by: &'static str) -> Table {
    Table { partition_by: DAY, age: "time", days: 35, ..latest(name, columns, order_by) }
}

/// Flows as they are.
pub const FLOWS: Table = Table {
    name: "flows",
    shape: Shape::Flows,
    slot: 0,
    columns: crate::columns::Flow::COLUMNS,
    partition_by: "toYYYYMMDD(received)",
    order_by: "toStartOfFiveMinutes(received), exporter, in_if, out_if, received",
    lie: Lie::ByTime,
    age: "toDateTime(received)",
    days: 14,
};

/// The rollups, in the order in which the sink writes them.
pub const ROLLUPS: &[Table] = &[
    rollup("links_1m", Shape::Links, 60, (DAY, Lie::ByTime), 35),
    rollup("links_5m", Shape::Links, 300, (MONTH, A_DAY), 400),
    rollup("links_1h", Shape::Links, 3600, (MONTH, A_DAY), 1830),
    rollup("links_1d", Shape::Links, 86_400, (MONTH, Lie::ByAs(u32::MAX)), 1830),
    rollup("interfaces_1m", Shape::Interfaces, 60, (DAY, Lie::ByTime), 35),
    rollup("interfaces_5m", Shape::Interfaces, 300, (MONTH, Lie::ByTime), 400),
    rollup("pairs_5m", Shape::Pairs, 300, (DAY, Lie::ByTime), 14),
    rollup("pairs_1h", Shape::Pairs, 3600, (MONTH, Lie::ByTime), 400),
    rollup("prefixes_1h", Shape::Prefixes, 3600, (MONTH, A_DAY), 400),
];

/// Tables that queries join, and those of how well telemetry arrives.
pub const JOINED: &[Table] = &[
    latest("exporters", ExporterRow::COLUMNS, "exporter"),
    latest("interfaces", InterfaceRow::COLUMNS, "exporter, if_index"),
    latest("links", LinkMemberRow::COLUMNS, "exporter, if_index, valid_from"),
    latest("classified", ClassifiedRow::COLUMNS, "exporter, link_id, if_index, valid_from"),
    latest("rates", RateRow::COLUMNS, "exporter, observation_domain, rate_source, scope, valid_from"),
    Table { lie: Lie::ByAs(u32::MAX), ..latest("asns", AsRow::COLUMNS, "asn") },
    told("arrivals", ArrivalRow::COLUMNS, "exporter, since, time"),
    told(
        "sessions",
        SessionRow::COLUMNS,
        "exporter, protocol, observation_domain, source_port, agent, unit, since, time",
    ),
    told("faults", FaultRow::COLUMNS, "exporter, reason, since, time"),
    told("checks", CheckRow::COLUMNS, "exporter, name, since, time"),
];

/// What became of windows that were decoded again.
pub const REDECODES: Table = latest("redecodes", RedecodeRow::COLUMNS, "generation");

impl Table {
    /// All columns in order, those of the batch included.
    pub fn all_columns(&self) -> impl Iterator<Item = &'static Column> + Clone + use<> {
        let batch = if self.shape == Shape::Flows { crate::columns::Batch::COLUMNS } else { &[] };
        batch.iter().chain(self.columns)
    }

    /// Columns that merging adds up.
    pub fn measures(&self) -> impl Iterator<Item = &'static Column> + use<> {
        self.columns.iter().filter(|column| column.role == Role::Measure)
    }
}

/// Every table, base first.
pub fn tables() -> impl Iterator<Item = &'static Table> {
    std::iter::once(&FLOWS).chain(ROLLUPS).chain(JOINED).chain([&REDECODES])
}
