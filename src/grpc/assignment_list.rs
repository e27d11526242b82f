//! Listing the role assignments of a directory, page by page.

use prost::Message as _;

use super::{
    convert::{held_assignment, uid_of},
    directory_page::{self, check_names},
    page_tokens::PageTokens,
};
use crate::{
    directory::{AssignmentFilter, AssignmentKey},
    model::{Timestamp, Uid},
    proto,
    reload::DirectoryState,
    request::{FilterNames, Known, RequestLimits, Violation},
};

/// Returns one page of the assignments that a question asks for.
///
/// # Errors
/// The page token belongs to another question, or the schema does not have a type or role that is named.
pub(super) fn page(
    state: &DirectoryState,
    known: Known<'_>,
    limits: &RequestLimits,
    mut question: proto::ListAssignmentsRequest,
    page_items: usize,
    now: Timestamp,
) -> Result<proto::ListAssignmentsResponse, Vec<Violation>> {
    let size = directory_page::size(question.page_size, page_items);
    let types = [("principal.type", &question.principal), ("scope.type", &question.scope)];
    let types = types.into_iter().filter_map(|(field, uid)| Some((field, &*uid.as_ref()?.r#type)));
    let role = Some(question.role.as_str()).filter(|role| !role.is_empty());
    let names = FilterNames { types: types.collect(), role };
    check_names(known, &state.directory, names, question.include_ineffective, limits)?;
    let token = std::mem::take(&mut question.page_token);
    question.page_size = 0;
    let tokens = PageTokens::new("ListAssignments", &question.encode_to_vec());
    let after = tokens.read(&token).map_err(|error| vec![error.into()])?.map(assignment_key);
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
        Some(last) if !is_last => tokens.after(&token_key(&last.key)),
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

fn token_key(key: &AssignmentKey) -> TokenKey {
    let AssignmentKey { principal, role, scope } = key.clone();
    (principal.type_name, principal.id, role, scope.type_name, scope.id)
}

fn assignment_key(
    (principal_type, principal_id, role, scope_type, scope_id): TokenKey,
) -> AssignmentKey {
    let (principal, scope) =
        (Uid::new(principal_type, principal_id), Uid::new(scope_type, scope_id));
    AssignmentKey { principal, role, scope }
}
