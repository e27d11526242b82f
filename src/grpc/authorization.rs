//! The authorization service. A handler finds the store, has the question decided and hands the
//! records to the decision log.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{
    decider::{CallContext, Decided, Decider},
    metrics::Rpc,
    status,
};
use crate::{
    audit::DecisionLog,
    net::BlockingPool,
    proto::{self, authorization_service_server::AuthorizationService},
    reload::Live,
    request::Violation,
    store::PolicyStore,
};

/// The most facts of a question, and the most items of a batch, that are decided on the thread of
/// the connection: less than a millisecond of work.
const INLINE_FACTS: usize = 64;

/// The policy decision point.
#[derive(Clone)]
pub(super) struct Authorization {
    pub live: Arc<Live>,
    pub decider: Arc<Decider>,
    pub decision_log: DecisionLog,
    /// Decides long questions; none where the call is answered on the pool already.
    pub pool: Option<BlockingPool>,
}

#[tonic::async_trait]
impl AuthorizationService for Authorization {
    async fn is_authorized(
        &self,
        request: Request<proto::IsAuthorizedRequest>,
    ) -> Result<Response<proto::IsAuthorizedResponse>, Status> {
        let call = CallContext::new(Rpc::IsAuthorized, &request, &self.decision_log);
        let question = request.into_inner();
        let facts = question.entities.len() + question.role_assignments.len();
        let is_long = question.explain || facts > INLINE_FACTS;
        let store = self.store(&question.policy_store)?;
        self.answer(store, call, is_long, |decider, store, call| {
            decider.is_authorized(store, question, call)
        })
        .await
    }

    async fn batch_is_authorized(
        &self,
        request: Request<proto::BatchIsAuthorizedRequest>,
    ) -> Result<Response<proto::BatchIsAuthorizedResponse>, Status> {
        let call = CallContext::new(Rpc::BatchIsAuthorized, &request, &self.decision_log);
        let batch = request.into_inner();
        let of_items = batch.items.iter().map(|item| {
            let roles = item.role_assignments.as_ref().map_or(0, |roles| roles.items.len());
            1 + item.entities.len() + roles
        });
        let facts = batch.entities.len() + batch.role_assignments.len() + of_items.sum::<usize>();
        let explains = batch.explain || batch.items.iter().any(|item| item.explain);
        let store = self.store(&batch.policy_store)?;
        self.answer(store, call, explains || facts > INLINE_FACTS, |decider, store, call| {
            decider.batch_is_authorized(store, batch, call)
        })
        .await
    }

    async fn list_actions(
        &self,
        request: Request<proto::ListActionsRequest>,
    ) -> Result<Response<proto::ListActionsResponse>, Status> {
        let call = CallContext::new(Rpc::ListActions, &request, &self.decision_log);
        let question = request.into_inner();
        let store = self.store(&question.policy_store)?;
        // A schema may have hundreds of actions.
        self.answer(store, call, true, |decider, store, call| {
            decider.list_actions(store, question, call)
        })
        .await
    }
}

impl Authorization {
    /// Returns the store as it is at this moment. A call asks once, so that all of it is decided on
    /// one revision.
    fn store(&self, name: &str) -> Result<Arc<PolicyStore>, Status> {
        self.live.stores().get(name).map(Arc::clone).map_err(status::no_store)
    }

    async fn answer<T: Send + 'static>(
        &self,
        store: Arc<PolicyStore>,
        call: CallContext,
        is_long: bool,
        decide: impl FnOnce(&Decider, &PolicyStore, &CallContext) -> Result<Decided<T>, Vec<Violation>>
        + Send
        + 'static,
    ) -> Result<Response<T>, Status> {
        call.span.store(&store);
        let decided = match &self.pool {
            Some(pool) if is_long => {
                let (decider, store, call) =
                    (Arc::clone(&self.decider), Arc::clone(&store), call.clone());
                let decided = pool.run(async move { decide(&decider, &store, &call) });
                decided.await.map_err(status::stopping)?
            }
            _ => decide(&self.decider, &store, &call),
        };
        let metrics = &self.decider.metrics;
        metrics.took(store.name(), call.rpc, call.started.elapsed());
        let decided = decided.map_err(|violations| {
            metrics.refused(&violations);
            status::bad_request(violations)
        })?;
        call.span.decisions(call.rpc, decided.allowed, decided.denied);
        call.recording.submit(decided.records).await?;
        Ok(Response::new(decided.response))
    }
}
