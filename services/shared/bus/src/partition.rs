//! Which partition a key lies on: murmur2 as Kafka's Java client computes it, so that anybody's producer agrees.
//!
//! Must never change: the partition of an exporter is where its state lies.

/// Kafka's variant of MurmurHash2 (`org.apache.kafka.common.utils.Utils.murmur2`), as an unsigned number.
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    // Java's length is an int; keys are far below the 2 GiB where the two would differ.
    let mut h = SEED ^ (data.len() as u32);
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ (h >> 15)
}

/// Partition of `key` among `count`, as Kafka's own clients choose it for records with a key.
///
/// # Panics
/// Where `count` is 0: there is no such topic.
pub fn partition(key: &[u8], count: usize) -> i32 {
    assert!(count > 0, "a topic has at least one partition");
    let positive = (murmur2(key) & 0x7fff_ffff) as usize;
    i32::try_from(positive % count).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `tests/data/Murmur2Vectors.java` with kafka-clients 4.3.1: key in hex, hash, partition of 1, 7, 12 and 1000.
    const VECTORS: &str = include_str!("../tests/data/murmur2.tsv");

    #[test]
    fn keys_lie_where_the_java_client_puts_them() {
        let lines: Vec<_> = VECTORS.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(lines.len() > 100, "the vectors are there");
        for line in lines {
            let mut fields = line.split('\t');
            let mut next = || fields.next().unwrap();
            let hex = next();
            let key: Vec<u8> =
                (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect();
            assert_eq!(murmur2(&key) as i32, next().parse::<i32>().unwrap(), "hash of {hex}");
            for count in [1, 7, 12, 1000] {
                assert_eq!(partition(&key, count), next().parse::<i32>().unwrap(), "{hex} among {count}");
            }
        }
    }
}
