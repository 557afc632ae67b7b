//! From the slots of a record to the columns of a flow: what each element means, and which of several counts.

use crate::checks;
use crate::count::{self, Q};
use crate::element::{Slice, Slot};
use crate::growth::{Record, Start, TOTALS};
use crate::identity::{IDENTITY, Said};
use crate::layers;
use crate::options::{Identity, Tunnels};
use crate::packet::{self, LABELS, Link};
use crate::plan::{Plan, Present, Slices, Words};
use crate::rates::Scope;
use crate::resolve::Resolver;
use crate::time::{Clock, Plausible, Span, Times, Way};
use weir_schemas::checks::Checks;
use weir_schemas::columns::flag;
use weir_schemas::value::{MAX_COUNT, MAX_Q};
use weir_schemas::{Flow, FlowKind, Ip, Mac, Observation, Protocol, SamplingKind, Time, U32s};

/// Bytes of layer 2 around an IP packet: Ethernet and FCS, and a VLAN tag.
const L2_OVERHEAD: u64 = 18;
const TAG: u64 = 4;
/// Lengths of an IP packet where the exporter names none (docs/counting.md, "Error of an estimate").
const LOW: u64 = 40;
const HIGH: u64 = 1500;

const ANY_V4: Present = Present::of(&[Slot::SrcV4, Slot::DstV4]);
const ANY_V6: Present = Present::of(&[Slot::SrcV6, Slot::DstV6]);
const PREFIXES_V4: Present = Present::of(&[Slot::SrcPrefixV4, Slot::DstPrefixV4]);
const PREFIXES_V6: Present = Present::of(&[Slot::SrcPrefixV6, Slot::DstPrefixV6]);
const PREFIXES: Present = PREFIXES_V4.and(PREFIXES_V6);
const SOURCES: Present = Present::of(&[Slot::SrcV4, Slot::SrcV6]);
const DESTINATIONS: Present = Present::of(&[Slot::DstV4, Slot::DstV6]);
const NEXT_HOPS: Present = Present::of(&[Slot::NextHopV4, Slot::NextHopV6, Slot::BgpHopV4, Slot::BgpHopV6]);
const PORTS_BY_PROTOCOL: Present =
    Present::of(&[Slot::UdpSrcPort, Slot::UdpDstPort, Slot::TcpSrcPort, Slot::TcpDstPort]);
const ICMP: Present = Present::of(&[
    Slot::IcmpV4,
    Slot::IcmpV6,
    Slot::IcmpTypeV4,
    Slot::IcmpCodeV4,
    Slot::IcmpTypeV6,
    Slot::IcmpCodeV6,
]);
const TTLS: Present = Present::of(&[Slot::MinTtl, Slot::MaxTtl, Slot::Ttl]);
const NAT: Present = Present::of(&[
    Slot::NatSrcV4,
    Slot::NatDstV4,
    Slot::NatSrcV6,
    Slot::NatDstV6,
    Slot::NatSrcPort,
    Slot::NatDstPort,
]);
const MACS: Present = Present::of(&[Slot::SrcMac, Slot::DstMac, Slot::PostSrcMac, Slot::PostDstMac]);
const VLANS: Present =
    Present::of(&[Slot::Vlan, Slot::PostVlan, Slot::Dot1q, Slot::PostDot1q, Slot::CustomerVlan]);
const RARE: Present = Present::of(&[
    Slot::FlowLabel,
    Slot::FragmentId,
    Slot::FragmentOffset,
    Slot::Ethertype,
    Slot::ForwardingStatus,
    Slot::InVrf,
    Slot::OutVrf,
    Slot::NextHeader,
    Slot::Dscp,
])
.and(PREFIXES)
.and(layers::ANY);
const LABELS_PRESENT: Present = Present::of(&[
    Slot::Label1,
    Slot::Label2,
    Slot::Label3,
    Slot::Label4,
    Slot::Label5,
    Slot::Label6,
    Slot::Label7,
    Slot::Label8,
    Slot::Label9,
    Slot::Label10,
]);
const LAYER_2: Present = Present::of(&[Slot::L2Octets, Slot::L2OctetsTotal, Slot::FrameSize]);
const AS_NUMBERS: Present = Present::of(&[Slot::SrcAs, Slot::DstAs]);
const NEIGHBOURS: Present = Present::of(&[Slot::PrevAs, Slot::NextAs]);
const EVENTS: Present = Present::of(&[Slot::FirewallEvent, Slot::NatEvent]);
const PHYSICAL: Present = Present::of(&[Slot::InPhysical, Slot::OutPhysical]);

/// Elements that count the same in either direction: the forward one, and the other.
type Family = (Slot, Option<Slot>);

/// Octets, packets and octets of layer 2, by what they are counts of: which of them counts follows from the template.
const OCTETS: &[Family] = &[
    (Slot::Octets, Some(Slot::ReverseOctets)),
    (Slot::OctetsTotal, Some(Slot::ReverseOctetsTotal)),
    (Slot::OctetsPost, None),
    (Slot::OctetsInitiator, Some(Slot::ReverseOctetsResponder)),
];
const PACKETS: &[Family] = &[
    (Slot::Packets, Some(Slot::ReversePackets)),
    (Slot::PacketsTotal, Some(Slot::ReversePacketsTotal)),
    (Slot::PacketsPost, None),
    (Slot::PacketsInitiator, Some(Slot::ReversePacketsResponder)),
];
const OCTETS_L2: &[Family] =
    &[(Slot::L2Octets, Some(Slot::ReverseL2Octets)), (Slot::L2OctetsTotal, Some(Slot::ReverseL2OctetsTotal))];

/// Which element counts what, by template: the first of each list that it has.
#[derive(Clone, Copy, Debug, Default)]
struct Counters {
    bytes: Option<Slot>,
    packets: Option<Slot>,
    squares: Option<Slot>,
    bytes_l2: Option<Slot>,
    squares_l2: Option<Slot>,
    /// Of the reverse direction.
    reverse: [Option<Slot>; 3],
}

/// The counters of either direction. They are of one family, since another one may count the same packets in another way, or both directions at once; that
/// of the forward direction, where it is counted.
fn both(present: &Present, families: &[Family]) -> [Option<Slot>; 2] {
    let has = |slot: &Slot| present.has(*slot);
    let forward = families.iter().find(|(forward, _)| has(forward));
    let back = || families.iter().find(|(_, back)| back.is_some_and(|back| has(&back)));
    let of = |(forward, back): &Family| [Some(*forward).filter(has), back.filter(has)];
    forward.or_else(back).map(of).unwrap_or_default()
}

/// How the records of a template become flows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shape {
    present: Present,
    slices: u8,
    times: Times,
    /// Of the reverse direction.
    times_back: Times,
    counters: Counters,
    kind: FlowKind,
    /// Whether it counts by what may run on.
    pub totals: bool,
    /// Whether a record may be two flows. One of a single byte is not: it has a single index (`waiting.rs`).
    pub both_ways: bool,
}

impl Shape {
    pub(crate) fn of(plan: &Plan) -> Self {
        let Plan { present, slices, min_length, .. } = *plan;
        let first = |slots: &[Slot]| slots.iter().find(|slot| present.has(**slot)).copied();
        let [bytes, bytes_back] = both(&present, OCTETS);
        let [packets, packets_back] = both(&present, PACKETS);
        let [bytes_l2, bytes_l2_back] = both(&present, OCTETS_L2);
        let counters = Counters {
            bytes,
            packets,
            squares: first(&[Slot::SumSquares, Slot::SumSquaresTotal]),
            bytes_l2,
            squares_l2: first(&[Slot::L2SumSquares, Slot::L2SumSquaresTotal]),
            reverse: [bytes_back, packets_back, bytes_l2_back],
        };
        let both_ways = min_length > 1 && counters.reverse.iter().any(Option::is_some);
        let of_reverse = counters.reverse.iter().flatten();
        let squares = [counters.squares, counters.squares_l2];
        let counted = [bytes, packets, bytes_l2].into_iter().chain(squares).flatten();
        let mut counted = counted.chain(of_reverse.copied());
        let totals = counted.any(|slot| TOTALS.contains(&slot));
        let sampled = slices & (1 << Slice::Frame as u8 | 1 << Slice::Packet as u8) != 0;
        let kind = if present.any(EVENTS) {
            FlowKind::Event
        } else if sampled {
            FlowKind::Sample
        } else {
            FlowKind::Flow
        };
        let [times, times_back] = [Way::Forward, Way::Reverse].map(|way| Times::of(&present, way));
        Self { present, slices, times, times_back, counters, kind, totals, both_ways }
    }
}

/// What is the same for all records of a set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// The columns that don't depend on the record.
    pub base: Flow<'static>,
    /// The message's clock.
    pub clock: Clock,
    /// What times are believed.
    pub plausible: Plausible,
    /// Which packet of a tunnel is the flow.
    pub tunnels: Tunnels,
    /// Which address says who the exporter is.
    pub identity: Identity,
    /// What options data says of who it is.
    pub said: Said,
    /// Since when its counters count, ns by the clock of receive times, where they run on and that is later than its start.
    pub since: Option<i64>,
}

/// Columns of a flow that a record tells itself, whatever the header says that it carries.
macro_rules! told {
    ($flow:ident, $own:ident: $($column:ident),+) => {
        $($flow.$column = or($own.$column, $flow.$column);)+
    };
}

fn or<T: Default + PartialEq>(told: T, else_: T) -> T {
    if told == T::default() { else_ } else { told }
}

impl Setting {
    /// The time over which a record's bytes are spread, by the exporter's clock.
    #[inline]
    fn counted(&self, span: Span, received: i64) -> Span {
        let Some(since) = self.since else { return span };
        let exported = self.clock.exported;
        let end = span.end.unwrap_or(exported);
        let since = since.saturating_sub(received.saturating_sub(exported));
        Span { start: Some(since.min(end)), end: Some(end) }
    }
}

#[inline(always)]
pub(crate) fn v4(word: u64) -> Ip {
    Ip::v4((word as u32).to_be_bytes())
}

#[inline(always)]
pub(crate) fn v6(words: &Words, slot: Slot) -> Ip {
    let high = u128::from(words[slot as usize]);
    let low = u128::from(words[slot as usize + 1]);
    Ip((high << 64 | low).to_be_bytes())
}

/// Next hops: of the record's own family where it has one of either.
#[inline(always)]
fn next_hops(flow: &mut Flow<'_>, words: &Words, six: bool) {
    let hop = |short: Slot, long: Slot| {
        let (short, long_set) = (words[short as usize], words[long as usize] | words[long as usize + 1] != 0);
        if long_set && (six || short == 0) {
            v6(words, long)
        } else if short != 0 {
            v4(short)
        } else {
            Ip::default()
        }
    };
    flow.next_hop = hop(Slot::NextHopV4, Slot::NextHopV6);
    flow.bgp_next_hop = hop(Slot::BgpHopV4, Slot::BgpHopV6);
}

fn mac(word: u64) -> Mac {
    let [_, _, a, b, c, d, e, f] = word.to_be_bytes();
    Mac([a, b, c, d, e, f])
}

impl Shape {
    /// Fills the flow of a record, which has the columns of the setting. True where its sampling parameters were unusable.
    #[inline]
    pub(crate) fn fill<'r>(
        &self,
        flow: &mut Flow<'r>,
        setting: &Setting,
        (words, sections): (&Words, (&[u8], &Slices)),
        resolver: &mut Resolver<'_>,
        labels: &'r mut [u32; LABELS],
        sums: &mut Checks,
    ) -> bool {
        let has = &self.present;
        let word = |slot: Slot| words[slot as usize];
        flow.flow_kind = self.kind;

        let six = if !has.any(ANY_V6) {
            false
        } else if !has.any(ANY_V4) {
            true
        } else {
            match word(Slot::IpVersion) {
                4 => false,
                6 => true,
                _ => word(Slot::SrcV4) | word(Slot::DstV4) == 0,
            }
        };
        if six {
            flow.family = 6;
            flow.src_addr = if has.has(Slot::SrcV6) { v6(words, Slot::SrcV6) } else { Ip::default() };
            flow.dst_addr = if has.has(Slot::DstV6) { v6(words, Slot::DstV6) } else { Ip::default() };
            flow.src_prefix_len = word(Slot::SrcMaskV6) as u8;
            flow.dst_prefix_len = word(Slot::DstMaskV6) as u8;
        } else if has.any(ANY_V4) {
            flow.family = 4;
            flow.src_addr = if has.has(Slot::SrcV4) { v4(word(Slot::SrcV4)) } else { Ip::default() };
            flow.dst_addr = if has.has(Slot::DstV4) { v4(word(Slot::DstV4)) } else { Ip::default() };
            flow.src_prefix_len = word(Slot::SrcMaskV4) as u8;
            flow.dst_prefix_len = word(Slot::DstMaskV4) as u8;
        }
        if has.any(NEXT_HOPS) {
            next_hops(flow, words, six);
        }

        flow.proto = word(Slot::Proto) as u8;
        flow.tos = word(Slot::Tos) as u8;
        flow.tcp_flags = word(Slot::TcpFlags) as u16;
        flow.src_port = word(Slot::SrcPort) as u16;
        flow.dst_port = word(Slot::DstPort) as u16;
        flow.in_if = u32::try_from(word(Slot::InIf)).unwrap_or_default();
        flow.out_if = u32::try_from(word(Slot::OutIf)).unwrap_or_default();
        flow.src_as_exported = word(Slot::SrcAs) as u32;
        flow.dst_as_exported = word(Slot::DstAs) as u32;
        flow.src_neighbour_as = word(Slot::PrevAs) as u32;
        flow.dst_neighbour_as = word(Slot::NextAs) as u32;
        flow.sampler = if has.has(Slot::Sampler) { word(Slot::Sampler) } else { word(Slot::Selector1) };
        if has.any(PORTS_BY_PROTOCOL) {
            let either = |a: Slot, b: Slot| if word(a) != 0 { word(a) as u16 } else { word(b) as u16 };
            if !has.has(Slot::SrcPort) {
                flow.src_port = either(Slot::TcpSrcPort, Slot::UdpSrcPort);
            }
            if !has.has(Slot::DstPort) {
                flow.dst_port = either(Slot::TcpDstPort, Slot::UdpDstPort);
            }
        }
        if has.any(PHYSICAL) {
            let or = |index: u32, slot: Slot| {
                if index != 0 { index } else { u32::try_from(word(slot)).unwrap_or_default() }
            };
            flow.in_if = or(flow.in_if, Slot::InPhysical);
            flow.out_if = or(flow.out_if, Slot::OutPhysical);
        }
        if has.any(RARE) {
            self.rare(flow, words, setting.tunnels);
        }
        self.icmp(flow, words);
        if has.any(TTLS) {
            let slot = [Slot::Ttl, Slot::MinTtl, Slot::MaxTtl].into_iter().find(|slot| has.has(*slot));
            flow.ttl = slot.map(|slot| word(slot) as u8);
        }
        if has.any(MACS) {
            let or = |a: Slot, b: Slot| mac(if word(a) != 0 { word(a) } else { word(b) });
            flow.src_mac = or(Slot::SrcMac, Slot::PostSrcMac);
            flow.dst_mac = or(Slot::DstMac, Slot::PostDstMac);
        }
        if has.any(VLANS) {
            let or = |a: Slot, b: Slot| if word(a) != 0 { word(a) as u16 } else { word(b) as u16 };
            flow.src_vlan = or(Slot::Vlan, Slot::Dot1q);
            flow.dst_vlan = or(Slot::PostVlan, Slot::PostDot1q);
            flow.customer_vlan = word(Slot::CustomerVlan) as u16;
        }
        if has.any(NAT) {
            let or = |four: Slot, six: Slot| match word(four) {
                0 if has.has(six) => v6(words, six),
                0 => Ip::default(),
                address => v4(address),
            };
            flow.nat_src_addr = or(Slot::NatSrcV4, Slot::NatSrcV6);
            flow.nat_dst_addr = or(Slot::NatDstV4, Slot::NatDstV6);
            flow.nat_src_port = word(Slot::NatSrcPort) as u16;
            flow.nat_dst_port = word(Slot::NatDstPort) as u16;
        }
        if has.any(IDENTITY) {
            Said::of(has, words).or(setting.said).put(setting.identity, flow);
        }

        flow.observation = match word(Slot::Direction) {
            0 if has.has(Slot::Direction) => Observation::Ingress,
            1 => Observation::Egress,
            _ => Observation::Unknown,
        };
        if flow.observation == Observation::Unknown {
            flow.flags |= flag::OBSERVATION_ASSUMED;
        }
        let observed_on = match flow.observation {
            Observation::Egress => (Scope::Egress, flow.out_if),
            _ => (Scope::Ingress, flow.in_if),
        };
        let rate = resolver.resolve(words, observed_on);
        flow.sampling_interval = rate.interval;
        flow.sampling_kind = rate.kind;
        flow.rate_source = rate.source;
        flow.flags |= rate.flags;

        set_times(flow, self.span(setting, words), setting);
        self.counters(flow, words);
        if self.kind == FlowKind::Sample {
            self.sampled(flow, setting.tunnels, words, sections, labels, sums);
        } else if has.any(LABELS_PRESENT) {
            flow.mpls_labels = stack(words, labels);
        }
        checks::record(sums, flow, has.any(AS_NUMBERS), has.any(NEIGHBOURS));
        rate.bad
    }

    /// The flow of the reverse direction of a record of a template with [`both_ways`](Self::both_ways), of which `flow` is the forward one: source and destination are exchanged (RFC 5103
    /// section 3). None where nothing came back.
    #[cold]
    pub(crate) fn reverse(&self, flow: &Flow<'_>, setting: &Setting, words: &Words) -> Option<Flow<'static>> {
        let told = self.counters.reverse.map(|slot| slot.map(|slot| words[slot as usize]));
        if told.iter().all(|n| n.unwrap_or_default() == 0) {
            return None;
        }
        let [bytes, packets, bytes_l2] = told.map(|n| n.map(|n| n.min(MAX_COUNT)));
        let clamped = told.iter().flatten().any(|n| *n > MAX_COUNT);
        let get = |slot: Slot| self.present.has(slot).then(|| words[slot as usize]);
        let of_forward = flag::COUNTER_CLAMPED | flag::Q_BOUND | flag::DISCARDED | flag::TIME_IMPLAUSIBLE;
        let mut back = Flow {
            family: flow.family,
            flow_kind: flow.flow_kind,
            src_addr: flow.dst_addr,
            dst_addr: flow.src_addr,
            src_port: flow.dst_port,
            dst_port: flow.src_port,
            src_prefix_len: flow.dst_prefix_len,
            dst_prefix_len: flow.src_prefix_len,
            src_as_exported: flow.dst_as_exported,
            dst_as_exported: flow.src_as_exported,
            src_neighbour_as: flow.dst_neighbour_as,
            dst_neighbour_as: flow.src_neighbour_as,
            in_if: flow.out_if,
            out_if: flow.in_if,
            in_vrf: flow.out_vrf,
            out_vrf: flow.in_vrf,
            src_mac: flow.dst_mac,
            dst_mac: flow.src_mac,
            src_vlan: flow.dst_vlan,
            dst_vlan: flow.src_vlan,
            ethertype: flow.ethertype,
            proto: flow.proto,
            tos: get(Slot::ReverseTos).map_or(flow.tos, |tos| tos as u8),
            tunnel: flow.tunnel,
            tunnel_id: flow.tunnel_id,
            inner_src_addr: flow.inner_dst_addr,
            inner_dst_addr: flow.inner_src_addr,
            outer_src_addr: flow.outer_dst_addr,
            outer_dst_addr: flow.outer_src_addr,
            tcp_flags: get(Slot::ReverseTcpFlags).unwrap_or_default() as u16,
            sampler: flow.sampler,
            exporter_id: flow.exporter_id,
            original_domain: flow.original_domain,
            sampling_interval: flow.sampling_interval,
            sampling_kind: flow.sampling_kind,
            rate_source: flow.rate_source,
            packets: packets.unwrap_or_default(),
            bytes,
            bytes_l2,
            flags: flow.flags & !of_forward
                | flag::OBSERVATION_ASSUMED
                | if clamped { flag::COUNTER_CLAMPED } else { 0 },
            ..setting.base
        };
        let span = if self.times_back.any {
            self.times_back.span(words, &self.clock(setting, words))
        } else {
            Span { start: some(flow.flow_start), end: some(flow.flow_end) }
        };
        set_times(&mut back, span, setting);
        set_q(&mut back, (None, None), None, None);
        Some(back)
    }

    // Few templates have any of this, and the loop over the records of the others is shorter without it.
    #[inline(never)]
    fn rare(&self, flow: &mut Flow<'_>, words: &Words, tunnels: Tunnels) {
        let get = |slot: Slot| self.present.has(slot).then(|| words[slot as usize]);
        if self.present.any(PREFIXES) {
            self.prefixes(flow, words);
        }
        // Templates for both families give IPv4's records a label that means nothing.
        flow.flow_label = get(Slot::FlowLabel).filter(|_| flow.family == 6).map(|n| n as u32 & 0xf_ffff);
        flow.fragment_id = get(Slot::FragmentId).map(|n| n as u32);
        flow.fragment_offset = get(Slot::FragmentOffset).map(|n| n as u16);
        flow.ethertype = get(Slot::Ethertype).unwrap_or_default() as u16;
        flow.forwarding_status = get(Slot::ForwardingStatus).map(|n| n as u8);
        if flow.forwarding_status.is_some_and(|status| status >> 6 == 2) {
            flow.flags |= flag::DISCARDED;
        }
        flow.in_vrf = get(Slot::InVrf).map(|n| n as u32);
        flow.out_vrf = get(Slot::OutVrf).map(|n| n as u32);
        if flow.proto == 0 && !self.present.has(Slot::Proto) {
            flow.proto = get(Slot::NextHeader).unwrap_or_default() as u8;
        }
        if !self.present.has(Slot::Tos) {
            flow.tos = (get(Slot::Dscp).unwrap_or_default() as u8) << 2;
        }
        if self.present.any(layers::ANY) {
            layers::put(flow, &self.present, words, tunnels);
        }
    }

    /// Prefixes are the addresses of an aggregate: of a side that has no others.
    #[cold]
    fn prefixes(&self, flow: &mut Flow<'_>, words: &Words) {
        let has = &self.present;
        if flow.family == 0 {
            let empty = words[Slot::SrcPrefixV4 as usize] | words[Slot::DstPrefixV4 as usize] == 0;
            let six = match (has.any(PREFIXES_V4), words[Slot::IpVersion as usize]) {
                (false, _) => true,
                (true, 4) => false,
                (true, version) => has.any(PREFIXES_V6) && (version == 6 || empty),
            };
            let (family, src, dst) = if six {
                (6, Slot::SrcMaskV6, Slot::DstMaskV6)
            } else {
                (4, Slot::SrcMaskV4, Slot::DstMaskV4)
            };
            flow.family = family;
            if six && has.any(NEXT_HOPS) {
                next_hops(flow, words, six);
            }
            flow.src_prefix_len = words[src as usize] as u8;
            flow.dst_prefix_len = words[dst as usize] as u8;
        }
        let prefix = |short: Slot, long: Slot| match flow.family {
            6 if has.has(long) => v6(words, long),
            4 if has.has(short) => v4(words[short as usize]),
            _ => Ip::default(),
        };
        let (src, dst) =
            (prefix(Slot::SrcPrefixV4, Slot::SrcPrefixV6), prefix(Slot::DstPrefixV4, Slot::DstPrefixV6));
        if !has.any(SOURCES) {
            flow.src_addr = src;
        }
        if !has.any(DESTINATIONS) {
            flow.dst_addr = dst;
        }
    }

    #[inline]
    fn icmp(&self, flow: &mut Flow<'_>, words: &Words) {
        if !matches!(flow.proto, 1 | 58) {
            return;
        }
        if self.present.any(ICMP) {
            let get = |slot: Slot| self.present.has(slot).then(|| words[slot as usize]);
            let four = (get(Slot::IcmpV4), get(Slot::IcmpTypeV4), get(Slot::IcmpCodeV4));
            let six = (get(Slot::IcmpV6), get(Slot::IcmpTypeV6), get(Slot::IcmpCodeV6));
            let (own, other) = if flow.proto == 58 { (six, four.0) } else { (four, six.0) };
            // v9's type 32 is of either family, and so are those who took it over.
            let (both, kind, code) = if own == (None, None, None) { (other, None, None) } else { own };
            flow.icmp_type = kind.or(both.map(|n| n >> 8)).map(|n| n as u8);
            flow.icmp_code = code.or(both).map(|n| n as u8);
        } else if flow.protocol != Protocol::Ipfix && self.present.has(Slot::DstPort) {
            // NetFlow puts type and code where the port would be.
            let [kind, code] = flow.dst_port.to_be_bytes();
            (flow.icmp_type, flow.icmp_code) = (Some(kind), Some(code));
        }
    }

    /// Start and end, by the exporter's clock.
    #[inline]
    fn span(&self, setting: &Setting, words: &Words) -> Span {
        self.times.span(words, &self.clock(setting, words))
    }

    /// When a record whose counters run on was.
    pub(crate) fn when(&self, setting: &Setting, words: &Words) -> Record {
        let (exported, received) = (setting.clock.exported, setting.base.received.0);
        let span = self.span(setting, words);
        let ended = Span { start: None, end: Some(span.end.unwrap_or(exported)) };
        let anchored = |time: i64| time.saturating_add(received.saturating_sub(exported));
        let started = span.start.map(|start| Start { exported: start, anchored: anchored(start) });
        Record {
            heard: received,
            started: started.filter(|started| !setting.plausible.is_ahead(started.anchored, received)),
            ended: setting.plausible.spread(ended, exported, received).end,
            ..Record::default()
        }
    }

    /// The message's clock, or what a record makes of it.
    #[inline]
    fn clock(&self, setting: &Setting, words: &Words) -> Clock {
        let mut clock = setting.clock;
        if self.present.has(Slot::SystemInit) && setting.base.protocol == Protocol::Ipfix {
            clock.uptime = uptime(clock.exported, words[Slot::SystemInit as usize]);
        }
        clock
    }

    #[inline]
    fn counters(&self, flow: &mut Flow<'_>, words: &Words) {
        let get = |slot: Option<Slot>| slot.map(|slot| words[slot as usize]);
        let has = |slot: Slot| self.present.has(slot).then(|| words[slot as usize]);
        let clamp = |value: u64| value.min(MAX_COUNT);
        let over = |slot: Option<Slot>| get(slot).is_some_and(|value| value > MAX_COUNT);
        flow.packets = clamp(get(self.counters.packets).unwrap_or(u64::from(self.kind == FlowKind::Sample)));
        flow.bytes = get(self.counters.bytes).map(clamp);
        if self.present.any(LAYER_2) {
            // A frame's size is that of its one packet.
            let frame = has(Slot::FrameSize).filter(|_| flow.packets == 1);
            flow.bytes_l2 = get(self.counters.bytes_l2).or(frame).map(clamp);
        }
        if flow.bytes.is_none() && flow.packets <= 1 && self.kind != FlowKind::Event {
            let length = has(Slot::IpTotalLength);
            flow.bytes = length.map(clamp);
            if flow.bytes != length {
                flow.flags |= flag::COUNTER_CLAMPED;
            }
        }
        if over(self.counters.bytes) || over(self.counters.packets) || over(self.counters.bytes_l2) {
            flow.flags |= flag::COUNTER_CLAMPED;
        }
        let lengths = (has(Slot::MinLength), has(Slot::MaxLength));
        set_q(flow, lengths, get(self.counters.squares), get(self.counters.squares_l2));
    }

    /// Completes a record that carries a sampled header: what the record itself says stays.
    fn sampled<'r>(
        &self,
        flow: &mut Flow<'r>,
        tunnels: Tunnels,
        words: &Words,
        (buffer, slices): (&[u8], &Slices),
        labels: &'r mut [u32; LABELS],
        sums: &mut Checks,
    ) {
        let (slice, link) = if self.slices & 1 << Slice::Frame as u8 != 0 {
            (Slice::Frame, Link::Ethernet)
        } else {
            (Slice::Packet, Link::Ip)
        };
        let (start, end) = slices[slice as usize];
        let packet = packet::parse(link, buffer.get(start..end).unwrap_or_default());
        if flow.packets == 1 && link == Link::Ethernet {
            let octets = self.counters.bytes.map(|slot| words[slot as usize]);
            octets.into_iter().for_each(|octets| checks::octets(sums, octets, &packet));
            flow.bytes_l2.into_iter().for_each(|frame| checks::frame(sums, frame, 0, &packet));
        }
        let own = *flow;
        if own.family == 0 {
            packet.fill(tunnels, flow);
            if flow.outer_src_addr.is_none() {
                let word = |slot: Slot| words[slot as usize] as u8;
                let four = (word(Slot::SrcMaskV4), word(Slot::DstMaskV4));
                let six = (word(Slot::SrcMaskV6), word(Slot::DstMaskV6));
                (flow.src_prefix_len, flow.dst_prefix_len) = if flow.family == 6 { six } else { four };
            }
        } else {
            // A record that names its own addresses names those of the packet around.
            packet.fill(Tunnels::Outer, flow);
            told!(flow, own: family, src_addr, dst_addr, proto, tos, ttl, flow_label, fragment_id, fragment_offset);
            told!(flow, own: src_port, dst_port, tcp_flags, icmp_type, icmp_code);
        }
        told!(flow, own: src_mac, dst_mac, src_vlan, customer_vlan, ethertype);
        flow.mpls_labels = if packet.label_count > 0 {
            *labels = packet.labels;
            U32s::Native(&labels[..packet.label_count])
        } else {
            stack(words, labels)
        };
        if flow.bytes.is_none() && flow.packets == 1 {
            let frame = flow.bytes_l2.filter(|_| link == Link::Ethernet);
            let said = packet.ip.map(|ip| ip.length).filter(|length| *length > 0);
            // Whether its size has the FCS is not known, so that padding can't be told from it.
            let (length, flags) = frame.map_or((said, 0), |frame| packet.length(frame, 0));
            flow.bytes = length;
            flow.flags |= flags & flag::LENGTH_CONTRADICTED;
            let get = |slot: Option<Slot>| slot.map(|slot| words[slot as usize]);
            set_q(flow, (None, None), get(self.counters.squares), get(self.counters.squares_l2));
        }
    }
}

/// The labels that a record tells of, outermost first.
fn stack<'l>(words: &Words, labels: &'l mut [u32; LABELS]) -> U32s<'l> {
    let mut count = 0;
    for entry in &words[Slot::Label1 as usize..][..LABELS] {
        if *entry as u32 != 0 {
            labels[count] = *entry as u32 >> 4;
            count += 1;
        }
    }
    U32s::Native(&labels[..count])
}

/// The exporter's times, and where bytes are spread.
#[inline]
fn set_times(flow: &mut Flow<'_>, span: Span, setting: &Setting) {
    let (exported, received) = (setting.clock.exported, flow.received.0);
    let spread = setting.plausible.spread(setting.counted(span, received), exported, received);
    flow.flow_start = Time(span.start.unwrap_or_default().max(0));
    flow.flow_end = Time(span.end.unwrap_or_default().max(0));
    flow.spread_start = Time(spread.start);
    flow.spread_end = Time(spread.end);
    if !spread.plausible {
        flow.flags |= flag::TIME_IMPLAUSIBLE;
    }
}

fn some(time: Time) -> Option<i64> {
    Some(time.0).filter(|time| *time != 0)
}

/// Uptime at export, where the time of the system's start is known.
pub(crate) fn uptime(exported: i64, init_millis: u64) -> Option<u32> {
    (init_millis != 0).then(|| (exported / 1_000_000).wrapping_sub_unsigned(init_millis) as u32)
}

/// Sets Q of layers 3 and 2 from what counters there are.
#[inline]
pub(crate) fn set_q(
    flow: &mut Flow<'_>,
    (min, max): (Option<u64>, Option<u64>),
    squares: Option<u64>,
    squares_l2: Option<u64>,
) {
    let packets = flow.packets;
    let sampled_flows = flow.sampling_kind == SamplingKind::Flow;
    let square = |bytes: u64| Q { value: u128::from(bytes) * u128::from(bytes), exact: true };
    let exported = |n: Option<u64>, bytes: u64| {
        let n = n.filter(|n| *n != 0 && count::is_possible(*n, bytes, packets));
        n.map(|n| Q { value: u128::from(n), exact: true })
    };
    let mut set = |q: Q| {
        if !q.exact {
            flow.flags |= flag::Q_BOUND;
        }
        if q.value > MAX_Q {
            flow.flags |= flag::COUNTER_CLAMPED;
        }
        q.value.min(MAX_Q)
    };
    let q = flow.bytes.map(|bytes| {
        if sampled_flows {
            square(bytes)
        } else {
            exported(squares, bytes).unwrap_or_else(|| count::bound(bytes, packets, min, max, LOW, HIGH))
        }
    });
    let q_l2 = flow.bytes_l2.map(|l2| match flow.bytes.zip(q) {
        _ if sampled_flows => square(l2),
        _ if exported(squares_l2, l2).is_some() => exported(squares_l2, l2).unwrap_or(square(l2)),
        Some((bytes, q)) if packets > 1 && l2 >= bytes => {
            count::with_overhead(q, bytes, packets, (l2 - bytes).div_ceil(packets))
        }
        _ => {
            let h = L2_OVERHEAD + if flow.src_vlan != 0 { TAG } else { 0 };
            let more = |length: Option<u64>| length.map(|length| length.saturating_add(h));
            count::bound(l2, packets, more(min), more(max), LOW + h, HIGH + h)
        }
    });
    flow.q = q.map(&mut set);
    flow.q_l2 = q_l2.map(set);
}
