//! Batches: read without making anything of what can wait, decided one by one or together with the
//! items that are like it, and written as it goes.

mod answers;
mod classes;
mod sent;
mod shared;
mod tally;

pub(super) use answers::Answers;
pub(super) use classes::{Answer, Classes};
pub(super) use sent::{Item, Sent};
pub(super) use shared::Shared;

use std::time::Instant;

use prost::DecodeError;
use tonic::{Request, Status, codegen::Bytes};

use super::{
    authorization::{Asking, Authorization, now},
    calls::Framed,
    convert::Response,
    decision_id::{DecisionId, DecisionIds},
    errors::bad_item,
    message,
    metrics::Rpc,
    recording::{self, Recording},
    traced::CallSpan,
    work::Turn,
};
use crate::{engine::Decision, telemetry::Sampler};
use classes::Class;
use sent::{Message, Parties};
use tally::Tally;

const RPC: Rpc = Rpc::BatchIsAuthorized;

/// The clock is looked at after so many items, for it costs as much as a few that are known.
const SOME: usize = 64;

impl Authorization {
    /// Answers many questions.
    ///
    /// # Errors
    /// Why there is no answer at all.
    pub async fn batch_is_authorized(&self, request: Request<Bytes>, started: Instant) -> Framed {
        let span = CallSpan::of(&request);
        let recording = Recording::of(&self.decision_log, RPC, &request);
        let sent_id = DecisionId::sent(request.metadata());
        let message = request.into_inner();
        self.parts_fit(&message)?;
        let Sent { shared, items } = Sent::read(&message).map_err(invalid)?;
        let store = self.store(&shared.policy_store)?;
        span.store(&store);
        self.items_fit(items.len())?;

        let now = now();
        let limits = &self.options.limits;
        // Where there is a record or an explanation of each item, each is decided by itself.
        let has_classes = items.len() > 1 && !shared.explain && !self.decision_log.is_on();
        let shared = Shared::new(shared, &store);
        let facts = has_classes.then(|| shared.facts(limits));
        let mut progress = Progress {
            classes: facts.as_ref().map(|facts| Classes::new(&store, facts, limits)),
            last_type: "Action",
            ids: DecisionIds::new(sent_id, now),
            answers: Answers::new(items.len()),
            tally: Tally::new(&self.metrics, store.name()),
            verify_sample: self.options.verify_sample,
        };
        if !has_classes {
            // What is recorded is decided of a message that is valid as a whole.
            items.iter().try_for_each(|item| progress.read(*item).map(drop)).map_err(invalid)?;
        }
        let mut receipts = Vec::new();
        let mut turn = Turn::start();
        let mut number = 0;
        while let Some(rest) = items.get(number..).filter(|rest| !rest.is_empty()) {
            let some = rest.get(..SOME).unwrap_or(rest);
            let known = progress.answer_known(some);
            number += known;
            if let Some(item) = some.get(known) {
                let item = progress.read(*item).map_err(invalid)?;
                let parties = item.parties();
                let asking = Asking {
                    question: shared.question(item.into_message()),
                    now,
                    id: progress.ids.next(),
                    rpc: RPC,
                    item: Some(number),
                    recording: recording.clone(),
                    known: progress.known(parties.as_ref()),
                };
                match self.answer(&store, asking).await? {
                    Ok((response, record)) => {
                        receipts.extend(recording.submit(record).await?);
                        progress.answered(parties.as_ref(), response);
                    }
                    Err(violations) => {
                        self.metrics.refused(&violations);
                        progress.answers.add_error(bad_item(violations));
                    }
                }
                number += 1;
            }
            turn.pass_on_if_over().await;
        }
        let Progress { answers, tally, .. } = progress;
        let (allowed, denied) = tally.all();
        span.decisions(allowed, denied);
        drop(tally);
        for receipt in receipts {
            recording::written(Some(receipt)).await?;
        }
        self.metrics.took(store.name(), RPC, started.elapsed());
        answers.finish(store.revision())
    }
}

fn invalid(error: DecodeError) -> Status {
    message::undecodable(&error)
}

/// A batch on its way.
struct Progress<'a, 'm> {
    /// None where each item is decided by itself.
    classes: Option<Classes<'a, 'm>>,
    /// The type of entity that was read last.
    last_type: &'m str,
    ids: DecisionIds,
    answers: Answers,
    tally: Tally<'a>,
    verify_sample: Sampler,
}

impl<'a, 'm> Progress<'a, 'm> {
    fn read(&mut self, item: Message<'m>) -> Result<Item<'m>, DecodeError> {
        Item::read(item, &mut self.last_type)
    }

    /// Answers items up to the first that has to be decided or is not valid, and tells how many.
    fn answer_known(&mut self, items: &[Message<'m>]) -> usize {
        let Some(classes) = &mut self.classes else { return 0 };
        for (number, item) in items.iter().enumerate() {
            let class = match item.resource(&mut self.last_type) {
                Some(resource) => classes.of_resource(resource),
                None => match Parties::read(*item, &mut self.last_type) {
                    Some(parties) => classes.of(&parties),
                    None => return number,
                },
            };
            let Some(answer) = class.and_then(Class::answer) else { return number };
            if self.verify_sample.takes() {
                return number;
            }
            self.answers.again(answer, &mut self.ids);
            self.tally.again(answer);
        }
        items.len()
    }

    fn class(&mut self, parties: Option<&Parties<'m>>) -> Option<Class<'_, 'a, 'm>> {
        self.classes.as_mut()?.of(parties?)
    }

    /// What an item was answered that is like the one of those parties.
    fn known(&mut self, parties: Option<&Parties<'m>>) -> Option<Decision> {
        self.class(parties)?.answer().map(|answer| answer.decision().clone())
    }

    /// The item of those parties was decided.
    fn answered(&mut self, parties: Option<&Parties<'m>>, response: Response) {
        self.tally.once(response.is_allow());
        let written = self.answers.add(&response);
        if let Some(classes) = &mut self.classes
            && let Some(class) = parties.and_then(|parties| classes.of(parties))
            && let Some(answer) = Answer::of_all_like(response, written)
        {
            class.keep(answer);
        }
    }
}

#[cfg(test)]
mod tests;
