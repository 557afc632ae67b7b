//! Which way a frame goes: to the bus, behind others into the spool, or nowhere. No I/O, no clock.
//!
//! What must stay true:
//!
//! - what came first goes first: while anything lies in the spool, what is new goes behind it;
//! - what is on its way to the bus at any time is either all from the spool or none of it, so an outcome of the bus, which names no
//!   frames, still says whose it is;
//! - the spool is told that frames are settled only when the bus has answered for every one that was taken, and it has all of them or the
//!   one that it has not was sent alone, often enough;
//! - the newest is dropped, and nothing without being counted.
//!
//! The spool is emptied in rounds: some frames are taken, then the bus answers for all of them. When the last round is out, what comes
//! is held in memory for that short time; through the spool it would make one more round each time, and the way through would never be
//! free again. A round of which the bus gave up something, as a producer that broke does, is sent again; and since it may have been one
//! frame that the bus never takes, in rounds of half as many frames each time, until that one is alone.

use crate::frames::{Exporter, Frame};
use std::collections::VecDeque;

/// Bytes of a round: what is sent twice at most after a kill.
const ROUND: usize = 4 << 20;
/// Bytes a turn, so that sockets never wait long for it.
const TURN: usize = 1 << 20;
/// Bytes that are held while the last round is out.
const HOLD: usize = 4 << 20;

/// Times that a frame of the spool is tried which the bus refuses or, sent alone, gives up: it lies safe, and trouble that passes must not
/// empty the spool. One that never will be taken must not keep the others either.
const PATIENCE: u32 = 200;

/// Where frames wait: first in, first out.
pub(crate) trait Store {
    /// Keeps a frame behind all others, or says why not.
    fn append(&mut self, frame: &Frame<'_>) -> Result<(), &'static str>;
    /// The oldest frame that is not taken.
    fn next(&mut self) -> Option<Frame<'_>>;
    /// That frame is taken.
    fn taken(&mut self);
    /// The bus has all that is taken, or never will.
    fn settled(&mut self);
    /// What is taken and not settled is not taken.
    fn again(&mut self);
    /// Whether there are frames that are not taken.
    fn waiting(&self) -> bool;
    /// Whether others have older frames, which must go before any of these.
    fn held_back(&self) -> bool;
}

/// What a way to the bus says to a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is on its way.
    Taken,
    /// There is no room now, with the reason to drop it for by who cannot keep it.
    Full(&'static str),
    /// It is not taken, for another reason.
    Refused(&'static str),
}

/// The way to the bus.
pub(crate) trait Way {
    fn offer(&mut self, frame: &Frame<'_>) -> Answer;
    /// Whether anything is on its way.
    fn in_flight(&self) -> bool;
    /// Whether the bus gave up any frame of the spool since the last round was over.
    fn gave_up(&self) -> bool;
    /// What was sent of the spool has its end, or is sent again.
    fn round_over(&mut self, again: bool);
    fn spooled(&mut self, frame: &Frame<'_>);
    /// A frame that never was in the spool is dropped.
    fn dropped(&mut self, reason: &'static str, frame: &Frame<'_>);
    /// A frame of the spool is dropped.
    fn dropped_from_spool(&mut self, reason: &'static str, frame: &Frame<'_>);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The spool is empty.
    Through,
    /// The spool waits for what went past it before.
    Before,
    /// So many bytes of the spool were taken since the bus last had answered for all.
    Round(usize),
}

#[derive(Debug)]
struct Held {
    exporter: Exporter,
    bytes: Box<[u8]>,
    datagrams: u32,
}

impl Held {
    fn frame(&self) -> Frame<'_> {
        Frame { exporter: &self.exporter, bytes: &self.bytes, datagrams: self.datagrams }
    }
}

#[derive(Debug)]
pub(crate) struct Lane<S> {
    store: S,
    state: State,
    held: VecDeque<Held>,
    held_bytes: usize,
    /// Times that the oldest frame was refused.
    refusals: u32,
    /// Frames of the round.
    sent: usize,
    /// The most of them.
    most: usize,
    /// The oldest frames, of which the bus gave up one or more.
    suspects: usize,
    /// Times that it gave up the oldest one alone.
    failures: u32,
}

impl<S: Store> Lane<S> {
    pub(crate) fn new(store: S) -> Self {
        let free = !store.waiting() && !store.held_back();
        let state = if free { State::Through } else { State::Round(0) };
        Self {
            store,
            state,
            held: VecDeque::new(),
            held_bytes: 0,
            refusals: 0,
            sent: 0,
            most: usize::MAX,
            suspects: 0,
            failures: 0,
        }
    }

    /// Whether all goes past the spool.
    pub(crate) fn is_through(&self) -> bool {
        self.state == State::Through
    }

    /// Whether what is on its way is the spool's.
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.state, State::Round(_))
    }

    /// A new frame.
    pub(crate) fn send(&mut self, frame: &Frame<'_>, way: &mut impl Way) {
        if self.state == State::Through {
            match way.offer(frame) {
                Answer::Taken => {}
                Answer::Refused(reason) => way.dropped(reason, frame),
                Answer::Full(_) if self.keep(frame, way) => self.state = State::Before,
                Answer::Full(_) => {}
            }
            return;
        }
        let only_waits = !self.store.waiting() && !self.store.held_back();
        if only_waits && self.held_bytes + frame.bytes.len() <= HOLD {
            self.held_bytes += frame.bytes.len();
            let (exporter, bytes) = (*frame.exporter, frame.bytes.into());
            self.held.push_back(Held { exporter, bytes, datagrams: frame.datagrams });
        } else {
            self.keep(frame, way);
        }
    }

    /// Takes from the spool what the way takes, a bounded turn. The bus's answers so far must be counted.
    pub(crate) fn turn(&mut self, way: &mut impl Way) {
        if self.state == State::Through {
            return;
        }
        if !way.in_flight() {
            if self.is_draining() {
                self.answered(way);
            }
            self.state = State::Round(0);
            if !self.store.waiting() && !self.store.held_back() {
                self.reopen(way);
                return;
            }
        }
        let State::Round(mut round) = self.state else { return };
        let mut turn = 0;
        while round < ROUND && turn < TURN && self.sent < self.most && !self.store.held_back() {
            let Some(frame) = self.store.next() else { break };
            let taken = match way.offer(&frame) {
                Answer::Taken => true,
                Answer::Full(_) => break,
                // One that is dropped is alone: what may be sent again must not hold it.
                Answer::Refused(_) if self.refusals < PATIENCE || self.sent > 0 => {
                    self.refusals = self.refusals.saturating_add(1);
                    break;
                }
                Answer::Refused(reason) => {
                    way.dropped_from_spool(reason, &frame);
                    false
                }
            };
            self.refusals = 0;
            round += frame.bytes.len();
            turn += frame.bytes.len();
            self.store.taken();
            if taken {
                self.sent += 1;
            } else {
                self.settle(1);
            }
        }
        self.state = State::Round(round);
    }

    /// The bus has answered for the round.
    fn answered(&mut self, way: &mut impl Way) {
        let sent = std::mem::take(&mut self.sent);
        let gave_up = way.gave_up();
        self.failures += u32::from(gave_up && sent == 1);
        let again = gave_up && (sent > 1 || self.failures < PATIENCE);
        way.round_over(again);
        if again {
            self.store.again();
            self.suspects = self.suspects.max(sent);
            self.most = (sent / 2).max(1);
            return;
        }
        self.settle(sent);
        if gave_up && self.suspects > 0 {
            // It was that one; whether there are others, the rest will show.
            self.most = self.suspects;
        }
    }

    /// So many frames, which are all that is taken, have their end.
    fn settle(&mut self, frames: usize) {
        self.store.settled();
        if frames > 0 {
            self.failures = 0;
        }
        self.suspects = self.suspects.saturating_sub(frames);
        if self.suspects == 0 {
            self.most = usize::MAX;
        }
    }

    /// Puts into the spool what is held, before the bus has the last word. Nothing is taken from it any more.
    pub(crate) fn end(&mut self, way: &mut impl Way) {
        self.held_bytes = 0;
        for held in std::mem::take(&mut self.held) {
            self.keep(&held.frame(), way);
        }
    }

    /// The end; `all`: the bus has answered for everything. What it does not have stays where it is.
    pub(crate) fn settled(&mut self, all: bool, way: &mut impl Way) {
        if self.is_draining() {
            let again = !all || way.gave_up();
            way.round_over(again);
            if !again {
                self.store.settled();
            }
        }
    }

    fn reopen(&mut self, way: &mut impl Way) {
        self.state = State::Through;
        self.held_bytes = 0;
        for held in std::mem::take(&mut self.held) {
            self.send(&held.frame(), way);
        }
    }

    /// Keeps a frame behind all others, or drops it; says which.
    fn keep(&mut self, frame: &Frame<'_>, way: &mut impl Way) -> bool {
        let mut kept = Ok(());
        while let Some(held) = self.held.front() {
            kept = self.store.append(&held.frame());
            if kept.is_err() {
                break;
            }
            way.spooled(&held.frame());
            self.held_bytes -= held.bytes.len();
            self.held.pop_front();
        }
        let kept = kept.and_then(|()| self.store.append(frame));
        match kept {
            Ok(()) => way.spooled(frame),
            Err(reason) => way.dropped(reason, frame),
        }
        kept.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PARTITIONS: usize = 3;

    /// A frame is its number, as long as is said.
    fn frame_bytes(number: u32, size: usize) -> Vec<u8> {
        let mut bytes = vec![0; size.max(4)];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        bytes
    }

    fn number(bytes: &[u8]) -> u32 {
        u32::from_be_bytes(bytes[..4].try_into().unwrap())
    }

    /// A spool in memory that asserts its half of the promises.
    #[derive(Default)]
    struct Memory {
        bound: usize,
        /// Of which so many are taken.
        frames: VecDeque<Held>,
        taken: usize,
        held_back: bool,
        /// Numbers that it was told are settled.
        settled: Vec<u32>,
    }

    impl Memory {
        fn bytes(&self) -> usize {
            self.frames.iter().map(|frame| frame.bytes.len()).sum()
        }
    }

    impl Store for Memory {
        fn append(&mut self, frame: &Frame<'_>) -> Result<(), &'static str> {
            if self.bytes() + frame.bytes.len() > self.bound {
                return Err("spool full");
            }
            let bytes = frame.bytes.into();
            self.frames.push_back(Held { exporter: *frame.exporter, bytes, datagrams: frame.datagrams });
            Ok(())
        }
        fn next(&mut self) -> Option<Frame<'_>> {
            self.frames.get(self.taken).map(Held::frame)
        }
        fn taken(&mut self) {
            self.taken += 1;
        }
        fn settled(&mut self) {
            self.settled.extend(self.frames.drain(..self.taken).map(|frame| number(&frame.bytes)));
            self.taken = 0;
        }
        fn again(&mut self) {
            self.taken = 0;
        }
        fn waiting(&self) -> bool {
            self.frames.len() > self.taken
        }
        fn held_back(&self) -> bool {
            self.held_back
        }
    }

    /// A bus of a few partitions that answers when it is told to, each partition in order.
    #[derive(Default)]
    struct Partitions {
        bound: usize,
        flying: [VecDeque<Held>; PARTITIONS],
        acked: Vec<(Exporter, u32)>,
        dropped: Vec<u32>,
        spooled: u64,
        poison: Option<u32>,
        /// Taken, and given up each time.
        never: Option<u32>,
        /// Given up since the last round was over, and for good.
        given_up: Vec<u32>,
        failed: Vec<u32>,
    }

    impl Partitions {
        fn answer(&mut self, partition: usize, most: usize) {
            let flying = &mut self.flying[partition];
            for frame in flying.drain(..most.min(flying.len())) {
                let number = number(&frame.bytes);
                if self.never == Some(number) {
                    self.given_up.push(number);
                } else {
                    self.acked.push((frame.exporter, number));
                }
            }
        }

        /// As a producer that broke does.
        fn give_up(&mut self, partition: usize) {
            self.given_up.extend(self.flying[partition].drain(..).map(|frame| number(&frame.bytes)));
        }
    }

    impl Way for Partitions {
        fn offer(&mut self, frame: &Frame<'_>) -> Answer {
            let flying: usize = self.flying.iter().flatten().map(|frame| frame.bytes.len()).sum();
            if self.poison == Some(number(frame.bytes)) {
                return Answer::Refused("poison");
            }
            if flying + frame.bytes.len() > self.bound {
                return Answer::Full("buffer full");
            }
            let held =
                Held { exporter: *frame.exporter, bytes: frame.bytes.into(), datagrams: frame.datagrams };
            self.flying[usize::from(frame.exporter[0]) % PARTITIONS].push_back(held);
            Answer::Taken
        }
        fn in_flight(&self) -> bool {
            self.flying.iter().any(|partition| !partition.is_empty())
        }
        fn gave_up(&self) -> bool {
            !self.given_up.is_empty()
        }
        fn round_over(&mut self, again: bool) {
            let given_up = std::mem::take(&mut self.given_up);
            self.failed.extend(given_up.into_iter().filter(|_| !again));
        }
        fn spooled(&mut self, _: &Frame<'_>) {
            self.spooled += 1;
        }
        fn dropped(&mut self, _: &'static str, frame: &Frame<'_>) {
            self.dropped.push(number(frame.bytes));
        }
        fn dropped_from_spool(&mut self, _: &'static str, frame: &Frame<'_>) {
            self.dropped.push(number(frame.bytes));
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// So many frames of an exporter, each of a size.
        Send(u8, usize, usize),
        /// A partition answers for so many.
        Answer(usize, usize),
        Turn,
        /// Others have older frames, or no longer.
        HeldBack(bool),
        /// What is out on a partition is given up.
        GiveUp(usize),
    }

    fn act(step: Step, lane: &mut Lane<Memory>, way: &mut Partitions, sent: &mut u32) {
        match step {
            Step::Send(exporter, frames, size) => {
                for _ in 0..frames {
                    let bytes = frame_bytes(*sent, size);
                    lane.send(&Frame { exporter: &[exporter; 16], bytes: &bytes, datagrams: 1 }, way);
                    *sent += 1;
                }
            }
            Step::Answer(partition, most) => way.answer(partition, most),
            Step::Turn => lane.turn(way),
            Step::HeldBack(is) => lane.store.held_back = is && !lane.is_through(),
            Step::GiveUp(partition) => way.give_up(partition),
        }
    }

    /// Until nothing waits or is out any more.
    fn answer_all(lane: &mut Lane<Memory>, way: &mut Partitions) {
        for _ in 0..2_000 {
            (0..PARTITIONS).for_each(|partition| way.answer(partition, usize::MAX));
            lane.turn(way);
        }
        (0..PARTITIONS).for_each(|partition| way.answer(partition, usize::MAX));
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0_u8..6, 1_usize..12, 4_usize..600_000).prop_map(|(e, n, size)| Step::Send(e, n, size)),
            4 => (0..PARTITIONS, 1_usize..40).prop_map(|(p, n)| Step::Answer(p, n)),
            4 => Just(Step::Turn),
            1 => any::<bool>().prop_map(Step::HeldBack),
        ]
    }

    proptest! {
        #[test]
        fn order_is_kept_nothing_is_lost_and_bounds_hold(
            steps in proptest::collection::vec(step(), 1..150),
            buffer in 1_usize..8_000_000,
            bound in 0_usize..20_000_000,
            poison in proptest::option::of(0_u32..300),
        ) {
            let mut way = Partitions { bound: buffer, poison, ..Partitions::default() };
            let mut lane = Lane::new(Memory { bound, ..Memory::default() });
            let mut sent = 0;
            for step in steps {
                act(step, &mut lane, &mut way, &mut sent);
                let held: usize = lane.held.iter().map(|held| held.bytes.len()).sum();
                prop_assert!(lane.store.bytes() <= bound && held <= HOLD && held == lane.held_bytes);
                // Settled is only what was answered for.
                let answered = |number: &u32| {
                    way.acked.iter().any(|(_, acked)| acked == number) || way.dropped.contains(number)
                };
                prop_assert!(lane.store.settled.iter().all(answered));
                // What is on its way is of one kind.
                let flying: Vec<u32> = way.flying.iter().flatten().map(|frame| number(&frame.bytes)).collect();
                let taken: Vec<u32> =
                    lane.store.frames.iter().take(lane.store.taken).map(|frame| number(&frame.bytes)).collect();
                prop_assert!(!lane.is_draining() || flying.iter().all(|number| taken.contains(number)));
                prop_assert!(lane.is_draining() || taken.is_empty());
            }
            lane.store.held_back = false;
            // A frame that is larger than the whole buffer never goes; the real one holds many.
            way.bound = way.bound.max(600_000);
            answer_all(&mut lane, &mut way);
            prop_assert!(lane.is_through() && lane.held.is_empty() && lane.store.frames.is_empty());
            let mut all: Vec<u32> = way.acked.iter().map(|(_, number)| *number).chain(way.dropped.clone()).collect();
            all.sort_unstable();
            prop_assert!(all.iter().copied().eq(0..sent), "each once: {:?}", all);
            for exporter in 0..6 {
                let own = way.acked.iter().filter(|(of, _)| of[0] == exporter);
                prop_assert!(own.map(|(_, number)| *number).is_sorted(), "in order");
            }
        }
    }

    proptest! {
        #[test]
        fn what_the_bus_gives_up_of_the_spool_is_sent_again_until_it_has_all_of_it(
            steps in proptest::collection::vec(prop_oneof![6 => step(), 1 => (0..PARTITIONS).prop_map(Step::GiveUp)], 1..150),
            buffer in 600_000_usize..8_000_000,
        ) {
            let mut way = Partitions { bound: buffer, ..Partitions::default() };
            // An earlier process left it, so that nothing goes past it at first.
            let mut lane = Lane::new(Memory { bound: usize::MAX, held_back: true, ..Memory::default() });
            let (mut sent, mut past) = (0, Vec::new());
            for step in steps {
                let is_past = matches!(step, Step::GiveUp(_)) && !lane.is_draining();
                act(step, &mut lane, &mut way, &mut sent);
                if is_past {
                    // What went past the spool is in memory alone, and lost with its producer.
                    past.append(&mut way.given_up);
                }
                let has = |number: &u32| way.acked.iter().any(|(_, acked)| acked == number);
                prop_assert!(lane.store.settled.drain(..).all(|number| has(&number)));
            }
            lane.store.held_back = false;
            answer_all(&mut lane, &mut way);
            prop_assert!(lane.is_through() && lane.held.is_empty() && lane.store.frames.is_empty());
            prop_assert!(way.failed.is_empty() && way.dropped.is_empty());
            let all: std::collections::BTreeSet<u32> = way.acked.iter().map(|(_, number)| *number).chain(past).collect();
            prop_assert!(all.into_iter().eq(0..sent));
            for exporter in 0..6 {
                let own: Vec<u32> = way.acked.iter().filter(|(of, _)| of[0] == exporter).map(|(_, number)| *number).collect();
                let last = own.iter().enumerate().filter(|(at, number)| !own[at + 1..].contains(number));
                prop_assert!(last.map(|(_, number)| *number).is_sorted(), "in order, each as it came last");
            }
        }
    }

    #[test]
    fn a_frame_that_the_bus_always_gives_up_is_found_and_given_up_and_little_else_is_sent_twice() {
        for never in [0, 1, 70, 198, 199] {
            let mut way = Partitions { bound: 100, never: Some(never), ..Partitions::default() };
            let mut lane = Lane::new(Memory { bound: 100_000_000, ..Memory::default() });
            // The first one fills the way.
            way.flying[1].push_back(Held { exporter: [1; 16], bytes: vec![0; 100].into(), datagrams: 1 });
            send(&mut lane, &mut way, 0..200, 10_000);
            way.flying[1].clear();
            way.bound = 10_000_000;
            let mut turns = 0;
            while !lane.is_through() {
                lane.turn(&mut way);
                way.answer(0, usize::MAX);
                turns += 1;
                assert!(turns < PATIENCE + 60, "{never}: {:?}", lane.state);
            }
            assert_eq!(way.failed, [never]);
            let has: std::collections::BTreeSet<u32> = way.acked.iter().map(|(_, number)| *number).collect();
            assert!(has.into_iter().eq((0..200).filter(|number| *number != never)));
            assert!(way.acked.len() <= 3 * 200, "{never}: {}", way.acked.len());
        }
    }

    #[test]
    fn at_the_end_what_the_bus_gave_up_stays_in_the_spool() {
        for (all, given_up, left) in [(true, false, 0), (true, true, 1), (false, false, 1)] {
            let mut way = Partitions { bound: 50, ..Partitions::default() };
            let mut lane = Lane::new(Memory { bound: 1000, ..Memory::default() });
            send(&mut lane, &mut way, 0..1, 100);
            way.bound = 100;
            lane.turn(&mut way);
            assert!(way.in_flight());
            if given_up {
                way.give_up(0);
            }
            lane.settled(all, &mut way);
            assert_eq!((lane.store.frames.len(), way.failed.len()), (left, 0));
        }
    }

    fn send(lane: &mut Lane<Memory>, way: &mut Partitions, numbers: std::ops::Range<u32>, size: usize) {
        for number in numbers {
            let bytes = frame_bytes(number, size);
            lane.send(&Frame { exporter: &[0; 16], bytes: &bytes, datagrams: 1 }, way);
        }
    }

    #[test]
    fn the_way_through_is_free_again_though_frames_never_stop_coming() {
        let mut way = Partitions { bound: 10_000_000, ..Partitions::default() };
        let mut lane = Lane::new(Memory { bound: 100_000_000, ..Memory::default() });
        send(&mut lane, &mut way, 0..300, 100_000);
        assert_eq!((lane.state, way.spooled), (State::Before, 200));
        let (mut turns, mut next) = (0, 300);
        while !lane.is_through() {
            way.answer(0, 10);
            lane.turn(&mut way);
            // Slower than the bus answers, and never nothing.
            send(&mut lane, &mut way, next..next + 3, 100_000);
            (turns, next) = (turns + 1, next + 3);
            assert!(turns < 200, "{:?}", lane.state);
        }
        assert!(lane.store.frames.is_empty() && way.dropped.is_empty());
    }

    #[test]
    fn what_is_held_when_the_end_comes_goes_into_the_spool_behind_the_rest() {
        let mut way = Partitions { bound: 100, ..Partitions::default() };
        let mut lane = Lane::new(Memory { bound: 1000, ..Memory::default() });
        send(&mut lane, &mut way, 0..2, 100);
        way.answer(0, 1);
        lane.turn(&mut way);
        send(&mut lane, &mut way, 2..4, 100);
        assert_eq!((lane.held.len(), lane.store.frames.len()), (2, 1), "the last round is out");
        lane.end(&mut way);
        assert!(lane.store.frames.iter().map(|frame| number(&frame.bytes)).eq(1..4));
    }
}
