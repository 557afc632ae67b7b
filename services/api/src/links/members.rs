//! Which interface is on which link, and when: a person's word where there is one, else what rules say.
//!
//! What must stay true: at no time an interface is on two links, for then its bytes would count twice. Of an interface that a person put on a
//! link nothing that rules say counts, at any time.

/// Rows of what people said that still hold. Of a link and exporter those of the latest version do; one that is a member for no time is none.
fn said(database: &str) -> String {
    format!(
        "SELECT * FROM {database}.classified FINAL WHERE valid_from < valid_to AND (exporter, link_id, version) IN \
         (SELECT exporter, link_id, max(version) FROM {database}.classified GROUP BY exporter, link_id)"
    )
}

/// SQL: members of links, each with what its link is and who says so. `rule` says it of those without an id.
pub(crate) fn members(database: &str) -> String {
    let said = said(database);
    format!(
        "SELECT exporter, if_index, valid_from, valid_to, link, provider, connectivity, neighbour_as, capacity, \
         toString(link_id) AS id, commit_rate, price, toString(currency) AS currency, version FROM ({said}) \
         UNION ALL SELECT exporter, if_index, valid_from, valid_to, link, provider, connectivity, neighbour_as, capacity, \
         '' AS id, 0 AS commit_rate, 0 AS price, '' AS currency, version FROM {database}.links FINAL \
         WHERE (exporter, if_index) NOT IN (SELECT exporter, if_index FROM ({said}))"
    )
}
