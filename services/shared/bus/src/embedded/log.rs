//! The bus itself: what is in it, one way to change it, and one way to read it.
//!
//! Every change (records of a transaction with their offsets, a writer's records, a commit) goes through [`Core::commit`], one at a
//! time: check who asks, append to files, one batch of the index, and only then readers see it. Locks are taken in the order
//! `appending`, `index`, `state`; nothing waits for a disk while it holds `state`.

use super::config::Fsync;
use super::files::Files;
use super::frame::{Closed, Frame};
use super::group::Group;
use super::index::{Change, Ends, Index, Offsets, Topic};
use super::open::{Open, Unread};
use super::writing::{Done, Writing};
use crate::{Config, Error, Position, Result, metrics};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use thiserror::Error as ThisError;

/// Offsets are never used twice, also where a power cut took the word of what they were used for: they go on behind this many.
const LEAP: i64 = 1 << 20;
/// Facts of writers begin with this.
const WRITER: &str = "writer ";
/// How often one tries to open again what failed.
const AGAIN: Duration = Duration::from_secs(1);

/// Why a commit was not made.
#[derive(Debug, ThisError)]
pub(super) enum Refusal<E> {
    /// Whoever asked may not.
    #[error("not allowed")]
    Denied(E),
    /// Nothing of it was written, and nothing will be: the topic is gone.
    #[error("{0}")]
    Gone(String),
    /// Nothing of it was written: there is no room, or the disk failed.
    #[error("{0}")]
    No(String),
    /// It may have been written.
    #[error("{0}")]
    Unknown(String),
}

/// A topic, and what is at hand of it.
pub(super) struct Log {
    pub topic: Topic,
    /// Of a bulk topic.
    pub files: Option<Arc<Open>>,
    /// By number; shared with the same log as it was before its topic was changed.
    pub parts: Arc<[Mutex<Part>]>,
}

#[derive(Default)]
pub(super) struct Part {
    pub ends: Ends,
    /// The last frames appended.
    recent: VecDeque<Arc<Frame>>,
}

/// What an identity has under way.
#[derive(Debug, Default)]
pub(super) struct Identity {
    pub epoch: u64,
    /// Transactions that have ended.
    pub ended: u64,
    /// Partitions that its open transaction has written to, by topic and number.
    pub open: BTreeSet<(u32, i32)>,
}

/// What all handles share.
#[derive(Default)]
pub(super) struct State {
    pub logs: BTreeMap<String, Arc<Log>>,
    pub groups: HashMap<(String, String), Group>,
    pub identities: HashMap<String, Identity>,
    last: u64,
    pub offsets: Offsets,
    /// Whose oldest recent frame goes next.
    recent: VecDeque<(Arc<Log>, i32)>,
    recent_bytes: usize,
}

/// What is appended to, and whether it can be.
#[derive(Default)]
pub(super) struct Appending {
    pub files: BTreeMap<u32, Files>,
    /// Topics of which a sync had failed when everything was read anew.
    unsafe_then: BTreeSet<u32>,
    /// Why the index must be opened again, and when that was tried last.
    pub broken: Option<(String, Instant)>,
}

/// The bus.
pub(super) struct Core {
    pub config: Arc<Config>,
    pub(super) path: PathBuf,
    /// Names this start of the machine.
    boot: String,
    pub(super) appending: Mutex<Appending>,
    pub(super) index: RwLock<Option<Index>>,
    state: Mutex<State>,
    version: AtomicU64,
    asleep: Mutex<()>,
    changed: Condvar,
}

/// Records for one partition.
pub(super) struct Batch {
    pub log: Arc<Log>,
    pub partition: i32,
    pub bodies: Vec<Closed>,
}

/// What makes a commit that is tried again, because nobody knew whether it was made, be made once.
pub(super) struct Once {
    /// Names the writer, and no other of any process.
    pub writer: String,
    /// Of the writer's commits, the how manyeth.
    pub number: u64,
    /// Whether it was tried before.
    pub again: bool,
}

impl Once {
    fn key(&self) -> String {
        format!("{WRITER}{}", self.writer)
    }
}

/// Positions of a group.
pub(super) struct Offers<'a> {
    pub group: &'a str,
    pub topic: &'a str,
    pub positions: &'a [Position],
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// Changes with every start of the machine.
pub(super) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

impl Log {
    pub(super) fn part(&self, partition: i32) -> Option<MutexGuard<'_, Part>> {
        self.parts.get(usize::try_from(partition).ok()?).map(lock)
    }

    pub(super) fn ends(&self, partition: i32) -> Option<Ends> {
        self.part(partition).map(|part| part.ends)
    }
}

impl Core {
    /// Opens the folder, or makes it. `boot` names this start of the machine.
    pub(super) fn open(config: Config, boot: String) -> Result<Arc<Self>> {
        let path = config.embedded.path.clone();
        let core = Self {
            config: Arc::new(config),
            path,
            boot,
            appending: Mutex::default(),
            index: RwLock::default(),
            state: Mutex::default(),
            version: AtomicU64::new(1),
            asleep: Mutex::default(),
            changed: Condvar::new(),
        };
        let opened = core.load(&mut lock(&core.appending)).and_then(|()| {
            let index = core.index();
            let index = index.as_ref().ok_or("the index is closed")?;
            // Of writers of processes that are no more.
            index.forget_facts(WRITER).map_err(|error| error.to_string())
        });
        opened.map_err(|reason| core.trouble("opening it", reason))?;
        Ok(Arc::new(core))
    }

    pub(super) fn trouble(&self, doing: &str, reason: String) -> Error {
        Error::Embedded { path: self.path.clone(), doing: doing.to_owned(), reason }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// A name that no other writer of any process has.
    pub(super) fn unique(&self) -> String {
        let number = self.state().count();
        format!("{:x}-{number}", now_ms())
    }

    /// Counts changes of anything.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Tells everybody who waits that something is different.
    pub(super) fn tell(&self) {
        self.version.fetch_add(1, Ordering::Release);
        // Whoever looked before and does not sleep yet holds this lock.
        drop(lock(&self.asleep));
        self.changed.notify_all();
    }

    /// Waits until the version is another one.
    pub(super) fn wait(&self, version: u64, until: Instant) {
        let mut asleep = lock(&self.asleep);
        while self.version() == version {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            asleep = self.changed.wait_timeout(asleep, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Both ends of a partition.
    pub(super) fn bounds(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        let ends = self.log(topic)?.ends(partition);
        let ends = ends.ok_or_else(|| Error::NotAssigned { topic: topic.to_owned(), partition })?;
        Ok((ends.begin, ends.next))
    }

    pub(super) fn log(&self, topic: &str) -> Result<Arc<Log>> {
        let found = self.state().logs.get(topic).cloned();
        found.ok_or_else(|| Error::TopicMissing { topic: topic.to_owned() })
    }

    /// Reads what there is: at the start, and again after the index failed.
    fn load(&self, appending: &mut Appending) -> std::result::Result<(), String> {
        let mut slot = self.index.write().unwrap_or_else(PoisonError::into_inner);
        *slot = None;
        for (topic, files) in std::mem::take(&mut appending.files) {
            if files.has_failed() {
                appending.unsafe_then.insert(topic);
            }
        }
        std::fs::create_dir_all(&self.path).map_err(|error| error.to_string())?;
        let index = Index::open(&self.path.join("index")).map_err(|error| match error {
            fjall::Error::Locked => "another process uses it".to_owned(),
            error => error.to_string(),
        })?;
        let logs = self.read(&index, appending).map_err(|error| error.to_string())?;
        for topic in std::mem::take(&mut appending.unsafe_then) {
            appending.files.get(&topic).into_iter().for_each(Files::note_failure);
        }
        let offsets = index.offsets().map_err(|error| error.to_string())?;
        *slot = Some(index);
        let mut state = self.state();
        (state.logs, state.offsets) = (logs, offsets);
        state.recent.clear();
        state.recent_bytes = 0;
        appending.broken = None;
        Ok(())
    }

    fn read(&self, index: &Index, appending: &mut Appending) -> Loaded<BTreeMap<String, Arc<Log>>> {
        // After a power cut the last seconds may be missing, of the index too: what was given out then must not be given out again. What
        // `fsync` is now says nothing of them: it may have been set since.
        let clean = index.fact("closed")?.is_some_and(|closed| closed == "clean");
        let cut = index.fact("boot")?.is_some_and(|before| before != self.boot) && !clean;
        let mut change = index.change();
        change.fact("boot", &self.boot);
        change.fact("closed", "no");
        let mut logs = BTreeMap::new();
        for topic in index.topics()? {
            let mut ends = Vec::new();
            for partition in 0..topic.partitions as i32 {
                ends.push(index.ends(topic.id, partition)?);
            }
            let mut open = None;
            if !topic.is_compacted() {
                let frames = |last| index.last_frames(&topic, last);
                let (files, lost) =
                    Files::open(&self.folder(&topic), index.segments(topic.id)?, cut, frames)?;
                if let Some(at) = lost {
                    let last = files.last();
                    change.segment(topic.id, &last);
                    let mut offsets = 0;
                    for partition in 0..topic.partitions as i32 {
                        offsets += change.cut_tail(topic.id, partition, last.number, at)?;
                    }
                    tracing::error!(
                        topic = topic.name,
                        offsets,
                        "the end of the log is not there, as after a power cut: it is lost"
                    );
                    metrics::lost(offsets);
                }
                open = Some(files.readers());
                appending.files.insert(topic.id, files);
            }
            for (partition, ends) in ends.iter_mut().enumerate().filter(|_| cut) {
                ends.leap += LEAP;
                change.ends(topic.id, partition as i32, *ends);
            }
            let parts =
                ends.into_iter().map(|ends| Mutex::new(Part { ends, recent: VecDeque::new() })).collect();
            logs.insert(topic.name.clone(), Arc::new(Log { topic, files: open, parts }));
        }
        change.commit(true)?;
        Ok(logs)
    }

    pub(super) fn folder(&self, topic: &Topic) -> PathBuf {
        self.path.join("logs").join(format!("{:06}", topic.id))
    }

    /// The right to change, once what failed before works again.
    pub(super) fn changing(&self) -> std::result::Result<MutexGuard<'_, Appending>, String> {
        let mut appending = lock(&self.appending);
        if let Some((why, tried)) = &appending.broken {
            metrics::accepting(false);
            if tried.elapsed() < AGAIN {
                return Err(why.clone());
            }
            if let Err(why) = self.load(&mut appending) {
                appending.broken = Some((why.clone(), Instant::now()));
                return Err(why);
            }
            tracing::info!(path = %self.path.display(), "the bus works again");
            self.tell();
        }
        Ok(appending)
    }

    pub(super) fn index(&self) -> RwLockReadGuard<'_, Option<Index>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs what changes the bus under the lock that all changes take.
    pub(super) fn exclusively<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T> {
        let _appending = self.changing().map_err(|why| self.trouble("changing it", why))?;
        let done = change(&mut self.state());
        self.tell();
        Ok(done)
    }

    /// Committed positions: those of a commit under way are waited for.
    pub(super) fn committed(
        &self,
        group: &str,
        topic: &str,
        partitions: &[i32],
    ) -> Result<Vec<Option<(i64, String)>>> {
        let _appending = self.changing().map_err(|why| self.trouble("reading offsets", why))?;
        let state = self.state();
        let of =
            |partition: &i32| state.offsets.get(&(group.to_owned(), topic.to_owned(), *partition)).cloned();
        Ok(partitions.iter().map(of).collect())
    }

    /// The one way in: all of it or nothing. `check` says whether whoever asks still may.
    pub(super) fn commit<E>(
        &self,
        batches: &[Batch],
        once: Option<&Once>,
        offers: Option<Offers<'_>>,
        check: impl FnOnce(&mut State) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), Refusal<E>> {
        let mut appending = self.changing().map_err(Refusal::No)?;
        let logs: Vec<Arc<Log>> = {
            let mut state = self.state();
            check(&mut state).map_err(Refusal::Denied)?;
            let logs = batches.iter().map(|batch| state.current(&batch.log));
            logs.collect::<std::result::Result<_, _>>().map_err(Refusal::Gone)?
        };
        // Positions alone are taken in any case: they take no room worth mentioning, and what is stored shall not be stored again.
        if !batches.is_empty() {
            let bodies = batches.iter().flat_map(|batch| &batch.bodies);
            self.room(bodies.map(|body| body.stored().len() as u64).sum()).map_err(Refusal::No)?;
        }
        let index = self.index();
        let Some(index) = index.as_ref() else { return Err(Refusal::No("the index is closed".to_owned())) };
        let mut writing =
            Writing { change: index.change(), appended: now_ms(), segments: Vec::new(), done: Vec::new() };
        if let Some(once) = once {
            let done = if once.again { index.fact(&once.key()) } else { Ok(None) };
            if done.map_err(|error| Refusal::No(error.to_string()))? == Some(once.number.to_string()) {
                return Ok(());
            }
            writing.change.fact(&once.key(), &once.number.to_string());
        }
        // Whatever ends this half way: what was appended by then does not count, and is cut off before anything else is appended.
        appending.broken = Some(("a commit was not finished".to_owned(), Instant::now()));
        let mut written = self.append(batches, logs, &mut appending, &mut writing);
        if written.is_ok()
            && let Some(offers) = &offers
        {
            for position in offers.positions {
                let Position { partition, offset, metadata } = position;
                writing.change.offset(offers.group, offers.topic, *partition, *offset, metadata);
            }
        }
        let always = self.config.embedded.fsync == Fsync::Always;
        if always && written.is_ok() {
            written = writing.segments.iter().try_for_each(|(topic, _, _)| {
                appending.files.get_mut(topic).map_or(Ok(()), |files| Ok(files.sync()?))
            });
        }
        if let Err(trouble) = written {
            appending.broken = None;
            for (topic, _, length) in &writing.segments {
                let taken_back =
                    appending.files.get_mut(topic).map_or(Ok(()), |files| files.take_back(*length));
                if let Err(error) = taken_back {
                    appending.broken = Some((error.to_string(), Instant::now()));
                }
            }
            return Err(Refusal::No(trouble.to_string()));
        }
        let Writing { change, segments, done, .. } = writing;
        if let Err(why) = appending.commit(change, always) {
            let why = format!("{}: {why}", self.path.display());
            tracing::error!("{why}; the bus is opened again");
            return Err(Refusal::Unknown(why));
        }
        appending.broken = None;
        for (topic, segment, _) in segments {
            if let Some(files) = appending.files.get_mut(&topic) {
                files.note(segment);
            }
        }
        self.publish(done, offers);
        Ok(())
    }

    /// Appends to files, and to the change of the index.
    fn append<'b>(
        &self,
        batches: &'b [Batch],
        logs: Vec<Arc<Log>>,
        appending: &mut Appending,
        writing: &mut Writing<'_>,
    ) -> Loaded<()> {
        let mut topics: BTreeMap<u32, Vec<(Arc<Log>, &'b Batch)>> = BTreeMap::new();
        for (log, batch) in logs.into_iter().zip(batches) {
            topics.entry(log.topic.id).or_default().push((log, batch));
        }
        for (topic, batches) in topics {
            match appending.files.get_mut(&topic) {
                Some(files) => writing.bulk(batches, files, self.config.embedded.segment_bytes)?,
                None => writing.compacted(batches),
            }
        }
        Ok(())
    }

    /// Lets readers see it.
    fn publish(&self, done: Vec<Done>, offers: Option<Offers<'_>>) {
        let mut state = self.state();
        for Done { log, partition, ends, frame } in done {
            let Some(mut part) = log.part(partition) else { continue };
            part.ends = ends;
            let Some(frame) = frame else { continue };
            metrics::appended(&log.topic.name, frame.body.len() as u64);
            state.recent_bytes += frame.body.len();
            part.recent.push_back(frame);
            drop(part);
            state.recent.push_back((log, partition));
        }
        while state.recent_bytes > self.config.embedded.cache_bytes {
            let Some((log, partition)) = state.recent.pop_front() else { break };
            let oldest = log.part(partition).and_then(|mut part| part.recent.pop_front());
            state.recent_bytes -= oldest.map_or(0, |frame| frame.body.len());
        }
        if let Some(Offers { group, topic, positions }) = offers {
            for Position { partition, offset, metadata } in positions {
                let key = (group.to_owned(), topic.to_owned(), *partition);
                state.offsets.insert(key, (*offset, metadata.clone()));
            }
        }
        self.tell();
    }

    /// Refuses where the disk would get too full.
    fn room(&self, bytes: u64) -> std::result::Result<(), String> {
        let reserve = self.config.embedded.reserve_bytes;
        let free = rustix::fs::statvfs(&self.path).map_or(u64::MAX, |disk| disk.f_bavail * disk.f_frsize);
        let enough = free >= reserve.saturating_add(bytes);
        metrics::accepting(enough);
        if enough {
            return Ok(());
        }
        Err(format!(
            "the disk of bus.embedded.path {} has {free} bytes left, of which bus.embedded.reserve_bytes ({reserve}) stay free; \
             nothing is accepted until there is room",
            self.path.display()
        ))
    }

    /// The frame with `offset` in it, or the first one behind it. `None`: nothing is there (yet).
    pub(super) fn frame(&self, log: &Log, partition: i32, offset: i64) -> Result<Option<Arc<Frame>>> {
        let Some(part) = log.part(partition) else { return Ok(None) };
        let next = part.ends.next;
        if offset >= next {
            return Ok(None);
        }
        if part.recent.front().is_some_and(|oldest| oldest.base <= offset) {
            let found = part.recent.partition_point(|frame| frame.end <= offset);
            return Ok(part.recent.get(found).cloned());
        }
        drop(part);
        let doing = || format!("reading {}/{partition} at offset {offset}", log.topic.name);
        let failed = |error: &dyn std::fmt::Display| self.trouble(&doing(), error.to_string());
        let index = self.index();
        let index = index.as_ref().ok_or_else(|| failed(&"the index is closed"))?;
        let Some(files) = &log.files else {
            let (body, end) =
                index.records(&log.topic, partition, offset, next).map_err(|error| failed(&error))?;
            return Ok(Some(Arc::new(Frame::new(offset, end, body.into_bytes()))));
        };
        let found = index.frame(log.topic.id, partition, offset).map_err(|error| failed(&error))?;
        let found = found.map(|(base, end, place)| (base, end, place, files.read(place)));
        // Retention raises the beginning before it removes anything, and may have been between. So may the end of the topic.
        let current = self.state().current(log);
        let begin = current.map_err(|gone| failed(&gone))?.ends(partition).unwrap_or_default().begin;
        if offset < begin {
            let topic = log.topic.name.clone();
            return Err(Error::OffsetOutOfRange { topic, partition, wanted: offset, begin, end: next });
        }
        match found {
            // Offsets that no record has: a power cut took them.
            None => Ok(Some(Arc::new(Frame::new(offset, next, Vec::new())))),
            Some((_, _, _, Ok(frame))) => Ok(Some(Arc::new(frame))),
            // One bad frame must not stop the rest, and is not lost silently.
            Some((base, end, place, Err(Unread::Lost(why)))) => {
                if files.is_news(place) {
                    tracing::error!(
                        topic = log.topic.name,
                        partition,
                        offset = base,
                        "{why}: its records are lost"
                    );
                    metrics::lost((end - base).unsigned_abs());
                }
                Ok(Some(Arc::new(Frame::new(base, end, Vec::new()))))
            }
            Some((_, _, _, Err(Unread::Now(error)))) => Err(failed(&error)),
        }
    }

    /// Waits for a commit that is under way.
    pub(super) fn settled(&self) {
        drop(lock(&self.appending));
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let synced = self.sync();
        let index = self.index();
        if let (Ok(()), Some(index)) = (synced, index.as_ref()) {
            let mut change = index.change();
            change.fact("closed", "clean");
            if let Err(error) = change.commit(true) {
                tracing::warn!(path = %self.path.display(), "closing the bus: {error}");
            }
        }
    }
}

impl Appending {
    /// Commits a change; what it knows of in files was appended before. One that fails may have been made: everything is read anew.
    pub(super) fn commit(&mut self, change: Change<'_>, sync: bool) -> std::result::Result<(), String> {
        change.commit(sync).map_err(|error| {
            let why = error.to_string();
            self.broken = Some((why.clone(), Instant::now()));
            why
        })
    }
}

impl State {
    /// The next of this process's numbers.
    pub(super) fn count(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The same topic as it is now: everything is read anew where the index failed.
    pub(super) fn current(&self, log: &Log) -> std::result::Result<Arc<Log>, String> {
        let current = self.logs.get(&log.topic.name).filter(|current| current.topic.id == log.topic.id);
        current.cloned().ok_or_else(|| format!("topic {} was deleted", log.topic.name))
    }
}

/// Trouble of files or index.
#[derive(Debug, ThisError)]
pub(super) enum Trouble {
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("{0}")]
    Index(#[from] fjall::Error),
}

pub(super) type Loaded<T> = std::result::Result<T, Trouble>;
