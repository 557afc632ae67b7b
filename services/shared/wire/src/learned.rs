//! What an exporter says of itself in options data: sampling rates, interfaces, the time of its start.

use crate::element::{Slice, Slot};
use crate::identity::Said;
use crate::interval::{Announced, BadRate};
use crate::options::{Budget, Options};
use crate::outlived::{Heard, LOOKS, lifetime, outlived, pause};
use crate::output::{Interface, Output, Rate};
use crate::plan::{Slices, Words};
use crate::rates::{self, Announcement, Asked, By, Entry, Found, Put, RateKey, Rates, Scope};
use crate::state;
use crate::template::Template;
use crate::totals::Totals;
use ahash::AHashMap;
use std::borrow::Cow;
use weir_schemas::{RateSource, SamplingKind};

/// Bytes of memory that an announcement takes, roughly.
const RATE_COST: usize = 216;
const INIT_COST: usize = 64;
/// What an interface takes beside its text.
const INTERFACE_COST: usize = 128;

/// What is known of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    pub name: String,
    pub description: String,
    pub speed: u64,
    pub learned: i64,
}

impl Known {
    fn cost(&self) -> usize {
        INTERFACE_COST + self.name.len() + self.description.len()
    }
}

/// All of it.
#[derive(Debug, Default)]
pub(crate) struct Learned {
    pub rates: Rates,
    /// When they are looked through next.
    look: i64,
    pub interfaces: AHashMap<u32, Known>,
    /// Milliseconds since the epoch at which the system started (IE 160), by IPFIX domain.
    pub inits: AHashMap<u32, u64>,
    /// Aggregates by the ports that are attached to them, as sFlow's counter samples tell: the LAG map.
    pub lags: AHashMap<u32, u32>,
    /// What flows of cumulative counters had come to.
    pub totals: Totals,
}

/// Why a row was not taken.
pub(crate) enum Refusal {
    BadRate,
    Full,
}

/// Whether the budget for state has so many bytes.
pub(crate) fn has_room(budget: &Budget, bytes: usize) -> bool {
    budget.state.saturating_add(bytes) <= budget.state_limit
}

/// Takes bytes from the budget for state, if there are so many.
pub(crate) fn take(budget: &mut Budget, bytes: usize) -> bool {
    let fits = has_room(budget, bytes);
    if fits {
        budget.state += bytes;
    }
    fits
}

/// Gives bytes back to it.
pub(crate) fn give(budget: &mut Budget, bytes: usize) {
    budget.state = budget.state.saturating_sub(bytes);
}

/// Keeps a number under another, or none; false where there is no room.
fn keep<V>(
    all: &mut AHashMap<u32, V>,
    key: u32,
    value: Option<V>,
    options: &Options,
    budget: &mut Budget,
) -> bool {
    if all.remove(&key).is_some() {
        give(budget, INIT_COST);
    }
    let Some(value) = value else { return true };
    if all.len() >= options.options_rows || !take(budget, INIT_COST) {
        return false;
    }
    all.insert(key, value);
    true
}

/// Text as sent: padded with NUL or blanks, cut where it is too long, unreadable bytes replaced.
fn text<'a>(bytes: &'a [u8], limit: usize) -> Cow<'a, str> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..end]);
    let cut = |text: &str| {
        let trimmed = text.trim();
        let end = (0..=limit.min(trimmed.len())).rev().find(|at| trimmed.is_char_boundary(*at)).unwrap_or(0);
        trimmed[..end].trim_end().len()
    };
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text.trim()[..cut(text)]),
        Cow::Owned(text) => Cow::Owned(text.trim()[..cut(&text)].to_owned()),
    }
}

impl Learned {
    /// When the system of an IPFIX domain started, ms since the epoch: domain 0 is the whole exporting process (RFC 7011 section 3.1).
    pub(crate) fn init(&self, domain: u32) -> Option<u64> {
        self.inits.get(&domain).or_else(|| self.inits.get(&0)).copied()
    }

    /// Reads a row of options data.
    #[expect(
        clippy::too_many_arguments,
        reason = "a row's words, bytes and origin, and where the outcome goes"
    )]
    pub(crate) fn row(
        &mut self,
        template: &Template,
        words: &Words,
        (buffer, start, slices): (&[u8], usize, &Slices),
        asked: &Asked,
        received: i64,
        options: &Options,
        budget: &mut Budget,
        out: &mut impl Output,
    ) -> Result<(), Refusal> {
        let present = &template.plan.present;
        let word = |slot: Slot| present.has(slot).then(|| words[slot as usize]);
        let mut outcome = Ok(());
        let bytes = |slice: Slice| {
            let (from, to) = slices[slice as usize];
            buffer.get(from..to).unwrap_or_default()
        };
        if template.plan.slices != 0 {
            let index = [
                Slot::ScopeInterface,
                Slot::ScopeIngress,
                Slot::ScopeEgress,
                Slot::InIf,
                Slot::OutIf,
                Slot::InPhysical,
                Slot::OutPhysical,
            ];
            let index = index.into_iter().find_map(|slot| word(slot).filter(|index| *index != 0));
            if let Some(index) = index.and_then(|index| u32::try_from(index).ok()) {
                let name = text(bytes(Slice::InterfaceName), options.text_bytes);
                let description = text(bytes(Slice::InterfaceDescription), options.text_bytes);
                outcome = self.interface(index, &name, &description, 0, received, options, budget, out);
            }
        }
        // Domain 0 speaks for all, so that what it says of another one must not be taken for its own.
        let told = word(Slot::ScopeDomain).and_then(|domain| u32::try_from(domain).ok());
        let domain = told.unwrap_or(asked.domain);
        let known = self.inits.get(&domain);
        let init =
            word(Slot::SystemInit).filter(|init| *init != 0 && asked.version == 10 && known != Some(init));
        if let Some(init) = init {
            if !self.restore_init(domain, Some(init), options, budget) {
                return Err(Refusal::Full);
            }
            out.state(&state::init_key(domain), Some(&state::init_value(init)));
        }
        let bound = options.max_sampling_interval;
        let (announcements, good) =
            rates::announcements(&template.plan, (buffer, start), words, asked, bound);
        for (key, beside, value) in announcements {
            self.announce(key, By { port: asked.port, beside }, value, received, options, budget, out)?;
        }
        good.map_err(|BadRate| Refusal::BadRate)?;
        // Last: where there is no room for who it is, its rates are known nevertheless.
        if let Some((key, said)) = Said::row(present, words, template.plan.scopes, asked) {
            // A row that says less than another does not take back what that one said.
            let by = By { port: asked.port, beside: 0 };
            let before = match self.rates.own(&key, by) {
                Some(Announcement::Identity(before)) => *before,
                _ => Said::default(),
            };
            let said = Announcement::Identity(said.or(before));
            self.announce(key, by, Some(said), received, options, budget, out)?;
        }
        outcome
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "an announcement's key and origin, and where the outcome goes"
    )]
    fn announce(
        &mut self,
        key: RateKey,
        by: By,
        value: Option<Announcement>,
        received: i64,
        options: &Options,
        budget: &mut Budget,
        out: &mut impl Output,
    ) -> Result<(), Refusal> {
        let before = self.rates.rate(&key, by.port);
        match value {
            None => {
                self.take_back(&key, by, budget, out);
            }
            Some(value) => {
                let heard = Heard::first(received);
                let room = self.rates.len() < options.options_rows && has_room(budget, RATE_COST);
                let kept = self.rates.len();
                match self.rates.put(key, Entry { by, value: value.clone(), heard }, room, pause(options)) {
                    Put::Known => return Ok(()),
                    Put::Full => return Err(Refusal::Full),
                    Put::Changed(evicted) => {
                        budget.state += (self.rates.len() - kept) * RATE_COST;
                        if let Some(evicted) = evicted {
                            out.state(&state::rate_key(&key, evicted), None);
                        }
                        out.state(&state::rate_key(&key, by), Some(&state::rate_value(&value)));
                    }
                }
            }
        }
        self.tell(&key, by, before, received, out);
        Ok(())
    }

    /// Forgets an announcement.
    fn take_back(&mut self, key: &RateKey, by: By, budget: &mut Budget, out: &mut impl Output) {
        if self.rates.remove(key, by) {
            give(budget, RATE_COST);
            out.state(&state::rate_key(key, by), None);
        }
    }

    /// Forgets announcements that the exporter no longer makes; how many these are. `silent` says of a port whether nothing comes from it since a time.
    pub(crate) fn forget_outlived(
        &mut self,
        received: i64,
        silent: impl Fn(u16, i64) -> bool,
        options: &Options,
        budget: &mut Budget,
        out: &mut impl Output,
    ) -> u64 {
        let Some(lifetime) = lifetime(options).filter(|_| received >= self.look) else { return 0 };
        self.look = received.saturating_add(lifetime / LOOKS);
        let outlived =
            outlived(&self.rates, lifetime, |port| silent(port, received.saturating_sub(lifetime)));
        for (key, by) in &outlived {
            let before = self.rates.rate(key, by.port);
            self.take_back(key, *by, budget, out);
            self.tell(key, *by, before, received, out);
        }
        outlived.len() as u64
    }

    /// What was restored counts as announced now.
    pub(crate) fn hear(&mut self, now: i64) {
        self.rates.heard().for_each(|heard| heard.restored(now));
    }

    /// Goes back in time: when anything was announced is not known any more.
    pub(crate) fn rewind(&mut self, budget: &mut Budget) {
        self.totals.clear(budget);
        self.rates.heard().for_each(|heard| *heard = Heard::default());
        self.look = 0;
    }

    /// Tells the rate of a key, where it is not the one of before.
    fn tell(&self, key: &RateKey, by: By, before: Found<Announced>, received: i64, out: &mut impl Output) {
        let mut after = self.rates.rate(key, by.port);
        if after == Found::Absent && matches!(before, Found::Agreed(_)) {
            // Whoever is told knows others under the same name: the other direction of an interface, a selector as a sampler, another protocol.
            let same = |scope: &Scope| scope.source() == key.scope.source();
            let others =
                Scope::ALL.into_iter().filter(same).flat_map(|scope| [9, 10].map(|version| (scope, version)));
            let mut told =
                others.map(|(scope, version)| self.rates.rate(&RateKey { version, scope, ..*key }, by.port));
            after = told.find(|found| matches!(found, Found::Agreed(_))).unwrap_or(after);
        }
        let (of, holds) = match (before, after) {
            (_, Found::Agreed(after)) => (after, true),
            (Found::Agreed(before), _) => (before, false),
            _ => return,
        };
        if before != after {
            out.rate(Rate {
                observation_domain: key.domain,
                source: if of.inferred { RateSource::Inferred } else { key.scope.source() },
                scope: key.id,
                interval: if holds { of.ratio.thousandths() } else { 0 },
                sampling: if holds { of.kind } else { SamplingKind::Unknown },
                valid_from: received,
            });
        }
    }

    /// What a counter sample tells of the aggregate that a port is attached to; 0, or the port itself: of none.
    pub(crate) fn attached(
        &mut self,
        port: u32,
        lag: u32,
        options: &Options,
        budget: &mut Budget,
        out: &mut impl Output,
    ) -> Result<(), Refusal> {
        let now = Some(lag).filter(|lag| *lag != 0 && *lag != port);
        if port == 0 || self.lags.get(&port).copied() == now {
            return Ok(());
        }
        if !self.restore_lag(port, now, options, budget) {
            return Err(Refusal::Full);
        }
        out.state(&state::lag_key(port), now.map(state::lag_value).as_deref());
        Ok(())
    }

    /// Takes back what is kept of a port; false where there is no room.
    pub(crate) fn restore_lag(
        &mut self,
        port: u32,
        lag: Option<u32>,
        options: &Options,
        budget: &mut Budget,
    ) -> bool {
        keep(&mut self.lags, port, lag, options, budget)
    }

    /// What a counter sample tells of an interface.
    #[expect(clippy::too_many_arguments, reason = "an interface's columns, and where the outcome goes")]
    pub(crate) fn told(
        &mut self,
        index: u32,
        name: &[u8],
        speed: u64,
        received: i64,
        options: &Options,
        budget: &mut Budget,
        out: &mut impl Output,
    ) -> Result<(), Refusal> {
        if index == 0 {
            return Ok(());
        }
        let name = text(name, options.text_bytes);
        self.interface(index, &name, "", speed, received, options, budget, out)
    }

    #[expect(clippy::too_many_arguments, reason = "an interface's columns, and where the outcome goes")]
    fn interface(
        &mut self,
        index: u32,
        name: &str,
        description: &str,
        speed: u64,
        received: i64,
        options: &Options,
        budget: &mut Budget,
        out: &mut impl Output,
    ) -> Result<(), Refusal> {
        let known = self.interfaces.get(&index);
        let changed = |known: &str, said: &str| !said.is_empty() && known != said;
        let (before, is_new) = known.map_or((0, true), |known| (known.cost(), false));
        let news = match known {
            None => !name.is_empty() || !description.is_empty() || speed != 0,
            Some(known) => {
                changed(&known.name, name)
                    || changed(&known.description, description)
                    || (speed != 0 && speed != known.speed)
            }
        };
        if !news {
            return Ok(());
        }
        // A row without a description doesn't take back one that another table gave.
        let mut now = known.cloned().unwrap_or_default();
        if !name.is_empty() {
            name.clone_into(&mut now.name);
        }
        if !description.is_empty() {
            description.clone_into(&mut now.description);
        }
        if speed != 0 {
            now.speed = speed;
        }
        now.learned = received;
        if is_new && self.interfaces.len() >= options.options_rows {
            return Err(Refusal::Full);
        }
        if !take(budget, now.cost().saturating_sub(before)) {
            return Err(Refusal::Full);
        }
        give(budget, before.saturating_sub(now.cost()));
        out.state(&state::interface_key(index), Some(&state::interface_value(&now)));
        out.interface(Interface {
            index,
            name: &now.name,
            description: &now.description,
            speed: now.speed,
            learned: received,
        });
        self.interfaces.insert(index, now);
        Ok(())
    }

    /// Takes back an announcement that was kept; false where there is no room.
    pub(crate) fn restore_rate(
        &mut self,
        key: RateKey,
        entry: Option<Entry>,
        by: By,
        options: &Options,
        budget: &mut Budget,
    ) -> bool {
        let before = self.rates.len();
        let fits = match entry {
            None => {
                self.rates.remove(&key, by);
                true
            }
            Some(entry) => {
                let room = before < options.options_rows && has_room(budget, RATE_COST);
                !matches!(self.rates.put(key, entry, room, pause(options)), Put::Full)
            }
        };
        let after = self.rates.len();
        budget.state = (budget.state + after.saturating_sub(before) * RATE_COST)
            .saturating_sub(before.saturating_sub(after) * RATE_COST);
        fits
    }

    /// Takes back a start time that was kept; false where there is no room.
    pub(crate) fn restore_init(
        &mut self,
        domain: u32,
        init: Option<u64>,
        options: &Options,
        budget: &mut Budget,
    ) -> bool {
        keep(&mut self.inits, domain, init, options, budget)
    }

    /// Takes back an interface that was kept; false where there is no room.
    pub(crate) fn restore_interface(
        &mut self,
        index: u32,
        known: Option<Known>,
        options: &Options,
        budget: &mut Budget,
    ) -> bool {
        if let Some(old) = self.interfaces.remove(&index) {
            give(budget, old.cost());
        }
        let Some(known) = known else { return true };
        if self.interfaces.len() >= options.options_rows || !take(budget, known.cost()) {
            return false;
        }
        self.interfaces.insert(index, known);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_trimmed_cut_at_a_character_and_readable() {
        for (bytes, limit, wanted) in [
            (&b"et-0/0/0\0\0\0"[..], 20, "et-0/0/0"),
            (b"  IX Frankfurt  ", 20, "IX Frankfurt"),
            ("Zürich".as_bytes(), 2, "Z"),
            (b"caf\xe9", 20, "caf\u{fffd}"),
            (b"", 20, ""),
            (b"\0name", 20, ""),
        ] {
            assert_eq!(text(bytes, limit), wanted);
        }
    }
}
