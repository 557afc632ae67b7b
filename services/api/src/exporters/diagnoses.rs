//! What is amiss with an exporter, or could be, in words, and what mends it: a table of rules over what is known of it.
//!
//! What must stay true: nobody's silence is a finding, so what was not told is nothing to diagnose from; and a sentence names what it is about.

use super::mend::{self, Mend};
use super::sql::MOST_INTERFACES;
use super::words::{amount, named, percent, span};
use super::{Exporter, Observed};
use serde::Serialize;
use utoipa::ToSchema;
use weir_schemas::checks::{self, CLOCK_OFF_S, Checks, LONG_FLOW_S};

/// The protocol whose records sum up several flows.
const AGGREGATES: &str = "netflow_v8";
/// Without a flow for so long it is said to be silent, seconds.
const SILENT: u32 = 900;
/// Fewer flows than this within an hour say nothing about all of them.
const ENOUGH: u64 = 100;
/// A part of what was sent that is missing from here on is a fault.
const LOST: f64 = 0.01;
/// Less than this is told in its column and nowhere else.
const FEW: f64 = 0.001;

/// Something that is amiss, or could be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Diagnosis {
    /// What kind of finding it is; it never changes its meaning.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// In words, with what it was found from.
    pub says: String,
    /// What to type, by vendor; none where that is nothing that a command mends.
    pub mend: &'static [Mend],
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Numbers are wrong or missing.
    Error,
    /// Numbers are less than they could be.
    Warning,
    /// Good to know.
    Note,
}

/// A kind of finding.
struct Rule {
    code: &'static str,
    severity: Severity,
    /// What it says of an exporter at a time, if it is so.
    find: fn(&Exporter, u32) -> Option<String>,
    mend: &'static [Mend],
}

const fn rule(
    code: &'static str,
    severity: Severity,
    find: fn(&Exporter, u32) -> Option<String>,
    mend: &'static [Mend],
) -> Rule {
    Rule { code, severity, find, mend }
}

/// All kinds, what matters most first.
const RULES: &[Rule] = &[
    rule("never", Severity::Error, never, &[]),
    rule("silent", Severity::Error, silent, &[]),
    rule("lost", Severity::Error, lost, mend::LOSS),
    rule("counted_twice", Severity::Error, counted_twice, &[]),
    rule("rate_unknown", Severity::Error, rate_unknown, mend::RATE),
    rule("templates_flap", Severity::Error, |one, _| judged(one, checks::templates_flap), &[]),
    rule("attained_rate", Severity::Error, |one, _| judged(one, checks::attained_rate), &[]),
    rule("template_missing", Severity::Error, template_missing, mend::TEMPLATES),
    rule("undecoded", Severity::Warning, undecoded, &[]),
    rule("not_sent", Severity::Warning, |one, _| judged(one, checks::not_sent), &[]),
    rule("export_rate", Severity::Warning, |one, _| judged(one, checks::export_rate), &[]),
    rule("samples_dropped", Severity::Warning, |one, _| judged(one, checks::samples_dropped), &[]),
    rule("octets_layer_2", Severity::Warning, |one, _| judged(one, checks::octets_layer_2), &[]),
    rule("frame_length", Severity::Warning, |one, _| judged(one, checks::frame_length), &[]),
    rule("as_trans", Severity::Warning, |one, _| judged(one, checks::as_trans), mend::AS),
    rule("lost_few", Severity::Warning, lost_few, mend::LOSS),
    rule("no_as", Severity::Warning, no_as, mend::AS),
    rule("egress_missing", Severity::Warning, |one, _| unsampled(one, Side::Egress), mend::EGRESS),
    rule("ingress_missing", Severity::Warning, |one, _| unsampled(one, Side::Ingress), mend::INGRESS),
    rule("active_timeout", Severity::Warning, active_timeout, mend::ACTIVE),
    rule("clock", Severity::Warning, clock, mend::CLOCK),
    rule("times_implausible", Severity::Warning, times_implausible, mend::CLOCK),
    rule("rate_inferred", Severity::Warning, rate_inferred, mend::RATE),
    rule("unclassified", Severity::Warning, unclassified, &[]),
    rule("observation_unknown", Severity::Note, observation_unknown, &[]),
    rule("interface_unnamed", Severity::Note, interface_unnamed, &[]),
    rule("ingress_only", Severity::Note, ingress_only, mend::EGRESS),
    rule("as_peer", Severity::Note, |one, _| judged(one, checks::as_peer), mend::AS),
    rule("one_packet", Severity::Note, |one, _| judged(one, checks::one_packet), &[]),
    rule("pool_steps", Severity::Note, |one, _| judged(one, checks::pool_steps), &[]),
    rule("uniform_sampling", Severity::Note, |one, _| judged(one, checks::uniform_sampling), &[]),
    rule("names", Severity::Note, names, mend::NAMES),
    rule("ipv4_only", Severity::Note, ipv4_only, mend::IPV6),
    rule("restarted", Severity::Note, restarted, &[]),
];

/// What is found of an exporter, what matters most first.
pub(super) fn diagnoses(one: &Exporter, now: u32) -> Vec<Diagnosis> {
    let found = RULES.iter().filter_map(|rule| {
        let says = (rule.find)(one, now)?;
        Some(Diagnosis { code: rule.code, severity: rule.severity, says, mend: rule.mend })
    });
    found.collect()
}

/// What is found of its checks.
fn judged(one: &Exporter, find: checks::Find) -> Option<String> {
    let mut sums = Checks::default();
    one.checks.iter().for_each(|check| sums.set(&check.name, check.sum));
    find(&sums)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Ingress,
    Egress,
}

impl Side {
    fn of(self, one: &Observed) -> u64 {
        match self {
            Self::Ingress => one.ingress,
            Self::Egress => one.egress,
        }
    }
}

fn flows(one: &Exporter) -> u64 {
    one.last_hour.iter().map(|hour| hour.flows).sum()
}

fn never(one: &Exporter, _: u32) -> Option<String> {
    one.last_seen
        .is_none()
        .then(|| "nothing of it was stored within 35 days: look whether it is pointed here".into())
}

fn silent(one: &Exporter, now: u32) -> Option<String> {
    let silent = now.saturating_sub(one.last_seen?);
    (silent > SILENT).then(|| format!("its last flow came {} ago", span(silent.into())))
}

/// Of the sessions the part that is missing, and the worst of them in words.
fn missing(one: &Exporter) -> Option<(f64, String)> {
    let part = |received: u64, missing: u64| missing as f64 / (received as f64 + missing as f64);
    let worst = one
        .sessions
        .iter()
        .filter(|session| session.missing > 0)
        .max_by(|a, b| part(a.received, a.missing).total_cmp(&part(b.received, b.missing)))?;
    let lost = part(worst.received, worst.missing);
    let says = format!(
        "{} of what it sent in the last hour did not arrive: {} of {} {}, by the sequence numbers of domain {}, port {}",
        percent(lost),
        worst.missing,
        worst.received + worst.missing,
        worst.unit,
        worst.observation_domain,
        worst.source_port
    );
    Some((lost, says))
}

fn lost(one: &Exporter, _: u32) -> Option<String> {
    missing(one).filter(|(part, _)| *part >= LOST).map(|(_, says)| says)
}

fn lost_few(one: &Exporter, _: u32) -> Option<String> {
    missing(one).filter(|(part, _)| (FEW..LOST).contains(part)).map(|(_, says)| says)
}

fn rate_unknown(one: &Exporter, _: u32) -> Option<String> {
    // What is configured is applied when it is asked for, and stored nowhere.
    if one.announced.iter().any(|rate| rate.source == "default") {
        return None;
    }
    let bytes: u64 = one.last_hour.iter().map(|hour| hour.bytes_unknown_rate).sum();
    let none = one.announced.is_empty() && one.applied.iter().all(|rate| rate.interval == 0.0);
    let says = if none {
        "it sends no sampling rate: have it send its sampling options, or set sampling_interval for it in decoder.enrich.exporters"
    } else {
        "some flows came without a sampling rate that is known"
    };
    (bytes > 0).then(|| {
        format!("{says}; their bytes are told apart, {} as sampled in the last hour", amount(bytes as f64))
    })
}

fn rate_inferred(one: &Exporter, _: u32) -> Option<String> {
    let inferred = one.applied.iter().find(|rate| rate.source == "inferred")?;
    Some(format!(
        "its sampling rate, 1 of {}, is inferred from a packet interval without a packet space",
        inferred.interval
    ))
}

fn template_missing(one: &Exporter, _: u32) -> Option<String> {
    let waiting = one.arrivals.as_ref().map(|arrivals| arrivals.parked_sets).filter(|sets| *sets > 0)?;
    Some(format!("{waiting} sets of data wait for their template, which has not come"))
}

fn undecoded(one: &Exporter, _: u32) -> Option<String> {
    let reasons: Vec<_> = one
        .faults
        .iter()
        .map(|fault| format!("{} {}", fault.letters, fault.reason.replace('_', " ")))
        .collect();
    let says = "could not be decoded within a day, and lie in weir.deadletter (weir deadletter list)";
    (!reasons.is_empty()).then(|| format!("some of what it sent {says}: {}", reasons.join(", ")))
}

/// Aggregates are of packets that flows are of, too.
fn counted_twice(one: &Exporter, _: u32) -> Option<String> {
    let protocols = || one.last_hour.iter().map(|hour| hour.protocol.as_str());
    let beside = protocols().find(|other| *other != AGGREGATES)?;
    protocols().any(|one| one == AGGREGATES).then(|| {
        format!("it sends aggregates ({AGGREGATES}) beside {beside}: both are of the same packets, which count twice; let it send one of them alone")
    })
}

fn no_as(one: &Exporter, _: u32) -> Option<String> {
    let sums = &one.hour;
    // Version 1 and some aggregates have no room for one.
    if one.last_hour.iter().all(|hour| ["netflow_v1", AGGREGATES].contains(&hour.protocol.as_str())) {
        return None;
    }
    (sums.flows >= ENOUGH && sums.without_as == sums.flows).then(|| {
        "AS is always 0 in what it sends: BGP attributes are not downloaded to the FIB, or not exported; origin ASes are looked up meanwhile, and neighbours are not known".into()
    })
}

/// Interfaces with traffic of which none was observed there, while it was at others.
fn unsampled(one: &Exporter, side: Side) -> Option<String> {
    let interfaces = || one.observed.iter().filter(|each| each.if_index != 0);
    if !interfaces().any(|each| side.of(each) > 0) {
        return None;
    }
    let without =
        interfaces().filter(|each| side.of(each) == 0 && each.ingress + each.egress + each.elsewhere > 0);
    let word = if side == Side::Ingress { "ingress" } else { "egress" };
    let among =
        if one.is_cut() { format!(", of the {MOST_INTERFACES} with most flows,") } else { String::new() };
    named(without).map(|names| {
        format!("no {word} sampling seen on {names}{among} within a day, and on others there is some")
    })
}

fn ingress_only(one: &Exporter, _: u32) -> Option<String> {
    let missing = unsampled(one, Side::Ingress).is_some();
    // Others that were not told may be.
    (missing && !one.is_cut() && one.observed.iter().all(|each| each.egress == 0)).then(|| {
        "it samples on ingress alone: what goes out by a link lacks what came in by interfaces that are not sampled".into()
    })
}

fn observation_unknown(one: &Exporter, _: u32) -> Option<String> {
    let assumed: u64 = one.last_hour.iter().map(|hour| hour.observation_assumed).sum();
    (assumed > 0).then(|| {
        let part = percent(assumed as f64 / flows(one) as f64);
        format!("{part} of its flows do not say where their packets were observed, and count as configured (unknown_observation)")
    })
}

fn interface_unnamed(one: &Exporter, _: u32) -> Option<String> {
    let nameless = one.observed.iter().find(|each| each.if_index == 0)?;
    let flows = nameless.ingress + nameless.egress + nameless.elsewhere + nameless.unknown;
    (flows > 0).then(|| format!("{flows} times within a day a flow named no interface"))
}

fn unclassified(one: &Exporter, _: u32) -> Option<String> {
    let many = one.unclassified;
    (many > 0).then(|| {
        if many == 1 {
            return "1 interface that has traffic is on no link, and counts at no border: say what it is on the page of links".to_owned();
        }
        format!("{many} interfaces that have traffic are on no link, and count at no border: say what they are on the page of links")
    })
}

fn active_timeout(one: &Exporter, _: u32) -> Option<String> {
    let seconds = one.hour.flow_seconds;
    (one.hour.flows >= ENOUGH && seconds > LONG_FLOW_S).then(|| {
        let long = span(seconds.into());
        format!("its flows last up to {long} before they are exported, so the last minutes of every chart are too low; an active timeout of 60 s is usual")
    })
}

fn clock(one: &Exporter, _: u32) -> Option<String> {
    let off = one.hour.clock_offset?;
    (off.abs() > CLOCK_OFF_S).then(|| {
        let side = if off > 0 { "ahead of" } else { "behind" };
        let by = span(off.unsigned_abs());
        format!("its clock is {by} {side} this machine's; times are reckoned from when its datagrams arrive, so nothing is counted wrong by it")
    })
}

fn times_implausible(one: &Exporter, _: u32) -> Option<String> {
    let sums = &one.hour;
    let part = sums.times_implausible as f64 / sums.flows as f64;
    (sums.flows >= ENOUGH && part > 0.01).then(|| {
        format!(
            "{} of its flows began or ended when they cannot have, and count when they arrived",
            percent(part)
        )
    })
}

fn names(one: &Exporter, _: u32) -> Option<String> {
    (one.interfaces == 0 && one.interfaces_seen > 0)
        .then(|| "it sends no names of interfaces, so they are called by their index".into())
}

fn ipv4_only(one: &Exporter, _: u32) -> Option<String> {
    let families: Vec<_> = one.families.iter().filter(|family| **family != 0).collect();
    (families == [&4] && one.hour.flows >= ENOUGH)
        .then(|| "within a day it sent nothing of IPv6: where there is some, it is not sampled".into())
}

fn restarted(one: &Exporter, _: u32) -> Option<String> {
    let times: u64 = one.sessions.iter().map(|session| session.restarts).sum();
    (times > 0).then(|| {
        format!("its sequence numbers began anew {times} times in the last hour, as after a restart")
    })
}

#[cfg(test)]
mod tests;
