//! Asking for the bounds of partitions beside a worker's thread: the leader of one that is away is waited for as long as a request may take,
//! and nothing else may stand still meanwhile.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use weir_bus::{Bus, Reader, Result};

/// Asks. A reader is many threads and connections, so that of one question is kept for the next; a question that comes meanwhile takes its own.
pub struct Questions<B: Bus> {
    bus: B,
    idle: Mutex<Option<B::Reader>>,
}

impl<B: Bus> Questions<B> {
    /// To this bus.
    pub fn new(bus: &B) -> Arc<Self> {
        Arc::new(Self { bus: bus.clone(), idle: Mutex::new(None) })
    }

    /// Asks where each of these partitions begins, one after the other. Behind the last answer the channel is closed.
    pub fn ask(
        self: &Arc<Self>,
        topic: &str,
        partitions: impl IntoIterator<Item = i32>,
    ) -> Receiver<Result<(i32, i64)>> {
        let (questions, topic, partitions) = (Arc::clone(self), topic.to_owned(), Vec::from_iter(partitions));
        let (tell, answers) = channel();
        let ask = move || {
            let kept = questions.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut reader = match kept.map_or_else(|| questions.bus.reader(), Ok) {
                Ok(reader) => reader,
                Err(error) => return drop(tell.send(Err(error))),
            };
            for partition in partitions {
                let answer = reader.bounds(&topic, partition).map(|(begin, _)| (partition, begin));
                // Nobody wants to know any more where the worker has ended or asks something else.
                if tell.send(answer).is_err() {
                    break;
                }
            }
            *questions.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(reader);
        };
        // Without a thread the channel is closed at once: it is asked again as after any silence.
        if let Err(error) = std::thread::Builder::new().name("sink-asks".to_owned()).spawn(ask) {
            tracing::warn!("no thread to ask for bounds with: {error}");
        }
        answers
    }
}
