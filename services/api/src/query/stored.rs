//! Since when anything is stored: before that nothing was measured, which is not the same as no traffic.

use super::ask::{AskError, rows};
use super::sql::Statement;
use serde::Deserialize;
use weir_store::Store;

#[derive(Deserialize)]
struct First {
    minutes: u32,
    hours: u32,
}

/// When the first slot begins that is stored of any exporter, seconds since the epoch. Partitions know their first times, so nothing is read.
pub(super) async fn stored_from(store: &Store) -> Result<Option<u32>, AskError> {
    let first = |table| format!("(SELECT toUnixTimestamp(min(time)) FROM {}.{table})", store.database());
    let sql = format!("SELECT {} AS minutes, {} AS hours", first("interfaces_5m"), first("links_1h"));
    let first = rows::<First>(store, Statement::of(sql, [])).await?;
    Ok(first.into_iter().next().and_then(|first| earliest(&first)))
}

/// Hours are kept longer than minutes; those of the first minutes begin with them or a little before.
fn earliest(First { minutes, hours }: &First) -> Option<u32> {
    let dropped = *hours > 0 && hours.saturating_add(3600) <= *minutes;
    Some(if dropped || *minutes == 0 { *hours } else { *minutes }).filter(|begins| *begins > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_slot_is_of_the_table_that_still_has_it() {
        let of = |minutes, hours| earliest(&First { minutes, hours });
        assert_eq!(
            (of(0, 0), of(7500, 7200), of(90_000, 7200), of(0, 7200)),
            (None, Some(7500), Some(7200), Some(7200))
        );
    }
}
