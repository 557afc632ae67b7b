//! `weir-loadtest stack`: the stack as one foreground process, or detached, and how it is.

use super::{Network, Which, print, runtime, stop};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use weir_bus::EmbeddedConfig;
use weir_loadtest::generate::now_ns;
use weir_loadtest::history::{self, Past};
use weir_stack::local::{Options, Ports};
use weir_stack::{Description, Home, Local, Signal, kafka, scrape};

#[derive(Subcommand)]
pub enum Command {
    /// Starts everything and stays until SIGTERM or Ctrl-C, which end it in order.
    Up(Box<Up>),
    /// Ends a stack that runs.
    Down(Folder),
    /// Shows the processes of a stack, and what those that are not ready wait for.
    Status(Folder),
}

#[derive(Args)]
pub struct Folder {
    /// Folder of the stack.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Args)]
pub struct Up {
    #[command(flatten)]
    network: Network,
    /// Folder for data, logs, configuration and stack.json.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// One process that has it all, without Kafka: `weir standalone`.
    #[arg(long, conflicts_with_all = ["decoders", "sinks", "kafka_port", "kafka_heap_mb"])]
    standalone: bool,
    /// Processes of the decoder.
    #[arg(long, default_value_t = 1)]
    decoders: usize,
    /// Processes of the sink.
    #[arg(long, default_value_t = 1)]
    sinks: usize,
    /// Partitions of the topics; else Weir's default: 12 over Kafka, 4 in one process.
    #[arg(long)]
    bus_partitions: Option<usize>,
    /// The program weir; else $WEIR_BIN, else the one beside this program, else target/release/weir.
    #[arg(long, value_name = "PATH")]
    weir: Option<PathBuf>,
    /// Kafka's port.
    #[arg(long, default_value_t = 9092)]
    kafka_port: u16,
    /// Java heap of Kafka, MB.
    #[arg(long, default_value_t = 1024)]
    kafka_heap_mb: u32,
    /// Port of ClickHouse's HTTP interface.
    #[arg(long, default_value_t = 8123)]
    engine_port: u16,
    /// UDP ports for NetFlow, IPFIX, sFlow.
    #[arg(long, num_args = 3, value_delimiter = ',', value_name = "PORT", default_values_t = [2055, 4739, 6343])]
    ingest_ports: Vec<u16>,
    /// Take free ports for everything; stack.json says which.
    #[arg(long)]
    free_ports: bool,
    /// Configuration to lay over the stack's own; may be given several times.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Know the demo's network, which `generate --demo` sends the flows of: AS and country databases, names, links.
    #[arg(long, conflicts_with_all = ["exporters", "synthetic"])]
    demo: bool,
    /// Give that network a past of so many hours, where nothing is there yet: as raw records, which are decoded when it starts.
    #[arg(long, value_name = "HOURS", requires_all = ["standalone", "demo"])]
    history: Option<u32>,
    /// Flows a second of the past, in the busiest hour of the day.
    #[arg(long, default_value_t = 60.0, requires = "history")]
    history_rate: f64,
    /// Look ASes and countries up in the databases that scripts/fetch-asn.sh has fetched; --demo does so too.
    #[arg(long)]
    databases: bool,
    /// Return once everything is ready; `stack down` ends it.
    #[arg(long)]
    detach: bool,
    /// Seconds that each part may take to be ready.
    #[arg(long, default_value_t = 60)]
    patience_s: u64,
}

impl Command {
    pub fn run(self) -> Result<ExitCode> {
        match self {
            Self::Up(up) if up.detach => up.detach(),
            Self::Up(up) => up.stay(),
            Self::Down(folder) => down(&folder.dir),
            Self::Status(folder) => status(&folder.dir),
        }
    }
}

impl Up {
    fn options(&self) -> Result<Options> {
        let [a, b, c] = self.ingest_ports[..] else { bail!("--ingest-ports takes three ports") };
        let ports = if self.free_ports {
            Ports::free()?
        } else {
            Ports { kafka: self.kafka_port, engine: self.engine_port, ingest: [a, b, c], ..Ports::default() }
        };
        let read = |text: String, from: &str| {
            text.parse::<toml::Table>().with_context(|| format!("{from} is no TOML"))
        };
        let mut config = Vec::new();
        if self.demo || self.databases {
            config.push(read(databases()?, "the configuration of databases")?);
        }
        if self.demo {
            config.push(read(self.network.links(Which::Demo)?, "the configuration of links")?);
        }
        for path in &self.config {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
            config.push(read(text, &path.display().to_string())?);
        }
        Ok(Options {
            weir: self.weir.clone(),
            standalone: self.standalone,
            decoders: self.decoders,
            sinks: self.sinks,
            partitions: self.bus_partitions,
            ports,
            kafka: kafka::Options { heap_mb: self.kafka_heap_mb, ..kafka::Options::load() },
            config,
            patience: Duration::from_secs(self.patience_s),
            ..Options::new(&self.dir)
        })
    }

    fn stay(&self) -> Result<ExitCode> {
        if let Some(description) = running(&self.dir) {
            bail!("{} has a stack that runs already, process {}", self.dir.display(), description.pid);
        }
        let runtime = runtime()?;
        let stop = stop(&runtime, None)?;
        self.begin()?;
        let mut stack = Local::up(self.options()?)?;
        let description = stack.description();
        print(format_args!(
            "ready: NetFlow, IPFIX, sFlow to 127.0.0.1 UDP {:?}; {}ClickHouse {}; configuration {}\n",
            description.ingest,
            kafka(&description),
            description.clickhouse,
            description.config.display()
        ))?;
        while !stop.load(Ordering::Relaxed) {
            stack.expect_alive()?;
            std::thread::sleep(Duration::from_millis(100));
        }
        stack.down()?;
        Ok(ExitCode::SUCCESS)
    }

    /// Writes the past, if one is asked for.
    fn begin(&self) -> Result<()> {
        let Some(hours) = self.history else { return Ok(()) };
        let (world, to_ns) = (self.network.world(Which::Demo)?, now_ns());
        let from_ns = to_ns - i64::from(hours) * 3_600_000_000_000;
        let past = Past { from_ns, to_ns, rate: self.history_rate, seed: self.network.seed };
        let defaults = EmbeddedConfig::default();
        let partitions = self.bus_partitions.unwrap_or(defaults.partitions);
        let embedded = EmbeddedConfig { path: self.dir.join("bus"), partitions, ..defaults };
        if let Some(flows) =
            history::begin(embedded, &world, &self.network.exporters(&world, Which::Demo), &past)?
        {
            print(format_args!("a past of {hours} hours was written: {flows} flows\n"))?;
        }
        Ok(())
    }

    /// Starts this command once more, without `--detach`, in a process group of its own. Who ends this one before all is ready ends that one, too.
    fn detach(&self) -> Result<ExitCode> {
        std::fs::create_dir_all(&self.dir).with_context(|| format!("creating {}", self.dir.display()))?;
        let log = self.dir.join("stack.log");
        let output = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        let mut child = std::process::Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1).filter(|word| word != "--detach"))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0)
            .spawn()?;
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        let runtime = runtime()?;
        let stop = stop(&runtime, None)?;
        loop {
            if stop.load(Ordering::Relaxed) {
                weir_stack::signal(child.id(), Signal::Terminate)?;
                child.wait()?;
                bail!("told to stop before all was ready");
            }
            if child.try_wait()?.is_some() {
                bail!("{}", said().trim().trim_start_matches("weir-loadtest: "));
            }
            let ready = Description::read(&self.dir).is_ok_and(|one| one.ready && one.pid == child.id());
            if ready {
                print(said())?;
                return Ok(ExitCode::SUCCESS);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn databases() -> Result<String> {
    let part = |name, what| -> Result<String> {
        let path = Home::find().part(name, what, "scripts/fetch-asn.sh")?;
        Ok(toml::Value::String(path.canonicalize()?.display().to_string()).to_string())
    };
    Ok(format!(
        "[decoder.enrich.databases]\nasn = [{}, {}]\ncountry = [{}]\n",
        part("asn/asn-ipv4.csv", "The AS database")?,
        part("asn/asn-ipv6.csv", "The AS database")?,
        part("geo/geo-whois-asn-country.mmdb", "The country database")?,
    ))
}

fn kafka(description: &Description) -> String {
    description.kafka.as_ref().map_or_else(String::new, |kafka| format!("Kafka {kafka}; "))
}

/// The stack of a folder, if the process that holds it is there.
fn running(dir: &Path) -> Option<Description> {
    let description = Description::read(dir).ok()?;
    let command = std::fs::read(format!("/proc/{}/cmdline", description.pid)).ok()?;
    let own = command.split(|byte| *byte == 0).any(|word| word == b"stack");
    own.then_some(description)
}

fn down(dir: &Path) -> Result<ExitCode> {
    let Some(description) = running(dir) else { bail!("no stack runs in {}", dir.display()) };
    weir_stack::signal(description.pid, Signal::Terminate)?;
    let begun = Instant::now();
    while running(dir).is_some() {
        if begun.elapsed() > Duration::from_secs(180) {
            bail!(
                "the stack, process {}, does not end; see {}",
                description.pid,
                dir.join("stack.log").display()
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(ExitCode::SUCCESS)
}

fn status(dir: &Path) -> Result<ExitCode> {
    let Some(description) = running(dir) else { bail!("no stack runs in {}", dir.display()) };
    let mut all = ExitCode::SUCCESS;
    for part in &description.services {
        let alive = part.pid.is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists());
        let state = match part.admin.as_str() {
            _ if !alive => "does not run".to_owned(),
            "" => "runs".to_owned(),
            admin => match scrape::get(admin, "/readyz") {
                Ok((200, _)) => "ready".to_owned(),
                Ok((_, why)) => format!("not ready: {}", why.trim().replace('\n', "; ")),
                Err(error) => format!("does not answer at {admin}: {error}"),
            },
        };
        if state != "ready" && state != "runs" {
            all = ExitCode::FAILURE;
        }
        let pid = part.pid.map_or_else(String::new, |pid| pid.to_string());
        print(format_args!("{:<12} {pid:>8}  {:<16} {state}\n", part.name, part.admin))?;
    }
    print(format_args!(
        "{}ClickHouse {}; configuration {}\n",
        kafka(&description),
        description.clickhouse,
        description.config.display()
    ))?;
    Ok(all)
}
