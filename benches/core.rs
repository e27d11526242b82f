//! The core, without any transport.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "support/mod.rs"]
mod support;

use std::{hint::black_box, sync::Arc, time::Duration};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use humbaba::{
    engine,
    model::{OnForbidError, Timestamp},
    reload::{self, Live, Options, Source},
    request::RequestLimits,
};
use prost::Message as _;

use support::{Growth, naive::Naive};

/// Like the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn decide(c: &mut Criterion) {
    let limits = RequestLimits::default();
    let input = support::input();
    let mut group = c.benchmark_group("decide");
    for growth in Growth::ALL {
        for count in [0, 10_000] {
            let store = support::store(growth, count);
            let request = store.check(&input, NOW, &limits).expect("the question fits the store");
            let id = BenchmarkId::new(growth.name(), count);
            group.bench_function(id, |b| {
                b.iter(|| {
                    let decision =
                        engine::decide(store.engine(), black_box(&request), OnForbidError::Deny);
                    assert!(decision.is_allow());
                    decision
                });
            });
        }
    }
    group.finish();
}

/// From the request as it was sent to the decision.
fn check_and_decide(c: &mut Criterion) {
    let store = support::store(Growth::Policies, 0);
    let (limits, input) = (RequestLimits::default(), support::input());
    c.bench_function("check", |b| {
        b.iter(|| store.check(black_box(&input), NOW, &limits).expect("the question fits"));
    });
    c.bench_function("check and decide", |b| {
        b.iter(|| {
            let request = store.check(black_box(&input), NOW, &limits).expect("it fits");
            engine::decide(store.engine(), &request, OnForbidError::Deny)
        });
    });
}

/// What Cedar's own authorizer takes for the same question.
fn naive(c: &mut Criterion) {
    let question = support::question();
    let mut group = c.benchmark_group("Authorizer::is_authorized");
    for count in [0, 10_000] {
        let naive = Naive::new(Arc::new(support::store(Growth::Policies, count)));
        let facts = naive.facts(&question);
        group.bench_function(BenchmarkId::new("policies", count), |b| {
            b.iter(|| naive.decide(black_box(&facts)));
        });
        group.bench_function(BenchmarkId::new("policies, entities made", count), |b| {
            b.iter(|| naive.decide(&naive.facts(black_box(&question))));
        });
    }
    group.finish();
}

/// Protobuf to messages and back.
fn convert(c: &mut Criterion) {
    let bytes = support::question().encode_to_vec();
    c.bench_function("convert/decode", |b| {
        b.iter(|| {
            humbaba::proto::IsAuthorizedRequest::decode(black_box(&bytes[..])).expect("a question")
        });
    });
}

fn load(c: &mut Criterion) {
    let mut group = c.benchmark_group("load");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    for count in [0, 1_000, 10_000] {
        let files = Arc::new(support::files(Growth::Policies, count));
        group.bench_function(BenchmarkId::new("policies", count), |b| {
            b.iter(|| support::load(&files));
        });
    }
    group.finish();
}

/// Reading the shipped folder again when nothing has changed, and when a store has.
fn reload(c: &mut Criterion) {
    let mut group = c.benchmark_group("reload");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");
    let source = Source::Folder(folder.into());
    let options = Options::default();
    group.bench_function("all stores", |b| {
        b.iter(|| {
            let live = Live::default();
            reload::load(&source, &options, &live).expect("the stores load");
            live
        });
    });
    let live = Live::default();
    reload::load(&source, &options, &live).expect("the stores load");
    group.bench_function("nothing changed", |b| {
        b.iter(|| reload::load(&source, &options, &live).expect("the stores load"));
    });
    group.finish();
}

criterion_group!(benches, decide, check_and_decide, naive, convert, load, reload);
criterion_main!(benches);
