//! Datagrams of routers into `weir.raw`, as they came.
//!
//! Ingest understands nothing of what it carries (docs/ARCHITECTURE.md, 2): it stamps, keys by the transport source address and
//! forwards. What must stay true:
//!
//! - all datagrams of one source address take one path, in order, whatever ports they come from (rule 16 of docs/exactly-once.md);
//! - every datagram that was received or found in the spool ends as acknowledged by the bus, as failed with its reason, as dropped with
//!   its reason, or in the spool, and the kernel's own drops are counted beside them;
//! - memory and disk are bounded while the broker is away, and what comes first is kept and sent first.

mod config;
mod error;
#[cfg(test)]
mod fake;
mod frames;
mod gate;
mod lane;
mod limit;
pub mod metrics;
mod networks;
mod outlet;
mod pipeline;
mod socket;
mod spool;
mod steering;

pub use config::{Config, SpoolConfig};
pub use error::Error;
pub use metrics::{Snapshot, Spooled, Totals};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Cleanup, TopicSpec};
use weir_runtime::{Opened, Repeats, Word, Workers};

/// Listens as configured and forwards to the bus's raw topic until told to stop; then forwards what it has, and returns.
///
/// # Errors
/// [`Error`]; each is one sentence that names the address, key or topic.
pub async fn run(config: Config, bus: impl Bus, shutdown: CancellationToken) -> Result<(), Error> {
    Ingest::bind(config)?.run(bus, shutdown).await
}

/// Sockets that are bound and not yet read from.
#[derive(Debug)]
pub struct Ingest {
    config: Config,
    /// The sockets of each worker.
    workers: Vec<Vec<socket::Socket>>,
    spool: Option<spool::Opened>,
    totals: Arc<Totals>,
}

impl Ingest {
    /// Looks through the spool and opens all sockets. From here on the kernel keeps what arrives.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::Spool`] or [`Error::Bind`].
    pub fn bind(config: Config) -> Result<Self, Error> {
        config.validate()?;
        let spool = spool::Opened::open(&config.spool)?;
        let workers = steering::open(&config)?;
        let mut totals = Totals::new(workers[0].iter().map(socket::Socket::address).collect());
        if let Some(spool) = &spool {
            spool.count(&mut totals);
        }
        Ok(Self { config, workers, spool, totals: Arc::new(totals) })
    }

    /// Where it listens, with the ports that the system chose where the configuration says 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        self.totals.addresses()
    }

    /// What it counts; the same numbers as in the metrics.
    pub fn totals(&self) -> Arc<Totals> {
        Arc::clone(&self.totals)
    }

    /// Forwards until told to stop.
    ///
    /// # Errors
    /// [`Error::Bus`] where the topic is not what it must be, or [`Error::Receive`].
    pub async fn run(self, bus: impl Bus, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { config, workers: sockets, mut spool, totals } = self;
        metrics::describe();
        let stop = shutdown.child_token();
        let mut checked = check_topic(&bus, &stop);
        // Frames for a topic of another partition count would lie where no decoder looks, so the first answer is waited for, though
        // not for long: a broker that is away must not keep datagrams in the kernel's small buffers.
        if let Ok(Some(answer)) = tokio::time::timeout(Duration::from_secs(2), checked.recv()).await {
            answer?;
        }
        let count = sockets.len();
        // Blocking work lives on threads of its own.
        let mut workers = Workers::new(&stop);
        for (number, sockets) in sockets.into_iter().enumerate() {
            let queue = spool.as_mut().map(|spool| spool.queue(number, &totals));
            let buffer = config.buffer_bytes / count;
            let outlet = outlet::Outlet::open(bus.clone(), buffer, Arc::clone(&totals), queue)?;
            let (config, stop, totals) = (config.clone(), stop.clone(), Arc::clone(&totals));
            let work = move |opened: Opened<Error>| {
                opened.open();
                pipeline::work(&config, sockets, outlet, &totals, &stop)
            };
            workers
                .start(format!("ingest-{number}"), Error::Worker, work)
                .map_err(|source| Error::Thread { source })?;
        }
        for address in totals.addresses() {
            tracing::info!(%address, workers = count, "listening");
        }

        let mut outcome = Ok(());
        let mut publish = tokio::time::interval(Duration::from_millis(250));
        loop {
            tokio::select! {
                _ = publish.tick() => totals.publish(),
                Some(answer) = checked.recv() => if let Err(error) = answer {
                    stop.cancel();
                    outcome = outcome.and(Err(error));
                },
                word = workers.next() => match word {
                    None => break,
                    Some(Word::Open) => {}
                    Some(Word::Ended(ended)) => outcome = outcome.and(ended),
                },
            }
        }
        totals.publish();
        outcome
    }
}

/// Asks until somebody answers whether the topic is as it must be; one answer comes, or none when stopped before.
fn check_topic(bus: &impl Bus, stop: &CancellationToken) -> mpsc::UnboundedReceiver<Result<(), Error>> {
    let (answer, answers) = mpsc::unbounded_channel();
    let (bus, stop) = (bus.clone(), stop.clone());
    std::thread::spawn(move || {
        // Retention is the topics' owner's business and not checked.
        let spec =
            TopicSpec::new(&bus.topics().raw, bus.partitions(), 1, Cleanup::Delete { retention_ms: 0 });
        let mut told = Repeats::default();
        while !stop.is_cancelled() {
            match bus.check(std::slice::from_ref(&spec)) {
                Ok(_) => {
                    let _ = answer.send(Ok(()));
                    return;
                }
                Err(error) if error.is_lasting() => {
                    let _ = answer.send(Err(Error::Bus(error)));
                    return;
                }
                Err(error) => {
                    let words = error.to_string();
                    if told.says(&words) {
                        tracing::warn!("{words}; buffering until the broker answers");
                    }
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
        }
    });
    answers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{FakeBus, State};
    use std::net::UdpSocket;
    use std::sync::Mutex;

    /// How it ends by itself after one datagram.
    async fn ended(state: State) -> (Error, u32) {
        let bus = FakeBus(Arc::new(Mutex::new(state)));
        let config = Config { ports: vec![0], frame_age_ms: 1, ..Config::default() };
        let ingest = Ingest::bind(config).unwrap();
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"one", ingest.addresses()[0]).unwrap();
        let run = ingest.run(bus.clone(), CancellationToken::new());
        let ended = tokio::time::timeout(Duration::from_secs(20), run).await.expect("it goes on");
        let left = bus.0.lock().unwrap().unanswered;
        (ended.unwrap_err(), left)
    }

    #[tokio::test]
    async fn a_broker_in_trouble_is_waited_for_at_the_start_and_a_missing_topic_is_not() {
        let (error, left) = ended(State { unanswered: 2, ..State::default() }).await;
        assert!(matches!(error, Error::Bus(weir_bus::Error::TopicMissing { .. })), "{error}");
        assert_eq!(left, 0);
    }

    #[tokio::test]
    async fn a_worker_that_panics_ends_ingest() {
        let (error, _) = ended(State { panic: true, unanswered: u32::MAX, ..State::default() }).await;
        assert!(matches!(error, Error::Worker), "{error}");
    }
}
