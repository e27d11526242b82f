//! Decision ids.

use tonic::codegen::http::HeaderMap;
use uuid::{NoContext, Uuid};

use crate::model::Timestamp;

/// The metadata key under which a caller may name its request.
const REQUEST_ID: &str = "x-request-id";
const LONGEST: usize = 128;

/// The name of one decision in logs and answers.
#[derive(Debug, Clone)]
pub(crate) struct DecisionId(String);

impl DecisionId {
    /// Returns the caller's own id of the request, if it sent one that can go into any log: 1 to 128
    /// visible ASCII characters.
    pub fn sent(headers: &HeaderMap) -> Option<Self> {
        let id = headers.get(REQUEST_ID)?.to_str().ok()?;
        let fits = (1..=LONGEST).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| Self(id.to_owned()))
    }

    /// Makes a new id, a UUID of version 7. Those of a later
    /// millisecond sort later.
    pub fn new(now: Timestamp) -> Self {
        Self(new_v7(now).to_string())
    }
}

fn new_v7(now: Timestamp) -> Uuid {
    let since_epoch = u64::try_from(now.as_millis()).unwrap_or_default();
    let (seconds, millis) = (since_epoch / 1_000, since_epoch % 1_000);
    let nanos = u32::try_from(millis * 1_000_000).unwrap_or_default();
    // Without a context, which would be one lock for the whole process.
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn ids_are_uuids_of_version_7_at_the_time_of_the_decision() {
        let ids = [1_767_225_600_000, 1_767_225_600_000, 1_767_225_600_001]
            .map(|millis| String::from(DecisionId::new(Timestamp::from_millis(millis))));
        for id in &ids {
            let id: Uuid = id.parse().unwrap();
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
            assert_eq!(id.get_timestamp().unwrap().to_unix().0, 1_767_225_600);
        }
        let [one, other, later] = ids;
        assert!(one != other && one < later && other < later);
    }

    #[test]
    fn an_id_that_cannot_go_into_a_log_is_not_taken() {
        for (sent, is_taken) in
            [("mine", true), ("", false), ("a b", false), (&"x".repeat(129), false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, sent.parse().unwrap());
            assert_eq!(DecisionId::sent(&headers).is_some(), is_taken, "{sent:?}");
        }
    }
}
