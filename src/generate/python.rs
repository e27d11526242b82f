//! Python: an enumeration of texts for each kind of word.

use std::fmt::Write as _;

use super::{
    Language, NameClash, Vocabulary, comment,
    identifiers::{self, LetterCase},
    language::command,
    vocabulary::Word,
};

pub(super) fn write(vocabulary: &Vocabulary) -> Result<String, NameClash> {
    let Vocabulary { store, actions, entity_types, roles } = vocabulary;
    let command = command(vocabulary, Language::Python);
    let mut text = format!(
        "\"\"\"The words of the policy store `{store}`.

Written by `{command}`: do not edit it.
\"\"\"

from enum import Enum

POLICY_STORE = \"{store}\"


class _Words(str, Enum):
    def __str__(self) -> str:
        return str(self.value)
"
    );
    for (group, name) in actions.iter().zip(identifiers::of_action_types(actions)?) {
        class(&mut text, &name, &group.action_doc(), &group.words)?;
    }
    class(&mut text, "EntityType", "The types of entities.", entity_types)?;
    for (group, name) in roles.iter().zip(identifiers::of_role_types(roles)?) {
        class(&mut text, &name, &group.role_doc(), &group.words)?;
    }
    Ok(text)
}

fn class(text: &mut String, name: &str, doc: &str, words: &[Word]) -> Result<(), NameClash> {
    let _ = writeln!(text, "\n\nclass {name}(_Words):\n    \"\"\"{doc}\"\"\"\n");
    for (Word { text: word, doc }, name) in
        words.iter().zip(identifiers::of_words(words, LetterCase::UpperSnake)?)
    {
        text.push_str(&comment::behind("    # ", doc));
        let _ = writeln!(text, "    {name} = {}", literal(word));
    }
    Ok(())
}

/// A text in quotes. JSON's escapes are Python's.
fn literal(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
