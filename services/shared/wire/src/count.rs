//! Q, the error term: the sum of the squared lengths of a record's packets, exact or bounded (docs/counting.md, "Error of an estimate").

/// A value of Q, and whether it is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Q {
    pub value: u128,
    pub exact: bool,
}

/// Bounds Q of `bytes` in `packets` of lengths from `min` to `max`, as far as these are exported; `low` and `high` stand in for them.
#[inline]
pub(crate) fn bound(bytes: u64, packets: u64, min: Option<u64>, max: Option<u64>, low: u64, high: u64) -> Q {
    if packets <= 1 {
        // One packet's length is its bytes. Bytes without packets contradict themselves; their square is the widest bound.
        return Q { value: u128::from(bytes) * u128::from(bytes), exact: packets == 1 || bytes == 0 };
    }
    let floor = bytes / packets;
    let ceiling = floor + u64::from(floor * packets != bytes);
    // 0 is what an exporter sends that does not fill it in.
    let (min, max) = (min.filter(|min| *min > 0), max.filter(|max| *max > 0));
    let least = min.unwrap_or(low).min(floor);
    let most = max.unwrap_or(high).max(ceiling);
    // Lengths that the mean contradicts show nothing.
    let told = min.is_none_or(|min| min <= floor) && max.is_none_or(|max| max >= ceiling);
    let value = if bytes < 1 << 40 && most < 1 << 20 {
        u128::from((least + most) * bytes - packets * least * most)
    } else {
        // least · packets ≤ bytes, so that no product is above 2^127 and the difference is not negative.
        (u128::from(least) + u128::from(most)) * u128::from(bytes)
            - u128::from(packets) * u128::from(least) * u128::from(most)
    };
    Q { value, exact: least == most && told }
}

/// Whether the sum of the squared lengths of so many packets can be so small, or so large: it is least where all are alike, and most where one has all.
#[inline]
pub(crate) fn is_possible(squares: u64, bytes: u64, packets: u64) -> bool {
    let most = u128::from(bytes) * u128::from(bytes);
    u128::from(squares).saturating_mul(u128::from(packets)) >= most && u128::from(squares) <= most
}

/// Q of layer 2 from that of layer 3, where each packet has `h` bytes more: Q + 2hB + h²P.
#[inline]
pub(crate) fn with_overhead(q: Q, bytes: u64, packets: u64, h: u64) -> Q {
    let (h, bytes, packets) = (u128::from(h), u128::from(bytes), u128::from(packets));
    let more = (2 * h).saturating_mul(bytes).saturating_add((h * h).saturating_mul(packets));
    Q { value: q.value.saturating_add(more), exact: q.exact }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_packet_is_its_own_square() {
        assert_eq!(bound(1400, 1, None, None, 40, 1500), Q { value: 1_960_000, exact: true });
    }

    #[test]
    fn equal_packets_whose_lengths_are_exported_are_exact() {
        assert_eq!(bound(400, 4, Some(100), Some(100), 40, 1500), Q { value: 40_000, exact: true });
    }

    proptest! {
        #[test]
        fn the_bound_is_never_below_the_truth(lengths in prop::collection::vec(40_u64..9000, 1..60), exported: bool) {
            let (bytes, packets) = (lengths.iter().sum(), lengths.len() as u64);
            let (min, max) = (lengths.iter().min().copied(), lengths.iter().max().copied());
            let truth: u128 = lengths.iter().map(|s| u128::from(s * s)).sum();
            let inside = lengths.iter().all(|s| *s <= 1500);
            prop_assume!(exported || inside);
            let q = if exported { bound(bytes, packets, min, max, 40, 1500) } else { bound(bytes, packets, None, None, 40, 1500) };
            prop_assert!(q.value >= truth);
            prop_assert!(!q.exact || q.value == truth);
        }

        #[test]
        fn the_bound_holds_for_any_numbers_without_overflow(b in 0..=i64::MAX as u64, p in 0..=i64::MAX as u64, min: Option<u64>, max: Option<u64>) {
            let q = bound(b, p, min, max, 40, 1500);
            prop_assert!(p == 0 || q.value >= u128::from(b) * u128::from(b) / u128::from(p));
            with_overhead(q, b, p, 26);
        }

        #[test]
        fn overhead_of_every_packet_is_counted_exactly(lengths in prop::collection::vec(40_u64..9000, 1..60), h in 0..60_u64) {
            let q = |more: u64| lengths.iter().map(|s| u128::from((s + more) * (s + more))).sum::<u128>();
            let bytes = lengths.iter().sum();
            let l2 = with_overhead(Q { value: q(0), exact: true }, bytes, lengths.len() as u64, h);
            prop_assert_eq!(l2.value, q(h));
        }
    }
}
