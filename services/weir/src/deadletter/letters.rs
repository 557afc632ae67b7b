//! Letters and marks, as they lie in `weir.deadletter`.

use super::{Place, text};
use crate::walk::walk;
use anyhow::Result;
use serde_json::{Value as Json, json};
use std::collections::BTreeSet;
use weir_bus::{Bus, Reader, Record};
use weir_schemas::Ip;
use weir_schemas::deadletter::{self, About};

/// A letter.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Where it lies.
    pub place: Place,
    /// When it was written, ns since the epoch.
    pub written: i64,
    /// The record's key.
    pub key: Vec<u8>,
    /// Whose it is, where the key says so.
    pub exporter: Option<Ip>,
    /// What is known of it.
    pub about: About,
    /// How many bytes there were where only the first are left.
    pub cut_from: Option<usize>,
    /// How many bytes it has.
    pub length: usize,
    /// They.
    pub bytes: Vec<u8>,
}

impl Letter {
    /// When it was received; of a whole record, when it was buried. ns since the epoch.
    pub fn time(&self) -> i64 {
        if self.about.received > 0 { self.about.received } else { self.written }
    }

    /// The exporter's address.
    pub fn address(&self) -> String {
        self.exporter.map_or_else(|| "no exporter".to_owned(), |exporter| exporter.to_string())
    }

    /// All but the bytes.
    pub fn json(&self, is_back: bool) -> Json {
        let About { reason, sentence, topic, partition, offset, frame_index, byte_offset, .. } = &self.about;
        let About { source_port, protocol, observation_domain, .. } = &self.about;
        json!({
            "place": self.place.to_string(),
            "reason": reason,
            "sentence": sentence,
            "exporter": self.address(),
            "time": text::utc(self.time()),
            "written": text::utc(self.written),
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "frame_index": frame_index,
            "byte_offset": byte_offset,
            "source_port": source_port,
            "protocol": protocol,
            "observation_domain": observation_domain,
            "bytes": self.length,
            "cut_from": self.cut_from,
            "put_back": is_back,
        })
    }
}

/// Places of letters of these partitions that were put back.
pub fn marks<B: Bus>(reader: &mut B::Reader, bus: &B, partitions: &[i32]) -> Result<BTreeSet<Place>> {
    let mut marks = BTreeSet::new();
    reader.restore(&bus.topics().deadletter, partitions, &mut |record| {
        let marked = deadletter::marked(record.value().unwrap_or_default());
        marks.extend(marked.map(|offset| Place(record.partition(), offset)));
    })?;
    Ok(marks)
}

/// Reads the letters of these partitions, one after the other, as of now: what is buried meanwhile, perhaps because of what is done with these,
/// is not among them. What is no letter is left out. An error of `take` ends it.
pub fn each<B: Bus>(
    reader: &mut B::Reader,
    bus: &B,
    partitions: &[i32],
    take: &mut dyn FnMut(Letter) -> Result<()>,
) -> Result<()> {
    let topic = bus.topics().deadletter;
    let bounds = |partition: &i32| Ok((*partition, reader.bounds(&topic, *partition)?));
    let bounds: Vec<(i32, (i64, i64))> = partitions.iter().map(bounds).collect::<Result<_>>()?;
    for (partition, (_, end)) in bounds {
        // Retention goes on while the others are read.
        let (begin, _) = reader.bounds(&topic, partition)?;
        walk(reader, &topic, partition, begin..end, &mut |record| letter(record).map_or(Ok(()), &mut *take))?;
    }
    Ok(())
}

fn letter(record: &Record<'_>) -> Option<Letter> {
    let value = record.value().unwrap_or_default();
    let (about, bytes) = deadletter::read(value).ok()?;
    let cut_from = deadletter::cut_from(value).ok()?;
    let key = record.key().unwrap_or_default().to_vec();
    Some(Letter {
        place: Place(record.partition(), record.offset()),
        written: record.appended().unwrap_or_default().saturating_mul(1_000_000),
        exporter: <[u8; 16]>::try_from(key.as_slice()).ok().map(Ip),
        key,
        about,
        cut_from,
        length: bytes.len(),
        bytes: bytes.to_vec(),
    })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    pub fn letter(reason: &str, received: i64) -> Letter {
        let exporter = Ip::v4([192, 0, 2, 1]);
        Letter {
            place: Place(0, 7),
            written: 9,
            key: exporter.0.to_vec(),
            exporter: Some(exporter),
            about: About {
                reason: reason.to_owned(),
                sentence: "so".to_owned(),
                topic: "weir.raw".to_owned(),
                partition: 0,
                offset: 3,
                frame_index: 1,
                byte_offset: 0,
                received,
                source_port: 2055,
                protocol: "ipfix".to_owned(),
                observation_domain: 1,
            },
            cut_from: None,
            length: 0,
            bytes: Vec::new(),
        }
    }

    #[test]
    fn a_whole_record_has_the_time_at_which_it_was_buried() {
        assert_eq!((letter("poison", 0).time(), letter("poison", 5).time()), (9, 5));
    }
}
