//! The binary `humbaba`.

fn main() {}
