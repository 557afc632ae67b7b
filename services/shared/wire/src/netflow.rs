//! NetFlow v9 (RFC 3954) and IPFIX (RFC 7011): headers, sets and templates.
//!
//! One bad set never loses its neighbours: what a length allows to step over is stepped over, and reported with its place.

use crate::call::Call;
use crate::exporter::Exporter;
use crate::learned::{give, has_room, take};
use crate::output::{Output, Reason};
use crate::record;
use crate::state;
use crate::template::{self, Defined, Definition, Group};
use crate::time::Clock;
use weir_schemas::Protocol;

const SECOND: i64 = 1_000_000_000;
const V9_HEADER: usize = 20;
const IPFIX_HEADER: usize = 16;
/// Set id and length.
pub(crate) const SET_HEADER: usize = 4;

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

/// Whether what is left behind records is nothing.
pub(crate) fn is_padding(rest: &[u8]) -> bool {
    rest.iter().all(|byte| *byte == 0)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

impl Exporter {
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
        let (port, received) = (call.datagram.source_port, call.datagram.received);
        self.restarts.uptime(call.domain, port, word(4), received);
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
        self.none_left = [false; 2];
        let exported = i64::from(word(4)) * SECOND;
        let uptime = self.learned.init(call.domain).and_then(|init| record::uptime(exported, init));
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
                self.template_set(version, id == templates.1, at, next, call);
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
        if at < end && !is_padding(&payload[at..end]) {
            let sentence = format!("{} bytes at the end are no set", end - at);
            call.fault(Reason::TrailingBytes, at, &payload[at..end], sentence);
        }
    }

    /// Reads a set of templates or of options templates.
    fn template_set<O: Output>(
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
        // Where padding would begin; found once, so that a set of zeros costs no more than its length.
        let content = payload[at..end].iter().rposition(|b| *b != 0).map_or(at, |last| at + last + 1);
        // An IPFIX withdrawal has four bytes, also one of an options template.
        while end - at >= 4 && at < content {
            let bytes = &payload[at..end];
            let (Some(id), Some(first)) = (u16_at(bytes, 0), u16_at(bytes, 2)) else { return };
            // Ids 2 and 3 withdraw all templates of a kind (RFC 7011 section 8.1); others below 256 are none.
            if version == 10 && first == 0 && (id >= 256 || id == 2 || id == 3) {
                if self.stream {
                    call.counts.withdrawals += 1;
                    // All were withdrawn already: so many more that say so cost nothing.
                    if id >= 256 || !std::mem::replace(&mut self.none_left[usize::from(options)], true) {
                        self.withdraw(options, id, call);
                    }
                } else {
                    call.counts.withdrawals_ignored += 1;
                }
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
                self.none_left = [false; 2];
                let group = Group { version, domain: call.domain, id };
                self.define(group, &definition, (at, used), call);
            }
            at += used;
        }
    }

    /// Forgets a template of the domain, or all of a kind. One that is not known is none.
    fn withdraw<O: Output>(&mut self, options: bool, id: u16, call: &mut Call<'_, O>) {
        let (domain, port) = (call.domain, call.datagram.source_port);
        let of = |id: u16| Group { version: 10, domain, id };
        let ids = if id < 256 {
            self.templates.of_kind(10, domain, port, options)
        } else {
            let own = self.templates.own(&of(id), port);
            own.filter(|template| template.options == options).map(|_| id).into_iter().collect()
        };
        for group in ids.into_iter().map(of) {
            if let Some(old) = self.templates.remove(&group, port) {
                give(call.budget, old.cost());
                self.forgotten(&[(group, port)], call);
            }
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
        let room = |bytes: usize| has_room(call.budget, bytes);
        let had = self.templates.has(&group, port);
        match self.templates.define(group, port, definition, received, call.options, room) {
            // What waits for it to be sent again, since its exporter restarted.
            Ok(Defined::Known) => self.release(&group, port, call),
            Ok(Defined::Changed { evicted, freed, cost, ignored, flapped }) => {
                self.checking.sums.templates_flapped += u64::from(flapped);
                give(call.budget, freed);
                take(call.budget, cost);
                call.counts.templates_compiled += 1;
                call.counts.fields_ignored += u64::from(ignored);
                // First, so that whoever takes state back in this order never has more than there is room for.
                self.forgotten(&evicted, call);
                if let Some(template) = self.templates.own(&group, port) {
                    let key = state::template_key(&group, port);
                    call.out.state(&key, Some(&state::template_value(template)));
                }
                self.release(&group, port, call);
            }
            Err(refused) => {
                give(call.budget, refused.freed);
                if had && !self.templates.has(&group, port) {
                    self.forgotten(&[(group, port)], call);
                }
                self.forgotten(&refused.evicted, call);
                let bytes = &call.datagram.payload[at..at + used];
                let sentence = format!("template {} at byte {at}: {}", group.id, refused.sentence);
                call.fault(refused.reason, at, bytes, sentence);
            }
        }
    }

    /// Templates are gone: those of other ports may now be the same, and decode what waits.
    fn forgotten<O: Output>(&mut self, templates: &[(Group, u16)], call: &mut Call<'_, O>) {
        for (group, port) in templates {
            call.out.state(&state::template_key(group, *port), None);
        }
        self.gone.extend(templates.iter().map(|(group, _)| *group));
    }
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
