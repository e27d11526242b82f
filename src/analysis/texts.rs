//! Texts that tell apart what policies ask of a text: those that they name, those that match a pattern,
//! and one that is none of these.

use std::collections::BTreeSet;

use cedar_policy_core::ast::{Pattern, PatternElem};
use smol_str::SmolStr;

/// Words that are made up, if no policy has them.
const WORDS: [&str; 3] = ["text", "word", "name"];

/// Characters that stand for any others, if no policy has them.
const FILLERS: &str = "xzqj0123456789";

/// The texts and patterns of policies.
#[derive(Debug, Default)]
pub(super) struct Texts {
    named: BTreeSet<SmolStr>,
    patterns: BTreeSet<Pattern>,
}

impl Texts {
    pub(super) fn add(&mut self, text: &SmolStr) {
        self.named.insert(text.clone());
    }

    pub(super) fn add_pattern(&mut self, pattern: &Pattern) {
        self.patterns.insert(pattern.clone());
    }

    /// Returns whether a policy names a text, or asks for a pattern that it matches.
    pub(super) fn names(&self, text: &str) -> bool {
        self.named.contains(text)
            || self.patterns.iter().any(|pattern| pattern.wildcard_match(text))
    }

    /// Returns the texts to try, the plainest first. `spoken_of` are those that the request has already.
    ///
    /// A text that is made of a pattern with a character that no policy has in place of each `*` matches
    /// only those patterns that match whatever the pattern matches.
    pub(super) fn tried(&self, spoken_of: &[SmolStr]) -> Vec<SmolStr> {
        let filler = self.filler();
        let is_plain = |word: &&str| !self.names(word);
        let plain: Vec<_> = WORDS.iter().copied().filter(is_plain).collect();
        let fresh = |text: &SmolStr| !spoken_of.contains(text);
        let made_up = || (1..).map(|count| SmolStr::from(filler.to_string().repeat(count)));
        let mut texts: Vec<SmolStr> =
            plain.first().map(|word| SmolStr::from(*word)).into_iter().collect();
        let words = plain.into_iter().map(SmolStr::from).chain(made_up());
        texts.extend(words.clone().find(fresh));
        texts.extend(self.named.iter().cloned());
        texts.extend(spoken_of.iter().cloned());
        for pattern in &self.patterns {
            texts.push(filled(pattern, ""));
            let longer = made_up().map(|filler| filled(pattern, &filler));
            // A pattern without a `*` is one text.
            texts.extend(longer.take(spoken_of.len() + 1).find(fresh));
        }
        let mut seen = BTreeSet::new();
        texts.retain(|text| seen.insert(text.clone()));
        texts
    }

    /// Returns a character that no policy has.
    fn filler(&self) -> char {
        let is_used = |c: char| {
            self.named.iter().any(|text| text.contains(c))
                || self
                    .patterns
                    .iter()
                    .any(|pattern| pattern.iter().any(|element| *element == PatternElem::Char(c)))
        };
        let private = '\u{e000}'..='\u{f8ff}';
        FILLERS.chars().chain(private).find(|c| !is_used(*c)).unwrap_or('x')
    }
}

/// Returns a pattern with a text in place of each `*`.
fn filled(pattern: &Pattern, text: &str) -> SmolStr {
    let mut filled = String::new();
    for element in pattern.iter() {
        match element {
            PatternElem::Char(c) => filled.push(*c),
            PatternElem::Wildcard => filled.push_str(text),
        }
    }
    filled.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn pattern(text: &str) -> Pattern {
        let element = |c| if c == '*' { PatternElem::Wildcard } else { PatternElem::Char(c) };
        Pattern::from(text.chars().map(element).collect::<Vec<_>>())
    }

    #[test]
    fn a_text_is_tried_for_each_pattern_without_those_that_ask_for_more() {
        let mut texts = Texts::default();
        for text in ["/a/*", "/a/b/*", "*x*"] {
            texts.add_pattern(&pattern(text));
        }
        texts.add(&"/a/".into());
        let tried = texts.tried(&["text".into()]);
        let is_tried = |wanted: &str, not: &[&str]| {
            tried.iter().any(|text| {
                pattern(wanted).wildcard_match(text)
                    && !not.iter().any(|not| pattern(not).wildcard_match(text))
            })
        };
        assert!(is_tried("/a/*", &["/a/b/*", "*x*", "/a/"]), "{tried:?}");
        assert!(is_tried("/a/b/*", &["*x*", "/a/"]), "{tried:?}");
        assert!(is_tried("*x*", &["/a/*", "text"]), "{tried:?}");
        assert!(is_tried("*", &["/a/*", "*x*", "text"]), "{tried:?}");
    }
}
