//! Captures on the command line: decoded to lines, or sent again.

use crate::config::Config;
use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use std::collections::BTreeMap;
use std::io::{BufWriter, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use weir_capture::How;
use weir_schemas::Ip;

fn bytes(file: &Path) -> Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut all = Vec::new();
        std::io::stdin().lock().read_to_end(&mut all).context("standard input can't be read")?;
        return Ok(all);
    }
    std::fs::read(file).with_context(|| format!("{} can't be read", file.display()))
}

/// What to decode, and how to print it.
#[derive(Args)]
pub struct Decode {
    /// The file: pcap, pcapng, a raw datagram, or NetFlow or IPFIX messages one after another (RFC 5655); - is standard input.
    file: PathBuf,
    /// How flow records are printed.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
    /// Every field of every record as sent, known or not, options and counters too, with name, enterprise and number. JSON only.
    #[arg(long)]
    all_fields: bool,
    /// No records: what the capture says of each exporter, its protocols, templates, sampling and losses, and what is amiss with it.
    #[arg(long, conflicts_with_all = ["all_fields", "format"])]
    summary: bool,
}

#[derive(Clone, Copy, ValueEnum, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
}

/// `weir decode`.
pub fn decode(config: &Config, decode: &Decode) -> Result<()> {
    let Decode { file, format, all_fields, summary } = decode;
    if *all_fields && *format != Format::Json {
        bail!("--all-fields prints JSON only: its records have no columns in common; leave --format out");
    }
    let bytes = bytes(file)?;
    let capture = weir_capture::read(&bytes).with_context(|| file.display().to_string())?;
    let mut lines = BufWriter::new(std::io::stdout().lock());
    let how = How {
        options: config.decoder.wire.clone(),
        exporters: config.decoder.enrich.own().map_err(anyhow::Error::msg)?,
    };
    if *summary {
        write!(lines, "{}", weir_capture::survey::survey(capture, &how))?;
        return Ok(lines.flush()?);
    }
    if *all_fields {
        weir_capture::walk::all_fields(capture, how.options.list_depth, &mut lines)?;
        return Ok(lines.flush()?);
    }
    let format = match format {
        Format::Json => weir_capture::decode::Format::Json,
        Format::Csv => weir_capture::decode::Format::Csv,
    };
    let summary = weir_capture::decode::decode_as(format, capture, &how, &mut lines)?;
    lines.flush()?;
    eprintln!("{summary}");
    Ok(())
}

/// What to send where, and how fast.
#[derive(Args)]
pub struct Replay {
    /// The capture.
    file: PathBuf,
    /// Where to send to.
    #[arg(long, default_value = "127.0.0.1:2055")]
    to: SocketAddr,
    /// Datagrams a second.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// First address to send from; each further source gets the next.
    #[arg(long, default_value = "127.9.0.1")]
    from: Ipv4Addr,
    /// How often to send the whole capture.
    #[arg(long, default_value_t = 1)]
    times: u32,
}

/// `weir replay`.
pub fn replay(replay: &Replay) -> Result<()> {
    if !replay.to.ip().is_loopback() || !replay.from.is_loopback() {
        bail!("--to and --from must be loopback addresses: sources of their own exist only there");
    }
    if replay.rate == 0 {
        bail!("--rate must be at least 1");
    }
    let bytes = bytes(&replay.file)?;
    let mut sources: BTreeMap<Ip, Ipv4Addr> = BTreeMap::new();
    let mut sockets: BTreeMap<(Ip, u16), UdpSocket> = BTreeMap::new();
    let begun = Instant::now();
    let mut sent = 0u32;
    for _ in 0..replay.times {
        for captured in weir_capture::read(&bytes).with_context(|| replay.file.display().to_string())? {
            let captured = match captured {
                Ok(captured) => captured,
                Err(error) => {
                    eprintln!("weir: {error}");
                    continue;
                }
            };
            let next = Ipv4Addr::from(u32::from(replay.from).wrapping_add(sources.len() as u32));
            let address = *sources.entry(captured.source).or_insert(next);
            let socket = match sockets.entry((captured.source, captured.source_port)) {
                std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                std::collections::btree_map::Entry::Vacant(entry) => {
                    entry.insert(open(address, captured.source_port)?)
                }
            };
            socket
                .send_to(&captured.payload, replay.to)
                .with_context(|| format!("can't send to {}", replay.to))?;
            sent += 1;
            let due = Duration::from_secs(1) * sent / replay.rate;
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
        }
    }
    let mut out = std::io::stdout().lock();
    for (source, address) in &sources {
        writeln!(out, "{source} was sent from {address}")?;
    }
    writeln!(out, "{sent} datagrams of {} sources to {}", sources.len(), replay.to)?;
    Ok(())
}

/// The captured port where it is free, because templates belong to it; else any.
fn open(address: Ipv4Addr, port: u16) -> Result<UdpSocket> {
    UdpSocket::bind((IpAddr::V4(address), port))
        .or_else(|_| UdpSocket::bind((IpAddr::V4(address), 0)))
        .with_context(|| format!("can't send from {address}"))
}
