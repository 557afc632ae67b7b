//! Announcements that an exporter no longer makes are forgotten where it is seen to repeat others, and only there.
#![allow(missing_docs, reason = "tests read as sentences")]

mod build;

use build::*;
use weir_schemas::RateSource;
use weir_wire::{Exporter, Options};

const SECOND: i64 = 1_000_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// How often routers send options data unless told otherwise.
const AGAIN: i64 = 30 * MINUTE;
/// Interface 3, and the whole system, which is interface 0.
const INTERFACE: u32 = 3;
const SYSTEM: u32 = 0;

/// Options data of version 9: a rate for each interface.
fn rows(rows: &[(u32, u32)]) -> Vec<u8> {
    let all = rows.iter().map(|(interface, rate)| bytes().u32(*interface).u32(*rate).0);
    v9(
        9,
        &[
            set(1, v9_options_template(300, &[f(2, 4)], &[f(34, 4)])),
            set(300, all.collect::<Vec<_>>().concat()),
        ],
    )
}

/// A flow that came in on interface 3.
fn flow() -> Vec<u8> {
    let record = bytes().raw([10, 0, 0, 1, 10, 0, 0, 2]).u32(INTERFACE).u32(2).u32(3000);
    v9(9, &[set(0, template(256, &[f(8, 4), f(12, 4), f(10, 4), f(2, 4), f(1, 4)])), set(256, record.0)])
}

/// A router by the hour.
#[derive(Default)]
struct Day {
    router: Router,
    out: Sink,
}

impl Day {
    fn send(&mut self, after: i64, port: u16, payload: &[u8]) {
        self.router.at(RECEIVED + after, port, payload, &mut self.out);
        assert_eq!(self.router.dump(), self.out.state, "what is kept is what was written");
    }

    /// Sends options data from one time to another as often as routers do.
    fn repeat(&mut self, from: i64, to: i64, port: u16, payload: &[u8]) {
        (from..to).step_by(AGAIN as usize).for_each(|after| self.send(after, port, payload));
    }

    /// The rate of a flow that comes now: sampling interval in packets, and by what it is known.
    fn rate(&mut self, after: i64, port: u16) -> (u64, RateSource) {
        self.send(after, port, &flow());
        let flow = self.out.flows.last().expect("a flow");
        (flow.sampling_interval / 1000, flow.rate_source)
    }

    fn outlived(&self) -> u64 {
        self.router.counts.rates_outlived
    }
}

const UNKNOWN: (u64, RateSource) = (0, RateSource::Unknown);

#[test]
fn a_rate_that_is_no_longer_announced_gives_way_to_those_that_are() {
    let mut day = Day::default();
    day.repeat(0, 6 * HOUR, 1000, &rows(&[(INTERFACE, 100), (SYSTEM, 1000)]));
    assert_eq!(day.rate(6 * HOUR, 1000), (100, RateSource::Interface));
    // From now on the system alone is announced. The interface was last heard of half an hour ago.
    let since = 6 * HOUR - AGAIN;
    day.repeat(6 * HOUR, since + 2 * HOUR + AGAIN, 1000, &rows(&[(SYSTEM, 1000)]));
    assert_eq!(day.rate(since + 2 * HOUR + AGAIN - SECOND, 1000), (100, RateSource::Interface));
    day.repeat(since + 2 * HOUR + AGAIN, 9 * HOUR, 1000, &rows(&[(SYSTEM, 1000)]));
    assert_eq!(day.rate(9 * HOUR, 1000), (1000, RateSource::System));
    assert_eq!(day.outlived(), 1);
    let told: Vec<_> = day.out.rates.iter().map(|rate| (rate.scope, rate.interval)).collect();
    assert_eq!(told, [(3, 100_000), (0, 1_000_000), (3, 0)]);
    // It may come back.
    day.send(10 * HOUR, 1000, &rows(&[(INTERFACE, 200), (SYSTEM, 1000)]));
    assert_eq!(day.rate(10 * HOUR, 1000), (200, RateSource::Interface));
}

#[test]
fn a_router_that_was_started_anew_on_other_ports_and_announces_another_rate_is_believed_in_the_end() {
    let mut day = Day::default();
    day.repeat(0, 3 * HOUR, 1000, &rows(&[(SYSTEM, 100)]));
    assert_eq!(day.rate(3 * HOUR, 1001), (100, RateSource::System));
    day.repeat(4 * HOUR, 5 * HOUR, 2000, &rows(&[(SYSTEM, 200)]));
    assert_eq!(day.rate(5 * HOUR, 2001), UNKNOWN);
    day.repeat(5 * HOUR, 7 * HOUR, 2000, &rows(&[(SYSTEM, 200)]));
    assert_eq!(day.rate(7 * HOUR, 2001), (200, RateSource::System));
    assert_eq!(day.outlived(), 1);
}

#[test]
fn what_a_port_announced_once_holds_while_anything_comes_from_it() {
    let mut day = Day::default();
    day.send(0, 1000, &rows(&[(SYSTEM, 100)]));
    for hour in 0..24 {
        day.repeat(hour * HOUR, (hour + 1) * HOUR, 2000, &rows(&[(SYSTEM, 200)]));
        assert_eq!(day.rate((hour + 1) * HOUR, 1000), (100, RateSource::System));
    }
    assert_eq!(day.outlived(), 0);
}

#[test]
fn who_announces_once_or_what_changed_does_not_repeat_and_all_of_it_holds() {
    let mut day = Day::default();
    day.send(0, 1000, &rows(&[(INTERFACE, 100), (SYSTEM, 1000)]));
    for n in 1..48 {
        day.send(n * AGAIN, 1000, &rows(&[(SYSTEM, 1000 + n as u32)]));
        day.send(n * AGAIN, 1000, &rows(&[(n as u32 + 10, 1000)]));
    }
    assert_eq!(day.rate(24 * HOUR, 1000), (100, RateSource::Interface));
    assert_eq!(day.outlived(), 0);
}

#[test]
fn rows_that_are_sent_once_a_day_one_after_the_other_keep_each_other() {
    let mut day = Day::default();
    for n in 0..5 {
        for (datagram, interface) in (1..100).enumerate() {
            // Each row comes twice at once.
            let after = n * 24 * HOUR + datagram as i64 * SECOND;
            day.send(after, 1000, &rows(&[(interface, 100), (interface, 100)]));
        }
    }
    assert_eq!((day.outlived(), day.out.state_writes), (0, 100), "a template and 99 rows");
}

#[test]
fn a_time_in_which_nothing_was_heard_is_none_in_which_a_row_was_missing() {
    let often = rows(&[(SYSTEM, 1000)]);
    let mut day = Day::default();
    let minutes = |day: &mut Day, from: i64, to: i64| {
        (from..to).step_by(MINUTE as usize).for_each(|after| day.send(after, 1000, &often));
    };
    day.repeat(0, 6 * HOUR, 1000, &rows(&[(INTERFACE, 100)]));
    minutes(&mut day, 0, 6 * HOUR);
    // Nothing for a night, and then both again, the one that comes seldom a little later.
    minutes(&mut day, 18 * HOUR, 18 * HOUR + AGAIN);
    assert_eq!(day.rate(18 * HOUR + AGAIN, 1000), (100, RateSource::Interface));
    // One that was put back is no hearing either, were it the first after a restart.
    day.router = day.router.restarted(&day.out.state);
    day.send(0, 1000, &often);
    minutes(&mut day, 19 * HOUR, 20 * HOUR);
    assert_eq!(day.rate(20 * HOUR, 1000), (100, RateSource::Interface));
    minutes(&mut day, 20 * HOUR, 22 * HOUR);
    assert_eq!(day.rate(22 * HOUR, 1000), (1000, RateSource::System));
}

#[test]
fn of_what_was_repeated_for_longest_and_is_gone_nothing_hides_what_is_repeated_now() {
    let mut day = Day::default();
    day.repeat(0, 24 * HOUR, 1000, &rows(&[(7, 100)]));
    day.repeat(24 * HOUR, 27 * HOUR, 1000, &rows(&[(INTERFACE, 100), (SYSTEM, 1000)]));
    day.repeat(27 * HOUR, 31 * HOUR, 1000, &rows(&[(SYSTEM, 1000)]));
    assert_eq!(day.rate(31 * HOUR, 1000), (1000, RateSource::System));
    assert_eq!(day.outlived(), 2);
}

#[test]
fn a_rate_that_still_holds_under_another_scope_is_not_told_to_be_gone() {
    // In and out of an interface (IE 61) have one name for those who are told.
    let sides = |sides: &[u8]| {
        let template = v9_options_template(300, &[f(2, 4)], &[f(61, 1), f(34, 4)]);
        let row = |side: &u8| bytes().u32(INTERFACE).u8(*side).u32(100 + 100 * u32::from(*side)).0;
        v9(9, &[set(1, template), set(300, sides.iter().flat_map(row).collect::<Vec<_>>())])
    };
    let mut day = Day::default();
    day.repeat(0, 3 * HOUR, 1000, &sides(&[0, 1]));
    day.repeat(3 * HOUR, 6 * HOUR, 1000, &sides(&[0]));
    assert_eq!(day.outlived(), 1);
    let told: Vec<_> = day.out.rates.iter().map(|rate| rate.interval).collect();
    assert_eq!(told, [100_000, 200_000, 100_000]);
}

#[test]
fn after_a_restart_of_the_decoder_what_is_kept_has_all_its_lifetime() {
    let mut day = Day::default();
    day.repeat(0, 3 * HOUR, 1000, &rows(&[(INTERFACE, 100), (SYSTEM, 1000)]));
    let router = day.router.restarted(&day.out.state);
    day.router = router;
    day.repeat(30 * HOUR, 32 * HOUR + AGAIN, 1000, &rows(&[(SYSTEM, 1000)]));
    assert_eq!(day.rate(32 * HOUR, 1000), (100, RateSource::Interface));
    day.repeat(32 * HOUR + AGAIN, 34 * HOUR, 1000, &rows(&[(SYSTEM, 1000)]));
    assert_eq!(day.rate(34 * HOUR, 1000), (1000, RateSource::System));
    assert_eq!(day.outlived(), 1);
}

#[test]
fn decoded_once_more_from_an_earlier_time_nothing_is_forgotten_that_is_announced() {
    let mut day = Day::default();
    day.repeat(24 * HOUR, 48 * HOUR, 1000, &rows(&[(INTERFACE, 100), (SYSTEM, 1000)]));
    day.router.exporter.rewind(&mut day.router.budget);
    day.repeat(0, 2 * HOUR, 1000, &rows(&[(SYSTEM, 1000)]));
    assert_eq!(day.rate(2 * HOUR, 1000), (100, RateSource::Interface), "it may be announced soon");
    day.repeat(2 * HOUR, 12 * HOUR, 1000, &rows(&[(INTERFACE, 100), (SYSTEM, 1000)]));
    assert_eq!(day.outlived(), 0);
    day.repeat(12 * HOUR, 24 * HOUR, 1000, &rows(&[(SYSTEM, 1000)]));
    assert_eq!(day.outlived(), 1, "and what is not, is");
}

/// A rate of the whole system, by a protocol, in a domain.
fn system(version: u8, domain: u32, rate: u32) -> Vec<u8> {
    let row = bytes().u32(SYSTEM).u32(rate).0;
    match version {
        9 => v9(domain, &[set(1, v9_options_template(300, &[f(1, 4)], &[f(34, 4)])), set(300, row)]),
        _ => ipfix(domain, &[set(3, ipfix_options_template(300, &[f(143, 4)], &[f(34, 4)])), set(300, row)]),
    }
}

/// Who the exporter is: 198.51.100.x, in domain 9 (IE 403).
fn who(last: u8) -> Vec<u8> {
    let template = ipfix_options_template(301, &[f(149, 4)], &[f(403, 4)]);
    ipfix(9, &[set(3, template), set(301, bytes().u32(9).raw([198, 51, 100, last]).0)])
}

#[test]
fn what_is_of_another_domain_protocol_or_kind_need_not_be_repeated_with_the_rest() {
    for (once, again) in [
        (system(9, 1, 100), system(9, 2, 100)),
        (system(9, 1, 100), system(10, 1, 100)),
        (who(1), system(10, 9, 100)),
        (system(10, 9, 100), who(1)),
    ] {
        let mut day = Day::default();
        day.send(0, 1000, &once);
        day.repeat(0, 24 * HOUR, 1000, &again);
        assert_eq!(day.outlived(), 0);
    }
}

#[test]
fn who_the_exporter_is_outlives_no_port() {
    let flow = ipfix(9, &[set(2, template(256, &[f(8, 4), f(12, 4), f(1, 4)])), set(256, [10_u8; 12])]);
    let mut day = Day::default();
    day.repeat(0, 2 * HOUR, 1000, &who(1));
    day.repeat(3 * HOUR, 7 * HOUR, 2000, &who(2));
    day.send(7 * HOUR, 3000, &flow);
    let flow = day.out.flows.last().expect("a flow");
    assert_eq!(flow.exporter_id.to_string(), "198.51.100.2");
    assert_eq!(day.outlived(), 1);
}

#[test]
fn of_more_ports_than_are_known_none_counts_as_silent() {
    let mut day = Day::default();
    day.send(0, 1000, &rows(&[(SYSTEM, 100)]));
    for n in 0..24 {
        (2000..2070).for_each(|port| day.send(n * AGAIN, port, &rows(&[(u32::from(port), 200)])));
    }
    assert_eq!(day.rate(12 * HOUR, 1000), (100, RateSource::System));
    assert_eq!(day.outlived(), 0);
}

#[test]
fn over_a_stream_and_where_it_is_switched_off_announcements_hold_for_ever() {
    let never = Options { rate_lifetime_s: 0, ..Options::default() };
    for (exporter, options) in [(Exporter::over_stream(), Options::default()), (Exporter::default(), never)] {
        let router = Router { exporter, options, ..Router::default() };
        let mut day = Day { router, ..Day::default() };
        day.send(0, 1000, &rows(&[(INTERFACE, 100), (SYSTEM, 1000)]));
        day.repeat(0, 24 * HOUR, 1000, &rows(&[(SYSTEM, 1000)]));
        assert_eq!(day.rate(24 * HOUR, 1000), (100, RateSource::Interface));
    }
}

#[test]
fn a_lifetime_that_is_shorter_than_what_routers_send_options_in_is_refused() {
    for (seconds, wanted) in [(0, true), (1, false), (599, false), (600, true)] {
        let options = Options { rate_lifetime_s: seconds, ..Options::default() };
        let outcome = options.validate();
        assert_eq!(outcome.is_ok(), wanted, "{seconds}");
        assert!(outcome.err().is_none_or(|error| error.starts_with("rate_lifetime_s")));
    }
}
