//! Datagrams of routers into `weir.raw`, as they came.
//!
//! Ingest understands nothing of what it carries (invariant 2 of DESIGN.md): it stamps, keys by the transport source address and
//! forwards. What must stay true:
//!
//! - all datagrams of one source address take one path, in order, whatever ports they come from (rule 16 of EXACTLY_ONCE.md);
//! - every datagram that was received ends as acknowledged by the bus, as failed with its reason, or as dropped with its reason,
//!   and the kernel's own drops are counted beside them;
//! - memory is bounded while the broker is away, and what comes first is kept.

mod config;
mod error;
mod frames;
pub mod metrics;
mod outlet;
mod pipeline;
mod socket;
mod steering;

pub use config::Config;
pub use error::Error;
pub use metrics::{Snapshot, Totals};

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use weir_bus::{Bus, Cleanup, TopicSpec};

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
    totals: Arc<Totals>,
}

impl Ingest {
    /// Opens all sockets. From here on the kernel keeps what arrives.
    ///
    /// # Errors
    /// [`Error::Config`] or [`Error::Bind`].
    pub fn bind(config: Config) -> Result<Self, Error> {
        config.validate()?;
        let workers = steering::open(&config)?;
        let totals = Arc::new(Totals::new(workers[0].iter().map(socket::Socket::address).collect()));
        Ok(Self { config, workers, totals })
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
        let Self { config, workers, totals } = self;
        metrics::describe();
        let stop = shutdown.child_token();
        // However this ends, the workers end with it.
        let _ends = stop.clone().drop_guard();
        // Blocking work lives on threads of its own, which report here when they end.
        let (report, mut reports) = mpsc::unbounded_channel::<Result<(), Error>>();
        let mut checked = check_topic(&bus, &stop);
        // Frames for a topic of another partition count would lie where no decoder looks, so the first answer is waited for, though
        // not for long: a broker that is away must not keep datagrams in the kernel's small buffers.
        if let Ok(Some(answer)) = tokio::time::timeout(Duration::from_secs(2), checked.recv()).await {
            answer?;
        }
        let count = workers.len();
        for (number, sockets) in workers.into_iter().enumerate() {
            let outlet = outlet::Outlet::open(bus.clone(), config.buffer_bytes / count, Arc::clone(&totals))?;
            let (config, stop, totals, report) =
                (config.clone(), stop.clone(), Arc::clone(&totals), report.clone());
            std::thread::Builder::new()
                .name(format!("ingest-{number}"))
                .spawn(move || {
                    let ended = pipeline::work(&config, sockets, outlet, &totals, &stop);
                    stop.cancel();
                    // The receiver waits for as many reports as there are workers.
                    let _ = report.send(ended);
                })
                .map_err(|source| Error::Thread { source })?;
        }
        drop(report);
        for address in totals.addresses() {
            tracing::info!(%address, workers = count, "listening");
        }

        let mut outcome = Ok(());
        let mut publish = tokio::time::interval(Duration::from_millis(250));
        let mut ended = 0;
        while ended < count {
            tokio::select! {
                _ = publish.tick() => totals.publish(),
                Some(answer) = checked.recv() => if let Err(error) = answer {
                    stop.cancel();
                    outcome = outcome.and(Err(error));
                },
                answer = reports.recv() => {
                    ended += 1;
                    // A worker that reports nothing has panicked.
                    outcome = outcome.and(answer.unwrap_or(Err(Error::Worker)));
                }
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
        while !stop.is_cancelled() {
            match bus.check(std::slice::from_ref(&spec)) {
                Ok(_) => {
                    let _ = answer.send(Ok(()));
                    return;
                }
                Err(error @ (weir_bus::Error::Unreachable { .. } | weir_bus::Error::Timeout { .. })) => {
                    tracing::warn!(%error, "buffering until the broker answers");
                    std::thread::sleep(Duration::from_secs(1));
                }
                Err(error) => {
                    let _ = answer.send(Err(Error::Bus(error)));
                    return;
                }
            }
        }
    });
    answers
}
