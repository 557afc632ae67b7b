//! `weir-loadtest size`: how large an installation has to be.

use super::print;
use anyhow::{Result, ensure};
use clap::Args;
use std::process::ExitCode;
use weir_loadtest::size::{Costs, Question, days, number};

#[derive(Args)]
pub struct Size {
    /// Flows a second in the busiest hour: 2500, 300k, 1M.
    #[arg(long, value_parser = number_of)]
    flows: f64,
    /// Exporters.
    #[arg(long)]
    exporters: u64,
    /// How long `flows` is kept: 90d, 36h, 2w.
    #[arg(long, value_parser = days_of, default_value = "14d")]
    retention: f64,
    /// How long topics are kept.
    #[arg(long, value_parser = days_of, default_value = "24h")]
    topic_retention: f64,
    /// Copies of each partition in Kafka.
    #[arg(long, default_value_t = 3)]
    kafka_copies: u32,
    /// Copies of each row in ClickHouse.
    #[arg(long, default_value_t = 2)]
    clickhouse_copies: u32,
    /// Share of a core that is to be busy in the busiest hour.
    #[arg(long, default_value_t = 0.5)]
    busy: f64,
    /// A day's average as a share of its busiest hour.
    #[arg(long, default_value_t = 0.6)]
    daily_average: f64,
}

fn number_of(text: &str) -> Result<f64, String> {
    number(text).map_err(|error| format!("{error:#}"))
}

fn days_of(text: &str) -> Result<f64, String> {
    days(text).map_err(|error| format!("{error:#}"))
}

impl Size {
    /// Prints it.
    pub fn run(self) -> Result<ExitCode> {
        ensure!(self.exporters > 0, "--exporters: at least 1");
        ensure!(
            self.kafka_copies > 0 && self.clickhouse_copies > 0,
            "--kafka-copies, --clickhouse-copies: at least 1"
        );
        for (name, share) in [("--busy", self.busy), ("--daily-average", self.daily_average)] {
            ensure!(share > 0.0 && share <= 1.0, "{name}: more than 0, at most 1");
        }
        let question = Question {
            flows: self.flows,
            exporters: self.exporters,
            retention_days: self.retention,
            topic_hours: self.topic_retention * 24.0,
            kafka_copies: self.kafka_copies,
            clickhouse_copies: self.clickhouse_copies,
            busy: self.busy,
            daily_average: self.daily_average,
        };
        print(Costs::measured()?.told(&question)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
