//! Metrics of the bus.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

/// Rebalance events of group members, by `event`: assigned, revoked, lost.
pub const REBALANCES: &str = "weir_bus_rebalances_total";
/// Transactions, by `outcome`: committed, aborted, fenced, unknown, failed.
pub const TRANSACTIONS: &str = "weir_bus_transactions_total";
/// What Kafka's client reported by itself, by `code`.
pub const CLIENT_ERRORS: &str = "weir_bus_client_errors_total";
/// Times that a sender had to wait because its send buffer was full.
pub const SEND_WAITS: &str = "weir_bus_send_waits_total";
/// Records read to restore state.
pub const RESTORED: &str = "weir_bus_restored_records_total";

/// Bytes appended to the embedded bus, before compression, by `topic`.
pub const APPENDED: &str = "weir_bus_appended_bytes_total";
/// Bytes that retention removed from the embedded bus, by `topic`.
pub const REMOVED: &str = "weir_bus_removed_bytes_total";
/// 1 where the embedded bus accepts records, 0 where its disk is too full.
pub const ACCEPTING: &str = "weir_bus_accepting";
/// Records of the embedded bus that a power cut took, or that are not whole on its disk.
pub const LOST: &str = "weir_bus_lost_records_total";

/// Gives every metric its unit and its help.
pub fn describe() {
    describe_counter!(REBALANCES, Unit::Count, "Rebalance events of group members, by event");
    describe_counter!(TRANSACTIONS, Unit::Count, "Transactions that ended, by outcome");
    describe_counter!(CLIENT_ERRORS, Unit::Count, "Errors that Kafka's client reported by itself, by code");
    describe_counter!(SEND_WAITS, Unit::Count, "Times that a sender waited because its send buffer was full");
    describe_counter!(
        APPENDED,
        Unit::Bytes,
        "Bytes appended to the embedded bus before compression, by topic"
    );
    describe_counter!(REMOVED, Unit::Bytes, "Bytes that retention removed from the embedded bus, by topic");
    describe_gauge!(
        ACCEPTING,
        Unit::Count,
        "1 where the embedded bus accepts records, 0 where its disk is full"
    );
    describe_counter!(
        LOST,
        Unit::Count,
        "Records of the embedded bus that a power cut took, or that are not whole on its disk"
    );
    describe_counter!(RESTORED, Unit::Count, "Records read to restore state");
}

pub(crate) fn rebalance(event: &'static str) {
    counter!(REBALANCES, "event" => event).increment(1);
}

pub(crate) fn transaction(outcome: &'static str) {
    counter!(TRANSACTIONS, "outcome" => outcome).increment(1);
}

pub(crate) fn client_error(code: String) {
    counter!(CLIENT_ERRORS, "code" => code).increment(1);
}

pub(crate) fn send_wait() {
    counter!(SEND_WAITS).increment(1);
}

pub(crate) fn restored(records: u64) {
    counter!(RESTORED).increment(records);
}

pub(crate) fn appended(topic: &str, bytes: u64) {
    counter!(APPENDED, "topic" => topic.to_owned()).increment(bytes);
}

pub(crate) fn removed(topic: &str, bytes: u64) {
    counter!(REMOVED, "topic" => topic.to_owned()).increment(bytes);
}

pub(crate) fn accepting(accepts: bool) {
    gauge!(ACCEPTING).set(f64::from(u8::from(accepts)));
}

pub(crate) fn lost(records: u64) {
    counter!(LOST).increment(records);
}
