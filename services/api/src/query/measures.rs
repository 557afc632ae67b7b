//! The sums of a group in SQL, and the row that they come to.
//!
//! Scaling is done in 128 bits and more, sums of it in 256, and what leaves as 64 bits stops at their ends. In the SQL `s` has the amounts, and `rate`
//! is N in thousandths: as announced with the flows, else the first that was announced later, else 0.

use super::{Row, limits};
use crate::pieces::narrow;
use serde::Deserialize;

/// Sums of a group, as they are asked for.
#[derive(Clone, Debug, Default, Deserialize)]
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

/// Amounts times the interval, which is in thousandths.
pub fn scaled(amount: &str, condition: &str) -> String {
    format!("intDiv(sumIf(toInt256({amount}) * toInt256(rate), {condition}), 1000)")
}

/// Packets that were really seen, or records where whole flows are sampled.
fn samples(condition: &str) -> String {
    narrow(&format!("sumIf(toInt256(if(s.sampling_kind = 'flow', s.flows, s.packets)), {condition})"))
}

/// Bytes of one side, and samples of its flows that have such a rate, as `bytes_in` and so on.
pub fn of_side(side: &str, rated: &str) -> String {
    let of = format!("s.direction = '{side}'");
    format!(
        "{} AS bytes_{side}, {} AS samples_{side}",
        narrow(&scaled("s.bytes", &of)),
        samples(&format!("{of} AND {rated}"))
    )
}

/// All of [`Sums`]. The variance is N(N−1)·Q (docs/counting.md, "Error of an estimate").
pub fn all() -> String {
    let mut all = vec![
        format!("{} AS packets", narrow(&scaled("s.packets", "1"))),
        // A flow count is scaled where whole flows are sampled, and nowhere else.
        format!(
            "{} AS flows",
            narrow(
                "intDiv(sum(toInt256(s.flows) * toInt256(if(s.sampling_kind = 'flow' AND rate > 0, rate, 1000))), 1000)"
            )
        ),
        format!("{} AS bytes_late_rate", narrow(&scaled("s.bytes", "s.sampling_interval = 0"))),
    ];
    for side in ["in", "out"] {
        let of = format!("s.direction = '{side}'");
        all.extend([
            of_side(side, "rate > 0"),
            format!("{} AS drawn_{side}", samples(&format!("{of} AND rate > 1000"))),
            format!(
                "[sumIf(toFloat64(s.bytes) * rate / 1000, {of} AND rate > 1000), \
                 sumIf(s.q * (rate / 1000) * (rate / 1000 - 1), {of} AND rate > 1000)] AS moments_{side}"
            ),
            format!(
                "{} AS bytes_unknown_rate_{side}",
                narrow(&format!("sumIf(toInt256(s.bytes), {of} AND rate = 0)"))
            ),
        ]);
    }
    let packets = "s.sampling_kind != 'flow' AND rate > 1000";
    let flows = "s.sampling_kind = 'flow' AND rate > 1000";
    all.extend([
        format!("maxIf(rate, {packets}) / 1000 AS packet_interval"),
        format!("sumIf(s.q, {packets}) AS packet_squares"),
        format!("sumIf(toFloat64(s.bytes), {packets}) AS packet_bytes"),
        format!("maxIf(rate, {flows}) / 1000 AS flow_interval"),
        format!("sumIf(s.q, {flows}) AS flow_squares"),
    ]);
    all.join(", ")
}

impl Sums {
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
