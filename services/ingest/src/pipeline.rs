//! The whole path of a datagram: socket → frame of its exporter → bus.
//!
//! One worker is one thread with sockets, frames and a producer of its own, so nothing is shared on the way but counters.

use crate::frames::{Frame, Framer, Limits};
use crate::metrics::Totals;
use crate::outlet::Outlet;
use crate::socket::{Batch, Socket, wait};
use crate::{Config, Error};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use weir_bus::Bus;
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
    let mut batch = Batch::new();
    let (mut drops_read, mut settled) = (Instant::now(), Instant::now());
    while !stop.is_cancelled() {
        let due = framer.next_due().map_or(NAP, |due| due.saturating_duration_since(Instant::now()));
        wait(&mut sockets, due.min(NAP)).map_err(|source| receive_error(&sockets, 0, source))?;
        totals.looked();
        let most = receive(&mut sockets, &mut batch, totals, &mut framer, &mut outlet)?;
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
        wait(&mut sockets, Duration::ZERO).map_err(|source| receive_error(&sockets, 0, source))?;
        let most = receive(&mut sockets, &mut batch, totals, &mut framer, &mut outlet)?;
        if most < Batch::SIZE || stopped.elapsed() >= Duration::from_secs(1) {
            break;
        }
    }
    count_drops(&mut sockets, totals);
    drop(sockets);
    framer.flush_all(&mut |frame| outlet.send(&frame));
    outlet.finish(Duration::from_millis(config.drain_timeout_ms));
    Ok(())
}

/// Empties the sockets that have something, a bounded turn each; returns how many datagrams the fullest of them gave.
fn receive<B: Bus>(
    sockets: &mut [Socket],
    batch: &mut Batch,
    totals: &Totals,
    framer: &mut Framer,
    outlet: &mut Outlet<B>,
) -> Result<usize, Error> {
    let mut most = 0;
    for listener in 0..sockets.len() {
        if !sockets[listener].ready() {
            continue;
        }
        let mut here = 0;
        for _ in 0..TURN {
            let socket = &sockets[listener];
            let count = batch.receive(socket).map_err(|source| receive_error(sockets, listener, source))?;
            let (now, port, mut bytes) = (Instant::now(), socket.address().port(), 0);
            for (source, source_port, received, payload) in batch.datagrams() {
                bytes += payload.len() as u64;
                let datagram = Datagram { received, listener: port, source_port, payload };
                framer.push(&source, &datagram, now, &mut |frame: Frame<'_>| outlet.send(&frame));
            }
            totals.received(listener, count as u64, bytes);
            here += count;
            if count < Batch::SIZE {
                break;
            }
        }
        most = most.max(here);
    }
    Ok(most)
}

fn count_drops(sockets: &mut [Socket], totals: &Totals) {
    for (listener, socket) in sockets.iter_mut().enumerate() {
        totals.kernel_dropped(listener, socket.new_drops());
    }
}

fn receive_error(sockets: &[Socket], listener: usize, source: std::io::Error) -> Error {
    Error::Receive { address: sockets[listener].address(), source }
}
