//! What decoding the window again comes to, in short.

use super::ledger::{Entry, Sum};
use super::work::Work;
use anyhow::Result;
use serde::Deserialize;
use weir_bus::Bus;

/// ASes that are named.
const TOP: usize = 10;

#[derive(Deserialize)]
struct Exporter {
    exporter: String,
    old_flows: u64,
    new_flows: u64,
    old_bytes: u64,
    new_bytes: u64,
}

#[derive(Deserialize)]
struct Changed {
    asn: u32,
    old_bytes: u64,
    new_bytes: u64,
}

/// Says it.
pub fn tell<B: Bus>(work: &mut Work<'_, B>, entry: &Entry) -> Result<()> {
    let (database, staging, old) = (work.database(), &entry.details.staging, entry.old());
    let both = format!(
        "(SELECT exporter, src_as, dst_as, bytes, 1 AS new FROM {database}.{staging} UNION ALL \
         SELECT exporter, src_as, dst_as, bytes, 0 AS new FROM {database}.flows WHERE {old})"
    );
    const BYTES: &str = "sumIf(toUInt64(ifNull(bytes, 0)), new = 0) AS old_bytes, sumIf(toUInt64(ifNull(bytes, 0)), new = 1) AS new_bytes";
    let exporters: Vec<Exporter> = work.query(&format!(
        "SELECT replaceRegexpOne(IPv6NumToString(exporter), '^::ffff:', '') AS exporter, countIf(new = 0) AS old_flows, \
         countIf(new = 1) AS new_flows, {BYTES} FROM {both} GROUP BY exporter ORDER BY exporter"
    ))?;
    work.say(&row("exporter", "flows before", "after", "bytes before", "after"));
    for one in exporters {
        let (old, new) = (one.old_flows.to_string(), one.new_flows.to_string());
        work.say(&row(&one.exporter, &old, &new, &one.old_bytes.to_string(), &one.new_bytes.to_string()));
    }
    let Sum { flows, bytes, .. } = entry.details.before;
    let after = entry.details.after;
    let texts = [flows, after.flows, bytes, after.bytes].map(|n| n.to_string());
    work.say(&row("all", &texts[0], &texts[1], &texts[2], &texts[3]));
    let changed: Vec<Changed> = work.query(&format!(
        "SELECT asn, {BYTES} FROM {both} ARRAY JOIN [src_as, dst_as] AS asn GROUP BY asn HAVING old_bytes != new_bytes \
         ORDER BY abs(toInt128(new_bytes) - toInt128(old_bytes)) DESC, asn"
    ))?;
    work.say(&format!(
        "{} ASes have other bytes than before{}",
        changed.len(),
        if changed.is_empty() { "" } else { ", most of all" }
    ));
    for Changed { asn, old_bytes, new_bytes } in changed.iter().take(TOP) {
        work.say(&row(&format!("AS{asn}"), "", "", &old_bytes.to_string(), &new_bytes.to_string()));
    }
    let details = &entry.details;
    for (reason, count) in &details.dead {
        work.say(&format!("{count} would be dead letters: {reason}"));
    }
    if !details.left.is_empty() {
        work.say(&format!(
            "{} datagrams hold sets that wait for their template, and are left alone",
            details.left.len()
        ));
    }
    if details.untouched > 0 {
        work.say(&format!(
            "{} rows of the window are left alone: the log no longer has what they were made of, or it waits",
            details.untouched
        ));
    }
    Ok(())
}

fn row(key: &str, old_flows: &str, new_flows: &str, old_bytes: &str, new_bytes: &str) -> String {
    format!("{key:<40} {old_flows:>14} {new_flows:>14} {old_bytes:>18} {new_bytes:>18}").trim_end().to_owned()
}
