//! A router whose counters run on, and records of its flows.

use super::*;
use weir_wire::TotalCounters;

pub const SECOND: i64 = 1_000_000_000;
/// A flow's addresses, port, way in, start and end, and totals.
pub const FIELDS: &[F] =
    &[f(8, 4), f(12, 4), f(7, 2), f(10, 4), f(152, 8), f(153, 8), f(85, 8), f(86, 8), f(199, 8)];

/// A router whose first flow is known, so that what begins now is not from before.
pub fn cumulative() -> Router {
    let mut router = Router::default();
    router.options.total_counters = TotalCounters::Cumulative;
    router.send(&ipfix(1, &[set(2, template(256, FIELDS))]));
    send(&mut router, 0, &[record(9999, (-600, 0), 1, 1)]);
    router
}

/// Milliseconds at so many seconds after the first export.
pub fn at(seconds: i64) -> u64 {
    u64::try_from((i64::from(EXPORTED) + seconds) * 1000).expect("a time")
}

/// A record of a flow from a port, which began and ended so many seconds after the first export.
pub fn record(port: u16, (start, end): (i64, i64), octets: u64, packets: u64) -> Vec<u8> {
    let head = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u16(port).u32(3).u64(at(start)).u64(at(end));
    head.u64(octets).u64(packets).u64(octets * 1600).0
}

/// Sends sets so many seconds after the first export; they take five seconds to arrive, and the exporter's clock is an hour ahead of ours.
pub fn sets(router: &mut Router, seconds: i64, sets: &[Vec<u8>]) -> Sink {
    let mut message = ipfix(1, sets);
    message[4..8]
        .copy_from_slice(&u32::try_from(i64::from(EXPORTED) + seconds).expect("a time").to_be_bytes());
    let mut out = Sink::default();
    router.at(RECEIVED + seconds * SECOND, 1000, &message, &mut out);
    out
}

pub fn send(router: &mut Router, seconds: i64, records: &[Vec<u8>]) -> Sink {
    sets(router, seconds, &[set(256, records.concat())])
}

pub fn counted(out: &Sink) -> Vec<(u64, u64)> {
    out.flows.iter().map(|flow| (flow.bytes.expect("octets"), flow.packets)).collect()
}

pub fn spread(flow: &Kept) -> (i64, i64) {
    let after = |time: weir_schemas::Time| (time.0 - RECEIVED) / SECOND;
    (after(flow.spread_start), after(flow.spread_end))
}
