//! What a writer of the embedded bus holds while nothing is accepted is what its bound says, shown by a counting allocator.
//!
//! An allocator can only be written with `unsafe`: the trait's functions are. These two pass everything on to the system's and
//! count, so they keep whatever it guarantees.
#![allow(unsafe_code, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;
use weir_bus::{Bus, Cleanup, Config, EmbeddedBus, EmbeddedConfig, Message, TopicSpec, Writer};

static HELD: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is that of the system's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above; the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn a_writer_holds_no_more_than_its_buffer_while_nothing_is_accepted_compressed_or_not() {
    const BUFFER: usize = 16 << 20;
    // As much of it free as no disk has.
    let folder = TempDir::new().unwrap();
    let embedded =
        EmbeddedConfig { path: folder.path().into(), reserve_bytes: u64::MAX, ..EmbeddedConfig::default() };
    let bus = EmbeddedBus::open(Config { embedded, ..Config::default() }).unwrap();
    bus.create(&TopicSpec::new("raw", 1, 1, Cleanup::Delete { retention_ms: 86_400_000 })).unwrap();
    // Compressing takes a tenth off it, and not more: no two values are alike.
    let mut random = 88_172_645_463_325_252_u64;
    let mut value = vec![0; 10_000];
    let before = HELD.load(Ordering::Relaxed);
    let mut writer = bus.writer(BUFFER).unwrap();
    loop {
        for bytes in value[..9_000].chunks_exact_mut(8) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            bytes.copy_from_slice(&random.to_le_bytes());
        }
        let message = Message { topic: "raw", partition: 0, key: b"key", value: Some(&value), headers: &[] };
        if writer.try_send(&message, 1).unwrap().is_err() {
            break;
        }
    }
    // The thread has compressed what it has at hand.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let held = HELD.load(Ordering::Relaxed) - before;
    assert!(held > BUFFER * 9 / 10, "{held}");
    assert!(held < BUFFER * 23 / 20, "{held} bytes for a buffer of {BUFFER}");
}
