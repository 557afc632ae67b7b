//! What fuzzing feeds to weir-wire and weir-capture, and what must hold then (docs/fuzzing.md).
//!
//! The bodies are in a module that `services/shared/capture/tests/corpus.rs` includes too: there they run on the corpus that is kept, as a
//! usual test. A target in `fuzz_targets` is nothing but the call of its body.

#[path = "bodies.rs"]
pub mod bodies;
