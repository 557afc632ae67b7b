//! The contracts between Weir's parts: what a column is, how a flow travels, how it is stored.
//!
//! There is one table of columns ([`columns`]). The Avro schema and its codec ([`avro`]), rows for ClickHouse and
//! their reader ([`from_row`]), the blocks in which they are sent ([`native`]), the ClickHouse tables ([`ddl`]), the lists of dimensions and measures and `docs/columns.md` ([`docs`])
//! are derived from it, so that a column is added in one place. Nothing here does I/O.

pub mod avro;
pub mod checks;
pub mod columns;
pub mod ddl;
pub mod deadletter;
pub mod docs;
pub mod enums;
pub mod frame;
pub mod from_row;
pub mod inventory;
pub mod native;
pub mod quality;
mod record;
pub mod rollup;
mod room;
pub mod value;

pub use columns::{Batch, Flow};
pub use enums::*;
pub use record::{Column, Role, Unit};
pub use value::{Country, Ip, Mac, Time, U32s};
