//! What a group comes to: amounts by the rate that they were sampled at, and the sums that follow.
//!
//! ClickHouse adds amounts as they were sampled, and what they come to is worked out here, in 128 bits, which stop at their ends; so does what leaves
//! as 64 bits. In the SQL `s` has the amounts, and `rate` is N in thousandths: as announced with the flows, else the first that was announced later,
//! else 0. Sums in the SQL have 128 bits, which hold 2^85 bytes as sampled at the largest rate that is taken (wire's `max_sampling_interval`).

use super::{Row, limits};
use serde::Deserialize;

/// What amounts are told apart by, for what follows from it.
pub const APART: &str = "now, direction, kind, rate, late";
/// They, with the amounts: the columns of [`Part`].
pub const PARTS: &str = "toBool(s.now) AS now, s.direction AS direction, s.sampling_kind AS kind, rate, toBool(s.sampling_interval = 0) AS late, \
     sum(toInt128(s.bytes)) AS bytes, sum(toInt128(s.packets)) AS packets, sum(toInt128(s.flows)) AS flows, sum(toFloat64(s.q)) AS q";
/// All of them, as one value.
pub const ALL_PARTS: &str = "groupArray((now, direction, kind, rate, late, bytes, packets, flows, q))";

/// A direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Unknown,
    In,
    Out,
}

/// Amounts of one direction, kind of sampling and rate.
#[derive(Clone, Debug, Deserialize)]
pub struct Part {
    /// Whether they are of the time that is asked about, and not of the one before.
    pub now: bool,
    pub direction: Side,
    pub kind: Kind,
    /// N in thousandths; 0: unknown.
    pub rate: u64,
    /// Whether the flows came without one.
    pub late: bool,
    pub bytes: i128,
    pub packets: i128,
    pub flows: i128,
    pub q: f64,
}

/// A kind of sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Unknown,
    Packet,
    Flow,
}

/// Sums of a group.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub packets: u64,
    pub flows: u64,
    pub samples_in: u64,
    pub samples_out: u64,
    /// Samples of what is sampled at all, at more than 1 in 1.
    pub drawn_in: u64,
    pub drawn_out: u64,
    /// Estimate of it, and its variance.
    pub moments_in: [f64; 2],
    pub moments_out: [f64; 2],
    /// Of packet sampling: the largest interval, squares and bytes as sampled.
    pub packet_interval: f64,
    pub packet_squares: f64,
    pub packet_bytes: f64,
    /// Of flow sampling: the largest interval, squares.
    pub flow_interval: f64,
    pub flow_squares: f64,
    pub bytes_late_rate: u64,
    pub bytes_unknown_rate_in: u64,
    pub bytes_unknown_rate_out: u64,
}

/// Bytes times the interval, in thousandths as it is.
pub const THOUSANDTHS: &str = "toInt128(s.bytes) * toInt128(rate)";
/// Packets that were really seen, or records where whole flows are sampled.
pub const SAMPLES: &str = "toInt128(if(s.sampling_kind = 'flow', s.flows, s.packets))";

/// An amount of thousandths, in 64 bits.
pub fn whole(thousandths: i128) -> u64 {
    narrowed(thousandths / 1000)
}

/// As 64 bits: it stops at their ends.
fn narrowed(sum: i128) -> u64 {
    u64::try_from(sum.max(0)).unwrap_or(u64::MAX)
}

impl Part {
    /// N, where it is sampled at all.
    fn drawn(&self) -> Option<f64> {
        (self.rate > 1000).then(|| self.rate as f64 / 1000.0)
    }

    /// Packets that were really seen, or records where whole flows are sampled.
    fn samples(&self) -> i128 {
        if self.kind == Kind::Flow { self.flows } else { self.packets }
    }

    fn scaled(&self, amount: i128) -> i128 {
        amount.saturating_mul(self.rate.into())
    }
}

impl Sums {
    /// Of amounts. The variance is N(N−1)·Q (docs/counting.md, "Error of an estimate").
    pub fn of<'p>(parts: impl IntoIterator<Item = &'p Part>) -> Self {
        let parts: Vec<_> = parts.into_iter().collect();
        let sum = |of: &dyn Fn(&Part) -> bool, amount: &dyn Fn(&Part) -> i128| {
            let all = parts.iter().filter(|part| of(part)).map(|part| amount(part));
            all.fold(0_i128, i128::saturating_add)
        };
        let all = |_: &Part| true;
        let side = |side| move |part: &Part| part.direction == side;
        let (inward, outward) = (side(Side::In), side(Side::Out));
        let bytes = |of: &dyn Fn(&Part) -> bool| whole(sum(of, &|part| part.scaled(part.bytes)));
        let samples = |of: &dyn Fn(&Part) -> bool, from: u64| {
            narrowed(sum(&|part| of(part) && part.rate > from, &Part::samples))
        };
        let unknown = |of: &dyn Fn(&Part) -> bool| {
            narrowed(sum(&|part| of(part) && part.rate == 0, &|part| part.bytes))
        };
        let moments = |of: &dyn Fn(&Part) -> bool| {
            let drawn = parts.iter().filter(|part| of(part)).filter_map(|part| Some((part, part.drawn()?)));
            drawn.fold([0.0, 0.0], |[estimate, variance], (part, n)| {
                [estimate + part.bytes as f64 * n, variance + part.q * n * (n - 1.0)]
            })
        };
        let of_kind = |flows: bool| {
            let drawn = parts.iter().filter_map(|part| Some((part, part.drawn()?)));
            drawn.filter(|(part, _)| (part.kind == Kind::Flow) == flows).fold(
                (0.0_f64, 0.0, 0.0),
                |(interval, squares, bytes), (part, n)| {
                    (interval.max(n), squares + part.q, bytes + part.bytes as f64)
                },
            )
        };
        // A flow count is scaled where whole flows are sampled, and nowhere else.
        let flows = |part: &Part| {
            if part.kind == Kind::Flow && part.rate > 0 {
                part.scaled(part.flows)
            } else {
                part.flows.saturating_mul(1000)
            }
        };
        let (packet_interval, packet_squares, packet_bytes) = of_kind(false);
        let (flow_interval, flow_squares, _) = of_kind(true);
        Self {
            bytes_in: bytes(&inward),
            bytes_out: bytes(&outward),
            packets: whole(sum(&all, &|part| part.scaled(part.packets))),
            flows: whole(sum(&all, &flows)),
            samples_in: samples(&inward, 0),
            samples_out: samples(&outward, 0),
            drawn_in: samples(&inward, 1000),
            drawn_out: samples(&outward, 1000),
            moments_in: moments(&inward),
            moments_out: moments(&outward),
            packet_interval,
            packet_squares,
            packet_bytes,
            flow_interval,
            flow_squares,
            bytes_late_rate: bytes(&|part| part.late),
            bytes_unknown_rate_in: unknown(&inward),
            bytes_unknown_rate_out: unknown(&outward),
        }
    }

    /// What is left without these, which are parts of it. The largest intervals stay: what is left may have them.
    pub fn without<'a>(&self, parts: impl IntoIterator<Item = &'a Self>) -> Self {
        parts.into_iter().fold(self.clone(), |left, part| {
            let moments = |[all, variance]: [f64; 2], [some, its]: [f64; 2]| {
                [(all - some).max(0.0), (variance - its).max(0.0)]
            };
            Self {
                bytes_in: left.bytes_in.saturating_sub(part.bytes_in),
                bytes_out: left.bytes_out.saturating_sub(part.bytes_out),
                packets: left.packets.saturating_sub(part.packets),
                flows: left.flows.saturating_sub(part.flows),
                samples_in: left.samples_in.saturating_sub(part.samples_in),
                samples_out: left.samples_out.saturating_sub(part.samples_out),
                drawn_in: left.drawn_in.saturating_sub(part.drawn_in),
                drawn_out: left.drawn_out.saturating_sub(part.drawn_out),
                moments_in: moments(left.moments_in, part.moments_in),
                moments_out: moments(left.moments_out, part.moments_out),
                packet_interval: left.packet_interval,
                packet_squares: (left.packet_squares - part.packet_squares).max(0.0),
                packet_bytes: (left.packet_bytes - part.packet_bytes).max(0.0),
                flow_interval: left.flow_interval,
                flow_squares: (left.flow_squares - part.flow_squares).max(0.0),
                bytes_late_rate: left.bytes_late_rate.saturating_sub(part.bytes_late_rate),
                bytes_unknown_rate_in: left.bytes_unknown_rate_in.saturating_sub(part.bytes_unknown_rate_in),
                bytes_unknown_rate_out: left
                    .bytes_unknown_rate_out
                    .saturating_sub(part.bytes_unknown_rate_out),
            }
        })
    }

    /// The row of these keys.
    pub fn row(&self, keys: Vec<String>) -> Row {
        // An AS without samples in one direction is weighed by those of the other: the exporters are the same.
        let weight = limits::weight(
            (self.packet_interval, self.packet_squares, self.packet_bytes),
            (self.flow_interval, self.flow_squares),
        );
        let limits = |bytes: u64, [sampled, variance]: [f64; 2], samples| {
            let evidence = limits::Evidence { sampled, variance, samples, weight };
            let (below, above) = limits::limits(&evidence);
            ((bytes as f64 - below).max(0.0), bytes as f64 + above)
        };
        let (low_in, high_in) = limits(self.bytes_in, self.moments_in, self.drawn_in);
        let (low_out, high_out) = limits(self.bytes_out, self.moments_out, self.drawn_out);
        Row {
            keys,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            packets: self.packets,
            flows: self.flows,
            samples_in: self.samples_in,
            samples_out: self.samples_out,
            low_in,
            high_in,
            low_out,
            high_out,
            bytes_late_rate: self.bytes_late_rate,
            bytes_unknown_rate_in: self.bytes_unknown_rate_in,
            bytes_unknown_rate_out: self.bytes_unknown_rate_out,
            ..Row::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(json: &str) -> Part {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn amounts_are_scaled_by_their_rates_and_those_of_none_are_never_added() {
        let sums = Sums::of(&[
            part(r#"[true,"in","packet",10500,false,100,2,1,5000]"#),
            part(r#"[true,"in","unknown",1000,false,7,1,1,49]"#),
            part(r#"[true,"in","unknown",0,true,900,3,1,0]"#),
            part(r#"[true,"out","packet",2000,true,50,1,1,2500]"#),
            part(r#"[true,"out","flow",4000,false,30,9,2,900]"#),
        ]);
        assert_eq!((sums.bytes_in, sums.bytes_out), (1057, 220));
        assert_eq!((sums.packets, sums.flows), (21 + 1 + 2 + 36, 1 + 1 + 1 + 1 + 8));
        assert_eq!((sums.samples_in, sums.drawn_in, sums.samples_out, sums.drawn_out), (3, 2, 3, 3));
        assert_eq!(
            (sums.bytes_late_rate, sums.bytes_unknown_rate_in, sums.bytes_unknown_rate_out),
            (100, 900, 0)
        );
        assert_eq!(sums.moments_in, [1050.0, 5000.0 * 10.5 * 9.5]);
        assert_eq!(sums.moments_out, [220.0, 2500.0 * 2.0 + 900.0 * 12.0]);
        assert_eq!((sums.packet_interval, sums.packet_squares, sums.packet_bytes), (10.5, 7500.0, 150.0));
        assert_eq!((sums.flow_interval, sums.flow_squares), (4.0, 900.0));
    }

    #[test]
    fn sums_stop_at_the_ends_of_64_bits() {
        let most = format!(r#"[true,"in","packet",4294967296000,false,{},1,1,0]"#, i128::MAX);
        let sums =
            Sums::of(&[part(&most), part(&most), part(r#"[true,"out","unknown",1000,false,-5,-1,-1,0]"#)]);
        assert_eq!((sums.bytes_in, sums.bytes_out), (u64::MAX, 0));
    }
}
