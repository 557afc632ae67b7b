//! What is committed before an insert, so that a crash after it repeats the very same insert.
//!
//! A plan is the metadata of the *unchanged* offset. Whoever owns the partition next reads the same range again, holds it
//! against count and checksum, and inserts under the same token (docs/exactly-once.md, rules 7 and 8).

use serde::{Deserialize, Serialize};
use thiserror::Error;
use weir_store::SETTINGS_VERSION;

/// Version of the rows that this build makes of a batch, and of the pieces in which it inserts them.
pub const FORMAT: u32 = 3;

/// A batch as planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of the rows.
    pub format: u32,
    /// Version of the insert's settings.
    pub settings: u32,
    /// First offset.
    pub first: i64,
    /// Offset of the last record: transaction markers behind it never arrive.
    pub last: i64,
    /// Records in between, both ends included.
    pub records: u64,
    /// CRC-32 over offsets and values.
    pub checksum: u32,
    /// Pieces of each rollup table: what is left of the batch must be cut into as many. Formats before 3 did not say it, and have to be known
    /// as what they are.
    #[serde(default)]
    pub pieces: u32,
    /// Offsets before `first` that were found lost. Once the plan is committed nobody finds them again, and they are counted with its end.
    #[serde(default)]
    pub lost: u64,
}

/// Metadata of a committed offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Incarnation of the topic: a re-created topic starts at offset 0 again, and old tokens must not meet new data.
    pub incarnation: String,
    /// The insert that may have begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
}

/// Why a plan can't be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// What is read again is not what was planned.
    #[error(
        "{topic}/{partition}: offsets {first} to {last} were being inserted when the sink stopped, and are not there any more as they \
         were ({what}): retention or a power cut. Part of the batch may be stored. Start group {group} once with \
         --set sink.lost_batch=store_rest to insert what is left under the same tokens, which doubles nothing; what is missing stays so"
    )]
    Mismatch {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// First offset.
        first: i64,
        /// Last offset.
        last: i64,
        /// Consumer group.
        group: String,
        /// What differs.
        what: String,
    },
    /// The plan is of another release.
    #[error(
        "{topic}/{partition}: a plan of format {format} and insert settings {settings} was left by another release; this one makes \
         format {FORMAT} with settings {SETTINGS_VERSION}, which ClickHouse might take for new rows: let that release finish it"
    )]
    Format {
        /// Topic.
        topic: String,
        /// Partition.
        partition: i32,
        /// Its format.
        format: u32,
        /// Version of its insert's settings.
        settings: u32,
    },
}

impl Metadata {
    /// As committed.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("metadata has string keys and plain values")
    }

    /// As read back; anything else than what a sink wrote is none.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Where a partition goes on after an assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// Offset to start at.
    pub offset: i64,
    /// What has to be inserted first.
    pub plan: Option<Plan>,
    /// Offsets that retention took before they were stored.
    pub lost: u64,
}

/// Decides from what was committed, the topic's incarnation, and what the log holds.
pub fn resume(committed: Option<(i64, &str)>, incarnation: &str, (begin, end): (i64, i64)) -> Resume {
    let anew = Resume { offset: begin, plan: None, lost: 0 };
    let Some((offset, metadata)) = committed else { return anew };
    let metadata = Metadata::read(metadata);
    // Another topic of the same name: what was committed says nothing about it. Of the same one an offset behind the end is kept:
    // a new leader may know less for a moment, and beginning anew would store everything twice.
    if metadata.as_ref().map_or(offset > end, |metadata| metadata.incarnation != incarnation) {
        return anew;
    }
    match metadata.and_then(|metadata| metadata.plan) {
        Some(plan) => Resume { offset: plan.first, plan: Some(plan), lost: 0 },
        None if offset < begin => Resume { offset: begin, plan: None, lost: begin.abs_diff(offset) },
        None => Resume { offset, plan: None, lost: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan { format: FORMAT, settings: 1, first: 7, last: 12, records: 5, checksum: 9, pieces: 1, lost: 0 }
    }

    fn metadata(incarnation: &str, plan: Option<Plan>) -> String {
        Metadata { incarnation: incarnation.into(), plan }.text()
    }

    #[test]
    fn a_partition_goes_on_where_it_was_committed_or_repeats_its_plan() {
        let at = |offset, plan, lost| Resume { offset, plan, lost };
        let plain = metadata("A", None);
        let planned = metadata("A", Some(plan()));
        for (committed, bounds, expected) in [
            (None, (3, 20), at(3, None, 0)),
            (Some((7, plain.as_str())), (3, 20), at(7, None, 0)),
            (Some((7, "")), (3, 20), at(7, None, 0)),
            (Some((7, plain.as_str())), (9, 20), at(9, None, 2)),
            (Some((7, plain.as_str())), (3, 6), at(7, None, 0)),
            (Some((7, planned.as_str())), (3, 20), at(7, Some(plan()), 0)),
            // Retention took part of a planned batch: the plan is kept, so that the mismatch is found and said.
            (Some((7, planned.as_str())), (9, 20), at(7, Some(plan()), 0)),
        ] {
            assert_eq!(resume(committed, "A", bounds), expected, "{committed:?} {bounds:?}");
        }
    }

    #[test]
    fn a_re_created_topic_begins_anew_and_an_old_plan_is_not_carried_out_on_it() {
        let planned = metadata("A", Some(plan()));
        assert_eq!(resume(Some((7, &planned)), "B", (0, 20)), Resume { offset: 0, plan: None, lost: 0 });
        assert_eq!(resume(Some((700, "")), "B", (0, 20)), Resume { offset: 0, plan: None, lost: 0 });
    }

    #[test]
    fn metadata_fits_what_a_broker_holds() {
        let large = Plan {
            first: i64::MAX,
            last: i64::MAX,
            records: u64::MAX,
            checksum: u32::MAX,
            pieces: u32::MAX,
            ..plan()
        };
        assert!(metadata("a-topic-id-of-22-bytes", Some(large)).len() < 512);
    }

    #[test]
    fn a_plan_of_an_older_format_is_known_as_one() {
        let metadata = Metadata::read(
            "{\"incarnation\":\"A\",\"plan\":{\"format\":2,\"settings\":1,\"first\":7,\"last\":12,\"records\":5,\"checksum\":9}}",
        );
        assert_eq!(metadata.unwrap().plan.unwrap().format, 2);
    }
}
