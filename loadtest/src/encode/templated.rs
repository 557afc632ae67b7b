//! NetFlow version 9 (RFC 3954) and IPFIX (RFC 7011): templates, options, data.
//!
//! A template is a list of elements; a record is written by walking it.

use super::{Clock, Control, Put, ROOM, Told};
use crate::network::{Announces, Exporter, ExportsAs, Protocol};
use crate::traffic::Flow;

/// An element and its length.
type Field = (u16, u16);

/// Templates of IPv4 and IPv6; the other way round after every second restart.
const DATA: [u16; 2] = [256, 257];
const SAMPLER: u16 = 258;
const INTERFACES: u16 = 259;
/// Sampler or selector that records name.
const SAMPLER_ID: u8 = 1;
/// A length that means variable (RFC 7011 section 7).
const VARIABLE: u16 = u16::MAX;
/// Lengths of version 9's interface name and description.
const NAME: usize = 32;
const DESCRIPTION: usize = 64;

/// The exporting process of a templated protocol.
#[derive(Debug)]
pub struct Process {
    ipfix: bool,
    domain: u32,
    /// Messages (version 9) or data records (IPFIX) sent.
    sequence: u32,
    /// Template ids of IPv4 and IPv6.
    ids: [u16; 2],
    v4: Vec<Field>,
    v6: Vec<Field>,
}

fn elements(exporter: &Exporter, six: bool) -> Vec<Field> {
    let ipfix = exporter.protocol == Protocol::Ipfix;
    let mut all: Vec<Field> = if six {
        vec![(27, 16), (28, 16), (29, 1), (30, 1), (62, 16)]
    } else {
        vec![(8, 4), (12, 4), (9, 1), (13, 1), (15, 4)]
    };
    all.extend([(7, 2), (11, 2), (4, 1), (5, 1), (10, 4), (14, 4)]);
    if ipfix {
        all.extend([(6, 2), (1, 8), (2, 8), (152, 8), (153, 8)]);
    } else {
        all.extend([(6, 1), (1, 4), (2, 4), (22, 4), (21, 4)]);
    }
    if exporter.exports_as != ExportsAs::Nothing {
        all.extend([(16, 4), (17, 4), (61, 1)]);
    }
    match exporter.announces {
        Announces::Selector => all.extend([(302, 8), (129, 4), (128, 4)]),
        Announces::Sampler => all.push((48, 1)),
        Announces::InRecord => all.extend([(34, 4), (35, 1)]),
        Announces::Always | Announces::Never => {}
    }
    all
}

fn length(fields: &[Field]) -> usize {
    fields.iter().map(|(_, length)| usize::from(*length)).sum()
}

impl Process {
    pub fn new(exporter: &Exporter, number: usize, domains: u32) -> Self {
        let ipfix = exporter.protocol == Protocol::Ipfix;
        Self {
            ipfix,
            domain: domains + if ipfix { 1000 + number as u32 } else { 0 },
            sequence: 0,
            ids: DATA,
            v4: elements(exporter, false),
            v6: elements(exporter, true),
        }
    }

    /// Whether ids and layouts are other than at first.
    pub fn turned(&self) -> bool {
        self.ids != DATA
    }

    /// Gives the ids another meaning, and fields another order.
    pub fn turn(&mut self, turned: bool) {
        if turned != self.turned() {
            self.ids.reverse();
            self.v4.reverse();
            self.v6.reverse();
        }
    }

    pub fn capacity(&self) -> usize {
        // Headers of the message and two sets, padding; all may be of the longer kind.
        (ROOM - 40) / length(&self.v6)
    }

    /// Begins a message.
    fn message(&self, clock: Clock) -> Vec<u8> {
        let mut out = Vec::with_capacity(ROOM);
        if self.ipfix {
            out.u16(10);
            out.u16(0);
            out.u32(clock.seconds());
        } else {
            out.u16(9);
            out.u16(0);
            out.u32(clock.uptime_ms());
            out.u32(clock.seconds());
        }
        out.u32(self.sequence);
        out.u32(self.domain);
        out
    }

    /// Ends a message that has so many records, of which so many are data.
    fn finish(&mut self, mut out: Vec<u8>, records: usize, data: usize) -> Vec<u8> {
        if self.ipfix {
            let length = out.len();
            out.set_u16(2, length);
            self.sequence = self.sequence.wrapping_add(data as u32);
        } else {
            out.set_u16(2, records);
            self.sequence = self.sequence.wrapping_add(1);
        }
        out
    }

    /// Templates, then what options data there is to tell.
    pub fn control(&mut self, exporter: &Exporter, clock: Clock, rate: bool) -> Vec<(Control, Vec<u8>)> {
        let mut out = self.message(clock);
        set(&mut out, if self.ipfix { 2 } else { 0 }, |out| {
            for (id, fields) in self.ids.into_iter().zip([&self.v4, &self.v6]) {
                out.u16(id);
                out.u16(fields.len() as u16);
                specifiers(out, fields);
            }
        });
        let sampler = self.sampler_options(exporter);
        let interfaces: (&[Field], &[Field]) = if self.ipfix {
            (&[(10, 4)], &[(82, VARIABLE), (83, VARIABLE)])
        } else {
            (&[(2, 4)], &[(82, NAME as u16), (83, DESCRIPTION as u16)])
        };
        let mut templates = 3;
        set(&mut out, if self.ipfix { 3 } else { 1 }, |out| {
            if let Some((scope, fields)) = &sampler {
                templates += 1;
                self.options_template(out, SAMPLER, scope, fields);
            }
            self.options_template(out, INTERFACES, interfaces.0, interfaces.1);
        });
        let mut messages = vec![(Control::Templates, self.finish(out, templates, 0))];
        if let Some((scope, fields)) = sampler.filter(|_| rate) {
            let mut out = self.message(clock);
            set(&mut out, SAMPLER, |out| {
                for (id, length) in scope.iter().chain(&fields) {
                    let value = match id {
                        48 | 302 => u64::from(SAMPLER_ID),
                        // Random, of samplerMode; systematic count-based, of selectorAlgorithm.
                        49 => 2,
                        304 | 305 => 1,
                        50 => u64::from(exporter.interval),
                        306 => u64::from(exporter.interval) - 1,
                        149 => u64::from(self.domain),
                        _ => 0,
                    };
                    number(out, value, *length);
                }
            });
            messages.push((Control::Rate, self.finish(out, 1, 1)));
        }
        for chunk in exporter.interfaces.chunks(12) {
            let mut out = self.message(clock);
            set(&mut out, INTERFACES, |out| {
                for one in chunk {
                    out.u32(one.index);
                    for (text, room) in [(&one.name, NAME), (&one.description, DESCRIPTION)] {
                        let cut = (0..=text.len().min(room))
                            .rev()
                            .find(|at| text.is_char_boundary(*at))
                            .unwrap_or(0);
                        let text = &text.as_bytes()[..cut];
                        if self.ipfix {
                            out.u8(text.len() as u8);
                        }
                        out.extend_from_slice(text);
                        if !self.ipfix {
                            out.resize(out.len() + room - text.len(), 0);
                        }
                    }
                }
            });
            messages.push((Control::Interfaces, self.finish(out, chunk.len(), chunk.len())));
        }
        messages
    }

    fn sampler_options(&self, exporter: &Exporter) -> Option<(Vec<Field>, Vec<Field>)> {
        match (exporter.announces, self.ipfix) {
            (Announces::Selector, _) => Some((vec![(302, 8)], vec![(304, 2), (305, 4), (306, 4)])),
            (Announces::Sampler, true) => Some((vec![(149, 4)], vec![(48, 1), (49, 1), (50, 4)])),
            (Announces::Sampler, false) => Some((vec![(1, 4)], vec![(48, 1), (49, 1), (50, 4)])),
            _ => None,
        }
    }

    fn options_template(&self, out: &mut Vec<u8>, id: u16, scope: &[Field], fields: &[Field]) {
        out.u16(id);
        if self.ipfix {
            out.u16((scope.len() + fields.len()) as u16);
            out.u16(scope.len() as u16);
        } else {
            out.u16(4 * scope.len() as u16);
            out.u16(4 * fields.len() as u16);
        }
        specifiers(out, scope);
        specifiers(out, fields);
    }

    pub fn data(
        &mut self,
        exporter: &Exporter,
        flows: &[Flow],
        clock: Clock,
        told: &mut Vec<Told>,
    ) -> Vec<u8> {
        let mut out = self.message(clock);
        let [four, six] = self.ids;
        for (id, six, fields) in [(four, false, &self.v4), (six, true, &self.v6)] {
            let mut of = flows.iter().filter(|flow| flow.addresses.0.is_ipv6() == six).peekable();
            if of.peek().is_none() {
                continue;
            }
            set(&mut out, id, |out| of.for_each(|flow| record(out, fields, exporter, flow, clock)));
        }
        let exported_ns = i64::from(clock.seconds()) * 1_000_000_000;
        // IPFIX tells times, version 9 how long ago by the uptime.
        let origin_ns = if self.ipfix { clock.now_ns / 1_000_000 * 1_000_000 } else { exported_ns };
        told.extend(flows.iter().map(|flow| {
            let ended = i64::from(flow.ended_ms);
            Told {
                exported_ns,
                start_ns: origin_ns - (ended + i64::from(flow.lasted_ms)) * 1_000_000,
                end_ns: origin_ns - ended * 1_000_000,
                ases: if exporter.exports_as == ExportsAs::Origin { flow.ases } else { (0, 0) },
                interval: 0,
            }
        }));
        self.finish(out, flows.len(), flows.len())
    }
}

/// A set of a body, padded to four bytes.
fn set(out: &mut Vec<u8>, id: u16, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.u16(id);
    out.u16(0);
    body(out);
    out.resize(at + (out.len() - at).next_multiple_of(4), 0);
    let length = out.len() - at;
    out.set_u16(at + 2, length);
}

fn specifiers(out: &mut Vec<u8>, fields: &[Field]) {
    for (id, length) in fields {
        out.u16(*id);
        out.u16(*length);
    }
}

fn number(out: &mut Vec<u8>, value: u64, length: u16) {
    let bytes = value.to_be_bytes();
    out.extend_from_slice(&bytes[8 - usize::from(length).min(8)..]);
}

fn record(out: &mut Vec<u8>, fields: &[Field], exporter: &Exporter, flow: &Flow, clock: Clock) {
    let began = flow.ended_ms + flow.lasted_ms;
    let now_ms = clock.now_ns / 1_000_000;
    for (id, length) in fields {
        let value = match id {
            8 | 27 => {
                out.address(flow.addresses.0);
                continue;
            }
            12 | 28 => {
                out.address(flow.addresses.1);
                continue;
            }
            15 | 62 => {
                out.address(flow.next_hop);
                continue;
            }
            1 => flow.bytes,
            2 => flow.packets,
            4 => flow.proto.into(),
            5 => flow.tos.into(),
            6 => flow.tcp_flags.into(),
            7 => flow.ports.0.into(),
            9 | 29 => flow.lengths.0.into(),
            10 => flow.interfaces.0.into(),
            11 => flow.ports.1.into(),
            13 | 30 => flow.lengths.1.into(),
            14 => flow.interfaces.1.into(),
            16 | 17 if exporter.exports_as == ExportsAs::Zero => 0,
            16 => flow.ases.0.into(),
            17 => flow.ases.1.into(),
            21 => clock.uptime_ms().wrapping_sub(flow.ended_ms).into(),
            22 => clock.uptime_ms().wrapping_sub(began).into(),
            34 => exporter.interval.into(),
            35 => 1,
            48 | 302 => SAMPLER_ID.into(),
            128 if !flow.inbound => flow.neighbour.into(),
            129 if flow.inbound => flow.neighbour.into(),
            152 => (now_ms - i64::from(began)) as u64,
            153 => (now_ms - i64::from(flow.ended_ms)) as u64,
            // Of flowDirection 0 is ingress, and 1 egress.
            61 => flow.egress.into(),
            _ => 0,
        };
        number(out, value, *length);
    }
}
