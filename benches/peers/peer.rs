//! The part of the measurements under load that is written in Rust: a stock tonic server to compare
//! with, and the messages that h2load sends.
//!
//! `benches/peers/run` and `benches/served/run` build and use it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod questions;
#[path = "../support/mod.rs"]
mod support;

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use humbaba::proto::{
    self,
    authorization_service_server::{AuthorizationService, AuthorizationServiceServer},
};
use tonic::{Request, Response, Status};

/// The allocator of the product, so that it is no part of the comparison.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
enum Command {
    /// Serve with tonic's router as it comes: every question is allowed, and none is looked at
    Serve {
        /// Address to listen on
        listen: SocketAddr,
    },
    /// Write the messages that are sent, framed for gRPC, and the policies of growing stores
    Write {
        /// The folder to write to
        folder: PathBuf,
    },
}

#[tokio::main]
async fn main() {
    match Command::parse() {
        Command::Serve { listen } => {
            let mut server = tonic::transport::Server::builder();
            let router = server.add_service(AuthorizationServiceServer::new(Echo));
            router.serve(listen).await.expect("the address is free");
        }
        Command::Write { folder } => questions::write(&folder),
    }
}

/// Allows everything.
struct Echo;

#[tonic::async_trait]
impl AuthorizationService for Echo {
    async fn is_authorized(
        &self,
        _: Request<proto::IsAuthorizedRequest>,
    ) -> Result<Response<proto::IsAuthorizedResponse>, Status> {
        Ok(Response::new(proto::IsAuthorizedResponse {
            decision: proto::Decision::Allow.into(),
            ..proto::IsAuthorizedResponse::default()
        }))
    }

    async fn batch_is_authorized(
        &self,
        _: Request<proto::BatchIsAuthorizedRequest>,
    ) -> Result<Response<proto::BatchIsAuthorizedResponse>, Status> {
        Err(Status::unimplemented("only IsAuthorized is compared"))
    }

    async fn list_resources(
        &self,
        _: Request<proto::ListResourcesRequest>,
    ) -> Result<Response<proto::ListResourcesResponse>, Status> {
        Err(Status::unimplemented("only IsAuthorized is compared"))
    }

    async fn list_principals(
        &self,
        _: Request<proto::ListPrincipalsRequest>,
    ) -> Result<Response<proto::ListPrincipalsResponse>, Status> {
        Err(Status::unimplemented("only IsAuthorized is compared"))
    }

    async fn list_actions(
        &self,
        _: Request<proto::ListActionsRequest>,
    ) -> Result<Response<proto::ListActionsResponse>, Status> {
        Err(Status::unimplemented("only IsAuthorized is compared"))
    }
}
