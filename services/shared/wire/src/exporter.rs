//! All that is known of one exporter, and the way of a datagram through it.

use crate::call::Call;
use crate::checks::Checking;
use crate::layouts;
use crate::learned::{Learned, give, has_room, take};
use crate::options::{Budget, Options, Own, TotalCounters};
use crate::outlived::Heard;
use crate::output::{Context, Counts, Interface, Output, Reason};
use crate::parked::Parked;
use crate::rates::Entry;
use crate::restart::{self, Restarts};
use crate::sequence::{Seen, Sequences, Session};
use crate::sflow::{self, Source, SourceId};
use crate::state::{self, Key, StateError};
use crate::template::{Definition, Group, Known, Refused, Templates};
use weir_schemas::Protocol;
use weir_schemas::checks::Checks;
use weir_schemas::frame::Datagram;

/// A number below this may be one of the first of an exporter that was restarted.
const FIRST_NUMBERS: u32 = 1 << 16;
/// What comes where nothing does, and time has passed.
const NOTHING: Datagram<'static> = Datagram { received: 0, listener: 0, source_port: 0, payload: &[] };

/// Everything known of one exporter, that is, of one transport source address: compiled templates, sampling rates, interfaces,
/// and data that waits for its template.
#[derive(Debug, Default)]
pub struct Exporter {
    pub(crate) templates: Templates,
    pub(crate) parked: Parked,
    pub(crate) learned: Learned,
    /// Latest receive time of its datagrams: the clock by which waiting data ages.
    pub(crate) high_water: i64,
    /// Where an AS path stays while its flow is given out.
    pub(crate) path: sflow::Path,
    pub(crate) checking: Checking,
    pub(crate) sources: sflow::Sources,
    sequences: Sequences,
    pub(crate) restarts: Restarts,
    /// Whether all templates of its message's session were withdrawn, and all options templates.
    pub(crate) none_left: [bool; 2],
    /// Groups of which a template is gone, until the end of the datagram.
    pub(crate) gone: Vec<Group>,
    /// Its messages come over TCP or SCTP, or lie in a file.
    pub(crate) stream: bool,
    /// Whether templates or announcements were taken back since its last datagram.
    restored: bool,
    /// What is configured otherwise than of all.
    own: Own,
}

impl Exporter {
    /// An exporter whose messages come over TCP or SCTP, or lie in a file (RFC 5655): what withdraws a template holds there, since nothing can have
    /// come in another order (RFC 7011 section 8.1).
    pub fn over_stream() -> Self {
        Self { stream: true, templates: Templates::of_stream(), ..Self::default() }
    }

    /// Takes what of it is configured otherwise than of all. That is no state that is kept.
    pub fn configure(&mut self, own: Own) {
        self.own = own;
    }

    /// Decodes a datagram: flows, faults and state go to `out`. No bytes can make it panic, loop, or keep more than `options` and
    /// `budget` allow.
    pub fn decode(
        &mut self,
        context: &Context,
        datagram: &Datagram<'_>,
        options: &Options,
        budget: &mut Budget,
        out: &mut impl Output,
    ) -> Counts {
        self.high_water = self.high_water.max(datagram.received);
        if std::mem::take(&mut self.restored) {
            self.templates.hear(datagram.received);
            self.learned.hear(datagram.received);
        }
        let mut call = self.call(context, *datagram, options, budget, out);
        call.counts.datagrams = 1;
        if call.total_counters == TotalCounters::Deltas && !self.learned.totals.is_empty() {
            self.learned.totals.give_up(call.budget, call.out);
        }
        self.expire_parked(&mut call);
        self.release_suspects(&mut call);
        match *datagram.payload {
            [0, 9, ..] => self.netflow_v9(&mut call),
            [0, 10, ..] => self.ipfix(&mut call),
            [0, 0, 0, 5, ..] => self.sflow_v5(&mut call),
            _ if let Some(version) = layouts::version(datagram.payload) => {
                self.netflow_fixed(version, &mut call);
            }
            [0, 0, 0, version @ (2 | 4), ..] => {
                call.dead(Reason::UnsupportedVersion, format!("sFlow version {version} is not decoded"));
            }
            [0, 6, ..] => {
                call.dead(Reason::UnsupportedVersion, "NetFlow version 6 is not decoded".to_owned());
            }
            [a, b, ..] => {
                let version = u16::from_be_bytes([a, b]);
                call.dead(
                    Reason::UnknownVersion,
                    format!("the first bytes give version {version}: neither NetFlow, IPFIX nor sFlow"),
                );
            }
            _ => {
                let sentence = format!("datagram of {} bytes has no version", datagram.payload.len());
                call.dead(Reason::Truncated, sentence);
            }
        }
        self.release_agreed(&mut call);
        self.learned.totals.tell(call.out);
        if call.counts.option_records > 0 && !self.stream {
            let silent = |port, since| self.sequences.is_silent(port, since);
            let (received, options) = (datagram.received, call.options);
            call.counts.rates_outlived +=
                self.learned.forget_outlived(received, silent, options, call.budget, call.out);
        }
        let counts = call.counts;
        // An agent of sFlow says itself what it drops.
        if counts.flows > 0 && call.protocol != Protocol::SflowV5 {
            self.checking.pace.see(datagram.received, counts.flows, &mut self.checking.sums);
        }
        if let Some(seen) = Seen::of(&call) {
            let began_anew = self.sequences.see(&seen);
            // Version 9 has its uptime, which tells it sooner. Numbers that go on far ahead are more likely a great loss.
            if let Some(since) = began_anew
                && seen.protocol == Protocol::Ipfix
                && seen.number < FIRST_NUMBERS
            {
                let session = (10, seen.observation_domain, seen.source_port);
                self.restarts.restarted(session, since);
            }
        }
        counts
    }

    /// Gives up what waits longer than `options` allow, by the exporter's own latest receive time. [`decode`](Self::decode) does
    /// it too.
    pub fn expire(
        &mut self,
        context: &Context,
        options: &Options,
        budget: &mut Budget,
        out: &mut impl Output,
    ) -> Counts {
        let mut call = self.call(context, NOTHING, options, budget, out);
        self.expire_parked(&mut call);
        self.release_suspects(&mut call);
        self.learned.totals.tell(call.out);
        call.counts
    }

    /// Gives up all that still waits, because no more input will come.
    pub fn finish(
        &mut self,
        context: &Context,
        options: &Options,
        budget: &mut Budget,
        out: &mut impl Output,
    ) -> Counts {
        let mut call = self.call(context, NOTHING, options, budget, out);
        while let Some(place) = self.parked.first() {
            self.drop_parked(Reason::ParkedAtEnd, &place, &mut call);
        }
        self.learned.totals.tell(call.out);
        call.counts
    }

    fn call<'c, O: Output>(
        &self,
        context: &Context,
        datagram: Datagram<'c>,
        options: &'c Options,
        budget: &'c mut Budget,
        out: &'c mut O,
    ) -> Call<'c, O> {
        Call {
            context: *context,
            datagram,
            options,
            budget,
            out,
            counts: Counts::default(),
            identity: self.own.identity.unwrap_or(options.identity),
            total_counters: self.own.total_counters.unwrap_or(options.total_counters),
            protocol: Protocol::Unknown,
            domain: 0,
            record_index: 0,
        }
    }

    /// What came and what is missing of each of its sessions. This is no state that is kept: after a restore it begins anew.
    pub fn sessions(&self) -> &[Session] {
        self.sequences.all()
    }

    /// What its records say of themselves, beside what follows from their packets. No state that is kept, as [`sessions`](Self::sessions).
    pub fn checks(&self) -> &Checks {
        &self.checking.sums
    }

    /// What each of its sFlow agents' samplers attains, in no order. No state that is kept, as [`sessions`](Self::sessions).
    pub fn sources(&self) -> impl Iterator<Item = (&SourceId, &Source)> {
        self.sources.all()
    }

    /// Templates that are known, those of options included.
    pub fn known_templates(&self) -> usize {
        self.templates.all().count()
    }

    /// Each of them, in the order of protocols, domains, ids and ports.
    pub fn templates(&self) -> Vec<Known> {
        let mut all: Vec<_> = self.templates.all().collect();
        all.sort_unstable_by_key(|(group, template)| (**group, template.port));
        all.into_iter().map(|(group, template)| template.known(group)).collect()
    }

    /// Sets that wait for their template, and the bytes that they take of the budget.
    pub fn parked(&self) -> (usize, usize) {
        (self.parked.len(), self.parked.bytes())
    }

    /// Latest receive time of its datagrams, ns since the epoch; 0 where there were none.
    pub fn high_water(&self) -> i64 {
        self.high_water
    }

    /// Goes back in time: what comes next may be older than what is known. Without this, what came to wait would be too old at once, what flows of
    /// cumulative counters came to later would have counted all that comes, and each datagram would be late.
    pub fn rewind(&mut self, budget: &mut Budget) {
        self.learned.rewind(budget);
        self.restored = true;
        self.high_water = 0;
        self.sequences = Sequences::default();
        self.restarts.forget();
    }

    /// Takes back a record of state: the inverse of [`Output::state`]. A missing value is a tombstone. After an error the rest of
    /// the state is as good as before.
    pub fn restore(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        options: &Options,
        budget: &mut Budget,
    ) -> Result<(), StateError> {
        let limit = |what: &str| StateError::Limit(what.into());
        match state::read_key(key)? {
            Key::Template(group, port) => {
                if let Some(old) = self.templates.remove(&group, port) {
                    give(budget, old.cost());
                }
                let Some(value) = value else { return Ok(()) };
                let (is_options, scopes, learned, body) = state::read_template(value)?;
                let definition = Definition { options: is_options, scopes, body };
                let room = |bytes: usize| has_room(budget, bytes);
                match self.templates.restore(group, port, &definition, learned, options, room) {
                    Ok(cost) => {
                        take(budget, cost);
                        self.high_water = self.high_water.max(learned);
                        self.restored = true;
                        Ok(())
                    }
                    Err(Refused { reason: Reason::BadTemplate, sentence, .. }) => {
                        Err(StateError::Value(sentence))
                    }
                    Err(refused) => Err(StateError::Limit(refused.sentence)),
                }
            }
            Key::Rate(key, by) => {
                let value =
                    value.map(|value| state::read_rate(value, options.max_sampling_interval)).transpose()?;
                let entry = value.map(|value| Entry { by, value, heard: Heard::default() });
                self.restored = true;
                let fits = self.learned.restore_rate(key, entry, by, options, budget);
                if fits { Ok(()) } else { Err(limit("no more sampling rates are kept")) }
            }
            Key::Interface(index) => {
                let known = value.map(state::read_interface).transpose()?;
                let fits = self.learned.restore_interface(index, known, options, budget);
                if fits { Ok(()) } else { Err(limit("no more interfaces are kept")) }
            }
            Key::Init(domain) => {
                let init = value.map(state::read_init).transpose()?;
                let fits = self.learned.restore_init(domain, init, options, budget);
                if fits { Ok(()) } else { Err(limit("no more start times are kept")) }
            }
            Key::Lag(port) => {
                let lag = value.map(state::read_lag).transpose()?;
                let fits = self.learned.restore_lag(port, lag, options, budget);
                if fits { Ok(()) } else { Err(limit("no more ports of aggregates are kept")) }
            }
            Key::Totals(key) => {
                let last = value.map(state::read_totals).transpose()?;
                let fits = self.learned.totals.restore(key, last, options, budget);
                if fits { Ok(()) } else { Err(limit("no more flows of cumulative counters are kept")) }
            }
            Key::TotalsFrom(kind) => {
                let from = value.map(state::read_from).transpose()?;
                self.learned.totals.restore_from(kind, from);
                Ok(())
            }
            Key::Parked(place) => {
                self.parked.remove(&place, budget);
                let Some(value) = value else { return Ok(()) };
                let set = state::read_parked(value)?;
                // Bounds hold when a set is parked. What was promised to wait is not dropped because a bound was lowered since.
                self.high_water = self.high_water.max(set.received);
                // Its template may be known: then it waits because of a restart that nobody remembers.
                self.restarts.wait(restart::until(set.received, options));
                self.parked.push(place, set, budget);
                Ok(())
            }
        }
    }

    /// All interfaces that options data described: after a restore, what [`Output::interface`] had told.
    pub fn interfaces(&self) -> impl Iterator<Item = Interface<'_>> {
        self.learned.interfaces.iter().map(|(index, known)| Interface {
            index: *index,
            name: &known.name,
            description: &known.description,
            speed: known.speed,
            learned: known.learned,
        })
    }

    /// True where nothing is known that a fresh one would not know: it can be forgotten.
    pub fn is_empty(&self) -> bool {
        self.templates.all().next().is_none()
            && self.parked.is_empty()
            && self.learned.rates.all().next().is_none()
            && self.learned.interfaces.is_empty()
            && self.learned.inits.is_empty()
            && self.learned.lags.is_empty()
            && self.learned.totals.is_empty()
    }

    /// All state as keys and values, in the order of keys: what [`Output::state`] would have left in a compacted topic.
    pub fn dump(&self, mut out: impl FnMut(&[u8], &[u8])) {
        let mut all: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        for (group, template) in self.templates.all() {
            all.push((state::template_key(group, template.port), state::template_value(template)));
        }
        for (key, entry) in self.learned.rates.all() {
            all.push((state::rate_key(key, entry.by), state::rate_value(&entry.value)));
        }
        for (index, known) in &self.learned.interfaces {
            all.push((state::interface_key(*index), state::interface_value(known)));
        }
        for (domain, init) in &self.learned.inits {
            all.push((state::init_key(*domain), state::init_value(*init)));
        }
        for (port, lag) in &self.learned.lags {
            all.push((state::lag_key(*port), state::lag_value(*lag)));
        }
        for (key, last) in self.learned.totals.all() {
            all.push((state::totals_key(*key), state::totals_value(last)));
        }
        for (kind, from) in self.learned.totals.from() {
            all.push((state::from_key(*kind), state::from_value(*from)));
        }
        for (place, set) in self.parked.all() {
            all.push((state::parked_key(place), state::parked_value(set)));
        }
        all.sort_unstable();
        all.iter().for_each(|(key, value)| out(key, value));
    }
}
