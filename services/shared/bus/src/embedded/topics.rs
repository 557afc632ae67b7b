//! Creating and deleting topics.

use super::files::Files;
use super::index::{Index, Topic};
use super::log::{Appending, Core, Log, now_ms};
use crate::{Cleanup, Result};
use std::sync::{Arc, Mutex};

impl Core {
    /// Partitions of the topics that are there; else of those to come.
    pub(super) fn partitions(&self) -> usize {
        let raw = self.state().logs.get(&self.config.topics().raw).map(|log| log.topic.partitions);
        raw.map_or(self.config.embedded.partitions, |partitions| partitions as usize)
    }

    /// Creates a topic. `false`: there is one of that name. Where that is kept for another time, it is kept for this one from now on: whoever
    /// sets a longer one during an outage wants what is there to be kept.
    pub(super) fn create(&self, spec: &crate::TopicSpec) -> Result<bool> {
        let doing = format!("creating topic {}", spec.name);
        let mut appending = self.changing().map_err(|why| self.trouble(&doing, why))?;
        let failed = |error: &dyn std::fmt::Display| self.trouble(&doing, error.to_string());
        let index = self.index();
        let index = index.as_ref().ok_or_else(|| failed(&"the index is closed"))?;
        let there = self.state().logs.get(&spec.name).cloned();
        if let Some(log) = there {
            self.keep(&mut appending, index, &log, spec.cleanup).map_err(|why| failed(&why))?;
            return Ok(false);
        }
        let id = self.state().logs.values().map(|log| log.topic.id).max().unwrap_or(0);
        // An id is never used again, or files of a deleted topic could be taken for another one's.
        let last = index.fact("last topic").map_err(|error| failed(&error))?;
        let id = last.and_then(|last| last.parse().ok()).unwrap_or(0).max(id) + 1;
        let topic = Topic {
            id,
            name: spec.name.clone(),
            partitions: u32::try_from(spec.partitions).unwrap_or(u32::MAX),
            cleanup: spec.cleanup,
            incarnation: format!("{:x}.{id}", now_ms()),
        };
        let mut change = index.change();
        change.topic(&topic);
        change.fact("last topic", &id.to_string());
        let mut open = None;
        if !topic.is_compacted() {
            let opened = Files::open(&self.folder(&topic), Vec::new(), false, |_| Ok(Vec::new()));
            let (files, _) = opened.map_err(|error| failed(&error))?;
            open = Some(files.readers());
            appending.files.insert(id, files);
        }
        appending.commit(change, true).map_err(|why| failed(&why))?;
        let parts = (0..topic.partitions).map(|_| Mutex::default()).collect();
        self.state().logs.insert(topic.name.clone(), Arc::new(Log { topic, files: open, parts }));
        self.tell();
        Ok(true)
    }

    /// Keeps a topic's records for as long as is said. What is kept by age is never made one that is compacted, nor the other way.
    fn keep(
        &self,
        appending: &mut Appending,
        index: &Index,
        log: &Log,
        wanted: Cleanup,
    ) -> std::result::Result<(), String> {
        let (Cleanup::Delete { retention_ms: before }, Cleanup::Delete { retention_ms }) =
            (log.topic.cleanup, wanted)
        else {
            return Ok(());
        };
        if before == retention_ms {
            return Ok(());
        }
        let topic = Topic { cleanup: wanted, ..log.topic.clone() };
        let mut change = index.change();
        change.topic(&topic);
        appending.commit(change, true)?;
        tracing::info!(
            topic = topic.name,
            before,
            retention_ms,
            "records are kept for another time from now on"
        );
        let changed = Log { topic, files: log.files.clone(), parts: Arc::clone(&log.parts) };
        self.state().logs.insert(changed.topic.name.clone(), Arc::new(changed));
        Ok(())
    }

    /// Deletes a topic with all it holds. `false`: there is none of that name.
    pub(super) fn delete(&self, topic: &str) -> Result<bool> {
        let doing = format!("deleting topic {topic}");
        let mut appending = self.changing().map_err(|why| self.trouble(&doing, why))?;
        let Some(log) = self.state().logs.get(topic).cloned() else { return Ok(false) };
        let failed = |error: &dyn std::fmt::Display| self.trouble(&doing, error.to_string());
        let index = self.index();
        let index = index.as_ref().ok_or_else(|| failed(&"the index is closed"))?;
        let mut change = index.change();
        let offsets = self.state().offsets.clone();
        change.forget(&log.topic, &offsets).map_err(|error| failed(&error))?;
        let files = appending.files.remove(&log.topic.id);
        appending.commit(change, true).map_err(|why| failed(&why))?;
        let mut state = self.state();
        state.logs.remove(topic);
        state.offsets.retain(|(_, of, _), _| of != topic);
        drop(state);
        self.tell();
        files.map_or(Ok(()), Files::destroy).map_err(|error| failed(&error))?;
        Ok(true)
    }
}
