//! What people write to ask for a size, and how they are told it.

use super::{
    BROKER_GB, CORES, Costs, INGEST_BUFFER_MB, LEAST, LEAST_CORES, Part, Question, SERVER, SHARD,
    SINK_BUFFER_MB,
};
use anyhow::{Context, Result, bail, ensure};
use std::fmt::Write;

/// Most cores that are one machine's.
const ONE_MACHINE: f64 = 32.0;

/// Reads `300k`, `1M`, `2500`.
///
/// # Errors
/// Where it is no number.
pub fn number(text: &str) -> Result<f64> {
    let (digits, factor) = match text.trim().char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text.trim()[..at], 1e3),
        Some((at, 'm' | 'M')) => (&text.trim()[..at], 1e6),
        Some((at, 'g' | 'G')) => (&text.trim()[..at], 1e9),
        _ => (text.trim(), 1.0),
    };
    let value: f64 =
        digits.parse().with_context(|| format!("{text} is no number such as 2500, 300k or 1M"))?;
    ensure!(value.is_finite() && value > 0.0, "{text} is not more than 0");
    Ok(value * factor)
}

/// Reads `90d`, `36h`, `2w`, as days.
///
/// # Errors
/// Where it is no length of time.
pub fn days(text: &str) -> Result<f64> {
    let text = text.trim();
    let Some((at, unit)) = text.char_indices().next_back() else {
        bail!("a time such as 90d, 36h or 2w is wanted")
    };
    let days = match unit {
        'h' => 1.0 / 24.0,
        'd' => 1.0,
        'w' => 7.0,
        'y' => 365.0,
        _ => bail!("{text} is no time such as 90d, 36h or 2w"),
    };
    Ok(number(&text[..at])? * days)
}

impl Costs {
    /// The answer with its assumptions, as Markdown that is also read well as it is.
    ///
    /// # Errors
    /// As [`Costs::answer`].
    pub fn told(&self, ask: &Question) -> Result<String> {
        let answer = self.answer(ask)?;
        let mut out = String::new();
        writeln!(
            out,
            "{:.0} flows/s in the busiest hour, {} exporters, flows kept for {}\n",
            ask.flows,
            ask.exporters,
            kept(ask.retention_days)
        )?;
        writeln!(
            out,
            "| part | processes | cores each | memory each | disk in all | network in | network out |"
        )?;
        writeln!(out, "|---|---|---|---|---|---|---|")?;
        answer.parts.iter().try_for_each(|part| row(&mut out, part))?;
        writeln!(
            out,
            "\nPartitions: at least {:.0}; fixed when the topics are created.\n",
            answer.partitions
        )?;
        // The decoder has as many as it finds cores.
        let workers: Vec<_> =
            answer.parts.iter().filter(|part| part.name != "decoder").filter_map(several).collect();
        if !workers.is_empty() {
            writeln!(out, "Of each process: {}.\n", workers.join(", "))?;
        }
        let one = &answer.standalone;
        if one.cores <= ONE_MACHINE {
            writeln!(
                out,
                "Or all of it in one process on one machine, `weir standalone`, with one copy of everything: cores: {:.0}, memory: {:.0} GB, disk: \
                 {}; `bus.embedded.partitions = {:.0}`, and for {:.0} hours of its log `bus.embedded.raw_bytes` of at least {} and `flows_bytes` of {}.\n",
                one.cores,
                one.memory_gb.ceil(),
                gigabytes(one.disk_gb),
                answer.embedded_partitions,
                ask.topic_hours,
                gigabytes(answer.embedded_gb[0].ceil()),
                gigabytes(answer.embedded_gb[1].ceil())
            )?;
        } else {
            writeln!(
                out,
                "`weir standalone`, on one machine, is not for so many: it would keep {:.0} cores busy.\n",
                one.cores
            )?;
        }
        writeln!(out, "| table | rows a day | kept for | on disk |\n|---|---|---|---|")?;
        for (name, rows, gb, days) in &answer.tables {
            writeln!(out, "| {name} | {:.0} M | {} | {} |", rows / 1e6, kept(*days), gigabytes(*gb))?;
        }
        writeln!(out, "\nAssumed:\n")?;
        let (cpu, bytes, from) = (&self.cpu_us, &self.bytes, &self.from);
        let [cpu_from, standalone, inserts, bytes_from, memory, rows] =
            [&from.cpu_us, &from.standalone, &from.inserts, &from.bytes, &from.memory_mb, &from.rows]
                .map(|names| names.join(", "));
        for line in [
            format!(
                "a flow costs {} µs of CPU in ingest, {} in the decoder, {} in the sink, {} in Kafka for each copy, and {} in ClickHouse \
                 ({cpu_from}), or {} in all of `weir standalone` but its engine ({standalone}); other processors differ",
                cpu.ingest, cpu.decoder, cpu.sink, cpu.kafka, cpu.clickhouse, cpu.standalone
            ),
            format!(
                "an insert costs ClickHouse {} ms on top, merges of its part included; each partition makes one into each table every {} s ({inserts})",
                self.inserts.cpu_ms, self.inserts.every_s
            ),
            format!(
                "a flow has {} bytes on the wire, {} in `weir.raw` and {} in `weir.flows` for each copy, and {} in inserts ({bytes_from}; what it has on the wire and in \
                 inserts, docs/benchmarks.md)",
                bytes.datagram, bytes.raw, bytes.flows, bytes.inserted
            ),
            format!(
                "a process has the memory that it took at 100 000 flows/s, more where it has more than a core, and what exporters take ({memory}; \
                 `weir standalone` {standalone}); ingest has {INGEST_BUFFER_MB:.0} MB beside for what it holds while Kafka is away \
                 (`ingest.buffer_bytes`), and a sink {SINK_BUFFER_MB:.0} MB a worker for what it holds while ClickHouse is away \
                 (`sink.memory_bytes`)"
            ),
            format!(
                "of each service {LEAST:.0} processes run at least, with {LEAST_CORES} cores together and {CORES:.0} each at most; a broker has \
                 {BROKER_GB:.0} GB; a server of ClickHouse has {} cores and {} GB at least and {} GB a core, and is a shard of at most {SHARD:.0} cores",
                SERVER[0], SERVER[1], SERVER[2]
            ),
            format!("cores are busy to {:.0} % in the busiest hour; queries of people come on top", ask.busy * 100.0),
            format!("a day's average is {:.0} % of its busiest hour", ask.daily_average * 100.0),
            format!(
                "topics are kept {:.0} hours in {} copies, ClickHouse has {} of each row; a third more disk for Kafka's segments, a quarter for merges",
                ask.topic_hours, ask.kafka_copies, ask.clickhouse_copies
            ),
            "flows are spread over exporters evenly; one that has more than the others makes its partition the busiest".to_owned(),
            format!(
                "rollups are kept as long as they are by default; how many rows an exporter's flows come to in a slot, and how long these are, is as the \
                 load tests' heavy-tailed traffic has it ({rows})"
            ),
        ] {
            writeln!(out, "- {line}")?;
        }
        Ok(out)
    }
}

/// What a part with more than one worker is configured with.
fn several(part: &Part) -> Option<String> {
    part.workers
        .filter(|workers| *workers > 1.0)
        .map(|workers| format!("`{}.workers = {workers}`", part.name))
}

fn row(out: &mut String, part: &Part) -> std::fmt::Result {
    let disk = if part.disk_gb > 0.0 { gigabytes(part.disk_gb) } else { String::new() };
    writeln!(
        out,
        "| {} | {:.0} | {:.1} | {:.1} GB | {disk} | {:.0} Mbit/s | {:.0} Mbit/s |",
        part.name,
        part.processes,
        part.cores,
        part.memory_gb.max(0.1),
        part.network[0],
        part.network[1]
    )
}

/// Days, or hours where they are few and not whole.
fn kept(days: f64) -> String {
    if days < 3.0 && days.fract() != 0.0 {
        format!("{:.0} hours", days * 24.0)
    } else {
        format!("{days:.0} days")
    }
}

fn gigabytes(gb: f64) -> String {
    if gb >= 1000.0 { format!("{:.1} TB", gb / 1000.0) } else { format!("{gb:.0} GB") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_read() {
        assert_eq!(
            [number("300k").unwrap(), number(" 1M").unwrap(), number("2500").unwrap()],
            [3e5, 1e6, 2500.0]
        );
        assert_eq!([days("90d").unwrap(), days("36h").unwrap(), days("2w").unwrap()], [90.0, 1.5, 14.0]);
        for wrong in ["", "k", "-3", "0", "nan", "3x"] {
            assert!(number(wrong).is_err(), "{wrong}");
        }
        assert!(days("90").is_err() && days("").is_err());
        assert_eq!([0.5, 1.5, 2.0, 90.0].map(kept), ["12 hours", "36 hours", "2 days", "90 days"]);
    }

    #[test]
    fn the_answer_names_every_part_and_its_assumptions() {
        let told = Costs::measured().unwrap().told(&Question::of(3e5)).unwrap();
        for word in [
            "ingest",
            "decoder",
            "sink",
            "kafka",
            "clickhouse",
            "prefixes_1h",
            "Assumed",
            "Partitions",
            "standalone",
        ] {
            assert!(told.contains(word), "{told}");
        }
    }
}
