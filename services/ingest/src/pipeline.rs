//! The whole path of a datagram: socket → gate → frame of its exporter → bus, or spool and then bus.
//!
//! One worker is one thread with sockets, frames and a producer of its own, so nothing is shared on the way but counters.

use crate::frames::{Frame, Framer, Limits};
use crate::gate::Gate;
use crate::metrics::Totals;
use crate::outlet::Outlet;
use crate::socket::{Batch, Socket, passes, wait};
use crate::{Config, Error};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use weir_bus::Bus;
use weir_runtime::Repeats;
use weir_schemas::frame::Datagram;

/// How long a worker sleeps at most, so that it sees the end coming and takes acknowledgements.
const NAP: Duration = Duration::from_millis(20);
/// How long a worker lets datagrams gather after a round that found few: woken for each one, it would spend more on waking than on them.
/// Short enough for the smallest receive buffer (212 kB hold some hundred datagrams) at 200 000 a second.
const GATHER: Duration = Duration::from_micros(200);
/// How often acknowledgements are taken.
const SETTLE: Duration = Duration::from_millis(5);
/// Batches from one socket before the others have their turn.
const TURN: usize = 8;
/// Open frames of a worker, all exporters together.
const OPEN_BYTES: usize = 64 << 20;

pub(crate) fn work<B: Bus>(
    config: &Config,
    mut sockets: Vec<Socket>,
    mut outlet: Outlet<B>,
    totals: &Totals,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let limits = Limits { frame_bytes: config.frame_bytes, age: config.frame_age(), open_bytes: OPEN_BYTES };
    let mut framer = Framer::new(limits);
    let mut gate = Gate::new(config)?;
    let mut batch = Batch::new();
    let (mut drops_read, mut settled) = (Instant::now(), Instant::now());
    let mut survivor = Survivor { totals, told: Repeats::default() };
    // What was received is forwarded, however this ends.
    let mut ended = Ok(());
    while !stop.is_cancelled() && ended.is_ok() {
        let due = framer.next_due().map_or(NAP, |due| due.saturating_duration_since(Instant::now()));
        let nap = if outlet.is_busy() { SETTLE } else { NAP };
        let waited = wait(&mut sockets, due.min(nap)).map_err(|source| receive_error(&sockets, 0, source));
        totals.looked();
        let (most, received) = receive(&mut sockets, &mut batch, totals, &mut gate, &mut framer, &mut outlet);
        ended = survivor.judge(waited).and(survivor.judge(received));
        framer.flush_aged(Instant::now(), &mut |frame| outlet.send(&frame));
        if settled.elapsed() >= SETTLE {
            outlet.settle();
            settled = Instant::now();
        }
        if drops_read.elapsed() >= Duration::from_millis(200) {
            count_drops(&mut sockets, totals);
            drops_read = Instant::now();
        }
        if (1..Batch::SIZE).contains(&most) {
            std::thread::sleep(GATHER);
        }
    }
    // What the kernel has already is the last that is taken; who floods does not keep this from ending.
    let stopped = Instant::now();
    loop {
        let waited = wait(&mut sockets, Duration::ZERO);
        let (most, _) = receive(&mut sockets, &mut batch, totals, &mut gate, &mut framer, &mut outlet);
        if waited.is_err() || most < Batch::SIZE || stopped.elapsed() >= Duration::from_secs(1) {
            break;
        }
    }
    count_drops(&mut sockets, totals);
    drop(sockets);
    framer.flush_all(&mut |frame| outlet.send(&frame));
    outlet.finish(Duration::from_millis(config.drain_timeout_ms));
    ended
}

/// Tells trouble that passes from what ends a worker.
struct Survivor<'a> {
    totals: &'a Totals,
    told: Repeats,
}

impl Survivor<'_> {
    fn judge(&mut self, done: Result<(), Error>) -> Result<(), Error> {
        match done {
            Err(Error::Receive { source, address }) if passes(&source) => {
                self.totals.receive_failed();
                let words = format!("receiving on UDP {address}: {source}");
                if self.told.says(&words) {
                    tracing::warn!("{words}; it is tried again");
                }
                // Not at once: it lacks what others have to give back first.
                std::thread::sleep(NAP);
                Ok(())
            }
            other => other,
        }
    }
}

/// Empties the sockets that have something, a bounded turn each; returns how many datagrams the fullest of them gave, and the first
/// failure. One that fails takes nothing from the others.
fn receive<B: Bus>(
    sockets: &mut [Socket],
    batch: &mut Batch,
    totals: &Totals,
    gate: &mut Option<Gate>,
    framer: &mut Framer,
    outlet: &mut Outlet<B>,
) -> (usize, Result<(), Error>) {
    let (mut most, mut outcome) = (0, Ok(()));
    for listener in 0..sockets.len() {
        if !sockets[listener].ready() {
            continue;
        }
        let mut here = 0;
        for _ in 0..TURN {
            let socket = &sockets[listener];
            let count = match batch.receive(socket) {
                Ok(count) => count,
                Err(source) => {
                    outcome = outcome.and(Err(receive_error(sockets, listener, source)));
                    break;
                }
            };
            let (now, port, mut bytes) = (Instant::now(), socket.address().port(), 0);
            for (source, source_port, received, payload) in batch.datagrams() {
                bytes += payload.len() as u64;
                if gate.as_mut().is_some_and(|gate| !gate.admits(&source, payload.len(), now)) {
                    continue;
                }
                let datagram = Datagram { received, listener: port, source_port, payload };
                framer.push(&source, &datagram, now, &mut |frame: Frame<'_>| outlet.send(&frame));
            }
            totals.received(listener, count as u64, bytes);
            if let Some(gate) = gate {
                gate.count(totals, now);
            }
            here += count;
            if count < Batch::SIZE {
                break;
            }
        }
        most = most.max(here);
    }
    (most, outcome)
}

fn count_drops(sockets: &mut [Socket], totals: &Totals) {
    for (listener, socket) in sockets.iter_mut().enumerate() {
        totals.kernel_dropped(listener, socket.new_drops());
    }
}

fn receive_error(sockets: &[Socket], listener: usize, source: std::io::Error) -> Error {
    Error::Receive { address: sockets[listener].address(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::FakeBus;
    use std::net::{Ipv4Addr, UdpSocket};
    use std::sync::Arc;

    #[test]
    fn a_socket_that_fails_ends_the_worker_and_what_was_received_is_forwarded() {
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // Whichever comes first: one that fails takes nothing from those behind it.
        for broken_first in [false, true] {
            let good = Socket::bind((Ipv4Addr::LOCALHOST, 0).into(), false).unwrap();
            for _ in 0..5 {
                sender.send_to(b"a datagram", good.address()).unwrap();
            }
            let mut sockets = vec![good, Socket::broken()];
            if broken_first {
                sockets.reverse();
            }
            let totals = Arc::new(Totals::new(sockets.iter().map(Socket::address).collect()));
            let bus = FakeBus::default();
            let outlet = Outlet::open(bus, 1 << 20, Arc::clone(&totals), None).unwrap();
            // The frame would wait for others for a minute.
            let config = Config { frame_age_ms: 60_000, ..Config::default() };
            let ended = work(&config, sockets, outlet, &totals, &CancellationToken::new());
            let word = ended.unwrap_err().to_string();
            assert!(word.starts_with("receiving on UDP 127.0.0.1:1: "), "{word}");
            let now = totals.snapshot();
            assert_eq!((now.datagrams, now.acked.units, now.receive_errors), (5, 5, 0));
        }
    }

    #[test]
    fn trouble_of_the_kernel_that_passes_is_counted_and_survived() {
        let totals = Totals::new(Vec::new());
        let mut survivor = Survivor { totals: &totals, told: Repeats::default() };
        let failed = |code| {
            let source = std::io::Error::from_raw_os_error(code);
            Err(Error::Receive { address: (Ipv4Addr::LOCALHOST, 1).into(), source })
        };
        for code in [libc::ENOBUFS, libc::ENOMEM, libc::EINTR] {
            survivor.judge(failed(code)).unwrap();
        }
        assert_eq!(totals.snapshot().receive_errors, 3);
        assert!(survivor.judge(failed(libc::EBADF)).is_err());
        assert_eq!(totals.snapshot().receive_errors, 3);
    }
}
