//! The name of one decision.

use tonic::metadata::MetadataMap;
use uuid::{NoContext, Uuid};

use crate::time::Timestamp;

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

    /// A new name for a decision that is made now. Names made later sort later.
    pub fn new(now: Timestamp) -> Self {
        let since_epoch = u64::try_from(now.as_millis()).unwrap_or_default();
        let (seconds, millis) = (since_epoch / 1_000, since_epoch % 1_000);
        let nanos = u32::try_from(millis * 1_000_000).unwrap_or_default();
        // Without a context, which would be one lock for the whole process.
        let time = uuid::Timestamp::from_unix(NoContext, seconds, nanos);
        let mut text = Uuid::encode_buffer();
        Self(Uuid::new_v7(time).hyphenated().encode_lower(&mut text).to_owned())
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
