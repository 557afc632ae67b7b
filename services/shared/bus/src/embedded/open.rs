//! The files of a bulk topic as its readers have them, and what is said where there is no frame.
//!
//! What must stay true: a frame that can't be read now is not said to be lost before a disk that was away had time to be back.

use super::frame::Frame;
use super::index::Place;
use super::log::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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

pub(super) fn path(folder: &Path, segment: u32) -> PathBuf {
    folder.join(format!("{segment:010}.log"))
}

/// Whether the disk can't read what is there.
pub(super) fn is_unreadable(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

impl Open {
    pub(super) fn new(folder: &Path) -> Arc<Self> {
        Arc::new(Self { folder: folder.to_owned(), ..Self::default() })
    }

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

    pub(super) fn forget(&self, segment: u32) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    /// Of a topic with one short file, and one that the disk can't read: nothing is mapped where it begins, so that reading there is the
    /// same error as that of a bad sector.
    fn opened(folder: &TempDir) -> Arc<Open> {
        std::fs::write(path(folder.path(), 1), b"frame").unwrap();
        std::os::unix::fs::symlink("/proc/self/mem", path(folder.path(), 3)).unwrap();
        Open::new(folder.path())
    }

    #[test]
    fn a_frame_that_is_lost_is_news_once_and_one_that_the_disk_cannot_read_is_lost_after_twenty_seconds() {
        let folder = TempDir::new().unwrap();
        let open = opened(&folder);
        let place = |segment| Place { segment, at: 1, length: 4 };
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
        let open = opened(&folder);
        let begun = Instant::now();
        for (at, after, lost) in [(1, 0, false), (2, 60, false), (2, 61, false), (1, 61, true), (2, 80, true)]
        {
            let read = open.read_at(Place { segment: 3, at, length: 4 }, begun + Duration::from_secs(after));
            assert_eq!(matches!(read, Err(Unread::Lost(_))), lost, "{at} after {after} s");
        }
    }
}
