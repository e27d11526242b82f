//! Rust: an enumeration for each kind of word, which the questions of `humbaba::client` take.

use std::fmt::Write as _;

use super::{
    Language, NameClash, Vocabulary, comment,
    identifiers::{self, LetterCase},
    language::command,
    vocabulary::{Word, WordGroup},
};

pub(super) fn write(vocabulary: &Vocabulary) -> Result<String, NameClash> {
    let Vocabulary { store, actions, entity_types, roles } = vocabulary;
    let command = command(vocabulary, Language::Rust);
    let mut text = format!(
        "// Written by `{command}`: do not edit it.

use humbaba::client::{{ActionUid, Uid}};

/// The policy store.
#[allow(dead_code)]
pub const POLICY_STORE: &str = {store:?};
"
    );
    for (group, name) in actions.iter().zip(identifiers::of_action_types(actions)?) {
        action_type(&mut text, &name, group)?;
    }
    enumeration(&mut text, "EntityType", "The types of entities.", entity_types)?;
    text.push_str(ENTITY_TYPE);
    for (group, name) in roles.iter().zip(identifiers::of_role_types(roles)?) {
        enumeration(&mut text, &name, &group.role_doc(), &group.words)?;
        into_text(&mut text, &name);
    }
    Ok(text)
}

/// The uses of an entity type.
const ENTITY_TYPE: &str = "
#[allow(dead_code)]
impl EntityType {
    /// Names the entity of an id.
    #[must_use]
    pub fn uid(self, id: impl Into<String>) -> Uid {
        Uid::new(self.as_str(), id)
    }
}

impl From<EntityType> for String {
    fn from(word: EntityType) -> Self {
        word.as_str().to_owned()
    }
}
";

fn action_type(text: &mut String, name: &str, group: &WordGroup) -> Result<(), NameClash> {
    let uid = match group.of.as_str() {
        "" => "Uid::action(action.as_str())".to_owned(),
        of => format!("Uid::new({of:?}, action.as_str())"),
    };
    enumeration(text, name, &group.action_doc(), &group.words)?;
    let _ = writeln!(
        text,
        "
impl From<{name}> for ActionUid {{
    fn from(action: {name}) -> Self {{
        {uid}.into()
    }}
}}"
    );
    Ok(())
}

fn into_text(text: &mut String, name: &str) {
    let _ = writeln!(
        text,
        "
impl From<{name}> for String {{
    fn from(word: {name}) -> Self {{
        word.as_str().to_owned()
    }}
}}"
    );
}

fn enumeration(text: &mut String, name: &str, doc: &str, words: &[Word]) -> Result<(), NameClash> {
    let names = identifiers::of_words(words, LetterCase::Pascal)?;
    let _ = writeln!(text, "\n/// {doc}");
    text.push_str(if names.iter().any(|name| identifiers::is_spelled(name)) {
        "#[allow(dead_code, non_camel_case_types)]\n"
    } else {
        "#[allow(dead_code)]\n"
    });
    let _ = writeln!(
        text,
        "#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]\npub enum {name} {{"
    );
    for (word, name) in words.iter().zip(&names) {
        text.push_str(&comment::behind("    /// ", &word.doc));
        let _ = writeln!(text, "    {name},");
    }
    let _ = writeln!(
        text,
        "}}

#[allow(dead_code)]
impl {name} {{
    /// Returns the word as it is sent.
    #[must_use]
    pub const fn as_str(self) -> &'static str {{
        match self {{"
    );
    for (word, name) in words.iter().zip(&names) {
        let _ = writeln!(text, "            Self::{name} => {:?},", word.text);
    }
    text.push_str("        }\n    }\n}\n");
    Ok(())
}
