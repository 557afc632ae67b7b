//! Which interface is on which link, and when: a person's word where there is one, else what rules say.
//!
//! What must stay true: at no time an interface is on two links, for then its bytes would count twice. Who says something is held against what was
//! said before, but two processes that say something at once don't know of each other: where people put an interface on two links at a time, it is
//! on the one of which was said something last, and of those that were said at the same moment on the one whose id is last in the order of
//! bytes. The decoder keeps to the same (`decoder/src/enrich/said.rs`). Of an interface that a person put on a link nothing that rules say counts, at any time.

/// Rows of what people said that still hold. Of a link and exporter those of the latest version do; one that is a member for no time is none.
fn said(database: &str, columns: &str) -> String {
    format!(
        "SELECT {columns} FROM {database}.classified FINAL WHERE valid_from < valid_to AND (exporter, link_id, version) IN \
         (SELECT exporter, link_id, max(version) FROM {database}.classified GROUP BY exporter, link_id)"
    )
}

/// SQL: members of links, each with what its link is and who says so. `rule` says it of those without an id.
pub(crate) fn members(database: &str) -> String {
    // Between all ends of what was said of an interface it is on one link: the order decides which.
    let ends = "*, arraySort(groupUniqArrayArray([valid_from, valid_to]) OVER (PARTITION BY exporter, if_index)) AS ends";
    let by_people = said(database, ends);
    let interfaces = said(database, "exporter, if_index");
    format!(
        "SELECT exporter, if_index, begin AS valid_from, until AS valid_to, link, provider, connectivity, neighbour_as, capacity, \
         toString(link_id) AS id, commit_rate, price, toString(currency) AS currency, version FROM ({by_people}) AS s \
         ARRAY JOIN ends AS begin, arrayRotateLeft(ends, 1) AS until WHERE begin >= s.valid_from AND begin < s.valid_to \
         ORDER BY version DESC, id DESC LIMIT 1 BY exporter, if_index, begin \
         UNION ALL SELECT exporter, if_index, valid_from, valid_to, link, provider, connectivity, neighbour_as, capacity, \
         '' AS id, 0 AS commit_rate, 0 AS price, '' AS currency, version FROM {database}.links FINAL \
         WHERE (exporter, if_index) NOT IN ({interfaces})"
    )
}

/// SQL: interfaces that are on a link at `{now:UInt32}`.
pub(crate) fn on_links(database: &str) -> String {
    let now = "toDateTime({now:UInt32}, 'UTC')";
    format!(
        "SELECT exporter, if_index FROM ({}) WHERE link != '' AND valid_from <= {now} AND valid_to > {now}",
        members(database)
    )
}
