//! ClickHouse's HTTP client, narrowed to what Weir does: inserts of blocks under a token, and queries with bound parameters.
//!
//! An insert is one block of Native, and all settings that could shape it otherwise are pinned here, so that it is one block on the first
//! try and on every retry (EXACTLY_ONCE.md, rule 9). After an insert error the connection is dropped (rule 11).

use crate::config::{Config, ConfigError};
use bytes::Bytes;
use clickhouse::Compression;
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};
use thiserror::Error;
use weir_schemas::from_row::RowError;
use weir_schemas::native;
use weir_schemas::rollup::Table;

/// Most rows of one insert; blocks are larger than this, so that one insert is one block.
pub const MAX_INSERT_ROWS: usize = 1_000_000;

/// Settings of every insert. They are part of what makes a retry the same insert, so a change counts up [`SETTINGS_VERSION`].
pub const INSERT_SETTINGS: &[(&str, &str)] = &[
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    ("input_format_native_allow_types_conversion", "0"),
    ("input_format_parallel_parsing", "0"),
    ("input_format_skip_unknown_fields", "0"),
    ("max_block_size", "1048576"),
    ("max_insert_block_size", "1048576"),
    ("max_insert_threads", "1"),
    ("max_partitions_per_insert_block", "0"),
    ("min_insert_block_size_bytes", "0"),
    ("min_insert_block_size_rows", "0"),
    ("optimize_on_insert", "0"),
];

/// Version of [`INSERT_SETTINGS`]; a plan of another version is not retried blindly.
pub const SETTINGS_VERSION: u32 = 2;

/// Why ClickHouse did not do what was asked.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The configuration can't be used.
    #[error("clickhouse.{0}")]
    Config(#[from] ConfigError),
    /// ClickHouse answered with an error.
    #[error("ClickHouse at {url} refused {what}: {reason}")]
    Refused {
        /// Where it is.
        url: String,
        /// What was asked.
        what: String,
        /// Its words.
        reason: String,
    },
    /// ClickHouse did not answer.
    #[error("ClickHouse at {url} (clickhouse.url) can't be reached for {what}: {reason}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What was asked.
        what: String,
        /// What the connection said.
        reason: String,
    },
    /// Rows that are not those of their table: a defect of who made them.
    #[error("rows for {table}: {reason}")]
    Rows {
        /// The table.
        table: &'static str,
        /// What is wrong with them.
        reason: RowError,
    },
    /// An answer that is not what was asked for.
    #[error("the answer to {what} can't be read: {reason}")]
    Answer {
        /// What was asked.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// A released migration was changed.
    #[error(
        "migration {0} was applied with another text than this build has: the store is from a different release"
    )]
    Migration(u32),
}

impl StoreError {
    /// True where waiting can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            // Wrong data or a wrong table stays wrong; memory, load and shutdown pass.
            Self::Refused { reason, .. } => {
                !["Code: 60.", "Code: 81.", "Code: 16.", "Code: 117.", "Code: 53.", "Code: 516."]
                    .iter()
                    .any(|code| reason.contains(code))
            }
            _ => false,
        }
    }
}

/// A client of one ClickHouse.
#[derive(Clone)]
pub struct Store {
    config: Config,
    password: String,
    client: clickhouse::Client,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({}/{})", self.config.url, self.config.database)
    }
}

impl Store {
    /// Makes a client; nothing is sent yet.
    pub fn new(config: &Config) -> Result<Self, StoreError> {
        config.validate()?;
        let password = match &config.password_file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|error| ConfigError {
                    key: "password_file".into(),
                    what: format!("{} can't be read: {error}", path.display()),
                })?
                .trim_end()
                .to_owned(),
        };
        Ok(Self { config: config.clone(), client: connect(config, &password), password })
    }

    /// The database of Weir's tables.
    pub fn database(&self) -> &str {
        &self.config.database
    }

    /// Its configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    fn failed(&self, what: &str, error: clickhouse::error::Error) -> StoreError {
        let (url, what) = (self.config.url.clone(), what.to_owned());
        match error {
            clickhouse::error::Error::BadResponse(reason) => StoreError::Refused { url, what, reason },
            error => StoreError::Unreachable { url, what, reason: error.to_string() },
        }
    }

    /// Inserts rows under a token: RowBinary of all columns of `table`, without a header. They are sent as one block of columns, which is held
    /// beside them until the answer comes.
    ///
    /// After an error the rows may or may not be there; the same rows under the same token may be sent again.
    pub async fn insert(&mut self, table: &Table, rows: Bytes, token: &str) -> Result<(), StoreError> {
        self.insert_into(table.name, table, rows, token).await
    }

    /// Inserts rows of `table` into another of its shape: see [`insert`](Self::insert).
    pub async fn insert_into(
        &mut self,
        name: &str,
        table: &Table,
        rows: Bytes,
        token: &str,
    ) -> Result<(), StoreError> {
        let block = native::block(table.all_columns(), &rows)
            .map_err(|reason| StoreError::Rows { table: table.name, reason })?;
        let start = Instant::now();
        let done = self.try_insert(name, block.into(), token).await;
        match &done {
            Ok(()) => metrics::histogram!(crate::metrics::INSERT_SECONDS, "table" => table.name)
                .record(start.elapsed().as_secs_f64()),
            Err(_) => {
                metrics::counter!(crate::metrics::INSERTS_FAILED, "table" => table.name).increment(1);
                self.client = connect(&self.config, &self.password);
            }
        }
        done
    }

    async fn try_insert(&self, name: &str, block: Bytes, token: &str) -> Result<(), StoreError> {
        let what = format!("an insert into {name}");
        let statement = format!("INSERT INTO {}.{name} FORMAT Native", self.config.database);
        let timeout = Duration::from_secs(self.config.insert_timeout_s);
        let mut insert = self
            .client
            .insert_formatted_with(statement)
            .with_timeouts(Some(timeout), Some(timeout))
            .with_setting("insert_deduplication_token", token);
        for (name, value) in INSERT_SETTINGS {
            insert = insert.with_setting(*name, *value);
        }
        let failed = |error| self.failed(&what, error);
        // Chunks, so that compression works on pieces that fit a cache and the engine's block limit.
        let mut rest = block;
        while !rest.is_empty() {
            let chunk = rest.split_to(rest.len().min(1 << 20));
            insert.send(chunk).await.map_err(failed)?;
        }
        insert.end().await.map_err(failed)
    }

    /// Runs a statement that gives no rows.
    pub async fn execute(&self, statement: &str) -> Result<(), StoreError> {
        let what = summary(statement);
        self.client.query(&escape(statement)).execute().await.map_err(|error| self.failed(&what, error))
    }

    /// Rows of `table` out of it or another of its shape, where `condition` holds: RowBinary of all columns, without a header.
    pub async fn rows(&self, name: &str, table: &Table, condition: &str) -> Result<Bytes, StoreError> {
        let columns: Vec<_> = table.all_columns().map(|column| column.name).collect();
        let database = &self.config.database;
        let sql = format!("SELECT {} FROM {database}.{name} WHERE {condition}", columns.join(", "));
        let what = format!("rows of {name}");
        let mut cursor = self
            .client
            .query(&escape(&sql))
            .fetch_bytes("RowBinary")
            .map_err(|error| self.failed(&what, error))?;
        cursor.collect().await.map_err(|error| self.failed(&what, error))
    }

    /// Runs a query with bound `{name:Type}` parameters; rows come as JSON objects of type `T`.
    pub async fn query<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[(&str, String)],
    ) -> Result<Vec<T>, StoreError> {
        let what = summary(sql);
        let mut query =
            self.client.query(&escape(sql)).with_setting("output_format_json_quote_64bit_integers", "0");
        for (name, value) in parameters {
            query = query.param(name, value);
        }
        let mut cursor = query.fetch_bytes("JSONEachRow").map_err(|error| self.failed(&what, error))?;
        let bytes = cursor.collect().await.map_err(|error| self.failed(&what, error))?;
        serde_json::Deserializer::from_slice(&bytes)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| StoreError::Answer { what, reason: error.to_string() })
    }
}

fn connect(config: &Config, password: &str) -> clickhouse::Client {
    let client = clickhouse::Client::default().with_url(&config.url).with_user(&config.user);
    let compression = if config.compresses() { Compression::Lz4 } else { Compression::None };
    let client = client.with_compression(compression);
    if password.is_empty() { client } else { client.with_password(password) }
}

/// The client library takes `?` for its own placeholder; ours are `{name:Type}`.
fn escape(sql: &str) -> String {
    sql.replace('?', "??")
}

fn summary(sql: &str) -> String {
    let words: Vec<_> = sql.split_whitespace().take(6).collect();
    format!("'{} …'", words.join(" "))
}
