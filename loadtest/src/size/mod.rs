//! How large an installation has to be, computed from what load tests measured. No I/O.
//!
//! Flows cost CPU, bytes and rows in proportion; rollups do not: their keys repeat, the more so the more flows one exporter has in a slot.
//! Every figure that the result rests on is in `costs.toml`, every assumption is printed beside it.

mod words;

pub use words::{days, number};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use weir_schemas::rollup::{ROLLUPS, Shape};

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// Flows a second, in the busiest hour.
    pub flows: f64,
    /// Exporters.
    pub exporters: u64,
    /// Days that `flows` is kept.
    pub retention_days: f64,
    /// Hours that topics are kept.
    pub topic_hours: f64,
    /// Copies of each partition in Kafka.
    pub kafka_copies: u32,
    /// Copies of each row in ClickHouse.
    pub clickhouse_copies: u32,
    /// Share of a core that is to be busy in the busiest hour.
    pub busy: f64,
    /// The average over a day, as a share of the busiest hour.
    pub daily_average: f64,
}

impl Question {
    /// For so many flows a second, and else what `weir-loadtest size` assumes where it is told nothing.
    pub const fn of(flows: f64) -> Self {
        Self {
            flows,
            exporters: 100,
            retention_days: 14.0,
            topic_hours: 24.0,
            kafka_copies: 3,
            clickhouse_copies: 2,
            busy: 0.5,
            daily_average: 0.6,
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Costs {
    from: Sources,
    cpu_us: Cpu,
    inserts: Inserts,
    bytes: Bytes,
    memory_mb: Memory,
    row_bytes: BTreeMap<String, f64>,
    rows: BTreeMap<String, Vec<[f64; 2]>>,
}

/// Names of the load tests whose reports each kind of figure is from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sources {
    cpu_us: Vec<String>,
    standalone: Vec<String>,
    inserts: Vec<String>,
    bytes: Vec<String>,
    memory_mb: Vec<String>,
    rows: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inserts {
    cpu_ms: f64,
    every_s: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cpu {
    ingest: f64,
    decoder: f64,
    sink: f64,
    kafka: f64,
    clickhouse: f64,
    standalone: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bytes {
    datagram: f64,
    raw: f64,
    flows: f64,
    inserted: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    ingest: f64,
    decoder: f64,
    sink: f64,
    standalone: f64,
    engine: f64,
    decoder_per_1000_exporters: f64,
}

/// The least that runs of each service: one may be restarted while another works.
const LEAST: f64 = 2.0;
/// Most cores of one process: more are more processes.
const CORES: f64 = 4.0;
const DAY_S: f64 = 86_400.0;
/// Partitions of the topics by default, and of the embedded bus.
const PARTITIONS: f64 = 12.0;
const EMBEDDED_PARTITIONS: f64 = 4.0;
/// What ingest may hold while Kafka is away, MB, by default.
const INGEST_BUFFER_MB: f64 = 256.0;
/// What a worker of the sink may hold while ClickHouse is away, MB, by default.
const SINK_BUFFER_MB: f64 = 512.0;
/// Memory of a broker, GB: its heap, and room for what was written last, which is read once more from there.
const BROKER_GB: f64 = 8.0;
/// Of a server of ClickHouse, the least cores and memory, GB, and memory for each core.
const SERVER: [f64; 3] = [4.0, 16.0, 4.0];
/// Cores of a server of ClickHouse from which on there are two shards.
const SHARD: f64 = 16.0;
/// The least cores of all processes of a service together.
const LEAST_CORES: f64 = 0.5;
/// Merges need room for what they write.
const MERGING: f64 = 1.25;

/// One part of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Processes, or servers.
    pub processes: f64,
    /// Cores of each.
    pub cores: f64,
    /// Workers of each, where there is such a thing.
    pub workers: Option<f64>,
    /// Memory of each, GB.
    pub memory_gb: f64,
    /// Disk of all, GB.
    pub disk_gb: f64,
    /// Network of all, Mbit/s, in and out.
    pub network: [f64; 2],
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// By part.
    pub parts: Vec<Part>,
    /// All of it in one process with its engine, on one machine, with one copy of everything.
    pub standalone: Part,
    /// Partitions of the topics.
    pub partitions: f64,
    /// Partitions of the log of one process.
    pub embedded_partitions: f64,
    /// What its log must be allowed to keep as long as topics are, GB: datagrams, and flows.
    pub embedded_gb: [f64; 2],
    /// Tables: rows a day, GB that are kept, days.
    pub tables: Vec<(&'static str, f64, f64, f64)>,
}

impl Costs {
    /// Those that were measured.
    ///
    /// # Errors
    /// Where the table in this program is wrong, which a test rules out.
    pub fn measured() -> Result<Self> {
        toml::from_str(include_str!("../../costs.toml")).context("costs.toml")
    }

    /// Names of the load tests that the figures are from.
    pub fn sources(&self) -> impl Iterator<Item = &str> {
        let Sources { cpu_us, standalone, inserts, bytes, memory_mb, rows } = &self.from;
        [cpu_us, standalone, inserts, bytes, memory_mb, rows].into_iter().flatten().map(String::as_str)
    }

    /// Rows that so many flows of one exporter in one slot come to.
    fn rows(&self, shape: Shape, flows: f64) -> Result<f64> {
        let name = match shape {
            Shape::Links => "links",
            Shape::Interfaces => "interfaces",
            Shape::Pairs => "pairs",
            Shape::Prefixes | Shape::Flows | Shape::Latest => "prefixes",
        };
        let points = self.rows.get(name).with_context(|| format!("costs.toml: rows.{name}"))?;
        // A flow has two sides, and comes to at most as many rows of a slot as it has in the table.
        let sides = if shape == Shape::Pairs { 1.0 } else { 2.0 };
        let most = sides * flows;
        // However many flows there are, they are over the same interfaces.
        if let (Shape::Interfaces, [[_, rows], ..]) = (shape, &points[..]) {
            return Ok(rows.min(most));
        }
        let ([first, .., last] | [first @ last]) = &points[..] else {
            bail!("costs.toml: rows.{name} is empty")
        };
        // A single point takes the links' slope, which is that of one side's keys too.
        let slope = |a: &[f64; 2], b: &[f64; 2]| (b[1] / a[1]).ln() / (b[0] / a[0]).ln();
        let (at, by) = match points.windows(2).find(|pair| flows <= pair[1][0]).or(points.windows(2).last()) {
            Some(pair) => (
                if flows < pair[0][0] {
                    first
                } else if flows > last[0] {
                    last
                } else {
                    &pair[0]
                },
                slope(&pair[0], &pair[1]),
            ),
            None => {
                let links = self.rows.get("links").context("costs.toml: rows.links")?;
                let pair = links.windows(2).last().context("costs.toml: rows.links has too few points")?;
                (first, slope(&pair[0], &pair[1]))
            }
        };
        Ok((at[1] * (flows / at[0]).powf(by)).min(most))
    }

    /// Answers.
    ///
    /// # Errors
    /// Where the table of costs lacks something.
    pub fn answer(&self, ask: &Question) -> Result<Answer> {
        let day_flows = ask.flows * ask.daily_average * DAY_S;
        let mut tables = vec![("flows", day_flows, ask.retention_days)];
        for table in ROLLUPS {
            let slots = DAY_S / f64::from(table.slot);
            let each = day_flows / slots / ask.exporters as f64;
            let rows = self.rows(table.shape, each)? * slots * ask.exporters as f64;
            tables.push((table.name, rows, f64::from(table.days)));
        }
        let tables: Vec<_> = tables
            .into_iter()
            .map(|(name, rows, days)| {
                let bytes =
                    self.row_bytes.get(name).with_context(|| format!("costs.toml: row_bytes.{name}"))?;
                Ok((name, rows, rows * bytes * days / 1e9 * f64::from(ask.clickhouse_copies), days))
            })
            .collect::<Result<_>>()?;

        let cores = |micros: f64| ask.flows * micros / 1e6 / ask.busy;
        // Beside what each flow costs, each insert does, however small it is. Exporters that are fewer lie on as many partitions at most.
        let inserting = |partitions: f64| {
            let inserts_s = partitions.min(ask.exporters as f64) * tables.len() as f64 / self.inserts.every_s;
            inserts_s * self.inserts.cpu_ms / 1e3 / ask.busy
        };
        let mbit = |bytes: f64| ask.flows * bytes * 8.0 / 1e6;
        // What a process takes for its work, and what it may have to hold for each of its workers, or for all of them.
        let service = |name, micros, memory_mb: f64, [each_worker, all_workers]: [f64; 2], network| {
            let all = cores(micros).max(LEAST_CORES);
            let processes = (all / CORES).ceil().max(LEAST);
            let each = (all / processes * 10.0).ceil() / 10.0;
            let workers = each.ceil();
            Part {
                name,
                processes,
                cores: each,
                workers: Some(workers),
                memory_gb: (memory_mb * each.max(1.0) + each_worker * workers + all_workers) / 1024.0,
                disk_gb: 0.0,
                network,
            }
        };
        let (cpu, bytes, memory) = (&self.cpu_us, &self.bytes, &self.memory_mb);
        let copies = f64::from(ask.kafka_copies);
        let for_exporters = memory.decoder_per_1000_exporters * ask.exporters as f64 / 1000.0;
        let decoder_mb = memory.decoder + for_exporters;
        // Of less than a day they keep its busiest hours.
        let rest_s = ask.topic_hours.rem_euclid(24.0) * 3600.0;
        let topic_flows = day_flows * (ask.topic_hours / 24.0).floor() + (ask.flows * rest_s).min(day_flows);
        let topics_gb = topic_flows * (bytes.raw + bytes.flows) * copies / 1e9;
        let brokers = (cores(cpu.kafka * copies) / CORES).ceil().max(copies.max(1.0));
        let kept_gb: f64 = tables.iter().map(|(_, _, gb, _)| gb).sum();
        let ingest = service(
            "ingest",
            cpu.ingest,
            memory.ingest,
            [0.0, INGEST_BUFFER_MB],
            [mbit(bytes.datagram), mbit(bytes.raw)],
        );
        let decoder =
            service("decoder", cpu.decoder, decoder_mb, [0.0, 0.0], [mbit(bytes.raw), mbit(bytes.flows)]);
        let sink = service(
            "sink",
            cpu.sink,
            memory.sink,
            [SINK_BUFFER_MB, 0.0],
            [mbit(bytes.flows), mbit(bytes.inserted)],
        );
        // Each is read by one worker at a time, of the decoder and of the sink.
        let in_all = |part: &Part| part.processes * part.workers.unwrap_or(1.0);
        let partitions = in_all(&decoder).max(in_all(&sink)).max(PARTITIONS);
        let storing = cores(cpu.clickhouse) + inserting(partitions);
        let copies_of_rows = f64::from(ask.clickhouse_copies);
        let shards = (storing / SHARD).ceil().max(1.0);
        let servers = shards * copies_of_rows;
        let embedded_partitions = cores(cpu.decoder).max(cores(cpu.sink)).ceil().max(EMBEDDED_PARTITIONS);
        let one = cores(cpu.standalone + cpu.clickhouse) + inserting(embedded_partitions);
        let standalone = Part {
            name: "standalone",
            processes: 1.0,
            cores: one.ceil().max(1.0),
            workers: None,
            // The engine's own caches and merges grow with what is merged at a time.
            memory_gb: (memory.standalone + SINK_BUFFER_MB + memory.engine + for_exporters) / 1024.0 + one,
            disk_gb: topics_gb / copies + kept_gb / copies_of_rows * MERGING,
            network: [mbit(bytes.datagram), 0.0],
        };
        let parts = vec![
            ingest,
            decoder,
            sink,
            Part {
                name: "kafka",
                processes: brokers,
                cores: (cores(cpu.kafka * copies) / brokers * 10.0).ceil().max(10.0) / 10.0,
                workers: None,
                memory_gb: BROKER_GB,
                // A segment is removed whole, and a broker that comes back copies.
                disk_gb: topics_gb * 1.3,
                network: [mbit((bytes.raw + bytes.flows) * copies), mbit((bytes.raw + bytes.flows) * copies)],
            },
            Part {
                name: "clickhouse",
                processes: servers,
                cores: (storing / shards).ceil().max(SERVER[0]),
                workers: None,
                memory_gb: SERVER[1].max((storing / shards).ceil() * SERVER[2]),
                disk_gb: kept_gb * MERGING,
                // What a copy gets another one gives.
                network: [copies_of_rows, copies_of_rows - 1.0].map(|times| mbit(bytes.inserted * times)),
            },
        ];
        let embedded_gb = [bytes.raw, bytes.flows].map(|each| topic_flows * each / 1e9);
        Ok(Answer { parts, standalone, partitions, embedded_partitions, embedded_gb, tables })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(flows: f64) -> Question {
        Question { exporters: 400, retention_days: 90.0, ..Question::of(flows) }
    }

    #[test]
    fn three_times_the_flows_need_three_times_the_cores_and_less_than_three_times_the_rollups() {
        let costs = Costs::measured().unwrap();
        // So many that none runs only for another's sake.
        let (one, three) = (costs.answer(&ask(3e6)).unwrap(), costs.answer(&ask(9e6)).unwrap());
        let cores =
            |answer: &Answer| answer.parts.iter().map(|part| part.processes * part.cores).sum::<f64>();
        let ratio = cores(&three) / cores(&one);
        assert!((2.0..=3.1).contains(&ratio), "{ratio}");
        for (small, large) in one.tables.iter().zip(&three.tables) {
            let ratio = large.1 / small.1;
            match small.0 {
                "flows" => assert!((ratio - 3.0).abs() < 1e-9),
                name => assert!((1.0..2.95).contains(&ratio), "{name}: {ratio}"),
            }
        }
    }

    #[test]
    fn rows_of_a_rollup_never_exceed_the_sides_of_flows() {
        let costs = Costs::measured().unwrap();
        for table in ROLLUPS {
            let sides = if table.shape == Shape::Pairs { 1.0 } else { 2.0 };
            for flows in [1.0, 10.0, 1e3, 1e5, 1e7] {
                let rows = costs.rows(table.shape, flows).unwrap();
                assert!(rows > 0.0 && rows <= sides * flows, "{} {flows}: {rows}", table.name);
            }
        }
    }

    #[test]
    fn topics_that_are_kept_for_hours_keep_the_busiest_ones() {
        let costs = Costs::measured().unwrap();
        let kept = |topic_hours| {
            let ask = Question { topic_hours, daily_average: 0.5, ..ask(1e5) };
            let [raw, flows] = costs.answer(&ask).unwrap().embedded_gb;
            // Hours of the busiest.
            (raw + flows) * 1e9 / (costs.bytes.raw + costs.bytes.flows) / 1e5 / 3600.0
        };
        for (hours, of_the_busiest) in
            [(6.0, 6.0), (12.0, 12.0), (20.0, 12.0), (24.0, 12.0), (30.0, 18.0), (48.0, 24.0)]
        {
            assert!((kept(hours) - of_the_busiest).abs() < 1e-6, "{hours}: {}", kept(hours));
        }
    }

    #[test]
    fn partitions_and_buffers_are_what_services_have_by_default() {
        let sink = weir_sink::Config::default();
        assert_eq!((sink.memory_bytes as f64, sink.workers), (SINK_BUFFER_MB * f64::from(1 << 20), 1));
        let bus = weir_bus::Config::default();
        assert_eq!(weir_ingest::Config::default().buffer_bytes as f64, INGEST_BUFFER_MB * f64::from(1 << 20));
        assert_eq!(
            (bus.partitions as f64, bus.embedded.partitions as f64),
            (PARTITIONS, EMBEDDED_PARTITIONS)
        );
    }

    #[test]
    fn a_process_with_more_than_a_cores_work_has_workers_for_it_and_memory_for_each() {
        let costs = Costs::measured().unwrap();
        let answer = costs.answer(&ask(1e6)).unwrap();
        let sink = answer.parts.iter().find(|part| part.name == "sink").unwrap();
        let workers = sink.workers.unwrap();
        assert!(sink.cores > 1.0 && workers >= sink.cores, "{sink:?}");
        assert!(sink.memory_gb * 1024.0 >= workers * SINK_BUFFER_MB + costs.memory_mb.sink, "{sink:?}");
        assert!(answer.partitions >= sink.processes * workers, "{answer:?}");
        let told = costs.told(&ask(1e6)).unwrap();
        assert!(told.contains(&format!("`sink.workers = {workers}`")), "{told}");
        assert!(!costs.told(&ask(1e4)).unwrap().contains("workers ="));
    }

    #[test]
    fn few_flows_cost_what_their_inserts_do() {
        let inserts = Inserts { cpu_ms: 1000.0, every_s: 4.0 };
        let costs = Costs { inserts, ..Costs::measured().unwrap() };
        let cores = |flows, exporters| {
            let ask = Question { exporters, busy: 1.0, ..ask(flows) };
            costs.answer(&ask).unwrap().standalone.cores
        };
        // Ten inserts of a second, by each partition that has an exporter, every four seconds.
        assert_eq!([cores(1.0, 400), cores(100.0, 400), cores(1.0, 2)], [10.0 + 1.0, 10.0 + 1.0, 5.0 + 1.0]);
    }
}
