//! The verifier on the real engine: it agrees with the sink's rollups over flows of all lengths, and tells a single flow or byte.
#![allow(clippy::unwrap_used)]

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use weir_loadtest::encode::{Clock, Encoder};
use weir_loadtest::generate::now_ns;
use weir_loadtest::ledger::{Ingest, Ledger};
use weir_loadtest::network::{Exporter, network};
use weir_loadtest::raw::{Received, Sent, print};
use weir_loadtest::traffic::Traffic;
use weir_loadtest::verify::{Cause, Patience, Report, Verdict, against_raw, verify};
use weir_loadtest::world::World;
use weir_schemas::frame::{Datagram, FrameWriter};
use weir_schemas::rollup::FLOWS;
use weir_schemas::{Batch, FlowKind, Ip, SamplingKind};
use weir_sink::rollup::Rollup;
use weir_stack::Home;
use weir_store::engine::{Engine, serve};
use weir_store::{Config, EngineConfig, Store};
use weir_wire::{Budget, Context, Fault, Interface, Options, Output, Rate};

const PATIENCE: Patience = Patience { quiet: Duration::ZERO, most: Duration::ZERO, settled: Duration::ZERO };

/// What is bent of one exporter.
#[derive(Clone, Copy, Default)]
struct Bent {
    /// The flow of this number is not stored.
    skipped: Option<usize>,
    /// The flow of this number is stored with another sampling interval.
    rated: Option<usize>,
    /// The datagram of this number is missed.
    missed: Option<i64>,
}

/// Rows of flows, and the rollups that the sink makes of them.
struct Rows<'w> {
    world: &'w World,
    exporter: Ip,
    rows: Vec<Vec<u8>>,
    rollup: Rollup,
    bent: Bent,
}

impl Output for Rows<'_> {
    fn flow(&mut self, flow: &weir_schemas::Flow<'_>) {
        let mut flow = *flow;
        // What the decoder's AS database would say.
        let asn = |address: &Ip| {
            let bits = u128::from_be_bytes(address.0);
            let four = bits >> 32 == 0xffff;
            let own =
                |n: u32| self.world.ases().iter().find(|one| one.number == n).map_or(0, |one| one.number);
            if four && (bits as u32) >> 17 == 0xc612_0000 >> 17 {
                own(20_001 + ((bits as u32 - 0xc612_0000) / 512) * 7)
            } else if bits >> 80 == 0x2001_0002_0000 {
                own(20_001 + ((bits >> 72) as u32 & 0xff) * 7)
            } else {
                0
            }
        };
        (flow.src_as, flow.dst_as) = (asn(&flow.src_addr), asn(&flow.dst_addr));
        // Kinds that the generated exporters don't send, so that sink and verifier are held together there too.
        match self.rows.len() % 13 {
            0 => flow.flow_kind = FlowKind::Discard,
            5 => flow.flow_kind = FlowKind::Event,
            7 => flow.sampling_kind = SamplingKind::Flow,
            _ => {}
        }
        if self.bent.rated == Some(self.rows.len()) {
            flow.sampling_interval += 1000;
        }
        if self.bent.skipped == Some(self.rows.len()) {
            return self.rows.push(Vec::new());
        }
        let mut row = Vec::new();
        Batch { exporter: self.exporter, ..Batch::default() }.put_row(&mut row);
        flow.put_row(&mut row);
        self.rows.push(row);
        self.rollup.add(self.exporter, &flow);
    }
    fn fault(&mut self, fault: Fault<'_>) {
        panic!("{}", fault.sentence);
    }
    fn state(&mut self, _: &[u8], _: Option<&[u8]>) {}
    fn interface(&mut self, _: Interface<'_>) {}
    fn rate(&mut self, _: Rate) {}
}

/// Decodes what an exporter sends over some minutes from the ledger's start on.
fn exchange<'w>(
    world: &'w World,
    n: usize,
    exporter: &Exporter,
    ledger: &mut Ledger,
    there: &mut Received,
    bent: Bent,
) -> Rows<'w> {
    let (mut traffic, mut encoder) = (Traffic::new(exporter, n, 3), Encoder::new(exporter, n, 50, 0));
    let mut decoder = weir_wire::Exporter::default();
    let (options, mut budget) = (Options::default(), Budget::new(1 << 20, 1 << 20));
    let address = Ip::from(IpAddr::from(exporter.address));
    let mut out = Rows { world, exporter: address, rows: Vec::new(), rollup: Rollup::default(), bent };
    let (mut random, mut told) = (StdRng::seed_from_u64(n as u64), Vec::new());
    let started = ledger.started_ns;
    for datagram in 0..180 {
        let now_ns = started + datagram * 3_100_000_000;
        let clock = Clock { now_ns, booted_ns: started - 86_400_000_000_000 };
        let mut payloads: Vec<_> =
            encoder.control(exporter, clock).into_iter().map(|(_, bytes)| bytes).collect();
        let flows: Vec<_> = (0..encoder.capacity()).map(|_| traffic.next(world, exporter)).collect();
        payloads.push(encoder.data(exporter, &flows, clock, &mut told));
        let received = now_ns + random.random_range(20_000..900_000);
        let missed = bent.missed == Some(datagram);
        for (index, payload) in payloads.iter().enumerate().filter(|_| !missed) {
            let context =
                Context { exporter: address, raw_offset: datagram as u64, frame_index: index as u32 };
            let datagram = Datagram { received, listener: 2055, source_port: 7, payload };
            decoder.decode(&context, &datagram, &options, &mut budget, &mut out);
            let mut frame = FrameWriter::default();
            assert!(frame.push(&datagram));
            there.take(&address.0, frame.as_bytes()).unwrap();
        }
        let minute = |ns: i64| ns.div_euclid(60_000_000_000) * 60;
        let entered = ledger.enter(n, &flows, &told, (minute(now_ns), minute(received)));
        let print = print(exporter.address, payloads.last().unwrap());
        ledger.journal.push(Sent::new(n, flows[0].tag, now_ns, print, &entered));
        ledger.ended_ns = now_ns;
    }
    out
}

/// Stores what eight exporters sent, one of them bent, or one of its flows doubled; gives what would lie in `weir.raw`, too.
/// It was half an hour ago: the engine drops what is older than the retention as it comes in.
async fn stored(url: &str, database: &str, bent: Bent, double: bool) -> (Store, Ledger, Received) {
    let config = Config { url: url.to_owned(), database: database.to_owned(), ..Config::default() };
    let mut store = Store::new(&config).unwrap();
    weir_store::migrate::migrate(&store).await.unwrap();
    let world = World::synthetic(1);
    let exporters = network(&world, 8, Ipv4Addr::new(127, 64, 0, 1));
    let mut ledger = Ledger::new(&exporters, 3, now_ns() - 1_800_000_000_000);
    let mut received = Received::default();
    for (n, exporter) in exporters.iter().enumerate() {
        let bent = if n == 2 { bent } else { Bent::default() };
        let rows = exchange(&world, n, exporter, &mut ledger, &mut received, bent);
        let mut all = rows.rows.concat();
        if double && n == 2 {
            all.extend_from_slice(&rows.rows[17]);
        }
        store.insert(&FLOWS, all.into(), &format!("{database}-{n}")).await.unwrap();
        for (table, rows) in rows.rollup.finish(1) {
            store
                .insert(table, rows.concat().into(), &format!("{database}-{n}-{}", table.name))
                .await
                .unwrap();
        }
    }
    (store, ledger, received)
}

fn wrong(report: &Report) -> Vec<(&str, u64)> {
    report.rollups.iter().filter(|one| one.wrong > 0).map(|one| (one.table.as_str(), one.wrong)).collect()
}

/// One test function, because one process has one engine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_lost_a_flow_doubled_and_a_byte_in_the_wrong_minute_are_each_told() {
    let folder = tempfile::tempdir().unwrap();
    let library = Home::find().part("engine/libchdb.so", "the engine", "scripts/fetch-engine.sh").unwrap();
    let config = EngineConfig { library, data: folder.path().to_owned(), ..EngineConfig::default() };
    let engine = tokio::task::spawn_blocking(move || Engine::start(&config).unwrap()).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(engine, listener, 1 << 30, stop.clone()));

    let (store, mut ledger, _) = stored(&url, "whole", Bent::default(), false).await;
    // Rollups of a run whose flows are beyond their retention concern nobody.
    for rollup in weir_schemas::rollup::ROLLUPS.iter().map(|rollup| rollup.name) {
        let before = format!(
            "INSERT INTO whole.{rollup} SELECT * REPLACE (time - INTERVAL 20 DAY AS time) FROM whole.{rollup}"
        );
        store.execute(&before).await.unwrap();
    }
    let report = verify(&ledger, &store, PATIENCE).await.unwrap();
    assert_eq!(report.verdict, Verdict::Pass, "{report}");
    assert!(report.sent > 18_000 && report.rollups.iter().all(|one| one.keys > 50), "{report}");
    assert!(report.rollups.iter().all(|one| one.expected == one.stored), "{report}");

    // Totals stay, one byte moves to another minute of the same side.
    let moved = "INSERT INTO whole.links_1m SELECT * REPLACE (time + 60 AS time, 1 AS bytes, 0 AS bytes_l2, 0 AS bytes_l2_estimated, \
                 0 AS packets, 0 AS flows, 0 AS q, 0 AS q_l2, 0 AS q_packets) FROM whole.links_1m ORDER BY bytes DESC LIMIT 1";
    store.execute(moved).await.unwrap();
    let report = verify(&ledger, &store, PATIENCE).await.unwrap();
    assert_eq!((report.verdict, wrong(&report)), (Verdict::Fail, vec![("links_1m", 1)]), "{report}");
    assert_eq!(report.rollups[0].examples.len(), 1);

    // What is wrong by itself fails whatever was missed.
    ledger.ingest = Some(Ingest { kernel_drops: 1, ..Ingest::default() });
    assert_eq!(verify(&ledger, &store, PATIENCE).await.unwrap().verdict, Verdict::Fail);

    let (store, mut ledger, _) =
        stored(&url, "lost", Bent { skipped: Some(40), ..Bent::default() }, false).await;
    let report = verify(&ledger, &store, PATIENCE).await.unwrap();
    assert_eq!((report.verdict, report.lost, report.doubled), (Verdict::Fail, 1, 0), "{report}");
    assert_eq!(wrong(&report), [], "{report}");
    assert!(report.exporters[2].faults.iter().any(|fault| fault == "the first flows lost: [40]"), "{report}");
    ledger.ingest = Some(Ingest { kernel_drops: 1, ..Ingest::default() });
    let verdict = verify(&ledger, &store, PATIENCE).await.unwrap().verdict;
    assert_eq!(verdict, Verdict::Invalid, "it may be the one that the kernel dropped");

    let (store, ledger, _) = stored(&url, "doubled", Bent::default(), true).await;
    let report = verify(&ledger, &store, PATIENCE).await.unwrap();
    assert_eq!((report.verdict, report.lost, report.doubled), (Verdict::Fail, 0, 1), "{report}");
    assert_eq!(
        wrong(&report).len(),
        weir_schemas::rollup::ROLLUPS.len(),
        "every rollup lacks what flows has twice: {report}"
    );
    assert!(
        report.exporters[2].faults.iter().any(|fault| fault.starts_with("the first flows doubled: 17 ")),
        "{report}"
    );

    // Where a datagram was missed, the same is told of what lies in weir.raw.
    let missed = Bent { missed: Some(7), ..Bent::default() };
    let (store, ledger, received) = stored(&url, "missed", missed, false).await;
    let (report, why) = against_raw(&ledger, &received, &[], &store, PATIENCE).await.unwrap();
    let told =
        |report: &Report| report.exporters.iter().flat_map(|one| one.faults.clone()).collect::<Vec<_>>();
    assert_eq!((told(&report), report.lost, report.doubled), (Vec::new(), 0, 0), "{report}");
    assert_eq!((report.verdict, why.of(Cause::Unexplained)), (Verdict::Invalid, 1), "{report}");

    let (store, ledger, received) = stored(&url, "rated", Bent { rated: Some(40), ..missed }, false).await;
    let (report, _) = against_raw(&ledger, &received, &[], &store, PATIENCE).await.unwrap();
    assert_eq!((report.verdict, report.lost, wrong(&report)), (Verdict::Fail, 0, vec![]), "{report}");
    assert!(told(&report)[0].starts_with("by sampling interval in thousandths: 2 differ"), "{report}");

    stop.cancel();
    serving.await.unwrap().unwrap();
}
