//! The committed contracts are what the table of columns says, and foreign readers agree with our codec.
#![allow(clippy::unwrap_used)]

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as AvroValue;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;
use std::path::Path;
use weir_schemas::avro::{self, BatchWriter, read_batch};
use weir_schemas::from_row::{RowError, RowReader};
use weir_schemas::value::{MAX_COUNT, MAX_Q, Slot};
use weir_schemas::*;

/// Compares a committed file with what the code makes; `WEIR_BLESS=1` writes it instead.
fn committed(path: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let is = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        is == made,
        "{} is not what the table of columns makes; run the test with WEIR_BLESS=1",
        path.display()
    );
}

#[test]
fn the_committed_avro_schema_is_the_table_of_columns() {
    committed("avro/flow_batch.1.avsc", &avro::schema_text());
}

#[test]
fn the_documented_columns_are_the_table_of_columns() {
    committed("../docs/columns.md", &docs::columns_markdown());
}

#[test]
fn migrations_are_the_table_of_columns() {
    for migration in ddl::MIGRATIONS {
        let file = format!("clickhouse/{:04}_{}.sql", migration.number, migration.name);
        committed(&file, &ddl::migration(migration.number));
    }
}

/// Full compatibility: every released schema must read what every other wrote, in both directions.
#[test]
fn released_schemas_read_each_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("avro");
    let schemas: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), Schema::parse_str(&std::fs::read_to_string(path).unwrap()).unwrap()))
        .collect();
    assert!(!schemas.is_empty());
    for (writer_path, writer) in &schemas {
        for (reader_path, reader) in &schemas {
            apache_avro::schema_compatibility::SchemaCompatibility::can_read(writer, reader)
                .unwrap_or_else(|error| panic!("{reader_path:?} can't read {writer_path:?}: {error}"));
        }
    }
}

#[test]
fn the_compatibility_check_refuses_a_column_without_default_and_a_changed_type() {
    let check = |writer: &str, reader: &str| {
        let parse = |fields: &str| {
            Schema::parse_str(&format!(r#"{{"type":"record","name":"R","fields":[{fields}]}}"#)).unwrap()
        };
        apache_avro::schema_compatibility::SchemaCompatibility::can_read(&parse(writer), &parse(reader))
    };
    let a = r#"{"name":"a","type":"long"}"#;
    assert!(check(a, &format!(r#"{a},{{"name":"b","type":"long"}}"#)).is_err());
    assert!(check(a, r#"{"name":"a","type":"string"}"#).is_err());
    assert!(check(a, &format!(r#"{a},{{"name":"b","type":"long","default":0}}"#)).is_ok());
}

fn extreme() -> Flow<'static> {
    static PATH: [u32; 3] = [u32::MAX, 0, 64512];
    Flow {
        raw_offset: MAX_COUNT,
        frame_index: u32::MAX,
        record_index: u32::MAX,
        received: Time(i64::MAX),
        exported: Time(i64::MIN),
        flow_start: Time(-1),
        flow_end: Time(1),
        spread_start: Time(0),
        spread_end: Time(63),
        protocol: Protocol::SflowV5,
        flow_kind: FlowKind::Event,
        exporter_id: Ip([0xff; 16]),
        observation_domain: u32::MAX,
        exporter_name: "rtr1 \u{1F309} ünïcode",
        sampler: MAX_COUNT,
        in_if: u32::MAX,
        out_if: 0x3fff_ffff,
        in_if_name: "et-0/0/1",
        out_if_name: "",
        in_if_description: "Transit: \"Example\" 'quoted' \\ back\nline\tand\0nul",
        in_if_speed: 400_000_000_000,
        out_if_speed: MAX_COUNT,
        in_connectivity: Connectivity::Core,
        out_connectivity: Connectivity::Transit,
        in_provider: "p",
        family: 255,
        src_addr: Ip::v4([192, 0, 2, 1]),
        dst_addr: Ip([1; 16]),
        src_port: u16::MAX,
        dst_port: 1,
        src_prefix_len: 128,
        dst_prefix_len: 255,
        src_as: u32::MAX,
        dst_as: 1,
        src_as_source: AsSource::Route,
        src_country: Country(*b"DE"),
        as_path: U32s::Native(&PATH),
        mpls_labels: U32s::Wire(&[0, 0, 0, 1, 0, 0x0f, 0xff, 0xff]),
        tcp_flags: u16::MAX,
        icmp_type: Some(255),
        icmp_code: Some(0),
        ttl: Some(255),
        flow_label: Some(u32::MAX),
        fragment_id: Some(u32::MAX),
        fragment_offset: Some(u16::MAX),
        src_mac: Mac([0xff; 6]),
        in_vrf: Some(u32::MAX),
        forwarding_status: Some(255),
        observation: Observation::Egress,
        bytes: Some(MAX_COUNT),
        bytes_l2: Some(0),
        packets: MAX_COUNT,
        q: Some(MAX_Q),
        q_l2: Some(0),
        sampling_interval: MAX_COUNT,
        sampling_kind: SamplingKind::Flow,
        rate_source: RateSource::Override,
        flags: u32::MAX,
        tunnel: Tunnel::EtherIp,
        tunnel_id: Some(u32::MAX),
        inner_src_addr: Ip([0xfe; 16]),
        outer_dst_addr: Ip::v4([198, 51, 100, 9]),
        nat_src_port: u16::MAX,
        customer_vlan: 4095,
        communities: U32s::Wire(&[0xff, 0xff, 0xff, 1]),
        local_pref: Some(0),
        drop_reason: Some(u32::MAX),
        original_domain: Some(u32::MAX),
        ..Flow::default()
    }
}

fn batch() -> Batch<'static> {
    Batch { exporter: Ip::v4([127, 0, 0, 9]), raw_partition: 11, generation: 3, ..Batch::default() }
}

fn message(flows: &[Flow<'_>]) -> Vec<u8> {
    let mut writer = BatchWriter::default();
    flows.iter().for_each(|flow| writer.push(flow));
    let mut out = Vec::new();
    writer.finish(&batch(), 0, &mut out);
    out
}

fn parsed() -> Schema {
    Schema::parse_str(&avro::schema_text()).unwrap()
}

fn their_reading(datum: &[u8]) -> AvroValue {
    let schema = parsed();
    GenericDatumReader::builder(&schema).build().unwrap().read_value(&mut &*datum).unwrap()
}

fn their_writing(value: AvroValue) -> Vec<u8> {
    let schema = parsed();
    GenericDatumWriter::builder(&schema).build().unwrap().write_value_to_vec(value).unwrap()
}

/// What a JSON view of our record says, as what a JSON view of apache-avro's record should say.
fn number(value: &AvroValue) -> i128 {
    match value {
        AvroValue::Int(n) => i128::from(*n),
        AvroValue::Long(n) | AvroValue::TimestampNanos(n) => i128::from(*n),
        AvroValue::Enum(n, _) => i128::from(*n),
        AvroValue::Decimal(n) => {
            let bytes: Vec<u8> = n.clone().try_into().unwrap();
            bytes.iter().fold(0, |n, b| n << 8 | i128::from(*b))
        }
        AvroValue::Union(0, _) => -1,
        AvroValue::Union(_, value) => number(value),
        other => panic!("not a number: {other:?}"),
    }
}

#[test]
fn apache_avro_reads_every_column_that_our_codec_writes() {
    let flows = [extreme(), Flow::default()];
    let message = message(&flows);
    let AvroValue::Record(fields) = their_reading(&message[5..]) else { panic!() };
    assert_eq!(fields.len(), Batch::COLUMNS.len() + 1);
    let AvroValue::Array(read) = &fields.last().unwrap().1 else { panic!() };
    assert_eq!(read.len(), 2);
    for (flow, read) in flows.iter().zip(read) {
        let AvroValue::Record(read) = read else { panic!() };
        assert_eq!(read.len(), Flow::COLUMNS.len());
        // JSON numbers end before Q does.
        let ours = serde_json::to_value(Flow { q: None, q_l2: None, ..*flow }).unwrap();
        for ((name, value), column) in read.iter().zip(Flow::COLUMNS) {
            assert_eq!(name, column.name);
            let ours = &ours[column.name];
            match value {
                value if name == "q" => assert_eq!(number(value), flow.q.map_or(-1, |q| q as i128)),
                value if name == "q_l2" => assert_eq!(number(value), flow.q_l2.map_or(-1, |q| q as i128)),
                AvroValue::String(text) => assert_eq!(ours, text.as_str(), "{name}"),
                AvroValue::Enum(_, word) => assert_eq!(ours, word.as_str(), "{name}"),
                AvroValue::Fixed(_, bytes) if ours.is_null() => {
                    assert!(bytes.iter().all(|b| *b == 0), "{name}")
                }
                AvroValue::Fixed(16, bytes) => {
                    let ip = Ip(bytes.clone().try_into().unwrap());
                    assert_eq!(ours, ip.to_string().as_str(), "{name}");
                }
                AvroValue::Fixed(_, bytes) => {
                    assert_eq!(ours, Mac(bytes.clone().try_into().unwrap()).to_string().as_str(), "{name}");
                }
                AvroValue::Array(items) => {
                    let theirs: Vec<_> = items.iter().map(number).collect();
                    let ours: Vec<i128> =
                        ours.as_array().unwrap().iter().map(|n| n.as_i64().unwrap().into()).collect();
                    assert_eq!(ours, theirs, "{name}");
                }
                value => {
                    let ours = if ours.is_null() { -1 } else { ours.to_string().parse().unwrap() };
                    assert_eq!(number(value), ours, "{name}");
                }
            }
        }
    }
}

#[test]
fn our_codec_reads_what_apache_avro_writes() {
    let ours = message(&[extreme(), Flow::default(), extreme()]);
    let value = their_reading(&ours[5..]);
    let mut theirs = ours[..5].to_vec();
    theirs.extend(their_writing(value));
    let (read, flows) = read_batch(&theirs).unwrap();
    assert_eq!(read, batch());
    let flows: Vec<_> = flows.map(Result::unwrap).collect();
    assert_eq!(flows, [extreme(), Flow::default(), extreme()]);
}

fn row(flow: &Flow<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    batch().put_row(&mut out);
    flow.put_row(&mut out);
    out
}

#[test]
fn every_column_is_read_from_a_row_as_it_was_written_and_no_shorter_row_is_one() {
    let flows = [extreme(), Flow::default(), extreme()];
    let rows: Vec<u8> = flows.iter().flat_map(row).collect();
    let mut input = RowReader::new(&rows);
    for flow in &flows {
        assert_eq!(Batch::get_row(&mut input).unwrap(), batch());
        assert_eq!(Flow::get_row(&mut input).unwrap(), *flow);
    }
    assert!(input.is_empty());
    let whole = row(&extreme());
    for cut in 0..whole.len() {
        let mut input = RowReader::new(&whole[..cut]);
        let read = Batch::get_row(&mut input).and_then(|_| Flow::get_row(&mut input));
        assert!(matches!(read, Err(RowError::Truncated { .. })), "{cut}: {read:?}");
    }
}

#[test]
fn rows_of_rollups_are_read_as_they_were_written_negative_ones_too() {
    let link = rollup::LinkRow {
        time: Slot(u32::MAX),
        exporter: Ip([0xff; 16]),
        direction: Direction::Out,
        asn: u32::MAX,
        sampling_interval: u64::MAX,
        bytes: i64::MIN,
        packets: -1,
        flows: i64::MAX,
        q: i128::MIN,
        q_l2: i128::MAX,
        q_packets: -1,
        ..Default::default()
    };
    let mut out = Vec::new();
    link.put_row(&mut out);
    let pair = rollup::PairRow { src_country: Country(*b"DE"), bytes_l2: -5, ..Default::default() };
    pair.put_row(&mut out);
    let mut input = RowReader::new(&out);
    assert_eq!(rollup::LinkRow::get_row(&mut input).unwrap(), link);
    assert_eq!(rollup::PairRow::get_row(&mut input).unwrap(), pair);
    assert!(input.is_empty());
}

#[test]
fn an_empty_batch_is_a_batch() {
    let message = message(&[]);
    let (_, flows) = read_batch(&message).unwrap();
    assert_eq!(flows.count(), 0);
    their_reading(&message[5..]);
}

#[test]
fn the_fingerprint_in_the_header_is_that_which_others_compute() {
    // By fastavro 1.13: fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO") of flow_batch.1.avsc, which never changes once it is released.
    assert_eq!(avro::fingerprint().to_le_bytes(), 0x11b4_d240_7884_59bc_u64.to_be_bytes());
}

proptest! {
    #[test]
    fn numbers_survive_the_codec(q in 0..=MAX_Q, count in 0..=MAX_COUNT, time: i64, path: Vec<u32>) {
        let flow = Flow { q: Some(q), packets: count, received: Time(time), as_path: U32s::Native(&path), ..Flow::default() };
        let message = message(&[flow]);
        let (_, mut flows) = read_batch(&message).unwrap();
        prop_assert_eq!(flows.next().unwrap().unwrap(), flow);
        let rows = row(&flow);
        let mut input = RowReader::new(&rows);
        prop_assert_eq!(Batch::get_row(&mut input).unwrap(), batch());
        prop_assert_eq!(Flow::get_row(&mut input).unwrap(), flow);
        let read = their_reading(&message[5..]);
        prop_assert_eq!(their_writing(read), &message[5..]);
    }

    #[test]
    fn any_bytes_are_flows_or_an_error(bytes: Vec<u8>, cut in 0..400usize) {
        if let Ok((_, flows)) = read_batch(&bytes) {
            flows.for_each(drop);
        }
        let mut rows = RowReader::new(&bytes);
        while !rows.is_empty() && Flow::get_row(&mut rows).is_ok() {}
        let whole = message(&[extreme()]);
        if let Ok((_, flows)) = read_batch(&whole[..cut.min(whole.len())]) {
            flows.for_each(drop);
        }
    }
}
