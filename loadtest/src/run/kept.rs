//! What is kept of the flows: tables once they are merged, and topics. A sizing is computed from it.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use weir_store::Store;

/// A table as it lies on disk after merges, of whatever run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub table: String,
    /// Rows.
    pub rows: u64,
    /// Bytes on disk, compressed.
    pub bytes: u64,
}

/// Merges all parts of each table that has rows of flows, and looks at what is left. It takes its time.
///
/// # Errors
/// Where ClickHouse does not answer as it should.
pub async fn tables(store: &Store) -> Result<Vec<Table>> {
    let database = store.database();
    for table in weir_schemas::rollup::ROLLUPS.iter().map(|rollup| rollup.name).chain(["flows"]) {
        store.execute(&format!("OPTIMIZE TABLE {database}.{table} FINAL")).await?;
    }
    let sql = "SELECT table, toUInt64(sum(rows)) AS rows, toUInt64(sum(bytes_on_disk)) AS bytes FROM system.parts \
               WHERE active AND database = {database:String} GROUP BY table HAVING rows > 0 ORDER BY table";
    Ok(store.query(sql, &[("database", database.to_owned())]).await?)
}

/// Bytes of the topics below a folder of Kafka's, by topic: its partitions together. The embedded bus numbers its topics, so that of them there
/// is one sum.
pub fn topics(folder: &Path) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    let embedded = std::fs::read_dir(folder.join("logs"));
    for entry in embedded.into_iter().flatten().flatten() {
        *sums.entry("all topics".to_owned()).or_default() += size(&entry.path());
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Kafka appends the partition.
        let topic = name
            .rsplit_once('-')
            .filter(|(_, n)| n.parse::<u32>().is_ok())
            .map_or(&*name, |(topic, _)| topic);
        if topic.starts_with("weir.") {
            *sums.entry(topic.to_owned()).or_default() += size(&entry.path());
        }
    }
    sums
}

/// Bytes that the logs in a folder hold; indexes are made longer than they are needed.
fn size(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let logs = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "log"));
    logs.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_summed_over_their_partitions() {
        let dir = tempfile::tempdir().unwrap();
        for (topic, file, length) in [
            ("weir.raw-0", "0.log", 5),
            ("weir.raw-11", "0.log", 7),
            ("weir.raw-11", "0.index", 100),
            ("__other-0", "0.log", 9),
        ] {
            std::fs::create_dir_all(dir.path().join(topic)).unwrap();
            std::fs::write(dir.path().join(topic).join(file), vec![0; length]).unwrap();
        }
        assert_eq!(topics(dir.path()), BTreeMap::from([("weir.raw".to_owned(), 12)]));
        let embedded = dir.path().join("bus");
        for (number, length) in [("000001", 4), ("000002", 9)] {
            std::fs::create_dir_all(embedded.join("logs").join(number)).unwrap();
            std::fs::write(embedded.join("logs").join(number).join("0.log"), vec![0; length]).unwrap();
        }
        assert_eq!(topics(&embedded), BTreeMap::from([("all topics".to_owned(), 13)]));
    }
}
