//! What is done now and then: syncing, and removing what retention no longer keeps.
//!
//! What must stay true: the beginning of a partition is raised before anything of it goes, so that a reader which finds nothing at an
//! offset can tell a gap from what was removed.

use super::config::Fsync;
use super::index::Segment;
use super::log::{Core, Log};
use crate::metrics;
use std::sync::Arc;
use std::time::Instant;

/// How long a tombstone stays for those that follow its topic, ms.
const TOMBSTONE_MS: i64 = 24 * 3_600_000;

/// The time by which records age. A clock that is set, ahead or back, must not make them older than they are: what nobody has read yet
/// would go. So the earlier of two counts: the clock on the wall, and what has passed since the bus was opened. A clock that was wrong when it
/// was opened and is set right later makes retention by age wait until the next start; retention by bytes goes on.
pub(super) struct Ages {
    opened_ms: i64,
    since: Instant,
}

impl Ages {
    /// From now on, ms since the epoch.
    pub(super) fn new(now_ms: i64) -> Self {
        Self { opened_ms: now_ms, since: Instant::now() }
    }

    /// By a clock on the wall that says `wall_ms`.
    pub(super) fn now(&self, wall_ms: i64) -> i64 {
        let passed = i64::try_from(self.since.elapsed().as_millis()).unwrap_or(i64::MAX);
        wall_ms.min(self.opened_ms.saturating_add(passed))
    }
}

impl Core {
    /// Makes what was acknowledged safe from a power cut.
    pub(super) fn sync(&self) -> Result<(), String> {
        let mut done = Ok(());
        // Neither the other files nor the index wait until one can be synced.
        let mut failed = |topic: u32, error| {
            if done.is_ok() {
                done = Err(format!("syncing logs/{topic:06}: {error}"));
            }
        };
        let mut unsynced = Vec::new();
        for (topic, files) in &self.changing()?.files {
            match files.unsynced() {
                Ok(of) => unsynced.extend(of.map(|of| (*topic, of))),
                Err(error) => failed(*topic, error),
            }
        }
        // Nobody waits for the disk meanwhile.
        for (topic, of) in unsynced {
            match of.sync() {
                Ok(()) => {
                    if let Some(files) = self.changing()?.files.get_mut(&topic) {
                        files.synced(&of);
                    }
                }
                Err(error) => failed(topic, error),
            }
        }
        let index = self.index();
        done.and(index.as_ref().map_or(Ok(()), |index| index.sync().map_err(|error| error.to_string())))
    }

    /// Removes what retention no longer keeps: whole files that are too old or too many, and tombstones that everybody has seen.
    pub(super) fn clean(&self, now: i64) -> Result<(), String> {
        let logs: Vec<Arc<Log>> = self.state().logs.values().cloned().collect();
        for log in logs {
            while self.remove_oldest(&log, now)? {}
        }
        let mut appending = self.changing()?;
        let index = self.index();
        let Some(index) = index.as_ref() else { return Ok(()) };
        let mut change = index.change();
        let buried = change.bury(now - TOMBSTONE_MS, 10_000).map_err(|error| error.to_string())?;
        if buried > 0 { appending.commit(change, false) } else { Ok(()) }
    }

    /// Removes a topic's oldest file, where it is due.
    fn remove_oldest(&self, log: &Arc<Log>, now: i64) -> Result<bool, String> {
        let text = |error: fjall::Error| error.to_string();
        let mut appending = self.changing()?;
        // It may have been read anew just now.
        let Ok(log) = self.state().current(log) else { return Ok(false) };
        let topic = &log.topic;
        let Some(files) = appending.files.get_mut(&topic.id) else { return Ok(false) };
        let most = self.most_bytes(&topic.name);
        let keep = match topic.cleanup {
            crate::Cleanup::Delete { retention_ms } => retention_ms,
            crate::Cleanup::Compact => return Ok(false),
        };
        let Some((oldest, others)) = files.oldest().filter(|(oldest, _)| oldest.length > 0) else {
            return Ok(false);
        };
        let too_many = most > 0 && others && files.bytes() > most;
        if !too_many && now - oldest.last <= keep {
            return Ok(false);
        }
        let index = self.index();
        let Some(index) = index.as_ref() else { return Ok(false) };
        let mut change = index.change();
        if !others {
            let empty = Segment { first: now, last: now, ..files.roll().map_err(|error| error.to_string())? };
            change.segment(topic.id, &empty);
            files.note(empty);
        }
        change.no_segment(topic.id, oldest.number);
        let mut begins = Vec::new();
        for partition in 0..topic.partitions as i32 {
            let Some(mut ends) = log.ends(partition) else { continue };
            // And not where the next frame begins: offsets between them that no record has are no loss.
            let Some(begin) = change.cut(topic.id, partition, oldest.number).map_err(text)? else { continue };
            ends.begin = begin;
            change.ends(topic.id, partition, ends);
            begins.push((partition, ends.begin));
        }
        // First of all: whoever finds nothing at an offset looks whether the log still begins before it.
        for (partition, begin) in begins {
            if let Some(mut part) = log.part(partition) {
                part.ends.begin = begin;
            }
        }
        appending.commit(change, self.config.embedded.fsync == Fsync::Always)?;
        let Some(files) = appending.files.get_mut(&topic.id) else { return Ok(false) };
        tracing::debug!(topic = topic.name, segment = oldest.number, "retention removed a file");
        metrics::removed(&topic.name, oldest.length);
        files.remove(oldest.number).map_err(|error| error.to_string())?;
        Ok(true)
    }

    fn most_bytes(&self, topic: &str) -> u64 {
        let (topics, embedded) = (self.config.topics(), &self.config.embedded);
        match topic {
            _ if topic == topics.raw => embedded.raw_bytes,
            _ if topic == topics.flows => embedded.flows_bytes,
            _ if topic == topics.deadletter => embedded.deadletter_bytes,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_makes_nothing_older_than_it_is() {
        const HOUR: i64 = 3_600_000;
        let ages = Ages::new(100 * HOUR);
        let passed = |wall| ages.now(wall) - 100 * HOUR;
        assert!((0..HOUR).contains(&passed(130 * HOUR)), "set ahead by thirty hours");
        assert_eq!(passed(99 * HOUR), -HOUR, "set back by one");
    }
}
