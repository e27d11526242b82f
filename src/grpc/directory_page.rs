//! The pages in which a directory is listed: their size, and the tokens with which one asks for the next.

use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};

use crate::{
    directory::Directory,
    model::{hex, unhex},
    request::{FieldPath, FilterNames, Known, RequestLimits, Violation, check_filter},
};

/// Bytes of the digest with which a token begins.
const DIGEST: usize = 16;

/// Returns the size of a page: `asked`, up to the limit; 0 asks for the limit.
pub(super) fn size(asked: u32, limit: usize) -> usize {
    match usize::try_from(asked).unwrap_or(usize::MAX) {
        0 => limit,
        size => size.min(limit),
    }
}

/// Refuses names that narrow a list and that the schema does not have. Where rows that do not fit it are
/// wanted too, those that such rows have are taken.
pub(super) fn check_names(
    known: Known<'_>,
    directory: &Directory,
    mut names: FilterNames<'_>,
    takes_ineffective: bool,
    limits: &RequestLimits,
) -> Result<(), Vec<Violation>> {
    if takes_ineffective {
        names.types.retain(|(_, name)| !directory.names_type(name));
        names.role = names.role.filter(|role| !directory.names_role(role));
    }
    check_filter(known, &names, limits)
}

/// Returns the token with which the page after a key is asked for. It holds for that question alone.
pub(super) fn token_after(key: &impl Serialize, question: &[u8]) -> String {
    // Texts are always JSON.
    let key = serde_json::to_vec(key).unwrap_or_default();
    hex([&digest(&key, question)[..], &key].concat().as_slice())
}

/// Reads the key of a token; nothing where there is no token.
///
/// # Errors
/// The token is none of that question.
pub(super) fn last_key<K: DeserializeOwned>(
    token: &str,
    question: &[u8],
) -> Result<Option<K>, Vec<Violation>> {
    if token.is_empty() {
        return Ok(None);
    }
    let read = || {
        let bytes = unhex(token)?;
        let (sealed, key) = bytes.split_at_checked(DIGEST)?;
        if sealed != digest(key, question) {
            return None;
        }
        serde_json::from_slice(key).ok()
    };
    read().map(Some).ok_or_else(|| {
        vec![FieldPath::Field("page_token").violation(
            "it is no token of this question: send the `next_page_token` of the page before, with \
             the same question, or none to begin again",
        )]
    })
}

fn digest(key: &[u8], question: &[u8]) -> Vec<u8> {
    let digest = Sha256::new().chain_update((key.len() as u64).to_be_bytes());
    let digest = digest.chain_update(key).chain_update(question).finalize();
    digest.into_iter().take(DIGEST).collect()
}
