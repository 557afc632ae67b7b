//! Collects datagrams of one exporter into a frame, until it is large or old enough. No I/O, no clock.
//!
//! Sources can be spoofed, so what is open is bounded in all: beyond that the oldest frames go early. A frame that was sent leaves its
//! memory to the next one.

use ahash::AHashMap;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use weir_schemas::frame::{Datagram, FrameWriter};

/// An exporter: its transport address, IPv4 mapped into IPv6.
pub(crate) type Exporter = [u8; 16];

/// A frame that is to be sent.
pub(crate) struct Frame<'a> {
    pub(crate) exporter: &'a Exporter,
    pub(crate) bytes: &'a [u8],
    pub(crate) datagrams: u32,
}

#[derive(Debug)]
struct Open {
    writer: FrameWriter,
    /// Tells it from an earlier frame of the exporter.
    number: u64,
}

/// When frames are sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of one frame. A single datagram may be more.
    pub(crate) frame_bytes: usize,
    /// Age of the first datagram of the oldest frame; then others go along.
    pub(crate) age: Duration,
    /// Bytes of all open frames, with what each takes beside its datagrams.
    pub(crate) open_bytes: usize,
}

#[derive(Debug)]
pub(crate) struct Framer {
    limits: Limits,
    open: AHashMap<Exporter, Open>,
    /// Every frame that was opened, oldest first; those that were sent since are passed over.
    opened: VecDeque<(Instant, Exporter, u64)>,
    spare: Vec<FrameWriter>,
    bytes: usize,
    number: u64,
}

/// Memory of so many frames is kept for the next ones.
const SPARE: usize = 1024;
/// So many frames are sent for their age before sockets are read again.
const AT_ONCE: usize = 256;
/// What an open frame takes beside its bytes: its places in map and queue, and room that is not used.
const OPEN: usize = 256;
/// What a datagram takes in a frame beside its payload; only for deciding, the format is the writer's own.
const HEADER: usize = 14;

impl Framer {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            open: AHashMap::new(),
            opened: VecDeque::new(),
            spare: Vec::new(),
            bytes: 0,
            number: 0,
        }
    }

    /// Adds a datagram; `send` gets the frames that are complete by that.
    pub(crate) fn push(
        &mut self,
        exporter: &Exporter,
        datagram: &Datagram<'_>,
        now: Instant,
        send: &mut impl FnMut(Frame<'_>),
    ) {
        let size = datagram.payload.len() + HEADER;
        let full = |open: &Open| open.writer.as_bytes().len() + size > self.limits.frame_bytes;
        if self.open.get(exporter).is_some_and(full) {
            self.close(exporter, send);
        }
        let open = self.open.entry(*exporter).or_insert_with(|| {
            self.number += 1;
            self.bytes += OPEN;
            self.opened.push_back((now, *exporter, self.number));
            Open { writer: self.spare.pop().unwrap_or_default(), number: self.number }
        });
        let before = open.writer.as_bytes().len();
        // A UDP payload is always short enough to be taken.
        open.writer.push(datagram);
        self.bytes += open.writer.as_bytes().len() - before;
        while self.bytes > self.limits.open_bytes && self.close_oldest(send) {}
    }

    /// Sends frames where the oldest is old enough, and with it those that would go shortly after: a broker works more for a request than for a
    /// record. No more than [`AT_ONCE`], as sockets are not read meanwhile.
    pub(crate) fn flush_aged(&mut self, now: Instant, send: &mut impl FnMut(Frame<'_>)) {
        if self.next_due().is_some_and(|due| due <= now) {
            for _ in 0..AT_ONCE {
                if !self.close_oldest(send) {
                    break;
                }
            }
        }
    }

    /// Sends all frames.
    pub(crate) fn flush_all(&mut self, send: &mut impl FnMut(Frame<'_>)) {
        while self.close_oldest(send) {}
    }

    /// When [`Framer::flush_aged`] has something to do, at the earliest.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.opened.front().map(|(opened, ..)| *opened + self.limits.age)
    }

    /// Sends the oldest frame, if there is one.
    fn close_oldest(&mut self, send: &mut impl FnMut(Frame<'_>)) -> bool {
        while let Some((_, exporter, number)) = self.opened.pop_front() {
            if self.open.get(&exporter).is_some_and(|open| open.number == number) {
                self.close(&exporter, send);
                return true;
            }
        }
        false
    }

    fn close(&mut self, exporter: &Exporter, send: &mut impl FnMut(Frame<'_>)) {
        let Some(Open { mut writer, .. }) = self.open.remove(exporter) else { return };
        let bytes = writer.as_bytes();
        self.bytes -= bytes.len() + OPEN;
        send(Frame { exporter, bytes, datagrams: writer.datagrams() });
        if self.spare.len() < SPARE {
            writer.clear();
            self.spare.push(writer);
        }
        // What was sent for its size leaves its place in the queue; it would pile up under a busy exporter.
        while let Some((_, exporter, number)) = self.opened.front() {
            if self.open.get(exporter).is_some_and(|open| open.number == *number) {
                break;
            }
            self.opened.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_schemas::frame;

    const LIMITS: Limits = Limits { frame_bytes: 1000, age: Duration::from_millis(100), open_bytes: 5000 };

    fn exporter(n: u16) -> Exporter {
        let mut key = [0; 16];
        key[14..].copy_from_slice(&n.to_be_bytes());
        key
    }

    fn datagram(payload: &[u8]) -> Datagram<'_> {
        Datagram { received: 1, listener: 2055, source_port: 7, payload }
    }

    /// Frames as (exporter, payloads).
    #[derive(Default)]
    struct Sent(Vec<(u16, Vec<Vec<u8>>)>);

    impl Sent {
        fn take(&mut self) -> impl FnMut(Frame<'_>) {
            |frame| {
                let payloads: Vec<_> =
                    frame::datagrams(frame.bytes).map(|d| d.unwrap().payload.to_vec()).collect();
                assert_eq!(payloads.len() as u32, frame.datagrams);
                self.0.push((u16::from_be_bytes([frame.exporter[14], frame.exporter[15]]), payloads));
            }
        }
    }

    #[test]
    fn a_frame_is_sent_before_it_would_be_too_large() {
        let (mut framer, mut sent, now) = (Framer::new(LIMITS), Sent::default(), Instant::now());
        for n in 0..5 {
            framer.push(&exporter(1), &datagram(&[n; 300]), now, &mut sent.take());
        }
        assert_eq!(sent.0, [(1, vec![vec![0; 300], vec![1; 300], vec![2; 300]])]);
        framer.flush_all(&mut sent.take());
        assert_eq!(sent.0[1], (1, vec![vec![3; 300], vec![4; 300]]));
        framer.flush_all(&mut |_| panic!("nothing is left"));
    }

    #[test]
    fn a_datagram_that_is_larger_than_a_frame_is_a_frame() {
        let (mut framer, mut sent, now) = (Framer::new(LIMITS), Sent::default(), Instant::now());
        for n in 0..2 {
            framer.push(&exporter(1), &datagram(&[n; 4000]), now, &mut sent.take());
        }
        framer.flush_all(&mut sent.take());
        assert_eq!(sent.0, [(1, vec![vec![0; 4000]]), (1, vec![vec![1; 4000]])]);
    }

    #[test]
    fn frames_are_sent_when_the_oldest_is_old_and_not_for_an_older_frame_that_was_sent_before() {
        let (mut framer, mut sent, begin) = (Framer::new(LIMITS), Sent::default(), Instant::now());
        let at = |ms| begin + Duration::from_millis(ms);
        framer.push(&exporter(1), &datagram(&[1; 900]), at(0), &mut sent.take());
        framer.push(&exporter(1), &datagram(&[2; 900]), at(60), &mut sent.take());
        framer.push(&exporter(2), &datagram(b"two"), at(70), &mut sent.take());
        assert_eq!(sent.0.len(), 1, "the first, for its size");
        assert_eq!(framer.next_due(), Some(at(160)));
        framer.flush_aged(at(159), &mut |_| panic!("too early"));
        framer.flush_aged(at(160), &mut sent.take());
        assert_eq!(sent.0[1..], [(1, vec![vec![2; 900]]), (2, vec![b"two".to_vec()])]);
        assert_eq!(framer.next_due(), None);
    }

    #[test]
    fn frames_of_very_many_exporters_do_not_keep_sockets_waiting() {
        let limits = Limits { open_bytes: 1 << 20, ..LIMITS };
        let (mut framer, mut sent, begin) = (Framer::new(limits), Sent::default(), Instant::now());
        for n in 0..600 {
            framer.push(&exporter(n), &datagram(b"one"), begin, &mut sent.take());
        }
        for all in [256, 512, 600, 600] {
            framer.flush_aged(begin + limits.age, &mut sent.take());
            assert_eq!(sent.0.len(), all);
        }
    }

    #[test]
    fn many_spoofed_sources_hold_no_more_than_the_bound_and_nothing_is_lost() {
        let (mut framer, mut sent, now) = (Framer::new(LIMITS), Sent::default(), Instant::now());
        for n in 0..500 {
            framer.push(&exporter(n), &datagram(&[0; 100]), now, &mut sent.take());
            assert!(framer.bytes <= LIMITS.open_bytes && framer.opened.len() <= 60);
        }
        framer.flush_all(&mut sent.take());
        assert_eq!(sent.0.iter().map(|(n, _)| *n).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
        assert_eq!((framer.bytes, framer.open.len()), (0, 0));
    }

    #[test]
    fn datagrams_without_a_byte_from_many_sources_take_no_more_memory_than_others() {
        let limits = Limits { open_bytes: 1 << 20, ..LIMITS };
        let (mut framer, now) = (Framer::new(limits), Instant::now());
        for n in 0..60_000 {
            framer.push(&exporter(n), &datagram(b""), now, &mut |_| {});
        }
        let entry = size_of::<(Exporter, Open)>() + size_of::<(Instant, Exporter, u64)>();
        assert!(framer.open.capacity() * entry < 2 << 20, "{}", framer.open.capacity());
    }

    #[test]
    fn a_busy_exporter_beside_a_quiet_one_leaves_no_heap_of_stale_entries() {
        let (mut framer, now) = (Framer::new(Limits { frame_bytes: 50, ..LIMITS }), Instant::now());
        for n in 0..10_000_u32 {
            let later = now + Duration::from_millis(u64::from(n / 100));
            framer.push(&exporter(1), &datagram(&[0; 40]), later, &mut |_| {});
            framer.flush_aged(later, &mut |_| {});
            assert!(framer.opened.len() < 3);
        }
    }
}
