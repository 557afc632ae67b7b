//! What goes in and comes out of a topic.
//!
//! A record borrows from the memory that the bus received it in: a copy per record would cost more than decoding a flow.

use crate::embedded::frame::{Stored, header};
use crate::kafka;
use rdkafka::message::{BorrowedMessage, Message as _, Timestamp};

/// A record to send.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Topic.
    pub topic: &'a str,
    /// Partition, always set by the sender.
    pub partition: i32,
    /// Key.
    pub key: &'a [u8],
    /// Value; `None` is a tombstone of a compacted topic.
    pub value: Option<&'a [u8]>,
    /// Headers by name.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// A record received.
#[derive(Debug)]
pub struct Record<'a>(Inner<'a>);

#[derive(Debug)]
enum Inner<'a> {
    Kafka(BorrowedMessage<'a>),
    Parts { message: Message<'a>, offset: i64, appended: Option<i64> },
    Stored { topic: &'a str, partition: i32, offset: i64, appended: i64, stored: Stored<'a> },
}

impl<'a> Record<'a> {
    /// A record that lies in memory as its parts.
    pub fn from_parts(message: Message<'a>, offset: i64, appended: Option<i64>) -> Self {
        Self(Inner::Parts { message, offset, appended })
    }

    pub(crate) fn from_kafka(message: BorrowedMessage<'a>) -> Self {
        Self(Inner::Kafka(message))
    }

    /// A record of the embedded bus at (topic, partition, offset), with when its frame was appended.
    pub(crate) fn stored(
        (topic, partition, offset): (&'a str, i32, i64),
        frame: i64,
        stored: Stored<'a>,
    ) -> Self {
        let own = i64::try_from(stored.appended).unwrap_or(0);
        let appended = if own > 0 { own } else { frame };
        Self(Inner::Stored { topic, partition, offset, appended, stored })
    }

    /// Topic.
    pub fn topic(&self) -> &str {
        match &self.0 {
            Inner::Kafka(record) => record.topic(),
            Inner::Parts { message, .. } => message.topic,
            Inner::Stored { topic, .. } => topic,
        }
    }

    /// Partition.
    pub fn partition(&self) -> i32 {
        match &self.0 {
            Inner::Kafka(record) => record.partition(),
            Inner::Parts { message, .. } => message.partition,
            Inner::Stored { partition, .. } => *partition,
        }
    }

    /// Offset in the partition. Not all offsets are records: transaction markers take some.
    pub fn offset(&self) -> i64 {
        match &self.0 {
            Inner::Kafka(record) => record.offset(),
            Inner::Parts { offset, .. } => *offset,
            Inner::Stored { offset, .. } => *offset,
        }
    }

    /// When the bus appended it, ms since the epoch. Not when the datagram was received, which lies in the value.
    pub fn appended(&self) -> Option<i64> {
        match &self.0 {
            Inner::Kafka(record) => match record.timestamp() {
                Timestamp::LogAppendTime(at) | Timestamp::CreateTime(at) if at >= 0 => Some(at),
                _ => None,
            },
            Inner::Parts { appended, .. } => *appended,
            Inner::Stored { appended, .. } => Some(*appended),
        }
    }

    /// Key.
    pub fn key(&self) -> Option<&[u8]> {
        match &self.0 {
            Inner::Kafka(record) => record.key(),
            Inner::Parts { message, .. } => Some(message.key),
            Inner::Stored { stored, .. } => Some(stored.key),
        }
    }

    /// Value; `None` is a tombstone.
    pub fn value(&self) -> Option<&[u8]> {
        match &self.0 {
            Inner::Kafka(record) => record.payload(),
            Inner::Parts { message, .. } => message.value,
            Inner::Stored { stored, .. } => stored.value,
        }
    }

    /// The last header of that name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        match &self.0 {
            Inner::Kafka(record) => kafka::header(record, name),
            Inner::Stored { stored, .. } => header(stored.headers, name),
            Inner::Parts { message, .. } => {
                message.headers.iter().rev().find(|(key, _)| *key == name).map(|(_, value)| *value)
            }
        }
    }
}
