//! The API, asked over HTTP as any other program does it.

use super::plan::Planned;
use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use ureq::http::{Request, StatusCode};
use weir_api::links::Link;

/// How long an answer may take: what is said is answered once questions know it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where it is asked, and as whom.
pub struct Client {
    base: String,
    token: Option<String>,
    agent: ureq::Agent,
}

#[derive(Deserialize)]
struct Links {
    links: Vec<Link>,
}

impl Client {
    /// Asks nothing yet.
    pub fn new(base: &str, token: Option<String>) -> Result<Self> {
        if !base.starts_with("http://") {
            bail!(
                "--api: '{base}' does not begin with http://; where the API is behind TLS, run this on its machine or through a tunnel"
            );
        }
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE));
        Ok(Self { base: base.trim_end_matches('/').to_owned(), token, agent: config.build().into() })
    }

    fn send(&self, method: &str, path: &str, body: String) -> Result<(StatusCode, String)> {
        let uri = format!("{}/api/v1{path}", self.base);
        let mut request =
            Request::builder().method(method).uri(&uri).header("content-type", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = self.agent.run(request.body(body)?).with_context(|| {
            format!("{uri} does not answer; is `weir standalone` or `weir api` running there (--api)?")
        })?;
        let text = response.body_mut().read_to_string().with_context(|| format!("{uri} broke off"))?;
        Ok((response.status(), text))
    }

    /// All links that there are.
    pub fn links(&self) -> Result<Vec<Link>> {
        let (status, text) = self.send("GET", "/links", String::new())?;
        if status != StatusCode::OK {
            return Err(refused(status, &text));
        }
        let links: Links = serde_json::from_str(&text).with_context(|| {
            format!("{} is not asked by the weir that this one is of: its links can't be read", self.base)
        })?;
        Ok(links.links)
    }

    /// Says a link. True where questions know it already.
    pub fn say(&self, link: &Planned) -> Result<bool> {
        let (status, text) =
            self.send("PUT", &format!("/links/{}", link.id), serde_json::to_string(&link.said)?)?;
        match status {
            StatusCode::OK => Ok(true),
            StatusCode::ACCEPTED => Ok(false),
            _ => Err(refused(status, &text)),
        }
    }
}

/// What the API says is wrong (RFC 9457).
fn refused(status: StatusCode, text: &str) -> anyhow::Error {
    let problem: Value = serde_json::from_str(text).unwrap_or_default();
    let hint = if status == StatusCode::UNAUTHORIZED { " (--token-file)" } else { "" };
    match problem["detail"].as_str() {
        Some(detail) => anyhow!("the API refuses: {detail}{hint}"),
        None => anyhow!("the API answers {status}{hint}"),
    }
}
