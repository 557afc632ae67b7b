//! Whether a request is meant for this machine.
//!
//! A name that anybody may own can lead to loopback (DNS rebinding): who listens there without asking for more than that answers to `localhost`
//! and to addresses alone.

use axum::http::uri::Authority;
use std::net::IpAddr;

/// Whether a request's host (with a port or without) is `localhost` or an address. A port may be that of a tunnel's other end.
pub fn is_this_machine(host: &str) -> bool {
    let authority = host.parse::<Authority>().ok();
    let name = authority.as_ref().map_or("", Authority::host).trim_start_matches('[').trim_end_matches(']');
    name.parse::<IpAddr>().is_ok() || name.eq_ignore_ascii_case("localhost")
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
}
