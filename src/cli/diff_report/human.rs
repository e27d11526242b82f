//! A comparison for the terminal.

use std::fmt::Write as _;

use super::{Compared, SHOWN, What, in_words, not_known, sign};

/// Tells stores in both states with their changes.
pub(in crate::cli) fn human(compared: &[Compared]) -> String {
    let mut text = String::new();
    for store in compared {
        let _ = writeln!(text, "{}", store.name);
        let (diff, flips, people) = match &store.what {
            What::Added => {
                text.push_str("  a new store: all that it allows is gained\n");
                continue;
            }
            What::Removed => {
                text.push_str("  the store is gone: all that it allowed is lost\n");
                continue;
            }
            What::Differs(diff, flips, people) => (diff, flips, people),
        };
        for change in &diff.policies {
            let (sign, what) = sign(change.kind);
            let _ = writeln!(text, "  {sign} {}{what}", change.id);
        }
        for (direction, sentence, witness) in store.sentences() {
            let _ = writeln!(text, "  {sentence}");
            for line in witness.map(ToString::to_string).unwrap_or_default().lines() {
                let _ = writeln!(text, "      {line}");
            }
            // A permit that failed granted nothing, which the request alone does not show.
            for error in store.errors_before(direction, witness) {
                let _ = writeln!(text, "      before: {error}");
            }
        }
        for flip in flips {
            let answer = if flip.gains { "is allowed now" } else { "is denied now" };
            let _ = writeln!(
                text,
                "  recorded {} times: {} {answer}: {}",
                flip.count, flip.principal, flip.action
            );
        }
        for person in people.changes.iter().take(SHOWN) {
            let _ = writeln!(text, "  {}", in_words(person));
        }
        if let Some(more @ 1..) = people.changes.len().checked_sub(SHOWN) {
            let _ = writeln!(text, "  and {more} more; `--format json` has them all");
        }
        if let Some(judged) = people.judged_with() {
            let _ = writeln!(text, "  {judged}");
        }
        for line in not_known(diff) {
            let _ = writeln!(text, "  {line}");
        }
        let _ = writeln!(text, "  {}", store.summary());
    }
    text
}
