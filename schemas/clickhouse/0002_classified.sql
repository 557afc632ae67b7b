-- Weir's tables (docs/columns.md). Made from the table of columns (weir-schemas); frozen once released.

CREATE TABLE IF NOT EXISTS classified{on_cluster}
(
    exporter IPv6 COMMENT 'Transport source address of the datagrams.' CODEC(ZSTD(1)),
    link_id LowCardinality(String) COMMENT 'What the link is called for good, whatever its name is.' CODEC(ZSTD(1)),
    if_index UInt32 COMMENT 'Interface index.' CODEC(ZSTD(1)),
    valid_from DateTime('UTC') COMMENT 'From when on the interface is a member.' CODEC(Delta(4), ZSTD(1)),
    valid_to DateTime('UTC') COMMENT 'Until when the interface is a member; the same as valid_from: the exporter has no member any more.' CODEC(Delta(4), ZSTD(1)),
    link LowCardinality(String) COMMENT 'Name of the link.' CODEC(ZSTD(1)),
    provider LowCardinality(String) COMMENT 'Provider.' CODEC(ZSTD(1)),
    connectivity Enum8('unknown' = 0, 'transit' = 1, 'ix' = 2, 'pni' = 3, 'customer' = 4, 'core' = 5) COMMENT 'What the link is for.' CODEC(ZSTD(1)),
    neighbour_as UInt32 COMMENT 'AS at the other end; 0: unknown or many.' CODEC(ZSTD(1)),
    capacity UInt64 COMMENT 'Capacity that is paid for or usable; 0: unknown.' CODEC(ZSTD(1)),
    commit_rate UInt64 COMMENT 'Rate that is paid for whether it is used or not; 0: none.' CODEC(ZSTD(1)),
    price UInt64 COMMENT 'Price of a Mbit/s for a month, in thousandths of the currency\'s unit; 0: unknown, or free.' CODEC(ZSTD(1)),
    currency LowCardinality(String) COMMENT 'Currency of the price (ISO 4217); empty: none.' CODEC(ZSTD(1)),
    version UInt64 COMMENT 'When this was said; the latest wins.' CODEC(ZSTD(1))
)
ENGINE = {replacing}(version)
ORDER BY (exporter, link_id, if_index, valid_from)
SETTINGS non_replicated_deduplication_window = 10000, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800, min_bytes_for_wide_part = 268435456, merge_selector_base = 30;
