//! `weir-loadtest questions`: how long answers take.

use super::print;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::path::PathBuf;
use std::process::ExitCode;
use weir_loadtest::questions::{Target, ask, forget, table};
use weir_stack::{Description, Kind};
use weir_store::{Config, Store};

#[derive(Args)]
pub struct Questions {
    /// Folder of a stack started by `stack up --standalone --history`.
    #[arg(long, value_name = "DIR")]
    stack: PathBuf,
    /// How often each is asked once its tables were read.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
}

impl Questions {
    /// Asks them, and prints the table.
    pub fn run(self) -> Result<ExitCode> {
        let stack = Description::read(&self.stack)?;
        let text = std::fs::read_to_string(&stack.config)
            .with_context(|| format!("reading {}", stack.config.display()))?;
        let config: toml::Table = text.parse()?;
        let api = config.get("api").and_then(|api| api.get("listen")).and_then(toml::Value::as_str);
        let api = api.with_context(|| format!("{}: api.listen is missing", stack.config.display()))?;
        let is_standalone = |name: &str| name == Kind::Standalone.word();
        let Some(part) = stack.services.iter().find(|part| is_standalone(&part.name)) else {
            bail!("{}: no standalone runs there, and only that has an API", self.stack.display())
        };
        let pid =
            part.pid.with_context(|| format!("{}: its standalone does not run", self.stack.display()))?;
        let target = Target::standalone(api.to_owned(), pid)?;
        let store = Store::new(&Config { url: stack.clickhouse, ..Config::default() })?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut cold = true;
        let mut forgotten = || {
            let mut execute = |sql: &str| Ok(runtime.block_on(store.execute(sql))?);
            cold &= forget(&mut execute)?;
            Ok(())
        };
        let took = ask(&target, self.rounds, &mut forgotten)?;
        print(table(&took))?;
        if !cold {
            print(
                "The kernel's pages could not be dropped: cold is without ClickHouse's caches alone.\n"
                    .to_owned(),
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
