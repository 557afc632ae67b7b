//! The table of information elements: which are wanted, how each is read, and where its value goes.
//!
//! Offsets and layouts are data. A record is read into numbered [`Slot`]s of 64 bits by a plan that knows nothing of meanings;
//! only `record.rs` knows what a slot means. An element that is not in the table costs nothing.

use crate::names::REVERSE as REVERSE_PEN;
use weir_schemas::Protocol;

macro_rules! slots {
    ($($Name:ident,)*) => {
        /// Where the value of an element goes. Addresses take two: the high and then the low eight bytes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub(crate) enum Slot { $($Name,)* }

        /// All of them, by number.
        pub(crate) const ALL_SLOTS: &[Slot] = &[$(Slot::$Name),*];
    };
}

slots! {
    Octets, OctetsTotal, OctetsPost, OctetsInitiator, Packets, PacketsTotal, PacketsPost, PacketsInitiator,
    L2Octets, L2OctetsTotal, FrameSize, IpTotalLength, MinLength, MaxLength,
    SumSquares, SumSquaresTotal, L2SumSquares, L2SumSquaresTotal,
    Proto, NextHeader, Tos, Dscp, TcpFlags, SrcPort, DstPort, UdpSrcPort, UdpDstPort, TcpSrcPort, TcpDstPort,
    SrcV4, DstV4, SrcV6, SrcV6Low, DstV6, DstV6Low,
    NextHopV4, NextHopV6, NextHopV6Low, BgpHopV4, BgpHopV6, BgpHopV6Low,
    SrcMaskV4, DstMaskV4, SrcMaskV6, DstMaskV6,
    InIf, OutIf, InPhysical, OutPhysical, SrcAs, DstAs, NextAs, PrevAs,
    UptimeStart, UptimeEnd, StartSeconds, EndSeconds, StartMillis, EndMillis, StartMicros, EndMicros,
    StartNanos, EndNanos, StartDelta, EndDelta, SystemInit, DurationMillis, DurationMicros,
    ObservedSeconds, ObservedMillis, ObservedMicros, ObservedNanos,
    FlowLabel, IcmpV4, IcmpV6, IcmpTypeV4, IcmpCodeV4, IcmpTypeV6, IcmpCodeV6,
    MinTtl, MaxTtl, Ttl, FragmentId, FragmentOffset,
    SrcMac, PostDstMac, DstMac, PostSrcMac, Vlan, PostVlan, Dot1q, PostDot1q, Ethertype, IpVersion, Direction,
    // Of the reverse direction.
    ReverseOctets, ReverseOctetsTotal, ReverseOctetsResponder, ReversePackets, ReversePacketsTotal, ReversePacketsResponder,
    ReverseL2Octets, ReverseL2OctetsTotal, ReverseTos, ReverseTcpFlags,
    ReverseUptimeStart, ReverseUptimeEnd, ReverseStartSeconds, ReverseEndSeconds, ReverseStartMillis, ReverseEndMillis,
    ReverseStartMicros, ReverseEndMicros, ReverseStartNanos, ReverseEndNanos, ReverseStartDelta, ReverseEndDelta,
    ReverseDurationMillis, ReverseDurationMicros,
    NotSentFlows, NotSentPackets, NotSentOctets, IgnoredPackets, IgnoredOctets,
    Label1, Label2, Label3, Label4, Label5, Label6, Label7, Label8, Label9, Label10,
    ForwardingStatus, InVrf, OutVrf,
    ExporterV4, ExporterV6, ExporterV6Low, OriginalV4, OriginalV6, OriginalV6Low, OriginalDomain, FirewallEvent, NatEvent,
    NatSrcV4, NatDstV4, NatSrcV6, NatSrcV6Low, NatDstV6, NatDstV6Low, NatSrcPort, NatDstPort, CustomerVlan,
    Interval, Algorithm, Sampler, SamplerMode, RandomInterval,
    Selector1, Selector2, Selector3, Selector4, Selector5, Selector6, Selector7, Selector8,
    Sequence, SelectorAlgorithm, PacketInterval, PacketSpace, TimeInterval, TimeSpace, SampleSize, Population,
    Probability32, Probability64, HashOutMin, HashOutMax,
    HashSelectedMin1, HashSelectedMin2, HashSelectedMin3, HashSelectedMin4, HashSelectedMin5, HashSelectedMin6, HashSelectedMin7, HashSelectedMin8,
    HashSelectedMax1, HashSelectedMax2, HashSelectedMax3, HashSelectedMax4, HashSelectedMax5, HashSelectedMax6, HashSelectedMax7, HashSelectedMax8,
    // Holds nothing: it is there where an element is repeated more often than there are slots for it.
    Beyond,
    FlowInterval, FlowSpacing, PacketsObserved, PacketsSelected, LineCard,
    ScopeSystem, ScopeInterface, ScopeIngress, ScopeEgress, ScopeLineCard, ScopeCache, ScopeTemplate, ScopeDomain,
    // Of the packet within another one (`layers.rs`).
    InnerProto, InnerTos, InnerTcpFlags, InnerSrcPort, InnerDstPort, InnerFlowLabel,
    InnerSrcV4, InnerDstV4, InnerSrcV6, InnerSrcV6Low, InnerDstV6, InnerDstV6Low, ActiveSegment, ActiveSegmentLow,
    // Of aggregates, which have no addresses.
    SrcPrefixV4, DstPrefixV4, SrcPrefixV6, SrcPrefixV6Low, DstPrefixV6, DstPrefixV6Low,
}

/// Bytes that stay where they are, as a range of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Slice {
    /// IE 82.
    InterfaceName,
    /// IE 83.
    InterfaceDescription,
    /// A sampled frame: IE 315, 104.
    Frame,
    /// A sampled packet from its IP header on: IE 313.
    Packet,
}

/// How many [`Slice`]s there are.
pub(crate) const SLICES: usize = 4;

/// How an element is read, which also says what lengths it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// An unsigned number of one to eight bytes (reduced-size encoding, RFC 7011 section 6.2).
    Number(Slot),
    /// Exactly so many bytes, as a number: an IPv4 address, a MAC address, a label.
    Exact(u8, Slot),
    /// Sixteen bytes: an IPv6 address in this slot and the next.
    Wide(Slot),
    /// A float of four bytes in the first slot, or of eight in the second; bits as they are.
    Float(Slot, Slot),
    /// The first, second, … occurrence goes to this slot and the seven after it.
    Repeated(Slot),
    /// Left where it is.
    Bytes(Slice),
}

/// An element that is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Element {
    /// Number in IANA's registry, which v9's field types agree with.
    pub id: u16,
    /// How it is read.
    pub form: Form,
}

macro_rules! elements {
    ($( $id:literal $form:expr, )*) => {
        /// The elements wanted, by number. Their names are in `names.tsv`.
        pub(crate) const ELEMENTS: &[Element] = &[$(Element { id: $id, form: $form }),*];
    };
}

use Form::{Bytes, Exact, Float, Number, Repeated, Wide};
use Slot::*;

elements! {
    1 Number(Octets),
    2 Number(Packets),
    4 Number(Proto),
    5 Number(Tos),
    6 Number(TcpFlags),
    7 Number(SrcPort),
    8 Exact(4, SrcV4),
    9 Number(SrcMaskV4),
    10 Number(InIf),
    11 Number(DstPort),
    12 Exact(4, DstV4),
    13 Number(DstMaskV4),
    14 Number(OutIf),
    15 Exact(4, NextHopV4),
    16 Number(SrcAs),
    17 Number(DstAs),
    18 Exact(4, BgpHopV4),
    21 Number(UptimeEnd),
    22 Number(UptimeStart),
    23 Number(OctetsPost),
    24 Number(PacketsPost),
    25 Number(MinLength),
    26 Number(MaxLength),
    27 Wide(SrcV6),
    28 Wide(DstV6),
    29 Number(SrcMaskV6),
    30 Number(DstMaskV6),
    31 Number(FlowLabel),
    32 Number(IcmpV4),
    34 Number(Interval),
    35 Number(Algorithm),
    44 Exact(4, SrcPrefixV4),
    45 Exact(4, DstPrefixV4),
    48 Number(Sampler),
    49 Number(SamplerMode),
    50 Number(RandomInterval),
    52 Number(MinTtl),
    53 Number(MaxTtl),
    54 Number(FragmentId),
    56 Exact(6, SrcMac),
    57 Exact(6, PostDstMac),
    58 Number(Vlan),
    59 Number(PostVlan),
    60 Number(IpVersion),
    61 Number(Direction),
    62 Wide(NextHopV6),
    63 Wide(BgpHopV6),
    70 Exact(3, Label1),
    71 Exact(3, Label2),
    72 Exact(3, Label3),
    73 Exact(3, Label4),
    74 Exact(3, Label5),
    75 Exact(3, Label6),
    76 Exact(3, Label7),
    77 Exact(3, Label8),
    78 Exact(3, Label9),
    79 Exact(3, Label10),
    80 Exact(6, DstMac),
    81 Exact(6, PostSrcMac),
    82 Bytes(Slice::InterfaceName),
    83 Bytes(Slice::InterfaceDescription),
    85 Number(OctetsTotal),
    86 Number(PacketsTotal),
    88 Number(FragmentOffset),
    89 Number(ForwardingStatus),
    104 Bytes(Slice::Frame),
    128 Number(NextAs),
    129 Number(PrevAs),
    130 Exact(4, ExporterV4),
    131 Wide(ExporterV6),
    139 Number(IcmpV6),
    141 Number(LineCard),
    150 Number(StartSeconds),
    151 Number(EndSeconds),
    152 Number(StartMillis),
    153 Number(EndMillis),
    154 Exact(8, StartMicros),
    155 Exact(8, EndMicros),
    156 Exact(8, StartNanos),
    157 Exact(8, EndNanos),
    158 Number(StartDelta),
    159 Number(EndDelta),
    160 Number(SystemInit),
    161 Number(DurationMillis),
    162 Number(DurationMicros),
    164 Number(IgnoredPackets),
    165 Number(IgnoredOctets),
    166 Number(NotSentFlows),
    167 Number(NotSentPackets),
    168 Number(NotSentOctets),
    169 Wide(DstPrefixV6),
    170 Wide(SrcPrefixV6),
    176 Number(IcmpTypeV4),
    177 Number(IcmpCodeV4),
    178 Number(IcmpTypeV6),
    179 Number(IcmpCodeV6),
    180 Number(UdpSrcPort),
    181 Number(UdpDstPort),
    182 Number(TcpSrcPort),
    183 Number(TcpDstPort),
    192 Number(Ttl),
    193 Number(NextHeader),
    195 Number(Dscp),
    198 Number(SumSquares),
    199 Number(SumSquaresTotal),
    224 Number(IpTotalLength),
    225 Exact(4, NatSrcV4),
    226 Exact(4, NatDstV4),
    227 Number(NatSrcPort),
    228 Number(NatDstPort),
    230 Number(NatEvent),
    231 Number(OctetsInitiator),
    232 Number(ReverseOctetsResponder),
    233 Number(FirewallEvent),
    234 Number(InVrf),
    235 Number(OutVrf),
    243 Number(Dot1q),
    245 Number(CustomerVlan),
    252 Number(InPhysical),
    253 Number(OutPhysical),
    254 Number(PostDot1q),
    256 Number(Ethertype),
    281 Wide(NatSrcV6),
    282 Wide(NatDstV6),
    298 Number(PacketsInitiator),
    299 Number(ReversePacketsResponder),
    301 Number(Sequence),
    302 Repeated(Selector1),
    304 Number(SelectorAlgorithm),
    305 Number(PacketInterval),
    306 Number(PacketSpace),
    307 Number(TimeInterval),
    308 Number(TimeSpace),
    309 Number(SampleSize),
    310 Number(Population),
    311 Float(Probability32, Probability64),
    312 Number(FrameSize),
    313 Bytes(Slice::Packet),
    315 Bytes(Slice::Frame),
    318 Number(PacketsObserved),
    319 Number(PacketsSelected),
    322 Number(ObservedSeconds),
    323 Number(ObservedMillis),
    324 Exact(8, ObservedMicros),
    325 Exact(8, ObservedNanos),
    329 Number(HashOutMin),
    330 Number(HashOutMax),
    331 Repeated(HashSelectedMin1),
    332 Repeated(HashSelectedMax1),
    352 Number(L2Octets),
    353 Number(L2OctetsTotal),
    396 Number(FlowInterval),
    397 Number(FlowSpacing),
    403 Exact(4, OriginalV4),
    404 Wide(OriginalV6),
    405 Number(OriginalDomain),
    428 Number(L2SumSquares),
    429 Number(L2SumSquaresTotal),
    495 Wide(ActiveSegment),
}

/// IANA's elements whose reverse is wanted. The others are those of the forward direction, with source and destination exchanged.
const REVERSE: &[Element] = &[
    Element { id: 1, form: Number(ReverseOctets) },
    Element { id: 2, form: Number(ReversePackets) },
    Element { id: 5, form: Number(ReverseTos) },
    Element { id: 6, form: Number(ReverseTcpFlags) },
    Element { id: 21, form: Number(ReverseUptimeEnd) },
    Element { id: 22, form: Number(ReverseUptimeStart) },
    Element { id: 85, form: Number(ReverseOctetsTotal) },
    Element { id: 86, form: Number(ReversePacketsTotal) },
    Element { id: 150, form: Number(ReverseStartSeconds) },
    Element { id: 151, form: Number(ReverseEndSeconds) },
    Element { id: 152, form: Number(ReverseStartMillis) },
    Element { id: 153, form: Number(ReverseEndMillis) },
    Element { id: 154, form: Exact(8, ReverseStartMicros) },
    Element { id: 155, form: Exact(8, ReverseEndMicros) },
    Element { id: 156, form: Exact(8, ReverseStartNanos) },
    Element { id: 157, form: Exact(8, ReverseEndNanos) },
    Element { id: 158, form: Number(ReverseStartDelta) },
    Element { id: 159, form: Number(ReverseEndDelta) },
    Element { id: 161, form: Number(ReverseDurationMillis) },
    Element { id: 162, form: Number(ReverseDurationMicros) },
    Element { id: 352, form: Number(ReverseL2Octets) },
    Element { id: 353, form: Number(ReverseL2OctetsTotal) },
];

/// The element of a number and enterprise, if it is wanted.
pub(crate) fn element(id: u16, enterprise: u32) -> Option<&'static Element> {
    let table = match enterprise {
        0 => ELEMENTS,
        REVERSE_PEN => REVERSE,
        _ => return None,
    };
    table.binary_search_by_key(&id, |element| element.id).ok().map(|at| &table[at])
}

/// The elements that decoding uses, by enterprise and number, and the lengths in bytes that each may have; any where none are named. Of
/// another length an element is left out, as all others are.
pub fn elements() -> impl Iterator<Item = (u32, u16, &'static [u16])> {
    let own = ELEMENTS.iter().map(|element| (0, element));
    own.chain(REVERSE.iter().map(|element| (REVERSE_PEN, element))).map(|(enterprise, element)| {
        let lengths: &[u16] = match element.form {
            Number(_) | Repeated(_) => &[1, 2, 3, 4, 5, 6, 7, 8],
            Exact(3, _) => &[3],
            Exact(4, _) => &[4],
            Exact(6, _) => &[6],
            Exact(..) => &[8],
            Wide(_) => &[16],
            Float(..) => &[4, 8],
            Bytes(_) => &[],
        };
        (enterprise, element.id, lengths)
    })
}

/// v9's scope types (RFC 3954 section 6.1), as slots.
const V9_SCOPES: &[(u16, Slot)] =
    &[(1, ScopeSystem), (2, ScopeInterface), (3, ScopeLineCard), (4, ScopeCache), (5, ScopeTemplate)];

/// Elements that mean something else where they are a scope (RFC 7011 section 3.4.2.1).
const SCOPES: &[(u16, Slot)] = &[
    (10, ScopeIngress),
    (14, ScopeEgress),
    (252, ScopeIngress),
    (253, ScopeEgress),
    (141, ScopeLineCard),
    (143, ScopeSystem),
    (144, ScopeSystem),
    (130, ScopeSystem),
    (131, ScopeSystem),
    (145, ScopeTemplate),
    (149, ScopeDomain),
];

/// Scopes that are the exporting process's own address, which says who it is beside what it is a scope of.
const ADDRESSES: [u16; 2] = [130, 131];

/// How the address is read that is a scope.
pub(crate) fn address(id: u16, enterprise: u32) -> Option<Form> {
    ADDRESSES.contains(&id).then(|| element(id, enterprise))?.map(|element| element.form)
}

/// Scope fields that mean something of their own: the protocol, the element or v9's scope type, and what it is a scope of.
pub fn scopes() -> impl Iterator<Item = (Protocol, u16, &'static str)> {
    let of = |protocol: Protocol, table: &'static [(u16, Slot)]| {
        table.iter().map(move |(id, slot)| {
            let what = match slot {
                ScopeInterface | ScopeIngress | ScopeEgress => "interface",
                ScopeLineCard => "line card",
                ScopeCache => "cache",
                ScopeTemplate => "template",
                ScopeDomain => "observation domain",
                _ => "system",
            };
            (protocol, *id, what)
        })
    };
    of(Protocol::NetflowV9, V9_SCOPES).chain(of(Protocol::Ipfix, SCOPES))
}

/// Where the value of a scope field goes; none where it has no meaning as a scope of its own.
pub(crate) fn scope(protocol: Protocol, id: u16, enterprise: u32) -> Option<Slot> {
    let of = |table: &[(u16, Slot)]| table.iter().find(|(known, _)| *known == id).map(|(_, slot)| *slot);
    match (protocol, enterprise) {
        (Protocol::NetflowV9, 0) => of(V9_SCOPES).or_else(|| of(SCOPES)),
        (_, 0) => of(SCOPES),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_sorted_so_that_each_is_found() {
        assert!(ELEMENTS.is_sorted_by(|a, b| a.id < b.id) && REVERSE.is_sorted_by(|a, b| a.id < b.id));
        for wanted in ELEMENTS {
            let name =
                crate::names::named(0, wanted.id).unwrap_or_else(|| panic!("{} has no name", wanted.id)).name;
            assert_eq!(element(wanted.id, 0).map(|found| found.id), Some(wanted.id), "{name}");
            assert!(element(wanted.id, 9).is_none());
        }
    }

    #[test]
    fn no_two_elements_share_a_slot_or_a_half_of_an_address() {
        let mut taken = std::collections::BTreeSet::new();
        for wanted in ELEMENTS.iter().chain(REVERSE) {
            let slots = match wanted.form {
                Number(slot) | Exact(_, slot) => vec![slot as u8],
                Wide(slot) => vec![slot as u8, slot as u8 + 1],
                Float(small, large) => vec![small as u8, large as u8],
                Repeated(slot) => (0..8).map(|n| slot as u8 + n).collect(),
                Bytes(_) => vec![],
            };
            assert!(slots.into_iter().all(|slot| taken.insert(slot)), "element {}", wanted.id);
        }
        assert!(ALL_SLOTS.len() <= 256, "the set of present slots has 256 bits");
    }
}
