//! The view Health: decisions, their time, and calls that were shed, of the last 15 minutes.

use askama::Template;
use axum::{extract::State, response::Response};

use super::{
    Console, Query,
    chart::{self, Chart, Scale, Series},
    respond,
    shell::{Shell, View},
    traffic::{Span, percentile},
};

/// Samples in a row of the table: a minute.
const ROW: usize = 6;

#[derive(Template)]
#[template(path = "health.html")]
struct HealthPage {
    shell: Shell,
    facts: Vec<(&'static str, String)>,
    charts: Vec<Chart>,
    width: f64,
    height: f64,
    rows: Vec<HealthRow>,
    refreshes: bool,
}

/// A minute as numbers.
struct HealthRow {
    minutes_ago: String,
    allowed: String,
    denied: String,
    p50: String,
    p99: String,
    shed: String,
}

pub(super) async fn show(State(console): State<Console>, query: Query) -> Response {
    let spans = console.0.traffic.spans();
    let grpc = &console.0.grpc;
    let recent = spans.get(spans.len().saturating_sub(ROW)..).unwrap_or_default();
    let shed: f64 = spans.iter().map(|span| span.shed).sum();
    let serving = if grpc.is_stopping() {
        "stopping"
    } else if grpc.is_serving() {
        "serving"
    } else {
        "not serving"
    };
    let facts = vec![
        ("State", serving.to_owned()),
        (
            "Decisions a second",
            rate(recent.iter().map(|span| span.allowed + span.denied).sum(), recent),
        ),
        ("Median time", time(percentile(recent, 0.5))),
        ("99th percentile", time(percentile(recent, 0.99))),
        ("Shed in 15 min", format!("{shed:.0}")),
    ];
    respond::page(&HealthPage {
        shell: Shell::new(&console, View::Health, ""),
        facts,
        charts: charts(&spans),
        width: chart::WIDTH,
        height: chart::HEIGHT,
        rows: spans.rchunks(ROW).map(HealthRow::new).collect(),
        refreshes: !query.get("refresh").is_empty(),
    })
}

fn charts(spans: &[Span]) -> Vec<Chart> {
    let points = |value: &dyn Fn(&Span) -> Option<f64>| -> Vec<_> {
        spans.iter().map(|span| (span.ended, value(span))).collect()
    };
    let allowed = points(&|span| Some(span.allowed / span.seconds));
    let denied = points(&|span| Some(span.denied / span.seconds));
    let (p50, p99) =
        (points(&|span| percentile([span], 0.5)), points(&|span| percentile([span], 0.99)));
    let shed = points(&|span| Some(span.shed / span.seconds));
    let most = |points: &[(f64, Option<f64>)]| {
        points.iter().filter_map(|(_, value)| *value).fold(0.0, f64::max)
    };
    vec![
        Chart::new(
            "decisions",
            "Decisions a second",
            format!(
                "At most {} allowed and {} denied a second.",
                number(most(&allowed)),
                number(most(&denied))
            ),
            Scale::Linear,
            &[
                Series { name: "allowed", class: "allow", points: &allowed },
                Series { name: "denied", class: "deny", points: &denied },
            ],
            number,
        ),
        Chart::new(
            "times",
            "Time of a call",
            format!("The 99th percentile was at most {}.", time(Some(most(&p99)))),
            Scale::Logarithmic,
            &[
                Series { name: "median", class: "median", points: &p50 },
                Series { name: "99th percentile", class: "cond", points: &p99 },
            ],
            |value| time(Some(value)),
        ),
        Chart::new(
            "shed",
            "Shed calls and connections a second",
            format!("At most {} a second.", number(most(&shed))),
            Scale::Linear,
            &[Series { name: "shed", class: "bad", points: &shed }],
            number,
        ),
    ]
}

impl HealthRow {
    fn new(spans: &[Span]) -> Self {
        let sum = |value: fn(&Span) -> f64| spans.iter().map(value).sum::<f64>();
        let ago = spans.last().map_or(0.0, |span| span.ended / 60.0);
        Self {
            minutes_ago: format!("{ago:.0}"),
            allowed: rate(sum(|span| span.allowed), spans),
            denied: rate(sum(|span| span.denied), spans),
            p50: time(percentile(spans, 0.5)),
            p99: time(percentile(spans, 0.99)),
            shed: format!("{:.0}", sum(|span| span.shed)),
        }
    }
}

/// Writes a count as a rate per second.
fn rate(count: f64, spans: &[Span]) -> String {
    let seconds: f64 = spans.iter().map(|span| span.seconds).sum();
    if seconds > 0.0 { number(count / seconds) } else { "–".to_owned() }
}

fn number(value: f64) -> String {
    match value {
        _ if value >= 10_000.0 => format!("{:.0} k", value / 1_000.0),
        _ if value >= 10.0 || value == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    }
}

/// Writes a time in seconds in the unit that fits it.
fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(seconds) if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        Some(seconds) if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}
