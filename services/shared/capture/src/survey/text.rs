//! A survey as people read it: an exporter a block, a subject a line, and at its end what to look at.

use super::{OfExporter, Sum, Survey};
use std::fmt::{self, Display, Formatter, Write};
use std::time::{Duration, UNIX_EPOCH};
use weir_schemas::checks::{CLOCK_OFF_S, FINDINGS, LONG_FLOW_S};
use weir_schemas::{FlowKind, Ip, Observation, Protocol, RateSource, SamplingKind, Tunnel};
use weir_wire::{KnownTemplate, Rate, Unit, names};

/// Things of one kind that a line names.
const NAMED: usize = 12;
/// Templates and samplers that are told of an exporter.
const LISTED: usize = 40;
/// Columns before a subject's text.
const INDENT: usize = 13;
/// Columns of a line.
const WIDTH: usize = 120;
const SECOND: i64 = 1_000_000_000;

impl Display for Survey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let datagrams: u64 = self.exporters.values().map(|one| one.counts.datagrams).sum();
        writeln!(
            f,
            "{} of {}, {}",
            count(datagrams, "datagram"),
            count(self.exporters.len() as u64, "exporter"),
            count(self.other_packets, "other packet")
        )?;
        let (errors, first) = &self.errors;
        if *errors > 0 {
            writeln!(f, "{} of the capture itself:", count(*errors, "error"))?;
            first.iter().take(NAMED).try_for_each(|error| writeln!(f, "  {error}"))?;
        }
        self.exporters.iter().try_for_each(|(address, one)| write_exporter(f, *address, one))
    }
}

/// A subject with its text, which goes on below itself where it is long.
fn line(f: &mut Formatter<'_>, subject: &str, text: &str) -> fmt::Result {
    write!(f, "  {subject:<width$}", width = INDENT - 2)?;
    let mut column = INDENT;
    for (at, word) in text.split(' ').enumerate() {
        let wide = word.chars().count();
        if at > 0 && column + 1 + wide > WIDTH {
            write!(f, "\n{:INDENT$}", "")?;
            column = INDENT;
        } else if at > 0 {
            f.write_char(' ')?;
            column += 1;
        }
        f.write_str(word)?;
        column += wide;
    }
    writeln!(f)
}

/// So many of something.
fn count(n: u64, one: &str) -> String {
    format!("{n} {one}{}", if n == 1 { "" } else { "s" })
}

fn write_exporter(f: &mut Formatter<'_>, address: Ip, one: &OfExporter) -> fmt::Result {
    writeln!(f, "\n{address}")?;
    line(f, "arrived", &arrived(one))?;
    let said: Vec<_> = one.identities.iter().filter(|said| **said != address).collect();
    if !said.is_empty() {
        line(f, "identity", &format!("says that it is {}", list(said.into_iter())))?;
    }
    line(f, "records", &records(one))?;
    let rates = sampling(one);
    rates.iter().take(LISTED).try_for_each(|text| line(f, "sampling", text))?;
    more(f, "sampling", rates.len())?;
    for (id, source) in one.samplers.iter().take(LISTED) {
        let attained =
            source.attained().map_or_else(String::new, |rate| format!(", attains 1 of {}", interval(rate)));
        let what = if id.class == 0 { "ifIndex".to_owned() } else { format!("class {} index", id.class) };
        let text = format!(
            "{what} {} of agent {}: announces 1 of {}{attained}; {} of {} samples received, {} dropped",
            id.index,
            id.agent,
            source.rate,
            source.received,
            source.made + 1,
            source.drops
        );
        line(f, "sampler", &text)?;
    }
    more(f, "sampler", one.samplers.len())?;
    if !one.kinds.is_empty() {
        line(f, "observed", &observed(one))?;
    }
    if !one.kinds.is_empty() || !one.names.is_empty() {
        line(f, "interfaces", &interfaces(one))?;
    }
    for template in one.templates.iter().take(LISTED) {
        line(f, "template", &described(template))?;
    }
    more(f, "template", one.templates.len())?;
    for session in &one.sessions {
        let unit = if session.unit == Unit::Records { "records" } else { "datagrams" };
        let agent =
            if session.agent.is_none() { String::new() } else { format!(", agent {}", session.agent) };
        let text = format!(
            "{}, domain {}, port {}{agent}: {} {unit} received, {} missing, {} late, {} repeated, {} restarts",
            session.protocol.word(),
            session.observation_domain,
            session.source_port,
            session.received,
            session.missing,
            session.late,
            session.repeated,
            session.restarts
        );
        line(f, "sequence", &text)?;
    }
    if let Some(offset) = one.clock_offset() {
        line(f, "clock", &format!("{} the capture's", clock(offset)))?;
    }
    for (reason, (count, first)) in &one.faults {
        line(f, "undecoded", &format!("{count} × {}: {first}", reason.word()))?;
    }
    let amiss = amiss(one);
    if amiss.is_empty() {
        return line(f, "look at", "nothing: no rule finds anything amiss in what was captured");
    }
    amiss.iter().try_for_each(|text| line(f, "look at", text))
}

fn more(f: &mut Formatter<'_>, subject: &str, all: usize) -> fmt::Result {
    if all > LISTED { line(f, subject, &format!("and {} more", all - LISTED)) } else { Ok(()) }
}

fn list<T: Display>(all: impl ExactSizeIterator<Item = T>) -> String {
    let more = all.len().saturating_sub(NAMED);
    let mut text = String::new();
    for (at, one) in all.take(NAMED).enumerate() {
        let _ = write!(text, "{}{one}", if at == 0 { "" } else { ", " });
    }
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}

fn time(ns: i64) -> String {
    let seconds = u64::try_from(ns / SECOND).unwrap_or_default();
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(seconds)).to_string()
}

fn arrived(one: &OfExporter) -> String {
    let protocols: Vec<_> = one
        .protocols
        .iter()
        .map(|(protocol, (datagrams, bytes))| {
            format!("{} of {} ({bytes} bytes)", count(*datagrams, "datagram"), protocol.word())
        })
        .collect();
    let when =
        one.time.map_or_else(String::new, |(first, last)| format!(", {} to {}", time(first), time(last)));
    format!("{}, from port {}{when}", protocols.join(", "), list(one.ports.iter()))
}

fn sum(sum: &Sum) -> String {
    format!("{} bytes in {} packets", sum.bytes, sum.packets)
}

fn records(one: &OfExporter) -> String {
    let mut parts: Vec<_> = one
        .kinds
        .iter()
        .map(|(kind, of)| {
            let what = match kind {
                FlowKind::Sample => "sampled packets",
                FlowKind::Discard => "discarded packets",
                FlowKind::Event => "event records",
                _ => "flow records",
            };
            format!("{} {what} ({})", of.flows, sum(of))
        })
        .collect();
    for (count, what) in [
        (one.counts.reverse_flows, "of these of a reverse direction"),
        (one.counts.option_records, "options records"),
        (one.counts.counter_samples, "counter samples"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    for (tunnel, of) in one.tunnels.iter().filter(|(tunnel, _)| **tunnel != Tunnel::Unknown) {
        parts.push(format!("{} in {}", of.flows, tunnel.word()));
    }
    if parts.is_empty() { "none".to_owned() } else { parts.join("; ") }
}

/// Thousandths as a number.
fn interval(thousandths: u64) -> String {
    if thousandths.is_multiple_of(1000) {
        (thousandths / 1000).to_string()
    } else {
        format!("{:.3}", thousandths as f64 / 1000.0)
    }
}

fn sampling(one: &OfExporter) -> Vec<String> {
    let mut lines: Vec<_> = one
        .sampling
        .iter()
        .map(|((source, kind, rate), of)| {
            if *rate == 0 {
                return format!("unknown: {} records ({}) that can't be scaled", of.flows, sum(of));
            }
            let what = if *kind == SamplingKind::Flow { "flows" } else { "packets" };
            let from = if *source == RateSource::Record {
                "in the record itself".to_owned()
            } else {
                format!("from {}", source.word())
            };
            format!("1 of {} {what}, {from}: {} records ({})", interval(*rate), of.flows, sum(of))
        })
        .collect();
    let announced = |rate: &Rate| {
        format!(
            "announced: 1 of {}, {} {}, domain {}",
            interval(rate.interval),
            rate.source.word(),
            rate.scope,
            rate.observation_domain
        )
    };
    lines.extend(one.announced.iter().take(NAMED).map(announced));
    let left = one.announced.len().saturating_sub(NAMED) as u64 + one.more_announced;
    if left > 0 {
        lines.push(format!("announced: {left} more"));
    }
    lines
}

fn observed(one: &OfExporter) -> String {
    let parts: Vec<_> = one
        .observed
        .iter()
        .map(|(observation, of)| match observation {
            Observation::Unknown => format!("{} not said where", of.flows),
            known => format!("{} on {}", of.flows, known.word()),
        })
        .chain(one.families.iter().map(|(family, of)| match family {
            0 => format!("{} not IP", of.flows),
            family => format!("{} of IPv{family}", of.flows),
        }))
        .collect();
    let flows: u64 = one.kinds.values().map(|of| of.flows).sum();
    format!("{}; {} of {flows} records name an AS", parts.join(", "), one.with_as)
}

fn interfaces(one: &OfExporter) -> String {
    let (input, output) = &one.interfaces;
    let named = |index: &u32| match one.names.get(index).filter(|name| !name.is_empty()) {
        Some(name) => format!(
            "{index} ({})",
            name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>()
        ),
        None => index.to_string(),
    };
    let of = |all: &std::collections::BTreeSet<u32>| {
        if all.is_empty() {
            "none".to_owned()
        } else {
            list(all.iter().map(named).collect::<Vec<_>>().iter())
        }
    };
    format!("input {}; output {}; {} have names", of(input), of(output), one.names.len())
}

fn described(template: &KnownTemplate) -> String {
    let scopes = usize::from(template.scopes.unwrap_or_default());
    let name = |(at, (id, pen, length)): (usize, &(u16, u32, u16))| {
        let scope = scope_of(template.protocol, *id).filter(|_| at < scopes && *pen == 0);
        let name = match (scope, names::named(*pen, *id)) {
            (Some(what), _) => format!("scope {what}"),
            (None, Some(named)) => named.name.into_owned(),
            (None, None) => format!("{pen}/{id}"),
        };
        if *length == u16::MAX { format!("{name} (variable)") } else { format!("{name} ({length})") }
    };
    format!(
        "{} of domain {}, port {}: {}{}: {}",
        template.id,
        template.domain,
        template.port,
        if template.scopes.is_some() { "options, " } else { "" },
        count(template.fields.len() as u64, "field"),
        template.fields.iter().enumerate().map(name).collect::<Vec<_>>().join(", ")
    )
}

/// What a field is the scope of.
fn scope_of(protocol: Protocol, id: u16) -> Option<&'static str> {
    weir_wire::scopes().find(|(of, known, _)| (*of, *known) == (protocol, id)).map(|(.., what)| what)
}

fn clock(offset: i64) -> String {
    match offset / SECOND {
        0 => "within a second of".to_owned(),
        ahead @ 1.. => format!("{ahead} s ahead of"),
        behind => format!("{} s behind", -behind),
    }
}

/// What is amiss, in words; what weighs most first.
fn amiss(one: &OfExporter) -> Vec<String> {
    let mut found = Vec::new();
    let (received, missing) =
        one.sessions.iter().fold((0, 0), |sum, of| (sum.0 + of.received, sum.1 + of.missing));
    if missing > 0 {
        let part = missing as f64 * 100.0 / (received + missing) as f64;
        found.push(format!(
            "{missing} of {} that it sent are missing in the capture ({part:.1} %)",
            received + missing
        ));
    }
    let unknown: u64 = one.sampling.iter().filter(|((.., rate), _)| *rate == 0).map(|(_, of)| of.flows).sum();
    if unknown > 0 {
        found.push(format!(
            "{unknown} records have no sampling rate that is known: let it send its sampling options, or set sampling_interval for it in \
             decoder.enrich.exporters"
        ));
    }
    let waiting = one.counts.expired;
    if waiting > 0 {
        found.push(format!(
            "{} without a template in the whole capture: capture for longer than it takes to send them again",
            count(waiting, "set")
        ));
    }
    found.extend(FINDINGS.iter().filter_map(|(_, find)| find(&one.checks)));
    if one.checks.times_implausible > 0 {
        found.push(format!(
            "{} records have times that can't be: they count when they arrived",
            one.checks.times_implausible
        ));
    }
    if let Some(offset) = one.clock_offset().filter(|offset| offset.abs() > CLOCK_OFF_S * SECOND) {
        found.push(format!("its clock is {} s off: set its time by NTP", offset.abs() / SECOND));
    }
    if one.longest > i64::from(LONG_FLOW_S) * SECOND {
        found.push(format!(
            "flows last up to {} s: set its active timeout to 60 s, so that minutes are told in time",
            one.longest / SECOND
        ));
    }
    if one.counts.fields_ignored > 0 {
        found.push(format!(
            "{} of templates left out: their types can't have such a length",
            count(one.counts.fields_ignored, "field")
        ));
    }
    let flows: u64 = one.kinds.values().map(|of| of.flows).sum();
    if flows > 0 && one.with_as == 0 {
        found.push("no record names an AS: they are looked up, and neighbours are not known".to_owned());
    }
    if one.without_interface > 0 {
        found.push(format!("{} records name no interface: they count on no link", one.without_interface));
    }
    found
}
