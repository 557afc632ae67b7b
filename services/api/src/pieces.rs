//! Pieces of SQL that several questions have in common.

/// A wide sum as 64 bits: it stops at their ends.
pub(crate) fn narrow(sum: &str) -> String {
    format!("toUInt64(least(greatest({sum}, toInt128(0)), toInt128(18446744073709551615)))")
}

/// An address of this column, as people write it.
macro_rules! address {
    ($column:literal) => {
        concat!("replaceRegexpOne(IPv6NumToString(", $column, "), '^::ffff:', '')")
    };
}
pub(crate) use address;
