//! Frames onto the bus or into the spool, and what became of them into the totals.
//!
//! Nothing here waits before the end: while it did, the kernel's small buffers would run over.

use crate::frames::Frame;
use crate::lane::{Answer, Lane, Way};
use crate::metrics::{Totals, merge, since};
use crate::spool::Queue;
use crate::spool::segment;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_bus::{Bus, Delivered, Full, Message, Result, Writer, partition};
use weir_runtime::Repeats;

/// Why a frame was not taken.
const BUFFER_FULL: &str = "buffer full";
const REFUSED: &str = "refused by the bus";

/// How long a producer that broke waits for word of what it had sent.
const LAST_WORDS: Duration = Duration::from_secs(10);

const WAITING: &str = "frames wait in the spool; see weir_ingest_spool_bytes";

/// How long the end waits for acknowledgements at a time.
const AGAIN: Duration = Duration::from_millis(5);

pub(crate) struct Outlet<B: Bus> {
    producers: Producers<B>,
    spool: Option<Lane<Queue>>,
    told: Repeats,
}

impl<B: Bus> Outlet<B> {
    pub(crate) fn open(
        bus: B,
        buffer_bytes: usize,
        totals: Arc<Totals>,
        spool: Option<Queue>,
    ) -> Result<Self> {
        let producers = Producers::open(bus, buffer_bytes, totals)?;
        Ok(Self { producers, spool: spool.map(Lane::new), told: Repeats::default() })
    }

    /// Takes a frame, or drops it and counts it.
    pub(crate) fn send(&mut self, frame: &Frame<'_>) {
        if let Some(spool) = &mut self.spool {
            return spool.send(frame, &mut self.producers);
        }
        match self.producers.offer(frame) {
            Answer::Taken => {}
            Answer::Full(reason) | Answer::Refused(reason) => self.producers.dropped(reason, frame),
        }
    }

    /// Takes acknowledgements, and some frames from the spool.
    pub(crate) fn settle(&mut self) {
        let draining = self.spool.as_ref().is_some_and(Lane::is_draining);
        self.producers.settle(draining);
        if let Some(spool) = &mut self.spool
            && !spool.is_through()
        {
            if self.told.says(WAITING) {
                tracing::warn!("{WAITING}");
            }
            spool.turn(&mut self.producers);
            if spool.is_through() {
                self.told.over();
                tracing::info!("the spool is empty; frames go past it again");
            }
        }
    }

    /// Whether there is something to do beside receiving.
    pub(crate) fn is_busy(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| !spool.is_through())
    }

    /// Waits for the acknowledgement of all that was taken; what has none by then is given up and counted, or stays in the spool.
    pub(crate) fn finish(&mut self, timeout: Duration) {
        let until = Instant::now() + timeout;
        while self.is_busy() && Instant::now() < until {
            if self.producers.in_flight() {
                self.producers.current.writer.poll(AGAIN);
            } else {
                std::thread::sleep(AGAIN);
            }
            self.settle();
        }
        let Some(spool) = &mut self.spool else {
            self.producers.finish(until, false);
            return;
        };
        spool.end(&mut self.producers);
        let all = self.producers.finish(until, spool.is_draining());
        spool.settled(all, &mut self.producers);
    }
}

/// The producer, and the one before it while that waits for its last acknowledgements.
struct Producers<B: Bus> {
    bus: B,
    buffer_bytes: usize,
    topic: String,
    partitions: usize,
    current: Counted<B::Writer>,
    /// One that broke, since when, and whether it was told to give up.
    broken: Option<(Counted<B::Writer>, Instant, bool)>,
    /// What became so far of the spool's frames that are out. It is in the totals when all of them are answered for.
    round: Delivered,
    totals: Arc<Totals>,
    told: Repeats,
}

/// A writer, and what of its frames is in the totals already.
struct Counted<W> {
    writer: W,
    counted: Delivered,
}

impl<W: Writer> Counted<W> {
    fn new(writer: W) -> Self {
        Self { writer, counted: Delivered::default() }
    }

    /// Counts what became of its frames, in the totals or in the round that they are of.
    fn count(&mut self, totals: &Totals, round: Option<&mut Delivered>) {
        let now = self.writer.delivered();
        if now != self.counted {
            let new = since(&self.counted, &now);
            self.counted = now;
            match round {
                Some(round) => merge(round, new),
                None => totals.delivered(&new, false),
            }
        }
    }

    fn finish(&mut self, until: Instant, totals: &Totals, round: Option<&mut Delivered>) -> bool {
        let all = self.writer.flush(until.saturating_duration_since(Instant::now()));
        if !all {
            tracing::warn!("the broker did not acknowledge everything before the end");
        }
        self.count(totals, round);
        all
    }
}

impl<B: Bus> Way for Producers<B> {
    fn offer(&mut self, frame: &Frame<'_>) -> Answer {
        let message = Message {
            topic: &self.topic,
            partition: partition(frame.exporter, self.partitions),
            key: frame.exporter,
            value: Some(frame.bytes),
            headers: &[],
        };
        match self.current.writer.try_send(&message, frame.datagrams) {
            Ok(Ok(())) => {
                self.totals.taken(segment::count(frame).bytes);
                Answer::Taken
            }
            Ok(Err(Full)) => Answer::Full(BUFFER_FULL),
            Err(error) => {
                self.say(&format!("{error}; the frame is not taken"));
                if self.current.writer.is_broken() {
                    self.replace();
                    // Another producer may take it.
                    return Answer::Full(REFUSED);
                }
                Answer::Refused(REFUSED)
            }
        }
    }

    fn in_flight(&self) -> bool {
        let broken = self.broken.as_ref().map_or(0, |(broken, ..)| broken.writer.in_flight());
        self.current.writer.in_flight() + broken > 0
    }

    fn gave_up(&self) -> bool {
        !self.round.failed.is_empty()
    }

    fn round_over(&mut self, again: bool) {
        let round = std::mem::take(&mut self.round);
        if again {
            self.say("the bus gave up frames of the spool; they are sent again");
            self.totals.repeated(&round);
        } else {
            self.totals.delivered(&round, true);
        }
    }

    fn spooled(&mut self, frame: &Frame<'_>) {
        self.totals.spooled(segment::count(frame));
    }

    fn dropped(&mut self, reason: &'static str, frame: &Frame<'_>) {
        self.totals.dropped(reason, segment::count(frame));
    }

    fn dropped_from_spool(&mut self, reason: &'static str, frame: &Frame<'_>) {
        self.totals.dropped_from_spool(reason, segment::count(frame));
    }
}

impl<B: Bus> Producers<B> {
    fn open(bus: B, buffer_bytes: usize, totals: Arc<Totals>) -> Result<Self> {
        let (topic, partitions) = (bus.topics().raw, bus.partitions());
        let current = Counted::new(bus.writer(buffer_bytes)?);
        let (broken, round, told) = (None, Delivered::default(), Repeats::default());
        Ok(Self { bus, buffer_bytes, topic, partitions, current, broken, round, totals, told })
    }

    fn say(&mut self, words: &str) {
        if self.told.says(words) {
            tracing::error!("{words}");
        }
    }

    /// Opens another producer beside the one that broke, which still learns what became of its frames. One at a time: what breaks
    /// again at once is not answered with ever more of them.
    fn replace(&mut self) {
        if self.broken.is_some() {
            return;
        }
        match self.bus.writer(self.buffer_bytes) {
            Ok(writer) => {
                let broken = std::mem::replace(&mut self.current, Counted::new(writer));
                self.broken = Some((broken, Instant::now(), false));
            }
            Err(error) => self.say(&format!("no new producer: {error}")),
        }
    }

    /// Takes acknowledgements; `draining`: of the spool's frames.
    fn settle(&mut self, draining: bool) {
        self.current.writer.poll(Duration::ZERO);
        self.current.count(&self.totals, draining.then_some(&mut self.round));
        let Some((broken, since, given_up)) = &mut self.broken else { return };
        if since.elapsed() >= LAST_WORDS && !std::mem::replace(given_up, true) {
            broken.writer.give_up();
        }
        broken.writer.poll(Duration::ZERO);
        broken.count(&self.totals, draining.then_some(&mut self.round));
        if broken.writer.in_flight() == 0 {
            self.broken = None;
        }
    }

    /// Waits for the acknowledgement of all that was taken; says whether all is answered for.
    fn finish(&mut self, until: Instant, draining: bool) -> bool {
        let Self { current, broken, totals, round, .. } = self;
        let mut all = current.finish(until, totals, draining.then_some(&mut *round));
        if let Some((mut broken, ..)) = broken.take() {
            all &= broken.finish(until, totals, draining.then_some(round));
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SpoolConfig;
    use crate::fake::FakeBus;
    use crate::metrics::Spooled;
    use crate::spool::Opened;

    fn outlet() -> (FakeBus, Outlet<FakeBus>, impl Fn(&mut Outlet<FakeBus>)) {
        let bus = FakeBus::default();
        bus.0.lock().unwrap().silent = true;
        let totals = Arc::new(Totals::new(Vec::new()));
        let outlet = Outlet::open(bus.clone(), 1 << 20, totals, None).unwrap();
        let frame = |outlet: &mut Outlet<FakeBus>| {
            outlet.send(&Frame { exporter: &[0; 16], bytes: b"frame", datagrams: 3 });
        };
        (bus, outlet, frame)
    }

    fn opened_and_flushed(bus: &FakeBus) -> (u32, u32) {
        let state = bus.0.lock().unwrap();
        (state.opened, state.flushed)
    }

    #[test]
    fn a_frame_that_is_refused_costs_that_frame_alone() {
        let (bus, mut outlet, send) = outlet();
        send(&mut outlet);
        bus.0.lock().unwrap().refuse = 1;
        (0..2).for_each(|_| send(&mut outlet));
        assert_eq!(outlet.producers.current.writer.in_flight(), 2, "what was queued still is");
        bus.0.lock().unwrap().silent = false;
        outlet.settle();
        let now = outlet.producers.totals.snapshot();
        assert_eq!((now.acked.units, now.dropped[REFUSED].units), (6, 3));
        assert_eq!(opened_and_flushed(&bus), (1, 0));
    }

    #[test]
    fn a_producer_that_breaks_is_replaced_without_a_wait_and_learns_what_became_of_its_frames() {
        let (bus, mut outlet, send) = outlet();
        send(&mut outlet);
        bus.0.lock().unwrap().break_next = true;
        (0..3).for_each(|_| send(&mut outlet));
        outlet.settle();
        assert_eq!(outlet.producers.totals.snapshot().acked.units, 0);
        // The new one breaks too, while the old one still waits: it has to wait for its turn.
        bus.0.lock().unwrap().break_next = true;
        (0..2).for_each(|_| send(&mut outlet));
        assert_eq!(opened_and_flushed(&bus), (2, 0));
        bus.0.lock().unwrap().silent = false;
        outlet.settle();
        (0..2).for_each(|_| send(&mut outlet));
        outlet.settle();
        let now = outlet.producers.totals.snapshot();
        assert_eq!((now.acked.units, now.dropped[REFUSED].units, now.buffered), (4 * 3, 4 * 3, 0));
        assert_eq!(opened_and_flushed(&bus), (3, 0));
    }

    #[test]
    fn what_a_broken_producer_never_hears_of_is_given_up_and_the_end_waits_for_both() {
        let (bus, mut outlet, send) = outlet();
        send(&mut outlet);
        bus.0.lock().unwrap().break_next = true;
        (0..2).for_each(|_| send(&mut outlet));
        outlet.producers.broken.as_mut().unwrap().1 = Instant::now() - LAST_WORDS;
        outlet.settle();
        assert!(outlet.producers.broken.is_none());
        outlet.finish(Duration::ZERO);
        assert_eq!(outlet.producers.totals.snapshot().buffered, 0);
    }

    /// An outlet whose spool holds three frames, two to a turn, of which the first two are out and their producer broke.
    fn draining(folder: &tempfile::TempDir) -> (FakeBus, Outlet<FakeBus>) {
        let bus = FakeBus::default();
        bus.0.lock().unwrap().silent = true;
        let spool = SpoolConfig { path: Some(folder.path().into()), ..SpoolConfig::default() };
        let mut spool = Opened::open(&spool).unwrap().unwrap();
        let totals = Arc::new(Totals::new(Vec::new()));
        let queue = spool.queue(0, &totals);
        let mut outlet = Outlet::open(bus.clone(), 1 << 20, totals, Some(queue)).unwrap();
        // It is kept for want of a producer, and the others behind it.
        bus.0.lock().unwrap().break_next = true;
        for n in 0..3 {
            outlet.send(&Frame { exporter: &[n; 16], bytes: &[n; 600_000], datagrams: 3 });
        }
        outlet.settle();
        assert_eq!(outlet.producers.current.writer.in_flight(), 2);
        bus.0.lock().unwrap().break_next = true;
        (0..2).for_each(|_| outlet.settle());
        assert_eq!(outlet.producers.broken.as_ref().unwrap().0.writer.in_flight(), 2);
        assert_eq!(outlet.producers.current.writer.in_flight(), 1);
        (bus, outlet)
    }

    #[test]
    fn what_a_broken_producer_gave_up_of_the_spool_is_sent_again_and_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let (bus, mut outlet) = draining(&folder);
        outlet.producers.broken.as_mut().unwrap().1 = Instant::now() - LAST_WORDS;
        {
            let mut state = bus.0.lock().unwrap();
            (state.lose, state.silent) = (true, false);
        }
        (0..20).for_each(|_| outlet.settle());
        assert!(!outlet.is_busy());
        let now = outlet.producers.totals.snapshot();
        assert!(now.failed.is_empty() && now.dropped.is_empty(), "{now:?}");
        assert_eq!((now.acked.units, now.accounted(), now.buffered), (9, 9, 0));
        let Spooled { spooled, drained, repeated, waiting, .. } = now.spool;
        assert_eq!((spooled.records, drained.records, repeated.records, waiting.records), (3, 3, 1, 0));
    }

    #[test]
    fn what_is_given_up_at_the_end_stays_in_the_spool_and_is_there_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let (bus, mut outlet) = draining(&folder);
        bus.0.lock().unwrap().lose = true;
        outlet.finish(Duration::ZERO);
        let now = outlet.producers.totals.snapshot();
        assert!(now.failed.is_empty() && now.dropped.is_empty(), "{now:?}");
        assert_eq!((now.acked.units, now.accounted(), now.buffered), (0, 9, 0));
        drop(outlet);
        let spool = SpoolConfig { path: Some(folder.path().into()), ..SpoolConfig::default() };
        let mut totals = Totals::new(Vec::new());
        Opened::open(&spool).unwrap().unwrap().count(&mut totals);
        assert_eq!(totals.snapshot().spool.found.units, 9);
    }
}
