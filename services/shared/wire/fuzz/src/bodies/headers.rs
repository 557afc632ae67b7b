//! Sampled packet headers, by every way on which they come: an sFlow raw header and the sections of IPFIX must say the same of a packet.

use super::Sent;
use super::check::{Run, times};
use weir_schemas::{Flow, avro};
use weir_wire::{Budget, Options};

fn push(out: &mut Vec<u8>, words: &[u32]) {
    words.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes()));
}

/// An sFlow datagram of one flow sample with one raw header.
fn sflow(protocol: u32, frame: u32, stripped: u32, header: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    push(&mut record, &[protocol, frame, stripped, header.len() as u32]);
    record.extend_from_slice(header);
    record.resize(record.len().next_multiple_of(4), 0);
    let length = record.len() as u32;
    let mut out = Vec::new();
    push(&mut out, &[5, 1, 0xc000_0209, 4, 77, 1000, 1]);
    push(&mut out, &[1, 40 + length, 1, 3, 2000, 1000, 0, 3, 7, 1, 1, length]);
    out.extend_from_slice(&record);
    out
}

/// An IPFIX message of a template with one section of variable length, and a record of it.
fn ipfix(element: u16, header: &[u8]) -> Vec<u8> {
    let length = header.len() as u16;
    let mut out = vec![0, 10];
    out.extend_from_slice(&(16 + 12 + 4 + 3 + length).to_be_bytes());
    push(&mut out, &[1_700_000_000, 1, 1, 0x0002_000c, 0x0190_0001, u32::from(element) << 16 | 0xffff]);
    out.extend_from_slice(&400_u16.to_be_bytes());
    out.extend_from_slice(&(4 + 3 + length).to_be_bytes());
    out.push(255);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(header);
    out
}

/// What a packet says of itself, on whichever way it came.
fn packet<'a>(flow: &Flow<'a>) -> impl PartialEq + std::fmt::Debug + use<'a> {
    let layer_2 = (flow.src_mac, flow.dst_mac, flow.src_vlan, flow.ethertype);
    let layer_3 =
        (flow.family, flow.src_addr, flow.dst_addr, flow.proto, flow.tos, flow.ttl, flow.flow_label);
    let fragment = (flow.fragment_id, flow.fragment_offset);
    let layer_4 = (flow.src_port, flow.dst_port, flow.tcp_flags, flow.icmp_type, flow.icmp_code);
    let labels: Vec<u32> = flow.mpls_labels.iter().collect();
    (layer_2, layer_3, fragment, layer_4, labels)
}

/// The first byte chooses the link, the next six its frame's length and what was stripped; the rest is the header.
pub fn sampled_headers(data: &[u8]) {
    let Some((&[link, stripped, frame @ ..], header)) = data.split_first_chunk::<6>() else { return };
    let header = &header[..header.len().min(1000)];
    let [link, element] = [[1, 315], [11, 313], [12, 313], [13, 0]][usize::from(link & 3)];
    let samples = [sflow(link, u32::from_be_bytes(frame), stripped.into(), header)];
    let sections = (element != 0).then(|| ipfix(element as u16, header));
    let sent: Vec<Sent> = samples
        .into_iter()
        .chain(sections)
        .map(|payload| Sent { port: 1000, later: 1, payload, ..Sent::default() })
        .collect();
    let (times, options) = (times(&sent), Options::default());
    let mut run = Run::new(&sent, &times, &options, Budget::default());
    (0..sent.len()).for_each(|at| run.decode(at));
    assert_eq!(run.counts.flows as usize, sent.len(), "each way gives one sample");
    assert_eq!(run.counts.faults, 0, "and no fault");
    let mut flows = avro::Reader::new(&run.seen.flows);
    let mut next = || Flow::get_avro(&mut flows).expect("a flow reads what it wrote");
    if sent.len() == 2 {
        assert_eq!(packet(&next()), packet(&next()), "both ways say the same of a packet");
    }
}
