//! Announcements that an exporter no longer makes: after a change of its configuration, or of its ports when it was started anew.
//!
//! Over UDP options data is sent again and again, as templates are (RFC 7011 section 8.4), so that what is missing from what is repeated is gone. Kept, it
//! would hold against what is announced now, and where it is of less, an interface say, win over it. Nothing goes because of time alone: whoever announces
//! once, or what changed only, never shows that it repeats.
//!
//! What must stay true: rows that come one after the other, however long after the ones before, keep each other; so of a row that was heard again it counts
//! when it was heard the time before. Nor does a time count in which nothing was heard, whoever was silent or cut off: only what is repeated three times in
//! a lifetime shows what is missing.

use crate::options::Options;
use crate::rates::{By, Entry, RateKey, Rates, Scope};
use ahash::AHashMap;

const SECOND: i64 = 1_000_000_000;
/// What is heard again within this time is the same announcement.
const ONCE: i64 = 60 * SECOND;

/// How often in a lifetime announcements are looked through.
pub(crate) const LOOKS: i64 = 8;

/// The longest time between two times that an announcement is heard in which its exporter is not taken to be silent, ns.
pub(crate) fn pause(options: &Options) -> i64 {
    i64::from(options.rate_lifetime_s) * SECOND / 3
}

/// How long an announcement holds that is not repeated while others are, ns; none: for ever.
pub(crate) fn lifetime(options: &Options) -> Option<i64> {
    Some(i64::from(options.rate_lifetime_s) * SECOND).filter(|lifetime| *lifetime != 0)
}

/// When an announcement was heard, ns since the epoch; 0: never since it was restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// The last time, or up to a minute before it.
    last: i64,
    /// The time before, where it said the same; else 0.
    before: i64,
    /// Since when it has been repeated without a pause.
    since: i64,
}

impl Heard {
    /// Heard for the first time, or with another value.
    pub(crate) fn first(received: i64) -> Self {
        Self { last: received, before: 0, since: received }
    }

    /// Heard once more, where more than `pause`, ns, is one.
    pub(crate) fn again(&mut self, now: Self, pause: i64) {
        let passed = now.last.saturating_sub(self.last);
        if passed >= ONCE {
            let since = if passed > pause { now.since } else { self.since };
            *self = Self { last: now.last, before: self.last, since };
        }
    }

    /// What was restored counts as heard now: nobody knows when it was.
    pub(crate) fn restored(&mut self, now: i64) {
        if self.last == 0 {
            *self = Self::first(now);
        }
    }
}

/// Those that repeat each other: protocol, observation domain, and whether they say who the exporter is.
type Together = (u8, u32, bool);

fn together(key: &RateKey) -> Together {
    (key.version, key.domain, key.scope == Scope::Identity)
}

/// Announcements of `all` that were not heard for a `lifetime`, ns, in which others were repeated without a pause: others of their port, or of any where
/// `silent` says of their port that nothing comes from it any more. In the order of keys.
pub(crate) fn outlived(all: &Rates, lifetime: i64, silent: impl Fn(u16) -> bool) -> Vec<(RateKey, By)> {
    let mut repeated: AHashMap<(Together, Option<u16>), i64> = AHashMap::new();
    for (key, Entry { by, heard, .. }) in all.all() {
        if heard.before.saturating_sub(heard.since) >= lifetime {
            for port in [None, Some(by.port)] {
                let latest = repeated.entry((together(key), port)).or_default();
                *latest = heard.before.max(*latest);
            }
        }
    }
    let after = |of: &(Together, Option<u16>), last: i64| {
        repeated.get(of).is_some_and(|repeated| *repeated >= last.saturating_add(lifetime))
    };
    let gone = all.all().filter(|(key, entry)| {
        let (last, port) = (entry.heard.last, entry.by.port);
        let of = together(key);
        after(&(of, Some(port)), last) || after(&(of, None), last) && silent(port)
    });
    let mut gone: Vec<_> = gone.map(|(key, entry)| (*key, entry.by)).collect();
    gone.sort_unstable_by_key(|(key, by)| (*key, by.port, by.beside));
    gone
}
