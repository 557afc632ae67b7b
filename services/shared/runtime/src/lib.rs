//! What every service does the same way: configuration, logs, metrics, health, start and stop.
//!
//! A service is a future that works until its [`Stop`] token is cancelled and then drains. SIGTERM and SIGINT cancel it; what has
//! not drained within the configured time is left, loudly, and the process exits with an error.

pub mod admin;
pub mod config;
pub mod host;
pub mod lifecycle;
pub mod logs;
pub mod metrics_doc;
mod workers;

pub use admin::{Health, Readiness};
pub use config::{Config, LoadError, load};
pub use lifecycle::{RunError, run};
pub use logs::Repeats;
pub use tokio_util::sync::CancellationToken as Stop;
pub use workers::{Opened, Word, Workers, live};
