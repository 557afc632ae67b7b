//! Partitions that librdkafka stopped because their position was not in the log.
//!
//! It tells that once, does not say of which, and reads that partition no more. So each that it may be stays suspect until it is found out of
//! range or is started anew, however long its leader is away; and one leader that is away keeps no other partition from being found. Nothing is
//! concluded from how many are found: one may be out of range before librdkafka has come to tell of it.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// How long one partition's leader is waited for at most; nothing is read meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);
/// After how long the rest of a look is left to the next one, at most.
const LOOK: Duration = Duration::from_secs(10);
/// The pause after a look is this many times as long as the look was: looking may cost a tenth of the reading.
const PAUSE: u32 = 10;
/// Notices come together where retention took something of many partitions: one look is for all of them.
const TOGETHER: Duration = Duration::from_millis(200);

/// How long a look goes on, and how long each partition's leader is waited for in it. A transaction may be open meanwhile: together they take
/// no more than half of the time that it has.
pub(super) fn limits(transaction: Duration, request: Duration) -> (Duration, Duration) {
    let look = LOOK.min(transaction / 4);
    (look, PATIENCE.min(request).min(look))
}

/// Partitions that may be stopped.
#[derive(Debug, Default)]
pub(super) struct Stops {
    /// Who waits longest for being asked about comes first.
    suspects: VecDeque<i32>,
    /// Those that were not answered for when they were last asked about: they come after all others.
    silent: BTreeSet<i32>,
    /// When to look, where that is not at once.
    again: Option<Instant>,
    /// Until when the silent ones are left alone.
    pause: Option<Instant>,
    /// Whether it was said that some were not answered for.
    said: bool,
}

/// What a look has found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    /// Its position is not in the log, which holds from the first to the second offset.
    pub(super) out: Option<(i32, (i64, i64))>,
    /// Their positions are in the log.
    pub(super) within: Vec<i32>,
}

impl Stops {
    /// Takes a notice: it is about one of these.
    pub(super) fn told(&mut self, reading: impl IntoIterator<Item = i32>, now: Instant) {
        for partition in reading {
            if !self.suspects(partition) {
                self.suspects.push_back(partition);
            }
        }
        // The pause of whoever did not answer goes on.
        self.again = Some(now + TOGETHER);
    }

    /// True where it may be stopped.
    pub(super) fn suspects(&self, partition: i32) -> bool {
        self.suspects.contains(&partition)
    }

    /// True where a look is due.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        let due = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        (self.suspects.len() > self.silent.len() && due(self.again))
            || (!self.silent.is_empty() && due(self.pause))
    }

    /// Asks for the bounds of what may be stopped, up to the first whose position is out of them, or until `limit` is over: those that were silent
    /// last, and only after their pause. `next` is where it stands; silence is reported when it begins.
    pub(super) fn look<E>(
        &mut self,
        limit: Duration,
        next: impl Fn(i32) -> Option<i64>,
        mut bounds: impl FnMut(i32) -> Result<(i64, i64), E>,
        mut silent: impl FnMut(i32, E),
    ) -> Look {
        let (begun, say, mut look) = (Instant::now(), !self.said, Look::default());
        self.suspects.make_contiguous().sort_by_key(|partition| self.silent.contains(partition));
        let paused = self.pause.is_some_and(|pause| pause > begun);
        let asked = self.suspects.len() - if paused { self.silent.len() } else { 0 };
        // Who was asked about goes to the end, and silent ones to that of their own at the next look.
        for _ in 0..asked {
            let Some(partition) = self.suspects.pop_front() else { break };
            self.silent.remove(&partition);
            let Some(next) = next(partition) else { continue };
            self.suspects.push_back(partition);
            match bounds(partition) {
                Ok((begin, end)) if !(begin..=end).contains(&next) => {
                    self.again = None;
                    self.settled(partition);
                    look.out = Some((partition, (begin, end)));
                    return look;
                }
                Ok(_) => look.within.push(partition),
                Err(error) => {
                    self.silent.insert(partition);
                    self.said = true;
                    if say {
                        silent(partition, error);
                    }
                }
            }
            if begun.elapsed() >= limit {
                break;
            }
        }
        let pause = Instant::now() + PAUSE * begun.elapsed();
        self.again = Some(pause);
        if !paused {
            self.pause = Some(pause);
        }
        look
    }

    /// It was started anew, or is not held any more.
    pub(super) fn settled(&mut self, partition: i32) {
        self.suspects.retain(|suspect| *suspect != partition);
        self.silent.remove(&partition);
        if self.suspects.is_empty() {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every partition stands at 5; one is in its log, out of it, or its leader is away.
    fn look(stops: &mut Stops, logs: &[Option<(i64, i64)>]) -> (Look, Vec<i32>) {
        let mut away = Vec::new();
        // The pause of a look that took no time is over.
        std::thread::sleep(Duration::from_millis(2));
        let look = stops.look(
            LOOK,
            |_| Some(5),
            |partition| logs[partition as usize].ok_or(()),
            |partition, ()| away.push(partition),
        );
        (look, away)
    }

    const IN: Option<(i64, i64)> = Some((0, 9));
    const OUT: Option<(i64, i64)> = Some((7, 9));
    const AWAY: Option<(i64, i64)> = None;

    fn told(partitions: &[i32]) -> Stops {
        let mut stops = Stops::default();
        stops.told(partitions.iter().copied(), Instant::now() - TOGETHER);
        stops
    }

    #[test]
    fn a_partition_is_found_behind_one_whose_leader_is_away() {
        let mut stops = told(&[0, 1, 2]);
        let (found, away) = look(&mut stops, &[AWAY, OUT, IN]);
        assert_eq!((found.out, away), (Some((1, (7, 9))), vec![0]));
        assert!(stops.suspects(0) && !stops.suspects(1) && stops.suspects(2));
    }

    #[test]
    fn a_notice_is_kept_until_its_partition_answers_and_the_silence_is_said_once() {
        let mut stops = told(&[0, 1]);
        let (found, away) = look(&mut stops, &[AWAY, IN]);
        assert_eq!((found, away), (Look { out: None, within: vec![1] }, vec![0]));
        stops.settled(1);
        assert_eq!(look(&mut stops, &[AWAY, IN]), (Look::default(), vec![]));
        assert!(stops.suspects(0));
        assert_eq!(look(&mut stops, &[OUT, IN]).0.out, Some((0, (7, 9))));
        assert!(!stops.is_due(Instant::now() + LOOK));
    }

    #[test]
    fn one_that_is_found_without_a_notice_of_its_own_clears_no_other() {
        let mut stops = told(&[0, 1]);
        assert_eq!(look(&mut stops, &[OUT, OUT]).0.out, Some((0, (7, 9))));
        assert!(stops.is_due(Instant::now()), "what is left is asked about at once");
        assert_eq!(look(&mut stops, &[IN, OUT]).0.out, Some((1, (7, 9))));
        assert!(!stops.suspects(0) && !stops.suspects(1));
    }

    #[test]
    fn notices_that_come_together_are_one_look() {
        let (mut stops, now) = (told(&[0]), Instant::now());
        stops.told([0, 1], now);
        assert!(!stops.is_due(now) && stops.is_due(now + TOGETHER));
        assert_eq!(look(&mut stops, &[IN, IN]).0.within, [0, 1]);
    }

    #[test]
    fn what_was_started_anew_or_is_gone_is_not_asked_about() {
        let mut stops = told(&[0, 1]);
        stops.settled(0);
        assert!(!stops.suspects(0) && stops.is_due(Instant::now()));
        assert_eq!(
            stops.look(LOOK, |_| None, |_| -> Result<_, ()> { panic!() }, |_, ()| {}),
            Look::default()
        );
        assert!(!stops.is_due(Instant::now() + LOOK));
    }

    #[test]
    fn looking_takes_no_more_than_a_tenth() {
        let mut stops = told(&[0]);
        let begun = Instant::now();
        let slow = |_| {
            std::thread::sleep(Duration::from_millis(20));
            Err(())
        };
        stops.look(LOOK, |_| Some(5), slow, |_, ()| {});
        assert!(!stops.is_due(begun + Duration::from_millis(200)));
        assert!(stops.is_due(Instant::now() + LOOK));
    }

    #[test]
    fn a_look_with_its_last_question_takes_half_of_a_transactions_time_at_most() {
        for (transaction, request) in [(10_000, 30_000), (600_000, 30_000), (100, 30_000), (10_000, 1_000)] {
            let [transaction, request] = [transaction, request].map(Duration::from_millis);
            let (look, patience) = limits(transaction, request);
            assert!(look + patience <= transaction / 2 && patience <= request.min(PATIENCE) && look <= LOOK);
        }
    }

    #[test]
    fn a_look_ends_when_its_time_is_over_and_the_next_one_begins_with_the_rest() {
        let (mut stops, mut asked) = (told(&[0, 1, 2]), Vec::new());
        for limit in [Duration::ZERO, LOOK] {
            std::thread::sleep(Duration::from_millis(2));
            let ask = |partition| {
                asked.push(partition);
                Err(())
            };
            stops.look(limit, |_| Some(5), ask, |_, ()| {});
        }
        assert_eq!(asked, [0, 1, 2, 0]);
    }

    #[test]
    fn a_notice_shortens_no_pause_of_who_was_silent_and_others_are_asked_about_at_once() {
        let (mut stops, mut asked) = (told(&[0, 1]), Vec::new());
        let slow = |_| {
            std::thread::sleep(Duration::from_millis(50));
            Err(())
        };
        stops.look(LOOK, |_| Some(5), slow, |_, ()| {});
        let now = Instant::now();
        stops.told([0, 1], now);
        assert!(!stops.is_due(now + TOGETHER) && stops.is_due(now + LOOK));
        stops.told([0, 1, 2], now);
        assert!(stops.is_due(now + TOGETHER));
        let mut answers = |partition| {
            asked.push(partition);
            Ok::<_, ()>((0, 9))
        };
        let look = stops.look(LOOK, |_| Some(5), &mut answers, |_, ()| {});
        assert_eq!((look.within, asked), (vec![2], vec![2]));
        stops.settled(2);
        assert!(!stops.is_due(now + TOGETHER) && stops.is_due(now + LOOK), "the pause of the others goes on");
    }

    #[test]
    fn who_was_silent_comes_after_all_others() {
        let mut stops = told(&[0, 1, 2]);
        assert_eq!(look(&mut stops, &[AWAY, AWAY, IN]).1, [0, 1]);
        let (found, away) = look(&mut stops, &[AWAY, AWAY, OUT]);
        assert_eq!((found.out, away), (Some((2, (7, 9))), vec![]));
    }
}
