-- Weir's tables (docs/columns.md). Made from the table of columns (weir-schemas); frozen once released.

CREATE TABLE IF NOT EXISTS arrivals{on_cluster}
(
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    since DateTime64(9, 'UTC') COMMENT 'Receive time of the first datagram that is counted; another one: another sum.' CODEC(Delta(8), ZSTD(1)),
    time DateTime('UTC') COMMENT 'Start of the minute up to whose end all is counted.' CODEC(Delta(4), ZSTD(1)),
    datagrams UInt64 COMMENT 'Datagrams since then.' CODEC(ZSTD(1)),
    templates UInt64 COMMENT 'Templates that are known, those of options included.' CODEC(ZSTD(1)),
    parked_sets UInt64 COMMENT 'Sets that wait for their template.' CODEC(ZSTD(1)),
    parked_bytes UInt64 COMMENT 'Bytes that wait for their template.' CODEC(ZSTD(1)),
    version UInt64 COMMENT 'When this was told; the latest wins.' CODEC(ZSTD(1))
)
ENGINE = {replacing}(version)
PARTITION BY toYYYYMMDD(time)
ORDER BY (exporter, since, time)
TTL time + toIntervalDay(35)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS sessions{on_cluster}
(
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    protocol Enum8('unknown' = 0, 'netflow_v5' = 1, 'netflow_v9' = 2, 'ipfix' = 3, 'sflow_v5' = 4, 'netflow_v1' = 5, 'netflow_v7' = 6, 'netflow_v8' = 7) COMMENT 'Export protocol.' CODEC(ZSTD(1)),
    observation_domain UInt32 COMMENT 'Observation domain, source id, engine, or sub-agent.' CODEC(ZSTD(1)),
    source_port UInt32 COMMENT 'UDP port that the datagrams come from.' CODEC(ZSTD(1)),
    agent LowCardinality(String) COMMENT 'sFlow\'s agent; empty elsewhere.' CODEC(ZSTD(1)),
    unit LowCardinality(String) COMMENT 'What received and missing count: records, datagrams.' CODEC(ZSTD(1)),
    since DateTime64(9, 'UTC') COMMENT 'Receive time of the first datagram that is counted; another one: another sum.' CODEC(Delta(8), ZSTD(1)),
    time DateTime('UTC') COMMENT 'Start of the minute up to whose end all is counted.' CODEC(Delta(4), ZSTD(1)),
    received UInt64 COMMENT 'What arrived since then.' CODEC(ZSTD(1)),
    missing UInt64 COMMENT 'What was sent since then and did not arrive.' CODEC(ZSTD(1)),
    late UInt64 COMMENT 'Datagrams that came behind later ones.' CODEC(ZSTD(1)),
    repeated UInt64 COMMENT 'Datagrams that came once more.' CODEC(ZSTD(1)),
    restarts UInt64 COMMENT 'How often the numbers began anew.' CODEC(ZSTD(1)),
    version UInt64 COMMENT 'When this was told; the latest wins.' CODEC(ZSTD(1))
)
ENGINE = {replacing}(version)
PARTITION BY toYYYYMMDD(time)
ORDER BY (exporter, protocol, observation_domain, source_port, agent, unit, since, time)
TTL time + toIntervalDay(35)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS faults{on_cluster}
(
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    reason LowCardinality(String) COMMENT 'Why, as dead letters say it.' CODEC(ZSTD(1)),
    since DateTime64(9, 'UTC') COMMENT 'Receive time of the first datagram that is counted; another one: another sum.' CODEC(Delta(8), ZSTD(1)),
    time DateTime('UTC') COMMENT 'Start of the minute up to whose end all is counted.' CODEC(Delta(4), ZSTD(1)),
    letters UInt64 COMMENT 'Dead letters since then.' CODEC(ZSTD(1)),
    version UInt64 COMMENT 'When this was told; the latest wins.' CODEC(ZSTD(1))
)
ENGINE = {replacing}(version)
PARTITION BY toYYYYMMDD(time)
ORDER BY (exporter, reason, since, time)
TTL time + toIntervalDay(35)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;

CREATE TABLE IF NOT EXISTS checks{on_cluster}
(
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    name LowCardinality(String) COMMENT 'What is summed (docs/columns.md).' CODEC(ZSTD(1)),
    since DateTime64(9, 'UTC') COMMENT 'Receive time of the first datagram that is counted; another one: another sum.' CODEC(Delta(8), ZSTD(1)),
    time DateTime('UTC') COMMENT 'Start of the minute up to whose end all is counted.' CODEC(Delta(4), ZSTD(1)),
    sum UInt64 COMMENT 'The sum since then.' CODEC(ZSTD(1)),
    version UInt64 COMMENT 'When this was told; the latest wins.' CODEC(ZSTD(1))
)
ENGINE = {replacing}(version)
PARTITION BY toYYYYMMDD(time)
ORDER BY (exporter, name, since, time)
TTL time + toIntervalDay(35)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30, ttl_only_drop_parts = 1, materialize_ttl_recalculate_only = 1;
