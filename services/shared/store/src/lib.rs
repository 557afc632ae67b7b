//! ClickHouse for Weir: a client, migrations, and the embedded engine.
//!
//! Knows nothing of decoding: it sends rows that others wrote and applies tables that `weir_schemas` describes.

pub mod client;
pub mod config;
pub mod engine;
pub mod metrics;
pub mod migrate;

pub use client::{MAX_INSERT_ROWS, SETTINGS_VERSION, Store, StoreError};
pub use config::{Compression, Config, ConfigError, EngineConfig};
