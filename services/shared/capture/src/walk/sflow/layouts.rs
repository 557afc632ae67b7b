//! sFlow's structures: samples and the records in them, as tables.
//!
//! Sources: sflow.org, "sFlow Version 5" (samples; flow records 1 to 4 and 1001 to 1012; counter records 1 to 5 and 1001), "sFlow Version 5
//! 802.11 Structures", "sFlow Port NAT Structures", "sFlow Tunnel Structures", "sFlow Host Structures", "sFlow Application Structures", "sFlow LAG Counters Structure", "sFlow OpenFlow
//! Structures", "sFlow Dropped Packet Notification Structures", "sFlow Broadcom Switch ASIC Table Utilization" and its queue structures. Names are the documents'.

use super::super::Kind;

/// How a field of a structure is laid out (XDR, RFC 4506).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A number of four bytes.
    U32,
    /// A number of eight bytes.
    U64,
    /// A signed number of four bytes.
    Signed,
    /// A float of four bytes.
    Float,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An address behind its type.
    Address,
    /// A MAC address and two bytes of padding.
    Mac,
    /// So many bytes.
    Bytes(usize),
    /// Bytes behind their number.
    Opaque,
    /// Text behind its length.
    Text,
    /// Numbers behind their count.
    Numbers,
    /// An AS path: segments, each a type and numbers.
    Path,
    /// Network adapters of a host: index and MAC addresses of each.
    Adapters,
}

/// A format of samples.
#[derive(Clone, Copy, Debug)]
pub struct Samples {
    /// Format; enterprise 0.
    pub format: u32,
    /// Name.
    pub name: &'static str,
    /// What a line of it is called.
    pub kind: Kind,
    /// Its fields, up to the count of its records.
    pub parts: &'static [(&'static str, Part)],
}

/// A record of a sample.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Whether it is one of counter samples.
    pub counters: bool,
    /// Format; enterprise 0.
    pub format: u32,
    /// Name.
    pub name: &'static str,
    /// Its fields.
    pub parts: &'static [(&'static str, Part)],
}

use Part::{Adapters, Address, Bytes, Float, Ipv4, Ipv6, Mac, Numbers, Opaque, Path, Signed, Text, U32, U64};

const fn flow(format: u32, name: &'static str, parts: &'static [(&'static str, Part)]) -> Layout {
    Layout { counters: false, format, name, parts }
}

const fn counters(format: u32, name: &'static str, parts: &'static [(&'static str, Part)]) -> Layout {
    Layout { counters: true, format, name, parts }
}

/// The formats of samples.
#[rustfmt::skip]
pub const SAMPLES: &[Samples] = &[
    Samples { format: 1, name: "flow_sample", kind: Kind::FlowSample, parts: &[
        ("sequence_number", U32), ("source_id", U32), ("sampling_rate", U32), ("sample_pool", U32), ("drops", U32), ("input", U32), ("output", U32),
    ] },
    Samples { format: 2, name: "counters_sample", kind: Kind::CounterSample, parts: &[("sequence_number", U32), ("source_id", U32)] },
    Samples { format: 3, name: "flow_sample_expanded", kind: Kind::FlowSample, parts: &[
        ("sequence_number", U32), ("source_id_type", U32), ("source_id_index", U32), ("sampling_rate", U32), ("sample_pool", U32), ("drops", U32),
        ("input_format", U32), ("input_value", U32), ("output_format", U32), ("output_value", U32),
    ] },
    Samples { format: 4, name: "counters_sample_expanded", kind: Kind::CounterSample, parts: &[
        ("sequence_number", U32), ("source_id_type", U32), ("source_id_index", U32),
    ] },
    Samples { format: 5, name: "discarded_packet", kind: Kind::DiscardSample, parts: &[
        ("sequence_number", U32), ("source_id_type", U32), ("source_id_index", U32), ("drops", U32), ("input", U32), ("output", U32), ("reason", U32),
    ] },
];

/// The records of samples.
#[rustfmt::skip]
pub const RECORDS: &[Layout] = &[
    flow(1, "raw_packet_header", &[("header_protocol", U32), ("frame_length", U32), ("stripped", U32), ("header", Opaque)]),
    flow(2, "ethernet_frame", &[("length", U32), ("src_mac", Mac), ("dst_mac", Mac), ("type", U32)]),
    flow(3, "ipv4", &[
        ("length", U32), ("protocol", U32), ("src_ip", Ipv4), ("dst_ip", Ipv4), ("src_port", U32), ("dst_port", U32), ("tcp_flags", U32),
        ("tos", U32),
    ]),
    flow(4, "ipv6", &[
        ("length", U32), ("protocol", U32), ("src_ip", Ipv6), ("dst_ip", Ipv6), ("src_port", U32), ("dst_port", U32), ("tcp_flags", U32),
        ("priority", U32),
    ]),
    flow(1001, "extended_switch", &[("src_vlan", U32), ("src_priority", U32), ("dst_vlan", U32), ("dst_priority", U32)]),
    flow(1002, "extended_router", &[("nexthop", Address), ("src_mask_len", U32), ("dst_mask_len", U32)]),
    flow(1003, "extended_gateway", &[
        ("nexthop", Address), ("as", U32), ("src_as", U32), ("src_peer_as", U32), ("dst_as_path", Path), ("communities", Numbers),
        ("localpref", U32),
    ]),
    flow(1004, "extended_user", &[("src_charset", U32), ("src_user", Text), ("dst_charset", U32), ("dst_user", Text)]),
    flow(1005, "extended_url", &[("direction", U32), ("url", Text), ("host", Text)]),
    flow(1006, "extended_mpls", &[("nexthop", Address), ("in_stack", Numbers), ("out_stack", Numbers)]),
    flow(1007, "extended_nat", &[("src_address", Address), ("dst_address", Address)]),
    flow(1008, "extended_mpls_tunnel", &[("tunnel_lsp_name", Text), ("tunnel_id", U32), ("tunnel_cos", U32)]),
    flow(1009, "extended_mpls_vc", &[("vc_instance_name", Text), ("vll_vc_id", U32), ("vc_label_cos", U32)]),
    flow(1010, "extended_mpls_fec", &[("mpls_ftn_descr", Text), ("mpls_ftn_mask", U32)]),
    flow(1011, "extended_mpls_lvp_fec", &[("mpls_fec_addr_prefix_length", U32)]),
    flow(1012, "extended_vlan_tunnel", &[("stack", Numbers)]),
    flow(1013, "extended_80211_payload", &[("cipher_suite", U32), ("data", Opaque)]),
    flow(1014, "extended_80211_rx", &[
        ("ssid", Text), ("bssid", Mac), ("version", U32), ("channel", U32), ("speed", U64), ("rsni", U32), ("rcpi", U32),
        ("packet_duration", U32),
    ]),
    flow(1015, "extended_80211_tx", &[
        ("ssid", Text), ("bssid", Mac), ("version", U32), ("transmissions", U32), ("packet_duration", U32), ("retrans_duration", U32),
        ("channel", U32), ("speed", U64), ("power", U32),
    ]),
    // The frames of an aggregate are left as they are.
    flow(1016, "extended_80211_aggregation", &[("pdus", U32)]),
    flow(1020, "extended_nat_port", &[("src_port", U32), ("dst_port", U32)]),
    flow(1021, "extended_l2_tunnel_egress", &[("length", U32), ("src_mac", Mac), ("dst_mac", Mac), ("type", U32)]),
    flow(1022, "extended_l2_tunnel_ingress", &[("length", U32), ("src_mac", Mac), ("dst_mac", Mac), ("type", U32)]),
    flow(1023, "extended_ipv4_tunnel_egress", &[
        ("length", U32), ("protocol", U32), ("src_ip", Ipv4), ("dst_ip", Ipv4), ("src_port", U32), ("dst_port", U32), ("tcp_flags", U32),
        ("tos", U32),
    ]),
    flow(1024, "extended_ipv4_tunnel_ingress", &[
        ("length", U32), ("protocol", U32), ("src_ip", Ipv4), ("dst_ip", Ipv4), ("src_port", U32), ("dst_port", U32), ("tcp_flags", U32),
        ("tos", U32),
    ]),
    flow(1025, "extended_ipv6_tunnel_egress", &[
        ("length", U32), ("protocol", U32), ("src_ip", Ipv6), ("dst_ip", Ipv6), ("src_port", U32), ("dst_port", U32), ("tcp_flags", U32),
        ("priority", U32),
    ]),
    flow(1026, "extended_ipv6_tunnel_ingress", &[
        ("length", U32), ("protocol", U32), ("src_ip", Ipv6), ("dst_ip", Ipv6), ("src_port", U32), ("dst_port", U32), ("tcp_flags", U32),
        ("priority", U32),
    ]),
    flow(1027, "extended_decapsulate_egress", &[("inner_header_offset", U32)]),
    flow(1028, "extended_decapsulate_ingress", &[("inner_header_offset", U32)]),
    flow(1029, "extended_vni_egress", &[("vni", U32)]),
    flow(1030, "extended_vni_ingress", &[("vni", U32)]),
    flow(1036, "extended_egress_queue", &[("queue", U32)]),
    flow(1037, "extended_acl", &[("number", U32), ("name", Text), ("direction", U32)]),
    flow(1038, "extended_function", &[("symbol", Text)]),
    flow(1039, "extended_transit", &[("delay", U32)]),
    flow(1040, "extended_queue", &[("depth", U32)]),
    flow(1041, "extended_hw_trap", &[("group", Text), ("trap", Text)]),
    flow(1042, "extended_linux_drop_reason", &[("reason", Text)]),
    flow(2100, "extended_socket_ipv4", &[
        ("protocol", U32), ("local_ip", Ipv4), ("remote_ip", Ipv4), ("local_port", U32), ("remote_port", U32),
    ]),
    flow(2101, "extended_socket_ipv6", &[
        ("protocol", U32), ("local_ip", Ipv6), ("remote_ip", Ipv6), ("local_port", U32), ("remote_port", U32),
    ]),
    flow(2102, "extended_proxy_socket_ipv4", &[
        ("protocol", U32), ("local_ip", Ipv4), ("remote_ip", Ipv4), ("local_port", U32), ("remote_port", U32),
    ]),
    flow(2103, "extended_proxy_socket_ipv6", &[
        ("protocol", U32), ("local_ip", Ipv6), ("remote_ip", Ipv6), ("local_port", U32), ("remote_port", U32),
    ]),
    flow(2206, "http_request", &[
        ("method", U32), ("protocol", U32), ("uri", Text), ("host", Text), ("referrer", Text), ("useragent", Text), ("xff", Text),
        ("authuser", Text), ("mime_type", Text), ("req_bytes", U64), ("resp_bytes", U64), ("duration_us", U32), ("status", Signed),
    ]),
    counters(1, "if_counters", &[
        ("ifIndex", U32), ("ifType", U32), ("ifSpeed", U64), ("ifDirection", U32), ("ifStatus", U32), ("ifInOctets", U64),
        ("ifInUcastPkts", U32), ("ifInMulticastPkts", U32), ("ifInBroadcastPkts", U32), ("ifInDiscards", U32), ("ifInErrors", U32),
        ("ifInUnknownProtos", U32), ("ifOutOctets", U64), ("ifOutUcastPkts", U32), ("ifOutMulticastPkts", U32), ("ifOutBroadcastPkts", U32),
        ("ifOutDiscards", U32), ("ifOutErrors", U32), ("ifPromiscuousMode", U32),
    ]),
    counters(2, "ethernet_counters", &[
        ("dot3StatsAlignmentErrors", U32), ("dot3StatsFCSErrors", U32), ("dot3StatsSingleCollisionFrames", U32),
        ("dot3StatsMultipleCollisionFrames", U32), ("dot3StatsSQETestErrors", U32), ("dot3StatsDeferredTransmissions", U32),
        ("dot3StatsLateCollisions", U32), ("dot3StatsExcessiveCollisions", U32), ("dot3StatsInternalMacTransmitErrors", U32),
        ("dot3StatsCarrierSenseErrors", U32), ("dot3StatsFrameTooLongs", U32), ("dot3StatsInternalMacReceiveErrors", U32),
        ("dot3StatsSymbolErrors", U32),
    ]),
    counters(3, "tokenring_counters", &[
        ("dot5StatsLineErrors", U32), ("dot5StatsBurstErrors", U32), ("dot5StatsACErrors", U32), ("dot5StatsAbortTransErrors", U32),
        ("dot5StatsInternalErrors", U32), ("dot5StatsLostFrameErrors", U32), ("dot5StatsReceiveCongestions", U32),
        ("dot5StatsFrameCopiedErrors", U32), ("dot5StatsTokenErrors", U32), ("dot5StatsSoftErrors", U32), ("dot5StatsHardErrors", U32),
        ("dot5StatsSignalLoss", U32), ("dot5StatsTransmitBeacons", U32), ("dot5StatsRecoverys", U32), ("dot5StatsLobeWires", U32),
        ("dot5StatsRemoves", U32), ("dot5StatsSingles", U32), ("dot5StatsFreqErrors", U32),
    ]),
    counters(4, "vg_counters", &[
        ("dot12InHighPriorityFrames", U32), ("dot12InHighPriorityOctets", U64), ("dot12InNormPriorityFrames", U32),
        ("dot12InNormPriorityOctets", U64), ("dot12InIPMErrors", U32), ("dot12InOversizeFrameErrors", U32), ("dot12InDataErrors", U32),
        ("dot12InNullAddressedFrames", U32), ("dot12OutHighPriorityFrames", U32), ("dot12OutHighPriorityOctets", U64),
        ("dot12TransitionIntoTrainings", U32), ("dot12HCInHighPriorityOctets", U64), ("dot12HCInNormPriorityOctets", U64),
        ("dot12HCOutHighPriorityOctets", U64),
    ]),
    counters(5, "vlan_counters", &[
        ("vlan_id", U32), ("octets", U64), ("ucastPkts", U32), ("multicastPkts", U32), ("broadcastPkts", U32), ("discards", U32),
    ]),
    counters(6, "ieee80211_counters", &[
        ("dot11TransmittedFragmentCount", U32), ("dot11MulticastTransmittedFrameCount", U32), ("dot11FailedCount", U32),
        ("dot11RetryCount", U32), ("dot11MultipleRetryCount", U32), ("dot11FrameDuplicateCount", U32), ("dot11RTSSuccessCount", U32),
        ("dot11RTSFailureCount", U32), ("dot11ACKFailureCount", U32), ("dot11ReceivedFragmentCount", U32),
        ("dot11MulticastReceivedFrameCount", U32), ("dot11FCSErrorCount", U32), ("dot11TransmittedFrameCount", U32),
        ("dot11WEPUndecryptableCount", U32), ("dot11QoSDiscardedFragmentCount", U32), ("dot11AssociatedStationCount", U32),
        ("dot11QoSCFPollsReceivedCount", U32), ("dot11QoSCFPollsUnusedCount", U32), ("dot11QoSCFPollsUnusableCount", U32),
        ("dot11QoSCFPollsLostCount", U32),
    ]),
    counters(7, "lag_port_stats", &[
        ("dot3adAggPortActorSystemID", Mac), ("dot3adAggPortPartnerOperSystemID", Mac), ("dot3adAggPortAttachedAggID", U32),
        ("dot3adAggPortState", Bytes(4)), ("dot3adAggPortStatsLACPDUsRx", U32), ("dot3adAggPortStatsMarkerPDUsRx", U32),
        ("dot3adAggPortStatsMarkerResponsePDUsRx", U32), ("dot3adAggPortStatsUnknownRx", U32), ("dot3adAggPortStatsIllegalRx", U32),
        ("dot3adAggPortStatsLACPDUsTx", U32), ("dot3adAggPortStatsMarkerPDUsTx", U32), ("dot3adAggPortStatsMarkerResponsePDUsTx", U32),
    ]),
    counters(1001, "processor", &[("cpu_5s", U32), ("cpu_1m", U32), ("cpu_5m", U32), ("total_memory", U64), ("free_memory", U64)]),
    counters(1002, "radio_utilization", &[("elapsed_time", U32), ("on_channel_time", U32), ("on_channel_busy_time", U32)]),
    counters(1004, "of_port", &[("datapath_id", U64), ("port_no", U32)]),
    counters(1005, "port_name", &[("name", Text)]),
    counters(2000, "host_descr", &[("hostname", Text), ("uuid", Bytes(16)), ("machine_type", U32), ("os_name", U32), ("os_release", Text)]),
    counters(2001, "host_adapters", &[("adapters", Adapters)]),
    counters(2002, "host_parent", &[("container_type", U32), ("container_index", U32)]),
    counters(2003, "host_cpu", &[
        ("load_one", Float), ("load_five", Float), ("load_fifteen", Float), ("proc_run", U32), ("proc_total", U32), ("cpu_num", U32),
        ("cpu_speed", U32), ("uptime", U32), ("cpu_user", U32), ("cpu_nice", U32), ("cpu_system", U32), ("cpu_idle", U32), ("cpu_wio", U32),
        ("cpu_intr", U32), ("cpu_sintr", U32), ("interrupts", U32), ("contexts", U32),
    ]),
    counters(2004, "host_memory", &[
        ("mem_total", U64), ("mem_free", U64), ("mem_shared", U64), ("mem_buffers", U64), ("mem_cached", U64), ("swap_total", U64),
        ("swap_free", U64), ("page_in", U32), ("page_out", U32), ("swap_in", U32), ("swap_out", U32),
    ]),
    counters(2005, "host_disk_io", &[
        ("disk_total", U64), ("disk_free", U64), ("part_max_used", U32), ("reads", U32), ("bytes_read", U64), ("read_time", U32),
        ("writes", U32), ("bytes_written", U64), ("write_time", U32),
    ]),
    counters(2006, "host_net_io", &[
        ("bytes_in", U64), ("packets_in", U32), ("errs_in", U32), ("drops_in", U32), ("bytes_out", U64), ("packets_out", U32),
        ("errs_out", U32), ("drops_out", U32),
    ]),
    counters(2007, "mib2_ip_group", &[
        ("ipForwarding", U32), ("ipDefaultTTL", U32), ("ipInReceives", U32), ("ipInHdrErrors", U32), ("ipInAddrErrors", U32),
        ("ipForwDatagrams", U32), ("ipInUnknownProtos", U32), ("ipInDiscards", U32), ("ipInDelivers", U32), ("ipOutRequests", U32),
        ("ipOutDiscards", U32), ("ipOutNoRoutes", U32), ("ipReasmTimeout", U32), ("ipReasmReqds", U32), ("ipReasmOKs", U32),
        ("ipReasmFails", U32), ("ipFragOKs", U32), ("ipFragFails", U32), ("ipFragCreates", U32),
    ]),
    counters(2008, "mib2_icmp_group", &[
        ("icmpInMsgs", U32), ("icmpInErrors", U32), ("icmpInDestUnreachs", U32), ("icmpInTimeExcds", U32), ("icmpInParamProbs", U32),
        ("icmpInSrcQuenchs", U32), ("icmpInRedirects", U32), ("icmpInEchos", U32), ("icmpInEchoReps", U32), ("icmpInTimestamps", U32),
        ("icmpInAddrMasks", U32), ("icmpInAddrMaskReps", U32), ("icmpOutMsgs", U32), ("icmpOutErrors", U32), ("icmpOutDestUnreachs", U32),
        ("icmpOutTimeExcds", U32), ("icmpOutParamProbs", U32), ("icmpOutSrcQuenchs", U32), ("icmpOutRedirects", U32), ("icmpOutEchos", U32),
        ("icmpOutEchoReps", U32), ("icmpOutTimestamps", U32), ("icmpOutTimestampReps", U32), ("icmpOutAddrMasks", U32),
        ("icmpOutAddrMaskReps", U32),
    ]),
    counters(2009, "mib2_tcp_group", &[
        ("tcpRtoAlgorithm", U32), ("tcpRtoMin", U32), ("tcpRtoMax", U32), ("tcpMaxConn", U32), ("tcpActiveOpens", U32),
        ("tcpPassiveOpens", U32), ("tcpAttemptFails", U32), ("tcpEstabResets", U32), ("tcpCurrEstab", U32), ("tcpInSegs", U32),
        ("tcpOutSegs", U32), ("tcpRetransSegs", U32), ("tcpInErrs", U32), ("tcpOutRsts", U32), ("tcpInCsumErrors", U32),
    ]),
    counters(2010, "mib2_udp_group", &[
        ("udpInDatagrams", U32), ("udpNoPorts", U32), ("udpInErrors", U32), ("udpOutDatagrams", U32), ("udpRcvbufErrors", U32),
        ("udpSndbufErrors", U32), ("udpInCsumErrors", U32),
    ]),
    counters(2100, "virt_node", &[("mhz", U32), ("cpus", U32), ("memory", U64), ("memory_free", U64), ("num_domains", U32)]),
    counters(2101, "virt_cpu", &[("state", U32), ("cpu_time", U32), ("nr_virt_cpu", U32)]),
    counters(2102, "virt_memory", &[("memory", U64), ("max_memory", U64)]),
    counters(2103, "virt_disk_io", &[
        ("capacity", U64), ("allocation", U64), ("available", U64), ("rd_req", U32), ("rd_bytes", U64), ("wr_req", U32), ("wr_bytes", U64),
        ("errs", U32),
    ]),
    counters(2104, "virt_net_io", &[
        ("rx_bytes", U64), ("rx_packets", U32), ("rx_errs", U32), ("rx_drop", U32), ("tx_bytes", U64), ("tx_packets", U32),
        ("tx_errs", U32), ("tx_drop", U32),
    ]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_format_has_two_layouts() {
        let mut seen = std::collections::BTreeSet::new();
        for layout in RECORDS {
            assert!(seen.insert((layout.counters, layout.format)), "{}", layout.name);
        }
    }
}
