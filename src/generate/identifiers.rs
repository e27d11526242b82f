//! Names in a programming language for the words of a store.

use std::{collections::HashMap, fmt::Write as _};

use super::vocabulary::{Word, WordGroup};

/// The form of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LetterCase {
    /// `SiteGoalsCreate`
    Pascal,
    /// `SITE_GOALS_CREATE`
    UpperSnake,
}

/// Two words would have one name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{first}` and `{second}` would both be called `{name}`: rename one of them in the schema")]
pub struct NameClash {
    /// A word.
    pub first: String,
    /// Another word.
    pub second: String,
    /// The name of both.
    pub name: String,
}

/// A word that is a keyword as a name, in any of the languages. All others begin with a small letter.
const KEYWORDS: &[&str] = &["Self"];

/// Returns a name for each word of a kind.
pub(super) fn of_words(words: &[Word], case: LetterCase) -> Result<Vec<String>, NameClash> {
    names(words.iter().map(|word| word.text.as_str()), case)
}

/// Returns the names of the types that hold the actions of each type.
pub(super) fn of_action_types(groups: &[WordGroup]) -> Result<Vec<String>, NameClash> {
    // Not the store's own, it keeps its namespace apart from that of the own.
    let full = |of: &str| if of.is_empty() { "Action".to_owned() } else { format!("::{of}") };
    let texts: Vec<_> = groups.iter().map(|group| full(&group.of)).collect();
    names(texts.iter().map(String::as_str), LetterCase::Pascal)
}

/// Returns the names of the types that hold the roles on each type of scope.
pub(super) fn of_role_types(groups: &[WordGroup]) -> Result<Vec<String>, NameClash> {
    let scopes = names(groups.iter().map(|group| group.of.as_str()), LetterCase::Pascal)?;
    Ok(scopes.into_iter().map(|scope| format!("{scope}Role")).collect())
}

/// Returns a name for each text. One that has no readable name, or shares it, is spelled letter by
/// letter.
fn names<'a>(
    texts: impl Iterator<Item = &'a str>,
    case: LetterCase,
) -> Result<Vec<String>, NameClash> {
    let texts: Vec<_> = texts.collect();
    let readable: Vec<_> = texts.iter().map(|text| readable(text, case)).collect();
    let mut uses = HashMap::<&str, usize>::new();
    for name in readable.iter().flatten() {
        *uses.entry(name).or_default() += 1;
    }
    let is_alone = |name: &&String| uses.get(name.as_str()) == Some(&1);
    let names = readable.iter().zip(&texts).map(|(readable, text)| {
        readable.as_ref().filter(is_alone).cloned().unwrap_or_else(|| spelled(text))
    });
    let names: Vec<_> = names.collect();
    let mut taken = HashMap::new();
    for (name, text) in names.iter().zip(&texts) {
        if let Some(first) = taken.insert(name, text) {
            return Err(NameClash {
                first: (*first).to_owned(),
                second: (*text).to_owned(),
                name: name.clone(),
            });
        }
    }
    Ok(names)
}

fn readable(text: &str, case: LetterCase) -> Option<String> {
    let words = words(text);
    if words.is_empty() || !text.is_ascii() {
        return None;
    }
    let name = match case {
        LetterCase::Pascal => words.iter().map(|word| capitalized(word)).collect(),
        LetterCase::UpperSnake => words.join("_").to_ascii_uppercase(),
    };
    // No name begins with a digit.
    let name =
        if name.starts_with(|c: char| c.is_ascii_digit()) { format!("N{name}") } else { name };
    (!KEYWORDS.contains(&name.as_str())).then_some(name)
}

/// The words of a text: `site.disable-2fa` and `siteDisable2fa` have the same.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in text.chars() {
        let begins = before.is_ascii_lowercase() && c.is_ascii_uppercase();
        if begins || !c.is_ascii_alphanumeric() {
            words.push(String::new());
        }
        if c.is_ascii_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.push(c);
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// A name that no other text has: `X_` with each character that is neither a letter nor a digit as
/// its number between underscores, e.g. `X_site_2e_view`.
fn spelled(text: &str) -> String {
    text.chars().fold("X_".to_owned(), |mut name, c| {
        if c.is_ascii_alphanumeric() {
            name.push(c);
        } else {
            let _ = write!(name, "_{:x}_", u32::from(c));
        }
        name
    })
}

/// Returns whether a name is one that was spelled letter by letter.
pub(super) fn is_spelled(name: &str) -> bool {
    name.starts_with("X_")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashSet;

    use super::*;

    fn pascal<const N: usize>(texts: [&str; N]) -> Vec<String> {
        names(texts.into_iter(), LetterCase::Pascal).unwrap()
    }

    fn snake<const N: usize>(texts: [&str; N]) -> Vec<String> {
        names(texts.into_iter(), LetterCase::UpperSnake).unwrap()
    }

    #[test]
    fn names_are_readable() {
        let texts =
            ["site.goals.create", "instance.users.disable-2fa", "viewReports", "2fa", "URL"];
        assert_eq!(
            pascal(texts),
            ["SiteGoalsCreate", "InstanceUsersDisable2fa", "ViewReports", "N2fa", "URL"]
        );
        assert_eq!(
            snake(texts),
            ["SITE_GOALS_CREATE", "INSTANCE_USERS_DISABLE_2FA", "VIEW_REPORTS", "N2FA", "URL"]
        );
    }

    #[test]
    fn texts_that_would_share_a_name_are_told_apart() {
        assert_eq!(pascal(["a.b", "a_b", "c"]), ["X_a_2e_b", "X_a_5f_b", "C"]);
        assert_eq!(snake(["A.b", "a.b"]), ["X_A_2e_b", "X_a_2e_b"]);
    }

    #[test]
    fn texts_without_a_readable_name_are_spelled() {
        assert_eq!(
            pascal(["self", "***", "é", "", "class"]),
            ["X_self", "X__2a__2a__2a_", "X__e9_", "X_", "Class"]
        );
    }

    #[test]
    fn names_that_cannot_be_told_apart_are_refused() {
        // The first two are spelled, and so is the third by its own letters.
        let texts = ["a.1", "a-1", "x.a.2e.1"];
        assert_eq!(snake(texts), ["X_a_2e_1", "X_a_2d_1", "X_A_2E_1"]);
        let clash = names(["1.2", "1-2", "x.1.2e.2"].into_iter(), LetterCase::UpperSnake);
        assert_eq!(clash.unwrap().len(), 3);
        let clash = names(["1", "N1", "x.1"].into_iter(), LetterCase::UpperSnake).unwrap_err();
        assert_eq!((clash.first.as_str(), clash.second.as_str()), ("1", "x.1"));
        assert_eq!(clash.name, "X_1");
    }

    #[test]
    fn random_texts_never_share_a_name() {
        let letters: Vec<char> = "aAbB1._-é x\u{202e}".chars().collect();
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let mut text = || -> String {
                (0..random.usize(..5)).filter_map(|_| random.choice(&letters)).collect()
            };
            let texts: HashSet<String> = (0..8).map(|_| text()).collect();
            for case in [LetterCase::Pascal, LetterCase::UpperSnake] {
                let Ok(names) = names(texts.iter().map(String::as_str), case) else { continue };
                assert_eq!(names.iter().collect::<HashSet<_>>().len(), texts.len());
                for name in names {
                    assert!(!name.starts_with(|c: char| c.is_ascii_digit()), "{name}");
                    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{name}");
                }
            }
        }
    }
}
