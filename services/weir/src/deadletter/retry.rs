//! Putting letters back: the transactions that take them into `weir.raw`.
//!
//! What must stay true: a letter is put back once, however often and by how many this is run, because what goes back and the mark that says
//! so appear together, and whoever puts back fences who did before *and then* reads the marks.

use super::Place;
use super::letters::{Letter, each, marks};
use super::part::{Part, frame, part};
use crate::redecode::{Entry, Work};
use crate::walk::walk;
use anyhow::{Context, Result, anyhow};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use weir_bus::{Bus, Event, GroupConsumer, Message, Position, Reader, Transactions};
use weir_decoder::replay::received;
use weir_schemas::deadletter::{ORIGIN_HEADER, Origin, mark};
use weir_schemas::frame;

/// Group and identity of whoever puts back.
pub const IDENTITY: &str = "weir-deadletter-retry";
/// Letters, and bytes of them, of a transaction.
const LETTERS: usize = 200;
const BYTES: usize = 4 << 20;
/// Letters, and bytes of them, that are held in memory: each time so many are through, `weir.raw` is read for the next.
const PASS_LETTERS: usize = 50_000;
const PASS_BYTES: usize = 32 << 20;
/// Places that are named where letters can't be put back.
const NAMED: usize = 5;
/// How long the group may take to make this its member.
const PATIENCE: Duration = Duration::from_secs(90);

/// A letter, with the frame that goes back for it, or why none does.
type Made = (Letter, Result<Vec<u8>, String>);

/// Makes the frames that go back, of records of `weir.raw` as far as the log still has them.
pub fn frames<B: Bus>(work: &Work<'_, B>, reader: &mut B::Reader, letters: Vec<Letter>) -> Result<Vec<Made>> {
    let topic = &work.topics.raw;
    let mut wanted: BTreeMap<i32, BTreeMap<i64, Vec<usize>>> = BTreeMap::new();
    for (number, letter) in letters.iter().enumerate().filter(|(_, letter)| part(letter) == Ok(Part::Set)) {
        let of = wanted.entry(letter.about.partition).or_default();
        of.entry(letter.about.offset).or_default().push(number);
    }
    let mut made = BTreeMap::new();
    for (partition, mut offsets) in wanted {
        let (begin, end) = reader.bounds(topic, partition)?;
        offsets.retain(|offset, _| (begin..end).contains(offset));
        let (Some(first), Some(last)) = (offsets.keys().next(), offsets.keys().next_back()) else { continue };
        walk(reader, topic, partition, *first..*last + 1, &mut |record| {
            for number in offsets.get(&record.offset()).into_iter().flatten() {
                made.insert(*number, frame(&letters[*number], record.value()));
            }
            work.go_on()
        })?;
    }
    let letters = letters.into_iter().enumerate();
    Ok(letters
        .map(|(number, letter)| {
            let made = made.remove(&number).unwrap_or_else(|| frame(&letter, None));
            (letter, made)
        })
        .collect())
}

/// A run.
struct Retry<'r, 'w, B: Bus> {
    work: &'r Work<'w, B>,
    producer: B::Producer,
    consumer: B::Consumer,
    reader: B::Reader,
    redecodes: Vec<Entry>,
    done: u64,
    /// What is not put back: how many, and some of them, by why.
    refused: BTreeMap<String, (u64, Vec<Place>)>,
}

/// Puts back what is wanted and was not put back before.
pub fn retry<B: Bus>(work: &mut Work<'_, B>, wanted: &dyn Fn(&Letter) -> bool) -> Result<()> {
    // First of all: what another has begun is settled by this, and it can begin nothing more.
    let producer = work.bus.transactional(IDENTITY)?;
    let consumer = member(work)?;
    // Not before: a redecode that begins later fences this one.
    let redecodes = work.standing()?;
    let (bus, mut reader, mut was_back) = (work.bus, work.bus.reader()?, 0);
    let (done, refused) = (0, BTreeMap::new());
    let mut retry = Retry { reader: bus.reader()?, work, producer, consumer, redecodes, done, refused };
    for partition in 0..bus.partitions() as i32 {
        let marks = marks(&mut reader, bus, &[partition])?;
        let (mut letters, mut bytes) = (Vec::new(), 0);
        each(&mut reader, bus, &[partition], &mut |letter| {
            retry.go_on()?;
            if !wanted(&letter) {
                return Ok(());
            }
            if marks.contains(&letter.place) {
                was_back += 1;
                return Ok(());
            }
            bytes += letter.bytes.len();
            letters.push(letter);
            if letters.len() >= PASS_LETTERS || bytes >= PASS_BYTES {
                bytes = 0;
                retry.pass(std::mem::take(&mut letters))?;
            }
            Ok(())
        })?;
        retry.pass(letters)?;
    }
    // All is done; who can't leave now is taken to have left when its session ends.
    if let Err(error) = retry.consumer.leave() {
        tracing::warn!("{error}");
    }
    work.say(&format!("{} letters are put back into {}", retry.done, work.topics.raw));
    if was_back > 0 {
        work.say(&format!("{was_back} were put back before"));
    }
    for (why, (count, places)) in retry.refused {
        let some: Vec<_> = places.iter().map(Place::to_string).collect();
        let more = if count > places.len() as u64 { ", …" } else { "" };
        work.say(&format!("{count} can't be: {why} ({}{more})", some.join(", ")));
    }
    Ok(())
}

impl<B: Bus> Retry<'_, '_, B> {
    fn go_on(&self) -> Result<()> {
        self.work.go_on().with_context(|| format!("{} letters are put back", self.done))
    }

    /// Puts these back, which are of one partition.
    fn pass(&mut self, letters: Vec<Letter>) -> Result<()> {
        let mut ready = Vec::new();
        for (letter, made) in frames(self.work, &mut self.reader, letters)? {
            match made.and_then(|frame| decoded_again(&self.redecodes, &letter, &frame).map(|()| frame)) {
                Ok(frame) => ready.push((letter, frame)),
                Err(why) => {
                    let (count, places) = self.refused.entry(why).or_default();
                    *count += 1;
                    if places.len() < NAMED {
                        places.push(letter.place);
                    }
                }
            }
        }
        ready.sort_by_key(|(letter, _)| (letter.time(), letter.place.1));
        let mut rest = ready.as_slice();
        while !rest.is_empty() {
            self.go_on()?;
            let mut bytes = 0;
            let fits = |(_, frame): &&(Letter, Vec<u8>)| {
                bytes += frame.len();
                bytes <= BYTES || bytes == frame.len()
            };
            let count = rest.iter().take(LETTERS).take_while(fits).count();
            let (now, behind) = rest.split_at(count);
            let topics = &self.work.topics;
            transact(&mut self.producer, &mut self.consumer, &topics.raw, &topics.deadletter, now)?;
            self.done += count as u64;
            rest = behind;
        }
        Ok(())
    }
}

/// An error where a redecode has decoded what would go back, or is about to: it would be there twice.
fn decoded_again(redecodes: &[Entry], letter: &Letter, frame: &[u8]) -> Result<(), String> {
    let about = &letter.about;
    let times = frame::datagrams(frame).map_while(Result::ok).map(|datagram| datagram.received);
    for (index, received) in (about.frame_index..).zip(times) {
        let place = (about.partition, about.offset, index);
        if let Some(entry) = redecodes.iter().find(|entry| entry.has(letter.exporter, place, received)) {
            return Err(format!(
                "generation {} of `weir redecode` has decoded it again, or will: what it gives is stored; decode its window again \
                 where that is not enough",
                entry.generation
            ));
        }
    }
    Ok(())
}

/// One transaction: what goes back, and the marks.
fn transact<C: GroupConsumer, P: Transactions<Consumer = C>>(
    producer: &mut P,
    consumer: &mut C,
    raw: &str,
    deadletter: &str,
    letters: &[(Letter, Vec<u8>)],
) -> Result<()> {
    producer.begin()?;
    let mut next = BTreeMap::new();
    for (letter, frame) in letters {
        // What a letter gives belongs to the partition that the record lay on.
        let partition = letter.about.partition;
        let (key, origin) = (&letter.key, origin(letter, frame).bytes());
        let headers: &[(&str, &[u8])] = &[(ORIGIN_HEADER, &origin)];
        producer.send(&Message { topic: raw, partition, key, value: Some(frame), headers })?;
        let Place(partition, offset) = letter.place;
        let mark = mark(offset);
        let headers: &[(&str, &[u8])] = &[("weir-reason", b"put_back")];
        producer.send(&Message { topic: deadletter, partition, key, value: Some(&mark), headers })?;
        let end = next.entry(partition).or_insert(0);
        *end = (offset + 1).max(*end);
    }
    // The marks are what counts; offsets come with them because a transaction has some.
    let positions: Vec<_> =
        next.into_iter().map(|(partition, offset)| Position::new(partition, offset)).collect();
    // A member that is silent for too long is none.
    consumer.poll(Duration::ZERO)?;
    producer.commit(consumer, &positions).context(
        "the letters of this transaction may be back or not; the same command looks, and puts back those that are not",
    )
}

fn origin(letter: &Letter, frame: &[u8]) -> Origin {
    let about = &letter.about;
    Origin {
        offset: about.offset,
        frame_index: about.frame_index,
        byte_offset: about.byte_offset as u64,
        received: received(frame, 0),
    }
}

/// Becomes the only member of the group.
fn member<B: Bus>(work: &Work<'_, B>) -> Result<B::Consumer> {
    let bus = work.bus;
    let mut consumer = bus.join(IDENTITY, &bus.topics().deadletter, IDENTITY)?;
    let (begun, mut held) = (Instant::now(), 0);
    while held < bus.partitions() {
        work.go_on()?;
        if begun.elapsed() > PATIENCE {
            return Err(anyhow!(
                "the group {IDENTITY} took no member in {PATIENCE:?}: does another put letters back?"
            ));
        }
        match consumer.poll(Duration::from_millis(100))? {
            Event::Assigned(partitions) => held += partitions.len(),
            Event::Revoked(partitions) => {
                held = held.saturating_sub(partitions.len());
                consumer.give_up(&partitions)?;
            }
            Event::Lost(partitions) => held = held.saturating_sub(partitions.len()),
            Event::Idle | Event::Record(_) => {}
        }
    }
    Ok(consumer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deadletter::letters::tests::letter;
    use crate::redecode::tests::{swapped, with_work};
    use weir_bus::{TopicSpec, Writer};
    use weir_schemas::Ip;
    use weir_schemas::deadletter::{About, write};
    use weir_schemas::frame::{Datagram, FrameWriter};

    fn frame_of(received: &[i64]) -> Vec<u8> {
        let mut writer = FrameWriter::default();
        for received in received {
            writer.push(&Datagram { received: *received, listener: 0, source_port: 0, payload: &[1] });
        }
        writer.as_bytes().to_vec()
    }

    #[test]
    fn a_letter_that_a_redecode_has_decoded_again_stays_where_it_is() {
        // It lies at offset 3 of partition 0.
        let (letter, frame) = (letter("bad_record", 15), frame_of(&[15]));
        let error = decoded_again(&[swapped((10, 20), (0, 9))], &letter, &frame).unwrap_err();
        assert!(error.starts_with("generation 1 of `weir redecode` has decoded it again"), "{error}");
        assert!(
            decoded_again(&[swapped((10, 20), (4, 9)), swapped((16, 20), (0, 9))], &letter, &frame).is_ok()
        );
        // Of a whole record the times are in it.
        let whole = Letter { about: About { received: 0, ..letter.about.clone() }, ..letter };
        assert!(decoded_again(&[swapped((10, 20), (0, 9))], &whole, &frame_of(&[5, 15])).is_err());
        assert!(decoded_again(&[swapped((10, 20), (0, 9))], &whole, &frame_of(&[5, 25])).is_ok());
    }

    fn set(id: u16, body: &[u8]) -> Vec<u8> {
        [&id.to_be_bytes()[..], &(body.len() as u16 + 4).to_be_bytes(), body].concat()
    }

    /// More than one pass holds, whole records and a set among them.
    #[test]
    fn letters_are_put_back_once_with_their_origin_however_many_passes_they_take() {
        let entry = swapped((0, 0), (0, 0));
        let act = |work: &mut Work<'_, weir_bus::EmbeddedBus>| {
            let (bus, topics, exporter) = (work.bus, work.topics.clone(), Ip::v4([192, 0, 2, 1]));
            for spec in TopicSpec::all(&work.config.bus, bus.partitions()) {
                bus.create(&spec)?;
            }
            let mut writer = bus.writer(64 << 20)?;
            let mut send = |topic: &str, value: &[u8]| {
                let message =
                    Message { topic, partition: 0, key: &exporter.0, value: Some(value), headers: &[] };
                writer.try_send(&message, 1).unwrap().unwrap();
                writer.flush(Duration::from_secs(10));
            };
            let waited = set(301, &[2; 8]);
            let message = [&[0, 10][..], &28u16.to_be_bytes(), &[7; 12], &waited].concat();
            let mut frame = FrameWriter::default();
            frame.push(&Datagram { received: 77, listener: 4739, source_port: 2055, payload: &message });
            send(&topics.raw, frame.as_bytes());
            let of = |reason: &str, offset, byte_offset, received, protocol: &str| About {
                offset,
                byte_offset,
                frame_index: 0,
                received,
                protocol: protocol.to_owned(),
                ..letter(reason, received).about
            };
            send(&topics.deadletter, &write(&of("parked_expired", 0, 16, 77, "ipfix"), &waited));
            let mut large = FrameWriter::default();
            for _ in 0..13 {
                large.push(&Datagram { received: 78, listener: 1, source_port: 1, payload: &[9; 65_000] });
            }
            let whole = 1 + PASS_BYTES / large.as_bytes().len();
            for n in 0..whole as i64 {
                send(&topics.deadletter, &write(&of("poison", 100 + n, 0, 0, "frame"), large.as_bytes()));
            }
            for _ in 0..2 {
                retry(work, &|_| true)?;
                let mut back = Vec::new();
                bus.reader()?.restore(&topics.raw, &[0], &mut |record| {
                    back.extend(record.header(ORIGIN_HEADER).and_then(Origin::read));
                })?;
                back.sort_unstable();
                let mut wanted = vec![Origin { offset: 0, frame_index: 0, byte_offset: 16, received: 77 }];
                let poison = |n| Origin { offset: 100 + n, frame_index: 0, byte_offset: 0, received: 78 };
                wanted.extend((0..whole as i64).map(poison));
                assert_eq!(back, wanted);
            }
            Ok(())
        };
        with_work(&entry, |_| Some(String::new()), act).unwrap();
    }

    /// As a decoder does that finds them dead again while others are put back.
    #[test]
    fn letters_that_are_buried_while_others_are_put_back_are_left_for_the_next_time() {
        let entry = swapped((0, 0), (0, 0));
        let act = |work: &mut Work<'_, weir_bus::EmbeddedBus>| {
            let (bus, topics) = (work.bus, work.topics.clone());
            for spec in TopicSpec::all(&work.config.bus, bus.partitions()) {
                bus.create(&spec)?;
            }
            let writer = std::cell::RefCell::new(bus.writer(1 << 20)?);
            let bury = || {
                let about = About { protocol: "frame".to_owned(), ..letter("poison", 0).about };
                let (topic, value) = (&topics.deadletter, write(&about, &frame_of(&[15])));
                let message =
                    Message { topic, partition: 0, key: &[1; 16], value: Some(&value), headers: &[] };
                writer.borrow_mut().try_send(&message, 1).unwrap().unwrap();
                assert!(writer.borrow_mut().flush(Duration::from_secs(10)));
            };
            (0..3).for_each(|_| bury());
            let asked = std::cell::Cell::new(0);
            let again = |_: &Letter| {
                asked.set(asked.get() + 1);
                if asked.get() < 50 {
                    bury();
                }
                true
            };
            retry(work, &again)?;
            let mut back = 0;
            bus.reader()?.restore(&topics.raw, &[0], &mut |_| back += 1)?;
            assert_eq!((back, asked.get()), (3, 3));
            Ok(())
        };
        with_work(&entry, |_| Some(String::new()), act).unwrap();
    }
}
