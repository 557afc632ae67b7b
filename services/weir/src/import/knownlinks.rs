//! AS-Stats' file `knownlinks`: a line an interface, columns parted by tabs.
//!
//! What must stay true: a line is read whole or told with its number and how to mend it; none is passed over in silence.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// Columns that a line must have: router, ifIndex, tag, description. Colour and sampling rate follow.
const COLUMNS: usize = 4;

/// An interface of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Number of the line, from 1.
    pub number: usize,
    /// Address that the router sends flows from.
    pub exporter: IpAddr,
    /// ifIndex.
    pub if_index: u32,
    /// What AS-Stats calls its link in files.
    pub tag: String,
    /// What it calls it on pages.
    pub description: String,
    /// One of how many packets is sampled, where the line says so.
    pub rate: Option<u64>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Number of the line, from 1.
    pub line: usize,
    /// In words.
    pub words: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.words)
    }
}

/// Reads all lines. `routers` gives the addresses of those that send flows from another one than the file has.
pub fn read(text: &str, routers: &BTreeMap<String, IpAddr>) -> Result<Vec<Line>, Vec<Fault>> {
    let (mut lines, mut faults): (Vec<Line>, Vec<Fault>) = (Vec::new(), Vec::new());
    for (number, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() || text.trim_start().starts_with('#') {
            continue;
        }
        let read = line(number, text, routers).and_then(|line| match twin(&lines, &line) {
            Some(earlier) => Err(format!(
                "{} ifIndex {} is in line {} already; keep one of the two",
                line.exporter, line.if_index, earlier.number
            )),
            None => Ok(line),
        });
        match read {
            Ok(line) => lines.push(line),
            Err(words) => faults.push(Fault { line: number, words }),
        }
    }
    if faults.is_empty() { Ok(lines) } else { Err(faults) }
}

fn twin<'l>(lines: &'l [Line], line: &Line) -> Option<&'l Line> {
    lines.iter().find(|one| (one.exporter, one.if_index) == (line.exporter, line.if_index))
}

fn line(number: usize, text: &str, routers: &BTreeMap<String, IpAddr>) -> Result<Line, String> {
    // As AS-Stats reads it: several tabs are one.
    let columns: Vec<&str> = text.split('\t').map(str::trim).filter(|column| !column.is_empty()).collect();
    let [router, index, tag, description, rest @ ..] = &columns[..] else {
        return Err(format!(
            "has {} of {COLUMNS} columns: router, ifIndex, tag and description, parted by tabs and not by spaces",
            columns.len()
        ));
    };
    let exporter = match routers.get(*router) {
        Some(address) => *address,
        None => router.parse().map_err(|_| {
            format!("'{router}' is no IP address; say which it is with --exporter-map {router}=ADDRESS")
        })?,
    };
    let if_index = match index.parse() {
        Ok(index) if index != 0 => index,
        _ if index.split('/').all(|part| part.parse::<u32>().is_ok()) && index.contains('/') => {
            return Err(format!(
                "'{index}' names a VLAN, which Weir has no links of; give the ifIndex of its sub-interface"
            ));
        }
        _ => return Err(format!("'{index}' is no ifIndex, a number from 1 on")),
    };
    if !tag.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter)) {
        return Err(format!(
            "the tag '{tag}' has other characters than letters, digits, - and _; write it without"
        ));
    }
    let rate = match rest.get(1) {
        None => None,
        Some(rate) => Some(rate.parse().ok().filter(|rate| *rate != 0).ok_or_else(|| {
            format!("the sampling rate '{rate}' is no number from 1 on; leave it out where it is not known")
        })?),
    };
    let (tag, description) = ((*tag).to_owned(), (*description).to_owned());
    Ok(Line { number, exporter, if_index, tag, description, rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        let routers = BTreeMap::from([("edge1".to_owned(), "192.0.2.1".parse().unwrap())]);
        match read(text, &routers) {
            Ok(lines) => lines
                .iter()
                .map(|one| {
                    format!(
                        "{} {} {} '{}' {:?}",
                        one.exporter, one.if_index, one.tag, one.description, one.rate
                    )
                })
                .collect(),
            Err(faults) => faults.iter().map(Fault::to_string).collect(),
        }
    }

    #[test]
    fn lines_are_read_as_as_stats_reads_them() {
        let text = "# Router IP\tSNMP ifindex\ttag\tdescription\tcolor\tsampling rate\n\
                    192.0.2.1\t15\tmylink1\tMy Link 1\t5EA631\r\n\n  # more\n\
                    edge1\t\t23\tmylink2\tMy  Link 2\tE45605\t1000\n2001:db8::1\t4\tix_1\tIX\n";
        assert_eq!(
            shown(text),
            [
                "192.0.2.1 15 mylink1 'My Link 1' None",
                "192.0.2.1 23 mylink2 'My  Link 2' Some(1000)",
                "2001:db8::1 4 ix_1 'IX' None",
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_how_to_mend_it() {
        let text = "192.0.2.1\t15\tgood\tGood\n192.0.2.1 15 a spaces\nedge2\t1\ta\tA\n192.0.2.1\t0\ta\tA\n\
                    192.0.2.1\tge-0/0/1\ta\tA\n192.0.2.1\t5/100\ta\tA\n192.0.2.1\t6\ta b\tA\n\
                    192.0.2.1\t7\ta\tA\tFF0000\t1:1000\n192.0.2.1\t15\tother\tOther\n";
        insta::assert_snapshot!(shown(text).join("\n"));
    }
}
