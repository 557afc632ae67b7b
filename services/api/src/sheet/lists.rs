//! Lists as lines: links, candidates, exporters. What lies within one of them, and is not told by a line of its own, stands in one cell.

use super::{Lines, harmless, time};
use crate::candidates::{Candidate, Candidates, OverTransit};
use crate::exporters::{Exporter, Exporters};
use crate::links::{Complete, Interface, Link, Links, Member, SaidBy, Unclassified};
use csv::{Error, Writer};
use serde::Serialize;

/// Names in one cell.
fn cell<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    harmless(&names.into_iter().collect::<Vec<_>>().join(", "))
}

/// Lines below their names, which stand there where there are none, too.
fn below<L: Serialize + Default>(
    out: &mut Writer<Vec<u8>>,
    lines: impl IntoIterator<Item = L>,
) -> Result<(), Error> {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_none() {
        let mut alone = Writer::from_writer(Vec::new());
        alone.serialize(L::default())?;
        let text = alone.into_inner().map_err(|error| error.into_error())?;
        let mut read = csv::Reader::from_reader(text.as_slice());
        return out.write_record(read.headers()?);
    }
    lines.try_for_each(|line| out.serialize(line))
}

/// An interface and the link that it is or was on; those on no link come last.
#[derive(Default, Serialize)]
struct OnLink {
    link_id: String,
    link: String,
    provider: String,
    connectivity: String,
    neighbour_as: u32,
    capacity: u64,
    commit_rate: u64,
    price: u64,
    currency: String,
    said_by: &'static str,
    complete_in: String,
    complete_out: String,
    exporter: String,
    exporter_name: String,
    if_index: u32,
    interface: String,
    description: String,
    speed: u64,
    valid_from: String,
    valid_to: String,
    bytes_in: Option<u64>,
    bytes_out: Option<u64>,
}

impl OnLink {
    fn of(link: &Link, interface: &Interface) -> Self {
        let says = |one: &Option<Complete>| one.as_ref().map_or_else(String::new, |one| harmless(&one.says));
        Self {
            link_id: harmless(&link.id),
            link: harmless(&link.name),
            provider: harmless(&link.provider),
            connectivity: link.connectivity.clone(),
            neighbour_as: link.neighbour_as,
            capacity: link.capacity,
            commit_rate: link.commit_rate,
            price: link.price,
            currency: link.currency.clone(),
            said_by: if link.said_by == SaidBy::Person { "person" } else { "rule" },
            complete_in: says(&link.complete_in),
            complete_out: says(&link.complete_out),
            exporter: interface.exporter.clone(),
            exporter_name: harmless(&interface.exporter_name),
            if_index: interface.if_index,
            interface: harmless(&interface.name),
            description: harmless(&interface.description),
            speed: interface.speed,
            valid_from: String::new(),
            valid_to: String::new(),
            bytes_in: None,
            bytes_out: None,
        }
    }

    fn member(link: &Link, member: &Member) -> Self {
        // What is always so, or for good, has no time.
        let valid_from = if member.valid_from == 0 { String::new() } else { time(member.valid_from) };
        let valid_to = if member.valid_to == u32::MAX { String::new() } else { time(member.valid_to) };
        Self { valid_from, valid_to, ..Self::of(link, &member.interface) }
    }

    fn none(one: &Unclassified) -> Self {
        let (bytes_in, bytes_out) = (Some(one.bytes_in), Some(one.bytes_out));
        Self { said_by: "", bytes_in, bytes_out, ..Self::of(&Link::default(), &one.interface) }
    }
}

impl Lines for Links {
    fn write(&self, out: &mut Writer<Vec<u8>>) -> Result<(), Error> {
        let on =
            self.links.iter().flat_map(|link| link.members.iter().map(move |one| OnLink::member(link, one)));
        below(out, on.chain(self.unclassified.iter().map(OnLink::none)))
    }
}

/// An AS and a transit that it costs on.
#[derive(Default, Serialize)]
struct OnTransit {
    asn: u32,
    name: String,
    bytes_in: u64,
    bytes_out: u64,
    low_in: f64,
    high_in: f64,
    low_out: f64,
    high_out: f64,
    bytes_boundary: u64,
    saved: u64,
    met: String,
    previous_bytes_in: Option<u64>,
    previous_bytes_out: Option<u64>,
    transit: String,
    transit_bytes_in: u64,
    transit_bytes_out: u64,
    transit_p95_in: u64,
    transit_p95_out: u64,
    transit_left_p95_in: u64,
    transit_left_p95_out: u64,
    transit_saved: u64,
    transit_rough: bool,
}

impl OnTransit {
    fn of(one: &Candidate, on: &OverTransit) -> Self {
        let OverTransit { provider, bytes_in, bytes_out, p95_in, p95_out, .. } = on;
        Self {
            asn: one.asn,
            name: harmless(&one.name),
            bytes_in: one.bytes_in,
            bytes_out: one.bytes_out,
            low_in: one.low_in,
            high_in: one.high_in,
            low_out: one.low_out,
            high_out: one.high_out,
            bytes_boundary: one.bytes_boundary,
            saved: one.saved,
            met: cell(one.met.iter().map(|met| met.link.as_str())),
            previous_bytes_in: one.previous.as_ref().map(|before| before.bytes_in),
            previous_bytes_out: one.previous.as_ref().map(|before| before.bytes_out),
            transit: harmless(provider),
            transit_bytes_in: *bytes_in,
            transit_bytes_out: *bytes_out,
            transit_p95_in: *p95_in,
            transit_p95_out: *p95_out,
            transit_left_p95_in: on.left_p95_in,
            transit_left_p95_out: on.left_p95_out,
            transit_saved: on.saved,
            transit_rough: on.rough,
        }
    }
}

impl Lines for Candidates {
    fn write(&self, out: &mut Writer<Vec<u8>>) -> Result<(), Error> {
        let on = |one| move |on| OnTransit::of(one, on);
        below(out, self.candidates.iter().flat_map(|one| one.transits.iter().map(on(one))))
    }
}

/// An exporter: of the last hour, but for interfaces, which are of the last day.
#[derive(Default, Serialize)]
struct Line {
    address: String,
    name: String,
    last_seen: String,
    protocols: String,
    flows: u64,
    bytes: u64,
    bytes_unknown_rate: u64,
    sampling: String,
    interfaces: u64,
    interfaces_seen: u64,
    unclassified: u64,
    clock_offset: Option<i64>,
    datagrams: Option<u64>,
    missing: u64,
    undecoded: u64,
    diagnoses: String,
}

impl Line {
    fn of(one: &Exporter) -> Self {
        let mut protocols: Vec<_> = one.last_hour.iter().map(|hour| hour.protocol.as_str()).collect();
        protocols.sort_unstable();
        protocols.dedup();
        let rates: Vec<_> = one.applied.iter().map(|rate| rate.interval.to_string()).collect();
        Self {
            address: one.address.clone(),
            name: harmless(&one.name),
            last_seen: one.last_seen.map(time).unwrap_or_default(),
            protocols: cell(protocols),
            flows: one.last_hour.iter().map(|hour| hour.flows).sum(),
            bytes: one.last_hour.iter().fold(0, |all, hour| hour.bytes.saturating_add(all)),
            bytes_unknown_rate: one
                .last_hour
                .iter()
                .fold(0, |all, hour| hour.bytes_unknown_rate.saturating_add(all)),
            sampling: cell(rates.iter().map(String::as_str)),
            interfaces: one.interfaces,
            interfaces_seen: one.interfaces_seen,
            unclassified: one.unclassified,
            clock_offset: one.hour.clock_offset,
            datagrams: one.arrivals.as_ref().map(|arrivals| arrivals.datagrams),
            missing: one.sessions.iter().map(|session| session.missing).sum(),
            undecoded: one.faults.iter().map(|fault| fault.letters).sum(),
            diagnoses: cell(one.diagnoses.iter().map(|found| found.says.as_str())),
        }
    }
}

impl Lines for Exporters {
    fn write(&self, out: &mut Writer<Vec<u8>>) -> Result<(), Error> {
        below(out, self.exporters.iter().map(Line::of))
    }
}

#[cfg(test)]
mod tests {
    use super::super::written;
    use super::*;
    use crate::candidates::Met;
    use crate::exporters::Received;

    #[test]
    fn each_list_is_lines_below_their_names_and_no_name_is_a_formula() {
        let interface = Interface {
            exporter: "192.0.2.1".into(),
            name: "=1+1".into(),
            if_index: 3,
            ..Interface::default()
        };
        let member = Member { interface: interface.clone(), valid_from: 0, valid_to: 1_790_000_040 };
        let link = Link {
            id: "a".into(),
            name: "@A, =B".into(),
            connectivity: "transit".into(),
            members: vec![member],
            ..Link::default()
        };
        let unclassified = vec![Unclassified { interface, bytes_in: u64::MAX, ..Unclassified::default() }];
        let links = Links { links: vec![link], unclassified, left_out: 0 };
        let transit = OverTransit { provider: "-A".into(), p95_in: 9, saved: 5, ..OverTransit::default() };
        let met = ["IX", "+x"].map(|link| Met { link: link.into(), ..Met::default() });
        let candidate = Candidate {
            asn: 174,
            name: "AS174 Cogent".into(),
            transits: vec![transit],
            met: met.into(),
            ..Candidate::default()
        };
        let candidates = Candidates { candidates: vec![candidate], ..Candidates::default() };
        let hour = Received { protocol: "ipfix".into(), flows: 3, bytes: 7, ..Received::default() };
        let exporter = Exporter {
            address: "192.0.2.1".into(),
            name: "\t=x".into(),
            last_hour: vec![hour],
            ..Exporter::default()
        };
        let exporters = Exporters { exporters: vec![exporter], ..Exporters::default() };
        let none = written(&Exporters::default()).unwrap();
        assert_eq!(none.lines().next(), written(&exporters).unwrap().lines().next());
        let all = [written(&links).unwrap(), written(&candidates).unwrap(), written(&exporters).unwrap()];
        insta::assert_snapshot!(all.join("\n"));
    }
}
