//! What people and programs ask of what is stored: questions over HTTP, and the model behind them.
//!
//! What must stay true: an answer says from which table it is, how sure each number is, and what is not in it; every value of a question is a
//! bound parameter of its SQL; no time is averaged over of which data were dropped (docs/counting.md is the law of the numbers); and what is wrong
//! with a question is answered in words with its place, never with a status of the server's own fault.

mod asked;
mod asns;
mod body;
mod candidates;
mod config;
mod connections;
pub mod exporters;
mod guard;
pub mod inventory;
pub mod links;
pub mod metrics;
mod pieces;
mod pipeline;
mod problem;
pub mod query;
mod routes;
mod sheet;
mod stalled;
pub mod tokens;

pub use config::Config;
pub use exporters::amount;
pub use problem::Problem;
pub use routes::{Columns, tree};
pub use sheet::text as csv;

use asked::Asked;
use axum::http::StatusCode;
use guard::Guard;
use inventory::Inventory;
use links::held::Held;
use query::AskError;
use query::period::Kept;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use weir_runtime::Readiness;
use weir_store::Store;

/// How long a question waits for its turn.
const TURN: Duration = Duration::from_secs(10);

/// Why the API ends.
#[derive(Debug, Error)]
pub enum Error {
    /// It can't listen.
    #[error("api.listen: can't listen on {address}: {reason}")]
    Listen {
        /// Where.
        address: String,
        /// What the system says.
        reason: std::io::Error,
    },
    /// It can't go on.
    #[error("the API ended: {0}")]
    Serve(std::io::Error),
}

/// What all requests share.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

struct Shared {
    store: Store,
    /// Days that tables keep as configured, by table.
    days: BTreeMap<String, u32>,
    turns: Arc<Semaphore>,
    inventory: Arc<dyn Inventory>,
    /// Locked while somebody looks at what was said of links and says more.
    held: Arc<Mutex<Held>>,
}

impl Api {
    fn kept(&self) -> Kept<'_> {
        // A clock before 1970 or after 2106 makes every time one that can't be asked for, and says so.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        Kept::new(u32::try_from(now).unwrap_or(u32::MAX), &self.0.days)
    }

    /// Asks ClickHouse, when it is this question's turn. Its statements end when whoever asked goes away, and when one of them fails.
    async fn ask<T, F>(&self, ask: impl FnOnce(Store) -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, AskError>>,
    {
        let asked = Asked::begin(&self.0.store, self.turn().await?);
        let answer = ask(asked.store()).await?;
        asked.answered();
        Ok(answer)
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn inventory(&self) -> Arc<dyn Inventory> {
        Arc::clone(&self.0.inventory)
    }

    /// Waits until a question may be worked on.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let waited = tokio::time::timeout(TURN, Arc::clone(&self.0.turns).acquire_owned()).await;
        waited.ok().and_then(Result::ok).ok_or_else(|| {
            let detail = "others are asked already, as many as api.queries allows; ask again in a while";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "urn:weir:problem:busy", "Too many ask", detail)
        })
    }
}

/// A socket that listens and is not yet answered on.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    listener: TcpListener,
}

impl Bound {
    /// Listens.
    ///
    /// # Errors
    /// [`Error::Listen`].
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let listen = |reason| Error::Listen { address: config.listen.clone(), reason };
        let listener = TcpListener::bind(&config.listen).await.map_err(listen)?;
        Ok(Self { config, listener })
    }

    /// Where.
    ///
    /// # Errors
    /// [`Error::Serve`] where the system does not say.
    pub fn address(&self) -> Result<SocketAddr, Error> {
        self.listener.local_addr().map_err(Error::Serve)
    }

    /// Answers until told to stop; then, for a moment, what is asked already.
    ///
    /// # Errors
    /// [`Error::Serve`].
    pub async fn run(
        self,
        store: Store,
        inventory: Arc<dyn Inventory>,
        ready: Readiness,
        stop: CancellationToken,
    ) -> Result<(), Error> {
        let address = self.address()?;
        let days = store.config().retention_days.clone();
        let turns = Arc::new(Semaphore::new(self.config.queries));
        let store = store.limited(self.config.query_timeout_s, self.config.query_memory_bytes);
        let guard = Arc::new(Guard::new(&self.config));
        let api = Api(Arc::new(Shared { store, days, turns, inventory, held: Arc::default() }));
        let router = pipeline::router(api, Arc::clone(&guard), ready.health().clone());
        let watched = stop.clone();
        tokio::spawn(async move { guard.watch(watched).await });
        tracing::info!(%address, tokens = self.config.asks_for_tokens(), "the API answers");
        ready.ready();
        connections::serve(self.listener, router, &self.config, stop).await;
        Ok(())
    }
}
