//! The servers that Humbaba is compared with. Each runs in a process of its own.

use std::{num::NonZeroUsize, sync::Arc, thread::available_parallelism};

use humbaba::{
    engine,
    model::OnForbidError,
    proto::{
        self,
        authorization_service_server::{AuthorizationService, AuthorizationServiceServer},
    },
    request::RequestLimits,
    server::{
        ConnectionLimits, Connections, Listener,
        transport::{self, Workers},
    },
};
use tokio::{net::TcpListener, sync::watch};
use tonic::{Request, Response, Status};

use crate::support::{Growth, naive::Naive, store};

/// A server to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Baseline {
    /// Always the same short answer, on the same transport as Humbaba.
    Echo,
    /// Always the answer that Humbaba gives, on the same transport.
    Parrot,
    /// Always the same answer, as tonic serves by default.
    Stock,
    /// Cedar's authorizer over the whole policy set, on the same transport as Humbaba.
    Naive,
}

impl Baseline {
    pub const ALL: [Self; 4] = [Self::Echo, Self::Parrot, Self::Stock, Self::Naive];

    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Parrot => "parrot",
            Self::Stock => "stock",
            Self::Naive => "naive",
        }
    }

    /// Serves without end.
    pub fn serve(self, address: &str) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            match self {
                Self::Echo => on_our_transport(Echo(short_answer()), address).await,
                Self::Parrot => on_our_transport(Echo(full_answer()), address).await,
                Self::Stock => {
                    let address = address.parse().expect("an address");
                    let server = tonic::transport::Server::builder();
                    let mut server = server;
                    let router =
                        server.add_service(AuthorizationServiceServer::new(Echo(short_answer())));
                    router.serve(address).await.expect("it serves");
                }
                Self::Naive => {
                    let store = Arc::new(store(Growth::Policies, 0));
                    on_our_transport(WithAuthorizer(Naive::new(store)), address).await;
                }
            }
        });
    }
}

async fn on_our_transport(service: impl AuthorizationService, address: &str) {
    let limits = ConnectionLimits::default();
    let router = transport::builder(&limits).add_service(AuthorizationServiceServer::new(service));
    let listener = TcpListener::bind(address).await.expect("the address is free");
    let workers = Workers::start(available_parallelism().unwrap_or(NonZeroUsize::MIN));
    let workers = workers.expect("threads");
    let (_stop, stopped) = watch::channel(false);
    let listeners = vec![Listener::Tcp(listener)];
    let connections = Connections::new(limits.grpc, limits.patience);
    let served = transport::serve(router, &workers, listeners, &connections, stopped);
    served.await.expect("it serves");
}

/// Says the same whatever it is asked.
struct Echo(proto::IsAuthorizedResponse);

/// The least that a server can say: an allow and nothing else.
fn short_answer() -> proto::IsAuthorizedResponse {
    proto::IsAuthorizedResponse {
        decision: proto::Decision::Allow.into(),
        ..proto::IsAuthorizedResponse::default()
    }
}

/// What Humbaba answers to the question.
fn full_answer() -> proto::IsAuthorizedResponse {
    let store = store(Growth::Policies, 0);
    let now = humbaba::model::Timestamp::from_millis(0);
    let input = crate::support::input();
    let request = store.check(&input, now, &RequestLimits::default()).expect("it fits");
    let decision = engine::decide(&store, &request, OnForbidError::Deny);
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let determining = decision.determining.iter().map(|policy| proto::DeterminingPolicy {
        policy_id: policy.id().to_owned(),
        annotations: policy.annotations().map(owned).collect(),
    });
    proto::IsAuthorizedResponse {
        determining_policies: determining.collect(),
        revision: decision.revision.to_string(),
        decision_id: "019b76da-a800-7000-8000-000000000000".to_owned(),
        ..short_answer()
    }
}

#[tonic::async_trait]
impl AuthorizationService for Echo {
    async fn is_authorized(
        &self,
        _: Request<proto::IsAuthorizedRequest>,
    ) -> Result<Response<proto::IsAuthorizedResponse>, Status> {
        Ok(Response::new(self.0.clone()))
    }

    async fn batch_is_authorized(
        &self,
        _: Request<proto::BatchIsAuthorizedRequest>,
    ) -> Result<Response<proto::BatchIsAuthorizedResponse>, Status> {
        Err(Status::unimplemented("not compared"))
    }

    async fn list_actions(
        &self,
        _: Request<proto::ListActionsRequest>,
    ) -> Result<Response<proto::ListActionsResponse>, Status> {
        Err(Status::unimplemented("not compared"))
    }
}

struct WithAuthorizer(Naive);

#[tonic::async_trait]
impl AuthorizationService for WithAuthorizer {
    async fn is_authorized(
        &self,
        request: Request<proto::IsAuthorizedRequest>,
    ) -> Result<Response<proto::IsAuthorizedResponse>, Status> {
        let facts = self.0.facts(request.get_ref());
        Ok(Response::new(self.0.decide(&facts)))
    }

    async fn batch_is_authorized(
        &self,
        _: Request<proto::BatchIsAuthorizedRequest>,
    ) -> Result<Response<proto::BatchIsAuthorizedResponse>, Status> {
        Err(Status::unimplemented("not compared"))
    }

    async fn list_actions(
        &self,
        _: Request<proto::ListActionsRequest>,
    ) -> Result<Response<proto::ListActionsResponse>, Status> {
        Err(Status::unimplemented("not compared"))
    }
}
