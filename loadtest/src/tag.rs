//! A number in every flow, unique within its exporter, so that what was lost or doubled is told flow by flow.
//!
//! Its low 22 bits are the host part of the address inside the network, mixed so that neighbours in time are none in address; the
//! others are the ephemeral port beside it. Every protocol exports both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bits in the address.
pub const ADDRESS_BITS: u32 = 22;
/// First ephemeral port (RFC 6335).
pub const FIRST_PORT: u16 = 49_152;
/// Mixes the low bits; [`UNMIX`] undoes it, modulo 2^22.
const MIX: u32 = 0x2f_4a35;
/// Inverse of `MIX`.
pub const UNMIX: u32 = inverse(MIX);
const MASK: u32 = (1 << ADDRESS_BITS) - 1;
/// How many there are.
pub const COUNT: u64 = 1 << (ADDRESS_BITS + 14);

/// The network's own addresses: 100.64.0.0/10 (RFC 6598), and a unique local prefix (RFC 4193) with the same low bits.
const OWN_V4: u32 = 0x6440_0000;
const OWN_V6: u128 = 0xfd57_4549_5200_0000_0000_0000_6440_0000;
/// Lengths of their prefixes as routed.
pub const OWN_LENGTH: (u8, u8) = (10, 48);

const fn inverse(odd: u32) -> u32 {
    // Newton's iteration doubles the number of right bits.
    let mut x = odd;
    let mut n = 0;
    while n < 5 {
        x = x.wrapping_mul(2_u32.wrapping_sub(odd.wrapping_mul(x)));
        n += 1;
    }
    x
}

/// Address and port inside the network that carry a tag.
pub fn inside(tag: u64, six: bool) -> (IpAddr, u16) {
    let host = (tag as u32 & MASK).wrapping_mul(MIX) & MASK;
    let port = FIRST_PORT + ((tag >> ADDRESS_BITS) & 0x3fff) as u16;
    let address = if six {
        Ipv6Addr::from(OWN_V6 | u128::from(host)).into()
    } else {
        Ipv4Addr::from(OWN_V4 | host).into()
    };
    (address, port)
}

/// The tag of a flow as stored, in ClickHouse's words: the inverse of [`inside`], from the end with the ephemeral port.
pub fn sql() -> String {
    let of = |end: &str| {
        format!(
            "(bitShiftLeft(toUInt64({end}_port) - {FIRST_PORT}, {ADDRESS_BITS}) + \
             bitAnd(toUInt64(bitAnd(toUInt128({end}_addr), {MASK})) * {UNMIX}, {MASK}))"
        )
    };
    // What was decoded wrongly may have no such port at all: then it is a number that nobody sent.
    format!("toUInt64(if(src_port >= {FIRST_PORT}, {}, {}))", of("src"), of("dst"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_can_be_read_back_from_address_and_port() {
        for tag in [0, 1, 77, (1 << 22) - 1, 1 << 22, 123_456_789, COUNT - 1] {
            for six in [false, true] {
                let (address, port) = inside(tag, six);
                let low = match address {
                    IpAddr::V4(a) => u32::from(a),
                    IpAddr::V6(a) => u128::from(a) as u32,
                };
                let read = u64::from(port - FIRST_PORT) << ADDRESS_BITS
                    | u64::from((low & MASK).wrapping_mul(UNMIX) & MASK);
                assert_eq!(read, tag);
            }
        }
    }
}
