//! The records of a flow sample: what the agent adds to the header (sFlow version 5, "Flow Data Types", and sFlow's later structures).
//!
//! A record that is not known costs nothing. Of a record that is cut off, what lies before the cut counts.

use super::FCS;
use super::xdr::Xdr;
use crate::checks;
use crate::packet::{self, LABELS, Link, Packet};
use weir_schemas::checks::Checks;
use weir_schemas::columns::flag;
use weir_schemas::{Flow, Ip, Tunnel, U32s};

/// Largest VLAN id of IEEE 802.1Q.
const MAX_VLAN: u16 = 4095;
/// Most ASes of a path that are kept where it has several segments.
const PATH: usize = 1024;
/// A header protocol that begins with IP, behind what nobody has written down.
const AAL5_IP: u32 = 10;
/// A segment of a path whose ASes have no order (RFC 4271 section 4.3).
const AS_SET: u32 = 1;
/// The same within a confederation (RFC 5065 section 3).
const AS_CONFED_SET: u32 = 4;

/// AS path of a gateway record, where it is not one sequence that can stay in the datagram.
pub(crate) type Path = Vec<u32>;

/// What is put into the flow when all records of its sample are read.
#[derive(Default)]
pub(super) struct Found<'r> {
    pub packet: Option<Packet>,
    /// VLANs of either side, where they are told: agents write what is none where it is not known.
    vlans: Option<(Option<u16>, Option<u16>)>,
    /// Tags that were taken off before the header was sampled, outermost first.
    stripped: Option<&'r [u8]>,
    /// Label stack of the packet as it was received.
    labels: Option<&'r [u8]>,
    /// Header of a tunnel that was taken off on ingress, or is put on on egress.
    around: Option<Around>,
    vni: Option<u32>,
}

#[derive(Clone, Copy)]
struct Around {
    src: Ip,
    dst: Ip,
    tunnel: Tunnel,
}

/// Reads a record other than the gateway's; none where it is cut off.
pub(super) fn flow_record<'r>(
    format: u32,
    mut body: Xdr<'r>,
    flow: &mut Flow<'_>,
    found: &mut Found<'r>,
    sums: &mut Checks,
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
                // Of a frame that is not read its length is known.
                _ => {
                    flow.bytes_l2 = Some(u64::from(frame_length)).filter(|_| protocol != AAL5_IP);
                    return Some(());
                }
            };
            let parsed = packet::parse(link, header);
            raw_lengths(flow, link, u64::from(frame_length), u64::from(stripped), &parsed);
            if link == Link::Ethernet {
                checks::frame(sums, u64::from(frame_length), u64::from(stripped), &parsed);
            }
            found.packet = Some(parsed);
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
            let ip = sampled_ip(&mut body, format == 4)?;
            flow.family = if format == 4 { 6 } else { 4 };
            (flow.src_addr, flow.dst_addr, flow.proto) = (ip.src, ip.dst, ip.proto);
            (flow.src_port, flow.dst_port) = ip.ports;
            (flow.tcp_flags, flow.tos) = (body.u32()? as u16, body.u32()? as u8);
            flow.bytes = flow.bytes.or(Some(u64::from(ip.length)));
        }
        // Extended switch.
        1001 => {
            let (src, _priority, dst) = (body.u32()?, body.u32()?, body.u32()?);
            let vlan = |id: u32| u16::try_from(id).ok().filter(|id| *id <= MAX_VLAN);
            found.vlans = Some((vlan(src), vlan(dst)));
        }
        // Extended router.
        1002 => {
            flow.next_hop = body.address()?;
            (flow.src_prefix_len, flow.dst_prefix_len) = (body.u32()? as u8, body.u32()? as u8);
        }
        // Extended MPLS: its next hop, and the stacks before and after.
        1006 => {
            let next_hop = body.address()?;
            if flow.next_hop.is_none() {
                flow.next_hop = next_hop;
            }
            found.labels = Some(body.u32s()?);
        }
        // Extended NAT, and its ports.
        1007 => (flow.nat_src_addr, flow.nat_dst_addr) = (body.address()?, body.address()?),
        1020 => (flow.nat_src_port, flow.nat_dst_port) = (body.u32()? as u16, body.u32()? as u16),
        // Extended VLAN tunnel.
        1012 => found.stripped = Some(body.u32s()?),
        // Extended IPv4 and IPv6 tunnels, egress and ingress. The one that was taken off is what the link carried.
        1023..=1026 => {
            let ip = sampled_ip(&mut body, format >= 1025)?;
            if matches!(format, 1024 | 1026) || found.around.is_none() {
                found.around = Some(ip.around());
            }
        }
        // Extended VNI, egress and ingress.
        1029 => found.vni = found.vni.or(Some(body.u32()?)),
        1030 => found.vni = Some(body.u32()?),
        _ => {}
    }
    Some(())
}

/// An IP header as sFlow writes it, without flags and TOS at its end.
struct SampledIp {
    length: u32,
    proto: u8,
    src: Ip,
    dst: Ip,
    ports: (u16, u16),
}

fn sampled_ip(body: &mut Xdr<'_>, six: bool) -> Option<SampledIp> {
    let (length, proto) = (body.u32()?, body.u32()? as u8);
    let mut address =
        || Some(if six { Ip(*body.take(16)?.first_chunk()?) } else { Ip::v4(*body.take(4)?.first_chunk()?) });
    let (src, dst) = (address()?, address()?);
    Some(SampledIp { length, proto, src, dst, ports: (body.u32()? as u16, body.u32()? as u16) })
}

impl SampledIp {
    fn around(&self) -> Around {
        Around { src: self.src, dst: self.dst, tunnel: packet::tunnel_of(self.proto, self.ports.1) }
    }
}

impl Found<'_> {
    /// Puts what has no column of its own, or needs the header, into the flow.
    pub(super) fn put(&self, flow: &mut Flow<'_>) {
        if let Some(tags) = self.stripped {
            let mut tags = U32s::Wire(tags).iter().map(|tag| tag as u16 & 0xfff);
            if let Some(outer) = tags.next() {
                flow.customer_vlan = tags.next().unwrap_or(flow.src_vlan);
                flow.src_vlan = outer;
            }
        }
        if let Some((src, dst)) = self.vlans {
            (flow.src_vlan, flow.dst_vlan) = (src.unwrap_or(flow.src_vlan), dst.unwrap_or_default());
        }
        if let Some(around) = self.around {
            // The header may have a tunnel of its own, whose outer addresses are these, or the flow's.
            if flow.outer_src_addr.is_none() {
                (flow.outer_src_addr, flow.outer_dst_addr) = (around.src, around.dst);
            }
            if flow.tunnel == Tunnel::Unknown {
                flow.tunnel = around.tunnel;
            }
        }
        if let Some(vni) = self.vni {
            flow.tunnel_id = Some(vni);
            if flow.tunnel == Tunnel::Unknown {
                flow.tunnel = Tunnel::Vxlan;
            }
        }
    }

    /// Labels that the agent tells of, where the header has none.
    pub(super) fn stack<'l>(&self, labels: &'l mut [u32; LABELS]) -> U32s<'l> {
        let Some(stack) = self.labels else { return U32s::default() };
        let mut count = 0;
        for (label, entry) in labels.iter_mut().zip(U32s::Wire(stack).iter()) {
            *label = entry >> 12;
            count += 1;
        }
        U32s::Native(&labels[..count])
    }
}

/// Lengths of layers 2 and 3 of a raw header.
fn raw_lengths(flow: &mut Flow<'_>, link: Link, frame: u64, stripped: u64, packet: &Packet) {
    if matches!(link, Link::Ethernet | Link::Ppp) {
        flow.bytes_l2 = Some(frame);
    }
    // What is around the packet: headers before it, and what was taken away, which is the FCS at least on Ethernet.
    let around = if link == Link::Ethernet { stripped.max(FCS) } else { stripped };
    let (bytes, flags) = packet.length(frame, around);
    flow.bytes = bytes;
    // Only Ethernet pads.
    flow.flags |= if link == Link::Ethernet { flags } else { flags & !flag::PADDED };
}

/// Reads an extended gateway record; none where it is cut off.
pub(super) fn gateway<'r>(mut body: Xdr<'r>, flow: &mut Flow<'r>, path: &'r mut Path) -> Option<()> {
    flow.bgp_next_hop = body.address()?;
    let _router_as = body.u32()?;
    flow.src_as_exported = body.u32()?;
    flow.src_neighbour_as = body.u32()?;
    let segments = body.u32()?;
    let (mut first, mut last): (&[u8], &[u8]) = (&[], &[]);
    let (mut nearest, mut kind) = (None, 0);
    for at in 0..segments {
        let of = body.u32()?;
        let asns = body.u32s()?;
        if !asns.is_empty() {
            (kind, last) = (of, asns);
            nearest.get_or_insert((of, asns));
        }
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
    // Whose the destination is of several in a set, or who comes next, the path does not say (RFC 4271 section 9.2.2.2).
    let one = |kind: u32, asns: &[u8]| !matches!(kind, AS_SET | AS_CONFED_SET) || asns.len() == 4;
    let number = |asn: Option<&[u8; 4]>| asn.map_or(0, |asn| u32::from_be_bytes(*asn));
    let (of, asns) = nearest.unwrap_or_default();
    flow.dst_neighbour_as = number(asns.first_chunk().filter(|_| one(of, asns)));
    flow.dst_as_exported = number(last.last_chunk().filter(|_| one(kind, last)));
    flow.communities = U32s::Wire(body.u32s()?);
    flow.local_pref = Some(body.u32()?);
    Some(())
}
