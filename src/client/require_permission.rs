//! A tower layer that lets a request through only where it is allowed.

use std::{
    future::Future,
    marker::PhantomData,
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use http::{
    Request, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE},
    request::Parts,
};
use tonic::Status;
use tower::{Layer, Service};

use super::{Client, Question};

/// A layer for axum ([`RequirePermission::http`]) and tonic ([`RequirePermission::grpc`]).
///
/// A function makes the question of a request's head. Only an allow lets the request through, with
/// the [`Decision`](super::Decision) in its extensions; the body is not read before. Others get:
///
/// | | HTTP | gRPC |
/// |---|---|---|
/// | the function says that nobody is logged in | 401 | UNAUTHENTICATED |
/// | denied, by the function or by the policies | 403 with the reason | PERMISSION_DENIED with the reason |
/// | no decision could be had | 503 | UNAVAILABLE |
///
/// A response to what the policies denied has the [`Decision`](super::Decision) in its extensions, for a
/// layer around this one that says it in another form.
///
/// ```no_run
/// use humbaba::client::{Client, Question, Refusal, RequirePermission, Uid};
///
/// # #[cfg(feature = "server")]
/// # fn example(client: Client, create_goal: axum::routing::MethodRouter) -> axum::Router {
/// let may_create_goals = RequirePermission::http(client, |request| {
///     let user = request.headers.get("x-user").and_then(|user| user.to_str().ok());
///     let user = user.ok_or_else(|| Refusal::Unauthenticated("log in first".to_owned()))?;
///     let site = request.uri.path().split('/').nth(2).unwrap_or_default();
///     Ok(Question::new(Uid::new("User", user), "site.goals.create", Uid::new("Site", site)).explain())
/// });
/// axum::Router::new().route("/sites/{id}/goals", create_goal).layer(may_create_goals)
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RequirePermission<F, A> {
    client: Client,
    question: F,
    answers: PhantomData<A>,
}

/// Why a request is not let through.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Nobody is logged in.
    Unauthenticated(String),
    /// It is not allowed.
    Denied(String),
    /// There is no decision.
    Unavailable,
}

/// Answers in the form of HTTP.
#[derive(Debug, Clone, Copy)]
pub struct Http;

/// Answers in the form of gRPC.
#[derive(Debug, Clone, Copy)]
pub struct Grpc;

/// The form in which a request is refused, with bodies of type `B`.
pub trait Face<B> {
    /// Makes the response.
    fn refuse(refusal: Refusal) -> Response<B>;
}

/// Words for a caller who need not know why.
const UNAVAILABLE: &str = "permissions cannot be checked at the moment: try again later";

impl<B: From<String>> Face<B> for Http {
    fn refuse(refusal: Refusal) -> Response<B> {
        let (code, words) = match refusal {
            Refusal::Unauthenticated(words) => (StatusCode::UNAUTHORIZED, words),
            Refusal::Denied(words) => (StatusCode::FORBIDDEN, words),
            Refusal::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE.to_owned()),
        };
        let mut response = Response::new(B::from(words));
        *response.status_mut() = code;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        if code == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl<B: Default> Face<B> for Grpc {
    fn refuse(refusal: Refusal) -> Response<B> {
        let status = match refusal {
            Refusal::Unauthenticated(words) => Status::unauthenticated(words),
            Refusal::Denied(words) => Status::permission_denied(words),
            Refusal::Unavailable => Status::unavailable(UNAVAILABLE),
        };
        status.into_http()
    }
}

impl<F> RequirePermission<F, Http>
where
    F: Fn(&Parts) -> Result<Question, Refusal>,
{
    /// Makes the layer for HTTP.
    pub fn http(client: Client, question: F) -> Self {
        Self { client, question, answers: PhantomData }
    }
}

impl<F> RequirePermission<F, Grpc>
where
    F: Fn(&Parts) -> Result<Question, Refusal>,
{
    /// Makes the layer for gRPC. The path of a request is `/package.Service/Method`.
    pub fn grpc(client: Client, question: F) -> Self {
        Self { client, question, answers: PhantomData }
    }
}

impl<S, F: Clone, A> Layer<S> for RequirePermission<F, A> {
    type Service = PermissionService<S, F, A>;

    fn layer(&self, inner: S) -> Self::Service {
        let (client, question) = (self.client.clone(), self.question.clone());
        let required = RequirePermission { client, question, answers: PhantomData };
        PermissionService { inner, required }
    }
}

/// A service behind [`RequirePermission`].
#[derive(Debug, Clone)]
pub struct PermissionService<S, F, A> {
    inner: S,
    required: RequirePermission<F, A>,
}

impl<S, F, A, B, R> Service<Request<B>> for PermissionService<S, F, A>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    F: Fn(&Parts) -> Result<Question, Refusal>,
    A: Face<R>,
    B: Send + 'static,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that was polled until it was ready is called; its clone need not be ready.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let client = self.required.client.clone();
        let (mut head, body) = request.into_parts();
        let question = (self.required.question)(&head);
        Box::pin(async move {
            let decision = match question {
                Ok(question) => decided(&client, question).await,
                Err(refusal) => Err(refusal),
            };
            match decision {
                Ok(decision) if decision.is_allowed() => {
                    head.extensions.insert(decision);
                    inner.call(Request::from_parts(head, body)).await
                }
                Ok(decision) => {
                    let mut response = A::refuse(Refusal::Denied(decision.reason().to_owned()));
                    response.extensions_mut().insert(decision);
                    Ok(response)
                }
                Err(refusal) => Ok(A::refuse(refusal)),
            }
        })
    }
}

async fn decided(client: &Client, question: Question) -> Result<super::Decision, Refusal> {
    let asked = question.to_string();
    client.is_authorized(question).await.map_err(|error| {
        tracing::warn!(%error, question = asked, "refused, for there is no decision");
        Refusal::Unavailable
    })
}
