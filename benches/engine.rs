//! The engine against Cedar's `Authorizer`, on HitKeep and on three models in the manner of Cedar's
//! own evaluation.
//!
//! *Ready* is from the checked request, with the entities that Cedar needs made beforehand; *as sent*
//! is from the request as it was sent, with the check against the schema, or for Cedar with the
//! making and validation of its entities. Criterion compares with the run before; the table at the
//! end is over single decisions of all questions.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "support/authorizer.rs"]
mod authorizer;
mod models;
mod support;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion, Throughput};
use hdrhistogram::Histogram;
use humbaba::{model::Effect, request::RequestInput, store::PolicyStore};

use self::{authorizer::CedarAuthorizer, models::MODELS};

/// Like the product.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Entities of each kind.
const SIZES: [usize; 4] = [5, 10, 20, 50];
/// Decisions that are timed together: reading the clock takes a tenth of one.
const TOGETHER: u32 = 10;

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut rows = Vec::new();
    for more in [0, 10_000] {
        let name = if more == 0 { "hitkeep" } else { "hitkeep and 10,000 policies" };
        let store = support::hitkeep(more);
        rows.push(compare(&mut criterion, name, "1", &store, &[support::input()]));
    }
    for model in MODELS {
        let store = model.store();
        for size in SIZES {
            let questions = model.questions(size);
            let size = size.to_string();
            rows.push(compare(&mut criterion, model.name, &size, &store, &questions));
        }
    }
    criterion.final_summary();
    print(&rows);
}

/// Times of single decisions, in nanoseconds.
struct Row {
    name: String,
    allowed: usize,
    ready: Times,
    cedar_ready: Times,
    sent: Times,
    cedar_sent: Times,
}

type Times = Histogram<u64>;

fn compare(
    criterion: &mut Criterion,
    name: &str,
    size: &str,
    store: &PolicyStore,
    questions: &[RequestInput],
) -> Row {
    let cedar = CedarAuthorizer::new(store);
    let requests: Vec<_> = questions.iter().map(|sent| support::check(store, sent)).collect();
    let facts: Vec<_> = questions.iter().map(|sent| cedar.facts(sent)).collect();
    let is_allowed = |request| support::decide(store, request).effect == Effect::Allow;
    let mut allowed = 0;
    for ((sent, request), facts) in questions.iter().zip(&requests).zip(&facts) {
        assert_eq!(is_allowed(request), cedar.is_allowed(facts), "not as Cedar decides: {sent:?}");
        allowed += usize::from(is_allowed(request));
    }

    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    let mut measure = |what, call: &mut dyn FnMut(usize)| {
        let mut times = Histogram::new(3).expect("three digits");
        group.bench_function(BenchmarkId::new(what, size), |bencher| {
            bencher.iter_custom(|calls| time(calls, questions.len(), call, &mut times));
        });
        times
    };
    let row = Row {
        name: format!("{name}, {size}"),
        allowed: allowed * 100 / questions.len(),
        ready: measure("engine, ready", &mut |n| {
            black_box(support::decide(store, black_box(&requests[n])));
        }),
        cedar_ready: measure("Authorizer, ready", &mut |n| {
            black_box(cedar.is_allowed(black_box(&facts[n])));
        }),
        sent: measure("engine, as sent", &mut |n| {
            let request = support::check(store, black_box(&questions[n]));
            black_box(support::decide(store, &request));
        }),
        cedar_sent: measure("Authorizer, as sent", &mut |n| {
            black_box(cedar.is_allowed(&cedar.facts(black_box(&questions[n]))));
        }),
    };
    group.finish();
    row
}

/// Calls with one question after the other, and notes what each took.
fn time(calls: u64, questions: usize, call: &mut dyn FnMut(usize), times: &mut Times) -> Duration {
    let mut all = Duration::ZERO;
    for n in 0..calls as usize {
        let begun = Instant::now();
        for _ in 0..TOGETHER {
            call(n % questions);
        }
        let took = begun.elapsed() / TOGETHER;
        times.record(took.as_nanos() as u64).expect("it grows");
        all += took;
    }
    all
}

/// Prints what was measured, in microseconds.
fn print(rows: &[Row]) {
    println!(
        "\n| model, entities of each kind | allowed | engine: median / p99 µs | Authorizer | times \
         | as sent, engine | as sent, Authorizer | times |\n|---|---:|---:|---:|---:|---:|---:|---:|"
    );
    for row in rows.iter().filter(|row| !row.ready.is_empty()) {
        let at = |times: &Times, quantile| times.value_at_quantile(quantile) as f64 / 1e3;
        let both = |times| format!("{:.2} / {:.2}", at(times, 0.5), at(times, 0.99));
        let ratio = |ours, theirs| format!("{:.1}", at(theirs, 0.5) / at(ours, 0.5));
        println!(
            "| {} | {} % | {} | {} | {} | {} | {} | {} |",
            row.name,
            row.allowed,
            both(&row.ready),
            both(&row.cedar_ready),
            ratio(&row.ready, &row.cedar_ready),
            both(&row.sent),
            both(&row.cedar_sent),
            ratio(&row.sent, &row.cedar_sent),
        );
    }
}
