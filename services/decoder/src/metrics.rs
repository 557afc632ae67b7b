//! Metrics of the decoder: names, units and what they say.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// What decoding counted, by name of the count.
pub const DECODED: &str = "weir_decoder_decoded_total";
/// Dead letters by reason.
pub const DEAD: &str = "weir_decoder_dead_letters_total";
/// Flow batches sent.
pub const BATCHES: &str = "weir_decoder_batches_total";
/// Flows sent.
pub const FLOWS: &str = "weir_decoder_flows_total";
/// Flows whose AS is not known.
pub const FLOWS_WITHOUT_AS: &str = "weir_decoder_flows_without_as_total";
/// Flows whose sampling interval is not known.
pub const FLOWS_WITHOUT_RATE: &str = "weir_decoder_flows_without_rate_total";
/// Flows whose input interface has no name.
pub const FLOWS_WITHOUT_INTERFACE: &str = "weir_decoder_flows_without_interface_total";
/// Committed cycles.
pub const CYCLES: &str = "weir_decoder_cycles_total";
/// Aborted cycles.
pub const CYCLES_ABORTED: &str = "weir_decoder_cycles_aborted_total";
/// Time of a cycle.
pub const CYCLE_SECONDS: &str = "weir_decoder_cycle_seconds";
/// Time of a restore.
pub const RESTORE_SECONDS: &str = "weir_decoder_restore_seconds";
/// Partitions held.
pub const PARTITIONS: &str = "weir_decoder_partitions";
/// Bytes waiting for templates.
pub const PARKED_BYTES: &str = "weir_decoder_parked_bytes";
/// Records of raw lost to retention.
pub const RAW_LOST: &str = "weir_decoder_raw_offsets_lost_total";
/// State records that could not be restored.
pub const STATE_FAULTS: &str = "weir_decoder_state_faults_total";
/// What people said of links, heard while running.
pub const HEARD: &str = "weir_decoder_links_heard_total";
/// Database reloads.
pub const DATABASE_RELOADS: &str = "weir_decoder_database_reloads_total";

/// Tells the recorder what each metric is.
pub fn describe() {
    describe_counter!(
        DECODED,
        Unit::Count,
        "What decoding met, by `what` (datagrams, sets, flows, templates, …; see wire's Counts); committed cycles only."
    );
    describe_counter!(DEAD, Unit::Count, "Dead letters written, by reason; committed cycles only.");
    describe_counter!(
        BATCHES,
        Unit::Count,
        "FlowBatch messages written to weir.flows; committed cycles only."
    );
    describe_counter!(FLOWS, Unit::Count, "Flows written to weir.flows; committed cycles only.");
    describe_counter!(FLOWS_WITHOUT_AS, Unit::Count, "Flows of which neither AS is known.");
    describe_counter!(FLOWS_WITHOUT_RATE, Unit::Count, "Flows whose sampling interval is not announced.");
    describe_counter!(FLOWS_WITHOUT_INTERFACE, Unit::Count, "Flows whose input interface has no name yet.");
    describe_counter!(CYCLES, Unit::Count, "Transactions committed.");
    describe_counter!(
        CYCLES_ABORTED,
        Unit::Count,
        "Transactions aborted or of unknown outcome; their records are decoded again."
    );
    describe_histogram!(CYCLE_SECONDS, Unit::Seconds, "Time from a cycle's first record to its commit.");
    describe_histogram!(
        RESTORE_SECONDS,
        Unit::Seconds,
        "Time to restore the state of the partitions of an assignment."
    );
    describe_gauge!(PARTITIONS, Unit::Count, "Partitions assigned, by worker.");
    describe_gauge!(PARKED_BYTES, Unit::Bytes, "Data waiting for templates, by partition.");
    describe_counter!(
        RAW_LOST,
        Unit::Count,
        "Offsets of weir.raw that retention removed before they were decoded."
    );
    describe_counter!(
        STATE_FAULTS,
        Unit::Count,
        "Records of weir.state that could not be restored and are learned anew, and words about links that could not be read."
    );
    describe_counter!(
        HEARD,
        Unit::Count,
        "What people said of links and was heard while running; a restore hears all of it again, uncounted."
    );
    describe_counter!(DATABASE_RELOADS, Unit::Count, "Looks at changed database files, by result.");
}
