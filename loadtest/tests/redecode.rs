//! A window of `weir.raw` decoded again after the AS database was replaced: new ASes in `flows` and every rollup, bytes as they were,
//! nothing doubled or lost; also with traffic meanwhile, and killed wherever.
#![allow(clippy::unwrap_used)]

mod support;
#[path = "support/up.rs"]
mod up;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use support::alone;
use up::{block_on, store, up};
use weir_loadtest::generate::{Bounds, Generator, Options, now_ns};
use weir_loadtest::ledger::{Ledger, Side};
use weir_loadtest::network::{Exporter, links_toml, network};
use weir_loadtest::run::Ends;
use weir_loadtest::verify::{Patience, Verdict, verify};
use weir_loadtest::world::World;
use weir_stack::{Local, local};

const SEED: u64 = 6;
const LONG: Duration = Duration::from_secs(90);
static NEVER: AtomicBool = AtomicBool::new(false);

/// The world's database with every AS number raised by `more`.
fn database(world: &World, more: u32) -> String {
    let raised = |line: &str| {
        let fields: Vec<_> = line.splitn(4, ',').collect();
        format!("{},{},{},{}\n", fields[0], fields[1], fields[2].parse::<u32>().unwrap() + more, fields[3])
    };
    world.csv().lines().map(raised).collect()
}

/// What the ledger says where every AS number is raised by `more`.
fn raised(ledger: &Ledger, more: u32) -> Ledger {
    let mut ledger = ledger.clone();
    for account in &mut ledger.exporters {
        let sides = std::mem::take(&mut account.sides);
        let side = |side: Side| Side { asn: if side.asn == 0 { 0 } else { side.asn + more }, ..side };
        account.sides = sides.into_iter().map(|(key, sum)| (side(key), sum)).collect();
    }
    ledger
}

fn stack(dir: &Path, world: &World, exporters: &[Exporter]) -> Local {
    let options = local::Options { standalone: true, partitions: Some(4), ..local::Options::new(dir) };
    let config = "[sink]\nbatch_ms = 700\n[decoder.enrich]\nreload_s = 1\nas_order = ['database']\n";
    up(options, world, &[config, &links_toml(exporters)])
}

fn holds(stack: &Local, ledger: &Ledger) {
    let patience = Patience { quiet: Duration::from_secs(15), most: LONG, ..Patience::default() };
    let report = block_on(verify(ledger, &store(stack), patience)).unwrap();
    println!("{report}");
    assert_eq!((report.lost, report.doubled), (0, 0), "{report}");
    assert_eq!(report.verdict, Verdict::Pass, "{report}");
}

/// Replaces the database, and waits until the decoder has it.
fn replace(stack: &mut Local, dir: &Path, text: &str) {
    const RELOADS: &str = "weir_decoder_database_reloads_total";
    let reloads = |stack: &mut Local| stack.service("standalone").unwrap().metrics().unwrap().sum(RELOADS);
    let before = reloads(stack);
    std::fs::write(dir.join("asn.new"), text).unwrap();
    std::fs::rename(dir.join("asn.new"), dir.join("asn.csv")).unwrap();
    let begun = Instant::now();
    while reloads(stack) <= before {
        assert!(begun.elapsed() < LONG, "the database is not taken");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// `weir redecode`, running.
fn redecode(stack: &Local, (from, to): (i64, i64), more: &[&str]) -> Child {
    let mut command = Command::new(stack.description().weir);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WEIR_")) {
        command.env_remove(name);
    }
    command.arg("--config").arg(stack.config()).arg("redecode");
    command.args(["--from", &from.to_string(), "--to", &to.to_string()]).args(more);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn done(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    println!("{text}");
    text
}

/// Reads what it says until a line begins with `text`, and lets a moment pass. True where it went on with what was cut off before.
fn heard(child: &mut Child, text: &str, moment: Duration) -> bool {
    let mut carries = false;
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        carries |= line.contains("carried through");
        if line.starts_with(text) {
            break;
        }
    }
    std::thread::sleep(moment);
    carries
}

/// What became of the redecodes, by phase.
fn phases(stack: &Local) -> String {
    #[derive(serde::Deserialize)]
    struct Told {
        told: String,
    }
    let sql = "SELECT toString(groupArray((generation, phase))) AS told FROM (SELECT * FROM weir.redecodes FINAL ORDER BY generation)";
    block_on(store(stack).query::<Told>(sql, &[])).unwrap().remove(0).told
}

/// The whole seconds in which something was received, once they are long enough ago.
fn window(from: i64) -> (i64, i64) {
    let window = (from / 1_000_000_000, now_ns() / 1_000_000_000 + 1);
    while now_ns() / 1_000_000_000 < window.1 + 60 {
        std::thread::sleep(Duration::from_millis(200));
    }
    window
}

#[test]
fn a_window_that_is_decoded_again_with_other_ases_has_them_everywhere_once_however_often_it_is_killed() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let world = World::synthetic(SEED);
    let exporters = network(&world, 8, Ipv4Addr::new(127, 81, 0, 1));
    let mut stack = stack(dir.path(), &world, &exporters);
    let options = Options {
        ports: stack.ingest().1,
        ingest_metrics: stack.description().ingest_metrics().map(str::to_owned),
        rate: 4000.0,
        seed: SEED,
        ..Options::default()
    };
    let mut generator = Generator::new(&options, &world, &exporters).unwrap();
    let begun = now_ns();
    let bounds = |seconds| Bounds { duration: Some(Duration::from_secs(seconds)), ..Bounds::default() };
    generator.run(bounds(15), &NEVER).unwrap();
    holds(&stack, generator.ledger());
    let first = window(begun);

    // Everything that is sent from here on has the new numbers by itself, in the same slots of the same hour.
    replace(&mut stack, dir.path(), &database(&world, 100_000));
    assert!(done(redecode(&stack, first, &["--dry-run"])).contains("nothing was changed"));
    holds(&stack, generator.ledger());
    let (stop, mut random) = (AtomicBool::new(false), StdRng::seed_from_u64(SEED));
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| generator.run(bounds(300), &stop).map_err(|error| format!("{error:#}")));
        let _ends = Ends(&stop);
        std::thread::sleep(Duration::from_secs(1));
        let (mut kills, mut carried) = (0, 0);
        for text in ["waiting", "exporter", "all ", "all ", "rollups", "", "all ", "rollups"] {
            let mut child = redecode(&stack, first, &[]);
            let moment = Duration::from_millis(random.random_range(0..60));
            carried += u32::from(heard(&mut child, text, moment));
            kills += u32::from(child.try_wait().unwrap().is_none());
            child.kill().unwrap();
            child.wait().unwrap();
        }
        println!("{kills} kills, {carried} times what was cut off was carried through: {}", phases(&stack));
        assert!(kills > 3, "hardly anything was killed");
        done(redecode(&stack, first, &[]));
        stop.store(true, Ordering::Relaxed);
        sending.join().unwrap().unwrap_or_else(|error| panic!("{error}"));
    });
    holds(&stack, &raised(generator.ledger(), 100_000));

    // All of it again, with the process killed that does it.
    let all = window(begun);
    replace(&mut stack, dir.path(), &database(&world, 200_000));
    for text in ["waiting", "all ", "rollups", "exporter", "all ", "rollups"] {
        let mut child = redecode(&stack, all, &[]);
        heard(&mut child, text, Duration::from_millis(random.random_range(0..150)));
        let service = stack.service("standalone").unwrap();
        service.kill().unwrap();
        child.wait().unwrap();
        service.start().unwrap();
        service.wait_ready(LONG).unwrap_or_else(|error| panic!("{error}"));
    }
    println!("{}", phases(&stack));
    done(redecode(&stack, all, &[]));
    holds(&stack, &raised(generator.ledger(), 200_000));
    stack.down().unwrap();
}
