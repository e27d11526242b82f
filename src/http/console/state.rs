//! The state of the console: the server, and the results that are kept for its pages.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    changed::Changed,
    computed::{Computed, Turns},
    coverage::Coverage,
    traffic::TrafficHistory,
};
use crate::{analysis::Matrix, grpc::GrpcServer, net::BearerTokens, reload::Live, store::Bounds};

/// Questions that are decided at once.
const ASKED_AT_ONCE: usize = 2;

/// Comparisons of two revisions that are kept of each store.
const COMPARISONS: usize = 8;

/// The console of a server. Clones are the same.
#[derive(Debug, Clone)]
pub struct Console(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub grpc: GrpcServer,
    pub bounds: Bounds,
    pub turns: Turns,
    pub matrices: Computed<Result<Matrix, String>>,
    pub coverage: Computed<Result<Coverage, String>>,
    pub comparisons: Computed<Result<Changed, String>>,
    pub traffic: TrafficHistory,
    /// The turns of those who try questions.
    pub asking: Semaphore,
    /// The tokens of which readers must know one; unset: none.
    pub tokens: Option<BearerTokens>,
}

impl Console {
    /// Makes the console of a server. `bounds` are those on stores, with which former revisions are
    /// loaded again; `tokens` are those of which a reader must know one.
    #[must_use]
    pub fn new(grpc: &GrpcServer, bounds: Bounds, tokens: Option<BearerTokens>) -> Self {
        Self(Arc::new(Inner {
            grpc: grpc.clone(),
            bounds,
            turns: Turns::default(),
            matrices: Computed::new(1),
            coverage: Computed::new(1),
            comparisons: Computed::new(COMPARISONS),
            traffic: TrafficHistory::default(),
            asking: Semaphore::new(ASKED_AT_ONCE),
            tokens,
        }))
    }

    /// Returns what is in force.
    pub fn live(&self) -> &Live {
        self.0.grpc.live()
    }
}
