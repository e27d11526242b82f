//! `*.links.toml`: links of templates.

use std::collections::HashMap;

use cedar_policy::{EntityUid, PolicyId, SlotId};
use serde::Deserialize;
use toml::Spanned;

use super::{Bounds, FileKind, StoreFiles, policies::ParsedPolicies, settings::toml_problem};
use crate::diagnostics::Problem;

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
    for (path, text) in files.texts(FileKind::Links, problems) {
        match toml::from_str::<LinksFile>(text) {
            Ok(file) => {
                for link in file.link {
                    if let Err(problem) = add(files, path, text, &link, &mut parsed) {
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
        let entity = uid.get_ref().parse::<EntityUid>();
        slots.insert(slot, entity.map_err(|error| problem(uid.span(), error.to_string()))?);
    }
    parsed
        .set
        .link(PolicyId::new(template), id.clone(), slots)
        .map_err(|error| problem(link.span(), error.to_string()))?;
    parsed.files.insert(id, path.to_owned());
    Ok(())
}
