//! A filter → the condition of a query.
//!
//! What must stay true: of a filter the SQL has names and signs alone. Each value is a parameter, of the type that its field has.

use super::field::column;
use ipnetwork::IpNetwork;
use std::net::{IpAddr, Ipv6Addr};
use weir_filter::{Compare, Expr, Test, Value};

/// Addresses are kept as those of IPv6, with IPv4 in a corner of its own.
const IPV4: &str = "::ffff:0.0.0.0/96";

/// The condition of a filter. Its parameters go behind those that are there.
pub(super) fn condition(filter: &Expr, parameters: &mut Vec<(String, String)>) -> String {
    let joined = |all: &[Expr], word: &str, parameters: &mut Vec<_>| {
        let parts: Vec<_> = all.iter().map(|part| condition(part, parameters)).collect();
        format!("({})", parts.join(word))
    };
    match filter {
        Expr::All(all) => joined(all, " AND ", parameters),
        Expr::Any(all) => joined(all, " OR ", parameters),
        Expr::Not(inner) => format!("NOT {}", condition(inner, parameters)),
        Expr::Test(test) => test_of(test, parameters),
    }
}

fn test_of(test: &Test, parameters: &mut Vec<(String, String)>) -> String {
    // Whoever makes a question reads its filter with `FIELDS`; a field of others is no side's.
    let Some(column) = column(test.field) else { return "0".to_owned() };
    let sign = match test.compare {
        Compare::In | Compare::NotIn => "=",
        other => other.sign(),
    };
    let mut bind = |kind: &str, value: String| {
        let name = format!("f{}", parameters.len());
        let place = format!("{{{name}:{kind}}}");
        parameters.push((name, value));
        place
    };
    let numbers: Vec<_> = test.values.iter().filter_map(number).collect();
    let any = if numbers.len() == test.values.len() && numbers.len() > 1 {
        format!("{} IN {}", column.sql, bind("Array(UInt64)", format!("[{}]", numbers.join(","))))
    } else {
        let one = |value: &Value| {
            let wanted = match value {
                Value::Number(number) => bind("UInt64", number.to_string()),
                Value::Text(text) => bind("String", text.clone()),
                Value::Word(_) | Value::Country(_) => bind("String", value.to_string()),
                Value::Address(address) => {
                    format!("toIPv6({})", bind("String", mapped(*address).to_string()))
                }
                Value::Network(network) => return within(column.sql, *network, &mut bind),
            };
            format!("{} {sign} {wanted}", column.sql)
        };
        let all: Vec<_> = test.values.iter().map(one).collect();
        format!("({})", all.join(" OR "))
    };
    if test.compare == Compare::NotIn { format!("NOT ({any})") } else { any }
}

fn number(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn within(sql: &str, network: IpNetwork, bind: &mut impl FnMut(&str, String) -> String) -> String {
    let mut between = |network: IpNetwork| {
        let [first, last] =
            [network.network(), network.broadcast()].map(|end| bind("String", mapped(end).to_string()));
        format!("({sql} >= toIPv6({first}) AND {sql} <= toIPv6({last}))")
    };
    let inside = between(network);
    // No address of IPv4 lies in a network of IPv6, however wide that is.
    let corner = IPV4.parse::<IpNetwork>().ok();
    match corner.filter(|corner| {
        network.is_ipv6() && network.prefix() < corner.prefix() && network.contains(corner.network())
    }) {
        Some(corner) => format!("({inside} AND NOT {})", between(corner)),
        None => inside,
    }
}
