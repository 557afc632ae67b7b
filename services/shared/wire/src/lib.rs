//! Bytes of NetFlow, IPFIX and sFlow to flow records.
//!
//! No I/O, no clock, no async: an [`Exporter`] takes datagrams and gives flows, faults and state to an [`Output`]. Wire input is
//! hostile: no panic, no unbounded memory, no quadratic time, on any bytes. Rates, bytes, time and error terms follow
//! docs/counting.md; element ids, offsets and layouts are tables.

mod alone;
mod call;
mod checks;
mod count;
mod data;
mod element;
mod exporter;
mod fixed;
mod flow_key;
mod growth;
mod identity;
mod interval;
mod layers;
mod layouts;
mod learned;
pub mod names;
mod netflow;
mod options;
mod outlived;
mod output;
mod pace;
mod packet;
mod parked;
mod plan;
mod rates;
mod record;
mod resolve;
mod restart;
mod sequence;
mod sflow;
mod state;
mod template;
mod time;
mod totals;
mod waiting;

pub use alone::alone;
pub use element::{elements, scopes};
pub use exporter::Exporter;
pub use layouts::{Layout, Part, layout, layouts, netflow_length};
pub use options::{Budget, Identity, Options, Own, TotalCounters, Tunnels};
pub use output::{Context, Counts, Fault, Interface, Output, Rate, Reason};
pub use sequence::{Session, Unit};
pub use sflow::{Source, SourceId};
pub use state::{StateError, Waits, waits};
pub use template::Known as KnownTemplate;
