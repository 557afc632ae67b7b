//! Templates of an exporter: parsed, compiled when they change, found by port, lent between ports that agree.
//!
//! Ids are unique in a transport session and observation domain only (RFC 7011 section 3.4.1). A session over UDP is a source
//! port; where that has no template of an id, another port's of the same domain serves if all ports agree on it.

use crate::flow_key::FlowKey;
use crate::options::Options;
use crate::output::Reason;
use crate::plan::{Field, Plan};
use crate::record::Shape;
use ahash::AHashMap;
use smallvec::SmallVec;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use weir_schemas::Protocol;

/// Ports whose templates of one domain and id are kept: the oldest makes room, as when an exporter restarts on a new port.
const PORTS: usize = 64;

const NO_ROOM: &str = "there is no room left for state";

/// Templates that differ only by port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Group {
    /// 9 or 10.
    pub version: u8,
    pub domain: u32,
    pub id: u16,
}

impl Group {
    pub(crate) fn protocol(&self) -> Protocol {
        if self.version == 9 { Protocol::NetflowV9 } else { Protocol::Ipfix }
    }
}

/// What a template says, in the bytes that say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Definition<'a> {
    /// Whether it describes options data.
    pub options: bool,
    /// Scope fields among the fields.
    pub scopes: u16,
    /// Field specifiers as sent.
    pub body: &'a [u8],
}

/// A template, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub port: u16,
    pub options: bool,
    pub body: Box<[u8]>,
    /// When this definition was first received.
    pub learned: i64,
    /// When it was last received.
    pub heard: i64,
    /// Digest of what it said before it changed, 0 where it has not.
    before: u64,
    pub plan: Plan,
    pub shape: Shape,
    /// Which flows its records are of, where they count by what may run on.
    pub key: Option<Box<FlowKey>>,
}

/// A template that is known, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// NetFlow v9 or IPFIX.
    pub protocol: Protocol,
    /// Observation domain or source id.
    pub domain: u32,
    /// UDP port that it came from.
    pub port: u16,
    /// Its id, 256 or more.
    pub id: u16,
    /// How many of its fields are scopes, where it describes options data.
    pub scopes: Option<u16>,
    /// Element, enterprise number (0: IANA's, or v9's own) and length of each field; 65535 is a variable length.
    pub fields: Vec<(u16, u32, u16)>,
}

impl Template {
    pub(crate) fn known(&self, group: &Group) -> Known {
        let mut all = Vec::new();
        let mut rest = &self.body[..];
        while let Some((field, used)) = field(group.protocol(), rest) {
            all.push((field.id, field.enterprise, field.length));
            rest = &rest[used..];
        }
        Known {
            protocol: group.protocol(),
            domain: group.domain,
            port: self.port,
            id: group.id,
            scopes: self.options.then_some(self.plan.scopes),
            fields: all,
        }
    }
}

/// Why a template is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub reason: Reason,
    pub sentence: String,
    /// What had to go nevertheless, and the bytes that this made free.
    pub evicted: SmallVec<[(Group, u16); 1]>,
    pub freed: usize,
}

fn refused(reason: Reason, sentence: impl Into<String>) -> Refused {
    Refused { reason, sentence: sentence.into(), evicted: SmallVec::new(), freed: 0 }
}

/// Reads `count` field specifiers, or as many as there are. Gives them and the bytes they take; none where they are cut off.
pub(crate) fn fields(
    protocol: Protocol,
    bytes: &[u8],
    count: usize,
) -> Option<(SmallVec<[Field; 32]>, usize)> {
    let mut fields = SmallVec::new();
    let mut at = 0;
    while fields.len() < count {
        let (field, used) = field(protocol, bytes.get(at..)?)?;
        fields.push(field);
        at += used;
    }
    Some((fields, at))
}

/// Reads a field specifier. Gives it and the bytes it takes; none where it is cut off.
fn field(protocol: Protocol, bytes: &[u8]) -> Option<(Field, usize)> {
    let ([i0, i1, l0, l1], rest) = bytes.split_first_chunk::<4>()?;
    let (id, length) = (u16::from_be_bytes([*i0, *i1]), u16::from_be_bytes([*l0, *l1]));
    // RFC 7011 section 3.2. A v9 type has no such bit: ASA's types lie above it.
    if protocol == Protocol::Ipfix && id & 0x8000 != 0 {
        let enterprise = u32::from_be_bytes(*rest.first_chunk()?);
        return Some((Field { id: id & 0x7fff, enterprise, length }, 8));
    }
    Some((Field { id, enterprise: 0, length }, 4))
}

impl Template {
    fn compile(
        group: &Group,
        port: u16,
        definition: &Definition<'_>,
        received: i64,
        options: &Options,
    ) -> Result<Self, Refused> {
        let mut specified = SmallVec::<[Field; 32]>::new();
        let mut rest = definition.body;
        while !rest.is_empty() {
            let (field, used) = field(group.protocol(), rest)
                .ok_or_else(|| refused(Reason::BadTemplate, "its last field specifier is cut off"))?;
            specified.push(field);
            rest = &rest[used..];
            if specified.len() > options.template_fields {
                let limit = options.template_fields;
                return Err(refused(Reason::TemplateLimit, format!("it has more than {limit} fields")));
            }
        }
        if usize::from(definition.scopes) > specified.len() {
            let sentence = format!("it has {} fields, {} of them scopes", specified.len(), definition.scopes);
            return Err(refused(Reason::BadTemplate, sentence));
        }
        let scopes = if definition.options { definition.scopes } else { 0 };
        let plan = Plan::compile(group.protocol(), &specified, scopes);
        if plan.min_length == 0 {
            return Err(refused(Reason::BadTemplate, "its records would have no length"));
        }
        if plan.min_length > options.record_bytes {
            let sentence =
                format!("its records have {} bytes, {} are allowed", plan.min_length, options.record_bytes);
            return Err(refused(Reason::TemplateLimit, sentence));
        }
        let shape = Shape::of(&plan);
        let key = shape.totals.then(|| Box::new(FlowKey::compile(group.protocol(), &specified)));
        let (learned, heard) = (received, received);
        Ok(Self {
            port,
            options: definition.options,
            body: definition.body.into(),
            learned,
            heard,
            before: 0,
            plan,
            shape,
            key,
        })
    }

    /// A number by which a definition is known again, never 0.
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.options, self.plan.scopes, &self.body).hash(&mut hasher);
        hasher.finish() | 1
    }

    fn is(&self, definition: &Definition<'_>) -> bool {
        self.options == definition.options
            && self.plan.scopes == if definition.options { definition.scopes } else { 0 }
            && *self.body == *definition.body
    }

    fn same(&self, other: &Self) -> bool {
        self.options == other.options && self.plan.scopes == other.plan.scopes && self.body == other.body
    }

    /// Of what it is one, and which.
    fn kind(&self, group: &Group) -> Kind {
        (group.version, group.domain, self.port, self.options, group.id)
    }

    /// Bytes of memory it takes, roughly, with its place in the table, of which up to half is free.
    pub(crate) fn cost(&self) -> usize {
        const PLACE: usize = 2 * size_of::<(Group, SmallVec<[Box<Template>; 1]>)>();
        PLACE + size_of::<Self>() - size_of::<Plan>()
            + self.body.len()
            + self.plan.memory()
            + self.key.as_ref().map_or(0, |key| key.memory())
    }
}

/// What a template is one of, and its id: version, domain, port, whether it describes options data.
type Kind = (u8, u32, u16, bool, u16);

/// All templates of an exporter.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    /// Boxed, since a table is up to half empty, and a template is large.
    groups: AHashMap<Group, SmallVec<[Box<Template>; 1]>>,
    count: usize,
    /// Of groups whose ports don't agree, how many templates differ from the first: data asks for it far more often than templates come.
    apart: AHashMap<Group, usize>,
    /// In a stream, where all of a kind may be withdrawn.
    kinds: Option<BTreeSet<Kind>>,
    /// No template is idle before this time, so that a flood of new ones does not look for idle ones each time.
    none_idle_before: i64,
}

/// What became of a definition.
#[derive(Debug)]
pub(crate) enum Defined {
    /// As known.
    Known,
    /// New or changed, with the number of elements left out. These others had to go.
    Changed {
        evicted: SmallVec<[(Group, u16); 1]>,
        freed: usize,
        cost: usize,
        ignored: u32,
        /// It is again what it was before it last changed.
        flapped: bool,
    },
}

impl Templates {
    /// Those of a stream.
    pub(crate) fn of_stream() -> Self {
        Self { kinds: Some(BTreeSet::new()), ..Self::default() }
    }

    /// Ids of all that a port of a stream has in a domain, be it of data or of options data.
    pub(crate) fn of_kind(&self, version: u8, domain: u32, port: u16, options: bool) -> SmallVec<[u16; 8]> {
        let of = |id: u16| (version, domain, port, options, id);
        let kinds = self.kinds.iter().flat_map(|kinds| kinds.range(of(0)..=of(u16::MAX)));
        kinds.map(|(.., id)| *id).collect()
    }

    /// Takes a definition. `room` says whether so many bytes more may be kept.
    pub(crate) fn define(
        &mut self,
        group: Group,
        port: u16,
        definition: &Definition<'_>,
        received: i64,
        options: &Options,
        room: impl FnOnce(usize) -> bool,
    ) -> Result<Defined, Refused> {
        let ports = self.groups.get_mut(&group);
        let known = ports.and_then(|ports| ports.iter_mut().find(|template| template.port == port));
        if let Some(known) = known
            && known.is(definition)
        {
            known.heard = known.heard.max(received);
            return Ok(Defined::Known);
        }
        // Whatever becomes of the new definition, the old one is gone: it would decode wrongly what follows.
        let mut freed = 0;
        let old = self.remove(&group, port).inspect(|old| freed += old.cost());
        let replaced = old.is_some();
        let mut template = Template::compile(&group, port, definition, received, options)
            .map_err(|refused| Refused { freed, ..refused })?;
        let (cost, ignored) = (template.cost(), template.plan.ignored);
        let flapped = old.as_ref().is_some_and(|old| old.before == template.digest());
        template.before = old.map_or(0, |old| old.digest());
        let mut evicted = SmallVec::new();
        let crowded = !replaced && self.groups.get(&group).is_some_and(|ports| ports.len() >= PORTS);
        if crowded {
            let oldest = self.groups.get(&group).and_then(|ports| ports.iter().min_by_key(|t| t.heard));
            evicted.extend(oldest.map(|template| (group, template.port)));
        } else if !replaced && self.count >= options.templates {
            evicted.extend(self.idle(received, options));
            if evicted.is_empty() {
                let sentence = format!("the exporter has {} templates, all in use", self.count);
                return Err(refused(Reason::TemplateLimit, sentence));
            }
        }
        for (group, port) in &evicted {
            freed += self.remove(group, *port).map_or(0, |old| old.cost());
        }
        if cost > freed && !room(cost - freed) {
            let refused = refused(Reason::StateLimit, NO_ROOM);
            return Err(Refused { evicted, freed, ..refused });
        }
        self.insert(group, template);
        Ok(Defined::Changed { evicted, freed, cost, ignored, flapped })
    }

    /// Takes back a definition that was kept, of a port that has none, and gives the bytes that it takes. No limit on their number holds: what made room
    /// here would still be kept.
    pub(crate) fn restore(
        &mut self,
        group: Group,
        port: u16,
        definition: &Definition<'_>,
        learned: i64,
        options: &Options,
        room: impl FnOnce(usize) -> bool,
    ) -> Result<usize, Refused> {
        let template = Template::compile(&group, port, definition, learned, options)?;
        let cost = template.cost();
        if !room(cost) {
            return Err(refused(Reason::StateLimit, NO_ROOM));
        }
        self.insert(group, template);
        Ok(cost)
    }

    /// All count as heard at a time: when those were that were taken back is not known, and those in use must not look idle.
    pub(crate) fn hear(&mut self, received: i64) {
        let all = self.groups.values_mut().flatten();
        all.for_each(|template| template.heard = template.heard.max(received));
    }

    /// The template that was not heard for longest, where that is long enough to give it up.
    fn idle(&mut self, now: i64, options: &Options) -> Option<(Group, u16)> {
        if now < self.none_idle_before {
            return None;
        }
        let idle = i64::from(options.template_idle_s) * 1_000_000_000;
        let all = self
            .groups
            .iter()
            .flat_map(|(group, ports)| ports.iter().map(move |t| (t.heard, *group, t.port)));
        let (heard, group, port) = all.min()?;
        let until = heard.saturating_add(idle);
        self.none_idle_before = until;
        (now >= until).then_some((group, port))
    }

    fn insert(&mut self, group: Group, template: Template) {
        let ports = self.groups.entry(group).or_default();
        if ports.first().is_some_and(|first| !first.same(&template)) {
            *self.apart.entry(group).or_default() += 1;
        }
        self.kinds.iter_mut().for_each(|kinds| {
            kinds.insert(template.kind(&group));
        });
        ports.push(Box::new(template));
        self.count += 1;
    }

    /// Forgets a template.
    pub(crate) fn remove(&mut self, group: &Group, port: u16) -> Option<Template> {
        let ports = self.groups.get_mut(group)?;
        let at = ports.iter().position(|template| template.port == port)?;
        let template = ports.remove(at);
        if let Some(apart) = self.apart.get_mut(group) {
            *apart = match ports.first() {
                // Another is the first.
                Some(first) if at == 0 => ports.iter().filter(|other| !other.same(first)).count(),
                Some(first) => *apart - usize::from(!first.same(&template)),
                None => 0,
            };
            if *apart == 0 {
                self.apart.remove(group);
            }
        }
        if ports.is_empty() {
            self.groups.remove(group);
        }
        self.kinds.iter_mut().for_each(|kinds| {
            kinds.remove(&template.kind(group));
        });
        self.count -= 1;
        Some(*template)
    }

    /// A port's own template.
    pub(crate) fn own(&self, group: &Group, port: u16) -> Option<&Template> {
        self.ports(group).find(|template| template.port == port)
    }

    /// Whether a port has a template of its own.
    pub(crate) fn has(&self, group: &Group, port: u16) -> bool {
        self.own(group, port).is_some()
    }

    /// The template for data of a port, and whether it is another port's.
    pub(crate) fn find(&self, group: &Group, port: u16) -> Option<(&Template, bool)> {
        let ports = self.groups.get(group)?;
        if let Some(own) = ports.iter().find(|template| template.port == port) {
            return Some((own, false));
        }
        (!self.apart.contains_key(group)).then(|| (&*ports[0], true))
    }

    /// Those of all ports, the first of which serves ports that have none.
    pub(crate) fn ports(&self, group: &Group) -> impl Iterator<Item = &Template> {
        self.groups.get(group).into_iter().flatten().map(|template| &**template)
    }

    /// True where there is a template and all ports have the same.
    pub(crate) fn agree(&self, group: &Group) -> bool {
        self.groups.contains_key(group) && !self.apart.contains_key(group)
    }

    /// All, for dumping.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Group, &Template)> {
        self.groups.iter().flat_map(|(group, ports)| ports.iter().map(move |template| (group, &**template)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ports_agree_and_a_streams_templates_are_known_by_kind_whatever_came_and_went(
            steps in prop::collection::vec((0..3_u16, 1..6_u16, prop::option::of((0..3_u8, any::<bool>()))), 1..60),
        ) {
            let mut templates = Templates::of_stream();
            let options = Options { template_idle_s: 0, templates: 12, ..Options::default() };
            for (at, (id, port, says)) in steps.into_iter().enumerate() {
                let group = Group { version: 10, domain: u32::from(id % 2), id: 256 + id };
                match says {
                    Some((length, options_data)) => {
                        let body = [0, 1, 0, 1 + length];
                        let definition = Definition { options: options_data, scopes: 1, body: &body };
                        templates.define(group, port, &definition, at as i64, &options, |_| true).unwrap();
                    }
                    None => drop(templates.remove(&group, port)),
                }
                for (group, ports) in &templates.groups {
                    prop_assert_eq!(templates.agree(group), ports.iter().all(|one| one.same(&ports[0])));
                }
                for (domain, port, options) in (0..2).flat_map(|d| (1..6).flat_map(move |p| [(d, p, false), (d, p, true)])) {
                    let of = |(group, one): &(&Group, &Template)| (group.domain, one.port, one.options) == (domain, port, options);
                    let mut wanted: Vec<_> = templates.all().filter(of).map(|(group, _)| group.id).collect();
                    wanted.sort_unstable();
                    prop_assert_eq!(templates.of_kind(10, domain, port, options).to_vec(), wanted);
                }
                prop_assert!(templates.apart.keys().all(|group| templates.groups.contains_key(group)));
            }
        }
    }
}
