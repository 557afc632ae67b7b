//! Datagrams that mean nothing, as scanners, broken exporters and attackers send them.
//!
//! Under routers' own addresses they are bytes of no protocol, so that nothing can come of them. From strangers they are also real
//! datagrams cut short or with bits turned over, which may well mean something wrong; strangers are in no ledger.

use crate::generate::{Options, send};
use crate::network::Exporter;
use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Instant;

/// Addresses of strangers.
const STRANGERS: Ipv4Addr = Ipv4Addr::new(127, 66, 6, 1);
const STRANGER_COUNT: u32 = 16;
/// Routers under whose addresses garbage comes.
const ROUTERS: usize = 8;
/// Most datagrams sent at once to make good what was missed.
const MOST: f64 = 200.0;

/// Sends it.
#[derive(Debug)]
pub struct Garbage {
    addresses: Vec<(Ipv4Addr, bool)>,
    options: Options,
    sockets: Vec<(UdpSocket, bool)>,
    per_second: f64,
    budget: f64,
    last: Instant,
    /// A real datagram.
    kept: Vec<u8>,
}

impl Garbage {
    /// Sends nothing yet, and opens nothing.
    pub fn new(exporters: &[Exporter], options: &Options) -> Self {
        let routers = exporters.iter().take(ROUTERS).map(|exporter| (exporter.address, false));
        let strangers = (0..STRANGER_COUNT).map(|n| (Ipv4Addr::from(u32::from(STRANGERS) + n), true));
        Self {
            addresses: routers.chain(strangers).collect(),
            options: options.clone(),
            sockets: Vec::new(),
            per_second: 0.0,
            budget: 0.0,
            last: Instant::now(),
            kept: Vec::new(),
        }
    }

    /// From now on so many a second.
    pub fn begin(&mut self, per_second: f64) {
        (self.per_second, self.budget, self.last) = (per_second, 0.0, Instant::now());
    }

    /// How many are to be sent now.
    pub fn due(&mut self) -> usize {
        let elapsed = self.last.elapsed();
        self.last += elapsed;
        self.budget = (self.budget + self.per_second * elapsed.as_secs_f64()).min(MOST);
        let due = self.budget as usize;
        self.budget -= due as f64;
        due
    }

    /// Remembers a real datagram, to spoil.
    pub fn keep(&mut self, datagram: &[u8]) {
        if self.per_second > 0.0 {
            self.kept.clear();
            self.kept.extend_from_slice(datagram);
        }
    }

    /// Sends one: true where it means nothing whatever happens, false where it is a real one that was spoiled.
    ///
    /// # Errors
    /// Where it can't be sent.
    pub fn send(&mut self, random: &mut StdRng, outages: bool) -> Result<bool> {
        if self.sockets.is_empty() {
            for (address, stranger) in &self.addresses {
                let socket =
                    UdpSocket::bind((*address, 0)).with_context(|| format!("sending from {address}"))?;
                let port = self.options.ports[self.sockets.len() % self.options.ports.len()];
                socket.connect((self.options.target, port))?;
                self.sockets.push((socket, *stranger));
            }
        }
        let (socket, stranger) = &self.sockets[random.random_range(0..self.sockets.len())];
        let spoils = *stranger && !self.kept.is_empty() && random.random_bool(0.5);
        let datagram = if spoils { spoiled(&self.kept, random) } else { noise(random) };
        send(socket, &datagram, outages)?;
        Ok(!spoils)
    }
}

/// A datagram cut short, or with some bits turned over.
fn spoiled(datagram: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut out = datagram.to_vec();
    if random.random_bool(0.5) {
        out.truncate(random.random_range(0..=datagram.len()));
    }
    for _ in 0..random.random_range(0..4) {
        let length = out.len();
        if let Some(byte) = out.get_mut(random.random_range(0..length.max(1))) {
            *byte ^= 1 << random.random_range(0..8);
        }
    }
    out
}

/// Bytes that begin as no protocol does: all versions are below 256.
fn noise(random: &mut StdRng) -> Vec<u8> {
    let mut out = vec![0; random.random_range(1..1400)];
    random.fill(&mut out[..]);
    out[0] |= 1;
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn noise_is_no_protocol_and_what_is_spoiled_is_no_longer_than_it_was() {
        let mut random = StdRng::seed_from_u64(1);
        for _ in 0..1000 {
            assert_ne!(noise(&mut random)[0], 0);
            assert!(spoiled(&[7; 100], &mut random).len() <= 100);
        }
        assert!(spoiled(&[], &mut random).is_empty());
    }
}
