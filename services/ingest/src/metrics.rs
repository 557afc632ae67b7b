//! What ingest counts, kept once and published from there.
//!
//! Workers add to plain atomics, a few times a batch; the metrics follow four times a second. A paced generator compares what it sent
//! with `weir_ingest_datagrams_total`, and what is missing there lies in the kernel's drops.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use weir_bus::{Count, Delivered};

/// Datagrams received, by `listener`.
pub const DATAGRAMS: &str = "weir_ingest_datagrams_total";
/// Bytes of their payloads, by `listener`.
pub const BYTES: &str = "weir_ingest_bytes_total";
/// Datagrams that the kernel dropped because its receive buffer was full, by `listener`.
pub const KERNEL_DROPS: &str = "weir_ingest_kernel_drops_total";
/// Times that the kernel could not give what it has, for a reason that passes.
pub const RECEIVE_ERRORS: &str = "weir_ingest_receive_errors_total";
/// Times that workers looked for datagrams.
pub const LOOPS: &str = "weir_ingest_loops_total";
/// Frames that the bus acknowledged.
pub const FRAMES_ACKED: &str = "weir_ingest_frames_acked_total";
/// Datagrams in them.
pub const DATAGRAMS_ACKED: &str = "weir_ingest_datagrams_acked_total";
/// Datagrams in frames that the bus took and gave up, by `reason`.
pub const DATAGRAMS_FAILED: &str = "weir_ingest_datagrams_failed_total";
/// Datagrams that were not let in, or in frames that were not taken, by `reason`.
pub const DATAGRAMS_DROPPED: &str = "weir_ingest_datagrams_dropped_total";
/// Bytes taken and not yet acknowledged.
pub const BUFFER: &str = "weir_ingest_buffer_bytes";
/// 1 for each `address` that is listened on.
pub const LISTENING: &str = "weir_ingest_listening";

/// Gives every metric its unit and its help.
pub fn describe() {
    describe_counter!(DATAGRAMS, Unit::Count, "Datagrams received, by listener");
    describe_counter!(BYTES, Unit::Bytes, "Payload bytes of datagrams received, by listener");
    describe_counter!(
        KERNEL_DROPS,
        Unit::Count,
        "Datagrams that the kernel dropped for want of buffer, by listener"
    );
    describe_counter!(
        RECEIVE_ERRORS,
        Unit::Count,
        "Times that receiving failed for a reason that passes, such as memory of the kernel"
    );
    describe_counter!(LOOPS, Unit::Count, "Times that workers looked for datagrams");
    describe_counter!(FRAMES_ACKED, Unit::Count, "Frames that the bus acknowledged");
    describe_counter!(DATAGRAMS_ACKED, Unit::Count, "Datagrams in frames that the bus acknowledged");
    describe_counter!(DATAGRAMS_FAILED, Unit::Count, "Datagrams in frames that the bus gave up, by reason");
    describe_counter!(
        DATAGRAMS_DROPPED,
        Unit::Count,
        "Datagrams that were not let in or were in frames that were not taken, by reason"
    );
    describe_gauge!(BUFFER, Unit::Bytes, "Bytes taken and not yet acknowledged");
    describe_gauge!(LISTENING, Unit::Count, "1 for each address that is listened on");
}

#[derive(Debug, Default)]
struct Listener {
    datagrams: AtomicU64,
    bytes: AtomicU64,
    kernel_drops: AtomicU64,
}

/// Totals since the start, of all workers.
#[derive(Debug)]
pub struct Totals {
    addresses: Vec<SocketAddr>,
    listeners: Vec<Listener>,
    loops: AtomicU64,
    receive_errors: AtomicU64,
    taken_bytes: AtomicU64,
    delivered: Mutex<Fates>,
}

#[derive(Clone, Debug, Default)]
struct Fates {
    acked: Count,
    failed: BTreeMap<String, Count>,
    dropped: BTreeMap<&'static str, Count>,
}

/// The totals of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Datagrams received.
    pub datagrams: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Datagrams that the kernel dropped.
    pub kernel_drops: u64,
    /// Times that receiving failed for a reason that passes.
    pub receive_errors: u64,
    /// Frames (records), datagrams (units) and bytes that the bus acknowledged.
    pub acked: Count,
    /// The same for what it took and gave up, by reason.
    pub failed: BTreeMap<String, Count>,
    /// The same for what was not let in (no frames then) or not taken, by reason.
    pub dropped: BTreeMap<&'static str, Count>,
    /// Bytes taken and not yet acknowledged.
    pub buffered: u64,
}

fn add(to: &mut Count, more: Count) {
    to.records += more.records;
    to.units += more.units;
    to.bytes += more.bytes;
}

impl Totals {
    pub(crate) fn new(addresses: Vec<SocketAddr>) -> Self {
        Self {
            listeners: addresses.iter().map(|_| Listener::default()).collect(),
            addresses,
            loops: AtomicU64::new(0),
            receive_errors: AtomicU64::new(0),
            taken_bytes: AtomicU64::new(0),
            delivered: Mutex::default(),
        }
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(crate) fn looked(&self) {
        self.loops.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn receive_failed(&self) {
        self.receive_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, listener: usize, datagrams: u64, bytes: u64) {
        self.listeners[listener].datagrams.fetch_add(datagrams, Ordering::Relaxed);
        self.listeners[listener].bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn kernel_dropped(&self, listener: usize, datagrams: u64) {
        self.listeners[listener].kernel_drops.fetch_add(datagrams, Ordering::Relaxed);
    }

    pub(crate) fn taken(&self, bytes: u64) {
        self.taken_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self, reason: &'static str, what: Count) {
        let mut fates = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        add(fates.dropped.entry(reason).or_default(), what);
    }

    /// Adds what became of a writer's frames since `before`.
    pub(crate) fn delivered(&self, before: &Delivered, now: &Delivered) {
        let less = |a: Count, b: Count| Count {
            records: a.records - b.records,
            units: a.units - b.units,
            bytes: a.bytes - b.bytes,
        };
        let mut fates = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        add(&mut fates.acked, less(now.acked, before.acked));
        for (reason, count) in &now.failed {
            let known = before.failed.iter().find(|(other, _)| other == reason).map(|(_, count)| *count);
            add(fates.failed.entry(reason.clone()).or_default(), less(*count, known.unwrap_or_default()));
        }
    }

    /// The totals now.
    pub fn snapshot(&self) -> Snapshot {
        let Fates { acked, failed, dropped } =
            self.delivered.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sum = |field: fn(&Listener) -> &AtomicU64| {
            self.listeners.iter().map(|listener| field(listener).load(Ordering::Relaxed)).sum()
        };
        let settled = acked.bytes + failed.values().map(|count| count.bytes).sum::<u64>();
        Snapshot {
            datagrams: sum(|listener| &listener.datagrams),
            bytes: sum(|listener| &listener.bytes),
            kernel_drops: sum(|listener| &listener.kernel_drops),
            receive_errors: self.receive_errors.load(Ordering::Relaxed),
            buffered: self.taken_bytes.load(Ordering::Relaxed).saturating_sub(settled),
            acked,
            failed,
            dropped,
        }
    }

    pub(crate) fn publish(&self) {
        for (address, listener) in self.addresses.iter().zip(&self.listeners) {
            let address = address.to_string();
            let put = |name, value: &AtomicU64| {
                counter!(name, "listener" => address.clone()).absolute(value.load(Ordering::Relaxed));
            };
            put(DATAGRAMS, &listener.datagrams);
            put(BYTES, &listener.bytes);
            put(KERNEL_DROPS, &listener.kernel_drops);
            gauge!(LISTENING, "address" => address).set(1.0);
        }
        counter!(LOOPS).absolute(self.loops.load(Ordering::Relaxed));
        let now = self.snapshot();
        counter!(RECEIVE_ERRORS).absolute(now.receive_errors);
        counter!(FRAMES_ACKED).absolute(now.acked.records);
        counter!(DATAGRAMS_ACKED).absolute(now.acked.units);
        for (reason, count) in now.failed {
            counter!(DATAGRAMS_FAILED, "reason" => reason).absolute(count.units);
        }
        for (reason, count) in now.dropped {
            counter!(DATAGRAMS_DROPPED, "reason" => reason).absolute(count.units);
        }
        gauge!(BUFFER).set(now.buffered as f64);
    }
}
