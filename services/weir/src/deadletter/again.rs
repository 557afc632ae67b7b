//! What decoding a letter now comes to, with the state that the decoder has; nothing is written.

use super::letters::Letter;
use anyhow::{Result, anyhow};
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_bus::{Bus, Reader};
use weir_decoder::enrich::Enricher;
use weir_decoder::partition::RawRecord;
use weir_decoder::replay::{Replay, Window};

/// Flows that are shown.
const SHOWN: usize = 20;

/// Decodes the frame that would be put back, and says what it is.
pub fn decode<B: Bus>(
    reader: &mut B::Reader,
    bus: &B,
    config: &crate::config::Config,
    letter: &Letter,
    frame: &[u8],
    say: &dyn Fn(&str),
) -> Result<()> {
    let enricher = Enricher::new(&config.decoder.enrich).map_err(|error| anyhow!("{error}"))?;
    let (topics, partition) = (bus.topics(), letter.about.partition);
    let all = Window { received: i64::MIN..i64::MAX, exporters: BTreeSet::new() };
    let generation = config.decoder.generation;
    let mut replay =
        Replay::new(partition, generation, &config.decoder, &Arc::new(enricher), &topics.raw, &all);
    reader.restore(&topics.state, &[partition], &mut |record| {
        replay.restore_state(record.key().unwrap_or_default(), record.value());
    })?;
    reader.restore(&topics.inventory, &[partition], &mut |record| {
        replay.restore_inventory(record.key().unwrap_or_default(), record.value());
    })?;
    replay.restored();
    let mut flows = Vec::new();
    let mut keep = |_: &weir_schemas::Batch<'_>, flow: &weir_schemas::Flow<'_>| {
        flows.push(serde_json::to_string(flow).unwrap_or_else(|error| error.to_string()));
    };
    let raw = RawRecord { offset: letter.about.offset, key: Some(&letter.key), value: Some(frame) };
    replay.frame(&raw, &mut keep)?;
    let outcome = replay.finish(&mut keep)?;
    say(&format!(
        "decoded now: {} flows, {} sets that wait for their template",
        flows.len(),
        outcome.waiting.len()
    ));
    outcome.dead.iter().for_each(|(reason, count)| say(&format!("dead again: {count} of {reason}")));
    flows.iter().take(SHOWN).for_each(|flow| say(flow));
    if flows.len() > SHOWN {
        say(&format!("and {} more", flows.len() - SHOWN));
    }
    Ok(())
}
