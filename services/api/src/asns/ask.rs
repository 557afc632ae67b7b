//! Asks ClickHouse about one AS.

use super::{Asn, Elsewhere, MetBy, Special};
use crate::query::field::Dimension;
use crate::query::period::Kept;
use crate::query::request::{Request, RequestError};
use crate::query::{Answer, AskError, Question, Row, ask as put, names};
use weir_store::Store;

/// Links that are told, at most.
const LINKS: u32 = 50;

/// By which links an AS was met in the last day: at the border, and as a customer.
pub(crate) fn question(asn: u32, kept: Kept<'_>) -> Result<Question, RequestError> {
    let request = Request {
        last: Some("24h".to_owned()),
        by: Some(vec![Dimension::Link, Dimension::Connectivity]),
        top: Some(LINKS),
        filter: Some(format!("as = {asn} AND connectivity IN (transit, ix, pni, customer)")),
        ..Request::default()
    };
    request.question(kept)
}

/// Asks ClickHouse.
pub(crate) async fn ask(store: &Store, asn: u32, question: Question) -> Result<Asn, AskError> {
    let (met, mut named) = tokio::try_join!(put(store, &question), names(store, [asn].into()))?;
    let Answer { from, to, rows, .. } = met;
    let by = |Row { keys, bytes_in, bytes_out, .. }: Row| {
        let [link, connectivity] = <[String; 2]>::try_from(keys).ok()?;
        Some(MetBy { link, connectivity, bytes_in, bytes_out })
    };
    Ok(Asn {
        asn,
        name: named.remove(&asn).unwrap_or_default(),
        special: Special::of(asn),
        from,
        to,
        links: rows.into_iter().filter_map(by).collect(),
        elsewhere: Elsewhere::of(asn),
    })
}
