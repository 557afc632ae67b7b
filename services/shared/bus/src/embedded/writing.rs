//! A commit under way: records get their offsets and their places in files and index.

use super::files::Files;
use super::frame::Frame;
use super::frame::{HEADER, Stored, record};
use super::index::{Change, Ends, Place, Segment};
use super::log::{Batch, Loaded, Log};
use std::sync::Arc;

/// A file is closed when it is this old, so that age removes it in time, ms.
const SEGMENT_MS: i64 = 3_600_000;

/// What a commit made, for those who read.
pub(super) struct Done {
    pub log: Arc<Log>,
    pub partition: i32,
    pub ends: Ends,
    pub frame: Option<Arc<Frame>>,
}

/// A commit under way.
pub(super) struct Writing<'i> {
    pub change: Change<'i>,
    pub appended: i64,
    /// Files appended to, as they will be, and how long they were.
    pub segments: Vec<(u32, Segment, u64)>,
    pub done: Vec<Done>,
}

impl Writing<'_> {
    pub(super) fn bulk(
        &mut self,
        batches: Vec<(Arc<Log>, &Batch)>,
        files: &mut Files,
        segment_bytes: u64,
    ) -> Loaded<()> {
        let Some(topic) = batches.first().map(|(log, _)| log.topic.id) else { return Ok(()) };
        let mut segment = files.last();
        let old = segment.length > 0 && self.appended - segment.first > SEGMENT_MS;
        if segment.number == 0 || segment.length >= segment_bytes || old {
            segment = files.roll()?;
            segment.first = self.appended;
        }
        let before = segment.length;
        let mut headers = Vec::new();
        let mut frames = Vec::new();
        for (log, Batch { partition, bodies, .. }) in batches {
            let partition = *partition;
            let Some(mut ends) = log.ends(partition).map(Ends::leapt) else { continue };
            for body in bodies {
                let header = body.header(partition as u32, ends.next as u64, self.appended as u64).bytes();
                let length = HEADER + body.stored().len();
                let place = Place { segment: segment.number, at: segment.length, length: length as u32 };
                self.change.frame(topic, partition, ends.next, body.span(), place);
                segment.length += length as u64;
                let base = ends.next;
                ends.next += i64::from(body.span());
                headers.push(header);
                frames.push((Arc::clone(&log), partition, ends, body, base));
            }
            self.change.ends(topic, partition, ends);
        }
        segment.last = self.appended;
        self.segments.push((topic, segment, before));
        let parts: Vec<&[u8]> = headers
            .iter()
            .zip(&frames)
            .flat_map(|(header, (_, _, _, body, _))| [header.as_slice(), body.stored()])
            .collect();
        files.append(segment.number, before, &parts)?;
        self.change.segment(topic, &segment);
        for (log, partition, ends, body, base) in frames {
            let frame = Some(Arc::new(body.frame(base, self.appended)));
            self.done.push(Done { log, partition, ends, frame });
        }
        Ok(())
    }

    pub(super) fn compacted(&mut self, batches: Vec<(Arc<Log>, &Batch)>) {
        for (log, Batch { partition, bodies, .. }) in batches {
            let partition = *partition;
            let Some(mut ends) = log.ends(partition).map(Ends::leapt) else { continue };
            for body in bodies {
                let frame = body.frame(ends.next, self.appended);
                let mut at = 0;
                while let Some((stored, next)) = record(&frame.body, at) {
                    at = next;
                    let stored = Stored { appended: self.appended as u64, ..stored };
                    let offset = frame.base + i64::from(stored.delta);
                    self.change.record(log.topic.id, partition, offset, &stored);
                }
                ends.next = frame.end;
            }
            self.change.ends(log.topic.id, partition, ends);
            self.done.push(Done { log, partition, ends, frame: None });
        }
    }
}
