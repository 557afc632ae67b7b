//! A template compiled: copies of (offset, width) to slots, and nothing else.
//!
//! Every number of a record, whatever its width, is read by the same three instructions: eight bytes that end where the field
//! ends, a mask, a store. The eight bytes may begin before the record, where the datagram's headers lie, so that nothing is
//! read beyond the end. After the first variable-length field a cursor takes over, segment by segment.

use crate::element::{self, ALL_SLOTS, Form, SLICES, Slot};
use crate::layers::Layers;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use weir_schemas::Protocol;

/// Values of a record, by slot. As many as an index byte can name, so that none is out of bounds.
pub(crate) type Words = [u64; 256];
/// Byte strings of a record, by slice: start and end in the buffer.
pub(crate) type Slices = [(usize, usize); SLICES];
/// Bytes that must precede a record in its buffer.
pub(crate) const LEAD: usize = 8;

/// A field as a template specifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Element or v9 field type.
    pub id: u16,
    /// Private enterprise number, 0 for IANA's.
    pub enterprise: u32,
    /// Bytes; 65535 is a variable length.
    pub length: u16,
}

/// One copy: the eight bytes that end at `end`, less what does not belong to the field.
#[derive(Clone, Copy, Debug)]
struct Copy {
    /// Offset of the field's end in its segment.
    end: u16,
    /// Slot.
    slot: u8,
    /// Leading bits of the eight bytes to clear.
    clear: u8,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    start: u16,
    end: u16,
    slice: u8,
}

/// What to do with a variable-length field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variable {
    Skip,
    Number(u8, u8),
    Wide(u8),
    Float(u8, u8),
    Bytes(u8),
}

#[derive(Clone, Debug, Default)]
struct Segment {
    copies: Vec<Copy>,
    marks: Vec<Mark>,
    length: usize,
    variable: Option<Variable>,
}

/// Which slots a plan fills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Present([u64; 4]);

impl Present {
    /// The set of these slots.
    pub(crate) const fn of(slots: &[Slot]) -> Self {
        let mut set = [0; 4];
        let mut at = 0;
        while at < slots.len() {
            let slot = slots[at] as usize;
            set[slot / 64] |= 1 << (slot % 64);
            at += 1;
        }
        Self(set)
    }

    /// What is in either.
    pub(crate) const fn and(self, other: Self) -> Self {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        Self([a | e, b | f, c | g, d | h])
    }

    /// True where any of `other` is in it.
    #[inline(always)]
    pub(crate) const fn any(&self, other: Self) -> bool {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        (a & e) | (b & f) | (c & g) | (d & h) != 0
    }

    /// True where all of `other` are in it.
    pub(crate) fn all(&self, other: Self) -> bool {
        self.0.iter().zip(other.0).all(|(own, other)| own & other == other)
    }

    /// True where the slot is in it.
    #[inline(always)]
    pub(crate) const fn has(&self, slot: Slot) -> bool {
        self.0[slot as usize / 64] & 1 << (slot as usize % 64) != 0
    }

    /// Puts a slot, by its number, into it.
    pub(crate) fn add(&mut self, slot: u8) {
        self.0[usize::from(slot) / 64] |= 1 << (slot % 64);
    }
}

/// The scope fields of an options template.
#[derive(Clone, Copy, Debug, Default)]
struct Scoped {
    /// Which elements they are: a number made of them.
    elements: u32,
    /// How many of them vary in length, and the bytes of those behind the last that does.
    end: (u16, u16),
}

/// Bytes of the length of a variable-length field, and that length: one byte below 255, or 255 and two bytes (RFC 7011 section 7).
#[inline(always)]
pub(crate) fn prefix(rest: &[u8]) -> Option<(usize, usize)> {
    match rest {
        [255, high, low, ..] => Some((3, usize::from(u16::from_be_bytes([*high, *low])))),
        [255, ..] | [] => None,
        [length, ..] => Some((1, usize::from(*length))),
    }
}

/// A compiled template.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    segments: Vec<Segment>,
    /// Slots that it fills.
    pub present: Present,
    /// Which slices it fills, by bit.
    pub slices: u8,
    /// Length of a record; of one with variable-length fields the least.
    pub min_length: usize,
    /// Elements whose length does not fit their type.
    pub ignored: u32,
    /// Scope fields, where it is an options template.
    pub scopes: u16,
    scope: Scoped,
    variable: bool,
}

impl Plan {
    /// Compiles fields in order. The first `scopes` are scope fields of an options template.
    pub(crate) fn compile(protocol: Protocol, fields: &[Field], scopes: u16) -> Self {
        let mut plan = Self { scopes, ..Self::default() };
        let layers = Layers::of(fields);
        let mut segment = Segment::default();
        let mut elements = SipHasher13::new();
        // A template with more than a datagram can hold is refused.
        let end = |plan: &Self, segment: &Segment| (plan.segments.len() as u16, segment.length as u16);
        for (at, field) in fields.iter().enumerate() {
            let scope = at < usize::from(scopes);
            if scope {
                elements.write(&field.id.to_be_bytes());
                elements.write(&field.enterprise.to_be_bytes());
            }
            if at == usize::from(scopes) {
                plan.scope.end = end(&plan, &segment);
            }
            if field.length == u16::MAX {
                let variable = plan.variable(protocol, field, scope, &layers);
                segment.variable = Some(variable);
                plan.min_length += segment.length + 1;
                plan.variable = true;
                plan.segments.push(std::mem::take(&mut segment));
            } else {
                plan.fixed(protocol, field, scope, &layers, &mut segment);
            }
        }
        if fields.len() <= usize::from(scopes) {
            plan.scope.end = end(&plan, &segment);
        }
        plan.scope.elements = elements.finish() as u32;
        plan.min_length += segment.length;
        plan.segments.push(segment);
        // There are many more plans than are made.
        for segment in &mut plan.segments {
            segment.copies.shrink_to_fit();
            segment.marks.shrink_to_fit();
        }
        plan.segments.shrink_to_fit();
        plan
    }

    /// True where records differ in length.
    pub(crate) fn is_variable(&self) -> bool {
        self.variable
    }

    /// Bytes of memory it takes, roughly: for the budget.
    pub(crate) fn memory(&self) -> usize {
        let of = |s: &Segment| {
            size_of::<Segment>()
                + s.copies.capacity() * size_of::<Copy>()
                + s.marks.capacity() * size_of::<Mark>()
        };
        size_of::<Self>() + self.segments.iter().map(of).sum::<usize>()
    }

    /// How a field is read: as a scope of its own where it is one, else as the element that it is.
    fn form(protocol: Protocol, field: &Field, scope: bool) -> Option<Form> {
        if scope {
            // What a scope of any length says first is that it is there: a system's name or address gives no number.
            if let Some(slot) = element::scope(protocol, field.id, field.enterprise) {
                return Some(Form::Number(slot));
            }
            if protocol == Protocol::NetflowV9 && field.id < 10 {
                return None;
            }
        }
        element::element(field.id, field.enterprise).map(|element| element.form)
    }

    /// Claims a slot; false where an earlier field of the record has it.
    fn take(&mut self, slot: u8) -> bool {
        let free = ALL_SLOTS.get(usize::from(slot)).is_some_and(|slot| !self.present.has(*slot));
        if free {
            self.present.add(slot);
        }
        free
    }

    /// The slot of a field: none where an earlier one has it, since the first of several counts, and of two packets the first of each.
    fn claim(&mut self, layers: &Layers, slot: Slot) -> Option<u8> {
        layers.slots(slot).into_iter().flatten().map(|slot| slot as u8).find(|slot| self.take(*slot))
    }

    /// The first of eight slots that is free.
    fn claim_next(&mut self, slot: Slot) -> Option<u8> {
        let free = (0..8).map(|n| slot as u8 + n).find(|slot| self.take(*slot));
        if free.is_none() {
            self.present.add(Slot::Beyond as u8);
        }
        free
    }

    fn fixed(
        &mut self,
        protocol: Protocol,
        field: &Field,
        scope: bool,
        layers: &Layers,
        segment: &mut Segment,
    ) {
        let start = segment.length;
        let length = usize::from(field.length);
        segment.length += length;
        // Beyond what a datagram can hold there is no record, and the template is refused by its limit.
        let (Ok(start), Ok(end)) = (u16::try_from(start), u16::try_from(segment.length)) else { return };
        let Some(form) = Self::form(protocol, field, scope) else { return };
        self.place(form, (scope, layers), (start, end), segment);
        if scope && let Some(form) = element::address(field.id, field.enterprise) {
            self.place(form, (false, layers), (start, end), segment);
        }
    }

    /// Says where what lies from `start` to `end` of a segment goes.
    fn place(
        &mut self,
        form: Form,
        (scope, layers): (bool, &Layers),
        (start, end): (u16, u16),
        segment: &mut Segment,
    ) {
        let length = usize::from(end - start);
        let slot = match form {
            Form::Number(slot) if scope && (length == 0 || length > 8) => {
                self.claim(layers, slot);
                None
            }
            Form::Number(slot) if (1..=8).contains(&length) => self.claim(layers, slot),
            Form::Exact(width, slot) if length == usize::from(width) => self.claim(layers, slot),
            Form::Wide(slot) if length == 16 => {
                let high = self.claim(layers, slot);
                segment.copies.extend(high.map(|slot| Copy { end: end - 8, slot, clear: 0 }));
                segment.copies.extend(high.map(|slot| Copy { end, slot: slot + 1, clear: 0 }));
                None
            }
            Form::Float(slot, _) if length == 4 => self.claim(layers, slot),
            Form::Float(_, slot) if length == 8 => self.claim(layers, slot),
            Form::Repeated(slot) if (1..=8).contains(&length) => self.claim_next(slot),
            Form::Bytes(slice) => {
                if self.slices & 1 << slice as u8 == 0 {
                    self.slices |= 1 << slice as u8;
                    segment.marks.push(Mark { start, end, slice: slice as u8 });
                }
                None
            }
            _ => {
                self.ignored += u32::from(length > 0);
                None
            }
        };
        segment.copies.extend(slot.map(|slot| Copy { end, slot, clear: (64 - 8 * length) as u8 }));
    }

    fn variable(&mut self, protocol: Protocol, field: &Field, scope: bool, layers: &Layers) -> Variable {
        let of = match Self::form(protocol, field, scope) {
            Some(Form::Number(slot)) => self.claim(layers, slot).map(|slot| Variable::Number(slot, 0)),
            Some(Form::Exact(width, slot)) => {
                self.claim(layers, slot).map(|slot| Variable::Number(slot, width))
            }
            Some(Form::Wide(slot)) => self.claim(layers, slot).map(Variable::Wide),
            Some(Form::Float(small, large)) => self.claim(layers, small).map(|small| {
                self.take(large as u8);
                Variable::Float(small, large as u8)
            }),
            Some(Form::Repeated(slot)) => self.claim_next(slot).map(|slot| Variable::Number(slot, 0)),
            Some(Form::Bytes(slice)) if self.slices & 1 << slice as u8 == 0 => {
                self.slices |= 1 << slice as u8;
                Some(Variable::Bytes(slice as u8))
            }
            _ => None,
        };
        of.unwrap_or(Variable::Skip)
    }

    /// A number made of what the record that lies at `start` is of, by its scope fields: the same in every build.
    pub(crate) fn scope(&self, buffer: &[u8], start: usize) -> u64 {
        let (variable, rest) = self.scope.end;
        let mut at = start;
        for segment in self.segments.iter().take(variable.into()) {
            at += segment.length;
            at += buffer.get(at..).and_then(prefix).map_or(0, |(head, length)| head + length);
        }
        let mut hasher = SipHasher13::new();
        hasher.write(&self.scope.elements.to_be_bytes());
        hasher.write(buffer.get(start..at + usize::from(rest)).unwrap_or_default());
        hasher.finish()
    }

    /// Reads the record that starts at `start` of `buffer` and ends at `end` at the latest. Gives where it ends, or none where its
    /// variable-length fields run over. At least [`LEAD`] bytes precede `start`, and `min_length` bytes follow.
    #[inline]
    pub(crate) fn read(
        &self,
        buffer: &[u8],
        start: usize,
        end: usize,
        words: &mut Words,
        slices: &mut Slices,
    ) -> Option<usize> {
        if let [segment] = &self.segments[..] {
            segment.read(buffer, start, words, slices)?;
            return Some(start + segment.length);
        }
        self.walk(buffer, start, end, words, slices)
    }

    fn walk(
        &self,
        buffer: &[u8],
        mut at: usize,
        end: usize,
        words: &mut Words,
        slices: &mut Slices,
    ) -> Option<usize> {
        for segment in &self.segments {
            if end.checked_sub(at)? < segment.length {
                return None;
            }
            segment.read(buffer, at, words, slices)?;
            at += segment.length;
            let Some(variable) = segment.variable else { continue };
            let rest = buffer.get(at..end)?;
            let (head, length) = prefix(rest)?;
            let field = rest.get(head..head + length)?;
            let start = at + head;
            at = start + length;
            match variable {
                Variable::Skip => {}
                Variable::Number(slot, width) => {
                    let fits = if width == 0 { length <= 8 } else { length == usize::from(width) };
                    words[usize::from(slot)] = if fits { number(field) } else { 0 };
                }
                Variable::Wide(slot) => {
                    let (high, low) = if length == 16 { field.split_at(8) } else { (&[][..], &[][..]) };
                    words[usize::from(slot)] = number(high);
                    words[usize::from(slot) + 1] = number(low);
                }
                Variable::Float(small, large) => {
                    words[usize::from(small)] = if length == 4 { number(field) } else { 0 };
                    words[usize::from(large)] = if length == 8 { number(field) } else { 0 };
                }
                Variable::Bytes(slice) => slices[usize::from(slice)] = (start, at),
            }
        }
        Some(at)
    }
}

/// A big-endian number of at most eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

impl Segment {
    #[inline(always)]
    fn read(&self, buffer: &[u8], start: usize, words: &mut Words, slices: &mut Slices) -> Option<()> {
        // One check for the record; those below never fail, because every copy ends within the segment.
        let window = buffer.get(start.checked_sub(LEAD)?..start + self.length)?;
        for copy in &self.copies {
            let at = usize::from(copy.end);
            let Some(bytes) = window.get(at..).and_then(|rest| rest.first_chunk::<8>()) else { continue };
            words[usize::from(copy.slot)] = u64::from_be_bytes(*bytes) & u64::MAX >> copy.clear;
        }
        for mark in &self.marks {
            slices[usize::from(mark.slice)] =
                (start + usize::from(mark.start), start + usize::from(mark.end));
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn field(id: u16, length: u16) -> Field {
        Field { id, enterprise: 0, length }
    }

    fn read(fields: &[Field], record: &[u8]) -> (Option<usize>, Words) {
        let plan = Plan::compile(Protocol::Ipfix, fields, 0);
        let mut buffer = vec![0xee; LEAD];
        buffer.extend_from_slice(record);
        let mut words = [0; 256];
        let end = plan.read(&buffer, LEAD, buffer.len(), &mut words, &mut Slices::default());
        (end.map(|end| end - LEAD), words)
    }

    #[test]
    fn a_number_of_any_width_is_read_without_its_neighbours() {
        for width in 1..=8_u16 {
            let record: Vec<u8> = (1..=width as u8).collect();
            let (end, words) = read(&[field(1, width)], &record);
            assert_eq!(end, Some(usize::from(width)));
            assert_eq!(words[Slot::Octets as usize], number(&record), "width {width}");
        }
    }

    #[test]
    fn an_address_takes_two_slots_and_unwanted_fields_take_none() {
        let record: Vec<u8> = (0..40).collect();
        let (end, words) = read(&[field(9999, 7), field(27, 16), field(400, 1), field(8, 4)], &record);
        assert_eq!(end, Some(28));
        assert_eq!(words[Slot::SrcV6 as usize], 0x0708_090a_0b0c_0d0e);
        assert_eq!(words[Slot::SrcV6Low as usize], 0x0f10_1112_1314_1516);
        assert_eq!(words[Slot::SrcV4 as usize], 0x1819_1a1b);
        assert_eq!(words.iter().filter(|word| **word != 0).count(), 3);
    }

    #[test]
    fn after_a_variable_length_field_of_either_form_the_rest_is_found() {
        let fields = [field(4, 1), field(82, u16::MAX), field(7, 2), field(371, u16::MAX), field(11, 2)];
        let short = [6, 3, b'a', b'b', b'c', 0, 80, 0, 1, 187];
        let long = [6, 255, 0, 3, b'a', b'b', b'c', 0, 80, 255, 0, 1, 9, 1, 187];
        for record in [&short[..], &long[..]] {
            let (end, words) = read(&fields, record);
            assert_eq!(end, Some(record.len()));
            assert_eq!(
                [Slot::Proto, Slot::SrcPort, Slot::DstPort].map(|slot| words[slot as usize]),
                [6, 80, 443]
            );
        }
    }

    #[test]
    fn a_variable_length_field_that_runs_over_the_end_gives_no_record() {
        let fields = [field(82, u16::MAX), field(7, 2)];
        for record in [&[5, 1, 2][..], &[255, 0][..], &[255, 255, 255, 0, 0][..], &[1, 0, 0][..]] {
            assert_eq!(read(&fields, record).0, None, "{record:?}");
        }
    }

    #[test]
    fn of_an_element_that_occurs_twice_the_first_counts() {
        let (_, words) = read(&[field(7, 2), field(7, 2)], &[0, 1, 0, 2]);
        assert_eq!(words[Slot::SrcPort as usize], 1);
    }

    #[test]
    fn an_element_of_impossible_length_is_left_out_and_counted() {
        let plan = Plan::compile(Protocol::Ipfix, &[field(8, 5), field(1, 9), field(56, 8)], 0);
        assert_eq!((plan.ignored, plan.min_length, plan.present), (3, 22, Present::default()));
    }

    proptest! {
        #[test]
        fn any_template_over_any_bytes_ends_within_them(
            fields in prop::collection::vec((0..450_u16, prop_oneof![0..20_u16, Just(u16::MAX), any::<u16>()]), 1..40),
            bytes in prop::collection::vec(any::<u8>(), LEAD..400),
        ) {
            let fields: Vec<_> = fields.into_iter().map(|(id, length)| field(id, length)).collect();
            let plan = Plan::compile(Protocol::Ipfix, &fields, 1);
            let end = plan.read(&bytes, LEAD, bytes.len(), &mut [0; 256], &mut Slices::default());
            prop_assert!(end.is_none_or(|end| end <= bytes.len() && end - LEAD >= plan.min_length));
        }
    }
}
