//! Whether an exporter tells the truth: sums of what its records say of themselves beside what follows from their packets, and what they mean.
//!
//! Nothing here corrects a number (docs/counting.md, "Bytes"). All are sums since a decoder began to count, so a time's are a difference, and
//! what is found of them needs no order. A finding is said from enough records, or not at all.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

macro_rules! checks {
    ($( #[doc = $doc:literal] $field:ident, )*) => {
        /// Sums by which an exporter is judged.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(from = "BTreeMap<String, u64>", into = "BTreeMap<String, u64>")]
        pub struct Checks { $( #[doc = $doc] pub $field: u64, )* }

        impl Checks {
            /// Name, meaning and value of each.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$( (stringify!($field), $doc, self.$field), )*].into_iter()
            }

            /// Sets the one of a name. A name that is not known is of another version, and says nothing here.
            pub fn set(&mut self, name: &str, sum: u64) {
                match name {
                    $( stringify!($field) => self.$field = sum, )*
                    _ => {}
                }
            }
        }
    };
}

checks! {
    #[doc = "Sampled frames whose length contains the FCS and all tags of the header: as sFlow wants it."] frames_with_fcs,
    #[doc = "Sampled frames whose length has no FCS."] frames_without_fcs,
    #[doc = "Sampled frames with VLAN tags whose length contains none of them."] frames_without_tags,
    #[doc = "Sampled frames whose length is that of their IP packet."] frames_of_layer_3,
    #[doc = "Sampled frames whose length is none of these."] frames_of_other_length,
    #[doc = "Frames of short packets whose length contains padding."] short_frames_padded,
    #[doc = "Frames of short packets whose length contains no padding."] short_frames_unpadded,
    #[doc = "Records with a sampled header whose octets (IE 1) are those of layer 3."] octets_of_layer_3,
    #[doc = "Records with a sampled header whose octets (IE 1) are those of a frame."] octets_of_layer_2,
    #[doc = "Records with a sampled header whose octets (IE 1) are neither."] octets_of_neither,
    #[doc = "Flow records that count packets."] flows,
    #[doc = "Flow records of one packet."] flows_of_one_packet,
    #[doc = "Flow records whose times were not believed."] times_implausible,
    #[doc = "Records that name AS numbers (IE 16, 17)."] as_numbers,
    #[doc = "Of these, records whose both AS numbers are 0."] as_zero,
    #[doc = "Of these, records with AS_TRANS, 23456: the exporter knows two bytes only."] as_trans,
    #[doc = "Records whose AS (IE 16, 17) is the neighbour AS of the same side (IE 129, 128)."] as_of_neighbour,
    #[doc = "Records whose AS (IE 16, 17) is not the neighbour AS of the same side (IE 129, 128): it is the origin."] as_of_origin,
    #[doc = "Templates that went back to what they were before they last changed: two exporters behind one address do so."] templates_flapped,
    #[doc = "Flows that the exporter says it has not sent (IE 166)."] flows_not_sent,
    #[doc = "Packets of flows that the exporter says it has not sent (IE 167)."] packets_not_sent,
    #[doc = "Octets of flows that the exporter says it has not sent (IE 168)."] octets_not_sent,
    #[doc = "Packets that the exporter says it has ignored (IE 164)."] packets_ignored,
    #[doc = "Octets that the exporter says it has ignored (IE 165)."] octets_ignored,
    #[doc = "Whole minutes of a thousand flow records a second and more."] minutes_busy,
    #[doc = "Of these, minutes in which records came more evenly, second by second, than chance lets them: their export is cut off at a rate."] minutes_even,
    #[doc = "Flow records of these."] flows_of_even_minutes,
    #[doc = "Samples that sFlow's samplers made, by their numbers, and packets that IPFIX's selectors say they selected (IE 319)."] samples_made,
    #[doc = "Packets that these were taken from, by the samplers' pools (IE 318)."] samples_pool,
    #[doc = "Packets that these would have been taken from at the rates that were announced."] samples_announced,
    #[doc = "Samples that agents made and dropped for want of resources."] samples_dropped,
    #[doc = "Pairs of samples that follow each other."] samples_pairs,
    #[doc = "Of these, pairs that lie as many packets apart as the announced interval, exactly: the sampler counts."] samples_uniform,
    #[doc = "How often a sampler's pool went back or too far ahead."] sample_pool_steps,
}

impl From<BTreeMap<String, u64>> for Checks {
    fn from(sums: BTreeMap<String, u64>) -> Self {
        let mut checks = Self::default();
        sums.iter().for_each(|(name, sum)| checks.set(name, *sum));
        checks
    }
}

impl From<Checks> for BTreeMap<String, u64> {
    fn from(checks: Checks) -> Self {
        let told = checks.all().filter(|(_, _, sum)| *sum > 0);
        told.map(|(name, _, sum)| (name.to_owned(), sum)).collect()
    }
}

/// A clock that is off by more is wrong, seconds; flows are exported by the second, and may lie a while before they are.
pub const CLOCK_OFF_S: i64 = 60;
/// Flows that last longer than this are told too late for a chart of minutes, seconds.
pub const LONG_FLOW_S: u32 = 150;

/// Fewer records than this show no habit.
const ENOUGH: u64 = 20;
/// Fewer samples than this attain no rate: of so many the mean is within a tenth, 95 times of 100.
const SAMPLES: u64 = 400;
/// Fewer records than this are too few where a few neighbours or a coarse sampler make a habit by chance.
const MANY: u64 = 1000;
/// A part of the records from which on it is a habit, in hundredths.
const MOSTLY: u64 = 80;
/// How far an attained rate may be from the announced one, in hundredths.
const NEAR: u64 = 20;

/// What is found of checks, in words; none where there is nothing to say.
pub type Find = fn(&Checks) -> Option<String>;

/// All that can be found: a code that never changes its meaning, and what finds it.
pub const FINDINGS: &[(&str, Find)] = &[
    ("templates_flap", templates_flap),
    ("attained_rate", attained_rate),
    ("samples_dropped", samples_dropped),
    ("pool_steps", pool_steps),
    ("not_sent", not_sent),
    ("export_rate", export_rate),
    ("frame_length", frame_length),
    ("octets_layer_2", octets_layer_2),
    ("as_trans", as_trans),
    ("as_peer", as_peer),
    ("one_packet", one_packet),
    ("uniform_sampling", uniform_sampling),
];

fn is_mostly(part: u64, all: u64) -> bool {
    all >= ENOUGH && u128::from(part) * 100 >= u128::from(all) * u128::from(MOSTLY)
}

/// Two exporters behind one address.
pub fn templates_flap(checks: &Checks) -> Option<String> {
    let times = checks.templates_flapped;
    (times > 2).then(|| {
        format!(
            "templates of one id and port changed to and fro {times} times: two exporters send from one address with the same \
             observation domain, and records of one may have been read by templates of the other; give each an address or domain of its own"
        )
    })
}

/// sFlow's pools say another rate than the samples.
pub fn attained_rate(checks: &Checks) -> Option<String> {
    let (pool, announced) = (u128::from(checks.samples_pool), u128::from(checks.samples_announced));
    let off = pool.abs_diff(announced) * 100 > announced * u128::from(NEAR);
    (checks.samples_made >= SAMPLES && announced > 0 && pool > 0 && off).then(|| {
        format!(
            "it announces one sample of {:.0} packets and takes one of {:.0}, by its pools over {} samples: bytes are {:.2} of what they should be",
            announced as f64 / checks.samples_made as f64,
            pool as f64 / checks.samples_made as f64,
            checks.samples_made,
            announced as f64 / pool as f64
        )
    })
}

/// The agent has no room for all of its samples.
pub fn samples_dropped(checks: &Checks) -> Option<String> {
    let dropped = checks.samples_dropped;
    (dropped > checks.samples_made / 1000).then(|| {
        format!(
            "it dropped {dropped} samples beside {} that it made, for want of resources: sample less",
            checks.samples_made
        )
    })
}

/// A pool that can't be believed.
pub fn pool_steps(checks: &Checks) -> Option<String> {
    let steps = checks.sample_pool_steps;
    (steps > 2).then(|| {
        format!(
            "its sample pools went back or jumped {steps} times: what rate it attains can't be told from them"
        )
    })
}

/// The exporting process does not send all it has.
pub fn not_sent(checks: &Checks) -> Option<String> {
    let (flows, packets) = (checks.flows_not_sent, checks.packets_not_sent);
    (flows > 0 || packets > 0).then(|| {
        format!("it says that it has not sent {flows} flows of {packets} packets: its export is limited, or its cache too small")
    })
}

/// The export is cut off at a rate.
pub fn export_rate(checks: &Checks) -> Option<String> {
    let (even, busy) = (checks.minutes_even, checks.minutes_busy);
    (even >= ENOUGH && u128::from(even) * 20 >= u128::from(busy)).then(|| {
        format!(
            "in {even} of {busy} busy minutes its records came more evenly than flows end, {} a second: its export is cut off at a rate, and what was beyond \
             it is missing without a gap in its numbers; raise the limit of the export, or sample less",
            checks.flows_of_even_minutes / (even * 60)
        )
    })
}

/// A frame's length is not what sFlow wants it to be.
pub fn frame_length(checks: &Checks) -> Option<String> {
    let habits = [
        (checks.frames_with_fcs, ""),
        (checks.frames_without_fcs, "have no FCS: bytes of layer 2 are 4 a packet too low"),
        (checks.frames_without_tags, "have no VLAN tags: bytes of layer 2 are 4 a packet and tag too low"),
        (checks.frames_of_layer_3, "are those of the IP packet: bytes of layer 2 are 18 a packet too low"),
        (checks.frames_of_other_length, "fit no layer of their packets: bytes of layer 2 can't be relied on"),
    ];
    let all = habits.iter().fold(0_u64, |sum, (frames, _)| sum.saturating_add(*frames));
    let (frames, says) = habits.into_iter().max_by_key(|(frames, _)| *frames)?;
    if all < ENOUGH || (says.is_empty() && is_mostly(frames, all)) {
        return None;
    }
    if !is_mostly(frames, all) {
        return Some(format!(
            "lengths of sampled frames have no one habit: of {all}, {} contain the FCS, {} do not, {} have no VLAN tags",
            checks.frames_with_fcs, checks.frames_without_fcs, checks.frames_without_tags
        ));
    }
    Some(format!("lengths of sampled frames {says} ({frames} of {all})"))
}

/// Octets are not those of layer 3.
pub fn octets_layer_2(checks: &Checks) -> Option<String> {
    let others = checks.octets_of_layer_3.saturating_add(checks.octets_of_neither);
    let all = checks.octets_of_layer_2.saturating_add(others);
    is_mostly(checks.octets_of_layer_2, all).then(|| {
        format!(
            "its octets (IE 1) are those of frames and not of IP packets, {} of {all} say",
            checks.octets_of_layer_2
        )
    })
}

/// AS numbers of two bytes.
pub fn as_trans(checks: &Checks) -> Option<String> {
    (checks.as_trans > checks.as_numbers / 1000 && checks.as_numbers >= ENOUGH).then(|| {
        format!(
            "{} of {} records name AS 23456, which stands for one that it can't export in two bytes: have it export four",
            checks.as_trans, checks.as_numbers
        )
    })
}

/// AS numbers are the neighbours'.
pub fn as_peer(checks: &Checks) -> Option<String> {
    let all = checks.as_of_neighbour.saturating_add(checks.as_of_origin);
    (all >= MANY && checks.as_of_origin == 0).then(|| {
        format!(
            "its AS numbers (IE 16, 17) are those of neighbours and not of origins, in all of {all} records"
        )
    })
}

/// There is no aggregation.
pub fn one_packet(checks: &Checks) -> Option<String> {
    (checks.flows >= MANY && is_mostly(checks.flows_of_one_packet, checks.flows)).then(|| {
        format!(
            "{} of {} flow records are of one packet: sampling is coarse or its cache is too small, and it exports next to a record for each sampled packet",
            checks.flows_of_one_packet, checks.flows
        )
    })
}

/// The sampler counts, where a random one is wanted.
pub fn uniform_sampling(checks: &Checks) -> Option<String> {
    is_mostly(checks.samples_uniform, checks.samples_pairs).then(|| {
        "its sample pools grow by the announced interval from sample to sample, exactly: it takes each Nth packet and not one of N at random, \
         or makes up its pools from its samples (as hsflowd does), and then what rate it attains can't be told"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(checks: Checks) -> Vec<&'static str> {
        FINDINGS.iter().filter(|(_, find)| find(&checks).is_some()).map(|(code, _)| *code).collect()
    }

    #[test]
    fn each_habit_is_found_from_enough_records_and_from_no_less() {
        let none = Checks::default();
        let well =
            Checks { samples_made: 1000, samples_pool: 1_100_000, samples_announced: 1_000_000, ..none };
        for (checks, wanted) in [
            (none, None),
            (well, None),
            (Checks { frames_with_fcs: 1000, frames_without_fcs: 9, ..none }, None),
            (Checks { frames_without_fcs: 19, ..none }, None),
            (Checks { frames_without_fcs: 20, ..none }, Some("frame_length")),
            (Checks { frames_with_fcs: 10, frames_without_fcs: 10, ..none }, Some("frame_length")),
            (Checks { octets_of_layer_2: 20, ..none }, Some("octets_layer_2")),
            (Checks { octets_of_layer_2: 10, octets_of_layer_3: 10, ..none }, None),
            (Checks { samples_pool: 2_000_000, ..well }, Some("attained_rate")),
            (Checks { samples_pool: 500_000, ..well }, Some("attained_rate")),
            (Checks { samples_pool: 500_000, samples_made: 399, ..well }, None),
            (Checks { samples_dropped: 2, ..well }, Some("samples_dropped")),
            (Checks { samples_dropped: 1, ..well }, None),
            (Checks { sample_pool_steps: 3, ..none }, Some("pool_steps")),
            (Checks { templates_flapped: 3, ..none }, Some("templates_flap")),
            (Checks { templates_flapped: 2, ..none }, None),
            (Checks { flows_not_sent: 1, ..none }, Some("not_sent")),
            (Checks { minutes_busy: 400, minutes_even: 20, ..none }, Some("export_rate")),
            (Checks { minutes_busy: 19, minutes_even: 19, ..none }, None),
            (Checks { minutes_busy: 401, minutes_even: 20, ..none }, None),
            (Checks { as_numbers: 20, as_trans: 1, ..none }, Some("as_trans")),
            (Checks { as_numbers: 1000, as_trans: 1, ..none }, None),
            (Checks { as_of_neighbour: 1000, ..none }, Some("as_peer")),
            (Checks { as_of_neighbour: 999, ..none }, None),
            (Checks { as_of_neighbour: 1000, as_of_origin: 1, ..none }, None),
            (Checks { flows: 1000, flows_of_one_packet: 800, ..none }, Some("one_packet")),
            (Checks { flows: 999, flows_of_one_packet: 999, ..none }, None),
            (Checks { flows: 1000, flows_of_one_packet: 799, ..none }, None),
            (
                Checks { samples_dropped: u64::MAX, frames_with_fcs: u64::MAX, ..well },
                Some("samples_dropped"),
            ),
            (Checks { samples_pairs: 100, samples_uniform: 80, ..none }, Some("uniform_sampling")),
        ] {
            assert_eq!(found(checks), Vec::from_iter(wanted), "{checks:?}");
        }
    }

    #[test]
    fn what_is_told_has_no_zeros_and_a_name_of_another_version_is_let_pass() {
        let checks = Checks { flows: 7, as_trans: 1, ..Checks::default() };
        let text = serde_json::to_string(&checks).unwrap();
        assert_eq!(text, r#"{"as_trans":1,"flows":7}"#);
        let newer = text.replace("as_trans", "as_told_by_tea_leaves");
        assert_eq!(serde_json::from_str::<Checks>(&newer).unwrap(), Checks { flows: 7, ..Checks::default() });
    }
}
