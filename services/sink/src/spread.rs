//! Which share of a flow belongs to which minute (docs/counting.md, "Time").
//!
//! Bytes belong to the minutes from start to end at a constant rate, exactly: the share up to a border, t of T nanoseconds in, is
//! floor(B·t/T), and a minute gets the difference of its borders. So shares add up to the whole, and shares of longer slots are
//! sums of minutes. A flow of no duration belongs to the minute of its end; the flow itself is counted there.

/// Nanoseconds of a second.
const SECOND: i64 = 1_000_000_000;

/// Nanoseconds of a minute.
const MINUTE: i64 = 60 * SECOND;

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
    fn up_to(&self, t: u64, total: u64) -> Self {
        let share = Share::new(t, total);
        Self {
            bytes: share.of(self.bytes),
            bytes_l2: share.of(self.bytes_l2),
            bytes_l2_estimated: share.of(self.bytes_l2_estimated),
            packets: share.of(self.packets),
            q: share.of_q(self.q),
            q_l2: share.of_q(self.q_l2),
            q_packets: share.of_q(self.q_packets),
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

/// The share of what flowed in the first `t` of `total` nanoseconds.
struct Share {
    t: u64,
    total: u64,
    /// floor(t·2^64 / total), so that a share is a product and not a division in 128 bits.
    fraction: u64,
}

impl Share {
    fn new(t: u64, total: u64) -> Self {
        Self { t, total, fraction: ((u128::from(t) << 64) / u128::from(total)) as u64 }
    }

    /// floor(amount·t / total). The product with the fraction is that or one less; the remainder, below twice the total, tells which.
    #[inline]
    fn of(&self, amount: u64) -> u64 {
        if self.total > i64::MAX as u64 {
            return (u128::from(amount) * u128::from(self.t) / u128::from(self.total)) as u64;
        }
        let share = ((u128::from(amount) * u128::from(self.fraction)) >> 64) as u64;
        let rest = amount.wrapping_mul(self.t).wrapping_sub(share.wrapping_mul(self.total));
        share + u64::from(rest >= self.total)
    }

    /// Exact in 128 bits for flows of up to hours (Q is below 2^84); for times that nothing plausible has, close and still additive.
    #[inline]
    fn of_q(&self, amount: u128) -> u128 {
        if let Ok(amount) = u64::try_from(amount) {
            return self.of(amount).into();
        }
        let (t, total) = (u128::from(self.t), u128::from(self.total));
        if amount.checked_mul(total).is_some() { amount * t / total } else { amount / total * t }
    }
}

/// Start of the slot of `SLOT` seconds that a time lies in, in seconds since the epoch.
#[inline]
pub fn slot_of<const SLOT: u32>(time: i64) -> u32 {
    begin::<SLOT>(time.div_euclid(i64::from(SLOT) * SECOND))
}

fn begin<const SLOT: u32>(number: i64) -> u32 {
    let begin = number.saturating_mul(SLOT.into());
    u32::try_from(begin).unwrap_or(if begin < 0 { 0 } else { u32::MAX }) / SLOT * SLOT
}

/// Gives each slot of `SLOT` seconds (its start, in seconds since the epoch) its share, in order; the last says that the flow counts
/// there. `SLOT` is a number of minutes, and shares of longer slots are the sums of the shares of their minutes.
#[inline]
pub fn spread<const SLOT: u32>(
    start: i64,
    end: i64,
    whole: &Amounts,
    mut slot: impl FnMut(u32, &Amounts, bool),
) {
    let length = i64::from(SLOT) * SECOND;
    let last_minute = end.div_euclid(MINUTE);
    let first_minute =
        if start < end { start.div_euclid(MINUTE).max(last_minute - MAX_MINUTES) } else { last_minute };
    let (first, last) = (first_minute.div_euclid(length / MINUTE), last_minute.div_euclid(length / MINUTE));
    if first == last {
        return slot(begin::<SLOT>(last), whole, true);
    }
    let total = end.abs_diff(start);
    let mut before = Amounts::default();
    for number in first..=last {
        let border = (number + 1).saturating_mul(length);
        let up_to = if border >= end { *whole } else { whole.up_to(border.abs_diff(start), total) };
        slot(begin::<SLOT>(number), &up_to.minus(&before), number == last);
        before = up_to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use weir_schemas::value::{MAX_COUNT, MAX_Q};

    fn shares(start: i64, end: i64, bytes: u64) -> Vec<(u32, u64, bool)> {
        let mut all = Vec::new();
        spread::<60>(start, end, &Amounts { bytes, ..Amounts::default() }, |minute, share, flow| {
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
            spread::<60>(start, start + length, &whole, |_, share, flow| {
                sum.add(share);
                flows += u32::from(flow);
            });
            prop_assert_eq!(sum, whole);
            prop_assert_eq!(flows, 1);
        }

        #[test]
        fn a_share_is_the_floor_of_its_quotient_whatever_the_numbers(amount: u64, q: u128, t: u64, total: u64) {
            let (t, total) = if t < total { (t, total) } else { (total, t.max(1)) };
            for total in [total, (total & i64::MAX as u64).max(t % (1 << 40) + 1), (t % (1 << 40)) + 1] {
                let share = Share::new(t % total, total);
                let exact = u128::from(amount) * u128::from(t % total) / u128::from(total);
                prop_assert_eq!(u128::from(share.of(amount)), exact);
                prop_assert_eq!(share.of_q(amount.into()), exact);
            }
            let share = Share::new(t % (1 << 43), 1 << 43);
            prop_assert_eq!(share.of_q(q >> 44), ((q >> 44) * u128::from(t % (1 << 43))) >> 43);
        }

        #[test]
        fn a_longer_slot_gets_the_sum_of_its_minutes(start: i64, end: i64, plausible in 0..8_000 * S, bytes in 0..=MAX_COUNT) {
            let whole = Amounts { bytes, ..Amounts::default() };
            for end in [end, start.saturating_add(plausible)] {
                let (mut minutes, mut fives, mut hours) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
                let enter = |slots: &mut BTreeMap<u32, (u64, u64)>, slot, share: &Amounts, is_end| {
                    let sums = slots.entry(slot).or_default();
                    *sums = (sums.0 + share.bytes, sums.1 + u64::from(is_end));
                };
                spread::<60>(start, end, &whole, |slot, share, is_end| enter(&mut minutes, slot, share, is_end));
                spread::<300>(start, end, &whole, |slot, share, is_end| enter(&mut fives, slot, share, is_end));
                spread::<3600>(start, end, &whole, |slot, share, is_end| enter(&mut hours, slot, share, is_end));
                for (length, slots) in [(300, fives), (3600, hours)] {
                    let mut sums: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
                    for (minute, (bytes, flows)) in &minutes {
                        let slot = sums.entry(minute / length * length).or_default();
                        *slot = (slot.0 + bytes, slot.1 + flows);
                    }
                    prop_assert_eq!(sums, slots);
                }
            }
        }

        #[test]
        fn no_times_are_too_odd(start: i64, end: i64) {
            let mut minutes = 0;
            spread::<60>(start, end, &Amounts { bytes: 5, ..Amounts::default() }, |_, _, _| minutes += 1);
            prop_assert!(minutes <= MAX_MINUTES + 1);
        }
    }
}
