//! Partitioned topics, as Weir needs them: records out and offsets in at once, partitions that come and go, state that is restored.
//!
//! The traits here are everything that services know of a bus. They hold the transport's half of exactly-once; what stays
//! true of every implementation, and is tested by the contract tests:
//!
//! - a reader never sees a record of a transaction that was not committed;
//! - records and offsets of a transaction appear together or not at all;
//! - a second holder of an identity fences the first one;
//! - a partition is given up by its holder's own word, so that a transaction can be committed before;
//! - nothing ever jumps: an offset that the log no longer has is an error with both ends of the log in it.
//!
//! Nothing here is `async`: every handle belongs to one thread that polls it, because that is what the hot path costs least with.

mod config;
pub mod embedded;
mod error;
pub mod kafka;
pub mod metrics;
mod partition;
mod record;
mod topics;

use std::ops::{ControlFlow, Range};
use std::time::Duration;

pub use config::{Compression, Config, Properties, Retention};
pub use embedded::{EmbeddedBus, EmbeddedConfig, Fsync};
pub use error::{Error, TxnError};
pub use kafka::KafkaBus;
pub use partition::{murmur2, partition};
pub use record::{Message, Record};
pub use topics::{Cleanup, Description, TopicSpec, Topics, check_descriptions};

/// What bus operations return.
pub type Result<T> = std::result::Result<T, Error>;

/// A bus: where handles come from. Cheap to clone, opens no connection by itself.
///
/// What a bus of one process does otherwise than Kafka: a member that is dropped leaves at once, because nobody could come back; the
/// group waits for a [`GroupConsumer::give_up`] without end; and where this says [`Error::Unreachable`] it is [`Error::Embedded`]
/// ([`Error::is_away`] is both).
pub trait Bus: Clone + Send + Sync + 'static {
    /// Member of a consumer group.
    type Consumer: GroupConsumer;
    /// Producer of transactions that carry the consumer's offsets.
    type Producer: Transactions<Consumer = Self::Consumer>;
    /// Reader of partitions chosen by hand.
    type Reader: Reader;
    /// Producer without transactions.
    type Writer: Writer;

    /// Names of the topics, as configured.
    fn topics(&self) -> Topics;

    /// Partitions that every topic keyed by exporter has, as configured; [`Bus::check`] holds the topics to it.
    fn partitions(&self) -> usize;

    /// Asks for a sign of life, within the configured time.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    fn reach(&self) -> Result<()>;

    /// Joins `group` as a reader of `topic` alone. `instance` is a stable identity (pod name and worker): the same one coming
    /// back within the session time-out gets its partitions back without a rebalance, and fences a predecessor that still runs.
    ///
    /// # Errors
    /// Refused configuration. That the bus is away shows in [`GroupConsumer::poll`] as silence, not as an error.
    fn join(&self, group: &str, topic: &str, instance: &str) -> Result<Self::Consumer>;

    /// Opens the producer of `transactional_id` (the same stable identity) and fences its predecessor: when this returns, the
    /// predecessor's open transaction is aborted or, where its commit had begun, committed.
    ///
    /// # Errors
    /// [`Error::Unreachable`] where the bus does not answer in the configured time.
    fn transactional(&self, transactional_id: &str) -> Result<Self::Producer>;

    /// Opens a reader of partitions chosen by hand.
    ///
    /// # Errors
    /// Refused configuration.
    fn reader(&self) -> Result<Self::Reader>;

    /// Opens an idempotent producer without transactions, which holds at most `buffer_bytes` of what is not yet acknowledged.
    ///
    /// # Errors
    /// Refused configuration.
    fn writer(&self, buffer_bytes: usize) -> Result<Self::Writer>;

    /// What the bus has under each of these names, `None` where there is no such topic, in the order asked.
    ///
    /// # Errors
    /// [`Error::Unreachable`], or what the bus answers.
    fn describe(&self, topics: &[&str]) -> Result<Vec<Option<Description>>>;

    /// Creates a topic. `false`: it is there already (unchanged; see [`Bus::check`]).
    ///
    /// # Errors
    /// [`Error::Unreachable`], or what the bus answers.
    fn create(&self, spec: &TopicSpec) -> Result<bool>;

    /// Deletes a topic with all it holds. `false`: there is none of that name.
    ///
    /// # Errors
    /// [`Error::Unreachable`], or what the bus answers.
    fn delete(&self, topic: &str) -> Result<bool>;

    /// Checks that these topics are there, with the partition count, cleanup and timestamps that they must have.
    ///
    /// # Errors
    /// [`Error::TopicMissing`], [`Error::PartitionCount`] or [`Error::TopicSetting`], each naming the topic.
    fn check(&self, specs: &[TopicSpec]) -> Result<Vec<Description>> {
        let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
        check_descriptions(specs, self.describe(&names)?)
    }
}

/// What [`GroupConsumer::poll`] brings.
#[derive(Debug)]
pub enum Event<'a> {
    /// The next record of a started partition.
    Record(Record<'a>),
    /// These partitions were added. They stand still until [`GroupConsumer::start`].
    Assigned(Vec<i32>),
    /// These partitions are wanted by others. They deliver nothing more, and are still this member's until
    /// [`GroupConsumer::give_up`]: commit first. The group waits meanwhile, for no longer than its rebalance time-out.
    Revoked(Vec<i32>),
    /// These partitions are somebody else's already: nothing can be committed for them.
    Lost(Vec<i32>),
    /// Nothing came within the time.
    Idle,
}

/// A committed position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The next record to read.
    pub offset: i64,
    /// What was committed beside it. Bytes that are no UTF-8 come as replacement characters.
    pub metadata: String,
}

/// A position to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// Partition of the consumer's topic.
    pub partition: i32,
    /// The next record to read: last read + 1.
    pub offset: i64,
    /// Anything worth knowing at this position; Kafka holds up to 4 096 bytes by default.
    pub metadata: String,
}

impl Position {
    /// A position without metadata.
    pub fn new(partition: i32, offset: i64) -> Self {
        Self { partition, offset, metadata: String::new() }
    }
}

/// Member of a consumer group, reader of one topic. It sees committed records only and never commits by itself. Dropping it keeps
/// the membership until the session time-out (a restart gets the same partitions); [`GroupConsumer::leave`] ends it.
pub trait GroupConsumer: Send + 'static {
    /// The topic that it reads.
    fn topic(&self) -> &str;

    /// Waits for the next event, up to `timeout`. Must be called more often than the poll interval (by default 5 minutes).
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`]: a started partition's log no longer has the position; it stands still until started anew, others go on.
    /// [`Error::Fenced`]: another holder of this instance id joined; this member is of no more use. Anything else is the bus's own trouble.
    fn poll(&mut self, timeout: Duration) -> Result<Event<'_>>;

    /// Starts an assigned partition at `offset`, which is read next; where it was paused, that is over.
    ///
    /// # Errors
    /// [`Error::NotAssigned`], or [`Error::Timeout`].
    fn start(&mut self, partition: i32, offset: i64) -> Result<()>;

    /// Moves a started partition to `offset`; what was fetched from elsewhere is dropped.
    ///
    /// # Errors
    /// As [`GroupConsumer::start`].
    fn seek(&mut self, partition: i32, offset: i64) -> Result<()>;

    /// Stops delivery of a partition, and keeps its position.
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    fn pause(&mut self, partition: i32) -> Result<()>;

    /// Ends a [`GroupConsumer::pause`].
    ///
    /// # Errors
    /// [`Error::NotAssigned`].
    fn resume(&mut self, partition: i32) -> Result<()>;

    /// Gives up partitions that [`Event::Revoked`] named. The rebalance goes on when all of them are given up.
    ///
    /// # Errors
    /// What the bus answers.
    fn give_up(&mut self, partitions: &[i32]) -> Result<()>;

    /// The stable committed positions: where a transaction with offsets for a partition is still open, this waits for its end.
    ///
    /// # Errors
    /// [`Error::Timeout`], or what the bus answers.
    fn committed(&mut self, partitions: &[i32]) -> Result<Vec<(i32, Option<Committed>)>>;

    /// Commits positions outside a transaction and waits for the acknowledgement.
    ///
    /// # Errors
    /// [`Error::Rebalanced`]: the member is not what it was when it polled; its partitions will be announced as lost or revoked.
    fn commit(&mut self, positions: &[Position]) -> Result<()>;

    /// First offset that the log has, and the end of what is stable (the last stable offset).
    ///
    /// # Errors
    /// [`Error::Timeout`], or what the bus answers.
    fn bounds(&mut self, partition: i32) -> Result<(i64, i64)>;

    /// Leaves the group for good (scale-down): its partitions go to others at once. Uncommitted work is the caller's to end before.
    ///
    /// # Errors
    /// [`Error::Timeout`] where the group did not confirm; the session time-out then ends the membership.
    fn leave(self) -> Result<()>;
}

/// A producer whose records and whose consumer's offsets become visible at once.
///
/// After [`TxnError::Aborted`] the same producer goes on with [`Transactions::begin`]; after any other error it is of no more use.
/// In each case what was computed in memory since the last commit is wrong now (rule 2 of docs/exactly-once.md).
pub trait Transactions: Send + 'static {
    /// The consumer whose offsets are sent.
    type Consumer;

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`TxnError::Fenced`] or [`TxnError::Failed`].
    fn begin(&mut self) -> std::result::Result<(), TxnError>;

    /// Adds a record. Returns before it is acknowledged; waits (bounded) where the send queue is full.
    ///
    /// # Errors
    /// [`TxnError`]; after [`TxnError::Aborted`] the transaction is gone already.
    fn send(&mut self, message: &Message<'_>) -> std::result::Result<(), TxnError>;

    /// Commits records and offsets. Group metadata is that of this moment, so a member that is no longer one is refused.
    ///
    /// # Errors
    /// [`TxnError::NoOffsets`] where `offsets` is empty (the transaction is aborted: a write whose cause is not recorded would be
    /// written again), and all others.
    fn commit(
        &mut self,
        consumer: &mut Self::Consumer,
        offsets: &[Position],
    ) -> std::result::Result<(), TxnError>;

    /// Throws the transaction away.
    ///
    /// # Errors
    /// [`TxnError::Fenced`] or [`TxnError::Failed`].
    fn abort(&mut self) -> std::result::Result<(), TxnError>;
}

/// What [`Reader::restore`] has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Records seen, tombstones included.
    pub records: u64,
    /// Bytes of their keys and values.
    pub bytes: u64,
    /// Where a [`Reader::tail`] goes on without a gap.
    pub next_offset: i64,
}

/// Gives `each` what lies before `end`, and breaks off there.
fn before(
    end: i64,
    each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
) -> impl FnMut(&Record<'_>) -> ControlFlow<()> {
    move |record| {
        if record.offset() >= end {
            return ControlFlow::Break(());
        }
        each(record)?;
        if record.offset() + 1 < end { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// Reader of partitions chosen by hand, for state and compacted topics. Committed records only.
pub trait Reader: Send + 'static {
    /// Reads partitions from their beginnings to their ends as they are now, after every transaction that was open when this was
    /// called has ended (rule 1, (b) to (d), of docs/exactly-once.md). All of them side by side: records of one partition come in order.
    /// Gives what was done in the order asked.
    ///
    /// # Errors
    /// [`Error::OpenTransaction`] where one did not end within the configured time; [`Error::Timeout`].
    fn restore(
        &mut self,
        topic: &str,
        partitions: &[i32],
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Vec<Restored>>;

    /// Reads the records of `range`, the end not included, until `each` breaks off. Nothing behind the end is given, however fast the
    /// log grows meanwhile, and of a range that ends behind the log comes what [`Reader::restore`] would give. Offsets that no record
    /// has are passed over: whoever must know of them looks at those that come.
    ///
    /// # Errors
    /// As [`Reader::restore`], and where the log does not have the first offset, or no longer has the next one while it is read.
    fn read_on(
        &mut self,
        topic: &str,
        partition: i32,
        range: Range<i64>,
        each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<()>;

    /// Follows these partitions of `topic` from these offsets on, instead of what it followed of that topic before.
    ///
    /// # Errors
    /// What the bus answers.
    fn tail(&mut self, topic: &str, from: &[(i32, i64)]) -> Result<()>;

    /// The next record of what is followed. It waits for `timeout` and never for the leader of a partition.
    ///
    /// # Errors
    /// A log no longer has an offset, which is not always said of which, or the bus's own trouble: [`Reader::tail`] begins anew.
    fn poll_tail(&mut self, timeout: Duration) -> Result<Option<Record<'_>>>;

    /// First offset that the log has, and the end of what is stable.
    ///
    /// # Errors
    /// [`Error::Timeout`], or what the bus answers.
    fn bounds(&mut self, topic: &str, partition: i32) -> Result<(i64, i64)>;

    /// How far a group has come, without being a member: as [`GroupConsumer::committed`].
    ///
    /// # Errors
    /// [`Error::Timeout`], or what the bus answers.
    fn committed(
        &mut self,
        group: &str,
        topic: &str,
        partitions: &[i32],
    ) -> Result<Vec<(i32, Option<Committed>)>>;
}

/// The writer's buffer is full: the record was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Totals of a [`Writer`] since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Acknowledged by all in-sync replicas.
    pub acked: Count,
    /// Given up, by reason (a few words of the bus).
    pub failed: Vec<(String, Count)>,
}

/// Records, what they stand for, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Records.
    pub records: u64,
    /// Sum of the `units` they were sent with (datagrams of a frame).
    pub units: u64,
    /// Bytes of keys and values.
    pub bytes: u64,
}

/// Idempotent producer without transactions: in order a partition, nothing twice, and counted.
pub trait Writer: Send + 'static {
    /// Takes a record that stands for `units` things, or refuses it at once where the buffer is full.
    ///
    /// # Errors
    /// `Ok(Err(Full))` is the full buffer; `Err` is a record or a producer that never will be accepted.
    fn try_send(&mut self, message: &Message<'_>, units: u32) -> Result<std::result::Result<(), Full>>;

    /// True where nothing will ever be taken again: open another one. What is in flight still gets its word.
    fn is_broken(&self) -> bool {
        false
    }

    /// Gives up what is in flight, without waiting; the next polls count it.
    fn give_up(&mut self) {
        self.flush(Duration::ZERO);
    }

    /// Takes acknowledgements, waiting for up to `timeout`.
    fn poll(&mut self, timeout: Duration);

    /// Records taken and not yet acknowledged or given up.
    fn in_flight(&self) -> usize;

    /// Totals so far, as [`Writer::poll`] has learnt them.
    fn delivered(&self) -> Delivered;

    /// Waits for everything in flight. `false`: some of it still is; it is given up, and counted so in [`Writer::delivered`].
    fn flush(&mut self, timeout: Duration) -> bool;
}
