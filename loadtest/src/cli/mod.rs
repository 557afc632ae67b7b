//! The command line: what each subcommand takes.

mod questions;
mod run;
mod size;
mod stack;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use std::fmt::{Display, Write as _};
use std::io::{ErrorKind, Write as _};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use weir_loadtest::demo;
use weir_loadtest::generate::{Bounds, Generator, Options};
use weir_loadtest::ledger::Ledger;
use weir_loadtest::network::{Exporter, links_toml, network};
use weir_loadtest::verify::{Patience, Verdict, verify};
use weir_loadtest::world::World;
use weir_stack::{Description, Home};
use weir_store::{Config, Store};

/// Generates flow traffic with a ledger, holds ClickHouse against the ledger, and runs the stack on one machine.
#[derive(Parser)]
#[command(name = "weir-loadtest", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Sends the flows of a network that could be, and keeps a ledger of them.
    Generate(Generate),
    /// Compares ClickHouse with a ledger, and rollups with flows, exactly. Ends with 0: pass, 1: fail, 2: invalid, 3: error.
    Verify(Verify),
    /// Shows the top ASes by link of a ledger: what `weir query` should show.
    Top(Top),
    /// Prints the configuration that names the generated network's exporters, interfaces and links for the decoder.
    Links(Network),
    /// Runs load tests with a verdict and a report: on a stack of this machine that it starts, or on one that is there.
    Run(Box<run::Run>),
    /// Says how large an installation has to be, computed from what load tests measured.
    Size(size::Size),
    /// Times the questions of the API's pages on a stack that was filled before, cold and warm.
    Questions(questions::Questions),
    /// Lists the load tests that come with this program.
    Scenarios,
    /// Starts, ends and shows Kafka, the engine and the services on this machine.
    #[command(subcommand)]
    Stack(stack::Command),
}

/// The network whose traffic is generated.
#[derive(Args, Clone, Debug)]
pub struct Network {
    /// Routers that export, of eight kinds in turn.
    #[arg(long, default_value_t = 8)]
    exporters: usize,
    /// Address of the first one; the others follow. On loopback every 127.x.y.z can be sent from.
    #[arg(long, default_value = "127.64.0.1")]
    first_address: Ipv4Addr,
    /// ASes that there is traffic with.
    #[arg(long, default_value_t = 4000)]
    ases: usize,
    /// Files of lines `first,last,asn,name`; those of scripts/fetch-asn.sh unless given.
    #[arg(long, value_name = "FILE")]
    asn: Vec<PathBuf>,
    /// Two hundred made-up ASes instead of a database.
    #[arg(long, conflicts_with = "asn")]
    synthetic: bool,
    /// Seed of all that is random.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Which network that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    /// That of load tests: as many exporters as are asked for, which make collectors err.
    Generated,
    /// The one to be looked at.
    Demo,
}

impl Which {
    fn of(demo: bool) -> Self {
        if demo { Self::Demo } else { Self::Generated }
    }
}

#[derive(Args)]
struct Generate {
    #[command(flatten)]
    network: Network,
    /// Folder of a stack started by `stack up`: gives ports and metrics of ingest.
    #[arg(long, value_name = "DIR")]
    stack: Option<PathBuf>,
    /// Address of ingest.
    #[arg(long, default_value = "127.0.0.1")]
    target: IpAddr,
    /// UDP ports for NetFlow, IPFIX, sFlow.
    #[arg(long, num_args = 3, value_delimiter = ',', value_name = "PORT", default_values_t = [2055, 4739, 6343])]
    ports: Vec<u16>,
    /// Address of ingest's metrics, by which sending is paced.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9401")]
    ingest_metrics: String,
    /// Send without asking ingest what it received; what is lost on the way is not known then.
    #[arg(long)]
    unpaced: bool,
    /// Most datagrams on the way.
    #[arg(long, default_value_t = 4000)]
    window: u64,
    /// Flows a second; with --daily in the busiest hour.
    #[arg(long, default_value_t = 1000.0)]
    rate: f64,
    /// Follow the time of day.
    #[arg(long)]
    daily: bool,
    /// End after so many flows.
    #[arg(long)]
    flows: Option<u64>,
    /// End after so many seconds.
    #[arg(long, value_name = "SECONDS")]
    duration: Option<f64>,
    /// The network of `stack up --demo`, as if it just ran: it follows the time of day, without end.
    #[arg(long, conflicts_with_all = ["flows", "duration", "exporters", "synthetic"])]
    demo: bool,
    /// Where the ledger goes.
    #[arg(long, value_name = "FILE", default_value = "ledger.json")]
    ledger: PathBuf,
}

#[derive(Args)]
struct Verify {
    /// The ledger.
    #[arg(long, value_name = "FILE", default_value = "ledger.json")]
    ledger: PathBuf,
    /// Folder of a stack started by `stack up`: gives ClickHouse's URL.
    #[arg(long, value_name = "DIR")]
    stack: Option<PathBuf>,
    /// ClickHouse.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8123")]
    clickhouse: String,
    /// Its database.
    #[arg(long, default_value = "weir")]
    database: String,
    /// Seconds without a new row after which nothing more is waited for.
    #[arg(long, default_value_t = 30)]
    quiet_s: u64,
    /// Seconds after which nothing more is waited for in any case.
    #[arg(long, default_value_t = 300)]
    wait_s: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Top {
    /// The ledger.
    #[arg(long, value_name = "FILE", default_value = "ledger.json")]
    ledger: PathBuf,
    /// Lines.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Network {
    fn world(&self, which: Which) -> Result<World> {
        match which {
            Which::Generated => self.all(),
            Which::Demo => demo::world(self.all()?),
        }
    }

    fn all(&self) -> Result<World> {
        if self.synthetic {
            return Ok(World::synthetic(self.seed));
        }
        let mut files = self.asn.clone();
        if files.is_empty() {
            for name in ["asn/asn-ipv4.csv", "asn/asn-ipv6.csv"] {
                files.push(Home::find().part(
                    name,
                    "The AS database",
                    "scripts/fetch-asn.sh, or take --synthetic",
                )?);
            }
        }
        let files: Vec<_> = files.iter().map(PathBuf::as_path).collect();
        World::read(&files, self.ases, self.seed)
    }

    fn exporters(&self, world: &World, which: Which) -> Vec<Exporter> {
        match which {
            Which::Generated => network(world, self.exporters, self.first_address),
            Which::Demo => demo::network(world, self.first_address),
        }
    }

    /// The configuration that names it.
    fn links(&self, which: Which) -> Result<String> {
        let exporters = self.exporters(&self.world(which)?, which);
        Ok(match which {
            Which::Generated => links_toml(&exporters),
            Which::Demo => demo::links_toml(&exporters),
        })
    }
}

impl Arguments {
    /// Does it.
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Generate(generate) => generate.run(),
            Command::Verify(verify) => verify.run(),
            Command::Top(top) => top.run(),
            Command::Links(network) => {
                print(network.links(Which::Generated)?)?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Run(run) => run.run(),
            Command::Size(size) => size.run(),
            Command::Questions(questions) => questions.run(),
            Command::Scenarios => run::list(),
            Command::Stack(command) => command.run(),
        }
    }
}

/// Prints. A reader that has seen enough, such as `head`, is no failure, and takes nothing from the verdict or the stack that goes on.
fn print(text: impl Display) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        done => done.context("standard output can't be written"),
    }
}

/// A runtime for what waits: signals, ClickHouse.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().context("no threads")
}

/// Is set by SIGTERM and SIGINT, as long as the runtime lives. Whoever still has something to do then says so; a second signal ends the
/// process, and what it started ends with it.
fn stop(runtime: &tokio::runtime::Runtime, still: Option<&'static str>) -> Result<Arc<AtomicBool>> {
    let told = Arc::new(AtomicBool::new(false));
    let _inside = runtime.enter();
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let (mut signals, told) = (signal(kind)?, Arc::clone(&told));
        runtime.spawn(async move {
            while signals.recv().await.is_some() {
                let again = told.swap(true, Ordering::Relaxed);
                match still {
                    Some(_) if again => std::process::exit(130),
                    Some(still) => eprintln!("{still}. A second signal ends it at once."),
                    None => {}
                }
            }
        });
    }
    Ok(told)
}

impl Generate {
    fn run(self) -> Result<ExitCode> {
        let runtime = runtime()?;
        let stop = stop(&runtime, None)?;
        let stack = self.stack.as_deref().map(Description::read).transpose()?;
        let [a, b, c] = self.ports[..] else { anyhow::bail!("--ports takes three ports") };
        let metrics = stack.as_ref().and_then(Description::ingest_metrics).unwrap_or(&self.ingest_metrics);
        let options = Options {
            target: self.target,
            ports: stack.as_ref().map_or([a, b, c], |stack| stack.ingest),
            ingest_metrics: (!self.unpaced).then(|| metrics.to_owned()),
            window: self.window,
            rate: self.rate,
            daily: self.daily || self.demo,
            seed: self.network.seed,
            ledger: Some(self.ledger.clone()),
            ..Options::default()
        };
        let which = Which::of(self.demo);
        let world = self.network.world(which)?;
        let exporters = self.network.exporters(&world, which);
        eprintln!(
            "{} exporters from {} on, {} ASes, {} flows/s to {}",
            exporters.len(),
            self.network.first_address,
            world.ases().len(),
            self.rate,
            self.target
        );
        let mut generator = Generator::new(&options, &world, &exporters)?;
        let duration = self.duration.map(Duration::from_secs_f64);
        generator.run(Bounds { flows: self.flows, duration }, &stop)?;
        let ledger = generator.ledger();
        let total = ledger.total();
        print(format_args!(
            "sent {} flows, {} bytes, {} packets in {} datagrams; the ledger is {}\n",
            total.flows,
            total.bytes,
            total.packets,
            ledger.datagrams + ledger.control_datagrams,
            self.ledger.display()
        ))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Verify {
    fn run(self) -> Result<ExitCode> {
        let ledger = Ledger::load(&self.ledger)?;
        let stack = self.stack.as_deref().map(Description::read).transpose()?;
        let url = stack.map_or(self.clickhouse, |stack| stack.clickhouse);
        let store = Store::new(&Config { url, database: self.database, ..Config::default() })?;
        let patience = Patience {
            quiet: Duration::from_secs(self.quiet_s),
            most: Duration::from_secs(self.wait_s),
            ..Patience::default()
        };
        let report = runtime()?.block_on(verify(&ledger, &store, patience))?;
        if self.json {
            print(serde_json::to_string_pretty(&report)? + "\n")?;
        } else {
            print(format_args!("{report}\n"))?;
        }
        Ok(ExitCode::from(match report.verdict {
            Verdict::Pass => 0,
            Verdict::Fail => 1,
            Verdict::Invalid => 2,
        }))
    }
}

impl Top {
    fn run(self) -> Result<ExitCode> {
        let mut top = Ledger::load(&self.ledger)?.top();
        top.truncate(self.limit);
        if self.json {
            print(serde_json::to_string_pretty(&top)? + "\n")?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = String::new();
        writeln!(
            table,
            "{:<28} {:<4} {:>8} {:<32} {:>18} {:>16} {:>10}",
            "link", "dir", "AS", "name", "bytes", "of unknown rate", "flows"
        )?;
        for one in top {
            let name: String = one.name.chars().take(32).collect();
            writeln!(
                table,
                "{:<28} {:<4} {:>8} {name:<32} {:>18} {:>16} {:>10}",
                one.link, one.direction, one.asn, one.bytes, one.bytes_unknown_rate, one.flows
            )?;
        }
        print(table)?;
        Ok(ExitCode::SUCCESS)
    }
}
