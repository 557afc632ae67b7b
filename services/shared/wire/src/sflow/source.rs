//! What each of an agent's samplers attains, beside what it announces (docs/counting.md, "Sampling rate").
//!
//! A flow sample has the sampler's own number, and how many packets could have been sampled (the pool) and how many samples were dropped so far.
//! Nothing of it changes a rate: it shows whether the announced one can be believed.

use ahash::AHashMap;
use weir_schemas::Ip;
use weir_schemas::checks::Checks;

/// Samplers kept of an exporter. What has been silent for [`IDLE`] makes room.
const SOURCES: usize = 256;
/// ns.
const IDLE: i64 = 600_000_000_000;
/// Samples ahead that are a gap; beyond, the agent began anew.
const GAP: u32 = 1 << 16;
/// Samples behind the latest, one after another, and ns since the first of them, from which on they are not late any more: the agent began anew.
const BEHIND: (u8, i64) = (16, 10_000_000_000);
/// How many intervals the pool may grow for each sample before that is a step and not luck: a random sampler skips so far once in e^32.
const LUCK: u64 = 32;

/// Which sampler: sFlow's data source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceId {
    /// Address of the agent.
    pub agent: Ip,
    /// Sub-agent.
    pub sub_agent: u32,
    /// Class of the data source: 0 is an interface.
    pub class: u32,
    /// Its index: of an interface the ifIndex.
    pub index: u32,
}

/// What is counted of a sampler since it was first seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Announced interval N of the latest sample.
    pub rate: u32,
    /// Samples received.
    pub received: u64,
    /// Samples that the agent made, by their numbers.
    pub made: u64,
    /// Packets that could have been sampled.
    pub pool: u64,
    /// Samples that the agent made and dropped for want of resources.
    pub drops: u64,
    /// Pairs of samples that follow each other, and how many of them lie N packets apart exactly.
    pub pairs: u64,
    /// See `pairs`: nearly all of them are of a sampler that counts to N, a few of one that is random.
    pub uniform: u64,
    /// How often the pool went back or too far ahead.
    pub pool_steps: u64,
    /// How often the numbers began anew.
    pub restarts: u64,
    last: i64,
    /// Samples behind the latest since there was one that is not, and when the first came.
    behind: (u8, i64),
    before: Option<Before>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Before {
    sequence: u32,
    pool: u32,
    drops: u32,
}

/// What a flow sample says of its sampler.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub sequence: u32,
    pub rate: u32,
    pub pool: u32,
    pub drops: u32,
}

impl Source {
    /// Packets for each sample that was made, in thousandths: the rate that was attained. None: too little came.
    pub fn attained(&self) -> Option<u64> {
        let attained = u128::from(self.pool) * 1000 / u128::from(self.made.max(1));
        (self.made > 0 && self.pool > 0).then(|| u64::try_from(attained).unwrap_or(u64::MAX))
    }

    fn see(&mut self, counted: &Counted, received: i64, sums: &mut Checks) {
        let now = Before { sequence: counted.sequence, pool: counted.pool, drops: counted.drops };
        self.last = self.last.max(received);
        self.rate = counted.rate;
        self.received += 1;
        let Some(before) = self.before else {
            self.before = Some(now);
            return;
        };
        let made = now.sequence.wrapping_sub(before.sequence);
        // It came behind later ones, or once more.
        let late = made.wrapping_neg() < GAP;
        if late {
            let (samples, since) = self.behind;
            let (samples, since) = (samples.saturating_add(1), if samples == 0 { received } else { since });
            self.behind = (samples, since);
            if samples < BEHIND.0 || received.saturating_sub(since) < BEHIND.1 {
                return;
            }
        }
        self.behind = (0, 0);
        self.before = Some(now);
        if late || made > GAP {
            self.restarts += 1;
            return;
        }
        let (pool, drops) = (now.pool.wrapping_sub(before.pool), now.drops.wrapping_sub(before.drops));
        if u64::from(pool) > u64::from(made) * u64::from(counted.rate).max(1) * LUCK {
            self.pool_steps += 1;
            sums.sample_pool_steps += 1;
            return;
        }
        // A sample is made or dropped: more drops than packets are no count.
        let drops = if drops <= pool.max(made) { u64::from(drops) } else { 0 };
        let (made, pool) = (u64::from(made), u64::from(pool));
        self.made += made;
        self.pool += pool;
        self.drops += drops;
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut sums.samples_made, made);
        add(&mut sums.samples_pool, pool);
        add(&mut sums.samples_announced, made * u64::from(counted.rate));
        add(&mut sums.samples_dropped, drops);
        if made == 1 {
            let uniform = u64::from(pool == u64::from(counted.rate));
            self.pairs += 1;
            self.uniform += uniform;
            sums.samples_pairs += 1;
            sums.samples_uniform += uniform;
        }
    }
}

/// An exporter's samplers.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    sources: AHashMap<SourceId, Source>,
    swept: i64,
}

impl Sources {
    pub(crate) fn see(&mut self, id: SourceId, counted: &Counted, received: i64, sums: &mut Checks) {
        if let Some(source) = self.sources.get_mut(&id) {
            return source.see(counted, received, sums);
        }
        if self.sources.len() >= SOURCES && received.saturating_sub(self.swept) > IDLE {
            self.swept = received;
            self.sources.retain(|_, source| received.saturating_sub(source.last) <= IDLE);
        }
        if self.sources.len() < SOURCES {
            self.sources.entry(id).or_default().see(counted, received, sums);
        }
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&SourceId, &Source)> {
        self.sources.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn seen(samples: &[(u32, u32, u32)]) -> Source {
        let mut source = Source::default();
        for (at, (sequence, pool, drops)) in samples.iter().enumerate() {
            let counted = Counted { sequence: *sequence, rate: 100, pool: *pool, drops: *drops };
            source.see(&counted, at as i64 * SECOND, &mut Checks::default());
        }
        source
    }

    #[test]
    fn the_attained_rate_is_that_of_the_pool_whatever_was_lost_on_the_way() {
        let source = seen(&[(1, 1000, 0), (2, 1090, 0), (5, 1420, 2), (6, 1520, 2)]);
        assert_eq!((source.received, source.made, source.pool, source.drops), (4, 5, 520, 2));
        assert_eq!((source.attained(), source.pairs, source.uniform), (Some(104_000), 2, 1));
        let wraps = seen(&[(u32::MAX, u32::MAX - 9, 0), (0, 90, 0), (1, 190, 0)]);
        assert_eq!((wraps.made, wraps.pool, wraps.uniform, wraps.attained()), (2, 200, 2, Some(100_000)));
        assert_eq!(seen(&[(7, 7, 0)]).attained(), None);
    }

    #[test]
    fn what_comes_late_or_twice_moves_nothing_and_steps_and_restarts_are_told_apart() {
        let late = seen(&[(10, 1000, 0), (12, 1200, 0), (11, 1100, 0), (12, 1200, 0), (13, 1300, 0)]);
        assert_eq!((late.received, late.made, late.pool, late.restarts), (5, 3, 300, 0));
        let step = seen(&[(10, 1000, 0), (11, 90_000, 0), (12, 90_100, 0), (13, 5, 0), (14, 105, 0)]);
        assert_eq!((step.pool_steps, step.made, step.pool), (2, 2, 200));
        let anew = seen(&[(900_000, 1000, 0), (1, 100, 0), (2, 200, 0)]);
        assert_eq!((anew.restarts, anew.made, anew.pool), (1, 1, 100));
    }

    #[test]
    fn a_sampler_that_began_anew_soon_after_its_start_is_told_from_samples_that_are_late() {
        let samples = |n: u32| [(900, 90_000, 0)].into_iter().chain((1..=n).map(|at| (at, at * 100, 0)));
        let late = seen(&Vec::from_iter(samples(15)));
        assert_eq!((late.restarts, late.made), (0, 0));
        let anew = seen(&Vec::from_iter(samples(20)));
        assert_eq!((anew.restarts, anew.made, anew.pool), (1, 4, 400));
        // Nor is a datagram that came late, however much is in it.
        let mut source = Source::default();
        for (at, sequence) in (1..=20).chain(41..=60).chain(21..=40).chain(61..=100).enumerate() {
            let counted = Counted { sequence, rate: 100, pool: sequence * 100, drops: 0 };
            source.see(&counted, at as i64 / 20 * SECOND, &mut Checks::default());
        }
        assert_eq!((source.restarts, source.made), (0, 99));
        // Those that are late in between are none of them.
        let between = (0..40).flat_map(|at| [(100 + at, (100 + at) * 100, 0), (60 + at, (60 + at) * 100, 0)]);
        assert_eq!(seen(&Vec::from_iter(between)).restarts, 0);
    }

    #[test]
    fn an_address_that_makes_up_samplers_takes_a_bounded_room_and_silent_ones_make_way() {
        let mut sources = Sources::default();
        let id = |index| SourceId { agent: Ip::default(), sub_agent: 0, class: 0, index };
        for index in 0..2 * SOURCES as u32 {
            sources.see(id(index), &Counted::default(), 1, &mut Checks::default());
        }
        assert_eq!(sources.all().count(), SOURCES);
        sources.see(id(u32::MAX), &Counted::default(), 2 * IDLE, &mut Checks::default());
        assert_eq!(sources.all().count(), 1);
    }
}
