//! Sends a network's flows to ingest, and keeps the ledger.

use crate::encode::{Clock, Control, Encoder, REFRESH};
use crate::garbage::Garbage;
use crate::ledger::{Ingest, Ledger};
use crate::network::{Exporter, Protocol};
use crate::pace::{Rate, Window};
use crate::raw::{self, Announced, Sent};
use crate::traffic::Traffic;
use crate::world::World;
use anyhow::{Context, Result};
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

/// What to send, how fast, to where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address of ingest.
    pub target: IpAddr,
    /// Ports that take the place of 2055, 4739 and 6343.
    pub ports: [u16; 3],
    /// Address of ingest's metrics; none: unpaced, and what is lost on the way is not known.
    pub ingest_metrics: Option<String>,
    /// Most datagrams on the way.
    pub window: u64,
    /// Flows a second.
    pub rate: f64,
    /// Whether the rate follows the time of day.
    pub daily: bool,
    /// Seed of all that is random.
    pub seed: u64,
    /// Data datagrams after which an exporter sends its templates and options again; 0: never.
    pub refresh: u64,
    /// Added to the observation domains of exporters. Where others sent from the same addresses before, another number each time: what was
    /// announced of a domain holds until it is announced anew.
    pub domains: u32,
    /// Go on where nobody listens.
    pub outages: bool,
    /// Keep a journal of every data datagram: what was missed is told by `weir.raw` then, and how long rows took by the clock.
    pub journal: bool,
    /// Where the ledger is saved, at the end and every fifteen seconds.
    pub ledger: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            target: Ipv4Addr::LOCALHOST.into(),
            ports: [2055, 4739, 6343],
            ingest_metrics: None,
            window: 4000,
            rate: 1000.0,
            daily: false,
            seed: 1,
            refresh: REFRESH,
            domains: 0,
            outages: false,
            journal: false,
            ledger: None,
        }
    }
}

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
/// Nothing is sent so near to the border of a minute: clocks of generator and ingest may be so far from each other.
const GUARD: i64 = 50_000_000;
/// How long exporters have been up.
const UPTIME: i64 = 30 * 86_400 * SECOND;
/// How long those have that were restarted: longer than any flow that they tell of.
const RESTARTED: i64 = 5 * MINUTE;
const SAVE: Duration = Duration::from_secs(15);
/// How long the last datagrams may take to be acknowledged.
const SETTLE: Duration = Duration::from_secs(20);

/// Now, ns since the epoch.
pub fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// What others see of a generator that sends.
#[derive(Debug, Default)]
pub struct Progress {
    /// Flows sent.
    pub flows: AtomicU64,
    /// Datagrams sent that mean nothing.
    pub garbage: AtomicU64,
}

#[derive(Debug)]
struct Sender {
    socket: UdpSocket,
    traffic: Traffic,
    encoder: Encoder,
    /// When its exporter was switched on, ns since the epoch.
    booted_ns: i64,
}

impl Options {
    fn port(&self, protocol: Protocol) -> u16 {
        let [netflow, ipfix, sflow] = self.ports;
        match protocol {
            Protocol::NetflowV5 | Protocol::NetflowV9 => netflow,
            Protocol::Ipfix => ipfix,
            Protocol::Sflow => sflow,
        }
    }

    fn sender(&self, exporter: &Exporter, number: usize, booted_ns: i64) -> Result<Sender> {
        let socket = UdpSocket::bind((exporter.address, 0)).with_context(|| {
            format!("sending from {}, which must be an address of this machine", exporter.address)
        })?;
        socket.connect((self.target, self.port(exporter.protocol)))?;
        Ok(Sender {
            socket,
            traffic: Traffic::new(exporter, number, self.seed),
            encoder: Encoder::new(exporter, number, self.refresh, self.domains),
            booted_ns,
        })
    }
}

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Flows a second.
    pub rate: f64,
    /// Datagrams a second that mean nothing.
    pub garbage: f64,
}

/// How much to send, whichever is reached first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    /// Flows.
    pub flows: Option<u64>,
    /// Time.
    pub duration: Option<Duration>,
}

/// A network that sends. It can send, pause, and go on where it was: its exporters keep their sockets and what they have announced.
#[derive(Debug)]
pub struct Generator<'w> {
    options: Options,
    world: &'w World,
    exporters: &'w [Exporter],
    senders: Vec<Sender>,
    weights: WeightedIndex<f64>,
    random: StdRng,
    window: Option<Window>,
    ledger: Ledger,
    garbage: Garbage,
    progress: Arc<Progress>,
}

impl<'w> Generator<'w> {
    /// Opens sockets and looks at ingest's counters; nothing is sent yet.
    ///
    /// # Errors
    /// Where an address can't be sent from, or ingest's metrics can't be had.
    pub fn new(options: &Options, world: &'w World, exporters: &'w [Exporter]) -> Result<Self> {
        let window = options
            .ingest_metrics
            .as_deref()
            .map(|address| Window::open(address, options.window.max(1)))
            .transpose()?;
        let booted_ns = now_ns() - UPTIME;
        let senders =
            exporters.iter().enumerate().map(|(n, exporter)| options.sender(exporter, n, booted_ns));
        let mut ledger = Ledger::new(exporters, options.seed, now_ns());
        ledger.names = world.ases().iter().map(|one| (one.number, one.name.clone())).collect();
        Ok(Self {
            senders: senders.collect::<Result<_>>()?,
            weights: WeightedIndex::new(exporters.iter().map(|exporter| exporter.weight))
                .context("no exporters")?,
            random: StdRng::seed_from_u64(options.seed),
            options: options.clone(),
            world,
            exporters,
            window,
            ledger,
            garbage: Garbage::new(exporters, options),
            progress: Arc::default(),
        })
    }

    /// What is sent, for others to see while it runs.
    pub fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// All exporters start anew: uptime and sequence numbers begin again, and template ids mean something else than before.
    pub fn restart_exporters(&mut self) {
        for (number, sender) in self.senders.iter_mut().enumerate() {
            sender.encoder.restart(&self.exporters[number], number);
            sender.booted_ns = now_ns() - RESTARTED;
        }
    }

    /// What was sent so far.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Sends until the bounds, or until `stop`, and waits until the bus has what was sent.
    ///
    /// # Errors
    /// Where nobody listens, ingest's metrics can't be had, or the ledger can't be saved.
    pub fn run(&mut self, bounds: Bounds, stop: &AtomicBool) -> Result<()> {
        self.send(Load { rate: self.options.rate, garbage: 0.0 }, bounds, stop)?;
        self.finish()
    }

    /// Sends until the bounds, or until `stop`; does not wait for anything.
    ///
    /// # Errors
    /// As [`Generator::run`].
    pub fn send(&mut self, load: Load, bounds: Bounds, stop: &AtomicBool) -> Result<()> {
        let mut rate = Rate::new(load.rate, self.options.daily);
        self.garbage.begin(load.garbage);
        let (begun, mut saved, mut total) = (Instant::now(), Instant::now(), 0_u64);
        while !stop.load(Ordering::Relaxed) && bounds.duration.is_none_or(|limit| begun.elapsed() < limit) {
            let left = bounds.flows.map_or(u64::MAX, |limit| limit - total);
            if left == 0 {
                break;
            }
            let sent = self.datagram(left, &mut rate)?;
            self.progress.flows.fetch_add(sent, Ordering::Relaxed);
            total += sent;
            for _ in 0..self.garbage.due() {
                let noise = self.garbage.send(&mut self.random, self.options.outages)?;
                self.ledger.noise_datagrams += u64::from(noise);
                self.progress.garbage.fetch_add(1, Ordering::Relaxed);
                self.window.as_mut().map_or(Ok(()), Window::sent)?;
            }
            if saved.elapsed() > SAVE {
                saved = Instant::now();
                let counted = self.window.as_mut().map(Window::look).transpose()?;
                self.save(counted)?;
            }
        }
        Ok(())
    }

    /// Waits until the bus has what was sent, and saves the ledger, without ingest's counters where they can't be had.
    ///
    /// # Errors
    /// Where they can't, or the ledger can't be saved.
    pub fn finish(&mut self) -> Result<()> {
        let counted = self.window.as_mut().map(|window| window.settle(SETTLE)).transpose();
        let saved = self.end(counted.as_ref().ok().copied().flatten());
        counted.and(saved)
    }

    /// Saves the ledger as it is, with what ingest counted where that is known.
    ///
    /// # Errors
    /// Where it can't be saved.
    pub fn end(&mut self, counted: Option<Ingest>) -> Result<()> {
        self.ledger.garbage_datagrams = self.progress.garbage.load(Ordering::Relaxed);
        self.save(counted)
    }

    /// Sends a datagram of at most so many flows, with what templates and options are due before it.
    fn datagram(&mut self, most: u64, rate: &mut Rate) -> Result<u64> {
        let number = self.random.sample(&self.weights);
        let (exporter, sender) = (&self.exporters[number], &mut self.senders[number]);
        let capacity = sender.encoder.capacity();
        let count = self.random.random_range(capacity / 2..=capacity);
        let count = count.min(usize::try_from(most).unwrap_or(capacity)).max(1);
        rate.wait(count, now_ns());
        let flows: Vec<_> = (0..count).map(|_| sender.traffic.next(self.world, exporter)).collect();

        let booted_ns = sender.booted_ns;
        let mut told = Vec::with_capacity(count);
        let outages = self.options.outages;
        let clock = clear_of_border(booted_ns);
        for (tells, datagram) in sender.encoder.control(exporter, clock) {
            send(&sender.socket, &datagram, outages)?;
            self.ledger.control_datagrams += 1;
            if self.options.journal && exporter.announces.by_options() && tells != Control::Interfaces {
                self.ledger.announced.push(Announced {
                    exporter: number as u32,
                    at: clock.now_ns,
                    print: raw::print(exporter.address, &datagram),
                    rate: tells == Control::Rate,
                });
            }
            self.window.as_mut().map_or(Ok(()), Window::sent)?;
        }
        let clock = clear_of_border(booted_ns);
        let datagram = sender.encoder.data(exporter, &flows, clock, &mut told);
        self.garbage.keep(&datagram);
        send(&sender.socket, &datagram, outages)?;
        let minute = |ns: i64| ns.div_euclid(MINUTE) * 60;
        let entered = self.ledger.enter(number, &flows, &told, (minute(clock.now_ns), minute(now_ns())));
        if let (true, Some(first)) = (self.options.journal, flows.first()) {
            let print = raw::print(exporter.address, &datagram);
            self.ledger.journal.push(Sent::new(number, first.tag, clock.now_ns, print, &entered));
        }
        self.window.as_mut().map_or(Ok(()), Window::sent)?;
        Ok(count as u64)
    }

    fn save(&mut self, counted: Option<Ingest>) -> Result<()> {
        self.ledger.ended_ns = now_ns();
        self.ledger.ingest = counted;
        self.options.ledger.as_deref().map_or(Ok(()), |path| self.ledger.save(path))
    }
}

/// The time, once it is not near the border of a minute.
fn clear_of_border(booted_ns: i64) -> Clock {
    loop {
        let now_ns = now_ns();
        let since = (now_ns + GUARD).rem_euclid(MINUTE);
        if since >= 2 * GUARD {
            return Clock { now_ns, booted_ns };
        }
        std::thread::sleep(Duration::from_nanos((2 * GUARD - since).unsigned_abs()));
    }
}

pub(crate) fn send(socket: &UdpSocket, datagram: &[u8], outages: bool) -> Result<()> {
    let peer = || socket.peer_addr().map_or_else(|_| "ingest".to_owned(), |address| address.to_string());
    match socket.send(datagram) {
        Ok(_) => Ok(()),
        // Said of an earlier datagram, once.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused && outages => {
            send(socket, datagram, outages)
        }
        // Said of an earlier datagram: nobody had the port. The one at hand was not sent.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            Err(error).with_context(|| format!("nobody listens at {}/udp; start ingest first", peer()))
        }
        Err(error) => Err(error).with_context(|| format!("sending to {}", peer())),
    }
}
