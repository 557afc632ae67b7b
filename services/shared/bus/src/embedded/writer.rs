//! Sending without transactions: gathered for a moment, compressed and appended by a thread of the writer's own, so that a slow disk never
//! keeps who sends from its sockets. What does not go in now waits, as on Kafka: the bound on what waits is in bytes, and the newest is refused.

use super::log::{Core, Log, Once, Refusal};
use super::producer::Gathered;
use crate::{Count, Delivered, Error, Full, Message, Result, Writer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Sent on without waiting for more when it is this much, bytes.
const ENOUGH: usize = 512 << 10;
/// Pause before the next try of what was not taken.
const AGAIN: Duration = Duration::from_millis(100);
/// Why something was given up.
const GIVEN_UP: &str = "given up before it was acknowledged";

const ENDED: &str = "the writer's thread ended";

struct Job {
    number: u64,
    /// Not compressed yet: what waits would be held twice.
    gathered: Gathered,
    count: Count,
}

type Word = (Count, std::result::Result<(), String>);

/// [`Writer`] on the embedded bus.
pub struct EmbeddedWriter {
    core: Arc<Core>,
    buffer_bytes: usize,
    gathered: Gathered,
    count: Count,
    since: Option<Instant>,
    logs: BTreeMap<String, Arc<Log>>,
    jobs: Option<Sender<Job>>,
    words: Receiver<Word>,
    last: u64,
    /// Jobs up to this number are given up.
    given_up: Arc<AtomicU64>,
    waiting: Count,
    delivered: Delivered,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for EmbeddedWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedWriter").field("delivered", &self.delivered).finish_non_exhaustive()
    }
}

fn add(to: &mut Count, more: Count) {
    to.records += more.records;
    to.units += more.units;
    to.bytes += more.bytes;
}

impl EmbeddedWriter {
    pub(super) fn open(core: &Arc<Core>, buffer_bytes: usize) -> Result<Self> {
        let ((jobs, work), (done, words)) = (channel(), channel());
        let given_up = Arc::new(AtomicU64::new(0));
        let thread = std::thread::Builder::new().name("bus-writer".to_owned()).spawn({
            let (core, given_up) = (Arc::clone(core), Arc::clone(&given_up));
            move || append(&core, &work, &done, &given_up)
        });
        let thread = thread.map_err(|error| Error::Bus {
            doing: "starting a writer's thread".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            core: Arc::clone(core),
            buffer_bytes,
            gathered: Gathered::default(),
            count: Count::default(),
            since: None,
            logs: BTreeMap::new(),
            jobs: Some(jobs),
            words,
            last: 0,
            given_up,
            waiting: Count::default(),
            delivered: Delivered::default(),
            thread: Some(thread),
        })
    }

    fn log(&mut self, topic: &str) -> Result<Arc<Log>> {
        if let Some(log) = self.logs.get(topic) {
            return Ok(Arc::clone(log));
        }
        let log = self.core.log(topic)?;
        self.logs.insert(topic.to_owned(), Arc::clone(&log));
        Ok(log)
    }

    fn send_on(&mut self) {
        self.since = None;
        if self.gathered.is_empty() {
            return;
        }
        self.last += 1;
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.fit();
        let job = Job { number: self.last, gathered, count: std::mem::take(&mut self.count) };
        let count = job.count;
        if self.jobs.as_ref().is_none_or(|jobs| jobs.send(job).is_err()) {
            self.note((count, Err(ENDED.to_owned())));
        }
    }

    fn send_due(&mut self) {
        let linger = Duration::from_millis(self.core.config.linger_ms);
        if self.gathered.bytes >= ENOUGH || self.since.is_some_and(|since| since.elapsed() >= linger) {
            self.send_on();
        }
    }

    fn note(&mut self, (count, word): Word) {
        self.waiting.records -= count.records;
        self.waiting.units -= count.units;
        self.waiting.bytes -= count.bytes;
        let total = match word {
            Ok(()) => &mut self.delivered.acked,
            Err(reason) => {
                // Perhaps of a topic that was deleted, and created again.
                self.logs.clear();
                let failed = &mut self.delivered.failed;
                let found = failed.iter().position(|(known, _)| *known == reason);
                let found = found.unwrap_or_else(|| {
                    failed.push((reason, Count::default()));
                    failed.len() - 1
                });
                &mut failed[found].1
            }
        };
        add(total, count);
    }

    fn take_words(&mut self, timeout: Duration) {
        if self.waiting.records > 0
            && !timeout.is_zero()
            && let Ok(word) = self.words.recv_timeout(timeout)
        {
            self.note(word);
        }
        loop {
            match self.words.try_recv() {
                Ok(word) => self.note(word),
                Err(TryRecvError::Empty) => return,
                // A defect: nobody will ever say what became of the rest, and what is gathered goes nowhere.
                Err(TryRecvError::Disconnected) => {
                    (self.gathered, self.count, self.since) = (Gathered::default(), Count::default(), None);
                    if self.waiting.records > 0 {
                        self.note((self.waiting, Err(ENDED.to_owned())));
                    }
                    return;
                }
            }
        }
    }
}

/// The thread: appends what comes, in order, for as long as that takes.
fn append(core: &Core, work: &Receiver<Job>, done: &Sender<Word>, given_up: &AtomicU64) {
    let mut told = false;
    let mut once = Once { writer: core.unique(), number: 0, again: false };
    while let Ok(Job { number, mut gathered, count }) = work.recv() {
        let mut batches = None;
        (once.number, once.again) = (number, false);
        let word = loop {
            if number <= given_up.load(Ordering::Acquire) {
                break Err(GIVEN_UP.to_owned());
            }
            let batches = batches.get_or_insert_with(|| gathered.take(core.config.compression));
            match core.commit::<Infallible>(batches, Some(&once), None, |_| Ok(())) {
                Ok(()) => {
                    if std::mem::take(&mut told) {
                        tracing::info!("the bus accepts records again");
                    }
                    break Ok(());
                }
                Err(Refusal::Gone(reason)) => break Err(reason),
                Err(refusal) => {
                    once.again |= matches!(refusal, Refusal::Unknown(_));
                    if !std::mem::replace(&mut told, true) {
                        tracing::error!("{refusal}");
                    }
                    std::thread::sleep(AGAIN);
                }
            }
        };
        if done.send((count, word)).is_err() {
            return;
        }
    }
}

impl Writer for EmbeddedWriter {
    fn try_send(&mut self, message: &Message<'_>, units: u32) -> Result<std::result::Result<(), Full>> {
        let size = (message.key.len() + message.value.map_or(0, <[u8]>::len)) as u64;
        self.take_words(Duration::ZERO);
        let failed = |reason: String| Error::Bus {
            doing: format!("sending to {}/{}", message.topic, message.partition),
            reason,
        };
        if self.is_broken() {
            return Err(failed(ENDED.to_owned()));
        }
        if self.waiting.bytes + size > self.buffer_bytes as u64 {
            self.send_on();
            return Ok(Err(Full));
        }
        let log = self.log(message.topic)?;
        self.gathered.push(&log, message).map_err(failed)?;
        let count = Count { records: 1, units: u64::from(units), bytes: size };
        add(&mut self.count, count);
        add(&mut self.waiting, count);
        self.since.get_or_insert_with(Instant::now);
        self.send_due();
        Ok(Ok(()))
    }

    fn is_broken(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    fn give_up(&mut self) {
        self.send_on();
        self.given_up.store(self.last, Ordering::Release);
    }

    fn poll(&mut self, timeout: Duration) {
        self.send_due();
        self.take_words(timeout);
    }

    fn in_flight(&self) -> usize {
        usize::try_from(self.waiting.records).unwrap_or(usize::MAX)
    }

    fn delivered(&self) -> Delivered {
        self.delivered.clone()
    }

    fn flush(&mut self, timeout: Duration) -> bool {
        self.send_on();
        let until = Instant::now() + timeout;
        while self.waiting.records > 0 && Instant::now() < until {
            self.take_words(until.saturating_duration_since(Instant::now()));
        }
        if self.waiting.records == 0 {
            return true;
        }
        self.give_up();
        let until = Instant::now() + Duration::from_secs(1);
        while self.waiting.records > 0 && Instant::now() < until {
            self.take_words(AGAIN);
        }
        false
    }
}

/// What was taken and is not in yet is given up: who wants it in flushes.
impl Drop for EmbeddedWriter {
    fn drop(&mut self) {
        self.given_up.store(u64::MAX, Ordering::Release);
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cleanup, Config, EmbeddedConfig, TopicSpec};

    const LONG: Duration = Duration::from_secs(20);

    /// In the place of its thread another one that has ended.
    fn end_thread(writer: &mut EmbeddedWriter) {
        let ((jobs, work), (done, words)) = (channel(), channel::<Word>());
        writer.jobs = Some(jobs);
        writer.words = words;
        writer.thread = Some(std::thread::spawn(move || drop((work, done))));
        let begun = Instant::now();
        while !writer.is_broken() {
            assert!(begun.elapsed() < LONG);
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_writer_whose_thread_ended_takes_nothing_more_and_counts_what_it_had_as_failed_once() {
        let folder = tempfile::TempDir::new().unwrap();
        let embedded =
            EmbeddedConfig { path: folder.path().into(), reserve_bytes: 0, ..EmbeddedConfig::default() };
        // What is gathered is sent on when somebody flushes, and not before.
        let core =
            Core::open(Config { embedded, linger_ms: 900_000, ..Config::default() }, "boot".to_owned())
                .unwrap();
        core.create(&TopicSpec::new("raw", 1, 1, Cleanup::Delete { retention_ms: 1_000 })).unwrap();
        let message =
            Message { topic: "raw", partition: 0, key: b"key", value: Some(b"value"), headers: &[] };
        for timeout in [Duration::ZERO, LONG] {
            let mut writer = EmbeddedWriter::open(&core, 1 << 20).unwrap();
            writer.try_send(&message, 1).unwrap().unwrap();
            assert!(writer.flush(LONG));
            // One is on its way, one is gathered.
            writer.try_send(&message, 5).unwrap().unwrap();
            writer.waiting.records += 1;
            writer.waiting.units += 3;
            end_thread(&mut writer);
            writer.poll(timeout);
            assert_eq!(writer.in_flight(), 0);
            let refused = writer.try_send(&message, 1).unwrap_err().to_string();
            assert_eq!(refused, format!("sending to raw/0: {ENDED}"));
            assert!(writer.flush(LONG));
            let Delivered { acked, failed } = writer.delivered();
            assert_eq!(acked, Count { records: 1, units: 1, bytes: 8 });
            assert_eq!(failed, [(ENDED.to_owned(), Count { records: 2, units: 8, bytes: 8 })]);
        }
    }
}
