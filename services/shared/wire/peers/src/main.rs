//! What time does not show: allocations and memory of each decoder by a counting allocator, and one case alone, for callgrind to count
//! its instructions.
//!
//! An allocator can only be written with `unsafe`: the trait's functions are. These pass everything on to the system's and count,
//! so they keep whatever it guarantees.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::process::ExitCode;
use weir_peers::cases::{Case, TEMPLATES, cases, templates_22};
use weir_peers::decoders::{DECODERS, Decoder, ready};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

fn count(allocations: u64, bytes: i64) {
    ALLOCATIONS.with(|n| n.set(n.get() + allocations));
    LIVE.with(|n| n.set(n.get() + bytes));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: the caller keeps the contract of `alloc`, which is that of the system's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Datagrams of which allocations are counted.
const DATAGRAMS: u64 = 100;
/// Exporters whose memory is counted.
const EXPORTERS: u64 = 10_000;

fn run(decoder: &mut dyn Decoder, case: &Case, datagrams: u64) {
    (0..datagrams).zip(case.datagrams.iter().cycle()).for_each(|(_, datagram)| decoder.decode(datagram));
}

/// Case, decoder, units a datagram, and allocations of [`DATAGRAMS`], a line each.
fn allocations() {
    for case in cases() {
        for (name, make) in DECODERS {
            let Some(mut decoder) = ready(*make, name, &case) else { continue };
            run(&mut *decoder, &case, 2);
            let before = ALLOCATIONS.get();
            run(&mut *decoder, &case, DATAGRAMS);
            let each = (ALLOCATIONS.get() - before) as f64 / (DATAGRAMS * case.units) as f64;
            println!("{}\t{name}\t{}\t{}\t{each:.2}", case.name, case.unit, case.units);
        }
    }
}

/// Decoder and bytes an exporter, a line each.
fn memory() {
    let templates = templates_22(false);
    for (name, make) in DECODERS {
        if make().sum(&templates).is_none() {
            continue;
        }
        let before = LIVE.get();
        let all: Vec<_> = (0..EXPORTERS)
            .map(|_| {
                let mut decoder = make();
                decoder.decode(&templates);
                decoder
            })
            .collect();
        let bytes = (LIVE.get() - before) / EXPORTERS as i64;
        println!("{name}\t{}\t{TEMPLATES}\t{bytes}", all.len());
    }
}

/// Decodes datagrams of one case with one decoder, and does nothing else that would take longer the more there are.
fn one(case: &str, name: &str, datagrams: u64) -> Option<()> {
    let case = cases().into_iter().find(|known| known.name == case)?;
    let (_, make) = DECODERS.iter().find(|(known, _)| *known == name)?;
    run(&mut *ready(*make, name, &case)?, &case, datagrams);
    Some(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["allocations"] => {
            allocations();
            Some(())
        }
        ["memory"] => {
            memory();
            Some(())
        }
        ["run", case, decoder, datagrams] => datagrams.parse().ok().and_then(|n| one(case, decoder, n)),
        _ => None,
    };
    if done.is_none() {
        eprintln!("weir-peers: one of: allocations; memory; run CASE DECODER DATAGRAMS");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
