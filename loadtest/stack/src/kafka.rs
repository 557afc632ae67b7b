//! Real Kafka brokers on loopback, each a controller too: one, or several that hold copies of each other's partitions.
//!
//! A broker keeps its ports and its data over [`Kafka::kill`] and [`Kafka::restart`], so clients can be watched living through both.

use crate::process::{Process, Signal};
use crate::{Error, Home, Result, io, ports};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// How the broker runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Java heap, MB.
    pub heap_mb: u32,
    /// For tests: starts with half the CPU, runs slower later, is back quickly after a kill, and lets groups
    /// and transactions time out after a second.
    pub quick: bool,
    /// Port for clients; 0 takes a free one.
    pub port: u16,
}

impl Options {
    /// For tests.
    pub fn test() -> Self {
        Self { heap_mb: 384, quick: true, port: 0 }
    }

    /// For a stack that is put under load.
    pub fn load() -> Self {
        Self { heap_mb: 1024, quick: false, port: 0 }
    }
}

/// A broker, killed when dropped.
#[derive(Debug)]
pub struct Kafka {
    dir: PathBuf,
    libraries: PathBuf,
    options: Options,
    port: u16,
    /// Its number, from 1 on.
    node: usize,
    process: Option<Process>,
}

/// What both kinds have: one node that is everything.
const PROPERTIES: &str = "\
process.roles=broker,controller
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
";

/// Short times, and the broker's own rounds often enough for them.
const QUICK: &str = "\
group.min.session.timeout.ms=1000
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=2000
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
log.cleaner.backoff.ms=1000
num.recovery.threads.per.data.dir=1
background.threads=2
";

const LOG4J: &str = "\
status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c: %m%n
rootLogger.level=info
rootLogger.appenderRef.out.ref=out
";

/// How long a broker may take to answer.
const LIMIT: Duration = Duration::from_secs(60);

const CLUSTER: &str = "d2VpcndlaXJ3ZWlyd2Vpcg";

impl Kafka {
    /// Starts a broker with its data, settings and output in `dir`, and waits until it answers. What lies in `dir` from before is kept.
    ///
    /// # Errors
    /// [`Error::Missing`] where Kafka or Java is; another error where it does not come up.
    pub fn start(dir: &Path, options: Options) -> Result<Self> {
        let mut kafka = Self::prepare(dir, options, 1, &[ports::free()?])?;
        kafka.restart()?;
        Ok(kafka)
    }

    /// Starts so many brokers in folders of their own below `dir`. With three or more, Kafka's own topics have three copies, of which two
    /// must have a record. `options.port` is that of the first.
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub fn cluster(dir: &Path, options: &Options, count: usize) -> Result<Vec<Self>> {
        let controllers = (0..count).map(|_| ports::free()).collect::<Result<Vec<_>>>()?;
        let mut brokers = Vec::new();
        for node in 1..=count {
            let port = if node == 1 { options.port } else { 0 };
            let options = Options { port, ..options.clone() };
            brokers.push(Self::prepare(&dir.join(format!("broker-{node}")), options, node, &controllers)?);
        }
        // None answers before most of them run.
        brokers.iter_mut().try_for_each(Self::spawn)?;
        brokers.iter_mut().try_for_each(|broker| broker.wait(LIMIT))?;
        Ok(brokers)
    }

    fn prepare(dir: &Path, options: Options, node: usize, controllers: &[u16]) -> Result<Self> {
        let libraries = Home::find().part("kafka/lib", "Kafka", "scripts/fetch-kafka.sh")?;
        let port = if options.port == 0 { ports::free()? } else { options.port };
        fs::create_dir_all(dir).map_err(io(format!("creating {}", dir.display())))?;
        let kafka = Self { dir: dir.to_path_buf(), libraries, options, port, node, process: None };
        kafka.configure(controllers)?;
        kafka.format()?;
        Ok(kafka)
    }

    /// Where clients begin: `host:port`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where its output goes.
    pub fn log(&self) -> PathBuf {
        self.dir.join("kafka.log")
    }

    /// Process id, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// An error with the end of its output where it should run and does not.
    ///
    /// # Errors
    /// [`Error::Ended`].
    pub fn expect_alive(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::expect_alive)
    }

    /// Ends it in order (SIGTERM), and kills it when that takes too long.
    ///
    /// # Errors
    /// [`Error::Ended`] where it ends otherwise, or has to be killed.
    pub fn stop(&mut self) -> Result<()> {
        /// What a JVM that was told to end ends with: 128 and the signal's number.
        const TOLD: i32 = 143;
        let Some(mut process) = self.process.take() else { return Ok(()) };
        let status = process.stop(Duration::from_secs(20))?;
        if status.success() || status.code() == Some(TOLD) { Ok(()) } else { Err(process.told(status)) }
    }

    /// Ends it at once (SIGKILL).
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
        }
        Ok(())
    }

    /// Starts it anew on its ports and data, killing what still runs, and waits until it answers.
    ///
    /// # Errors
    /// [`Error::Ended`] or [`Error::Silent`].
    pub fn restart(&mut self) -> Result<()> {
        self.spawn()?;
        self.wait(LIMIT)
    }

    fn spawn(&mut self) -> Result<()> {
        self.kill()?;
        let mut java = self.java();
        java.arg(format!("-Xmx{}m", self.options.heap_mb))
            .arg(format!("-Dlog4j2.configurationFile={}", self.dir.join("log4j2.properties").display()))
            .arg("-XX:+UseSerialGC")
            .args(self.options.quick.then_some("-XX:TieredStopAtLevel=1"))
            .arg("kafka.Kafka")
            .arg(self.dir.join("server.properties"));
        let process = Process::start("Kafka", java, &self.log())?;
        self.process = Some(process);
        Ok(())
    }

    /// Makes it stand still, or go on: to its clients an outage without a closed connection.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), |process| process.signal(signal))
    }

    fn java(&self) -> Command {
        let mut java = Command::new("java");
        java.arg("-cp").arg(self.libraries.join("*"));
        java
    }

    fn configure(&self, controllers: &[u16]) -> Result<()> {
        let voters: Vec<String> =
            controllers.iter().enumerate().map(|(n, port)| format!("{}@127.0.0.1:{port}", n + 1)).collect();
        let (copies, in_sync) = if controllers.len() < 3 { (1, 1) } else { (3, 2) };
        let own = format!(
            "node.id={node}\n\
             offsets.topic.replication.factor={copies}\n\
             transaction.state.log.replication.factor={copies}\n\
             transaction.state.log.min.isr={in_sync}\n\
             share.coordinator.state.topic.replication.factor={copies}\n\
             share.coordinator.state.topic.min.isr={in_sync}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.quorum.voters={voters}\n\
             log.dirs={data}\n",
            node = self.node,
            port = self.port,
            controller = controllers[self.node - 1],
            voters = voters.join(","),
            data = self.dir.join("data").display(),
        );
        let quick = if self.options.quick { QUICK } else { "" };
        let write = |name: &str, text: &str| {
            let path = self.dir.join(name);
            fs::write(&path, text).map_err(io(format!("writing {}", path.display())))
        };
        write("log4j2.properties", LOG4J)?;
        write("server.properties", &format!("{PROPERTIES}{quick}{own}"))
    }

    /// Gives the data folder its cluster id, unless it has one.
    fn format(&self) -> Result<()> {
        if self.dir.join("data/meta.properties").exists() {
            return Ok(());
        }
        let output = self
            .java()
            .args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"])
            .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"])
            .arg(self.dir.join("server.properties"))
            .output()
            .map_err(|source| match source.kind() {
                std::io::ErrorKind::NotFound => {
                    let (what, path) = ("Java (17 or later)", PathBuf::from("PATH"));
                    Error::Missing { what, path, script: "apt-get install -y openjdk-17-jre-headless" }
                }
                _ => io("starting java")(source),
            })?;
        if output.status.success() {
            return Ok(());
        }
        Err(Error::Ended {
            name: "Kafka's storage tool".to_owned(),
            status: output.status.to_string(),
            log: self.dir.join("server.properties"),
            tail: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn wait(&mut self, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        let address = self.bootstrap();
        while begun.elapsed() < limit {
            if let Some(process) = &mut self.process {
                process.expect_alive()?;
            }
            if answers(&address).is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(Error::Silent { name: "Kafka".to_owned(), address, waited: limit, log: self.log() })
    }
}

/// Asks for the versions that the broker speaks, the one request that needs no agreement on a version.
fn answers(address: &str) -> std::io::Result<()> {
    const API_VERSIONS_V0: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(&API_VERSIONS_V0)?;
    let mut head = [0; 8];
    stream.read_exact(&mut head)?;
    if head[4..] == [0, 0, 0, 7] { Ok(()) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}
