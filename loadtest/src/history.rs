//! The past of a network, as ingest would have written it to `weir.raw`: datagrams with receive times of then. What reads it goes the whole path.
//!
//! It is written before anything else runs, so that what comes live lies behind it.

use crate::encode::{Clock, Encoder, REFRESH};
use crate::network::Exporter;
use crate::pace::daily;
use crate::traffic::Traffic;
use crate::world::World;
use anyhow::{Context, Result, bail};
use rand::distr::weighted::WeightedIndex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::Duration;
use weir_bus::{Bus, EmbeddedBus, EmbeddedConfig, Message, TopicSpec, Writer, partition};
use weir_schemas::Ip;
use weir_schemas::frame::{Datagram, FrameWriter};

/// Which past.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// When it begins, ns since the epoch.
    pub from_ns: i64,
    /// When it ends.
    pub to_ns: i64,
    /// Flows a second in the busiest hour of the day.
    pub rate: f64,
    /// Seed of all that is random.
    pub seed: u64,
}

const SECOND: f64 = 1e9;
/// How long exporters had been up when it began.
const UPTIME: i64 = 30 * 86_400 * 1_000_000_000;
/// Port that datagrams came from.
const SOURCE: u16 = 50_000;
/// Bytes of a frame, and for how long one is filled.
const FRAME: usize = 200 << 10;
const FILLED: i64 = 60 * 1_000_000_000;
/// Bytes on the way to the bus, and how long it may take them.
const BUFFER: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(60);

struct Source<'w> {
    exporter: &'w Exporter,
    key: Ip,
    partition: i32,
    traffic: Traffic,
    encoder: Encoder,
    frame: FrameWriter,
    /// Receive time of the frame's first datagram.
    begun: i64,
}

/// Where frames go.
struct Outlet<W> {
    writer: W,
    topic: String,
}

impl<W: Writer> Outlet<W> {
    fn send(&mut self, source: &mut Source<'_>) -> Result<()> {
        if source.frame.datagrams() == 0 {
            return Ok(());
        }
        let message = Message {
            topic: &self.topic,
            partition: source.partition,
            key: &source.key.0,
            value: Some(source.frame.as_bytes()),
            headers: &[],
        };
        while self.writer.try_send(&message, source.frame.datagrams())?.is_err() {
            self.writer.poll(Duration::from_millis(20));
        }
        source.frame.clear();
        Ok(())
    }
}

/// Writes it, and says how many flows it has.
///
/// # Errors
/// Where the bus does not take it.
pub fn write<B: Bus>(bus: &B, world: &World, exporters: &[Exporter], past: &Past) -> Result<u64> {
    let mut outlet = Outlet { writer: bus.writer(BUFFER)?, topic: bus.topics().raw };
    let source = |(number, exporter): (usize, &'_ Exporter)| Source {
        key: Ip::v4(exporter.address.octets()),
        partition: partition(&Ip::v4(exporter.address.octets()).0, bus.partitions()),
        traffic: Traffic::new(exporter, number, past.seed),
        encoder: Encoder::new(exporter, number, REFRESH, 0),
        frame: FrameWriter::default(),
        begun: 0,
        exporter: &exporters[number],
    };
    let mut sources: Vec<_> = exporters.iter().enumerate().map(source).collect();
    let weights = WeightedIndex::new(exporters.iter().map(|one| one.weight)).context("no exporters")?;
    let mut random = StdRng::seed_from_u64(past.seed);
    let (mut now_ns, mut total, mut told) = (past.from_ns, 0, Vec::new());
    while now_ns < past.to_ns {
        let source = &mut sources[random.sample(&weights)];
        let capacity = source.encoder.capacity();
        let count = random.random_range(capacity / 2..=capacity).max(1);
        let flows: Vec<_> = (0..count).map(|_| source.traffic.next(world, source.exporter)).collect();
        let clock = Clock { now_ns, booted_ns: past.from_ns - UPTIME };
        let control = source.encoder.control(source.exporter, clock).into_iter().map(|(_, payload)| payload);
        let payloads: Vec<_> = control.collect();
        let data = source.encoder.data(source.exporter, &flows, clock, &mut told);
        for payload in payloads.iter().chain([&data]) {
            if source.frame.datagrams() == 0 {
                source.begun = now_ns;
            }
            let listener = source.exporter.protocol.port();
            source.frame.push(&Datagram { received: now_ns, listener, source_port: SOURCE, payload });
        }
        if source.frame.as_bytes().len() > FRAME || now_ns - source.begun > FILLED {
            outlet.send(source)?;
        }
        total += count as u64;
        now_ns += (count as f64 / (past.rate * daily(now_ns)) * SECOND) as i64;
    }
    sources.iter_mut().try_for_each(|source| outlet.send(source))?;
    if !outlet.writer.flush(PATIENCE) {
        bail!("the bus did not take the past within {PATIENCE:?}");
    }
    Ok(total)
}

/// Writes it into the log of a standalone that does not run, if there is none yet: what is there has a past of its own. Says how many flows it has.
///
/// # Errors
/// Where the log can't be written.
pub fn begin(
    embedded: EmbeddedConfig,
    world: &World,
    exporters: &[Exporter],
    past: &Past,
) -> Result<Option<u64>> {
    if embedded.path.exists() {
        return Ok(None);
    }
    let config = weir_bus::Config { embedded, ..weir_bus::Config::default() };
    let bus = EmbeddedBus::open(config.clone())?;
    TopicSpec::all(&config, bus.partitions()).iter().try_for_each(|spec| bus.create(spec).map(drop))?;
    write(&bus, world, exporters, past).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::network;
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;
    use std::ops::ControlFlow;
    use weir_bus::Reader;
    use weir_schemas::frame::datagrams;

    #[test]
    fn a_past_lies_in_the_log_in_its_order_and_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let embedded = EmbeddedConfig { path: folder.path().join("bus"), ..EmbeddedConfig::default() };
        let world = World::synthetic(1);
        let exporters = network(&world, 8, Ipv4Addr::new(127, 64, 0, 1));
        // Whole days, so that their average is that of the day.
        let past =
            Past { from_ns: 1_790_000_000_000_000_000, to_ns: 1_790_172_800_000_000_000, rate: 0.5, seed: 1 };
        let flows = begin(embedded.clone(), &world, &exporters, &past).unwrap().unwrap();
        let expected = 0.5 * 0.65 * 172_800.0;
        assert!((flows as f64 / expected - 1.0).abs() < 0.02, "{flows} of {expected}");
        assert_eq!(begin(embedded.clone(), &world, &exporters, &past).unwrap(), None);

        let bus = EmbeddedBus::open(weir_bus::Config { embedded, ..weir_bus::Config::default() }).unwrap();
        let mut reader = bus.reader().unwrap();
        let mut last: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        let mut hours = [0_u64; 24];
        for number in 0..bus.partitions() as i32 {
            let (begin, end) = reader.bounds(&bus.topics().raw, number).unwrap();
            reader
                .read_on(&bus.topics().raw, number, begin..end, &mut |record| {
                    let key = record.key().unwrap();
                    assert_eq!(partition(key, bus.partitions()), number);
                    for datagram in datagrams(record.value().unwrap()) {
                        let received = datagram.unwrap().received;
                        assert!((past.from_ns..past.to_ns).contains(&received));
                        let before = last.insert(key.to_vec(), received).unwrap_or_default();
                        assert!(received >= before);
                        hours[(received / 3_600_000_000_000 % 24) as usize] += 1;
                    }
                    ControlFlow::Continue(())
                })
                .unwrap();
        }
        assert_eq!(last.len(), exporters.len());
        assert!(hours[20] > 2 * hours[5], "{hours:?}");
    }
}
