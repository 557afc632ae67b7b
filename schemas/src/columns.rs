//! The one table of columns.
//!
//! A row of `flows` is the columns of its [`Batch`] followed by the columns of the [`Flow`]. Columns are only added, at
//! the end of their table: the order is the order of Avro fields, and old data stays readable (docs/exactly-once.md, rule 19).

use crate::enums::*;
use crate::record::{Column, record};
use crate::value::{Country, Ip, Mac, Time, U32s};

record! {
    /// What all flows of one batch share.
    pub struct Batch {
        #[doc = "Transport source address of the datagrams: the key of everything about an exporter."]
        exporter: Ip, None, Dimension;
        #[doc = "Partition of weir.raw that the datagrams came from."]
        raw_partition: u32, None, Provenance;
        #[doc = "Decode generation: 0 at first; a window that is decoded again gets a higher one."]
        generation: u32, None, Provenance;
    }
}

record! {
    /// One flow record or packet sample, decoded and enriched. Counters are as exported, never scaled by the sampling rate.
    pub struct Flow {
        #[doc = "Offset in weir.raw of the frame that held the datagram."]
        raw_offset: u64, None, Provenance;
        #[doc = "Index of the datagram in its frame."]
        frame_index: u32, None, Provenance;
        #[doc = "Index of the flow record in its datagram, over all of its sets."]
        record_index: u32, None, Provenance;
        #[doc = "When the kernel received the datagram."]
        received: Time, Nanoseconds, Time;
        #[doc = "Export time in the datagram's header, by the exporter's clock; 0 where it has none."]
        exported: Time, Nanoseconds, Time;
        #[doc = "First packet of the flow, by the exporter's clock; 0 where it is not exported."]
        flow_start: Time, Nanoseconds, Time;
        #[doc = "Last packet of the flow, by the exporter's clock; 0 where it is not exported."]
        flow_end: Time, Nanoseconds, Time;
        #[doc = "Start of the time over which bytes are spread: anchored at the receive time, plausible (docs/counting.md, Time)."]
        spread_start: Time, Nanoseconds, Time;
        #[doc = "End of the time over which bytes are spread; the flow itself counts in the minute of this end."]
        spread_end: Time, Nanoseconds, Time;
        #[doc = "Export protocol."]
        protocol: Protocol, None, Dimension;
        #[doc = "What the record describes."]
        flow_kind: FlowKind, None, Dimension;
        #[doc = "Who the exporter says it is, as configured: original exporter (IE 403, 404), exporting process (IE 130, 131), sFlow's agent; else the transport source address. Never a key."]
        exporter_id: Ip, None, Dimension;
        #[doc = "Observation domain (IPFIX), source id (v9), engine type and id (v5, v7, v8; above them v8's scheme), sub-agent (sFlow)."]
        observation_domain: u32, None, Dimension;
        #[doc = "Name of the exporter as known when the flow was decoded."]
        exporter_name: &'a str, None, Dimension;
        #[doc = "Sampler or selector that the record names (IE 48, 302); 0 where it names none."]
        sampler: u64, None, Dimension;
        #[doc = "Input interface index (IE 10, 252; sFlow: format removed); 0 where not known."]
        in_if: u32, None, Dimension;
        #[doc = "Output interface index (IE 14, 253); 0 where not known, or discarded."]
        out_if: u32, None, Dimension;
        #[doc = "Input interface name as known then."]
        in_if_name: &'a str, None, Dimension;
        #[doc = "Output interface name as known then."]
        out_if_name: &'a str, None, Dimension;
        #[doc = "Input interface description as known then."]
        in_if_description: &'a str, None, Dimension;
        #[doc = "Output interface description as known then."]
        out_if_description: &'a str, None, Dimension;
        #[doc = "Input interface speed as known then; 0 where not known."]
        in_if_speed: u64, BitsPerSecond, Dimension;
        #[doc = "Output interface speed as known then; 0 where not known."]
        out_if_speed: u64, BitsPerSecond, Dimension;
        #[doc = "Connectivity of the input interface's link as known then; queries join the current one."]
        in_connectivity: Connectivity, None, Dimension;
        #[doc = "Connectivity of the output interface's link as known then; queries join the current one."]
        out_connectivity: Connectivity, None, Dimension;
        #[doc = "Provider of the input interface's link as known then; queries join the current one."]
        in_provider: &'a str, None, Dimension;
        #[doc = "Provider of the output interface's link as known then; queries join the current one."]
        out_provider: &'a str, None, Dimension;
        #[doc = "Address family of the flow: 4, 6, or 0 where it is not IP."]
        family: u8, None, Dimension;
        #[doc = "Source address."]
        src_addr: Ip, None, Dimension;
        #[doc = "Destination address."]
        dst_addr: Ip, None, Dimension;
        #[doc = "Source transport port."]
        src_port: u16, None, Dimension;
        #[doc = "Destination transport port."]
        dst_port: u16, None, Dimension;
        #[doc = "Length of the source's routed prefix; 0 where not known."]
        src_prefix_len: u8, Bits, Dimension;
        #[doc = "Length of the destination's routed prefix; 0 where not known."]
        dst_prefix_len: u8, Bits, Dimension;
        #[doc = "Source AS, chosen from all sources in the configured order; 0 where not known."]
        src_as: u32, None, Dimension;
        #[doc = "Destination AS, chosen from all sources in the configured order; 0 where not known."]
        dst_as: u32, None, Dimension;
        #[doc = "Source AS as exported (IE 16; origin or peer, as the exporter is configured)."]
        src_as_exported: u32, None, Dimension;
        #[doc = "Destination AS as exported (IE 17; origin or peer, as the exporter is configured)."]
        dst_as_exported: u32, None, Dimension;
        #[doc = "Where the source AS came from."]
        src_as_source: AsSource, None, Dimension;
        #[doc = "Where the destination AS came from."]
        dst_as_source: AsSource, None, Dimension;
        #[doc = "Country of the source address, ISO 3166-1 alpha-2."]
        src_country: Country, None, Dimension;
        #[doc = "Country of the destination address, ISO 3166-1 alpha-2."]
        dst_country: Country, None, Dimension;
        #[doc = "Neighbour AS from which the traffic came (IE 129; sFlow src_peer_as; the link's); 0 where not known."]
        src_neighbour_as: u32, None, Dimension;
        #[doc = "Neighbour AS to which the traffic goes (IE 128; first AS of the path; the link's); 0 where not known."]
        dst_neighbour_as: u32, None, Dimension;
        #[doc = "AS path to the destination, neighbour first."]
        as_path: U32s<'a>, None, Dimension;
        #[doc = "IP next hop (IE 15, 62)."]
        next_hop: Ip, None, Dimension;
        #[doc = "BGP next hop (IE 18, 63)."]
        bgp_next_hop: Ip, None, Dimension;
        #[doc = "IP protocol number."]
        proto: u8, None, Dimension;
        #[doc = "TCP flags, all of the flow's packets or-ed."]
        tcp_flags: u16, None, Dimension;
        #[doc = "TOS or traffic class byte."]
        tos: u8, None, Dimension;
        #[doc = "ICMP or ICMPv6 type."]
        icmp_type: Option<u8>, None, Dimension;
        #[doc = "ICMP or ICMPv6 code."]
        icmp_code: Option<u8>, None, Dimension;
        #[doc = "TTL or hop limit."]
        ttl: Option<u8>, None, Dimension;
        #[doc = "IPv6 flow label."]
        flow_label: Option<u32>, None, Dimension;
        #[doc = "Fragment identification (IE 54)."]
        fragment_id: Option<u32>, None, Dimension;
        #[doc = "Fragment offset in units of eight bytes (IE 88)."]
        fragment_offset: Option<u16>, None, Dimension;
        #[doc = "Source Ethernet address."]
        src_mac: Mac, None, Dimension;
        #[doc = "Destination Ethernet address."]
        dst_mac: Mac, None, Dimension;
        #[doc = "VLAN on the input side; 0 where there is none."]
        src_vlan: u16, None, Dimension;
        #[doc = "VLAN on the output side; 0 where there is none."]
        dst_vlan: u16, None, Dimension;
        #[doc = "Ethertype after VLAN tags; 0 where not known."]
        ethertype: u16, None, Dimension;
        #[doc = "MPLS labels, top first: label values without TC, S and TTL."]
        mpls_labels: U32s<'a>, None, Dimension;
        #[doc = "VRF of the input (IE 234)."]
        in_vrf: Option<u32>, None, Dimension;
        #[doc = "VRF of the output (IE 235)."]
        out_vrf: Option<u32>, None, Dimension;
        #[doc = "Forwarding status (IE 89): two bits status, six bits reason."]
        forwarding_status: Option<u8>, None, Dimension;
        #[doc = "Where the packet was observed."]
        observation: Observation, None, Dimension;
        #[doc = "Bytes of layer 3, IP header included, unscaled; null where not known."]
        bytes: Option<u64>, Bytes, Measure;
        #[doc = "Bytes of layer 2, headers and FCS included, unscaled; null where not known."]
        bytes_l2: Option<u64>, Bytes, Measure;
        #[doc = "Packets, unscaled."]
        packets: u64, Packets, Measure;
        #[doc = "Sum of the squared layer 3 lengths of the packets, or its upper bound: the error term; null where bytes are."]
        q: Option<u128>, SquareBytes, Measure;
        #[doc = "The same of layer 2; null where bytes_l2 are."]
        q_l2: Option<u128>, SquareBytes, Measure;
        #[doc = "Best announced sampling interval N, in thousandths; 0: unknown, never taken to be 1."]
        sampling_interval: u64, Thousandths, Dimension;
        #[doc = "Kind of sampling that the interval describes."]
        sampling_kind: SamplingKind, None, Dimension;
        #[doc = "Where the sampling interval came from."]
        rate_source: RateSource, None, Dimension;
        #[doc = "Bits for what was implausible or estimated, see the table of flags."]
        flags: u32, None, Dimension;
        #[doc = "What the packet was wrapped in, as its sampled header or the exporter says."]
        tunnel: Tunnel, None, Dimension;
        #[doc = "Number of the tunnel: VNI, GRE key, GTP-U tunnel endpoint; null where there is none."]
        tunnel_id: Option<u32>, None, Dimension;
        #[doc = "Source address of the packet within a tunnel, where src_addr is that of the packet around it."]
        inner_src_addr: Ip, None, Dimension;
        #[doc = "Destination address of the packet within a tunnel, where dst_addr is that of the packet around it."]
        inner_dst_addr: Ip, None, Dimension;
        #[doc = "Source address of the packet around a tunnelled one, where src_addr is that of the one within."]
        outer_src_addr: Ip, None, Dimension;
        #[doc = "Destination address of the packet around a tunnelled one, where dst_addr is that of the one within."]
        outer_dst_addr: Ip, None, Dimension;
        #[doc = "Source address after translation (IE 225, 281; sFlow extended NAT)."]
        nat_src_addr: Ip, None, Dimension;
        #[doc = "Destination address after translation (IE 226, 282; sFlow extended NAT)."]
        nat_dst_addr: Ip, None, Dimension;
        #[doc = "Source transport port after translation (IE 227; sFlow extended NAT port)."]
        nat_src_port: u16, None, Dimension;
        #[doc = "Destination transport port after translation (IE 228; sFlow extended NAT port)."]
        nat_dst_port: u16, None, Dimension;
        #[doc = "Customer's VLAN, the inner one of two tags (IE 245; sFlow VLAN tunnel); 0 where there is none."]
        customer_vlan: u16, None, Dimension;
        #[doc = "BGP communities of the route to the destination (sFlow extended gateway; RFC 1997)."]
        communities: U32s<'a>, None, Dimension;
        #[doc = "Local preference of that route (sFlow extended gateway)."]
        local_pref: Option<u32>, None, Dimension;
        #[doc = "Why the packet was discarded: sFlow's reason code (sFlow Dropped Packet Notification Structures)."]
        drop_reason: Option<u32>, None, Dimension;
        #[doc = "Observation domain of the original exporter, behind a mediator (IE 405; RFC 7119); null where it is not told."]
        original_domain: Option<u32>, None, Dimension;
    }
}

/// Columns of a row of `flows`, in order.
pub fn flow_columns() -> impl Iterator<Item = &'static Column> {
    Batch::COLUMNS.iter().chain(Flow::COLUMNS)
}

macro_rules! flags {
    ($( #[doc = $doc:literal] $NAME:ident = $bit:literal $word:literal; )*) => {
        /// Bits of the column `flags`.
        pub mod flag {
            $( #[doc = $doc] pub const $NAME: u32 = 1 << $bit; )*
            /// Bit, word and meaning of each.
            pub const ALL: &[(u32, &str, &str)] = &[$(($NAME, $word, $doc)),*];
        }
    };
}

flags! {
    #[doc = "Start or end were implausible; both were set to the receive time."] TIME_IMPLAUSIBLE = 0 "time_implausible";
    #[doc = "A counter was above 2^63-1, or Q above 2^84, and was clamped."] COUNTER_CLAMPED = 1 "counter_clamped";
    #[doc = "Observation was not exported; it counts as configured."] OBSERVATION_ASSUMED = 2 "observation_assumed";
    #[doc = "The sampling interval is approximate (IE 307 and 308)."] RATE_APPROXIMATE = 3 "rate_approximate";
    #[doc = "The record was decoded with a template that came after it."] TEMPLATE_LATE = 4 "template_late";
    #[doc = "The record was decoded with a template of another port of the exporter."] TEMPLATE_BORROWED = 5 "template_borrowed";
    #[doc = "The algorithm announced contradicts the parameters; the parameters counted."] RATE_CONTRADICTED = 6 "rate_contradicted";
    #[doc = "The sampled header was cut off before the transport ports."] HEADER_TRUNCATED = 7 "header_truncated";
    #[doc = "The Ethernet frame was padded: its length says more than its IP packet."] PADDED = 8 "padded";
    #[doc = "Q is an upper bound, not exact."] Q_BOUND = 9 "q_bound";
    #[doc = "The output was a discard, as the exporter says."] DISCARDED = 10 "discarded";
    #[doc = "The output was several interfaces (multicast, broadcast)."] MULTIPLE_OUTPUTS = 11 "multiple_outputs";
    #[doc = "Text in the record was not UTF-8 or too long, and was left out."] TEXT_DROPPED = 12 "text_dropped";
    #[doc = "The exporter had restarted, and the template that the record was decoded with had not been sent again."] TEMPLATE_SUSPECT = 13 "template_suspect";
    #[doc = "The record's counters run on, and what had been counted before is not known: its totals count as nothing."] TOTALS_UNKNOWN = 14 "totals_unknown";
    #[doc = "The packet's IP header gives a length beyond what its frame holds; the frame counts."] LENGTH_CONTRADICTED = 15 "length_contradicted";
}
