//! The inputs that fuzzing found worth keeping (docs/fuzzing.md), and changes of them, through the bodies of the fuzz targets.
#![allow(missing_docs, reason = "tests read as sentences")]

use std::fs;
use std::path::Path;

#[path = "../../wire/fuzz/src/bodies.rs"]
mod bodies;

/// Changes of all inputs of a target together: with all targets some ten seconds of work.
const CHANGES: usize = 80_000;

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wire/fuzz/corpus").join(target);
    let mut all: Vec<_> = fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        .map(|entry| {
            let path = entry.expect("an entry").path();
            (path.display().to_string(), fs::read(&path).expect("a file"))
        })
        .collect();
    all.sort();
    assert!(!all.is_empty(), "{target} has no inputs");
    all
}

/// Numbers that look like chance and are the same each time (Knuth's linear congruential generator).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end.max(1)
    }
}

/// One to four edits: a byte, a bit, bytes taken out, doubled, from another input, an end cut off.
fn changed(input: &[u8], other: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 + numbers.below(4) {
        let at = numbers.below(bytes.len());
        let end = (at + 1 + numbers.below(16)).min(bytes.len());
        match numbers.below(6) {
            _ if bytes.is_empty() => break,
            0 => bytes[at] = numbers.below(256) as u8,
            1 => bytes[at] ^= 1 << numbers.below(8),
            2 => drop(bytes.drain(at..end)),
            3 => bytes.extend_from_within(at..end),
            4 => {
                let from = numbers.below(other.len());
                let part = &other[from..(from + 16).min(other.len())];
                bytes.splice(at..end, part.iter().copied());
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

/// Runs a body; says which input it was where something does not hold.
fn run(body: bodies::Body, name: &str, input: &[u8]) {
    let done = std::panic::catch_unwind(|| body(input));
    assert!(done.is_ok(), "{name} does not hold: {input:02x?}");
}

#[test]
fn datagrams_are_taken_out_of_an_input_as_they_were_put_into_it() {
    for (name, input) in corpus("ipfix") {
        let sent = bodies::unwrap(input.get(1..).unwrap_or_default());
        assert_eq!(bodies::unwrap(&bodies::wrap(0, &sent)[1..]), sent, "{name}");
    }
}

#[test]
fn what_fuzzing_found_holds() {
    for (target, body) in bodies::TARGETS {
        for (name, input) in corpus(target) {
            run(*body, &name, &input);
        }
    }
}

#[test]
fn changes_of_what_fuzzing_found_hold() {
    for (target, body) in bodies::TARGETS {
        let (all, mut numbers) = (corpus(target), Numbers(1));
        for n in 0..CHANGES {
            let (name, input) = &all[n % all.len()];
            let (_, other) = &all[numbers.below(all.len())];
            run(*body, name, &changed(input, other, &mut numbers));
        }
    }
}
