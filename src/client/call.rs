//! Calls: each with a deadline, repeated only while the server is unavailable.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tonic::{
    Code, Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};

use super::{
    Actions, Batch, BatchAnswer, Decision, Error, ListActions, ListPrincipals, ListResources, Page,
    Question, Retry,
};
use crate::proto::authorization_service_client::AuthorizationServiceClient;

/// The longest that a call may take, whatever it is given: a deadline must be a moment that a clock
/// can tell.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A client of a running Humbaba. Clones share its connection, which is opened again by itself
/// where it was lost.
#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
    options: CallOptions,
}

/// The parts that a client's calls have in common.
#[derive(Debug, Clone)]
pub(super) struct CallOptions {
    pub bearer_token: Option<MetadataValue<Ascii>>,
    pub policy_store: String,
    pub timeout: Duration,
    pub retry: Retry,
}

impl Client {
    pub(super) fn new(channel: Channel, options: CallOptions) -> Self {
        Self { channel, options }
    }

    /// Returns the same client, on the same connection, whose calls may take that long.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        let mut client = self.clone();
        client.options.timeout = timeout;
        client
    }

    /// Returns the connection, for the services that this client has no calls for. It adds no
    /// token and no deadline.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Asks whether a principal may do an action on a resource. A deny is a [`Decision`] too.
    ///
    /// # Errors
    /// There is no decision; this must not be taken for an allow.
    pub async fn is_authorized(&self, question: Question) -> Result<Decision, Error> {
        let request = self.of_store(question.request, |one| &mut one.policy_store);
        let call = async |mut service: Service, request| service.is_authorized(request).await;
        self.call(request, call).await.map(Decision::from)
    }

    /// Asks and returns true for an allow alone. What hinders a decision is logged as a warning,
    /// and is a deny.
    pub async fn allowed_or_deny(&self, question: Question) -> bool {
        let asked = question.to_string();
        match self.is_authorized(question).await {
            Ok(decision) => decision.is_allowed(),
            Err(error) => {
                tracing::warn!(%error, question = asked, "denied, for there is no decision");
                false
            }
        }
    }

    /// Asks many questions, which one revision of one store decides. A bad question fails alone.
    ///
    /// # Errors
    /// There are no decisions at all.
    pub async fn batch_is_authorized(&self, batch: Batch) -> Result<BatchAnswer, Error> {
        let request = self.of_store(batch.request()?, |one| &mut one.policy_store);
        let call = async |mut service: Service, request| service.batch_is_authorized(request).await;
        let answer = self.call(request, call).await?;
        Ok(BatchAnswer::of(answer, self.options.timeout))
    }

    /// Lists what a principal may do on a resource.
    ///
    /// # Errors
    /// There is no list.
    pub async fn list_actions(&self, list: ListActions) -> Result<Actions, Error> {
        let request = self.of_store(list.request, |one| &mut one.policy_store);
        let call = async |mut service: Service, request| service.list_actions(request).await;
        self.call(request, call).await.map(Actions::from)
    }

    /// Lists a page of the resources on which a principal may do an action. Needs a directory.
    ///
    /// # Errors
    /// There is no list.
    pub async fn list_resources(&self, list: ListResources) -> Result<Page, Error> {
        let request = self.of_store(list.request, |one| &mut one.policy_store);
        let call = async |mut service: Service, request| service.list_resources(request).await;
        self.call(request, call).await.map(Page::from)
    }

    /// Lists a page of the principals that may do an action on a resource. Needs a directory.
    ///
    /// # Errors
    /// There is no list.
    pub async fn list_principals(&self, list: ListPrincipals) -> Result<Page, Error> {
        let request = self.of_store(list.request, |one| &mut one.policy_store);
        let call = async |mut service: Service, request| service.list_principals(request).await;
        self.call(request, call).await.map(Page::from)
    }

    /// Fills in the client's policy store where the request names none.
    fn of_store<Q>(&self, mut request: Q, store: impl FnOnce(&mut Q) -> &mut String) -> Q {
        let store = store(&mut request);
        if store.is_empty() {
            store.clone_from(&self.options.policy_store);
        }
        request
    }

    async fn call<Q: Clone, A>(
        &self,
        question: Q,
        send: impl AsyncFn(Service, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Error> {
        let timeout = self.options.timeout.min(LONGEST);
        let deadline = Instant::now() + timeout;
        let service = AuthorizationServiceClient::new(self.channel());
        let mut pauses = self.options.retry.pauses();
        loop {
            let request = self.request(question.clone(), deadline);
            let answered = timeout_at(deadline, send(service.clone(), request)).await;
            let status = match answered {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => return Err(Error::DeadlineExceeded(timeout)),
            };
            let left = deadline.saturating_duration_since(Instant::now());
            let pause = pauses.next().filter(|pause| *pause < left);
            match (status.code(), pause) {
                (Code::Unavailable, Some(pause)) => sleep(pause).await,
                _ => return Err(Error::of(&status, timeout)),
            }
        }
    }

    fn request<Q>(&self, question: Q, deadline: Instant) -> Request<Q> {
        let mut request = Request::new(question);
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        if let Some(token) = &self.options.bearer_token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }
}

type Service = AuthorizationServiceClient<Channel>;
