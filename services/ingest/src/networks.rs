//! Which source addresses are accepted. No I/O.
//!
//! It is asked for every datagram, so networks become sorted ranges once. IPv4 lies mapped in IPv6, as keys do; a network of IPv6 that
//! encloses that block (`::/0`) is not meant to speak for IPv4 and does not.

use crate::frames::Exporter;
use std::net::IpAddr;

/// A set of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Networks {
    /// First and last address; sorted, disjoint.
    ranges: Vec<(u128, u128)>,
}

/// ::ffff:0.0.0.0 and ::ffff:255.255.255.255.
const IPV4: (u128, u128) = (0xffff_0000_0000, 0xffff_ffff_ffff);

impl Networks {
    /// Reads networks or addresses; an error is the place in the list, and what is wrong there.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, (usize, String)> {
        let mut ranges = Vec::new();
        for (place, text) in texts.iter().enumerate() {
            let (first, last) = range(text).map_err(|reason| (place, reason))?;
            if first < IPV4.0 && last >= IPV4.1 {
                ranges.push((first, IPV4.0 - 1));
                if last > IPV4.1 {
                    ranges.push((IPV4.1 + 1, last));
                }
            } else {
                ranges.push((first, last));
            }
        }
        ranges.sort_unstable();
        let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match merged.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Ok(Self { ranges: merged })
    }

    pub(crate) fn contains(&self, source: &Exporter) -> bool {
        let address = u128::from_be_bytes(*source);
        let after = self.ranges.partition_point(|(first, _)| *first <= address);
        after > 0 && address <= self.ranges[after - 1].1
    }
}

/// First and last address of a network.
fn range(text: &str) -> Result<(u128, u128), String> {
    let unread = || format!("{text:?} is no network; write one as 192.0.2.0/24 or 2001:db8::/32");
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let ip: IpAddr = address.parse().map_err(|_| unread())?;
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Ok(bits), |length| length.parse().map_err(|_| unread()))?;
    if length > bits {
        return Err(format!("{text:?} has a prefix of more than {bits} bits"));
    }
    let mapped = match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let hosts = u128::MAX.checked_shr(128 - bits + length).unwrap_or(0);
    let first = mapped & !hosts;
    if first != mapped {
        let network = match ip {
            IpAddr::V4(_) => IpAddr::V4((first as u32).into()),
            IpAddr::V6(_) => IpAddr::V6(first.into()),
        };
        return Err(format!("{text:?} is an address within a network; did you mean {network}/{length}?"));
    }
    Ok((first, first | hosts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn networks(texts: &[&str]) -> Networks {
        Networks::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn exporter(ip: &str) -> Exporter {
        match ip.parse().unwrap() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        }
    }

    #[test]
    fn networks_and_addresses_of_both_families_are_known_to_their_ends() {
        let known = networks(&[
            "192.0.2.0/24",
            "198.51.100.7",
            "2001:db8::/32",
            "::ffff:203.0.113.0/120",
            "10.0.0.0/9",
        ]);
        for (ip, expected) in [
            ("192.0.2.0", true),
            ("192.0.2.255", true),
            ("192.0.1.255", false),
            ("192.0.3.0", false),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
            ("203.0.113.9", true),
            ("10.127.255.255", true),
            ("10.128.0.0", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("::", false),
        ] {
            assert_eq!(known.contains(&exporter(ip)), expected, "{ip}");
        }
    }

    #[test]
    fn all_of_one_family_says_nothing_of_the_other() {
        let (v4, v6) = (networks(&["0.0.0.0/0"]), networks(&["::/0"]));
        for (ip, is_v4) in [("0.0.0.0", true), ("255.255.255.255", true), ("::", false), ("ffff::1", false)] {
            assert_eq!((v4.contains(&exporter(ip)), v6.contains(&exporter(ip))), (is_v4, !is_v4), "{ip}");
        }
        // A network that ends with the block of mapped addresses.
        let ends_with = networks(&["::/80"]);
        for (ip, is_in) in [("::1", true), ("192.0.2.1", false), ("255.255.255.255", false)] {
            assert_eq!(ends_with.contains(&exporter(ip)), is_in, "{ip}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused_with_its_place_and_the_mend() {
        let told = |text: &str| Networks::parse(&["192.0.2.0/24".to_owned(), text.to_owned()]).unwrap_err();
        for text in ["", "router", "192.0.2.0/", "192.0.2/24", "192.0.2.0/-1", "::/x"] {
            let (place, words) = told(text);
            assert_eq!(place, 1);
            assert!(words.contains("is no network; write one as"), "{words}");
        }
        assert_eq!(told("192.0.2.0/33").1, "\"192.0.2.0/33\" has a prefix of more than 32 bits");
        assert!(told("192.0.2.9/24").1.ends_with("did you mean 192.0.2.0/24?"));
        assert!(told("2001:db8::1/32").1.ends_with("did you mean 2001:db8::/32?"));
    }

    proptest! {
        #[test]
        fn a_set_knows_what_one_of_its_networks_knows(
            parts in proptest::collection::vec((any::<[u8; 2]>(), 0_u32..=32), 1..12),
            asked in proptest::collection::vec(any::<[u8; 2]>(), 20),
        ) {
            let texts: Vec<String> = parts.iter().map(|([a, b], length)| {
                let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                let first = u32::from_be_bytes([*a, *b, 0, 0]) & mask;
                format!("{}/{length}", std::net::Ipv4Addr::from(first))
            }).collect();
            let all = Networks::parse(&texts).unwrap();
            for [a, b] in asked {
                let asked = exporter(&format!("{a}.{b}.0.1"));
                let one = texts.iter().any(|text| Networks::parse(std::slice::from_ref(text)).unwrap().contains(&asked));
                prop_assert_eq!(all.contains(&asked), one);
            }
        }
    }
}
