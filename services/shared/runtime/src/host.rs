//! Whether a request is meant for this machine.
//!
//! A name that anybody may own can lead to loopback (DNS rebinding): who listens there without asking for more than that answers to `localhost`
//! and to addresses alone.

use axum::http::uri::Authority;
use std::net::IpAddr;

/// Whether a request's host (with a port or without) is `localhost` or an address. A port may be that of a tunnel's other end.
pub fn is_this_machine(host: &str) -> bool {
    let name = name(host);
    name.parse::<IpAddr>().is_ok() || name == "localhost"
}

/// The name or address in a request's host, without port and brackets, in lower case; empty where it is none.
pub fn name(host: &str) -> String {
    let authority = host.parse::<Authority>().ok();
    let name = authority.as_ref().map_or("", Authority::host);
    name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_this_machine_and_names_of_others_are_not() {
        for host in
            ["127.0.0.1:8123", "localhost:8123", "LocalHost", "[::1]:9999", "127.0.0.1:18123", "192.0.2.1"]
        {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["rebound.example.org:8123", "localhost.example.org", "127.0.0.1.example.org", ""] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn a_name_is_the_same_with_a_port_and_in_capitals() {
        for (host, wanted) in [
            ("Weir.Example.NET:443", "weir.example.net"),
            ("[2001:DB8::1]:80", "2001:db8::1"),
            ("192.0.2.1", "192.0.2.1"),
            ("", ""),
            ("a b", ""),
        ] {
            assert_eq!(name(host), wanted);
        }
    }
}
