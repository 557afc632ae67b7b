//! NetFlow without templates: what datagrams of versions 1, 5 and 7, and of the aggregates of version 8, are made of.
//!
//! A layout is a template like any other, and its fields are in the order of the wire. Sources: Cisco, "NetFlow Export Datagram Format" (versions 1, 5
//! and 7); of version 8 the structures of flow-tools (`ftlib.h`), of which schemes 6 to 8 are the Catalyst's. Of an aggregate by prefix the
//! address is the prefix's. What one record of an aggregate was summed up from is not told apart: it is one record.

use weir_schemas::Protocol;

/// A field: element and length.
pub(crate) type Part = (u16, u16);

/// What datagrams of a version are made of, and of version 8 those of a scheme.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Protocol.
    pub protocol: Protocol,
    /// Version: the header's first two bytes.
    pub version: u16,
    /// Scheme of aggregation, of version 8; else 0.
    pub scheme: u8,
    /// Bytes of the header.
    pub header: usize,
    /// Where it has engine type and id, which are the observation domain.
    pub engine_at: Option<usize>,
    /// Where it has sampling mode and interval.
    pub sampling_at: Option<usize>,
    /// A record.
    pub record: &'static [Part],
}

/// Where version 8 says which scheme it is.
pub(crate) const SCHEME_AT: usize = 22;

const SRC: Part = (8, 4);
const DST: Part = (12, 4);
const NEXT_HOP: Part = (15, 4);
const IN: Part = (10, 2);
const OUT: Part = (14, 2);
const PACKETS: Part = (2, 4);
const OCTETS: Part = (1, 4);
const FIRST: Part = (22, 4);
const LAST: Part = (21, 4);
const SRC_PORT: Part = (7, 2);
const DST_PORT: Part = (11, 2);
const PROTO: Part = (4, 1);
const TOS: Part = (5, 1);
const TCP_FLAGS: Part = (6, 1);
const SRC_AS: Part = (16, 2);
const DST_AS: Part = (17, 2);
const SRC_MASK: Part = (9, 1);
const DST_MASK: Part = (13, 1);
/// How many flows an aggregate is made of.
const FLOWS: Part = (3, 4);

/// Padding, and what has no column: a router that is bypassed, packets beyond a contract, and which fields are valid.
const fn other(bytes: u16) -> Part {
    (0, bytes)
}

const fn plain(protocol: Protocol, version: u16, header: usize, record: &'static [Part]) -> Layout {
    Layout { protocol, version, scheme: 0, header, engine_at: None, sampling_at: None, record }
}

const fn aggregate(scheme: u8, record: &'static [Part]) -> Layout {
    Layout { scheme, engine_at: Some(20), ..plain(Protocol::NetflowV8, 8, 28, record) }
}

/// All of them.
#[rustfmt::skip]
pub(crate) static LAYOUTS: &[Layout] = &[
    plain(Protocol::NetflowV1, 1, 16, &[
        SRC, DST, NEXT_HOP, IN, OUT, PACKETS, OCTETS, FIRST, LAST, SRC_PORT, DST_PORT, other(2), PROTO, TOS, TCP_FLAGS, other(11),
    ]),
    Layout { engine_at: Some(20), sampling_at: Some(22), ..plain(Protocol::NetflowV5, 5, 24, &[
        SRC, DST, NEXT_HOP, IN, OUT, PACKETS, OCTETS, FIRST, LAST, SRC_PORT, DST_PORT, other(1), TCP_FLAGS, PROTO, TOS, SRC_AS, DST_AS,
        SRC_MASK, DST_MASK, other(2),
    ]) },
    plain(Protocol::NetflowV7, 7, 24, &[
        SRC, DST, NEXT_HOP, IN, OUT, PACKETS, OCTETS, FIRST, LAST, SRC_PORT, DST_PORT, other(1), TCP_FLAGS, PROTO, TOS, SRC_AS, DST_AS,
        SRC_MASK, DST_MASK, other(6),
    ]),
    aggregate(1, &[FLOWS, PACKETS, OCTETS, FIRST, LAST, SRC_AS, DST_AS, IN, OUT]),
    aggregate(2, &[FLOWS, PACKETS, OCTETS, FIRST, LAST, PROTO, other(3), SRC_PORT, DST_PORT]),
    aggregate(3, &[FLOWS, PACKETS, OCTETS, FIRST, LAST, SRC, SRC_MASK, other(1), SRC_AS, IN, other(2)]),
    aggregate(4, &[FLOWS, PACKETS, OCTETS, FIRST, LAST, DST, DST_MASK, other(1), DST_AS, OUT, other(2)]),
    aggregate(5, &[FLOWS, PACKETS, OCTETS, FIRST, LAST, SRC, DST, DST_MASK, SRC_MASK, other(2), SRC_AS, DST_AS, IN, OUT]),
    aggregate(6, &[DST, PACKETS, OCTETS, FIRST, LAST, OUT, TOS, other(9)]),
    aggregate(7, &[DST, SRC, PACKETS, OCTETS, FIRST, LAST, OUT, IN, TOS, other(11)]),
    aggregate(8, &[DST, SRC, DST_PORT, SRC_PORT, PACKETS, OCTETS, FIRST, LAST, OUT, IN, TOS, PROTO, other(10)]),
    aggregate(9, &[FLOWS, PACKETS, OCTETS, FIRST, LAST, SRC_AS, DST_AS, IN, OUT, TOS, other(3)]),
    aggregate(10, &[FLOWS, PACKETS, OCTETS, FIRST, LAST, PROTO, TOS, other(2), SRC_PORT, DST_PORT, IN, OUT]),
    aggregate(11, &[FLOWS, PACKETS, OCTETS, FIRST, LAST, SRC, SRC_MASK, TOS, SRC_AS, IN, other(2)]),
    aggregate(12, &[FLOWS, PACKETS, OCTETS, FIRST, LAST, DST, DST_MASK, TOS, DST_AS, OUT, other(2)]),
    aggregate(13, &[FLOWS, PACKETS, OCTETS, FIRST, LAST, SRC, DST, DST_MASK, SRC_MASK, TOS, other(1), SRC_AS, DST_AS, IN, OUT]),
    aggregate(14, &[FLOWS, PACKETS, OCTETS, FIRST, LAST, SRC, DST, DST_MASK, SRC_MASK, TOS, PROTO, SRC_PORT, DST_PORT, IN, OUT]),
];

/// The place in [`LAYOUTS`] of what a datagram is made of; none where its version has no such scheme.
pub(crate) fn of(version: u16, payload: &[u8]) -> Option<usize> {
    let scheme = if version == 8 { *payload.get(SCHEME_AT)? } else { 0 };
    LAYOUTS.iter().position(|layout| (layout.version, layout.scheme) == (version, scheme))
}

/// Bytes that a NetFlow datagram of version 1, 5, 7 or 8 has by its header, whatever follows it; none where these are no such.
pub fn length(datagram: &[u8]) -> Option<usize> {
    let [0, version, high, low, ..] = *datagram else { return None };
    let layout = &LAYOUTS[of(version.into(), datagram)?];
    let record: u16 = layout.record.iter().map(|(_, length)| length).sum();
    Some(layout.header + usize::from(u16::from_be_bytes([high, low])) * usize::from(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_as_long_as_its_header_says() {
        let mut of_8 = [0, 8, 0, 3].to_vec();
        of_8.resize(28, 0);
        of_8[SCHEME_AT] = 8;
        assert_eq!(length(&of_8), Some(28 + 3 * 44));
        assert_eq!((length(&[0, 1, 1, 0]), length(&[0, 5, 0, 0])), (Some(16 + 256 * 52), Some(24)));
        of_8[SCHEME_AT] = 15;
        for none in [&of_8[..], &[0, 8, 0, 1], &[0, 9, 0, 1], &[0, 5, 0], &[]] {
            assert_eq!(length(none), None);
        }
    }

    #[test]
    fn records_are_as_long_as_the_documents_say() {
        let lengths = LAYOUTS.iter().map(|layout| {
            let length: u16 = layout.record.iter().map(|(_, length)| length).sum();
            (layout.version, layout.scheme, layout.header, length)
        });
        let of_8 = [28, 28, 32, 32, 40, 32, 40, 44, 32, 32, 32, 32, 40, 40];
        let wanted = [(1, 0, 16, 52), (5, 0, 24, 48), (7, 0, 24, 52)]
            .into_iter()
            .chain((1..).zip(of_8).map(|(scheme, length)| (8, scheme, 28, length)));
        assert_eq!(lengths.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
    }
}
