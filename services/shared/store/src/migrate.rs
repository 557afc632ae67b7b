//! Brings the store to the schema of this build: numbered migrations, then retention.
//!
//! Every step can be repeated: statements say IF NOT EXISTS, what was applied is recorded with the text's checksum, and a crash
//! between two statements is mended by running again. On a cluster every statement runs ON CLUSTER with Replicated engines.

use crate::client::{Store, StoreError};
use serde::Deserialize;
use std::collections::BTreeMap;
use weir_schemas::ddl::{MIGRATIONS, create_table};
use weir_schemas::rollup::{AsRow, Table, tables};

/// What a migration run did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Numbers of the migrations applied now.
    pub applied: Vec<u32>,
    /// Tables whose retention changed.
    pub retention: Vec<String>,
}

#[derive(Deserialize)]
struct Applied {
    number: u32,
    checksum: String,
}

#[derive(Deserialize)]
struct Created {
    name: String,
    create_table_query: String,
}

/// Applies what is missing.
pub async fn migrate(store: &Store) -> Result<Migrated, StoreError> {
    let database = store.database();
    let cluster = store.config().cluster.as_deref();
    let on_cluster = on_cluster(store);
    store.execute(&format!("CREATE DATABASE IF NOT EXISTS {database}{on_cluster}")).await?;
    let engine = engine(cluster.is_some(), "Replacing", database, "migrations");
    store
        .execute(&format!(
            "CREATE TABLE IF NOT EXISTS {database}.migrations{on_cluster} (number UInt32, name String, checksum String, \
             applied DateTime('UTC') DEFAULT now()) ENGINE = {engine} ORDER BY number"
        ))
        .await?;
    let applied: Vec<Applied> =
        store.query(&format!("SELECT number, checksum FROM {database}.migrations FINAL"), &[]).await?;
    let mut done = Migrated::default();
    for migration in MIGRATIONS {
        let checksum = format!("{:016x}", fnv(migration.sql.as_bytes()));
        match applied.iter().find(|applied| applied.number == migration.number) {
            Some(applied) if applied.checksum == checksum => continue,
            Some(_) => return Err(StoreError::Migration(migration.number)),
            None => {}
        }
        for statement in statements(migration.sql) {
            store.execute(&placed(&statement, database, &on_cluster, cluster.is_some())).await?;
        }
        store
            .execute(&format!(
                "INSERT INTO {database}.migrations (number, name, checksum) VALUES ({}, '{}', '{checksum}')",
                migration.number, migration.name
            ))
            .await?;
        done.applied.push(migration.number);
    }
    retention(store, &on_cluster, &mut done).await?;
    Ok(done)
}

fn on_cluster(store: &Store) -> String {
    let cluster = store.config().cluster.as_deref();
    cluster.map(|name| format!(" ON CLUSTER {}", crate::engine::identifier(name))).unwrap_or_default()
}

/// Makes an empty table of the shape of another, as the migrations would, but one that keeps what comes in however old it is: the retention
/// that counts is the other's, and it may be longer than the one it was made with.
pub async fn create_beside(store: &Store, table: &Table, name: &str) -> Result<(), StoreError> {
    let kept = Table { days: 0, ..*table };
    let statement = create_table(&kept).replacen(table.name, name, 1);
    let replicated = store.config().cluster.is_some();
    store.execute(&placed(&statement, store.database(), &on_cluster(store), replicated)).await
}

/// Removes a table and all that it holds, where there is one of that name.
pub async fn drop_table(store: &Store, name: &str) -> Result<(), StoreError> {
    let (database, on_cluster) = (store.database(), on_cluster(store));
    store.execute(&format!("DROP TABLE IF EXISTS {database}.{name}{on_cluster} SYNC")).await
}

/// Sets the retention of every table to what is configured.
async fn retention(store: &Store, on_cluster: &str, done: &mut Migrated) -> Result<(), StoreError> {
    let database = store.database();
    let created: Vec<Created> = store
        .query(
            "SELECT name, create_table_query FROM system.tables WHERE database = {database:String}",
            &[("database", database.to_owned())],
        )
        .await?;
    for table in tables().filter(|table| table.days > 0) {
        let days = store.config().retention_days.get(table.name).copied().unwrap_or(table.days);
        let Some(is) = created.iter().find(|created| created.name == table.name) else { continue };
        let wanted = format!("TTL {} + toIntervalDay({days})", table.age);
        let has_ttl = is.create_table_query.contains(" TTL ");
        if if days == 0 { !has_ttl } else { is.create_table_query.contains(&format!("{wanted} ")) } {
            continue;
        }
        let change = if days == 0 { "REMOVE TTL".to_owned() } else { format!("MODIFY {wanted}") };
        store
            .execute(&format!(
                "ALTER TABLE {database}.{}{on_cluster} {change} SETTINGS materialize_ttl_after_modify = 1",
                table.name
            ))
            .await?;
        done.retention.push(table.name.to_owned());
    }
    Ok(())
}

#[derive(Deserialize)]
struct Named {
    asn: u32,
    name: String,
    version: u64,
}

/// Replaces the names of ASes: those that changed are written, those that are gone lose their name, the others stay what they are,
/// so this can run at every start. Returns how many there are and how many of them changed.
pub async fn load_as_names(
    store: &mut Store,
    table: &Table,
    names: BTreeMap<u32, String>,
) -> Result<(usize, usize), StoreError> {
    let sql = format!("SELECT asn, name, version FROM {}.{} FINAL", store.database(), table.name);
    let is: Vec<Named> = store.query(&sql, &[]).await?;
    let version = is.iter().map(|named| named.version).max().unwrap_or_default() + 1;
    let count = names.len();
    let mut changed = names;
    for Named { asn, name, .. } in is {
        match changed.get(&asn) {
            Some(now) if *now == name => drop(changed.remove(&asn)),
            Some(_) => {}
            None if name.is_empty() => {}
            None => drop(changed.insert(asn, String::new())),
        }
    }
    if !changed.is_empty() {
        let mut rows = Vec::new();
        for (asn, name) in &changed {
            AsRow { asn: *asn, name, version, ..AsRow::default() }.put_row(&mut rows);
        }
        let token = format!("asns/{version}/{:016x}", fnv(&rows));
        store.insert(table, rows.into(), &token).await?;
    }
    Ok((count, changed.len()))
}

/// The statements of a migration, without comments.
fn statements(sql: &str) -> Vec<String> {
    sql.split(";\n")
        .map(|statement| {
            let lines: Vec<_> =
                statement.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
            lines.join("\n").trim().to_owned()
        })
        .filter(|statement| !statement.is_empty())
        .collect()
}

fn engine(replicated: bool, family: &str, database: &str, table: &str) -> String {
    let prefix = if replicated { "Replicated" } else { "" };
    let place = if replicated {
        format!("('/clickhouse/tables/{{shard}}/{database}/{table}', '{{replica}}')")
    } else {
        String::new()
    };
    format!("{prefix}{family}MergeTree{place}")
}

/// Puts database, cluster and engines into a statement.
fn placed(statement: &str, database: &str, on_cluster: &str, replicated: bool) -> String {
    let table = statement
        .strip_prefix("CREATE TABLE IF NOT EXISTS ")
        .and_then(|rest| rest.split(['{', '\n', ' ']).next())
        .unwrap_or_default()
        .to_owned();
    let mut placed = statement
        .replacen(
            &format!("EXISTS {table}{{on_cluster}}"),
            &format!("EXISTS {database}.{table}{on_cluster}"),
            1,
        )
        .replacen("{plain}", &engine(replicated, "", database, &table), 1);
    for (placeholder, family) in [("{summing}(", "Summing"), ("{replacing}(", "Replacing")] {
        let whole = engine(replicated, family, database, &table);
        // A replicated engine's own arguments follow the path and the replica's name.
        let open = whole.strip_suffix(')').map_or_else(|| format!("{whole}("), |head| format!("{head}, "));
        placed = placed.replacen(placeholder, &open, 1);
    }
    placed
}

/// FNV-1a, to notice a text that changed; not against an enemy.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_cluster_tables_are_replicated_and_on_cluster() {
        let statement = "CREATE TABLE IF NOT EXISTS links_1m{on_cluster}\n(\n    a UInt8\n)\nENGINE = {summing}((bytes))\nORDER BY a";
        let placed = placed(statement, "flows_of_ours", " ON CLUSTER `c`", true);
        assert!(
            placed.starts_with("CREATE TABLE IF NOT EXISTS flows_of_ours.links_1m ON CLUSTER `c`\n"),
            "{placed}"
        );
        assert!(
            placed.contains(
                "ENGINE = ReplicatedSummingMergeTree('/clickhouse/tables/{shard}/flows_of_ours/links_1m', '{replica}', (bytes))"
            ),
            "{placed}"
        );
    }

    #[test]
    fn on_one_server_tables_are_plain() {
        let statement =
            "CREATE TABLE IF NOT EXISTS flows{on_cluster}\n(\n    a UInt8\n)\nENGINE = {plain}\nORDER BY a";
        let placed = placed(statement, "weir", "", false);
        assert!(placed.contains("weir.flows\n") && placed.contains("ENGINE = MergeTree\n"), "{placed}");
    }

    #[test]
    fn the_first_migration_is_one_statement_a_table() {
        let all: Vec<_> = MIGRATIONS.iter().flat_map(|migration| statements(migration.sql)).collect();
        assert_eq!(all.len(), tables().count());
        assert!(all.iter().all(|statement| statement.starts_with("CREATE TABLE IF NOT EXISTS ")));
    }
}
