//! What can go wrong on a bus, each with its place and, where there is one, the mend.

use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// Failure of a bus operation outside transactions.
#[derive(Debug, Error)]
pub enum Error {
    /// A configuration key has a value that cannot be.
    #[error("{key}: {reason}")]
    Config {
        /// Path of the key.
        key: String,
        /// What is wrong with the value, and what would be right.
        reason: String,
    },
    /// Nobody answers.
    #[error(
        "no Kafka broker answers at {servers} after {waited:?} ({reason}); check bus.bootstrap_servers and that the broker runs"
    )]
    Unreachable {
        /// Addresses tried.
        servers: String,
        /// For how long.
        waited: Duration,
        /// The last thing that the client said.
        reason: String,
    },
    /// No such topic.
    #[error("topic {topic} does not exist; `weir topics` creates it")]
    TopicMissing {
        /// Topic.
        topic: String,
    },
    /// Topics that must be partitioned alike are not.
    #[error(
        "topic {topic} has {found} partitions, and {expected} are expected (bus.partitions, and the same for all topics keyed by exporter)"
    )]
    PartitionCount {
        /// Topic.
        topic: String,
        /// Partitions that it has.
        found: usize,
        /// Partitions that it must have.
        expected: usize,
    },
    /// A topic is configured so that data would be lost or state would not survive.
    #[error("topic {topic} has {setting}={found}, and {expected} is needed")]
    TopicSetting {
        /// Topic.
        topic: String,
        /// Name of the topic's setting.
        setting: &'static str,
        /// Value that it has.
        found: String,
        /// Value that it must have.
        expected: String,
    },
    /// The log does not have the position (any more): retention was faster, or the topic is another one.
    #[error(
        "{topic}/{partition}: offset {wanted} is not in the log, which holds {begin} to {end}; retention removed it or the topic was re-created"
    )]
    OffsetOutOfRange {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Position that was to be read.
        wanted: i64,
        /// First offset of the log.
        begin: i64,
        /// End of the log.
        end: i64,
    },
    /// A transaction over this partition stays open.
    #[error(
        "{topic}/{partition}: stable up to {stable} of {high} after {waited:?}: a transaction is still open, perhaps of a producer with another transactional id that died"
    )]
    OpenTransaction {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Last stable offset.
        stable: i64,
        /// High watermark when the wait began.
        high: i64,
        /// For how long was waited.
        waited: Duration,
    },
    /// The partition is not this member's, or is not started.
    #[error("{topic}/{partition} is not assigned to this member, or not started")]
    NotAssigned {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
    },
    /// The group moved on without this member, or is just moving.
    #[error("the group rebalanced while {doing} ({reason}); nothing was committed")]
    Rebalanced {
        /// What was being done.
        doing: &'static str,
        /// The bus's word for it.
        reason: String,
    },
    /// Another holder of the identity took over.
    #[error("{identity} was taken over by another process of the same identity ({reason})")]
    Fenced {
        /// Instance or transactional id.
        identity: String,
        /// The bus's word for it.
        reason: String,
    },
    /// No answer in time.
    #[error("no answer within {waited:?} while {doing}")]
    Timeout {
        /// What was being done, with its place.
        doing: String,
        /// For how long.
        waited: Duration,
    },
    /// Brokers are changing places: one is lost, or another one takes over what it had.
    #[error("{doing}: {reason}; brokers are changing places")]
    Moving {
        /// What was being done, with its place.
        doing: String,
        /// The client's word.
        reason: String,
    },
    /// The embedded bus can't do it now: its disk is full or failed, or another process has its folder.
    #[error("bus.embedded.path {}: {doing}: {reason}", path.display())]
    Embedded {
        /// Folder of the bus.
        path: PathBuf,
        /// What was being done, with its place.
        doing: String,
        /// Why it can't be.
        reason: String,
    },
    /// Anything else that the bus said.
    #[error("{doing}: {reason}")]
    Bus {
        /// What was being done, with its place.
        doing: String,
        /// The bus's words.
        reason: String,
    },
}

impl Error {
    /// True where the bus was not there, and will be again.
    pub fn is_away(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. } | Self::Timeout { .. } | Self::Moving { .. } | Self::Embedded { .. }
        )
    }

    /// True where waiting helps nothing, because somebody has to change a setting or a topic.
    pub fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::Config { .. }
                | Self::TopicMissing { .. }
                | Self::PartitionCount { .. }
                | Self::TopicSetting { .. }
        )
    }
}

/// Failure in a transaction. Whatever it is, memory computed since the last commit is void.
#[derive(Debug, Error)]
pub enum TxnError {
    /// The transaction was aborted: nothing of it will ever be read. Go back to the committed positions and begin anew.
    #[error("transaction aborted: {reason}")]
    Aborted {
        /// Why.
        reason: String,
        /// True where one of its records was refused for what it is (its size, its form): trying again can't help.
        refused: bool,
    },
    /// Another producer has this identity now. Stop, or make a new producer, which fences that one in turn.
    #[error("{identity} was taken over by another process of the same identity ({reason})")]
    Fenced {
        /// Transactional id.
        identity: String,
        /// The bus's word for it.
        reason: String,
    },
    /// The commit was sent and not answered: it may have happened. Drop the producer; opening a new one of the same id settles the
    /// transaction, after which the committed positions tell which way it went.
    #[error("no word within {waited:?} whether the transaction was committed ({reason})")]
    Unknown {
        /// For how long.
        waited: Duration,
        /// The last thing that the client said.
        reason: String,
    },
    /// A transaction without positions was to be committed; it was aborted instead.
    #[error("a transaction without positions is refused")]
    NoOffsets,
    /// The producer is of no more use for another reason.
    #[error("{doing}: {reason}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// The bus's words.
        reason: String,
    },
}
