//! NetFlow without templates: what datagrams of versions 1, 5 and 7, and of the aggregates of version 8, are made of.
//!
//! A layout is a template like any other, and its fields are in the order of the wire. Sources: Cisco, "NetFlow Export Datagram Format" (versions 1, 5
//! and 7; of version 1 its table ends too late: flow-tools and nfdump have 48 bytes); of version 8 the structures of flow-tools (`ftlib.h`), of which
//! schemes 6 to 8 are the Catalyst's. Of an aggregate by prefix the address is the prefix's. How many flows it was summed up from is left out: it is one
//! record.

use weir_schemas::Protocol;

/// A field: element and length.
pub type Part = (u16, u16);

/// What datagrams of a version are made of, and of version 8 those of a scheme.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
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
    /// Whether zeros may follow the records: the Catalyst sends datagrams of one length.
    pub padded: bool,
    /// A record.
    pub record: &'static [Part],
}

/// Where version 8 says which scheme it is, and behind it in which version of that.
pub(crate) const SCHEME_AT: usize = 22;
/// Versions of schemes that have these layouts: Cisco's, and what others leave empty.
const SCHEME_VERSIONS: [u8; 2] = [2, 0];

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
/// How many flows an aggregate is made of; no column.
const FLOWS: Part = (3, 4);

/// Padding, and what has no column: a router that is bypassed, packets beyond a contract, and which fields are valid.
const fn other(bytes: u16) -> Part {
    (0, bytes)
}

const fn plain(protocol: Protocol, version: u16, header: usize, record: &'static [Part]) -> Layout {
    Layout { protocol, version, scheme: 0, header, engine_at: None, sampling_at: None, padded: false, record }
}

const fn aggregate(scheme: u8, record: &'static [Part]) -> Layout {
    let padded = matches!(scheme, 6..=8);
    Layout { scheme, padded, engine_at: Some(20), ..plain(Protocol::NetflowV8, 8, 28, record) }
}

/// All of them.
#[rustfmt::skip]
pub(crate) static LAYOUTS: &[Layout] = &[
    plain(Protocol::NetflowV1, 1, 16, &[
        SRC, DST, NEXT_HOP, IN, OUT, PACKETS, OCTETS, FIRST, LAST, SRC_PORT, DST_PORT, other(2), PROTO, TOS, TCP_FLAGS, other(7),
    ]),
    Layout { engine_at: Some(20), sampling_at: Some(22), ..plain(Protocol::NetflowV5, 5, 24, &[
        SRC, DST, NEXT_HOP, IN, OUT, PACKETS, OCTETS, FIRST, LAST, SRC_PORT, DST_PORT, other(1), TCP_FLAGS, PROTO, TOS, SRC_AS, DST_AS,
        SRC_MASK, DST_MASK, other(2),
    ]) },
    // Its engine is in ftlib.h alone; others have zeros there.
    Layout { engine_at: Some(20), ..plain(Protocol::NetflowV7, 7, 24, &[
        SRC, DST, NEXT_HOP, IN, OUT, PACKETS, OCTETS, FIRST, LAST, SRC_PORT, DST_PORT, other(1), TCP_FLAGS, PROTO, TOS, SRC_AS, DST_AS,
        SRC_MASK, DST_MASK, other(6),
    ]) },
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

/// The version of a datagram that has one of these, and its protocol.
pub(crate) fn version(datagram: &[u8]) -> Option<(u16, Protocol)> {
    let version = u16::from_be_bytes(*datagram.first_chunk()?);
    LAYOUTS.iter().find(|layout| layout.version == version).map(|layout| (version, layout.protocol))
}

/// The place in [`LAYOUTS`] of what a datagram of a version is made of; none where the version has no such scheme.
pub(crate) fn of(version: u16, datagram: &[u8]) -> Option<usize> {
    let scheme = match datagram.get(SCHEME_AT..) {
        _ if version != 8 => 0,
        Some([scheme, of, ..]) if SCHEME_VERSIONS.contains(of) => *scheme,
        _ => return None,
    };
    LAYOUTS.iter().position(|layout| (layout.version, layout.scheme) == (version, scheme))
}

/// All layouts of datagrams without templates.
pub fn layouts() -> &'static [Layout] {
    LAYOUTS
}

/// The layout of a datagram without templates; none where it is no such, or its scheme has none.
pub fn layout(datagram: &[u8]) -> Option<&'static Layout> {
    let (version, _) = version(datagram)?;
    LAYOUTS.get(of(version, datagram)?)
}

impl Layout {
    /// Bytes of a record.
    pub fn record_length(&self) -> usize {
        self.record.iter().map(|(_, length)| usize::from(*length)).sum()
    }
}

/// Bytes that a NetFlow datagram of version 1, 5, 7 or 8 has by its header, whatever follows it; none where these are no such, or their header
/// does not tell.
pub fn netflow_length(datagram: &[u8]) -> Option<usize> {
    let layout = layout(datagram).filter(|layout| !layout.padded)?;
    let count = u16::from_be_bytes(*datagram.get(2..)?.first_chunk()?);
    Some(layout.header + usize::from(count) * layout.record_length())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_as_long_as_its_header_says_where_it_tells() {
        let mut of_8 = [0, 8, 0, 3].to_vec();
        of_8.resize(28, 0);
        of_8[SCHEME_AT] = 9;
        assert_eq!(netflow_length(&of_8), Some(28 + 3 * 32));
        let lengths = (netflow_length(&[0, 1, 1, 0]), netflow_length(&[0, 5, 0, 0]));
        assert_eq!(lengths, (Some(16 + 256 * 48), Some(24)));
        for (scheme, of) in [(15, 2), (9, 1), (7, 2)] {
            of_8[SCHEME_AT..][..2].copy_from_slice(&[scheme, of]);
            assert_eq!(netflow_length(&of_8), None, "{scheme}");
        }
        for none in [&[0, 8, 0, 1][..], &[0, 9, 0, 1], &[0, 5, 0], &[]] {
            assert_eq!(netflow_length(none), None);
        }
    }

    #[test]
    fn records_are_as_long_as_the_documents_say() {
        let lengths = LAYOUTS
            .iter()
            .map(|layout| (layout.version, layout.scheme, layout.header, layout.record_length()));
        let of_8 = [28, 28, 32, 32, 40, 32, 40, 44, 32, 32, 32, 32, 40, 40];
        let wanted = [(1, 0, 16, 48), (5, 0, 24, 48), (7, 0, 24, 52)]
            .into_iter()
            .chain((1..).zip(of_8).map(|(scheme, length)| (8, scheme, 28, length)));
        assert_eq!(lengths.collect::<Vec<_>>(), wanted.collect::<Vec<_>>());
    }
}
