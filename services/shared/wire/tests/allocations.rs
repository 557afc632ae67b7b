//! No allocation per record, shown by a counting allocator.
//!
//! An allocator can only be written with `unsafe`: the trait's functions are. These two pass everything on to the system's and
//! count, so they keep whatever it guarantees.
#![allow(unsafe_code, missing_docs)]

mod build;

use build::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use weir_schemas::frame::Datagram;
use weir_schemas::{Flow, Ip};
use weir_wire::{Budget, Context, Exporter, Fault, Interface, Options, Output, Rate};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`, which is that of the system's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct Nothing;

impl Output for Nothing {
    fn flow(&mut self, _: &Flow<'_>) {}
    fn fault(&mut self, _: Fault<'_>) {}
    fn state(&mut self, _: &[u8], _: Option<&[u8]>) {}
    fn interface(&mut self, _: Interface<'_>) {}
    fn rate(&mut self, _: Rate) {}
}

#[test]
fn once_its_templates_are_known_a_datagram_of_any_protocol_allocates_nothing() {
    let context = Context { exporter: Ip::v4([192, 0, 2, 1]), raw_offset: 0, frame_index: 0 };
    for (name, templates, data) in bench_datagrams() {
        let (mut exporter, mut budget) = (Exporter::default(), Budget::default());
        let options = Options::default();
        let mut send = |payload: &[u8]| {
            let datagram = Datagram { received: RECEIVED, listener: 1, source_port: 1, payload };
            exporter.decode(&context, &datagram, &options, &mut budget, &mut Nothing).flows
        };
        send(&templates);
        send(&data);
        let before = ALLOCATIONS.with(Cell::get);
        assert!(before > 0, "the allocator counts");
        let flows: u64 = (0..10).map(|_| send(&data)).sum();
        assert!(flows >= 60, "{name}");
        assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0, "{name}: {flows} flows");
    }
}
