//! `weir-loadtest run` and `scenarios`: load tests with a report.

use super::{print, runtime, stop};
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use weir_loadtest::report::{self, Report};
use weir_loadtest::run::{Options, Place, Target, clear, keep_logs, run};
use weir_loadtest::scenario::{NAMES, Scenario};
use weir_loadtest::verify::Verdict;
use weir_stack::Home;

#[derive(Args)]
pub struct Run {
    /// Scenarios: names of built-in ones (`weir-loadtest scenarios` lists them), or files.
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,
    /// Start the stack for each, on this machine.
    #[arg(long, conflicts_with_all = ["target", "clickhouse"])]
    local: bool,
    /// Folder for the stack and its data; what an earlier run left there is removed before each.
    #[arg(long, value_name = "DIR", default_value = "loadtest-stack")]
    dir: PathBuf,
    /// The program weir; else $WEIR_BIN, else the one beside this program, else target/release/weir.
    #[arg(long, value_name = "PATH")]
    weir: Option<PathBuf>,
    /// Leave the stack's folder as it is at the end. Without, the logs of what did not pass are kept, in NAME-logs beside the reports.
    #[arg(long)]
    keep: bool,
    /// Address of the ingest of an installation that is there.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "local")]
    target: Option<IpAddr>,
    /// The installation's configuration file, of which [bus] and [clickhouse] count; what is given beside goes before. For one over Kafka.
    #[arg(long, value_name = "FILE", requires = "target")]
    config: Option<PathBuf>,
    /// UDP ports for NetFlow, IPFIX, sFlow.
    #[arg(long, num_args = 3, value_delimiter = ',', value_name = "PORT", default_values_t = [2055, 4739, 6343])]
    ports: Vec<u16>,
    /// Metrics of that ingest, by which sending is paced.
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:9401")]
    ingest_metrics: String,
    /// Metrics of a decoder or sink; may be given several times.
    #[arg(long, value_name = "HOST:PORT")]
    metrics: Vec<String>,
    /// Its ClickHouse.
    #[arg(long, value_name = "URL", requires = "target")]
    clickhouse: Option<String>,
    /// Database there; else weir.
    #[arg(long)]
    database: Option<String>,
    /// User there; else default.
    #[arg(long)]
    user: Option<String>,
    /// File with the user's password.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Its Kafka, to tell what was lost from what was missed.
    #[arg(long, value_name = "HOST:PORT,…")]
    bootstrap_servers: Option<String>,
    /// Partitions of its topics; else 12.
    #[arg(long)]
    partitions: Option<usize>,
    /// Addresses of this machine to send from, each an exporter: those that have no loopback in common with the target need them.
    #[arg(long, value_delimiter = ',', value_name = "ADDRESS")]
    addresses: Vec<Ipv4Addr>,
    /// Files of lines `first,last,asn,name`, with --target those that the installation looks ASes up in; else those of scripts/fetch-asn.sh.
    #[arg(long, value_name = "FILE")]
    asn: Vec<PathBuf>,
    /// Makes every phase this many times as long, and moves what goes wrong with it: 0.1 for a try, in which not everything has time to go
    /// wrong.
    #[arg(long, default_value_t = 1.0, value_parser = factor)]
    stretch: f64,
    /// Folder for the reports: NAME.md, NAME.json and NAME.html, and index.md about all that lie there.
    #[arg(long, value_name = "DIR", default_value = "loadtest-reports")]
    out: PathBuf,
}

impl Run {
    /// Runs one after another; the worst verdict counts.
    pub fn run(self) -> Result<ExitCode> {
        // Told apart before anything starts, which takes minutes.
        let scenarios: Vec<Scenario> = self
            .scenarios
            .iter()
            .map(|name| Scenario::load(name).map(|scenario| scenario.stretched(self.stretch)))
            .collect::<Result<_>>()?;
        let (asn, place) = (self.asn()?, self.place()?);
        std::fs::create_dir_all(&self.out).with_context(|| format!("creating {}", self.out.display()))?;
        let runtime = runtime()?;
        let stop = stop(&runtime, Some("No more is sent; what was sent is still compared"))?;
        let mut worst = Outcome::Passed;
        for scenario in scenarios {
            let name = scenario.name.clone();
            eprintln!("{name}: {} ({:.0} s)", scenario.about, scenario.sending().as_secs_f64());
            report::remove(&self.out, &name)?;
            let options = Options { scenario, place: place.clone(), asn: asn.clone(), stretch: self.stretch };
            let outcome = match run(&options, &stop) {
                Ok(report) => {
                    report::write(&self.out, &report)?;
                    print(line(&report))?;
                    match report.verdict {
                        Verdict::Pass => Outcome::Passed,
                        Verdict::Fail => Outcome::Failed,
                        Verdict::Invalid => Outcome::Invalid,
                    }
                }
                // Those behind it are run all the same.
                Err(error) => {
                    eprintln!("{name}: {error:#}");
                    Outcome::Broken
                }
            };
            if self.local && outcome != Outcome::Passed {
                let logs = self.out.join(format!("{name}-logs"));
                keep_logs(&self.dir, &logs)?;
                eprintln!("{name}: the logs of its stack lie in {}", logs.display());
            }
            worst = worst.max(outcome);
            if stop.load(std::sync::atomic::Ordering::Relaxed) {
                break;
            }
        }
        if self.local && !self.keep {
            clear(&self.dir)?;
        }
        Ok(ExitCode::from(worst.code()))
    }

    fn place(&self) -> Result<Place> {
        let Some(address) = self.target else {
            return Ok(Place::Local { dir: self.dir.clone(), weir: self.weir.clone() });
        };
        let ports = [0, 1, 2].map(|n| self.ports.get(n).copied().unwrap_or_default());
        let Installation { bus, clickhouse } = self.installation()?;
        Ok(Place::Target(Box::new(Target {
            address,
            ports,
            ingest_metrics: self.ingest_metrics.clone(),
            metrics: self.metrics.clone(),
            clickhouse,
            bus,
            addresses: self.addresses.clone(),
        })))
    }

    /// What the file says, with what is given beside laid over it.
    fn installation(&self) -> Result<Installation> {
        let mut installation = match &self.config {
            Some(path) => {
                let text =
                    std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
                toml::from_str::<Installation>(&text).with_context(|| path.display().to_string())?
            }
            None => {
                ensure!(
                    self.clickhouse.is_some(),
                    "--target needs --clickhouse, or --config with [clickhouse]"
                );
                Installation::default()
            }
        };
        let Installation { bus, clickhouse } = &mut installation;
        if let Some(servers) = &self.bootstrap_servers {
            bus.get_or_insert_default().bootstrap_servers.clone_from(servers);
        }
        if let (Some(bus), Some(partitions)) = (bus.as_mut(), self.partitions) {
            bus.partitions = partitions;
        }
        lay(&self.clickhouse, &mut clickhouse.url);
        lay(&self.database, &mut clickhouse.database);
        lay(&self.user, &mut clickhouse.user);
        if self.password_file.is_some() {
            clickhouse.password_file.clone_from(&self.password_file);
        }
        clickhouse.validate().context("[clickhouse]")?;
        bus.as_ref().map_or(Ok(()), weir_bus::Config::validate).context("[bus]")?;
        Ok(installation)
    }

    fn asn(&self) -> Result<Vec<PathBuf>> {
        if !self.asn.is_empty() {
            return Ok(self.asn.clone());
        }
        let part = |name| {
            Home::find().part(name, "The AS database", "scripts/fetch-asn.sh, or give files with --asn")
        };
        ["asn/asn-ipv4.csv", "asn/asn-ipv6.csv"].into_iter().map(|name| Ok(part(name)?)).collect()
    }
}

/// What counts of an installation's configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Installation {
    bus: Option<weir_bus::Config>,
    clickhouse: weir_store::Config,
}

fn lay(given: &Option<String>, over: &mut String) {
    if let Some(given) = given {
        over.clone_from(given);
    }
}

/// What a scenario came to; those further down are worse. One whose machine was too small does not hide another that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Passed,
    Invalid,
    Failed,
    Broken,
}

impl Outcome {
    fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::Invalid => 2,
            Self::Broken => 3,
        }
    }
}

/// Reads a factor.
fn factor(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text} is no number"))?;
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(format!("{text} is not more than 0")) }
}

fn line(report: &Report) -> String {
    let missed: u64 = report.missed.values().sum();
    let fresh =
        report.freshness.map_or(String::new(), |fresh| format!(", fresh in {:.1} s (p99)", fresh.p99_s));
    let mut out = format!(
        "{}: {:?}: {} flows sent, {} stored, lost {}, doubled {}, missed {missed}{fresh}\n",
        report.scenario.name, report.verdict, report.sent, report.stored, report.lost, report.doubled
    );
    for reason in &report.reasons {
        out += &format!("    {reason}\n");
    }
    out
}

/// Lists the built-in scenarios.
pub fn list() -> Result<ExitCode> {
    for name in NAMES {
        let scenario = Scenario::load(name)?;
        print(format_args!("{name:<24} {:>5.0} s  {}\n", scenario.sending().as_secs_f64(), scenario.about))?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct One {
        #[command(flatten)]
        run: Run,
    }

    #[test]
    fn an_installation_is_what_its_file_says_and_what_is_given_beside_goes_before() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("weir.toml");
        let text = "[bus]\nbootstrap_servers = 'k:9093'\npartitions = 24\ntopic_prefix = 'flows'\nproperties = { 'security.protocol' = 'ssl' }\n\
                    [clickhouse]\nurl = 'http://c:8123'\nuser = 'weir'\n[sink]\nbatch_ms = 700\n";
        std::fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        let asked = |more: &[&str]| {
            let words = ["run", "smoke", "--target", "192.0.2.1"].iter().chain(more);
            One::parse_from(words).run.installation()
        };
        let read = asked(&["--config", file, "--user", "reader", "--partitions", "6"]).unwrap();
        let bus = read.bus.unwrap();
        assert_eq!((&*bus.bootstrap_servers, bus.partitions, &*bus.topic_prefix), ("k:9093", 6, "flows"));
        assert_ne!(bus.properties, Default::default());
        assert_eq!((&*read.clickhouse.url, &*read.clickhouse.user), ("http://c:8123", "reader"));

        let given = asked(&["--clickhouse", "http://d:8123"]).unwrap();
        assert_eq!((given.bus, &*given.clickhouse.url), (None, "http://d:8123"));
        let none = asked(&[]).unwrap_err().to_string();
        assert!(none.contains("--clickhouse"), "{none}");
        let wrong = format!("{:#}", asked(&["--clickhouse", "ftp://d"]).unwrap_err());
        assert!(wrong.contains("[clickhouse]") && wrong.contains("url"), "{wrong}");
    }
}
