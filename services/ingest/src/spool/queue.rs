//! The files of one worker, oldest first: what it sent is behind it, what comes goes to the last one.

use super::segment;
use super::{DAMAGED, ENDING, Folder, Segment, add, set_aside, tries};
use crate::frames::{Exporter, Frame};
use crate::lane::Store;
use crate::metrics::Totals;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use weir_bus::Count;
use weir_runtime::Repeats;

/// Why a frame is not kept.
const FULL: &str = "spool full";
const NO_ROOM: &str = "no room on the spool's disk";
const FAILED: &str = "spool failed";

#[derive(Debug)]
pub(crate) struct Queue {
    folder: Arc<Folder>,
    totals: Arc<Totals>,
    worker: usize,
    /// Number of the next file.
    next: u64,
    segments: VecDeque<Segment>,
    /// The one that is read from; those before are taken.
    at: usize,
    /// Frames that are not taken.
    unread: u64,
    /// It sends what an earlier process left.
    mine: bool,
    /// The last one.
    writing: Option<File>,
    /// The one at `at`.
    reading: Option<File>,
    /// The oldest frame that is not taken, as it lies in `buffer`.
    front: Option<(Exporter, u32, usize)>,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    /// Times in a row that the oldest frame could not be read.
    failures: u32,
    told: Repeats,
}

fn less(from: &mut Count, what: Count) {
    from.records -= what.records;
    from.units -= what.units;
    from.bytes -= what.bytes;
}

impl Store for Queue {
    fn append(&mut self, frame: &Frame<'_>) -> Result<(), &'static str> {
        let size = segment::size(frame);
        let fits = |last: &Segment| last.length + size <= self.folder.segment_bytes;
        let begins = self.writing.is_none() || !self.segments.back().is_some_and(fits);
        let size = if begins { size + segment::BEGIN } else { size };
        if self.folder.used.fetch_add(size, Ordering::Relaxed) + size > self.folder.bytes {
            self.folder.used.fetch_sub(size, Ordering::Relaxed);
            return Err(FULL);
        }
        match self.write(frame, begins) {
            Ok(()) => {
                self.unread += 1;
                Ok(())
            }
            Err(error) => {
                // A file that was begun stays, and what could not be taken back ends it: the next frame begins another one.
                let begun = begins && self.writing.is_some();
                let stays = if begun { segment::BEGIN } else { 0 };
                self.folder.used.fetch_sub(size - stays, Ordering::Relaxed);
                self.writing = None;
                self.say(&format!("writing to the spool at {}: {error}", self.folder.path.display()));
                let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                Err(if full { NO_ROOM } else { FAILED })
            }
        }
    }

    fn next(&mut self) -> Option<Frame<'_>> {
        if self.front.is_none() {
            self.front = self.load();
        }
        let (exporter, datagrams, begin) = self.front.as_ref()?;
        Some(Frame { exporter, bytes: &self.buffer[*begin..], datagrams: *datagrams })
    }

    fn taken(&mut self) {
        let Some((exporter, datagrams, begin)) = self.front.take() else { return };
        let frame = Frame { exporter: &exporter, bytes: &self.buffer[begin..], datagrams };
        let segment = &mut self.segments[self.at];
        segment.read += segment::size(&frame);
        less(&mut segment.unread, segment::count(&frame));
        add(&mut segment.taken, segment::count(&frame));
        self.unread -= 1;
    }

    fn settled(&mut self) {
        while let Some(first) = self.segments.front().filter(|first| first.read >= first.end()) {
            if !first.aside
                && let Err(error) = std::fs::remove_file(&first.path)
            {
                let path = first.path.display().to_string();
                self.say(&format!("removing {path}, which is sent: {error}; it will be sent again"));
            }
            self.reading = self.reading.take().filter(|_| self.at > 0);
            self.at = self.at.saturating_sub(1);
            if let Some(first) = self.segments.pop_front() {
                self.folder.used.fetch_sub(first.length, Ordering::Relaxed);
                self.folder.old.fetch_sub(u64::from(first.old), Ordering::Release);
            }
            if self.segments.is_empty() {
                self.writing = None;
            }
        }
        let Some(first) = self.segments.front_mut() else { return };
        (first.settled, first.taken) = (first.read, Count::default());
        if let Some(file) = &self.reading
            && first.read != first.noted
        {
            match segment::note(file, first.read) {
                Ok(()) => first.noted = first.read,
                Err(error) => {
                    let path = first.path.display().to_string();
                    self.say(&format!(
                        "noting in {path} what is sent: {error}; a restart would send it again"
                    ));
                }
            }
        }
    }

    fn again(&mut self) {
        for segment in self.segments.iter_mut().take(self.at + 1) {
            let taken = std::mem::take(&mut segment.taken);
            add(&mut segment.unread, taken);
            self.unread += taken.records;
            segment.read = segment.settled;
        }
        (self.at, self.reading, self.front) = (0, None, None);
    }

    fn waiting(&self) -> bool {
        self.unread > 0
    }

    fn held_back(&self) -> bool {
        !self.mine && self.folder.old.load(Ordering::Acquire) > 0
    }
}

impl Queue {
    pub(super) fn new(
        folder: Arc<Folder>,
        totals: Arc<Totals>,
        worker: usize,
        segments: VecDeque<Segment>,
    ) -> Self {
        Self {
            mine: !segments.is_empty(),
            next: folder.first,
            unread: segments.iter().map(|segment| segment.unread.records).sum(),
            folder,
            totals,
            worker,
            segments,
            at: 0,
            writing: None,
            reading: None,
            front: None,
            buffer: Vec::new(),
            scratch: Vec::new(),
            failures: 0,
            told: Repeats::default(),
        }
    }

    fn write(&mut self, frame: &Frame<'_>, begins: bool) -> io::Result<()> {
        if begins {
            self.writing = None;
            let path = self.folder.path.join(format!("{:012}-{}.{ENDING}", self.next, self.worker));
            self.writing = Some(segment::create(&path)?);
            self.next += 1;
            let begin = segment::BEGIN;
            self.segments.push_back(Segment::new(path, begin, begin, Count::default(), false));
        }
        let (Some(file), Some(last)) = (&self.writing, self.segments.back_mut()) else { return Ok(()) };
        segment::append(file, last.length, frame, &mut self.scratch)?;
        last.length += segment::size(frame);
        add(&mut last.unread, segment::count(frame));
        Ok(())
    }

    /// Reads the oldest frame that is not taken.
    fn load(&mut self) -> Option<(Exporter, u32, usize)> {
        loop {
            let segment = self.segments.get(self.at)?;
            if segment.read >= segment.end() {
                if self.at + 1 >= self.segments.len() {
                    return None;
                }
                self.at += 1;
                self.reading = None;
                continue;
            }
            let found = match &self.reading {
                Some(file) => segment::read(file, segment.read, &mut self.buffer),
                None => match OpenOptions::new().read(true).write(true).open(&segment.path) {
                    Ok(file) => {
                        self.reading = Some(file);
                        continue;
                    }
                    Err(error) => Err(error),
                },
            };
            match found {
                Ok(Some(found)) => {
                    self.failures = 0;
                    return Some(found);
                }
                Ok(None) => self.pass_over("no whole frame is there"),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound) =>
                {
                    self.pass_over(&error.to_string());
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    if self.failures < tries(&error) {
                        let words =
                            format!("{} can't be read now: {error}", self.segments[self.at].path.display());
                        self.say(&words);
                        return None;
                    }
                    let segment = &mut self.segments[self.at];
                    segment.aside = true;
                    let why = format!("{error}; {}", set_aside(&mut segment.path));
                    self.pass_over(&why);
                }
            }
        }
    }

    /// Gives up what is left of a file that cannot be read: where the next frame begins is not known.
    fn pass_over(&mut self, why: &str) {
        let segment = &mut self.segments[self.at];
        let lost = std::mem::take(&mut segment.unread);
        let words = format!(
            "{} at byte {}: {} frames with {} datagrams are lost: {why}",
            segment.path.display(),
            segment.read,
            lost.records,
            lost.units
        );
        segment.cut = Some(segment.read);
        self.failures = 0;
        self.unread -= lost.records;
        if self.at + 1 == self.segments.len() {
            // What comes goes to another file.
            self.writing = None;
        }
        self.totals.dropped_from_spool(DAMAGED, lost);
        self.say(&words);
    }

    fn say(&mut self, words: &str) {
        if self.told.says(words) {
            tracing::error!("{words}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;
    use tempfile::TempDir;

    const SEGMENT: u64 = 1000;

    fn config(folder: &TempDir) -> SpoolConfig {
        SpoolConfig { path: Some(folder.path().into()), bytes: 4000, segment_bytes: SEGMENT }
    }

    /// The queues of so many workers, and what they count.
    fn open(folder: &TempDir, workers: usize) -> (Vec<Queue>, Arc<Totals>) {
        let mut opened = Opened::open(&config(folder)).unwrap().unwrap();
        let mut totals = Totals::new(Vec::new());
        opened.count(&mut totals);
        let totals = Arc::new(totals);
        ((0..workers).map(|worker| opened.queue(worker, &totals)).collect(), totals)
    }

    fn append(queue: &mut Queue, numbers: std::ops::Range<u8>) -> Result<(), &'static str> {
        for n in numbers {
            let frame = Frame { exporter: &[n; 16], bytes: &[n; 200], datagrams: 2 };
            queue.append(&frame)?;
            queue.totals.spooled(segment::count(&frame));
        }
        Ok(())
    }

    fn take(queue: &mut Queue, most: usize) -> Vec<u8> {
        let mut numbers = Vec::new();
        while numbers.len() < most
            && let Some(frame) = queue.next()
        {
            assert_eq!((frame.exporter[0], frame.datagrams, frame.bytes.len()), (frame.bytes[0], 2, 200));
            numbers.push(frame.bytes[0]);
            queue.taken();
        }
        numbers
    }

    fn files(folder: &TempDir) -> usize {
        std::fs::read_dir(folder.path()).unwrap().count() - 1
    }

    #[test]
    fn what_was_taken_and_not_acknowledged_is_there_at_the_next_start_and_what_was_acknowledged_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queues, _) = open(&folder, 1);
        append(&mut queues[0], 0..10).unwrap();
        assert_eq!(files(&folder), 3, "four in each file");
        assert_eq!(take(&mut queues[0], 5), [0, 1, 2, 3, 4]);
        queues[0].settled();
        assert_eq!(files(&folder), 2, "one of them is acknowledged as a whole");
        assert_eq!(take(&mut queues[0], 3), [5, 6, 7]);
        drop(queues);
        let (mut queues, totals) = open(&folder, 1);
        let found = totals.snapshot().spool.found;
        assert_eq!((found.records, found.units, found.bytes), (5, 10, 5 * 216));
        append(&mut queues[0], 10..11).unwrap();
        assert_eq!(take(&mut queues[0], 9), [5, 6, 7, 8, 9, 10]);
        queues[0].settled();
        assert_eq!((files(&folder), queues[0].folder.used.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn the_bound_is_of_all_workers_together_and_what_is_acknowledged_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queues, _) = open(&folder, 2);
        append(&mut queues[0], 0..8).unwrap();
        assert_eq!(append(&mut queues[1], 100..120), Err(FULL));
        let used = queues[0].folder.used.load(Ordering::Relaxed);
        let on_disk: u64 = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum();
        assert_eq!(used, on_disk);
        assert!((3700..=4000).contains(&used), "{used}");
        assert_eq!(append(&mut queues[0], 8..9), Err(FULL));
        take(&mut queues[1], 4);
        queues[1].settled();
        append(&mut queues[0], 8..11).unwrap();
        assert!(take(&mut queues[0], 99).into_iter().eq(0..11));
    }

    #[test]
    fn what_an_earlier_process_left_goes_before_everything_newer_whatever_worker_had_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queues, _) = open(&folder, 2);
        append(&mut queues[0], 0..2).unwrap();
        append(&mut queues[1], 2..4).unwrap();
        drop(queues);
        let (mut queues, _) = open(&folder, 3);
        let held_back = |queues: &[Queue]| queues.iter().map(Store::held_back).collect::<Vec<_>>();
        append(&mut queues[0], 4..6).unwrap();
        append(&mut queues[2], 6..8).unwrap();
        assert_eq!(held_back(&queues), [false, true, true]);
        assert_eq!(take(&mut queues[0], 4), [0, 1, 2, 3]);
        assert_eq!(held_back(&queues), [false, true, true], "until the bus has it");
        queues[0].settled();
        assert_eq!(held_back(&queues), [false, false, false]);
        assert_eq!((take(&mut queues[0], 9), take(&mut queues[2], 9)), (vec![4, 5], vec![6, 7]));
    }

    #[test]
    fn a_file_that_is_damaged_costs_what_lies_behind_in_that_file_and_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queues, totals) = open(&folder, 1);
        append(&mut queues[0], 0..7).unwrap();
        let first = queues[0].segments[0].path.clone();
        let mut bytes = std::fs::read(&first).unwrap();
        bytes[300] ^= 1;
        std::fs::write(&first, bytes).unwrap();
        assert_eq!(take(&mut queues[0], 9), [0, 4, 5, 6]);
        assert!(!queues[0].waiting());
        let now = totals.snapshot();
        assert_eq!((now.dropped[DAMAGED].records, now.dropped[DAMAGED].units), (3, 6));
        assert_eq!(now.spool.waiting.units, 8, "taken, and the bus has not answered");
    }

    #[test]
    fn a_file_that_cannot_be_read_at_the_start_is_set_aside_and_the_rest_is_sent() {
        let no_file = |path: &Path| std::fs::create_dir(path).unwrap();
        let nowhere = |path: &Path| std::os::unix::fs::symlink(path, path).unwrap();
        for damage in [&no_file as &dyn Fn(&Path), &nowhere] {
            let folder = tempfile::tempdir().unwrap();
            let (mut queues, _) = open(&folder, 1);
            append(&mut queues[0], 0..7).unwrap();
            let first = queues[0].segments[0].path.clone();
            drop(queues);
            std::fs::rename(&first, folder.path().join("moved")).unwrap();
            damage(&first);
            let (mut queues, totals) = open(&folder, 1);
            assert_eq!(totals.snapshot().dropped[DAMAGED].records, 1);
            let spool = totals.snapshot().spool;
            assert_eq!((spool.found.records, spool.waiting.records), (4, 3));
            assert_eq!(take(&mut queues[0], 9), [4, 5, 6]);
            queues[0].settled();
            assert_eq!(queues[0].folder.used.load(Ordering::Relaxed), 0);
            drop(queues);
            assert!(std::fs::symlink_metadata(first.with_extension("spool.unreadable")).is_ok());
            assert_eq!(open(&folder, 1).1.snapshot().dropped.len(), 0, "it is told once");
            // A person has mended it, and gives it its name back.
            std::fs::rename(folder.path().join("moved"), &first).unwrap();
            assert_eq!(take(&mut open(&folder, 1).0[0], 9), [0, 1, 2, 3]);
        }
    }

    #[test]
    fn a_file_that_the_disk_cannot_read_is_set_aside_after_a_while_and_the_rest_goes_on() {
        // Nothing is mapped where it begins, so that reading there is the same error as that of a bad sector; a folder can't be opened.
        let bad = |path: &Path| std::os::unix::fs::symlink("/proc/self/mem", path).unwrap();
        let no_file = |path: &Path| std::fs::create_dir(path).unwrap();
        for damage in [&bad as &dyn Fn(&Path), &no_file] {
            let folder = tempfile::tempdir().unwrap();
            append(&mut open(&folder, 1).0[0], 0..7).unwrap();
            let (mut queues, totals) = open(&folder, 2);
            append(&mut queues[1], 7..9).unwrap();
            let first = queues[0].segments[0].path.clone();
            std::fs::rename(&first, folder.path().join("moved")).unwrap();
            damage(&first);
            for _ in 1..PATIENCE {
                assert!(queues[0].next().is_none());
            }
            assert_eq!((totals.snapshot().dropped.len(), queues[1].held_back()), (0, true));
            assert_eq!(take(&mut queues[0], 9), [4, 5, 6]);
            queues[0].settled();
            assert_eq!((totals.snapshot().dropped[DAMAGED].units, queues[1].held_back()), (8, false));
            assert_eq!(take(&mut queues[1], 9), [7, 8]);
            queues[1].settled();
            assert_eq!(queues[0].folder.used.load(Ordering::Relaxed), 0);
            drop(queues);
            let aside = first.with_extension("spool.unreadable");
            assert!(!first.exists() && std::fs::symlink_metadata(&aside).is_ok());
            assert_eq!(open(&folder, 1).0[0].next, 1, "its number is not used again");
            // A person has mended it, and gives it its name back.
            std::fs::rename(folder.path().join("moved"), &first).unwrap();
            assert_eq!(take(&mut open(&folder, 1).0[0], 9), [0, 1, 2, 3]);
        }
    }

    #[test]
    fn a_file_that_may_not_be_read_is_not_waited_for_and_a_process_without_descriptors_is() {
        let of = |code| tries(&io::Error::from_raw_os_error(code));
        assert_eq!([of(libc::EACCES), of(libc::EIO), of(libc::EMFILE)], [1, PATIENCE, u32::MAX]);
    }

    #[test]
    fn what_was_taken_and_not_settled_is_there_again_whatever_was_damaged_or_came_meanwhile() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queues, totals) = open(&folder, 1);
        let queue = &mut queues[0];
        append(queue, 0..7).unwrap();
        assert_eq!(take(queue, 2), [0, 1]);
        queue.settled();
        assert_eq!(take(queue, 3), [2, 3, 4]);
        // Read, and not taken.
        assert!(queue.next().is_some());
        queue.again();
        assert_eq!((take(queue, 3), queue.unread), (vec![2, 3, 4], 2));
        let last = queue.segments[1].path.clone();
        let mut bytes = std::fs::read(&last).unwrap();
        bytes[300] ^= 1;
        std::fs::write(&last, bytes).unwrap();
        assert!(take(queue, 9).is_empty());
        append(queue, 7..9).unwrap();
        for _ in 0..2 {
            assert_eq!((take(queue, 1), take(queue, 9)), (vec![7], vec![8]));
            queue.again();
            assert_eq!((take(queue, 3), queue.waiting()), (vec![2, 3, 4], true));
        }
        assert_eq!(take(queue, 9), [7, 8]);
        assert_eq!(totals.snapshot().dropped[DAMAGED].records, 2, "once");
        queue.settled();
        assert_eq!((files(&folder), queue.folder.used.load(Ordering::Relaxed), queue.unread), (0, 0, 0));
    }

    #[test]
    fn a_disk_without_room_costs_what_comes_meanwhile_and_nothing_that_lies_there() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queues, _) = open(&folder, 1);
        append(&mut queues[0], 0..2).unwrap();
        queues[0].writing = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
        assert_eq!(append(&mut queues[0], 2..3), Err(NO_ROOM));
        append(&mut queues[0], 3..5).unwrap();
        assert_eq!(take(&mut queues[0], 9), [0, 1, 3, 4]);
        queues[0].settled();
        assert_eq!(queues[0].folder.used.load(Ordering::Relaxed), 0);
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert_eq!(append(&mut queues[0], 5..6), Err(FAILED));
        std::fs::create_dir(folder.path()).unwrap();
        append(&mut queues[0], 6..7).unwrap();
        assert_eq!(take(&mut queues[0], 9), [6]);
    }

    #[test]
    fn a_torn_end_is_counted_as_found_and_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let (mut queues, _) = open(&folder, 1);
        append(&mut queues[0], 0..3).unwrap();
        let path = queues[0].segments[0].path.clone();
        drop(queues);
        let length = std::fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
        let now = open(&folder, 1).1.snapshot();
        assert_eq!((now.spool.found.units, now.dropped[TORN].units, now.spool.waiting.units), (6, 2, 4));
        assert_eq!(now.accounted(), now.spool.found.units);
    }

    #[test]
    fn a_folder_is_one_process_own_and_what_is_not_the_spools_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let (queues, _) = open(&folder, 1);
        let told = || Opened::open(&config(&folder)).unwrap_err().to_string();
        let words = told();
        assert!(words.starts_with("the spool, locking "), "{words}");
        assert!(words.ends_with("each ingest needs a folder of its own; see ingest.spool.path"), "{words}");
        drop(queues);
        std::fs::write(folder.path().join("7-0.spool"), "somebody else's file").unwrap();
        assert!(told().contains("7-0.spool: this is no file of a spool; move it away"), "{}", told());
        assert!(Opened::open(&SpoolConfig::default()).unwrap().is_none());
    }
}
