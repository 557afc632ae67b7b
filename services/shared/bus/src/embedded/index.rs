//! What decides: ends of logs, committed offsets, records of compacted topics, in one store whose batches are atomic.
//!
//! The store is fjall: a log-structured tree with a checksummed journal that survives kill -9 and a torn last write. Bulk topics do
//! not lie in it, because it writes every value at least twice (journal, then table); their files are written once, and what of them
//! counts is what the index says. So a commit is one batch here, whatever it has appended elsewhere.

use super::frame::{Body, FULL, Stored, record};
use crate::Cleanup;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch as WriteBatch, PersistMode};
use std::collections::HashMap;
use std::path::Path;

type Result<T> = std::result::Result<T, fjall::Error>;

/// A topic, as it was created; how long it is kept may be set later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Topic {
    pub id: u32,
    pub name: String,
    pub partitions: u32,
    pub cleanup: Cleanup,
    pub incarnation: String,
}

/// Both ends of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub begin: i64,
    pub next: i64,
    /// So many offsets are left out before the next record, because they may have been given out before. Until one comes the end stays
    /// where it is, or all that had read to it would seem to be behind.
    pub leap: i64,
}

impl Ends {
    /// As they are for what is appended now.
    pub(super) fn leapt(self) -> Self {
        Self { next: self.next + self.leap, leap: 0, ..self }
    }
}

/// Where a frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub segment: u32,
    pub at: u64,
    /// Header and body, bytes.
    pub length: u32,
}

impl Place {
    /// Where the next frame may begin.
    pub(super) fn end(self) -> u64 {
        self.at + u64::from(self.length)
    }
}

/// A file of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Segment {
    pub number: u32,
    /// Bytes of it that count.
    pub length: u64,
    /// When the first and the last of them were appended, ms since the epoch.
    pub first: i64,
    pub last: i64,
}

/// Committed offset and what was committed beside it, by group, topic and partition.
pub(super) type Offsets = HashMap<(String, String, i32), (i64, String)>;

/// The open store.
pub(super) struct Index {
    database: Database,
    topics: Keyspace,
    ends: Keyspace,
    segments: Keyspace,
    frames: Keyspace,
    offsets: Keyspace,
    /// Records of compacted topics by offset, and the offset of the last record of each key.
    records: Keyspace,
    latest: Keyspace,
    /// Tombstones by the time they were appended.
    tombs: Keyspace,
    /// Facts about the store itself.
    own: Keyspace,
}

/// Key parts, big-endian, so that they sort as numbers do. Offsets are never negative.
fn key(topic: u32, partition: i32, offset: i64) -> [u8; 16] {
    let mut out = [0; 16];
    out[..4].copy_from_slice(&topic.to_be_bytes());
    out[4..8].copy_from_slice(&partition.to_be_bytes());
    out[8..].copy_from_slice(&offset.to_be_bytes());
    out
}

fn pair(topic: u32, second: u32) -> [u8; 8] {
    let mut out = [0; 8];
    out[..4].copy_from_slice(&topic.to_be_bytes());
    out[4..].copy_from_slice(&second.to_be_bytes());
    out
}

fn latest_key(topic: u32, partition: i32, key: &[u8]) -> Vec<u8> {
    let mut out = pair(topic, partition as u32).to_vec();
    out.extend_from_slice(key);
    out
}

fn offsets_key(group: &str, topic: &str, partition: i32) -> Vec<u8> {
    let mut out = Vec::with_capacity(group.len() + topic.len() + 6);
    // Neither a group nor a topic has a NUL in its name.
    out.extend_from_slice(group.as_bytes());
    out.push(0);
    out.extend_from_slice(topic.as_bytes());
    out.push(0);
    out.extend_from_slice(&partition.to_be_bytes());
    out
}

fn numbers<const N: usize>(bytes: &[u8]) -> [u64; N] {
    let mut out = [0; N];
    for (number, bytes) in out.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
    }
    out
}

fn bytes<const N: usize>(numbers: [u64; N]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_be_bytes)
}

fn offset_of(key: &[u8]) -> i64 {
    key.get(8..16).and_then(|eight| eight.try_into().ok()).map_or(0, i64::from_be_bytes)
}

impl Topic {
    fn bytes(&self) -> Vec<u8> {
        let retention = match self.cleanup {
            Cleanup::Delete { retention_ms } => retention_ms,
            Cleanup::Compact => -1,
        };
        let mut out = bytes([u64::from(self.id), u64::from(self.partitions), retention as u64]);
        out.extend_from_slice(self.incarnation.as_bytes());
        out
    }

    fn parse(name: &[u8], value: &[u8]) -> Self {
        let [id, partitions, retention] = numbers(value);
        let cleanup = match retention as i64 {
            -1 => Cleanup::Compact,
            retention_ms => Cleanup::Delete { retention_ms },
        };
        Self {
            id: id as u32,
            name: String::from_utf8_lossy(name).into_owned(),
            partitions: partitions as u32,
            cleanup,
            incarnation: String::from_utf8_lossy(value.get(24..).unwrap_or_default()).into_owned(),
        }
    }

    pub(super) fn is_compacted(&self) -> bool {
        self.cleanup == Cleanup::Compact
    }
}

/// Everything that one commit changes here.
pub(super) struct Change<'i> {
    index: &'i Index,
    batch: WriteBatch,
    /// The last record of each key of compacted topics. All of a batch has one sequence number in the store, so that nothing of it may
    /// take another part of it back.
    records: HashMap<Vec<u8>, Record>,
}

/// A record of a compacted topic that is to be written.
struct Record {
    place: [u8; 16],
    offset: i64,
    stored: Vec<u8>,
    /// When it was appended, of a tombstone.
    tomb: Option<u64>,
}

impl Index {
    /// Opens or creates. Blocks for as long as the journal takes to be read.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let database = Database::builder(path)
            .worker_threads(1)
            .cache_size(16 << 20)
            .max_journaling_size(128 << 20)
            .open()?;
        let keyspace = |name: &str| {
            database.keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(8 << 20))
        };
        Ok(Self {
            topics: keyspace("topics")?,
            ends: keyspace("ends")?,
            segments: keyspace("segments")?,
            frames: keyspace("frames")?,
            offsets: keyspace("offsets")?,
            records: keyspace("records")?,
            latest: keyspace("latest")?,
            tombs: keyspace("tombs")?,
            own: keyspace("own")?,
            database,
        })
    }

    pub(super) fn topics(&self) -> Result<Vec<Topic>> {
        let all = self.topics.iter().map(|guard| {
            let (name, value) = guard.into_inner()?;
            Ok(Topic::parse(&name, &value))
        });
        all.collect()
    }

    pub(super) fn ends(&self, topic: u32, partition: i32) -> Result<Ends> {
        let value = self.ends.get(pair(topic, partition as u32))?;
        Ok(value.map_or_else(Ends::default, |value| {
            let [begin, next, leap] = numbers(&value);
            Ends { begin: begin as i64, next: next as i64, leap: leap as i64 }
        }))
    }

    /// Files of a topic, oldest first.
    pub(super) fn segments(&self, topic: u32) -> Result<Vec<Segment>> {
        let all = self.segments.prefix(topic.to_be_bytes()).map(|guard| {
            let (key, value) = guard.into_inner()?;
            let [length, first, last] = numbers(&value);
            Ok(Segment { number: be32(&key, 4), length, first: first as i64, last: last as i64 })
        });
        all.collect()
    }

    pub(super) fn offsets(&self) -> Result<Offsets> {
        let mut all = Offsets::new();
        for guard in self.offsets.iter() {
            let (key, value) = guard.into_inner()?;
            let mut parts = key.splitn(3, |byte| *byte == 0);
            let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
            let (group, topic) = (text(), text());
            let partition = be32(&key, key.len().saturating_sub(4)) as i32;
            let [offset] = numbers(&value);
            let metadata = String::from_utf8_lossy(value.get(8..).unwrap_or_default()).into_owned();
            all.insert((group, topic, partition), (offset as i64, metadata));
        }
        Ok(all)
    }

    /// The frame that holds `offset`, or the first one behind it: its first offset, the offset behind its last, and where it lies.
    pub(super) fn frame(&self, topic: u32, partition: i32, offset: i64) -> Result<Option<(i64, i64, Place)>> {
        let (low, high) = (key(topic, partition, 0), key(topic, partition, i64::MAX));
        let at = key(topic, partition, offset);
        let read = |guard: fjall::Guard| -> Result<(i64, i64, Place)> {
            let (key, value) = guard.into_inner()?;
            let [segment, at, length, span] = numbers(&value);
            let place = Place { segment: segment as u32, at, length: length as u32 };
            let base = offset_of(&key);
            Ok((base, base + span as i64, place))
        };
        if let Some(guard) = self.frames.range(low..=at).next_back() {
            let found = read(guard)?;
            if found.1 > offset {
                return Ok(Some(found));
            }
        }
        let next = self.frames.range((std::ops::Bound::Excluded(at), std::ops::Bound::Included(high))).next();
        next.map(read).transpose()
    }

    /// Where the frames of a topic's last file lie, the last one first.
    pub(super) fn last_frames(&self, topic: &Topic, last: u32) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        for partition in 0..topic.partitions {
            for guard in self.frames.prefix(pair(topic.id, partition)).rev() {
                let [segment, at, length] = numbers(&guard.value()?);
                if segment as u32 != last {
                    break;
                }
                places.push(Place { segment: last, at, length: length as u32 });
            }
        }
        places.sort_by_key(|place| std::cmp::Reverse(place.at));
        Ok(places)
    }

    /// Records of a compacted partition from `offset` on, up to about a frame full, and where to go on.
    pub(super) fn records(
        &self,
        topic: &Topic,
        partition: i32,
        offset: i64,
        next: i64,
    ) -> Result<(Body, i64)> {
        let mut body = Body::default();
        for guard in self.records.range(key(topic.id, partition, offset)..key(topic.id, partition, next)) {
            let (key, value) = guard.into_inner()?;
            let at = offset_of(&key);
            let delta = u32::try_from(at - offset).unwrap_or(u32::MAX);
            if delta == u32::MAX || body.len() >= FULL {
                return Ok((body, at));
            }
            if let Some((stored, _)) = record(&value, 0) {
                body.push_stored(delta, &stored);
            }
        }
        Ok((body, next))
    }

    /// A fact about the store itself.
    pub(super) fn fact(&self, name: &str) -> Result<Option<String>> {
        Ok(self.own.get(name)?.map(|value| String::from_utf8_lossy(&value).into_owned()))
    }

    pub(super) fn forget_facts(&self, prefix: &str) -> Result<()> {
        let mut change = self.change();
        for guard in self.own.prefix(prefix) {
            change.batch.remove(&self.own, guard.key()?);
        }
        change.commit(false)
    }

    pub(super) fn change(&self) -> Change<'_> {
        Change { index: self, batch: self.database.batch(), records: HashMap::new() }
    }

    /// Makes everything that was committed safe from a power cut.
    pub(super) fn sync(&self) -> Result<()> {
        self.database.persist(PersistMode::SyncData)
    }
}

impl Change<'_> {
    pub(super) fn topic(&mut self, topic: &Topic) {
        self.batch.insert(&self.index.topics, topic.name.as_str(), topic.bytes());
    }

    /// Forgets a topic and all that belongs to it.
    pub(super) fn forget(&mut self, topic: &Topic, offsets: &Offsets) -> Result<()> {
        self.batch.remove(&self.index.topics, topic.name.as_str());
        let of = topic.id.to_be_bytes();
        let Index { ends, segments, frames, records, latest, .. } = self.index;
        for keyspace in [ends, segments, frames, records, latest] {
            for guard in keyspace.prefix(of) {
                self.batch.remove(keyspace, guard.key()?);
            }
        }
        for (group, name, partition) in offsets.keys().filter(|(_, name, _)| *name == topic.name) {
            self.batch.remove(&self.index.offsets, offsets_key(group, name, *partition));
        }
        Ok(())
    }

    pub(super) fn ends(&mut self, topic: u32, partition: i32, ends: Ends) {
        let value = bytes([ends.begin as u64, ends.next as u64, ends.leap as u64]);
        self.batch.insert(&self.index.ends, pair(topic, partition as u32), value);
    }

    pub(super) fn segment(&mut self, topic: u32, segment: &Segment) {
        let value = bytes([segment.length, segment.first as u64, segment.last as u64]);
        self.batch.insert(&self.index.segments, pair(topic, segment.number), value);
    }

    /// Forgets frames in this segment and older ones; gives the offset behind them, where there are any.
    pub(super) fn cut(&mut self, topic: u32, partition: i32, segment: u32) -> Result<Option<i64>> {
        let mut behind = None;
        for guard in self.index.frames.prefix(pair(topic, partition as u32)) {
            let (key, value) = guard.into_inner()?;
            let [number, _, _, span] = numbers(&value);
            if number as u32 > segment {
                break;
            }
            behind = Some(offset_of(&key) + span as i64);
            self.batch.remove(&self.index.frames, key);
        }
        Ok(behind)
    }

    pub(super) fn no_segment(&mut self, topic: u32, segment: u32) {
        self.batch.remove(&self.index.segments, pair(topic, segment));
    }

    /// Forgets frames that lie behind `at` in the segment: they are not there.
    pub(super) fn cut_tail(&mut self, topic: u32, partition: i32, segment: u32, at: u64) -> Result<u64> {
        let mut lost = 0;
        for guard in self.index.frames.prefix(pair(topic, partition as u32)).rev() {
            let (key, value) = guard.into_inner()?;
            let [number, place, length, span] = numbers(&value);
            if (number as u32, place + length) <= (segment, at) {
                break;
            }
            lost += span;
            self.batch.remove(&self.index.frames, key);
        }
        Ok(lost)
    }

    pub(super) fn frame(&mut self, topic: u32, partition: i32, base: i64, span: u32, place: Place) {
        let value = bytes([u64::from(place.segment), place.at, u64::from(place.length), u64::from(span)]);
        self.batch.insert(&self.index.frames, key(topic, partition, base), value);
    }

    pub(super) fn offset(&mut self, group: &str, topic: &str, partition: i32, offset: i64, metadata: &str) {
        let mut value = bytes([offset as u64]);
        value.extend_from_slice(metadata.as_bytes());
        self.batch.insert(&self.index.offsets, offsets_key(group, topic, partition), value);
    }

    /// Puts a record of a compacted topic in the place of the one that its key had before.
    pub(super) fn record(&mut self, topic: u32, partition: i32, offset: i64, stored: &Stored<'_>) {
        let record = Record {
            place: key(topic, partition, offset),
            offset,
            stored: stored_bytes(stored),
            tomb: stored.value.is_none().then_some(stored.appended),
        };
        self.records.insert(latest_key(topic, partition, stored.key), record);
    }

    fn put_records(&mut self) -> Result<()> {
        for (name, Record { place, offset, stored, tomb }) in std::mem::take(&mut self.records) {
            if let Some(before) = self.index.latest.get(&name)? {
                let [before] = numbers(&before);
                self.batch
                    .remove(&self.index.records, key(be32(&place, 0), be32(&place, 4) as i32, before as i64));
            }
            if let Some(appended) = tomb {
                let tomb = [&appended.to_be_bytes()[..], &place].concat();
                self.batch.insert(&self.index.tombs, tomb, &name[8..]);
            }
            self.batch.insert(&self.index.records, place, stored);
            self.batch.insert(&self.index.latest, name, bytes([offset as u64]));
        }
        Ok(())
    }

    /// Removes tombstones that were appended before `before`, up to `most` of them; gives how many.
    pub(super) fn bury(&mut self, before: i64, most: usize) -> Result<usize> {
        let mut buried = 0;
        for guard in self.index.tombs.range(..(before as u64).to_be_bytes().to_vec()).take(most) {
            let (tomb, name) = guard.into_inner()?;
            let place = tomb.get(8..24).unwrap_or_default();
            let (topic, partition, offset) = (be32(place, 0), be32(place, 4) as i32, offset_of(place));
            let name = latest_key(topic, partition, &name);
            let latest = self.index.latest.get(&name)?.map(|value| numbers::<1>(&value)[0] as i64);
            // A key that was written again has another record by now, and the tombstone's own is gone.
            if latest == Some(offset) {
                self.batch.remove(&self.index.latest, name);
                self.batch.remove(&self.index.records, key(topic, partition, offset));
            }
            self.batch.remove(&self.index.tombs, tomb);
            buried += 1;
        }
        Ok(buried)
    }

    pub(super) fn fact(&mut self, name: &str, value: &str) {
        self.batch.insert(&self.index.own, name, value);
    }

    /// Commits all of it or nothing. After this a killed process finds it; with `sync`, so does one after a power cut.
    pub(super) fn commit(mut self, sync: bool) -> Result<()> {
        self.put_records()?;
        let mode = if sync { PersistMode::SyncData } else { PersistMode::Buffer };
        self.batch.durability(Some(mode)).commit()
    }
}

/// A record of a compacted topic, as it lies here: a body of one.
fn stored_bytes(stored: &Stored<'_>) -> Vec<u8> {
    let mut body = Body::default();
    body.push_stored(0, stored);
    body.into_bytes()
}
