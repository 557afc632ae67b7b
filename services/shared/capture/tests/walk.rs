//! Every field as it was sent: what `weir decode --all-fields` prints of datagrams of our own making.
#![allow(missing_docs, reason = "tests read as sentences")]
#![allow(clippy::unwrap_used, reason = "a test that meets no value has failed")]

#[path = "../../wire/tests/build/mod.rs"]
mod build;
mod support;

use build::{F, VARIABLE, bytes, f, ipfix, ipfix_options_template, set, template, v9, v9_options_template};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use support::walked;
use weir_capture::How;
use weir_capture::decode::{Format, decode_as};
use weir_capture::walk::Kind;

fn lines(file: &[u8]) -> Vec<Json> {
    walked(file).iter().map(|record| record.to_json()).collect()
}

#[test]
fn fields_stand_in_the_order_sent_with_name_or_number_and_twice_where_sent_twice() {
    let fields = [f(4, 1), f(4, 1), F(12235, VARIABLE, 9), F(1, 2, 29305), F(77, 2, 99999), f(56, 6)];
    let record = bytes().raw([4, 17, 3, 1, 2, 3, 0, 5, 0xab, 0xcd, 2, 0, 0, 0, 0, 1]);
    let made = &lines(&ipfix(7, &[set(2, template(300, &fields)), set(300, record.0)]))[0];
    assert_eq!((&made["kind"], &made["domain"], &made["template"]), (&json!("flow"), &json!(7), &json!(300)));
    let field = |id: u16, pen: u32, name: &str, value: Json| json!({"id": id, "pen": pen, "name": name, "value": value});
    let wanted = [
        field(4, 0, "protocolIdentifier", json!(4)),
        field(4, 0, "protocolIdentifier", json!(17)),
        field(12235, 9, "appHTTPHost", json!("0x010203")),
        field(1, 29305, "reverseOctetDeltaCount", json!(5)),
        field(77, 99999, "99999/77", json!("0xabcd")),
        field(56, 0, "sourceMacAddress", json!("02:00:00:00:00:01")),
    ];
    assert_eq!(made["fields"], json!(wanted));
}

#[test]
fn scopes_of_options_are_marked_and_those_of_v9_have_names_of_their_own() {
    let of_v9 = v9_options_template(257, &[f(2, 4), f(10, 4)], &[f(82, 5)]);
    let row = bytes().u32(3).u32(4).raw(b"ge-3\0").0;
    let made = &lines(&v9(1, &[set(1, of_v9), set(257, row)]))[0];
    assert_eq!(made["kind"], "options");
    assert_eq!(
        made["fields"],
        json!([
            {"id": 2, "pen": 0, "name": "interface", "scope": true, "value": 3},
            {"id": 10, "pen": 0, "name": "ingressInterface", "scope": true, "value": 4},
            {"id": 82, "pen": 0, "name": "interfaceName", "value": "ge-3"},
        ])
    );
    let of_ipfix = ipfix_options_template(257, &[f(2, 4)], &[f(1, 4)]);
    let made = &lines(&ipfix(1, &[set(3, of_ipfix), set(257, bytes().u32(3).u32(4).0)]))[0];
    assert_eq!(
        (&made["fields"][0]["name"], &made["fields"][0]["scope"]),
        (&json!("packetDeltaCount"), &json!(true))
    );
}

#[test]
fn a_data_set_before_its_template_is_printed_when_it_comes_and_one_without_at_the_end() {
    let first = ipfix(1, &[set(300, [0, 80]), set(301, [0, 1])]);
    let second = ipfix(1, &[set(2, template(300, &[f(7, 2)]))]);
    let made = lines(&[first, second].concat());
    let told: Vec<_> = made
        .iter()
        .map(|line| (line["kind"].as_str().unwrap(), line["datagram"].as_u64(), line["at"].as_u64()))
        .collect();
    assert_eq!(told, [("flow", Some(0), Some(20)), ("no_template", Some(0), Some(22))]);
    assert_eq!((&made[0]["fields"][0]["value"], &made[1]["bytes"]), (&json!(80), &json!("0x0001")));
}

#[test]
fn in_a_file_of_messages_a_template_that_was_withdrawn_is_none() {
    let data = set(300, [0, 80]);
    let first = ipfix(1, &[set(2, template(300, &[f(7, 2)])), data.clone()]);
    for withdrawal in [bytes().u16(300).u16(0).0, bytes().u16(2).u16(0).0] {
        let file = [first.clone(), ipfix(1, &[set(2, withdrawal), data.clone()])].concat();
        let kinds: Vec<_> = walked(&file).iter().map(|record| record.kind).collect();
        assert_eq!(kinds, [Kind::Flow, Kind::NoTemplate]);
    }
}

#[test]
fn to_withdraw_all_templates_takes_those_of_its_kind_domain_and_port_and_they_may_come_again() {
    let of = |id: u16| set(2, template(id, &[f(7, 2)]));
    let row = |id: u16| set(3, ipfix_options_template(id, &[f(10, 2)], &[f(34, 2)]));
    let all = |kind: u16| set(kind, bytes().u16(kind).u16(0).0);
    let (data, rows) = (set(300, [0, 80]), set(301, [0, 1, 0, 2]));
    let both = || [of(300), row(301)].concat();
    use Kind::{Flow, NoTemplate, Options};
    for (sets, kinds) in [
        (vec![both(), all(2), data.clone(), rows.clone()], vec![Options, NoTemplate]),
        (vec![both(), all(3), data.clone(), rows.clone()], vec![Flow, NoTemplate]),
        (vec![both(), all(2), all(3), all(2), data.clone(), rows.clone()], vec![NoTemplate, NoTemplate]),
        (vec![both(), all(2), all(3), both(), data.clone(), rows.clone()], vec![Flow, Options]),
        // An id that was of the other kind before.
        (vec![row(300), of(300), all(3), data.clone()], vec![Flow]),
        (vec![row(300), of(300), all(2), data.clone()], vec![NoTemplate]),
    ] {
        let made: Vec<_> = walked(&ipfix(1, &sets)).iter().map(|record| record.kind).collect();
        assert_eq!(made, kinds, "{sets:?}");
    }
    let other = [ipfix(1, &[both()]), ipfix(2, &[all(2), all(3)]), ipfix(1, &[data, rows])].concat();
    let made: Vec<_> = walked(&other).iter().map(|record| record.kind).collect();
    assert_eq!(made, [Flow, Options], "another domain's are left");
}

/// Quadratic work would take minutes here, and each step of it looks at all templates.
#[test]
fn a_file_that_withdraws_all_again_and_again_is_walked_to_its_end() {
    let ids: Vec<u16> = (256..=u16::MAX).collect();
    let define = |ids: &[u16]| {
        ipfix(1, &[set(2, ids.iter().flat_map(|id| template(*id, &[f(4, 1)])).collect::<Vec<_>>())])
    };
    let again = |n: u16| {
        let options = set(3, ipfix_options_template(300 + n % 7, &[f(10, 2)], &[f(34, 2)]));
        [set(3, bytes().u16(3).u16(0).0), set(2, bytes().u16(2).u16(0).0), options].concat()
    };
    let withdraw = |n: u16| ipfix(u32::from(n % 2), &(0..1500).map(again).collect::<Vec<_>>());
    let mut file: Vec<u8> = ids.chunks(7000).flat_map(define).collect();
    file.extend((0..200).flat_map(withdraw));
    file.extend(ipfix(1, &[set(2, template(300, &[f(7, 2)])), set(300, [0, 80])]));
    assert_eq!(walked(&file).last().map(|record| record.kind), Some(Kind::Flow));
}

#[test]
fn lists_of_templates_are_walked_by_their_templates() {
    let list = bytes().u8(3).u16(301).raw([0, 80, 1, 187]).0;
    let several = bytes().u8(4).u16(301).u16(6).u16(22).u16(999).u16(5).u8(9).0;
    let fields = [f(292, VARIABLE), f(293, VARIABLE)];
    let record = bytes().u8(list.len() as u8).raw(&list).u8(several.len() as u8).raw(&several).0;
    let templates = [template(301, &[f(7, 2)]), template(300, &fields)].concat();
    let made = &lines(&ipfix(1, &[set(2, templates), set(300, record)]))[0];
    let port = |n: u16| json!([{"id": 7, "pen": 0, "name": "sourceTransportPort", "value": n}]);
    assert_eq!(
        made["fields"][0]["value"],
        json!({"semantic": "allOf", "template": 301, "records": [port(80), port(443)]})
    );
    assert_eq!(
        made["fields"][1]["value"],
        json!({"semantic": "ordered", "lists": [{"template": 301, "records": [port(22)]}, {"template": 999, "bytes": "0x09"}]})
    );
}

#[test]
fn records_of_the_air_and_of_translated_ports_are_walked() {
    let head = || bytes().u32(3).raw(*b"lab\0").raw([2, 0, 0, 0, 0, 1, 0, 0]).u32(4);
    let cases = [
        (
            1014,
            head().u32(36).u64(54_000_000).u32(30).u32(150).u32(120),
            json!([36, 54_000_000, 30, 150, 120]),
        ),
        (
            1015,
            head().u32(2).u32(120).u32(60).u32(36).u64(54_000_000).u32(100),
            json!([2, 120, 60, 36, 54_000_000, 100]),
        ),
        (1016, bytes().u32(2).raw([7; 8]), json!([2, "0x0707070707070707"])),
        (1020, bytes().u32(40_000).u32(443), json!([40_000, 443])),
    ];
    for (format, body, values) in cases {
        let sample = build::flow_sample(3, 1000, 3, 5, &[build::tagged(format, body.0)]);
        let made = &lines(&build::sflow(&[sample]))[0]["records"][0];
        let fields = made["fields"].as_array().unwrap();
        let given: Vec<_> = fields.iter().map(|field| field["value"].clone()).collect();
        let mut wanted: Vec<Json> = match format {
            1014 | 1015 => vec!["lab".into(), "02:00:00:00:00:01".into(), 4.into()],
            _ => Vec::new(),
        };
        wanted.extend(values.as_array().unwrap().clone());
        assert_eq!((given, made.get("error")), (wanted, None), "{made}");
    }
}

#[test]
fn records_of_a_sample_have_names_and_those_not_known_their_bytes() {
    let unknown = build::tagged(4413 << 12 | 7, [1, 2, 3, 4]);
    let router = build::tagged(1002, bytes().u32(1).raw([192, 0, 2, 1]).u32(24).u32(16).0);
    let sample = build::flow_sample(3, 1000, 3, 5, &[router, unknown]);
    let made = &lines(&build::sflow(&[sample]))[0];
    assert_eq!(made["kind"], "flow_sample");
    assert_eq!(
        made["records"][0]["fields"],
        json!([
            {"name": "nexthop", "value": "192.0.2.1"}, {"name": "src_mask_len", "value": 24}, {"name": "dst_mask_len", "value": 16},
        ])
    );
    assert_eq!(
        (&made["records"][1]["name"], &made["records"][1]["bytes"]),
        (&json!("4413/7"), &json!("0x01020304"))
    );
}

#[test]
fn fields_without_length_are_no_way_to_fill_the_disk() {
    let fields: Vec<_> = std::iter::once(f(4, 1)).chain((0..2000).map(|n| f(1000 + n, 0))).collect();
    let records = walked(&v9(1, &[set(0, template(256, &fields)), set(256, vec![6; 1400])]));
    let given: usize = records.iter().map(|record| record.fields.len()).sum();
    assert!(given <= 1404 * 4 && given > 2000, "{given} fields");
    assert_eq!(records.last().map(|record| record.kind), Some(Kind::Fault));
}

#[test]
fn csv_has_a_header_and_a_cell_for_each_column() {
    let file = build::v5(0, &[build::v5_record(3, 3000, 1, 2)]);
    let mut out = Vec::new();
    decode_as(Format::Csv, weir_capture::read(&file).unwrap(), &How::default(), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let rows: Vec<Vec<_>> = text.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!((rows.len(), rows[0].len()), (2, rows[1].len()));
    let cell = |name: &str| rows[1][rows[0].iter().position(|column| *column == name).unwrap()];
    assert_eq!(
        (cell("exporter"), cell("src_addr"), cell("bytes"), cell("packets")),
        ("127.0.0.1", "10.0.0.1", "3000", "3")
    );
    assert_eq!((cell("as_path"), cell("ttl")), ("", ""));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(
        version in prop::sample::select(vec![&[0, 5][..], &[0, 8], &[0, 9], &[0, 10], &[0, 0, 0, 5]]),
        body in prop::collection::vec(any::<u8>(), 0..300),
        fields in prop::collection::vec((prop::sample::select(vec![1, 8, 82, 152, 154, 291, 292, 293, 311, 467]), 0..20_u16), 1..20),
    ) {
        let file = [version, &body].concat();
        prop_assert!(lines(&file).len() <= file.len());
        let fields: Vec<_> = fields.iter().map(|(id, length)| f(*id, if *length == 19 { VARIABLE } else { *length })).collect();
        for made in [ipfix(1, &[set(2, template(256, &fields)), set(256, body.clone())]), v9(1, &[set(0, template(256, &fields)), set(256, body)])] {
            prop_assert!(lines(&made).len() <= made.len());
        }
    }
}
