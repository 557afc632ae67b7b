//! Which share of a flow belongs to which minute (COUNTING.md, "Time").
//!
//! Bytes belong to the minutes from start to end at a constant rate, exactly: the share up to a border, t of T nanoseconds in, is
//! floor(B·t/T), and a minute gets the difference of its borders. So shares add up to the whole, and shares of longer slots are
//! sums of minutes. A flow of no duration belongs to the minute of its end; the flow itself is counted there.

/// Nanoseconds of a minute.
const MINUTE: i64 = 60_000_000_000;

/// Most minutes that one flow is spread over. The decoder clamps times to hours; a record that says otherwise is not believed.
pub const MAX_MINUTES: i64 = 24 * 60;

/// Amounts of a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Bytes of layer 3.
    pub bytes: u64,
    /// Bytes of layer 2.
    pub bytes_l2: u64,
    /// The part of them that is estimated.
    pub bytes_l2_estimated: u64,
    /// Packets.
    pub packets: u64,
    /// Error term of bytes.
    pub q: u128,
    /// Error term of layer 2 bytes.
    pub q_l2: u128,
    /// Error term of packets under flow sampling.
    pub q_packets: u128,
}

impl Amounts {
    /// The share up to `t` of `total` nanoseconds.
    fn up_to(&self, t: u64, total: u64) -> Self {
        let (t, total) = (u128::from(t), u128::from(total));
        let of = |amount: u64| (u128::from(amount) * t / total) as u64;
        // Exact in 128 bits for flows of up to hours (Q is below 2^84); for times that nothing plausible has, close and still additive.
        let of_q = |amount: u128| {
            if amount.checked_mul(total).is_some() { amount * t / total } else { amount / total * t }
        };
        Self {
            bytes: of(self.bytes),
            bytes_l2: of(self.bytes_l2),
            bytes_l2_estimated: of(self.bytes_l2_estimated),
            packets: of(self.packets),
            q: of_q(self.q),
            q_l2: of_q(self.q_l2),
            q_packets: of_q(self.q_packets),
        }
    }

    fn minus(&self, other: &Self) -> Self {
        Self {
            bytes: self.bytes - other.bytes,
            bytes_l2: self.bytes_l2 - other.bytes_l2,
            bytes_l2_estimated: self.bytes_l2_estimated - other.bytes_l2_estimated,
            packets: self.packets - other.packets,
            q: self.q - other.q,
            q_l2: self.q_l2 - other.q_l2,
            q_packets: self.q_packets - other.q_packets,
        }
    }

    /// Adds another amount. Sums saturate: a sum above 2^64 bytes is no measurement.
    pub fn add(&mut self, other: &Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.bytes_l2 = self.bytes_l2.saturating_add(other.bytes_l2);
        self.bytes_l2_estimated = self.bytes_l2_estimated.saturating_add(other.bytes_l2_estimated);
        self.packets = self.packets.saturating_add(other.packets);
        self.q = self.q.saturating_add(other.q);
        self.q_l2 = self.q_l2.saturating_add(other.q_l2);
        self.q_packets = self.q_packets.saturating_add(other.q_packets);
    }
}

/// Gives each minute (seconds since the epoch of its start) its share, in order; the last says that the flow counts there.
pub fn spread(start: i64, end: i64, whole: &Amounts, mut minute: impl FnMut(u32, &Amounts, bool)) {
    let slot = |minute: i64| {
        u32::try_from(minute.saturating_mul(60)).unwrap_or(if minute < 0 { 0 } else { u32::MAX / 60 * 60 })
    };
    let last = end.div_euclid(MINUTE);
    let first = if start < end { start.div_euclid(MINUTE).max(last - MAX_MINUTES) } else { last };
    if first == last {
        return minute(slot(last), whole, true);
    }
    let total = end.abs_diff(start);
    let mut before = Amounts::default();
    for number in first..=last {
        let border = (number + 1).saturating_mul(MINUTE);
        let up_to = if border >= end { *whole } else { whole.up_to(border.abs_diff(start), total) };
        minute(slot(number), &up_to.minus(&before), number == last);
        before = up_to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weir_schemas::value::{MAX_COUNT, MAX_Q};

    fn shares(start: i64, end: i64, bytes: u64) -> Vec<(u32, u64, bool)> {
        let mut all = Vec::new();
        spread(start, end, &Amounts { bytes, ..Amounts::default() }, |minute, share, flow| {
            all.push((minute, share.bytes, flow))
        });
        all
    }

    const S: i64 = 1_000_000_000;

    #[test]
    fn each_minute_gets_the_difference_of_its_borders() {
        // 30 s in the first minute, 60 in the second, 10 in the third: floors of 1000·30/100 and 1000·90/100.
        assert_eq!(shares(30 * S, 130 * S, 1000), [(0, 300, false), (60, 600, false), (120, 100, true)]);
        // What rounds down at one border goes to the next minute.
        assert_eq!(shares(59 * S, 62 * S, 10), [(0, 3, false), (60, 7, true)]);
    }

    #[test]
    fn a_flow_of_no_duration_belongs_to_the_minute_of_its_end() {
        assert_eq!(shares(60 * S, 60 * S, 7), [(60, 7, true)]);
        assert_eq!(shares(90 * S, 60 * S, 7), [(60, 7, true)]);
    }

    #[test]
    fn minutes_are_half_open_so_an_end_on_a_border_counts_the_flow_in_the_next() {
        assert_eq!(shares(30 * S, 60 * S, 7), [(0, 7, false), (60, 0, true)]);
    }

    proptest! {
        #[test]
        fn shares_add_up_to_the_whole_and_the_flow_counts_once(
            start in 0..4_000_000_000_000i64, length in 0..8_000 * S, bytes in 0..=MAX_COUNT, q in 0..=MAX_Q
        ) {
            let whole = Amounts { bytes, bytes_l2: bytes, bytes_l2_estimated: bytes, packets: bytes, q, q_l2: q, q_packets: q };
            let mut sum = Amounts::default();
            let mut flows = 0;
            spread(start, start + length, &whole, |_, share, flow| {
                sum.add(share);
                flows += u32::from(flow);
            });
            prop_assert_eq!(sum, whole);
            prop_assert_eq!(flows, 1);
        }

        #[test]
        fn no_times_are_too_odd(start: i64, end: i64) {
            let mut minutes = 0;
            spread(start, end, &Amounts { bytes: 5, ..Amounts::default() }, |_, _, _| minutes += 1);
            prop_assert!(minutes <= MAX_MINUTES + 1);
        }
    }
}
