//! Links of templates: `*.links.toml`, `*.links.json` and the links of policy sets in JSON.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use cedar_policy::{EntityId, EntityTypeName, EntityUid, ParseErrors, PolicyId, SlotId};
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::{
    Bounds, FileKind, StoreFiles, bounds::more_than, json_problem, parsed_policies::ParsedPolicies,
    settings::toml_problem,
};
use crate::model::{
    Problem,
    json::{self, Step},
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

/// Links in a JSON file.
pub(super) struct JsonLinks<'a> {
    path: &'a str,
    text: &'a str,
    links: Vec<(Value, Range<usize>)>,
    form: JsonForm,
}

enum JsonForm {
    Cli,
    /// With the ids of templates that `@id` has renamed.
    PolicySet(HashMap<String, String>),
}

impl<'a> JsonLinks<'a> {
    /// The `templateLinks` of a policy set in JSON.
    pub fn of_policy_set(
        path: &'a str,
        text: &'a str,
        links: Value,
        renamed: HashMap<String, String>,
    ) -> Option<Self> {
        let place = json::place(text, &[Step::Name("templateLinks".to_owned())]);
        Self::new(path, text, links, place, JsonForm::PolicySet(renamed))
    }

    /// The links in a list; none if it is no list.
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
}

/// A link: the id of the policy that it makes, the template, and what fills its slots.
struct Link {
    id: String,
    template: String,
    slots: Vec<Filled>,
    span: Range<usize>,
}

/// The value of one slot of a link.
struct Filled {
    slot: String,
    entity: Result<EntityUid, String>,
    span: Range<usize>,
}

/// Makes the links of all files. `in_policies` are those of policy sets in JSON.
pub(super) fn link(
    files: &StoreFiles,
    mut parsed: ParsedPolicies,
    in_policies: Vec<JsonLinks<'_>>,
    bounds: &Bounds,
    problems: &mut Vec<Problem>,
) -> ParsedPolicies {
    let mut uids = Uids::default();
    for (path, text) in files.texts(FileKind::Links, problems) {
        match toml::from_str::<LinksFile>(text) {
            Ok(file) => {
                let mut linker = Linker { files, path, text, parsed: &mut parsed, problems };
                for link in file.link {
                    linker.add(toml_link(link, &mut uids));
                }
            }
            Err(error) => problems.push(toml_problem(&files.path(path), text, &error)),
        }
    }
    let mut all = in_policies;
    for (path, text) in files.texts(FileKind::LinksJson, problems) {
        let links =
            json::parse(text).map_err(|error| json_problem(&files.path(path), text, &error));
        let links = links.and_then(|links| {
            JsonLinks::new(path, text, links, 0..text.len(), JsonForm::Cli)
                .ok_or_else(|| Problem::of_file(files.path(path), "expected a list of links"))
        });
        match links {
            Ok(links) => all.push(links),
            Err(problem) => problems.push(problem),
        }
    }
    for JsonLinks { path, text, links, form } in all {
        let mut linker = Linker { files, path, text, parsed: &mut parsed, problems };
        for (link, span) in links {
            match json_link(text, link, span.clone(), &form, &mut uids) {
                Ok(link) => linker.add(link),
                Err(error) => linker.problem(span, error.to_string(), None),
            }
        }
    }
    let count = parsed.set.num_of_policies() + parsed.set.num_of_templates();
    if count > bounds.policies {
        let what = format!("the store has {count} policies, templates and links");
        let message = more_than(&what, bounds.policies, "policies");
        problems.push(Problem::of_file(files.name().as_str(), message));
    }
    parsed
}

fn toml_link(link: Spanned<TomlLink>, uids: &mut Uids) -> Link {
    let span = link.span();
    let TomlLink { id, template, principal, resource } = link.into_inner();
    let given = [("?principal", principal), ("?resource", resource)];
    let slots = given.into_iter().filter_map(|(slot, uid)| {
        let uid = uid?;
        let entity = uids.parse(uid.get_ref()).map_err(|error| error.to_string());
        Some(Filled { slot: slot.to_owned(), entity, span: uid.span() })
    });
    Link { id, template, slots: slots.collect(), span }
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
        JsonForm::Cli => {
            let CliLink { template_id, link_id, args } = serde_json::from_value(link)?;
            let slots = args.into_iter().map(|(slot, uid)| {
                let entity = uids.parse(&uid).map_err(|error| error.to_string());
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

/// Makes the links of one file.
struct Linker<'a, 'p> {
    files: &'a StoreFiles,
    path: &'a str,
    text: &'a str,
    parsed: &'p mut ParsedPolicies,
    problems: &'p mut Vec<Problem>,
}

impl Linker<'_, '_> {
    fn problem(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        let problem = Problem::at(self.files.path(self.path), self.text, span, None, message);
        self.problems.push(match help {
            Some(help) => problem.with_help(help),
            None => problem,
        });
    }

    fn add(&mut self, link: Link) {
        let found = self.problems.len();
        let id = PolicyId::new(&link.id);
        if let Some(other) = self.parsed.files.get(&id) {
            let other = self.files.path(other);
            let message = format!("two policies have the id `{id}`: the other is in {other}");
            let help = "give this link another id".to_owned();
            self.problem(link.span.clone(), message, Some(help));
        }
        let template_id = PolicyId::new(&link.template);
        let Some(slots) = self.slots(&template_id) else {
            let (message, help) = self.no_template(&link.template);
            return self.problem(link.span, message, help);
        };
        let mut filled = HashMap::new();
        for Filled { slot, entity, span } in link.slots {
            let known = slots.iter().find(|known| known.to_string() == slot);
            match (known, entity) {
                (None, _) => {
                    let message = format!("the template `{template_id}` has no slot `{slot}`");
                    let slots: Vec<_> = slots.iter().map(ToString::to_string).collect();
                    let help = format!("leave it out: its slots are {}", slots.join(", "));
                    self.problem(span, message, Some(help));
                }
                (Some(_), Err(error)) => {
                    let help = "an entity is written like `User::\"alice\"`".to_owned();
                    self.problem(span, format!("in the slot `{slot}`: {error}"), Some(help));
                }
                (Some(_), Ok(entity)) if AsRef::<str>::as_ref(entity.id()).is_empty() => {
                    let message = format!("the entity in the slot `{slot}` has an empty id");
                    self.problem(span, message, None);
                }
                (Some(known), Ok(entity)) => drop(filled.insert(known.clone(), entity)),
            }
        }
        for slot in slots.iter().filter(|slot| !filled.contains_key(slot)) {
            if self.problems.len() == found {
                let message = format!("the link does not fill `{slot}` of `{template_id}`");
                let name = slot.to_string();
                let help = format!("add an entity for `{}`", name.trim_start_matches('?'));
                self.problem(link.span.clone(), message, Some(help));
            }
        }
        if self.problems.len() > found {
            return;
        }
        match self.parsed.set.link(template_id, id.clone(), filled) {
            Ok(()) => {
                self.parsed.files.insert(id.clone(), self.path.to_owned());
                self.parsed.places.insert(id, link.span);
            }
            Err(error) => {
                let diagnostic = Problem::of_diagnostic(self.path, self.text, &error);
                let message = diagnostic.first().map_or("", Problem::message).to_owned();
                self.problem(link.span, message, None);
            }
        }
    }

    /// The slots of a template, if there is one of that id.
    fn slots(&self, template: &PolicyId) -> Option<Vec<SlotId>> {
        Some(self.parsed.set.template(template)?.slots().cloned().collect())
    }

    fn no_template(&self, id: &str) -> (String, Option<String>) {
        if self.parsed.set.policy(&PolicyId::new(id)).is_some() {
            let help = "only a policy with `?principal` or `?resource` can be linked".to_owned();
            return (format!("the policy `{id}` is no template"), Some(help));
        }
        let ids = self.parsed.set.templates().map(|template| template.id().to_string());
        let nearest = ids.min_by_key(|other| strsim::damerau_levenshtein(other, id));
        let help = match nearest {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "the store has no templates".to_owned(),
        };
        (format!("there is no template `{id}`"), Some(help))
    }
}

/// Entities by their text. Cedar's parser is asked once for each type of which the ids are plain: it
/// makes ready for the whole language every time.
#[derive(Default)]
struct Uids {
    types: HashMap<String, EntityTypeName>,
}

impl Uids {
    #[expect(clippy::result_large_err, reason = "the error is Cedar's own")]
    fn parse(&mut self, text: &str) -> Result<EntityUid, ParseErrors> {
        let Some((written, id)) = plain(text) else { return text.parse() };
        if let Some(entity_type) = self.types.get(written) {
            return Ok(EntityUid::from_type_name_and_id(entity_type.clone(), EntityId::new(id)));
        }
        let uid: EntityUid = text.parse()?;
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
