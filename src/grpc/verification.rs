//! Verifying a share of decisions with Cedar's evaluator. Where the two differ, Cedar's answer is
//! given, and the difference is counted and logged.

use super::{
    GrpcOptions,
    metrics::{Metrics, Rpc},
};
use crate::{
    engine::{self, Decision, PolicyNote, Verified},
    request::Request,
    store::PolicyStore,
};

/// Returns Cedar's decision, whatever the other one is.
#[cold]
pub(super) fn verify(
    store: &PolicyStore,
    request: &Request,
    rpc: Rpc,
    options: &GrpcOptions,
    metrics: &Metrics,
    decision: Decision,
) -> Decision {
    let Verified { decision, wrong } =
        engine::verify(store.engine(), request, options.on_forbid_error, decision);
    metrics.verified(store.name(), rpc, wrong.is_some());
    if let Some((wrong, difference)) = wrong {
        tracing::error!(
            store = %store.name(),
            revision = %store.revision(),
            principal = %request.principal,
            action = %request.action,
            resource = %request.resource,
            differs = difference.parts().collect::<Vec<_>>().join(", "),
            wrong = %Summary(&wrong),
            right = %Summary(&decision),
            "a decision differs from that of Cedar's evaluator, which is given instead"
        );
    }
    decision
}

/// Formats a decision in one line.
struct Summary<'a>(&'a Decision);

impl std::fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let decision = self.0;
        let policies: Vec<_> = decision.determining.iter().map(PolicyNote::id).collect();
        let answer = if decision.is_allow() { "allow" } else { "deny" };
        write!(f, "{answer} by {policies:?}")?;
        for error in &decision.errors {
            write!(f, "; {:?} failed: {:?}", error.policy_id, error.message)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;
    use crate::{
        audit::DecisionLog,
        engine::EvaluationFailure,
        model::{Effect, Uid, Value},
        net::ConcurrencyLimit,
        reload::Live,
        request::{RequestInput, RequestLimits},
        store::{Bounds, StoreFiles},
        telemetry::MetricsProvider,
        testing::DEFAULT_NOW,
    };

    fn store() -> PolicyStore {
        let schema = "entity User, Doc;
            action view appliesTo { principal: User, resource: Doc, context: { n: Long } };";
        let policies = r#"
            @id("view") permit (principal, action, resource) when { context.n == 1 };
            @id("guard") forbid (principal, action, resource) when { context.n == 2 };"#;
        let files = [("s.cedarschema", schema), ("p.cedar", policies)]
            .map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
        let files = StoreFiles::new("app".parse().unwrap(), files);
        PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap()
    }

    fn request(store: &PolicyStore, n: i64) -> Request {
        let input = RequestInput {
            principal: Some(Uid::new("User", "al\nice")),
            action: Some(Uid::action("view")),
            resource: Some(Uid::new("Doc", "1")),
            context: vec![("n".to_owned(), Value::Long(n))],
            ..RequestInput::default()
        };
        store.check(&input, DEFAULT_NOW, &RequestLimits::default()).unwrap()
    }

    fn metrics() -> Metrics {
        let limit = Arc::new(ConcurrencyLimit::new("concurrent_requests", 1, 1));
        let live = Arc::new(Live::default());
        Metrics::new(&MetricsProvider::default(), &live, [&limit, &limit], &DecisionLog::off())
    }

    fn counted(metrics: &Metrics) -> (Option<u64>, Option<u64>) {
        let page = metrics.text().unwrap();
        let value = |name: &str| {
            let series = format!("humbaba_{name}_total{{store=\"app\"}} ");
            page.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok())
        };
        (value("verifications"), value("verification_failures"))
    }

    /// Returns the lines that are logged meanwhile.
    fn logged<T>(work: impl FnOnce() -> T) -> (T, String) {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let done = tracing::subscriber::with_default(subscriber, work);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        (done, text)
    }

    #[test]
    fn a_wrong_decision_is_counted_and_logged_and_cedars_is_given() {
        let options = GrpcOptions::default();
        let (store, metrics) = (store(), metrics());
        let decide =
            |n| engine::decide(store.engine(), &request(&store, n), options.on_forbid_error);
        // Each question is answered with the decision of the next one.
        for (count, (n, effect, policies, log)) in (1..).zip([
            (1, Effect::Allow, &["view"][..], r#"wrong=deny by ["guard"] right=allow by ["view"]"#),
            (2, Effect::Deny, &["guard"], r#"wrong=deny by [] right=deny by ["guard"]"#),
        ]) {
            let (request, wrong) = (request(&store, n), decide(n + 1));
            let (given, lines) =
                logged(|| verify(&store, &request, Rpc::IsAuthorized, &options, &metrics, wrong));
            assert_eq!(given.effect, effect);
            assert_eq!(given.determining.iter().map(PolicyNote::id).collect::<Vec<_>>(), policies);
            assert_eq!(counted(&metrics), (Some(count), Some(count)));
            assert_eq!(lines.lines().count(), 1, "{lines}");
            let revision = format!("revision={}", store.revision());
            for part in [
                "ERROR",
                "store=app",
                &revision,
                log,
                r#"principal=User::"al\nice" action=Action::"view" resource=Doc::"1""#,
            ] {
                assert!(lines.contains(part), "{part}: {lines}");
            }
        }
        let (request, mut wrong) = (request(&store, 1), decide(1));
        let message = "not\nso".to_owned();
        wrong.errors.push(EvaluationFailure { policy_id: "guard".to_owned(), message });
        let (given, lines) =
            logged(|| verify(&store, &request, Rpc::IsAuthorized, &options, &metrics, wrong));
        assert!(given.is_allow() && given.errors.is_empty());
        let log = r#"differs="errors" wrong=allow by ["view"]; "guard" failed: "not\nso" right"#;
        assert!(lines.contains(log), "{lines}");
    }

    #[test]
    fn a_right_decision_is_counted_only() {
        let options = GrpcOptions::default();
        let (store, metrics) = (store(), metrics());
        let request = request(&store, 1);
        let right = engine::decide(store.engine(), &request, options.on_forbid_error);
        let (given, lines) =
            logged(|| verify(&store, &request, Rpc::IsAuthorized, &options, &metrics, right));
        assert!(given.is_allow());
        assert_eq!(counted(&metrics), (Some(1), Some(0)));
        assert_eq!(lines, "");
    }
}
