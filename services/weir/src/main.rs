//! The one binary: a subcommand a service, and the command-line tools. It only wires.
//!
//! What must stay true: every failure is one sentence on standard error and a non-zero exit; nothing here knows how anything is done.

mod capture;
mod config;
mod control;
mod deadletter;
mod import;
mod places;
mod printable;
mod query;
mod reach;
mod redecode;
mod services;
mod standalone;
mod token;
mod walk;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// What a batch leaves behind goes back to the system within seconds; in the C library's heap it stays, in more and more pieces
/// (docs/benchmarks.md). The C libraries inside keep theirs: the engine frees what it got from another.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Version and commit, and whether it is built as for tests.
const VERSION: &str = if cfg!(debug_assertions) {
    concat!(env!("WEIR_BUILT"), ", with debug assertions")
} else {
    env!("WEIR_BUILT")
};

/// Flow analytics for peering engineers: NetFlow, IPFIX and sFlow to answers about ASes and links.
#[derive(Parser)]
#[command(name = "weir", version = VERSION, max_term_width = 100)]
struct Arguments {
    /// Configuration file (TOML).
    #[arg(long, short, global = true, env = "WEIR_CONFIG")]
    config: Option<PathBuf>,
    /// Sets a key, such as decoder.workers=2; wins over file and environment.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything in one process: all services on a bus of its own, with the embedded ClickHouse engine. No Kafka.
    Standalone,
    /// UDP to weir.raw.
    Ingest,
    /// weir.raw to weir.flows.
    Decoder,
    /// weir.flows to ClickHouse.
    Sink,
    /// ClickHouse to HTTP: answers questions, one or as many processes of it as one likes.
    Api,
    /// The embedded ClickHouse engine behind ClickHouse's HTTP interface, on loopback.
    Engine {
        /// Of `weir standalone`: standard output is the socket to listen on, and where standard input closes the parent is gone.
        #[arg(long, hide = true)]
        child: bool,
    },
    /// Creates the topics that are missing, and checks those that are there.
    Topics {
        /// Checks, and creates nothing.
        #[arg(long)]
        check: bool,
    },
    /// Brings ClickHouse to this release's tables, retention and AS names.
    Migrate,
    /// Decodes a capture (pcap, pcapng, one datagram, messages of NetFlow v1, v5, v7, v8 or IPFIX) to lines, JSON or CSV; a summary goes to standard error.
    Decode(capture::Decode),
    /// Sends a capture's datagrams, each source from a 127.x.y.z address of its own, and prints which is which.
    Replay(capture::Replay),
    /// The top ASes, links, providers or whatever else, from ClickHouse.
    Query(query::Arguments),
    /// Decodes a past window of weir.raw again, after a mended bug or with other databases, and swaps it in: rollups too.
    Redecode {
        /// Where weir.raw is; without this the bus of a `weir standalone` that runs here, or Kafka where there is no other.
        #[arg(long, value_enum)]
        bus: Option<reach::Which>,
        #[command(flatten)]
        request: redecode::Request,
    },
    /// Looks at what could not be decoded, and puts it back once it can be.
    Deadletter {
        /// Where the topics are; without this the bus of a `weir standalone` that runs here, or Kafka where there is no other.
        #[arg(long, value_enum, global = true)]
        bus: Option<reach::Which>,
        #[command(subcommand)]
        request: deadletter::Request,
    },
    /// Says to the API what other tools know of links.
    Import {
        #[command(subcommand)]
        what: import::Command,
    },
    /// Makes, lists and revokes the tokens that the API asks for where more than this machine reaches it.
    Token {
        #[command(subcommand)]
        what: token::Command,
    },
    /// Checks, prints or describes the configuration.
    Config {
        #[command(subcommand)]
        what: config::Command,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        // A reader that has seen enough, such as `head`, is no failure.
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

fn run(arguments: Arguments) -> Result<()> {
    let load = || config::load(arguments.config.as_deref(), &arguments.set);
    match arguments.command {
        Command::Standalone => {
            let config = load()?;
            standalone::standalone(config, standalone::Given { file: arguments.config, set: arguments.set })
        }
        Command::Ingest => services::ingest(load()?),
        Command::Decoder => services::decoder(load()?),
        Command::Sink => services::sink(load()?),
        Command::Api => services::api(load()?),
        Command::Engine { child } => services::engine(load()?, child),
        Command::Topics { check } => places::topics(&load()?, check),
        Command::Migrate => places::migrate(&load()?),
        Command::Decode(decode) => capture::decode(&load()?, &decode),
        Command::Replay(replay) => capture::replay(&replay),
        Command::Query(query) => query::run(&load()?, &query),
        Command::Redecode { bus, request } => reach::run(&load()?, bus, &reach::Task::Redecode(request)),
        Command::Deadletter { bus, request } => reach::run(&load()?, bus, &reach::Task::Deadletter(request)),
        Command::Import { what } => import::run(&load()?, &what),
        Command::Token { what } => token::run(&load()?, &what),
        Command::Config { what } => config::run(what, arguments.config.as_deref(), &arguments.set),
    }
}
