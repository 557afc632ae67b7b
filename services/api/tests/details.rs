//! What is asked about rows besides their sums, on the real engine: each number against one that is worked out here, flow by flow.
#![allow(clippy::unwrap_used)]

mod engine;

use engine::{put, put_sides, side};
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};
use weir_api::query::field::Dimension;
use weir_api::query::period::Kept;
use weir_api::query::request::Request;
use weir_api::query::{Answer, Order, Row, ask};
use weir_schemas::rollup::{AsRow, LinkMemberRow};
use weir_schemas::value::Slot;
use weir_schemas::{Connectivity, Direction, Ip};
use weir_store::Store;

/// Names that a router or a database could make up.
const HOSTILE: &str = "it's \\ \"quoted\"\t; DROP TABLE weir.flows -- {x:String} ?";

/// A side of a minute: AS, interface, direction, minute behind the start, packets of 1000 bytes at 1 in 10.
type Side = (u32, u32, Direction, u32, u64);

struct Case {
    store: Store,
    /// Start of the two hours of the question, a whole hour; two hours before it have flows too.
    start: u32,
    sides: Vec<Side>,
}

impl Case {
    async fn new(mut store: Store) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as u32;
        let start = now / 3600 * 3600 - 4 * 3600;
        let mut sides = Vec::new();
        for minute in 0..240_u32 {
            // Something every minute, something now and then, and something in the second half alone.
            sides.push((174, 1, Direction::In, minute, 100 + u64::from(minute * 7 % 13)));
            sides.push((174, 1, Direction::Out, minute, 10));
            if minute % 40 < 2 {
                sides.push((3320, 2, Direction::In, minute, 1 + u64::from(minute)));
            }
            if minute >= 180 {
                sides.push((64_496, 1, Direction::Out, minute, 3));
            }
        }
        let base = start - 7200;
        let rows: Vec<_> = sides
            .iter()
            .map(|(asn, if_index, direction, minute, packets)| {
                side(EXPORTER, base + minute * 60, *asn, *if_index, *direction, *packets)
            })
            .collect();
        put_sides(&mut store, &rows).await;
        let mut links = Vec::new();
        // A link that gets its name within the time that is asked about, and one whose name is an attack.
        let named = start + 3600;
        for (if_index, link, valid_from, valid_to) in
            [(1, "before", 0, named), (1, "after", named, u32::MAX), (2, HOSTILE, 0, u32::MAX)]
        {
            LinkMemberRow {
                exporter: EXPORTER,
                if_index,
                link,
                valid_from: Slot(valid_from),
                valid_to: Slot(valid_to),
                connectivity: Connectivity::Transit,
                version: 1,
                ..LinkMemberRow::default()
            }
            .put_row(&mut links);
        }
        put(&mut store, "links", links).await;
        let mut names = Vec::new();
        AsRow { asn: 174, name: HOSTILE, version: 1, ..AsRow::default() }.put_row(&mut names);
        put(&mut store, "asns", names).await;
        Self { store, start, sides }
    }

    async fn ask(&self, request: Request) -> Answer {
        let to = request.to.clone().or_else(|| self.at(120));
        let request = Request { from: self.at(0), to, ..request };
        let days = BTreeMap::new();
        let kept = Kept::new(self.start + 4 * 3600, &days);
        ask(&self.store, &request.question(kept).unwrap()).await.unwrap()
    }

    /// A time, so many minutes behind the start of the question.
    fn at(&self, minutes: u32) -> Option<String> {
        let seconds = self.start + minutes * 60;
        Some(jiff::Timestamp::from_second(seconds.into()).unwrap().to_string())
    }

    /// Bytes of what is picked, by slot of so many minutes behind the start of the question.
    fn bytes(&self, picked: impl Fn(&Side) -> bool, minutes: u32) -> Vec<u64> {
        let mut slots = vec![0; 120_usize.div_ceil(minutes as usize)];
        for side in self.sides.iter().filter(|side| side.3 >= 120 && picked(side)) {
            slots[((side.3 - 120) / minutes) as usize] += side.4 * 10_000;
        }
        slots
    }
}

const EXPORTER: Ip = Ip::v4([192, 0, 2, 1]);

fn number(row: &Row) -> u32 {
    row.keys[0].trim_start_matches("AS").split(' ').next().unwrap().parse().unwrap()
}

/// One test function, because one process has one engine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_about_rows_is_what_their_flows_come_to() {
    engine::with(async |store, ending| {
        nothing_is_stored_before_the_first_slot(&store).await;
        let case = Case::new(store).await;
        assert_eq!(case.ask(by_as()).await.stored_from, Some(case.start - 7200));
        a_series_is_the_bytes_of_each_slot_and_its_rest_is_other(&case).await;
        peaks_are_of_slots_of_five_minutes_the_empty_ones_too(&case).await;
        a_series_beside_peaks_is_what_it_is_alone_however_their_slots_lie(&case).await;
        the_time_before_is_as_long(&case).await;
        a_link_is_what_it_was_called_then_however_hostile_its_name(&case).await;
        the_top_is_chosen_by_the_direction_that_is_asked_for(&case).await;
        ending.end().await;
    })
    .await;
}

async fn nothing_is_stored_before_the_first_slot(store: &Store) {
    let question = by_as().question(Kept::new(1_800_000_000, &BTreeMap::new())).unwrap();
    assert_eq!(ask(store, &question).await.unwrap().stored_from, None);
}

async fn a_series_is_the_bytes_of_each_slot_and_its_rest_is_other(case: &Case) {
    for (interval, minutes, table) in [("1m", 1, "links_1m"), ("10m", 10, "links_5m"), ("1h", 60, "links_1h")]
    {
        let request = Request {
            by: Some(vec![Dimension::As]),
            top: Some(2),
            other: true,
            interval: Some(interval.into()),
            ..Request::default()
        };
        let answer = case.ask(request).await;
        let series = answer.series.as_ref().unwrap();
        assert_eq!(
            (&series.tables[..], series.starts.len()),
            (&[table][..], 120 / minutes as usize),
            "{interval}"
        );
        assert_eq!(answer.rows.iter().map(number).collect::<Vec<_>>(), [174, 3320]);
        let of = |row: &Row| row.series.clone().unwrap();
        for row in &answer.rows {
            let picked = |direction| move |side: &Side| side.0 == number(row) && side.2 == direction;
            assert_eq!(of(row).bytes_in, case.bytes(picked(Direction::In), minutes), "{interval}");
            assert_eq!(of(row).bytes_out, case.bytes(picked(Direction::Out), minutes), "{interval}");
            assert_eq!(of(row).bytes_in.iter().sum::<u64>(), row.bytes_in);
        }
        let all = case.bytes(|side| side.2 == Direction::Out, minutes);
        assert_eq!(of(&answer.total).bytes_out, all);
        let other = answer.other.as_ref().unwrap();
        assert_eq!(of(other).bytes_out, case.bytes(|side| side.0 == 64_496, minutes));
        assert_eq!((other.bytes_in, other.bytes_out, other.samples_out), (0, 60 * 30_000, 180));
        assert!(other.low_out < 1_800_000.0 && other.high_out > 1_800_000.0, "{other:?}");
    }
}

async fn peaks_are_of_slots_of_five_minutes_the_empty_ones_too(case: &Case) {
    let answer = case.ask(Request { peaks: true, ..by_as() }).await;
    let slots = answer.peaks.as_ref().unwrap();
    assert_eq!((slots.slots, &slots.tables[..]), (24, &["links_5m"][..]));
    for row in answer.rows.iter().chain([&answer.total]) {
        let asn = (!row.keys.is_empty()).then(|| number(row));
        let ranked = |direction| {
            let mut slots = case.bytes(|side| asn.is_none_or(|asn| side.0 == asn) && side.2 == direction, 5);
            slots.sort_unstable_by(|a, b| b.cmp(a));
            // Of 24 slots one is dropped.
            (slots[0], slots[1])
        };
        let peaks = row.peaks.as_ref().unwrap();
        assert_eq!((peaks.max_in, peaks.p95_in), ranked(Direction::In), "{asn:?}");
        assert_eq!((peaks.max_out, peaks.p95_out), ranked(Direction::Out), "{asn:?}");
        // 500 packets and more in a slot, or a handful, or none where some could have been.
        assert_eq!(peaks.rough_p95_in, asn.is_some_and(|asn| asn != 174), "{asn:?}");
    }
    let seldom = answer.rows.iter().find(|row| number(row) == 64_496).unwrap().peaks.as_ref().unwrap();
    assert!(seldom.p95_out > 0 && seldom.rough_p95_out);
    // Three slots of 24 have something, and the 95th drops one: of a longer time it is zero.
    let three = answer.rows.iter().find(|row| number(row) == 3320).unwrap().peaks.as_ref().unwrap();
    assert!(three.max_in > three.p95_in && three.p95_in > 0);
}

async fn a_series_beside_peaks_is_what_it_is_alone_however_their_slots_lie(case: &Case) {
    // Slots of peaks within those of the series, those of the series within them, and a last one that is not whole: it has no place among the largest.
    for (interval, minutes, end) in [("10m", 10, 120), ("1m", 1, 120), ("10m", 10, 117), ("1m", 1, 117)] {
        let request = Request { peaks: true, interval: Some(interval.into()), to: case.at(end), ..by_as() };
        let answer = case.ask(request.clone()).await;
        let slots = answer.peaks.as_ref().unwrap().slots;
        assert_eq!(slots, end / 5, "{interval}");
        let alone = case.ask(Request { peaks: false, ..request.clone() }).await;
        let peaks_alone = case.ask(Request { interval: None, ..request }).await;
        for (n, row) in answer.rows.iter().enumerate() {
            assert_eq!(row.series, alone.rows[n].series, "{interval} {end}");
            assert_eq!(row.peaks, peaks_alone.rows[n].peaks, "{interval} {end}");
            let of = |direction, minutes| {
                case.bytes(|side| side.0 == number(row) && side.2 == direction && side.3 < 120 + end, minutes)
            };
            let series = row.series.as_ref().unwrap();
            let all = of(Direction::In, minutes);
            assert_eq!(series.bytes_in, all[..series.bytes_in.len()], "{interval} {end}");
            assert_eq!(series.bytes_in.iter().sum::<u64>(), row.bytes_in, "{interval} {end}");
            let mut whole = of(Direction::In, 5)[..slots as usize].to_vec();
            whole.sort_unstable_by(|a, b| b.cmp(a));
            let peaks = row.peaks.as_ref().unwrap();
            assert_eq!((peaks.max_in, peaks.p95_in), (whole[0], whole[1]), "{interval} {end}");
        }
    }
}

async fn the_time_before_is_as_long(case: &Case) {
    let answer = case.ask(Request { previous: true, other: true, top: Some(1), ..by_as() }).await;
    let before = answer.previous.as_ref().unwrap();
    assert_eq!((before.from, before.to), (case.start - 7200, case.start));
    let sum = |picked: &dyn Fn(&Side) -> bool| {
        case.sides.iter().filter(|side| side.3 < 120 && picked(side)).map(|side| side.4 * 10_000).sum::<u64>()
    };
    let previous = |row: &Row| row.previous.clone().unwrap();
    let cogent = previous(&answer.rows[0]);
    assert_eq!(cogent.bytes_in, sum(&|side| side.0 == 174 && side.2 == Direction::In));
    assert!(cogent.low_in < cogent.bytes_in as f64 && cogent.high_in > cogent.bytes_in as f64);
    assert_eq!(previous(&answer.total).bytes_in, sum(&|side| side.2 == Direction::In));
    assert_eq!(previous(answer.other.as_ref().unwrap()).bytes_in, sum(&|side| side.0 == 3320));
}

async fn a_link_is_what_it_was_called_then_however_hostile_its_name(case: &Case) {
    let request = Request {
        by: Some(vec![Dimension::Link, Dimension::As]),
        interval: Some("30m".into()),
        peaks: true,
        previous: true,
        ..Request::default()
    };
    let answer = case.ask(request).await;
    let found: BTreeMap<_, _> = answer
        .rows
        .iter()
        .map(|row| ((row.keys[0].as_str(), row.keys[1].as_str()), &row.series.as_ref().unwrap().bytes_in))
        .collect();
    let cogent = format!("AS174 {HOSTILE}");
    let of = |asn| case.bytes(|side: &Side| side.0 == asn && side.2 == Direction::In, 30);
    let [a, b, c, d] = of(174)[..] else { unreachable!() };
    assert_eq!(found[&("before", cogent.as_str())], &[a, b, 0, 0]);
    assert_eq!(found[&("after", cogent.as_str())], &[0, 0, c, d]);
    assert_eq!(found[&(HOSTILE, "AS3320")], &of(3320));
    let renamed = answer.rows.iter().find(|row| row.keys[0] == "after").unwrap();
    assert_eq!(renamed.previous.as_ref().unwrap().bytes_in, 0);
}

async fn the_top_is_chosen_by_the_direction_that_is_asked_for(case: &Case) {
    for (order, first) in
        [(None, [174, 3320]), (Some(Order::In), [174, 3320]), (Some(Order::Out), [174, 64_496])]
    {
        let answer = case.ask(Request { order, ..by_as() }).await;
        assert_eq!(answer.rows.iter().map(number).take(2).collect::<Vec<_>>(), first, "{order:?}");
    }
}

fn by_as() -> Request {
    Request { by: Some(vec![Dimension::As]), ..Request::default() }
}
