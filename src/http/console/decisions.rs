//! The view Decisions: the last of them, and those to come as a stream of server-sent events.

use std::{convert::Infallible, sync::Arc, time::Duration};

use askama::Template;
use axum::{
    extract::State,
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_stream::wrappers::ReceiverStream;

use super::{
    Console, Query, respond,
    shell::{Shell, View},
};
use crate::audit::{DecisionReader, RecentDecision};

/// Decisions on the page, and in one event.
const DECISIONS: usize = 200;
/// Interval at which a stream looks for new decisions.
const INTERVAL: Duration = Duration::from_millis(250);
/// Time that a reader may take for one event.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Template)]
#[template(path = "decisions.html")]
struct DecisionsPage {
    shell: Shell,
    /// Decisions are kept.
    is_on: bool,
    filter: DecisionFilter,
    stores: Vec<String>,
    decisions: Vec<Arc<RecentDecision>>,
    stream: String,
}

/// The decisions that the reader wants to see.
#[derive(Debug, Clone)]
struct DecisionFilter {
    store: String,
    decision: String,
    principal: String,
    action: String,
}

pub(super) async fn show(State(console): State<Console>, query: Query) -> Response {
    let filter = DecisionFilter::new(&query);
    let recent = console.0.grpc.decision_log().recent();
    let last = recent.map(|recent| recent.last()).unwrap_or_default();
    let stores = console.live().stores();
    let fields = query.with("", "");
    respond::page(&DecisionsPage {
        shell: Shell::new(&console, View::Decisions, ""),
        is_on: recent.is_some(),
        stores: stores.iter().map(|store| store.name().to_string()).collect(),
        decisions: last
            .into_iter()
            .filter(|one| filter.lets_through(one))
            .take(DECISIONS)
            .collect(),
        stream: format!("/decisions/stream{fields}"),
        filter,
    })
}

pub(super) async fn stream(State(console): State<Console>, query: Query) -> Response {
    let Some(recent) = console.0.grpc.decision_log().recent() else {
        let message = "decisions are not kept: set console.decisions\n";
        return (StatusCode::NOT_FOUND, message).into_response();
    };
    let Some(reader) = recent.follow() else {
        let message = "too many readers follow the decisions: try again later\n";
        return (StatusCode::SERVICE_UNAVAILABLE, message).into_response();
    };
    let (sender, events) = mpsc::channel(1);
    tokio::spawn(follow(console, reader, DecisionFilter::new(&query), sender));
    Sse::new(ReceiverStream::new(events)).keep_alive(KeepAlive::default()).into_response()
}

/// Sends new decisions until the reader goes away, is too slow, or the process stops.
async fn follow(
    console: Console,
    mut reader: DecisionReader,
    filter: DecisionFilter,
    sender: mpsc::Sender<Result<Event, Infallible>>,
) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = sender.closed() => return,
        }
        if console.0.grpc.is_stopping() {
            return;
        }
        let new = reader.look();
        let mut wanted: Vec<_> =
            new.decisions.into_iter().filter(|one| filter.lets_through(one)).collect();
        let more = wanted.len().saturating_sub(DECISIONS);
        wanted.drain(..more);
        let missed = new.missed + more as u64;
        if wanted.is_empty() && missed == 0 {
            continue;
        }
        let json = serde_json::json!({ "decisions": wanted, "missed": missed });
        let event = Event::default().event("decisions").data(json.to_string());
        match timeout(PATIENCE, sender.send(Ok(event))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

impl DecisionFilter {
    fn new(query: &Query) -> Self {
        let text = |name| query.get(name).to_owned();
        Self {
            store: text("of"),
            decision: text("decision"),
            principal: text("principal").to_lowercase(),
            action: text("action").to_lowercase(),
        }
    }

    fn lets_through(&self, decision: &RecentDecision) -> bool {
        (self.store.is_empty() || decision.store == self.store)
            && (self.decision.is_empty() || decision.decision == self.decision)
            && decision.principal.to_lowercase().contains(&self.principal)
            && decision.action.to_lowercase().contains(&self.action)
    }
}

/// Returns the part of a moment that is read first: the time of day.
fn time_of_day(time: &str) -> &str {
    time.get(11..23).unwrap_or(time)
}
