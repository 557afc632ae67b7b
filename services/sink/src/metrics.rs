//! Metrics of the sink: names, units and what they say.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Flows stored.
pub const FLOWS: &str = "weir_sink_flows_total";
/// Batches stored.
pub const BATCHES: &str = "weir_sink_batches_total";
/// Batches that a plan made the sink repeat.
pub const REPEATED: &str = "weir_sink_batches_repeated_total";
/// Tries that failed.
pub const FAILED: &str = "weir_sink_insert_failures_total";
/// Inserts whose plan held no longer.
pub const EXPIRED: &str = "weir_sink_plans_expired_total";
/// Messages that can't be read.
pub const UNREADABLE: &str = "weir_sink_messages_unreadable_total";
/// Offsets lost to retention.
pub const LOST: &str = "weir_sink_flows_offsets_lost_total";
/// Memory in batches.
pub const MEMORY: &str = "weir_sink_memory_bytes";
/// Partitions that stand still.
pub const PAUSED: &str = "weir_sink_paused";
/// Time from receive to stored.
pub const FRESHNESS: &str = "weir_sink_freshness_seconds";
/// Inventory records stored.
pub const INVENTORY: &str = "weir_sink_inventory_records_total";
/// Partitions held.
pub const PARTITIONS: &str = "weir_sink_partitions";

/// Tells the recorder what each metric is.
pub fn describe() {
    describe_counter!(FLOWS, Unit::Count, "Flows that ClickHouse has acknowledged in every table.");
    describe_counter!(BATCHES, Unit::Count, "Batches that ClickHouse has acknowledged in every table.");
    describe_counter!(
        REPEATED,
        Unit::Count,
        "Batches repeated under their old token after a restart or rebalance."
    );
    describe_counter!(FAILED, Unit::Count, "Inserts of a batch that failed and are tried again.");
    describe_counter!(
        EXPIRED,
        Unit::Count,
        "Inserts that took longer than their plan holds or slept; they go on after another commit of the plan."
    );
    describe_counter!(
        UNREADABLE,
        Unit::Count,
        "Messages of weir.flows that can't be read; they went to the dead letters."
    );
    describe_counter!(
        LOST,
        Unit::Count,
        "Offsets of weir.flows gone before they were stored (retention, a power cut), counted when what lies behind them is stored."
    );
    describe_gauge!(MEMORY, Unit::Bytes, "Batches in memory, by worker.");
    describe_gauge!(
        PAUSED,
        Unit::Count,
        "Partitions that are not read because what was read before is not stored yet, by worker."
    );
    describe_histogram!(
        FRESHNESS,
        Unit::Seconds,
        "Time from the receipt of a batch's oldest datagram until its rows are stored."
    );
    describe_counter!(INVENTORY, Unit::Count, "Records of weir.inventory stored.");
    describe_gauge!(PARTITIONS, Unit::Count, "Partitions assigned, by worker.");
}
