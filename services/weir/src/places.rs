//! Making the places that data goes to: topics and tables.

use crate::config::Config;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};
use weir_bus::{Bus, KafkaBus, TopicSpec};
use weir_decoder::enrich::database::Databases;
use weir_schemas::rollup::JOINED;
use weir_store::Store;
use weir_store::migrate::{load_as_names, migrate as apply};

/// How long brokers may take to know of a new topic.
const SPREAD: Duration = Duration::from_secs(20);

/// `weir topics`.
pub fn topics(config: &Config, check: bool) -> Result<()> {
    let bus = KafkaBus::new(config.bus.clone())?;
    let specs = TopicSpec::all(&config.bus, bus.partitions());
    let mut created = false;
    for spec in specs.iter().filter(|_| !check) {
        if bus.create(spec)? {
            created = true;
            println!("created {} with {} partitions", spec.name, spec.partitions);
        }
    }
    let begun = Instant::now();
    let found = loop {
        match bus.check(&specs) {
            // Not every broker knows at once what the controller was told.
            Err(weir_bus::Error::TopicMissing { .. }) if created && begun.elapsed() < SPREAD => {
                std::thread::sleep(Duration::from_millis(100));
            }
            found => break found?,
        }
    };
    for topic in found {
        println!("{}: {} partitions, {}", topic.name, topic.partitions, topic.cleanup);
    }
    Ok(())
}

/// `weir migrate`.
pub fn migrate(config: &Config) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("no event loop")?;
    runtime.block_on(tables(config, |words| println!("{words}")))
}

/// Brings tables, retention and AS names to this release; says what it did.
pub async fn tables(config: &Config, say: impl Fn(&str)) -> Result<()> {
    let mut store = Store::new(&config.clickhouse)?;
    let done = apply(&store).await?;
    for number in &done.applied {
        say(&format!("applied migration {number}"));
    }
    for table in &done.retention {
        say(&format!("changed the retention of {table}"));
    }
    let databases = &config.decoder.enrich.databases;
    let table = JOINED.iter().find(|table| table.name == "asns").context("there is no table of AS names")?;
    if !databases.asn.is_empty() {
        let databases = databases.clone();
        let read = tokio::task::spawn_blocking(move || {
            let read = Databases::read(&databases)?;
            anyhow::Ok(read.names().iter().map(|(asn, name)| (*asn, name.clone())).collect())
        });
        let names = read.await??;
        let (count, changed) = load_as_names(&mut store, table, names).await?;
        say(&format!("{count} names of ASes, {changed} changed"));
    }
    say(&format!("{} is up to date", store.database()));
    Ok(())
}
