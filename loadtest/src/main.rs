//! `weir-loadtest`: generates, verifies, and starts the stack on one machine.
fn main() {}
