//! Whether an exporter tells the truth: what its records say of themselves, beside what follows from their packets.
//!
//! Nothing here corrects a number. All are sums since the exporter was first seen; what they mean is said by whoever shows them
//! (docs/counting.md, "Bytes").

use crate::element::Slot;
use crate::packet::Packet;
use crate::plan::{Present, Words};
use ahash::AHashMap;
use weir_schemas::Flow;

/// Bytes of the frame check sequence.
const FCS: u64 = 4;
const TAG: u64 = 4;
const ETHERNET: u64 = 14;
/// Shortest packet that a frame need not pad.
const UNPADDED: u64 = 46;
/// Shortest frame, without FCS.
const SHORTEST: u64 = 60;
/// AS_TRANS (RFC 6793 section 9).
const AS_TRANS: u32 = 23456;

macro_rules! checks {
    ($( #[doc = $doc:literal] $field:ident, )*) => {
        /// Sums by which an exporter is judged.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Checks { $( #[doc = $doc] pub $field: u64, )* }

        impl Checks {
            /// Name, meaning and value of each.
            pub fn all(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$( (stringify!($field), $doc, self.$field), )*].into_iter()
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
}

/// Totals of what an exporting process has not sent, in the order of [`Checks`].
const UNSENT: [Slot; 5] = [
    Slot::NotSentFlows,
    Slot::NotSentPackets,
    Slot::NotSentOctets,
    Slot::IgnoredPackets,
    Slot::IgnoredOctets,
];
const ANY_UNSENT: Present = Present::of(&UNSENT);
/// Observation domains of which the latest totals are kept.
const DOMAINS: usize = 64;

/// The sums, and what is needed to go on summing.
#[derive(Debug, Default)]
pub(crate) struct Checking {
    pub sums: Checks,
    /// Latest totals by observation domain.
    unsent: AHashMap<u32, [u64; 5]>,
}

impl Checking {
    /// Looks at a row of options data: what its totals have grown by since the row before.
    pub(crate) fn unsent(&mut self, domain: u32, present: &Present, words: &Words) {
        if !present.any(ANY_UNSENT) {
            return;
        }
        let room = self.unsent.len() < DOMAINS;
        let now = UNSENT.map(|slot| if present.has(slot) { words[slot as usize] } else { 0 });
        let Some(before) = self.unsent.get_mut(&domain) else {
            if room {
                self.unsent.insert(domain, now);
            }
            return;
        };
        let sums = &mut self.sums;
        let sums = [
            &mut sums.flows_not_sent,
            &mut sums.packets_not_sent,
            &mut sums.octets_not_sent,
            &mut sums.packets_ignored,
            &mut sums.octets_ignored,
        ];
        for ((sum, now), before) in sums.into_iter().zip(now).zip(*before) {
            // A total that went back began anew.
            *sum = sum.saturating_add(if now >= before { now - before } else { now });
        }
        *before = now;
    }
}

impl Checks {
    /// Looks at the length that is told of a frame, beside the IP packet in it.
    #[inline]
    pub(crate) fn frame(&mut self, frame: u64, packet: &Packet) {
        let Some(ip) = packet.ip.filter(|ip| ip.length > 0) else { return };
        let tags = u64::from(packet.tags) * TAG;
        let header = packet.l3 as u64;
        if ip.length < UNPADDED {
            let padded = frame >= SHORTEST + tags;
            self.short_frames_padded += u64::from(padded);
            self.short_frames_unpadded += u64::from(!padded);
            return;
        }
        let wanted = header + ip.length;
        let sum = if frame == wanted + FCS {
            &mut self.frames_with_fcs
        } else if frame == wanted {
            &mut self.frames_without_fcs
        } else if tags > 0 && (frame == wanted - tags || frame == wanted - tags + FCS) {
            &mut self.frames_without_tags
        } else if frame == ip.length {
            &mut self.frames_of_layer_3
        } else {
            &mut self.frames_of_other_length
        };
        *sum += 1;
    }

    /// Looks at the octets that are told of a packet, beside its header.
    pub(crate) fn octets(&mut self, octets: u64, packet: &Packet) {
        let Some(ip) = packet.ip.filter(|ip| ip.length >= UNPADDED) else { return };
        let header = packet.l3 as u64;
        let sum = if octets == ip.length {
            &mut self.octets_of_layer_3
        } else if (ip.length + ETHERNET..=ip.length + header + FCS).contains(&octets) {
            &mut self.octets_of_layer_2
        } else {
            &mut self.octets_of_neither
        };
        *sum += 1;
    }

    /// Looks at what a flow record says. Whether it names AS numbers and neighbours is known of its template.
    #[inline]
    pub(crate) fn record(&mut self, flow: &Flow<'_>, ases: bool, neighbours: bool) {
        self.flows += u64::from(flow.packets > 0);
        self.flows_of_one_packet += u64::from(flow.packets == 1);
        self.times_implausible += u64::from(flow.flags & weir_schemas::columns::flag::TIME_IMPLAUSIBLE != 0);
        if !ases {
            return;
        }
        let (src, dst) = (flow.src_as_exported, flow.dst_as_exported);
        self.as_numbers += 1;
        self.as_zero += u64::from(src | dst == 0);
        self.as_trans += u64::from(src == AS_TRANS || dst == AS_TRANS);
        if neighbours {
            let pairs = [(src, flow.src_neighbour_as), (dst, flow.dst_neighbour_as)];
            let mut said = pairs.into_iter().filter(|(asn, neighbour)| *asn != 0 && *neighbour != 0);
            if let Some((asn, neighbour)) = said.next() {
                let same = asn == neighbour && said.all(|(asn, neighbour)| asn == neighbour);
                self.as_of_neighbour += u64::from(same);
                self.as_of_origin += u64::from(!same);
            }
        }
    }
}
