//! `weir-loadtest size`: how large an installation has to be.

use super::print;
use anyhow::{Result, ensure};
use clap::Args;
use std::process::ExitCode;
use weir_loadtest::size::{Costs, Question, days, number};

const USUAL: Question = Question::of(0.0);

#[derive(Args)]
pub struct Size {
    /// Flows a second in the busiest hour: 2500, 300k, 1M.
    #[arg(long, value_parser = number_of)]
    flows: f64,
    /// Exporters.
    #[arg(long)]
    exporters: u64,
    /// How long `flows` is kept: 90d, 36h, 2w; else two weeks.
    #[arg(long, value_parser = days_of)]
    retention: Option<f64>,
    /// How long topics are kept; else a day.
    #[arg(long, value_parser = days_of)]
    topic_retention: Option<f64>,
    /// Copies of each partition in Kafka.
    #[arg(long, default_value_t = USUAL.kafka_copies)]
    kafka_copies: u32,
    /// Copies of each row in ClickHouse.
    #[arg(long, default_value_t = USUAL.clickhouse_copies)]
    clickhouse_copies: u32,
    /// Share of a core that is to be busy in the busiest hour.
    #[arg(long, default_value_t = USUAL.busy)]
    busy: f64,
    /// A day's average as a share of its busiest hour.
    #[arg(long, default_value_t = USUAL.daily_average)]
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
            retention_days: self.retention.unwrap_or(USUAL.retention_days),
            topic_hours: self.topic_retention.map_or(USUAL.topic_hours, |days| days * 24.0),
            kafka_copies: self.kafka_copies,
            clickhouse_copies: self.clickhouse_copies,
            busy: self.busy,
            daily_average: self.daily_average,
        };
        print(Costs::measured()?.told(&question)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
