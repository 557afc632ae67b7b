//! Which interface is on which link, and when: a person's word where there is one, else what rules say.
//!
//! What must stay true: at no time an interface is on two links, for then its bytes would count twice. Who says something is held against what was
//! said before, but two processes that say something at once don't know of each other: where people put an interface on two links at a time, it is
//! on the one of which was said something last, and of those that were said at the same moment on the one whose id is last in the order of
//! bytes. The decoder keeps to the same (`decoder/src/enrich/said.rs`). Of an interface that a person put on a link nothing that rules say counts, at any time.

/// Rows of what people said that still hold. Of a link and exporter those of the latest version do; one that is a member for no time is none.
fn said(database: &str) -> String {
    format!(
        "SELECT * FROM {database}.classified FINAL WHERE valid_from < valid_to AND (exporter, link_id, version) IN \
         (SELECT exporter, link_id, max(version) FROM {database}.classified GROUP BY exporter, link_id)"
    )
}

/// The same, without the times at which what was said later has the interface.
fn alone(database: &str) -> String {
    let of_interface = format!(
        "SELECT *, toString(link_id) AS id, groupArray((version, id, valid_from, valid_to)) \
         OVER (PARTITION BY exporter, if_index) AS all FROM ({})",
        said(database)
    );
    let later = "arrayFilter(o -> (o.1, o.2) > (version, id) AND o.3 < valid_to AND o.4 > valid_from, all)";
    // Between its own ends and theirs a word holds where none of theirs does.
    let ends = "arraySort(arrayDistinct(arrayConcat([valid_from, valid_to], \
                arrayFilter(at -> at > valid_from AND at < valid_to, arrayConcat(later.3, later.4)))))";
    let held = "arrayFilter(time -> NOT arrayExists(o -> o.3 <= time.1 AND o.4 > time.1, later), \
                arrayZip(arrayPopBack(ends), arrayPopFront(ends)))";
    format!("SELECT *, {later} AS later, {ends} AS ends, arrayJoin({held}) AS held FROM ({of_interface})")
}

/// SQL: members of links, each with what its link is and who says so. `rule` says it of those without an id.
pub(crate) fn members(database: &str) -> String {
    let (said, alone) = (said(database), alone(database));
    format!(
        "SELECT exporter, if_index, held.1 AS valid_from, held.2 AS valid_to, link, provider, connectivity, neighbour_as, capacity, \
         id, commit_rate, price, toString(currency) AS currency, version FROM ({alone}) \
         UNION ALL SELECT exporter, if_index, valid_from, valid_to, link, provider, connectivity, neighbour_as, capacity, \
         '' AS id, 0 AS commit_rate, 0 AS price, '' AS currency, version FROM {database}.links FINAL \
         WHERE (exporter, if_index) NOT IN (SELECT exporter, if_index FROM ({said}))"
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
