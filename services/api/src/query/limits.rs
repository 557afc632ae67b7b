//! 95 % limits of an estimate (docs/counting.md, "Error of an estimate").
//!
//! From 300 samples on they are normal. Below, the normal interval is too narrow upwards, and gamma limits for weighted Poisson sums
//! are given (Fay and Feuer 1997, formulas 2 and 3): the largest weight is the largest interval times the largest length.

use statrs::distribution::{ContinuousCDF, Gamma};

/// Samples from which on normal limits hold.
const FEW: u64 = 300;
/// Length that a sampled packet is taken to have at most, unless the squares show longer ones.
const LENGTH: f64 = 1500.0;
/// Shape above which a gamma distribution is a normal one.
const NORMAL: f64 = 1e6;

/// What is known of a sum. Only of what was sampled at all: the rest is exact.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence {
    /// Estimate of the sampled part.
    pub sampled: f64,
    /// Its variance.
    pub variance: f64,
    /// Samples that it rests on: packets, or records where whole flows are sampled.
    pub samples: u64,
    /// What one more sample adds at most.
    pub weight: f64,
}

/// What one more sample adds at most: by packets, with their largest interval, squares and bytes as sampled, or by whole flows.
pub fn weight((n, q, bytes): (f64, f64, f64), (n_flow, q_flow): (f64, f64)) -> f64 {
    // The mean of lengths, weighted by themselves, is never above the largest; of records, none is above the root of all squares.
    let length = if bytes > 0.0 { (q / bytes).max(LENGTH) } else { LENGTH };
    (n * length).max(n_flow * q_flow.sqrt())
}

/// How far below and above the estimate the limits are.
pub fn limits(of: &Evidence) -> (f64, f64) {
    let Evidence { sampled: y, variance: v, samples, weight: w } = *of;
    let normal = 1.96 * v.sqrt();
    if samples >= FEW {
        return (normal.min(y), normal);
    }
    let quantile = |p: f64, mean: f64, variance: f64| {
        let shape = mean * mean / variance;
        if shape > NORMAL {
            return mean + (p - 0.5).signum() * 1.96 * variance.sqrt();
        }
        Gamma::new(shape, 1.0).map_or(mean, |gamma| gamma.inverse_cdf(p) * variance / mean)
    };
    let low = if v > 0.0 && y > 0.0 { quantile(0.025, y, v) } else { y };
    let high = if w > 0.0 { quantile(0.975, y + w, v + w * w) } else { y + normal };
    ((y - low).max(0.0), (high - y).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-3 * b.abs().max(1e-9), "{a} is not {b}");
    }

    #[test]
    fn equal_weights_give_the_exact_limits_of_a_poisson_count() {
        // Garwood's tables: 0 gives 0 to 3.689, 10 gives 4.795 to 18.39.
        for (count, low, high) in [(0_u32, 0.0, 3.6889), (1, 0.0253, 5.5716), (10, 4.7954, 18.3904)] {
            let count = f64::from(count);
            let evidence =
                Evidence { sampled: count * 7.0, variance: count * 49.0, samples: count as u64, weight: 7.0 };
            let (below, above) = limits(&evidence);
            close(count * 7.0 - below, low * 7.0);
            close(count * 7.0 + above, high * 7.0);
        }
    }

    #[test]
    fn many_samples_give_normal_limits_and_what_is_not_sampled_none() {
        let many = Evidence { sampled: 1e6, variance: 1e8, samples: 300, weight: 1e4 };
        assert_eq!(limits(&many), (19_600.0, 19_600.0));
        assert_eq!(limits(&Evidence::default()), (0.0, 0.0));
    }

    #[test]
    fn limits_are_numbers_whatever_the_sums_are() {
        for v in [0.0, 1e-30, 1.0, 1e60] {
            for y in [0.0, 1e-9, 1.0, 1e38] {
                for w in [0.0, 1.0, 1e20] {
                    let (low, high) = limits(&Evidence { sampled: y, variance: v, samples: 3, weight: w });
                    assert!(low.is_finite() && high.is_finite() && low <= y, "{y} {v} {w}: {low} {high}");
                }
            }
        }
    }

    #[test]
    fn an_interval_of_few_samples_covers_the_truth_nineteen_times_in_twenty() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        // Half of the packets are full, half are short.
        for (packets, n) in [(400_u32, 100.0), (2000, 50.0), (200, 4.0)] {
            let truth = f64::from(packets) / 2.0 * (1500.0 + 60.0);
            let covered = (0..2000).filter(|_| {
                let (mut bytes, mut q, mut samples) = (0.0, 0.0, 0);
                for packet in 0..packets {
                    let length = if packet % 2 == 0 { 1500.0 } else { 60.0 };
                    if random() * n < 1.0 {
                        (bytes, q, samples) = (bytes + length, q + length * length, samples + 1);
                    }
                }
                let evidence = Evidence {
                    sampled: n * bytes,
                    variance: n * (n - 1.0) * q,
                    samples,
                    weight: weight((n, q, bytes), (0.0, 0.0)),
                };
                let (below, above) = limits(&evidence);
                (evidence.sampled - below..=evidence.sampled + above).contains(&truth)
            });
            let covered = covered.count();
            assert!(covered >= 1890, "{packets} packets, 1:{n}: {covered} of 2000");
        }
    }
}
