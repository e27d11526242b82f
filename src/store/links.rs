//! `*.links.toml`: links of templates.

use std::collections::HashMap;

use cedar_policy::{EntityId, EntityTypeName, EntityUid, ParseErrors, PolicyId, SlotId};
use serde::Deserialize;
use toml::Spanned;

use super::{Bounds, FileKind, StoreFiles, policies::ParsedPolicies, settings::toml_problem};
use crate::model::Problem;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinksFile {
    #[serde(default)]
    link: Vec<Spanned<Link>>,
}

/// One link: the id of the policy that it makes, the template, and what fills its slots.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Link {
    id: String,
    template: String,
    principal: Option<Spanned<String>>,
    resource: Option<Spanned<String>>,
}

pub(super) fn link(
    files: &StoreFiles,
    mut parsed: ParsedPolicies,
    bounds: &Bounds,
    problems: &mut Vec<Problem>,
) -> ParsedPolicies {
    let mut uids = Uids::default();
    for (path, text) in files.texts(FileKind::Links, problems) {
        match toml::from_str::<LinksFile>(text) {
            Ok(file) => {
                for link in file.link {
                    if let Err(problem) = add(files, path, text, &link, &mut uids, &mut parsed) {
                        problems.push(*problem);
                    }
                }
            }
            Err(error) => problems.push(toml_problem(&files.path(path), text, &error)),
        }
    }
    let count = parsed.set.num_of_policies() + parsed.set.num_of_templates();
    if count > bounds.policies {
        problems.push(Problem::of_file(
            files.name().as_str(),
            format!(
                "the store has {count} policies, templates and links, more than the bound of {}",
                bounds.policies
            ),
        ));
    }
    parsed
}

fn add(
    files: &StoreFiles,
    path: &str,
    text: &str,
    link: &Spanned<Link>,
    uids: &mut Uids,
    parsed: &mut ParsedPolicies,
) -> Result<(), Box<Problem>> {
    let problem =
        |span, message| Box::new(Problem::at(files.path(path), text, span, None, message));
    let id = PolicyId::new(&link.get_ref().id);
    if let Some(other) = parsed.files.get(&id) {
        let message =
            format!("two policies have the id `{id}`: the other is in {}", files.path(other));
        return Err(Box::new(
            problem(link.span(), message).with_help("give this link another `id`"),
        ));
    }
    let mut slots = HashMap::new();
    let Link { template, principal, resource, .. } = link.get_ref();
    for (slot, uid) in [(SlotId::principal(), principal), (SlotId::resource(), resource)] {
        let Some(uid) = uid else { continue };
        let entity = uids.parse(uid.get_ref());
        slots.insert(slot, entity.map_err(|error| problem(uid.span(), error.to_string()))?);
    }
    parsed
        .set
        .link(PolicyId::new(template), id.clone(), slots)
        .map_err(|error| problem(link.span(), error.to_string()))?;
    parsed.files.insert(id, path.to_owned());
    Ok(())
}

/// Entities by their text. Cedar's parser is asked once for each type of which the ids are plain: it
/// makes ready for the whole language every time.
#[derive(Default)]
struct Uids {
    types: HashMap<String, EntityTypeName>,
}

impl Uids {
    #[expect(clippy::result_large_err, reason = "the error is Cedar's own")]
    fn parse(&mut self, text: &str) -> Result<EntityUid, ParseErrors> {
        let Some((written, id)) = plain(text) else { return text.parse() };
        if let Some(entity_type) = self.types.get(written) {
            return Ok(EntityUid::from_type_name_and_id(entity_type.clone(), EntityId::new(id)));
        }
        let uid: EntityUid = text.parse()?;
        self.types.insert(written.to_owned(), uid.type_name().clone());
        Ok(uid)
    }
}

/// The type and the id of an entity whose id stands in the text as it is.
fn plain(text: &str) -> Option<(&str, &str)> {
    let (written, id) = text.strip_suffix('"')?.split_once("::\"")?;
    let is_plain =
        |byte: u8| byte == b' ' || byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    id.bytes().all(is_plain).then_some((written, id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::string_slice)]

    use super::*;

    #[test]
    fn entities_are_read_as_cedar_reads_them() {
        let mut uids = Uids::default();
        let ids = (0..=127_u8).map(|byte| format!("a{}b", char::from(byte)));
        let ids = ids.chain(["", "\u{e4}", "\\n", "\\\"", "a\\\\", "::\"b"].map(str::to_owned));
        let ids: Vec<_> = ids.collect();
        for written in ["User", "App::User", "User", " User", "if", "__cedar::User", "", "A B"] {
            for id in &ids {
                let text = format!("{written}::\"{id}\"");
                for text in [text.as_str(), &text[..text.len() - 1]] {
                    let (read, cedars) = (uids.parse(text), text.parse::<EntityUid>());
                    assert_eq!(read.ok(), cedars.ok(), "{text}");
                }
            }
        }
    }
}
