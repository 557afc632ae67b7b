//! Captured datagrams through the decoder: a line for each flow record, JSON or CSV, and a summary.

use crate::Capture;
use crate::decoders::{Decoders, How};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use weir_schemas::{Flow, Ip, RateSource};
use weir_wire::{Counts, Fault, Interface, Output, Rate, Reason};

/// Errors and faults of which the summary keeps the sentence.
const SENTENCES: usize = 20;

/// What a capture had in it.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// What the decoder counted.
    pub counts: Counts,
    /// Datagrams by source address.
    pub sources: BTreeMap<Ip, u64>,
    /// Packets that were no UDP datagrams.
    pub other_packets: u64,
    /// Faults by reason.
    pub faults: BTreeMap<Reason, u64>,
    /// Data sets that found no template in the whole capture.
    pub sets_without_template: u64,
    /// Errors of the capture itself.
    pub capture_errors: u64,
    /// The first errors and faults, in words.
    pub sentences: Vec<String>,
    /// Layer 3 bytes of all flow records, unscaled.
    pub bytes: u128,
    /// Layer 2 bytes of all flow records, unscaled.
    pub bytes_l2: u128,
    /// Packets of all flow records, unscaled.
    pub packets: u128,
    /// Flow records by where their sampling interval came from.
    pub rate_sources: BTreeMap<RateSource, u64>,
    /// Interfaces of which a name or description was learned.
    pub interfaces: u64,
    /// Sampling intervals that were learned from options data.
    pub rates: u64,
}

impl Summary {
    fn say(&mut self, sentence: String) {
        if self.sentences.len() < SENTENCES {
            self.sentences.push(sentence);
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { datagrams, flows, option_records, templates, options_templates, .. } = self.counts;
        writeln!(
            f,
            "{datagrams} datagrams of {} sources, {} other packets",
            self.sources.len(),
            self.other_packets
        )?;
        writeln!(
            f,
            "{flows} flow records: {} bytes, {} bytes of layer 2, {} packets",
            self.bytes, self.bytes_l2, self.packets
        )?;
        writeln!(
            f,
            "{option_records} option records, {templates} templates, {options_templates} options templates"
        )?;
        if self.rates + self.interfaces > 0 {
            writeln!(
                f,
                "{} sampling intervals and {} interfaces from options data",
                self.rates, self.interfaces
            )?;
        }
        let nonzero = self.counts.all().filter(|(name, _, n)| {
            *n > 0
                && !["datagrams", "flows", "option_records", "templates", "options_templates", "faults"]
                    .contains(name)
        });
        for (name, doc, n) in nonzero {
            writeln!(f, "  {name} {n}: {doc}")?;
        }
        for (source, n) in &self.rate_sources {
            writeln!(f, "  sampling interval from {}: {n} flow records", source.word())?;
        }
        for (reason, n) in &self.faults {
            writeln!(f, "  fault {} {n}: {}", reason.word(), reason.doc())?;
        }
        if self.capture_errors > 0 {
            writeln!(f, "  {} errors of the capture itself", self.capture_errors)?;
        }
        for sentence in &self.sentences {
            writeln!(f, "    {sentence}")?;
        }
        Ok(())
    }
}

/// How flow records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line, of the columns that are not empty.
    Json,
    /// A header line, then all columns of each record (RFC 4180, but lines end as on Unix). A list is one cell, its numbers apart by spaces.
    Csv,
}

/// Writes lines and sums up.
struct Lines<'w, W> {
    lines: &'w mut W,
    format: Format,
    summary: Summary,
    exporter: Ip,
    defaults: serde_json::Map<String, Json>,
    error: Option<io::Error>,
}

/// Columns that stand in every line, also where they are 0.
const ALWAYS: &[&str] = &["packets", "record_index"];

fn columns(flow: &Flow<'_>) -> serde_json::Map<String, Json> {
    // serde_json's values end at 64 bits; Q, which does not, is written apart.
    let flow = Flow { q: None, q_l2: None, ..*flow };
    match serde_json::to_value(flow) {
        Ok(Json::Object(columns)) => columns,
        _ => serde_json::Map::new(),
    }
}

/// A cell of CSV. Text that a spreadsheet would split is quoted.
fn cell(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(" "),
        Json::String(text) if text.contains([',', '"', '\r', '\n']) => {
            format!("\"{}\"", text.replace('"', "\"\""))
        }
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl<W: io::Write> Lines<'_, W> {
    fn header(&mut self) -> io::Result<()> {
        let names: Vec<_> = Flow::COLUMNS.iter().map(|column| column.name).collect();
        writeln!(self.lines, "exporter,{}", names.join(","))
    }

    fn row(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        let columns = columns(flow);
        write!(self.lines, "{}", self.exporter)?;
        for column in Flow::COLUMNS {
            match (column.name, flow.q, flow.q_l2) {
                ("q", Some(q), _) | ("q_l2", _, Some(q)) => write!(self.lines, ",{q}")?,
                (name, ..) => write!(self.lines, ",{}", columns.get(name).map(cell).unwrap_or_default())?,
            }
        }
        writeln!(self.lines)
    }

    fn line(&mut self, flow: &Flow<'_>) -> io::Result<()> {
        if self.format == Format::Csv {
            return self.row(flow);
        }
        let columns = columns(flow);
        write!(self.lines, "{{\"exporter\":\"{}\"", self.exporter)?;
        for column in Flow::COLUMNS {
            let q = match column.name {
                "q" => flow.q,
                "q_l2" => flow.q_l2,
                _ => None,
            };
            if let Some(q) = q {
                write!(self.lines, ",\"{}\":{q}", column.name)?;
                continue;
            }
            let Some(value) = columns.get(column.name) else { continue };
            if self.defaults.get(column.name) != Some(value) || ALWAYS.contains(&column.name) {
                write!(self.lines, ",\"{}\":{value}", column.name)?;
            }
        }
        writeln!(self.lines, "}}")
    }
}

impl<W: io::Write> Output for Lines<'_, W> {
    fn flow(&mut self, flow: &Flow<'_>) {
        self.summary.bytes += u128::from(flow.bytes.unwrap_or_default());
        self.summary.bytes_l2 += u128::from(flow.bytes_l2.unwrap_or_default());
        self.summary.packets += u128::from(flow.packets);
        *self.summary.rate_sources.entry(flow.rate_source).or_default() += 1;
        if self.error.is_none() {
            self.error = self.line(flow).err();
        }
    }

    fn fault(&mut self, fault: Fault<'_>) {
        *self.summary.faults.entry(fault.reason).or_default() += 1;
        let place = format!("datagram {} of {}", fault.context.raw_offset, fault.context.exporter);
        self.summary.say(format!("{place}: {}: {}", fault.reason.word(), fault.sentence));
    }

    fn state(&mut self, _: &[u8], _: Option<&[u8]>) {}

    fn interface(&mut self, _: Interface<'_>) {
        self.summary.interfaces += 1;
    }

    fn rate(&mut self, _: Rate) {
        self.summary.rates += 1;
    }
}

/// Decodes a capture to JSON lines: of each flow record all columns that are not empty, under the columns' names.
pub fn decode(capture: Capture<'_>, how: &How, lines: &mut impl io::Write) -> io::Result<Summary> {
    decode_as(Format::Json, capture, how, lines)
}

/// Decodes a capture. No data waits in vain for a template: all bytes of the capture may wait until its end, and what is left then is
/// a fault.
pub fn decode_as(
    format: Format,
    mut capture: Capture<'_>,
    how: &How,
    lines: &mut impl io::Write,
) -> io::Result<Summary> {
    let mut out = Lines {
        lines,
        format,
        summary: Summary::default(),
        exporter: Ip::default(),
        defaults: columns(&Flow::default()),
        error: None,
    };
    let mut decoders = Decoders::new(how, capture.is_stream());
    if format == Format::Csv {
        out.header()?;
    }
    for next in capture.by_ref() {
        let captured = match next {
            Ok(captured) => captured,
            Err(error) => {
                out.summary.capture_errors += 1;
                out.summary.say(error.to_string());
                continue;
            }
        };
        *out.summary.sources.entry(captured.source).or_default() += 1;
        out.exporter = captured.source;
        let counts = decoders.decode(&captured, &mut out);
        out.summary.counts += counts;
        if let Some(error) = out.error.take() {
            return Err(error);
        }
    }
    for source in decoders.sources() {
        out.exporter = source;
        let (counts, _) = decoders.finish(source, &mut out);
        out.summary.sets_without_template += counts.expired;
        out.summary.counts += counts;
    }
    out.summary.other_packets = capture.others();
    Ok(out.summary)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_that_a_spreadsheet_would_split_is_quoted_and_a_list_is_one_cell() {
        for (value, wanted) in [
            (Json::Null, ""),
            (json!(7), "7"),
            (json!("ge-0/0/1"), "ge-0/0/1"),
            (json!("to Basel, \"old\""), "\"to Basel, \"\"old\"\"\""),
            (json!("two\nlines"), "\"two\nlines\""),
            (json!([64500, 64501]), "64500 64501"),
        ] {
            assert_eq!(cell(&value), wanted);
        }
    }
}
