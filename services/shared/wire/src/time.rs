//! When a flow was: the exporter's times in all their forms, and the time over which its bytes are spread.
//!
//! Anchor: end = receive − (export − end), so that an exporter's wrong clock shifts nothing (docs/counting.md, "Time").

use crate::element::Slot;
use crate::options::Options;
use crate::plan::{Present, Words};

const MILLI: i64 = 1_000_000;
const SECOND: i64 = 1_000_000_000;
/// Seconds from 1900, where NTP's era 0 begins, to 1970.
const NTP_EPOCH: u64 = 2_208_988_800;

/// How a point in time is exported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    None,
    /// Milliseconds of the exporter's uptime.
    Uptime,
    Seconds,
    Millis,
    /// NTP's format: IPFIX's micro- and nanoseconds (RFC 7011 section 6.1.9 and 6.1.10).
    Ntp,
    /// Microseconds before the export time (IE 158, 159).
    Delta,
}

/// How a template exports start, end and duration of one direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    start: (Form, Slot),
    end: (Form, Slot),
    /// When a packet was observed: its end, where no other one is told or can be placed.
    observed: (Form, Slot),
    /// Its unit in ns.
    duration: Option<(u32, Slot)>,
    /// Whether there are any.
    pub any: bool,
}

/// A direction of a flow, as a column of the tables below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// From source to destination.
    Forward,
    /// Back (RFC 5103).
    Reverse,
}

/// Forms of start and end with the elements of both directions, the finest first.
const START: &[(Form, [Slot; 2])] = &[
    (Form::Ntp, [Slot::StartNanos, Slot::ReverseStartNanos]),
    (Form::Ntp, [Slot::StartMicros, Slot::ReverseStartMicros]),
    (Form::Millis, [Slot::StartMillis, Slot::ReverseStartMillis]),
    (Form::Delta, [Slot::StartDelta, Slot::ReverseStartDelta]),
    (Form::Seconds, [Slot::StartSeconds, Slot::ReverseStartSeconds]),
    (Form::Uptime, [Slot::UptimeStart, Slot::ReverseUptimeStart]),
];
const END: &[(Form, [Slot; 2])] = &[
    (Form::Ntp, [Slot::EndNanos, Slot::ReverseEndNanos]),
    (Form::Ntp, [Slot::EndMicros, Slot::ReverseEndMicros]),
    (Form::Millis, [Slot::EndMillis, Slot::ReverseEndMillis]),
    (Form::Delta, [Slot::EndDelta, Slot::ReverseEndDelta]),
    (Form::Seconds, [Slot::EndSeconds, Slot::ReverseEndSeconds]),
    (Form::Uptime, [Slot::UptimeEnd, Slot::ReverseUptimeEnd]),
];
/// Of the packet that was observed, which went one way.
const OBSERVED: &[(Form, Slot)] = &[
    (Form::Ntp, Slot::ObservedNanos),
    (Form::Ntp, Slot::ObservedMicros),
    (Form::Millis, Slot::ObservedMillis),
    (Form::Seconds, Slot::ObservedSeconds),
];
/// Units in ns.
const DURATION: &[(u32, [Slot; 2])] = &[
    (1000, [Slot::DurationMicros, Slot::ReverseDurationMicros]),
    (MILLI as u32, [Slot::DurationMillis, Slot::ReverseDurationMillis]),
];

/// Start and end of a flow, in ns since the epoch, by the exporter's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub start: Option<i64>,
    pub end: Option<i64>,
}

/// The clock of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Export time, ns since the epoch.
    pub exported: i64,
    /// Uptime at export, ms, modulo 2^32.
    pub uptime: Option<u32>,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            start: (Form::None, Slot::UptimeStart),
            end: (Form::None, Slot::UptimeEnd),
            observed: (Form::None, Slot::ObservedSeconds),
            duration: None,
            any: false,
        }
    }
}

impl Times {
    /// The finest form of each that a template has.
    pub(crate) fn of(present: &Present, way: Way) -> Self {
        let has = |slot: &Slot| present.has(*slot);
        let first = |forms: &[(Form, [Slot; 2])]| {
            forms.iter().map(|(form, slots)| (*form, slots[way as usize])).find(|(_, slot)| has(slot))
        };
        let observed = OBSERVED.iter().find(|(_, slot)| has(slot) && way == Way::Forward).copied();
        let durations = DURATION.iter().map(|(unit, slots)| (*unit, slots[way as usize]));
        let none = Self::default();
        let (start, end) = (first(START), first(END));
        Self {
            start: start.unwrap_or(none.start),
            end: end.unwrap_or(none.end),
            observed: observed.unwrap_or(none.observed),
            duration: durations.into_iter().find(|(_, slot)| has(slot)),
            any: start.or(end).or(observed).is_some(),
        }
    }

    /// The span of a record.
    #[inline]
    pub(crate) fn span(&self, words: &Words, clock: &Clock) -> Span {
        if !self.any {
            return Span::default();
        }
        let mut span = Span {
            start: point(self.start.0, words[self.start.1 as usize], clock),
            end: point(self.end.0, words[self.end.1 as usize], clock),
        };
        // An uptime can't be placed where it is not known when the system started.
        if span.end.is_none() {
            span.end = point(self.observed.0, words[self.observed.1 as usize], clock);
        }
        if let Some((unit, slot)) = self.duration {
            let duration =
                i64::try_from(words[slot as usize]).unwrap_or(i64::MAX).saturating_mul(unit.into());
            match span {
                Span { start: Some(start), end: None } => span.end = Some(start.saturating_add(duration)),
                Span { start: None, end: Some(end) } => span.start = Some(end.saturating_sub(duration)),
                _ => {}
            }
        }
        span
    }
}

#[inline]
fn point(form: Form, value: u64, clock: &Clock) -> Option<i64> {
    let clamp = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    match form {
        Form::None => None,
        // Modulo 2^32 ms, so 24 days to either side: a flow may end a little after its export time.
        Form::Uptime => clock.uptime.map(|now| {
            let ago = now.wrapping_sub(value as u32) as i32;
            clock.exported.saturating_sub(i64::from(ago) * MILLI)
        }),
        Form::Seconds => Some(clamp(value).saturating_mul(SECOND)),
        Form::Millis => Some(clamp(value).saturating_mul(MILLI)),
        Form::Ntp => {
            // Era 1 begins in 2036; nothing was exported before 1970.
            let seconds = value >> 32;
            let since =
                if seconds >= NTP_EPOCH { seconds - NTP_EPOCH } else { seconds + (1 << 32) - NTP_EPOCH };
            let fraction = ((value & 0xffff_ffff) * SECOND as u64) >> 32;
            Some(since as i64 * SECOND + fraction as i64)
        }
        Form::Delta => Some(clock.exported.saturating_sub(clamp(value).saturating_mul(1000))),
    }
}

/// Where bytes are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spread {
    pub start: i64,
    pub end: i64,
    pub plausible: bool,
}

/// How far from the receive time a flow may lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plausible {
    future: i64,
    past: i64,
}

impl Plausible {
    pub(crate) fn of(options: &Options) -> Self {
        Self { future: i64::from(options.future_s) * SECOND, past: i64::from(options.past_s) * SECOND }
    }

    /// Whether a time, by the clock of receive times, is further ahead than a flow may end.
    pub(crate) fn is_ahead(&self, time: i64, received: i64) -> bool {
        time > received.saturating_add(self.future)
    }

    /// Anchors a span at the receive time. A record without times happened when it was received.
    #[inline]
    pub(crate) fn spread(&self, span: Span, exported: i64, received: i64) -> Spread {
        let (start, end) = match span {
            Span { start: None, end: None } => {
                return Spread { start: received, end: received, plausible: true };
            }
            Span { start: Some(one), end: None } | Span { start: None, end: Some(one) } => (one, one),
            Span { start: Some(start), end: Some(end) } => (start, end),
        };
        let shift = i128::from(received) - i128::from(exported);
        let anchored = |time: i64| i64::try_from(i128::from(time) + shift).ok();
        let inside = |start: i64, end: i64| {
            start <= end
                && end <= received.saturating_add(self.future)
                && start >= received.saturating_sub(self.past)
        };
        match anchored(start).zip(anchored(end)) {
            Some((start, end)) if inside(start, end) => Spread { start, end, plausible: true },
            _ => Spread { start: received, end: received, plausible: false },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000 * SECOND;

    fn plausible() -> Plausible {
        Plausible::of(&Options::default())
    }

    #[test]
    fn a_wrong_clock_shifts_nothing() {
        let day = 86_400 * SECOND;
        let span = Span { start: Some(NOW - day - 9 * SECOND), end: Some(NOW - day - 2 * SECOND) };
        let spread = plausible().spread(span, NOW - day, NOW + 7);
        assert_eq!(
            spread,
            Spread { start: NOW + 7 - 9 * SECOND, end: NOW + 7 - 2 * SECOND, plausible: true }
        );
    }

    #[test]
    fn what_is_implausible_happened_when_it_was_received() {
        let minute = 60 * SECOND;
        for (start, end, wanted) in [
            (-minute, 0, true),
            (1, 0, false),
            (0, 5 * minute, true),
            (0, 5 * minute + 1, false),
            (-120 * minute, 0, true),
            (-120 * minute - 1, 0, false),
            (i64::MIN / 2, 0, false),
        ] {
            let spread =
                plausible().spread(Span { start: Some(NOW + start), end: Some(NOW + end) }, NOW, NOW);
            assert_eq!(spread.plausible, wanted, "{start} to {end}");
            assert!(spread.plausible || (spread.start, spread.end) == (NOW, NOW));
        }
        let extreme = Span { start: Some(i64::MIN), end: Some(i64::MAX) };
        assert!(!plausible().spread(extreme, i64::MIN, i64::MAX).plausible);
    }

    #[test]
    fn uptime_wraps() {
        let clock = Clock { exported: NOW, uptime: Some(5) };
        assert_eq!(point(Form::Uptime, u64::from(u32::MAX - 4), &clock), Some(NOW - 10 * MILLI));
        assert_eq!(point(Form::Uptime, 8, &clock), Some(NOW + 3 * MILLI));
    }

    #[test]
    fn ntp_time_of_either_era_is_known() {
        let clock = Clock { exported: 0, uptime: None };
        let half = (1_u64 << 31) + 1;
        assert_eq!(point(Form::Ntp, (NTP_EPOCH + 7) << 32 | half, &clock), Some(7 * SECOND + SECOND / 2));
        let era_1 = point(Form::Ntp, 0, &clock).unwrap();
        assert_eq!(era_1 / SECOND, (1 << 32) - NTP_EPOCH as i64);
    }
}
