//! ClickHouse's compressed blocks, as the `clickhouse` crate sends them with `decompress=1`.
//!
//! Each block: CityHash128 (1.0.2) of what follows, 16 bytes; method, 1 byte; size of header and data, 4; size when decompressed,
//! 4; data. Only LZ4 (0x82) and stored (0x02) occur here. Sizes are checked before memory is taken.

use thiserror::Error;

const CHECKSUM: usize = 16;
const HEADER: usize = 9;
const LZ4: u8 = 0x82;
const STORED: u8 = 0x02;
/// Largest block accepted; ClickHouse's own limit is 1 GiB, its clients send 256 kB to 1 MiB.
const MAX_BLOCK: usize = 64 << 20;

/// Why a compressed body can't be read.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum CompressedError {
    /// Ends in the middle of a block.
    #[error("compressed body is cut off in the block at byte {at}")]
    Truncated {
        /// Byte offset of the block.
        at: usize,
    },
    /// Damaged on the way.
    #[error("checksum of the compressed block at byte {at} is wrong")]
    Checksum {
        /// Byte offset of the block.
        at: usize,
    },
    /// Not LZ4, or sizes that can't be.
    #[error("compressed block at byte {at} can't be decompressed: {why}")]
    Block {
        /// Byte offset of the block.
        at: usize,
        /// What is wrong.
        why: String,
    },
}

/// Decompresses a whole body.
pub fn decompress(body: &[u8]) -> Result<Vec<u8>, CompressedError> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(block) = body.get(at..).filter(|rest| !rest.is_empty()) {
        let (checksum, rest) =
            block.split_first_chunk::<CHECKSUM>().ok_or(CompressedError::Truncated { at })?;
        let &[method, c0, c1, c2, c3, d0, d1, d2, d3] =
            rest.first_chunk::<HEADER>().ok_or(CompressedError::Truncated { at })?;
        let size = u32::from_le_bytes([c0, c1, c2, c3]) as usize;
        let raw_size = u32::from_le_bytes([d0, d1, d2, d3]) as usize;
        let fault = |why: &str| CompressedError::Block { at, why: why.into() };
        if !(HEADER..=MAX_BLOCK).contains(&size) || raw_size > MAX_BLOCK {
            return Err(fault("its sizes are impossible"));
        }
        let hashed = rest.get(..size).ok_or(CompressedError::Truncated { at })?;
        // The low half of the hash comes first.
        if cityhash_rs::cityhash_102_128(hashed).rotate_left(64).to_le_bytes() != *checksum {
            return Err(CompressedError::Checksum { at });
        }
        let start = out.len();
        match method {
            LZ4 => {
                out.resize(start + raw_size, 0);
                let got = lz4_flex::decompress_into(&hashed[HEADER..], &mut out[start..])
                    .map_err(|error| CompressedError::Block { at, why: error.to_string() })?;
                if got != raw_size {
                    return Err(fault("it is shorter than it says"));
                }
            }
            STORED => out.extend_from_slice(&hashed[HEADER..]),
            _ => return Err(fault("its method is neither LZ4 nor stored")),
        }
        at += CHECKSUM + size;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(data: &[u8]) -> Vec<u8> {
        let packed = lz4_flex::compress(data);
        let mut hashed = vec![LZ4];
        hashed.extend_from_slice(&((packed.len() + HEADER) as u32).to_le_bytes());
        hashed.extend_from_slice(&(data.len() as u32).to_le_bytes());
        hashed.extend_from_slice(&packed);
        let mut block = cityhash_rs::cityhash_102_128(&hashed).rotate_left(64).to_le_bytes().to_vec();
        block.extend_from_slice(&hashed);
        block
    }

    proptest! {
        #[test]
        fn blocks_one_after_another_come_back_whole(all in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..2000), 1..5)) {
            let body: Vec<u8> = all.iter().flat_map(|data| block(data)).collect();
            prop_assert_eq!(decompress(&body).unwrap(), all.concat());
            prop_assert!(decompress(&body[..body.len() - 1]).is_err());
        }

        #[test]
        fn any_bytes_are_refused_or_read(bytes: Vec<u8>) {
            let _ = decompress(&bytes);
        }
    }

    #[test]
    fn a_damaged_block_is_named_by_its_place() {
        let mut body = block(b"first");
        let at = body.len();
        body.extend(block(b"second"));
        *body.last_mut().unwrap() ^= 1;
        assert_eq!(decompress(&body), Err(CompressedError::Checksum { at }));
    }
}
