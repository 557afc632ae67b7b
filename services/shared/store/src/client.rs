//! ClickHouse's HTTP client, narrowed to what Weir does: inserts of blocks under a token, and queries with bound parameters.
//!
//! An insert is one block of Native, and all settings that could shape it otherwise are pinned here, so that it is one block on the first
//! try and on every retry (docs/exactly-once.md, rule 9). After an insert error the connection is dropped (rule 11).

use crate::config::{Config, ConfigError};
use bytes::Bytes;
use clickhouse::Compression;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant};
use thiserror::Error;
use weir_schemas::from_row::RowError;
use weir_schemas::native;
use weir_schemas::rollup::Table;

/// How much of a statement ClickHouse reads unless it is told otherwise, bytes.
const MAX_QUERY_SIZE: usize = 262_144;

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

/// ClickHouse's codes of what passes by itself. Whatever else it refuses (a statement, a table, a right, a value) stays refused until somebody
/// mends it. Of an insert that is in doubt the retry is safe, so a body that did not come whole is among them, and so are codes that say
/// nothing.
const PASSING: &[&[u32]] = &[
    // Bodies and connections that broke: unexpected end, streams, sockets, names, checksums of what was sent.
    &[3, 23, 24, 32, 33, 40, 108, 198, 203, 209, 210, 271, 279, 297],
    // Disk and files.
    &[74, 75, 76, 84, 107, 243, 384, 499, 500],
    // Memory, load, quotas, time.
    &[159, 160, 173, 201, 202, 241, 252, 439, 473, 700, 745],
    // A server that ends, begins, or is told to stop something.
    &[236, 341, 373, 394, 517, 667],
    // Replicas and keepers.
    &[225, 242, 254, 285, 286, 289, 319, 415, 529, 571, 999],
    // A defect or an exception of the server, whatever it is.
    &[49, 425, 1000, 1001, 1002],
];

impl StoreError {
    /// True where waiting can help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            // Without a code it is an answer of something in between, such as a proxy whose ClickHouse is away.
            Self::Refused { reason, .. } => {
                code(reason).is_none_or(|code| PASSING.iter().any(|some| some.contains(&code)))
            }
            _ => false,
        }
    }

    /// True where the tables are not made yet.
    pub fn is_unmade(&self) -> bool {
        matches!(self, Self::Refused { reason, .. } if matches!(code(reason), Some(60 | 81)))
    }

    /// True where a question takes more time, memory or rows than it may.
    pub fn is_too_much(&self) -> bool {
        const LIMITS: &[u32] = &[158, 159, 160, 167, 168, 241, 307, 396];
        matches!(self, Self::Refused { reason, .. } if code(reason).is_some_and(|code| LIMITS.contains(&code)))
    }
}

/// The code of an answer; the words behind it may hold others.
fn code(reason: &str) -> Option<u32> {
    let (_, rest) = reason.split_once("Code: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
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

    /// The same, for statements that may take so many seconds and bytes of memory each: what takes more, ClickHouse ends.
    pub fn limited(mut self, seconds: u64, memory: u64) -> Self {
        /// So that the word that it took too long is ClickHouse's.
        const MARGIN_S: u64 = 5;
        self.config.query_timeout_s = seconds.saturating_add(MARGIN_S);
        self.client = self
            .client
            .with_setting("max_execution_time", seconds.to_string())
            .with_setting("max_memory_usage", memory.to_string());
        self
    }

    /// The same, for statements that can be [ended](Self::end) together. The label is ClickHouse's `log_comment`.
    pub fn labelled(mut self, label: &str) -> Self {
        self.client = self.client.with_setting("log_comment", label);
        self
    }

    /// Ends statements of this label that are being worked on; it does not wait until they have.
    ///
    /// # Errors
    /// Where ClickHouse does not answer, or lets this user end nothing.
    pub async fn end(&self, label: &str) -> Result<(), StoreError> {
        let statement = "KILL QUERY WHERE Settings['log_comment'] = {label:String} ASYNC";
        self.within(statement, self.statement(statement).param("label", label).execute()).await
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
        self.within(statement, self.statement(statement).execute()).await
    }

    /// Rows of `table` out of it or another of its shape, where `condition` holds: RowBinary of all columns, without a header.
    pub async fn rows(&self, name: &str, table: &Table, condition: &str) -> Result<Bytes, StoreError> {
        let columns: Vec<_> = table.all_columns().map(|column| column.name).collect();
        let database = &self.config.database;
        let sql = format!("SELECT {} FROM {database}.{name} WHERE {condition}", columns.join(", "));
        self.within(&sql, async { self.statement(&sql).fetch_bytes("RowBinary")?.collect().await }).await
    }

    /// Runs a query with bound `{name:Type}` parameters; rows come as JSON objects of type `T`.
    pub async fn query<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[(&str, String)],
    ) -> Result<Vec<T>, StoreError> {
        self.query_bound(sql, parameters).await
    }

    /// The same with parameters that are more than text: ClickHouse reads those within an array in another way.
    pub async fn query_bound<T: DeserializeOwned, V: Serialize>(
        &self,
        sql: &str,
        parameters: &[(&str, V)],
    ) -> Result<Vec<T>, StoreError> {
        let mut query = self.statement(sql).with_setting("output_format_json_quote_64bit_integers", "0");
        for (name, value) in parameters {
            query = query.param(name, value);
        }
        let bytes = self.within(sql, async { query.fetch_bytes("JSONEachRow")?.collect().await }).await?;
        serde_json::Deserializer::from_slice(&bytes)
            .into_iter()
            .collect::<Result<_, _>>()
            .map_err(|error| StoreError::Answer { what: summary(sql), reason: error.to_string() })
    }

    fn statement(&self, sql: &str) -> clickhouse::query::Query {
        let query = self.client.query(&escape(sql));
        let bytes = sql.len() + 1;
        // A user who may change no settings asks nothing so long.
        if bytes > MAX_QUERY_SIZE { query.with_setting("max_query_size", bytes.to_string()) } else { query }
    }

    /// Waits for an answer, for as long as a statement of that kind may take.
    async fn within<T>(
        &self,
        sql: &str,
        ask: impl Future<Output = Result<T, clickhouse::error::Error>>,
    ) -> Result<T, StoreError> {
        let reads = sql.trim_start().get(..6).is_some_and(|word| word.eq_ignore_ascii_case("select"));
        let Config { query_timeout_s, statement_timeout_s, .. } = self.config;
        let seconds = if reads { query_timeout_s } else { statement_timeout_s };
        match tokio::time::timeout(Duration::from_secs(seconds), ask).await {
            Ok(done) => done.map_err(|error| self.failed(&summary(sql), error)),
            Err(_) => Err(StoreError::Unreachable {
                url: self.config.url.clone(),
                what: summary(sql),
                reason: format!("no answer in {seconds} s"),
            }),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(reason: &str) -> StoreError {
        StoreError::Refused { url: String::new(), what: String::new(), reason: reason.to_owned() }
    }

    #[test]
    fn what_passes_is_waited_for_and_what_stays_wrong_is_said() {
        for passes in [
            "Code: 241. DB::Exception: (total) memory limit exceeded",
            "Code: 202. DB::Exception: Too many simultaneous queries",
            "Code: 108. DB::Exception: body did not come completely, nothing was inserted",
            "Code: 279. DB::Exception: All connection tries failed: Code: 516. DB::Exception: Authentication failed",
            "<html>502 Bad Gateway</html>",
        ] {
            assert!(refused(passes).is_transient(), "{passes}");
        }
        for stays in [
            "Code: 62. DB::Exception: Syntax error",
            "Code: 497. DB::Exception: not enough privileges",
            "Code: 36. DB::Exception: bad arguments",
            "Code: 60. DB::Exception: Table weir.flows does not exist",
            "Code: 516. DB::Exception: Authentication failed, after Code: 210.",
        ] {
            assert!(!refused(stays).is_transient(), "{stays}");
        }
    }

    #[tokio::test]
    async fn a_server_that_takes_a_connection_and_says_nothing_is_waited_for_no_longer_than_configured() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let config = Config { url, query_timeout_s: 1, statement_timeout_s: 2, ..Config::default() };
        let store = Store::new(&config).unwrap();
        for (sql, seconds) in [("SELECT 1", "1 s"), ("DELETE FROM t WHERE 1", "2 s")] {
            let error = store.execute(sql).await.unwrap_err();
            assert!(error.is_transient() && error.to_string().contains(seconds), "{error}");
        }
        let error = store.query::<u8>("SELECT 1", &[]).await.unwrap_err();
        assert!(error.to_string().ends_with("no answer in 1 s"), "{error}");
        let error = store.rows("flows", &weir_schemas::rollup::FLOWS, "1").await.unwrap_err();
        assert!(error.to_string().ends_with("no answer in 1 s"), "{error}");
    }
}
