//! Asking for the bounds of partitions beside a worker's thread: the leader of one that is away is waited for as long as a request may take,
//! and nothing else may stand still meanwhile.

use std::sync::mpsc::{Receiver, channel};
use weir_bus::{Bus, Reader, Result};

/// Asks where each of these partitions begins, one after the other. Behind the last answer the channel is closed.
pub fn ask<B: Bus>(
    bus: &B,
    topic: &str,
    partitions: impl IntoIterator<Item = i32>,
) -> Receiver<Result<(i32, i64)>> {
    let (bus, topic, partitions) = (bus.clone(), topic.to_owned(), Vec::from_iter(partitions));
    let (tell, answers) = channel();
    let ask = move || {
        let mut reader = match bus.reader() {
            Ok(reader) => reader,
            Err(error) => return drop(tell.send(Err(error))),
        };
        for partition in partitions {
            let answer = reader.bounds(&topic, partition).map(|(begin, _)| (partition, begin));
            // Nobody wants to know any more where the worker has ended or asks something else.
            if tell.send(answer).is_err() {
                return;
            }
        }
    };
    // Without a thread the channel is closed at once: it is asked again as after any silence.
    if let Err(error) = std::thread::Builder::new().name("sink-asks".to_owned()).spawn(ask) {
        tracing::warn!("no thread to ask for bounds with: {error}");
    }
    answers
}
