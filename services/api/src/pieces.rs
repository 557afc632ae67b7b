//! Pieces of SQL that several questions have in common.

/// A wide sum as 64 bits: it stops at their ends.
pub(crate) fn narrow(sum: &str) -> String {
    format!("toUInt64(least(greatest({sum}, toInt128(0)), toInt128(18446744073709551615)))")
}

/// An exporter's address, as people write it.
pub(crate) fn address(exporter: &str) -> String {
    format!("replaceRegexpOne(IPv6NumToString({exporter}), '^::ffff:', '')")
}
