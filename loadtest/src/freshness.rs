//! How long it takes from a packet to a row that a query sees.
//!
//! Rows of one exporter become visible in the order in which they were received, so at any moment the newest row that a query sees
//! tells which packets are visible. Each packet's time is that of the first look that saw it, less that of its sending: too long by
//! up to the time between two looks, never too short.

use crate::generate::now_ns;
use crate::raw::Sent;
use crate::verify::{OF_EXPORTERS, exporters};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use weir_store::Store;

/// What was seen at a moment.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// When the answer was there, ns since the epoch.
    pub at: i64,
    /// Receive time of the newest row, by exporter; one of which nothing new was found may be left out.
    pub newest: HashMap<Ipv4Addr, i64>,
}

/// How far back a look reaches at most, s: for an exporter that has sent nothing for that long.
const BACK_S: i64 = 1200;

/// Looks again and again, each time only at what is newer than the newest row of the exporter that is furthest behind: looking is not to be what
/// the engine is busy with.
#[derive(Debug, Default)]
pub struct Looking {
    exporters: Vec<Ipv4Addr>,
    newest: HashMap<Ipv4Addr, i64>,
}

impl Looking {
    /// Of these exporters.
    pub fn at(exporters: Vec<Ipv4Addr>) -> Self {
        Self { exporters, newest: HashMap::new() }
    }

    /// Rows received after this are of interest, ns since the epoch: parts of the table that end before it are not read.
    fn since(&self, now: i64) -> i64 {
        let back = now - BACK_S * 1_000_000_000;
        let seen = self.exporters.iter().map(|exporter| self.newest.get(exporter).copied().unwrap_or(back));
        seen.min().unwrap_or(back).max(back)
    }

    /// Asks for the newest rows.
    ///
    /// # Errors
    /// Where ClickHouse does not answer.
    pub async fn look(&mut self, store: &Store) -> Result<Look> {
        #[derive(Deserialize)]
        struct Newest {
            exporter: String,
            newest: i64,
        }
        let sql = format!(
            "SELECT IPv6NumToString(exporter) AS exporter, max(toUnixTimestamp64Nano(received)) AS newest FROM {}.flows \
             WHERE {OF_EXPORTERS} AND received > fromUnixTimestamp64Nano({{since:Int64}}) GROUP BY exporter",
            store.database()
        );
        let parameters = [
            ("exporters", exporters(self.exporters.iter().copied())),
            ("since", self.since(now_ns()).to_string()),
        ];
        let rows: Vec<Newest> = store.query(&sql, &parameters).await?;
        let address = |text: &str| text.parse::<std::net::Ipv6Addr>().ok()?.to_ipv4_mapped();
        let newest: HashMap<_, _> =
            rows.iter().filter_map(|row| Some((address(&row.exporter)?, row.newest))).collect();
        self.newest.extend(&newest);
        Ok(Look { at: now_ns(), newest })
    }
}

/// Of all flows of the exporters that were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Freshness {
    /// Flows.
    pub flows: u64,
    /// Half were faster, seconds.
    pub p50_s: f64,
    /// 95 of 100 were faster.
    pub p95_s: f64,
    /// 99 of 100 were faster.
    pub p99_s: f64,
    /// The slowest.
    pub max_s: f64,
}

/// How long each datagram took: when it was sent (ns since the epoch), its flows, seconds. `sent` is in order, and has reached `weir.raw`; what
/// was never seen took at least until the last look.
pub fn delays<'s>(
    addresses: &[Ipv4Addr],
    sent: impl Iterator<Item = &'s Sent>,
    looks: &[Look],
) -> Vec<(i64, u32, f64)> {
    let mut seen: HashMap<Ipv4Addr, Vec<(i64, i64)>> = HashMap::new();
    for look in looks {
        for (address, newest) in &look.newest {
            let steps = seen.entry(*address).or_default();
            if steps.last().is_none_or(|(last, _)| newest > last) {
                steps.push((*newest, look.at));
            }
        }
    }
    // Exporters that nobody looked at tell nothing.
    let looked: HashSet<Ipv4Addr> = looks.iter().flat_map(|look| look.newest.keys().copied()).collect();
    let end = looks.last().map(|look| look.at);
    let of = |one: &Sent| {
        let address = addresses.get(one.exporter as usize).filter(|address| looked.contains(address))?;
        let steps = seen.get(address)?;
        // It is received after it is sent.
        let first = steps.get(steps.partition_point(|(newest, _)| *newest < one.at)).map(|(_, at)| *at);
        Some((one.at, one.flows, (first.or(end)? - one.at) as f64 / 1e9))
    };
    sent.filter_map(of).collect()
}

/// Percentiles, weighted by flows.
pub fn freshness(delays: &[(i64, u32, f64)]) -> Freshness {
    let mut sorted: Vec<(f64, u32)> = delays.iter().map(|(_, flows, delay)| (*delay, *flows)).collect();
    sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let flows: u64 = sorted.iter().map(|(_, flows)| u64::from(*flows)).sum();
    let rank = |share: f64| {
        let (wanted, mut below) = ((flows as f64 * share).ceil() as u64, 0);
        let found = sorted.iter().find(|(_, flows)| {
            below += u64::from(*flows);
            below >= wanted
        });
        found.map_or(0.0, |(delay, _)| *delay)
    };
    Freshness { flows, p50_s: rank(0.5), p95_s: rank(0.95), p99_s: rank(0.99), max_s: rank(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

    fn sent(at: i64) -> Sent {
        Sent { flows: 10, at, ..Sent::default() }
    }

    #[test]
    fn a_packet_is_as_old_as_the_first_look_that_saw_it() {
        let look = |at, newest| Look { at, newest: HashMap::from([(A, newest)]) };
        let looks =
            [look(1_000, 100), look(2_000, 100), Look { at: 2_500, ..Look::default() }, look(3_000, 900)];
        let all = [sent(50), sent(100), sent(101), sent(900), sent(901)];
        let delays = delays(&[A], all.iter(), &looks);
        let seen: Vec<(i64, i64)> = delays.iter().map(|(at, _, s)| (*at, (s * 1e9).round() as i64)).collect();
        // The last one was never seen.
        assert_eq!(seen, [(50, 950), (100, 900), (101, 2_899), (900, 2_100), (901, 2_099)]);
    }

    #[test]
    fn a_look_begins_where_the_exporter_that_is_furthest_behind_was_seen_and_never_too_far_back() {
        const S: i64 = 1_000_000_000;
        let (b, now) = (Ipv4Addr::new(127, 0, 0, 10), 5_000 * S);
        let mut looking = Looking::at(vec![A, b]);
        assert_eq!(looking.since(now), 3_800 * S, "nothing was seen");
        looking.newest.insert(A, 4_990 * S);
        assert_eq!(looking.since(now), 3_800 * S, "of one nothing was seen");
        looking.newest.insert(b, 4_980 * S);
        assert_eq!(looking.since(now), 4_980 * S);
        assert_eq!(looking.since(now + 2_000 * S), 5_800 * S, "both are silent");
    }

    #[test]
    fn percentiles_count_flows_and_not_datagrams() {
        let delays = [(0, 90, 1.0), (0, 9, 2.0), (0, 1, 5.0)];
        let all = freshness(&delays);
        assert_eq!((all.flows, all.p50_s, all.p95_s, all.p99_s, all.max_s), (100, 1.0, 2.0, 2.0, 5.0));
        assert_eq!(freshness(&[]), Freshness::default());
    }
}
