//! Which worker gets which exporter: by source address, in the kernel.
//!
//! SO_REUSEPORT alone spreads one router's ports over several sockets, and so loses the order of its options and data (tried). A
//! classic BPF program on the group of sockets returns the number of the socket, which is the order they were bound in. Where the
//! kernel refuses the program, one worker does all.

use crate::socket::Socket;
use crate::{Config, Error};
use std::io::ErrorKind;
use std::net::SocketAddr;

/// An instruction: operation, and its number.
pub(crate) type Instruction = (u16, u32);

/// `A = word at K`, `X = A`, `A ^= X`, `A %= K`, `return A` (linux/filter.h).
const LOAD: u16 = 0x20;
const KEEP: u16 = 0x07;
const XOR: u16 = 0xac;
const MODULO: u16 = 0x94;
const RETURN: u16 = 0x16;
/// From here on an offset counts from the network header (SKF_NET_OFF, -0x100000).
const NETWORK: u32 = 0xfff0_0000;

/// Worker = source address mod workers; of IPv6 its four words are folded first.
pub(crate) fn program(ipv6: bool, workers: u32) -> Vec<Instruction> {
    let words: &[u32] = if ipv6 { &[8, 12, 16, 20] } else { &[12] };
    let mut program = vec![(LOAD, NETWORK + words[0])];
    for word in &words[1..] {
        program.extend([(KEEP, 0), (LOAD, NETWORK + word), (XOR, 0)]);
    }
    program.extend([(MODULO, workers), (RETURN, 0)]);
    program
}

/// The sockets of each worker: every worker has one for every listener, in the same order.
pub(crate) fn open(config: &Config) -> Result<Vec<Vec<Socket>>, Error> {
    if config.workers > 1 {
        match steered(config) {
            Err(Refused::Steering(source)) => {
                tracing::warn!(%source, "the kernel does not steer by source address; one worker does all");
            }
            Err(Refused::Socket(error)) => return Err(error),
            Ok(workers) => return Ok(workers),
        }
    }
    let mut sockets = Vec::new();
    let mut absent = None;
    for address in config.listeners() {
        match Socket::bind(address, false) {
            Ok(socket) => sockets.push(sized(socket, config)),
            Err(source) => absent = Some(skip_absent_ipv6(address, source)?),
        }
    }
    match absent {
        Some(error) if sockets.is_empty() => Err(error),
        _ => Ok(vec![sockets]),
    }
}

enum Refused {
    Steering(std::io::Error),
    Socket(Error),
}

fn steered(config: &Config) -> Result<Vec<Vec<Socket>>, Refused> {
    let mut workers: Vec<Vec<Socket>> = (0..config.workers).map(|_| Vec::new()).collect();
    let mut absent = None;
    for address in config.listeners() {
        // Sockets that share a port share it with any process of this user, also with another ingest; one that does not share
        // finds out whether somebody is there.
        if let Err(source) = Socket::bind(address, false) {
            absent = Some(skip_absent_ipv6(address, source).map_err(Refused::Socket)?);
            continue;
        }
        let mut at = address;
        for (number, sockets) in workers.iter_mut().enumerate() {
            let bind = |source| Refused::Socket(Error::Bind { address: at, source });
            let socket = Socket::bind(at, true).map_err(bind)?;
            at = socket.address();
            if number == 0 {
                let count = u32::try_from(config.workers).unwrap_or(u32::MAX);
                socket.steer(&program(at.is_ipv6(), count)).map_err(Refused::Steering)?;
            }
            sockets.push(sized(socket, config));
        }
    }
    match absent {
        Some(error) if workers[0].is_empty() => Err(Refused::Socket(error)),
        _ => Ok(workers),
    }
}

/// A machine without IPv6 is no mistake of its owner; anything else that cannot be bound is.
fn skip_absent_ipv6(address: SocketAddr, source: std::io::Error) -> Result<Error, Error> {
    let absent = source.raw_os_error() == Some(libc::EAFNOSUPPORT)
        || source.kind() == ErrorKind::AddrNotAvailable && address.ip().is_loopback();
    let ipv6 = address.is_ipv6();
    let error = Error::Bind { address, source };
    if ipv6 && absent {
        tracing::warn!(%error, "this machine has no IPv6; going on without");
        return Ok(error);
    }
    Err(error)
}

fn sized(socket: Socket, config: &Config) -> Socket {
    let wanted = config.receive_buffer_bytes;
    match socket.enlarge(wanted) {
        Ok(got) if got < wanted => tracing::warn!(
            wanted, got, address = %socket.address(),
            "the kernel gives a smaller receive buffer; raise it with: sysctl -w net.core.rmem_max={wanted}"
        ),
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(%error, address = %socket.address(), "the receive buffer stays as it is")
        }
    }
    socket
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{Batch, wait};
    use std::collections::BTreeMap;
    use std::net::{IpAddr, UdpSocket};
    use std::time::Duration;

    fn config(address: &str, port: u16, workers: usize) -> Config {
        Config { addresses: vec![address.parse().unwrap()], ports: vec![port], workers, ..Config::default() }
    }

    /// Which workers saw which source.
    fn seen(workers: &mut [Vec<Socket>]) -> BTreeMap<[u8; 16], Vec<(usize, usize)>> {
        let (mut seen, mut batch) = (BTreeMap::<_, Vec<(usize, usize)>>::new(), Batch::new());
        for (number, sockets) in workers.iter_mut().enumerate() {
            wait(sockets, Duration::from_millis(100)).unwrap();
            let mut counts = BTreeMap::<[u8; 16], usize>::new();
            while batch.receive(&sockets[0]).unwrap() > 0 {
                for (source, ..) in batch.datagrams() {
                    *counts.entry(source).or_default() += 1;
                }
            }
            for (source, count) in counts {
                seen.entry(source).or_default().push((number, count));
            }
        }
        seen
    }

    #[test]
    fn all_ports_of_an_address_come_to_one_worker_and_addresses_to_all() {
        let mut workers = open(&config("127.0.0.1", 0, 4)).unwrap();
        assert_eq!(workers.len(), 4, "this kernel steers");
        let to = workers[0][0].address();
        for host in 1..=40 {
            for _ in 0..5 {
                let from = UdpSocket::bind((IpAddr::from([127, 0, 7, host]), 0)).unwrap();
                from.send_to(b"x", to).unwrap();
            }
        }
        let seen = seen(&mut workers);
        assert_eq!(seen.len(), 40);
        let mut used = [0; 4];
        for (source, workers) in &seen {
            let [(worker, 5)] = workers[..] else { panic!("{source:?} came to {workers:?}") };
            used[worker] += 1;
        }
        assert_eq!(used, [10, 10, 10, 10], "by address mod workers");
    }

    #[test]
    fn all_ports_of_an_ipv6_address_come_to_one_worker() {
        let mut workers = open(&config("::1", 0, 4)).unwrap();
        let to = workers[0][0].address();
        for _ in 0..20 {
            UdpSocket::bind("[::1]:0").unwrap().send_to(b"x", to).unwrap();
        }
        let seen = seen(&mut workers);
        // ::1 folds to 1.
        assert_eq!(seen.into_values().collect::<Vec<_>>(), [[(1, 20)]]);
    }

    #[test]
    fn a_port_in_use_is_named_also_by_one_that_shares_ports() {
        let first = open(&config("127.0.0.1", 0, 2)).unwrap();
        let port = first[0][0].address().port();
        for workers in [1, 2] {
            let words = open(&config("127.0.0.1", port, workers)).unwrap_err().to_string();
            assert!(
                words.starts_with(&format!("cannot listen on UDP 127.0.0.1:{port}: Address already in use")),
                "{words}"
            );
            assert!(words.contains("ingest.ports"), "{words}");
        }
    }

    #[test]
    fn an_address_of_another_machine_is_refused_by_its_name() {
        let words = open(&config("192.0.2.1", 2055, 1)).unwrap_err().to_string();
        assert!(words.starts_with("cannot listen on UDP 192.0.2.1:2055: "), "{words}");
    }
}
