//! Configuration of the API.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// The API: questions over HTTP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on. On a loopback address nobody needs a token; on any other, such as `0.0.0.0:8480`, everybody does. What is
    /// sent is not encrypted: let a proxy do that where others can listen in.
    pub listen: String,
    /// Names under which it may be asked, beside `localhost` and addresses, such as `weir.example.net` of a proxy on this machine; empty: on
    /// loopback none, elsewhere any. Who names one asks for tokens on loopback too.
    pub hosts: Vec<String>,
    /// Whether tokens are asked for on loopback too: behind a proxy that passes no names on, or where others use this machine.
    pub require_token: bool,
    /// File of the tokens' hashes, which `weir token` writes. A change counts at once, without a restart.
    pub tokens_file: PathBuf,
    /// Connections that are open at the same time; others wait until one of them is closed.
    pub connections: usize,
    /// Seconds within which the head of a request must come; a connection that says nothing for so long is closed, between two requests, too, and so
    /// is one that takes nothing of its answer for so long.
    pub header_timeout_s: u64,
    /// Most questions that are worked on at the same time; others wait their turn for a while.
    pub queries: usize,
    /// Seconds that ClickHouse may work on each statement of a question. Its user must be one who may change settings (readonly = 2, or 0).
    pub query_timeout_s: u64,
    /// Bytes of memory that each statement may take there. A question puts three to ten at a time, so in all ClickHouse may be asked for `queries` times
    /// ten of it; a limit of its user (`max_memory_usage_for_user`) is what bounds their sum.
    pub query_memory_bytes: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8480".into(),
            hosts: Vec::new(),
            require_token: false,
            // Beside bus and engine of weir standalone: it lives as long as they do, and belongs to the same user.
            tokens_file: ".weir/data/tokens.toml".into(),
            connections: 1000,
            header_timeout_s: 30,
            queries: 4,
            query_timeout_s: 60,
            query_memory_bytes: 4 << 30,
        }
    }
}

impl Config {
    /// Checks all keys. The error names the key.
    ///
    /// # Errors
    /// A sentence that begins with the key's path.
    pub fn validate(&self) -> Result<(), String> {
        let address = self.listen.parse::<SocketAddr>();
        address.map_err(|_| {
            format!("api.listen: '{}' is no address and port, such as 127.0.0.1:8480", self.listen)
        })?;
        for (n, host) in self.hosts.iter().enumerate() {
            let in_names = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
            if host.is_empty() || !host.chars().all(in_names) {
                let wanted = "is no name alone, such as weir.example.net, without scheme, port and path";
                return Err(format!("api.hosts[{n}]: '{host}' {wanted}"));
            }
        }
        if self.tokens_file.as_os_str().is_empty() {
            return Err("api.tokens_file: must name a file".to_owned());
        }
        if !(1..=100_000).contains(&self.connections) {
            return Err("api.connections: must be between 1 and 100000".to_owned());
        }
        if !(1..=3600).contains(&self.header_timeout_s) {
            return Err("api.header_timeout_s: must be between 1 and 3600".to_owned());
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

    /// Whether it listens where this machine alone gets to.
    pub(crate) fn is_on_loopback(&self) -> bool {
        self.listen.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback())
    }

    /// Whether who asks needs a token.
    pub fn asks_for_tokens(&self) -> bool {
        self.require_token || !self.hosts.is_empty() || !self.is_on_loopback()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_by_its_key() {
        let told = |config: Config| config.validate().unwrap_err();
        for listen in ["127.0.0.1:1", "[::1]:8480", "0.0.0.0:8480"] {
            Config { listen: listen.into(), ..Config::default() }.validate().unwrap();
        }
        let listen = told(Config { listen: "localhost".into(), ..Config::default() });
        assert_eq!(listen, "api.listen: 'localhost' is no address and port, such as 127.0.0.1:8480");
        let hosts = |name: &str| Config { hosts: vec!["a.example".into(), name.into()], ..Config::default() };
        hosts("Weir.Example.net").validate().unwrap();
        for name in ["", "https://weir.example.net", "weir.example.net:443", "weir.example.net/", "*", "a b"]
        {
            let said = told(hosts(name));
            assert!(said.starts_with(&format!("api.hosts[1]: '{name}' ")), "{said}");
        }
        assert!(
            told(Config { tokens_file: PathBuf::new(), ..Config::default() })
                .starts_with("api.tokens_file: ")
        );
        for many in [0, usize::MAX] {
            assert!(told(Config { queries: many, ..Config::default() }).starts_with("api.queries: "));
            assert!(told(Config { connections: many, ..Config::default() }).starts_with("api.connections: "));
        }
        for header_timeout_s in [0, u64::MAX] {
            let said = told(Config { header_timeout_s, ..Config::default() });
            assert!(said.starts_with("api.header_timeout_s: "), "{said}");
        }
    }

    #[test]
    fn who_is_reached_by_more_than_this_machine_asks_for_tokens() {
        let (here, named) = (Config::default(), vec!["weir.example.net".to_owned()]);
        let everywhere = Config { listen: "[::]:8480".into(), ..Config::default() };
        for (config, asks) in [
            (here.clone(), false),
            (Config { listen: "[::1]:1".into(), ..here.clone() }, false),
            (Config { require_token: true, ..here.clone() }, true),
            (Config { hosts: named, ..here }, true),
            (Config { require_token: false, ..everywhere.clone() }, true),
            (Config { listen: "192.0.2.1:8480".into(), ..everywhere }, true),
        ] {
            assert_eq!(config.asks_for_tokens(), asks, "{config:?}");
        }
    }
}
