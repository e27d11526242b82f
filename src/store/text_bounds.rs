//! Bounds on the texts of a store, held before Cedar reads them: a text beyond them could end the whole
//! process.

use super::{
    Bounds, FileKind, StoreFiles,
    bounds::{SETTINGS_BYTES, more_than},
    problems::Problems,
    text_scanner::{Scanner, TextExcess},
};
use crate::model::Problem;

/// Reports the texts that are beyond the bounds, at most once for each file.
pub(super) fn check(files: &StoreFiles, bounds: &Bounds, problems: &mut Problems) {
    let schemas = [FileKind::Schema, FileKind::SchemaJson];
    let policies = [FileKind::Policies, FileKind::PoliciesJson];
    let mut total =
        Total { name: "schema files", most: bounds.schema_tokens, setting: "schema_tokens" };
    total.check(files, &schemas, usize::MAX, problems);
    total = Total { name: "policies", most: bounds.tokens, setting: "tokens" };
    total.check(files, &policies, bounds.policy_tokens, problems);
    check_links(files, bounds, problems);
    for (path, text) in files.texts(FileKind::Settings, &mut Problems::default()) {
        if text.len() > SETTINGS_BYTES {
            let message = format!(
                "the file has {} bytes, more than the bound of {SETTINGS_BYTES}",
                text.len()
            );
            problems.push(Problem::of_file(files.path(path), message));
        }
    }
}

/// Holds links to the bound on tokens. In whatever quotes they stand, the characters that begin a value
/// are at least as many as the values.
fn check_links(files: &StoreFiles, bounds: &Bounds, problems: &mut Problems) {
    let mut tokens = 0_usize;
    for kind in [FileKind::Links, FileKind::LinksJson] {
        for (path, text) in files.texts(kind, &mut Problems::default()) {
            let begins = |byte: &u8| matches!(byte, b'=' | b'[' | b'{' | b',' | b':' | b'.');
            tokens = tokens.saturating_add(text.bytes().filter(|byte| begins(byte)).count());
            if tokens > bounds.tokens {
                let what = format!("all links together have, with this file, {tokens} tokens");
                let message = more_than(&what, bounds.tokens, "tokens");
                return problems.push(Problem::of_file(files.path(path), message));
            }
        }
    }
}

/// Checks the bounds of invariants, which are read only where somebody asks for them.
pub(super) fn check_invariants(files: &StoreFiles, bounds: &Bounds, problems: &mut Problems) {
    let total = Total { name: "invariants", most: bounds.tokens, setting: "tokens" };
    total.check(files, &[FileKind::Invariants], bounds.policy_tokens, problems);
}

/// A bound on the tokens of several files together.
struct Total {
    name: &'static str,
    most: usize,
    setting: &'static str,
}

impl Total {
    fn check(
        &self,
        files: &StoreFiles,
        kinds: &[FileKind],
        policy_tokens: usize,
        problems: &mut Problems,
    ) {
        let mut tokens = 0_usize;
        for &kind in kinds {
            // A file that is not UTF-8 is reported when it is really read.
            for (path, text) in files.texts(kind, &mut Problems::default()) {
                let mut scanner = Scanner::new(kind, policy_tokens);
                if let Err(TextExcess { at, message, help }) = scanner.scan(text) {
                    let problem = Problem::at(&files.shared_text(path), (at, 1), message);
                    problems.push(problem.with_help(help));
                }
                let before = tokens;
                tokens = tokens.saturating_add(scanner.tokens);
                if tokens > self.most && before <= self.most {
                    let what = format!(
                        "all {} of the store together have, with this file, {tokens} tokens",
                        self.name
                    );
                    let message = more_than(&what, self.most, self.setting);
                    problems.push(Problem::of_file(files.path(path), message));
                }
            }
        }
    }
}
