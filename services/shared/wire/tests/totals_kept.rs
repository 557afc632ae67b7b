//! What is kept of flows whose counters run on: state, and room for it.
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::running::*;
use build::*;
use weir_wire::TotalCounters;

/// Bytes that a flow takes of the room.
const COST: usize = 320;

#[test]
fn what_flows_had_come_to_survives_a_restart() {
    let mut router = cumulative();
    let mut out = Sink { state: router.dump(), ..Sink::default() };
    for seconds in [60, 120, 180] {
        let records = [record(1, (10, seconds), 400, 4), record(2, (10, seconds), 500, 5)];
        let message = ipfix(1, &[set(256, records.concat())]);
        router.at(RECEIVED + seconds * SECOND, 1000, &message, &mut out);
    }
    assert_eq!(out.state, router.dump());
    let mut again = router.restarted(&out.state);
    assert_eq!((again.dump(), &again.budget), (router.dump(), &router.budget));
    for router in [&mut router, &mut again] {
        let records =
            [record(1, (10, 240), 900, 9), record(3, (200, 240), 70, 1), record(4, (-5, 240), 70, 1)];
        assert_eq!(counted(&send(router, 240, &records)), [(500, 5), (70, 1), (0, 0)]);
    }
}

#[test]
fn flows_that_were_silent_for_longest_make_room_and_count_as_nothing_when_they_come_back() {
    let mut router = cumulative();
    router.options.total_flows = 8;
    let mut out = Sink { state: router.dump(), ..Sink::default() };
    for n in 10..500_u16 {
        // One goes on beside others that come once.
        let seconds = i64::from(n);
        let records = [record(n, (seconds - 1, seconds), 100, 1), record(1, (2, seconds), u64::from(n), 1)];
        let mut message = ipfix(1, &[set(256, records.concat())]);
        message[4..8].copy_from_slice(&(EXPORTED + u32::from(n)).to_be_bytes());
        router.at(RECEIVED + seconds * SECOND, 1000, &message, &mut out);
        assert_eq!((router.dump().len() <= 1 + 2 + 8, out.faults.len()), (true, 0));
    }
    assert_eq!(out.state, router.dump());
    assert!(
        out.flows.iter().step_by(2).all(|flow| flow.bytes == Some(100)),
        "each began since the last was forgotten"
    );
    assert!(out.flows.iter().skip(3).step_by(2).all(|flow| flow.bytes == Some(1)), "one that goes on stays");
    assert_eq!(router.counts.totals_forgotten, 490 + 2 - 8);
    // In whatever order state is read, the same make room.
    let dump = router.dump();
    let mut again = router.restarted(&dump);
    let mut router = router.restarted(&dump.clone().into_iter().rev().collect());
    for router in [&mut router, &mut again] {
        let back = send(router, 500, &[record(12, (11, 500), 300, 3), record(495, (494, 500), 300, 3)]);
        assert_eq!(counted(&back), [(0, 0), (200, 2)]);
        router.options.total_flows = 3;
    }
    let [fewer, other] = [dump.iter().collect::<Vec<_>>(), dump.iter().rev().collect()].map(|state| {
        let mut fewer = Router { options: router.options.clone(), ..Router::default() };
        for (key, value) in state {
            let _ = fewer.exporter.restore(key, Some(value), &fewer.options, &mut fewer.budget);
        }
        (fewer.dump(), fewer.budget)
    });
    assert_eq!(fewer, other);
    assert_eq!(fewer.0.len(), 1 + 2 + 3);
}

#[test]
fn flows_that_are_silent_for_long_are_forgotten_when_others_come() {
    let mut router = cumulative();
    router.options.total_idle_s = 100;
    let kept = |router: &Router| router.dump().keys().filter(|key| key.len() == 17).count();
    send(&mut router, 10, &[record(1, (5, 10), 100, 1), record(2, (5, 10), 100, 1)]);
    send(&mut router, 100, &[record(1, (5, 100), 200, 2)]);
    assert_eq!(kept(&router), 3);
    assert_eq!(counted(&send(&mut router, 150, &[record(3, (140, 150), 100, 1)])), [(100, 1)]);
    assert_eq!(kept(&router), 2, "it and the one that went on");
    let back = [
        record(1, (5, 160), 300, 3),
        record(2, (5, 160), 300, 3),
        record(4, (14, 160), 7, 1),
        record(5, (16, 160), 7, 1),
    ];
    assert_eq!(
        counted(&send(&mut router, 160, &back)),
        [(100, 1), (0, 0), (0, 0), (7, 1)],
        "what is forgotten ended by then"
    );
}

#[test]
fn an_exporter_that_is_configured_back_keeps_nothing_and_begins_anew_when_it_is_cumulative_again() {
    let mut router = cumulative();
    let mut out = Sink { state: router.dump(), ..Sink::default() };
    send(&mut router, 60, &[record(1, (10, 60), 400, 4)]);
    out.state = router.dump();
    let mut again = router.restarted(&out.state);
    again.options.total_counters = TotalCounters::Deltas;
    let message = ipfix(1, &[set(256, record(1, (10, 120), 900, 9))]);
    again.at(RECEIVED + 120 * SECOND, 1000, &message, &mut out);
    assert_eq!((counted(&out), again.budget.totals), (vec![(900, 9)], 0));
    assert_eq!((&out.state, out.state.len()), (&again.dump(), 1));
    again.options.total_counters = TotalCounters::Cumulative;
    let records = [record(1, (10, 180), 1000, 10), record(2, (100, 180), 800, 8)];
    assert_eq!(counted(&send(&mut again, 180, &records)), [(0, 0), (0, 0)]);
    assert_eq!(counted(&send(&mut again, 240, &[record(1, (10, 240), 1100, 11)])), [(100, 1)]);
}

#[test]
fn templates_of_ever_other_fields_keep_few_kinds_and_the_first_stays_known() {
    let mut router = cumulative();
    let mut out = Sink { state: router.dump(), ..Sink::default() };
    for n in 1..500_u16 {
        let fields: Vec<F> = [4, 5, 58, 60, 61, 138, 148, 177, 243]
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| n & 1 << bit != 0)
            .map(|(_, id)| f(id, 1))
            .collect();
        let record = vec![1; fields.len() + 8];
        let sets = [set(2, template(300, &[&fields[..], &[f(85, 8)]].concat())), set(300, record)];
        router.at(RECEIVED + SECOND, 1000, &ipfix(1, &sets), &mut out);
        assert!(router.dump().keys().filter(|key| key[0] == b'c' && key.len() == 5).count() <= 64);
    }
    assert_eq!((&out.state, out.faults.len()), (&router.dump(), 0));
    assert_eq!(counted(&send(&mut router, 60, &[record(1, (2, 60), 400, 4)])), [(400, 4)]);
}

#[test]
fn a_record_writes_its_flow_and_what_makes_room_is_told_once_a_datagram() {
    let mut router = cumulative();
    router.options.total_flows = 4;
    let records =
        |seconds: i64| (0..40).map(|port| record(port, (seconds, seconds), 10, 1)).collect::<Vec<_>>();
    let first = send(&mut router, 1, &records(1));
    assert_eq!(
        first.state_writes,
        40 + 37 + 1,
        "flows, those that made room, and since when flows are known"
    );
    assert_eq!(send(&mut router, 1, &[record(39, (1, 1), 10, 1)]).state_writes, 0, "nothing is new");
    assert_eq!(send(&mut router, 2, &[record(39, (1, 2), 20, 2)]).state_writes, 1);
}

#[test]
fn flows_of_cumulative_counters_take_a_quarter_of_the_room_and_none_from_others() {
    let mut router = cumulative();
    router.budget.state_limit = 4 * COST * 5;
    let mut out = Sink { state: router.dump(), ..Sink::default() };
    for n in 1..=50 {
        router.at(RECEIVED + SECOND, 1000, &ipfix(1, &[set(256, record(n, (1, 1), 100, 1))]), &mut out);
        assert!(router.budget.totals <= router.budget.state_limit / 4);
    }
    assert_eq!((out.faults.len(), router.budget.totals), (0, 5 * COST));
    assert_eq!(out.state, router.dump());
    // Another exporter of the partition finds no room: its flows are not kept, are flows nevertheless, and nothing counts twice.
    let mut other = Router { options: router.options.clone(), budget: router.budget, ..Router::default() };
    let mut out = Sink::default();
    other.from(1000, &ipfix(1, &[set(2, template(256, FIELDS))]), &mut out);
    for (seconds, start, wanted) in [(1, -9, 0), (60, 30, 100), (120, 30, 0), (180, 150, 100)] {
        let mut message = ipfix(1, &[set(256, record(1, (start, seconds), 100, 1))]);
        message[4..8].copy_from_slice(&(EXPORTED + seconds as u32).to_be_bytes());
        out.flows.clear();
        other.at(RECEIVED + seconds * SECOND, 1000, &message, &mut out);
        assert_eq!(counted(&out), [(wanted, wanted / 100)], "{seconds}");
    }
    assert_eq!((out.state, out.faults.len()), (other.dump(), 0));
    assert_eq!(other.budget.totals, router.budget.totals);
    assert_eq!((other.counts.totals_unknown, other.counts.totals_forgotten), (2, 4));
    assert!(!other.exporter.is_empty(), "since when flows are known is known");
    // Nor where what they are decoded by has taken all.
    let mut full = cumulative();
    full.budget.state = full.budget.state_limit - COST + 1;
    assert_eq!(counted(&send(&mut full, 60, &[record(1, (9, 60), 100, 1)])), [(100, 1)]);
    assert_eq!(full.budget.state, full.budget.state_limit - COST + 1, "what was there made room");
}

#[test]
fn what_is_restored_again_takes_its_own_place_and_no_more_than_there_is() {
    let mut router = cumulative();
    send(&mut router, 60, &[record(1, (10, 60), 400, 4)]);
    let before = router.dump();
    send(&mut router, 120, &[record(1, (10, 120), 500, 5)]);
    let mut again = router.restarted(&before);
    for (key, value) in &router.dump() {
        again
            .exporter
            .restore(key, Some(value), &again.options, &mut again.budget)
            .expect("kept state is readable");
    }
    assert_eq!((again.dump(), again.budget), (router.dump(), router.budget));
    again.options.total_flows = 2;
    send(&mut again, 180, &[record(2, (130, 180), 100, 1)]);
    let kept = send(&mut again, 240, &[record(1, (10, 240), 700, 7), record(2, (130, 240), 300, 3)]);
    assert_eq!(counted(&kept), [(200, 2), (200, 2)], "none was taken for older than it is");
    let mut small = Router { options: router.options.clone(), ..Router::default() };
    small.budget.state_limit = 4 * (COST + 9);
    let fits = |key: &Vec<u8>, value: &Vec<u8>, small: &mut Router| {
        small.exporter.restore(key, Some(value), &small.options, &mut small.budget).is_ok()
    };
    let flows = router.dump().into_iter().filter(|(key, _)| key.len() == 17);
    assert_eq!(flows.map(|(key, value)| fits(&key, &value, &mut small)).collect::<Vec<_>>(), [true, false]);
    assert_eq!(small.budget.totals, COST);
}

#[test]
fn kept_totals_that_make_no_sense_are_refused() {
    let mut router = Router::default();
    let key = [&b"c"[..], &[7; 16]].concat();
    for (key, value) in [
        (&key[..], &[1, 3][..]),
        (&key, &[1, 0]),
        (&key, &[2]),
        (&key, &[&[1, 0, 4][..], &[0; 16]].concat()),
        (b"c", &[1]),
        (&key[..9], &[1]),
    ] {
        assert!(router.exporter.restore(key, Some(value), &router.options, &mut router.budget).is_err());
    }
    assert_eq!((router.dump().len(), router.budget.state), (0, 0));
}
