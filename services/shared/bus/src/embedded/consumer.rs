//! A member of a group, reading frames as they come.

use super::frame::{Frame, record};
use super::group::News;
use super::log::{Core, Offers, Refusal, State};
use crate::{Committed, Error, Event, GroupConsumer, Position, Record, Result, metrics};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a member without partitions looks.
const LOOK: Duration = Duration::from_millis(20);

/// A partition that is assigned.
#[derive(Debug, Default)]
struct Held {
    /// The next offset to deliver; `None` until it is started.
    next: Option<i64>,
    paused: bool,
    /// Wanted by others: it delivers nothing more.
    leaving: bool,
}

impl Held {
    fn ready(&self) -> Option<i64> {
        self.next.filter(|_| !self.paused && !self.leaving)
    }
}

/// What is being delivered.
struct Current {
    partition: i32,
    frame: Arc<Frame>,
    /// Where its next record begins.
    at: usize,
}

/// What comes next.
enum Next {
    News(Event<'static>),
    /// Of the frame that is being delivered: where it begins, and its offset.
    Record(usize, i64),
    Nothing,
}

/// [`GroupConsumer`] on the embedded bus.
pub struct EmbeddedConsumer {
    core: Arc<Core>,
    group: String,
    topic: String,
    instance: String,
    member: u64,
    held: BTreeMap<i32, Held>,
    current: Option<Current>,
    /// The partition that had its turn last.
    last: i32,
    /// The bus's version at the last look.
    seen: u64,
}

impl std::fmt::Debug for EmbeddedConsumer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { group, topic, instance, held, .. } = self;
        f.debug_struct("EmbeddedConsumer")
            .field("group", group)
            .field("topic", topic)
            .field("instance", instance)
            .field("held", held)
            .finish_non_exhaustive()
    }
}

/// Where a transaction checks its consumer.
pub(super) struct Membership {
    pub group: String,
    pub topic: String,
    pub instance: String,
    pub member: u64,
}

impl Membership {
    /// Why these positions can't be this member's to commit.
    pub(super) fn refuse(&self, state: &State, positions: &[Position]) -> Option<String> {
        let group = state.groups.get(&(self.group.clone(), self.topic.clone()));
        let Some(group) = group.filter(|group| group.has(self.member)) else {
            return Some(format!("{} is no member of {} any more", self.instance, self.group));
        };
        let gone = positions.iter().find(|position| !group.holds(self.member, position.partition))?;
        Some(format!("{}/{} is not {}'s", self.topic, gone.partition, self.instance))
    }
}

impl EmbeddedConsumer {
    pub(super) fn join(core: &Arc<Core>, group: &str, topic: &str, instance: &str) -> Self {
        let mut state = core.state();
        let key = (group.to_owned(), topic.to_owned());
        let member = state.groups.entry(key).or_default().join(instance, Instant::now());
        drop(state);
        core.tell();
        Self {
            core: Arc::clone(core),
            group: group.to_owned(),
            topic: topic.to_owned(),
            instance: instance.to_owned(),
            member,
            held: BTreeMap::new(),
            current: None,
            last: 0,
            seen: 0,
        }
    }

    pub(super) fn membership(&self) -> Membership {
        let Self { group, topic, instance, member, .. } = self;
        Membership { group: group.clone(), topic: topic.clone(), instance: instance.clone(), member: *member }
    }

    fn key(&self) -> (String, String) {
        (self.group.clone(), self.topic.clone())
    }

    /// What the group has to say, if anything.
    fn news(&mut self, state: &mut State) -> Result<Option<Event<'static>>> {
        let topic = &self.topic;
        let partitions = state.logs.get(topic).map(|log| log.topic.partitions);
        let partitions = partitions.ok_or_else(|| Error::TopicMissing { topic: topic.clone() })?;
        let group = state.groups.get_mut(&self.key()).filter(|group| group.has(self.member));
        let Some(group) = group else {
            let reason = "a member of the same instance joined".to_owned();
            return Err(Error::Fenced { identity: self.instance.clone(), reason });
        };
        if group.balance(partitions, Instant::now()) {
            self.core.tell();
        }
        Ok(group.news(self.member).map(|news| match news {
            News::Assigned(given) => {
                metrics::rebalance("assigned");
                self.held.extend(given.iter().map(|partition| (*partition, Held::default())));
                Event::Assigned(given)
            }
            News::Revoked(asked) => {
                metrics::rebalance("revoked");
                for partition in &asked {
                    self.held.entry(*partition).or_default().leaving = true;
                }
                self.let_go(|partition| asked.contains(&partition));
                Event::Revoked(asked)
            }
        }))
    }

    /// Drops what is being delivered, where it is of such a partition.
    fn let_go(&mut self, of: impl Fn(i32) -> bool) {
        self.current.take_if(|current| of(current.partition));
    }

    /// Finds the next frame to deliver, in turn among the partitions.
    fn advance(&mut self) -> Result<bool> {
        let log = self.core.log(&self.topic)?;
        let turn: Vec<i32> =
            self.held.range(self.last + 1..).chain(self.held.range(..=self.last)).map(|(p, _)| *p).collect();
        for partition in turn {
            let Some(held) = self.held.get_mut(&partition) else { continue };
            let (Some(wanted), Some(ends)) = (held.ready(), log.ends(partition)) else { continue };
            if wanted < ends.begin || wanted > ends.next {
                held.next = None;
                let (topic, begin, end) = (self.topic.clone(), ends.begin, ends.next);
                return Err(Error::OffsetOutOfRange { topic, partition, wanted, begin, end });
            }
            // Also where this fails the others have their turn.
            self.last = partition;
            let frame = match self.core.frame(&log, partition, wanted) {
                Ok(Some(frame)) => frame,
                Ok(None) => continue,
                Err(error) => {
                    if matches!(error, Error::OffsetOutOfRange { .. }) {
                        held.next = None;
                    }
                    return Err(error);
                }
            };
            self.current = Some(Current { partition, frame, at: 0 });
            return Ok(true);
        }
        Ok(false)
    }

    /// Moves to the next record of what is being delivered that is wanted: its beginning, `None` at the end.
    fn step(&mut self) -> Option<(usize, i64)> {
        let Current { partition, frame, at } = self.current.as_mut()?;
        let held = self.held.get_mut(partition)?;
        if let Some(wanted) = held.ready() {
            while let Some((stored, next)) = record(&frame.body, *at) {
                let (here, offset) = (*at, frame.base + i64::from(stored.delta));
                *at = next;
                if offset >= wanted {
                    held.next = Some(offset + 1);
                    return Some((here, offset));
                }
            }
            held.next = Some(wanted.max(frame.end));
        }
        self.current = None;
        None
    }

    fn held(&mut self, partition: i32) -> Result<&mut Held> {
        let topic = &self.topic;
        self.held.get_mut(&partition).ok_or_else(|| Error::NotAssigned { topic: topic.clone(), partition })
    }

    fn next(&mut self, until: Instant) -> Result<Next> {
        let core = Arc::clone(&self.core);
        loop {
            let version = core.version();
            if self.current.is_none() || version != self.seen {
                self.seen = version;
                if let Some(event) = self.news(&mut core.state())? {
                    return Ok(Next::News(event));
                }
            }
            if self.current.is_none() && !self.advance()? {
                let now = Instant::now();
                if now >= until {
                    return Ok(Next::Nothing);
                }
                // Partitions are given out after a while, without anybody saying so.
                let look = if self.held.is_empty() { now + LOOK } else { until };
                core.wait(version, until.min(look));
                continue;
            }
            if let Some((at, offset)) = self.step() {
                return Ok(Next::Record(at, offset));
            }
        }
    }
}

impl GroupConsumer for EmbeddedConsumer {
    fn topic(&self) -> &str {
        &self.topic
    }

    fn poll(&mut self, timeout: Duration) -> Result<Event<'_>> {
        let (at, offset) = match self.next(Instant::now() + timeout)? {
            Next::News(event) => return Ok(event),
            Next::Nothing => return Ok(Event::Idle),
            Next::Record(at, offset) => (at, offset),
        };
        let found = self.current.as_ref().and_then(|current| {
            let (stored, _) = record(&current.frame.body, at)?;
            let place = (self.topic.as_str(), current.partition, offset);
            Some(Event::Record(Record::stored(place, current.frame.appended, stored)))
        });
        Ok(found.unwrap_or(Event::Idle))
    }

    fn start(&mut self, partition: i32, offset: i64) -> Result<()> {
        self.seek(partition, offset)?;
        self.resume(partition)
    }

    fn seek(&mut self, partition: i32, offset: i64) -> Result<()> {
        self.held(partition)?.next = Some(offset);
        self.let_go(|current| current == partition);
        Ok(())
    }

    fn pause(&mut self, partition: i32) -> Result<()> {
        self.held(partition)?.paused = true;
        Ok(())
    }

    fn resume(&mut self, partition: i32) -> Result<()> {
        self.held(partition)?.paused = false;
        Ok(())
    }

    fn give_up(&mut self, partitions: &[i32]) -> Result<()> {
        self.held.retain(|partition, _| !partitions.contains(partition));
        self.let_go(|current| partitions.contains(&current));
        if let Some(group) = self.core.state().groups.get_mut(&self.key()) {
            group.give_up(self.member, partitions);
        }
        self.core.tell();
        Ok(())
    }

    fn committed(&mut self, partitions: &[i32]) -> Result<Vec<(i32, Option<Committed>)>> {
        let found = self.core.committed(&self.group, &self.topic, partitions)?;
        let committed = |(offset, metadata)| Committed { offset, metadata };
        Ok(partitions.iter().copied().zip(found.into_iter().map(|found| found.map(committed))).collect())
    }

    fn commit(&mut self, positions: &[Position]) -> Result<()> {
        let membership = self.membership();
        let offers = Offers { group: &self.group, topic: &self.topic, positions };
        let check = |state: &mut State| match membership.refuse(state, positions) {
            None => Ok(()),
            Some(reason) => Err(Error::Rebalanced { doing: "committing positions", reason }),
        };
        self.core.commit(&[], None, Some(offers), check).map_err(|refusal| match refusal {
            Refusal::Denied(error) => error,
            Refusal::Gone(reason) | Refusal::No(reason) | Refusal::Unknown(reason) => {
                self.core.trouble("committing positions", reason)
            }
        })
    }

    fn bounds(&mut self, partition: i32) -> Result<(i64, i64)> {
        self.core.bounds(&self.topic, partition)
    }

    fn leave(self) -> Result<()> {
        Ok(())
    }
}

/// A member that is gone leaves at once: there is nobody who could come back, but in another process with another bus.
impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        if let Some(group) = self.core.state().groups.get_mut(&self.key()) {
            group.leave(self.member);
        }
        self.core.tell();
    }
}
