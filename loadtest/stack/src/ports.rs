//! Ports to listen on.
//!
//! Below those that the system gives to outgoing connections (32768 and up on Linux), so that a server that is down for a
//! while finds its port free when it comes back.

use crate::{Result, io};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// A port of loopback that nobody listens on, TCP or UDP; not the same one twice in a process.
///
/// # Errors
/// Where none is free.
pub fn free() -> Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that run at once begin in different places.
    let start = (std::process::id() % u32::from(COUNT / 20)) as u16 * 20;
    let mut last = None;
    for _ in 0..COUNT {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start.wrapping_add(step)) % COUNT;
        let address = (Ipv4Addr::LOCALHOST, port);
        match TcpListener::bind(address).and_then(|_| UdpSocket::bind(address)) {
            Ok(_) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(io("looking for a free port")(last.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into())))
}
