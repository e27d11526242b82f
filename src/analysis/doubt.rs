//! Reasons for which a search that found nothing proves nothing.
//!
//! An open fact is tried with values from each range that the policies tell apart: below, at and above
//! a number, each text that is named and one that is not. That decides most conditions. Where a
//! condition could hold for values that were not tried, its evaluation leaves a note, and a search that
//! fails because of such notes is not settled.

use std::fmt;

use cedar_policy_core::{ast::Expr, parser::Loc};
use smol_str::SmolStr;

/// The reason for which a search is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doubt {
    /// A condition that the values that are tried do not decide.
    Condition { policy: SmolStr, text: String },
    /// There are more values than are tried.
    Values(String),
    /// Requests with such a fact are not searched.
    NotSearched(String),
    /// Nothing tells how a condition can be decided.
    Undecidable,
    /// The work that a search may take was done.
    Budget,
    /// The states do not decide the request that was found as the search says.
    NotReplayed,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Condition { policy, text } => {
                write!(f, "`{text}` of policy `{policy}` cannot be searched")
            }
            Self::Values(what) => write!(f, "{what}, more than are tried"),
            Self::NotSearched(what) => write!(f, "{what}, which is not searched"),
            Self::Undecidable => f.write_str("a condition cannot be searched"),
            Self::Budget => f.write_str("the search was given up"),
            Self::NotReplayed => {
                f.write_str("the request that was found is not decided as the search says")
            }
        }
    }
}

/// The way in which a condition was decided over a value that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoteKind {
    /// Other values might decide otherwise.
    Other,
    /// A text matches a pattern, or not. One pattern that must match is always tried.
    Pattern(bool),
    /// A set has an element, or not. A set with one element, and one with all, are always tried.
    Element(bool),
}

/// Something that an evaluation, or a search, has to say of the values that were tried.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Note {
    /// A condition was decided over a value that was tried.
    Condition { kind: NoteKind, policy: SmolStr, clause: Expr },
    /// There are more values than were tried.
    Beyond(String),
    /// A condition was decided without a fact that a request may have.
    NotSearched(String),
    /// No choice would decide a condition.
    Undecidable,
}

/// Adds the notes that are not there yet.
pub(super) fn add_notes(notes: &mut Vec<Note>, more: Vec<Note>) {
    for note in more {
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
}

/// Returns why a search that failed because of these conditions is not settled, if it is not.
pub(super) fn doubt_of(notes: &[Note]) -> Option<Doubt> {
    // The same condition in several policies is one.
    let of = |wanted: NoteKind| {
        let mut different: Vec<(&SmolStr, &Expr)> = Vec::new();
        for note in notes {
            if let Note::Condition { kind, policy, clause } = note
                && *kind == wanted
                && !different.iter().any(|(_, other)| *other == clause)
            {
                different.push((policy, clause));
            }
        }
        different.into_iter().map(|(policy, clause)| Doubt::Condition {
            policy: policy.clone(),
            text: text_of(clause),
        })
    };
    let beyond = || {
        notes.iter().find_map(|note| match note {
            Note::Beyond(what) => Some(Doubt::Values(what.clone())),
            Note::NotSearched(what) => Some(Doubt::NotSearched(what.clone())),
            Note::Undecidable => Some(Doubt::Undecidable),
            Note::Condition { .. } => None,
        })
    };
    // Two patterns that must both match may have texts in common that were not tried.
    let pattern = || of(NoteKind::Pattern(false)).nth(1);
    // A set with two elements and without a third was not tried, unless a policy names it.
    let is_kept_out = of(NoteKind::Element(true)).next().is_some();
    let element = || of(NoteKind::Element(false)).nth(1).filter(|_| is_kept_out);
    of(NoteKind::Other).next().or_else(beyond).or_else(pattern).or_else(element)
}

/// Returns an expression as it was written, in one line.
fn text_of(expr: &Expr) -> String {
    match expr.source_loc().and_then(Loc::snippet) {
        Some(written) => written.split_whitespace().collect::<Vec<_>>().join(" "),
        None => expr.to_string(),
    }
}
