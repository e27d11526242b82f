//! Batches: what the items share is checked once, then each item is decided.

use std::sync::Arc;

use super::{
    convert::{self, ReadInput},
    decider::{CallContext, Decided, Decider},
    status,
};
use crate::{
    audit::RecordInput,
    model::Effect,
    proto::{self, batch_is_authorized_result::Result as ItemResult},
    reload::InForce,
    request::{BatchChecker, FieldPath, Violation},
    shadow::Asked,
};

impl Decider {
    /// Decides the items of a batch one after another. A bad item fails alone.
    ///
    /// # Errors
    /// Everything that is wrong with what the items share, or that they are too many.
    pub(super) fn batch_is_authorized(
        &self,
        in_force: &InForce,
        mut sent: proto::BatchIsAuthorizedRequest,
        call: &CallContext,
    ) -> Result<Decided<proto::BatchIsAuthorizedResponse>, Vec<Violation>> {
        self.check_item_count(sent.items.len())?;
        let store = &in_force.store;
        let limits = &self.options.limits;
        let ReadInput { input, violations } = ReadInput::shared(&mut sent, limits);
        let shared = Arc::new(input);
        let checker = BatchChecker::new(store.known(in_force.held()), &shared, call.now, limits);
        let mut checker = convert::with_violations(violations, checker, limits)?;
        let count = sent.items.len();
        let mut items = Vec::with_capacity(count);
        let mut records = Vec::new();
        let mut shadowed = self.shadow.wants(store, count).then(Vec::new);
        let (mut allowed, mut denied) = (0, 0);
        for (number, item) in sent.items.into_iter().enumerate() {
            let explain = sent.explain || item.explain;
            let read = ReadInput::item(item, limits);
            let result = match read.check(limits, |item| checker.check(item)) {
                Ok((request, item)) => {
                    let copy = shadowed.is_some().then(|| item.clone());
                    let input = || RecordInput::item(&shared, item, count);
                    let answer =
                        self.decide(in_force, &request, explain, call, Some(number), input);
                    if let (Some(shadowed), Some(item)) = (&mut shadowed, copy) {
                        shadowed.push((item, answer.given(&request)));
                    }
                    match answer.decision.effect {
                        Effect::Allow => allowed += 1,
                        Effect::Deny => denied += 1,
                    }
                    let (response, record) = answer.into_proto(in_force, &request);
                    records.extend(record);
                    ItemResult::Response(response)
                }
                Err(violations) => {
                    self.metrics.refused(&violations);
                    ItemResult::Error(status::bad_item(violations))
                }
            };
            items.push(proto::BatchIsAuthorizedResult { result: Some(result) });
        }
        if let Some(items) = shadowed {
            self.compare(in_force, Asked::Batch(Arc::clone(&shared), items), call);
        }
        let revision = store.revision().to_string();
        let directory_version = in_force.directory_version();
        let response = proto::BatchIsAuthorizedResponse { items, revision, directory_version };
        Ok(Decided { response, allowed, denied, records })
    }

    fn check_item_count(&self, count: usize) -> Result<(), Vec<Violation>> {
        let limit = self.options.batch_items;
        if count <= limit {
            return Ok(());
        }
        let description =
            format!("{count} elements, more than the limit of {limit}: send several batches");
        Err(vec![FieldPath::Field("items").violation(description).of_limit("batch_items")])
    }
}
