//! Where to listen, whom to listen to, and how much to hold.

use crate::Error;
use crate::networks::Networks;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Configuration of ingest.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses to listen on. The default is loopback; `0.0.0.0` and `::` are all of this machine, for everybody who reaches it.
    pub addresses: Vec<IpAddr>,
    /// UDP ports to listen on, at each address. Any protocol may come to any port. 0 takes a free one and logs it.
    pub ports: Vec<u16>,
    /// Receiving threads. More than one needs a kernel that steers by source address (Linux 4.5); else one serves all.
    pub workers: usize,
    /// Kernel receive buffer of a socket, bytes. Beyond the system's limit (`net.core.rmem_max`) only with CAP_NET_ADMIN.
    pub receive_buffer_bytes: usize,
    /// A frame is sent when it would be larger than this, bytes.
    pub frame_bytes: usize,
    /// Frames are sent when the first datagram of the oldest is this old, ms.
    pub frame_age_ms: u64,
    /// The most that is held in memory for a slow or absent broker, bytes, all workers together; what comes beyond goes to the spool, or is
    /// dropped and counted. Memory is lost with a killed process, and at the end after `drain_timeout_ms`.
    pub buffer_bytes: usize,
    /// Where frames wait when the buffer is full.
    pub spool: SpoolConfig,
    /// How long the end may wait for the broker to acknowledge what is held, ms. What is in the spool then stays there.
    pub drain_timeout_ms: u64,
    /// Networks or addresses that datagrams are taken from, such as `192.0.2.0/24` or `2001:db8::/32`; empty: from all. What comes from
    /// elsewhere is dropped and counted.
    pub sources: Vec<String>,
    /// Datagrams that a source address may send a second; absent: no limit. What comes beyond is dropped and counted.
    pub exporter_rate: Option<u32>,
    /// Datagrams that it may send at once; absent: as many as in a second.
    pub exporter_burst: Option<u32>,
}

/// Where frames wait on disk when the buffer is full.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolConfig {
    /// Folder, of one ingest alone; absent: no spool. What lies there at the start is sent before anything newer. It survives a killed
    /// process, not a power cut; about 4 MiB a worker at most that were sent and not known to be acknowledged are then sent again.
    pub path: Option<PathBuf>,
    /// The most that lies there, bytes, all workers together; the newest is dropped and counted beyond.
    pub bytes: u64,
    /// A file is closed and another one begun before it would be longer than this, bytes. A file is removed when all of it is acknowledged.
    pub segment_bytes: u64,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self { path: None, bytes: 4 << 30, segment_bytes: 16 << 20 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            addresses: vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            ports: vec![2055, 4739, 6343],
            workers: 1,
            receive_buffer_bytes: 16 << 20,
            frame_bytes: 64_000,
            frame_age_ms: 100,
            buffer_bytes: 256 << 20,
            spool: SpoolConfig::default(),
            drain_timeout_ms: 10_000,
            sources: Vec::new(),
            exporter_rate: None,
            exporter_burst: None,
        }
    }
}

impl Config {
    /// Refuses what cannot work, by the name of the key.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<(), Error> {
        let wrong = |key: &str, reason: String| Err(Error::Config { key: key.to_owned(), reason });
        if self.addresses.is_empty() {
            return wrong("ingest.addresses", "is empty; name at least one address".to_owned());
        }
        if self.ports.is_empty() {
            return wrong("ingest.ports", "is empty; name at least one port".to_owned());
        }
        let twice = |i: usize| self.ports[i] != 0 && self.ports[..i].contains(&self.ports[i]);
        if let Some(i) = (0..self.ports.len()).find(|i| twice(*i)) {
            return wrong("ingest.ports", format!("{} is named twice", self.ports[i]));
        }
        if let Some(i) =
            (0..self.addresses.len()).find(|i| self.addresses[..*i].contains(&self.addresses[*i]))
        {
            return wrong("ingest.addresses", format!("{} is named twice", self.addresses[i]));
        }
        if !(1..=64).contains(&self.workers) {
            return wrong("ingest.workers", format!("{} is not 1 to 64", self.workers));
        }
        if !(4096..=1 << 30).contains(&self.receive_buffer_bytes) {
            let reason = format!("{} is not 4096 to 1 GiB", self.receive_buffer_bytes);
            return wrong("ingest.receive_buffer_bytes", reason);
        }
        if !(1..=500_000).contains(&self.frame_bytes) {
            let reason = format!(
                "{} is not 1 to 500000, which is what a Kafka message holds with room",
                self.frame_bytes
            );
            return wrong("ingest.frame_bytes", reason);
        }
        if !(1..=60_000).contains(&self.frame_age_ms) {
            return wrong("ingest.frame_age_ms", format!("{} is not 1 to 60000", self.frame_age_ms));
        }
        if self.buffer_bytes / self.workers < 1 << 20 {
            let reason = format!("{} is less than 1 MiB a worker", self.buffer_bytes);
            return wrong("ingest.buffer_bytes", reason);
        }
        self.networks()?;
        match (self.exporter_rate, self.exporter_burst) {
            (Some(rate), _) if !(1..=1_000_000).contains(&rate) => {
                return wrong("ingest.exporter_rate", format!("{rate} is not 1 to 1000000"));
            }
            (_, Some(0)) => {
                return wrong("ingest.exporter_burst", "0 would let nothing in".to_owned());
            }
            (None, Some(_)) => {
                return wrong("ingest.exporter_burst", "is set without ingest.exporter_rate".to_owned());
            }
            _ => {}
        }
        self.validate_spool()
    }

    fn validate_spool(&self) -> Result<(), Error> {
        let wrong = |key: &str, reason| Err(Error::Config { key: format!("ingest.spool.{key}"), reason });
        let SpoolConfig { path: Some(path), bytes, segment_bytes } = &self.spool else { return Ok(()) };
        if path.as_os_str().is_empty() {
            return wrong("path", "is empty; name a folder, or leave it out".to_owned());
        }
        if !(1 << 20..=1 << 30).contains(segment_bytes) {
            return wrong("segment_bytes", format!("{segment_bytes} is not 1 MiB to 1 GiB"));
        }
        let least = 2 * segment_bytes * self.workers as u64;
        if *bytes < least {
            let reason = format!(
                "{bytes} is less than two files of ingest.spool.segment_bytes a worker ({least}); a file is removed as a whole"
            );
            return wrong("bytes", reason);
        }
        Ok(())
    }

    /// Whom to listen to, where that is not all.
    pub(crate) fn networks(&self) -> Result<Option<Networks>, Error> {
        if self.sources.is_empty() {
            return Ok(None);
        }
        let wrong = |(place, reason)| Error::Config { key: format!("ingest.sources[{place}]"), reason };
        Networks::parse(&self.sources).map(Some).map_err(wrong)
    }

    pub(crate) fn listeners(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses
            .iter()
            .flat_map(|address| self.ports.iter().map(|port| SocketAddr::new(*address, *port)))
    }

    pub(crate) fn frame_age(&self) -> Duration {
        Duration::from_millis(self.frame_age_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_loopback_and_valid_and_every_mistake_names_its_key() {
        let default = Config::default();
        default.validate().unwrap();
        assert!(default.listeners().all(|address| address.ip().is_loopback()));
        let told = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert_eq!(told(&|c| c.ports = vec![2055, 1, 2055]), "ingest.ports: 2055 is named twice");
        assert_eq!(told(&|c| c.workers = 0), "ingest.workers: 0 is not 1 to 64");
        assert!(told(&|c| c.addresses.clear()).starts_with("ingest.addresses: is empty"));
        assert!(told(&|c| c.frame_bytes = 2_000_000).starts_with("ingest.frame_bytes: 2000000"));
        assert!(told(&|c| c.buffer_bytes = 10).starts_with("ingest.buffer_bytes: 10"));
        let sources = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let words = told(&|c| c.sources = sources(&["192.0.2.0/24", "nowhere"]));
        assert!(words.starts_with("ingest.sources[1]: \"nowhere\" is no network; write one as"), "{words}");
        assert_eq!(told(&|c| c.exporter_rate = Some(0)), "ingest.exporter_rate: 0 is not 1 to 1000000");
        assert!(told(&|c| c.exporter_burst = Some(5)).starts_with("ingest.exporter_burst: is set without"));
        let spool =
            |path: &str, bytes, segment_bytes| SpoolConfig { path: Some(path.into()), bytes, segment_bytes };
        assert!(told(&|c| c.spool = spool("", 1 << 30, 1 << 20)).starts_with("ingest.spool.path: is empty"));
        assert!(told(&|c| c.spool = spool("s", 1 << 30, 9)).starts_with("ingest.spool.segment_bytes: 9 is"));
        let words = told(&|c| (c.spool, c.workers) = (spool("s", 3 << 20, 1 << 20), 2));
        assert!(words.starts_with("ingest.spool.bytes: 3145728 is less than two files"), "{words}");
    }
}
