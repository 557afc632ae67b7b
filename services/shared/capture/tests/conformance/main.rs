//! Every capture against what others make of it, field by field: the table in docs/conformance.md.
//!
//! What is compared are the fields of the plain walker, by their names; that the decoder's columns are what these fields say, `agreement.rs`
//! holds, and its figures stand in the table too. Each difference has its reason in [`EXPLAINED`]: one that has none fails the test, and so does a
//! reason for which there is no difference. The captures lie beside the project: where they are missing the test says so and passes.
#![allow(missing_docs, reason = "tests read as sentences")]
#![allow(clippy::unwrap_used, reason = "a test that meets no value has failed")]

mod filebeat;
mod netgauze;
#[path = "../support/mod.rs"]
mod support;
mod tcpdump;
mod telegraf;
mod tshark;

use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use support::{captures, columns, decoded, root, rows, walked};
use weir_capture::walk::Kind;

/// A field as another program gives it, made comparable, and ours.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The capture.
    pub file: String,
    /// The record, in words.
    pub record: String,
    /// The field, as the other names it.
    pub field: String,
    /// Its value there.
    pub theirs: Json,
    /// Ours; null where we have none.
    pub ours: Json,
}

/// What another program makes of captures.
pub struct Golden {
    pub name: &'static str,
    /// Captures and records that were compared.
    pub files: usize,
    pub records: usize,
    pub fields: Vec<Compared>,
}

/// Golden, part of the file's name, field, and why it differs.
const EXPLAINED: &[(&str, &str, &str, &str)] = &[
    (
        "Filebeat",
        "IPFIX_Netscaler_with_variable_length_fields.pcap",
        "flow_start_microseconds",
        "It prints nine digits of a time in microseconds, whose format has bits to spare below them; we print six.",
    ),
    ("Filebeat", "IPFIX_Netscaler_with_variable_length_fields.pcap", "flow_end_microseconds", "As above."),
    (
        "Filebeat",
        "Netflow_9_invalid_01.pcap",
        "records",
        "The header counts fewer records than follow, and it refuses them all; `counts.tsv` has the same two flow records and one of options as we do.",
    ),
    (
        "tshark",
        "Netflow_9_Cisco_ASA.pcap",
        "abstimestart",
        "Of a time of eight bytes it gives the first four as its bytes; the time that it shows is ours.",
    ),
    (
        "tshark",
        "Netflow_9_invalid_01.pcap",
        "records",
        "The header counts two records, which are the templates, and it stops there; we read all sets that the datagram has.",
    ),
    (
        "tshark",
        "IPFIX_Netscaler_with_variable_length_fields.pcap",
        "records",
        "It goes over the file once: three records come before their template, which we let wait for it.",
    ),
    (
        "tshark",
        "_sequences/telegraf/ipfix_example.pcap",
        "enterprise_private_entry",
        "Lists of templates (RFC 6313) of YAF's: it leaves them as bytes, we walk over them.",
    ),
];

fn explained(golden: &str, compared: &Compared) -> Option<usize> {
    EXPLAINED.iter().position(|(of, file, field, _)| {
        *of == golden && compared.file.contains(file) && (*field == compared.field || *field == "*")
    })
}

/// Whether two values are the same: numbers, text, or points in time.
fn same(theirs: &Json, ours: &Json) -> bool {
    let time = |value: &Json| value.as_str().and_then(|text| humantime::parse_rfc3339(text).ok());
    theirs == ours || time(theirs).is_some_and(|at| time(ours) == Some(at))
}

/// A table of rows.
fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        writeln!(text, "| {} |", row.join(" | ")).unwrap();
    }
    text
}

#[derive(Default)]
struct Sums {
    files: usize,
    expected: [u64; 3],
    decoded: [u64; 3],
    flows: usize,
    columns: usize,
}

/// Counts and columns by source of captures.
fn sources(folder: &std::path::Path) -> BTreeMap<String, Sums> {
    let mut sources: BTreeMap<String, Sums> = BTreeMap::new();
    for row in rows(folder) {
        let path = row.cell("path");
        let source =
            path.split('/').take(if path.starts_with('_') { 2 } else { 1 }).collect::<Vec<_>>().join("/");
        let sums = sources.entry(source).or_default();
        let bytes = std::fs::read(folder.join(path)).unwrap();
        let (summary, _) = decoded(&bytes);
        let c = &summary.counts;
        let samples = c.flow_samples + c.discard_samples + c.counter_samples;
        let sflow = |cell: &str| -> u64 {
            let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>();
            cell.split('+').filter_map(|part| digits(part).parse::<u64>().ok()).sum()
        };
        let number = |name: &str| row.cell(name).parse::<u64>().unwrap_or(0);
        let expected = [number("flow_records"), number("option_records"), sflow(row.cell("sflow_samples"))];
        let ours =
            [c.flows - c.reverse_flows - c.flow_samples - c.discard_samples, c.option_records, samples];
        sums.files += 1;
        for n in 0..3 {
            sums.expected[n] += expected[n];
            sums.decoded[n] += ours[n];
        }
        let (flows, _, columns) = columns::agree(path, &bytes);
        sums.flows += flows;
        sums.columns += columns;
        // The walker finds what the decoder finds.
        let walked = walked(&bytes);
        let of = |kinds: &[Kind]| walked.iter().filter(|record| kinds.contains(&record.kind)).count() as u64;
        let all = [
            of(&[Kind::Flow]),
            of(&[Kind::Options]),
            of(&[Kind::FlowSample, Kind::DiscardSample, Kind::CounterSample]),
        ];
        assert_eq!(all, ours, "{path}: flow records, option records, samples");
    }
    sources
}

/// The table of what was compared, and of what differs with its reasons. Gives what has no reason, and reasons for what does not differ.
fn differences(text: &mut String, goldens: &[Golden]) -> Vec<String> {
    let (mut lines, mut bad) = (Vec::new(), Vec::new());
    let mut reasons: BTreeMap<usize, (usize, BTreeSet<&str>)> = BTreeMap::new();
    for golden in goldens {
        let differ: Vec<_> = golden.fields.iter().filter(|c| !same(&c.theirs, &c.ours)).collect();
        for compared in &differ {
            match explained(golden.name, compared) {
                Some(place) => {
                    let entry = reasons.entry(place).or_default();
                    entry.0 += 1;
                    entry.1.insert(&compared.field);
                }
                None => bad.push(format!("{}: {compared:?}", golden.name)),
            }
        }
        let (fields, differ) = (golden.fields.len(), differ.len());
        let cells = [golden.files, golden.records, fields, fields - differ, differ].map(|n| n.to_string());
        lines.push([vec![golden.name.to_owned()], cells.to_vec()].concat());
    }
    *text += &table(&["golden", "files", "records", "fields compared", "alike", "differ"], &lines);
    text.push_str("\nWhat differs, and why:\n\n");
    let mut lines = Vec::new();
    for (place, (golden, file, _, why)) in EXPLAINED.iter().enumerate() {
        if !goldens.iter().any(|here| here.name == *golden) {
            continue;
        }
        match reasons.get(&place) {
            Some((n, fields)) => {
                let fields = fields.iter().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ");
                let file = if file.is_empty() { "any".to_owned() } else { format!("`{file}`") };
                lines.push(vec![(*golden).to_owned(), file, fields, n.to_string(), (*why).to_owned()]);
            }
            None => bad.push(format!("no longer so: {:?}", EXPLAINED[place])),
        }
    }
    *text += &table(&["golden", "file", "fields", "values", "why"], &lines);
    bad
}

fn document(folder: &std::path::Path) -> (String, Vec<String>) {
    let mut text = String::from(include_str!("head.md"));
    let sources = sources(folder);
    let row = |name: &str, sums: &Sums| {
        let both = |n: usize| format!("{} / {}", sums.expected[n], sums.decoded[n]);
        let counts = [sums.files.to_string(), both(0), both(1), both(2)];
        [vec![name.to_owned()], counts.to_vec(), vec![sums.flows.to_string(), sums.columns.to_string()]]
            .concat()
    };
    let mut lines: Vec<_> = sources.iter().map(|(name, sums)| row(&format!("`{name}`"), sums)).collect();
    let mut all = Sums::default();
    for sums in sources.values() {
        all.files += sums.files;
        all.flows += sums.flows;
        all.columns += sums.columns;
        for n in 0..3 {
            all.expected[n] += sums.expected[n];
            all.decoded[n] += sums.decoded[n];
        }
    }
    lines.push(row("all", &all));
    let head = [
        "source",
        "files",
        "flow records",
        "option records",
        "samples",
        "flows compared",
        "columns compared",
    ];
    text += &table(&head, &lines);

    text += include_str!("goldens.md");
    let goldens =
        [filebeat::read(folder), netgauze::read(folder), telegraf::read(folder), tcpdump::read(folder)];
    let bad = differences(&mut text, &goldens);
    (text, bad)
}

/// What begins the section of tshark, which only who has that version of it makes anew.
fn tshark_head(version: &str) -> String {
    format!("\n## tshark {version}\n\n")
}

#[test]
fn every_field_of_every_golden_is_ours_or_its_difference_is_explained() {
    let Some(folder) = captures() else { return };
    let (mut made, mut bad) = document(&folder);
    let path = root().join("docs/conformance.md");
    let is = std::fs::read_to_string(&path).unwrap_or_default();
    let bless = std::env::var_os("WEIR_BLESS").is_some();
    let mut section = is.find("\n## tshark").map_or(String::new(), |at| is[at..].to_owned());
    match tshark::version() {
        Some(version) => {
            let mut text = tshark_head(&version) + include_str!("tshark.md");
            bad.extend(differences(&mut text, &[tshark::read(&folder, &rows(&folder))]));
            // Another version may know more fields: then its figures are not those of the document.
            if bless || section.starts_with(&tshark_head(&version)) {
                section = text;
            }
        }
        None => println!("skipped: no tshark"),
    }
    made += &section;
    println!("{made}");
    for line in &bad {
        println!("{}", line.chars().take(400).collect::<String>());
    }
    assert!(bad.is_empty(), "{} differences without a reason, or reasons without a difference", bad.len());
    if bless {
        std::fs::write(&path, &made).unwrap();
    }
    assert!(std::fs::read_to_string(&path).unwrap_or_default() == made, "run this test with WEIR_BLESS=1");
}
