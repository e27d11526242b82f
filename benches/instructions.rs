//! Instructions of a decision, counted by valgrind, which noise does not touch.
//!
//! `cargo bench --bench instructions` needs valgrind and `cargo install gungraun-runner`. A count
//! beyond its budget fails. Lower a budget when a change has made room, and raise it only with a
//! reason in the commit.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod support;

use std::hint::black_box;

use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, prelude::*};
use humbaba::{
    engine::Decision,
    proto::IsAuthorizedRequest,
    request::{Request, RequestInput},
    store::PolicyStore,
};
use prost::Message as _;

/// Sets the most instructions of a benchmark.
fn budget(instructions: u64) -> LibraryBenchmarkConfig {
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(Callgrind::default().hard_limits([(EventKind::Ir, instructions)]));
    config
}

/// A store that has decided once already, and the question.
fn asked(policies: usize) -> (PolicyStore, RequestInput) {
    let (store, input) = (support::hitkeep(policies), support::input());
    assert!(support::decide(&store, &support::check(&store, &input)).is_allow());
    (store, input)
}

fn checked(policies: usize) -> (PolicyStore, Request) {
    let (store, input) = asked(policies);
    let request = support::check(&store, &input);
    (store, request)
}

fn encoded(_: usize) -> Vec<u8> {
    support::question().encode_to_vec()
}

#[library_benchmark(setup = checked)]
#[bench::shipped(args = [0], config = budget(DECIDE))]
#[bench::with_10_000_policies_more(args = [10_000], config = budget(DECIDE))]
fn decide((store, request): (PolicyStore, Request)) -> (Decision, PolicyStore, Request) {
    let decision = support::decide(&store, black_box(&request));
    (decision, store, request)
}

#[library_benchmark(setup = asked)]
#[bench::shipped(args = [0], config = budget(CHECK))]
fn check((store, input): (PolicyStore, RequestInput)) -> (Request, PolicyStore, RequestInput) {
    let request = support::check(&store, black_box(&input));
    (request, store, input)
}

#[library_benchmark(setup = encoded)]
#[bench::question(args = [0], config = budget(DECODE))]
fn decode(bytes: Vec<u8>) -> (IsAuthorizedRequest, Vec<u8>) {
    let question = IsAuthorizedRequest::decode(black_box(&bytes[..])).expect("a question");
    (question, bytes)
}

// The budgets: what was counted when they were written down, and a tenth more.
const DECIDE: u64 = 11_500;
const CHECK: u64 = 7_400;
const DECODE: u64 = 5_800;

library_benchmark_group!(name = decision, benchmarks = [decide, check, decode]);

main!(library_benchmark_groups = decision);
