//! Columns that hold one of a few words.
//!
//! In Avro and ClickHouse they are enumerations with the same names and numbers. Symbols are only ever added at the end, and 0
//! is always "unknown", which is what an older reader makes of a newer word.

use crate::avro::{AvroError, Reader, put_long};
use crate::from_row::{FromRow, RowError, RowReader};
use crate::room::{VARINT, put};
use crate::value::{Layout, Value};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

macro_rules! words {
    ($( $(#[$meta:meta])* $Name:ident { $( #[doc = $doc:literal] $Variant:ident = $number:literal $word:literal, )* } )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum $Name { #[default] $( #[doc = $doc] #[serde(rename = $word)] $Variant = $number, )* }

        impl $Name {
            /// All of them, by number.
            pub const ALL: &'static [Self] = &[$(Self::$Variant),*];
            /// Words, by number.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word that stands for it in Avro, ClickHouse and JSON.
            pub const fn word(self) -> &'static str { Self::WORDS[self as usize] }
        }

        impl Value<'_> for $Name {
            const LAYOUT: Layout = Layout::Fixed(1);
            fn clickhouse() -> String {
                let words: Vec<_> = Self::WORDS.iter().enumerate().map(|(n, word)| format!("'{word}' = {n}")).collect();
                format!("Enum8({})", words.join(", "))
            }
            fn avro() -> Json {
                json!({"type": "enum", "name": stringify!($Name), "symbols": Self::WORDS, "default": Self::WORDS[0]})
            }
            fn avro_default() -> Json { json!(Self::WORDS[0]) }
            #[inline]
            fn most(&self) -> usize { VARINT }
            #[inline]
            fn put_avro<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] { put_long(room, *self as i64) }
            #[inline]
            fn get_avro(input: &mut Reader<'_>) -> Result<Self, AvroError> {
                let at = input.position();
                let number = input.long()?;
                usize::try_from(number).ok().and_then(|n| Self::ALL.get(n)).copied().ok_or(AvroError::OutOfRange { at })
            }
            #[inline]
            fn put_row<'r>(&self, room: &'r mut [u8]) -> &'r mut [u8] { put(room, &[*self as u8]) }
        }

        impl FromRow<'_> for $Name {
            #[inline]
            fn get_row(input: &mut RowReader<'_>) -> Result<Self, RowError> {
                let at = input.position();
                let [number] = input.fixed()?;
                Self::ALL.get(usize::from(number)).copied().ok_or(RowError::OutOfRange { at })
            }
        }
    )*};
}

words! {
    /// The export protocol a record came in.
    Protocol {
        #[doc = "Not known."] Unknown = 0 "unknown",
        #[doc = "NetFlow version 5."] NetflowV5 = 1 "netflow_v5",
        #[doc = "NetFlow version 9 (RFC 3954)."] NetflowV9 = 2 "netflow_v9",
        #[doc = "IPFIX (RFC 7011)."] Ipfix = 3 "ipfix",
        #[doc = "sFlow version 5."] SflowV5 = 4 "sflow_v5",
        #[doc = "NetFlow version 1."] NetflowV1 = 5 "netflow_v1",
        #[doc = "NetFlow version 7."] NetflowV7 = 6 "netflow_v7",
        #[doc = "NetFlow version 8: aggregates."] NetflowV8 = 7 "netflow_v8",
    }

    /// What a record describes.
    FlowKind {
        #[doc = "Not known."] Unknown = 0 "unknown",
        #[doc = "A flow that the exporter accounted, over some time."] Flow = 1 "flow",
        #[doc = "One sampled packet."] Sample = 2 "sample",
        #[doc = "A packet that the exporter reports as discarded."] Discard = 3 "discard",
        #[doc = "An event such as a firewall's verdict or a NAT binding; it need not carry counters."] Event = 4 "event",
    }

    /// Where on the exporter the packet was observed (IE 61; sFlow: the data source).
    Observation {
        #[doc = "The exporter doesn't say; it counts as configured, by default as ingress."] Unknown = 0 "unknown",
        #[doc = "On the input interface, as it came in."] Ingress = 1 "ingress",
        #[doc = "On the output interface, as it left."] Egress = 2 "egress",
    }

    /// What kind of sampling the sampling interval describes.
    SamplingKind {
        #[doc = "Not known."] Unknown = 0 "unknown",
        #[doc = "One in N packets is looked at."] Packet = 1 "packet",
        #[doc = "One in N flows is exported; flow counts scale too."] Flow = 2 "flow",
    }

    /// Where the sampling interval came from (docs/counting.md, \"Sampling rate\"), strongest last.
    RateSource {
        #[doc = "No rate is known. It is never taken to be 1."] Unknown = 0 "unknown",
        #[doc = "Inferred from a packet interval without a packet space (IE 305 alone)."] Inferred = 1 "inferred",
        #[doc = "Configured default."] Default = 2 "default",
        #[doc = "NetFlow v5 header."] Header = 3 "header",
        #[doc = "Options data with system scope."] System = 4 "system",
        #[doc = "Options data with observation domain scope."] Domain = 5 "domain",
        #[doc = "Options data with template scope."] Template = 6 "template",
        #[doc = "Options data with cache scope."] Cache = 7 "cache",
        #[doc = "Options data with line card scope."] LineCard = 8 "line_card",
        #[doc = "Options data with interface scope."] Interface = 9 "interface",
        #[doc = "Options data of the sampler or selector that the record names."] Sampler = 10 "sampler",
        #[doc = "In the record itself."] Record = 11 "record",
        #[doc = "An operator's word."] Override = 12 "override",
    }

    /// Where the chosen AS number came from.
    AsSource {
        #[doc = "No AS is known."] Unknown = 0 "unknown",
        #[doc = "The exporter's own field."] Exporter = 1 "exporter",
        #[doc = "The AS database, by longest prefix match."] Database = 2 "database",
        #[doc = "A route heard by BMP or BGP."] Route = 3 "route",
    }

    /// What a link is for.
    Connectivity {
        #[doc = "Not classified."] Unknown = 0 "unknown",
        #[doc = "Paid upstream."] Transit = 1 "transit",
        #[doc = "Internet exchange."] Ix = 2 "ix",
        #[doc = "Private network interconnect."] Pni = 3 "pni",
        #[doc = "Paying customer."] Customer = 4 "customer",
        #[doc = "Inside one's own network."] Core = 5 "core",
    }

    /// Side of a flow on an interface.
    Direction {
        #[doc = "Not known."] Unknown = 0 "unknown",
        #[doc = "By the input interface; the AS is the source's."] In = 1 "in",
        #[doc = "By the output interface; the AS is the destination's."] Out = 2 "out",
    }

    /// What wraps a packet in another packet or frame. Of several the outermost.
    Tunnel {
        #[doc = "Nothing that is known."] Unknown = 0 "none",
        #[doc = "GRE (RFC 2784, 2890, 2637), NVGRE too."] Gre = 1 "gre",
        #[doc = "ERSPAN: a mirrored frame in GRE."] Erspan = 2 "erspan",
        #[doc = "IP in IP: protocol 4 or 41 (RFC 2003, 2473, 4213)."] IpInIp = 3 "ip_in_ip",
        #[doc = "SRv6: IP or Ethernet behind a segment routing header (RFC 8754, 8986)."] Srv6 = 4 "srv6",
        #[doc = "VXLAN, and its generic protocol extension (RFC 7348)."] Vxlan = 5 "vxlan",
        #[doc = "Geneve (RFC 8926)."] Geneve = 6 "geneve",
        #[doc = "GTP-U, of mobile networks (3GPP TS 29.281)."] GtpU = 7 "gtp_u",
        #[doc = "Ethernet over MPLS, with or without a control word (RFC 4448)."] Eompls = 8 "eompls",
        #[doc = "MPLS in IP or UDP (RFC 4023, 7510)."] MplsInIp = 9 "mpls_in_ip",
        #[doc = "EtherIP (RFC 3378)."] EtherIp = 10 "etherip",
    }

    /// Class of the transport protocol.
    ProtocolClass {
        #[doc = "Anything else."] Other = 0 "other",
        #[doc = "TCP."] Tcp = 1 "tcp",
        #[doc = "UDP to or from port 443."] Quic = 2 "quic",
        #[doc = "Other UDP."] Udp = 3 "udp",
        #[doc = "ICMP and ICMPv6."] Icmp = 4 "icmp",
        #[doc = "GRE, ESP, AH, IP in IP: tunnels."] Tunnel = 5 "tunnel",
    }
}
