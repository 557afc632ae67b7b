//! Kafka, the engine and any number of processes of each service on this machine, in one folder.
//!
//! Everything of it ends with the value that started it. What lies in the folder stays, so that the same stack can be started again.

use crate::kafka::{self, Kafka};
use crate::process::Process;
use crate::service::{Kind, Service, found, weir, weir_program};
use crate::{Error, Home, Result, io, ports};
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use toml::{Table, Value};

/// Ports to listen on.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// Kafka's.
    pub kafka: u16,
    /// ClickHouse's HTTP interface.
    pub engine: u16,
    /// Ingest's: NetFlow, IPFIX, sFlow.
    pub ingest: [u16; 3],
    /// The API's, of the one process that has it all.
    pub api: u16,
    /// Metrics and health of the one process that has it all, ingest, the first decoder, the first sink and the engine; further processes
    /// take free ones.
    pub admin: [u16; 5],
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            kafka: 9092,
            engine: 8123,
            ingest: [2055, 4739, 6343],
            api: 8480,
            admin: [9400, 9401, 9402, 9403, 9404],
        }
    }
}

impl Ports {
    /// Whatever is free.
    ///
    /// # Errors
    /// Where nothing is.
    pub fn free() -> Result<Self> {
        let mut free = [0; 11];
        for port in &mut free {
            *port = ports::free()?;
        }
        let [kafka, engine, api, a, b, c, admin @ ..] = free;
        Ok(Self { kafka, engine, ingest: [a, b, c], api, admin })
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder: data, logs, configuration, `stack.json`.
    pub dir: PathBuf,
    /// The program `weir`; none: [`weir_program`].
    pub weir: Option<PathBuf>,
    /// One process that has it all, on the embedded bus and without Kafka: `weir standalone`.
    pub standalone: bool,
    /// Processes of the decoder.
    pub decoders: usize,
    /// Processes of the sink.
    pub sinks: usize,
    /// Partitions of the topics; `None`: Weir's default.
    pub partitions: Option<usize>,
    /// Ports.
    pub ports: Ports,
    /// Brokers; with three, every partition has three copies.
    pub brokers: usize,
    /// How they run.
    pub kafka: kafka::Options,
    /// Configuration that is laid over the stack's own, in this order.
    pub config: Vec<Table>,
    /// How long each part may take to be ready.
    pub patience: Duration,
}

impl Options {
    /// One process of each service, usual ports.
    pub fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            weir: None,
            standalone: false,
            decoders: 1,
            sinks: 1,
            partitions: None,
            ports: Ports::default(),
            brokers: 1,
            kafka: kafka::Options::load(),
            config: Vec::new(),
            patience: Duration::from_secs(60),
        }
    }
}

/// What `stack.json` says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    /// The process that holds the stack.
    pub pid: u32,
    /// True once every part was ready.
    pub ready: bool,
    /// The configuration file.
    pub config: PathBuf,
    /// The program `weir`.
    pub weir: PathBuf,
    /// Kafka's address; absent: it has none.
    pub kafka: Option<String>,
    /// URL of ClickHouse.
    pub clickhouse: String,
    /// Ingest's UDP ports: NetFlow, IPFIX, sFlow.
    pub ingest: [u16; 3],
    /// Processes.
    pub services: Vec<Part>,
}

/// A process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// Name.
    pub name: String,
    /// Process id; absent: it does not run.
    pub pid: Option<u32>,
    /// Address of its metrics and health; empty: it has none.
    pub admin: String,
    /// Its output.
    pub log: PathBuf,
}

impl Description {
    /// Of the stack in a folder.
    ///
    /// # Errors
    /// Where there is none.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join("stack.json");
        let text = fs::read(&path).map_err(io(format!("reading {}", path.display())))?;
        serde_json::from_slice(&text).map_err(|error| io(format!("reading {}", path.display()))(error.into()))
    }

    /// Metrics of ingest, for a paced generator.
    pub fn ingest_metrics(&self) -> Option<&str> {
        let ingests = |name: &str| [Kind::Ingest, Kind::Standalone].iter().any(|kind| kind.word() == name);
        self.services.iter().find(|part| ingests(&part.name)).map(|part| part.admin.as_str())
    }
}

/// A running stack.
#[derive(Debug)]
pub struct Local {
    options: Options,
    weir: PathBuf,
    config: PathBuf,
    brokers: Vec<Kafka>,
    services: Vec<Service>,
    ready: bool,
}

/// How long a service may drain, and a bit.
const DRAIN: Duration = Duration::from_secs(35);

impl Local {
    /// Starts everything and waits until all of it is ready. What was started ends again where something does not come up.
    ///
    /// # Errors
    /// A sentence that names the part, with the end of its output.
    pub fn up(options: Options) -> Result<Self> {
        let weir = options.weir.clone().map_or_else(weir_program, found)?;
        let library =
            Home::find().part("engine/libchdb.so", "The ClickHouse engine", "scripts/fetch-engine.sh")?;
        fs::create_dir_all(&options.dir).map_err(io(format!("creating {}", options.dir.display())))?;
        let dir = options.dir.canonicalize().map_err(io(format!("opening {}", options.dir.display())))?;
        let options = Options { dir, ..options };
        let config = options.dir.join("weir.toml");
        let (dir, kafka) = (
            options.dir.join("kafka"),
            kafka::Options { port: options.ports.kafka, ..options.kafka.clone() },
        );
        let brokers = match (options.standalone, options.brokers) {
            (true, _) => Vec::new(),
            (false, 1) => vec![Kafka::start(&dir, kafka)?],
            (false, count) => Kafka::cluster(&dir, &kafka, count)?,
        };
        let mut stack = Self { options, weir, config, brokers, services: Vec::new(), ready: false };
        let text = configuration(&stack.options, stack.bootstrap(), &library).to_string();
        write(&stack.config, &text)?;
        if stack.options.standalone { stack.start_one() } else { stack.start_each() }?;
        stack.ready = true;
        stack.describe()?;
        Ok(stack)
    }

    fn start_one(&mut self) -> Result<()> {
        let (patience, [port, ..]) = (self.options.patience, self.options.ports.admin);
        self.start(Kind::Standalone, Kind::Standalone.word(), port)?.wait_ready(patience)
    }

    fn start_each(&mut self) -> Result<()> {
        let stack = self;
        let patience = stack.options.patience;
        let [_, ingest, decoder, sink, engine] = stack.options.ports.admin;
        stack.start(Kind::Engine, "engine", engine)?.wait_ready(patience)?;
        stack.once("topics")?;
        stack.once("migrate")?;
        stack.start(Kind::Ingest, "ingest", ingest)?;
        for (kind, count, first) in
            [(Kind::Decoder, stack.options.decoders, decoder), (Kind::Sink, stack.options.sinks, sink)]
        {
            for n in 0..count {
                let port = if n == 0 { first } else { ports::free()? };
                stack.start(kind, &format!("{}-{n}", kind.word()), port)?;
            }
        }
        stack.services.iter_mut().try_for_each(|service| service.wait_ready(patience))
    }

    fn start(&mut self, kind: Kind, name: &str, port: u16) -> Result<&mut Service> {
        let settings = match kind {
            Kind::Decoder | Kind::Sink => vec![format!("{}.instance={name}", kind.word())],
            Kind::Standalone => {
                let [.., engine] = self.options.ports.admin;
                vec![format!("runtime.admin.engine=127.0.0.1:{engine}")]
            }
            Kind::Ingest | Kind::Engine => Vec::new(),
        };
        let admin = format!("127.0.0.1:{port}");
        let log = self.options.dir.join(format!("{name}.log"));
        let mut service = Service::new(name, kind, &self.weir, &self.config, admin, &settings, log);
        service.start()?;
        self.services.push(service);
        self.describe()?;
        let last = self.services.len() - 1;
        Ok(&mut self.services[last])
    }

    /// Starts one more process of a service and waits until it is ready; gives its name.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn add(&mut self, kind: Kind) -> Result<String> {
        let n = self.services.iter().filter(|service| service.kind() == kind).count();
        let name = format!("{}-{n}", kind.word());
        let (port, patience) = (ports::free()?, self.options.patience);
        self.start(kind, &name, port)?.wait_ready(patience)?;
        Ok(name)
    }

    /// Ends the process of a service that was added last, in order, for good; the first one stays.
    ///
    /// # Errors
    /// As [`Service::stop`].
    pub fn remove(&mut self, kind: Kind) -> Result<()> {
        let of_kind = |service: &Service| service.kind() == kind;
        if self.services.iter().filter(|service| of_kind(service)).count() > 1
            && let Some(at) = self.services.iter().rposition(of_kind)
        {
            self.services.remove(at).stop(DRAIN)?;
        }
        self.describe()
    }

    /// Runs a subcommand of `weir` that ends by itself.
    ///
    /// # Errors
    /// [`Error::Ended`] with its output where it fails.
    pub fn once(&self, subcommand: &str) -> Result<()> {
        let log = self.options.dir.join(format!("{subcommand}.log"));
        let mut command = weir(&self.weir, &self.config);
        command.arg(subcommand);
        let name = format!("weir {subcommand}");
        let mut process = Process::start(&name, command, &log)?;
        let begun = Instant::now();
        loop {
            match process.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(_) => return process.expect_alive(),
                None if begun.elapsed() > self.options.patience => {
                    let waited = self.options.patience;
                    return Err(Error::Silent { name, address: "its own process".to_owned(), waited, log });
                }
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// What a subcommand of `weir` prints, with the stack's configuration.
    ///
    /// # Errors
    /// [`Error::Ended`] with what it says where it fails.
    pub fn weir(&self, subcommand: &str, arguments: &[&str]) -> Result<Vec<u8>> {
        let name = format!("weir {subcommand}");
        let output = weir(&self.weir, &self.config)
            .arg(subcommand)
            .args(arguments)
            .output()
            .map_err(io(format!("starting {name}")))?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Error::Ended {
            name,
            status: output.status.to_string(),
            log: self.config.clone(),
            tail: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// A service by its name: `ingest`, `engine`, `decoder-0`, `sink-0`, ….
    ///
    /// # Errors
    /// Where there is none of that name.
    pub fn service(&mut self, name: &str) -> Result<&mut Service> {
        let unknown = || io(format!("looking for {name} in the stack"))(std::io::ErrorKind::NotFound.into());
        self.services.iter_mut().find(|service| service.name() == name).ok_or_else(unknown)
    }

    /// The folder of the stack.
    pub fn dir(&self) -> &Path {
        &self.options.dir
    }

    /// All services.
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The brokers; none where all is one process.
    pub fn brokers(&mut self) -> &mut [Kafka] {
        &mut self.brokers
    }

    /// Kafka's addresses, where there are any.
    pub fn bootstrap(&self) -> Option<String> {
        let all: Vec<String> = self.brokers.iter().map(Kafka::bootstrap).collect();
        (!all.is_empty()).then(|| all.join(","))
    }

    /// URL of ClickHouse.
    pub fn clickhouse(&self) -> String {
        format!("http://127.0.0.1:{}", self.options.ports.engine)
    }

    /// Where flows are sent to: NetFlow, IPFIX, sFlow.
    pub fn ingest(&self) -> (Ipv4Addr, [u16; 3]) {
        (Ipv4Addr::LOCALHOST, self.options.ports.ingest)
    }

    /// Where the one process that has it all answers questions, as host and port.
    pub fn api(&self) -> String {
        format!("127.0.0.1:{}", self.options.ports.api)
    }

    /// The configuration file.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// An error that names the first part that ended by itself.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub fn expect_alive(&mut self) -> Result<()> {
        self.brokers.iter_mut().try_for_each(Kafka::expect_alive)?;
        self.services.iter_mut().try_for_each(Service::expect_alive)
    }

    /// What it is now.
    pub fn description(&self) -> Description {
        let part = |service: &Service| Part {
            name: service.name().to_owned(),
            pid: service.id(),
            admin: service.admin().to_owned(),
            log: service.log().to_owned(),
        };
        let several = self.brokers.len() > 1;
        let brokers = self.brokers.iter().enumerate().map(|(n, broker)| Part {
            name: if several { format!("kafka-{n}") } else { "kafka".to_owned() },
            pid: broker.id(),
            admin: String::new(),
            log: broker.log(),
        });
        Description {
            pid: std::process::id(),
            ready: self.ready,
            config: self.config.clone(),
            weir: self.weir.clone(),
            kafka: self.bootstrap(),
            clickhouse: self.clickhouse(),
            ingest: self.options.ports.ingest,
            services: brokers.chain(self.services.iter().map(part)).collect(),
        }
    }

    /// Writes `stack.json` anew, as after a restart.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn describe(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.description())
            .map_err(|error| io("writing stack.json")(error.into()))?;
        write(&self.options.dir.join("stack.json"), &text)
    }

    /// Ends everything in order: what makes work first, what takes it last.
    ///
    /// # Errors
    /// Of the first that did not end in order; all others are ended all the same.
    pub fn down(mut self) -> Result<()> {
        let mut outcome = Ok(());
        for kind in [Kind::Ingest, Kind::Decoder, Kind::Sink, Kind::Engine, Kind::Standalone] {
            for service in self.services.iter_mut().filter(|service| service.kind() == kind) {
                outcome = outcome.and(service.stop(DRAIN));
            }
        }
        let count = self.brokers.len();
        for (ended, broker) in self.brokers.iter_mut().enumerate() {
            // Once most of them have ended, nobody is left to let the others go.
            let ending = if 2 * (count - ended) > count { broker.stop() } else { broker.kill() };
            outcome = outcome.and(ending);
        }
        let path = self.options.dir.join("stack.json");
        outcome.and(fs::remove_file(&path).map_err(io(format!("removing {}", path.display()))))
    }
}

/// Writes a file whole or not at all.
fn write(path: &Path, text: &str) -> Result<()> {
    let part = path.with_extension("part");
    fs::write(&part, text)
        .and_then(|()| fs::rename(&part, path))
        .map_err(io(format!("writing {}", path.display())))
}

/// The stack's own configuration with the given ones over it.
fn configuration(options: &Options, bootstrap: Option<String>, library: &Path) -> Table {
    let text = |text: String| Value::String(text);
    let number = |n: usize| Value::Integer(n as i64);
    let table = |entries: Vec<(&str, Value)>| {
        Value::Table(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    };
    let Ports { kafka, engine, ingest, api, .. } = options.ports;
    // One process has no brokers, and the key a default that is right for none.
    let bootstrap = bootstrap.unwrap_or_else(|| format!("127.0.0.1:{kafka}"));
    let path = |path: &Path| text(path.display().to_string());
    let ports = Value::Array(ingest.iter().map(|port| number(usize::from(*port))).collect());
    let mut embedded = vec![("path", path(&options.dir.join("bus")))];
    let mut bus = vec![
        ("bootstrap_servers", text(bootstrap)),
        ("replication", number(if options.brokers < 3 { 1 } else { 3 })),
    ];
    if let Some(partitions) = options.partitions {
        let of = if options.standalone { &mut embedded } else { &mut bus };
        of.push(("partitions", number(partitions)));
    }
    bus.push(("embedded", table(embedded)));
    let mut config: Table = [
        ("bus", table(bus)),
        ("clickhouse", table(vec![("url", text(format!("http://127.0.0.1:{engine}")))])),
        (
            "engine",
            table(vec![
                ("library", path(library)),
                ("data", path(&options.dir.join("engine"))),
                ("listen", text(format!("127.0.0.1:{engine}"))),
            ]),
        ),
        ("ingest", table(vec![("ports", ports)])),
        (
            "api",
            table(vec![
                ("listen", text(format!("127.0.0.1:{api}"))),
                ("tokens_file", path(&options.dir.join("tokens.toml"))),
            ]),
        ),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    options.config.iter().for_each(|over| lay_over(&mut config, over));
    config
}

/// Tables are laid over tables; everything else takes the place of what was there.
fn lay_over(under: &mut Table, over: &Table) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => lay_over(under, over),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_configuration_lies_over_the_stacks_own_key_by_key() {
        let over: Table = "[bus]\nsession_timeout_ms = 6000\n[decoder]\nworkers = 1\n".parse().unwrap();
        let options = Options { config: vec![over], ..Options::new(Path::new("/somewhere")) };
        let config = configuration(&options, None, Path::new("/lib.so"));
        assert_eq!(config["bus"]["session_timeout_ms"].as_integer(), Some(6000));
        assert_eq!(config["bus"]["bootstrap_servers"].as_str(), Some("127.0.0.1:9092"));
        assert_eq!(config["decoder"]["workers"].as_integer(), Some(1));
        assert_eq!(config["engine"]["data"].as_str(), Some("/somewhere/engine"));
    }

    #[test]
    fn partitions_are_those_of_the_bus_that_is_used() {
        let partitions = |standalone, partitions| {
            let options = Options { standalone, partitions, ..Options::new(Path::new("/somewhere")) };
            let config = configuration(&options, None, Path::new("/lib.so"));
            let of = |bus: &Value| bus.get("partitions").and_then(Value::as_integer);
            (of(&config["bus"]), of(&config["bus"]["embedded"]))
        };
        assert_eq!(partitions(false, Some(3)), (Some(3), None));
        assert_eq!(partitions(true, Some(3)), (None, Some(3)));
        assert_eq!(partitions(true, None), (None, None));
    }

    #[test]
    fn a_part_that_is_missing_is_named_with_what_makes_it() {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { weir: Some("/nowhere/weir".into()), ..Options::new(dir.path()) };
        let told = Local::up(options).unwrap_err().to_string();
        assert!(
            told.contains("run cargo build --release -p weir") || told.contains("scripts/fetch-"),
            "{told}"
        );
    }
}
