//! A window decoded again by hand: what comes of it, what teaches it, and what is left.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use support::{NOW, data, frame_at, template};
use weir_decoder::Config;
use weir_decoder::enrich::Enricher;
use weir_decoder::partition::RawRecord;
use weir_decoder::replay::{Outcome, Replay, Window};
use weir_schemas::Ip;
use weir_schemas::deadletter::Origin;

const SECOND: i64 = 1_000_000_000;
const A: Ip = Ip::v4([192, 0, 2, 1]);
const B: Ip = Ip::v4([192, 0, 2, 2]);

fn replay(config: &Config, exporters: &[Ip]) -> Replay {
    let window = Window { received: NOW..NOW + 10 * SECOND, exporters: exporters.iter().copied().collect() };
    let enricher = Arc::new(Enricher::new(&config.enrich).unwrap());
    Replay::new(3, 7, config, &enricher, "weir.raw", &window)
}

/// Frames as (second of receiving, exporter, payloads); gives packets of the flows, in order, with their places.
fn decoded(mut replay: Replay, frames: &[(i64, Ip, Vec<Vec<u8>>)]) -> (Vec<(u64, u64)>, Outcome) {
    let mut flows = Vec::new();
    let mut take = |batch: &weir_schemas::Batch<'_>, flow: &weir_schemas::Flow<'_>| {
        assert_eq!((batch.raw_partition, batch.generation), (3, 7));
        flows.push((flow.raw_offset, flow.packets));
    };
    for (offset, (second, exporter, payloads)) in (0..).zip(frames) {
        let value = frame_at(NOW + second * SECOND, payloads);
        let record = RawRecord { offset, key: Some(&exporter.0), value: Some(&value) };
        replay.frame(&record, &mut take).unwrap();
    }
    let outcome = replay.finish(&mut take).unwrap();
    flows.sort_unstable();
    (flows, outcome)
}

#[test]
fn what_lies_before_the_window_teaches_and_only_what_lies_within_comes_out() {
    let frames = [
        (-5, A, vec![template(300), data(300, &[1])]),
        (0, A, vec![data(300, &[2, 3])]),
        (9, A, vec![data(300, &[4])]),
        (10, A, vec![data(300, &[5])]),
    ];
    let (flows, outcome) = decoded(replay(&Config::default(), &[]), &frames);
    assert_eq!(flows, [(1, 2), (1, 3), (2, 4)]);
    let expected = Outcome { datagrams: 2, earliest: Some(NOW - 5 * SECOND), ..Outcome::default() };
    assert_eq!(outcome, expected);
}

#[test]
fn data_that_came_to_wait_is_decoded_with_a_template_that_lies_behind_the_window() {
    let frames = [
        (5, A, vec![data(300, &[1])]),
        (600, A, vec![template(300), data(300, &[2])]),
        // Nothing of the window waits for so long.
        (4000, A, vec![template(301)]),
    ];
    let (flows, outcome) = decoded(replay(&Config::default(), &[]), &frames);
    assert_eq!((flows, outcome.waiting), (vec![(0, 1)], BTreeSet::new()));
}

#[test]
fn what_still_waits_is_named_by_its_place_and_what_is_dead_is_counted() {
    let frames = [
        (4, A, vec![vec![0, 99, 1], data(300, &[1])]),
        (20, A, vec![data(300, &[2]), vec![0, 99, 1]]),
        (4, B, vec![data(301, &[3])]),
    ];
    let (flows, outcome) = decoded(replay(&Config::default(), &[]), &frames);
    assert!(flows.is_empty());
    let places: Vec<_> = outcome.waiting.iter().map(|waits| (waits.raw_offset, waits.frame_index)).collect();
    assert_eq!(places, [(0, 1), (2, 0)]);
    assert_eq!(outcome.dead, BTreeMap::from([("unknown_version".to_owned(), 1)]));
}

#[test]
fn of_one_exporter_nothing_of_another_comes_out() {
    let frames = [(1, A, vec![template(300), data(300, &[1])]), (2, B, vec![template(300), data(300, &[2])])];
    assert_eq!(decoded(replay(&Config::default(), &[B]), &frames).0, [(1, 2)]);
}

/// What a decoder has put out of its state that was fed frames of one exporter, as (second of receiving, payloads).
fn state_after(config: &Config, frames: &[(i64, Vec<Vec<u8>>)]) -> BTreeMap<Vec<u8>, Vec<u8>> {
    use weir_decoder::partition::{Emit, Partition, Shared, Tally, To};
    struct State(BTreeMap<Vec<u8>, Vec<u8>>);
    impl Emit for State {
        fn emit(&mut self, to: To, key: &[u8], value: Option<&[u8]>, _: &[(&str, &[u8])]) {
            if let (To::State, Some(value)) = (to, value) {
                self.0.insert(key.to_vec(), value.to_vec());
            }
        }
    }
    let enricher = Enricher::new(&config.enrich).unwrap();
    let databases = enricher.databases();
    let shared = Shared { config, enricher: &enricher, databases: &databases, raw_topic: "weir.raw" };
    let (mut live, mut state) = (Partition::new(3, config), State(BTreeMap::new()));
    for (offset, (second, payloads)) in (2..).zip(frames) {
        let value = frame_at(NOW + second * SECOND, payloads);
        let record = RawRecord { offset, key: Some(&A.0), value: Some(&value) };
        live.frame(&record, &shared, &mut Tally::default(), &mut state);
    }
    state.0
}

#[test]
fn where_the_log_is_cut_the_state_as_it_is_now_serves_and_what_comes_to_wait_is_not_too_old_by_it() {
    let config = Config::default();
    // Learned long after the window; and a set that waits now, which lies in the log itself.
    let state = state_after(&config, &[(7200, vec![template(300), data(302, &[9])])]);
    assert_eq!(state.len(), 2);
    let mut again = replay(&config, &[]);
    state.iter().for_each(|(key, value)| again.restore_state(key, Some(value)));
    again.restored();
    let frames = [
        (1, A, vec![data(300, &[1]), data(301, &[2])]),
        (3, A, vec![template(301)]),
        (7200, A, vec![template(300), data(302, &[9])]),
    ];
    let (flows, outcome) = decoded(again, &frames);
    assert_eq!(flows, [(0, 1), (0, 2)]);
    assert!(outcome.dead.is_empty() && outcome.waiting.is_empty(), "{outcome:?}");
}

#[test]
fn what_counters_that_run_on_came_to_since_counts_nothing_of_the_window() {
    let mut config = Config::default();
    config.wire.total_counters = weir_wire::TotalCounters::Cumulative;
    let mut totals = template(300);
    (totals[33], totals[37]) = (85, 86);
    let live = [(1, vec![totals.clone(), data(300, &[100])]), (60, vec![data(300, &[900])])];
    let mut again = replay(&config, &[]);
    state_after(&config, &live).iter().for_each(|(key, value)| again.restore_state(key, Some(value)));
    again.restored();
    let frames =
        [(-9, A, vec![data(300, &[90])]), (1, A, vec![data(300, &[100])]), (9, A, vec![data(300, &[107])])];
    assert_eq!(decoded(again, &frames).0, [(1, 10), (2, 7)]);
}

/// A frame: second of receiving, payloads, and where it lay before.
type Frame = (i64, Vec<Vec<u8>>, Option<Origin>);
/// Packets of flows, by offset.
type Flows = Vec<(u64, u64)>;

/// A log in which what lies at an offset was put back later; gives packets of the flows with their places, and places left alone.
fn put_back(config: &Config, frames: &[Frame], waits: &[i64]) -> (Flows, Vec<(u64, u32)>) {
    let mut flows = Vec::new();
    let mut take = |_: &weir_schemas::Batch<'_>, flow: &weir_schemas::Flow<'_>| {
        flows.push((flow.raw_offset, flow.packets));
    };
    let mut replay = replay(config, &[]);
    replay.expect(frames.iter().filter_map(|(_, _, origin)| *origin));
    for (offset, (second, payloads, origin)) in (0..).zip(frames) {
        let value = frame_at(NOW + second * SECOND, payloads);
        let record = RawRecord { offset, key: Some(&A.0), value: Some(&value) };
        if !origin.is_some_and(|origin| replay.has_come(&record, &origin, waits.contains(&offset))) {
            replay.frame(&record, &mut take).unwrap();
        }
    }
    let outcome = replay.finish(&mut take).unwrap();
    flows.sort_unstable();
    (flows, outcome.waiting.iter().map(|waits| (waits.raw_offset, waits.frame_index)).collect())
}

/// Where the first set of a datagram lies in an IPFIX message.
const FIRST: u64 = 16;

fn origin(offset: i64, frame_index: u32, second: i64) -> Option<Origin> {
    Some(Origin { offset, frame_index, byte_offset: FIRST, received: NOW + second * SECOND })
}

#[test]
fn what_was_put_back_gives_its_flows_where_it_lay_before_and_there_alone() {
    // It was dead, and a mended decoder reads it; put back twice, because the first time it was dead again.
    let frames = [
        (1, vec![template(300), data(300, &[1])], None),
        (1, vec![data(300, &[1])], origin(0, 1, 1)),
        (1, vec![data(300, &[1])], origin(1, 0, 1)),
        (2, vec![data(300, &[2])], None),
    ];
    assert_eq!(put_back(&Config::default(), &frames, &[]), (vec![(0, 1), (3, 2)], vec![]));
    // The log has it no longer, or another record there.
    let gone = [(0, vec![template(300)], None), (1, vec![data(300, &[1])], origin(0, 0, 1))];
    assert_eq!(put_back(&Config::default(), &gone, &[]).0, [(1, 1)]);
    let earlier = [(0, vec![template(300)], None), (1, vec![data(300, &[1])], origin(-1, 0, 1))];
    assert_eq!(put_back(&Config::default(), &earlier, &[]).0, [(1, 1)]);
}

#[test]
fn what_is_dead_again_gives_its_flows_where_it_was_put_back() {
    // Nothing waits for its template.
    let config = Config { parked_bytes: 1, ..Config::default() };
    let frames = [
        (1, vec![data(300, &[1])], None),
        (2, vec![template(300)], None),
        (1, vec![data(300, &[1])], origin(0, 0, 1)),
        (1, vec![data(300, &[1])], origin(2, 0, 1)),
    ];
    assert_eq!(put_back(&config, &frames, &[]).0, [(2, 1)]);
}

#[test]
fn what_waits_where_it_lay_or_where_it_was_put_back_is_left_alone_at_both() {
    let there = [
        (1, vec![data(300, &[1])], None),
        (1, vec![data(300, &[1])], origin(0, 0, 1)),
        (1, vec![data(300, &[1])], origin(1, 0, 1)),
        (2, vec![template(300)], None),
    ];
    // Decoded after all, but too late to tell: what is staged of it goes, and what is stored stays.
    assert_eq!(put_back(&Config::default(), &there, &[]).1, [(0, 0), (1, 0), (2, 0)]);
    let here = [(1, vec![template(300), data(300, &[1])], None), (1, vec![data(300, &[1])], origin(0, 1, 1))];
    assert_eq!(put_back(&Config::default(), &here, &[1]).1, [(0, 1), (1, 0)]);
}
