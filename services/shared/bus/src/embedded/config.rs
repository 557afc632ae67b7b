//! Where the embedded bus keeps its logs, and how safe and how long.

use crate::{Error, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The embedded bus of `weir standalone`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedConfig {
    /// Folder of the logs. One process uses it at a time.
    pub path: PathBuf,
    /// Partitions of every topic, when the folder is made; one that is there keeps its number. Each is read by one worker at a time, and is
    /// an insert of its own every few seconds: twice as many as cores are enough, and more only cost.
    pub partitions: usize,
    /// When what was acknowledged is safe from a power cut. It is safe from a killed process in any case.
    pub fsync: Fsync,
    /// Time between two syncs where `fsync` is `interval`, ms.
    pub fsync_interval_ms: u64,
    /// A file is closed and another one begun when it is this long, bytes: what retention removes at a time.
    pub segment_bytes: u64,
    /// Most bytes of datagrams as received, whatever their age; 0: no bound.
    pub raw_bytes: u64,
    /// Most bytes of decoded flows, whatever their age; 0: no bound.
    pub flows_bytes: u64,
    /// Most bytes of what could not be decoded, whatever its age; 0: no bound.
    pub deadletter_bytes: u64,
    /// Where less than this is free on the disk, nothing is accepted until there is room again, bytes.
    pub reserve_bytes: u64,
    /// What was appended last stays in memory for its readers, up to so many bytes.
    pub cache_bytes: usize,
}

/// When what was acknowledged is safe from a power cut.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Fsync {
    /// Before it is acknowledged.
    Always,
    /// Within `fsync_interval_ms`.
    Interval,
    /// When the operating system gets to it.
    Never,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            path: ".weir/data/bus".into(),
            partitions: 4,
            fsync: Fsync::Interval,
            fsync_interval_ms: 1_000,
            segment_bytes: 128 << 20,
            raw_bytes: 16 << 30,
            flows_bytes: 16 << 30,
            deadletter_bytes: 1 << 30,
            reserve_bytes: 1 << 30,
            cache_bytes: 32 << 20,
        }
    }
}

impl EmbeddedConfig {
    /// Refuses what cannot work, by the name of the key.
    pub(crate) fn validate(&self) -> Result<()> {
        let wrong =
            |key: &str, reason: String| Err(Error::Config { key: format!("bus.embedded.{key}"), reason });
        if self.path.as_os_str().is_empty() {
            return wrong("path", "is empty; name a folder".to_owned());
        }
        if !(1..=1_000).contains(&self.partitions) {
            return wrong("partitions", format!("{} is not 1 to 1000", self.partitions));
        }
        if !(10..=60_000).contains(&self.fsync_interval_ms) {
            return wrong("fsync_interval_ms", format!("{} ms is not 10 to 60000", self.fsync_interval_ms));
        }
        if !(1 << 20..=4 << 30).contains(&self.segment_bytes) {
            return wrong("segment_bytes", format!("{} is not 1 MiB to 4 GiB", self.segment_bytes));
        }
        for (key, bytes) in [
            ("raw_bytes", self.raw_bytes),
            ("flows_bytes", self.flows_bytes),
            ("deadletter_bytes", self.deadletter_bytes),
        ] {
            if bytes != 0 && bytes < 2 * self.segment_bytes {
                let reason = format!(
                    "{bytes} is less than two files of bus.embedded.segment_bytes ({}); a file is removed as a whole",
                    self.segment_bytes
                );
                return wrong(key, reason);
            }
        }
        if self.cache_bytes > 4 << 30 {
            return wrong("cache_bytes", format!("{} is more than 4 GiB", self.cache_bytes));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_names_its_key() {
        EmbeddedConfig::default().validate().unwrap();
        let told = |change: &dyn Fn(&mut EmbeddedConfig)| {
            let mut config = EmbeddedConfig::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(told(&|c| c.path = PathBuf::new()).starts_with("bus.embedded.path: "));
        assert!(told(&|c| c.partitions = 0).starts_with("bus.embedded.partitions: 0 is not"));
        assert!(told(&|c| c.fsync_interval_ms = 0).starts_with("bus.embedded.fsync_interval_ms: 0 ms"));
        assert!(told(&|c| c.segment_bytes = 9).starts_with("bus.embedded.segment_bytes: 9 is not"));
        assert!(
            told(&|c| c.raw_bytes = 1 << 20).starts_with("bus.embedded.raw_bytes: 1048576 is less than two")
        );
    }
}
