//! Data sets that come before their template: let wait, decoded late, or given up.

use crate::call::Call;
use crate::data::{Data, data};
use crate::exporter::Exporter;
use crate::netflow::SET_HEADER;
use crate::options::Options;
use crate::output::{Fault, Output, Reason};
use crate::parked::{Place, Set};
use crate::rates::Asked;
use crate::record;
use crate::restart::Suspicion;
use crate::state;
use crate::template::{Group, Template};
use crate::time::Clock;
use smallvec::SmallVec;
use weir_schemas::columns::flag;

const SECOND: i64 = 1_000_000_000;

impl Exporter {
    /// Lets a data set wait for its template.
    pub(crate) fn park<O: Output>(
        &mut self,
        group: Group,
        (at, end): (usize, usize),
        index: u32,
        clock: Clock,
        call: &mut Call<'_, O>,
    ) {
        let bytes = &call.datagram.payload[at..end];
        if !self.parked.fits(bytes.len(), 1, call.options, call.budget) {
            call.counts.sets_dead += 1;
            let sentence = format!(
                "set {} at byte {at} has no template yet, and {} bytes of the exporter and {} of the partition wait already",
                group.id,
                self.parked.bytes(),
                call.budget.parked
            );
            return call.fault(Reason::ParkedLimit, at, bytes, sentence);
        }
        call.counts.sets_parked += 1;
        let mut buffer = Vec::with_capacity(bytes.len() + 4);
        buffer.extend_from_slice(&[0; 4]);
        buffer.extend_from_slice(bytes);
        let set = Set {
            group,
            port: call.datagram.source_port,
            received: call.datagram.received,
            exported: clock.exported,
            uptime: clock.uptime,
            record_index: call.record_index,
            offset: at as u32,
            buffer,
        };
        // A record has a byte at least, so that no index can be given twice.
        call.record_index = call.record_index.wrapping_add((bytes.len() - SET_HEADER) as u32);
        let place = (call.context.raw_offset, call.context.frame_index, index);
        call.out.state(&state::parked_key(&place), Some(&state::parked_value(&set)));
        if let Some(before) = self.parked.push(place, set, call.budget) {
            call.counts.expired += 1;
            let sentence =
                format!("set {} waited at the same place of the input as another", before.group.id);
            give_up(Reason::ParkedLimit, &place, &before, sentence, call);
        }
    }

    /// Decodes what waited for a template, in the order in which it came.
    pub(crate) fn release<O: Output>(&mut self, group: &Group, port: u16, call: &mut Call<'_, O>) {
        if self.parked.is_empty() {
            return;
        }
        let all = self.templates.agree(group);
        for place in self.parked.waiting(group, (!all).then_some(port)) {
            self.decode_late(&place, flag::TEMPLATE_LATE, call);
        }
    }

    /// Decodes what has waited enough for its template to be sent again.
    pub(crate) fn release_suspects<O: Output>(&mut self, call: &mut Call<'_, O>) {
        if !self.restarts.is_due(self.high_water) {
            return;
        }
        let places: Vec<Place> = self.parked.all().map(|(place, _)| *place).collect();
        for place in places {
            match self.thought_of(&place, call.options) {
                // Another session's, or a later restart's.
                Some(Suspicion::Wait(until)) => self.restarts.wait(until),
                Some(_) => {
                    self.decode_late(&place, flag::TEMPLATE_SUSPECT, call);
                }
                None => {}
            }
        }
    }

    /// Decodes what waited because ports had different templates, where one of those is gone. Once a datagram, and what is thought of a template is asked
    /// once, so that templates that come and go cost no look at all that waits for each.
    pub(crate) fn release_agreed<O: Output>(&mut self, call: &mut Call<'_, O>) {
        if self.gone.is_empty() {
            return;
        }
        let mut gone = std::mem::take(&mut self.gone);
        gone.sort_unstable();
        gone.dedup();
        for group in &gone {
            if self.parked.has(group) && self.templates.agree(group) {
                self.release_of(group, call);
            }
        }
        gone.clear();
        self.gone = gone;
    }

    fn release_of<O: Output>(&mut self, group: &Group, call: &mut Call<'_, O>) {
        let thoughts: SmallVec<[(u16, Suspicion); 4]> = self
            .templates
            .ports(group)
            .map(|template| (template.port, self.suspicion(group, template, self.high_water, call.options)))
            .collect();
        let Some((_, others)) = thoughts.first().copied() else { return };
        for place in self.parked.waiting(group, None) {
            let Some((_, port)) = self.parked.of(&place) else { continue };
            let own = thoughts.iter().find(|(own, _)| *own == port);
            let flags = match own.map_or(others, |(_, thought)| *thought) {
                Suspicion::Wait(until) => {
                    self.restarts.wait(until);
                    continue;
                }
                Suspicion::Over => flag::TEMPLATE_LATE | flag::TEMPLATE_SUSPECT,
                Suspicion::None => flag::TEMPLATE_LATE,
            };
            self.decode_late(&place, flags, call);
        }
    }

    /// What is thought of the template of a set that waits, if there is one.
    fn thought_of(&self, place: &Place, options: &Options) -> Option<Suspicion> {
        let (group, port) = self.parked.of(place)?;
        let (template, _) = self.templates.find(&group, port)?;
        Some(self.suspicion(&group, template, self.high_water, options))
    }

    /// What is thought of a template at a time.
    #[inline]
    pub(crate) fn suspicion(
        &self,
        group: &Group,
        template: &Template,
        now: i64,
        options: &Options,
    ) -> Suspicion {
        let session = (group.version, group.domain, template.port);
        self.restarts.suspicion(session, template.heard, now, options)
    }

    /// Decodes a set that waited, if there is a template for it; gives it up where that is of a later session.
    fn decode_late<O: Output>(&mut self, place: &Place, flags: u32, call: &mut Call<'_, O>) -> bool {
        let Some((group, port)) = self.parked.of(place) else { return false };
        let Some((template, borrowed)) = self.templates.find(&group, port) else { return false };
        let Some(set) = self.parked.remove(place, call.budget) else { return false };
        call.out.state(&state::parked_key(place), None);
        let session = (group.version, group.domain, port);
        if call.options.template_suspect_s > 0
            && self.restarts.between(session, set.received, template.learned)
        {
            call.counts.expired += 1;
            let sentence = format!(
                "set {} of domain {} and port {port} came before its exporter restarted, and its template after",
                group.id, group.domain
            );
            give_up(Reason::ParkedRestart, place, &set, sentence, call);
            return true;
        }
        call.counts.released += 1;
        let uptime = set.uptime.or_else(|| {
            let init = self.learned.init(group.domain)?;
            record::uptime(set.exported, init)
        });
        let mut late = Call {
            context: set.context(place, &call.context),
            datagram: weir_schemas::frame::Datagram {
                received: set.received,
                source_port: set.port,
                listener: call.datagram.listener,
                payload: &set.buffer,
            },
            options: call.options,
            budget: call.budget,
            out: call.out,
            counts: Default::default(),
            identity: call.identity,
            total_counters: call.total_counters,
            protocol: group.protocol(),
            domain: group.domain,
            record_index: set.record_index,
        };
        let mut base = late.base(set.exported);
        base.flags |= flags | if borrowed { flag::TEMPLATE_BORROWED } else { 0 };
        let asked =
            Asked { version: group.version, domain: group.domain, port: set.port, template: group.id };
        let data_set = Data {
            buffer: &set.buffer,
            start: 4 + SET_HEADER,
            end: set.buffer.len(),
            shift: set.offset as isize - 4,
            asked,
            clock: Clock { uptime, ..set.clock() },
            base,
        };
        data(template, (&mut self.learned, &mut self.checking), &data_set, &mut late);
        let counts = late.counts;
        call.counts += counts;
        true
    }

    /// Gives up what waits longer than the options allow.
    pub(crate) fn expire_parked<O: Output>(&mut self, call: &mut Call<'_, O>) {
        let age = i64::from(call.options.parked_age_s) * SECOND;
        let oldest = self.high_water.saturating_sub(age);
        while let Some(place) = self.parked.first_before(oldest) {
            self.drop_parked(Reason::ParkedExpired, &place, call);
        }
    }

    /// Gives up a set that waits; one whose template is known, and only suspect, is decoded by it.
    pub(crate) fn drop_parked<O: Output>(&mut self, reason: Reason, place: &Place, call: &mut Call<'_, O>) {
        if self.decode_late(place, flag::TEMPLATE_SUSPECT, call) {
            return;
        }
        let Some(set) = self.parked.remove(place, call.budget) else { return };
        call.out.state(&state::parked_key(place), None);
        call.counts.expired += 1;
        let sentence = format!(
            "set {} of domain {} and port {} waited for its template in vain",
            set.group.id, set.group.domain, set.port
        );
        give_up(reason, place, &set, sentence, call);
    }
}

fn give_up<O: Output>(reason: Reason, place: &Place, set: &Set, sentence: String, call: &mut Call<'_, O>) {
    call.counts.faults += 1;
    call.out.fault(Fault {
        reason,
        context: set.context(place, &call.context),
        received: set.received,
        source_port: set.port,
        protocol: set.group.protocol(),
        observation_domain: set.group.domain,
        offset: set.offset as usize,
        bytes: set.bytes(),
        sentence,
    });
}
