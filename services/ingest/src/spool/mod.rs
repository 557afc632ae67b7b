//! The spool's files: a folder, and in it a queue of files for each worker.
//!
//! What must stay true: bytes on disk stay within the bound, all workers together; a file is removed when the bus has acknowledged all of
//! it, and not before; one that can't be read is set aside under another name, out of the bound, and keeps no other from being sent; what
//! an earlier process left is one worker's to send, oldest file first, and the others' frames wait until the bus has it, since exporters
//! may come to other workers now.

mod queue;
pub(crate) mod segment;

use crate::Error;
use crate::config::SpoolConfig;
use crate::metrics::Totals;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use weir_bus::Count;

pub(crate) use queue::Queue;

/// Why what was kept is lost.
const TORN: &str = "torn in the spool";
const DAMAGED: &str = "damaged in the spool";

/// Tries to read a file that the disk can't read: a second or more.
const PATIENCE: u32 = 200;
/// Between those at the start.
const PAUSE: Duration = Duration::from_millis(5);

const ENDING: &str = "spool";
/// Behind the ending of a file that could not be read.
const ASIDE: &str = "unreadable";

/// What all workers share of it.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    bytes: u64,
    segment_bytes: u64,
    used: Arc<AtomicU64>,
    /// Files of an earlier process that the bus does not have yet.
    old: AtomicU64,
    /// Above the numbers of all files that were there.
    first: u64,
    /// Locked as long as this process lives.
    _lock: File,
}

/// A file of it.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    length: u64,
    /// Frames before are taken.
    read: u64,
    /// Frames before are acknowledged.
    settled: u64,
    /// What the file says of that.
    noted: u64,
    /// Frames between.
    taken: Count,
    /// Frames behind.
    unread: Count,
    /// What lies behind is lost.
    cut: Option<u64>,
    /// It could not be read, and stays for a person to look at.
    aside: bool,
    old: bool,
}

impl Segment {
    /// A file of such a length, whose frames before `read` are acknowledged.
    fn new(path: PathBuf, length: u64, read: u64, unread: Count, old: bool) -> Self {
        let (taken, cut, aside) = (Count::default(), None, false);
        Self { path, length, read, settled: read, noted: read, taken, unread, cut, aside, old }
    }

    /// Where there are no more frames.
    fn end(&self) -> u64 {
        self.cut.unwrap_or(self.length)
    }
}

/// A folder that was opened, and what was in it.
#[derive(Debug)]
pub(crate) struct Opened {
    folder: Arc<Folder>,
    found: VecDeque<Segment>,
    torn: Count,
    damaged: Count,
}

impl Opened {
    /// Opens the spool, where there is to be one. Blocks until all that is there was looked through.
    pub(crate) fn open(config: &SpoolConfig) -> Result<Option<Self>, Error> {
        let SpoolConfig { path: Some(path), bytes, segment_bytes } = config else { return Ok(None) };
        let failed = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| Error::Spool { doing, path, source }
        };
        std::fs::create_dir_all(path).map_err(failed("making", path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(failed("opening", &lock_path))?;
        lock.try_lock().map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => {
                let words = "another process uses it; each ingest needs a folder of its own";
                failed("locking", path)(io::Error::new(io::ErrorKind::WouldBlock, words))
            }
            std::fs::TryLockError::Error(source) => failed("locking", path)(source),
        })?;
        let (mut files, mut first) = (Vec::new(), 0);
        for entry in std::fs::read_dir(path).map_err(failed("reading", path))? {
            let file = entry.map_err(failed("reading", path))?.path();
            // One that was set aside keeps its number, so that it can have its name back.
            let aside = file.extension().is_some_and(|ending| ending == ASIDE);
            let name = if aside { file.with_extension("") } else { file.clone() };
            let Some(number) = number(&name) else { continue };
            first = first.max(number + 1);
            files.extend((!aside).then_some((number, file)));
        }
        files.sort_unstable();
        let (mut found, mut torn, mut damaged, mut used) =
            (VecDeque::new(), Count::default(), Count::default(), 0);
        for (_, mut file) in files {
            let is = match scan(&file) {
                Ok(is) => is,
                Err(error) if tries(&error) == u32::MAX => return Err(failed("reading", &file)(error)),
                Err(error) => {
                    let name = file.display().to_string();
                    let known = segment::known(&file);
                    let how = set_aside(&mut file);
                    let datagrams = known.units;
                    tracing::error!(
                        "{name}: what it holds, {datagrams} datagrams or more, is not sent: {error}; {how}"
                    );
                    add(&mut damaged, known);
                    continue;
                }
            };
            let Some(is) = is else {
                let words = "this is no file of a spool; move it away";
                return Err(failed("reading", &file)(io::Error::new(io::ErrorKind::InvalidData, words)));
            };
            if let Some(cut) = is.torn {
                tracing::warn!(file = %file.display(), bytes = cut.bytes, "the end of a file of the spool was torn and is cut off");
                add(&mut torn, cut);
            }
            if is.unread.records == 0 {
                std::fs::remove_file(&file).map_err(failed("removing", &file))?;
                continue;
            }
            used += is.length;
            found.push_back(Segment::new(file, is.length, is.read, is.unread, true));
        }
        let folder = Folder {
            path: path.clone(),
            bytes: *bytes,
            segment_bytes: *segment_bytes,
            used: Arc::new(used.into()),
            old: AtomicU64::new(found.len() as u64),
            first,
            _lock: lock,
        };
        Ok(Some(Self { folder: Arc::new(folder), found, torn, damaged }))
    }

    /// Counts what was found.
    pub(crate) fn count(&self, totals: &mut Totals) {
        totals.watch_spool(Arc::clone(&self.folder.used));
        let mut all = self.torn;
        add(&mut all, self.damaged);
        self.found.iter().for_each(|segment| add(&mut all, segment.unread));
        totals.found(all);
        if self.torn.records > 0 {
            totals.dropped_from_spool(TORN, self.torn);
        }
        if self.damaged.records > 0 {
            totals.dropped_from_spool(DAMAGED, self.damaged);
        }
        if !self.found.is_empty() {
            tracing::info!(
                files = self.found.len(),
                datagrams = all.units,
                "the spool holds frames of an earlier process; they are sent first"
            );
        }
    }

    /// The queue of a worker. The first one gets what was found.
    pub(crate) fn queue(&mut self, worker: usize, totals: &Arc<Totals>) -> Queue {
        Queue::new(Arc::clone(&self.folder), Arc::clone(totals), worker, std::mem::take(&mut self.found))
    }
}

/// Looks through a file, with patience for a disk that can't read it now.
fn scan(file: &Path) -> io::Result<Option<segment::Found>> {
    let mut failures = 0;
    loop {
        match segment::scan(file) {
            Err(error) if failures + 1 < tries(&error).min(PATIENCE) => {
                failures += 1;
                std::thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

/// How often reading is tried where it fails so.
fn tries(error: &io::Error) -> u32 {
    match error.raw_os_error() {
        // It lacks what others have to give back first: what lies there is whole.
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM) => u32::MAX,
        // Waiting mends nothing.
        Some(libc::EACCES) => 1,
        _ => PATIENCE,
    }
}

/// Gives a file a name under which it is left alone, so that a person can look at it; says how it comes back.
fn set_aside(path: &mut PathBuf) -> String {
    let aside = path.with_extension(format!("{ENDING}.{ASIDE}"));
    match std::fs::rename(&*path, &aside) {
        Ok(()) => {
            let name = std::mem::replace(path, aside);
            format!(
                "the file is left there, and sent at the next start after it got its name back, {}",
                name.display()
            )
        }
        Err(error) => format!("the file is left as it is, for it can't be renamed: {error}"),
    }
}

fn number(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(ENDING)?.strip_suffix('.')?;
    name.split_once('-')?.0.parse().ok()
}

fn add(to: &mut Count, more: Count) {
    to.records += more.records;
    to.units += more.units;
    to.bytes += more.bytes;
}
