//! `weir import`: what other tools know, said to the API.
//!
//! What must stay true: nothing is written before all of a file can be; what was written when something fails after all is told.

mod client;
mod knownlinks;
mod plan;

use crate::config::Config;
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use client::Client;
use knownlinks::Fault;
use plan::{Kind, Plan};
use regex::Regex;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use weir_schemas::Connectivity;

/// Whose.
#[derive(Subcommand)]
pub enum Command {
    /// Of AS-Stats.
    #[command(subcommand)]
    AsStats(AsStats),
}

/// What of AS-Stats.
#[derive(Subcommand)]
pub enum AsStats {
    /// Its file `knownlinks`: interfaces and the links that they are on.
    Knownlinks(Knownlinks),
}

/// What is to be done with it.
#[derive(Args)]
pub struct Knownlinks {
    /// The file.
    file: PathBuf,
    /// Writes the links; without this it is only shown what would be written.
    #[arg(long)]
    apply: bool,
    /// What links are for whose tag or description a regular expression fits, such as 'transit=^(cogent|telia)'; the first that fits counts.
    #[arg(long, value_name = "KIND=REGEX", value_parser = kind)]
    connectivity: Vec<Kind>,
    /// Address that a router of the file sends flows to Weir from, where it is another one.
    #[arg(long, value_name = "ROUTER=ADDRESS", value_parser = router)]
    exporter_map: Vec<(String, IpAddr)>,
    /// The API; without this the one of the configuration, on this machine.
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// File with a token for it, which `weir token create` prints.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

fn kind(text: &str) -> Result<Kind, String> {
    let (word, fits) = text.split_once('=').ok_or("write it such as transit=^cogent")?;
    let known = Connectivity::ALL.iter().find(|kind| **kind != Connectivity::Unknown && kind.word() == word);
    if known.is_none() {
        return Err(format!("'{word}' is none of {}", Connectivity::WORDS[1..].join(", ")));
    }
    let fits = Regex::new(fits).map_err(|error| format!("'{fits}' is no regular expression: {error}"))?;
    Ok(Kind { connectivity: word.to_owned(), fits })
}

fn router(text: &str) -> Result<(String, IpAddr), String> {
    let (router, address) = text.split_once('=').ok_or("write it such as edge1.example.net=192.0.2.1")?;
    let address = address.parse().map_err(|_| format!("'{address}' is no IP address"))?;
    Ok((router.to_owned(), address))
}

/// `weir import …`.
pub fn run(config: &Config, command: &Command) -> Result<()> {
    let Command::AsStats(AsStats::Knownlinks(of)) = command;
    let shown = of.file.display();
    let text = std::fs::read_to_string(&of.file).with_context(|| format!("{shown} can't be read"))?;
    let routers: BTreeMap<_, _> = of.exporter_map.iter().cloned().collect();
    let lines = knownlinks::read(&text, &routers).or_else(|faults| of.refuse(&faults))?;
    if lines.is_empty() {
        bail!("{shown} has no link in it");
    }
    let client = of.client(config)?;
    let plan = plan::plan(&lines, &of.connectivity, &client.links()?).or_else(|faults| of.refuse(&faults))?;
    let mut out = std::io::stdout();
    out.write_all(plan.text().as_bytes())?;
    let count = plan.new_ones().count();
    if of.apply {
        apply(&client, &plan, count)
    } else {
        eprintln!("{count} links are new. Nothing was written: the same with --apply writes them.");
        Ok(())
    }
}

fn apply(client: &Client, plan: &Plan, count: usize) -> Result<()> {
    let mut later = 0;
    for (done, link) in plan.new_ones().enumerate() {
        let known = client.say(link).with_context(|| {
            format!(
                "{done} of {count} links were written, and {} was not, nor what comes behind it; the same again goes on from there",
                link.id
            )
        })?;
        later += usize::from(!known);
    }
    eprintln!("{count} links were written; the past is shown by them too.");
    if later > 0 {
        eprintln!("Questions do not know {later} of them yet.");
    }
    Ok(())
}

impl Knownlinks {
    fn refuse<T>(&self, faults: &[Fault]) -> Result<T> {
        for fault in faults {
            eprintln!("{}, {fault}", self.file.display());
        }
        bail!("{} can't be imported as it is, and nothing was written", self.file.display())
    }

    fn client(&self, config: &Config) -> Result<Client> {
        let token = match &self.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                Some(
                    text.with_context(|| format!("--token-file: {} can't be read", path.display()))?
                        .trim()
                        .to_owned(),
                )
            }
            None => None,
        };
        let base = match &self.api {
            Some(base) => base.clone(),
            None => format!("http://{}", here(&config.api.listen)?),
        };
        Client::new(&base, token)
    }
}

/// Where an API that listens there is asked from this machine.
fn here(listen: &str) -> Result<SocketAddr> {
    let mut address: SocketAddr = listen.parse().with_context(|| format!("api.listen: '{listen}'"))?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}
