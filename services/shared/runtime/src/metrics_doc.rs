//! `docs/metrics.md`, made from what the crates declare.

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

/// Kind, unit and help of a metric, by name.
type Declared = BTreeMap<String, (&'static str, Option<Unit>, String)>;

/// Takes declarations and nothing else.
#[derive(Default)]
struct Catalogue(Mutex<Declared>);

impl Catalogue {
    fn note(&self, key: KeyName, kind: &'static str, unit: Option<Unit>, help: SharedString) {
        let mut declared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        declared.insert(key.as_str().to_owned(), (kind, unit, help.into_owned()));
    }
}

impl Recorder for Catalogue {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, help: SharedString) {
        self.note(key, "counter", unit, help);
    }
    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, help: SharedString) {
        self.note(key, "gauge", unit, help);
    }
    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, help: SharedString) {
        self.note(key, "histogram", unit, help);
    }
    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }
    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }
    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// The text of `docs/metrics.md` for what these functions describe, a section each.
pub fn markdown(sections: &[(&str, fn())]) -> String {
    let mut out = String::from(
        "# Metrics\n\nMade from the declarations in each crate's `metrics.rs`; a test holds it to the code. Every service shows its \
         own at `/metrics` of its `runtime.admin` address.\n",
    );
    for (title, describe) in sections {
        let catalogue = Catalogue::default();
        metrics::with_local_recorder(&catalogue, describe);
        let _ = write!(out, "\n## {title}\n\n| metric | kind | unit | what it says |\n|---|---|---|---|\n");
        for (name, (kind, unit, help)) in catalogue.0.into_inner().unwrap_or_else(PoisonError::into_inner) {
            let unit = unit.map(|unit| unit.as_str()).unwrap_or_default();
            let _ = writeln!(out, "| `{name}` | {kind} | {unit} | {} |", help.replace('|', "\\|"));
        }
    }
    out
}
