//! x
pub mod enrich;
