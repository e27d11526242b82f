//! A comparison for the description of a change.

use std::fmt::Write as _;

use super::{Compared, SHOWN, What, in_words, not_known, sign};
use crate::analysis::Direction;

pub(in crate::cli) fn markdown(compared: &[Compared]) -> String {
    let mut text = String::from("# Who gains and who loses what\n");
    for store in compared {
        let _ = writeln!(text, "\n## {}\n", store.name);
        let (diff, flips, people) = match &store.what {
            What::Added => {
                text.push_str("A new store: all that it allows is gained.\n");
                continue;
            }
            What::Removed => {
                text.push_str("The store is gone: all that it allowed is lost.\n");
                continue;
            }
            What::Differs(diff, flips, people) => (diff, flips, people),
        };
        for change in &diff.policies {
            let (sign, what) = sign(change.kind);
            let _ = writeln!(text, "- `{sign} {}`{what}", change.id);
        }
        let _ = writeln!(text, "\n**{}**", store.summary());
        let mut last = None;
        for (direction, sentence, witness) in store.sentences() {
            if last != Some(direction) {
                let head = if direction == Direction::Loss { "Losses" } else { "Gains" };
                let _ = writeln!(text, "\n### {head}\n");
                last = Some(direction);
            }
            let _ = writeln!(text, "- {sentence}");
            if let Some(witness) = witness {
                let _ = writeln!(text, "  ```");
                for line in witness.to_string().lines() {
                    let _ = writeln!(text, "  {line}");
                }
                let _ = writeln!(text, "  ```");
            }
        }
        if !flips.is_empty() {
            text.push_str("\n### Recorded decisions\n\n| times | principal | action | answer |\n|---|---|---|---|\n");
        }
        for flip in flips {
            let answer = if flip.gains { "allowed now" } else { "denied now" };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {answer} |",
                flip.count, flip.principal, flip.action
            );
        }
        let judged = people.judged_with();
        if !people.changes.is_empty() || judged.is_some() {
            text.push_str("\n### People\n\n");
        }
        for person in people.changes.iter().take(SHOWN) {
            let _ = writeln!(text, "- {}", in_words(person));
        }
        if let Some(more @ 1..) = people.changes.len().checked_sub(SHOWN) {
            let _ = writeln!(text, "- and {more} more");
        }
        if let Some(judged) = judged {
            let _ = writeln!(text, "\n({judged})");
        }
        let not_known = not_known(diff);
        if !not_known.is_empty() {
            text.push_str("\n### Not known\n\n");
        }
        for line in not_known {
            let _ = writeln!(text, "- {line}");
        }
    }
    text
}
