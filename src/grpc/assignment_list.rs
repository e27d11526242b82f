//! Listing the role assignments of a directory, page by page.

use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::convert::{held_assignment, uid_of};
use crate::{
    directory::{AssignmentFilter, AssignmentKey},
    model::{Timestamp, Uid, hex, unhex},
    proto,
    reload::DirectoryState,
    request::{FieldPath, Violation},
};

/// Bytes of the digest with which a page token begins.
const DIGEST: usize = 16;

/// Returns one page of the assignments that a question asks for.
///
/// # Errors
/// The page token is none of this question.
pub(super) fn page(
    state: &DirectoryState,
    mut question: proto::ListAssignmentsRequest,
    limit: usize,
    now: Timestamp,
) -> Result<proto::ListAssignmentsResponse, Vec<Violation>> {
    let size = match usize::try_from(question.page_size).unwrap_or(usize::MAX) {
        0 => limit,
        size => size.min(limit),
    };
    let token = std::mem::take(&mut question.page_token);
    question.page_size = 0;
    let asked = question.encode_to_vec();
    let after = (!token.is_empty()).then(|| last_key(&token, &asked)).transpose()?;
    let uid = |sent: Option<proto::EntityUid>| sent.map(uid_of);
    let filter = AssignmentFilter {
        principal: uid(question.principal),
        role: Some(question.role).filter(|role| !role.is_empty()),
        scope: uid(question.scope),
        in_force_at: (!question.include_ineffective).then_some(now),
    };
    // One more tells whether there is another page.
    let mut page = state.directory.assignments_page(&filter, after.as_ref(), size + 1);
    let is_last = page.len() <= size;
    page.truncate(size);
    let next_page_token = match page.last() {
        Some(last) if !is_last => token_after(&last.key, &asked),
        _ => String::new(),
    };
    Ok(proto::ListAssignmentsResponse {
        assignments: page.into_iter().map(held_assignment).collect(),
        next_page_token,
        directory_version: state.version.to_string(),
    })
}

/// The key of an assignment in a page token.
type TokenKey = (String, String, String, String, String);

/// Returns the token with which the page after a key is asked for.
fn token_after(key: &AssignmentKey, asked: &[u8]) -> String {
    let AssignmentKey { principal, role, scope } = key.clone();
    let key: TokenKey = (principal.type_name, principal.id, role, scope.type_name, scope.id);
    // Texts are always JSON.
    let key = serde_json::to_vec(&key).unwrap_or_default();
    hex([&digest(&key, asked)[..], &key].concat().as_slice())
}

/// Reads the key of a token, if it is one of that question.
fn last_key(token: &str, asked: &[u8]) -> Result<AssignmentKey, Vec<Violation>> {
    let read = || {
        let bytes = unhex(token)?;
        let (sealed, key) = bytes.split_at_checked(DIGEST)?;
        if sealed != digest(key, asked) {
            return None;
        }
        serde_json::from_slice::<TokenKey>(key).ok()
    };
    match read() {
        Some((principal_type, principal_id, role, scope_type, scope_id)) => Ok(AssignmentKey {
            principal: Uid::new(principal_type, principal_id),
            role,
            scope: Uid::new(scope_type, scope_id),
        }),
        None => Err(vec![FieldPath::Field("page_token").violation(
            "it is no token of this question: send the `next_page_token` of the page before, with \
             the same question, or none to begin again",
        )]),
    }
}

fn digest(key: &[u8], asked: &[u8]) -> Vec<u8> {
    let digest = Sha256::new().chain_update((key.len() as u64).to_be_bytes());
    let digest = digest.chain_update(key).chain_update(asked).finalize();
    digest.into_iter().take(DIGEST).collect()
}
