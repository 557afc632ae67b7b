//! Times as they are asked for, against what tables keep.

use super::*;

/// No border of any slot.
const NOW: u32 = 1_790_000_000 + 77;
const DAY: u32 = 86_400;

fn kept(days: &BTreeMap<String, u32>) -> Kept<'_> {
    Kept::new(NOW, days).with(Needs::default().and(Need::Ases))
}

fn of_last(text: &str) -> Period {
    last(text, kept(&BTreeMap::new())).unwrap()
}

#[test]
fn the_last_days_begin_and_end_with_slots_of_tables_that_have_them() {
    for (text, slot, seconds) in
        [("1h", 60, 3600), ("34d", 300, 34 * DAY), ("35d", 300, 35 * DAY), ("90d", 300, 90 * DAY)]
    {
        let Period { window, seconds: covered, asked_from, .. } = of_last(text);
        assert!(window.from.is_multiple_of(slot) && window.to.is_multiple_of(slot), "{text}");
        assert!(NOW - window.to < ALLOWANCE + slot, "{text}");
        assert_eq!((covered, asked_from), (seconds, window.from), "{text}");
    }
    assert!(of_last("500d").window.to.is_multiple_of(3600));
    assert_eq!(of_last("60001m").seconds, 60_005 / 5 * 300, "snapped outwards");
}

#[test]
fn configured_retention_is_what_counts() {
    let days = BTreeMap::from([("links_1m".to_owned(), 1), ("links_5m".to_owned(), 0)]);
    let period = last("9000d", kept(&days)).unwrap();
    assert_eq!((period.window.to % 300, period.seconds), (0, 9000 * DAY));
    let minute = NOW / 300 * 300 - 3 * DAY + 60;
    let moved = between(minute, NOW / 300 * 300, kept(&days)).unwrap();
    assert_eq!((moved.asked_from, moved.window.from), (minute, minute + 240), "minutes of then are gone");
}

#[test]
fn ends_beyond_what_is_kept_are_cut_or_refused_never_averaged_over() {
    let no = BTreeMap::new();
    let to = NOW / 60 * 60 - 60 * 7;
    let from = (to - 90 * DAY) / 300 * 300 - 60;
    let cut = between(from, to, kept(&no)).unwrap();
    assert_eq!((cut.window.from, cut.asked_from), (from + 60, from));
    assert_eq!(cut.seconds, cut.window.to - cut.window.from);
    let error = between(from, from + 60, kept(&no)).unwrap_err().to_string();
    assert!(error.ends_with("; ends on whole 5 minutes reach back further"), "{error}");
    let years = of_last("4000d");
    assert_eq!(years.window.from, (NOW - 1830 * DAY).next_multiple_of(3600));
    assert!(years.window.from > years.asked_from);
}

#[test]
fn what_can_still_grow_is_told_and_what_is_ahead_is_not_divided_by() {
    assert_eq!(of_last("10m").incomplete, 0);
    let minute = NOW / 60 * 60;
    let period = between(minute - 600, minute + 600, kept(&BTreeMap::new())).unwrap();
    assert_eq!((period.seconds, period.incomplete), (600 + NOW % 60, ALLOWANCE));
    assert!(between(minute + 60, minute + 120, kept(&BTreeMap::new())).is_err());
}

#[test]
fn the_last_minutes_are_told_in_the_slots_that_they_are_kept_in() {
    let no = BTreeMap::new();
    for (need, slot) in [(Need::Interfaces, 60), (Need::Ases, 60), (Need::Pairs, 300), (Need::Prefixes, 3600)]
    {
        let kept = Kept::new(NOW, &no).with(Needs::default().and(Need::Interfaces).and(need));
        let Period { window, incomplete, .. } = recent(kept).unwrap();
        assert!(window.from.is_multiple_of(slot) && window.to.is_multiple_of(slot), "{need:?}");
        assert!(window.to >= NOW && window.to < NOW + slot && window.from < NOW - ALLOWANCE, "{need:?}");
        assert_eq!(incomplete, ALLOWANCE, "{need:?}");
    }
}

#[test]
fn a_time_is_one_of_which_nothing_that_is_asked_was_dropped() {
    // Ends of flows are kept for a year, and what they are parts of for a month: what is asked of both is a month.
    let all = ["links_1m", "links_5m", "links_1h", "links_1d", "interfaces_5m"];
    let days: BTreeMap<_, _> =
        all.map(|name| (name.to_owned(), 30)).into_iter().chain([("pairs_1h".to_owned(), 400)]).collect();
    let ends = Needs::default().and(Need::Pairs);
    let (alone, both) =
        (Kept::new(NOW, &days).with(ends), Kept::new(NOW, &days).with(ends.and(Need::Interfaces)));
    let whole = last("100d", alone).unwrap();
    assert_eq!((whole.window.from, whole.seconds), (whole.asked_from, 100 * DAY));
    let cut = last("100d", both).unwrap();
    assert_eq!(
        (cut.window.from, cut.window.to - cut.asked_from),
        ((NOW - 30 * DAY).next_multiple_of(3600), 100 * DAY)
    );
    assert!(both.window(cut.window.from, cut.window.to, &[]).is_some());
    assert!(between(whole.window.from, cut.window.from - DAY, both).is_err(), "of then there are ends alone");
    // The other way round: what flows are parts of is kept for years, and their ends for two weeks.
    let short = BTreeMap::from([("pairs_1h".to_owned(), 14)]);
    let cut = last("20d", Kept::new(NOW, &short).with(ends.and(Need::Interfaces))).unwrap();
    assert_eq!(cut.window.from, (NOW - 14 * DAY).next_multiple_of(300));
}

#[test]
fn a_duration_is_a_number_and_a_unit_in_any_alphabet_or_refused() {
    assert_eq!(duration("30m").unwrap(), 1800);
    for wrong in ["", "m", "5", "5м", "м", "-1h", "0h", "99999d", "1.5h"] {
        assert!(duration(wrong).is_err(), "{wrong}");
    }
}
