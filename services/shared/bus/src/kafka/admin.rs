//! Topics: what is there, and making it.

use super::native;
use super::reports::Reports;
use super::{client, failed, refused};
use crate::{Config, Description, Error, Result, TopicSpec};
use pollster::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigEntry, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer};
use std::time::{Duration, Instant};

struct Reach(Reports);

impl rdkafka::ClientContext for Reach {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, fac: &str, message: &str) {
        self.0.log(level, fac, message);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl rdkafka::producer::ProducerContext for Reach {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &rdkafka::producer::DeliveryResult<'_>, _: ()) {}
}

/// Waits for the first broker that answers.
pub(super) fn reach(config: &Config) -> Result<()> {
    let context = Reach(Reports::default());
    let probe: BaseProducer<Reach> =
        client(config, "weir-probe").create_with_context(context).map_err(refused)?;
    let (begun, limit) = (Instant::now(), config.connect_timeout());
    loop {
        let left = limit.saturating_sub(begun.elapsed());
        if probe.client().fetch_cluster_id(left.min(Duration::from_millis(200))).is_some() {
            return Ok(());
        }
        probe.poll(Duration::ZERO);
        if begun.elapsed() >= limit {
            let reason = probe.context().0.last();
            return Err(Error::Unreachable {
                servers: config.bootstrap_servers.clone(),
                waited: limit,
                reason,
            });
        }
    }
}

/// An admin client of a broker that has just answered: otherwise every error would be the same time-out.
fn admin(config: &Config) -> Result<AdminClient<rdkafka::client::DefaultClientContext>> {
    reach(config)?;
    client(config, "weir-admin").create().map_err(refused)
}

fn options(config: &Config) -> AdminOptions {
    let timeout = config.request_timeout();
    AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout))
}

pub(super) fn describe(config: &Config, topics: &[&str]) -> Result<Vec<Option<Description>>> {
    if topics.is_empty() {
        return Ok(Vec::new());
    }
    let admin = admin(config)?;
    let doing = || format!("describing topics {}", topics.join(", "));
    let described = native::describe_topics(&admin, topics, config.request_timeout())
        .map_err(|reason| Error::Bus { doing: doing(), reason })?;
    let resources: Vec<_> = topics
        .iter()
        .zip(&described)
        .filter(|(_, described)| described.is_some())
        .map(|(topic, _)| ResourceSpecifier::Topic(topic))
        .collect();
    let settings = if resources.is_empty() {
        Vec::new()
    } else {
        block_on(admin.describe_configs(&resources, &options(config)))
            .map_err(|error| failed(doing(), error, config.request_timeout()))?
    };
    let mut settings = settings.into_iter();
    topics
        .iter()
        .zip(described)
        .map(|(topic, described)| {
            let Some(described) = described else { return Ok(None) };
            let of = |reason: String| Error::Bus {
                doing: format!("reading the settings of topic {topic}"),
                reason,
            };
            let settings = settings
                .next()
                .ok_or_else(|| of("no answer".to_owned()))?
                .map_err(|code| of(code.to_string()))?;
            let value = |name: &str| {
                let entry: Option<&ConfigEntry> = settings.entries.iter().find(|entry| entry.name == name);
                entry.and_then(|entry| entry.value.clone())
            };
            Ok(Some(Description {
                name: (*topic).to_owned(),
                partitions: described.partitions,
                cleanup: value("cleanup.policy").unwrap_or_default(),
                retention_ms: value("retention.ms").and_then(|ms| ms.parse().ok()),
                append_time: value("message.timestamp.type").as_deref() == Some("LogAppendTime"),
                min_in_sync: value("min.insync.replicas").and_then(|n| n.parse().ok()).unwrap_or(1),
                incarnation: described.id,
            }))
        })
        .collect()
}

pub(super) fn create(config: &Config, spec: &TopicSpec) -> Result<bool> {
    let admin = admin(config)?;
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let mut topic =
        NewTopic::new(&spec.name, count(spec.partitions), TopicReplication::Fixed(count(spec.replication)));
    for (name, value) in &spec.settings {
        topic = topic.set(name, value);
    }
    outcome(
        block_on(admin.create_topics([&topic], &options(config))),
        RDKafkaErrorCode::TopicAlreadyExists,
        format!("creating topic {}", spec.name),
        config,
    )
    .and_then(|created| {
        // The controller answers before every broker knows the topic.
        if created {
            settled(config, &spec.name, true)?;
        }
        Ok(created)
    })
}

pub(super) fn delete(config: &Config, topic: &str) -> Result<bool> {
    let admin = admin(config)?;
    let deleted = outcome(
        block_on(admin.delete_topics(&[topic], &options(config))),
        RDKafkaErrorCode::UnknownTopicOrPartition,
        format!("deleting topic {topic}"),
        config,
    )?;
    if deleted {
        settled(config, topic, false)?;
    }
    Ok(deleted)
}

/// `false` where the one topic's answer is `already`.
fn outcome(
    answer: rdkafka::error::KafkaResult<Vec<rdkafka::admin::TopicResult>>,
    already: RDKafkaErrorCode,
    doing: String,
    config: &Config,
) -> Result<bool> {
    match answer.map_err(|error| failed(&doing, error, config.request_timeout()))?.pop() {
        Some(Ok(_)) => Ok(true),
        Some(Err((_, code))) if code == already => Ok(false),
        Some(Err((_, code))) => Err(Error::Bus { doing, reason: code.to_string() }),
        None => Err(Error::Bus { doing, reason: "no answer for it".to_owned() }),
    }
}

/// Waits until the topic is there (or not) for those who ask.
fn settled(config: &Config, topic: &str, there: bool) -> Result<()> {
    let begun = Instant::now();
    while begun.elapsed() < config.request_timeout() {
        if describe(config, &[topic])?.iter().all(|found| found.is_some() == there) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let doing = format!("waiting for topic {topic} to be {}", if there { "there" } else { "gone" });
    Err(Error::Timeout { doing, waited: config.request_timeout() })
}
