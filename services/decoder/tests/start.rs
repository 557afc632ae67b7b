//! The start of a decoder while its broker is away: it waits, says so, and ends in order when told to.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use weir_bus::{KafkaBus, TopicSpec};
use weir_runtime::{Health, Stop};
use weir_stack::bus::{BentBus, Slow};

async fn run(unanswered: u32, stop: Stop) -> (Result<(), weir_decoder::Error>, u32) {
    let config = weir_bus::Config { bootstrap_servers: "127.0.0.1:1".to_owned(), ..Default::default() };
    let (topics, specs) = (config.topics(), TopicSpec::all(&config, config.partitions));
    let slow = Arc::new(Slow { unanswered, ..Slow::default() });
    let bus = BentBus::new(KafkaBus::new(config).unwrap(), Arc::clone(&slow));
    let ready = Health::default().condition("bus");
    let run = weir_decoder::run(weir_decoder::Config::default(), bus, topics, specs, ready, stop);
    let ended = tokio::time::timeout(Duration::from_secs(20), run).await.unwrap();
    (ended, slow.asked.load(Ordering::Relaxed))
}

#[tokio::test]
async fn what_passes_is_waited_out_at_the_start_and_what_does_not_is_said() {
    let (ended, asked) = run(2, Stop::new()).await;
    let word = ended.unwrap_err().to_string();
    assert!(word.contains("does not exist") && asked == 3, "{word} after {asked}");
}

#[tokio::test]
async fn an_end_while_the_broker_is_away_is_in_order() {
    let stop = Stop::new();
    let told = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        told.cancel();
    });
    let (ended, asked) = run(u32::MAX, stop).await;
    ended.unwrap();
    assert!(asked > 0);
}
