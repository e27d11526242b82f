//! What is known to be valid, so that it need not be validated again.

use std::collections::HashSet;

use cedar_policy::PolicyId;
use sha2::{Digest, Sha256};

use super::{
    FileKind, PolicyStore, StoreFiles, policies, policies::ParsedPolicies, schema, settings,
};
use crate::diagnostics::Problem;

/// Digests of the policy files of the shipped stores, each with its schema, which a test has
/// validated as a whole. A file with another content is not in it, and neither is any file that
/// stands beside another schema.
const RECORD: &str = include_str!("validated.txt");

/// The policies of a store that need not be validated.
#[derive(Default)]
pub(super) struct Known<'a> {
    /// Files that are in the record.
    files: HashSet<&'a str>,
    /// The last valid state of the store.
    last: Option<&'a PolicyStore>,
}

impl<'a> Known<'a> {
    /// What is known of the policies in those files.
    pub fn new(files: &'a StoreFiles, level: Option<u32>, last: Option<&'a PolicyStore>) -> Self {
        let record: HashSet<&str> = RECORD.lines().collect();
        let recorded = digests(files, level)
            .filter(|(_, digest)| record.contains(digest.as_str()))
            .map(|(path, _)| path);
        // Warnings have places that may have moved, so a store that has some is validated as a
        // whole.
        let last = last.filter(|last| {
            last.level == level
                && last.files.same(FileKind::Schema, files)
                && last.warnings().is_empty()
        });
        Self { files: recorded.collect(), last }
    }

    /// Whether a policy, template or link is known to be valid.
    pub fn holds(&self, parsed: &ParsedPolicies, id: &PolicyId) -> bool {
        let is_recorded =
            || parsed.files.get(id).is_some_and(|path| self.files.contains(path.as_str()));
        self.last.is_some_and(|last| is_same(parsed, last, id)) || is_recorded()
    }
}

fn is_same(parsed: &ParsedPolicies, last: &PolicyStore, id: &PolicyId) -> bool {
    let (now, then) = (&parsed.set, &last.policies);
    match (now.policy(id), now.template(id)) {
        (Some(policy), _) => then.policy(id) == Some(policy),
        (None, Some(template)) => then.template(id) == Some(template),
        (None, None) => false,
    }
}

/// The policy files with digests of all that their being valid depends on.
fn digests(files: &StoreFiles, level: Option<u32>) -> impl Iterator<Item = (&str, String)> {
    let of_kind = |kind| files.iter().filter(move |(path, _)| FileKind::of(path) == Some(kind));
    let mut schema = Sha256::new();
    schema.update(format!("{level:?}"));
    for (_, bytes) in of_kind(FileKind::Schema) {
        schema.update((bytes.len() as u64).to_le_bytes());
        schema.update(bytes);
    }
    of_kind(FileKind::Policies).map(move |(path, bytes)| {
        let mut hash = schema.clone();
        hash.update("policies");
        hash.update(bytes);
        (path, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    })
}

/// The record of what is valid in those stores, all of which is validated for it: what
/// `src/store/validated.txt` has to hold of the shipped stores.
///
/// # Errors
/// What is not valid, or looks like a mistake.
pub fn validation_record(stores: &[StoreFiles]) -> Result<String, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut lines = Vec::new();
    for files in stores {
        let level = settings::read(files, &mut problems).level;
        let parsed = policies::read(files, &mut problems);
        if let Some(schema) = schema::read(files, &mut problems) {
            let known = Known::default();
            let warnings =
                policies::validate(files, &schema, &parsed, &known, level, &mut problems);
            problems.extend(warnings);
        }
        lines.extend(digests(files, level).map(|(_, digest)| digest + "\n"));
    }
    lines.sort();
    lines.dedup();
    if problems.is_empty() { Ok(lines.concat()) } else { Err(problems) }
}
