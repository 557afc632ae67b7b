//! Whether an exporter tells the truth: what its records say of themselves, beside what follows from their packets.
//!
//! Sums since the exporter was first seen; what they mean is said where they are declared (`weir_schemas::checks`).

use crate::element::Slot;
use crate::pace::Pace;
use crate::packet::Packet;
use crate::plan::{Present, Words};
use crate::rates::{Asked, Found, Rates, Scope};
use ahash::AHashMap;
use std::hash::Hash;
use weir_schemas::checks::Checks;
use weir_schemas::columns::flag;
use weir_schemas::{Flow, FlowKind};

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

/// Totals of what an exporting process has not sent, in the order in which they are summed.
const UNSENT: [Slot; 5] = [
    Slot::NotSentFlows,
    Slot::NotSentPackets,
    Slot::NotSentOctets,
    Slot::IgnoredPackets,
    Slot::IgnoredOctets,
];
const ANY_UNSENT: Present = Present::of(&UNSENT);
/// What a selector counts, and which it is.
const SELECTED: Present = Present::of(&[Slot::PacketsObserved, Slot::PacketsSelected, Slot::Selector1]);
/// Processes, and selectors, of which the latest totals are kept.
const PROCESSES: usize = 64;

/// The sums, and what is needed to go on summing.
#[derive(Debug, Default)]
pub(crate) struct Checking {
    pub sums: Checks,
    pub pace: Pace,
    /// Latest totals by observation domain, port, template, and the process that they are of.
    unsent: AHashMap<(u32, u16, u16, u64), [u64; 5]>,
    /// Latest totals by observation domain, port, and selector: packets observed, packets selected.
    selected: AHashMap<(u32, u16, u64), [u64; 2]>,
}

impl Checking {
    /// Looks at a row of options data: what its totals have grown by since the row before.
    pub(crate) fn unsent(&mut self, asked: &Asked, present: &Present, words: &Words) {
        if !present.any(ANY_UNSENT) {
            return;
        }
        let process = if present.has(Slot::ScopeSystem) { words[Slot::ScopeSystem as usize] } else { 0 };
        let key = (asked.domain, asked.port, asked.template, process);
        let now = UNSENT.map(|slot| if present.has(slot) { words[slot as usize] } else { 0 });
        let Some(before) = replace(&mut self.unsent, key, now) else { return };
        let sums = &mut self.sums;
        let sums = [
            &mut sums.flows_not_sent,
            &mut sums.packets_not_sent,
            &mut sums.octets_not_sent,
            &mut sums.packets_ignored,
            &mut sums.octets_ignored,
        ];
        for ((sum, now), before) in sums.into_iter().zip(now).zip(before) {
            // A total that went back came late, or began anew: how much is new of it can't be told.
            *sum = sum.saturating_add(now.saturating_sub(before));
        }
    }

    /// Looks at a row of options data that counts what a selector observed and selected (IE 318, 319; RFC 5477 section 8.4): what that has grown by since
    /// the row before says what rate it attains, beside the one that is announced for it.
    pub(crate) fn selected(&mut self, rates: &Rates, asked: &Asked, present: &Present, words: &Words) {
        if !present.all(SELECTED) {
            return;
        }
        let Some(asked) = asked.of_row(present, words) else { return };
        let word = |slot: Slot| words[slot as usize];
        let selector = word(Slot::Selector1);
        let now = [word(Slot::PacketsObserved), word(Slot::PacketsSelected)];
        let key = (asked.domain, asked.port, selector);
        let Some(before) = replace(&mut self.selected, key, now) else { return };
        let grown = now[0].checked_sub(before[0]).zip(now[1].checked_sub(before[1]));
        // Totals that went back began anew, and of a selector without a rate there is nothing to compare.
        let Some((observed, selected)) = grown.filter(|(observed, selected)| selected <= observed) else {
            return;
        };
        let announced = rates.rate(&asked.key(Scope::Selector, selector), asked.port);
        let Found::Agreed(announced) = announced else { return };
        let announced = u128::from(selected) * u128::from(announced.ratio.thousandths()) / 1000;
        let sums = &mut self.sums;
        sums.samples_made = sums.samples_made.saturating_add(selected);
        sums.samples_pool = sums.samples_pool.saturating_add(observed);
        let announced = u64::try_from(announced).unwrap_or(u64::MAX);
        sums.samples_announced = sums.samples_announced.saturating_add(announced);
    }
}

/// Keeps the latest totals, where there is room, and gives those of before.
fn replace<K: Eq + Hash, const N: usize>(
    latest: &mut AHashMap<K, [u64; N]>,
    key: K,
    now: [u64; N],
) -> Option<[u64; N]> {
    let room = latest.len() < PROCESSES;
    match latest.get_mut(&key) {
        Some(before) => Some(std::mem::replace(before, now)),
        None => {
            if room {
                latest.insert(key, now);
            }
            None
        }
    }
}

/// Looks at the length that is told of a frame, beside the IP packet in it.
#[inline]
pub(crate) fn frame(checks: &mut Checks, frame: u64, stripped: u64, packet: &Packet) {
    let Some(ip) = packet.ip.filter(|ip| ip.length > 0) else { return };
    let tags = u64::from(packet.tags) * TAG;
    let header = packet.l3 as u64;
    if ip.length < UNPADDED {
        let padded = frame >= SHORTEST + tags;
        checks.short_frames_padded += u64::from(padded);
        checks.short_frames_unpadded += u64::from(!padded);
        return;
    }
    let wanted = header + ip.length;
    // What was taken away before the header was sampled, as a tag, is in the length and not in the header.
    let sum = if frame == wanted + FCS || (stripped > FCS && frame == wanted + stripped) {
        &mut checks.frames_with_fcs
    } else if frame == wanted {
        &mut checks.frames_without_fcs
    } else if tags > 0 && (frame == wanted - tags || frame == wanted - tags + FCS) {
        &mut checks.frames_without_tags
    } else if frame == ip.length {
        &mut checks.frames_of_layer_3
    } else {
        &mut checks.frames_of_other_length
    };
    *sum += 1;
}

/// Looks at the octets that are told of a packet, beside its header.
pub(crate) fn octets(checks: &mut Checks, octets: u64, packet: &Packet) {
    let Some(ip) = packet.ip.filter(|ip| ip.length >= UNPADDED) else { return };
    let header = packet.l3 as u64;
    let sum = if octets == ip.length {
        &mut checks.octets_of_layer_3
    } else if (ip.length + ETHERNET..=ip.length + header + FCS).contains(&octets) {
        &mut checks.octets_of_layer_2
    } else {
        &mut checks.octets_of_neither
    };
    *sum += 1;
}

/// Looks at what a flow record says. Whether it names AS numbers and neighbours is known of its template.
#[inline]
pub(crate) fn record(checks: &mut Checks, flow: &Flow<'_>, ases: bool, neighbours: bool) {
    // A sample is one packet, and events need not count any.
    let flows = flow.flow_kind == FlowKind::Flow;
    checks.flows += u64::from(flows && flow.packets > 0);
    checks.flows_of_one_packet += u64::from(flows && flow.packets == 1);
    checks.times_implausible += u64::from(flow.flags & flag::TIME_IMPLAUSIBLE != 0);
    if !ases {
        return;
    }
    let (src, dst) = (flow.src_as_exported, flow.dst_as_exported);
    checks.as_numbers += 1;
    checks.as_zero += u64::from(src | dst == 0);
    checks.as_trans += u64::from(src == AS_TRANS || dst == AS_TRANS);
    if neighbours {
        let pairs = [(src, flow.src_neighbour_as), (dst, flow.dst_neighbour_as)];
        let mut said = pairs.into_iter().filter(|(asn, neighbour)| *asn != 0 && *neighbour != 0);
        if let Some((asn, neighbour)) = said.next() {
            let same = asn == neighbour && said.all(|(asn, neighbour)| asn == neighbour);
            checks.as_of_neighbour += u64::from(same);
            checks.as_of_origin += u64::from(!same);
        }
    }
}
