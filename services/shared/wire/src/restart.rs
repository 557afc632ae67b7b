//! Restarts of exporters: what a template meant before one may not be what it means after it.
//!
//! A template that was last heard before its session's restart is suspect until it is sent again. Data of it waits for a bounded time and room; then
//! it is decoded as the template has it, and flagged: a suspicion loses nothing. Whoever restarts all the time is believed: that is no restart, but
//! a clock that runs wild, or two exporters behind one address.

use crate::options::Options;
use ahash::AHashMap;

/// Sessions of which it is known when they began anew.
const SESSIONS: usize = 64;
/// Milliseconds that a datagram may be late.
const LATE: i64 = 60_000;
/// Milliseconds that an uptime may be ahead of the time that has passed.
const AHEAD: i64 = 600_000;
/// Restarts, each within an hour of the one before, up to which templates are suspect.
const STREAK: u8 = 3;
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;

/// A session over UDP: version, observation domain, port.
type Key = (u8, u32, u16);

/// What is known of a session.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    uptime: u32,
    seen: i64,
    /// When it began anew, by the receive time of the datagram that showed it; 0: never.
    restarted: i64,
    streak: u8,
}

/// When suspicion of a restart at a time is over.
pub(crate) fn until(restarted: i64, options: &Options) -> i64 {
    restarted.saturating_add(i64::from(options.template_suspect_s) * SECOND)
}

/// What is thought of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// It was heard since its session began.
    None,
    /// It is to be sent again first, up to this time.
    Wait(i64),
    /// It was not sent again in the time allowed.
    Over,
}

/// An exporter's sessions that have an uptime or began anew.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    sessions: AHashMap<Key, Known>,
    /// When the latest of all restarts was: what was heard since is not suspect.
    latest: i64,
    /// When what waits because of a suspicion has waited enough.
    due: Option<i64>,
}

impl Restarts {
    fn known(&mut self, key: Key) -> &mut Known {
        if self.sessions.len() >= SESSIONS && !self.sessions.contains_key(&key) {
            let silent = self.sessions.iter().min_by_key(|(_, known)| known.seen).map(|(key, _)| *key);
            silent.map(|key| self.sessions.remove(&key));
        }
        self.sessions.entry(key).or_default()
    }

    /// A datagram of version 9 says how long its system has been up, ms, modulo 2^32. Where that is neither a little late nor about as much more as
    /// time has passed, the system was restarted. One that was received long before the latest, as it is where it was put back or lay in a spool, says
    /// nothing of what has been since.
    pub(crate) fn uptime(&mut self, domain: u32, port: u16, uptime: u32, received: i64) {
        let known = self.known((9, domain, port));
        let passed = received.saturating_sub(known.seen) / 1_000_000;
        if passed < -LATE {
            return;
        }
        let ahead = i64::from(uptime.wrapping_sub(known.uptime));
        // One that was sent before the latest was, and arrives now.
        let late = i64::from(known.uptime.wrapping_sub(uptime)).saturating_add(passed) <= LATE;
        let restarted = known.seen != 0 && !late && ahead > passed.saturating_add(AHEAD);
        if !late || known.seen == 0 {
            known.uptime = uptime;
        }
        known.seen = known.seen.max(received);
        if restarted {
            self.restarted((9, domain, port), received);
        }
    }

    /// A session began anew.
    pub(crate) fn restarted(&mut self, key: Key, received: i64) {
        let known = self.known(key);
        let again = known.restarted != 0 && received.saturating_sub(known.restarted) < HOUR;
        known.streak = if again { known.streak.saturating_add(1) } else { 1 };
        known.restarted = received;
        known.seen = known.seen.max(received);
        self.latest = self.latest.max(received);
    }

    /// Whether a session began anew after one time and up to another: by what was told then nothing can be read that was sent before (RFC 7011
    /// section 8).
    pub(crate) fn between(&self, key: Key, sent: i64, told: i64) -> bool {
        let known = self.sessions.get(&key).filter(|known| known.streak <= STREAK);
        known.is_some_and(|known| sent < known.restarted && known.restarted <= told)
    }

    /// Something waits up to a time because of a suspicion.
    pub(crate) fn wait(&mut self, until: i64) {
        self.due = Some(self.due.map_or(until, |due| due.min(until)));
    }

    /// Forgets who restarted: what comes next may be older. What waits is due nevertheless.
    pub(crate) fn forget(&mut self) {
        self.sessions.clear();
        self.latest = 0;
    }

    /// Whether, at a time, something may have waited enough. It says so once.
    pub(crate) fn is_due(&mut self, now: i64) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            self.due = None;
        }
        due
    }

    /// What is thought, at a time, of a template that was last heard then.
    #[inline]
    pub(crate) fn suspicion(&self, key: Key, heard: i64, now: i64, options: &Options) -> Suspicion {
        if heard >= self.latest || options.template_suspect_s == 0 {
            return Suspicion::None;
        }
        let Some(known) =
            self.sessions.get(&key).filter(|known| heard < known.restarted && known.streak <= STREAK)
        else {
            return Suspicion::None;
        };
        let until = until(known.restarted, options);
        if now < until { Suspicion::Wait(until) } else { Suspicion::Over }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uptime_that_is_not_where_it_should_be_is_a_restart_unless_it_wraps_or_came_late() {
        let options = Options::default();
        let minute = 60 * SECOND;
        let restarted = |uptimes: &[(u32, i64)]| {
            let mut restarts = Restarts::default();
            for (uptime, seconds) in uptimes {
                restarts.uptime(0, 1, *uptime, minute + seconds * SECOND);
            }
            restarts.suspicion((9, 0, 1), 0, minute, &options) != Suspicion::None
        };
        for (uptimes, wanted) in [
            (&[(1_000_000, 0), (1_060_000, 60), (1_055_000, 61), (1_180_000, 180)][..], false),
            (&[(1_000_000, 0), (5000, 1)], true),
            (&[(1_000_000, 0), (5000, 1), (65_000, 61)], true),
            (&[(6000, 0), (5000, 97)], true),
            (&[(3_000_000_000, 0), (5000, 60)], true),
            (&[(u32::MAX - 30_000, 0), (30_000, 60), (90_000, 120)], false),
            (&[(u32::MAX - 30_000, 0), (30_000, 60), (u32::MAX, 61), (90_000, 120)], false),
            (&[(5000, 0), (3_000_000_000, 60)], true),
            (&[(7, 0), (7, 100), (7, 500)], false),
            // Put back: from before a restart that was seen by nobody, and by a clock that runs too fast or too slow.
            (&[(5000, 7200), (3_000_000_000, 0), (65_000, 7260)], false),
            (&[(7_300_000, 7200), (1000, 0), (7_360_000, 7260)], false),
            (&[(7_100_000, 7200), (1000, 0), (7_160_000, 7260)], false),
        ] {
            assert_eq!(restarted(uptimes), wanted, "{uptimes:?}");
        }
    }

    #[test]
    fn whoever_restarts_all_the_time_is_believed_and_what_waits_is_due_once() {
        let options = Options::default();
        let mut restarts = Restarts::default();
        let key = (10, 0, 1);
        for n in 1..=4 {
            restarts.restarted(key, n * 600 * SECOND);
            let until = (n * 600 + 60) * SECOND;
            let wanted = if n <= 3 { Suspicion::Wait(until) } else { Suspicion::None };
            assert_eq!(restarts.suspicion(key, 0, n * 600 * SECOND, &options), wanted, "{n}");
        }
        [9, 7, 8].into_iter().for_each(|until| restarts.wait(until));
        assert!(!restarts.is_due(6) && restarts.is_due(7) && !restarts.is_due(i64::MAX));
        restarts.restarted(key, 10 * HOUR);
        assert_eq!(restarts.suspicion(key, 0, 11 * HOUR, &options), Suspicion::Over);
        assert_eq!(restarts.suspicion(key, 10 * HOUR, 10 * HOUR, &options), Suspicion::None);
        for port in 0..1000 {
            restarts.uptime(0, port, 5, HOUR);
        }
        assert!(restarts.sessions.len() <= SESSIONS);
        let never = Options { template_suspect_s: 0, ..options };
        assert_eq!(restarts.suspicion(key, 0, 10 * HOUR, &never), Suspicion::None);
    }
}
