//! The server that AuthZEN decides with.

use std::sync::Arc;

use crate::{
    grpc::{Decider, GrpcServer},
    http::PublicUrl,
    net::LongCallPool,
};

/// Answers questions in the form of AuthZEN. Clones are the same.
#[derive(Clone)]
pub(in crate::http) struct Authzen(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub grpc: GrpcServer,
    pub decider: Decider,
    /// Decides what would hold up other requests.
    pub pool: LongCallPool,
    pub public_url: Option<PublicUrl>,
}

impl Authzen {
    /// Answers with what is live in a gRPC server, within its limits.
    pub fn new(grpc: &GrpcServer, pool: LongCallPool, public_url: Option<PublicUrl>) -> Self {
        let (grpc, decider) = (grpc.clone(), grpc.decider());
        Self(Arc::new(Inner { grpc, decider, pool, public_url }))
    }
}
