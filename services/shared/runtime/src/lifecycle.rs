//! From `main` to a drained end, the same for every service.

use crate::admin::{self, Health};
use crate::config::Config;
use std::future::Future;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Why a service ended before its time, or not in time.
#[derive(Debug, Error)]
pub enum RunError<E: std::error::Error + 'static> {
    /// The service's own error.
    #[error(transparent)]
    Service(E),
    /// Something around it could not be set up.
    #[error("{0}")]
    Setup(String),
    /// It did not drain in time.
    #[error(
        "{service} did not drain within {seconds} s (runtime.drain_s) and was ended; what it had read from the bus is read again at the next start, datagrams that it had not handed on are lost"
    )]
    Drain {
        /// The service.
        service: String,
        /// The limit.
        seconds: u64,
    },
    /// It was told twice.
    #[error(
        "{service} was told a second time to end ({signal}) and did so at once, without draining; what it had read from the bus is read again at the next start, datagrams that it had not handed on are lost"
    )]
    Twice {
        /// The service.
        service: String,
        /// The signal.
        signal: &'static str,
    },
}

/// Runs a service: metrics and health on `admin` (empty: none), until the service ends or a signal asks it to drain.
///
/// `service` makes its conditions of readiness before it gives its future.
///
/// On SIGTERM or SIGINT the token is cancelled and the service gets `drain_s` to return; so it does where it cancels the token itself.
/// A second signal ends it at once.
pub async fn run<E, F, Fut>(
    name: &str,
    config: &Config,
    admin: &str,
    describe: fn(),
    service: F,
) -> Result<(), RunError<E>>
where
    E: std::error::Error + 'static,
    F: FnOnce(Health, CancellationToken) -> Fut,
    Fut: Future<Output = Result<(), E>>,
{
    let setup = RunError::Setup;
    let health = Health::default();
    let stop = CancellationToken::new();
    let ended = CancellationToken::new();
    let metrics = admin::recorder().map_err(setup)?;
    describe();
    let summed = metrics.clone();
    // Its conditions of readiness are there before anybody can ask whether they hold.
    let work = service(health.clone(), stop.clone());
    if !admin.is_empty() {
        let listener = TcpListener::bind(admin)
            .await
            .map_err(|error| setup(format!("runtime.admin.{name}: can't listen on {admin}: {error}")))?;
        tracing::info!(address = %admin, "metrics, liveness and readiness");
        tokio::spawn(admin::serve(listener, metrics, health.clone(), ended.clone()));
    }
    tokio::spawn(admin::upkeep(admin::UPKEEP, ended.clone(), move || summed.run_upkeep()));
    let signals = signals().map_err(|error| setup(error.to_string()))?;
    let done = attend(name, config.drain_s, &stop, work, signals).await;
    ended.cancel();
    done
}

/// SIGTERM and SIGINT, as they come.
fn signals() -> std::io::Result<mpsc::UnboundedReceiver<&'static str>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (told, signals) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let signal = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if told.send(signal).is_err() {
                return;
            }
        }
    });
    Ok(signals)
}

/// Works until the end. The first signal, or a part of the service that ended, begins the drain; a second signal ends it.
async fn attend<E: std::error::Error + 'static>(
    name: &str,
    drain_s: u64,
    stop: &CancellationToken,
    work: impl Future<Output = Result<(), E>>,
    mut signals: mpsc::UnboundedReceiver<&'static str>,
) -> Result<(), RunError<E>> {
    tokio::pin!(work);
    let (why, mut told) = tokio::select! {
        done = &mut work => return done.map_err(RunError::Service),
        Some(signal) = signals.recv() => (signal, true),
        () = stop.cancelled() => ("a part of it ended", false),
    };
    tracing::info!(why, limit_s = drain_s, "draining");
    stop.cancel();
    let limit = tokio::time::sleep(Duration::from_secs(drain_s));
    tokio::pin!(limit);
    loop {
        tokio::select! {
            // What has ended in order has, whatever else came at the same time.
            biased;
            done = &mut work => return done.map_err(RunError::Service),
            () = &mut limit => {
                return Err(RunError::Drain { service: name.to_owned(), seconds: drain_s });
            }
            Some(signal) = signals.recv() => {
                if std::mem::replace(&mut told, true) {
                    return Err(RunError::Twice { service: name.to_owned(), signal });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::io::Error;

    type Sent = mpsc::UnboundedSender<&'static str>;

    fn attended(
        work: impl Future<Output = Result<(), Error>> + Send + 'static,
        drain_s: u64,
    ) -> (Sent, CancellationToken, tokio::task::JoinHandle<String>) {
        let ((sent, signals), stop) = (mpsc::unbounded_channel(), CancellationToken::new());
        let stopped = stop.clone();
        let ended = tokio::spawn(async move {
            let ended = attend("this", drain_s, &stopped, work, signals);
            let ended = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it hangs");
            ended.err().map(|error| error.to_string()).unwrap_or_default()
        });
        (sent, stop, ended)
    }

    #[tokio::test]
    async fn a_second_signal_ends_at_once_with_a_sentence() {
        let (sent, stop, ended) = attended(pending(), 600);
        sent.send("SIGTERM").unwrap();
        stop.cancelled().await;
        sent.send("SIGINT").unwrap();
        let word = ended.await.unwrap();
        assert!(word.starts_with("this was told a second time to end (SIGINT)"), "{word}");
    }

    #[tokio::test]
    async fn what_does_not_drain_in_time_is_left_also_where_a_part_of_it_began_the_end() {
        for by_signal in [true, false] {
            let (sent, stop, ended) = attended(pending(), 0);
            if by_signal {
                sent.send("SIGTERM").unwrap()
            } else {
                stop.cancel()
            }
            let word = ended.await.unwrap();
            assert!(word.starts_with("this did not drain within 0 s"), "{word}");
        }
    }

    #[tokio::test]
    async fn the_end_is_the_services_own_word_where_it_comes_in_time() {
        let (_sent, _, ended) = attended(async { Err(Error::other("broken")) }, 600);
        assert_eq!(ended.await.unwrap(), "broken");
    }
}
