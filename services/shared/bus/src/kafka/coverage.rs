//! Whether every partition of the topic has a member that reads it.
//!
//! A cooperative rebalance takes two rounds: whoever has too much gives it up in the first and asks for the second, in which others get
//! it. A static member that dies in between and is back before its session ends finds its old assignment, and nobody asks for the second
//! round: what it was to give up belongs to no one, and the group is content (seen with librdkafka 2.12 and Kafka 4.3, found by the load
//! test `kill-each-part`). So each member looks at its group some time after each assignment, and where partitions stay without an owner
//! it leaves and joins again, which is a rebalance from the beginning.
//!
//! What must stay true: a member that gives up slowly is not taken for one that is dead, and reading never waits for a look. A look needs an
//! answer of every broker (librdkafka's list of groups); while one is away there is none, and nothing is done until it is back.

use super::reports::Reports;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

/// How long a rebalance may take before a member looks again. A partition stays without an owner while the one before gives it up.
const SETTLE: Duration = Duration::from_secs(5);
/// Looks in a row after which partitions without an owner are not just given up slowly; twice as many after each time that it was in vain.
const LOOKS: usize = 6;
/// And at most so many.
const MOST_LOOKS: usize = 96;
/// How long an answer may take. A broker that does not answer is asked again later.
const PATIENCE: Duration = Duration::from_secs(2);
/// A member that left is known to have left after this time.
const AWAY: Duration = Duration::from_secs(1);

/// What a member that looks is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing.
    Wait,
    /// Look at the group.
    Look,
    /// Join again.
    Join,
}

/// When to look, and what was seen.
#[derive(Debug)]
pub(super) struct Coverage {
    next: Option<Instant>,
    /// Looks in a row that found partitions without an owner.
    found: usize,
    /// How many of them are enough.
    enough: usize,
    left: Option<Instant>,
}

/// A look that goes on beside reading.
#[derive(Debug)]
pub(super) struct Looking(Receiver<Option<Seen>>);

impl Looking {
    /// Begins one.
    pub(super) fn begin(
        asking: &Arc<BaseConsumer<Reports>>,
        group: &str,
        topic: &str,
        instance: &str,
    ) -> Self {
        let (tell, told) = channel();
        let (asking, words) = (Arc::clone(asking), [group, topic, instance].map(str::to_owned));
        let look = move || {
            let [group, topic, instance] = &words;
            let seen = look(&asking, group, topic, instance).unwrap_or_else(|error| {
                tracing::debug!(group, topic, "who reads which partition can't be asked now: {error}");
                None
            });
            // The member may be gone meanwhile.
            let _ = tell.send(seen);
        };
        // Without a thread nothing is told, which is an answer too.
        let _ = std::thread::Builder::new().name("bus-look".to_owned()).spawn(look);
        Self(told)
    }

    /// What was seen, once it is over.
    pub(super) fn over(&self) -> Option<Option<Seen>> {
        match self.0.try_recv() {
            Ok(seen) => Some(seen),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(None),
        }
    }
}

impl Coverage {
    /// Looks for the first time a while from now.
    pub(super) fn new(now: Instant) -> Self {
        Self { next: Some(now + SETTLE), found: 0, enough: LOOKS, left: None }
    }

    /// Something was assigned, revoked or lost.
    pub(super) fn moved(&mut self, now: Instant) {
        (self.next, self.found) = (Some(now + SETTLE), 0);
    }

    /// What to do now. `holds`: the member has partitions that it has not given up.
    pub(super) fn step(&self, now: Instant, holds: bool) -> Step {
        match (self.left, self.next) {
            (Some(left), _) if !holds && now > left + AWAY => Step::Join,
            (Some(_), _) => Step::Wait,
            (None, Some(next)) if now >= next => Step::Look,
            (None, _) => Step::Wait,
        }
    }

    /// It joined again.
    pub(super) fn joined(&mut self, now: Instant) {
        self.left = None;
        self.moved(now);
    }

    /// What a look found: `None` where nothing can be said. True: leave. One member is enough, so each waits for those before it.
    pub(super) fn looked(&mut self, seen: Option<Seen>, now: Instant) -> bool {
        self.next = Some(now + SETTLE);
        match seen {
            None => false,
            Some(Seen { unowned, .. }) if unowned.is_empty() => {
                (self.next, self.found, self.enough) = (None, 0, LOOKS);
                false
            }
            Some(Seen { rank, .. }) => {
                self.found += 1;
                let leaves = self.found >= self.enough + rank;
                if leaves {
                    (self.left, self.found, self.enough) = (Some(now), 0, (self.enough * 2).min(MOST_LOOKS));
                }
                leaves
            }
        }
    }
}

/// A group that is between two rebalances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Partitions that no member has.
    pub(super) unowned: BTreeSet<i32>,
    /// How many members come before the one that looks, by name.
    rank: usize,
}

/// Looks at a group. `None`: it is in the middle of a rebalance, or this member is not in it.
fn look(
    consumer: &BaseConsumer<Reports>,
    group: &str,
    topic: &str,
    instance: &str,
) -> Result<Option<Seen>, KafkaError> {
    let list = consumer.fetch_group_list(Some(group), PATIENCE)?;
    let Some(group) = list.groups().iter().find(|one| one.state() == "Stable") else { return Ok(None) };
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let count =
        metadata.topics().iter().find(|one| one.name() == topic).map_or(0, |one| one.partitions().len());
    let mut unowned: BTreeSet<i32> = (0..i32::try_from(count).unwrap_or(i32::MAX)).collect();
    let mut names = Vec::new();
    for member in group.members() {
        names.push(member.client_id());
        let Some(partitions) = partitions(member.assignment().unwrap_or_default(), topic) else {
            return Ok(None);
        };
        unowned.retain(|partition| !partitions.contains(partition));
    }
    let own = names.contains(&instance);
    let rank = names.iter().filter(|name| **name < instance).count();
    Ok(own.then_some(Seen { unowned, rank }))
}

/// The partitions of a topic in a member's assignment (Kafka's ConsumerProtocolAssignment, any version: a topic list comes first).
/// `None` where the bytes are none.
fn partitions(bytes: &[u8], topic: &str) -> Option<Vec<i32>> {
    let mut rest = bytes;
    let mut take = |length: usize| {
        let (head, tail) = rest.split_at_checked(length)?;
        rest = tail;
        Some(head)
    };
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let _version = take(2)?;
    let topics = i32::from_be_bytes(take(4)?.try_into().ok()?);
    let mut found = Vec::new();
    for _ in 0..topics {
        let length = i16::from_be_bytes(take(2)?.try_into().ok()?);
        let name = take(usize::try_from(length).ok()?)?;
        let count = i32::from_be_bytes(take(4)?.try_into().ok()?);
        for _ in 0..count {
            let partition = i32::from_be_bytes(take(4)?.try_into().ok()?);
            if name == topic.as_bytes() {
                found.push(partition);
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(topics: &[(&str, &[i32])]) -> Vec<u8> {
        let mut out = vec![0, 3];
        out.extend((topics.len() as i32).to_be_bytes());
        for (topic, partitions) in topics {
            out.extend((topic.len() as i16).to_be_bytes());
            out.extend(topic.as_bytes());
            out.extend((partitions.len() as i32).to_be_bytes());
            partitions.iter().for_each(|partition| out.extend(partition.to_be_bytes()));
        }
        // User data: none.
        out.extend((-1_i32).to_be_bytes());
        out
    }

    #[test]
    fn partitions_of_the_topic_are_read_and_bytes_that_are_cut_off_are_none() {
        let bytes = assignment(&[("other", &[7]), ("weir.raw", &[0, 5, 11])]);
        assert_eq!(partitions(&bytes, "weir.raw"), Some(vec![0, 5, 11]));
        assert_eq!(partitions(&bytes, "absent"), Some(Vec::new()));
        assert_eq!(partitions(&[], "weir.raw"), Some(Vec::new()));
        for cut in 1..bytes.len() - 4 {
            assert_eq!(partitions(&bytes[..cut], "weir.raw"), None, "{cut}");
        }
        assert_eq!(partitions(&[0, 3, 0x7f, 0xff, 0xff, 0xff], "weir.raw"), None);
    }

    #[test]
    fn a_member_leaves_only_after_looks_in_a_row_and_after_those_before_it() {
        let seen = |rank, unowned: &[i32]| Some(Seen { unowned: unowned.iter().copied().collect(), rank });
        let mut now = Instant::now();
        let mut member = Coverage { enough: 2, ..Coverage::new(now) };
        assert_eq!(member.step(now, true), Step::Wait);
        let mut look = |member: &mut Coverage, seen| {
            now += SETTLE;
            assert_eq!(member.step(now, true), Step::Look);
            (member.looked(seen, now), now)
        };
        assert!(!look(&mut member, seen(1, &[3])).0);
        assert!(!look(&mut member, None).0, "in the middle of a rebalance");
        assert!(!look(&mut member, seen(1, &[3])).0, "the first by name is to leave");
        let (leaves, left) = look(&mut member, seen(1, &[3]));
        assert!(leaves);
        assert_eq!(member.step(left + AWAY * 2, true), Step::Wait, "what it holds is not given up yet");
        assert_eq!(member.step(left + AWAY * 2, false), Step::Join);
        member.joined(left + AWAY * 2);
        assert_eq!(member.enough, 4, "in vain once: it waits for longer");

        let mut content = Coverage::new(left);
        assert!(!content.looked(seen(0, &[]), left));
        assert_eq!(
            content.step(left + SETTLE * 100, true),
            Step::Wait,
            "all have an owner until something moves"
        );
        content.moved(left);
        assert_eq!(content.step(left + SETTLE, true), Step::Look);
    }
}
