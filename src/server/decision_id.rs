//! The name of one decision.

use std::time::SystemTime;

use tonic::metadata::MetadataMap;
use uuid::{NoContext, Uuid};

/// The metadata key under which a caller may name its request.
const REQUEST_ID: &str = "x-request-id";
const LONGEST: usize = 128;

/// Names one decision in logs.
#[derive(Debug, Clone)]
pub(super) struct DecisionId(String);

impl DecisionId {
    /// The caller's own name for the request, if it sent one that can go into any log: 1 to 128
    /// visible ASCII characters.
    pub fn sent(metadata: &MetadataMap) -> Option<Self> {
        let id = metadata.get(REQUEST_ID)?.to_str().ok()?;
        let fits = (1..=LONGEST).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(id.to_owned()))
    }

    /// A new name. Names made later sort later.
    pub fn new() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let since_epoch = since_epoch.unwrap_or_default();
        // Without a context, which would be one lock for the whole process.
        let time = uuid::Timestamp::from_unix(
            NoContext,
            since_epoch.as_secs(),
            since_epoch.subsec_nanos(),
        );
        Self(Uuid::new_v7(time).to_string())
    }
}

impl From<String> for DecisionId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl From<DecisionId> for String {
    fn from(id: DecisionId) -> Self {
        id.0
    }
}
