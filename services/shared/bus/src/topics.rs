//! The table of Weir's topics: names, what keeps their records, and what they must never be.
//!
//! All topics keyed by exporter have one partition count; it is fixed when they are created (rule 18 of docs/exactly-once.md) and the
//! topics themselves are where it is stored. Timestamps are append time (rule 17): retention by receive time would delete
//! replayed history at once.

use crate::{Config, Error, Result};

/// Names of the topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics {
    /// Datagrams as received.
    pub raw: String,
    /// Decoded flows.
    pub flows: String,
    /// Decoder state.
    pub state: String,
    /// Interfaces, exporters, links.
    pub inventory: String,
    /// Routes.
    pub routes: String,
    /// What could not be decoded.
    pub deadletter: String,
}

impl Topics {
    /// The names under a prefix: `weir` gives `weir.raw` and so on.
    pub fn with_prefix(prefix: &str) -> Self {
        let name = |last: &str| format!("{prefix}.{last}");
        Self {
            raw: name("raw"),
            flows: name("flows"),
            state: name("state"),
            inventory: name("inventory"),
            routes: name("routes"),
            deadletter: name("deadletter"),
        }
    }
}

/// What keeps a topic's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// Age.
    Delete {
        /// How old the append time may be, ms.
        retention_ms: i64,
    },
    /// The last record of each key stays.
    Compact,
}

impl Cleanup {
    /// As `cleanup.policy` has it.
    pub fn policy(self) -> &'static str {
        match self {
            Self::Delete { .. } => "delete",
            Self::Compact => "compact",
        }
    }
}

/// A topic as it shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// Name.
    pub name: String,
    /// Partitions.
    pub partitions: usize,
    /// Copies of each partition.
    pub replication: usize,
    /// What keeps its records.
    pub cleanup: Cleanup,
    /// Further settings, name and value.
    pub settings: Vec<(&'static str, String)>,
}

/// A segment that is written to is never compacted, so state wants small ones, and compaction early.
const COMPACTED: &[(&str, &str)] = &[
    ("segment.bytes", "67108864"),
    ("min.cleanable.dirty.ratio", "0.1"),
    ("segment.ms", "3600000"),
    ("delete.retention.ms", "86400000"),
];
/// What every topic has.
const ALL: &[(&str, &str)] = &[("message.timestamp.type", "LogAppendTime"), ("compression.type", "producer")];

/// How many copies an acknowledged record has at least: all but one, so that one broker may be away; of two copies, one.
fn in_sync(replication: usize) -> usize {
    if replication < 3 { 1 } else { replication - 1 }
}

impl TopicSpec {
    /// A topic with the settings that every topic of its kind has.
    pub fn new(name: &str, partitions: usize, replication: usize, cleanup: Cleanup) -> Self {
        let own = |table: &[(&'static str, &str)]| {
            table.iter().map(|(name, value)| (*name, (*value).to_owned())).collect::<Vec<_>>()
        };
        let mut settings = own(ALL);
        settings.push(("cleanup.policy", cleanup.policy().to_owned()));
        match cleanup {
            Cleanup::Delete { retention_ms } => settings.push(("retention.ms", retention_ms.to_string())),
            Cleanup::Compact => settings.extend(own(COMPACTED)),
        }
        settings.push(("min.insync.replicas", in_sync(replication).to_string()));
        Self { name: name.to_owned(), partitions, replication, cleanup, settings }
    }

    /// All of Weir's topics under a configuration, with as many partitions as the bus has ([`crate::Bus::partitions`]).
    pub fn all(config: &Config, partitions: usize) -> Vec<Self> {
        let topics = config.topics();
        let keep = |retention_ms| Cleanup::Delete { retention_ms };
        [
            (&topics.raw, keep(config.retention.raw_ms)),
            (&topics.flows, keep(config.retention.flows_ms)),
            (&topics.state, Cleanup::Compact),
            (&topics.inventory, Cleanup::Compact),
            (&topics.routes, Cleanup::Compact),
            (&topics.deadletter, keep(config.retention.deadletter_ms)),
        ]
        .into_iter()
        .map(|(name, cleanup)| Self::new(name, partitions, config.replication, cleanup))
        .collect()
    }
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Name.
    pub name: String,
    /// Partitions.
    pub partitions: usize,
    /// `cleanup.policy`.
    pub cleanup: String,
    /// `retention.ms`, where the bus has it.
    pub retention_ms: Option<i64>,
    /// Whether records carry the time they were appended (`message.timestamp.type`).
    pub append_time: bool,
    /// `min.insync.replicas`: copies that an acknowledged record has at least.
    pub min_in_sync: usize,
    /// Names this creation of the topic and no other: a topic that is deleted and created again begins at offset 0 again,
    /// with another incarnation.
    pub incarnation: String,
}

/// Holds what the bus has against what must be. The topics' age is their owner's business, so retention is not checked.
///
/// # Errors
/// [`Error::TopicMissing`], [`Error::PartitionCount`] or [`Error::TopicSetting`], each naming the topic.
pub fn check_descriptions(specs: &[TopicSpec], found: Vec<Option<Description>>) -> Result<Vec<Description>> {
    specs
        .iter()
        .zip(found)
        .map(|(spec, found)| {
            let topic = spec.name.clone();
            let found = found.ok_or(Error::TopicMissing { topic: topic.clone() })?;
            if found.partitions != spec.partitions {
                return Err(Error::PartitionCount {
                    topic,
                    found: found.partitions,
                    expected: spec.partitions,
                });
            }
            if found.cleanup != spec.cleanup.policy() {
                let expected = spec.cleanup.policy().to_owned();
                return Err(Error::TopicSetting {
                    topic,
                    setting: "cleanup.policy",
                    found: found.cleanup,
                    expected,
                });
            }
            // One copy fewer would do for what is acknowledged to survive a broker; one alone does not.
            if spec.replication >= 3 && found.min_in_sync < 2 {
                return Err(Error::TopicSetting {
                    topic,
                    setting: "min.insync.replicas",
                    found: found.min_in_sync.to_string(),
                    expected: in_sync(spec.replication).to_string(),
                });
            }
            if !found.append_time {
                return Err(Error::TopicSetting {
                    topic,
                    setting: "message.timestamp.type",
                    found: "CreateTime".to_owned(),
                    expected: "LogAppendTime".to_owned(),
                });
            }
            Ok(found)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(spec: &TopicSpec) -> Description {
        Description {
            name: spec.name.clone(),
            partitions: spec.partitions,
            cleanup: spec.cleanup.policy().to_owned(),
            retention_ms: None,
            append_time: true,
            min_in_sync: 2,
            incarnation: "x".to_owned(),
        }
    }

    #[test]
    fn each_deviation_is_refused_by_the_name_of_its_topic() {
        let specs = TopicSpec::all(&Config::default(), 12);
        let all = || specs.iter().map(|spec| Some(description(spec))).collect::<Vec<_>>();
        assert_eq!(check_descriptions(&specs, all()).unwrap().len(), 6);
        let words = |break_it: &dyn Fn(&mut Vec<Option<Description>>)| {
            let mut found = all();
            break_it(&mut found);
            check_descriptions(&specs, found).unwrap_err().to_string()
        };
        let missing = words(&|found| found[2] = None);
        assert_eq!(missing, "topic weir.state does not exist; `weir topics` creates it");
        let count = words(&|found| found[1].as_mut().unwrap().partitions = 11);
        assert!(count.starts_with("topic weir.flows has 11 partitions, and 12 are expected"), "{count}");
        let policy = words(&|found| found[4].as_mut().unwrap().cleanup = "compact,delete".to_owned());
        assert_eq!(policy, "topic weir.routes has cleanup.policy=compact,delete, and compact is needed");
        let copies = TopicSpec::all(&Config { replication: 3, ..Config::default() }, 12);
        let mut alone: Vec<_> = copies.iter().map(|spec| Some(description(spec))).collect();
        assert!(check_descriptions(&copies, alone.clone()).is_ok());
        alone[0].as_mut().unwrap().min_in_sync = 1;
        let alone = check_descriptions(&copies, alone).unwrap_err().to_string();
        assert_eq!(alone, "topic weir.raw has min.insync.replicas=1, and 2 is needed");
        let time = words(&|found| found[0].as_mut().unwrap().append_time = false);
        assert_eq!(time, "topic weir.raw has message.timestamp.type=CreateTime, and LogAppendTime is needed");
    }
}
