//! Configuration of the decoder.

use crate::enrich;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The decoder: `weir.raw` to `weir.flows`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Consumer group.
    pub group: String,
    /// Stable identity of this process, such as the pod's name: `transactional.id` and `group.instance.id` are made of it and
    /// the worker's number. Two processes must never share one.
    pub instance: String,
    /// Chains side by side, each a thread with a consumer and a producer of its own; 0: one a core.
    pub workers: usize,
    /// Leave the group at the end, so that others take over at once (scale-down); otherwise a restart keeps its partitions.
    pub leave_on_stop: bool,
    /// Longest time between the first record of a cycle (one transaction) and its commit, in ms.
    pub cycle_ms: u64,
    /// Most bytes of `weir.raw` in a cycle.
    pub cycle_bytes: usize,
    /// Failures at the same record after which it goes to the dead letters.
    pub poison_after: u32,
    /// Bytes of data that may wait for templates, per partition.
    pub parked_bytes: usize,
    /// Bytes of templates and options data that are kept, per partition.
    pub state_bytes: usize,
    /// Exporters that are kept in memory per partition; one of which nothing is known makes room for another.
    pub exporters: usize,
    /// Decode generation that rows carry; higher when a window is decoded again.
    pub generation: u32,
    /// Schema id of the registry for `weir.flows`; 0 without a registry.
    pub schema_id: u32,
    /// Limits and plausibility of decoding.
    pub wire: weir_wire::Options,
    /// Names, links, ASes, countries.
    pub enrich: enrich::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            group: "weir-decoder".into(),
            instance: "decoder-0".into(),
            workers: 0,
            leave_on_stop: false,
            cycle_ms: 500,
            cycle_bytes: 8 << 20,
            poison_after: 5,
            parked_bytes: 64 << 20,
            state_bytes: 512 << 20,
            exporters: 100_000,
            generation: 0,
            schema_id: 0,
            wire: weir_wire::Options::default(),
            enrich: enrich::Config::default(),
        }
    }
}

impl Config {
    /// Checks what can be checked without files. The error names the key.
    pub fn validate(&self) -> Result<(), String> {
        let refuse = |key: &str, what: &str| Err(format!("decoder.{key}: {what}"));
        if self.group.is_empty() {
            return refuse("group", "must not be empty");
        }
        if self.instance.is_empty() {
            return refuse(
                "instance",
                "must not be empty: it names this process among the group, such as decoder-0",
            );
        }
        if !(10..=5_000).contains(&self.cycle_ms) {
            return refuse(
                "cycle_ms",
                "must be between 10 and 5000: a transaction that stays open longer is aborted",
            );
        }
        if self.cycle_bytes == 0 {
            return refuse("cycle_bytes", "must be at least 1");
        }
        if self.poison_after == 0 {
            return refuse("poison_after", "must be at least 1");
        }
        if self.state_bytes == 0 {
            return refuse("state_bytes", "must be at least 1: without state there are no templates");
        }
        if self.exporters == 0 {
            return refuse("exporters", "must be at least 1");
        }
        self.wire.validate().map_err(|error| format!("decoder.wire.{error}"))
    }

    /// Number of chains to run.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }
}
