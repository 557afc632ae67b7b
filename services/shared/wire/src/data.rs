//! Data sets: records of a known template to flows, options data to what is learned from it.

use crate::call::Call;
use crate::checks::Checking;
use crate::element::SLICES;
use crate::exporter::Exporter;
use crate::identity::Said;
use crate::learned::{Learned, Refusal};
use crate::netflow::{SET_HEADER, is_padding};
use crate::options::TotalCounters;
use crate::output::{Output, Reason};
use crate::packet::LABELS;
use crate::rates::Asked;
use crate::record::Setting;
use crate::resolve::Resolver;
use crate::restart::Suspicion;
use crate::template::{Group, Template};
use crate::time::{Clock, Plausible};
use weir_schemas::Flow;
use weir_schemas::columns::flag;

/// Sets are padded to so many bytes, with zeros (RFC 7011 section 3.3.1; RFC 3954 section 5.3). What fewer bytes are is not looked at.
const ALIGNMENT: usize = 4;

/// A data set with what is needed to decode it, be it just received or after it waited.
pub(crate) struct Data<'d> {
    pub buffer: &'d [u8],
    /// Where its records begin and end in the buffer.
    pub start: usize,
    pub end: usize,
    /// What to add to a place in the buffer to get the place in the datagram.
    pub shift: isize,
    pub asked: Asked,
    pub clock: Clock,
    pub base: Flow<'static>,
}

/// What became of a data set.
pub(crate) enum Outcome {
    Decoded,
    Dead,
}

/// Decodes the records of a data set. A free function, because the template stays borrowed from the exporter's templates.
pub(crate) fn data<O: Output>(
    template: &Template,
    (learned, checking): (&mut Learned, &mut Checking),
    set: &Data<'_>,
    call: &mut Call<'_, O>,
) -> Outcome {
    let plan = &template.plan;
    let whole = |call: &mut Call<'_, O>, reason, sentence| {
        let at = set.start - SET_HEADER;
        call.fault(reason, at.saturating_add_signed(set.shift), &set.buffer[at..set.end], sentence);
        Outcome::Dead
    };
    let length = set.end - set.start;
    if length < plan.min_length && length > 0 {
        let sentence = format!(
            "set {} has {length} bytes of records, its template's records have {} or more",
            set.asked.template, plan.min_length
        );
        return whole(call, Reason::BadRecord, sentence);
    }
    let mut words = [0; 256];
    let mut slices = [(0, 0); SLICES];
    let mut at = set.start;
    let mut labels = [0; LABELS];
    let mut bad_rate = false;
    let mut full = false;
    if template.options {
        while set.end - at >= plan.min_length {
            let Some(next) = plan.read(set.buffer, at, set.end, &mut words, &mut slices) else { break };
            call.counts.option_records += 1;
            checking.unsent(&set.asked, &plan.present, &words);
            let row = learned.row(
                template,
                &words,
                (set.buffer, at, &slices),
                &set.asked,
                call.datagram.received,
                call.options,
                call.budget,
                call.out,
            );
            checking.selected(&learned.rates, &set.asked, &plan.present, &words);
            match row {
                Ok(()) => {}
                Err(Refusal::BadRate) => bad_rate = true,
                Err(Refusal::Full) => full = true,
            }
            at = next;
        }
    } else {
        let bound = call.options.max_sampling_interval;
        let Learned { rates, totals, .. } = learned;
        let mut resolver = Resolver::new(rates, set.asked, plan.present, bound);
        let said = Said::known(rates, &set.asked);
        let mut base = set.base;
        said.put(call.identity, &mut base);
        let mut setting = Setting {
            base,
            clock: set.clock,
            plausible: Plausible::of(call.options),
            tunnels: call.options.tunnels,
            identity: call.identity,
            said,
            since: None,
        };
        let key = template.key.as_deref().filter(|_| call.total_counters == TotalCounters::Cumulative);
        while set.end - at >= plan.min_length {
            let Some(next) = plan.read(set.buffer, at, set.end, &mut words, &mut slices) else { break };
            let shape = &template.shape;
            // A record is large: it is copied here, and nowhere else.
            let mut flow: Flow<'_> = setting.base;
            flow.record_index = call.record_index;
            if let Some(key) = key {
                let of = key.flow(set.asked.domain, &set.buffer[at..next], &words);
                let now = (shape.when(&setting, &words), &key.widths);
                let room = (call.options, &mut *call.budget, &mut call.counts);
                let worth = totals.difference(of, now, (&plan.present, &mut words), room, call.out);
                setting.since = worth.since();
                flow.flags |= worth.flags();
            }
            let (read, sums) = ((&words, (set.buffer, &slices)), &mut checking.sums);
            bad_rate |= shape.fill(&mut flow, &setting, read, &mut resolver, &mut labels, sums);
            call.record_index = call.record_index.wrapping_add(1);
            call.counts.flows += 1;
            call.out.flow(&flow);
            if shape.both_ways
                && let Some(mut back) = shape.reverse(&flow, &setting, &words)
            {
                back.record_index = call.record_index;
                call.record_index = call.record_index.wrapping_add(1);
                call.counts.flows += 1;
                call.counts.reverse_flows += 1;
                call.out.flow(&back);
            }
            at = next;
        }
    }
    let rest = &set.buffer[at..set.end];
    let place = at.saturating_add_signed(set.shift);
    if plan.is_variable() && rest.len() >= plan.min_length {
        call.counts.records_dead += 1;
        let sentence =
            format!("a field of the record at byte {place} runs over the end of set {}", set.asked.template);
        call.fault(Reason::BadRecord, place, rest, sentence);
    } else if rest.len() >= ALIGNMENT && !is_padding(rest) {
        let sentence = format!(
            "{} bytes follow after the last record of set {} at byte {place}, too few for another and too many for padding",
            rest.len(),
            set.asked.template
        );
        call.fault(Reason::TrailingBytes, place, rest, sentence);
    }
    if bad_rate {
        let sentence = format!("set {} has sampling parameters that give no interval", set.asked.template);
        whole(call, Reason::BadRate, sentence);
    }
    if full {
        let sentence = format!("set {} has options data for which there is no room left", set.asked.template);
        whole(call, Reason::StateLimit, sentence);
    }
    Outcome::Decoded
}

impl Exporter {
    /// Decodes a data set, or lets it wait for its template.
    pub(crate) fn data_set<O: Output>(
        &mut self,
        group: Group,
        (at, end): (usize, usize),
        index: u32,
        clock: Clock,
        call: &mut Call<'_, O>,
    ) {
        let payload = call.datagram.payload;
        let port = call.datagram.source_port;
        let Some((template, borrowed)) = self.templates.find(&group, port) else {
            return self.park(group, (at, end), index, clock, call);
        };
        let suspicion = self.suspicion(&group, template, call.datagram.received, call.options);
        // Half of the room is left to data that has no template at all.
        if let Suspicion::Wait(until) = suspicion
            && self.parked.fits(end - at, 2, call.options, call.budget)
        {
            self.restarts.wait(until);
            return self.park(group, (at, end), index, clock, call);
        }
        let mut base = call.base(clock.exported);
        base.flags |= if borrowed { flag::TEMPLATE_BORROWED } else { 0 };
        base.flags |= if suspicion == Suspicion::None { 0 } else { flag::TEMPLATE_SUSPECT };
        let asked = Asked { version: group.version, domain: group.domain, port, template: group.id };
        let set = Data { buffer: payload, start: at + SET_HEADER, end, shift: 0, asked, clock, base };
        match data(template, (&mut self.learned, &mut self.checking), &set, call) {
            Outcome::Decoded => call.counts.sets_decoded += 1,
            Outcome::Dead => call.counts.sets_dead += 1,
        }
    }
}
