//! Captured datagrams out of a file's bytes, and what they decode to.
//!
//! A capture is pcap, pcapng, one raw datagram, or messages of NetFlow v1, v5, v7, v8 or IPFIX one after another; which, is told by its content.
//! Nothing here opens a file: bytes in, datagrams or errors with their place out. [`decode`] is all that `weir decode` does.

pub mod decode;
mod decoders;
mod fragments;
mod link;
mod pcap;
mod raw;
pub mod survey;
pub mod walk;

pub use decoders::How;

use std::borrow::Cow;
use thiserror::Error;
use weir_schemas::Ip;

/// A UDP datagram as captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured<'a> {
    /// Address it came from. Messages without a capture around them come from 127.0.0.1.
    pub source: Ip,
    /// Port it came from; 0 where there is no capture around it.
    pub source_port: u16,
    /// Port it went to; 0 where there is no capture around it.
    pub destination_port: u16,
    /// When it was captured, ns since the epoch. Of messages without a capture around them their own export time, 0 where they
    /// have none.
    pub time: i64,
    /// Byte offset in the file of the packet, or of the message.
    pub at: usize,
    /// UDP payload.
    pub payload: Cow<'a, [u8]>,
}

/// Why a capture, or a packet of it, can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CaptureError {
    /// There is nothing in it.
    #[error("the file is empty")]
    Empty,
    /// It is neither a capture nor a message.
    #[error("the file is no pcap, no pcapng, and begins with {first}: no NetFlow, IPFIX or sFlow either")]
    Unknown {
        /// Its first bytes, as hexadecimal digits.
        first: String,
    },
    /// The file ends in the middle of a block or packet. What comes before it is whole.
    #[error("the file is cut off in the block at byte {at}: {needed}")]
    CutOff {
        /// Byte offset of the block.
        at: usize,
        /// How much more it should have.
        needed: String,
    },
    /// A block that breaks its format. What follows can't be found.
    #[error("the block at byte {at} is broken: {why}")]
    Broken {
        /// Byte offset of the block.
        at: usize,
        /// What is wrong.
        why: String,
    },
    /// Packets of this link type are not read.
    #[error(
        "the packet at byte {at} has link type {link}: neither Ethernet, Linux cooked, raw IP nor loopback"
    )]
    LinkType {
        /// Byte offset of the packet.
        at: usize,
        /// Number of the link type.
        link: i32,
    },
    /// A packet that was captured in part.
    #[error(
        "the packet at byte {at} has {has} of the {wanted} bytes of its UDP payload: capture with a larger snap length"
    )]
    Snapped {
        /// Byte offset of the packet.
        at: usize,
        /// Bytes of payload that are there.
        has: usize,
        /// Bytes of payload that it had.
        wanted: usize,
    },
    /// An IP fragment whose other fragments are not in the capture.
    #[error(
        "the packet at byte {at} is a fragment of a datagram from {source_address} of which the rest is missing"
    )]
    Fragment {
        /// Byte offset of its first fragment.
        at: usize,
        /// Where it comes from.
        source_address: Ip,
    },
}

/// The datagrams of a file in the order of their packets. After an error that concerns the file it ends; after one that concerns a
/// packet it goes on.
#[derive(Debug)]
pub struct Capture<'a> {
    source: Source<'a>,
}

#[derive(Debug)]
enum Source<'a> {
    Packets(Box<pcap::Packets<'a>>),
    Messages(raw::Messages<'a>),
}

/// Tells by its content what a file is, and gives its datagrams.
pub fn read(bytes: &[u8]) -> Result<Capture<'_>, CaptureError> {
    if bytes.is_empty() {
        return Err(CaptureError::Empty);
    }
    let source = match pcap::Packets::open(bytes)? {
        Some(packets) => Source::Packets(Box::new(packets)),
        None => Source::Messages(raw::Messages::open(bytes)?),
    };
    Ok(Capture { source })
}

impl Capture<'_> {
    /// True where it is messages one after another without packets around them: a stream, or an IPFIX file (RFC 5655).
    pub fn is_stream(&self) -> bool {
        matches!(self.source, Source::Messages(_))
    }

    /// Packets that were no UDP datagrams, so far.
    pub fn others(&self) -> u64 {
        match &self.source {
            Source::Packets(packets) => packets.others,
            Source::Messages(_) => 0,
        }
    }
}

impl<'a> Iterator for Capture<'a> {
    type Item = Result<Captured<'a>, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            Source::Packets(packets) => packets.next(),
            Source::Messages(messages) => messages.next().map(Ok),
        }
    }
}
