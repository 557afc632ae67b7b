//! Configuration of the API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// The API: questions over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on: a loopback address, because nobody is asked for a token yet.
    pub listen: String,
    /// Most questions that are worked on at the same time; others wait their turn for a while.
    pub queries: usize,
    /// Seconds that ClickHouse may work on each statement of a question. Its user must be one who may change settings (readonly = 2, or 0).
    pub query_timeout_s: u64,
    /// Bytes of memory that each statement may take there.
    pub query_memory_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8480".into(), queries: 4, query_timeout_s: 60, query_memory_bytes: 4 << 30 }
    }
}

impl Config {
    /// Checks all keys. The error names the key.
    ///
    /// # Errors
    /// A sentence that begins with the key's path.
    pub fn validate(&self) -> Result<(), String> {
        let address = self.listen.parse::<SocketAddr>();
        let address = address.map_err(|_| {
            format!("api.listen: '{}' is no address and port, such as 127.0.0.1:8480", self.listen)
        })?;
        if !address.ip().is_loopback() {
            return Err(format!(
                "api.listen: {address} is not loopback, and whoever gets there may ask anything"
            ));
        }
        if !(1..=1000).contains(&self.queries) {
            return Err("api.queries: must be between 1 and 1000".to_owned());
        }
        if self.query_timeout_s == 0 {
            return Err("api.query_timeout_s: must be at least 1".to_owned());
        }
        if self.query_memory_bytes < 1 << 20 {
            return Err("api.query_memory_bytes: must be at least a megabyte (1048576)".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_others_reach_and_nonsense_are_refused_by_their_key() {
        for (listen, sentence) in [
            ("127.0.0.1:1", None),
            ("[::1]:8480", None),
            (
                "0.0.0.0:8480",
                Some("api.listen: 0.0.0.0:8480 is not loopback, and whoever gets there may ask anything"),
            ),
            ("localhost", Some("api.listen: 'localhost' is no address and port, such as 127.0.0.1:8480")),
        ] {
            let said = Config { listen: listen.into(), ..Config::default() }.validate().err();
            assert_eq!(said.as_deref(), sentence);
        }
        for queries in [0, usize::MAX] {
            assert!(Config { queries, ..Config::default() }.validate().is_err());
        }
    }
}
