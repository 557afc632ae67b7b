//! Reading partitions chosen by hand.

use super::frame::{Frame, record};
use super::log::Core;
use crate::{Committed, Error, Reader, Record, Restored, Result, before, metrics};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is followed, or being delivered of it.
struct Followed {
    next: i64,
    frame: Option<(Arc<Frame>, usize)>,
}

/// [`Reader`] on the embedded bus.
pub struct EmbeddedReader {
    core: Arc<Core>,
    followed: BTreeMap<(Arc<str>, i32), Followed>,
    /// Whose turn was last.
    last: Option<(Arc<str>, i32)>,
}

impl std::fmt::Debug for EmbeddedReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedReader").field("followed", &self.followed.keys()).finish_non_exhaustive()
    }
}

impl EmbeddedReader {
    pub(super) fn new(core: &Arc<Core>) -> Self {
        Self { core: Arc::clone(core), followed: BTreeMap::new(), last: None }
    }

    /// Waits until every transaction that is open now, and has written to one of these partitions, has ended.
    fn settle(&self, topic: &str, partitions: &[i32]) -> Result<()> {
        let id = self.core.log(topic)?.topic.id;
        let open = || -> BTreeSet<(String, (u64, u64), i32)> {
            let state = self.core.state();
            let of = |(name, identity): (&String, &super::log::Identity)| {
                let written =
                    partitions.iter().filter(|partition| identity.open.contains(&(id, **partition)));
                written
                    .map(|partition| (name.clone(), (identity.epoch, identity.ended), *partition))
                    .collect::<Vec<_>>()
            };
            state.identities.iter().flat_map(of).collect()
        };
        let begun = Instant::now();
        let limit = Duration::from_millis(self.core.config.restore_timeout_ms);
        let mut waited_for = open();
        while let Some((_, _, partition)) = waited_for.first() {
            if begun.elapsed() >= limit {
                let ends = self.core.bounds(topic, *partition)?;
                let (topic, partition) = (topic.to_owned(), *partition);
                let (stable, high) = (ends.1, ends.1);
                return Err(Error::OpenTransaction { topic, partition, stable, high, waited: limit });
            }
            let version = self.core.version();
            let now = open();
            waited_for.retain(|transaction| now.contains(transaction));
            if !waited_for.is_empty() {
                self.core.wait(version, begun + limit);
            }
        }
        Ok(())
    }

    /// Takes the record that [`advance`](Self::advance) has found.
    fn take(&mut self) -> Option<Record<'_>> {
        let last = self.last.as_ref()?;
        let followed = self.followed.get_mut(last)?;
        let (frame, at) = followed.frame.as_ref()?;
        let (stored, _) = record(&frame.body, *at)?;
        let offset = frame.base + i64::from(stored.delta);
        followed.next = offset + 1;
        Some(Record::stored((&last.0, last.1, offset), frame.appended, stored))
    }

    /// Puts the next wanted record at the front. `false`: nothing more is there yet.
    fn advance(&mut self) -> Result<bool> {
        if let Some(last) = &self.last
            && let Some(followed) = self.followed.get_mut(last)
            && followed.skip()
        {
            return Ok(true);
        }
        let keys: Vec<(Arc<str>, i32)> = match &self.last {
            Some(last) => {
                let behind = (std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded);
                self.followed
                    .range(behind)
                    .chain(self.followed.range(..=last))
                    .map(|(key, _)| key.clone())
                    .collect()
            }
            None => self.followed.keys().cloned().collect(),
        };
        for key in keys {
            let log = self.core.log(&key.0)?;
            let Some(followed) = self.followed.get_mut(&key) else { continue };
            while let Some(ends) = log.ends(key.1) {
                let wanted = followed.next;
                if wanted < ends.begin || wanted > ends.next {
                    let (topic, begin, end) = (key.0.to_string(), ends.begin, ends.next);
                    return Err(Error::OffsetOutOfRange { topic, partition: key.1, wanted, begin, end });
                }
                // Also where this fails the others have their turn.
                self.last = Some(key.clone());
                let Some(frame) = self.core.frame(&log, key.1, wanted)? else { break };
                followed.frame = Some((frame, 0));
                if followed.skip() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Followed {
    /// Moves to the first record that is wanted; at the end of the frame there is none, and the next frame is.
    fn skip(&mut self) -> bool {
        let Some((frame, at)) = &mut self.frame else { return false };
        while let Some((stored, next)) = record(&frame.body, *at) {
            if frame.base + i64::from(stored.delta) >= self.next {
                return true;
            }
            *at = next;
        }
        self.next = self.next.max(frame.end);
        self.frame = None;
        false
    }
}

impl EmbeddedReader {
    /// Reads each partition from where it is told, else from its beginning, to its end or until `each` breaks off.
    fn read(
        &mut self,
        topic: &str,
        from: &[(i32, Option<i64>)],
        each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<Vec<Restored>> {
        let log = self.core.log(topic)?;
        let mut all = Vec::new();
        'partitions: for (partition, offset) in from {
            let missing = || Error::NotAssigned { topic: topic.to_owned(), partition: *partition };
            let ends = log.ends(*partition).ok_or_else(missing)?;
            let (begin, end) = (ends.begin, ends.next);
            let wanted = offset.unwrap_or(begin);
            if !(begin..=end).contains(&wanted) {
                let (topic, partition) = (topic.to_owned(), *partition);
                return Err(Error::OffsetOutOfRange { topic, partition, wanted, begin, end });
            }
            let mut restored = Restored { records: 0, bytes: 0, next_offset: wanted };
            loop {
                let Some(frame) = self.core.frame(&log, *partition, restored.next_offset)? else {
                    // A commit under way may have moved a key from where it was behind this end, which it raises last.
                    self.core.settled();
                    if log.ends(*partition).is_some_and(|ends| restored.next_offset < ends.next) {
                        continue;
                    }
                    break;
                };
                let mut at = 0;
                while let Some((stored, next)) = record(&frame.body, at) {
                    at = next;
                    // A frame may begin before the offset that was asked for.
                    if frame.base + i64::from(stored.delta) < wanted {
                        continue;
                    }
                    restored.records += 1;
                    restored.bytes += (stored.key.len() + stored.value.map_or(0, <[u8]>::len)) as u64;
                    let place = (topic, *partition, frame.base + i64::from(stored.delta));
                    if each(&Record::stored(place, frame.appended, stored)).is_break() {
                        all.push(restored);
                        break 'partitions;
                    }
                }
                restored.next_offset = frame.end;
            }
            all.push(restored);
        }
        metrics::restored(all.iter().map(|restored| restored.records).sum());
        Ok(all)
    }
}

impl Reader for EmbeddedReader {
    fn restore(
        &mut self,
        topic: &str,
        partitions: &[i32],
        each: &mut dyn FnMut(&Record<'_>),
    ) -> Result<Vec<Restored>> {
        self.settle(topic, partitions)?;
        let from: Vec<_> = partitions.iter().map(|partition| (*partition, None)).collect();
        self.read(topic, &from, &mut |record| {
            each(record);
            ControlFlow::Continue(())
        })
    }

    fn read_on(
        &mut self,
        topic: &str,
        partition: i32,
        range: Range<i64>,
        each: &mut dyn FnMut(&Record<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        // Records have offsets from their commit on: what is open can't come to lie before the end of the log.
        if range.end > self.core.bounds(topic, partition)?.1 {
            self.settle(topic, &[partition])?;
        }
        self.read(topic, &[(partition, Some(range.start))], &mut before(range.end, each)).map(drop)
    }

    fn tail(&mut self, topic: &str, from: &[(i32, i64)]) -> Result<()> {
        self.core.log(topic)?;
        self.followed.retain(|(other, _), _| &**other != topic);
        let name: Arc<str> = topic.into();
        let follow = |(partition, next): &(i32, i64)| {
            ((Arc::clone(&name), *partition), Followed { next: *next, frame: None })
        };
        self.followed.extend(from.iter().map(follow));
        self.last = None;
        Ok(())
    }

    fn poll_tail(&mut self, timeout: Duration) -> Result<Option<Record<'_>>> {
        let until = Instant::now() + timeout;
        loop {
            let version = self.core.version();
            if self.advance()? {
                break;
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            self.core.wait(version, until);
        }
        Ok(self.take())
    }

    fn bounds(&mut self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        self.core.bounds(topic, partition)
    }

    fn committed(
        &mut self,
        group: &str,
        topic: &str,
        partitions: &[i32],
    ) -> Result<Vec<(i32, Option<Committed>)>> {
        let found = self.core.committed(group, topic, partitions)?;
        let committed = |(offset, metadata)| Committed { offset, metadata };
        Ok(partitions.iter().copied().zip(found.into_iter().map(|found| found.map(committed))).collect())
    }
}
