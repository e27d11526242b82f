//! A question that was answered, with the answers.

use std::sync::Arc;

use cedar_policy_core::ast::EntityUID;

use super::answer::ShadowAnswer;
use crate::{
    model::{Revision, StoreName, Timestamp},
    request::{BatchItemInput, Held, RequestInput},
};

/// A question that was answered, or a batch of them.
#[derive(Debug)]
pub struct ShadowQuestion {
    /// The store that decided.
    pub store: StoreName,
    /// The revision that decided.
    pub revision: Revision,
    /// When it was asked.
    pub now: Timestamp,
    /// The state of the store's directory then.
    pub held: Option<Held>,
    /// The question itself.
    pub asked: Asked,
}

/// The question itself.
#[derive(Debug)]
pub enum Asked {
    /// One question.
    One(Box<RequestInput>, Given),
    /// The items of a batch that were decided.
    Batch(Arc<RequestInput>, Vec<(BatchItemInput, Given)>),
    /// The actions that a principal may do.
    Actions(Box<RequestInput>, GivenList),
}

/// An answer that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The action's id.
    pub action: String,
    /// The answer.
    pub answer: ShadowAnswer,
    /// The id of the decision.
    pub decision_id: String,
}

/// A list of actions that was given.
#[derive(Debug, Clone)]
pub struct GivenList {
    /// Each action that was decided, with its answer. Those that are allowed were listed.
    pub actions: Vec<(EntityUID, ShadowAnswer)>,
    /// The id of the decision.
    pub decision_id: String,
}

impl ShadowQuestion {
    /// Returns about how many bytes of memory it takes.
    pub(super) fn weight(&self) -> usize {
        size_of_val(self)
            + match &self.asked {
                Asked::One(input, given) => input.weight() + given.weight(),
                Asked::Batch(shared, items) => {
                    let items = items.iter().map(|(item, given)| item.weight() + given.weight());
                    shared.weight() + items.sum::<usize>()
                }
                Asked::Actions(input, given) => {
                    let of_one = |(action, answer): &(EntityUID, ShadowAnswer)| {
                        size_of_val(action) + size_of_val(answer) + answer.weight()
                    };
                    let actions = given.actions.iter().map(of_one);
                    input.weight() + given.decision_id.len() + actions.sum::<usize>()
                }
            }
    }

    /// Returns how many decisions were made on it.
    pub(super) fn len(&self) -> usize {
        match &self.asked {
            Asked::One(..) => 1,
            Asked::Batch(_, items) => items.len(),
            Asked::Actions(_, given) => given.actions.len(),
        }
    }
}

impl Given {
    fn weight(&self) -> usize {
        let texts = self.action.len() + self.decision_id.len();
        size_of_val(self) + texts + self.answer.weight()
    }
}

impl ShadowAnswer {
    fn weight(&self) -> usize {
        self.policies.iter().map(|id| size_of_val(id) + id.len()).sum()
    }
}

impl GivenList {
    /// Returns the answer for one action.
    pub(super) fn of(&self, action: &EntityUID, answer: ShadowAnswer) -> Given {
        Given {
            action: AsRef::<str>::as_ref(action.eid()).to_owned(),
            answer,
            decision_id: self.decision_id.clone(),
        }
    }
}
