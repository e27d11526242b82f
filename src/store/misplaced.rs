//! Files that lie where they are read as something else, or not at all: invariants that would decide,
//! a store within a store, a folder whose name is nearly one that is read.

use std::collections::{BTreeMap, BTreeSet};

use cedar_policy::PolicyId;

use super::{
    FileKind, StoreFiles,
    file_place::{nearly_in, nested_part},
    parsed_policies::ParsedPolicies,
    policy_checks::PolicyTexts,
    problems::Problems,
};
use crate::model::Problem;

/// The annotations that make a policy an invariant.
const CLAIMS: [&str; 2] = ["never", "always"];

/// Refuses policies that are written as invariants: they would allow what nobody may be allowed.
pub(super) fn invariants_that_decide(
    files: &StoreFiles,
    parsed: &ParsedPolicies,
    problems: &mut Problems,
) {
    let policies = parsed.set.policies();
    let policies = policies.map(|policy| (policy.id(), claim_of(policy.annotations())));
    let templates = parsed.set.templates();
    let templates = templates.map(|template| (template.id(), claim_of(template.annotations())));
    let claims = policies.chain(templates);
    let mut found: Vec<(&PolicyId, &str)> =
        claims.filter_map(|(id, claim)| Some((id, claim?))).collect();
    found.sort();
    let texts = PolicyTexts::new(files, parsed);
    for (id, claim) in found {
        let message = format!(
            "the policy `{id}` has `@{claim}`, as an invariant has, and would decide requests: \
             invariants are read from `invariants/` alone"
        );
        let help = "move it to `invariants/` at the top of the store's folder, or, if it is to decide, \
                    remove the annotation";
        problems.push(texts.problem(id, message).with_help(help));
    }
}

fn claim_of<'a>(mut annotations: impl Iterator<Item = (&'a str, &'a str)>) -> Option<&'static str> {
    annotations.find_map(|(name, _)| CLAIMS.into_iter().find(|claim| *claim == name))
}

/// Refuses a store in whose folder another one lies: of that one the tests, invariants and settings would
/// not be read, and its invariants would decide.
pub(super) fn nested_stores(files: &StoreFiles) -> Vec<Problem> {
    let schemas = files.iter().filter(|(path, _)| {
        matches!(FileKind::of(path), Some(FileKind::Schema | FileKind::SchemaJson))
    });
    let folders: BTreeSet<&str> =
        schemas.filter_map(|(path, _)| Some(path.rsplit_once('/')?.0)).collect();
    let mut parts: BTreeMap<&str, &str> = BTreeMap::new();
    for (path, _) in files.iter() {
        for folder in nested_part(path) {
            parts.entry(folder).or_insert(path);
        }
    }
    let nested = folders.into_iter().filter_map(|folder| {
        let part = parts.get(folder)?;
        let problem = Problem::of_file(
            files.path(folder),
            format!(
                "the folder holds a schema and `{part}`, which is read at the top of a store's folder \
                 alone: it looks like a store of its own"
            ),
        );
        let name = files.name();
        Some(problem.with_help(format!(
            "if `{name}` is the folder of the stores, name it instead of the folder above it; if \
             `{name}` is the store, move the files in `{folder}` to its top"
        )))
    });
    nested.collect()
}

/// Warns of folders whose name is nearly one that is read.
pub(super) fn nearly_named_folders(files: &StoreFiles) -> Vec<Problem> {
    let nearly = files.iter().filter_map(|(path, _)| Some((nearly_in(path)?, path)));
    let mut folders: Vec<((&str, &str), bool)> = Vec::new();
    for (folder, path) in nearly {
        let decides = FileKind::of(path).is_some_and(FileKind::decides);
        match folders.iter_mut().find(|(known, _)| *known == folder) {
            Some((_, any)) => *any |= decides,
            None => folders.push((folder, decides)),
        }
    }
    let warning = |((folder, meant), decides): ((&str, &str), bool)| {
        let message = if decides {
            format!("the folder is not `{meant}/`: policies, links and entities in it decide")
        } else {
            format!("the folder is not `{meant}/`: its files are not read")
        };
        Problem::of_file(files.path(folder), message).with_help(format!("call it `{meant}`"))
    };
    folders.into_iter().map(warning).collect()
}
