//! Listing the entities of a directory, page by page.

use prost::Message as _;

use super::{
    convert::held_entity,
    directory_page::{self, check_names},
    page_tokens::PageTokens,
};
use crate::{
    directory::EntityFilter,
    model::Uid,
    proto,
    reload::DirectoryState,
    request::{FilterNames, Known, RequestLimits, Violation},
};

/// The most of one page.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageLimits<'a> {
    pub request: &'a RequestLimits,
    pub entities: usize,
    /// Bytes of entities together; a larger one is alone on its page.
    pub bytes: usize,
}

/// Returns one page of the entities that a question asks for.
///
/// # Errors
/// The page token belongs to another question, or the schema has no type of that name.
pub(super) fn page(
    state: &DirectoryState,
    known: Known<'_>,
    mut question: proto::ListEntitiesRequest,
    limits: PageLimits<'_>,
) -> Result<proto::ListEntitiesResponse, Vec<Violation>> {
    let size = directory_page::size(question.page_size, limits.entities);
    let name = Some(question.r#type.as_str()).filter(|name| !name.is_empty());
    let names =
        FilterNames { types: name.map(|name| ("type", name)).into_iter().collect(), role: None };
    check_names(known, &state.directory, names, question.include_ineffective, limits.request)?;
    let token = std::mem::take(&mut question.page_token);
    question.page_size = 0;
    let tokens = PageTokens::new("ListEntities", &question.encode_to_vec());
    let after = tokens.read::<(String, String)>(&token).map_err(|error| vec![error.into()])?;
    let mut last = after.map(|(type_name, id)| Uid::new(type_name, id));
    let filter = EntityFilter {
        entity_type: Some(question.r#type).filter(|name| !name.is_empty()),
        fitting: !question.include_ineffective,
    };
    let mut entities: Vec<proto::Entity> = Vec::new();
    let (mut bytes, mut next_page_token) = (0, String::new());
    for row in state.directory.entities_after(&filter, last.clone().as_ref()) {
        let uid = row.uid.clone();
        let entity = held_entity(row, known.schema);
        bytes += entity.encoded_len();
        if entities.len() == size || (bytes > limits.bytes && !entities.is_empty()) {
            let last = last.unwrap_or_default();
            next_page_token = tokens.after(&(last.type_name, last.id));
            break;
        }
        entities.push(entity);
        last = Some(uid);
    }
    Ok(proto::ListEntitiesResponse {
        entities,
        next_page_token,
        directory_version: state.version.to_string(),
    })
}
