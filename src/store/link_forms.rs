//! The forms in which a link of a template is written: TOML, the list of Cedar's command line, and the
//! links of a policy set in JSON.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use cedar_policy::{EntityId, EntityTypeName, EntityUid};
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use crate::model::{
    json::{self, Step},
    unknown_escape,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LinksFile {
    #[serde(default)]
    link: Vec<Spanned<TomlLink>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlLink {
    id: String,
    template: String,
    principal: Option<Spanned<String>>,
    resource: Option<Spanned<String>>,
}

/// A link as Cedar's command line writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CliLink {
    template_id: String,
    link_id: String,
    args: BTreeMap<String, String>,
}

/// A link of a policy set in Cedar's JSON form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PolicySetLink {
    template_id: String,
    new_id: String,
    values: BTreeMap<String, Value>,
}

/// A link: the id of the policy that it makes, the template, and what fills its slots.
pub(super) struct Link {
    pub id: String,
    pub template: String,
    pub slots: Vec<Filled>,
    pub span: Range<usize>,
}

/// The value of one slot of a link.
pub(super) struct Filled {
    pub slot: String,
    pub entity: Result<EntityUid, String>,
    pub span: Range<usize>,
}

/// Reads the links of a TOML file, each when it is asked for: Cedar's parser takes long for an entity that is
/// not well written.
pub(super) fn toml_links(
    text: &str,
    uids: &mut Uids,
) -> Result<impl Iterator<Item = Link>, toml::de::Error> {
    let file = toml::from_str::<LinksFile>(text)?;
    Ok(file.link.into_iter().map(|link| toml_link(link, uids)))
}

fn toml_link(link: Spanned<TomlLink>, uids: &mut Uids) -> Link {
    let span = link.span();
    let TomlLink { id, template, principal, resource } = link.into_inner();
    let given = [("?principal", principal), ("?resource", resource)];
    let slots = given.into_iter().filter_map(|(slot, uid)| {
        let uid = uid?;
        let entity = uids.parse(uid.get_ref());
        Some(Filled { slot: slot.to_owned(), entity, span: uid.span() })
    });
    Link { id, template, slots: slots.collect(), span }
}

/// The links in a JSON file, none of them read yet.
pub(super) struct JsonLinks<'a> {
    path: &'a str,
    text: &'a str,
    links: Vec<(Value, Range<usize>)>,
    form: JsonForm,
}

enum JsonForm {
    CommandLine,
    /// With the ids of templates that `@id` has renamed.
    PolicySet(HashMap<String, String>),
}

impl<'a> JsonLinks<'a> {
    /// The `templateLinks` of a policy set in JSON; none if they are no list.
    pub fn of_policy_set(
        path: &'a str,
        text: &'a str,
        links: Value,
        renamed: HashMap<String, String>,
    ) -> Option<Self> {
        let place = json::place(text, &[Step::Name("templateLinks".to_owned())]);
        Self::new(path, text, links, place, JsonForm::PolicySet(renamed))
    }

    /// A file of Cedar's command line; none if it is no list.
    pub fn of_command_line(path: &'a str, text: &'a str, links: Value) -> Option<Self> {
        Self::new(path, text, links, 0..text.len(), JsonForm::CommandLine)
    }

    fn new(
        path: &'a str,
        text: &'a str,
        links: Value,
        place: Range<usize>,
        form: JsonForm,
    ) -> Option<Self> {
        let Value::Array(links) = links else { return None };
        let places = json::children(text, place).into_iter().map(|(_, place)| place);
        Some(Self { path, text, links: links.into_iter().zip(places).collect(), form })
    }

    /// The file, relative to the folder of the store.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// Reads each link. A link that cannot be read comes with its place.
    pub fn read(
        self,
        uids: &mut Uids,
    ) -> impl Iterator<Item = Result<Link, (Range<usize>, serde_json::Error)>> {
        let Self { text, links, form, .. } = self;
        links.into_iter().map(move |(link, span)| {
            json_link(text, link, span.clone(), &form, uids).map_err(|error| (span, error))
        })
    }
}

fn json_link(
    text: &str,
    link: Value,
    span: Range<usize>,
    form: &JsonForm,
    uids: &mut Uids,
) -> Result<Link, serde_json::Error> {
    let link_text = text.get(span.clone()).unwrap_or_default();
    let place = |group: &str, slot: &str| {
        let steps = [group, slot].map(|name| Step::Name(name.to_owned()));
        let place = json::place(link_text, &steps);
        span.start + place.start..span.start + place.end
    };
    match form {
        JsonForm::CommandLine => {
            let CliLink { template_id, link_id, args } = serde_json::from_value(link)?;
            let slots = args.into_iter().map(|(slot, uid)| {
                let entity = uids.parse(&uid);
                Filled { entity, span: place("args", &slot), slot }
            });
            let slots = slots.collect();
            Ok(Link { id: link_id, template: template_id, slots, span })
        }
        JsonForm::PolicySet(renamed) => {
            let PolicySetLink { template_id, new_id, values } = serde_json::from_value(link)?;
            let slots = values.into_iter().map(|(slot, uid)| {
                let entity = EntityUid::from_json(uid).map_err(|error| error.to_string());
                Filled { entity, span: place("values", &slot), slot }
            });
            let slots = slots.collect();
            let template = renamed.get(&template_id).cloned().unwrap_or(template_id);
            Ok(Link { id: new_id, template, slots, span })
        }
    }
}

/// Entities by their text. Cedar's parser is asked once for each type of which the ids are plain: it
/// makes ready for the whole language every time.
#[derive(Default)]
pub(super) struct Uids {
    types: HashMap<String, EntityTypeName>,
}

impl Uids {
    fn parse(&mut self, text: &str) -> Result<EntityUid, String> {
        let parsed = || text.parse::<EntityUid>().map_err(|error| error.to_string());
        let Some((written, id)) = plain(text) else {
            let id = text.split_once('"').map_or("", |(_, id)| id.strip_suffix('"').unwrap_or(id));
            return match unknown_escape(id, false) {
                Some(_) => Err("an escape in the id is none that Cedar knows".to_owned()),
                None => parsed(),
            };
        };
        if let Some(entity_type) = self.types.get(written) {
            return Ok(EntityUid::from_type_name_and_id(entity_type.clone(), EntityId::new(id)));
        }
        let uid = parsed()?;
        self.types.insert(written.to_owned(), uid.type_name().clone());
        Ok(uid)
    }
}

/// The type and the id of an entity whose id has no escapes in the text.
fn plain(text: &str) -> Option<(&str, &str)> {
    let (written, id) = text.strip_suffix('"')?.split_once("::\"")?;
    let is_plain =
        |byte: u8| byte == b' ' || byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\');
    id.bytes().all(is_plain).then_some((written, id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, clippy::string_slice)]

    use super::*;

    #[test]
    fn entities_are_read_as_cedar_reads_them() {
        let mut uids = Uids::default();
        let ids = (0..=127_u8).map(|byte| format!("a{}b", char::from(byte)));
        let ids = ids.chain(["", "\u{e4}", "\\n", "\\\"", "a\\\\", "::\"b"].map(str::to_owned));
        let ids: Vec<_> = ids.collect();
        for written in ["User", "App::User", "User", " User", "if", "__cedar::User", "", "A B"] {
            for id in &ids {
                let text = format!("{written}::\"{id}\"");
                for text in [text.as_str(), &text[..text.len() - 1]] {
                    let (read, cedars) = (uids.parse(text), text.parse::<EntityUid>());
                    assert_eq!(read.ok(), cedars.ok(), "{text}");
                }
            }
        }
    }
}
