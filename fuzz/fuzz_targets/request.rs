//! The bytes of a call: read, checked against a schema, decided and explained.

#![no_main]

use std::sync::LazyLock;

use humbaba::{model::Timestamp, grpc::replay::Replay};
use libfuzzer_sys::fuzz_target;

#[path = "../garden.rs"]
mod garden;

static REPLAY: LazyLock<Replay> = LazyLock::new(|| Replay::new(garden::store(&[]).unwrap()));

fuzz_target!(|bytes: &[u8]| {
    let _ = REPLAY.answer(bytes, Timestamp::from_millis(1_767_225_600_000));
});
