//! The files of a bulk topic: written at their end, read anywhere, removed from their beginning.
//!
//! All partitions of a topic share its files, so that a commit syncs one file a topic. What must stay true: bytes that the index does
//! not know are cut off before anything is appended, a failed append leaves the file as long as it was, and no other file is begun before
//! the last one is synced, however seldom that is asked for: at the next start the last one alone is looked at. What the index knows is cut
//! off only where it certainly is not there, and never because it can't be read. After a sync that failed the next one proves nothing of
//! what that one was to make safe, so it is written again first.

use super::frame::Frame;
use super::index::{Place, Segment};
use super::log::Loaded;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Files of one topic.
pub(super) struct Files {
    folder: PathBuf,
    /// Oldest first; the last one is appended to.
    segments: BTreeMap<u32, Segment>,
    active: Option<(u32, Arc<Active>)>,
    /// Times that something was appended, and how many of them are safe from a power cut.
    appends: u64,
    synced: u64,
    /// Bytes of the file that is appended to, and how many of them are safe from a power cut.
    length: u64,
    safe: u64,
    open: Arc<Open>,
}

/// A file that is appended to.
#[derive(Debug)]
pub(super) struct Active {
    file: File,
    /// Whether a sync of it has failed since the last one that did not. Locked while one is under way.
    failed: Mutex<bool>,
}

/// What is to be synced, and how far that makes all safe: times that something was appended, and bytes.
pub(super) struct Unsynced {
    active: Arc<Active>,
    appends: u64,
    length: u64,
}

/// What is written again at a time: the kernel's page, which it holds for written or not as a whole.
const PAGE: usize = 4096;

/// Most files of a topic that stay open for readers.
const MOST_OPEN: usize = 8;

/// For so long a frame is tried which the disk can't read, at least twice: a disk that was away may be back. Times are not counted, because
/// who reads asks as often as it likes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Files that readers have opened, shared with them, so that reading never waits for an append.
#[derive(Debug, Default)]
pub(super) struct Open {
    folder: PathBuf,
    files: Mutex<BTreeMap<u32, Arc<File>>>,
    /// Frames that the disk could not read, by file and place, and since when.
    failed: Mutex<BTreeMap<(u32, u64), Instant>>,
    /// Frames of which it was told that they are lost.
    lost: Mutex<BTreeSet<(u32, u64)>>,
}

/// Why there is no frame.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is not there, or not whole, or the disk can't read it for too long.
    Lost(String),
    /// It can't be read now.
    Now(io::Error),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn path(folder: &Path, segment: u32) -> PathBuf {
    folder.join(format!("{segment:010}.log"))
}

impl Open {
    fn file(&self, segment: u32) -> io::Result<Arc<File>> {
        let mut files = lock(&self.files);
        if let Some(file) = files.get(&segment) {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(File::open(path(&self.folder, segment))?);
        if files.len() >= MOST_OPEN {
            files.pop_first();
        }
        files.insert(segment, Arc::clone(&file));
        Ok(file)
    }

    fn forget(&self, segment: u32) {
        lock(&self.files).remove(&segment);
        lock(&self.failed).retain(|(of, _), _| *of != segment);
        lock(&self.lost).retain(|(of, _)| *of != segment);
    }

    /// Reads a frame. Why there is none says where it should be.
    pub(super) fn read(&self, place: Place) -> Result<Frame, Unread> {
        self.read_at(place, Instant::now())
    }

    fn read_at(&self, place: Place, now: Instant) -> Result<Frame, Unread> {
        let mut bytes = vec![0; place.length as usize];
        let read = self.file(place.segment).and_then(|file| file.read_exact_at(&mut bytes, place.at));
        let found = read.map(|()| Frame::parse(&bytes));
        let path = path(&self.folder, place.segment);
        let lost = |why: &dyn Display| {
            Err(Unread::Lost(format!("{}: no whole frame at byte {}: {why}", path.display(), place.at)))
        };
        match found {
            Ok(Some(frame)) => {
                lock(&self.failed).remove(&(place.segment, place.at));
                Ok(frame)
            }
            Ok(None) => lost(&"what is there is none"),
            Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound) => {
                lost(&error)
            }
            Err(error) if is_unreadable(&error) => {
                // A disk that comes back may have to be opened anew.
                lock(&self.files).remove(&place.segment);
                let since = *lock(&self.failed).entry((place.segment, place.at)).or_insert(now);
                if now.duration_since(since) < PATIENCE { Err(Unread::Now(error)) } else { lost(&error) }
            }
            Err(error) => Err(Unread::Now(error)),
        }
    }

    /// Whether nobody was told yet that the frame is lost.
    pub(super) fn is_news(&self, place: Place) -> bool {
        lock(&self.lost).insert((place.segment, place.at))
    }
}

impl Active {
    fn new(file: File) -> Arc<Self> {
        Arc::new(Self { file, failed: Mutex::new(false) })
    }
}

impl Unsynced {
    /// Syncs it. After that, `Files` wants to know.
    pub(super) fn sync(&self) -> io::Result<()> {
        let mut failed = lock(&self.active.failed);
        if *failed {
            return Err(io::Error::other("a sync beside this one failed; it is tried again"));
        }
        let synced = self.active.file.sync_data();
        *failed = synced.is_err();
        synced
    }
}

impl Files {
    /// Opens what the index knows of, and cuts off what it does not. Gives the byte behind which the last file does not hold what the
    /// index says, where that is so: after a power cut. `doubted`: there may have been one, so that its frames are looked at, the last one
    /// first, as `frames` gives them of a file.
    pub(super) fn open(
        folder: &Path,
        known: Vec<Segment>,
        doubted: bool,
        frames: impl FnOnce(u32) -> fjall::Result<Vec<Place>>,
    ) -> Loaded<(Self, Option<u64>)> {
        std::fs::create_dir_all(folder)?;
        let segments: BTreeMap<u32, Segment> =
            known.into_iter().map(|segment| (segment.number, segment)).collect();
        for entry in std::fs::read_dir(folder)? {
            let found = entry?.path();
            let number = found.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            if number.is_some_and(|number: u32| !segments.contains_key(&number)) {
                std::fs::remove_file(&found)?;
            }
        }
        let open = Arc::new(Open { folder: folder.to_owned(), ..Open::default() });
        // Whether an earlier process synced what it had appended is not known.
        let appends = u64::from(!segments.is_empty());
        let folder = folder.to_owned();
        let mut files = Self { folder, segments, active: None, appends, synced: 0, length: 0, safe: 0, open };
        let mut lost = None;
        if let Some(last) = files.segments.values().next_back().copied() {
            let file = files.file(last.number)?;
            let there = file.metadata()?.len();
            let whole = if doubted || there < last.length {
                let frames = frames(last.number)?;
                whole(frames.into_iter().filter(|place| place.end() <= there), |place| files.open.read(place))
            } else {
                last.length
            };
            if whole < last.length {
                lost = Some(whole);
                files.note(Segment { length: whole, ..last });
            }
            file.set_len(whole)?;
            files.length = whole;
            files.active = Some((last.number, Active::new(file)));
        }
        Ok((files, lost))
    }

    fn file(&self, segment: u32) -> io::Result<File> {
        let path = path(&self.folder, segment);
        let is_new = !path.exists();
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        if is_new {
            // A power cut must not take the name of a file whose content is synced.
            File::open(&self.folder)?.sync_all()?;
        }
        Ok(file)
    }

    pub(super) fn readers(&self) -> Arc<Open> {
        Arc::clone(&self.open)
    }

    /// The file that is appended to, or the first one that will be.
    pub(super) fn last(&self) -> Segment {
        self.segments.values().next_back().copied().unwrap_or_default()
    }

    /// The oldest file, and whether there are others.
    pub(super) fn oldest(&self) -> Option<(Segment, bool)> {
        self.segments.values().next().map(|oldest| (*oldest, self.segments.len() > 1))
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.values().map(|segment| segment.length).sum()
    }

    /// Takes what the index has been told.
    pub(super) fn note(&mut self, segment: Segment) {
        self.segments.insert(segment.number, segment);
    }

    /// Begins another file, once the one before is synced.
    pub(super) fn roll(&mut self) -> io::Result<Segment> {
        self.sync()?;
        let segment = Segment { number: self.last().number + 1, ..Segment::default() };
        self.begin(segment.number)?;
        Ok(segment)
    }

    fn begin(&mut self, segment: u32) -> io::Result<()> {
        self.active = Some((segment, Active::new(self.file(segment)?)));
        (self.length, self.safe) = (0, 0);
        Ok(())
    }

    /// Appends to a file behind its first `length` bytes, all or nothing. The index does not know of it yet.
    pub(super) fn append(&mut self, segment: u32, length: u64, parts: &[&[u8]]) -> io::Result<()> {
        if self.active.as_ref().is_none_or(|(number, _)| *number != segment) {
            self.begin(segment)?;
        }
        let Some((_, active)) = &self.active else { return Ok(()) };
        self.appends += 1;
        self.length = length + parts.iter().map(|part| part.len() as u64).sum::<u64>();
        let written = write_all(&active.file, parts);
        if written.is_err() {
            self.take_back(length)?;
        }
        written
    }

    /// Takes back what was appended behind `length`.
    pub(super) fn take_back(&mut self, length: u64) -> io::Result<()> {
        (self.length, self.safe) = (length, self.safe.min(length));
        self.active.as_ref().map_or(Ok(()), |(_, active)| active.file.set_len(length))
    }

    /// Makes what was appended safe from a power cut.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if let Some(unsynced) = self.unsynced()? {
            unsynced.sync()?;
            self.synced(&unsynced);
        }
        Ok(())
    }

    /// What is to be synced, where there is something that was not. Who takes it syncs it and then says so: until then it counts as
    /// unsynced for everybody.
    pub(super) fn unsynced(&self) -> io::Result<Option<Unsynced>> {
        let Some((number, active)) = self.active.as_ref().filter(|_| self.synced < self.appends) else {
            return Ok(None);
        };
        let mut failed = lock(&active.failed);
        if *failed {
            write_again(&path(&self.folder, *number), self.safe, self.length)?;
            *failed = false;
        }
        drop(failed);
        Ok(Some(Unsynced { active: Arc::clone(active), appends: self.appends, length: self.length }))
    }

    /// Whether a sync has failed since the last one that did not.
    pub(super) fn has_failed(&self) -> bool {
        self.active.as_ref().is_some_and(|(_, active)| *lock(&active.failed))
    }

    /// A sync of the last file had failed before it was opened anew.
    pub(super) fn note_failure(&self) {
        if let Some((_, active)) = &self.active {
            *lock(&active.failed) = true;
        }
    }

    /// That was synced.
    pub(super) fn synced(&mut self, done: &Unsynced) {
        if self.active.as_ref().is_some_and(|(_, active)| Arc::ptr_eq(active, &done.active)) {
            self.synced = self.synced.max(done.appends);
            self.safe = self.safe.max(done.length).min(self.length);
        }
    }

    /// Removes a file that the index has forgotten.
    pub(super) fn remove(&mut self, segment: u32) -> io::Result<()> {
        self.segments.remove(&segment);
        let removed = std::fs::remove_file(path(&self.folder, segment));
        // Whoever opened it meanwhile must not keep it.
        self.open.forget(segment);
        match removed {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Removes all of it.
    pub(super) fn destroy(self) -> io::Result<()> {
        drop(self.active);
        std::fs::remove_dir_all(&self.folder)
    }
}

fn write_all(mut file: &File, parts: &[&[u8]]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut left = &mut slices[..];
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut left, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes bytes of a file once more, as they are read: the kernel says once that it could not write them, and from then on holds them for
/// written. What can't even be read any more stays as it is, for who reads it to find.
fn write_again(path: &Path, from: u64, to: u64) -> io::Result<()> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut bytes = [0; PAGE];
    let mut at = from - from % PAGE as u64;
    while at < to {
        let page = &mut bytes[..PAGE.min(usize::try_from(to - at).unwrap_or(PAGE))];
        match file.read_exact_at(page, at) {
            Ok(()) => file.write_all_at(page, at)?,
            Err(error) if is_unreadable(&error) => {}
            Err(error) => return Err(error),
        }
        at += PAGE as u64;
    }
    Ok(())
}

/// Whether the disk can't read what is there.
fn is_unreadable(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// How long the last file is: up to the last frame that is there. One before it that rotted costs itself, and no other. One that can't be
/// read now may be read later: who reads it is told so, and the start does not wait for it.
fn whole(mut frames: impl Iterator<Item = Place>, read: impl Fn(Place) -> Result<Frame, Unread>) -> u64 {
    frames.find(|place| !matches!(read(*place), Err(Unread::Lost(_)))).map_or(0, Place::end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::log::{Appending, Core};
    use crate::embedded::writer::EmbeddedWriter;
    use crate::{Cleanup, Config, EmbeddedConfig, Message, TopicSpec, Writer};
    use std::time::SystemTime;
    use tempfile::TempDir;

    /// What the disk refuses to sync.
    fn unsyncable() -> Arc<Active> {
        let null = File::open("/dev/null").unwrap();
        null.sync_data().unwrap_err();
        Active::new(null)
    }

    fn none(_: u32) -> fjall::Result<Vec<Place>> {
        Ok(Vec::new())
    }

    fn begun(folder: &TempDir) -> Files {
        let (mut files, _) = Files::open(folder.path(), Vec::new(), false, none).unwrap();
        let first = files.roll().unwrap();
        files.append(first.number, 0, &[b"frame"]).unwrap();
        files.note(Segment { length: 5, ..first });
        files
    }

    #[test]
    fn what_is_appended_while_a_sync_runs_or_after_it_failed_waits_for_the_next_one() {
        let folder = TempDir::new().unwrap();
        let mut files = begun(&folder);
        let under_way = files.unsynced().unwrap().unwrap();
        files.append(1, 5, &[b"another"]).unwrap();
        files.synced(&under_way);
        files.sync().unwrap();
        assert!(files.unsynced().unwrap().is_none());
        files.append(1, 12, &[b"and one"]).unwrap();
        let there = files.active.replace((1, unsyncable()));
        files.sync().unwrap_err();
        files.active = there;
        assert!(files.unsynced().unwrap().is_some());
    }

    #[test]
    fn what_a_sync_failed_to_make_safe_is_written_again_before_the_next_one_counts() {
        let folder = TempDir::new().unwrap();
        let mut files = begun(&folder);
        let large = vec![7; 3 * PAGE];
        files.append(1, 5, &[&large]).unwrap();
        let content = std::fs::read(path(folder.path(), 1)).unwrap();
        let (_, there) = files.active.replace((1, unsyncable())).unwrap();
        // Whoever took it before and syncs it now is told nothing of what failed.
        let beside = files.unsynced().unwrap().unwrap();
        files.sync().unwrap_err();
        beside.sync().unwrap_err();
        // The same file, which can be synced now.
        let (_, failed) = files.active.take().unwrap();
        let failed = Mutex::new(*lock(&failed.failed));
        files.active = Some((1, Arc::new(Active { file: there.file.try_clone().unwrap(), failed })));
        let written = || {
            let before = there.file.metadata().unwrap().modified().unwrap();
            there.file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            before != SystemTime::UNIX_EPOCH
        };
        assert!(written());
        files.sync().unwrap();
        assert!(written(), "the kernel would hold it for written");
        assert_eq!(std::fs::read(path(folder.path(), 1)).unwrap(), content);
        assert!(files.unsynced().unwrap().is_none());
        files.append(1, content.len() as u64, &[b"more"]).unwrap();
        assert!(written());
        files.sync().unwrap();
        assert!(!written(), "once");
    }

    #[test]
    fn no_other_file_is_begun_before_the_last_one_is_safe_though_a_sync_of_it_is_under_way() {
        let folder = TempDir::new().unwrap();
        let mut files = begun(&folder);
        files.active = Some((1, unsyncable()));
        let under_way = files.unsynced().unwrap();
        assert!(under_way.is_some());
        files.roll().unwrap_err();
        assert!(!path(folder.path(), 2).exists());
    }

    #[test]
    fn what_an_earlier_process_appended_is_synced_by_the_next_one() {
        let folder = TempDir::new().unwrap();
        let last = begun(&folder).last();
        let (files, _) = Files::open(folder.path(), vec![last], false, none).unwrap();
        assert!(files.unsynced().unwrap().is_some());
    }

    #[test]
    fn only_what_is_not_there_is_cut_off_and_neither_what_cannot_be_read_now_nor_what_lies_before_it() {
        #[derive(Clone, Copy)]
        enum Is {
            Whole,
            Torn,
            Unreadable,
        }
        use Is::{Torn, Unreadable, Whole};
        let whole = |frames: &[Is]| {
            let places = (0..frames.len()).map(|n| Place { segment: 1, at: 10 * n as u64, length: 10 });
            whole(places.rev(), |place| match frames[place.at as usize / 10] {
                Whole => Ok(Frame::new(0, 1, Vec::new())),
                Torn => Err(Unread::Lost("torn".to_owned())),
                Unreadable => Err(Unread::Now(io::Error::from(rustix::io::Errno::IO))),
            })
        };
        assert_eq!(whole(&[Whole, Whole, Whole]), 30);
        assert_eq!(whole(&[Whole, Torn, Torn]), 10);
        assert_eq!(whole(&[Whole, Torn, Whole]), 30);
        assert_eq!(whole(&[Whole, Unreadable, Torn]), 20);
        assert_eq!(whole(&[Unreadable, Whole, Unreadable]), 30);
        assert_eq!(whole(&[Torn]), 0);
    }

    #[test]
    fn a_frame_that_is_lost_is_news_once_and_one_that_the_disk_cannot_read_is_lost_after_twenty_seconds() {
        let folder = TempDir::new().unwrap();
        let open = begun(&folder).readers();
        let place = |segment| Place { segment, at: 1, length: 4 };
        // Nothing is mapped where it begins, so that reading there is the same error as that of a bad sector.
        std::os::unix::fs::symlink("/proc/self/mem", path(folder.path(), 3)).unwrap();
        let begun = Instant::now();
        let read = |segment, after| open.read_at(place(segment), begun + after);
        for tries in 0..200 {
            assert!(matches!(read(3, PATIENCE * tries / 200), Err(Unread::Now(_))), "{tries}");
        }
        for segment in [1, 2, 3] {
            for news in [true, false] {
                let Err(Unread::Lost(why)) = read(segment, PATIENCE) else { panic!("{segment}") };
                let begins =
                    format!("{}: no whole frame at byte 1: ", path(folder.path(), segment).display());
                assert!(why.starts_with(&begins), "{why}");
                assert_eq!(open.is_news(place(segment)), news);
            }
        }
    }

    #[test]
    fn a_frame_is_not_lost_at_its_first_try_however_long_others_could_not_be_read() {
        let folder = TempDir::new().unwrap();
        let open = begun(&folder).readers();
        std::os::unix::fs::symlink("/proc/self/mem", path(folder.path(), 3)).unwrap();
        let begun = Instant::now();
        for (at, after, lost) in [(1, 0, false), (2, 60, false), (2, 61, false), (1, 61, true), (2, 80, true)]
        {
            let read = open.read_at(Place { segment: 3, at, length: 4 }, begun + Duration::from_secs(after));
            assert_eq!(matches!(read, Err(Unread::Lost(_))), lost, "{at} after {after} s");
        }
    }

    #[test]
    fn a_file_that_cannot_be_synced_is_tried_again_and_keeps_no_other_topic_from_it() {
        let folder = TempDir::new().unwrap();
        let embedded = EmbeddedConfig { path: folder.path().into(), ..EmbeddedConfig::default() };
        let core = Core::open(Config { embedded, ..Config::default() }, "boot".to_owned()).unwrap();
        for topic in ["one", "two"] {
            core.create(&TopicSpec::new(topic, 1, 1, Cleanup::Delete { retention_ms: 1_000 })).unwrap();
        }
        let put = |appending: &mut Appending| {
            for files in appending.files.values_mut() {
                let first = files.roll().unwrap();
                files.append(first.number, 0, &[b"frame"]).unwrap();
            }
            appending.files.get_mut(&1).unwrap().active.replace((1, unsyncable()))
        };
        let there = put(&mut core.changing().unwrap());
        let unsynced = || -> Vec<u32> {
            let appending = core.changing().unwrap();
            appending
                .files
                .iter()
                .filter(|(_, files)| files.unsynced().unwrap().is_some())
                .map(|(id, _)| *id)
                .collect()
        };
        assert_eq!(unsynced(), [1, 2]);
        for _ in 0..2 {
            let words = core.sync().unwrap_err();
            assert!(words.starts_with("syncing logs/000001: "), "{words}");
            assert_eq!(unsynced(), [1]);
        }
        core.changing().unwrap().files.get_mut(&1).unwrap().active = there;
        core.sync().unwrap();
        assert!(unsynced().is_empty());
    }

    #[test]
    fn that_a_sync_failed_is_not_forgotten_when_everything_is_read_anew() {
        let folder = TempDir::new().unwrap();
        let embedded = EmbeddedConfig { path: folder.path().into(), ..EmbeddedConfig::default() };
        let core = Core::open(Config { embedded, ..Config::default() }, "boot".to_owned()).unwrap();
        core.create(&TopicSpec::new("one", 1, 1, Cleanup::Delete { retention_ms: 1_000 })).unwrap();
        let message = Message { topic: "one", partition: 0, key: b"k", value: Some(b"v"), headers: &[] };
        let mut writer = EmbeddedWriter::open(&core, 1 << 20).unwrap();
        writer.try_send(&message, 1).unwrap().unwrap();
        assert!(writer.flush(Duration::from_secs(20)));
        {
            let mut appending = core.changing().unwrap();
            appending.files[&1].note_failure();
            let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
            appending.broken = Some(("the index failed".to_owned(), long_ago));
        }
        assert!(core.changing().unwrap().files[&1].has_failed());
        core.sync().unwrap();
        assert!(!core.changing().unwrap().files[&1].has_failed());
    }
}
