//! NetFlow and IPFIX, walked field by field.

use super::value::{self, Reading, hex};
use super::{FIELDS_PER_BYTE, Header, Kind, Out, Record};
use serde_json::{Map, Value as Json};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use weir_schemas::{Ip, Protocol};
use weir_wire::names;

const SET_HEADER: usize = 4;
const VARIABLE: u16 = u16::MAX;
/// Ports whose templates of one domain and id are kept, as the decoder keeps them.
const PORTS: usize = 64;
/// v9's scopes (RFC 3954 section 6.1).
const V9_SCOPES: [&str; 5] = ["system", "interface", "lineCard", "cache", "template"];

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_be_bytes(*b))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

/// A field specifier of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub id: u16,
    pub enterprise: u32,
    pub length: u16,
    pub scope: bool,
}

impl Field {
    /// A field specifier (RFC 7011 section 3.2, RFC 3954 section 5.2), and the bytes it has.
    pub(super) fn read(bytes: &[u8], enterprises: bool) -> Option<(Self, usize)> {
        let (id, length) = (u16_at(bytes, 0)?, u16_at(bytes, 2)?);
        if enterprises && id & 0x8000 != 0 {
            let enterprise = u32_at(bytes, 4)?;
            return Some((Self { id: id & 0x7fff, enterprise, length, scope: false }, 8));
        }
        Some((Self { id, enterprise: 0, length, scope: false }, 4))
    }

    /// Its name, or enterprise and number where it has none.
    pub(super) fn name(&self, v9: bool) -> Cow<'static, str> {
        if let Some(name) = self.v9_scope(v9) {
            return name.into();
        }
        match names::named(self.enterprise, self.id) {
            Some(named) => named.name,
            None => format!("{}/{}", self.enterprise, self.id).into(),
        }
    }

    fn v9_scope(&self, v9: bool) -> Option<&'static str> {
        let place = usize::from(self.id).checked_sub(1).filter(|_| v9 && self.scope)?;
        V9_SCOPES.get(place).copied()
    }

    /// Its value at the beginning of these bytes, and the bytes it has; none where it is cut off.
    pub(super) fn value(
        &self,
        bytes: &[u8],
        depth: usize,
        reading: &mut Reading<'_>,
    ) -> Option<(Json, usize)> {
        reading.left = reading.left.checked_sub(1)?;
        let (start, length) = match (self.length, bytes.first()) {
            (VARIABLE, first) if !reading.v9 => match *first? {
                255 => (3, usize::from(u16_at(bytes, 1)?)),
                short => (1, usize::from(short)),
            },
            (length, _) => (0, usize::from(length)),
        };
        let content = bytes.get(start..start + length)?;
        let kind = match self.v9_scope(reading.v9) {
            Some(_) => names::Kind::Unsigned,
            None => names::named(self.enterprise, self.id).map_or(names::Kind::Octets, |named| named.kind),
        };
        Some((value::value(kind, content, depth, reading), start + length))
    }
}

/// A template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template {
    options: bool,
    fields: Vec<Field>,
}

impl Template {
    /// The least bytes that a record has.
    fn least(&self, v9: bool) -> usize {
        let least =
            |field: &Field| if field.length == VARIABLE && !v9 { 1 } else { usize::from(field.length) };
        self.fields.iter().map(least).sum()
    }

    /// The fields of the record at the beginning of these bytes, and the bytes it has; none where it is cut off.
    pub(super) fn record(
        &self,
        bytes: &[u8],
        depth: usize,
        reading: &mut Reading<'_>,
    ) -> Option<(Vec<Json>, usize)> {
        let mut at = 0;
        let mut fields = Vec::new();
        for field in &self.fields {
            let (value, used) = field.value(&bytes[at..], depth, reading)?;
            fields.push(printed(field, value, reading.v9));
            at += used;
        }
        Some((fields, at))
    }
}

fn printed(field: &Field, value: Json, v9: bool) -> Json {
    let mut object = Map::new();
    object.insert("id".into(), field.id.into());
    object.insert("pen".into(), field.enterprise.into());
    object.insert("name".into(), field.name(v9).into());
    if field.scope {
        object.insert("scope".into(), true.into());
    }
    object.insert("value".into(), value);
    Json::Object(object)
}

/// Whose template or data it is, but for the port: exporter, version, domain, id.
type Group = (Ip, u8, u32, u16);

/// A template by what is withdrawn together: exporter, version, domain, port, whether it is of options, and id.
type Kept = (Ip, u8, u32, u16, bool, u16);

/// The templates of a group by port, and whether they are all alike.
#[derive(Debug, Default)]
struct Ports {
    templates: Vec<(u16, Rc<Template>)>,
    alike: bool,
}

impl Ports {
    fn compare(&mut self) {
        self.alike = self.templates.windows(2).all(|pair| pair[0].1 == pair[1].1);
    }

    /// The template for data of a port: its own, or another's if all agree.
    fn find(&self, port: u16) -> Option<&Rc<Template>> {
        let own = self.templates.iter().find(|(of, _)| *of == port);
        own.or_else(|| self.templates.first().filter(|_| self.alike)).map(|(_, template)| template)
    }
}

/// A data set that waits for its template.
#[derive(Debug)]
struct Waiting {
    header: Header,
    at: usize,
    bytes: Vec<u8>,
}

/// Templates, and what waits for them.
#[derive(Debug, Default)]
pub(super) struct Sets {
    /// Whether messages come over a stream, or from a file: only there templates are withdrawn (RFC 7011 section 8.4).
    stream: bool,
    /// How deep lists may lie in lists.
    list_depth: usize,
    templates: BTreeMap<Group, Ports>,
    /// What there is to withdraw, so that to withdraw all costs as much as it takes away.
    kinds: BTreeSet<Kept>,
    waiting: BTreeMap<(Group, u16), Vec<Waiting>>,
}

impl Sets {
    /// Nothing yet, of datagrams or of a stream.
    pub(super) fn of(stream: bool, list_depth: usize) -> Self {
        Self { stream, list_depth, ..Self::default() }
    }

    /// A message of NetFlow v9 or IPFIX.
    pub(super) fn message(&mut self, mut header: Header, payload: &[u8], out: Out<'_>) {
        let v9 = payload.starts_with(&[0, 9]);
        header.protocol = if v9 { Protocol::NetflowV9 } else { Protocol::Ipfix };
        let word = |at: usize| u32_at(payload, at);
        let (start, end) = if v9 {
            let Some(domain) = word(16) else {
                return out(Record::fault(&header, 0, "the header of 20 bytes is cut off"));
            };
            (header.domain, header.sequence, header.uptime) = (domain, word(12), word(4));
            header.exported = word(8).map(|seconds| (seconds, 0));
            (20, payload.len())
        } else {
            let (Some(length), Some(domain)) = (u16_at(payload, 2), word(12)) else {
                return out(Record::fault(&header, 0, "the header of 16 bytes is cut off"));
            };
            (header.domain, header.sequence) = (domain, word(8));
            header.exported = word(4).map(|seconds| (seconds, 0));
            (16, usize::from(length).min(payload.len()))
        };
        let mut at = start;
        while let (Some(id), Some(length)) = (u16_at(payload, at), u16_at(payload, at + 2)) {
            if at + SET_HEADER > end || (id, length) == (0, 0) {
                break;
            }
            let next = at + usize::from(length);
            if usize::from(length) < SET_HEADER || next > end {
                let error = format!("set {id} gives its length as {length}, {} bytes are left", end - at);
                return out(Record::fault(&header, at, error));
            }
            match (id, v9) {
                (0, true) | (2, false) => self.templates(&header, false, payload, (at, next), out),
                (1, true) | (3, false) => self.templates(&header, true, payload, (at, next), out),
                (0..256, _) => out(Record::fault(&header, at, format!("set id {id} is reserved"))),
                _ => self.data(&header, id, &payload[at..next], at, out),
            }
            at = next;
        }
    }

    /// A set of templates.
    fn templates(
        &mut self,
        header: &Header,
        options: bool,
        payload: &[u8],
        (set, end): (usize, usize),
        out: Out<'_>,
    ) {
        let v9 = header.protocol == Protocol::NetflowV9;
        let content = payload[set..end].iter().rposition(|b| *b != 0).map_or(set, |last| set + last + 1);
        let mut at = set + SET_HEADER;
        while at < content && end - at >= 4 {
            let bytes = &payload[at..end];
            let (id, first) = (u16_at(bytes, 0).unwrap_or_default(), u16_at(bytes, 2).unwrap_or_default());
            if !v9 && first == 0 {
                if self.stream {
                    self.withdraw(header, options, id);
                }
                at += 4;
                continue;
            }
            let Some((template, used)) = template(bytes, options, v9) else {
                return out(Record::fault(header, at, format!("template {id} is cut off")));
            };
            at += used;
            if id < 256 {
                out(Record::fault(header, at - used, format!("template {id}: ids below 256 are reserved")));
                continue;
            }
            self.define(header, id, template, out);
        }
    }

    /// Forgets a template, or all of its kind: ids 2 and 3 mean all (RFC 7011 section 8.1).
    fn withdraw(&mut self, header: &Header, options: bool, id: u16) {
        let ids = if id < 256 { 256..=u16::MAX } else { id..=id };
        let all = kept(header, options, *ids.start())..=kept(header, options, *ids.end());
        let gone: Vec<_> = self.kinds.range(all).copied().collect();
        for one in gone {
            self.kinds.remove(&one);
            let (exporter, version, domain, port, _, id) = one;
            let group = (exporter, version, domain, id);
            let Some(ports) = self.templates.get_mut(&group) else { continue };
            ports.templates.retain(|(of, _)| *of != port);
            ports.compare();
            if ports.templates.is_empty() {
                self.templates.remove(&group);
            }
        }
    }

    fn define(&mut self, header: &Header, id: u16, template: Template, out: Out<'_>) {
        let group = group(header, id);
        let options = template.options;
        let ports = self.templates.entry(group).or_default();
        let known = ports.templates.iter_mut().find(|(port, _)| *port == header.port);
        match known {
            Some((_, known)) if **known == template => return,
            Some((_, known)) => *known = template.into(),
            None => {
                if ports.templates.len() == PORTS {
                    let (port, old) = ports.templates.remove(0);
                    self.kinds.remove(&kept(&Header { port, ..*header }, old.options, id));
                }
                ports.templates.push((header.port, template.into()));
            }
        }
        self.kinds.remove(&kept(header, !options, id));
        self.kinds.insert(kept(header, options, id));
        ports.compare();
        let all = (group, 0)..=(group, u16::MAX);
        let places: Vec<_> = if ports.alike {
            self.waiting.range(all).map(|(place, _)| *place).collect()
        } else {
            vec![(group, header.port)]
        };
        let waited = places.iter().filter_map(|place| self.waiting.remove(place)).flatten();
        for set in waited.collect::<Vec<_>>() {
            self.data(&set.header, id, &set.bytes, set.at, out);
        }
    }

    /// A data set, of which its header is part; `at` is where it begins.
    fn data(&mut self, header: &Header, id: u16, set: &[u8], at: usize, out: Out<'_>) {
        let group = group(header, id);
        let Some(template) = self.templates.get(&group).and_then(|ports| ports.find(header.port)) else {
            let waiting = self.waiting.entry((group, header.port)).or_default();
            return waiting.push(Waiting { header: *header, at, bytes: set.into() });
        };
        let v9 = header.protocol == Protocol::NetflowV9;
        let least = template.least(v9);
        let find = |id: u16| {
            let group = (group.0, group.1, group.2, id);
            self.templates.get(&group).and_then(|ports| ports.find(header.port)).cloned()
        };
        let mut reading =
            Reading { template: &find, left: FIELDS_PER_BYTE * set.len(), list_depth: self.list_depth, v9 };
        let mut place = SET_HEADER;
        while least > 0 && set.len() - place >= least {
            let Some((fields, used)) = template.record(&set[place..], 0, &mut reading) else {
                let error = match reading.left {
                    0 => "the set has more fields than its length allows".to_owned(),
                    _ => format!("a field of the record runs over the end of set {id}"),
                };
                return out(Record::fault(header, at + place, error));
            };
            let kind = if template.options { Kind::Options } else { Kind::Flow };
            let record = Record { template: Some(id), fields, ..Record::new(header, kind, at + place) };
            out(record);
            place += used;
        }
        // What is left is padding, unless it is all there is.
        if place == SET_HEADER && set.len() > SET_HEADER {
            let error = format!("set {id} is shorter than a record of its template");
            out(Record::fault(header, at, error));
        }
    }

    /// The sets whose template never came.
    pub(super) fn rest(self) -> impl Iterator<Item = Record> {
        self.waiting.into_iter().flat_map(|(((_, _, _, id), _), sets)| {
            sets.into_iter().map(move |set| {
                let mut record = Record::new(&set.header, Kind::NoTemplate, set.at);
                record.template = Some(id);
                record.note.insert("bytes".into(), hex(&set.bytes[SET_HEADER..]));
                record
            })
        })
    }
}

fn group(header: &Header, id: u16) -> Group {
    let version = if header.protocol == Protocol::NetflowV9 { 9 } else { 10 };
    (header.exporter, version, header.domain, id)
}

fn kept(header: &Header, options: bool, id: u16) -> Kept {
    let (exporter, version, domain, id) = group(header, id);
    (exporter, version, domain, header.port, options, id)
}

/// A template at the beginning of these bytes, and the bytes it has; none where it is cut off or makes no sense.
fn template(bytes: &[u8], options: bool, v9: bool) -> Option<(Template, usize)> {
    let (first, second) = (usize::from(u16_at(bytes, 2)?), u16_at(bytes, 4).map(usize::from));
    let mut at = if options { 6 } else { 4 };
    let (count, scopes) = match (options, v9) {
        (false, _) => (first, 0),
        // RFC 3954 section 6.1 gives bytes, RFC 7011 section 3.4.2.2 numbers of fields.
        (true, true) => ((first + second?) / 4, first / 4),
        (true, false) => (first, second?),
    };
    let mut fields = Vec::new();
    while fields.len() < count {
        let (field, used) = Field::read(bytes.get(at..)?, !v9)?;
        fields.push(Field { scope: fields.len() < scopes, ..field });
        at += used;
    }
    (!fields.is_empty() && scopes <= fields.len()).then_some((Template { options, fields }, at))
}

/// A datagram of NetFlow v1, v5, v7 or v8, by the layouts that the decoder has too.
pub(super) fn fixed(mut header: Header, payload: &[u8], out: Out<'_>) {
    let Some(layout) = weir_wire::layout(payload).filter(|layout| layout.header <= payload.len()) else {
        let error = "it is no NetFlow, IPFIX or sFlow whose layout is known, or its header is cut off";
        return out(Record::fault(&header, 0, error));
    };
    header.protocol = layout.protocol;
    let word = |at: usize| u32_at(payload, at).unwrap_or_default();
    let engine = layout.engine_at.and_then(|at| u16_at(payload, at)).unwrap_or_default();
    header.domain = u32::from(layout.scheme) << 16 | u32::from(engine);
    header.uptime = Some(word(4));
    header.exported = Some((word(8), word(12)));
    header.sequence = (layout.version != 1).then(|| word(16));
    let count = usize::from(u16_at(payload, 2).unwrap_or_default());
    let mut reading = Reading { template: &|_| None, left: usize::MAX, list_depth: 0, v9: true };
    let mut at = layout.header;
    for n in 0..count {
        if payload.len() - at < layout.record_length() {
            let error = format!("the header names {count} records, the datagram has {n} whole ones");
            return out(Record::fault(&header, at, error));
        }
        let mut record = Record::new(&header, Kind::Flow, at);
        record.template = (layout.scheme != 0).then(|| layout.scheme.into());
        for (id, length) in layout.record {
            let field = Field { id: *id, enterprise: 0, length: *length, scope: false };
            let Some((value, used)) = field.value(&payload[at..], 0, &mut reading) else { return };
            let mut printed = printed(&field, value, true);
            if *id == 0 {
                printed["name"] = "other".into();
            }
            record.fields.push(printed);
            at += used;
        }
        out(record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message with what is in its sets, of one domain.
    fn message(sets: &[(u16, &[u8])]) -> Vec<u8> {
        let set = |(id, body): &(u16, &[u8])| {
            let length = (SET_HEADER + body.len()) as u16;
            [&id.to_be_bytes()[..], &length.to_be_bytes(), body].concat()
        };
        let body: Vec<u8> = sets.iter().flat_map(set).collect();
        [&[0, 10][..], &(16 + body.len() as u16).to_be_bytes(), &[0; 12], &body].concat()
    }

    #[test]
    fn of_templates_that_were_withdrawn_nothing_is_left_to_look_at() {
        let header = |port| {
            let (exporter, protocol, domain) = (Ip::default(), Protocol::Ipfix, 0);
            let (sequence, exported, uptime, agent) = (None, None, None, None);
            Header { exporter, port, datagram: 0, protocol, domain, sequence, exported, uptime, agent }
        };
        let plain = [1, 44, 0, 1, 0, 4, 0, 1, 1, 45, 0, 1, 0, 4, 0, 1];
        let options = [1, 46, 0, 2, 0, 1, 0, 10, 0, 2, 0, 34, 0, 2];
        // The id of a plain template, as one of options.
        let again = [1, 44, 0, 2, 0, 1, 0, 10, 0, 2, 0, 34, 0, 2];
        let mut sets = Sets::of(true, 4);
        let mut send = |port, of: &[(u16, &[u8])]| {
            sets.message(header(port), &message(of), &mut |record| panic!("{record:?}"));
            let templates = sets.templates.values().map(|ports| ports.templates.len()).sum::<usize>();
            (sets.templates.len(), templates, sets.kinds.len())
        };
        assert_eq!(send(1, &[(2, &plain), (3, &options)]), (3, 3, 3));
        assert_eq!(send(2, &[(2, &plain), (2, &plain)]), (3, 5, 5));
        assert_eq!(send(1, &[(2, &[0, 2, 0, 0])]), (3, 3, 3), "those of the other port are left");
        assert_eq!(send(2, &[(3, &again)]), (3, 3, 3));
        assert_eq!(send(2, &[(2, &[0, 2, 0, 0])]), (2, 2, 2), "what is of the other kind now is left");
        assert_eq!(send(2, &[(3, &[1, 44, 0, 0])]), (1, 1, 1));
        assert_eq!(send(1, &[(3, &[0, 3, 0, 0]), (2, &[0, 2, 0, 0])]), (0, 0, 0));
        // More ports than are kept of a group.
        for port in 0..PORTS as u16 + 3 {
            send(port, &[(2, &plain)]);
        }
        assert_eq!(send(3, &[]), (2, 2 * PORTS, 2 * PORTS));
    }
}
