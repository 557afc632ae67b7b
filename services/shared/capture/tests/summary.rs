//! `weir decode --summary`: what is said of exporters that are well, and of such that are not.
#![allow(missing_docs, reason = "tests read as sentences")]
#![allow(clippy::unwrap_used, reason = "a test that meets no value has failed")]

#[path = "../../wire/tests/build/mod.rs"]
mod build;
mod support;

use build::*;
use support::{captures, root};
use weir_capture::How;
use weir_capture::survey::survey;

/// A pcap of datagrams from 192.0.2.1, a second apart.
fn pcap(datagrams: &[Vec<u8>]) -> Vec<u8> {
    let mut file = vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0];
    file.extend([0; 8]);
    file.extend(65_535_u32.to_le_bytes());
    // Raw IP.
    file.extend(101_u32.to_le_bytes());
    for (n, payload) in datagrams.iter().enumerate() {
        let length = payload.len() as u16 + 28;
        for word in [EXPORTED + n as u32, 0, length.into(), length.into()] {
            file.extend(word.to_le_bytes());
        }
        let ip =
            bytes().u8(0x45).u8(0).u16(length).raw([0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1]);
        file.extend(ip.u16(50_000).u16(2055).u16(payload.len() as u16 + 8).u16(0).raw(payload).0);
    }
    file
}

fn said(datagrams: &[Vec<u8>]) -> String {
    survey(weir_capture::read(&pcap(datagrams)).unwrap(), &How::default()).to_string()
}

#[test]
fn an_exporter_with_which_all_is_well_is_told_to_be_so() {
    let [(_, templates, data), ..] = &bench_datagrams()[..] else { panic!() };
    let mut more = data.clone();
    more[12..16].copy_from_slice(&2_u32.to_be_bytes());
    let mut first = templates.clone();
    first[12..16].copy_from_slice(&0_u32.to_be_bytes());
    insta::assert_snapshot!(said(&[first, data.clone(), more]));
}

#[test]
fn what_is_amiss_is_said_with_its_figures() {
    let number = |mut datagram: Vec<u8>, number: u32| {
        datagram[12..16].copy_from_slice(&number.to_be_bytes());
        datagram
    };
    let fields = [f(8, 4), f(12, 4), f(1, 4), f(2, 4), f(22, 4), f(21, 4), f(7, 9)];
    let record = bytes()
        .raw([10, 0, 0, 1, 10, 0, 0, 2])
        .u32(700)
        .u32(1)
        .u32(UPTIME - 1_800_000)
        .u32(UPTIME)
        .raw([0; 9])
        .0;
    let mut behind = v9(1, &[set(256, record.repeat(30))]);
    behind[8..12].copy_from_slice(&(EXPORTED - 3600).to_be_bytes());
    let datagrams = [
        number(v9(1, &[set(0, template(256, &fields))]), 1),
        number(behind.clone(), 2),
        number(behind, 9),
        number(v9(1, &[set(999, [0; 8]), set(0, [1, 44, 0, 9])]), 10),
        vec![0, 77, 1, 2],
    ];
    insta::assert_snapshot!(said(&datagrams));
}

#[test]
fn samplers_and_frames_of_an_sflow_agent_are_judged() {
    let frame = |n: u32| {
        let head = bytes().u32(n).u32(3).u32(1000).u32(n * 2500).u32(n * 2).u32(3).u32(7).u32(1);
        sflow(&[tagged(1, head.raw(raw_header(1414, 0, &tcp4(1400))).0)])
    };
    let number = |n: u32| {
        let mut datagram = frame(n);
        datagram[16..20].copy_from_slice(&n.to_be_bytes());
        datagram
    };
    insta::assert_snapshot!(said(&(1..=500).map(number).collect::<Vec<_>>()));
}

/// Captures of exporters of several makers, whose summaries stand in docs/summary.md.
const SHOWN: &[(&str, &str)] = &[
    (
        "Cisco routers (IOS XR), IPFIX with SRv6 and options",
        "NetGauze+NetGauze/assets/pcaps/pmacct-tests/500-IPFIXv10-BGP-CISCO-SRv6/traffic-00.pcap",
    ),
    (
        "A Cisco ASR 9000, NetFlow v9",
        "_sequences/beats/Netflow_9_Cisco_ASR_9000_series_options_template_256.pcap",
    ),
    ("A Fortigate, NetFlow v9", "_sequences/beats/Netflow_9_Fortigate_FortiOS_5.2.1.pcap"),
    ("An sFlow agent", "_sequences/telegraf/sflow_issue_15918.pcap"),
    ("YAF, IPFIX of both directions", "_sequences/telegraf/ipfix_example.pcap"),
];

#[test]
fn summaries_of_real_captures_are_those_of_the_document() {
    let Some(folder) = captures() else { return };
    let mut text = include_str!("summary.md").to_owned();
    for (title, path) in SHOWN {
        let file = std::fs::read(folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let summary = survey(weir_capture::read(&file).unwrap(), &How::default());
        text += &format!("\n## {title}\n\n`{path}`:\n\n```text\n{summary}```\n");
    }
    let document = root().join("docs/summary.md");
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(&document, &text).unwrap();
    }
    let known = std::fs::read_to_string(&document).unwrap_or_default();
    assert!(known == text, "docs/summary.md is not what the captures say; run the test with WEIR_BLESS=1");
}
