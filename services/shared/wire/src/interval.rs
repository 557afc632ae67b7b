//! Sampling intervals from their parameters: docs/counting.md's table ("Sampling rate").
//!
//! An interval is a ratio until it is stored, so that chains multiply exactly and it is rounded once. What is not known is 0,
//! never 1.

use crate::element::Slot;
use crate::plan::{Present, Words};
use weir_schemas::SamplingKind;
use weir_schemas::columns::flag;

/// An interval as a ratio, at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ratio {
    pub num: u128,
    pub den: u128,
}

impl Ratio {
    /// None unless `num / den` is from 1 to `bound`.
    pub(crate) fn new(num: u128, den: u128, bound: u64) -> Option<Self> {
        if den == 0 || num < den || num.div_ceil(den) > u128::from(bound) {
            return None;
        }
        let divisor = gcd(num, den);
        Some(Self { num: num / divisor, den: den / divisor })
    }

    /// 1 / p, where p is in ]0, 1] and 1 / p within the bound.
    fn inverse(p: f64, bound: u64) -> Option<Self> {
        if p.is_nan() || p <= 0.0 {
            return None;
        }
        // A float is mantissa · 2^exponent exactly. With p from 2^-40 to 1 the exponent is from -92 to -52; what is beyond is too small or too large.
        let bits = p.to_bits();
        let exponent = (bits >> 52 & 0x7ff) as i64 - 1075;
        let mantissa = u128::from(bits & ((1 << 52) - 1) | 1 << 52);
        let shift = u32::try_from(-exponent).ok().filter(|shift| *shift < 120)?;
        Self::new(1 << shift, mantissa, bound)
    }

    pub(crate) fn times(&self, other: &Self, bound: u64) -> Option<Self> {
        let (a, b) = (gcd(self.num, other.den), gcd(other.num, self.den));
        let num = (self.num / a).checked_mul(other.num / b)?;
        let den = (self.den / b).checked_mul(other.den / a)?;
        Self::new(num, den, bound)
    }

    /// Thousandths, rounded half up.
    pub(crate) fn thousandths(&self) -> u64 {
        let (whole, rest) = (self.num / self.den, self.num % self.den);
        // A denominator below 2^116 times 2000 still fits; a larger one can be shortened without harm to the thousandths.
        let shift = (128 - self.den.leading_zeros()).saturating_sub(116);
        let (rest, den) = (rest >> shift, (self.den >> shift).max(1));
        let thousandths = (rest * 2000 + den) / (2 * den);
        u64::try_from(whole.saturating_mul(1000).saturating_add(thousandths)).unwrap_or(u64::MAX)
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

/// An interval with what is said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announced {
    pub ratio: Ratio,
    pub kind: SamplingKind,
    /// Bits of the column `flags`.
    pub flags: u32,
    /// From IE 305 alone: below any other evidence.
    pub inferred: bool,
}

impl Announced {
    /// Whether both are the same sampling, whatever else is said of it.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        (self.ratio, self.kind) == (other.ratio, other.kind)
    }

    /// One sampling after another; none beyond the bound.
    pub(crate) fn times(&self, other: &Self, bound: u64) -> Option<Self> {
        // Flow counts scale where flows are left out, not where all of them are taken.
        let of_flows = |of: &Self| of.kind == SamplingKind::Flow && of.ratio.num != of.ratio.den;
        Some(Self {
            ratio: self.ratio.times(&other.ratio, bound)?,
            kind: if of_flows(self) || of_flows(other) {
                SamplingKind::Flow
            } else {
                self.kind.min(other.kind)
            },
            flags: self.flags | other.flags,
            inferred: self.inferred || other.inferred,
        })
    }
}

/// The parameters are there and give no interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadRate;

/// Elements that say something about an interval by themselves.
pub(crate) const PARAMETERS: Present = Present::of(&[
    Slot::Interval,
    Slot::RandomInterval,
    Slot::PacketInterval,
    Slot::PacketSpace,
    Slot::TimeInterval,
    Slot::TimeSpace,
    Slot::SampleSize,
    Slot::Population,
    Slot::Probability32,
    Slot::Probability64,
    Slot::HashOutMin,
    Slot::HashOutMax,
    Slot::HashSelectedMin1,
    Slot::HashSelectedMax1,
    Slot::FlowInterval,
    Slot::FlowSpacing,
]);

/// Elements that are an interval by themselves: of 0 they say that there is none.
pub(crate) const PLAIN: Present = Present::of(&[Slot::Interval, Slot::RandomInterval]);

const HASH_MINS: [Slot; 8] = [
    Slot::HashSelectedMin1,
    Slot::HashSelectedMin2,
    Slot::HashSelectedMin3,
    Slot::HashSelectedMin4,
    Slot::HashSelectedMin5,
    Slot::HashSelectedMin6,
    Slot::HashSelectedMin7,
    Slot::HashSelectedMin8,
];
const HASH_MAXES: [Slot; 8] = [
    Slot::HashSelectedMax1,
    Slot::HashSelectedMax2,
    Slot::HashSelectedMax3,
    Slot::HashSelectedMax4,
    Slot::HashSelectedMax5,
    Slot::HashSelectedMax6,
    Slot::HashSelectedMax7,
    Slot::HashSelectedMax8,
];

/// A family of parameters, one row of docs/counting.md's table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Plain,
    Count,
    Size,
    Probability,
    Time,
    Hash,
    Flow,
}

/// How many values lie from one to another, both included.
fn values(min: u64, max: u64) -> Option<u128> {
    Some(u128::from(max.checked_sub(min)?) + 1)
}

/// How many values of a hash are selected, of all ranges together (RFC 5477 section 8.2.8: there may be several). None where that can't be told: a range
/// has one end, some overlap, or there are more of them than are read.
fn selected(present: &Present, words: &Words) -> Option<u128> {
    let all = |slots: [Slot; 8]| slots.map(|slot| present.has(slot).then(|| words[slot as usize]));
    let (mins, maxes) = (all(HASH_MINS), all(HASH_MAXES));
    let mut sum = 0;
    for (at, ends) in mins.into_iter().zip(maxes).enumerate() {
        let (min, max) = match ends {
            (Some(min), Some(max)) => (min, max),
            (None, None) => continue,
            _ => return None,
        };
        let others = mins.into_iter().zip(maxes).take(at).filter_map(|(min, max)| min.zip(max));
        if others.into_iter().any(|(from, to)| min <= to && from <= max) {
            return None;
        }
        sum += values(min, max)?;
    }
    (!present.has(Slot::Beyond)).then_some(sum)
}

/// The interval that a record's parameters give: the first family of the table that samples packets, is there and is not zero, and after it the sampling
/// of flows.
pub(crate) fn announced(present: &Present, words: &Words, bound: u64) -> Result<Option<Announced>, BadRate> {
    let get = |slot: Slot| present.has(slot).then(|| words[slot as usize]);
    let both = |a: Slot, b: Slot| get(a).zip(get(b)).map(|(a, b)| (u128::from(a), u128::from(b)));
    let plain = get(Slot::Interval).filter(|n| *n > 0).or(get(Slot::RandomInterval).filter(|n| *n > 0));
    let probability = get(Slot::Probability64)
        .filter(|bits| *bits != 0)
        .map(f64::from_bits)
        .or(get(Slot::Probability32).map(|bits| f64::from(f32::from_bits(bits as u32))))
        .or(get(Slot::Probability64).map(f64::from_bits));
    let hash = get(Slot::HashOutMin)
        .zip(get(Slot::HashOutMax))
        .filter(|_| present.has(Slot::HashSelectedMin1) && present.has(Slot::HashSelectedMax1));
    let ratio = |num, den| Ratio::new(num, den, bound).ok_or(BadRate);
    let packets = if let Some(n) = plain {
        Some((Family::Plain, ratio(u128::from(n), 1)?))
    } else if let Some((interval, space)) = both(Slot::PacketInterval, Slot::PacketSpace) {
        Some((Family::Count, ratio(interval + space, interval)?))
    } else if let Some((size, population)) = both(Slot::SampleSize, Slot::Population) {
        Some((Family::Size, ratio(population, size)?))
    } else if let Some(p) = probability {
        Some((Family::Probability, Ratio::inverse(p, bound).ok_or(BadRate)?))
    } else if let Some((interval, space)) = both(Slot::TimeInterval, Slot::TimeSpace) {
        Some((Family::Time, ratio(interval + space, interval)?))
    } else if let Some((min, max)) = hash {
        let (all, selected) = values(min, max).zip(selected(present, words)).ok_or(BadRate)?;
        Some((Family::Hash, ratio(all, selected)?))
    } else {
        None
    };
    let flows = both(Slot::FlowInterval, Slot::FlowSpacing)
        .map(|(interval, spacing)| ratio(interval + spacing, interval))
        .transpose()?;
    let Some((family, ratio)) = packets.or(flows.map(|ratio| (Family::Flow, ratio))) else {
        // An interval without a space says little, but exporters do send their N in it.
        let inferred = get(Slot::PacketInterval).filter(|n| *n > 1);
        return Ok(inferred.and_then(|n| Ratio::new(u128::from(n), 1, bound)).map(|ratio| Announced {
            ratio,
            kind: SamplingKind::Packet,
            flags: 0,
            inferred: true,
        }));
    };
    let mut flags = if family == Family::Time { flag::RATE_APPROXIMATE } else { 0 };
    if contradicts(family, get(Slot::SelectorAlgorithm), get(Slot::Algorithm).or(get(Slot::SamplerMode))) {
        flags |= flag::RATE_CONTRADICTED;
    }
    let kind = if family == Family::Flow { SamplingKind::Flow } else { SamplingKind::Packet };
    let first = Announced { ratio, kind, flags, inferred: false };
    match flows.filter(|_| packets.is_some()) {
        None => Ok(Some(first)),
        Some(ratio) => {
            let flows = Announced { ratio, kind: SamplingKind::Flow, flags: 0, inferred: false };
            first.times(&flows, bound).ok_or(BadRate).map(Some)
        }
    }
}

/// Whether the algorithm that is named is another than the one whose parameters are there (RFC 5477 section 8.2.1 for IE 304;
/// 1 deterministic, 2 random for IE 35 and 49).
fn contradicts(family: Family, selector: Option<u64>, mode: Option<u64>) -> bool {
    use Family::*;
    let selector = match selector {
        None | Some(0) => false,
        _ if family == Plain => false,
        Some(1) => family != Count,
        Some(2) => family != Time,
        Some(3) => family != Size,
        Some(4) => family != Probability,
        Some(6..=8) => family != Hash,
        Some(_) => false,
    };
    let mode = match mode {
        Some(1) => matches!(family, Size | Probability),
        Some(2) => matches!(family, Count | Time),
        _ => false,
    };
    selector || mode
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousandths_are_right_whatever_the_size_of_the_denominator() {
        for bits in 1..=125 {
            let den = 1_u128 << bits;
            for (num, wanted) in [(den / 2 * 5, 2500), (den, 1000), (den + den / 2, 1500)] {
                assert_eq!(Ratio { num, den }.thousandths(), wanted, "{num} / {den}");
            }
        }
        for (num, wanted) in [(10_004_995, 1000), (10_005_000, 1001), (10_005_001, 1001), (10_014_999, 1001)]
        {
            assert_eq!(Ratio { num, den: 10_000_000 }.thousandths(), wanted, "{num}");
        }
    }
    #[test]
    fn a_long_chain_of_large_parameters_does_not_overflow_where_its_interval_is_small() {
        let bound = 1 << 32;
        let half = Ratio::new(1 << 63, 1 << 62, bound).unwrap();
        let product = (1..8).try_fold(half, |product, _| product.times(&half, bound)).unwrap();
        assert_eq!(product.thousandths(), 256_000);
        assert_eq!(Ratio::new(u128::MAX, 1 << 100, bound).unwrap().times(&half, bound / 16), None);
    }
}
