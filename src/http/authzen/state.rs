//! The server that AuthZEN decides with.

use std::sync::Arc;

use crate::{
    grpc::{Decider, GrpcServer},
    http::PublicUrl,
    net::BlockingPool,
};

/// Answers questions in the form of AuthZEN. Clones are the same.
#[derive(Clone)]
pub(in crate::http) struct Authzen(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub grpc: GrpcServer,
    pub decider: Decider,
    /// Decides what would hold up other requests.
    pub pool: BlockingPool,
    pub public_url: Option<PublicUrl>,
}

impl Authzen {
    /// Answers with what is live in a gRPC server, within its limits.
    pub fn new(grpc: &GrpcServer, pool: BlockingPool, public_url: Option<PublicUrl>) -> Self {
        let (grpc, decider) = (grpc.clone(), grpc.decider());
        Self(Arc::new(Inner { grpc, decider, pool, public_url }))
    }
}
