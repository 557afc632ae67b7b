//! Packets of pcap and pcapng files.

use crate::fragments::Fragments;
use crate::link::{self, Found, Packet};
use crate::{CaptureError, Captured};
use pcap_parser::nom;
use pcap_parser::{Block, PcapError, PcapHeader};
use std::borrow::Cow;

const UDP: u8 = 17;
const SECOND: i64 = 1_000_000_000;
/// Bytes of a pcapng block without content: its type, and its length before and after.
const BLOCK: u32 = 12;

/// How a file's packets are found.
#[derive(Debug)]
enum Format {
    Legacy(PcapHeader),
    Next {
        big_endian: bool,
        /// Link type, units a second and offset in seconds of each interface of the section.
        interfaces: Vec<(i32, u64, i64)>,
    },
}

/// A packet as the file has it.
struct Record<'a> {
    at: usize,
    link: i32,
    time: i64,
    bytes: &'a [u8],
}

/// The UDP datagrams of a capture file.
#[derive(Debug)]
pub(crate) struct Packets<'a> {
    file: &'a [u8],
    at: usize,
    format: Format,
    fragments: Fragments<'a>,
    waiting: Vec<CaptureError>,
    ended: bool,
    /// Packets that were no UDP datagrams.
    pub others: u64,
}

impl<'a> Packets<'a> {
    /// Opens a file; none where it is no capture.
    pub(crate) fn open(file: &'a [u8]) -> Result<Option<Self>, CaptureError> {
        let Some(magic) = file.first_chunk::<4>() else { return Ok(None) };
        let (format, at) = match u32::from_be_bytes(*magic) {
            0x0a0d_0d0a => (Format::Next { big_endian: false, interfaces: Vec::new() }, 0),
            0xa1b2_c3d4 | 0xd4c3_b2a1 | 0xa1b2_3c4d | 0x4d3c_b2a1 => {
                let (rest, header) = pcap_parser::parse_pcap_header(file).map_err(|e| failed(0, e))?;
                (Format::Legacy(header), file.len() - rest.len())
            }
            _ => return Ok(None),
        };
        let (fragments, waiting) = (Fragments::default(), Vec::new());
        Ok(Some(Self { file, at, format, fragments, waiting, ended: false, others: 0 }))
    }

    /// The next packet of the file.
    fn record(&mut self) -> Option<Result<Record<'a>, CaptureError>> {
        loop {
            let at = self.at;
            let rest = self.file.get(at..).filter(|rest| !rest.is_empty())?;
            match &mut self.format {
                Format::Legacy(header) => {
                    let parse = if header.is_bigendian() {
                        pcap_parser::parse_pcap_frame_be
                    } else {
                        pcap_parser::parse_pcap_frame
                    };
                    let (left, frame) = match parse(rest) {
                        Ok(parsed) => parsed,
                        Err(error) => return Some(Err(failed(at, error))),
                    };
                    self.at = self.file.len() - left.len();
                    let unit = if header.is_nanosecond_precision() { 1 } else { 1000 };
                    let time = i64::from(frame.ts_sec) * SECOND + i64::from(frame.ts_usec) * unit;
                    return Some(Ok(Record { at, link: header.network.0, time, bytes: frame.data }));
                }
                Format::Next { big_endian, interfaces } => {
                    let length = if *big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
                    // The parser believes any length from 4 on for a block of process information. A section's own byte order comes later.
                    if let Some(&[kind @ .., l0, l1, l2, l3]) = rest.first_chunk::<8>()
                        && kind != [0x0a, 0x0d, 0x0d, 0x0a]
                        && length([l0, l1, l2, l3]) < BLOCK
                    {
                        let why = format!("its length is less than the {BLOCK} bytes around its content");
                        return Some(Err(CaptureError::Broken { at, why }));
                    }
                    let parse =
                        if *big_endian { pcap_parser::parse_block_be } else { pcap_parser::parse_block_le };
                    let (left, block) = match parse(rest) {
                        Ok(parsed) => parsed,
                        Err(error) => return Some(Err(failed(at, error))),
                    };
                    if left.len() == rest.len() {
                        return Some(Err(CaptureError::Broken { at, why: "it has no length".into() }));
                    }
                    self.at = self.file.len() - left.len();
                    match block {
                        Block::SectionHeader(section) => {
                            *big_endian = section.big_endian();
                            interfaces.clear();
                        }
                        Block::InterfaceDescription(interface) => {
                            let units = units(interface.if_tsresol);
                            interfaces.push((interface.linktype.0, units, interface.if_tsoffset));
                        }
                        Block::EnhancedPacket(packet) => {
                            let Some((link, units, offset)) = interfaces.get(packet.if_id as usize) else {
                                let why =
                                    format!("it names interface {}, which is not described", packet.if_id);
                                return Some(Err(CaptureError::Broken { at, why }));
                            };
                            let stamp = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                            let bytes = &packet.data[..packet.data.len().min(packet.caplen as usize)];
                            let time = nanoseconds(stamp, *units, *offset);
                            return Some(Ok(Record { at, link: *link, time, bytes }));
                        }
                        Block::SimplePacket(packet) => {
                            let Some((link, _, _)) = interfaces.first() else {
                                let why = "it is a packet before any interface is described".into();
                                return Some(Err(CaptureError::Broken { at, why }));
                            };
                            let bytes = &packet.data[..packet.data.len().min(packet.origlen as usize)];
                            return Some(Ok(Record { at, link: *link, time: 0, bytes }));
                        }
                        _ => {}
                    }
                }
            }
        }
    }

    /// The datagram of a packet; none where it is no UDP or not whole yet.
    fn datagram(&mut self, record: &Record<'a>) -> Result<Option<Captured<'a>>, CaptureError> {
        let packet = match link::find(record.link, record.bytes) {
            Found::Ip(packet) if packet.protocol == UDP => packet,
            Found::LinkType => return Err(CaptureError::LinkType { at: record.at, link: record.link }),
            _ => {
                self.others += 1;
                return Ok(None);
            }
        };
        let Packet { payload, length, .. } = packet;
        if packet.fragment.is_none() {
            return udp(record, &packet, Cow::Borrowed(payload), length);
        }
        if payload.len() < length {
            return Err(CaptureError::Snapped { at: record.at, has: payload.len(), wanted: length });
        }
        let (whole, lost) = self.fragments.push(record.at, &packet);
        self.waiting.extend(lost.map(|(at, source_address)| CaptureError::Fragment { at, source_address }));
        match whole {
            Some(whole) => {
                let length = whole.len();
                udp(record, &packet, Cow::Owned(whole), length)
            }
            None => Ok(None),
        }
    }
}

/// Takes the UDP header off. `length` is that of the datagram before it was cut by the capture.
fn udp<'a>(
    record: &Record<'_>,
    packet: &Packet<'_>,
    mut datagram: Cow<'a, [u8]>,
    length: usize,
) -> Result<Option<Captured<'a>>, CaptureError> {
    let at = record.at;
    let Some([s0, s1, d0, d1, l0, l1, _, _]) = datagram.first_chunk::<8>().copied() else {
        return Err(CaptureError::Snapped { at, has: 0, wanted: length.saturating_sub(8) });
    };
    let said = usize::from(u16::from_be_bytes([l0, l1]));
    let wanted = if said < 8 { length } else { said } - 8;
    let has = datagram.len() - 8;
    if has < wanted {
        return Err(CaptureError::Snapped { at, has, wanted });
    }
    let payload = match &mut datagram {
        Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[8..8 + wanted]),
        Cow::Owned(bytes) => Cow::Owned(bytes[8..8 + wanted].to_vec()),
    };
    Ok(Some(Captured {
        source: packet.source,
        source_port: u16::from_be_bytes([s0, s1]),
        destination_port: u16::from_be_bytes([d0, d1]),
        time: record.time,
        at,
        payload,
    }))
}

/// Units a second of a pcapng interface (if_tsresol): a power of ten, or with the top bit of two.
fn units(resolution: u8) -> u64 {
    let exponent = u32::from(resolution & 0x7f);
    if resolution & 0x80 == 0 { 10_u64.checked_pow(exponent) } else { 1_u64.checked_shl(exponent) }
        .unwrap_or(1_000_000)
}

fn nanoseconds(stamp: u64, units: u64, offset: i64) -> i64 {
    let ns = i128::from(stamp) * i128::from(SECOND) / i128::from(units.max(1));
    i64::try_from(ns + i128::from(offset) * i128::from(SECOND)).unwrap_or_default()
}

fn failed(at: usize, error: nom::Err<PcapError<&[u8]>>) -> CaptureError {
    let more = |n: usize| format!("{n} bytes are missing");
    match error {
        nom::Err::Incomplete(nom::Needed::Size(n)) => CaptureError::CutOff { at, needed: more(n.get()) },
        nom::Err::Incomplete(nom::Needed::Unknown) => {
            CaptureError::CutOff { at, needed: "bytes are missing".into() }
        }
        nom::Err::Error(PcapError::Incomplete(n)) | nom::Err::Failure(PcapError::Incomplete(n)) => {
            CaptureError::CutOff { at, needed: more(n) }
        }
        nom::Err::Error(PcapError::NomError(_, kind)) | nom::Err::Failure(PcapError::NomError(_, kind)) => {
            CaptureError::Broken { at, why: format!("its {} does not fit", kind.description()) }
        }
        nom::Err::Error(error) | nom::Err::Failure(error) => {
            CaptureError::Broken { at, why: format!("{error:?}") }
        }
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Captured<'a>, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(error) = self.waiting.pop() {
                return Some(Err(error));
            }
            if self.ended {
                return None;
            }
            match self.record() {
                Some(Ok(record)) => match self.datagram(&record) {
                    Ok(None) => {}
                    Ok(Some(captured)) => return Some(Ok(captured)),
                    Err(error) => return Some(Err(error)),
                },
                end => {
                    self.ended = true;
                    let lost = self.fragments.finish();
                    self.waiting.extend(
                        lost.into_iter()
                            .map(|(at, source_address)| CaptureError::Fragment { at, source_address }),
                    );
                    if let Some(Err(error)) = end {
                        return Some(Err(error));
                    }
                }
            }
        }
    }
}
