//! Templates and data that fit each other, in any order and from any port: what a fuzzer of bytes alone seldom makes.

use super::Sent;
use super::check::{Mode, Run, check, times};
use arbitrary::{Arbitrary, Unstructured};
use std::collections::{BTreeMap, BTreeSet};
use weir_schemas::columns::flag;
use weir_schemas::value::MAX_COUNT;
use weir_schemas::{Flow, avro};
use weir_wire::{Budget, Options};

const VARIABLE: u16 = u16::MAX;
/// Ports that templates and data come from.
const PORTS: u8 = 4;
/// Most templates of a session, steps of it, fields of a template, records of a set.
const TEMPLATES: usize = 4;
const STEPS: usize = 24;
const FIELDS: usize = 24;
const RECORDS: u8 = 8;
const OCTETS: u16 = 1;
/// The enterprise number of IANA's elements in the reverse direction (RFC 5103).
const REVERSE: u32 = 29_305;
/// An element that counts one direction, and the one that counts the other in the same way.
type Family = (u16, Option<(u32, u16)>);
/// Octets, packets and octets of layer 2: of each the first that counts the forward direction says which one counts the other; where none does, the first of
/// those that is there. A record is two flows where one of them is not zero.
const FAMILIES: [&[Family]; 3] = [
    &[(OCTETS, Some((REVERSE, 1))), (85, Some((REVERSE, 85))), (23, None), (231, Some((0, 232)))],
    &[(2, Some((REVERSE, 2))), (86, Some((REVERSE, 86))), (24, None), (298, Some((0, 299)))],
    &[(352, Some((REVERSE, 352))), (353, Some((REVERSE, 353)))],
];
/// Bytes of sets that a datagram has room for.
const ROOM: usize = 60_000;
/// Bit of a step's kind: its data goes into the datagram of the data before.
const JOINED: u8 = 0x20;

/// Elements that mean something, with the length that they usually have.
const ELEMENTS: &[(u16, u16)] = &[
    (OCTETS, 8),
    (2, 8),
    (4, 1),
    (5, 1),
    (6, 2),
    (7, 2),
    (8, 4),
    (9, 1),
    (10, 4),
    (11, 2),
    (12, 4),
    (14, 4),
    (15, 4),
    (16, 4),
    (21, 4),
    (22, 4),
    (25, 2),
    (26, 2),
    (27, 16),
    (28, 16),
    (34, 4),
    (48, 2),
    (50, 4),
    (56, 6),
    (58, 2),
    (61, 1),
    (62, 16),
    (70, 3),
    (71, 3),
    (82, VARIABLE),
    (85, 8),
    (104, 40),
    (130, 4),
    (152, 8),
    (153, 8),
    (156, 8),
    (160, 8),
    (161, 4),
    (198, 8),
    (224, 2),
    (231, 8),
    (233, 1),
    (302, 8),
    (305, 4),
    (306, 4),
    (311, 8),
    (312, 2),
    (313, VARIABLE),
    (315, VARIABLE),
    (352, 8),
];

/// Fields that are scopes of options data: v9's types, then IPFIX's elements.
const SCOPES: [&[(u16, u16)]; 2] = [
    &[(1, 4), (2, 4), (3, 4), (4, 2), (5, 2)],
    &[(144, 4), (10, 4), (141, 4), (149, 4), (145, 2), (302, 8), (301, 8), (48, 2)],
];

/// Elements that announce sampling.
const SAMPLING: &[(u16, u16)] = &[
    (34, 4),
    (35, 1),
    (48, 2),
    (49, 1),
    (50, 4),
    (301, 8),
    (302, 8),
    (302, 8),
    (304, 2),
    (305, 4),
    (306, 4),
    (307, 4),
    (308, 4),
    (309, 4),
    (310, 4),
    (311, 8),
    (396, 4),
    (397, 4),
    (160, 8),
    (10, 4),
    (82, 8),
    (83, 12),
];

/// Elements of data that name what sampled it.
const SAMPLED: &[(u16, u16)] = &[
    (OCTETS, 4),
    (2, 4),
    (10, 4),
    (14, 4),
    (48, 2),
    (302, 8),
    (302, 8),
    (301, 8),
    (141, 4),
    (61, 1),
    (21, 4),
    (305, 4),
];

/// A field of a template, as a fuzzer chooses it.
#[derive(Debug, Arbitrary)]
struct Choice {
    which: u8,
    length: u8,
    other: u16,
}

/// A field specifier.
#[derive(Clone, Copy, Debug)]
struct Field {
    id: u16,
    length: u16,
    enterprise: u32,
}

impl Field {
    /// Bytes that it has at least.
    fn least(&self) -> usize {
        if self.length == VARIABLE { 1 } else { self.length.into() }
    }
}

/// What a record counts: octets, and where it tells of the reverse direction, that one's.
#[derive(Clone, Copy, Debug)]
struct Counted {
    octets: Option<u64>,
    back: Option<Option<u64>>,
}

impl Choice {
    /// One of a table, most often with its usual length, or any other element.
    fn field(&self, table: &[(u16, u16)], nine: bool) -> Field {
        let (id, usual) = table[usize::from(self.which) % table.len()];
        let any = self.which >= 240;
        let enterprise = match self.other >> 14 {
            2 if any => 9,
            _ if any => 0,
            3 if self.length & 1 == 1 => REVERSE,
            _ => 0,
        };
        let length = match self.length {
            0..192 => usual,
            192..240 => u16::from(self.length % 20),
            _ => VARIABLE,
        };
        Field {
            id: if any { self.other & 0x3fff } else { id },
            length: if nine && length == VARIABLE { 8 } else { length },
            enterprise: if nine { 0 } else { enterprise },
        }
    }
}

/// What a session does next.
#[derive(Debug, Arbitrary)]
struct Step<'a> {
    kind: u8,
    which: u8,
    port: u8,
    records: u8,
    content: &'a [u8],
}

#[derive(Debug, Arbitrary)]
struct Session<'a> {
    mode: u8,
    nine: bool,
    templates: Vec<Vec<Choice>>,
    steps: Vec<Step<'a>>,
}

/// A template that both sides know.
#[derive(Clone, Debug)]
struct Template {
    id: u16,
    scopes: Option<usize>,
    fields: Vec<Field>,
}

fn message(nine: bool, sets: &[u8]) -> Vec<u8> {
    let mut out = vec![0, if nine { 9 } else { 10 }];
    let count = if nine { 1 } else { sets.len() as u16 + 16 };
    out.extend_from_slice(&count.to_be_bytes());
    if nine {
        out.extend_from_slice(&3_600_000_u32.to_be_bytes());
    }
    for word in [1_700_000_000_u32, 1, 1] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(sets);
    out
}

fn set(id: u16, body: &[u8]) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    out.extend_from_slice(&(body.len() as u16 + 4).to_be_bytes());
    out.extend_from_slice(body);
    out
}

impl Template {
    fn datagram(&self, nine: bool) -> Vec<u8> {
        let mut body = self.id.to_be_bytes().to_vec();
        let count = self.fields.len() as u16;
        let header = match (self.scopes.map(|scopes| scopes as u16), nine) {
            (None, _) => vec![count],
            (Some(scopes), true) => vec![scopes * 4, (count - scopes) * 4],
            (Some(scopes), false) => vec![count, scopes],
        };
        header.iter().for_each(|n| body.extend_from_slice(&n.to_be_bytes()));
        for field in &self.fields {
            let own = if field.enterprise == 0 { 0 } else { 0x8000 };
            body.extend_from_slice(&(field.id | own).to_be_bytes());
            body.extend_from_slice(&field.length.to_be_bytes());
            if own != 0 {
                body.extend_from_slice(&field.enterprise.to_be_bytes());
            }
        }
        let id = [[2, 3], [0, 1]][usize::from(nine)][usize::from(self.scopes.is_some())];
        message(nine, &set(id, &body))
    }

    /// A record whose bytes follow from `content`, and what it counts. `small` makes numbers that meet each other.
    fn record(&self, content: &mut impl Iterator<Item = u8>, small: bool, out: &mut Vec<u8>) -> Counted {
        let mut numbers = BTreeMap::new();
        for field in &self.fields {
            let mut length = usize::from(field.length);
            if field.length == VARIABLE {
                let chosen = content.next().unwrap_or_default();
                length = usize::from(chosen % 48);
                if chosen >= 200 {
                    out.extend_from_slice(&[255, 0, length as u8]);
                } else {
                    out.push(length as u8);
                }
            }
            let start = out.len();
            if small {
                out.resize(start + length, 0);
                let chosen = content.next().unwrap_or_default();
                if let Some(last) = out[start..].last_mut() {
                    *last = chosen & 7;
                }
            } else {
                out.extend(content.take(length));
            }
            let counts = match field.length {
                VARIABLE => true,
                length => (1..=8).contains(&length),
            };
            if counts {
                let number = out[start..].iter().fold(0, |n: u64, byte| n << 8 | u64::from(*byte));
                let number = if length <= 8 { number } else { 0 };
                numbers.entry((field.enterprise, field.id)).or_insert(number);
            }
        }
        let get = |element: Option<(u32, u16)>| numbers.get(&element?).copied();
        let back = FAMILIES.map(|families| {
            let forward = families.iter().find(|(forward, _)| numbers.contains_key(&(0, *forward)));
            forward.map_or_else(|| families.iter().find_map(|(_, back)| get(*back)), |(_, back)| get(*back))
        });
        // A record of one byte can't be two flows: their places are by bytes.
        let least: usize = self.fields.iter().map(|field| field.least()).sum();
        Counted {
            octets: numbers.get(&(0, OCTETS)).copied(),
            back: (least > 1 && back.iter().any(|n| n.is_some_and(|n| n > 0))).then_some(back[0]),
        }
    }
}

/// A flow as it is however late its template came: without where it stands among those of its datagram, and whose template it was.
fn timeless(flow: &Flow<'_>) -> Vec<u8> {
    let flags = flow.flags & !(flag::TEMPLATE_LATE | flag::TEMPLATE_BORROWED);
    let mut out = Vec::new();
    Flow { record_index: 0, flags, ..*flow }.put_avro(&mut out);
    out
}

/// Datagram, index and columns of each flow, in the order of the datagrams.
fn flows(run: &Run<'_>) -> Vec<(u64, u32, Vec<u8>, Option<u64>)> {
    let mut input = avro::Reader::new(&run.seen.flows);
    let mut all: Vec<_> = (0..run.seen.ends.len())
        .map(|_| {
            let flow = Flow::get_avro(&mut input).expect("a flow reads what it wrote");
            (flow.raw_offset, flow.record_index, timeless(&flow), flow.bytes)
        })
        .collect();
    all.sort();
    let same = |pair: &[(u64, u32, Vec<u8>, Option<u64>)]| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1);
    assert!(!all.windows(2).any(same), "no two flows have one place");
    all
}

/// Templates and data, of which each record is a flow with its octets, the same in whichever order datagrams come.
pub fn templates_then_data(data: &[u8]) {
    let Ok(session) = Session::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let nine = session.nine;
    let templates: Vec<Template> = (256..)
        .zip(session.templates.iter().take(TEMPLATES))
        .map(|(id, choices)| {
            let mut fields: Vec<_> =
                choices.iter().take(FIELDS).map(|choice| choice.field(ELEMENTS, nine)).collect();
            // A record has a byte at least.
            if fields.iter().all(|field| field.length == 0) {
                fields.push(Field { id: 4, length: 1, enterprise: 0 });
            }
            Template { id, scopes: None, fields }
        })
        .collect();
    if templates.is_empty() {
        return;
    }
    // First templates, from each port that steps name with them, then data; steps say in which order all are sent.
    let from = |port: u8, payload| Sent { port: 1000 + u16::from(port), payload, ..Sent::default() };
    let steps = || {
        let steps = session.steps.iter().take(STEPS);
        steps.map(|step| (step, (usize::from(step.which) % templates.len(), step.port % PORTS)))
    };
    let told: BTreeMap<_, _> =
        steps().map(|(_, by)| by).collect::<BTreeSet<_>>().into_iter().zip(0..).collect();
    let mut sent: Vec<Sent> =
        told.keys().map(|(which, port)| from(*port, templates[*which].datagram(nine))).collect();
    let (mut order, mut octets, mut data) = (Vec::new(), Vec::new(), Vec::<(u8, Vec<u8>)>::new());
    for (step, by) in steps() {
        if step.kind.is_multiple_of(3) {
            order.push(told[&by]);
            continue;
        }
        let template = &templates[by.0];
        let mut content = step.content.iter().copied().chain(1..=u8::MAX).cycle().take(1 << 16);
        let mut body = Vec::new();
        for _ in 0..1 + step.records % RECORDS {
            let counted = template.record(&mut content, false, &mut body);
            octets.push(counted);
        }
        let body = set(template.id, &body);
        // With the set before, which may be of a template that comes later or earlier.
        if step.kind & JOINED != 0
            && let Some(sets) = data.last_mut()
            && sets.1.len() + body.len() <= ROOM
        {
            sets.1.extend(body);
            continue;
        }
        order.push(told.len() + data.len());
        data.push((by.1, body));
    }
    sent.extend(data.iter().map(|(port, sets)| from(*port, message(nine, sets))));
    let times = times(&sent);
    let options = Options::default();
    let run = |order: &mut dyn Iterator<Item = usize>| {
        let mut run = Run::new(&sent, &times, &options, Budget::default());
        order.for_each(|at| run.decode(at));
        assert_eq!(run.counts.records_dead, 0, "records that fit their template are decoded");
        assert_eq!(run.exporter.parked(), (0, 0), "nothing waits for what has come");
        flows(&run)
    };
    let expected = run(&mut (0..sent.len()));
    let any = run(&mut order.iter().copied().chain(0..told.len()));
    let clamped = |octets: u64| octets.min(MAX_COUNT);
    let mut flows = expected.iter();
    for counted in &octets {
        let (_, _, _, bytes) = flows.next().expect("each record is a flow");
        if let Some(octets) = counted.octets {
            assert_eq!(*bytes, Some(clamped(octets)), "octets are those of the record");
        }
        if let Some(back) = counted.back {
            let (_, _, _, bytes) = flows.next().expect("what came back is a flow");
            assert_eq!(*bytes, back.map(clamped), "octets are those that came back");
        }
    }
    assert_eq!(flows.next(), None, "and nothing else is");
    assert_eq!(any.len(), expected.len(), "in any order there are as many flows");
    for (late, early) in any.iter().zip(&expected) {
        assert_eq!((late.0, &late.2), (early.0, &early.2), "and they are the same");
    }
}

/// Options data that announce sampling, and data that are sampled; restarts between them change nothing.
pub fn options_then_data(data: &[u8]) {
    let Ok(session) = Session::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let nine = session.nine;
    let templates: Vec<Template> = (256..)
        .zip(session.templates.iter().take(TEMPLATES))
        .map(|(id, choices)| {
            let choices = &choices[..choices.len().min(FIELDS)];
            // Those with odd ids describe options; of their fields up to two come first as scopes.
            if id % 2 == 0 {
                let fields = choices.iter().map(|choice| choice.field(SAMPLED, nine)).collect();
                return Template { id, scopes: None, fields };
            }
            let scopes =
                choices.first().map_or(0, |choice| usize::from(choice.length % 3).min(choices.len()));
            let fields = choices.iter().enumerate().map(|(at, choice)| {
                choice.field(if at < scopes { SCOPES[usize::from(!nine)] } else { SAMPLING }, nine)
            });
            Template { id, scopes: Some(scopes), fields: fields.collect() }
        })
        .filter(|template| !template.fields.is_empty())
        .collect();
    if templates.is_empty() {
        return;
    }
    let sent: Vec<Sent> = session
        .steps
        .iter()
        .take(STEPS)
        .map(|step| {
            let template = &templates[usize::from(step.which) % templates.len()];
            let payload = if step.kind.is_multiple_of(3) {
                template.datagram(nine)
            } else {
                let mut content = step.content.iter().copied().chain(1..=u8::MAX).cycle().take(1 << 16);
                let mut body = Vec::new();
                for _ in 0..1 + step.records % RECORDS {
                    template.record(&mut content, step.records & 0x80 == 0, &mut body);
                }
                message(nine, &set(template.id, &body))
            };
            Sent {
                port: 1000 + u16::from(step.port % PORTS),
                restart: step.kind & 0x40 != 0,
                payload,
                ..Sent::default()
            }
        })
        .collect();
    check(&sent, Mode::of(session.mode));
}
