//! Each rule finds what it is for, and nothing where all is well.

use super::super::{Announced, Applied, Arrivals, Check, Fault, Received, Session, Sums};
use super::*;

const NOW: u32 = 1_800_000_000;

fn observed(if_index: u32, ingress: u64, egress: u64, elsewhere: u64) -> Observed {
    Observed { if_index, name: format!("et-{if_index}"), ingress, egress, elsewhere, ..Observed::default() }
}

/// An exporter with which all is well.
fn well() -> Exporter {
    let hour = Received { protocol: "ipfix".into(), flows: 1000, ..Received::default() };
    let applied =
        Applied { source: "sampler".into(), interval: 1000.0, sampling: "packet".into(), flows: 1000 };
    let session = Session { received: 1000, unit: "records".into(), ..Session::default() };
    Exporter {
        last_seen: Some(NOW - 60),
        last_hour: vec![hour],
        families: [4, 6].into(),
        applied: vec![applied],
        interfaces: 2,
        interfaces_seen: 2,
        observed: vec![observed(1, 5, 5, 0), observed(2, 5, 5, 0)],
        hour: Sums { flows: 1000, flow_seconds: 60, clock_offset: Some(-1), ..Sums::default() },
        arrivals: Some(Arrivals { templates: 3, ..Arrivals::default() }),
        sessions: vec![session],
        ..Exporter::default()
    }
}

/// What something is called, and what breaks it.
type Break<'b> = (&'b str, &'b dyn Fn(&mut Exporter));

/// What breaks one thing, and what is found then: each code, and what it says.
#[test]
fn each_thing_that_is_amiss_is_found_alone_and_said_in_words() {
    let lost = |missing| move |one: &mut Exporter| one.sessions[0].missing = missing;
    let judged = |sums: &'static [(&str, u64)]| {
        move |one: &mut Exporter| {
            let check = |(name, sum): &(&str, u64)| Check { name: (*name).into(), sum: *sum };
            one.checks = sums.iter().map(check).collect();
        }
    };
    let breaks: &[Break<'_>] = &[
        ("well", &|_| ()),
        ("never seen", &|one| one.last_seen = None),
        ("two hours", &|one| one.last_seen = Some(NOW - 7300)),
        ("lost many", &lost(100)),
        ("lost few", &lost(2)),
        ("lost next to nothing", &|one| {
            one.sessions[0].received = 100_000;
            one.sessions[0].missing = 1;
        }),
        ("no rate", &|one| {
            one.last_hour[0].bytes_unknown_rate = 53_900_000;
            one.applied[0].interval = 0.0;
        }),
        ("some without a rate", &|one| one.last_hour[0].bytes_unknown_rate = 7),
        ("inferred", &|one| one.applied[0].source = "inferred".into()),
        ("waits", &|one| one.arrivals.as_mut().unwrap().parked_sets = 2),
        ("undecoded", &|one| {
            one.faults = vec![Fault { reason: "bad_template".into(), letters: 3, last: NOW }];
        }),
        ("no AS", &|one| one.hour.without_as = 1000),
        ("no AS in aggregates", &|one| {
            one.hour.without_as = 1000;
            one.last_hour[0].protocol = AGGREGATES.into();
        }),
        ("aggregates beside flows", &|one| {
            let aggregates = Received { protocol: AGGREGATES.into(), flows: 9, ..Received::default() };
            one.last_hour.push(aggregates);
        }),
        ("some AS", &|one| one.hour.without_as = 999),
        ("egress", &|one| one.observed[1].egress = 0),
        ("ingress", &|one| one.observed[1].ingress = 0),
        ("ingress alone, everywhere", &|one| one.observed.iter_mut().for_each(|each| each.egress = 0)),
        ("ingress alone, somewhere", &|one| {
            one.observed.iter_mut().for_each(|each| each.egress = 0);
            one.observed.push(observed(3, 0, 0, 5));
        }),
        ("many without", &|one| {
            one.observed.extend((3..9).map(|n| observed(n, 5, 0, 1)));
        }),
        ("slow", &|one| one.hour.flow_seconds = 1800),
        ("behind", &|one| one.hour.clock_offset = Some(-7200)),
        ("ahead", &|one| one.hour.clock_offset = Some(90)),
        ("implausible", &|one| one.hour.times_implausible = 500),
        ("assumed", &|one| one.last_hour[0].observation_assumed = 250),
        ("nameless", &|one| one.observed.push(observed(0, 0, 0, 7))),
        ("on no link", &|one| one.unclassified = 2),
        ("flapping", &judged(&[("templates_flapped", 40)])),
        (
            "another rate",
            &judged(&[("samples_made", 1000), ("samples_pool", 4_000_000), ("samples_announced", 2_000_000)]),
        ),
        ("dropped samples", &judged(&[("samples_made", 1000), ("samples_dropped", 50)])),
        ("not sent", &judged(&[("flows_not_sent", 7), ("packets_not_sent", 90)])),
        ("frames without FCS", &judged(&[("frames_without_fcs", 990), ("frames_with_fcs", 10)])),
        ("frames of either kind", &judged(&[("frames_without_fcs", 500), ("frames_with_fcs", 500)])),
        ("octets of frames", &judged(&[("octets_of_layer_2", 100)])),
        ("AS 23456", &judged(&[("as_numbers", 1000), ("as_trans", 3)])),
        ("peers", &judged(&[("as_of_neighbour", 1000)])),
        (
            "export at a limit",
            &judged(&[("minutes_busy", 300), ("minutes_even", 240), ("flows_of_even_minutes", 28_800_000)]),
        ),
        ("single packets", &judged(&[("flows", 1000), ("flows_of_one_packet", 950)])),
        ("steps", &judged(&[("sample_pool_steps", 12)])),
        ("counts", &judged(&[("samples_pairs", 100), ("samples_uniform", 100)])),
        ("small things", &|one| {
            one.interfaces = 0;
            one.families = [4].into();
            one.sessions[0].restarts = 3;
            one.announced = Vec::<Announced>::new();
        }),
    ];
    let told = breaks.iter().map(|(what, change)| {
        let mut one = well();
        change(&mut one);
        let found = diagnoses(&one, NOW).into_iter().map(|found| {
            let vendors: Vec<_> = found.mend.iter().map(|mend| mend.vendor).collect();
            format!("\n  {} ({:?}): {} [{}]", found.code, found.severity, found.says, vendors.join(", "))
        });
        format!("{what}:{}", found.collect::<String>())
    });
    insta::assert_snapshot!(told.collect::<Vec<_>>().join("\n"));
}

#[test]
fn whatever_can_be_found_of_checks_is_a_rule() {
    for (code, _) in checks::FINDINGS {
        assert!(RULES.iter().any(|rule| rule.code == *code), "{code}");
    }
}
