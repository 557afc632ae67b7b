//! Names and data types of information elements: IANA's registry, what v9 has beyond it, and vendors' own.
//!
//! Decoding needs none of it: names are for people who look at what a router sent, and for documents. The table is `names.tsv`, which says
//! of each enterprise where its names are from; only numbers, names and types were taken. An element that is not in it has no name.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Abstract data type of an element (RFC 7012 section 3.1, RFC 6313), as far as it decides how a value is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    Octets,
    /// A number of one to eight bytes; of 32, which one element has, bytes.
    Unsigned,
    /// A number in two's complement.
    Signed,
    /// IEEE 754, four or eight bytes.
    Float,
    /// 1 is true, 2 is false.
    Boolean,
    /// Six bytes.
    Mac,
    /// UTF-8.
    Text,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// NTP's format of 64 bits, of which the low bits are finer than a microsecond.
    Micros,
    /// NTP's format of 64 bits.
    Nanos,
    /// Four bytes.
    Ipv4,
    /// Sixteen bytes.
    Ipv6,
    /// A list of one element (RFC 6313 section 4.5.1).
    BasicList,
    /// A list of records of one template (section 4.5.2).
    SubTemplateList,
    /// A list of records of several templates (section 4.5.3).
    SubTemplateMultiList,
}

/// Names of the data types in IANA's registry.
const KINDS: &[(&str, Kind)] = &[
    ("octetArray", Kind::Octets),
    ("unsigned8", Kind::Unsigned),
    ("unsigned16", Kind::Unsigned),
    ("unsigned32", Kind::Unsigned),
    ("unsigned64", Kind::Unsigned),
    ("unsigned256", Kind::Unsigned),
    ("signed8", Kind::Signed),
    ("signed16", Kind::Signed),
    ("signed32", Kind::Signed),
    ("signed64", Kind::Signed),
    ("float32", Kind::Float),
    ("float64", Kind::Float),
    ("boolean", Kind::Boolean),
    ("macAddress", Kind::Mac),
    ("string", Kind::Text),
    ("dateTimeSeconds", Kind::Seconds),
    ("dateTimeMilliseconds", Kind::Millis),
    ("dateTimeMicroseconds", Kind::Micros),
    ("dateTimeNanoseconds", Kind::Nanos),
    ("ipv4Address", Kind::Ipv4),
    ("ipv6Address", Kind::Ipv6),
    ("basicList", Kind::BasicList),
    ("subTemplateList", Kind::SubTemplateList),
    ("subTemplateMultiList", Kind::SubTemplateMultiList),
];

/// Enterprise number of the reverse of IANA's elements (RFC 5103 section 6.1).
pub const REVERSE: u32 = 29305;
/// Enterprise number of ntop, whose elements v9 has too, at other numbers.
const NTOP: u32 = 35632;
/// What v9 adds to the numbers of ntop's elements.
const NTOP_V9: u16 = 57_472;

/// An element that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Name.
    pub name: Cow<'static, str>,
    /// Data type.
    pub kind: Kind,
    /// Name of the data type.
    pub data_type: &'static str,
}

/// A source of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enterprise {
    /// Private enterprise number; 0 is IANA's registry, and beyond 32767 v9.
    pub number: u32,
    /// Whose it is.
    pub name: &'static str,
    /// Where its names are from.
    pub source: &'static str,
    /// How many elements of it have names.
    pub elements: usize,
}

#[derive(Debug)]
struct Table {
    elements: BTreeMap<(u32, u16), (&'static str, Kind, &'static str)>,
    enterprises: Vec<Enterprise>,
}

fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(|| {
        let mut table = Table { elements: BTreeMap::new(), enterprises: Vec::new() };
        for line in include_str!("names.tsv").lines() {
            let cells: Vec<&'static str> = line.split('\t').collect();
            let [first, name, last] = cells[..] else { continue };
            if let Some(number) = first.strip_prefix("= ").and_then(|number| number.parse().ok()) {
                table.enterprises.push(Enterprise { number, name, source: last, elements: 0 });
                continue;
            }
            let kind = KINDS.iter().find(|(known, _)| *known == last).map(|(_, kind)| *kind);
            let (Some(enterprise), Ok(id), Some(kind)) = (table.enterprises.last_mut(), first.parse(), kind)
            else {
                continue;
            };
            enterprise.elements += 1;
            table.elements.insert((enterprise.number, id), (name, kind, last));
        }
        table
    })
}

/// Name and data type of an element, by enterprise number and id. Of the reverse of IANA's elements the name is made as RFC 5103 says.
pub fn named(enterprise: u32, id: u16) -> Option<Named> {
    let of = |enterprise, id| table().elements.get(&(enterprise, id)).copied();
    let (name, kind, data_type) = match (enterprise, id) {
        (REVERSE, _) => {
            let (name, kind, data_type) = of(0, id)?;
            let (first, rest) = name.split_at_checked(1)?;
            let name = format!("reverse{}{rest}", first.to_uppercase());
            return Some(Named { name: name.into(), kind, data_type });
        }
        _ => of(enterprise, id).or_else(|| {
            let own = id.checked_sub(NTOP_V9).filter(|_| enterprise == 0)?;
            of(NTOP, own)
        })?,
    };
    Some(Named { name: name.into(), kind, data_type })
}

/// Whose elements have names, and where these are from.
pub fn enterprises() -> &'static [Enterprise] {
    &table().enterprises
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_an_element_or_says_whose_they_are() {
        let lines = include_str!("names.tsv").lines().count();
        assert_eq!(table().elements.len() + table().enterprises.len(), lines);
        assert!(table().enterprises.is_sorted_by_key(|enterprise| enterprise.number));
    }

    #[test]
    fn elements_are_named_whoever_defines_them() {
        for (enterprise, id, name, kind) in [
            (0, 1, "octetDeltaCount", Kind::Unsigned),
            (0, 56, "sourceMacAddress", Kind::Mac),
            (0, 293, "subTemplateMultiList", Kind::SubTemplateMultiList),
            (0, 33002, "NF_F_FW_EXT_EVENT", Kind::Unsigned),
            (0, 56701, "App-ID", Kind::Text),
            (0, 57590, "L7_PROTO", Kind::Unsigned),
            (35632, 118, "L7_PROTO", Kind::Unsigned),
            (9, 12235, "appHTTPHost", Kind::Octets),
            (29305, 1, "reverseOctetDeltaCount", Kind::Unsigned),
            (5951, 128, "netscalerRoundTripTime", Kind::Unsigned),
        ] {
            let found = named(enterprise, id).unwrap_or_else(|| panic!("{enterprise}/{id} has no name"));
            assert_eq!((&*found.name, found.kind), (name, kind));
        }
        for (enterprise, id) in [(0, 0), (0, 32767), (1, 1), (29305, 32767), (0, 65535)] {
            assert_eq!(named(enterprise, id), None, "{enterprise}/{id}");
        }
    }
}
