//! Metrics of the bus.

use metrics::{Unit, counter, describe_counter};

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

/// Gives every metric its unit and its help.
pub fn describe() {
    describe_counter!(REBALANCES, Unit::Count, "Rebalance events of group members, by event");
    describe_counter!(TRANSACTIONS, Unit::Count, "Transactions that ended, by outcome");
    describe_counter!(CLIENT_ERRORS, Unit::Count, "Errors that Kafka's client reported by itself, by code");
    describe_counter!(SEND_WAITS, Unit::Count, "Times that a sender waited because its send buffer was full");
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
