//! Numbers and interfaces as sentences about exporters say them.

use super::Observed;

/// Interfaces that a sentence names.
const NAMED: usize = 4;

/// A part of all, above 0.
pub(super) fn percent(part: f64) -> String {
    if part < 0.0005 { "less than 0.1 %".to_owned() } else { format!("{:.1} %", part * 100.0) }
}

/// Interfaces by name, the first few of them; none where there are none.
pub(super) fn named<'a>(all: impl Iterator<Item = &'a Observed>) -> Option<String> {
    let all: Vec<_> = all.collect();
    let name = |one: &&Observed| match one.name.as_str() {
        "" => format!("ifIndex {}", one.if_index),
        name => name.to_owned(),
    };
    let names: Vec<_> = all.iter().take(NAMED).map(name).collect();
    let more = all.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!all.is_empty()).then(|| names.join(", ") + &more)
}

/// Bytes with an SI prefix, as people say them.
pub fn amount(bytes: f64) -> String {
    if bytes < 1000.0 {
        return format!("{bytes:.0} B");
    }
    let mut value = bytes / 1000.0;
    for unit in ["kB", "MB", "GB", "TB"] {
        if value < 1000.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1} PB")
}

/// Seconds, as people say them.
pub(super) fn span(seconds: u64) -> String {
    for (unit, length) in [("days", 86_400), ("hours", 3600), ("minutes", 60)] {
        if seconds >= 2 * length {
            return format!("{} {unit}", seconds / length);
        }
    }
    format!("{seconds} seconds")
}
