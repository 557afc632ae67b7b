-- The tables of DESIGN.md, Storage. Made from the table of columns (weir-schemas); frozen once released.

CREATE TABLE IF NOT EXISTS flows{on_cluster}
(
    exporter IPv6 CODEC(ZSTD(1)) COMMENT 'Transport source address of the datagrams: the key of everything about an exporter.',
    raw_partition UInt32 CODEC(ZSTD(1)) COMMENT 'Partition of weir.raw that the datagrams came from.',
    generation UInt32 CODEC(ZSTD(1)) COMMENT 'Decode generation: 0 at first; a window that is decoded again gets a higher one.',
    raw_offset UInt64 CODEC(Delta(8), ZSTD(1)) COMMENT 'Offset in weir.raw of the frame that held the datagram.',
    frame_index UInt32 CODEC(ZSTD(1)) COMMENT 'Index of the datagram in its frame.',
    record_index UInt32 CODEC(ZSTD(1)) COMMENT 'Index of the flow record in its datagram, over all of its sets.',
    received DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'When the kernel received the datagram.',
    exported DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'Export time in the datagram\'s header, by the exporter\'s clock; 0 where it has none.',
    flow_start DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'First packet of the flow, by the exporter\'s clock; 0 where it is not exported.',
    flow_end DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'Last packet of the flow, by the exporter\'s clock; 0 where it is not exported.',
    spread_start DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'Start of the time over which bytes are spread: anchored at the receive time, plausible (COUNTING.md, Time).',
    spread_end DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'End of the time over which bytes are spread; the flow itself counts in the minute of this end.',
    protocol Enum8('unknown' = 0, 'netflow_v5' = 1, 'netflow_v9' = 2, 'ipfix' = 3, 'sflow_v5' = 4) CODEC(ZSTD(1)) COMMENT 'Export protocol.',
    flow_kind Enum8('unknown' = 0, 'flow' = 1, 'sample' = 2, 'discard' = 3, 'event' = 4) CODEC(ZSTD(1)) COMMENT 'What the record describes.',
    exporter_id IPv6 CODEC(ZSTD(1)) COMMENT 'Who the exporter says it is: sFlow agent address, original exporter (IE 403, 404, 130, 131); else the transport address.',
    observation_domain UInt32 CODEC(ZSTD(1)) COMMENT 'Observation domain (IPFIX), source id (v9), engine type and id (v5), sub-agent (sFlow).',
    exporter_name LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Name of the exporter as known when the flow was decoded.',
    sampler UInt64 CODEC(ZSTD(1)) COMMENT 'Sampler or selector that the record names (IE 48, 302); 0 where it names none.',
    in_if UInt32 CODEC(ZSTD(1)) COMMENT 'Input interface index (IE 10, 252; sFlow: format removed); 0 where not known.',
    out_if UInt32 CODEC(ZSTD(1)) COMMENT 'Output interface index (IE 14, 253); 0 where not known, or discarded.',
    in_if_name LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Input interface name as known then.',
    out_if_name LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Output interface name as known then.',
    in_if_description LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Input interface description as known then.',
    out_if_description LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Output interface description as known then.',
    in_if_speed UInt64 CODEC(ZSTD(1)) COMMENT 'Input interface speed as known then; 0 where not known.',
    out_if_speed UInt64 CODEC(ZSTD(1)) COMMENT 'Output interface speed as known then; 0 where not known.',
    in_connectivity Enum8('unknown' = 0, 'transit' = 1, 'ix' = 2, 'pni' = 3, 'customer' = 4, 'core' = 5) CODEC(ZSTD(1)) COMMENT 'Connectivity of the input interface\'s link as known then; queries join the current one.',
    out_connectivity Enum8('unknown' = 0, 'transit' = 1, 'ix' = 2, 'pni' = 3, 'customer' = 4, 'core' = 5) CODEC(ZSTD(1)) COMMENT 'Connectivity of the output interface\'s link as known then; queries join the current one.',
    in_provider LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Provider of the input interface\'s link as known then; queries join the current one.',
    out_provider LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Provider of the output interface\'s link as known then; queries join the current one.',
    family UInt8 CODEC(ZSTD(1)) COMMENT 'Address family of the flow: 4, 6, or 0 where it is not IP.',
    src_addr IPv6 CODEC(ZSTD(1)) COMMENT 'Source address.',
    dst_addr IPv6 CODEC(ZSTD(1)) COMMENT 'Destination address.',
    src_port UInt16 CODEC(ZSTD(1)) COMMENT 'Source transport port.',
    dst_port UInt16 CODEC(ZSTD(1)) COMMENT 'Destination transport port.',
    src_prefix_len UInt8 CODEC(ZSTD(1)) COMMENT 'Length of the source\'s routed prefix; 0 where not known.',
    dst_prefix_len UInt8 CODEC(ZSTD(1)) COMMENT 'Length of the destination\'s routed prefix; 0 where not known.',
    src_as UInt32 CODEC(ZSTD(1)) COMMENT 'Source AS, chosen from all sources in the configured order; 0 where not known.',
    dst_as UInt32 CODEC(ZSTD(1)) COMMENT 'Destination AS, chosen from all sources in the configured order; 0 where not known.',
    src_as_exported UInt32 CODEC(ZSTD(1)) COMMENT 'Source AS as exported (IE 16; origin or peer, as the exporter is configured).',
    dst_as_exported UInt32 CODEC(ZSTD(1)) COMMENT 'Destination AS as exported (IE 17; origin or peer, as the exporter is configured).',
    src_as_source Enum8('unknown' = 0, 'exporter' = 1, 'database' = 2, 'route' = 3) CODEC(ZSTD(1)) COMMENT 'Where the source AS came from.',
    dst_as_source Enum8('unknown' = 0, 'exporter' = 1, 'database' = 2, 'route' = 3) CODEC(ZSTD(1)) COMMENT 'Where the destination AS came from.',
    src_country LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Country of the source address, ISO 3166-1 alpha-2.',
    dst_country LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Country of the destination address, ISO 3166-1 alpha-2.',
    src_neighbour_as UInt32 CODEC(ZSTD(1)) COMMENT 'Neighbour AS from which the traffic came (IE 129; sFlow src_peer_as; the link\'s); 0 where not known.',
    dst_neighbour_as UInt32 CODEC(ZSTD(1)) COMMENT 'Neighbour AS to which the traffic goes (IE 128; first AS of the path; the link\'s); 0 where not known.',
    as_path Array(UInt32) CODEC(ZSTD(1)) COMMENT 'AS path to the destination, neighbour first.',
    next_hop IPv6 CODEC(ZSTD(1)) COMMENT 'IP next hop (IE 15, 62).',
    bgp_next_hop IPv6 CODEC(ZSTD(1)) COMMENT 'BGP next hop (IE 18, 63).',
    proto UInt8 CODEC(ZSTD(1)) COMMENT 'IP protocol number.',
    tcp_flags UInt16 CODEC(ZSTD(1)) COMMENT 'TCP flags, all of the flow\'s packets or-ed.',
    tos UInt8 CODEC(ZSTD(1)) COMMENT 'TOS or traffic class byte.',
    icmp_type Nullable(UInt8) CODEC(ZSTD(1)) COMMENT 'ICMP or ICMPv6 type.',
    icmp_code Nullable(UInt8) CODEC(ZSTD(1)) COMMENT 'ICMP or ICMPv6 code.',
    ttl Nullable(UInt8) CODEC(ZSTD(1)) COMMENT 'TTL or hop limit.',
    flow_label Nullable(UInt32) CODEC(ZSTD(1)) COMMENT 'IPv6 flow label.',
    fragment_id Nullable(UInt32) CODEC(ZSTD(1)) COMMENT 'Fragment identification (IE 54).',
    fragment_offset Nullable(UInt16) CODEC(ZSTD(1)) COMMENT 'Fragment offset in units of eight bytes (IE 88).',
    src_mac UInt64 CODEC(ZSTD(1)) COMMENT 'Source Ethernet address.',
    dst_mac UInt64 CODEC(ZSTD(1)) COMMENT 'Destination Ethernet address.',
    src_vlan UInt16 CODEC(ZSTD(1)) COMMENT 'VLAN on the input side; 0 where there is none.',
    dst_vlan UInt16 CODEC(ZSTD(1)) COMMENT 'VLAN on the output side; 0 where there is none.',
    ethertype UInt16 CODEC(ZSTD(1)) COMMENT 'Ethertype after VLAN tags; 0 where not known.',
    mpls_labels Array(UInt32) CODEC(ZSTD(1)) COMMENT 'MPLS labels, top first: label values without TC, S and TTL.',
    in_vrf Nullable(UInt32) CODEC(ZSTD(1)) COMMENT 'VRF of the input (IE 234).',
    out_vrf Nullable(UInt32) CODEC(ZSTD(1)) COMMENT 'VRF of the output (IE 235).',
    forwarding_status Nullable(UInt8) CODEC(ZSTD(1)) COMMENT 'Forwarding status (IE 89): two bits status, six bits reason.',
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) CODEC(ZSTD(1)) COMMENT 'Where the packet was observed.',
    bytes Nullable(UInt64) CODEC(ZSTD(1)) COMMENT 'Bytes of layer 3, IP header included, unscaled; null where not known.',
    bytes_l2 Nullable(UInt64) CODEC(ZSTD(1)) COMMENT 'Bytes of layer 2, headers and FCS included, unscaled; null where not known.',
    packets UInt64 CODEC(ZSTD(1)) COMMENT 'Packets, unscaled.',
    q Nullable(UInt128) CODEC(ZSTD(1)) COMMENT 'Sum of the squared layer 3 lengths of the packets, or its upper bound: the error term; null where bytes are.',
    q_l2 Nullable(UInt128) CODEC(ZSTD(1)) COMMENT 'The same of layer 2; null where bytes_l2 are.',
    sampling_interval UInt64 CODEC(ZSTD(1)) COMMENT 'Best announced sampling interval N, in thousandths; 0: unknown, never taken to be 1.',
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) CODEC(ZSTD(1)) COMMENT 'Kind of sampling that the interval describes.',
    rate_source Enum8('unknown' = 0, 'inferred' = 1, 'default' = 2, 'header' = 3, 'system' = 4, 'domain' = 5, 'template' = 6, 'cache' = 7, 'line_card' = 8, 'interface' = 9, 'sampler' = 10, 'record' = 11, 'override' = 12) CODEC(ZSTD(1)) COMMENT 'Where the sampling interval came from.',
    flags UInt32 CODEC(ZSTD(1)) COMMENT 'Bits for what was implausible or estimated, see the table of flags.'
)
ENGINE = {plain}
PARTITION BY toYYYYMMDD(received)
ORDER BY (toStartOfFiveMinutes(received), exporter, in_if, out_if, received)
TTL toDateTime(received) + toIntervalDay(14)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS links_1m{on_cluster}
(
    time DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Start of the slot.',
    exporter IPv6 CODEC(ZSTD(1)) COMMENT 'Transport source address of the datagrams.',
    if_index UInt32 CODEC(ZSTD(1)) COMMENT 'Interface index; 0: not known.',
    direction Enum8('unknown' = 0, 'in' = 1, 'out' = 2) CODEC(ZSTD(1)) COMMENT 'Side: in by the input interface, out by the output interface.',
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) CODEC(ZSTD(1)) COMMENT 'Where the packets were observed.',
    family UInt8 CODEC(ZSTD(1)) COMMENT 'Address family: 4, 6, or 0 where it is not IP.',
    asn UInt32 CODEC(ZSTD(1)) COMMENT 'Origin AS: in: the source\'s; out: the destination\'s; 0: own or unknown.',
    neighbour_as UInt32 CODEC(ZSTD(1)) COMMENT 'Neighbour AS on that side; 0: unknown.',
    sampling_interval UInt64 CODEC(ZSTD(1)) COMMENT 'Thousandths of the sampling interval N; 0: unknown.',
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) CODEC(ZSTD(1)) COMMENT 'Kind of sampling that the interval describes.',
    bytes UInt64 CODEC(ZSTD(1)) COMMENT 'Bytes of layer 3, unscaled.',
    bytes_l2 UInt64 CODEC(ZSTD(1)) COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.',
    bytes_l2_estimated UInt64 CODEC(ZSTD(1)) COMMENT 'The part of bytes_l2 that is estimated.',
    packets UInt64 CODEC(ZSTD(1)) COMMENT 'Packets, unscaled.',
    flows UInt64 CODEC(ZSTD(1)) COMMENT 'Flow records that end in the slot.',
    q UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of bytes.',
    q_l2 UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of bytes_l2.',
    q_packets UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.'
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, exporter, if_index, direction, observation, family, asn, neighbour_as, sampling_interval, sampling_kind)
TTL time + toIntervalDay(35)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS links_5m{on_cluster}
(
    time DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Start of the slot.',
    exporter IPv6 CODEC(ZSTD(1)) COMMENT 'Transport source address of the datagrams.',
    if_index UInt32 CODEC(ZSTD(1)) COMMENT 'Interface index; 0: not known.',
    direction Enum8('unknown' = 0, 'in' = 1, 'out' = 2) CODEC(ZSTD(1)) COMMENT 'Side: in by the input interface, out by the output interface.',
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) CODEC(ZSTD(1)) COMMENT 'Where the packets were observed.',
    family UInt8 CODEC(ZSTD(1)) COMMENT 'Address family: 4, 6, or 0 where it is not IP.',
    asn UInt32 CODEC(ZSTD(1)) COMMENT 'Origin AS: in: the source\'s; out: the destination\'s; 0: own or unknown.',
    neighbour_as UInt32 CODEC(ZSTD(1)) COMMENT 'Neighbour AS on that side; 0: unknown.',
    sampling_interval UInt64 CODEC(ZSTD(1)) COMMENT 'Thousandths of the sampling interval N; 0: unknown.',
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) CODEC(ZSTD(1)) COMMENT 'Kind of sampling that the interval describes.',
    bytes UInt64 CODEC(ZSTD(1)) COMMENT 'Bytes of layer 3, unscaled.',
    bytes_l2 UInt64 CODEC(ZSTD(1)) COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.',
    bytes_l2_estimated UInt64 CODEC(ZSTD(1)) COMMENT 'The part of bytes_l2 that is estimated.',
    packets UInt64 CODEC(ZSTD(1)) COMMENT 'Packets, unscaled.',
    flows UInt64 CODEC(ZSTD(1)) COMMENT 'Flow records that end in the slot.',
    q UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of bytes.',
    q_l2 UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of bytes_l2.',
    q_packets UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.'
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMM(time)
ORDER BY (time, exporter, if_index, direction, observation, family, asn, neighbour_as, sampling_interval, sampling_kind)
TTL time + toIntervalDay(400)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS links_1h{on_cluster}
(
    time DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Start of the slot.',
    exporter IPv6 CODEC(ZSTD(1)) COMMENT 'Transport source address of the datagrams.',
    if_index UInt32 CODEC(ZSTD(1)) COMMENT 'Interface index; 0: not known.',
    direction Enum8('unknown' = 0, 'in' = 1, 'out' = 2) CODEC(ZSTD(1)) COMMENT 'Side: in by the input interface, out by the output interface.',
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) CODEC(ZSTD(1)) COMMENT 'Where the packets were observed.',
    family UInt8 CODEC(ZSTD(1)) COMMENT 'Address family: 4, 6, or 0 where it is not IP.',
    asn UInt32 CODEC(ZSTD(1)) COMMENT 'Origin AS: in: the source\'s; out: the destination\'s; 0: own or unknown.',
    neighbour_as UInt32 CODEC(ZSTD(1)) COMMENT 'Neighbour AS on that side; 0: unknown.',
    sampling_interval UInt64 CODEC(ZSTD(1)) COMMENT 'Thousandths of the sampling interval N; 0: unknown.',
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) CODEC(ZSTD(1)) COMMENT 'Kind of sampling that the interval describes.',
    bytes UInt64 CODEC(ZSTD(1)) COMMENT 'Bytes of layer 3, unscaled.',
    bytes_l2 UInt64 CODEC(ZSTD(1)) COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.',
    bytes_l2_estimated UInt64 CODEC(ZSTD(1)) COMMENT 'The part of bytes_l2 that is estimated.',
    packets UInt64 CODEC(ZSTD(1)) COMMENT 'Packets, unscaled.',
    flows UInt64 CODEC(ZSTD(1)) COMMENT 'Flow records that end in the slot.',
    q UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of bytes.',
    q_l2 UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of bytes_l2.',
    q_packets UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.'
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMM(time)
ORDER BY (time, exporter, if_index, direction, observation, family, asn, neighbour_as, sampling_interval, sampling_kind)
TTL time + toIntervalDay(1830)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS pairs_5m{on_cluster}
(
    time DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Start of the slot.',
    exporter IPv6 CODEC(ZSTD(1)) COMMENT 'Transport source address of the datagrams.',
    in_if UInt32 CODEC(ZSTD(1)) COMMENT 'Input interface index; 0: not known.',
    out_if UInt32 CODEC(ZSTD(1)) COMMENT 'Output interface index; 0: not known.',
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) CODEC(ZSTD(1)) COMMENT 'Where the packets were observed.',
    family UInt8 CODEC(ZSTD(1)) COMMENT 'Address family: 4, 6, or 0 where it is not IP.',
    src_as UInt32 CODEC(ZSTD(1)) COMMENT 'Source AS; 0: own or unknown.',
    dst_as UInt32 CODEC(ZSTD(1)) COMMENT 'Destination AS; 0: own or unknown.',
    src_country LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Country of the source.',
    dst_country LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Country of the destination.',
    protocol_class Enum8('other' = 0, 'tcp' = 1, 'quic' = 2, 'udp' = 3, 'icmp' = 4, 'tunnel' = 5) CODEC(ZSTD(1)) COMMENT 'Class of the transport protocol.',
    sampling_interval UInt64 CODEC(ZSTD(1)) COMMENT 'Thousandths of the sampling interval N; 0: unknown.',
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) CODEC(ZSTD(1)) COMMENT 'Kind of sampling that the interval describes.',
    bytes UInt64 CODEC(ZSTD(1)) COMMENT 'Bytes of layer 3, unscaled.',
    bytes_l2 UInt64 CODEC(ZSTD(1)) COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.',
    bytes_l2_estimated UInt64 CODEC(ZSTD(1)) COMMENT 'The part of bytes_l2 that is estimated.',
    packets UInt64 CODEC(ZSTD(1)) COMMENT 'Packets, unscaled.',
    flows UInt64 CODEC(ZSTD(1)) COMMENT 'Flow records that end in the slot.',
    q UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of bytes.',
    q_l2 UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of bytes_l2.',
    q_packets UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.'
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMMDD(time)
ORDER BY (time, exporter, in_if, out_if, observation, family, src_as, dst_as, src_country, dst_country, protocol_class, sampling_interval, sampling_kind)
TTL time + toIntervalDay(14)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS pairs_1h{on_cluster}
(
    time DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Start of the slot.',
    exporter IPv6 CODEC(ZSTD(1)) COMMENT 'Transport source address of the datagrams.',
    in_if UInt32 CODEC(ZSTD(1)) COMMENT 'Input interface index; 0: not known.',
    out_if UInt32 CODEC(ZSTD(1)) COMMENT 'Output interface index; 0: not known.',
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) CODEC(ZSTD(1)) COMMENT 'Where the packets were observed.',
    family UInt8 CODEC(ZSTD(1)) COMMENT 'Address family: 4, 6, or 0 where it is not IP.',
    src_as UInt32 CODEC(ZSTD(1)) COMMENT 'Source AS; 0: own or unknown.',
    dst_as UInt32 CODEC(ZSTD(1)) COMMENT 'Destination AS; 0: own or unknown.',
    src_country LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Country of the source.',
    dst_country LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Country of the destination.',
    protocol_class Enum8('other' = 0, 'tcp' = 1, 'quic' = 2, 'udp' = 3, 'icmp' = 4, 'tunnel' = 5) CODEC(ZSTD(1)) COMMENT 'Class of the transport protocol.',
    sampling_interval UInt64 CODEC(ZSTD(1)) COMMENT 'Thousandths of the sampling interval N; 0: unknown.',
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) CODEC(ZSTD(1)) COMMENT 'Kind of sampling that the interval describes.',
    bytes UInt64 CODEC(ZSTD(1)) COMMENT 'Bytes of layer 3, unscaled.',
    bytes_l2 UInt64 CODEC(ZSTD(1)) COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.',
    bytes_l2_estimated UInt64 CODEC(ZSTD(1)) COMMENT 'The part of bytes_l2 that is estimated.',
    packets UInt64 CODEC(ZSTD(1)) COMMENT 'Packets, unscaled.',
    flows UInt64 CODEC(ZSTD(1)) COMMENT 'Flow records that end in the slot.',
    q UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of bytes.',
    q_l2 UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of bytes_l2.',
    q_packets UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.'
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMM(time)
ORDER BY (time, exporter, in_if, out_if, observation, family, src_as, dst_as, src_country, dst_country, protocol_class, sampling_interval, sampling_kind)
TTL time + toIntervalDay(400)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS prefixes_1h{on_cluster}
(
    time DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Start of the slot.',
    exporter IPv6 CODEC(ZSTD(1)) COMMENT 'Transport source address of the datagrams.',
    if_index UInt32 CODEC(ZSTD(1)) COMMENT 'Interface index; 0: not known.',
    direction Enum8('unknown' = 0, 'in' = 1, 'out' = 2) CODEC(ZSTD(1)) COMMENT 'Side: in by the input interface, out by the output interface.',
    observation Enum8('unknown' = 0, 'ingress' = 1, 'egress' = 2) CODEC(ZSTD(1)) COMMENT 'Where the packets were observed.',
    family UInt8 CODEC(ZSTD(1)) COMMENT 'Address family: 4, 6, or 0 where it is not IP.',
    prefix IPv6 CODEC(ZSTD(1)) COMMENT 'Prefix: in: the source\'s; out: the destination\'s; as exported, else /24 or /48.',
    prefix_len UInt8 CODEC(ZSTD(1)) COMMENT 'Its length.',
    asn UInt32 CODEC(ZSTD(1)) COMMENT 'Its origin AS; 0: own or unknown.',
    sampling_interval UInt64 CODEC(ZSTD(1)) COMMENT 'Thousandths of the sampling interval N; 0: unknown.',
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) CODEC(ZSTD(1)) COMMENT 'Kind of sampling that the interval describes.',
    bytes UInt64 CODEC(ZSTD(1)) COMMENT 'Bytes of layer 3, unscaled.',
    bytes_l2 UInt64 CODEC(ZSTD(1)) COMMENT 'Bytes of layer 2, unscaled; where the exporter gave none, estimated from layer 3.',
    bytes_l2_estimated UInt64 CODEC(ZSTD(1)) COMMENT 'The part of bytes_l2 that is estimated.',
    packets UInt64 CODEC(ZSTD(1)) COMMENT 'Packets, unscaled.',
    flows UInt64 CODEC(ZSTD(1)) COMMENT 'Flow records that end in the slot.',
    q UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of bytes.',
    q_l2 UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of bytes_l2.',
    q_packets UInt128 CODEC(ZSTD(1)) COMMENT 'Error term of packets under flow sampling: the sum of the squared packets of a record; else 0.'
)
ENGINE = {summing}((bytes, bytes_l2, bytes_l2_estimated, packets, flows, q, q_l2, q_packets))
PARTITION BY toYYYYMM(time)
ORDER BY (time, exporter, if_index, direction, observation, family, prefix, prefix_len, asn, sampling_interval, sampling_kind)
TTL time + toIntervalDay(400)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS exporters{on_cluster}
(
    exporter IPv6 CODEC(ZSTD(1)) COMMENT 'Transport source address of the datagrams.',
    name LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Name.',
    version UInt64 CODEC(ZSTD(1)) COMMENT 'When this was learned; the latest wins.'
)
ENGINE = {replacing}(version)
ORDER BY (exporter)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS interfaces{on_cluster}
(
    exporter IPv6 CODEC(ZSTD(1)) COMMENT 'Transport source address of the datagrams.',
    if_index UInt32 CODEC(ZSTD(1)) COMMENT 'Interface index.',
    name LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Name.',
    description LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Description.',
    speed UInt64 CODEC(ZSTD(1)) COMMENT 'Speed; 0 where not known.',
    version UInt64 CODEC(ZSTD(1)) COMMENT 'When this was learned; the latest wins.'
)
ENGINE = {replacing}(version)
ORDER BY (exporter, if_index)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS links{on_cluster}
(
    exporter IPv6 CODEC(ZSTD(1)) COMMENT 'Transport source address of the datagrams.',
    if_index UInt32 CODEC(ZSTD(1)) COMMENT 'Interface index.',
    valid_from DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'From when on the interface is a member.',
    valid_to DateTime('UTC') CODEC(Delta(4), ZSTD(1)) COMMENT 'Until when the interface is a member.',
    link LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Name of the link; empty: the interface is on no link.',
    provider LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Provider.',
    connectivity Enum8('unknown' = 0, 'transit' = 1, 'ix' = 2, 'pni' = 3, 'customer' = 4, 'core' = 5) CODEC(ZSTD(1)) COMMENT 'What the link is for.',
    neighbour_as UInt32 CODEC(ZSTD(1)) COMMENT 'AS at the other end; 0: unknown or many.',
    capacity UInt64 CODEC(ZSTD(1)) COMMENT 'Capacity that is paid for or usable; 0: unknown.',
    version UInt64 CODEC(ZSTD(1)) COMMENT 'When this was said; the latest wins.'
)
ENGINE = {replacing}(version)
ORDER BY (exporter, if_index, valid_from)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS rates{on_cluster}
(
    exporter IPv6 CODEC(ZSTD(1)) COMMENT 'Transport source address of the datagrams.',
    observation_domain UInt32 CODEC(ZSTD(1)) COMMENT 'Observation domain.',
    rate_source Enum8('unknown' = 0, 'inferred' = 1, 'default' = 2, 'header' = 3, 'system' = 4, 'domain' = 5, 'template' = 6, 'cache' = 7, 'line_card' = 8, 'interface' = 9, 'sampler' = 10, 'record' = 11, 'override' = 12) CODEC(ZSTD(1)) COMMENT 'What kind of announcement it is.',
    scope UInt64 CODEC(ZSTD(1)) COMMENT 'Interface, line card, sampler or template it is for; 0 for the system or domain.',
    sampling_interval UInt64 CODEC(ZSTD(1)) COMMENT 'Sampling interval N.',
    sampling_kind Enum8('unknown' = 0, 'packet' = 1, 'flow' = 2) CODEC(ZSTD(1)) COMMENT 'Kind of sampling.',
    valid_from DateTime64(9, 'UTC') CODEC(Delta(8), ZSTD(1)) COMMENT 'Receive time from which it applies.',
    version UInt64 CODEC(ZSTD(1)) COMMENT 'When this was learned; the latest wins.'
)
ENGINE = {replacing}(version)
ORDER BY (exporter, observation_domain, rate_source, scope, valid_from)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS asns{on_cluster}
(
    asn UInt32 CODEC(ZSTD(1)) COMMENT 'AS number.',
    name LowCardinality(String) CODEC(ZSTD(1)) COMMENT 'Name of its holder.',
    version UInt64 CODEC(ZSTD(1)) COMMENT 'When this was loaded; the latest wins.'
)
ENGINE = {replacing}(version)
ORDER BY (asn)
SETTINGS non_replicated_deduplication_window = 10000;
