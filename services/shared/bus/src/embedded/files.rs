//! The files of a bulk topic: written at their end, read anywhere, removed from their beginning.
//!
//! All partitions of a topic share its files, so that a commit syncs one file a topic. What must stay true: bytes that the index does
//! not know are cut off before anything is appended, a failed append leaves the file as long as it was, and no other file is begun before
//! the last one is synced, however seldom that is asked for: at the next start the last one alone is looked at. What the index knows is cut
//! off only where it certainly is not there, and never because it can't be read.

use super::active::Active;
use super::frame::Frame;
use super::index::{Place, Segment};
use super::log::Loaded;
use super::open::{Open, Unread, path};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// How often something had been appended when some of it was taken back last.
    taken_back: u64,
    open: Arc<Open>,
}

/// What is to be synced, and how far that makes all safe: times that something was appended, and bytes.
pub(super) struct Unsynced {
    active: Arc<Active>,
    appends: u64,
    length: u64,
}

impl Unsynced {
    /// Syncs it. After that, `Files` wants to know.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.active.sync()
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
        let open = Open::new(folder);
        // Whether an earlier process synced what it had appended is not known.
        let appends = u64::from(!segments.is_empty());
        let mut files = Self {
            folder: folder.to_owned(),
            segments,
            active: None,
            appends,
            synced: 0,
            length: 0,
            safe: 0,
            taken_back: 0,
            open,
        };
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
        let written = active.append(parts);
        if written.is_err() {
            self.take_back(length)?;
        }
        written
    }

    /// Takes back what was appended behind `length`.
    pub(super) fn take_back(&mut self, length: u64) -> io::Result<()> {
        (self.length, self.safe, self.taken_back) = (length, self.safe.min(length), self.appends);
        self.active.as_ref().map_or(Ok(()), |(_, active)| active.cut(length))
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
        active.mend(&path(&self.folder, *number), self.safe, self.length)?;
        Ok(Some(Unsynced { active: Arc::clone(active), appends: self.appends, length: self.length }))
    }

    /// Whether a sync has failed since the last one that did not.
    pub(super) fn has_failed(&self) -> bool {
        self.active.as_ref().is_some_and(|(_, active)| active.has_failed())
    }

    /// A sync of the last file had failed before it was opened anew.
    pub(super) fn note_failure(&self) {
        if let Some((_, active)) = &self.active {
            active.note_failure();
        }
    }

    /// That was synced.
    pub(super) fn synced(&mut self, done: &Unsynced) {
        if self.active.as_ref().is_some_and(|(_, active)| Arc::ptr_eq(active, &done.active)) {
            self.synced = self.synced.max(done.appends);
            // Else others may lie where some of it was taken back meanwhile.
            if done.appends > self.taken_back {
                self.safe = self.safe.max(done.length);
            }
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
    use std::time::{Duration, Instant, SystemTime};
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
        let large = vec![7; 10_000];
        files.append(1, 5, &[&large]).unwrap();
        let content = std::fs::read(path(folder.path(), 1)).unwrap();
        let there = files.active.replace((1, unsyncable())).unwrap().1;
        // Whoever took it before and syncs it now is told nothing of what failed.
        let beside = files.unsynced().unwrap().unwrap();
        files.sync().unwrap_err();
        beside.sync().unwrap_err();
        // The same file, which can be synced now.
        assert!(files.has_failed());
        files.active = Some((1, there));
        files.note_failure();
        let there = OpenOptions::new().append(true).open(path(folder.path(), 1)).unwrap();
        let written = || {
            let before = there.metadata().unwrap().modified().unwrap();
            there.set_modified(SystemTime::UNIX_EPOCH).unwrap();
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
