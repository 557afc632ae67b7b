//! What goes wrong, done to the stack on this machine.

use super::stack::Machine;
use crate::generate::now_ns;
use crate::run::sample::{Counted, Counters, children, locked};
use crate::scenario::{Act, Event, Part};
use crate::verify::{Excuse, LastLook};
use anyhow::{Context, Result, bail};
use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use weir_stack::{Kafka, Kind, Service, Signal};

/// What was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Seconds since sending began.
    pub at_s: f64,
    /// In words.
    pub what: String,
    /// Seconds until it was over.
    pub took_s: f64,
    /// Whether it was a kill -9.
    pub kill: bool,
}

/// How long a part may take to come back.
const BACK: Duration = Duration::from_secs(90);
/// How long a part may take to end in order.
const DRAIN: Duration = Duration::from_secs(35);

/// What an event came to.
pub struct Outcome {
    /// In words.
    pub what: String,
    /// When nobody received.
    pub excuses: Vec<Excuse>,
}

/// Does it, and undoes it: afterwards the part runs, or has room, again.
///
/// # Errors
/// Where the stack does not do as it is told.
pub fn inflict(machine: &mut Machine, event: &Event, random: &mut StdRng) -> Result<Outcome> {
    let lasts = Duration::from_secs_f64(event.for_s);
    match (event.act, event.part) {
        (Act::Fill, _) => fill(machine, lasts),
        (Act::Scale, part) => scale(machine, kind(part)?, event.to),
        (act, Part::Broker) => broker(machine, act, event.to, lasts),
        (act, Part::Engine) if machine.standalone() => child(machine, act, lasts),
        (act, part) => service(machine, act, kind(part)?, lasts, random),
    }
}

fn kind(part: Part) -> Result<Kind> {
    Ok(match part {
        Part::Ingest => Kind::Ingest,
        Part::Decoder => Kind::Decoder,
        Part::Sink => Kind::Sink,
        Part::Engine => Kind::Engine,
        Part::Standalone => Kind::Standalone,
        Part::Broker | Part::BusDisk => bail!("{part:?} is no service"),
    })
}

fn verb(act: Act) -> &'static str {
    match act {
        Act::Kill => "killed (-9)",
        Act::Stop => "stopped",
        Act::Freeze => "frozen",
        Act::Scale => "scaled",
        Act::Fill => "filled",
    }
}

fn broker(machine: &mut Machine, act: Act, number: usize, lasts: Duration) -> Result<Outcome> {
    let broker = machine.stack.brokers().get_mut(number).context("there is no such broker")?;
    match act {
        Act::Kill => broker.kill()?,
        Act::Stop => broker.stop()?,
        _ => broker.signal(Signal::Stop)?,
    }
    std::thread::sleep(lasts);
    match act {
        Act::Freeze => broker.signal(Signal::Continue)?,
        _ => Kafka::restart(broker)?,
    }
    Ok(Outcome { what: format!("broker {number} {} for {lasts:?}", verb(act)), excuses: Vec::new() })
}

fn service(
    machine: &mut Machine,
    act: Act,
    kind: Kind,
    lasts: Duration,
    random: &mut StdRng,
) -> Result<Outcome> {
    let names: Vec<String> = machine
        .stack
        .services()
        .iter()
        .filter(|service| service.kind() == kind)
        .map(|service| service.name().to_owned())
        .collect();
    anyhow::ensure!(!names.is_empty(), "the stack has no {}", kind.word());
    let name = &names[random.random_range(0..names.len())];
    let (counters, (_, ports)) = (Arc::clone(&machine.counters), machine.stack.ingest());
    let service = machine.stack.service(name)?;
    service.expect_alive()?;
    let receives = matches!(kind, Kind::Ingest | Kind::Standalone);
    let last = match (act, receives) {
        (Act::Kill, true) => last_look(&counters, service, ports)?,
        _ => LastLook { at: now_ns(), held: 0 },
    };
    match act {
        Act::Kill => service.kill()?,
        Act::Stop => service.stop(DRAIN)?,
        _ => service.signal(Signal::Stop)?,
    }
    if act != Act::Freeze {
        locked(&counters).ended(service.admin());
    }
    std::thread::sleep(lasts);
    let excuses = match act {
        Act::Freeze => {
            service.signal(Signal::Continue)?;
            // One that notices that it was replaced may end; whoever runs it starts it again.
            std::thread::sleep(Duration::from_secs(1));
            if service.expect_alive().is_err() {
                service.start()?;
            }
            Vec::new()
        }
        _ => {
            service.start()?;
            // One that is stopped in order hands on what it holds; one that is killed does not.
            let listened = receives.then(|| listens(service)).transpose()?;
            listened.map_or_else(Vec::new, |listened| Excuse::dead(last, listened).to_vec())
        }
    };
    Ok(Outcome { what: format!("{name} {} for {lasts:?}", verb(act)), excuses })
}

/// The counters of ingest follow four times a second; where they have not moved for so long, nothing comes, or nobody has time to count.
const FOLLOW: Duration = Duration::from_secs(1);
/// Datagrams that the thread of ingest may have in its hands, neither in a socket nor counted, and one that the generator is about to send.
const IN_HAND: u64 = 64 + 1;

/// Asks one that receives what it has counted until its counters move, so that whoever kills it now knows what it had a few milliseconds ago.
///
/// # Errors
/// Where it does not answer.
pub fn last_look(counters: &Mutex<Counters>, service: &Service, ports: [u16; 3]) -> Result<LastLook> {
    let look = || locked(counters).look(service.admin());
    let known = |(at, queued): (i64, u64), now: Counted| LastLook {
        at,
        held: now.received.saturating_sub(now.settled) + queued + IN_HAND,
    };
    let begun = Instant::now();
    let (mut first, mut before) = (None, None);
    loop {
        let moment = (now_ns(), queued(ports)?);
        if let Some(now) = look() {
            match first.get_or_insert((moment, now)) {
                // They moved since the look before this one; one more, as this answer may be half of before.
                (at, seen) if *seen != now => return Ok(known(before.unwrap_or(*at), look().unwrap_or(now))),
                (at, _) if begun.elapsed() > FOLLOW => return Ok(known(*at, now)),
                _ => before = Some(moment),
            }
        }
        anyhow::ensure!(begun.elapsed() < BACK, "{} does not say what it has counted", service.name());
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// Datagrams that wait in the buffers of the sockets on these ports, at most.
fn queued(ports: [u16; 3]) -> Result<u64> {
    /// Linux counts more than this for the smallest datagram, as it counts its own book-keeping.
    const SMALLEST: u64 = 512;
    let mut bytes = 0;
    for path in ["/proc/net/udp", "/proc/net/udp6"] {
        // Without IPv6 the second one is not there.
        let table = std::fs::read_to_string(path).unwrap_or_default();
        for line in table.lines().skip(1) {
            let mut fields = line.split_whitespace();
            let port =
                fields.nth(1).and_then(|local| u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok());
            let waits =
                fields.nth(2).and_then(|queues| u64::from_str_radix(queues.split_once(':')?.1, 16).ok());
            let port = port.with_context(|| format!("{path} has a line that is none: {line}"))?;
            if ports.contains(&port) {
                bytes += waits.with_context(|| format!("{path} has a line that is none: {line}"))?;
            }
        }
    }
    Ok(bytes.div_ceil(SMALLEST))
}

/// When it listens again, ns since the epoch.
fn listens(service: &Service) -> Result<i64> {
    let begun = Instant::now();
    loop {
        if service.metrics().is_ok_and(|metrics| metrics.sum("weir_ingest_listening") > 0.0) {
            return Ok(now_ns());
        }
        anyhow::ensure!(
            begun.elapsed() < BACK,
            "{} does not listen {BACK:?} after its start",
            service.name()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The engine of the one process: it is started again by its parent.
fn child(machine: &mut Machine, act: Act, lasts: Duration) -> Result<Outcome> {
    let parent = machine.stack.service("standalone")?.id().context("standalone does not run")?;
    let find = || children(parent).into_iter().next_back();
    let begun = Instant::now();
    let old = loop {
        match find() {
            Some(pid) => break pid,
            None => anyhow::ensure!(begun.elapsed() < BACK, "standalone has no engine"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    if act == Act::Freeze {
        weir_stack::signal(old, Signal::Stop)?;
        std::thread::sleep(lasts);
        weir_stack::signal(old, Signal::Continue)?;
    } else {
        weir_stack::signal(old, Signal::Kill)?;
        while find().is_none_or(|pid| pid == old) {
            anyhow::ensure!(begun.elapsed() < BACK, "standalone did not start its engine again");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(Outcome { what: format!("standalone's engine {}", verb(act)), excuses: Vec::new() })
}

fn scale(machine: &mut Machine, kind: Kind, to: usize) -> Result<Outcome> {
    loop {
        let now = machine.stack.services().iter().filter(|service| service.kind() == kind).count();
        match now.cmp(&to) {
            std::cmp::Ordering::Less => drop(machine.stack.add(kind)?),
            std::cmp::Ordering::Greater => machine.stack.remove(kind)?,
            std::cmp::Ordering::Equal => break,
        }
        machine.tell_processes();
    }
    Ok(Outcome { what: format!("{}s scaled to {to}", kind.word()), excuses: Vec::new() })
}

/// Takes all room of the bus's disk.
fn fill(machine: &mut Machine, lasts: Duration) -> Result<Outcome> {
    let path = machine.bus_dir().join("ballast");
    let mut file = File::create(&path).with_context(|| format!("creating {}", path.display()))?;
    let block = vec![0_u8; 1 << 20];
    let begun = Instant::now();
    let mut taken = 0_u64;
    // What is freed meanwhile is taken too.
    while begun.elapsed() < lasts {
        match file.write_all(&block) {
            Ok(()) => taken += 1,
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                std::thread::sleep(Duration::from_millis(20))
            }
            Err(error) => return Err(error).with_context(|| format!("writing {}", path.display())),
        }
    }
    drop(file);
    std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
    Ok(Outcome {
        what: format!("{taken} MB of the bus's disk taken, all that there was, for {lasts:?}"),
        excuses: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn what_waits_in_a_sockets_buffer_is_counted_until_it_is_taken() {
        let (socket, sender) =
            (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let ports = [0, 0, socket.local_addr().unwrap().port()];
        assert_eq!(queued(ports).unwrap(), 0);
        for _ in 0..5 {
            sender.send_to(b"a datagram", socket.local_addr().unwrap()).unwrap();
        }
        assert!((5..50).contains(&queued(ports).unwrap()), "{}", queued(ports).unwrap());
        for _ in 0..5 {
            socket.recv(&mut [0; 100]).unwrap();
        }
        assert_eq!(queued(ports).unwrap(), 0);
    }
}
