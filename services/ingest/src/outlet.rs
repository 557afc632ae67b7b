//! Frames onto the bus, and what became of them into the totals.
//!
//! Nothing here waits before the end: while it did, the kernel's small buffers would run over.

use crate::frames::Frame;
use crate::metrics::Totals;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_bus::{Bus, Count, Delivered, Full, Message, Result, Writer, partition};
use weir_runtime::Repeats;

/// Why a frame was not taken.
const BUFFER_FULL: &str = "buffer full";
const REFUSED: &str = "refused by the bus";

/// How long a producer that broke waits for word of what it had sent.
const LAST_WORDS: Duration = Duration::from_secs(10);

pub(crate) struct Outlet<B: Bus> {
    bus: B,
    buffer_bytes: usize,
    topic: String,
    partitions: usize,
    current: Counted<B::Writer>,
    /// One that broke, since when, and whether it was told to give up.
    broken: Option<(Counted<B::Writer>, Instant, bool)>,
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

    fn count(&mut self, totals: &Totals) {
        let now = self.writer.delivered();
        if now != self.counted {
            totals.delivered(&self.counted, &now);
            self.counted = now;
        }
    }

    fn finish(&mut self, timeout: Duration, totals: &Totals) {
        if !self.writer.flush(timeout) {
            tracing::warn!(?timeout, "the broker did not acknowledge everything before the end");
        }
        self.count(totals);
    }
}

impl<B: Bus> Outlet<B> {
    pub(crate) fn open(bus: B, buffer_bytes: usize, totals: Arc<Totals>) -> Result<Self> {
        let (topic, partitions) = (bus.topics().raw, bus.partitions());
        let current = Counted::new(bus.writer(buffer_bytes)?);
        let (broken, told) = (None, Repeats::default());
        Ok(Self { bus, buffer_bytes, topic, partitions, current, broken, totals, told })
    }

    /// Takes a frame, or drops it and counts it.
    pub(crate) fn send(&mut self, frame: &Frame<'_>) {
        let message = Message {
            topic: &self.topic,
            partition: partition(frame.exporter, self.partitions),
            key: frame.exporter,
            value: Some(frame.bytes),
            headers: &[],
        };
        let bytes = (message.key.len() + frame.bytes.len()) as u64;
        let count = Count { records: 1, units: u64::from(frame.datagrams), bytes };
        match self.current.writer.try_send(&message, frame.datagrams) {
            Ok(Ok(())) => self.totals.taken(bytes),
            Ok(Err(Full)) => self.totals.dropped(BUFFER_FULL, count),
            Err(error) => {
                self.totals.dropped(REFUSED, count);
                self.say(&format!("{error}; the frame is dropped"));
                if self.current.writer.is_broken() {
                    self.replace();
                }
            }
        }
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

    /// Takes acknowledgements.
    pub(crate) fn settle(&mut self) {
        self.current.writer.poll(Duration::ZERO);
        self.current.count(&self.totals);
        let Some((broken, since, given_up)) = &mut self.broken else { return };
        if since.elapsed() >= LAST_WORDS && !std::mem::replace(given_up, true) {
            broken.writer.give_up();
        }
        broken.writer.poll(Duration::ZERO);
        broken.count(&self.totals);
        if broken.writer.in_flight() == 0 {
            self.broken = None;
        }
    }

    /// Waits for the acknowledgement of all that was taken; what has none by then is given up and counted.
    pub(crate) fn finish(&mut self, timeout: Duration) {
        let until = Instant::now() + timeout;
        self.current.finish(timeout, &self.totals);
        if let Some((mut broken, ..)) = self.broken.take() {
            broken.finish(until.saturating_duration_since(Instant::now()), &self.totals);
        }
    }
}

#[cfg(test)]
pub(crate) mod fake {
    //! A bus whose writers do as they are told.

    use super::*;
    use std::sync::Mutex;
    use weir_bus::kafka::{KafkaConsumer, KafkaProducer, KafkaReader};
    use weir_bus::{Description, Error, TopicSpec, Topics};

    /// What writers are to do, and what they did.
    #[derive(Debug, Default)]
    pub(crate) struct State {
        pub(crate) refuse: u32,
        pub(crate) break_next: bool,
        /// Nothing is acknowledged by polls; a flush acknowledges it all the same.
        pub(crate) silent: bool,
        /// Whoever sends panics.
        pub(crate) panic: bool,
        /// Questions that are not answered before the answer is that there is no topic.
        pub(crate) unanswered: u32,
        pub(crate) opened: u32,
        pub(crate) flushed: u32,
    }

    #[derive(Clone, Debug, Default)]
    pub(crate) struct FakeBus(pub(crate) Arc<Mutex<State>>);

    pub(crate) struct FakeWriter {
        bus: FakeBus,
        broken: bool,
        waiting: Vec<Count>,
        delivered: Delivered,
    }

    impl FakeWriter {
        fn acknowledge(&mut self) {
            for count in self.waiting.drain(..) {
                let acked = &mut self.delivered.acked;
                acked.records += count.records;
                acked.units += count.units;
                acked.bytes += count.bytes;
            }
        }
    }

    impl Writer for FakeWriter {
        fn try_send(&mut self, message: &Message<'_>, units: u32) -> Result<std::result::Result<(), Full>> {
            let mut state = self.bus.0.lock().unwrap();
            if std::mem::take(&mut state.panic) {
                drop(state);
                panic!("a test says so");
            }
            self.broken |= std::mem::take(&mut state.break_next);
            let refused = state.refuse > 0;
            state.refuse -= u32::from(refused);
            if self.broken || refused {
                return Err(Error::Bus { doing: "sending".to_owned(), reason: "a test says so".to_owned() });
            }
            let bytes = (message.key.len() + message.value.unwrap_or_default().len()) as u64;
            self.waiting.push(Count { records: 1, units: u64::from(units), bytes });
            Ok(Ok(()))
        }
        fn is_broken(&self) -> bool {
            self.broken
        }
        fn poll(&mut self, _: Duration) {
            if !self.bus.0.lock().unwrap().silent {
                self.acknowledge();
            }
        }
        fn in_flight(&self) -> usize {
            self.waiting.len()
        }
        fn delivered(&self) -> Delivered {
            self.delivered.clone()
        }
        fn flush(&mut self, _: Duration) -> bool {
            self.bus.0.lock().unwrap().flushed += 1;
            self.acknowledge();
            true
        }
    }

    impl Bus for FakeBus {
        type Consumer = KafkaConsumer;
        type Producer = KafkaProducer;
        type Reader = KafkaReader;
        type Writer = FakeWriter;

        fn topics(&self) -> Topics {
            weir_bus::Config::default().topics()
        }
        fn partitions(&self) -> usize {
            1
        }
        fn writer(&self, _: usize) -> Result<FakeWriter> {
            self.0.lock().unwrap().opened += 1;
            let (waiting, delivered) = (Vec::new(), Delivered::default());
            Ok(FakeWriter { bus: self.clone(), broken: false, waiting, delivered })
        }
        fn reach(&self) -> Result<()> {
            unimplemented!()
        }
        fn join(&self, _: &str, _: &str, _: &str) -> Result<KafkaConsumer> {
            unimplemented!()
        }
        fn transactional(&self, _: &str) -> Result<KafkaProducer> {
            unimplemented!()
        }
        fn reader(&self) -> Result<KafkaReader> {
            unimplemented!()
        }
        fn describe(&self, topics: &[&str]) -> Result<Vec<Option<Description>>> {
            let mut state = self.0.lock().unwrap();
            if state.unanswered == 0 {
                return Ok(topics.iter().map(|_| None).collect());
            }
            state.unanswered -= 1;
            let (doing, reason) = ("describing topics".to_owned(), "NetworkException".to_owned());
            Err(Error::Bus { doing, reason })
        }
        fn create(&self, _: &TopicSpec) -> Result<bool> {
            unimplemented!()
        }
        fn delete(&self, _: &str) -> Result<bool> {
            unimplemented!()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fake::FakeBus;
    use super::*;

    fn outlet() -> (FakeBus, Outlet<FakeBus>, impl Fn(&mut Outlet<FakeBus>)) {
        let bus = FakeBus::default();
        bus.0.lock().unwrap().silent = true;
        let totals = Arc::new(Totals::new(Vec::new()));
        let outlet = Outlet::open(bus.clone(), 1 << 20, totals).unwrap();
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
        assert_eq!(outlet.current.writer.in_flight(), 2, "what was queued still is");
        bus.0.lock().unwrap().silent = false;
        outlet.settle();
        let now = outlet.totals.snapshot();
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
        assert_eq!(outlet.totals.snapshot().acked.units, 0);
        // The new one breaks too, while the old one still waits: it has to wait for its turn.
        bus.0.lock().unwrap().break_next = true;
        (0..2).for_each(|_| send(&mut outlet));
        assert_eq!(opened_and_flushed(&bus), (2, 0));
        bus.0.lock().unwrap().silent = false;
        outlet.settle();
        (0..2).for_each(|_| send(&mut outlet));
        outlet.settle();
        let now = outlet.totals.snapshot();
        assert_eq!((now.acked.units, now.dropped[REFUSED].units, now.buffered), (4 * 3, 4 * 3, 0));
        assert_eq!(opened_and_flushed(&bus), (3, 0));
    }

    #[test]
    fn what_a_broken_producer_never_hears_of_is_given_up_and_the_end_waits_for_both() {
        let (bus, mut outlet, send) = outlet();
        send(&mut outlet);
        bus.0.lock().unwrap().break_next = true;
        (0..2).for_each(|_| send(&mut outlet));
        outlet.broken.as_mut().unwrap().1 = Instant::now() - LAST_WORDS;
        outlet.settle();
        assert!(outlet.broken.is_none());
        outlet.finish(Duration::ZERO);
        assert_eq!(outlet.totals.snapshot().buffered, 0);
    }
}
