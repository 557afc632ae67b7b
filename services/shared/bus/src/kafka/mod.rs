//! The bus on Kafka, through librdkafka.
//!
//! Everything that exactly-once rests on is set here and cannot be configured away: committed records only, no commit that nobody
//! asked for, no jump where an offset is gone, idempotent producers that wait for all in-sync replicas.

mod admin;
mod ask;
mod consumer;
mod coverage;
mod native;
mod producer;
mod reader;
mod reports;
mod stops;
mod writer;

pub use consumer::KafkaConsumer;
pub(crate) use native::header;
pub use producer::KafkaProducer;
pub use reader::KafkaReader;
pub use writer::KafkaWriter;

use crate::{Bus, Config, Description, Error, Result, TopicSpec, Topics};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Kafka as a [`Bus`].
#[derive(Clone, Debug)]
pub struct KafkaBus {
    config: Arc<Config>,
    /// Asked now and then for as long as a service runs.
    admin: Arc<admin::Admin>,
}

impl KafkaBus {
    /// A bus as configured. Nothing is opened yet.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn new(mut config: Config) -> Result<Self> {
        config.validate()?;
        if let Some(path) = &config.password_file {
            let password = std::fs::read_to_string(path).map_err(|error| Error::Config {
                key: "bus.password_file".to_owned(),
                reason: format!("{}: {error}", path.display()),
            })?;
            config.properties.0.insert("sasl.password".to_owned(), password.trim_end().to_owned());
        }
        let config = Arc::new(config);
        Ok(Self { admin: Arc::new(admin::Admin::new(&config)), config })
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

impl Bus for KafkaBus {
    type Consumer = KafkaConsumer;
    type Producer = KafkaProducer;
    type Reader = KafkaReader;
    type Writer = KafkaWriter;

    fn topics(&self) -> Topics {
        self.config.topics()
    }

    fn partitions(&self) -> usize {
        self.config.partitions
    }

    fn reach(&self) -> Result<()> {
        admin::reach(&self.config)
    }

    fn join(&self, group: &str, topic: &str, instance: &str) -> Result<KafkaConsumer> {
        KafkaConsumer::join(&self.config, group, topic, instance)
    }

    fn transactional(&self, transactional_id: &str) -> Result<KafkaProducer> {
        KafkaProducer::open(&self.config, transactional_id)
    }

    fn reader(&self) -> Result<KafkaReader> {
        KafkaReader::open(&self.config)
    }

    fn writer(&self, buffer_bytes: usize) -> Result<KafkaWriter> {
        KafkaWriter::open(&self.config, buffer_bytes)
    }

    fn describe(&self, topics: &[&str]) -> Result<Vec<Option<Description>>> {
        self.admin.describe(topics)
    }

    fn create(&self, spec: &TopicSpec) -> Result<bool> {
        self.admin.create(spec)
    }

    fn delete(&self, topic: &str) -> Result<bool> {
        self.admin.delete(topic)
    }
}

/// What every client has: addresses, the people's own settings, and quick reconnection.
fn client(config: &Config, name: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", &config.bootstrap_servers)
        .set("client.id", name)
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.connection.setup.timeout.ms", "5000")
        .set("socket.keepalive.enable", "true")
        .set("log.connection.close", "false")
        .set("allow.auto.create.topics", "false");
    for (name, value) in &config.properties.0 {
        client.set(name, value);
    }
    by_default(&mut client, config, "socket.timeout.ms", SILENCE);
    client
}

/// How long a broker may say nothing, ms: what a machine that stands still or fell off the network was asked is given up then, and only then are its
/// partitions' new leaders heard of.
const SILENCE: u64 = 10_000;

/// A number that people may set otherwise.
fn by_default(client: &mut ClientConfig, config: &Config, name: &str, value: u64) {
    if !config.properties.0.contains_key(name) {
        client.set(name, value.to_string());
    }
}

/// What every consumer has on top.
fn reading(config: &Config, name: &str, isolation: &str) -> ClientConfig {
    let mut client = client(config, name);
    client
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.error.backoff.ms", "100")
        .set("queued.max.messages.kbytes", (config.fetch_buffer_bytes / 1024).to_string());
    client
}

/// What every producer has on top. `buffer_bytes` bounds what is taken and not yet acknowledged.
fn writing(config: &Config, name: &str, buffer_bytes: usize) -> ClientConfig {
    let mut client = client(config, name);
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", config.compression.name())
        .set("linger.ms", config.linger_ms.to_string())
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "0")
        .set("queue.buffering.max.kbytes", (buffer_bytes / 1024).max(1).to_string());
    // Before the connection is given up: a broker that waits for its followers says so in time.
    by_default(&mut client, config, "request.timeout.ms", SILENCE - 2000);
    client
}

/// First offset and end of a partition, from whoever leads it now.
fn watermarks<C: ConsumerContext>(
    handle: &BaseConsumer<C>,
    topic: &str,
    partition: i32,
    limit: Duration,
) -> KafkaResult<(i64, i64)> {
    // librdkafka goes on asking the leader that it knew, whether that lives or not, until metadata names another.
    let look = |patience| drop(handle.fetch_metadata(Some(topic), patience));
    let ask = |patience| {
        handle.fetch_watermarks(topic, partition, patience).map_err(|error| {
            match error.rdkafka_error_code() {
                // While brokers come and go it may for a moment not know a partition that is there.
                Some(RDKafkaErrorCode::UnknownPartition) => {
                    match exists(handle, topic, Some(partition), patience) {
                        Ok(false) => error,
                        Err(why) if !passes(&why) => why,
                        _ => KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable),
                    }
                }
                _ => error,
            }
        })
    };
    ask::again(Instant::now() + limit, passes, ask, look)
}

/// An error beside a topic is an answer only where it says that there is no such topic.
fn known(code: RDKafkaErrorCode) -> KafkaResult<()> {
    match code {
        RDKafkaErrorCode::UnknownTopicOrPartition => Ok(()),
        code => Err(KafkaError::MetadataFetch(code)),
    }
}

/// Whether the topic is there, and has this partition. An error where who answered does not know.
fn exists<C: ConsumerContext>(
    handle: &BaseConsumer<C>,
    topic: &str,
    partition: Option<i32>,
    patience: Duration,
) -> KafkaResult<bool> {
    let all = handle.fetch_metadata(Some(topic), patience)?;
    all.topics().iter().filter_map(|found| found.error()).try_for_each(|code| known(code.into()))?;
    let mut partitions = all.topics().iter().flat_map(|found| found.partitions());
    Ok(partitions.any(|found| partition.is_none_or(|partition| partition == found.id())))
}

/// A client that cannot be made is a wrong setting: librdkafka opens no connection for it.
fn refused(error: KafkaError) -> Error {
    let (key, reason) = match error {
        KafkaError::ClientConfig(_, reason, name, _) => (format!("bus.properties.{name}"), reason),
        other => ("bus".to_owned(), other.to_string()),
    };
    Error::Config { key, reason }
}

/// What an error of the client means for whoever asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Nobody answered in time.
    Unanswered,
    /// Who answered is not, or not yet, the one to be asked.
    Moving,
    /// Anything else.
    Other,
}

fn code(error: &KafkaError) -> Option<RDKafkaErrorCode> {
    match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    }
}

fn kind(error: &KafkaError) -> Kind {
    use RDKafkaErrorCode as Code;
    match code(error) {
        Some(
            Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::BrokerTransportFailure
            | Code::NetworkException
            | Code::AllBrokersDown
            | Code::TimedOutQueue,
        ) => Kind::Unanswered,
        Some(
            Code::DestroyBroker
            | Code::NodeUpdate
            | Code::WaitingForCoordinator
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotLeaderForPartition
            | Code::LeaderNotAvailable
            | Code::ReplicaNotAvailable
            | Code::KafkaStorageError
            | Code::FencedLeaderEpoch
            | Code::UnknownLeaderEpoch
            | Code::OffsetNotAvailable
            | Code::NotEnoughReplicas
            | Code::UnstableOffsetCommit,
        ) => Kind::Moving,
        _ => Kind::Other,
    }
}

/// Whether another try, maybe with another broker, may have an answer.
fn passes(error: &KafkaError) -> bool {
    kind(error) != Kind::Other
}

/// An error of the client as ours; a timeout as what it is.
fn failed(doing: impl Display, error: KafkaError, waited: Duration) -> Error {
    let (doing, code) = (doing.to_string(), code(&error));
    let reason = code.map_or_else(|| error.to_string(), |code| code.to_string());
    match kind(&error) {
        Kind::Unanswered => Error::Timeout { doing, waited },
        Kind::Moving => Error::Moving { doing, reason },
        Kind::Other => Error::Bus { doing, reason },
    }
}

fn list(topic: &str, partitions: impl IntoIterator<Item = (i32, Offset)>) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::new();
    for (partition, offset) in partitions {
        list.add_partition_offset(topic, partition, offset).map_err(|error| {
            failed(format!("offset {offset:?} of {topic}/{partition}"), error, Duration::ZERO)
        })?;
    }
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_may_not_be_seen_is_not_one_that_is_not_there() {
        assert_eq!(known(RDKafkaErrorCode::UnknownTopicOrPartition), Ok(()));
        for (code, may_pass) in [
            (RDKafkaErrorCode::TopicAuthorizationFailed, false),
            (RDKafkaErrorCode::LeaderNotAvailable, true),
        ] {
            assert_eq!(passes(&known(code).unwrap_err()), may_pass, "{code}");
        }
    }
}
