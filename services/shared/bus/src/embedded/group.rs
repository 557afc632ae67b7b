//! Who reads which partition: members of a group share the partitions of a topic, evenly and with as few moves as can be.
//!
//! No I/O and no clock of its own. What must stay true: a partition is never two members' at once; one that is wanted elsewhere stays
//! its holder's until that gives it up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// How long the first members of a group wait for others, so that a process that starts several does not move partitions at once.
const GATHER: Duration = Duration::from_millis(100);

/// News for a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    Assigned(Vec<i32>),
    Revoked(Vec<i32>),
}

#[derive(Debug, Default)]
struct Member {
    instance: String,
    held: BTreeSet<i32>,
    /// Of those held, which are wanted elsewhere.
    leaving: BTreeSet<i32>,
    news: VecDeque<News>,
}

/// A group of one topic.
#[derive(Debug, Default)]
pub(super) struct Group {
    members: BTreeMap<u64, Member>,
    last: u64,
    /// When partitions are given out for the first time.
    begins: Option<Instant>,
}

impl Group {
    /// Adds a member; one of the same instance is no member any more.
    pub(super) fn join(&mut self, instance: &str, now: Instant) -> u64 {
        self.members.retain(|_, member| member.instance != instance);
        if self.members.is_empty() {
            self.begins = Some(now + GATHER);
        }
        self.last += 1;
        self.members.insert(self.last, Member { instance: instance.to_owned(), ..Member::default() });
        self.last
    }

    pub(super) fn leave(&mut self, member: u64) {
        self.members.remove(&member);
    }

    /// True where there still is such a member.
    pub(super) fn has(&self, member: u64) -> bool {
        self.members.contains_key(&member)
    }

    /// True where the partition is this member's, also while it is wanted elsewhere.
    pub(super) fn holds(&self, member: u64, partition: i32) -> bool {
        self.members.get(&member).is_some_and(|member| member.held.contains(&partition))
    }

    /// Lets go of partitions.
    pub(super) fn give_up(&mut self, member: u64, partitions: &[i32]) {
        if let Some(member) = self.members.get_mut(&member) {
            member.held.retain(|partition| !partitions.contains(partition));
            member.leaving.retain(|partition| !partitions.contains(partition));
        }
    }

    /// Gives out what nobody has, and asks back what somebody has too much of. True where there is news for anybody.
    pub(super) fn balance(&mut self, partitions: u32, now: Instant) -> bool {
        if self.members.is_empty() || self.begins.is_some_and(|begins| now < begins) {
            return false;
        }
        self.begins = None;
        let taken: BTreeSet<i32> = self.members.values().flat_map(|member| &member.held).copied().collect();
        let mut free: Vec<i32> = (0..partitions as i32).rev().filter(|p| !taken.contains(p)).collect();
        let quotas = self.quotas(partitions as usize);
        let mut news = false;
        for (member, quota) in self.members.values_mut().zip(quotas) {
            let stays = member.held.len() - member.leaving.len();
            let surplus = stays.saturating_sub(quota);
            if surplus > 0 {
                let going: Vec<i32> = member
                    .held
                    .iter()
                    .rev()
                    .filter(|partition| !member.leaving.contains(partition))
                    .take(surplus)
                    .copied()
                    .collect();
                member.leaving.extend(&going);
                member.news.push_back(News::Revoked(going));
                news = true;
            }
            let given: Vec<i32> = (stays..quota).filter_map(|_| free.pop()).collect();
            if !given.is_empty() {
                member.held.extend(&given);
                member.news.push_back(News::Assigned(given));
                news = true;
            }
        }
        news
    }

    /// How many each shall have: those that have most get the odd ones, so that they keep them.
    fn quotas(&self, partitions: usize) -> Vec<usize> {
        let (each, odd) = (partitions / self.members.len(), partitions % self.members.len());
        let stays: Vec<usize> =
            self.members.values().map(|member| member.held.len() - member.leaving.len()).collect();
        let mut order: Vec<usize> = (0..stays.len()).collect();
        order.sort_by_key(|member| std::cmp::Reverse(stays[*member]));
        let mut quotas = vec![each; stays.len()];
        order.into_iter().take(odd).for_each(|member| quotas[member] += 1);
        quotas
    }

    /// The next news of a member.
    pub(super) fn news(&mut self, member: u64) -> Option<News> {
        self.members.get_mut(&member)?.news.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Join(u8),
        Leave(u8),
        GiveUp(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u8..5).prop_map(Step::Join),
            (0_u8..5).prop_map(Step::Leave),
            (0_u8..5).prop_map(Step::GiveUp)
        ]
    }

    /// Members as they see themselves.
    #[derive(Default)]
    struct Seen {
        ids: BTreeMap<u8, u64>,
        held: BTreeMap<u64, BTreeSet<i32>>,
        asked: BTreeMap<u64, BTreeSet<i32>>,
    }

    impl Seen {
        fn hear(&mut self, group: &mut Group, partitions: u32, now: Instant) {
            group.balance(partitions, now);
            for id in self.ids.values() {
                while let Some(news) = group.news(*id) {
                    match news {
                        News::Assigned(given) => self.held.entry(*id).or_default().extend(given),
                        News::Revoked(asked) => self.asked.entry(*id).or_default().extend(asked),
                    }
                }
            }
            let held: Vec<i32> = self.held.values().flatten().copied().collect();
            let once: BTreeSet<i32> = held.iter().copied().collect();
            assert_eq!(held.len(), once.len(), "{:?}", self.held);
        }

        fn give_up(&mut self, group: &mut Group, id: u64) -> bool {
            let asked: Vec<i32> = self.asked.remove(&id).unwrap_or_default().into_iter().collect();
            self.held.entry(id).or_default().retain(|partition| !asked.contains(partition));
            group.give_up(id, &asked);
            !asked.is_empty()
        }
    }

    proptest! {
        #[test]
        fn nobody_shares_a_partition_and_in_the_end_all_are_given_out_evenly(
            partitions in 1_u32..20,
            steps in proptest::collection::vec(step(), 1..40),
        ) {
            let (mut group, mut seen) = (Group::default(), Seen::default());
            let mut now = Instant::now();
            for step in steps {
                now += GATHER;
                match step {
                    Step::Join(name) => {
                        let before = seen.ids.insert(name, group.join(&name.to_string(), now));
                        before.map(|id| (seen.held.remove(&id), seen.asked.remove(&id)));
                    }
                    Step::Leave(name) => {
                        if let Some(id) = seen.ids.remove(&name) {
                            group.leave(id);
                            seen.held.remove(&id);
                            seen.asked.remove(&id);
                        }
                    }
                    Step::GiveUp(name) => {
                        if let Some(id) = seen.ids.get(&name).copied() {
                            seen.give_up(&mut group, id);
                        }
                    }
                }
                seen.hear(&mut group, partitions, now);
            }
            let ids: Vec<u64> = seen.ids.values().copied().collect();
            now += GATHER;
            seen.hear(&mut group, partitions, now);
            let mut moved = true;
            while moved {
                moved = ids.iter().fold(false, |moved, id| seen.give_up(&mut group, *id) | moved);
                seen.hear(&mut group, partitions, now);
            }
            if !ids.is_empty() {
                let counts: Vec<usize> = ids.iter().map(|id| seen.held.get(id).map_or(0, BTreeSet::len)).collect();
                prop_assert_eq!(counts.iter().sum::<usize>(), partitions as usize);
                prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{:?}", counts);
            }
        }
    }

    #[test]
    fn members_that_start_together_get_their_share_at_once() {
        let (mut group, now) = (Group::default(), Instant::now());
        let first = group.join("0", now);
        assert!(!group.balance(12, now), "others may come");
        let second = group.join("1", now + Duration::from_millis(50));
        assert!(group.balance(12, now + GATHER));
        for member in [first, second] {
            assert!(matches!(group.news(member), Some(News::Assigned(given)) if given.len() == 6));
            assert_eq!(group.news(member), None);
        }
    }

    #[test]
    fn a_member_of_the_same_instance_takes_the_place_of_the_first() {
        let (mut group, now) = (Group::default(), Instant::now());
        let first = group.join("0", now);
        group.balance(2, now + GATHER);
        let second = group.join("0", now + GATHER);
        assert!(!group.has(first) && group.has(second));
        group.balance(2, now + 2 * GATHER);
        assert!(group.holds(second, 0) && group.holds(second, 1) && !group.holds(first, 0));
    }
}
