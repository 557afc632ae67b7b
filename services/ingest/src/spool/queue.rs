//! The files of one worker, oldest first: what it sent is behind it, what comes goes to the last one.

use super::segment;
use super::{ENDING, Folder, Segment, add};
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
/// Why one that was kept is lost.
const DAMAGED: &str = "damaged in the spool";

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
        self.unread -= 1;
    }

    fn settled(&mut self) {
        while let Some(first) = self.segments.front().filter(|first| first.read >= first.length) {
            if let Err(error) = std::fs::remove_file(&first.path) {
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
        if let (Some(first), Some(file)) = (self.segments.front_mut(), &self.reading)
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
            let unread = Count::default();
            self.segments.push_back(Segment {
                path,
                length: begin,
                read: begin,
                noted: begin,
                unread,
                old: false,
            });
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
            if segment.read >= segment.length {
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
                Ok(Some(found)) => return Some(found),
                Ok(None) => self.pass_over("no whole frame is there"),
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound) =>
                {
                    self.pass_over(&error.to_string());
                }
                // It lacks what others have to give back first: what lies there is whole, and is read at a later turn.
                Err(error) => {
                    let words =
                        format!("{} can't be read now: {error}", self.segments[self.at].path.display());
                    self.say(&words);
                    return None;
                }
            }
        }
    }

    /// Gives up what is left of a file that cannot be read: where the next frame begins is not known.
    fn pass_over(&mut self, why: &str) {
        let segment = &mut self.segments[self.at];
        let lost = std::mem::take(&mut segment.unread);
        let words = format!(
            "{} at byte {}: {why}; {} frames with {} datagrams are lost",
            segment.path.display(),
            segment.read,
            lost.records,
            lost.units
        );
        segment.read = segment.length;
        self.unread -= lost.records;
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
