//! Configuration of the sink.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of a batch that was being inserted when the sink stopped, and of which `weir.flows` has not all any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LostBatch {
    /// The sink says what is missing, and ends.
    Stop,
    /// What is left is inserted under the batch's own tokens: a table that has it already keeps it whole, one that has not gets what is left.
    StoreRest,
}

/// The sink: `weir.flows` to ClickHouse.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Consumer group.
    pub group: String,
    /// Stable identity of this process, such as the pod's name. Two processes must never share one.
    pub instance: String,
    /// Chains side by side, each a thread with a consumer of its own; 0: one a core.
    pub workers: usize,
    /// Leave the group at the end, so that others take over at once (scale-down); otherwise a restart keeps its partitions.
    pub leave_on_stop: bool,
    /// Age in ms at which a batch is inserted, however small: what freshness costs in parts.
    pub batch_ms: u64,
    /// Flows at which a batch is inserted before its age. At most 500 000, so that one insert is one block.
    pub batch_rows: usize,
    /// Bytes of rows at which a batch is inserted before its age.
    pub batch_bytes: usize,
    /// Most bytes of batches in memory, per worker, inserted ones included until ClickHouse has acknowledged; reading stops there. Beside it
    /// each partition keeps up to 8 MiB of room for its next batch, and each insert that runs holds its rows a second time, as columns.
    pub memory_bytes: usize,
    /// Inserts at the same time, per worker.
    pub inserts: usize,
    /// What to do where weir.flows has not all any more of a batch that was being inserted when the sink stopped (a power cut or retention took
    /// of it): stop, or store_rest, which inserts what is left under the same tokens; nothing is doubled, and what is missing is counted. Where the
    /// batch's last message is gone, the rest waits for the first one behind it.
    pub lost_batch: LostBatch,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            group: "weir-sink".into(),
            instance: "sink-0".into(),
            workers: 1,
            leave_on_stop: false,
            batch_ms: 3000,
            batch_rows: 300_000,
            batch_bytes: 96 << 20,
            memory_bytes: 512 << 20,
            inserts: 2,
            lost_batch: LostBatch::Stop,
        }
    }
}

impl Config {
    /// Checks all keys. The error names the key.
    pub fn validate(&self) -> Result<(), String> {
        let refuse = |key: &str, what: &str| Err(format!("sink.{key}: {what}"));
        if self.group.is_empty() {
            return refuse("group", "must not be empty");
        }
        if self.instance.is_empty() {
            return refuse(
                "instance",
                "must not be empty: it names this process among the group, such as sink-0",
            );
        }
        if !(1..=500_000).contains(&self.batch_rows) {
            return refuse("batch_rows", "must be between 1 and 500000");
        }
        if self.batch_ms == 0 {
            return refuse("batch_ms", "must be at least 1");
        }
        if self.batch_bytes == 0 || self.memory_bytes < 2 * self.batch_bytes {
            return refuse(
                "memory_bytes",
                "must be at least twice sink.batch_bytes, for one batch that fills and one that is inserted",
            );
        }
        if self.inserts == 0 {
            return refuse("inserts", "must be at least 1");
        }
        Ok(())
    }

    /// Number of chains to run.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}
