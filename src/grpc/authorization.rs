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
    net::{CallPermit, ConcurrencyLimit, LongCallPool},
    proto::{self, authorization_service_server::AuthorizationService},
    reload::{InForce, Live},
    request::Violation,
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
    pub pool: Option<LongCallPool>,
    /// The limit on calls that wait for a version of a directory.
    pub waiting: Arc<ConcurrencyLimit>,
}

#[tonic::async_trait]
impl AuthorizationService for Authorization {
    async fn is_authorized(
        &self,
        request: Request<proto::IsAuthorizedRequest>,
    ) -> Result<Response<proto::IsAuthorizedResponse>, Status> {
        let call = self.begin(Rpc::IsAuthorized, &request);
        let permit = request.extensions().get::<Arc<CallPermit>>().cloned();
        let question = request.into_inner();
        let facts = question.entities.len() + question.role_assignments.len();
        let is_long = question.explain || facts > INLINE_FACTS;
        let in_force =
            self.in_force(&question.policy_store, &question.at_least_version, permit).await?;
        self.answer(in_force, call, is_long, |decider, in_force, call| {
            decider.is_authorized(in_force, question, call)
        })
        .await
    }

    async fn batch_is_authorized(
        &self,
        request: Request<proto::BatchIsAuthorizedRequest>,
    ) -> Result<Response<proto::BatchIsAuthorizedResponse>, Status> {
        let call = self.begin(Rpc::BatchIsAuthorized, &request);
        let permit = request.extensions().get::<Arc<CallPermit>>().cloned();
        let batch = request.into_inner();
        let of_items = batch.items.iter().map(|item| {
            let roles = item.role_assignments.as_ref().map_or(0, |roles| roles.items.len());
            1 + item.entities.len() + roles
        });
        let facts = batch.entities.len() + batch.role_assignments.len() + of_items.sum::<usize>();
        let explains = batch.explain || batch.items.iter().any(|item| item.explain);
        let in_force = self.in_force(&batch.policy_store, &batch.at_least_version, permit).await?;
        self.answer(in_force, call, explains || facts > INLINE_FACTS, |decider, in_force, call| {
            decider.batch_is_authorized(in_force, batch, call)
        })
        .await
    }

    async fn list_resources(
        &self,
        request: Request<proto::ListResourcesRequest>,
    ) -> Result<Response<proto::ListResourcesResponse>, Status> {
        let call = self.begin(Rpc::ListResources, &request);
        let permit = request.extensions().get::<Arc<CallPermit>>().cloned();
        let question = request.into_inner();
        let in_force =
            self.with_directory(&question.policy_store, &question.at_least_version, permit).await?;
        self.answer(in_force, call, true, |decider, in_force, call| {
            decider.list_resources(in_force, question, call)
        })
        .await
    }

    async fn list_principals(
        &self,
        request: Request<proto::ListPrincipalsRequest>,
    ) -> Result<Response<proto::ListPrincipalsResponse>, Status> {
        let call = self.begin(Rpc::ListPrincipals, &request);
        let permit = request.extensions().get::<Arc<CallPermit>>().cloned();
        let question = request.into_inner();
        let in_force =
            self.with_directory(&question.policy_store, &question.at_least_version, permit).await?;
        self.answer(in_force, call, true, |decider, in_force, call| {
            decider.list_principals(in_force, question, call)
        })
        .await
    }

    async fn list_actions(
        &self,
        request: Request<proto::ListActionsRequest>,
    ) -> Result<Response<proto::ListActionsResponse>, Status> {
        let call = self.begin(Rpc::ListActions, &request);
        let permit = request.extensions().get::<Arc<CallPermit>>().cloned();
        let question = request.into_inner();
        let in_force =
            self.in_force(&question.policy_store, &question.at_least_version, permit).await?;
        // A schema may have hundreds of actions.
        self.answer(in_force, call, true, |decider, in_force, call| {
            decider.list_actions(in_force, question, call)
        })
        .await
    }
}

impl Authorization {
    fn begin<T>(&self, rpc: Rpc, request: &Request<T>) -> CallContext {
        let headers = request.metadata().as_ref();
        CallContext::new(rpc, headers, request.extensions(), &self.decision_log)
    }

    /// Returns the store and its directory as they are at this moment, or once the directory has the
    /// version that the caller asks for. A call asks once, so that all of it is decided on one revision
    /// and one version.
    async fn in_force(
        &self,
        name: &str,
        at_least: &str,
        permit: Option<Arc<CallPermit>>,
    ) -> Result<InForce, Status> {
        let reached = self.live.in_force_at_least(name, at_least).map_err(status::not_in_force)?;
        if let Some(in_force) = reached {
            return Ok(in_force);
        }
        let wait = self.live.wait_until_in_force(name, at_least);
        let waited = match permit {
            Some(permit) => {
                permit.release_while(&self.waiting, wait).await.map_err(status::limit_reached)?
            }
            None => wait.await,
        };
        waited.map_err(status::not_in_force)
    }

    /// Returns the store in force; refuses one without a directory.
    async fn with_directory(
        &self,
        name: &str,
        at_least: &str,
        permit: Option<Arc<CallPermit>>,
    ) -> Result<InForce, Status> {
        let in_force = self.in_force(name, at_least, permit).await?;
        match in_force.directory {
            Some(_) => Ok(in_force),
            None => Err(status::no_directory(&in_force.store)),
        }
    }

    async fn answer<T: Send + 'static>(
        &self,
        in_force: InForce,
        call: CallContext,
        is_long: bool,
        decide: impl FnOnce(&Decider, &InForce, &CallContext) -> Result<Decided<T>, Vec<Violation>>
        + Send
        + 'static,
    ) -> Result<Response<T>, Status> {
        call.span.store(&in_force.store);
        let decided = match &self.pool {
            Some(pool) if is_long => {
                let (decider, in_force, call) =
                    (Arc::clone(&self.decider), in_force.clone(), call.clone());
                let decided = pool.run(async move { decide(&decider, &in_force, &call) });
                decided.await.map_err(status::stopping)?
            }
            _ => decide(&self.decider, &in_force, &call),
        };
        let metrics = &self.decider.metrics;
        metrics.took(in_force.store.name(), call.rpc, call.started.elapsed());
        let decided = decided.map_err(|violations| {
            metrics.refused(&violations);
            status::bad_request(violations)
        })?;
        call.span.decisions(call.rpc, decided.allowed, decided.denied);
        call.recording.submit(decided.records).await?;
        Ok(Response::new(decided.response))
    }
}
