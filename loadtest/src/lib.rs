//! Load and proof: traffic of a network that could be, a ledger of what was sent, and a verifier that holds what is stored against it.
//!
//! The encoders and the rule that spreads flows over minutes are written here a second time, on purpose: a number that two
//! implementations agree on is believed, a number that one computed twice is not.

mod configuration;
pub mod demo;
pub mod encode;
pub mod freshness;
mod garbage;
pub mod generate;
pub mod history;
pub mod ledger;
pub mod network;
pub mod pace;
pub mod questions;
pub mod raw;
pub mod report;
pub mod run;
pub mod scenario;
pub mod size;
mod tag;
pub mod traffic;
pub mod verify;
pub mod world;
