//! Retention that is raised: what was dropped before is read from the table that still has it.
#![allow(clippy::unwrap_used)]

mod engine;
mod served;

use engine::{put_links, side};
use serde_json::json;
use served::Served;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use weir_schemas::{Connectivity, Direction, Ip};
use weir_stack::sides::rolled_up;
use weir_store::{Config, Store};

const DAY: u32 = 86_400;

/// One test function, because one process has one engine.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_was_dropped_before_retention_was_raised_is_read_from_the_table_that_still_has_it() {
    engine::with(async |mut store, ending| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
        let exporter = Ip::v4([192, 0, 2, 1]);
        put_links(&mut store, exporter, &[(1, "Transit A", Connectivity::Transit)]).await;
        // Of a day that is longer ago than five minutes are kept, and of one that is not.
        let [before, since] = [450, 100].map(|days| (now / DAY - days) * DAY);
        for (day, kept) in [(before, 400), (since, 0)] {
            let of = |hour: u32| side(exporter, day + hour * 3600, 174, 1, Direction::In, 100);
            let sides: Vec<_> = (0..24).map(of).collect();
            for (table, rows) in rolled_up(&sides).into_iter().filter(|(table, _)| table.days > kept) {
                store.insert(table, rows.into(), table.name).await.unwrap();
            }
        }
        let mut config: Config = store.config().clone();
        config.retention_days.insert("interfaces_5m".to_owned(), 800);
        let store = Store::new(&config).unwrap();
        weir_store::migrate::migrate(&store).await.unwrap();
        let api = Served::over(store).await;
        let time = |seconds: u32| jiff::Timestamp::from_second(seconds.into()).unwrap().to_string();
        let total = |day: u32| {
            let question = json!({"from": time(day), "to": time(day + DAY), "by": ["link"]});
            let answer = api.post(&question).json();
            (answer["total"]["bytes_in"].clone(), answer["tables"].clone())
        };
        // It looks as soon as it runs.
        let begun = Instant::now();
        while total(before).0 == 0 && begun.elapsed() < Duration::from_secs(60) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(total(before), (24_000_000.into(), json!(["links_1d"])));
        assert_eq!(total(since), (24_000_000.into(), json!(["interfaces_5m"])));
        api.end().await;
        ending.end().await;
    })
    .await;
}
