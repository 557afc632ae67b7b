//! How long the API takes for the questions of its pages: with nothing cached, and again and again.
//!
//! They are asked over HTTP as a page asks them, of a stack that has been filled before (`stack up --history`). What the API itself takes of the
//! time is the CPU of the process that it runs in; the engine is a process of its own.

use crate::run::sample::{children, cpu_s};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::fmt::Write as _;
use std::time::Instant;

/// A question, and how long its answer may take, warm.
struct Asked {
    what: &'static str,
    method: &'static str,
    path: &'static str,
    body: &'static str,
    goal_ms: Option<f64>,
}

const fn query(what: &'static str, body: &'static str, goal_ms: Option<f64>) -> Asked {
    Asked { what, method: "POST", path: "/api/v1/query", body, goal_ms }
}

const fn get(what: &'static str, path: &'static str) -> Asked {
    Asked { what, method: "GET", path, body: "", goal_ms: None }
}

/// As the pages ask them.
const QUESTIONS: &[Asked] = &[
    query(
        "Traffic by AS, 7 days",
        r#"{"last":"7d","by":["as"],"top":25,"interval":"auto","peaks":true,"previous":true,"other":true}"#,
        Some(300.0),
    ),
    query(
        "Traffic by AS, last hour",
        r#"{"last":"1h","by":["as"],"top":25,"interval":"auto","peaks":true,"previous":true,"other":true}"#,
        Some(100.0),
    ),
    query(
        "Traffic by AS, 24 hours",
        r#"{"last":"24h","by":["as"],"top":25,"interval":"auto","peaks":true,"previous":true,"other":true}"#,
        None,
    ),
    query("Top ASes by link, 7 days", r#"{"last":"7d","by":["as","link"],"top":10}"#, None),
    query(
        "Traffic by AS over transit, 7 days",
        r#"{"last":"7d","by":["as"],"top":25,"interval":"auto","peaks":true,"previous":true,"other":true,"filter":"connectivity = transit"}"#,
        None,
    ),
    query(
        "One AS by link, 7 days",
        r#"{"last":"7d","by":["link"],"top":50,"interval":"auto","peaks":true,"previous":true,"other":true,"filter":"as = 15169"}"#,
        None,
    ),
    query(
        "Links, 7 days",
        r#"{"last":"7d","by":["link"],"top":50,"interval":"auto","peaks":true,"previous":true,"other":true}"#,
        None,
    ),
    get("Where to peer, 7 days", "/api/v1/candidates?last=7d"),
    get("Links page", "/api/v1/links"),
    get("Exporters page", "/api/v1/exporters"),
];

/// Where it is asked.
pub struct Target {
    /// Host and port of the API.
    pub api: String,
    /// Processes: the one that the API runs in, and the engine; 0: not of this machine.
    pub api_pid: u32,
    /// See `api_pid`.
    pub engine_pid: u32,
}

impl Target {
    /// One process that has it all, with the engine as its child.
    ///
    /// # Errors
    /// Where its engine is not there.
    pub fn standalone(api: String, pid: u32) -> Result<Self> {
        let engine_pid = children(pid).into_iter().next().context("the standalone has no engine")?;
        Ok(Self { api, api_pid: pid, engine_pid })
    }

    fn ask(&self, asked: &Asked) -> Result<String> {
        let url = format!("http://{}{}", self.api, asked.path);
        let agent = ureq::Agent::new_with_defaults();
        let mut reply = match asked.method {
            "POST" => agent.post(&url).header("content-type", "application/json").send(asked.body),
            _ => agent.get(&url).call(),
        }
        .with_context(|| format!("{}: {url}", asked.what))?;
        Ok(reply.body_mut().with_config().limit(1 << 30).read_to_string()?)
    }
}

/// How long an answer took.
pub struct Took {
    asked: &'static Asked,
    cold_ms: f64,
    /// Of all rounds, in order.
    warm_ms: Vec<f64>,
    engine_ms: f64,
    api_ms: f64,
    tables: String,
}

#[derive(Deserialize)]
struct Read {
    #[serde(default)]
    tables: Vec<String>,
}

/// Forgets what was read, here and in the engine, so that the next question reads it from disk; says whether the kernel's pages went too.
pub fn forget(execute: &mut dyn FnMut(&str) -> Result<()>) -> Result<bool> {
    for cache in
        ["MARK", "UNCOMPRESSED", "INDEX MARK", "INDEX UNCOMPRESSED", "PRIMARY INDEX", "QUERY CONDITION"]
    {
        execute(&format!("SYSTEM DROP {cache} CACHE"))?;
    }
    Ok(std::fs::write("/proc/sys/vm/drop_caches", "1").is_ok())
}

/// Asks each question once after `forget`, and so many times more.
///
/// # Errors
/// Where one is not answered.
pub fn ask(target: &Target, rounds: usize, forget: &mut dyn FnMut() -> Result<()>) -> Result<Vec<Took>> {
    ensure!(rounds > 0, "at least one round");
    let of = |asked: &'static Asked| {
        forget()?;
        let timed = || -> Result<(f64, String)> {
            let begun = Instant::now();
            let text = target.ask(asked)?;
            Ok((begun.elapsed().as_secs_f64() * 1e3, text))
        };
        let (cold_ms, text) = timed()?;
        let before = (cpu_s(target.engine_pid), cpu_s(target.api_pid));
        let mut warm_ms = (0..rounds).map(|_| timed().map(|(ms, _)| ms)).collect::<Result<Vec<_>>>()?;
        let after = (cpu_s(target.engine_pid), cpu_s(target.api_pid));
        warm_ms.sort_by(f64::total_cmp);
        let each = |before: Option<f64>, after: Option<f64>| {
            before.zip(after).map_or(f64::NAN, |(before, after)| (after - before) * 1e3 / rounds as f64)
        };
        let read: Read = serde_json::from_str(&text).unwrap_or(Read { tables: Vec::new() });
        Ok(Took {
            asked,
            cold_ms,
            warm_ms,
            engine_ms: each(before.0, after.0),
            api_ms: each(before.1, after.1),
            tables: read.tables.join(", "),
        })
    };
    QUESTIONS.iter().map(of).collect()
}

/// The table, as documents have it.
pub fn table(all: &[Took]) -> String {
    let mut out = String::from(
        "| question | cold | warm, median | slowest | goal | CPU: engine | CPU: Weir | rows from |\n|---|---|---|---|---|---|---|---|\n",
    );
    for took in all {
        let goal = took.asked.goal_ms.map_or_else(String::new, |goal| format!("{goal:.0} ms"));
        let (median, slowest) = (took.warm_ms[took.warm_ms.len() / 2], took.warm_ms[took.warm_ms.len() - 1]);
        let _ = writeln!(
            out,
            "| {} | {:.0} ms | {median:.0} ms | {slowest:.0} ms | {goal} | {:.0} ms | {:.1} ms | {} |",
            took.asked.what, took.cold_ms, took.engine_ms, took.api_ms, took.tables
        );
    }
    out
}
