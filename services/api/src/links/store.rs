//! Links as the store has them.

use super::complete;
use super::members::{members, on_links};
use super::proposal::{Evidence, proposal};
use super::{Interface, Link, Links, Member, SaidBy, Unclassified};
use crate::exporters;
use crate::pieces::{address, narrow};
use serde::Deserialize;
use std::collections::BTreeMap;
use weir_store::{Store, StoreError};

/// Interfaces on no link that are told.
const MOST: usize = 1000;

#[derive(Deserialize)]
struct MemberRow {
    #[serde(flatten)]
    interface: Interface,
    valid_from: u32,
    valid_to: u32,
    id: String,
    link: String,
    provider: String,
    connectivity: String,
    neighbour_as: u32,
    capacity: u64,
    commit_rate: u64,
    price: u64,
    currency: String,
}

#[derive(Deserialize)]
struct SeenRow {
    #[serde(flatten)]
    interface: Interface,
    bytes_in: u64,
    bytes_out: u64,
    ases: u64,
    largest: u32,
    /// How many there are, of which this is one.
    all: u64,
}

/// What an interface is called, joined to `x`, which has its exporter and index.
fn named(database: &str) -> (String, String) {
    let address = address!("x.exporter");
    let select = format!(
        "{address} AS exporter, if(e.name = '', {address}, e.name) AS exporter_name, \
         x.if_index AS if_index, i.name AS name, i.description AS description, i.speed AS speed"
    );
    let joins = format!(
        "LEFT JOIN (SELECT exporter, name FROM {database}.exporters FINAL) AS e ON e.exporter = x.exporter \
         LEFT JOIN (SELECT exporter, if_index, name, description, speed FROM {database}.interfaces FINAL) AS i \
         ON i.exporter = x.exporter AND i.if_index = x.if_index"
    );
    (select, joins)
}

/// All links, by their names.
pub async fn links(store: &Store) -> Result<Vec<Link>, StoreError> {
    let database = store.database();
    let (select, joins) = named(database);
    let rows: Vec<MemberRow> = store
        .query(
            &format!(
                "SELECT {select}, toUInt32(x.valid_from) AS valid_from, toUInt32(x.valid_to) AS valid_to, x.id AS id, \
                 toString(x.link) AS link, toString(x.provider) AS provider, toString(x.connectivity) AS connectivity, \
                 x.neighbour_as AS neighbour_as, x.capacity AS capacity, x.commit_rate AS commit_rate, x.price AS price, \
                 x.currency AS currency FROM ({}) AS x {joins} WHERE x.link != '' \
                 ORDER BY link, id, exporter_name, if_index, valid_from",
                members(database)
            ),
            &[],
        )
        .await?;
    let mut links: BTreeMap<(String, String), Link> = BTreeMap::new();
    for row in rows {
        let member = Member { interface: row.interface, valid_from: row.valid_from, valid_to: row.valid_to };
        let said_by = if row.id.is_empty() { SaidBy::Rule } else { SaidBy::Person };
        let link = links.entry((row.link.clone(), row.id.clone())).or_insert_with(|| Link {
            id: if row.id.is_empty() { row.link.clone() } else { row.id },
            name: row.link,
            provider: row.provider,
            connectivity: row.connectivity,
            neighbour_as: row.neighbour_as,
            capacity: row.capacity,
            commit_rate: row.commit_rate,
            price: row.price,
            currency: row.currency,
            said_by,
            ..Link::default()
        });
        link.members.push(member);
    }
    Ok(links.into_values().collect())
}

/// Interfaces that had traffic in the last day, up to now (seconds), and are on no link now; and how many there are besides those that are given.
async fn unclassified(store: &Store, now: u32) -> Result<(Vec<Unclassified>, u64), StoreError> {
    let database = store.database();
    let (select, joins) = named(database);
    // What was observed on the interface itself, and where nothing was, at the other end of its flows (`query/observed.rs`).
    let bytes = |side, own, other| {
        let of = |kind| format!("direction = '{side}' AND observation = '{kind}'");
        let sum = |kind| format!("sumIf(toInt128(bytes) * toInt128(sampling_interval), {})", of(kind));
        let sum = format!("if(countIf({}) > 0, {}, {})", of(own), sum(own), sum(other));
        format!("{} AS bytes_{side}", narrow(&format!("intDiv({sum}, 1000)")))
    };
    let rows: Vec<SeenRow> = store
        .query(
            &format!(
                "SELECT {select}, x.bytes_in AS bytes_in, x.bytes_out AS bytes_out, x.ases AS ases, x.largest AS largest, \
                 count() OVER () AS all FROM (SELECT exporter, if_index, {}, {}, uniqExactIf(asn, asn != 0) AS ases, \
                 argMaxIf(asn, bytes, asn != 0) AS largest \
                 FROM {database}.links_1h WHERE time >= toDateTime({{from:UInt32}}, 'UTC') \
                 AND toDate(time) >= toDate(toDateTime({{from:UInt32}}, 'UTC')) AND if_index != 0 \
                 GROUP BY exporter, if_index HAVING sum(flows) > 0) AS x {joins} WHERE (x.exporter, x.if_index) NOT IN ({}) \
                 ORDER BY toFloat64(bytes_in) + toFloat64(bytes_out) DESC, exporter_name, if_index LIMIT {MOST}",
                bytes("in", "ingress", "egress"),
                bytes("out", "egress", "ingress"),
                on_links(database)
            ),
            &[("from", now.saturating_sub(86_400).to_string()), ("now", now.to_string())],
        )
        .await?;
    let told = |row: SeenRow| {
        let Interface { name, description, .. } = &row.interface;
        let evidence = Evidence { name, description, ases: row.ases, largest: row.largest };
        let proposal = proposal(evidence);
        let interface = row.interface;
        Unclassified { interface, bytes_in: row.bytes_in, bytes_out: row.bytes_out, ases: row.ases, proposal }
    };
    let left_out = rows.first().map_or(0, |row| row.all.saturating_sub(rows.len() as u64));
    Ok((rows.into_iter().map(told).collect(), left_out))
}

/// Both, and how much of each link is counted.
pub async fn all(store: &Store, now: u32) -> Result<Links, StoreError> {
    let (links, (unclassified, left_out), seen) =
        tokio::try_join!(links(store), unclassified(store, now), exporters::observed(store, now))?;
    let mut all = Links { links, unclassified, left_out };
    complete::say(&mut all, &seen, now);
    Ok(all)
}

/// What the store has last of each of these links; of what it has nothing, nothing.
pub async fn versions(store: &Store, ids: &[String]) -> Result<BTreeMap<String, Latest>, StoreError> {
    let sql = format!(
        "SELECT toString(c.link_id) AS id, c.version AS version, uniqExact(c.exporter) AS exporters FROM {}.classified AS c \
         WHERE id IN {{ids:Array(String)}} GROUP BY id, version ORDER BY id, version DESC LIMIT 1 BY id",
        store.database()
    );
    #[derive(Deserialize)]
    struct Row {
        id: String,
        #[serde(flatten)]
        latest: Latest,
    }
    let rows: Vec<Row> = store.query_bound(&sql, &[("ids", ids)]).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.latest)).collect())
}

/// What was said of a link, at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Latest {
    /// When it was said, ns; 0: never.
    pub version: u64,
    /// For how many exporters.
    pub exporters: u64,
}

impl Latest {
    /// Whether another word is in it, or has been.
    pub fn has(self, other: Self) -> bool {
        self.version > other.version || self == other
    }
}
