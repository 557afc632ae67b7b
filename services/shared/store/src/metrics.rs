//! Metrics of the store: names, units and what they say.

use metrics::{Unit, describe_counter, describe_histogram};

/// Insert tokens that the repair removed.
pub const ENGINE_TOKENS_REMOVED: &str = "weir_engine_tokens_removed_total";
/// Insert bodies that did not come completely.
pub const ENGINE_BODIES_CUT: &str = "weir_engine_bodies_cut_total";
/// Statements that failed.
pub const ENGINE_STATEMENTS_FAILED: &str = "weir_engine_statements_failed_total";
/// Times that `weir standalone` started its engine again.
pub const ENGINE_RESTARTS: &str = "weir_engine_restarts_total";
/// Time of an insert.
pub const INSERT_SECONDS: &str = "weir_store_insert_seconds";
/// Inserts that failed.
pub const INSERTS_FAILED: &str = "weir_store_inserts_failed_total";

/// Tells the recorder what each metric is.
pub fn describe() {
    describe_counter!(
        ENGINE_TOKENS_REMOVED,
        Unit::Count,
        "Insert tokens whose part was gone, removed before serving."
    );
    describe_counter!(
        ENGINE_BODIES_CUT,
        Unit::Count,
        "Requests whose body did not come completely; nothing was inserted."
    );
    describe_counter!(
        ENGINE_STATEMENTS_FAILED,
        Unit::Count,
        "Statements that the embedded engine answered with an error."
    );
    describe_counter!(
        ENGINE_RESTARTS,
        Unit::Count,
        "Times that the engine of `weir standalone` ended and was started again."
    );
    describe_histogram!(
        INSERT_SECONDS,
        Unit::Seconds,
        "Time from sending an insert to its acknowledgement, by table."
    );
    describe_counter!(
        INSERTS_FAILED,
        Unit::Count,
        "Inserts that ClickHouse answered with an error or not at all, by table."
    );
}
