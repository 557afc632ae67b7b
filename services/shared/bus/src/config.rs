//! How to reach the bus, and how long to wait for it.

use crate::{EmbeddedConfig, Error, Result, Topics};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Configuration of the bus.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Kafka brokers to begin with, `host:port`, several with commas.
    pub bootstrap_servers: String,
    /// Settings handed to librdkafka as they are, by its names: `security.protocol`, `sasl.mechanism`, `sasl.username`, `ssl.ca.location`, …
    /// Those that exactly-once rests on are refused.
    pub properties: Properties,
    /// File with the SASL password (`sasl.password`), so that it need not stand among other settings. Read at start.
    pub password_file: Option<PathBuf>,
    /// First part of all topic names.
    pub topic_prefix: String,
    /// Partitions of every topic; fixed once the topics are there. `weir standalone` has `embedded.partitions`.
    pub partitions: usize,
    /// Copies of every partition.
    pub replication: usize,
    /// How long topics keep records.
    pub retention: Retention,
    /// Compression of what is sent.
    pub compression: Compression,
    /// How long the first answer of a broker may take, ms.
    pub connect_timeout_ms: u64,
    /// How long any other answer of a broker may take, ms.
    pub request_timeout_ms: u64,
    /// A group member that is not heard of for this long has lost its partitions, ms.
    pub session_timeout_ms: u64,
    /// How often a group member says that it is there, ms. At most a third of the session time-out.
    pub heartbeat_interval_ms: u64,
    /// A group member that does not ask for records for this long has lost its partitions, ms.
    pub poll_interval_ms: u64,
    /// A transaction that is open for longer is aborted by the broker, ms. Everything downstream of a dead producer waits this long.
    pub transaction_timeout_ms: u64,
    /// How long a restore waits for open transactions, ms. More than `transaction_timeout_ms`.
    pub restore_timeout_ms: u64,
    /// How long records wait for company before they are sent, ms.
    pub linger_ms: u64,
    /// The most that a consumer holds fetched and not yet asked for, bytes.
    pub fetch_buffer_bytes: usize,
    /// The most that a transactional producer holds and has not sent, bytes.
    pub send_buffer_bytes: usize,
    /// The bus of `weir standalone`, which takes no broker. Of the keys above it has `topic_prefix`, `retention`, `compression`,
    /// `restore_timeout_ms`, `linger_ms` and `send_buffer_bytes`.
    pub embedded: EmbeddedConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bootstrap_servers: "127.0.0.1:9092".to_owned(),
            properties: Properties::default(),
            password_file: None,
            topic_prefix: "weir".to_owned(),
            partitions: 12,
            replication: 1,
            retention: Retention::default(),
            compression: Compression::Lz4,
            connect_timeout_ms: 10_000,
            request_timeout_ms: 30_000,
            session_timeout_ms: 10_000,
            heartbeat_interval_ms: 2_000,
            poll_interval_ms: 300_000,
            transaction_timeout_ms: 10_000,
            restore_timeout_ms: 60_000,
            linger_ms: 5,
            fetch_buffer_bytes: 64 << 20,
            send_buffer_bytes: 128 << 20,
            embedded: EmbeddedConfig::default(),
        }
    }
}

/// How long topics keep records, by append time. The bus of `weir standalone` takes another time at its next start, for what is there too;
/// Kafka's topics have it from when they are created, and later what their owner sets.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Datagrams as received, ms.
    pub raw_ms: i64,
    /// Decoded flows, ms.
    pub flows_ms: i64,
    /// What could not be decoded, ms.
    pub deadletter_ms: i64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: i64 = 24 * 3600 * 1000;
        Self { raw_ms: DAY, flows_ms: DAY, deadletter_ms: 7 * DAY }
    }
}

/// Compression of what is sent.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// Cheap.
    Lz4,
    /// Smaller, at more cost.
    Zstd,
}

impl Compression {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }
}

/// librdkafka settings by name. Printing them, in whatever form, hides secrets.
#[derive(Clone, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(transparent)]
pub struct Properties(pub BTreeMap<String, String>);

impl Properties {
    fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        // Those that are known to be no secret; a name that is not here may be one.
        const OPEN: [&str; 12] = [
            "security.protocol",
            "sasl.mechanism",
            "sasl.mechanisms",
            "sasl.username",
            "ssl.ca.location",
            "ssl.certificate.location",
            "ssl.key.location",
            "ssl.endpoint.identification.algorithm",
            "client.rack",
            "broker.address.family",
            "debug",
            "statistics.interval.ms",
        ];
        const OPEN_BEGIN: [&str; 6] = ["socket.", "fetch.", "metadata.", "reconnect.", "retry.", "log."];
        self.0.iter().map(|(name, value)| {
            let open =
                OPEN.contains(&name.as_str()) || OPEN_BEGIN.iter().any(|begin| name.starts_with(begin));
            (name.as_str(), if open { value.as_str() } else { "(hidden)" })
        })
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.shown())
    }
}

/// Settings that this crate sets itself, because correctness rests on them.
const OURS: &[&str] = &[
    "bootstrap.servers",
    "client.id",
    "message.max.bytes",
    "api.version.request",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "partition.assignment.strategy",
    "isolation.level",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "enable.idempotence",
    "enable.partition.eof",
    "acks",
    "request.required.acks",
    "transactional.id",
    "transaction.timeout.ms",
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "max.poll.interval.ms",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "retries",
    "message.send.max.retries",
    "message.timeout.ms",
    "delivery.timeout.ms",
];

impl Config {
    /// Names of the topics.
    pub fn topics(&self) -> Topics {
        Topics::with_prefix(&self.topic_prefix)
    }

    /// Refuses what cannot work, by the name of the key.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn validate(&self) -> Result<()> {
        let wrong = |key: &str, reason: String| Err(Error::Config { key: format!("bus.{key}"), reason });
        if self.bootstrap_servers.trim().is_empty() {
            return wrong("bootstrap_servers", "is empty; name at least one broker as host:port".to_owned());
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.topic_prefix.is_empty()
            || self.topic_prefix.len() > 200
            || !self.topic_prefix.chars().all(legal)
        {
            let reason = format!("{:?} is not 1 to 200 letters, digits, '.', '_' or '-'", self.topic_prefix);
            return wrong("topic_prefix", reason);
        }
        if let Some(name) = self.properties.0.keys().find(|name| OURS.contains(&name.as_str())) {
            return wrong(&format!("properties.{name}"), "is set by Weir itself; remove it".to_owned());
        }
        if !(1..=10_000).contains(&self.partitions) {
            return wrong("partitions", format!("{} is not 1 to 10000", self.partitions));
        }
        if !(1..=100).contains(&self.replication) {
            return wrong("replication", format!("{} is not 1 to 100", self.replication));
        }
        let times = [
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("request_timeout_ms", self.request_timeout_ms),
            ("session_timeout_ms", self.session_timeout_ms),
            ("heartbeat_interval_ms", self.heartbeat_interval_ms),
            ("poll_interval_ms", self.poll_interval_ms),
            ("transaction_timeout_ms", self.transaction_timeout_ms),
            ("restore_timeout_ms", self.restore_timeout_ms),
        ];
        if let Some((key, value)) = times.into_iter().find(|(_, ms)| !(100..=3_600_000).contains(ms)) {
            return wrong(key, format!("{value} ms is not 100 ms to one hour"));
        }
        if self.heartbeat_interval_ms * 3 > self.session_timeout_ms {
            let reason =
                format!("{} is more than a third of bus.session_timeout_ms", self.heartbeat_interval_ms);
            return wrong("heartbeat_interval_ms", reason);
        }
        if self.poll_interval_ms < self.session_timeout_ms {
            let reason = format!("{} is less than bus.session_timeout_ms", self.poll_interval_ms);
            return wrong("poll_interval_ms", reason);
        }
        if self.restore_timeout_ms <= self.transaction_timeout_ms {
            let reason = format!("{} is not more than bus.transaction_timeout_ms", self.restore_timeout_ms);
            return wrong("restore_timeout_ms", reason);
        }
        if self.linger_ms > 10_000 {
            return wrong("linger_ms", format!("{} is more than 10000", self.linger_ms));
        }
        for (key, bytes) in
            [("fetch_buffer_bytes", self.fetch_buffer_bytes), ("send_buffer_bytes", self.send_buffer_bytes)]
        {
            if !(1 << 20..=2 << 30).contains(&bytes) {
                return wrong(key, format!("{bytes} is not 1 MiB to 2 GiB"));
            }
        }
        let retention = &self.retention;
        for (key, ms) in [
            ("retention.raw_ms", retention.raw_ms),
            ("retention.flows_ms", retention.flows_ms),
            ("retention.deadletter_ms", retention.deadletter_ms),
        ] {
            if ms < 60_000 {
                return wrong(key, format!("{ms} is less than a minute"));
            }
        }
        self.embedded.validate()
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_every_mistake_names_its_key() {
        Config::default().validate().unwrap();
        let told = |change: &dyn Fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(told(&|c| c.bootstrap_servers.clear()).starts_with("bus.bootstrap_servers: is empty"));
        assert!(told(&|c| c.partitions = 0).starts_with("bus.partitions: 0 is not"));
        assert!(told(&|c| c.topic_prefix = "a b".to_owned()).starts_with("bus.topic_prefix: \"a b\""));
        assert!(told(&|c| c.heartbeat_interval_ms = 9_000).starts_with("bus.heartbeat_interval_ms"));
        assert!(told(&|c| c.restore_timeout_ms = 10_000).starts_with("bus.restore_timeout_ms"));
        let ours = |c: &mut Config| {
            c.properties.0.insert("isolation.level".to_owned(), "read_uncommitted".to_owned());
        };
        assert!(told(&ours).starts_with("bus.properties.isolation.level: is set by Weir itself"));
    }

    #[test]
    fn secrets_are_never_printed() {
        let mut config = Config::default();
        for (name, value) in [
            ("sasl.username", "ann"),
            ("sasl.password", "hunter2"),
            ("ssl.key.pem", "hunter3"),
            ("sasl.oauthbearer.assertion.private.key.passphrase", "hunter4"),
        ] {
            config.properties.0.insert(name.to_owned(), value.to_owned());
        }
        let shown = format!("{config:?}");
        assert!(shown.contains("ann") && !shown.contains("hunter"), "{shown}");
    }
}
