//! Verifies a decision with Cedar's evaluator.

use super::{Decision, Engine, PolicyNote, decide::try_by_cedar};
use crate::{model::OnForbidError, request::Request};

/// A decision of Cedar's evaluator, compared with another one.
#[derive(Debug)]
pub struct Verified {
    /// Cedar's decision, which counts.
    pub decision: Decision,
    /// The other decision with its differences; none where there are none.
    pub wrong: Option<(Decision, DecisionDifference)>,
}

/// The parts in which two decisions on one request differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecisionDifference {
    /// The answer.
    pub effect: bool,
    /// True where one has a permit that applied and the other has none.
    pub permitted: bool,
    /// The ids of the policies that made the answer, or their order.
    pub determining: bool,
    /// The policies whose evaluation failed, what is said of them, or their order.
    pub errors: bool,
}

/// Decides a request by Cedar's evaluator, and compares that with a decision of [`super::decide`]. That
/// one stands where the evaluator cannot be asked, since something that a policy could look at cannot be
/// read: the compiled policies looked at none of it.
#[must_use]
pub fn verify(
    engine: &Engine,
    request: &Request,
    on_forbid_error: OnForbidError,
    decision: Decision,
) -> Verified {
    let Ok(cedars) = try_by_cedar(engine, request, on_forbid_error) else {
        return Verified { decision, wrong: None };
    };
    let difference = DecisionDifference::between(&decision, &cedars);
    Verified { decision: cedars, wrong: difference.map(|difference| (decision, difference)) }
}

impl DecisionDifference {
    /// Compares two decisions. Returns nothing where they are the same.
    #[must_use]
    pub fn between<'d>(one: &'d Decision, other: &'d Decision) -> Option<Self> {
        let ids = |decision: &'d Decision| decision.determining.iter().map(PolicyNote::id);
        let difference = Self {
            effect: one.effect != other.effect,
            permitted: one.permitted != other.permitted,
            determining: !ids(one).eq(ids(other)),
            errors: one.errors != other.errors,
        };
        (difference != Self::default()).then_some(difference)
    }

    /// Returns the names of the parts that differ.
    pub fn parts(self) -> impl Iterator<Item = &'static str> {
        let parts = [
            (self.effect, "decision"),
            (self.permitted, "permitted"),
            (self.determining, "determining policies"),
            (self.errors, "errors"),
        ];
        parts.into_iter().filter_map(|(differs, name)| differs.then_some(name))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

    use std::sync::Arc;

    use super::*;
    use crate::{
        engine::{EvaluationFailure, decide},
        model::{Effect, Uid, Value},
        request::{RequestInput, RequestLimits},
        store::{Bounds, PolicyStore, StoreFiles},
        testing::DEFAULT_NOW,
    };

    const SCHEMA: &str = "entity User, Doc;
        action view appliesTo { principal: User, resource: Doc, context: { n: Long } };";

    const POLICIES: &str = r#"
        @id("a") permit (principal, action, resource) when { context.n < 5 };
        @id("b") permit (principal, action, resource) when { context.n < 5 };
        @id("c") forbid (principal, action, resource) when { context.n == 3 };
        @id("d") permit (principal, action, resource) when { context.n + 1 < 0 };
    "#;

    fn store() -> PolicyStore {
        let files = [("s.cedarschema", SCHEMA), ("p.cedar", POLICIES)]
            .map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
        let files = StoreFiles::new("app".parse().unwrap(), files);
        PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap()
    }

    fn request(store: &PolicyStore, n: i64) -> Request {
        let input = RequestInput {
            principal: Some(Uid::new("User", "alice")),
            action: Some(Uid::action("view")),
            resource: Some(Uid::new("Doc", "1")),
            context: vec![("n".to_owned(), Value::Long(n))],
            ..RequestInput::default()
        };
        store.check(&input, DEFAULT_NOW, &RequestLimits::default()).unwrap()
    }

    fn ids(decision: &Decision) -> Vec<&str> {
        decision.determining.iter().map(PolicyNote::id).collect()
    }

    #[test]
    fn a_right_decision_stays_as_it_is() {
        let store = store();
        // An allow, a deny by a forbid, a deny for want of a permit, and an evaluation that fails.
        for (n, effect, policies, errors) in [
            (1, Effect::Allow, vec!["a", "b"], 0),
            (3, Effect::Deny, vec!["c"], 0),
            (7, Effect::Deny, vec![], 0),
            (i64::MAX, Effect::Deny, vec![], 1),
        ] {
            let request = request(&store, n);
            let decision = decide(store.engine(), &request, OnForbidError::Deny);
            let verified = verify(store.engine(), &request, OnForbidError::Deny, decision);
            assert!(verified.wrong.is_none(), "{n}: {:?}", verified.wrong);
            assert_eq!(verified.decision.effect, effect, "{n}");
            assert_eq!(ids(&verified.decision), policies, "{n}");
            assert_eq!(verified.decision.errors.len(), errors, "{n}");
        }
    }

    #[test]
    fn whatever_differs_is_told_and_cedar_wins() {
        let store = store();
        let failure = |id: &str, message: &str| EvaluationFailure {
            policy_id: id.to_owned(),
            message: message.to_owned(),
        };
        type Change<'a> = &'a dyn Fn(&mut Decision);
        let changes: [(i64, &[&str], Change<'_>); 9] = [
            (1, &["decision"], &|d| d.effect = Effect::Deny),
            (3, &["decision"], &|d| d.effect = Effect::Allow),
            (3, &["permitted"], &|d| d.permitted = false),
            (1, &["determining policies"], &|d| drop(d.determining.pop())),
            (1, &["determining policies"], &|d| d.determining.reverse()),
            (1, &["determining policies"], &|d| d.determining.push(d.determining[1].clone())),
            (1, &["errors"], &|d| d.errors.push(failure("d", "made up"))),
            (i64::MAX, &["errors"], &|d| d.errors.clear()),
            (i64::MAX, &["errors"], &|d| d.errors[0].message.push('!')),
        ];
        for (number, (n, parts, change)) in changes.into_iter().enumerate() {
            let request = request(&store, n);
            let right = decide(store.engine(), &request, OnForbidError::Deny);
            let mut changed = right.clone();
            change(&mut changed);
            let verified = verify(store.engine(), &request, OnForbidError::Deny, changed);
            let (wrong, difference) = verified.wrong.unwrap_or_else(|| panic!("{number}"));
            assert_eq!(difference.parts().collect::<Vec<_>>(), parts, "{number}");
            assert_eq!(DecisionDifference::between(&wrong, &verified.decision), Some(difference));
            assert_eq!(DecisionDifference::between(&right, &verified.decision), None, "{number}");
        }
        // All at once.
        let request = request(&store, 1);
        let mut changed = decide(store.engine(), &request, OnForbidError::Deny);
        changed.effect = Effect::Deny;
        changed.permitted = false;
        changed.determining.clear();
        changed.errors.push(failure("a", "made up"));
        let (_, difference) =
            verify(store.engine(), &request, OnForbidError::Deny, changed).wrong.unwrap();
        let all = ["decision", "permitted", "determining policies", "errors"];
        assert_eq!(difference.parts().collect::<Vec<_>>(), all);
    }
}
