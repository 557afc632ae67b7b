//! `weir-loadtest`: traffic, its ledger, the comparison with what is stored, and the stack on one machine.

mod cli;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::Arguments::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("weir-loadtest: {error:#}");
            ExitCode::from(3)
        }
    }
}
