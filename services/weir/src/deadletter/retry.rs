//! Putting letters back: the transactions that take them into `weir.raw`.
//!
//! What must stay true: a letter is put back once, however often and by how many this is run, because what goes back and the mark that says
//! so appear together, and whoever puts back fences who did before *and then* reads the marks.

use super::Place;
use super::letters::{Letter, each};
use super::part::{Originals, Part, frame, part};
use anyhow::{Context, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use weir_bus::{Bus, Event, GroupConsumer, Message, Position, Reader, Transactions};
use weir_runtime::Stop;
use weir_schemas::deadletter::mark;

/// Group and identity of whoever puts back.
const IDENTITY: &str = "weir-deadletter-retry";
/// Letters, and bytes of them, of a transaction.
const LETTERS: usize = 200;
const BYTES: usize = 4 << 20;
/// How long the group may take to make this its member.
const PATIENCE: Duration = Duration::from_secs(90);

/// Reads the frames that these letters are parts of, as far as the log still has them.
pub fn originals<B: Bus>(reader: &mut B::Reader, bus: &B, letters: &[Letter]) -> Result<Originals> {
    let topic = bus.topics().raw;
    let mut wanted: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for letter in letters.iter().filter(|letter| part(letter) == Ok(Part::Set)) {
        wanted.entry(letter.about.partition).or_default().push(letter.about.offset);
    }
    let mut found = Originals::new();
    for (partition, mut offsets) in wanted {
        let (begin, end) = reader.bounds(&topic, partition)?;
        offsets.retain(|offset| (begin..end).contains(offset));
        offsets.sort_unstable();
        let Some(first) = offsets.first() else { continue };
        reader.read_on(&topic, &[(partition, *first)], &mut |record| {
            if offsets.binary_search(&record.offset()).is_ok() {
                let value = record.value().unwrap_or_default().to_vec();
                found.insert((partition, record.offset()), value);
            }
        })?;
    }
    Ok(found)
}

/// Puts back what is wanted and was not put back before.
pub fn retry<B: Bus>(
    bus: &B,
    wanted: &dyn Fn(&Letter) -> bool,
    say: &dyn Fn(&str),
    stop: &Stop,
) -> Result<()> {
    let topics = bus.topics();
    // First of all: what another has begun is settled by this, and it can begin nothing more.
    let mut producer = bus.transactional(IDENTITY)?;
    let mut consumer = member(bus, stop)?;
    let mut reader = bus.reader()?;
    let mut letters = Vec::new();
    let marks = each(&mut reader, bus, &mut |letter| {
        if wanted(&letter) {
            letters.push(letter);
        }
    })?;
    let before = letters.len();
    letters.retain(|letter| !marks.contains(&letter.place));
    let was_back = before - letters.len();
    let originals = originals(&mut reader, bus, &letters)?;
    let (mut ready, mut refused) = (Vec::new(), BTreeMap::<String, Vec<Place>>::new());
    for letter in letters {
        match frame(&letter, &originals) {
            Ok(frame) => ready.push((letter, frame)),
            Err(why) => refused.entry(why).or_default().push(letter.place),
        }
    }
    ready.sort_by_key(|(letter, _)| (letter.place.0, letter.time(), letter.place.1));
    let mut done = 0;
    let mut rest = ready.as_slice();
    while let Some((first, _)) = rest.first() {
        if stop.is_cancelled() {
            bail!("told to end after {done} letters; the same command goes on");
        }
        let partition = first.place.0;
        let mut bytes = 0;
        let count = rest
            .iter()
            .take(LETTERS)
            .take_while(|(letter, frame)| {
                bytes += frame.len();
                letter.place.0 == partition && (bytes <= BYTES || bytes == frame.len())
            })
            .count();
        let (now, behind) = rest.split_at(count);
        transact(&mut producer, &mut consumer, &topics.raw, &topics.deadletter, now)?;
        (rest, done) = (behind, done + count);
    }
    // All is done; who can't leave now is taken to have left when its session ends.
    if let Err(error) = consumer.leave() {
        tracing::warn!("{error}");
    }
    say(&format!("{done} letters are put back into {}", topics.raw));
    if was_back > 0 {
        say(&format!("{was_back} were put back before"));
    }
    for (why, places) in refused {
        let some: Vec<_> = places.iter().take(5).map(Place::to_string).collect();
        let more = if places.len() > 5 { ", …" } else { "" };
        say(&format!("{} can't be: {why} ({}{more})", places.len(), some.join(", ")));
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
        let key = &letter.key;
        producer.send(&Message { topic: raw, partition, key, value: Some(frame), headers: &[] })?;
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

/// Becomes the only member of the group.
fn member<B: Bus>(bus: &B, stop: &Stop) -> Result<B::Consumer> {
    let mut consumer = bus.join(IDENTITY, &bus.topics().deadletter, IDENTITY)?;
    let (begun, mut held) = (Instant::now(), 0);
    while held < bus.partitions() {
        if stop.is_cancelled() {
            bail!("told to end");
        }
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
