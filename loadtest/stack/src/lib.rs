//! Starts the real parts that Weir works with, for tests and for the stack on one machine.
//!
//! Nothing here is a stand-in: a broker is a broker, and [`bus`] bends a real one. A part that is not there is an error that says which script fetches it, never
//! a test that is skipped. What was started ends with the value that started it, and with the process at the latest.

pub mod bus;
pub mod home;
pub mod kafka;
pub mod local;
pub mod ports;
mod process;
pub mod scrape;
mod service;
pub mod sides;

pub use home::Home;
pub use kafka::Kafka;
pub use local::{Description, Local};
pub use process::{Process, Signal, signal};
pub use scrape::Metrics;
pub use service::{Kind, Service, weir_program};

use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// Why a part does not run.
#[derive(Debug, Error)]
pub enum Error {
    /// A part was not fetched.
    #[error("{what} is not in {}; run {script}", path.display())]
    Missing {
        /// What is missing.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// What fetches it.
        script: &'static str,
    },
    /// A program or file of this machine.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// A program ended that should run.
    #[error("{name} ended with {status}; the end of {}:\n{tail}", log.display())]
    Ended {
        /// Which.
        name: String,
        /// How.
        status: String,
        /// Its whole output.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A service runs and is not ready.
    #[error("{name} is not ready after {waited:?}: {why}; the end of {}:\n{tail}", log.display())]
    NotReady {
        /// Which.
        name: String,
        /// For how long was waited.
        waited: Duration,
        /// What it says it waits for.
        why: String,
        /// Its whole output.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A program runs and does not answer.
    #[error("{name} does not answer at {address} after {waited:?}; its output is in {}", log.display())]
    Silent {
        /// Which.
        name: String,
        /// Where it should answer.
        address: String,
        /// For how long was waited.
        waited: Duration,
        /// Its whole output.
        log: PathBuf,
    },
}

/// What this crate's operations return.
pub type Result<T> = std::result::Result<T, Error>;

fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let doing = doing.into();
    move |source| Error::Io { doing, source }
}
