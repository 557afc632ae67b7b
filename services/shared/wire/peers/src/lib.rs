//! weir-wire beside other decoders of flow records that are written in Rust, with the same datagrams.
//!
//! Before anything is measured each decoder must give the number of records and the sum of octets that were put into the datagram;
//! what it can't decode it is not measured with. `scripts/bench-wire.sh` runs all of it and writes the table of docs/benchmarks.md.

pub mod cases;
pub mod decoders;

#[path = "../../tests/build/mod.rs"]
mod build;
