//! An answer as a table for people: aligned, with units, and with words where a number would mislead. Names are anybody's, and steer no terminal.

use crate::printable::printable;
use std::fmt::Write;
use weir_api::amount;
use weir_api::query::period::{ALLOWANCE, PEAK_SLOT};
use weir_api::query::{Answer, Counted, NotIn, Question, Row, Scope};

/// Exporters named in a sentence.
const NAMED: usize = 3;

/// Bits a second with an SI prefix.
fn rate(bytes: f64, seconds: f64) -> String {
    let mut value = bytes * 8.0 / seconds;
    for unit in ["bit/s", "kbit/s", "Mbit/s", "Gbit/s"] {
        if value < 1000.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} Tbit/s")
}

/// Both directions. A sum of two that each stop at 64 bits has more than those.
fn bytes(row: &Row) -> f64 {
    row.bytes_in as f64 + row.bytes_out as f64
}

/// How far the limits lie below and above. In and out of one sum can be the same packets (docs/counting.md), so the bound adds both.
fn interval(row: &Row, seconds: f64) -> String {
    let (sum, low, high) = (bytes(row), row.low_in + row.low_out, row.high_in + row.high_out);
    if sum == 0.0 {
        return if high > 0.0 { format!("< {}", rate(high, seconds)) } else { String::new() };
    }
    let [below, above] = [sum - low, high - sum].map(|half| format!("{:.1}", 100.0 * half / sum));
    if below == above { format!("±{above} %") } else { format!("−{below} +{above} %") }
}

/// Largest and 95th slots; what rests on few samples is marked.
fn peaks(row: &Row) -> [String; 4] {
    let Some(peaks) = &row.peaks else { return [const { String::new() }; 4] };
    [
        (peaks.max_in, peaks.rough_max_in),
        (peaks.max_out, peaks.rough_max_out),
        (peaks.p95_in, peaks.rough_p95_in),
        (peaks.p95_out, peaks.rough_p95_out),
    ]
    .map(|(bytes, rough)| {
        format!("{}{}", rate(bytes as f64, f64::from(PEAK_SLOT)), if rough { " ~" } else { "" })
    })
}

/// Exporters with bytes that are not in: the first few by name, and how many others.
fn exporters<'a>(all: &[&'a NotIn], of: impl Fn(&'a NotIn) -> String) -> String {
    let mut names: Vec<String> =
        all.iter().take(NAMED).map(|one| format!("{} ({})", printable(&one.exporter), of(one))).collect();
    match all.len().saturating_sub(NAMED) {
        0 => {}
        1 => names.push("1 other".to_owned()),
        others => names.push(format!("{others} others")),
    }
    let last = names.pop().unwrap_or_default();
    if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) }
}

/// The table.
pub fn text(question: &Question, answer: &Answer) -> String {
    let mut out = rows(answer);
    notes(&mut out, question, answer);
    out
}

fn rows(answer: &Answer) -> String {
    let seconds = f64::from(answer.seconds);
    let all = bytes(&answer.total).max(1.0);
    let mut heads = answer.by.clone();
    heads.extend(["in", "out", "share", "95 %"].map(str::to_owned));
    if answer.peaks.is_some() {
        heads.extend(["max in", "max out", "95th in", "95th out"].map(str::to_owned));
    }
    if answer.previous.is_some() {
        heads.push("before".to_owned());
    }
    let line = |keys: Vec<String>, row: &Row| {
        let mut cells = keys;
        cells.push(rate(row.bytes_in as f64, seconds));
        cells.push(rate(row.bytes_out as f64, seconds));
        cells.push(format!("{:.1} %", 100.0 * bytes(row) / all));
        cells.push(interval(row, seconds));
        if answer.peaks.is_some() {
            cells.extend(peaks(row));
        }
        if let Some(before) = &answer.previous {
            cells.push(row.previous.as_ref().map_or_else(String::new, |previous| {
                rate(previous.bytes_in as f64 + previous.bytes_out as f64, f64::from(before.to - before.from))
            }));
        }
        cells
    };
    let mut lines: Vec<Vec<String>> = answer
        .rows
        .iter()
        .map(|row| line(row.keys.iter().map(|key| printable(key)).collect(), row))
        .collect();
    let summed = [("other", answer.other.as_ref()), ("total", Some(&answer.total))];
    for (word, row) in summed.into_iter().filter_map(|(word, row)| Some((word, row?))) {
        let mut keys = vec![String::new(); answer.by.len()];
        keys.iter_mut().take(1).for_each(|key| word.clone_into(key));
        lines.push(line(keys, row));
    }
    let width = |column: usize| {
        lines.iter().chain([&heads]).map(|cells| cells[column].chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut out = String::new();
    for (number, cells) in [&heads].into_iter().chain(&lines).enumerate() {
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            let _ = if column < answer.by.len() {
                write!(out, "{cell}{pad}  ")
            } else {
                write!(out, "{pad}{cell}  ")
            };
        }
        out.truncate(out.trim_end().len());
        out.push('\n');
        if number == 0 || number == lines.len() - 1 {
            let _ = writeln!(out, "{}", "─".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1)));
        }
    }
    out
}

fn notes(out: &mut String, question: &Question, answer: &Answer) {
    let chosen = question.observation == Counted::Chosen;
    let _ = writeln!(
        out,
        "\nAverages over {} minutes, scaled by the sampling rate, of records observed {}, from {}.",
        answer.seconds / 60,
        if chosen { "where they are complete".to_owned() } else { format!("on {}", answer.observation) },
        answer.tables.join(", ")
    );
    if answer.asked_from < answer.from {
        let _ = writeln!(
            out,
            "Asked was from {}; what is still kept is from {} on, and what is shown begins there.",
            answer.asked_from, answer.from
        );
    }
    if answer.incomplete_seconds > 0 {
        let _ = writeln!(
            out,
            "The last {} minutes are incomplete: flows come after they end.",
            answer.incomplete_seconds.div_ceil(60)
        );
    }
    if let Some(slots) = &answer.peaks {
        let _ = writeln!(
            out,
            "Max and 95th are of {} averages over {} minutes, those of no traffic too; ~: fewer than 400 samples, which makes them read too high.",
            slots.slots,
            slots.interval / 60
        );
    }
    if answer.total.bytes_late_rate > 0 {
        let _ = writeln!(
            out,
            "{} of it came without a sampling rate, and is scaled by the first that its exporter announced later, or by the one of the configuration.",
            amount(answer.total.bytes_late_rate as f64)
        );
    }
    if !answer.unknown_rate.is_empty() {
        let mut all: Vec<_> = answer.unknown_rate.iter().collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.bytes_unknown_rate));
        let _ = writeln!(
            out,
            "{} as sampled are not in, because their sampling rate is not known: {}.",
            amount(all.iter().map(|one| one.bytes_unknown_rate as f64).sum()),
            exporters(&all, |one| amount(one.bytes_unknown_rate as f64))
        );
    }
    for observation in ["ingress", "egress", "unknown"] {
        let all: Vec<_> =
            answer.other_observation.iter().filter(|one| one.observation == observation).collect();
        if all.is_empty() {
            continue;
        }
        let of = |one: &NotIn| match (one.bytes, one.bytes_unknown_rate) {
            (0, unknown) => format!("{} as sampled", amount(unknown as f64)),
            (bytes, _) => amount(bytes as f64),
        };
        let (place, how) = match observation {
            "unknown" => ("at an unknown point".to_owned(), "set unknown_observation for them".to_owned()),
            // What else was chosen has the same packets.
            word if chosen => (format!("on {word} as well"), format!("ask with --observation {word}")),
            word => (format!("on {word}"), format!("ask with --observation {word}")),
        };
        let _ = writeln!(out, "Not in is what was observed {place}, by {}; {how}.", exporters(&all, of));
    }
    if answer.rows.is_empty() {
        if question.scope == Scope::Boundary {
            out.push_str("No traffic on transit, IX or PNI links. Classify links in decoder.enrich.links, or ask with --scope all.\n");
        }
        let _ =
            writeln!(out, "--last ends {} minutes ago, so the newest flows are not in yet.", ALLOWANCE / 60);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use weir_api::query::field::Dimension;
    use weir_api::query::period::{Kept, Period, Window};
    use weir_api::query::reading::Tables;
    use weir_api::query::{Before, Detail, Order, PeakSlots, Peaks, Previous};

    fn row(keys: &[&str], bytes_in: u64, bytes_out: u64, (below, above): (f64, f64)) -> Row {
        Row {
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            bytes_in,
            bytes_out,
            low_in: bytes_in as f64 * (1.0 - below),
            high_in: bytes_in as f64 * (1.0 + above),
            low_out: bytes_out as f64,
            high_out: bytes_out as f64,
            ..Row::default()
        }
    }

    fn not_in(exporter: &str, observation: &str, bytes: u64, bytes_unknown_rate: u64) -> NotIn {
        NotIn { exporter: exporter.into(), observation: observation.into(), bytes, bytes_unknown_rate }
    }

    fn answer(rows: Vec<Row>, total: Row) -> (Question, Answer) {
        let window = Window { from: 0, to: 3600 };
        let period = Period { window, asked_from: 0, seconds: 3600, incomplete: 0 };
        let question = Question {
            by: vec![Dimension::As, Dimension::Link],
            period,
            top: 2,
            order: Order::Both,
            scope: Scope::Boundary,
            observation: Counted::Ingress,
            filter: None,
            detail: Detail::default(),
            tables: Tables::of(Kept::new(3600, &BTreeMap::new())),
        };
        let answer = Answer {
            tables: vec!["links_1h"],
            to: 3600,
            seconds: 3600,
            observation: "ingress",
            by: vec!["as".into(), "link".into()],
            rows,
            total,
            ..Answer::default()
        };
        (question, answer)
    }

    #[test]
    fn an_answer_reads_well() {
        let rows = vec![
            row(&["AS3320 Deutsche Telekom", "transit-A"], 900_000_000_000, 100_000_000_000, (0.01, 0.01)),
            row(&["AS174 Cogent", "LAN-IX"], 45_000, 0, (0.412, 0.703)),
            Row { high_in: 90_000.0, ..row(&["AS64500", "LAN-IX"], 0, 0, (0.0, 0.0)) },
        ];
        let total =
            Row { bytes_late_rate: 7_000_000, ..row(&[], 900_000_045_000, 100_000_000_000, (0.01, 0.01)) };
        let (question, answer) = answer(rows, total);
        let answer = Answer {
            asked_from: 0,
            from: 1200,
            seconds: 2400,
            incomplete_seconds: 61,
            unknown_rate: vec![
                not_in("edge2", "ingress", 0, 40),
                not_in("edge6", "ingress", 0, 4000),
                not_in("edge7", "ingress", 0, 30),
                not_in("edge8", "ingress", 0, 20),
                not_in("edge9", "ingress", 0, 10),
            ],
            other_observation: vec![
                not_in("edge1", "egress", 1_200_000_000, 0),
                not_in("192.0.2.1", "egress", 0, 500),
                not_in("edge3", "unknown", 10, 0),
            ],
            ..answer
        };
        insta::assert_snapshot!(text(&question, &answer));
    }

    #[test]
    fn what_else_is_asked_has_columns() {
        let peaks =
            |max_in, rough| Peaks { max_in, p95_in: max_in / 2, rough_p95_in: rough, ..Peaks::default() };
        let with = |row: Row, max_in, rough| Row {
            peaks: Some(peaks(max_in, rough)),
            previous: Some(Previous { bytes_in: row.bytes_in / 2, ..Previous::default() }),
            ..row
        };
        let first = with(row(&["AS174 Cogent", "LAN-IX"], 45_000_000, 0, (0.1, 0.1)), 9_000_000, true);
        let total = with(row(&[], 90_000_000, 0, (0.1, 0.1)), 12_000_000, false);
        let other = Row { peaks: None, ..with(row(&[], 45_000_000, 0, (0.2, 0.2)), 0, false) };
        let (question, answer) = answer(vec![first], total);
        let answer = Answer {
            other: Some(other),
            peaks: Some(PeakSlots { interval: 300, slots: 12, tables: vec!["links_5m"] }),
            previous: Some(Before { from: 0, to: 3600, tables: vec!["links_1h"] }),
            ..answer
        };
        insta::assert_snapshot!(text(&question, &answer));
    }

    #[test]
    fn a_name_is_on_one_line_of_the_table_and_steers_no_terminal() {
        let hostile: serde_json::Value =
            serde_json::from_str(include_str!("../../../api/tests/hostile.json")).unwrap();
        let lists = hostile.as_object().unwrap().values().filter_map(serde_json::Value::as_array);
        let names: Vec<_> = lists.flatten().map(|name| name.as_str().unwrap()).collect();
        let rows = names.iter().map(|name| row(&[name, name], 1000, 0, (0.0, 0.0))).collect();
        let (question, answer) = answer(rows, row(&[], 1000, 0, (0.0, 0.0)));
        let unknown_rate = names.iter().map(|name| not_in(name, "ingress", 0, 1)).collect();
        let text = text(&question, &Answer { unknown_rate, ..answer });
        assert!(text.chars().all(|one| one == '\n' || printable(&one.to_string()) == one.to_string()));
        let (_, below) = text.split_once('─').unwrap();
        assert_eq!(below.lines().filter(|line| line.contains("bit/s")).count(), names.len() + 1);
    }

    #[test]
    fn an_empty_answer_says_why_it_may_be_empty() {
        let (question, answer) = answer(Vec::new(), Row::default());
        insta::assert_snapshot!(text(&question, &answer));
    }

    #[test]
    fn sums_of_both_directions_are_not_cut_off_at_64_bits() {
        let most = Row { bytes_in: u64::MAX, bytes_out: u64::MAX, ..Row::default() };
        assert_eq!(bytes(&most), 2.0 * u64::MAX as f64);
        let (question, answer) =
            answer(vec![Row { keys: vec!["a".into(), "l".into()], ..most.clone() }], most);
        assert!(text(&question, &answer).contains("100.0 %"));
    }
}
