//! What decoding may use and believe: limits and plausibility.
//!
//! Every limit is there because an address can be spoofed: what one exporter, and all of a partition, can make the decoder keep
//! is bounded, whatever it sends.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which packet of a tunnel is the flow, where a sampled header or a record has both. The other one's addresses are kept beside it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tunnels {
    /// The packet around: whom the network exchanges it with.
    #[default]
    Outer,
    /// The packet within: whose traffic it is.
    Inner,
}

/// Which address says who an exporter is, in the column `exporter_id`: it names a device to people, and is never the key of anything. Where it is
/// not told, the transport source address stands in for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// The best that is told: the original exporter, else the exporting process; of sFlow the agent.
    #[default]
    Told,
    /// The transport source address, whatever is told.
    Source,
    /// sFlow's agent address.
    Agent,
    /// The exporting process (IE 130, 131), behind a proxy.
    ExportingProcess,
    /// The original exporter (IE 403, 404), behind a mediator (RFC 7119).
    OriginalExporter,
}

/// What total counters (IE 85, 86 and their like) count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TotalCounters {
    /// What their record is of, as deltas do.
    #[default]
    Deltas,
    /// All since the flow began: a record is worth what it adds to the one before.
    Cumulative,
}

/// What of one exporter is configured otherwise than of all ([`Options`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Which address says who it is.
    pub identity: Option<Identity>,
    /// What its total counters count.
    pub total_counters: Option<TotalCounters>,
}

/// Limits and plausibility of decoding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Templates kept per exporter, over all ports and observation domains.
    pub templates: usize,
    /// Seconds since it was last sent after which a template may make room for a new one.
    pub template_idle_s: u32,
    /// Seconds after an exporter's restart that data waits for its template to be sent again. Then it is decoded by the one from before, and flagged.
    /// 0: restarts are not looked at, and what waited since before one is decoded by whatever template comes.
    pub template_suspect_s: u32,
    /// Fields in a template.
    pub template_fields: usize,
    /// Bytes of a record's fixed-length part.
    pub record_bytes: usize,
    /// How deep lists may lie in lists (RFC 6313) for `weir decode --all-fields` to print their elements, and not their bytes. Flows have no columns for
    /// lists: these are stepped over.
    pub list_depth: usize,
    /// Bytes of data waiting for a template, per exporter.
    pub parked_bytes: usize,
    /// Seconds that data waits for its template, by the receive times of the exporter's own datagrams.
    pub parked_age_s: u32,
    /// Sampling rates, and interfaces, kept per exporter; of each this many.
    pub options_rows: usize,
    /// Seconds after which an announcement of a sampling rate is forgotten that its exporter no longer makes, while it repeats others of the same protocol and
    /// observation domain three times or more: others of its port or, where nothing comes from that any more, of any. Routers that send one kind of options
    /// more often than another want more than the longest of these times; Cisco's come every 1800 s. 0: never.
    pub rate_lifetime_s: u32,
    /// Bytes of an interface's name or description; longer ones are cut.
    pub text_bytes: usize,
    /// Largest sampling interval that is believed.
    pub max_sampling_interval: u64,
    /// Whether the addresses, protocol and ports of a packet in a tunnel (GRE, IP in IP, VXLAN, Geneve, GTP-U, SRv6) are those of the packet around
    /// it, outer, or of the one within, inner, where a sampled header or a record tells of both.
    pub tunnels: Tunnels,
    /// Which address says who an exporter is (`exporter_id`), where `decoder.enrich.exporters` does not say it of one: the transport source address
    /// (source), sFlow's agent (agent), the exporting process behind a proxy (exporting_process: IE 130, 131), the original exporter behind a mediator
    /// (original_exporter: IE 403, 404), or the best of them that is told (told). In a record it counts before options data. Never a key.
    pub identity: Identity,
    /// What total counters (IE 85, 86, 199, 353, 429; v9's permanent bytes and packets) count, where `decoder.enrich.exporters` does not say it of one:
    /// what their record is of (deltas), or all since their flow began (cumulative), so that a record is worth what it adds to the one before. Where it is
    /// not known what had been counted before, since the flow began before it was looked at, was forgotten, or does not fit to its last record, its totals
    /// count as nothing, and the record is flagged totals_unknown.
    pub total_counters: TotalCounters,
    /// Flows of cumulative counters kept per exporter, and of all exporters of a partition what a quarter of `decoder.state_bytes` holds. Those that were
    /// silent for longest make room.
    pub total_flows: usize,
    /// Seconds since its last record after which a flow of cumulative counters is forgotten when others come.
    pub total_idle_s: u32,
    /// Seconds that a flow may end after it was received, before its times count as implausible.
    pub future_s: u32,
    /// Seconds that a flow may start before it was received, before its times count as implausible.
    pub past_s: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            templates: 4096,
            template_idle_s: 7200,
            template_suspect_s: 60,
            template_fields: 1024,
            record_bytes: 16 * 1024,
            list_depth: 4,
            parked_bytes: 1024 * 1024,
            parked_age_s: 1800,
            options_rows: 65_536,
            rate_lifetime_s: 7200,
            text_bytes: 256,
            max_sampling_interval: 1 << 32,
            tunnels: Tunnels::Outer,
            identity: Identity::Told,
            total_counters: TotalCounters::Deltas,
            total_flows: 65_536,
            total_idle_s: 7200,
            future_s: 300,
            past_s: 7200,
        }
    }
}

impl Options {
    /// Checks what serde can't. The error names the key.
    pub fn validate(&self) -> Result<(), String> {
        let positive = [
            ("templates", self.templates),
            ("template_fields", self.template_fields),
            ("record_bytes", self.record_bytes),
            ("options_rows", self.options_rows),
            ("total_flows", self.total_flows),
            ("text_bytes", self.text_bytes),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("{key} is 0: nothing could be decoded"));
        }
        for (key, value) in [("record_bytes", self.record_bytes), ("text_bytes", self.text_bytes)] {
            if value > usize::from(u16::MAX) {
                return Err(format!("{key} is {value}: a datagram has at most 65535 bytes"));
            }
        }
        if (1..600).contains(&self.rate_lifetime_s) {
            return Err(format!(
                "rate_lifetime_s is {}: use 0 (never), or 600 and more, that is, three times what routers send options in",
                self.rate_lifetime_s
            ));
        }
        if self.list_depth > 64 {
            return Err(format!("list_depth is {}: use a value up to 64", self.list_depth));
        }
        if self.max_sampling_interval == 0 || self.max_sampling_interval > 1 << 32 {
            return Err(format!(
                "max_sampling_interval is {}: use a value from 1 to 2^32",
                self.max_sampling_interval
            ));
        }
        Ok(())
    }
}

/// What all exporters of a partition may keep together: the second bound, for when source addresses are spoofed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of data that may wait for templates.
    pub parked_limit: usize,
    /// Bytes that wait.
    pub parked: usize,
    /// Bytes that templates, rates, interfaces, and flows of cumulative counters may take.
    pub state_limit: usize,
    /// Bytes that they take.
    pub state: usize,
    /// Of these, bytes of flows of cumulative counters: a quarter of the limit at most, so that they leave room to what they are decoded by.
    pub totals: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::new(64 * 1024 * 1024, 512 * 1024 * 1024)
    }
}

impl Budget {
    /// A budget of these limits, with nothing used.
    pub fn new(parked_limit: usize, state_limit: usize) -> Self {
        Self { parked_limit, parked: 0, state_limit, state: 0, totals: 0 }
    }
}
