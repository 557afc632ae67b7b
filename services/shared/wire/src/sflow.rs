//! sFlow version 5 (sflow.org, "sFlow Version 5"): flow samples, expanded ones, discarded packets.
//!
//! A sample is one packet. Its frame length is layer 2 with FCS; layer 3's length is the IP header's. Everything is XDR: numbers
//! of four bytes, big-endian, and opaque data padded to four.

use crate::call::Call;
use crate::exporter::Exporter;
use crate::output::{Output, Reason};
use crate::packet::{self, LABELS, Link, Packet};
use crate::record;
use weir_schemas::columns::flag;
use weir_schemas::{Flow, FlowKind, Ip, Mac, Observation, Protocol, RateSource, SamplingKind, Time, U32s};

/// An interface number that means the device itself.
const INTERNAL: u32 = 0x3fff_ffff;
/// Bytes of the frame check sequence.
const FCS: u64 = 4;

/// A cursor over XDR.
#[derive(Clone, Copy)]
struct Xdr<'a>(&'a [u8]);

impl<'a> Xdr<'a> {
    fn u32(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*head))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    /// Opaque data of a length that is given, with its padding. The last one's padding may be missing.
    fn opaque(&mut self, length: usize) -> Option<&'a [u8]> {
        let data = self.take(length)?;
        let padding = length.wrapping_neg() % 4;
        self.0 = self.0.get(padding..).unwrap_or_default();
        Some(data)
    }

    fn address(&mut self) -> Option<Ip> {
        match self.u32()? {
            0 => Some(Ip::default()),
            1 => self.take(4)?.first_chunk().map(|b| Ip::v4(*b)),
            2 => self.take(16)?.first_chunk().map(|b| Ip(*b)),
            _ => None,
        }
    }

    fn mac(&mut self) -> Option<Mac> {
        self.take(8)?.first_chunk::<6>().map(|b| Mac(*b))
    }
}

/// What a sample says before its records.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    class: u32,
    index: u32,
    rate: u32,
    input: (u32, u32),
    output: (u32, u32),
    records: u32,
    discard: bool,
}

/// Format and value of an interface in compact form: two bits and thirty.
fn compact(interface: u32) -> (u32, u32) {
    (interface >> 30, interface & INTERNAL)
}

fn flow_sample(input: &mut Xdr<'_>) -> Option<Sample> {
    let _sequence = input.u32()?;
    let source = input.u32()?;
    let rate = input.u32()?;
    let (_pool, _drops) = (input.u32()?, input.u32()?);
    let (from, to) = (input.u32()?, input.u32()?);
    Some(Sample {
        class: source >> 24,
        index: source & 0xff_ffff,
        rate,
        input: compact(from),
        output: compact(to),
        records: input.u32()?,
        discard: false,
    })
}

fn expanded_flow_sample(input: &mut Xdr<'_>) -> Option<Sample> {
    let _sequence = input.u32()?;
    let (class, index, rate) = (input.u32()?, input.u32()?, input.u32()?);
    let (_pool, _drops) = (input.u32()?, input.u32()?);
    let from = (input.u32()?, input.u32()?);
    let to = (input.u32()?, input.u32()?);
    Some(Sample { class, index, rate, input: from, output: to, records: input.u32()?, discard: false })
}

/// sFlow Dropped Packet Notification Structures: every discard, or as many as a limit allows, so no rate.
fn discarded_packet(input: &mut Xdr<'_>) -> Option<Sample> {
    let _sequence = input.u32()?;
    let (class, index) = (input.u32()?, input.u32()?);
    let _drops = input.u32()?;
    let (from, to) = (input.u32()?, input.u32()?);
    let _reason = input.u32()?;
    Some(Sample {
        class,
        index,
        rate: 0,
        input: (0, from),
        output: (0, to),
        records: input.u32()?,
        discard: true,
    })
}

impl Sample {
    fn interfaces(&self, flow: &mut Flow<'_>) {
        flow.in_if = if self.input.0 == 0 { self.input.1 } else { 0 };
        match self.output.0 {
            0 => flow.out_if = self.output.1,
            1 => flow.flags |= flag::DISCARDED,
            _ => flow.flags |= flag::MULTIPLE_OUTPUTS,
        }
        if self.discard {
            flow.flags |= flag::DISCARDED;
        }
        // A data source of class 0 is an ifIndex; of others (VLAN, entity) it names no interface.
        flow.observation = match (self.class, self.index) {
            (0, index) if index != 0 && index == flow.in_if => Observation::Ingress,
            (0, index) if index != 0 && index == flow.out_if => Observation::Egress,
            _ => Observation::Unknown,
        };
        if flow.observation == Observation::Unknown {
            flow.flags |= flag::OBSERVATION_ASSUMED;
        }
    }
}

/// What the records of a sample give beside the flow's columns.
#[derive(Default)]
struct Found {
    vlans: Option<(u16, u16)>,
}

/// A record of a sample other than the gateway's; none where it is cut off.
fn flow_record(
    format: u32,
    mut body: Xdr<'_>,
    flow: &mut Flow<'_>,
    packet: &mut Option<Packet>,
    found: &mut Found,
) -> Option<()> {
    match format {
        // Raw packet header.
        1 => {
            let (protocol, frame_length) = (body.u32()?, body.u32()?);
            let stripped = body.u32()?;
            let length = body.u32()? as usize;
            let header = body.opaque(length)?;
            let link = match protocol {
                1 => Link::Ethernet,
                7 | 14 => Link::Ppp,
                11 | 12 => Link::Ip,
                13 => Link::Mpls,
                _ => return Some(()),
            };
            let parsed = packet::parse(link, header);
            raw_lengths(flow, link, u64::from(frame_length), u64::from(stripped), &parsed);
            *packet = Some(parsed);
        }
        // Sampled Ethernet.
        2 => {
            let length = body.u32()?;
            flow.src_mac = body.mac()?;
            flow.dst_mac = body.mac()?;
            flow.ethertype = u16::try_from(body.u32()?).unwrap_or_default();
            flow.bytes_l2 = flow.bytes_l2.or(Some(u64::from(length)));
        }
        // Sampled IPv4, sampled IPv6.
        3 | 4 => {
            let (length, proto) = (body.u32()?, body.u32()?);
            let mut address = |six: bool| {
                Some(if six {
                    Ip(*body.take(16)?.first_chunk()?)
                } else {
                    Ip::v4(*body.take(4)?.first_chunk()?)
                })
            };
            let (src, dst) = (address(format == 4)?, address(format == 4)?);
            flow.family = if format == 4 { 6 } else { 4 };
            (flow.src_addr, flow.dst_addr) = (src, dst);
            flow.proto = proto as u8;
            (flow.src_port, flow.dst_port) = (body.u32()? as u16, body.u32()? as u16);
            (flow.tcp_flags, flow.tos) = (body.u32()? as u16, body.u32()? as u8);
            flow.bytes = flow.bytes.or(Some(u64::from(length)));
        }
        // Extended switch.
        1001 => {
            let (src, _priority, dst) = (body.u32()?, body.u32()?, body.u32()?);
            found.vlans = Some((src as u16, dst as u16));
        }
        // Extended router.
        1002 => {
            flow.next_hop = body.address()?;
            (flow.src_prefix_len, flow.dst_prefix_len) = (body.u32()? as u8, body.u32()? as u8);
        }
        _ => {}
    }
    Some(())
}

/// Lengths of layers 2 and 3 of a raw header.
fn raw_lengths(flow: &mut Flow<'_>, link: Link, frame: u64, stripped: u64, packet: &Packet) {
    let l3 = packet.l3 as u64;
    if matches!(link, Link::Ethernet | Link::Ppp) {
        flow.bytes_l2 = Some(frame);
    }
    let Some(ip) = &packet.ip else { return };
    // What is around the packet: headers before it, and what was taken away, which is the FCS at least on Ethernet.
    let around = l3 + if link == Link::Ethernet { stripped.max(FCS) } else { stripped };
    let room = frame.saturating_sub(around);
    if ip.length == 0 {
        flow.bytes = Some(room);
        return;
    }
    flow.bytes = Some(ip.length);
    if link == Link::Ethernet && room > ip.length {
        flow.flags |= flag::PADDED;
    }
}

/// AS path of a gateway record, where it is not one sequence that can stay in the datagram.
pub(crate) type Path = Vec<u32>;
/// Most ASes of a path that are kept where it has several segments.
const PATH: usize = 1024;

fn gateway<'r>(mut body: Xdr<'r>, flow: &mut Flow<'r>, path: &'r mut Path) -> Option<()> {
    flow.bgp_next_hop = body.address()?;
    let _router_as = body.u32()?;
    flow.src_as_exported = body.u32()?;
    flow.src_neighbour_as = body.u32()?;
    let segments = body.u32()?;
    let mut first: &[u8] = &[];
    for at in 0..segments {
        let _kind = body.u32()?;
        let count = body.u32()? as usize;
        let asns = body.take(count.checked_mul(4)?)?;
        match at {
            0 => first = asns,
            1 => {
                path.clear();
                path.extend(U32s::Wire(first).iter().take(PATH));
            }
            _ => {}
        }
        if at > 0 {
            let room = PATH.saturating_sub(path.len());
            path.extend(U32s::Wire(asns).iter().take(room));
        }
    }
    flow.as_path = if segments > 1 { U32s::Native(path) } else { U32s::Wire(first) };
    flow.dst_neighbour_as = flow.as_path.iter().next().unwrap_or_default();
    flow.dst_as_exported = match flow.as_path {
        U32s::Native(list) => list.last().copied().unwrap_or_default(),
        _ => first.last_chunk().map_or(0, |b| u32::from_be_bytes(*b)),
    };
    Some(())
}

impl Exporter {
    /// A datagram of sFlow version 5.
    pub(crate) fn sflow_v5<O: Output>(&mut self, call: &mut Call<'_, O>) {
        call.protocol = Protocol::SflowV5;
        let payload = call.datagram.payload;
        let mut input = Xdr(payload);
        let mut header = || {
            input.u32()?;
            let agent = input.address()?;
            let sub_agent = input.u32()?;
            let (_sequence, _uptime) = (input.u32()?, input.u32()?);
            Some((agent, sub_agent, input.u32()?))
        };
        let Some((agent, sub_agent, samples)) = header() else {
            let sentence = format!("sFlow datagram of {} bytes has no whole header", payload.len());
            return call.dead(Reason::Truncated, sentence);
        };
        call.domain = sub_agent;
        let mut base = call.base(0);
        if !agent.is_none() {
            base.exporter_id = agent;
        }
        for _ in 0..samples {
            let at = payload.len() - input.0.len();
            let mut rest = input;
            let sample = (|| {
                let format = rest.u32()?;
                let length = rest.u32()? as usize;
                Some((format, rest.take(length)?))
            })();
            call.counts.sets += 1;
            let Some((format, body)) = sample else {
                call.counts.sets_dead += 1;
                let sentence = format!("the sample at byte {at} is cut off: the header names {samples}");
                return call.fault(Reason::Truncated, at, &payload[at..], sentence);
            };
            input = rest;
            let end = payload.len() - input.0.len();
            call.counts.sets_decoded += 1;
            let mut body = Xdr(body);
            let parsed = match format {
                1 => flow_sample(&mut body),
                3 => expanded_flow_sample(&mut body),
                5 => discarded_packet(&mut body),
                2 | 4 => {
                    call.counts.counter_samples += 1;
                    continue;
                }
                _ => {
                    call.counts.other_samples += 1;
                    continue;
                }
            };
            let Some(sample) = parsed else {
                call.counts.sets_decoded -= 1;
                call.counts.sets_dead += 1;
                let sentence =
                    format!("the sample of format {format} at byte {at} is shorter than its layout");
                call.fault(Reason::BadSample, at, &payload[at..end], sentence);
                continue;
            };
            if sample.discard {
                call.counts.discard_samples += 1;
            } else {
                call.counts.flow_samples += 1;
            }
            self.sample(&sample, body, &base, (at, end), call);
        }
        if !input.0.is_empty() {
            let at = payload.len() - input.0.len();
            let sentence =
                format!("{} bytes follow after the {samples} samples the header names", input.0.len());
            call.fault(Reason::TrailingBytes, at, &payload[at..], sentence);
        }
    }

    fn sample<O: Output>(
        &mut self,
        sample: &Sample,
        mut body: Xdr<'_>,
        base: &Flow<'static>,
        (at, end): (usize, usize),
        call: &mut Call<'_, O>,
    ) {
        let mut labels = [0; LABELS];
        let mut flow: Flow<'_> = *base;
        let mut packet = None;
        let mut found = Found::default();
        let mut cut_off = None;
        flow.flow_kind = if sample.discard { FlowKind::Discard } else { FlowKind::Sample };
        flow.packets = 1;
        flow.spread_start = Time(call.datagram.received);
        flow.spread_end = flow.spread_start;
        if sample.rate != 0 {
            flow.sampling_interval = u64::from(sample.rate) * 1000;
            flow.sampling_kind = SamplingKind::Packet;
            flow.rate_source = RateSource::Record;
        }
        let mut path = Some(&mut self.path);
        for n in 0..sample.records {
            let record = (|| {
                let format = body.u32()?;
                let length = body.u32()? as usize;
                Some((format, body.opaque(length)?))
            })();
            let Some((format, record)) = record else {
                cut_off = Some(format!("record {n} of {} runs over the end of the sample", sample.records));
                break;
            };
            let done = match (format, path.take()) {
                // Extended gateway. The flow borrows its path, so of several the first counts.
                (1003, Some(path)) => gateway(Xdr(record), &mut flow, path),
                (1003, None) => Some(()),
                (_, unused) => {
                    path = unused;
                    flow_record(format, Xdr(record), &mut flow, &mut packet, &mut found)
                }
            };
            if done.is_none() {
                cut_off = Some(format!("record {n} of format {format} is shorter than its layout"));
            }
        }
        if let Some(packet) = &packet {
            packet.fill(call.options.tunnels, &mut flow, &mut labels);
        }
        if let Some((src, dst)) = found.vlans {
            (flow.src_vlan, flow.dst_vlan) = (src, dst);
        }
        sample.interfaces(&mut flow);
        record::set_q(&mut flow, (None, None), None, None);
        flow.record_index = call.record_index;
        call.record_index += 1;
        call.counts.flows += 1;
        call.out.flow(flow);
        if let Some(what) = cut_off {
            call.counts.records_dead += 1;
            let sentence = format!("in the sample at byte {at}, {what}");
            call.fault(Reason::BadSample, at, &call.datagram.payload[at..end], sentence);
        }
    }
}
