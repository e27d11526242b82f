//! TypeScript: a constant object for each kind of word, and the union of its values.

use std::fmt::Write as _;

use super::{
    Language, NameClash, Vocabulary, comment,
    identifiers::{self, LetterCase},
    language::command,
    vocabulary::Word,
};

pub(super) fn write(vocabulary: &Vocabulary) -> Result<String, NameClash> {
    let Vocabulary { store, actions, entity_types, roles } = vocabulary;
    let command = command(vocabulary, Language::TypeScript);
    let mut text = format!(
        "// Written by `{command}`: do not edit it.

/** The policy store. */
export const POLICY_STORE = \"{store}\";
"
    );
    for (group, name) in actions.iter().zip(identifiers::of_action_types(actions)?) {
        object(&mut text, &name, &group.action_doc(), &group.words)?;
    }
    object(&mut text, "EntityType", "The types of entities.", entity_types)?;
    for (group, name) in roles.iter().zip(identifiers::of_role_types(roles)?) {
        object(&mut text, &name, &group.role_doc(), &group.words)?;
    }
    Ok(text)
}

fn object(text: &mut String, name: &str, doc: &str, words: &[Word]) -> Result<(), NameClash> {
    let _ = writeln!(text, "\n/** {doc} */\nexport const {name} = {{");
    for (Word { text: word, doc }, name) in
        words.iter().zip(identifiers::of_words(words, LetterCase::Pascal)?)
    {
        if !doc.is_empty() {
            let lines = comment::lines(&doc.replace("*/", "*\\/"));
            let _ = writeln!(text, "  /** {} */", lines.join("\n   * "));
        }
        let _ = writeln!(text, "  {name}: {},", serde_json::Value::from(word.as_str()));
    }
    let _ =
        writeln!(text, "}} as const;\nexport type {name} = (typeof {name})[keyof typeof {name}];");
    Ok(())
}
