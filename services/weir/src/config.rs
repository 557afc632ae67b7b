//! The whole configuration: a section a crate.

use anyhow::{Result, anyhow};
use clap::Subcommand;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;

/// All keys. Every section has its defaults; an empty file is a whole configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Logs, metrics, health, drain: what all services share.
    pub runtime: weir_runtime::Config,
    /// The bus, Kafka.
    pub bus: weir_bus::Config,
    /// ClickHouse.
    pub clickhouse: weir_store::Config,
    /// The embedded engine: `weir engine`.
    pub engine: weir_store::EngineConfig,
    /// UDP to `weir.raw`.
    pub ingest: weir_ingest::Config,
    /// `weir.raw` to `weir.flows`.
    pub decoder: weir_decoder::Config,
    /// `weir.flows` to ClickHouse.
    pub sink: weir_sink::Config,
    /// Questions over HTTP.
    pub api: weir_api::Config,
}

/// What to do with the configuration.
#[derive(Subcommand)]
pub enum Command {
    /// Says whether it can be used, or which key is wrong.
    Check,
    /// Prints what is in force, as TOML; secrets are left out.
    Print,
    /// Prints its JSON schema.
    Schema,
}

/// Loads and validates.
pub fn load(file: Option<&Path>, flags: &[String]) -> Result<Config> {
    let config: Config = weir_runtime::load(file, flags)?;
    config.validate()?;
    Ok(config)
}

impl Config {
    fn validate(&self) -> Result<()> {
        self.bus.validate()?;
        self.clickhouse.validate().map_err(|error| anyhow!("clickhouse.{error}"))?;
        self.engine.validate().map_err(|error| anyhow!("engine.{error}"))?;
        self.ingest.validate()?;
        self.decoder.validate().map_err(|error| anyhow!("{error}"))?;
        weir_decoder::enrich::links::LinkRules::new(&self.decoder.enrich.links)
            .map_err(|error| anyhow!("decoder.enrich.{error}"))?;
        self.sink.validate().map_err(|error| anyhow!("{error}"))?;
        self.api.validate().map_err(|error| anyhow!("{error}"))
    }
}

/// `weir config …`.
pub fn run(what: Command, file: Option<&Path>, flags: &[String]) -> Result<()> {
    let text = match what {
        Command::Check => {
            let config = load(file, flags)?;
            // What only the files can tell.
            weir_decoder::enrich::Enricher::new(&config.decoder.enrich)
                .map_err(|error| anyhow!("{error}"))?;
            if config.api.asks_for_tokens() {
                weir_api::tokens::list(&config.api.tokens_file)?;
            }
            "The configuration can be used.\n".to_owned()
        }
        Command::Print => toml::to_string_pretty(&load(file, flags)?)?,
        Command::Schema => format!("{:#}\n", weir_runtime::config::schema::<Config>()),
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// Compares a committed file with what the code makes; `WEIR_BLESS=1` writes it instead.
    fn committed(name: &str, made: &str) {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name);
        if std::env::var_os("WEIR_BLESS").is_some() {
            std::fs::write(&path, made).unwrap();
        }
        let is = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(is == made, "{} is not what the code says; run the test with WEIR_BLESS=1", path.display());
    }

    #[test]
    fn the_documented_keys_are_those_there_are() {
        committed("configuration.md", &weir_runtime::config::markdown::<Config>());
    }

    fn metrics() -> String {
        weir_runtime::metrics_doc::markdown(&[
            ("ingest", weir_ingest::metrics::describe),
            ("decoder", weir_decoder::metrics::describe),
            ("sink", weir_sink::metrics::describe),
            ("bus", weir_bus::metrics::describe),
            ("store and engine", weir_store::metrics::describe),
            ("API", weir_api::metrics::describe),
        ])
    }

    #[test]
    fn the_documented_metrics_are_those_declared() {
        committed("metrics.md", &metrics());
    }

    /// What every query of the dashboard asks for: metrics that are declared, counters by their rate and histograms by their buckets.
    #[test]
    fn the_dashboard_asks_for_metrics_that_are_declared_as_their_kind_is_asked_for() {
        let markdown = metrics();
        let kinds: std::collections::BTreeMap<_, _> = markdown
            .lines()
            .filter_map(|line| {
                let mut cells = line.strip_prefix("| `")?.split(" | ");
                Some((cells.next()?.trim_end_matches('`'), cells.next()?))
            })
            .collect();
        let dashboard: serde_json::Value =
            serde_json::from_str(include_str!("../../../docs/grafana/weir.json")).unwrap();
        let panels = dashboard["panels"].as_array().unwrap();
        let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
        let queries: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
        assert!(queries.len() > 40, "{queries:?}");
        for query in queries {
            // A sum of what is not there is nothing: one service that does not run must not hide what others lost.
            let terms: Vec<_> = query.split(" + ").collect();
            assert!(terms.len() == 1 || terms.iter().all(|term| term.contains(" or vector(0))")), "{query}");
            let starts: Vec<_> = query.match_indices("weir_").map(|(at, _)| at).collect();
            assert!(!starts.is_empty(), "{query}");
            for at in starts {
                let (before, rest) = query.split_at(at);
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                let by_time = before.ends_with("rate(") || before.ends_with("increase(");
                let asked = match rest[..end].strip_suffix("_bucket") {
                    Some(name) => (name, "histogram", true),
                    None if by_time => (&rest[..end], "counter", true),
                    None => (&rest[..end], "gauge", false),
                };
                assert_eq!((kinds.get(asked.0).copied(), by_time), (Some(asked.1), asked.2), "{query}");
            }
        }
    }

    #[test]
    fn an_empty_configuration_is_whole_and_what_is_printed_can_be_read_back() {
        let config = load(None, &[]).unwrap();
        let printed = toml::to_string_pretty(&config).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), printed).unwrap();
        load(Some(file.path()), &[]).unwrap();
    }

    #[test]
    fn every_section_refuses_by_the_whole_path_of_the_key() {
        for (flag, start) in [
            ("bus.partitions=0", "bus.partitions: "),
            ("clickhouse.url='nowhere'", "clickhouse.url: "),
            ("engine.listen='0.0.0.0:1'", "engine.listen: "),
            ("ingest.workers=0", "ingest.workers: "),
            ("decoder.cycle_ms=0", "decoder.cycle_ms: "),
            ("decoder.wire.templates=0", "decoder.wire.templates"),
            ("decoder.enrich.links=[{name='('}]", "decoder.enrich.links[0].name: "),
            ("sink.batch_rows=0", "sink.batch_rows: "),
            ("api.hosts=['http://a.example']", "api.hosts[0]: "),
            ("sink.batch_rowz=0", "sink.batch_rowz: there is no such key"),
        ] {
            let error = load(None, &[flag.to_owned()]).unwrap_err().to_string();
            assert!(error.starts_with(start), "{flag}: {error}");
        }
    }
}
