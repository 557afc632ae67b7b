//! Where ClickHouse is, and how long it keeps what.

use axum::http::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use thiserror::Error;

/// ClickHouse, as client and store see it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// URL of ClickHouse's HTTP interface: `http://`, host and port, alone. It is not spoken to over TLS; a proxy on this machine can.
    pub url: String,
    /// Database that holds Weir's tables. `weir migrate` creates it.
    pub database: String,
    /// User.
    pub user: String,
    /// File that holds the password; empty: no password. A password itself is never a key, so that it is in no log.
    pub password_file: Option<PathBuf>,
    /// Name of the cluster for ON CLUSTER and Replicated tables; absent: one server.
    pub cluster: Option<String>,
    /// Seconds after which an unanswered insert counts as failed.
    pub insert_timeout_s: u64,
    /// Seconds after which an unanswered query counts as failed.
    pub query_timeout_s: u64,
    /// Seconds after which any other unanswered statement counts as failed, such as the ALTER and DELETE of `weir redecode`, which take long
    /// where tables are large.
    pub statement_timeout_s: u64,
    /// Compression of inserts and answers on their way. Where a loopback address leads elsewhere, as through a tunnel, say `lz4`.
    pub compression: Compression,
    /// Days kept, by table; a table that is not named here keeps its default, 0 keeps always.
    pub retention_days: BTreeMap<String, u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8123".into(),
            database: "weir".into(),
            user: "default".into(),
            password_file: None,
            cluster: None,
            insert_timeout_s: 120,
            query_timeout_s: 600,
            statement_timeout_s: 3600,
            compression: Compression::Auto,
            retention_days: BTreeMap::new(),
        }
    }
}

/// Compression on the way to ClickHouse.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// None to a loopback address, LZ4 to any other.
    Auto,
    /// Not at all.
    None,
    /// LZ4.
    Lz4,
}

/// The embedded engine.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// The engine's library, `libchdb.so`. `make setup` fetches it.
    pub library: PathBuf,
    /// Folder of the data. One process uses it at a time.
    pub data: PathBuf,
    /// Address of the HTTP interface. It has no users and no encryption, so anything but loopback is refused.
    pub listen: String,
    /// Largest request body, in bytes.
    pub max_body_bytes: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            library: ".weir/engine/libchdb.so".into(),
            data: ".weir/data/engine".into(),
            listen: "127.0.0.1:8123".into(),
            max_body_bytes: 1 << 30,
        }
    }
}

/// A key that can't stay as it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key}: {what}")]
pub struct ConfigError {
    /// Path of the key below the section.
    pub key: String,
    /// What is wrong and what would be right.
    pub what: String,
}

fn refuse(key: &str, what: impl Into<String>) -> Result<(), ConfigError> {
    Err(ConfigError { key: key.into(), what: what.into() })
}

impl Config {
    /// Checks what can be checked without asking ClickHouse.
    pub fn validate(&self) -> Result<(), ConfigError> {
        // Before anything that says the URL again.
        if self.url.contains(['?', '@']) {
            return refuse(
                "url",
                "must name host and port alone, as it is in logs and errors: the user is clickhouse.user, the password is in the file that \
                 clickhouse.password_file names, the database is clickhouse.database",
            );
        }
        if self.url.starts_with("https://") {
            return refuse(
                "url",
                format!(
                    "'{}': TLS is not supported yet; name a proxy on this machine that speaks it to ClickHouse, such as http://127.0.0.1:8123",
                    self.url
                ),
            );
        }
        if !self.url.starts_with("http://") || self.url.parse::<Uri>().is_err() {
            return refuse("url", format!("'{}' is no URL; it looks like http://host:8123", self.url));
        }
        if self.database.is_empty() || !self.database.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return refuse("database", "must be letters, digits and underscores");
        }
        for (key, seconds) in [
            ("insert_timeout_s", self.insert_timeout_s),
            ("query_timeout_s", self.query_timeout_s),
            ("statement_timeout_s", self.statement_timeout_s),
        ] {
            if seconds == 0 {
                return refuse(key, "must be at least 1");
            }
        }
        for table in self.retention_days.keys() {
            let known = |t: &&weir_schemas::rollup::Table| t.days > 0;
            if !weir_schemas::rollup::tables().filter(known).any(|t| t.name == table) {
                let names: Vec<_> = weir_schemas::rollup::tables().filter(known).map(|t| t.name).collect();
                return refuse(
                    &format!("retention_days.{table}"),
                    format!("there is no such table; those with retention are {}", names.join(", ")),
                );
            }
        }
        Ok(())
    }

    /// Whether what is sent is compressed. Within one machine packing and unpacking cost more than the copy that they save.
    pub(crate) fn compresses(&self) -> bool {
        match self.compression {
            Compression::Auto => !self.is_local(),
            Compression::None => false,
            Compression::Lz4 => true,
        }
    }

    /// Whether it is on this machine, by its address.
    fn is_local(&self) -> bool {
        let url: Option<Uri> = self.url.parse().ok();
        let host = url.as_ref().and_then(Uri::host).unwrap_or_default();
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    }
}

impl EngineConfig {
    /// Checks that nothing but this machine can reach the engine.
    pub fn validate(&self) -> Result<(), ConfigError> {
        match self.listen.parse::<std::net::SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(()),
            Ok(_) => refuse(
                "listen",
                "the engine has no users, so it listens on loopback only, such as 127.0.0.1:8123",
            ),
            Err(_) => {
                refuse("listen", format!("'{}' is no address; it looks like 127.0.0.1:8123", self.listen))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid() {
        Config::default().validate().unwrap();
        EngineConfig::default().validate().unwrap();
    }

    #[test]
    fn nothing_is_compressed_for_a_server_on_this_machine_unless_told_so() {
        for (url, local) in [
            ("http://127.0.0.1:8123", true),
            ("http://127.9.9.9", true),
            ("http://[::1]:8123/", true),
            ("http://LocalHost:8123/x?y", true),
            ("http://192.0.2.1:8123", false),
            ("https://localhost.example.org", false),
            ("http://", false),
        ] {
            let config = Config { url: url.into(), ..Config::default() };
            assert_eq!(config.compresses(), !local, "{url}");
            assert!(Config { compression: Compression::Lz4, ..config.clone() }.compresses());
            assert!(!Config { compression: Compression::None, ..config }.compresses());
        }
    }

    #[test]
    fn a_bad_key_is_named_with_what_would_be_right() {
        let config = Config { retention_days: [("flow".to_owned(), 3)].into(), ..Config::default() };
        assert!(
            config
                .validate()
                .unwrap_err()
                .to_string()
                .starts_with("retention_days.flow: there is no such table")
        );
        let said = |url: &str| {
            let error = Config { url: url.into(), ..Config::default() }.validate().unwrap_err().to_string();
            assert!(error.starts_with("url: "), "{error}");
            error
        };
        for url in
            ["http://127.0.0.1:8123/?user=me&password=secret", "http://me:secret@127.0.0.1", "me:secret@x"]
        {
            let error = said(url);
            assert!(error.contains("clickhouse.password_file") && !error.contains("secret"), "{error}");
        }
        assert!(said("https://192.0.2.1:8443").contains("TLS is not supported yet"));
        for url in ["127.0.0.1:8123", "http://", "http://a b"] {
            assert!(said(url).ends_with("is no URL; it looks like http://host:8123"), "{url}");
        }
        let engine = EngineConfig { listen: "0.0.0.0:8123".into(), ..EngineConfig::default() };
        assert!(engine.validate().unwrap_err().to_string().starts_with("listen: the engine has no users"));
    }
}
