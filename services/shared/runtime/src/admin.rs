//! Each service's own HTTP interface: Prometheus metrics, liveness and readiness.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What stands between a service and being ready, by name. Ready is when nothing does.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, String>>>);

/// One condition of readiness. Not ready until told so.
#[derive(Clone, Debug)]
pub struct Readiness {
    health: Health,
    name: String,
}

impl Health {
    /// Adds a condition, which does not hold yet.
    pub fn condition(&self, name: &str) -> Readiness {
        let readiness = Readiness { health: self.clone(), name: name.to_owned() };
        readiness.not_ready("starting");
        readiness
    }

    /// The conditions that don't hold, with what they wait for.
    pub fn missing(&self) -> BTreeMap<String, String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As `/readyz` answers.
    pub fn answer(&self) -> (StatusCode, String) {
        let missing = self.missing();
        if missing.is_empty() {
            return (StatusCode::OK, "ok\n".to_owned());
        }
        let lines: String = missing.iter().map(|(name, why)| format!("{name}: {why}\n")).collect();
        (StatusCode::SERVICE_UNAVAILABLE, lines)
    }
}

impl Readiness {
    /// The condition holds.
    pub fn ready(&self) {
        self.health.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }

    /// All conditions, of which this is one.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The condition doesn't hold.
    pub fn not_ready(&self, why: &str) {
        self.health
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(self.name.clone(), why.to_owned());
    }
}

/// Installs the process's metrics recorder.
pub fn recorder() -> Result<PrometheusHandle, String> {
    const SECONDS: &[f64] = &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0];
    PrometheusBuilder::new()
        .set_buckets(SECONDS)
        .map_err(|error| error.to_string())?
        .install_recorder()
        .map_err(|error| error.to_string())
}

/// How often histograms are summed up.
pub const UPKEEP: Duration = Duration::from_secs(5);

/// Does `each` every so often until told to stop. Histograms keep every single value until somebody asks or this sums them up, so a
/// service that nobody scrapes would grow without it.
pub async fn upkeep(every: Duration, stop: CancellationToken, mut each: impl FnMut()) {
    while tokio::time::timeout(every, stop.cancelled()).await.is_err() {
        each();
    }
}

#[derive(Clone)]
struct Shown {
    metrics: PrometheusHandle,
    health: Health,
}

/// Serves until told to stop.
pub async fn serve(
    listener: TcpListener,
    metrics: PrometheusHandle,
    health: Health,
    stop: CancellationToken,
) {
    let app = Router::new()
        .route(
            "/metrics",
            get(|State(shown): State<Shown>| async move {
                shown.metrics.run_upkeep();
                shown.metrics.render()
            }),
        )
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(|State(shown): State<Shown>| async move { shown.health.answer() }))
        .with_state(Shown { metrics, health });
    if let Err(error) = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned()).await {
        tracing::warn!(%error, "the metrics interface ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn histograms_are_summed_up_though_nobody_asks_for_them() {
        let (stop, mut times) = (CancellationToken::new(), 0);
        let ends = stop.clone();
        let each = || {
            times += 1;
            if times == 3 {
                ends.cancel();
            }
        };
        let kept = upkeep(Duration::from_millis(5), stop, each);
        tokio::time::timeout(Duration::from_secs(20), kept).await.expect("it goes on");
        assert_eq!(times, 3);
    }
}
