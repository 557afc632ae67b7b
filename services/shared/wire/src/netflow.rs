//! NetFlow v5, v9 (RFC 3954) and IPFIX (RFC 7011): headers, sets, templates and the data that they describe.
//!
//! One bad set never loses its neighbours: what a length allows to step over is stepped over, and reported with its place.

use crate::call::Call;
use crate::element::{SLICES, V5_RECORD};
use crate::exporter::Exporter;
use crate::learned::{Learned, Refusal, give, take};
use crate::output::{Fault, Output, Reason};
use crate::packet::LABELS;
use crate::parked::{Place, Set};
use crate::plan::{Field, Plan};
use crate::record::{self, Setting, Shape};
use crate::sampling::{Asked, Resolver};
use crate::state;
use crate::template::{self, Defined, Definition, Group, Template};
use crate::time::{Clock, Plausible};
use std::sync::OnceLock;
use weir_schemas::columns::flag;
use weir_schemas::{Flow, Protocol};

const SECOND: i64 = 1_000_000_000;
const V5_HEADER: usize = 24;
const V9_HEADER: usize = 20;
const IPFIX_HEADER: usize = 16;
/// Set id and length.
const SET_HEADER: usize = 4;

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

/// The v5 record, compiled like a template.
fn v5() -> &'static (Plan, Shape) {
    static V5: OnceLock<(Plan, Shape)> = OnceLock::new();
    V5.get_or_init(|| {
        let fields: Vec<_> =
            V5_RECORD.iter().map(|(id, length)| Field { id: *id, enterprise: 0, length: *length }).collect();
        let plan = Plan::compile(Protocol::NetflowV5, &fields, 0);
        let shape = Shape::of(plan.present, plan.slices);
        (plan, shape)
    })
}

/// A data set with what is needed to decode it, be it just received or after it waited.
struct Data<'d> {
    buffer: &'d [u8],
    /// Where its records begin and end in the buffer.
    start: usize,
    end: usize,
    /// What to add to a place in the buffer to get the place in the datagram.
    shift: isize,
    asked: Asked,
    clock: Clock,
    base: Flow<'static>,
}

/// What became of a data set.
enum Outcome {
    Decoded,
    Dead,
}

/// Decodes the records of a data set. A free function, because the template stays borrowed from the exporter's templates.
fn data<O: Output>(
    template: &Template,
    learned: &mut Learned,
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
            let row = learned.row(
                template,
                &words,
                (set.buffer, &slices),
                &set.asked,
                call.datagram.received,
                call.options,
                call.budget,
                call.out,
            );
            match row {
                Ok(()) => {}
                Err(Refusal::BadRate) => bad_rate = true,
                Err(Refusal::Full) => full = true,
            }
            at = next;
        }
    } else {
        let bound = call.options.max_sampling_interval;
        let mut resolver = Resolver::new(&learned.rates, set.asked, plan.present, bound);
        let setting = Setting { base: set.base, clock: set.clock, plausible: Plausible::of(call.options) };
        while set.end - at >= plan.min_length {
            let Some(next) = plan.read(set.buffer, at, set.end, &mut words, &mut slices) else { break };
            let sections = (set.buffer, &slices);
            let (mut flow, bad) = template.shape.flow(&setting, &words, sections, &mut resolver, &mut labels);
            flow.record_index = call.record_index;
            bad_rate |= bad;
            call.record_index = call.record_index.wrapping_add(1);
            call.counts.flows += 1;
            call.out.flow(flow);
            at = next;
        }
    }
    if plan.is_variable() && set.end - at >= plan.min_length {
        call.counts.records_dead += 1;
        let place = at.saturating_add_signed(set.shift);
        let sentence =
            format!("a field of the record at byte {place} runs over the end of set {}", set.asked.template);
        call.fault(Reason::BadRecord, place, &set.buffer[at..set.end], sentence);
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
    /// NetFlow version 5: a header and records of one layout.
    pub(crate) fn netflow_v5<O: Output>(&mut self, call: &mut Call<'_, O>) {
        call.protocol = Protocol::NetflowV5;
        let payload = call.datagram.payload;
        let Some(header) = payload.first_chunk::<V5_HEADER>() else {
            let sentence = format!("NetFlow v5 datagram of {} bytes has no whole header", payload.len());
            return call.dead(Reason::Truncated, sentence);
        };
        let count = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let word = |at: usize| u32_at(header, at).unwrap_or_default();
        call.domain = u32::from(header[20]) << 8 | u32::from(header[21]);
        let exported = i64::from(word(8)) * SECOND + i64::from(word(12));
        let clock = Clock { exported, uptime: Some(word(4)) };
        let interval = u16::from_be_bytes([header[22], header[23]]) & 0x3fff;
        let (plan, shape) = v5();
        let whole = ((payload.len() - V5_HEADER) / plan.min_length).min(count);
        if whole == 0 && count > 0 {
            let sentence = format!(
                "NetFlow v5 datagram of {} bytes has none of the {count} records its header names",
                payload.len()
            );
            return call.dead(Reason::Truncated, sentence);
        }
        let mut words = [0; 256];
        let mut slices = [(0, 0); SLICES];
        let mut labels = [0; LABELS];
        let mut resolver = Resolver::header(&self.learned.rates, interval);
        let setting = Setting { base: call.base(exported), clock, plausible: Plausible::of(call.options) };
        for at in (0..whole).map(|n| V5_HEADER + n * plan.min_length) {
            if plan.read(payload, at, payload.len(), &mut words, &mut slices).is_none() {
                break;
            }
            let (mut flow, _) = shape.flow(&setting, &words, (payload, &slices), &mut resolver, &mut labels);
            flow.record_index = call.record_index;
            call.record_index += 1;
            call.counts.flows += 1;
            call.out.flow(flow);
        }
        call.counts.sets += 1;
        call.counts.sets_decoded += 1;
        let end = V5_HEADER + whole * plan.min_length;
        if whole < count {
            call.counts.records_dead += (count - whole) as u64;
            let sentence = format!("the header names {count} records, the datagram has {whole} whole ones");
            call.fault(Reason::Truncated, end, &payload[end..], sentence);
        } else if end < payload.len() {
            let sentence =
                format!("{} bytes follow after the {count} records the header names", payload.len() - end);
            call.fault(Reason::TrailingBytes, end, &payload[end..], sentence);
        }
    }

    /// NetFlow version 9.
    pub(crate) fn netflow_v9<O: Output>(&mut self, call: &mut Call<'_, O>) {
        call.protocol = Protocol::NetflowV9;
        let payload = call.datagram.payload;
        let Some(header) = payload.first_chunk::<V9_HEADER>() else {
            let sentence = format!("NetFlow v9 datagram of {} bytes has no whole header", payload.len());
            return call.dead(Reason::Truncated, sentence);
        };
        let word = |at: usize| u32_at(header, at).unwrap_or_default();
        call.domain = word(16);
        let clock = Clock { exported: i64::from(word(8)) * SECOND, uptime: Some(word(4)) };
        self.sets(9, V9_HEADER, payload.len(), clock, call);
    }

    /// IPFIX.
    pub(crate) fn ipfix<O: Output>(&mut self, call: &mut Call<'_, O>) {
        call.protocol = Protocol::Ipfix;
        let payload = call.datagram.payload;
        let Some(header) = payload.first_chunk::<IPFIX_HEADER>() else {
            let sentence = format!("IPFIX message of {} bytes has no whole header", payload.len());
            return call.dead(Reason::Truncated, sentence);
        };
        let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
        let word = |at: usize| u32_at(header, at).unwrap_or_default();
        call.domain = word(12);
        let exported = i64::from(word(4)) * SECOND;
        let uptime = self.learned.inits.get(&call.domain).and_then(|init| record::uptime(exported, *init));
        if length < IPFIX_HEADER {
            let sentence = format!("IPFIX message gives its length as {length}, its header has 16 bytes");
            return call.dead(Reason::BadSetLength, sentence);
        }
        let end = length.min(payload.len());
        self.sets(10, IPFIX_HEADER, end, Clock { exported, uptime }, call);
        if length > payload.len() {
            let sentence = format!(
                "IPFIX message gives its length as {length}, the datagram has {} bytes",
                payload.len()
            );
            call.fault(Reason::Truncated, payload.len(), &[], sentence);
        } else if end < payload.len() {
            let sentence = format!("{} bytes follow after the end of the IPFIX message", payload.len() - end);
            call.fault(Reason::TrailingBytes, end, &payload[end..], sentence);
        }
    }

    /// Walks over the sets of a message.
    fn sets<O: Output>(
        &mut self,
        version: u8,
        mut at: usize,
        end: usize,
        clock: Clock,
        call: &mut Call<'_, O>,
    ) {
        let payload = call.datagram.payload;
        let mut index = 0;
        while end - at >= SET_HEADER {
            let (Some(id), Some(length)) = (u16_at(payload, at), u16_at(payload, at + 2)) else { return };
            let length = usize::from(length);
            // v9 exporters pad a datagram's end with zeros at times.
            if (id, length) == (0, 0) && version == 9 && payload[at..end].iter().all(|b| *b == 0) {
                return;
            }
            call.counts.sets += 1;
            if length < SET_HEADER || length > end - at {
                call.counts.sets_dead += 1;
                let sentence = format!(
                    "set {id} at byte {at} gives its length as {length}, {} bytes are left",
                    end - at
                );
                return call.fault(Reason::BadSetLength, at, &payload[at..end], sentence);
            }
            let next = at + length;
            let templates = if version == 9 { (0, 1) } else { (2, 3) };
            if id == templates.0 || id == templates.1 {
                call.counts.sets_decoded += 1;
                self.templates(version, id == templates.1, at, next, call);
            } else if id < 256 {
                call.counts.sets_dead += 1;
                let sentence = format!("set id {id} at byte {at} is reserved");
                call.fault(Reason::ReservedSet, at, &payload[at..next], sentence);
            } else {
                self.data_set(Group { version, domain: call.domain, id }, (at, next), index, clock, call);
            }
            index += 1;
            at = next;
        }
        if at < end && payload[at..end].iter().any(|b| *b != 0) {
            let sentence = format!("{} bytes at the end are no set", end - at);
            call.fault(Reason::TrailingBytes, at, &payload[at..end], sentence);
        }
    }

    /// Reads a set of templates or of options templates.
    fn templates<O: Output>(
        &mut self,
        version: u8,
        options: bool,
        set: usize,
        end: usize,
        call: &mut Call<'_, O>,
    ) {
        let payload = call.datagram.payload;
        let mut at = set + SET_HEADER;
        let header = match (version, options) {
            (_, false) => 4,
            _ => 6,
        };
        // An IPFIX withdrawal has four bytes, also one of an options template.
        while end - at >= 4 {
            let bytes = &payload[at..end];
            if bytes.iter().all(|b| *b == 0) {
                return;
            }
            let (Some(id), Some(first)) = (u16_at(bytes, 0), u16_at(bytes, 2)) else { return };
            if version == 10 && first == 0 {
                call.counts.withdrawals_ignored += 1;
                at += 4;
                continue;
            }
            let parsed = definition(call.protocol, options, bytes, header, first);
            let (definition, used) = match parsed {
                Ok(parsed) => parsed,
                Err(sentence) => {
                    let sentence = format!("template {id} at byte {at}: {sentence}");
                    return call.fault(Reason::BadTemplate, at, bytes, sentence);
                }
            };
            if options {
                call.counts.options_templates += 1;
            } else {
                call.counts.templates += 1;
            }
            if id < 256 {
                let sentence = format!("template {id} at byte {at}: ids below 256 are reserved");
                call.fault(Reason::BadTemplate, at, &bytes[..used], sentence);
            } else {
                let group = Group { version, domain: call.domain, id };
                self.define(group, &definition, (at, used), call);
            }
            at += used;
        }
    }

    fn define<O: Output>(
        &mut self,
        group: Group,
        definition: &Definition<'_>,
        (at, used): (usize, usize),
        call: &mut Call<'_, O>,
    ) {
        let port = call.datagram.source_port;
        let received = call.datagram.received;
        let room = |bytes: usize| call.budget.state.saturating_add(bytes) <= call.budget.state_limit;
        let had = self.templates.has(&group, port);
        match self.templates.define(group, port, definition, received, call.options, room) {
            Ok(Defined::Known) => {}
            Ok(Defined::Changed { evicted, freed, cost, ignored }) => {
                give(call.budget, freed);
                take(call.budget, cost);
                call.counts.templates_compiled += 1;
                call.counts.fields_ignored += u64::from(ignored);
                for (group, port) in evicted {
                    call.out.state(&state::template_key(&group, port), None);
                }
                if let Some(template) = self.templates.own(&group, port) {
                    let key = state::template_key(&group, port);
                    call.out.state(&key, Some(&state::template_value(template)));
                }
                self.release(&group, port, call);
            }
            Err(refused) => {
                give(call.budget, refused.freed);
                if had && !self.templates.has(&group, port) {
                    call.out.state(&state::template_key(&group, port), None);
                }
                for (group, port) in refused.evicted {
                    call.out.state(&state::template_key(&group, port), None);
                }
                let bytes = &call.datagram.payload[at..at + used];
                let sentence = format!("template {} at byte {at}: {}", group.id, refused.sentence);
                call.fault(refused.reason, at, bytes, sentence);
            }
        }
    }

    /// Decodes a data set, or lets it wait for its template.
    fn data_set<O: Output>(
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
        let mut base = call.base(clock.exported);
        base.flags |= if borrowed { flag::TEMPLATE_BORROWED } else { 0 };
        let asked = Asked { version: group.version, domain: group.domain, port, template: group.id };
        let set = Data { buffer: payload, start: at + SET_HEADER, end, shift: 0, asked, clock, base };
        match data(template, &mut self.learned, &set, call) {
            Outcome::Decoded => call.counts.sets_decoded += 1,
            Outcome::Dead => call.counts.sets_dead += 1,
        }
    }

    fn park<O: Output>(
        &mut self,
        group: Group,
        (at, end): (usize, usize),
        index: u32,
        clock: Clock,
        call: &mut Call<'_, O>,
    ) {
        let bytes = &call.datagram.payload[at..end];
        if !self.parked.fits(bytes.len(), call.options, call.budget) {
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
    fn release<O: Output>(&mut self, group: &Group, port: u16, call: &mut Call<'_, O>) {
        if self.parked.is_empty() {
            return;
        }
        let all = self.templates.agree(group);
        for place in self.parked.waiting(group, (!all).then_some(port)) {
            let Some((template, borrowed)) =
                self.templates.find(group, self.parked.port(&place).unwrap_or(port))
            else {
                continue;
            };
            let Some(set) = self.parked.remove(&place, call.budget) else { continue };
            call.out.state(&state::parked_key(&place), None);
            call.counts.released += 1;
            let uptime = set.uptime.or_else(|| {
                let init = self.learned.inits.get(&group.domain)?;
                record::uptime(set.exported, *init)
            });
            let mut late = Call {
                context: set.context(&place, &call.context),
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
                protocol: group.protocol(),
                domain: group.domain,
                record_index: set.record_index,
            };
            let mut base = late.base(set.exported);
            base.flags |= flag::TEMPLATE_LATE | if borrowed { flag::TEMPLATE_BORROWED } else { 0 };
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
            data(template, &mut self.learned, &data_set, &mut late);
            let counts = late.counts;
            call.counts += counts;
        }
    }

    /// Gives up what waits longer than the options allow.
    pub(crate) fn expire_parked<O: Output>(&mut self, call: &mut Call<'_, O>) {
        let age = i64::from(call.options.parked_age_s) * SECOND;
        let oldest = self.high_water.saturating_sub(age);
        while let Some(place) = self.parked.first_before(oldest) {
            self.drop_parked(Reason::ParkedExpired, &place, call);
        }
    }

    /// Gives up a set that waits.
    pub(crate) fn drop_parked<O: Output>(&mut self, reason: Reason, place: &Place, call: &mut Call<'_, O>) {
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

/// Reads a template's own header and finds its end. `bytes` go from the template to the end of its set.
fn definition(
    protocol: Protocol,
    options: bool,
    bytes: &[u8],
    header: usize,
    first: u16,
) -> Result<(Definition<'_>, usize), String> {
    let cut_off = || format!("it is cut off: {} bytes are left of its set", bytes.len());
    let second = if options { u16_at(bytes, 4).ok_or_else(cut_off)? } else { 0 };
    if protocol == Protocol::NetflowV9 && options {
        // RFC 3954 section 6.1: lengths of scopes and of options, in bytes.
        let (scopes, rest) = (usize::from(first), usize::from(second));
        if scopes % 4 != 0 || rest % 4 != 0 || scopes + rest == 0 {
            return Err(format!(
                "its scopes have {scopes} bytes and its options {rest}, specifiers have 4 each"
            ));
        }
        let body = bytes.get(header..header + scopes + rest).ok_or_else(cut_off)?;
        return Ok((Definition { options, scopes: first / 4, body }, header + scopes + rest));
    }
    if first == 0 {
        return Err("it has no fields".into());
    }
    let rest = bytes.get(header..).ok_or_else(cut_off)?;
    let (_, used) = template::fields(protocol, rest, usize::from(first)).ok_or_else(cut_off)?;
    Ok((Definition { options, scopes: second, body: &rest[..used] }, header + used))
}
