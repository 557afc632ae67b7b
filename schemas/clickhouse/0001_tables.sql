-- Weir's tables (docs/columns.md). Made from the table of columns (weir-schemas); frozen once released.

CREATE TABLE IF NOT EXISTS flows{on_cluster}
(
    exporter IPv6 COMMENT 'Transport source address of the datagrams: the key of everything about an exporter.' CODEC(ZSTD(1)),
    raw_partition UInt32 COMMENT 'Partition of weir.raw that the datagrams came from.' CODEC(ZSTD(1)),
    generation UInt32 COMMENT 'Decode generation: 0 at first; a window that is decoded again gets a higher one.' CODEC(ZSTD(1)),
    raw_offset UInt64 COMMENT 'Offset in weir.raw of the frame that held the datagram.' CODEC(Delta(8), ZSTD(1)),
    frame_index UInt32 COMMENT 'Index of the datagram in its frame.' CODEC(T64, ZSTD(1)),
    record_index UInt32 COMMENT 'Index of the flow record in its datagram, over all of its sets.' CODEC(T64, ZSTD(1)),
    received DateTime64(9, 'UTC') COMMENT 'When the kernel received the datagram.' CODEC(Delta(8), ZSTD(1)),
    exported DateTime64(9, 'UTC') COMMENT 'Export time in the datagram\'s header, by the exporter\'s clock; 0 where it has none.' CODEC(Delta(8), ZSTD(1)),
    flow_start DateTime64(9, 'UTC') COMMENT 'First packet of the flow, by the exporter\'s clock; 0 where it is not exported.' CODEC(GCD, ZSTD(1)),
    flow_end DateTime64(9, 'UTC') COMMENT 'Last packet of the flow, by the exporter\'s clock; 0 where it is not exported.' CODEC(GCD, ZSTD(1)),
    spread_start DateTime64(9, 'UTC') COMMENT 'Start of the time over which bytes are spread: anchored at the receive time, plausible (docs/counting.md, Time).' CODEC(Delta(8), ZSTD(1)),
    spread_end DateTime64(9, 'UTC') COMMENT 'End of the time over which bytes are spread; the flow itself counts in the minute of this end.' CODEC(Delta(8), ZSTD(1)),
    protocol Enum8('unknown' = 0, 'netflow_v5' = 1, 'netflow_v9' = 2, 'ipfix' = 3, 'sflow_v5' = 4, 'netflow_v1' = 5, 'netflow_v7' = 6, 'netflow_v8' = 7) COMMENT 'Export protocol.' CODEC(ZSTD(1)),
    flow_kind Enum8('unknown' = 0, 'flow' = 1, 'sample' = 2, 'discard' = 3, 'event' = 4) COMMENT 'What the record describes.' CODEC(ZSTD(1)),
    exporter_id IPv6 COMMENT 'Who the exporter says it is, as configured: original exporter (IE 403, 404), exporting process (IE 130, 131), sFlow\'s agent; else the transport source address. Never a key.' CODEC(ZSTD(1)),
    observation_domain UInt32 COMMENT 'Observation domain (IPFIX), source id (v9), engine type and id (v5, v7, v8; above them v8\'s scheme), sub-agent (sFlow).' CODEC(ZSTD(1)),
    exporter_name LowCardinality(String) COMMENT 'Name of the exporter as known when the flow was decoded.' CODEC(ZSTD(1)),
    sampler UInt64 COMMENT 'Sampler or selector that the record names (IE 48, 302); 0 where it names none.' CODEC(ZSTD(1)),
    in_if UInt32 COMMENT 'Input interface index (IE 10, 252; sFlow: format removed); 0 where not known.' CODEC(ZSTD(1)),
    out_if UInt32 COMMENT 'Output interface index (IE 14, 253); 0 where not known, or discarded.' CODEC(ZSTD(1)),
    in_if_name LowCardinality(String) COMMENT 'Input interface name as known then.' CODEC(ZSTD(1)),
    out_if_name LowCardinality(String) COMMENT 'Output interface name as known then.' CODEC(ZSTD(1)),
    in_if_description LowCardinality(String) COMMENT 'Input interface description as known then.' CODEC(ZSTD(1)),
    out_if_description LowCardinality(String) COMMENT 'Output interface description as known then.' CODEC(ZSTD(1)),
    in_if_speed UInt64 COMMENT 'Input interface speed as known then; 0 where not known.' CODEC(ZSTD(1)),
    out_if_speed UInt64 COMMENT 'Output interface speed as known then; 0 where not known.' CODEC(ZSTD(1)),
    in_connectivity Enum8('unknown' = 0, 'transit' = 1, 'ix' = 2, 'pni' = 3, 'customer' = 4, 'core' = 5) COMMENT 'Connectivity of the input interface\'s link as known then; queries join the current one.' CODEC(ZSTD(1)),
    out_connectivity Enum8('unknown' = 0, 'transit' = 1, 'ix' = 2, 'pni' = 3, 'customer' = 4, 'core' = 5) COMMENT 'Connectivity of the output interface\'s link as known then; queries join the current one.' CODEC(ZSTD(1)),
    in_provider LowCardinality(String) COMMENT 'Provider of the input interface\'s link as known then; queries join the current one.' CODEC(ZSTD(1)),
    out_provider LowCardinality(String) COMMENT 'Provider of the output interface\'s link as known then; queries join the current one.' CODEC(ZSTD(1)),
    family UInt8 COMMENT 'Address family of the flow: 4, 6, or 0 where it is not IP.' CODEC(ZSTD(1)),
    src_addr IPv6 COMMENT 'Source address.' CODEC(ZSTD(1)),
    dst_addr IPv6 COMMENT 'Destination address.' CODEC(ZSTD(1)),
    src_port UInt16 COMMENT 'Source transport port.' CODEC(ZSTD(1)),
    dst_port UInt16 COMMENT 'Destination transport port.' CODEC(ZSTD(1)),
    src_prefix_len UInt8 COMMENT 'Length of the source\'s routed prefix; 0 where not known.' CODEC(ZSTD(1)),
    dst_prefix_len UInt8 COMMENT 'Length of the destination\'s routed prefix; 0 where not known.' CODEC(ZSTD(1)),
    src_as UInt32 COMMENT 'Source AS, chosen from all sources in the configured order; 0 where not known.' CODEC(ZSTD(1)),
    dst_as UInt32 COMMENT 'Destination AS, chosen from all sources in the configured order; 0 where not known.' CODEC(ZSTD(1)),
    src_as_exported UInt32 COMMENT 'Source AS as exported (IE 16; origin or peer, as the exporter is configured).' CODEC(ZSTD(1)),
    dst_as_exported UInt32 COMMENT 'Destination AS as exported (IE 17; origin or peer, as the exporter is configured).' CODEC(ZSTD(1)),
    src_as_source Enum8('unknown' = 0, 'exporter' = 1, 'database' = 2, 'route' = 3) COMMENT 'Where the source AS came from.' CODEC(ZSTD(1)),
    dst_as_source Enum8('unknown' = 0, 'exporter' = 1, 'database' = 2, 'route' = 3) COMMENT 'Where the destination AS came from.' CODEC(ZSTD(1)),
    src_country LowCardinality(String) COMMENT 'Country of the source address, ISO 3166-1 alpha-2.' CODEC(ZSTD(1)),
    dst_country LowCardinality(String) COMMENT 'Country of the destination address, ISO 3166-1 alpha-2.' CODEC(ZSTD(1)),
    src_neighbour_as UInt32 COMMENT 'Neighbour AS from which the traffic came (IE 129; sFlow src_peer_as; the link\'s); 0 where not known.' CODEC(ZSTD(1)),
    dst_neighbour_as UInt32 COMMENT 'Neighbour AS to which the traffic goes (IE 128; first AS of the path; the link\'s); 0 where not known.' CODEC(ZSTD(1)),
    as_path Array(UInt32) COMMENT 'AS path to the destination, neighbour first.' CODEC(ZSTD(1)),
    next_hop IPv6 COMMENT 'IP next hop (IE 15, 62).' CODEC(ZSTD(1)),
    bgp_next_hop IPv6 COMMENT 'BGP next hop (IE 18, 63).' CODEC(ZSTD(1)),
    proto UInt8 COMMENT 'IP protocol number.' CODEC(ZSTD(1)),
    tcp_flags UInt16 COMMENT 'TCP flags, all of the flow\'s packets or-ed.' CODEC(ZSTD(1)),
    tos UInt8 COMMENT 'TOS or traffic class byte.' CODEC(ZSTD(1)),
    icmp_type Nullable(UInt8) COMMENT 'ICMP or ICMPv6 type.' CODEC(ZSTD(1)),
    icmp_code Nullable(UInt8) COMMENT 'ICMP or ICMPv6 code.' CODEC(ZSTD(1)),
    ttl Nullable(UInt8) COMMENT 'TTL or hop limit.' CODEC(ZSTD(1)),
    flow_label Nullable(UInt32) COMMENT 'IPv6 flow label.' CODEC(ZSTD(1)),
    fragment_id Nullable(UInt32) COMMENT 'Fragment identification (IE 54).' CODEC(ZSTD(1)),
    fragment_offset Nullable(UInt16) COMMENT 'Fragment offset in units of eight bytes (IE 88).' CODEC(ZSTD(1)),
    src_mac UInt64 COMMENT 'Source Ethernet address.' CODEC(ZSTD(1)),
    dst_mac UInt64 COMMENT 'Destination Ethernet address.' CODEC(ZSTD(1)),
    src_vlan UInt16 COMMENT 'VLAN on the input side; 0 where there is none.' CODEC(ZSTD(1)),
    dst_vlan UInt16 COMMENT 'VLAN on the output side; 0 where there is none.' CODEC(ZSTD(1)),
    ethertype UInt16 COMMENT 'Ethertype after VLAN tags; 0 where not known.' CODEC(ZSTD(1)),
    mpls_labels Array(UInt32) COMMENT 'MPLS labels, top first: label values without TC, S and TTL.' CODEC(ZSTD(1)),
    in_vrf Nullable(UInt32) COMMENT 'VRF of the input (IE 234).' CODEC(ZSTD(1)),
    out_vrf Nullable(UInt32) COMMENT 'VRF of the output (IE 235).' CODEC(ZSTD(1)),
    forwarding_status Nullable(UInt8) COMMENT 'Forwarding status (IE 89): two bits status, six bits reason.' CODEC(ZSTD(1)),
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) COMMENT 'Where the packet was observed.' CODEC(ZSTD(1)),
    bytes Nullable(UInt64) COMMENT 'Bytes of layer 3, IP header included, unscaled; null where not known.' CODEC(T64, ZSTD(1)),
    bytes_l2 Nullable(UInt64) COMMENT 'Bytes of layer 2, headers and FCS included, unscaled; null where not known.' CODEC(T64, ZSTD(1)),
    packets UInt64 COMMENT 'Packets, unscaled.' CODEC(T64, ZSTD(1)),
    q Nullable(UInt128) COMMENT 'Sum of the squared layer 3 lengths of the packets, or its upper bound: the error term; null where bytes are.' CODEC(ZSTD(1)),
    q_l2 Nullable(UInt128) COMMENT 'The same of layer 2; null where bytes_l2 are.' CODEC(ZSTD(1)),
    sampling_interval UInt64 COMMENT 'Best announced sampling interval N, in thousandths; 0: unknown, never taken to be 1.' CODEC(ZSTD(1)),
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) COMMENT 'Kind of sampling that the interval describes.' CODEC(ZSTD(1)),
    rate_source Enum8('unknown' = 0, 'inferred' = 1, 'default' = 2, 'header' = 3, 'system' = 4, 'domain' = 5, 'template' = 6, 'cache' = 7, 'line_card' = 8, 'interface' = 9, 'sampler' = 10, 'record' = 11, 'override' = 12) COMMENT 'Where the sampling interval came from.' CODEC(ZSTD(1)),
    flags UInt32 COMMENT 'Bits for what was implausible or estimated, see the table of flags.' CODEC(ZSTD(1)),
    tunnel Enum8('none' = 0, 'gre' = 1, 'erspan' = 2, 'ip_in_ip' = 3, 'srv6' = 4, 'vxlan' = 5, 'geneve' = 6, 'gtp_u' = 7, 'eompls' = 8, 'mpls_in_ip' = 9, 'etherip' = 10) COMMENT 'What the packet was wrapped in, as its sampled header or the exporter says.' CODEC(ZSTD(1)),
    tunnel_id Nullable(UInt32) COMMENT 'Number of the tunnel: VNI, GRE key, GTP-U tunnel endpoint; null where there is none.' CODEC(ZSTD(1)),
    inner_src_addr IPv6 COMMENT 'Source address of the packet within a tunnel, where src_addr is that of the packet around it.' CODEC(ZSTD(1)),
    inner_dst_addr IPv6 COMMENT 'Destination address of the packet within a tunnel, where dst_addr is that of the packet around it.' CODEC(ZSTD(1)),
    outer_src_addr IPv6 COMMENT 'Source address of the packet around a tunnelled one, where src_addr is that of the one within.' CODEC(ZSTD(1)),
    outer_dst_addr IPv6 COMMENT 'Destination address of the packet around a tunnelled one, where dst_addr is that of the one within.' CODEC(ZSTD(1)),
    nat_src_addr IPv6 COMMENT 'Source address after translation (IE 225, 281; sFlow extended NAT).' CODEC(ZSTD(1)),
    nat_dst_addr IPv6 COMMENT 'Destination address after translation (IE 226, 282; sFlow extended NAT).' CODEC(ZSTD(1)),
    nat_src_port UInt16 COMMENT 'Source transport port after translation (IE 227; sFlow extended NAT port).' CODEC(ZSTD(1)),
    nat_dst_port UInt16 COMMENT 'Destination transport port after translation (IE 228; sFlow extended NAT port).' CODEC(ZSTD(1)),
    customer_vlan UInt16 COMMENT 'Customer\'s VLAN, the inner one of two tags (IE 245; sFlow VLAN tunnel); 0 where there is none.' CODEC(ZSTD(1)),
    communities Array(UInt32) COMMENT 'BGP communities of the route to the destination (sFlow extended gateway; RFC 1997).' CODEC(ZSTD(1)),
    local_pref Nullable(UInt32) COMMENT 'Local preference of that route (sFlow extended gateway).' CODEC(ZSTD(1)),
    drop_reason Nullable(UInt32) COMMENT 'Why the packet was discarded: sFlow\'s reason code (sFlow Dropped Packet Notification Structures).' CODEC(ZSTD(1)),
    original_domain Nullable(UInt32) COMMENT 'Observation domain of the original exporter, behind a mediator (IE 405; RFC 7119); null where it is not told.' CODEC(ZSTD(1))
)
ENGINE = {plain}
PARTITION BY toYYYYMMDD(received)
ORDER BY (toStartOfFiveMinutes(received), exporter, in_if, out_if, received)
TTL toDateTime(received) + toIntervalDay(14)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS links_1m{on_cluster}
(
    time DateTime('UTC') COMMENT 'Start of the slot.' CODEC(Delta(4), ZSTD(1)),
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    if_index UInt32 COMMENT 'Interface index; 0: not known.' CODEC(ZSTD(1)),
    direction Enum8('unknown' = 0, 'in' = 1, 'out' = 2) COMMENT 'Side: in by the input interface, out by the output interface.' CODEC(ZSTD(1)),
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) COMMENT 'Where the packets were observed.' CODEC(ZSTD(1)),
    family UInt8 COMMENT 'Address family: 4, 6, or 0 where it is not IP.' CODEC(ZSTD(1)),
    asn UInt32 COMMENT 'Origin AS: in: the source\'s; out: the destination\'s; 0: own or unknown.' CODEC(ZSTD(1)),
    neighbour_as UInt32 COMMENT 'Neighbour AS on that side; 0: unknown.' CODEC(ZSTD(1)),
    sampling_interval UInt64 COMMENT 'Thousandths of the sampling interval N; 0: unknown.' CODEC(ZSTD(1)),
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) COMMENT 'Kind of sampling that the interval describes.' CODEC(ZSTD(1)),
    bytes Int64 COMMENT 'Bytes of layer 3, unscaled.' CODEC(T64, LZ4),
    bytes_l2 Int64 COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.' CODEC(T64, ZSTD(1)),
    bytes_l2_estimated Int64 COMMENT 'The part of bytes_l2 that is estimated.' CODEC(T64, ZSTD(1)),
    packets Int64 COMMENT 'Packets, unscaled.' CODEC(T64, LZ4),
    flows Int64 COMMENT 'Flow records that end in the slot.' CODEC(T64, LZ4),
    q Int128 COMMENT 'Error term of bytes.' CODEC(ZSTD(1)),
    q_l2 Int128 COMMENT 'Error term of bytes_l2.' CODEC(ZSTD(1)),
    q_packets Int128 COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.' CODEC(ZSTD(1))
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, asn, exporter, if_index, direction, observation, family, neighbour_as, sampling_interval, sampling_kind)
TTL time + toIntervalDay(35)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS links_5m{on_cluster}
(
    time DateTime('UTC') COMMENT 'Start of the slot.' CODEC(Delta(4), ZSTD(1)),
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(LZ4),
    if_index UInt32 COMMENT 'Interface index; 0: not known.' CODEC(LZ4),
    direction Enum8('unknown' = 0, 'in' = 1, 'out' = 2) COMMENT 'Side: in by the input interface, out by the output interface.' CODEC(ZSTD(1)),
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) COMMENT 'Where the packets were observed.' CODEC(ZSTD(1)),
    family UInt8 COMMENT 'Address family: 4, 6, or 0 where it is not IP.' CODEC(ZSTD(1)),
    asn UInt32 COMMENT 'Origin AS: in: the source\'s; out: the destination\'s; 0: own or unknown.' CODEC(LZ4),
    neighbour_as UInt32 COMMENT 'Neighbour AS on that side; 0: unknown.' CODEC(LZ4),
    sampling_interval UInt64 COMMENT 'Thousandths of the sampling interval N; 0: unknown.' CODEC(LZ4),
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) COMMENT 'Kind of sampling that the interval describes.' CODEC(ZSTD(1)),
    bytes Int64 COMMENT 'Bytes of layer 3, unscaled.' CODEC(T64, LZ4),
    bytes_l2 Int64 COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.' CODEC(T64, ZSTD(1)),
    bytes_l2_estimated Int64 COMMENT 'The part of bytes_l2 that is estimated.' CODEC(T64, ZSTD(1)),
    packets Int64 COMMENT 'Packets, unscaled.' CODEC(T64, LZ4),
    flows Int64 COMMENT 'Flow records that end in the slot.' CODEC(T64, LZ4),
    q Int128 COMMENT 'Error term of bytes.' CODEC(ZSTD(1)),
    q_l2 Int128 COMMENT 'Error term of bytes_l2.' CODEC(ZSTD(1)),
    q_packets Int128 COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.' CODEC(ZSTD(1))
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMM(time)
ORDER BY (toDate(time), asn, exporter, if_index, direction, observation, family, neighbour_as, sampling_interval, sampling_kind, time)
TTL time + toIntervalDay(400)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, index_granularity = 2048, min_compress_block_size = 16384, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS links_1h{on_cluster}
(
    time DateTime('UTC') COMMENT 'Start of the slot.' CODEC(Delta(4), ZSTD(1)),
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(LZ4),
    if_index UInt32 COMMENT 'Interface index; 0: not known.' CODEC(LZ4),
    direction Enum8('unknown' = 0, 'in' = 1, 'out' = 2) COMMENT 'Side: in by the input interface, out by the output interface.' CODEC(ZSTD(1)),
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) COMMENT 'Where the packets were observed.' CODEC(ZSTD(1)),
    family UInt8 COMMENT 'Address family: 4, 6, or 0 where it is not IP.' CODEC(ZSTD(1)),
    asn UInt32 COMMENT 'Origin AS: in: the source\'s; out: the destination\'s; 0: own or unknown.' CODEC(LZ4),
    neighbour_as UInt32 COMMENT 'Neighbour AS on that side; 0: unknown.' CODEC(LZ4),
    sampling_interval UInt64 COMMENT 'Thousandths of the sampling interval N; 0: unknown.' CODEC(LZ4),
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) COMMENT 'Kind of sampling that the interval describes.' CODEC(ZSTD(1)),
    bytes Int64 COMMENT 'Bytes of layer 3, unscaled.' CODEC(T64, LZ4),
    bytes_l2 Int64 COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.' CODEC(T64, ZSTD(1)),
    bytes_l2_estimated Int64 COMMENT 'The part of bytes_l2 that is estimated.' CODEC(T64, ZSTD(1)),
    packets Int64 COMMENT 'Packets, unscaled.' CODEC(T64, LZ4),
    flows Int64 COMMENT 'Flow records that end in the slot.' CODEC(T64, LZ4),
    q Int128 COMMENT 'Error term of bytes.' CODEC(ZSTD(1)),
    q_l2 Int128 COMMENT 'Error term of bytes_l2.' CODEC(ZSTD(1)),
    q_packets Int128 COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.' CODEC(ZSTD(1))
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMM(time)
ORDER BY (toDate(time), asn, exporter, if_index, direction, observation, family, neighbour_as, sampling_interval, sampling_kind, time)
TTL time + toIntervalDay(1830)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, index_granularity = 2048, min_compress_block_size = 16384, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS links_1d{on_cluster}
(
    time DateTime('UTC') COMMENT 'Start of the slot.' CODEC(Delta(4), ZSTD(1)),
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(LZ4),
    if_index UInt32 COMMENT 'Interface index; 0: not known.' CODEC(LZ4),
    direction Enum8('unknown' = 0, 'in' = 1, 'out' = 2) COMMENT 'Side: in by the input interface, out by the output interface.' CODEC(ZSTD(1)),
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) COMMENT 'Where the packets were observed.' CODEC(ZSTD(1)),
    family UInt8 COMMENT 'Address family: 4, 6, or 0 where it is not IP.' CODEC(ZSTD(1)),
    asn UInt32 COMMENT 'Origin AS: in: the source\'s; out: the destination\'s; 0: own or unknown.' CODEC(LZ4),
    neighbour_as UInt32 COMMENT 'Neighbour AS on that side; 0: unknown.' CODEC(LZ4),
    sampling_interval UInt64 COMMENT 'Thousandths of the sampling interval N; 0: unknown.' CODEC(LZ4),
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) COMMENT 'Kind of sampling that the interval describes.' CODEC(ZSTD(1)),
    bytes Int64 COMMENT 'Bytes of layer 3, unscaled.' CODEC(T64, LZ4),
    bytes_l2 Int64 COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.' CODEC(T64, ZSTD(1)),
    bytes_l2_estimated Int64 COMMENT 'The part of bytes_l2 that is estimated.' CODEC(T64, ZSTD(1)),
    packets Int64 COMMENT 'Packets, unscaled.' CODEC(T64, LZ4),
    flows Int64 COMMENT 'Flow records that end in the slot.' CODEC(T64, LZ4),
    q Int128 COMMENT 'Error term of bytes.' CODEC(ZSTD(1)),
    q_l2 Int128 COMMENT 'Error term of bytes_l2.' CODEC(ZSTD(1)),
    q_packets Int128 COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.' CODEC(ZSTD(1))
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMM(time)
ORDER BY (asn, exporter, if_index, direction, observation, family, neighbour_as, sampling_interval, sampling_kind, time)
TTL time + toIntervalDay(1830)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, index_granularity = 2048, min_compress_block_size = 16384, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS interfaces_1m{on_cluster}
(
    time DateTime('UTC') COMMENT 'Start of the slot.' CODEC(Delta(4), ZSTD(1)),
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    if_index UInt32 COMMENT 'Interface index; 0: not known.' CODEC(ZSTD(1)),
    direction Enum8('unknown' = 0, 'in' = 1, 'out' = 2) COMMENT 'Side: in by the input interface, out by the output interface.' CODEC(ZSTD(1)),
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) COMMENT 'Where the packets were observed.' CODEC(ZSTD(1)),
    family UInt8 COMMENT 'Address family: 4, 6, or 0 where it is not IP.' CODEC(ZSTD(1)),
    sampling_interval UInt64 COMMENT 'Thousandths of the sampling interval N; 0: unknown.' CODEC(ZSTD(1)),
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) COMMENT 'Kind of sampling that the interval describes.' CODEC(ZSTD(1)),
    bytes Int64 COMMENT 'Bytes of layer 3, unscaled.' CODEC(T64, LZ4),
    bytes_l2 Int64 COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.' CODEC(T64, ZSTD(1)),
    bytes_l2_estimated Int64 COMMENT 'The part of bytes_l2 that is estimated.' CODEC(T64, ZSTD(1)),
    packets Int64 COMMENT 'Packets, unscaled.' CODEC(T64, LZ4),
    flows Int64 COMMENT 'Flow records that end in the slot.' CODEC(T64, LZ4),
    q Int128 COMMENT 'Error term of bytes.' CODEC(ZSTD(1)),
    q_l2 Int128 COMMENT 'Error term of bytes_l2.' CODEC(ZSTD(1)),
    q_packets Int128 COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.' CODEC(ZSTD(1))
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, exporter, if_index, direction, observation, family, sampling_interval, sampling_kind)
TTL time + toIntervalDay(35)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS interfaces_5m{on_cluster}
(
    time DateTime('UTC') COMMENT 'Start of the slot.' CODEC(Delta(4), ZSTD(1)),
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    if_index UInt32 COMMENT 'Interface index; 0: not known.' CODEC(ZSTD(1)),
    direction Enum8('unknown' = 0, 'in' = 1, 'out' = 2) COMMENT 'Side: in by the input interface, out by the output interface.' CODEC(ZSTD(1)),
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) COMMENT 'Where the packets were observed.' CODEC(ZSTD(1)),
    family UInt8 COMMENT 'Address family: 4, 6, or 0 where it is not IP.' CODEC(ZSTD(1)),
    sampling_interval UInt64 COMMENT 'Thousandths of the sampling interval N; 0: unknown.' CODEC(ZSTD(1)),
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) COMMENT 'Kind of sampling that the interval describes.' CODEC(ZSTD(1)),
    bytes Int64 COMMENT 'Bytes of layer 3, unscaled.' CODEC(T64, LZ4),
    bytes_l2 Int64 COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.' CODEC(T64, ZSTD(1)),
    bytes_l2_estimated Int64 COMMENT 'The part of bytes_l2 that is estimated.' CODEC(T64, ZSTD(1)),
    packets Int64 COMMENT 'Packets, unscaled.' CODEC(T64, LZ4),
    flows Int64 COMMENT 'Flow records that end in the slot.' CODEC(T64, LZ4),
    q Int128 COMMENT 'Error term of bytes.' CODEC(ZSTD(1)),
    q_l2 Int128 COMMENT 'Error term of bytes_l2.' CODEC(ZSTD(1)),
    q_packets Int128 COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.' CODEC(ZSTD(1))
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMM(time)
ORDER BY (time, exporter, if_index, direction, observation, family, sampling_interval, sampling_kind)
TTL time + toIntervalDay(400)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS pairs_5m{on_cluster}
(
    time DateTime('UTC') COMMENT 'Start of the slot.' CODEC(Delta(4), ZSTD(1)),
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    in_if UInt32 COMMENT 'Input interface index; 0: not known.' CODEC(ZSTD(1)),
    out_if UInt32 COMMENT 'Output interface index; 0: not known.' CODEC(ZSTD(1)),
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) COMMENT 'Where the packets were observed.' CODEC(ZSTD(1)),
    family UInt8 COMMENT 'Address family: 4, 6, or 0 where it is not IP.' CODEC(ZSTD(1)),
    src_as UInt32 COMMENT 'Source AS; 0: own or unknown.' CODEC(ZSTD(1)),
    dst_as UInt32 COMMENT 'Destination AS; 0: own or unknown.' CODEC(ZSTD(1)),
    src_country LowCardinality(String) COMMENT 'Country of the source.' CODEC(ZSTD(1)),
    dst_country LowCardinality(String) COMMENT 'Country of the destination.' CODEC(ZSTD(1)),
    protocol_class Enum8('other' = 0, 'tcp' = 1, 'quic' = 2, 'udp' = 3, 'icmp' = 4, 'tunnel' = 5) COMMENT 'Class of the transport protocol.' CODEC(ZSTD(1)),
    sampling_interval UInt64 COMMENT 'Thousandths of the sampling interval N; 0: unknown.' CODEC(ZSTD(1)),
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) COMMENT 'Kind of sampling that the interval describes.' CODEC(ZSTD(1)),
    bytes Int64 COMMENT 'Bytes of layer 3, unscaled.' CODEC(T64, LZ4),
    bytes_l2 Int64 COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.' CODEC(T64, ZSTD(1)),
    bytes_l2_estimated Int64 COMMENT 'The part of bytes_l2 that is estimated.' CODEC(T64, ZSTD(1)),
    packets Int64 COMMENT 'Packets, unscaled.' CODEC(T64, LZ4),
    flows Int64 COMMENT 'Flow records that end in the slot.' CODEC(T64, LZ4),
    q Int128 COMMENT 'Error term of bytes.' CODEC(ZSTD(1)),
    q_l2 Int128 COMMENT 'Error term of bytes_l2.' CODEC(ZSTD(1)),
    q_packets Int128 COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.' CODEC(ZSTD(1))
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, exporter, in_if, out_if, observation, family, src_as, dst_as, src_country, dst_country, protocol_class, sampling_interval, sampling_kind)
TTL time + toIntervalDay(14)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS pairs_1h{on_cluster}
(
    time DateTime('UTC') COMMENT 'Start of the slot.' CODEC(Delta(4), ZSTD(1)),
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    in_if UInt32 COMMENT 'Input interface index; 0: not known.' CODEC(ZSTD(1)),
    out_if UInt32 COMMENT 'Output interface index; 0: not known.' CODEC(ZSTD(1)),
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) COMMENT 'Where the packets were observed.' CODEC(ZSTD(1)),
    family UInt8 COMMENT 'Address family: 4, 6, or 0 where it is not IP.' CODEC(ZSTD(1)),
    src_as UInt32 COMMENT 'Source AS; 0: own or unknown.' CODEC(ZSTD(1)),
    dst_as UInt32 COMMENT 'Destination AS; 0: own or unknown.' CODEC(ZSTD(1)),
    src_country LowCardinality(String) COMMENT 'Country of the source.' CODEC(ZSTD(1)),
    dst_country LowCardinality(String) COMMENT 'Country of the destination.' CODEC(ZSTD(1)),
    protocol_class Enum8('other' = 0, 'tcp' = 1, 'quic' = 2, 'udp' = 3, 'icmp' = 4, 'tunnel' = 5) COMMENT 'Class of the transport protocol.' CODEC(ZSTD(1)),
    sampling_interval UInt64 COMMENT 'Thousandths of the sampling interval N; 0: unknown.' CODEC(ZSTD(1)),
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) COMMENT 'Kind of sampling that the interval describes.' CODEC(ZSTD(1)),
    bytes Int64 COMMENT 'Bytes of layer 3, unscaled.' CODEC(T64, LZ4),
    bytes_l2 Int64 COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.' CODEC(T64, ZSTD(1)),
    bytes_l2_estimated Int64 COMMENT 'The part of bytes_l2 that is estimated.' CODEC(T64, ZSTD(1)),
    packets Int64 COMMENT 'Packets, unscaled.' CODEC(T64, LZ4),
    flows Int64 COMMENT 'Flow records that end in the slot.' CODEC(T64, LZ4),
    q Int128 COMMENT 'Error term of bytes.' CODEC(ZSTD(1)),
    q_l2 Int128 COMMENT 'Error term of bytes_l2.' CODEC(ZSTD(1)),
    q_packets Int128 COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.' CODEC(ZSTD(1))
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMM(time)
ORDER BY (time, exporter, in_if, out_if, observation, family, src_as, dst_as, src_country, dst_country, protocol_class, sampling_interval, sampling_kind)
TTL time + toIntervalDay(400)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS prefixes_1h{on_cluster}
(
    time DateTime('UTC') COMMENT 'Start of the slot.' CODEC(Delta(4), ZSTD(1)),
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    if_index UInt32 COMMENT 'Interface index; 0: not known.' CODEC(ZSTD(1)),
    direction Enum8('unknown' = 0, 'in' = 1, 'out' = 2) COMMENT 'Side: in by the input interface, out by the output interface.' CODEC(ZSTD(1)),
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) COMMENT 'Where the packets were observed.' CODEC(ZSTD(1)),
    family UInt8 COMMENT 'Address family: 4, 6, or 0 where it is not IP.' CODEC(ZSTD(1)),
    prefix IPv6 COMMENT 'Prefix: in: the source\'s; out: the destination\'s; as exported, else /24 or /48.' CODEC(ZSTD(1)),
    prefix_len UInt8 COMMENT 'Its length.' CODEC(ZSTD(1)),
    asn UInt32 COMMENT 'Its origin AS; 0: own or unknown.' CODEC(ZSTD(1)),
    sampling_interval UInt64 COMMENT 'Thousandths of the sampling interval N; 0: unknown.' CODEC(ZSTD(1)),
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) COMMENT 'Kind of sampling that the interval describes.' CODEC(ZSTD(1)),
    bytes Int64 COMMENT 'Bytes of layer 3, unscaled.' CODEC(T64, LZ4),
    bytes_l2 Int64 COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.' CODEC(T64, ZSTD(1)),
    bytes_l2_estimated Int64 COMMENT 'The part of bytes_l2 that is estimated.' CODEC(T64, ZSTD(1)),
    packets Int64 COMMENT 'Packets, unscaled.' CODEC(T64, LZ4),
    flows Int64 COMMENT 'Flow records that end in the slot.' CODEC(T64, LZ4),
    q Int128 COMMENT 'Error term of bytes.' CODEC(ZSTD(1)),
    q_l2 Int128 COMMENT 'Error term of bytes_l2.' CODEC(ZSTD(1)),
    q_packets Int128 COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.' CODEC(ZSTD(1))
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMM(time)
ORDER BY (toDate(time), asn, prefix, prefix_len, exporter, if_index, direction, observation, family, sampling_interval, sampling_kind, time)
TTL time + toIntervalDay(400)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, index_granularity = 2048, min_compress_block_size = 16384, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS exporters{on_cluster}
(
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    name LowCardinality(String) COMMENT 'Name.' CODEC(ZSTD(1)),
    version UInt64 COMMENT 'When this was learned; the latest wins.' CODEC(ZSTD(1))
)
ENGINE = {replacing}(version)
ORDER BY (exporter)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30;

CREATE TABLE IF NOT EXISTS interfaces{on_cluster}
(
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    if_index UInt32 COMMENT 'Interface index.' CODEC(ZSTD(1)),
    name LowCardinality(String) COMMENT 'Name.' CODEC(ZSTD(1)),
    description LowCardinality(String) COMMENT 'Description.' CODEC(ZSTD(1)),
    speed UInt64 COMMENT 'Speed; 0 where not known.' CODEC(ZSTD(1)),
    version UInt64 COMMENT 'When this was learned; the latest wins.' CODEC(ZSTD(1))
)
ENGINE = {replacing}(version)
ORDER BY (exporter, if_index)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30;

CREATE TABLE IF NOT EXISTS links{on_cluster}
(
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    if_index UInt32 COMMENT 'Interface index.' CODEC(ZSTD(1)),
    valid_from DateTime('UTC') COMMENT 'From when on the interface is a member.' CODEC(Delta(4), ZSTD(1)),
    valid_to DateTime('UTC') COMMENT 'Until when the interface is a member.' CODEC(Delta(4), ZSTD(1)),
    link LowCardinality(String) COMMENT 'Name of the link; empty: the interface is on no link.' CODEC(ZSTD(1)),
    provider LowCardinality(String) COMMENT 'Provider.' CODEC(ZSTD(1)),
    connectivity Enum8('unknown' = 0, 'transit' = 1, 'ix' = 2, 'pni' = 3, 'customer' = 4, 'core' = 5) COMMENT 'What the link is for.' CODEC(ZSTD(1)),
    neighbour_as UInt32 COMMENT 'AS at the other end; 0: unknown or many.' CODEC(ZSTD(1)),
    capacity UInt64 COMMENT 'Capacity that is paid for or usable; 0: unknown.' CODEC(ZSTD(1)),
    version UInt64 COMMENT 'When this was said; the latest wins.' CODEC(ZSTD(1))
)
ENGINE = {replacing}(version)
ORDER BY (exporter, if_index, valid_from)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30;

CREATE TABLE IF NOT EXISTS rates{on_cluster}
(
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    observation_domain UInt32 COMMENT 'Observation domain.' CODEC(ZSTD(1)),
    rate_source Enum8('unknown' = 0, 'inferred' = 1, 'default' = 2, 'header' = 3, 'system' = 4, 'domain' = 5, 'template' = 6, 'cache' = 7, 'line_card' = 8, 'interface' = 9, 'sampler' = 10, 'record' = 11, 'override' = 12) COMMENT 'What kind of announcement it is.' CODEC(ZSTD(1)),
    scope UInt64 COMMENT 'Interface, line card, sampler or template it is for; 0 for the system or domain.' CODEC(ZSTD(1)),
    sampling_interval UInt64 COMMENT 'Sampling interval N.' CODEC(ZSTD(1)),
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) COMMENT 'Kind of sampling.' CODEC(ZSTD(1)),
    valid_from DateTime64(9, 'UTC') COMMENT 'Receive time from which it applies.' CODEC(Delta(8), ZSTD(1)),
    version UInt64 COMMENT 'When this was learned; the latest wins.' CODEC(ZSTD(1))
)
ENGINE = {replacing}(version)
ORDER BY (exporter, observation_domain, rate_source, scope, valid_from)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30;

CREATE TABLE IF NOT EXISTS asns{on_cluster}
(
    asn UInt32 COMMENT 'AS number.' CODEC(ZSTD(1)),
    name LowCardinality(String) COMMENT 'Name of its holder.' CODEC(ZSTD(1)),
    version UInt64 COMMENT 'When this was loaded; the latest wins.' CODEC(ZSTD(1))
)
ENGINE = {replacing}(version)
ORDER BY (asn)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, index_granularity = 2048, min_compress_block_size = 16384;

CREATE TABLE IF NOT EXISTS redecodes{on_cluster}
(
    generation UInt32 COMMENT 'Decode generation of its rows.' CODEC(ZSTD(1)),
    window_from DateTime64(9, 'UTC') COMMENT 'Start of the window, by receive time.' CODEC(Delta(8), ZSTD(1)),
    window_to DateTime64(9, 'UTC') COMMENT 'End of the window, not included.' CODEC(Delta(8), ZSTD(1)),
    phase LowCardinality(String) COMMENT 'How far it has come: decoding, staged, summed, swapped, given_up.' CODEC(ZSTD(1)),
    owner UInt64 COMMENT 'Who works on it: a number that each run draws.' CODEC(ZSTD(1)),
    details LowCardinality(String) COMMENT 'JSON: what its old rows are, in which steps they are taken back, and sums before and after.' CODEC(ZSTD(1)),
    version UInt64 COMMENT 'When this was written; the latest wins.' CODEC(ZSTD(1))
)
ENGINE = {replacing}(version)
ORDER BY (generation)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30;
