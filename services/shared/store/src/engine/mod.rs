//! The embedded ClickHouse engine: `libchdb.so` behind ClickHouse's HTTP interface on loopback.
//!
//! Sink, API and the `clickhouse` crate see no difference from a server. It runs in a process of its own (`weir engine`), so that
//! its crash or hunger for memory ends nothing else. Every request has a connection of its own, so that settings of one request
//! never reach another and nothing stays broken after a failure (docs/exactly-once.md, rule 11).

pub mod compressed;
mod ffi;
mod http;
pub mod repair;

pub use http::{Request, serve};

use crate::config::EngineConfig;
use ffi::{Connection, Library};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use thiserror::Error;

/// Why the engine can't start or go on.
#[derive(Debug, Error)]
pub enum EngineError {
    /// The library can't be loaded.
    #[error("engine.library: {path} can't be loaded ({reason}); run `make setup`, which fetches it")]
    Library {
        /// Path of the library.
        path: PathBuf,
        /// What the loader says.
        reason: String,
    },
    /// The data folder can't be used.
    #[error("engine.data: {path} can't be used: {reason}")]
    Data {
        /// Path of the folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The address can't be bound.
    #[error("engine.listen: can't listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// A statement failed.
    #[error("{0}")]
    Statement(String),
}

/// The running engine.
pub struct Engine {
    library: Library,
    path: PathBuf,
    settings: HashSet<String>,
    /// The engine shuts down with its last connection, so one stays.
    keeper: Mutex<Connection>,
}

impl Engine {
    /// Loads the library, boots the engine on the data folder and repairs its deduplication logs. Blocks.
    pub fn start(config: &EngineConfig) -> Result<Self, EngineError> {
        let library = Library::load(&config.library).map_err(|error| EngineError::Library {
            path: config.library.clone(),
            reason: error.to_string(),
        })?;
        let data = |reason: String| EngineError::Data { path: config.data.clone(), reason };
        std::fs::create_dir_all(&config.data).map_err(|error| data(error.to_string()))?;
        let keeper = library.connect(&[path_argument(&config.data)]).map_err(data)?;
        let mut engine =
            Self { library, path: config.data.clone(), settings: HashSet::new(), keeper: Mutex::new(keeper) };
        engine.settings = engine.lines("SELECT name FROM system.settings")?.into_iter().collect();
        engine.repair()?;
        Ok(engine)
    }

    fn lines(&self, sql: &str) -> Result<Vec<String>, EngineError> {
        let mut keeper = self.keeper.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let bytes = keeper.query(sql, &[], "TSVRaw").map_err(EngineError::Statement)?;
        Ok(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
    }

    fn repair(&self) -> Result<(), EngineError> {
        let tables = "SELECT database, name, data_paths[1] FROM system.tables WHERE engine LIKE '%MergeTree' \
                      AND database NOT IN ('system', 'information_schema', 'INFORMATION_SCHEMA')";
        for line in self.lines(tables)? {
            let mut fields = line.split('\t');
            let (Some(database), Some(table), Some(path)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let logs = Path::new(path).join("deduplication_logs");
            if logs.is_dir() {
                self.repair_table(database, table, &logs)?;
            }
        }
        Ok(())
    }

    fn repair_table(&self, database: &str, table: &str, logs: &Path) -> Result<(), EngineError> {
        let name = format!("{}.{}", identifier(database), identifier(table));
        let active = format!(
            "SELECT name FROM system.parts WHERE active AND database = {} AND table = {}",
            literal(database),
            literal(table)
        );
        let active: Vec<_> =
            self.lines(&active)?.iter().filter_map(|part| repair::Part::parse(part)).collect();
        let data =
            |error: std::io::Error| EngineError::Data { path: logs.to_owned(), reason: error.to_string() };
        let mut mended = Vec::new();
        for entry in std::fs::read_dir(logs).map_err(data)? {
            let path = entry.map_err(data)?.path();
            let log = String::from_utf8_lossy(&std::fs::read(&path).map_err(data)?).into_owned();
            let (kept, removed) = repair::keep(&log, &active);
            if removed > 0 {
                mended.push((path, kept, removed));
            }
        }
        if mended.is_empty() {
            return Ok(());
        }
        // The log is read when a table is attached, so it is changed while the table is away.
        self.lines(&format!("DETACH TABLE {name}"))?;
        for (path, kept, removed) in mended {
            let aside = path.with_extension("mended");
            std::fs::write(&aside, kept).and_then(|()| std::fs::rename(&aside, &path)).map_err(data)?;
            tracing::warn!(
                table = name,
                removed,
                "removed insert tokens whose part is gone: their inserts can be retried"
            );
            metrics::counter!(crate::metrics::ENGINE_TOKENS_REMOVED).increment(removed as u64);
        }
        self.lines(&format!("ATTACH TABLE {name}"))?;
        Ok(())
    }

    /// Opens a connection with the settings of one request. A setting that the engine doesn't have is an error.
    fn connect(&self, settings: &[(String, String)]) -> Result<Connection, String> {
        let mut arguments = vec![path_argument(&self.path)];
        for (name, value) in settings {
            if !self.settings.contains(name) {
                return Err(format!(
                    "Code: 115. DB::Exception: Setting {name} is neither a builtin setting nor known. (UNKNOWN_SETTING)"
                ));
            }
            arguments.push(format!("--{name}={value}"));
        }
        self.library.connect(&arguments)
    }

    /// Runs a whole request: a query, or an insert whose body is complete.
    pub fn run(&self, request: &Request) -> Result<Vec<u8>, String> {
        let mut connection = self.connect(&request.settings)?;
        if let Some(database) = &request.database {
            connection.query(&format!("USE {}", identifier(database)), &[], "TSV")?;
        }
        match &request.insert {
            Some((format, body)) => connection.insert(&request.sql, format, body).map(|_| Vec::new()),
            None => connection.query(&request.sql, &request.parameters, &request.format),
        }
    }
}

fn path_argument(path: &Path) -> String {
    format!("--path={}", path.display())
}

/// Quotes an identifier for ClickHouse.
pub(crate) fn identifier(name: &str) -> String {
    format!("`{}`", name.replace('\\', "\\\\").replace('`', "\\`"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
