//! The bus of one process: durable logs on disk, the same promises as Kafka's.
//!
//! **Layout.** Records of a bulk topic (raw, flows, dead letters) lie in files, written once; what of them counts, committed offsets
//! and compacted topics lie in an index (fjall) whose batches are atomic. One batch is a commit, whatever it has appended to files, so
//! records of many topics and the offsets of what they were made of appear together. Compacted topics hold one record a key at any
//! time, so a restore costs what is alive.
//!
//! **Why fjall, and not all of it in fjall or redb.** A log-structured tree writes each value to its journal and to a table, and again
//! when tables of several partitions are merged: more than a file that is appended to once. Of redb only commits that sync the disk
//! survive a kill, and here are hundreds of commits a second. For what is small and decides, a tree with a journal is just right.
//!
//! **Safe from what.** What was acknowledged survives kill -9 always, and a power cut as [`Fsync`] says. After a power cut offsets go
//! on behind all that may have been given out, so that no offset ever stands for two records, and no insert token for two batches.
//!
//! **Alone.** One process has the folder. Members of groups, identities of producers and open transactions are that process's, so a
//! crash ends them all; what outlives a cycle within it is fenced by epochs.

mod active;
mod config;
mod consumer;
mod files;
pub(crate) mod frame;
mod group;
mod index;
mod log;
mod open;
mod producer;
mod reader;
mod topics;
mod upkeep;
mod writer;
mod writing;

use crate::{Bus, Config, Description, Result, TopicSpec, Topics};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use config::{EmbeddedConfig, Fsync};
pub use consumer::EmbeddedConsumer;
pub use producer::EmbeddedProducer;
pub use reader::EmbeddedReader;
pub use writer::EmbeddedWriter;

/// How often retention is looked after.
const CLEAN: Duration = Duration::from_secs(10);

/// [`Bus`] in one process, on disk.
#[derive(Clone)]
pub struct EmbeddedBus {
    core: Arc<log::Core>,
    _upkeep: Arc<Upkeep>,
}

/// The thread that syncs and removes, ended with the last handle: the folder is free then.
struct Upkeep {
    ends: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.ends = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for EmbeddedBus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedBus").field("path", &self.core.config.embedded.path).finish_non_exhaustive()
    }
}

impl EmbeddedBus {
    /// Opens the folder, or makes it. Blocks until what was there is read.
    ///
    /// # Errors
    /// [`crate::Error::Config`], or [`crate::Error::Embedded`] where the folder can't be used.
    pub fn open(config: Config) -> Result<Self> {
        Self::open_on(config, log::boot())
    }

    /// Opens it as on the named start of the machine: what is opened on one and, never closed, on another one has had a power cut between.
    /// For tests, which can't have one.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    #[doc(hidden)]
    pub fn open_on(config: Config, boot: String) -> Result<Self> {
        config.validate()?;
        let core = log::Core::open(config, boot)?;
        let (wanted, there) = (core.config.embedded.partitions, core.partitions());
        if wanted != there {
            let path = core.config.embedded.path.display();
            tracing::warn!(
                "the topics in {path} have {there} partitions each, and keep them; bus.embedded.partitions = {wanted} is for new ones"
            );
        }
        let (upkeep, ended) = channel();
        let weak = Arc::downgrade(&core);
        let embedded = &core.config.embedded;
        let syncs = embedded.fsync == Fsync::Interval;
        let every = if syncs { Duration::from_millis(embedded.fsync_interval_ms) } else { CLEAN };
        let look_after = move || {
            let (mut cleaned, mut told) = (Instant::now(), false);
            let ages = upkeep::Ages::new(log::now_ms());
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(every) {
                let Some(core) = weak.upgrade() else { return };
                let mut done = if syncs { core.sync() } else { Ok(()) };
                if cleaned.elapsed() >= CLEAN {
                    cleaned = Instant::now();
                    done = done.and(core.clean(ages.now(log::now_ms())));
                }
                if let Err(why) = &done
                    && !told
                {
                    tracing::error!("looking after the bus: {why}");
                }
                told = done.is_err();
            }
        };
        let started = std::thread::Builder::new().name("bus-upkeep".to_owned()).spawn(look_after);
        let thread = started.map_err(|error| core.trouble("starting its upkeep", error.to_string()))?;
        Ok(Self { core, _upkeep: Arc::new(Upkeep { ends: Some(upkeep), thread: Some(thread) }) })
    }

    /// Removes what retention no longer keeps, as it is at `now` (ms since the epoch). The upkeep does this by itself.
    ///
    /// # Errors
    /// [`crate::Error::Embedded`].
    pub fn clean(&self, now: i64) -> Result<()> {
        self.core.clean(now).map_err(|reason| self.core.trouble("removing what is too old", reason))
    }
}

impl Bus for EmbeddedBus {
    type Consumer = EmbeddedConsumer;
    type Producer = EmbeddedProducer;
    type Reader = EmbeddedReader;
    type Writer = EmbeddedWriter;

    fn topics(&self) -> Topics {
        self.core.config.topics()
    }

    fn partitions(&self) -> usize {
        self.core.partitions()
    }

    fn reach(&self) -> Result<()> {
        self.core.exclusively(|_| ())
    }

    fn join(&self, group: &str, topic: &str, instance: &str) -> Result<EmbeddedConsumer> {
        Ok(EmbeddedConsumer::join(&self.core, group, topic, instance))
    }

    fn transactional(&self, transactional_id: &str) -> Result<EmbeddedProducer> {
        EmbeddedProducer::open(&self.core, transactional_id)
    }

    fn reader(&self) -> Result<EmbeddedReader> {
        Ok(EmbeddedReader::new(&self.core))
    }

    fn writer(&self, buffer_bytes: usize) -> Result<EmbeddedWriter> {
        EmbeddedWriter::open(&self.core, buffer_bytes)
    }

    fn describe(&self, topics: &[&str]) -> Result<Vec<Option<Description>>> {
        let state = self.core.state();
        let describe = |name: &&str| {
            let topic = &state.logs.get(*name)?.topic;
            let retention_ms = match topic.cleanup {
                crate::Cleanup::Delete { retention_ms } => Some(retention_ms),
                crate::Cleanup::Compact => None,
            };
            Some(Description {
                name: topic.name.clone(),
                partitions: topic.partitions as usize,
                cleanup: topic.cleanup.policy().to_owned(),
                retention_ms,
                append_time: true,
                min_in_sync: 1,
                incarnation: topic.incarnation.clone(),
            })
        };
        Ok(topics.iter().map(describe).collect())
    }

    fn create(&self, spec: &TopicSpec) -> Result<bool> {
        self.core.create(spec)
    }

    fn delete(&self, topic: &str) -> Result<bool> {
        self.core.delete(topic)
    }
}
