//! Counter samples: what of them tells of an interface (sFlow version 5, "Counter Data Types"; sFlow Port Name Structure;
//! sFlow LAG Counters Structure).
//!
//! Their counters are for people and other tools (`weir decode --all-fields`); names and speeds serve all of the exporter's flows.

use super::xdr::Xdr;
use crate::netflow::is_padding;

/// What a counter sample says of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told<'a> {
    pub index: u32,
    pub name: &'a [u8],
    /// bit/s; 0 where not told.
    pub speed: u64,
    /// ifIndex of the aggregate that the port is attached to, 0 where to none; none where not told.
    pub lag: Option<u32>,
}

/// Reads a counter sample, and says whether it is whole. What lies before a cut counts.
pub(super) fn counters(body: &[u8], expanded: bool) -> (Told<'_>, bool) {
    let mut told = Told::default();
    let whole = read(Xdr(body), expanded, &mut told).is_some();
    (told, whole)
}

fn read<'a>(mut input: Xdr<'a>, expanded: bool, told: &mut Told<'a>) -> Option<()> {
    let _sequence = input.u32()?;
    let (class, index) = if expanded {
        (input.u32()?, input.u32()?)
    } else {
        let source = input.u32()?;
        (source >> 24, source & 0xff_ffff)
    };
    told.index = if class == 0 { index } else { 0 };
    let records = input.u32()?;
    for _ in 0..records {
        let (format, length) = (input.u32()?, input.u32()? as usize);
        let mut record = Xdr(input.opaque(length)?);
        match format {
            // Generic interface counters: ifIndex, ifType, ifSpeed.
            1 => {
                told.index = record.u32()?;
                let _kind = record.u32()?;
                let speed = u64::from(record.u32()?) << 32 | u64::from(record.u32()?);
                // All bits are what some write where it is not known.
                told.speed = if speed == u64::MAX { 0 } else { speed };
            }
            // LAG port statistics: actor, partner, aggregate.
            7 => {
                let (_actor, _partner) = (record.mac()?, record.mac()?);
                told.lag = Some(record.u32()?);
            }
            // Port name.
            1005 => {
                let length = record.u32()? as usize;
                told.name = record.opaque(length)?;
            }
            _ => {}
        }
    }
    is_padding(input.0).then_some(())
}
