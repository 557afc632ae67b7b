//! How many datagrams a source may send. No I/O, no clock.
//!
//! A bucket is one number: when the source would be back at nothing (GCRA). One that is in the past is the same as none, so forgetting
//! idle sources changes nothing. Sources can be spoofed, so what is known is bounded: beyond that newcomers share one bucket, and those
//! who were there keep theirs.

use crate::frames::Exporter;
use ahash::AHashMap;
use std::net::{IpAddr, Ipv6Addr};

/// Sources with a bucket of their own.
const SOURCES: usize = 65_536;
/// Idle ones are looked for this often at most, ns: it costs a walk through all of them.
const SWEEP: u64 = 100_000_000;
/// Exporters are named this often at most, ns.
const TELL: u64 = 60_000_000_000;
/// Sources that are remembered for being named, and that are named.
const REMEMBERED: usize = 1_000;
const NAMED: usize = 10;

#[derive(Debug)]
pub(crate) struct Limiter {
    /// ns a datagram, and of all that may come at once.
    interval: u64,
    burst: u64,
    most: usize,
    sources: AHashMap<Exporter, u64>,
    /// The bucket of those for whom there is no room.
    others: u64,
    sweep_at: u64,
    over: AHashMap<Exporter, u64>,
    tell_at: u64,
}

impl Limiter {
    /// Datagrams a second, and at once.
    pub(crate) fn new(rate: u32, burst: u32) -> Self {
        let interval = 1_000_000_000 / u64::from(rate.max(1));
        Self {
            interval,
            burst: interval * u64::from(burst),
            most: SOURCES,
            sources: AHashMap::new(),
            others: 0,
            sweep_at: 0,
            over: AHashMap::new(),
            tell_at: 0,
        }
    }

    /// Whether a datagram that comes at `now` (ns since any beginning) is within the limit.
    pub(crate) fn admits(&mut self, source: &Exporter, now: u64) -> bool {
        if self.sources.len() >= self.most && now >= self.sweep_at {
            self.sources.retain(|_, until| *until > now);
            self.sweep_at = now + SWEEP;
        }
        let room = self.sources.len() < self.most;
        let until = match self.sources.get_mut(source) {
            Some(until) => until,
            None if room => self.sources.entry(*source).or_default(),
            None => &mut self.others,
        };
        let next = (*until).max(now) + self.interval;
        if next - now <= self.burst {
            *until = next;
            return true;
        }
        if self.over.len() < REMEMBERED || self.over.contains_key(source) {
            *self.over.entry(*source).or_default() += 1;
        }
        false
    }

    /// Who was over the limit since this last said so.
    pub(crate) fn tell(&mut self, now: u64) -> Option<String> {
        if self.over.is_empty() || now < self.tell_at {
            return None;
        }
        self.tell_at = now + TELL;
        let mut over: Vec<(Exporter, u64)> = self.over.drain().collect();
        over.sort_unstable_by_key(|(source, count)| (std::cmp::Reverse(*count), *source));
        let name = |(source, count): &(Exporter, u64)| {
            format!("{} ({count})", IpAddr::V6(Ipv6Addr::from(*source)).to_canonical())
        };
        let names: Vec<String> = over.iter().take(NAMED).map(name).collect();
        let more = match over.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!("over ingest.exporter_rate, with datagrams dropped: {}{more}", names.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn source(n: u32) -> Exporter {
        let mut source = std::net::Ipv4Addr::new(192, 0, 0, 0).to_ipv6_mapped().octets();
        source[13..].copy_from_slice(&n.to_be_bytes()[1..]);
        source
    }

    fn admitted(limiter: &mut Limiter, source: Exporter, tries: usize, now: u64) -> usize {
        (0..tries).filter(|_| limiter.admits(&source, now)).count()
    }

    #[test]
    fn a_burst_and_then_the_rate_and_each_source_for_itself() {
        let mut limiter = Limiter::new(100, 30);
        assert_eq!(admitted(&mut limiter, source(1), 50, SECOND), 30);
        assert_eq!(admitted(&mut limiter, source(2), 50, SECOND), 30);
        let later: usize =
            (1..=1000).map(|ms| admitted(&mut limiter, source(1), 5, SECOND + ms * SECOND / 1000)).sum();
        assert_eq!(later, 100);
        assert_eq!(admitted(&mut limiter, source(1), 50, 10 * SECOND), 30, "the burst is there again");
    }

    #[test]
    fn who_keeps_to_the_rate_loses_nothing() {
        let mut limiter = Limiter::new(1000, 1);
        let kept = (0..10_000).filter(|n| limiter.admits(&source(1), n * SECOND / 1000)).count();
        assert_eq!(kept, 10_000);
        assert_eq!(limiter.tell(SECOND), None);
    }

    #[test]
    fn spoofed_sources_take_no_memory_beyond_the_bound_and_nothing_from_who_was_there() {
        let mut limiter = Limiter { most: 100, ..Limiter::new(10, 10) };
        assert_eq!(admitted(&mut limiter, source(0), 5, SECOND), 5);
        let spoofed: usize = (1..5000).map(|n| admitted(&mut limiter, source(n), 1, SECOND)).sum();
        assert_eq!(spoofed, 99 + 10, "those with a bucket of their own, and one burst of all others");
        assert!(limiter.sources.len() <= 100 && limiter.over.len() <= REMEMBERED);
        assert_eq!(admitted(&mut limiter, source(0), 9, SECOND), 5, "what it had left");
        assert_eq!(admitted(&mut limiter, source(7000), 20, 9 * SECOND), 10, "idle ones made room");
        assert_eq!(limiter.sources.len(), 1);
    }

    #[test]
    fn exporters_over_the_limit_are_named_once_a_minute_the_worst_first() {
        let mut limiter = Limiter::new(1, 1);
        for n in 0..12 {
            admitted(&mut limiter, source(n), 2 + n as usize, SECOND);
        }
        let words = limiter.tell(SECOND).unwrap();
        let begin = "over ingest.exporter_rate, with datagrams dropped: 192.0.0.11 (12), 192.0.0.10 (11), ";
        assert!(words.starts_with(begin) && words.ends_with("192.0.0.2 (3) and 2 more"), "{words}");
        admitted(&mut limiter, source(5), 3, 2 * SECOND);
        assert_eq!(limiter.tell(60 * SECOND), None);
        assert!(limiter.tell(61 * SECOND).unwrap().contains("192.0.0.5 (2)"));
    }
}
