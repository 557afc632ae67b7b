//! What every step needs: the bus, the store, where to say things, and the ledger of redecodes.
//!
//! What must stay true: before anything is changed it is looked whether this run is still the one that works on the entry; what ClickHouse
//! does not answer for a while is asked again, so that an engine that starts anew ends nothing.

use super::ledger::{Details, Entry, Phase, STAGING};
use crate::config::Config;
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;
use weir_bus::{Bus, Topics};
use weir_runtime::Stop;
use weir_schemas::Time;
use weir_schemas::rollup::{FLOWS, REDECODES, RedecodeRow, Table};
use weir_store::migrate::{create_beside, drop_table};
use weir_store::{Store, StoreError};

/// How long ClickHouse may be away.
pub const AWAY: Duration = Duration::from_secs(120);
/// Before it is asked again.
pub const PAUSE: Duration = Duration::from_millis(500);

/// A run.
pub struct Work<'a, B: Bus> {
    /// The bus.
    pub bus: &'a B,
    /// Its topics.
    pub topics: Topics,
    /// Configuration: that of the decoder counts.
    pub config: &'a Config,
    store: Store,
    runtime: Handle,
    say: &'a dyn Fn(&str),
    stop: &'a Stop,
    /// Names this run among those that may work on an entry.
    owner: u64,
}

#[derive(Deserialize)]
struct Row {
    generation: u32,
    from: i64,
    to: i64,
    phase: String,
    owner: u64,
    details: String,
    version: u64,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

impl<'a, B: Bus> Work<'a, B> {
    /// A run on this bus. Blocks the thread that it is used on.
    ///
    /// # Errors
    /// Where the configuration of ClickHouse can't be used.
    pub fn new(
        bus: &'a B,
        config: &'a Config,
        runtime: &Handle,
        say: &'a dyn Fn(&str),
        stop: &'a Stop,
    ) -> Result<Self> {
        Ok(Self {
            bus,
            topics: bus.topics(),
            config,
            store: Store::new(&config.clickhouse)?,
            runtime: runtime.clone(),
            say,
            stop,
            owner: now() ^ u64::from(std::process::id()) << 40,
        })
    }

    /// Says something.
    pub fn say(&self, line: &str) {
        (self.say)(line);
    }

    /// An error where this was told to end.
    pub fn go_on(&self) -> Result<()> {
        if self.stop.is_cancelled() {
            bail!("told to end; the same command goes on where this has come to");
        }
        Ok(())
    }

    fn patiently<T>(
        &mut self,
        mut ask: impl FnMut(&mut Store, &Handle) -> Result<T, StoreError>,
    ) -> Result<T> {
        let begun = Instant::now();
        loop {
            self.go_on()?;
            match ask(&mut self.store, &self.runtime) {
                Err(error @ StoreError::Unreachable { .. }) if begun.elapsed() < AWAY => {
                    tracing::debug!("{error}");
                    std::thread::sleep(PAUSE);
                }
                done => return Ok(done?),
            }
        }
    }

    /// The database of the tables.
    pub fn database(&self) -> String {
        self.store.database().to_owned()
    }

    /// Runs a query.
    pub fn query<T: DeserializeOwned>(&mut self, sql: &str) -> Result<Vec<T>> {
        self.patiently(|store, runtime| runtime.block_on(store.query(sql, &[])))
    }

    /// Runs a query that gives one row.
    pub fn one<T: DeserializeOwned>(&mut self, sql: &str) -> Result<T> {
        self.query(sql)?.into_iter().next().context("ClickHouse gave no row")
    }

    /// Runs a statement that may be run twice.
    pub fn execute(&mut self, sql: &str) -> Result<()> {
        self.patiently(|store, runtime| runtime.block_on(store.execute(sql)))
    }

    /// Runs a statement that may not be run twice, once. `false`: no answer came, and it may be done, or be at work still.
    pub fn execute_once(&mut self, sql: &str) -> Result<bool> {
        self.go_on()?;
        match self.runtime.block_on(self.store.execute(sql)) {
            Ok(()) => Ok(true),
            Err(error @ StoreError::Unreachable { .. }) => {
                tracing::warn!("{error}");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Rows of flows out of a table of their shape.
    pub fn rows(&mut self, table: &str, condition: &str) -> Result<Bytes> {
        self.patiently(|store, runtime| runtime.block_on(store.rows(table, &FLOWS, condition)))
    }

    /// Inserts rows of `table` into `name` under a token.
    pub fn insert(&mut self, name: &str, table: &Table, rows: &Bytes, token: &str) -> Result<()> {
        self.patiently(|store, runtime| runtime.block_on(store.insert_into(name, table, rows.clone(), token)))
    }

    /// Writes how far an entry has come, as this run's.
    pub fn write(&mut self, entry: &mut Entry) -> Result<()> {
        entry.version = now().max(entry.version + 1);
        let details = serde_json::to_string(&entry.details)?;
        let row = RedecodeRow {
            generation: entry.generation,
            window_from: Time(entry.from),
            window_to: Time(entry.to),
            phase: entry.phase.word(),
            owner: self.owner,
            details: &details,
            version: entry.version,
            ..RedecodeRow::default()
        };
        let mut rows = Vec::new();
        row.put_row(&mut rows);
        let token = format!("redecodes/{}/{}/{}", entry.generation, self.owner, entry.version);
        self.insert(REDECODES.name, &REDECODES, &rows.into(), &token)
    }

    /// An error where another run has taken an entry over.
    pub fn is_mine(&mut self, entry: &Entry) -> Result<()> {
        let entries = self.entries(&format!("generation = {}", entry.generation))?;
        match entries.first() {
            Some((owner, _)) if *owner == self.owner => Ok(()),
            _ => bail!("another `weir redecode` has taken generation {} over", entry.generation),
        }
    }

    fn entries(&mut self, condition: &str) -> Result<Vec<(u64, Entry)>> {
        let sql = format!(
            "SELECT generation, toInt64(toUnixTimestamp64Nano(window_from)) AS from, toInt64(toUnixTimestamp64Nano(window_to)) AS to, \
             phase, owner, details, version FROM {}.{} FINAL WHERE {condition} ORDER BY generation",
            self.store.database(),
            REDECODES.name
        );
        self.query::<Row>(&sql)?
            .into_iter()
            .map(|row| {
                let of = || format!("generation {} of {}", row.generation, REDECODES.name);
                let phase =
                    Phase::of(&row.phase).with_context(|| format!("{}: phase {}", of(), row.phase))?;
                let details: Details = serde_json::from_str(&row.details).with_context(of)?;
                let Row { generation, from, to, owner, version, .. } = row;
                Ok((owner, Entry { generation, from, to, phase, details, version }))
            })
            .collect()
    }

    /// Entries that were begun and neither done nor given up.
    pub fn unfinished(&mut self) -> Result<Vec<Entry>> {
        let entries = self.entries("phase NOT IN ('swapped', 'given_up')")?;
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// All entries that rows are of, or will be unless they are given up.
    pub fn standing(&mut self) -> Result<Vec<Entry>> {
        let entries = self.entries("phase != 'given_up'")?;
        Ok(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// The latest entry that is done.
    pub fn last_done(&mut self) -> Result<Option<Entry>> {
        Ok(self.entries("phase = 'swapped'")?.pop().map(|(_, entry)| entry))
    }

    /// A generation above all that rows may have.
    pub fn next_generation(&mut self) -> Result<u32> {
        let highest = self.entries("1")?.pop().map_or(0, |(_, entry)| entry.generation);
        Ok(highest.max(self.config.decoder.generation) + 1)
    }

    /// Name of the table for staged rows of a generation: this run's own, so that no other's rows are ever among them.
    pub fn staging(&self, generation: u32) -> String {
        format!("{STAGING}{generation}_{:016x}", self.owner)
    }

    /// Makes a table for staged rows.
    pub fn make_staging(&mut self, name: &str) -> Result<()> {
        self.patiently(|store, runtime| runtime.block_on(create_beside(store, &FLOWS, name)))
    }

    /// Removes one.
    pub fn drop_staging(&mut self, name: &str) -> Result<()> {
        self.patiently(|store, runtime| runtime.block_on(drop_table(store, name)))
    }

    /// Removes staged rows of everything that is not under way.
    pub fn drop_left_over(&mut self) -> Result<()> {
        #[derive(Deserialize)]
        struct Name {
            name: String,
        }
        let kept: Vec<String> = self.unfinished()?.into_iter().map(|entry| entry.details.staging).collect();
        let sql = format!(
            "SELECT name FROM system.tables WHERE database = '{}' AND startsWith(name, '{STAGING}')",
            self.store.database()
        );
        for Name { name } in self.query(&sql)? {
            if !kept.contains(&name) {
                self.drop_staging(&name)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;
    use weir_bus::EmbeddedBus;

    /// A ClickHouse by hand: each statement is answered with rows as JSON, or not at all. Inserts are taken.
    fn clickhouse(answer: impl Fn(&str) -> Option<String> + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let mut input = BufReader::new(client.try_clone().unwrap());
                let (mut head, mut body) = (String::new(), Vec::new());
                while input.read_line(&mut head).unwrap_or(0) > 2 {}
                let length = head.lines().find_map(|line| {
                    line.to_lowercase().strip_prefix("content-length: ").map(|length| length.parse().unwrap())
                });
                match length {
                    Some(length) => {
                        body.resize(length, 0);
                        input.read_exact(&mut body).unwrap();
                    }
                    None => {
                        while !body.ends_with(b"\r\n0\r\n\r\n") {
                            let more = input.fill_buf().unwrap();
                            let count = more.len();
                            body.extend_from_slice(more);
                            input.consume(count);
                        }
                    }
                }
                let rows = if length.is_none() {
                    Some(String::new())
                } else {
                    answer(&String::from_utf8_lossy(&body))
                };
                if let Some(rows) = rows {
                    let length = rows.len();
                    let _ = write!(
                        client,
                        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{rows}"
                    );
                }
            }
        });
        url
    }

    /// Does something as a run whose entry is `entry`, against a ClickHouse by hand.
    pub fn with_work(
        entry: &Entry,
        answer: impl Fn(&str) -> Option<String> + Send + 'static,
        act: impl FnOnce(&mut Work<'_, EmbeddedBus>) -> Result<()>,
    ) -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.bus.embedded.path = folder.path().join("bus");
        // What is read comes from the disk, which a test may damage.
        config.bus.embedded.cache_bytes = 0;
        config.bus.compression = weir_bus::Compression::None;
        let bus = EmbeddedBus::open(config.bus.clone()).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (stop, owner) = (Stop::new(), std::sync::Arc::new(std::sync::OnceLock::new()));
        let (owns, row) = (std::sync::Arc::clone(&owner), entry.clone());
        config.clickhouse.url = clickhouse(move |sql| {
            if sql.contains("FROM weir.redecodes") {
                let Entry { generation, from, to, phase, details, version } = &row;
                let (phase, details) = (phase.word(), serde_json::to_string(details).unwrap());
                return Some(
                    serde_json::json!({
                        "generation": generation, "from": from, "to": to, "phase": phase, "owner": owns.get().unwrap(),
                        "details": details, "version": version,
                    })
                    .to_string(),
                );
            }
            answer(sql)
        });
        let mut work = Work::new(&bus, &config, runtime.handle(), &|_| {}, &stop).unwrap();
        owner.set(work.owner).unwrap();
        act(&mut work)
    }
}
