//! Load tests that are themselves tested: on a real stack, one that is started for them and one that is there.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::AtomicBool;
use std::time::Duration;
use support::alone;
use weir_loadtest::network::{links_toml, network};
use weir_loadtest::report;
use weir_loadtest::run::{Options, Place, Target, run};
use weir_loadtest::scenario::Scenario;
use weir_loadtest::verify::{Cause, Verdict};
use weir_loadtest::world::World;
use weir_stack::local::Ports;
use weir_stack::{Description, Local, Signal, local, signal};

static NEVER: AtomicBool = AtomicBool::new(false);

fn scenario(text: &str) -> Scenario {
    Scenario::read(text).unwrap_or_else(|error| panic!("{error:#}"))
}

#[test]
fn a_scenario_with_kills_and_garbage_is_judged_and_told_by_cause_and_minute() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let scenario = scenario(
        "name = 'short'
        about = 'Twenty seconds in which everything is killed once.'
        [network]
        exporters = 8
        [traffic]
        paced = false
        refresh = 20
        [stack]
        standalone = true
        partitions = 4
        [stack.config.sink]
        batch_ms = 700
        [[phase]]
        for_s = 20
        rate = 4000
        garbage = 200
        [[event]]
        at_s = 5
        act = 'kill'
        part = 'standalone'
        for_s = 0.3
        [[event]]
        at_s = 12
        act = 'kill'
        part = 'engine'
        [expect]
        missed = ['dead', 'kernel']
        freshness_p99_s = 30
        min_dead = 500
        max_bytes_per_flow = 5000",
    );
    let place = Place::Local { dir: dir.path().join("stack"), weir: None };
    let report = run(&Options { scenario, place, asn: Vec::new(), stretch: 1.0 }, &NEVER)
        .unwrap_or_else(|error| panic!("{error:#}"));
    let told = report::markdown(&report);
    assert_eq!(report.verdict, Verdict::Pass, "{told}");
    assert!(report.machine.weir.starts_with("weir ") && told.contains(&report.machine.weir), "{told}");
    assert!(report.sent > 50_000 && report.stored + report.missed[&Cause::Dead] <= report.sent, "{told}");
    assert!(report.missed[&Cause::Dead] > 0, "a kill took nothing: {told}");
    assert!(report.minutes.iter().any(|minute| minute.missed.contains_key(&Cause::Dead)), "{told}");
    assert_eq!(report.faults.iter().filter(|fault| fault.kill).count(), 2);
    for part in ["standalone", "engine", "generator"] {
        let part =
            report.parts.iter().find(|one| one.name == part).unwrap_or_else(|| panic!("{part}: {told}"));
        assert!(part.cpu_s > 0.0 && part.memory_most > 0, "{told}");
    }
    assert!(report.threads["sink"] > 0.0 && report.threads["decoder"] > 0.0, "{told}");
    assert!(report.tables.iter().any(|table| table.table == "flows" && table.rows > 0), "{told}");
    assert!(report.topics["all topics"] > 0, "{told}");
    let page = report::page(&report);
    assert!(
        page.contains("<svg") && !page.contains("<script") && !page.contains("http-equiv"),
        "one page, no script"
    );
    let again: report::Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(report::markdown(&again), told);
}

#[test]
fn an_ingest_that_dies_of_itself_is_told_in_a_report_that_fails() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let stack = dir.path().join("stack");
    let scenario = scenario(
        "name = 'dies'\nabout = 'Ingest dies, which nobody asked for.'\n[network]\ntemplates_after = 0\n[[phase]]\nfor_s = 60\nrate = 2000\n",
    );
    let options = Options {
        scenario,
        place: Place::Local { dir: stack.clone(), weir: None },
        asn: Vec::new(),
        stretch: 1.0,
    };
    let report = std::thread::scope(|scope| {
        let running = scope.spawn(|| run(&options, &NEVER));
        let ingest = loop {
            let there = Description::read(&stack).ok().filter(|stack| stack.ready);
            let found = there.and_then(|stack| stack.services.into_iter().find(|one| one.name == "ingest"));
            match found.and_then(|one| one.pid) {
                Some(pid) => break pid,
                None if running.is_finished() => panic!("it ended before its ingest ran"),
                None => std::thread::sleep(Duration::from_millis(100)),
            }
        };
        std::thread::sleep(Duration::from_secs(5));
        signal(ingest, Signal::Kill).unwrap();
        running.join().unwrap().unwrap_or_else(|error| panic!("{error:#}"))
    });
    let told = report::markdown(&report);
    assert_eq!(report.verdict, Verdict::Fail, "{told}");
    assert!(report.reasons.iter().any(|why| why.starts_with("sending ended early: ")), "{told}");
    assert!(report.reasons.iter().any(|why| why.contains("ingest ended")), "{told}");
    assert!(report.sent > 2000 && report.stored > 0 && report.lost + report.doubled == 0, "{told}");
}

#[test]
fn a_stack_that_is_there_is_tested_from_addresses_of_its_own() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let world = World::synthetic(1);
    // The fifth kind of router tells its rate late.
    let addresses: Vec<_> = (1..=5).map(|n| std::net::Ipv4Addr::new(127, 77, 0, n)).collect();
    let asn = dir.path().join("asn.csv");
    std::fs::write(&asn, world.csv()).unwrap();
    let databases =
        format!("[decoder.enrich.databases]\nasn = ['{}']\n[sink]\nbatch_ms = 700\n", asn.display());
    let names = links_toml(&network(&world, addresses.len(), addresses[0]));
    let stack = Local::up(local::Options {
        standalone: true,
        ports: Ports::free().unwrap(),
        partitions: Some(4),
        config: vec![databases.parse().unwrap(), names.parse().unwrap()],
        ..local::Options::new(&dir.path().join("stack"))
    })
    .unwrap_or_else(|error| panic!("{error}"));
    let target = Target {
        address: stack.ingest().0.into(),
        ports: stack.ingest().1,
        ingest_metrics: stack.description().ingest_metrics().unwrap().to_owned(),
        metrics: Vec::new(),
        clickhouse: weir_store::Config { url: stack.clickhouse(), ..Default::default() },
        bus: None,
        addresses,
    };
    let text = "name = 'there'\nabout = 'A few seconds.'\n[[phase]]\nfor_s = 6\nrate = 8000\n";
    let mut options = Options {
        scenario: scenario(text),
        place: Place::Target(Box::new(target)),
        asn: Vec::new(),
        stretch: 1.0,
    };
    // Again from the same addresses: what the installation knows of their first rates is not theirs any more.
    for turn in ["first", "second"] {
        let report = run(&options, &NEVER).unwrap_or_else(|error| panic!("{turn}: {error:#}"));
        let told = report::markdown(&report);
        assert_eq!(report.verdict, Verdict::Pass, "{turn}: {told}");
        assert_eq!((report.exporters.len(), report.exporters[0].address.as_str()), (5, "127.77.0.1"));
        assert_eq!((report.scenario.network.exporters, report.machine.weir.as_str()), (5, "not known"));
        assert!(told.contains("Run with 5 routers in the place of 24."), "{told}");
        assert!(report.parts.is_empty() && report.freshness.is_some(), "{told}");
    }

    let kills = format!("{text}[[event]]\nat_s = 1\nact = 'kill'\npart = 'sink'\n");
    options.scenario = scenario(&kills);
    let refused = run(&options, &NEVER).unwrap_err().to_string();
    assert!(refused.contains("only --local"), "{refused}");
    stack.down().unwrap();
}
