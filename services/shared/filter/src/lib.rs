//! The filter language: which rows of a question count.
//!
//! ```text
//! connectivity = transit AND as IN (AS15169, 2906) AND NOT (exporter = "edge 1" OR src_addr IN 10.0.0.0/8)
//! ```
//!
//! A filter is read into a typed tree ([`Expr`]) against a table of fields that whoever asks hands over; what becomes of the tree is theirs. It
//! holds values and never text of the filter, so whoever makes SQL of it binds them. What must stay true: no filter, however hostile, costs more
//! than its length ([`MAX_BYTES`], [`MAX_DEPTH`], [`MAX_VALUES`]); every fault names its place and, where one can be guessed, the mend; and a
//! tree, written out ([`Expr`]'s `Display`), is read as the same tree.

mod expr;
mod fault;
mod field;
mod lex;
mod parse;

pub use expr::{Compare, Expr, Test, Value};
pub use fault::Fault;
pub use field::{Field, Kind, meant, nearest};
pub use parse::parse;

/// Bytes that a filter has at most.
pub const MAX_BYTES: usize = 16 << 10;
/// How deep parentheses and NOT lie in each other at most.
pub const MAX_DEPTH: usize = 64;
/// Values that one list has at most.
pub const MAX_VALUES: usize = 1000;
