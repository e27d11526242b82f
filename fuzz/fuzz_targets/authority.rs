//! The bytes that a client sends over a Unix socket: rewritten, and read by h2.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../authority.rs"]
mod authority;

fuzz_target!(|bytes: &[u8]| authority::check(bytes));
