//! What ingest costs a datagram beside a bare loop around `recvmmsg`, which only counts: CPU time of the receiving thread, each fed by the
//! same sender over loopback, in turns. Between them lie stamps, sources, the gate, frames, and a bus that takes a copy and swallows it.
#![allow(missing_docs, reason = "a benchmark has no users to document for")]

mod bare;
mod swallow;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use swallow::Swallow;
use tokio_util::sync::CancellationToken;
use weir_ingest::{Config, Ingest};

/// Bytes of a datagram: NetFlow's usual ones fill an Ethernet frame.
const BYTES: usize = 1400;
const EXPORTERS: u8 = 8;
const TURNS: usize = 7;
const TURN: Duration = Duration::from_secs(1);

/// Datagrams received, and ns of CPU time of the thread that received them.
#[derive(Clone, Copy, Debug)]
struct Cost {
    datagrams: u64,
    cpu_ns: u64,
}

impl Cost {
    fn each(&self) -> f64 {
        self.cpu_ns as f64 / self.datagrams.max(1) as f64
    }
}

/// CPU time of a thread of this process so far, as the scheduler counts it, ns.
fn cpu_ns(thread: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

fn this_thread() -> Option<String> {
    let link = fs::read_link("/proc/thread-self").ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

fn thread_of_name(name: &str) -> Option<String> {
    fs::read_dir("/proc/self/task").ok()?.flatten().find_map(|task| {
        let is = fs::read_to_string(task.path().join("comm")).ok()?.trim() == name;
        is.then(|| task.file_name().to_str().map(str::to_owned)).flatten()
    })
}

/// Sends to an address, as fast as it can, while `work` is done.
fn under_load<T>(to: SocketAddr, work: impl FnOnce() -> T) -> T {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    let sender = thread::spawn(move || {
        let sockets: Vec<UdpSocket> = (1..=EXPORTERS)
            .map(|n| {
                let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 2, n), 0)).expect("loopback has room");
                socket.connect(to).expect("loopback is there");
                socket
            })
            .collect();
        let payload = [7; BYTES];
        while !told.load(Ordering::Relaxed) {
            for socket in &sockets {
                // A full buffer at the other end is no error of a datagram's sender.
                let _ = socket.send(&payload);
            }
        }
    });
    let done = work();
    stop.store(true, Ordering::Relaxed);
    sender.join().expect("the sender does not panic");
    done
}

fn bare() -> Cost {
    let receiver = bare::Receiver::open(Config::default().receive_buffer_bytes).expect("loopback has room");
    under_load(receiver.address(), || {
        let receive = move || {
            let me = this_thread().expect("Linux tells");
            let before = cpu_ns(&me).expect("Linux tells");
            let datagrams = receiver.count_for(TURN);
            Cost { datagrams, cpu_ns: cpu_ns(&me).expect("Linux tells") - before }
        };
        thread::spawn(receive).join().expect("the receiver does not panic")
    })
}

fn ingest() -> Cost {
    let config =
        Config { addresses: vec![IpAddr::from(Ipv4Addr::LOCALHOST)], ports: vec![0], ..Config::default() };
    let ingest = Ingest::bind(config).expect("loopback has room");
    let (address, totals, stop) = (ingest.addresses()[0], ingest.totals(), CancellationToken::new());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("threads can be started");
    let running = runtime.spawn(ingest.run(Swallow, stop.clone()));
    let cost = under_load(address, || {
        // It is under way when it has received something.
        while totals.snapshot().datagrams == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let worker = thread_of_name("ingest-0").expect("the worker is named");
        let now = || {
            (totals.snapshot().datagrams, cpu_ns(&worker).expect("the worker lives as long as it is told"))
        };
        let (datagrams, cpu) = now();
        thread::sleep(TURN);
        let (datagrams_after, cpu_after) = now();
        Cost { datagrams: datagrams_after - datagrams, cpu_ns: cpu_after - cpu }
    });
    stop.cancel();
    runtime.block_on(running).expect("ingest does not panic").expect("ingest ends well");
    cost
}

fn main() {
    let mut turns: Vec<(Cost, Cost)> = (0..TURNS).map(|_| (bare(), ingest())).collect();
    for (bare, ingest) in &turns {
        let share = 100.0 * bare.each() / ingest.each();
        println!(
            "bare {:7} datagrams, {:4.0} ns each; ingest {:7}, {:4.0} ns each: {share:.0} % of the bare rate",
            bare.datagrams,
            bare.each(),
            ingest.datagrams,
            ingest.each()
        );
    }
    turns.sort_by(|(a, b), (c, d)| (a.each() / b.each()).total_cmp(&(c.each() / d.each())));
    let (bare, ingest) = turns[TURNS / 2];
    println!(
        "median: {:.0} ns of CPU beside {:.0} ns, {:.0} % of the bare rate",
        ingest.each(),
        bare.each(),
        100.0 * bare.each() / ingest.each()
    );
}
