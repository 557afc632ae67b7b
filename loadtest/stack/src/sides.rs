//! Sides of flows in all tables that have them: for tests that store what a sink would have made, and ask about it.

use weir_schemas::rollup::{InterfaceSumRow, LinkRow, ROLLUPS, Shape, Table};
use weir_schemas::value::Slot;

/// Rows of sides, each in the slots of every table that it belongs to.
pub fn rolled_up(sides: &[LinkRow<'_>]) -> Vec<(&'static Table, Vec<u8>)> {
    let of = |table: &Table| {
        let mut rows = Vec::new();
        for side in sides {
            let side = LinkRow { time: Slot(side.time.0 / table.slot * table.slot), ..*side };
            match table.shape {
                Shape::Interfaces => whatever_its_as(&side).put_row(&mut rows),
                _ => side.put_row(&mut rows),
            }
        }
        rows
    };
    let tables = ROLLUPS.iter().filter(|table| matches!(table.shape, Shape::Links | Shape::Interfaces));
    tables.map(|table| (table, of(table))).collect()
}

fn whatever_its_as(side: &LinkRow<'_>) -> InterfaceSumRow<'static> {
    InterfaceSumRow {
        time: side.time,
        exporter: side.exporter,
        if_index: side.if_index,
        direction: side.direction,
        observation: side.observation,
        family: side.family,
        sampling_interval: side.sampling_interval,
        sampling_kind: side.sampling_kind,
        bytes: side.bytes,
        bytes_l2: side.bytes_l2,
        bytes_l2_estimated: side.bytes_l2_estimated,
        packets: side.packets,
        flows: side.flows,
        q: side.q,
        q_l2: side.q_l2,
        q_packets: side.q_packets,
        ..InterfaceSumRow::default()
    }
}
