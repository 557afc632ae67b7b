//! What ingest counts, kept once and published from there.
//!
//! Workers add to plain atomics, a few times a batch; the metrics follow four times a second. A paced generator compares what it sent
//! with `weir_ingest_datagrams_total`, and what is missing there lies in the kernel's drops.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
/// Frames that were not taken, by `reason`.
pub const FRAMES_DROPPED: &str = "weir_ingest_frames_dropped_total";
/// Bytes taken and not yet acknowledged.
pub const BUFFER: &str = "weir_ingest_buffer_bytes";
/// Bytes of the spool's files.
pub const SPOOL_BYTES: &str = "weir_ingest_spool_bytes";
/// Datagrams in the spool that the bus has not acknowledged.
pub const SPOOL_DATAGRAMS_WAITING: &str = "weir_ingest_spool_waiting_datagrams";
/// Frames that came to or left the spool, by `event`: found at the start, spooled, drained (acknowledged), repeated (acknowledged and
/// sent again all the same).
pub const SPOOL_FRAMES: &str = "weir_ingest_spool_frames_total";
/// Datagrams in them, by `event`.
pub const SPOOL_DATAGRAMS: &str = "weir_ingest_spool_datagrams_total";
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
    describe_counter!(
        FRAMES_DROPPED,
        Unit::Count,
        "Frames that were not taken, by reason; a file of the spool of which nothing can be read is one, whatever it holds"
    );
    describe_gauge!(BUFFER, Unit::Bytes, "Bytes taken and not yet acknowledged");
    describe_gauge!(SPOOL_BYTES, Unit::Bytes, "Bytes of the spool's files");
    describe_gauge!(
        SPOOL_DATAGRAMS_WAITING,
        Unit::Count,
        "Datagrams in the spool that the bus has not acknowledged"
    );
    describe_counter!(
        SPOOL_FRAMES,
        Unit::Count,
        "Frames found in the spool at the start, spooled, drained (acknowledged), or repeated (acknowledged, sent again), by event"
    );
    describe_counter!(
        SPOOL_DATAGRAMS,
        Unit::Count,
        "Datagrams in frames found in the spool at the start, spooled, drained (acknowledged), or repeated (acknowledged, sent again), by event"
    );
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
    spool_bytes: Arc<AtomicU64>,
    fates: Mutex<Fates>,
}

#[derive(Clone, Debug, Default)]
struct Fates {
    acked: Count,
    failed: BTreeMap<String, Count>,
    dropped: BTreeMap<&'static str, Count>,
    spool: Spooled,
}

/// What came to the spool and what left it: frames (records), datagrams (units) and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spooled {
    /// Lay there at the start.
    pub found: Count,
    /// Came since.
    pub spooled: Count,
    /// Acknowledged by the bus.
    pub drained: Count,
    /// Acknowledged and sent again all the same, or left to be, because others of their round were not: the bus has them twice then.
    pub repeated: Count,
    /// Is there and neither acknowledged, failed nor dropped.
    pub waiting: Count,
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
    /// Bytes taken and not yet acknowledged; those of the spool until all of their round are.
    pub buffered: u64,
    /// Came to the spool and left it.
    pub spool: Spooled,
    /// Bytes of the spool's files.
    pub spool_bytes: u64,
}

impl Snapshot {
    /// Datagrams whose end is known, or that lie in the spool. While none is in memory, they are those received and those that were found
    /// in the spool.
    pub fn accounted(&self) -> u64 {
        let failed: u64 = self.failed.values().map(|count| count.units).sum();
        let dropped: u64 = self.dropped.values().map(|count| count.units).sum();
        self.acked.units + failed + dropped + self.spool.waiting.units
    }
}

fn add(to: &mut Count, more: Count) {
    to.records += more.records;
    to.units += more.units;
    to.bytes += more.bytes;
}

fn less(a: Count, b: Count) -> Count {
    Count { records: a.records - b.records, units: a.units - b.units, bytes: a.bytes - b.bytes }
}

/// What became of a writer's frames since `before`.
pub(crate) fn since(before: &Delivered, now: &Delivered) -> Delivered {
    let known = |reason| before.failed.iter().find(|(other, _)| other == reason).map(|(_, count)| *count);
    let failed = now.failed.iter();
    let failed =
        failed.map(|(reason, count)| (reason.clone(), less(*count, known(reason).unwrap_or_default())));
    Delivered { acked: less(now.acked, before.acked), failed: failed.collect() }
}

/// Adds what became of more frames.
pub(crate) fn merge(to: &mut Delivered, more: Delivered) {
    add(&mut to.acked, more.acked);
    for (reason, count) in more.failed.into_iter().filter(|(_, count)| count.records > 0) {
        match to.failed.iter_mut().find(|(other, _)| *other == reason) {
            Some((_, known)) => add(known, count),
            None => to.failed.push((reason, count)),
        }
    }
}

impl Totals {
    pub(crate) fn new(addresses: Vec<SocketAddr>) -> Self {
        Self {
            listeners: addresses.iter().map(|_| Listener::default()).collect(),
            addresses,
            loops: AtomicU64::new(0),
            receive_errors: AtomicU64::new(0),
            taken_bytes: AtomicU64::new(0),
            spool_bytes: Arc::default(),
            fates: Mutex::default(),
        }
    }

    /// Publishes the bytes of a spool's files, which the spool counts.
    pub(crate) fn watch_spool(&mut self, bytes: Arc<AtomicU64>) {
        self.spool_bytes = bytes;
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
        add(self.fates().dropped.entry(reason).or_default(), what);
    }

    /// Frames of the spool were not taken.
    pub(crate) fn dropped_from_spool(&self, reason: &'static str, what: Count) {
        let mut fates = self.fates();
        add(fates.dropped.entry(reason).or_default(), what);
        fates.spool.waiting = less(fates.spool.waiting, what);
    }

    pub(crate) fn found(&self, what: Count) {
        let spool = &mut self.fates().spool;
        add(&mut spool.found, what);
        add(&mut spool.waiting, what);
    }

    pub(crate) fn spooled(&self, what: Count) {
        let spool = &mut self.fates().spool;
        add(&mut spool.spooled, what);
        add(&mut spool.waiting, what);
    }

    /// Adds what became of frames; `drained`: of the spool's.
    pub(crate) fn delivered(&self, new: &Delivered, drained: bool) {
        let mut fates = self.fates();
        add(&mut fates.acked, new.acked);
        let mut settled = new.acked;
        for (reason, failed) in &new.failed {
            add(fates.failed.entry(reason.clone()).or_default(), *failed);
            add(&mut settled, *failed);
        }
        if drained {
            add(&mut fates.spool.drained, new.acked);
            fates.spool.waiting = less(fates.spool.waiting, settled);
        }
    }

    /// The spool sends again what became this.
    pub(crate) fn repeated(&self, round: &Delivered) {
        let failed: u64 = round.failed.iter().map(|(_, count)| count.bytes).sum();
        self.taken_bytes.fetch_sub(round.acked.bytes + failed, Ordering::Relaxed);
        add(&mut self.fates().spool.repeated, round.acked);
    }

    fn fates(&self) -> MutexGuard<'_, Fates> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The totals now.
    pub fn snapshot(&self) -> Snapshot {
        let Fates { acked, failed, dropped, spool } = self.fates().clone();
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
            spool,
            spool_bytes: self.spool_bytes.load(Ordering::Relaxed),
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
            if count.records > 0 {
                counter!(FRAMES_DROPPED, "reason" => reason).absolute(count.records);
            }
        }
        let Spooled { found, spooled, drained, repeated, waiting } = now.spool;
        let events = [("found", found), ("spooled", spooled), ("drained", drained), ("repeated", repeated)];
        for (event, count) in events {
            counter!(SPOOL_FRAMES, "event" => event).absolute(count.records);
            counter!(SPOOL_DATAGRAMS, "event" => event).absolute(count.units);
        }
        gauge!(SPOOL_BYTES).set(now.spool_bytes as f64);
        gauge!(SPOOL_DATAGRAMS_WAITING).set(waiting.units as f64);
        gauge!(BUFFER).set(now.buffered as f64);
    }
}
