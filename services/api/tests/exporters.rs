//! What is told of exporters, on the real engine.
#![allow(clippy::unwrap_used)]

mod engine;

use engine::{put, put_sides};
use std::time::{SystemTime, UNIX_EPOCH};
use weir_api::exporters::{Exporter, Severity, ask};
use weir_schemas::quality::{ArrivalRow, CheckRow, FaultRow, SessionRow};
use weir_schemas::rollup::{ExporterRow, FLOWS, InterfaceRow, LinkRow, RateRow};
use weir_schemas::value::{Slot, Time};
use weir_schemas::{Batch, Direction, Flow, FlowKind, Ip, Observation, Protocol, RateSource, SamplingKind};
use weir_store::Store;

/// A name that a router could make up.
const HOSTILE: &str = "it's \\ \"quoted\"\t; DROP TABLE weir.flows -- {x:String} ?";

const EDGE: Ip = Ip::v4([192, 0, 2, 1]);
const SWITCH: Ip = Ip::v4([192, 0, 2, 2]);
const GONE: Ip = Ip::v4([192, 0, 2, 3]);

async fn flows(store: &mut Store, exporter: Ip, flows: &[Flow<'_>]) {
    let (batch, mut rows) = (Batch { exporter, ..Batch::default() }, Vec::new());
    for flow in flows {
        batch.put_row(&mut rows);
        flow.put_row(&mut rows);
    }
    store.insert(&FLOWS, rows.into(), &format!("{exporter:?}")).await.unwrap();
}

fn received(seconds: u32) -> Time {
    Time(i64::from(seconds) * 1_000_000_000)
}

async fn fill(store: &mut Store, now: u32) {
    let ingress = Flow {
        received: received(now - 60),
        protocol: Protocol::Ipfix,
        flow_kind: FlowKind::Flow,
        observation: Observation::Ingress,
        bytes: Some(1000),
        sampling_interval: 100_000,
        sampling_kind: SamplingKind::Packet,
        rate_source: RateSource::Sampler,
        ..Flow::default()
    };
    let unknown = Flow { sampling_interval: 0, rate_source: RateSource::Unknown, flags: 1 << 2, ..ingress };
    let old = Flow { received: received(now - 3700), protocol: Protocol::NetflowV9, ..ingress };
    flows(store, EDGE, &[ingress, Flow { received: received(now - 5), ..ingress }, unknown, old]).await;
    let sample = Flow {
        protocol: Protocol::SflowV5,
        flow_kind: FlowKind::Sample,
        rate_source: RateSource::Record,
        observation: Observation::Egress,
        bytes: None,
        ..ingress
    };
    let discard = Flow { flow_kind: FlowKind::Discard, bytes: Some(7), ..sample };
    flows(store, SWITCH, &[sample, discard]).await;

    let side = LinkRow {
        time: Slot(now / 3600 * 3600),
        exporter: EDGE,
        if_index: 1,
        direction: Direction::In,
        observation: Observation::Ingress,
        family: 4,
        flows: 3,
        ..LinkRow::default()
    };
    let out = LinkRow { if_index: 2, direction: Direction::Out, family: 6, ..side };
    let mut rows = Vec::new();
    for side in [
        side,
        LinkRow { time: Slot(side.time.0 - 7200), flows: 2, ..side },
        // Too long ago.
        LinkRow { time: Slot(side.time.0 - 90_000), if_index: 9, ..side },
        out,
        LinkRow { observation: Observation::Egress, flows: 1, ..out },
        LinkRow { observation: Observation::Unknown, flows: 4, ..out },
        // Taken back by a redecode.
        LinkRow { if_index: 3, flows: 5, ..side },
        LinkRow { if_index: 3, flows: -5, asn: 1, ..side },
        LinkRow { exporter: GONE, time: Slot(side.time.0 - 10 * 86_400), ..side },
    ] {
        rows.push(side);
    }
    put_sides(store, &rows).await;

    let mut rows = Vec::new();
    for (exporter, name, version) in [(EDGE, "before", 1), (EDGE, HOSTILE, 2), (GONE, "gone", 1)] {
        ExporterRow { exporter, name, version, ..ExporterRow::default() }.put_row(&mut rows);
    }
    put(store, "exporters", rows).await;
    let mut rows = Vec::new();
    for (if_index, name) in [(1, "et-0/0/1"), (2, HOSTILE), (7, "idle")] {
        InterfaceRow {
            exporter: EDGE,
            if_index,
            name,
            description: "to X",
            version: 1,
            ..InterfaceRow::default()
        }
        .put_row(&mut rows);
    }
    put(store, "interfaces", rows).await;
    let rate = RateRow {
        exporter: EDGE,
        observation_domain: 5,
        rate_source: RateSource::Sampler,
        scope: 1,
        sampling_interval: 1_000_000,
        sampling_kind: SamplingKind::Packet,
        valid_from: received(now - 5000),
        version: 1,
        ..RateRow::default()
    };
    let mut rows = Vec::new();
    rate.put_row(&mut rows);
    RateRow { sampling_interval: 100_500, valid_from: received(now - 4000), ..rate }.put_row(&mut rows);
    put(store, "rates", rows).await;
    told(store, now).await;
}

/// What two decoders told, one after the other: the first has counted since long before the hour.
async fn told(store: &mut Store, now: u32) {
    let minute = now / 60 * 60;
    let (first, second) = (received(now - 9000), received(now - 1000));
    let (mut arrivals, mut sessions) = (Vec::new(), Vec::new());
    let (mut faults, mut checks) = (Vec::new(), Vec::new());
    for (since, ago, datagrams, arrived, missing, restarts) in [
        (first, 7200, 40, 400, 1, 7),
        (first, 3600, 100, 1000, 10, 7),
        (first, 1800, 200, 2000, 15, 8),
        (second, 600, 50, 500, 5, 0),
    ] {
        let time = Slot(minute - ago);
        let parked_sets = u64::from(ago == 600);
        ArrivalRow {
            exporter: EDGE,
            since,
            time,
            datagrams,
            templates: 4,
            parked_sets,
            version: 1,
            ..ArrivalRow::default()
        }
        .put_row(&mut arrivals);
        SessionRow {
            exporter: EDGE,
            protocol: Protocol::Ipfix,
            observation_domain: 5,
            source_port: 50_000,
            unit: "records",
            since,
            time,
            received: arrived,
            missing,
            restarts,
            version: 1,
            ..SessionRow::default()
        }
        .put_row(&mut sessions);
    }
    for (ago, letters) in [(7200, 3), (3600, 5), (1800, 5)] {
        let time = Slot(minute - ago);
        FaultRow {
            exporter: EDGE,
            reason: "truncated",
            since: first,
            time,
            letters,
            version: 1,
            ..FaultRow::default()
        }
        .put_row(&mut faults);
        let name = "frames_without_fcs";
        CheckRow {
            exporter: EDGE,
            name,
            since: first,
            time,
            sum: letters * 10,
            version: 1,
            ..CheckRow::default()
        }
        .put_row(&mut checks);
    }
    for (name, rows) in
        [("arrivals", arrivals), ("sessions", sessions), ("faults", faults), ("checks", checks)]
    {
        put(store, name, rows).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn of_each_exporter_what_is_stored_is_told_and_nothing_else() {
    engine::with(async |mut store, ending| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
        assert_eq!(ask(&store, now).await.unwrap().exporters, []);
        fill(&mut store, now).await;
        let answer = ask(&store, now).await.unwrap();
        assert_eq!((answer.at, answer.left_out), (now, 0));
        let addresses: Vec<_> = answer.exporters.iter().map(|one| one.address.as_str()).collect();
        assert_eq!(addresses, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
        let [edge, switch, gone] = &answer.exporters[..] else { panic!("{answer:?}") };
        the_border_router_has_all(edge, now);

        assert_eq!((switch.last_seen, switch.interfaces_seen), (Some(now - 60), 0));
        let hour = &switch.last_hour[0];
        assert_eq!((hour.protocol.as_str(), hour.observation.as_str()), ("sflow_v5", "egress"));
        assert_eq!((hour.flows, hour.bytes, hour.bytes_unknown_rate), (2, 0, 0), "discards carry nothing");
        assert_eq!(switch.applied[0].source, "record");

        let day = (now / 3600 * 3600) - 10 * 86_400;
        let expected = Exporter {
            address: "192.0.2.3".into(),
            name: "gone".into(),
            last_seen: Some(day),
            diagnoses: gone.diagnoses.clone(),
            ..Exporter::default()
        };
        assert_eq!(gone, &expected);
        let [silent] = &gone.diagnoses[..] else { panic!("{gone:?}") };
        assert_eq!((silent.code, silent.says.as_str()), ("silent", "its last flow came 10 days ago"));
        ending.end().await;
        assert!(ask(&store, now).await.is_err());
    })
    .await;
}

fn the_border_router_has_all(edge: &Exporter, now: u32) {
    assert_eq!((edge.name.as_str(), edge.last_seen), (HOSTILE, Some(now - 5)));
    let [hour] = &edge.last_hour[..] else { panic!("{edge:?}") };
    assert_eq!((hour.protocol.as_str(), hour.observation.as_str()), ("ipfix", "ingress"));
    assert_eq!((hour.flows, hour.observation_assumed), (3, 1));
    assert_eq!((hour.bytes, hour.bytes_unknown_rate), (200_000, 1000));
    let applied: Vec<_> =
        edge.applied.iter().map(|rate| (rate.source.as_str(), rate.interval, rate.flows)).collect();
    assert_eq!(applied, [("sampler", 100.0, 2), ("unknown", 0.0, 1)]);
    let [announced] = &edge.announced[..] else { panic!("{edge:?}") };
    assert_eq!((announced.observation_domain, announced.source.as_str(), announced.scope), (5, "sampler", 1));
    assert_eq!(
        (announced.interval, announced.sampling.as_str(), announced.since),
        (100.5, "packet", now - 4000)
    );
    assert_eq!((edge.interfaces, edge.interfaces_seen), (3, 2));
    assert_eq!(Vec::from_iter(&edge.families), [&4, &6]);
    let observed: Vec<_> = edge
        .observed
        .iter()
        .map(|one| (one.if_index, one.name.as_str(), [one.ingress, one.egress, one.elsewhere, one.unknown]))
        .collect();
    assert_eq!(observed, [(2, HOSTILE, [0, 1, 3, 4]), (1, "et-0/0/1", [5, 0, 0, 0])]);
    assert_eq!(edge.observed[0].description, "to X");
    what_was_told_of_it_is_summed_over_decoders(edge, now / 60 * 60);
}

fn what_was_told_of_it_is_summed_over_decoders(edge: &Exporter, minute: u32) {
    let arrivals = edge.arrivals.as_ref().unwrap();
    assert_eq!((arrivals.at, arrivals.datagrams), (minute - 540, 100 + 50));
    assert_eq!((arrivals.templates, arrivals.parked_sets), (4, 1));
    let [session] = &edge.sessions[..] else { panic!("{edge:?}") };
    assert_eq!(
        (session.protocol.as_str(), session.observation_domain, session.source_port),
        ("ipfix", 5, 50_000)
    );
    assert_eq!((session.received, session.missing, session.restarts), (1000 + 500, 5 + 5, 1));
    let [fault] = &edge.faults[..] else { panic!("{edge:?}") };
    assert_eq!((fault.reason.as_str(), fault.letters, fault.last), ("truncated", 5, minute - 3600));
    let [check] = &edge.checks[..] else { panic!("{edge:?}") };
    assert_eq!((check.name.as_str(), check.sum), ("frames_without_fcs", 50));
    let found: Vec<_> = edge.diagnoses.iter().map(|one| (one.code, one.severity)).collect();
    assert_eq!(
        found,
        [
            ("rate_unknown", Severity::Error),
            ("template_missing", Severity::Error),
            ("undecoded", Severity::Warning),
            ("frame_length", Severity::Warning),
            ("lost_few", Severity::Warning),
            ("egress_missing", Severity::Warning),
            ("ingress_missing", Severity::Warning),
            ("unclassified", Severity::Warning),
            ("observation_unknown", Severity::Note),
            ("restarted", Severity::Note),
        ]
    );
    assert_eq!(
        edge.diagnoses[4].says,
        "0.7 % of what it sent in the last hour did not arrive: 10 of 1510 records, by the sequence numbers of domain 5, port 50000"
    );
}
