//! The ASes that a network exchanges traffic with, their address ranges, and how much each gets: a few nearly all of it.
//!
//! From the files of the AS database that the decoder looks things up in, so that what was sent and what is stored name the same AS;
//! or made up, for tests without it, and then written as a file that a decoder can read.

use anyhow::{Context, Result, bail};
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::HashMap;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

/// An AS.
#[derive(Clone, Debug, Default)]
pub struct As {
    /// Its number.
    pub number: u32,
    /// Its holder.
    pub name: String,
    v4: Vec<Range>,
    v6: Vec<Range>,
}

/// First and last address, IPv4 in the low 32 bits.
type Range = (u128, u128);

/// All ASes, those with most traffic first.
#[derive(Debug)]
pub struct World {
    ases: Vec<As>,
    popularity: WeightedIndex<f64>,
}

/// Networks that most networks get most of their traffic from; first where a database has them.
const HEAVY: &[u32] = &[
    15169, 2906, 13335, 32934, 20940, 16509, 8075, 54113, 714, 60068, 46489, 32590, 138_699, 24940, 16276,
    14061, 3320, 6830, 7922, 1299, 36561, 19679, 13414, 14618, 396_982, 22822, 8560, 3209, 12322, 5432,
];

/// How fast traffic falls with rank.
const ZIPF: f64 = 1.05;
/// Ranges of an AS that are used.
const RANGES: usize = 64;

/// Numbers that are no AS's own: AS_TRANS, private, documentation, reserved.
fn is_public(number: u32) -> bool {
    !matches!(number, 0 | 23_456 | 64_496..=65_551 | 4_200_000_000..)
}

/// Addresses that the generated network itself uses, and those that nobody routes.
fn is_routed((first, last): Range, four: bool) -> bool {
    let apart = |a: u128, b: u128| last < a || first > b;
    if four {
        let net = |a: [u8; 4], length: u32| {
            let a = u128::from(u32::from(Ipv4Addr::from(a)));
            (a, a + (1 << (32 - length)) - 1)
        };
        [
            net([0; 4], 8),
            net([10, 0, 0, 0], 8),
            net([100, 64, 0, 0], 10),
            net([127, 0, 0, 0], 8),
            net([224, 0, 0, 0], 3),
        ]
        .into_iter()
        .all(|(a, b)| apart(a, b))
    } else {
        // Global unicast.
        first >> 125 == 1 && last >> 125 == 1
    }
}

impl World {
    /// Reads files of lines `first,last,asn,name` and keeps the `limit` ASes that get most traffic.
    ///
    /// # Errors
    /// Where a file can't be read, or says nothing.
    pub fn read(files: &[&Path], limit: usize, seed: u64) -> Result<Self> {
        let mut all: Vec<(Range, bool, u32)> = Vec::new();
        let mut names: HashMap<u32, String> = HashMap::new();
        for path in files {
            let shown = path.display();
            let mut lines = csv::ReaderBuilder::new()
                .has_headers(false)
                .flexible(true)
                .from_path(path)
                .with_context(|| format!("{shown}; run scripts/fetch-asn.sh"))?;
            for line in lines.records() {
                let line = line.with_context(|| format!("{shown}"))?;
                let field = |n: usize| line.get(n).map(str::trim).unwrap_or_default();
                let Ok(number) = field(2).parse() else { continue };
                let (range, four) = match (field(0).parse(), field(1).parse()) {
                    (Ok(IpAddr::V4(a)), Ok(IpAddr::V4(b))) => {
                        ((u32::from(a).into(), u32::from(b).into()), true)
                    }
                    (Ok(IpAddr::V6(a)), Ok(IpAddr::V6(b))) => ((a.into(), b.into()), false),
                    _ => bail!(
                        "{shown}, line {:?}: not first address, last address, AS number, name",
                        line.position()
                    ),
                };
                all.push((range, four, number));
                names.entry(number).or_insert_with(|| field(3).to_owned());
            }
        }
        // Where ranges overlap, which one a lookup gives is not this program's to say.
        all.sort_unstable();
        let mut ases: HashMap<u32, As> = HashMap::new();
        for (at, &(range, four, number)) in all.iter().enumerate() {
            let meets = |other: Option<&(Range, bool, u32)>| {
                other.is_some_and(|&((a, b), same, _)| same == four && a <= range.1 && b >= range.0)
            };
            let alone = !meets(at.checked_sub(1).and_then(|n| all.get(n))) && !meets(all.get(at + 1));
            if range.0 <= range.1 && alone && is_public(number) && is_routed(range, four) {
                let found = ases.entry(number).or_default();
                if four { found.v4.push(range) } else { found.v6.push(range) }
            }
        }
        let ases = ases.into_iter().map(|(number, found)| {
            let name = names.remove(&number).unwrap_or_default();
            As { number, name, ..found }
        });
        Self::ranked(ases.collect(), limit, seed)
    }

    /// ASes that are made up, in the address space that RFC 2544 and RFC 5180 keep for measurements.
    pub fn synthetic(seed: u64) -> Self {
        let made = |n: u32| {
            let v4 = u128::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + n * 512);
            let v6 = u128::from(Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 0)) + (u128::from(n) << 72);
            As {
                number: 20_001 + n * 7,
                name: format!("Example Network {n}"),
                v4: vec![(v4, v4 + 511)],
                v6: vec![(v6, v6 + (1 << 72) - 1)],
            }
        };
        match Self::ranked((0..200).map(made).collect(), 200, seed) {
            Ok(world) => world,
            Err(error) => unreachable!("two hundred ASes with addresses: {error}"),
        }
    }

    fn ranked(mut ases: Vec<As>, limit: usize, seed: u64) -> Result<Self> {
        ases.retain(|one| !one.v4.is_empty());
        if ases.is_empty() {
            bail!("the AS database has no AS with public addresses");
        }
        let size = |ranges: &[Range]| ranges.iter().map(|(a, b)| (b - a + 1) as f64).sum::<f64>();
        ases.sort_unstable_by_key(|one| one.number);
        let mut random = StdRng::seed_from_u64(seed);
        let mut scored: Vec<(f64, As)> = ases
            .into_iter()
            .map(|mut one| {
                let known = HEAVY.iter().position(|number| *number == one.number);
                let luck: f64 = random.random_range(0.05..1.0);
                let score = known.map_or(size(&one.v4).sqrt() * luck.powi(3), |rank| 1e12 - rank as f64);
                for ranges in [&mut one.v4, &mut one.v6] {
                    ranges.sort_unstable_by_key(|(a, b)| (a.wrapping_sub(*b), *a));
                    ranges.truncate(RANGES);
                }
                (score, one)
            })
            .collect();
        scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        scored.truncate(limit.max(1));
        Self::of(scored.into_iter().map(|(_, one)| one).collect())
    }

    fn of(ases: Vec<As>) -> Result<Self> {
        let popularity = WeightedIndex::new((0..ases.len()).map(|rank| (rank as f64 + 1.0).powf(-ZIPF)))?;
        Ok(Self { ases, popularity })
    }

    /// The same without these ASes: who comes behind them moves up.
    ///
    /// # Errors
    /// Where no other is left.
    pub fn without(mut self, numbers: &[u32]) -> Result<Self> {
        self.ases.retain(|one| !numbers.contains(&one.number));
        Self::of(self.ases)
    }

    /// All of them, by rank.
    pub fn ases(&self) -> &[As] {
        &self.ases
    }

    /// The rank of an AS, popular ones often.
    pub fn pick(&self, random: &mut StdRng) -> usize {
        random.sample(&self.popularity)
    }

    /// The lines of a database file of it, `first,last,asn,name`.
    pub fn csv(&self) -> String {
        let mut out = String::new();
        for one in &self.ases {
            for (ranges, four) in [(&one.v4, true), (&one.v6, false)] {
                for (first, last) in ranges {
                    let _ = writeln!(
                        out,
                        "{},{},{},{}",
                        address(*first, four),
                        address(*last, four),
                        one.number,
                        one.name.replace([',', '"'], " ")
                    );
                }
            }
        }
        out
    }
}

fn address(bits: u128, four: bool) -> IpAddr {
    if four {
        Ipv4Addr::from(u32::try_from(bits).unwrap_or_default()).into()
    } else {
        Ipv6Addr::from(bits).into()
    }
}

impl As {
    /// True where it has IPv6 addresses.
    pub fn has_v6(&self) -> bool {
        !self.v6.is_empty()
    }

    /// One of its addresses and the length of the prefix it lies in; some prefixes much more often than others.
    pub fn address(&self, six: bool, random: &mut StdRng) -> (IpAddr, u8) {
        let (ranges, bits, shortest, longest) =
            if six { (&self.v6, 128, 20, 48) } else { (&self.v4, 32, 8, 24) };
        let skewed = |random: &mut StdRng, count: u128| {
            let luck: f64 = random.random();
            ((luck.powi(4) * count as f64) as u128).min(count.saturating_sub(1))
        };
        let Some(&(first, last)) = ranges.get(skewed(random, ranges.len() as u128) as usize) else {
            return (address(0, !six), 0);
        };
        // The block first, then the host.
        let block = 1_u128 << (bits - longest);
        let blocks = (last / block).saturating_sub(first / block) + 1;
        let start = ((first / block + skewed(random, blocks)) * block).clamp(first, last);
        let end = (start / block * block + block - 1).min(last);
        let host = random.random_range(start..=end);
        // The largest aligned block of the range around it is what is announced.
        let inside = |length: u32| {
            let size = 1_u128 << (bits - length);
            let base = host / size * size;
            base >= first && base + (size - 1) <= last
        };
        let length = (shortest..=bits).find(|length| inside(*length)).unwrap_or(bits);
        (address(host, !six), length as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_ases_get_most_of_the_traffic_and_addresses_lie_in_their_ranges() {
        let world = World::synthetic(1);
        let mut random = StdRng::seed_from_u64(2);
        let mut hits = vec![0_u32; world.ases().len()];
        for _ in 0..20_000 {
            hits[world.pick(&mut random)] += 1;
        }
        let top: u32 = hits[..10].iter().sum();
        assert!(top > 20_000 * 4 / 10 && hits[150..].iter().any(|n| *n > 0), "{top}");
        for six in [false, true] {
            for rank in [0, 77, 199] {
                let one = &world.ases()[rank];
                let (address, length) = one.address(six, &mut random);
                let bits = match address {
                    IpAddr::V4(a) => u128::from(u32::from(a)),
                    IpAddr::V6(a) => a.into(),
                };
                let (first, last) = if six { one.v6[0] } else { one.v4[0] };
                assert!((first..=last).contains(&bits), "{address}");
                assert_eq!(length, if six { 56 } else { 23 });
            }
        }
    }

    #[test]
    fn who_comes_behind_an_as_that_is_left_out_moves_up() {
        let (all, some) = (World::synthetic(1), World::synthetic(1));
        let first = all.ases()[0].number;
        let some = some.without(&[first]).unwrap();
        assert_eq!(some.ases().len(), all.ases().len() - 1);
        assert_eq!(some.ases()[0].number, all.ases()[1].number);
        let mut random = StdRng::seed_from_u64(2);
        assert!((0..20_000).all(|_| some.pick(&mut random) < some.ases().len()));
    }

    #[test]
    fn a_world_written_as_a_file_is_read_back_with_the_same_ranges() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("asn.csv");
        let made = World::synthetic(1);
        std::fs::write(&path, made.csv()).unwrap();
        let read = World::read(&[&path], 1000, 1).unwrap();
        let ranges = |world: &World| {
            let mut all: Vec<_> =
                world.ases().iter().map(|a| (a.number, a.v4.clone(), a.v6.clone())).collect();
            all.sort();
            all
        };
        assert_eq!(ranges(&made), ranges(&read));
    }

    #[test]
    fn what_is_private_overlaps_or_is_not_routed_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("asn.csv");
        let lines = "8.8.0.0,8.8.255.255,15169,Google\n100.64.0.0,100.64.255.255,700,Own\n9.0.0.0,9.0.0.255,65002,Private\n\
                     11.0.0.0,11.0.255.255,701,Outer\n11.0.1.0,11.0.1.255,702,Inner\n";
        std::fs::write(&path, lines).unwrap();
        let world = World::read(&[&path], 1000, 1).unwrap();
        assert_eq!(world.ases().iter().map(|a| a.number).collect::<Vec<_>>(), [15169]);
    }
}
