//! Why ingest cannot work.

use std::net::SocketAddr;
use std::path::PathBuf;
use thiserror::Error;

/// Why ingest cannot work.
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
    /// A socket cannot be opened.
    #[error("cannot listen on UDP {address}: {source}; see ingest.addresses and ingest.ports")]
    Bind {
        /// Where it should have listened.
        address: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// The spool cannot be used.
    #[error("the spool, {doing} {}: {source}; see ingest.spool.path", path.display())]
    Spool {
        /// What was tried.
        doing: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// A socket that was open fails.
    #[error("receiving on UDP {address}: {source}")]
    Receive {
        /// Where it listens.
        address: SocketAddr,
        /// The system's word.
        source: std::io::Error,
    },
    /// The bus refuses.
    #[error(transparent)]
    Bus(#[from] weir_bus::Error),
    /// No thread to be had.
    #[error("starting a worker: {source}")]
    Thread {
        /// The system's word.
        source: std::io::Error,
    },
    /// A worker ended without a word, which is a defect.
    #[error("a worker panicked; its message is in the log")]
    Worker,
}
