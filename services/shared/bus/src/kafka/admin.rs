//! Topics: what is there, and making it.

use super::native;
use super::reports::Reports;
use super::{ask, client, failed, refused};
use crate::{Config, Description, Error, Result, TopicSpec};
use pollster::block_on;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigEntry, NewTopic, ResourceSpecifier, TopicReplication, TopicResult,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

struct Reach(Reports);

impl rdkafka::ClientContext for Reach {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, fac: &str, message: &str) {
        self.0.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
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

fn options(timeout: Duration) -> AdminOptions {
    AdminOptions::new().request_timeout(Some(timeout)).operation_timeout(Some(timeout))
}

type Client = AdminClient<DefaultClientContext>;

/// Asks about topics, over one client that is kept from the first answer on.
pub(super) struct Admin {
    config: Arc<Config>,
    kept: Mutex<Option<Arc<Client>>>,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Admin {
    /// Opens nothing yet.
    pub(super) fn new(config: &Arc<Config>) -> Self {
        Self { config: Arc::clone(config), kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Arc<Client>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the kept client, or a new one of a broker that has just answered: otherwise every error would be the same time-out.
    fn ask<T>(&self, ask: impl FnOnce(&Client) -> Result<T>) -> Result<T> {
        let kept = self.kept().clone();
        let known = kept.is_some();
        let admin = match kept {
            Some(admin) => admin,
            None => {
                reach(&self.config)?;
                Arc::new(client(&self.config, "weir-admin").create().map_err(refused)?)
            }
        };
        let answer = ask(&admin);
        match &answer {
            Ok(_) => *self.kept() = Some(admin),
            // The next question begins anew, and this one ends with why nobody answers, where that is so.
            Err(Error::Timeout { .. }) => {
                *self.kept() = None;
                if known {
                    reach(&self.config)?;
                }
            }
            Err(_) => {}
        }
        answer
    }

    /// An answer's error code as ours.
    fn failed(&self, doing: String, code: RDKafkaErrorCode) -> Error {
        failed(doing, KafkaError::AdminOp(code), self.config.request_timeout())
    }

    pub(super) fn describe(&self, topics: &[&str]) -> Result<Vec<Option<Description>>> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        // A client keeps to the broker that it asked, dead or not; each try has a new one. Where no broker answers at all, `connect_timeout_ms` has passed.
        let passes = |error: &Error| matches!(error, Error::Timeout { .. } | Error::Moving { .. });
        let ask = |patience| self.ask(|admin| self.described(admin, topics, patience));
        ask::again(Instant::now() + self.config.request_timeout(), passes, ask, |_| {})
    }

    fn described(
        &self,
        admin: &Client,
        topics: &[&str],
        patience: Duration,
    ) -> Result<Vec<Option<Description>>> {
        let of = |error| {
            let limit = self.config.request_timeout();
            failed(format!("describing topics {}", topics.join(", ")), error, limit)
        };
        let described = native::describe_topics(admin, topics, patience).map_err(of)?;
        let resources: Vec<_> = topics
            .iter()
            .zip(&described)
            .filter(|(_, described)| described.is_some())
            .map(|(topic, _)| ResourceSpecifier::Topic(topic))
            .collect();
        let settings = if resources.is_empty() {
            Vec::new()
        } else {
            block_on(admin.describe_configs(&resources, &options(patience))).map_err(of)?
        };
        let mut settings = settings.into_iter();
        topics
            .iter()
            .zip(described)
            .map(|(topic, described)| {
                let Some(described) = described else { return Ok(None) };
                let doing = || format!("reading the settings of topic {topic}");
                let none = || Error::Bus { doing: doing(), reason: "no answer".to_owned() };
                let settings =
                    settings.next().ok_or_else(none)?.map_err(|code| self.failed(doing(), code))?;
                let value = |name: &str| {
                    let entry: Option<&ConfigEntry> =
                        settings.entries.iter().find(|entry| entry.name == name);
                    entry.and_then(|entry| entry.value.clone())
                };
                // Every topic has one. The settings are another broker's answer, which may not have heard of a new topic yet.
                let unknown =
                    || Error::Moving { doing: doing(), reason: "they are not known yet".to_owned() };
                Ok(Some(Description {
                    name: (*topic).to_owned(),
                    partitions: described.partitions,
                    cleanup: value("cleanup.policy").ok_or_else(unknown)?,
                    retention_ms: value("retention.ms").and_then(|ms| ms.parse().ok()),
                    append_time: value("message.timestamp.type").as_deref() == Some("LogAppendTime"),
                    min_in_sync: value("min.insync.replicas").and_then(|n| n.parse().ok()).unwrap_or(1),
                    incarnation: described.id,
                }))
            })
            .collect()
    }

    pub(super) fn create(&self, spec: &TopicSpec) -> Result<bool> {
        let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        let mut topic = NewTopic::new(
            &spec.name,
            count(spec.partitions),
            TopicReplication::Fixed(count(spec.replication)),
        );
        for (name, value) in &spec.settings {
            topic = topic.set(name, value);
        }
        let created = self.ask(|admin| {
            self.outcome(
                block_on(admin.create_topics([&topic], &options(self.config.request_timeout()))),
                RDKafkaErrorCode::TopicAlreadyExists,
                format!("creating topic {}", spec.name),
            )
        })?;
        // The controller answers before every broker knows the topic.
        if created {
            self.settled(&spec.name, true)?;
        }
        Ok(created)
    }

    pub(super) fn delete(&self, topic: &str) -> Result<bool> {
        let deleted = self.ask(|admin| {
            self.outcome(
                block_on(admin.delete_topics(&[topic], &options(self.config.request_timeout()))),
                RDKafkaErrorCode::UnknownTopicOrPartition,
                format!("deleting topic {topic}"),
            )
        })?;
        if deleted {
            self.settled(topic, false)?;
        }
        Ok(deleted)
    }

    /// `false` where the one topic's answer is `already`.
    fn outcome(
        &self,
        answer: KafkaResult<Vec<TopicResult>>,
        already: RDKafkaErrorCode,
        doing: String,
    ) -> Result<bool> {
        match answer.map_err(|error| failed(&doing, error, self.config.request_timeout()))?.pop() {
            Some(Ok(_)) => Ok(true),
            Some(Err((_, code))) if code == already => Ok(false),
            Some(Err((_, code))) => Err(self.failed(doing, code)),
            None => Err(Error::Bus { doing, reason: "no answer for it".to_owned() }),
        }
    }

    /// Waits until the topic is there (or not) for those who ask.
    fn settled(&self, topic: &str, there: bool) -> Result<()> {
        let begun = Instant::now();
        while begun.elapsed() < self.config.request_timeout() {
            if self.describe(&[topic])?.iter().all(|found| found.is_some() == there) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let doing = format!("waiting for topic {topic} to be {}", if there { "there" } else { "gone" });
        Err(Error::Timeout { doing, waited: self.config.request_timeout() })
    }
}
