//! Somebody says what a link is: looked at, written, and waited for until what is asked knows it.
//!
//! What must stay true: one at a time looks at what there is and writes, and goes on doing so when its client goes away; and nobody waits for that
//! without end.

use super::held::Held;
use super::said::{Said, Wrong, records};
use super::store::{self, Latest};
use super::{Link, SaidBy};
use crate::Api;
use crate::problem::Problem;
use axum::http::StatusCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::OwnedMutexGuard;

/// How long who says something waits for those who say something at the same time.
const ALONE: Duration = Duration::from_secs(15);
/// How long who says something waits until what is asked knows it.
const KNOWN: Duration = Duration::from_secs(10);

/// What is said of a link.
pub(crate) enum Word {
    /// What it is.
    Said(Box<Said>),
    /// That what was said of it is taken back.
    TakenBack,
}

/// A link as it was said, and whether what is asked knows it already.
pub(crate) struct Done {
    pub link: Link,
    pub known: bool,
}

/// Says it. What goes away with whoever asked is the answer alone.
pub(crate) async fn say(api: Api, id: String, word: Word) -> Result<Done, Problem> {
    let saying = tokio::spawn(async move {
        let (link, said) = write(&api, &id, word).await?;
        Ok(Done { link, known: known(&api, &id, said).await })
    });
    saying.await.map_err(|lost| Problem::defect(&lost))?
}

async fn write(api: &Api, id: &str, word: Word) -> Result<(Link, Latest), Problem> {
    let mut held = alone(api).await?;
    let mut ids = held.ids();
    ids.push(id.to_owned());
    // In this order: what the store has by then is in its links.
    let stored =
        |asked| async move { Ok((store::versions(&asked, &ids).await?, store::links(&asked).await?)) };
    let (versions, stored) = api.ask(stored).await?;
    held.forget(&versions);
    if held.is_full() {
        return Err(lagging());
    }
    let before = held.before(id, &stored);
    let links = held.over(stored);
    let link = match word {
        Word::Said(said) => said.link(id, &links).map_err(problem)?,
        Word::TakenBack => {
            let is_it = |link: &&Link| link.id == id && link.said_by == SaidBy::Person;
            let link = links.iter().find(is_it).ok_or_else(unknown)?;
            Link { members: Vec::new(), ..link.clone() }
        }
    };
    let records = records(&link, before.as_ref());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let stored = versions.get(id).copied().unwrap_or_default();
    let version = held.next(id, u64::try_from(now).unwrap_or_default(), stored);
    let said = Latest { version, exporters: records.len() as u64 };
    held.hold(link.clone(), said);
    let inventory = api.inventory();
    let written = tokio::task::spawn_blocking(move || inventory.write(&records, version)).await;
    written.map_err(|lost| Problem::defect(&lost))??;
    Ok((link, said))
}

async fn known(api: &Api, id: &str, said: Latest) -> bool {
    let (began, ids) = (Instant::now(), [id.to_owned()]);
    while began.elapsed() < KNOWN {
        // A store that went away meanwhile does not know it yet.
        let versions = store::versions(api.store(), &ids).await.unwrap_or_default();
        if versions.get(id).is_some_and(|stored| stored.has(said)) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

async fn alone(api: &Api) -> Result<OwnedMutexGuard<Held>, Problem> {
    let turn = Arc::clone(&api.0.held).lock_owned();
    tokio::time::timeout(ALONE, turn).await.map_err(|_| {
        let detail =
            "others say what links are, and the bus takes long to acknowledge it; say it again in a while";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "urn:weir:problem:busy", "Others say something", detail)
    })
}

fn lagging() -> Problem {
    let detail = "as much as is held was said already and is not stored yet: see whether the sink runs, and say it again in a while";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "urn:weir:problem:store-lags", "The store lags", detail)
}

fn unknown() -> Problem {
    let (kind, title) = ("urn:weir:problem:no-link", "There is no such link");
    let detail = "nobody classified a link of this id; what rules say is changed in the configuration";
    Problem::new(StatusCode::NOT_FOUND, kind, title, detail)
}

fn problem(fault: Wrong) -> Problem {
    let Wrong { pointer, detail, conflict } = fault;
    if conflict {
        let (kind, title) = ("urn:weir:problem:conflict", "Another link says otherwise");
        return Problem::new(StatusCode::CONFLICT, kind, title, detail).at(pointer);
    }
    Problem::question(&pointer, detail)
}
