//! From `main` to a drained end, the same for every service.

use crate::admin::{self, Health};
use crate::config::Config;
use std::future::Future;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
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
        "{service} did not drain within {seconds} s (runtime.drain_s); what it had not handed on is read again at the next start"
    )]
    Drain {
        /// The service.
        service: String,
        /// The limit.
        seconds: u64,
    },
}

/// Runs a service: metrics and health on `admin` (empty: none), until the service ends or a signal asks it to drain.
///
/// On SIGTERM or SIGINT the token is cancelled and the service gets `drain_s` to return.
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
    if !admin.is_empty() {
        let listener = TcpListener::bind(admin)
            .await
            .map_err(|error| setup(format!("runtime.admin.{name}: can't listen on {admin}: {error}")))?;
        tracing::info!(address = %admin, "metrics, liveness and readiness");
        tokio::spawn(admin::serve(listener, metrics, health.clone(), ended.clone()));
    }
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| setup(error.to_string()))?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| setup(error.to_string()))?;
    let work = service(health, stop.clone());
    tokio::pin!(work);
    let done = tokio::select! {
        done = &mut work => return finish(done, &ended),
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    };
    tracing::info!(signal = done, limit_s = config.drain_s, "draining");
    stop.cancel();
    match tokio::time::timeout(Duration::from_secs(config.drain_s), &mut work).await {
        Ok(done) => finish(done, &ended),
        Err(_) => Err(RunError::Drain { service: name.to_owned(), seconds: config.drain_s }),
    }
}

fn finish<E: std::error::Error + 'static>(
    done: Result<(), E>,
    ended: &CancellationToken,
) -> Result<(), RunError<E>> {
    ended.cancel();
    done.map_err(RunError::Service)
}
