//! Links of templates: `*.links.toml`, `*.links.json` and the links of policy sets in JSON.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use cedar_policy::{EntityId, EntityTypeName, EntityUid, PolicyId, SlotId};
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::{
    Bounds, FileKind, StoreFiles, bounds::more_than, json_problem, parsed_policies::ParsedPolicies,
    problems::Problems, settings::toml_problem,
};
use crate::model::{
    Problem,
    json::{self, Step},
    nearest, unknown_escape,
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
    problems: &mut Problems,
) -> ParsedPolicies {
    let mut uids = Uids::default();
    for (path, text) in files.texts(FileKind::Links, problems) {
        match toml::from_str::<LinksFile>(text) {
            Ok(file) => {
                let file_of_links = LinksPlace { files, path };
                let mut linker =
                    Linker { file: file_of_links, bounds, parsed: &mut parsed, problems };
                for link in file.link {
                    linker.add(toml_link(link, &mut uids));
                }
            }
            Err(error) => problems.push(toml_problem(&files.shared_text(path), &error)),
        }
    }
    let mut all = in_policies;
    for (path, text) in files.texts(FileKind::LinksJson, problems) {
        let links =
            json::parse(text).map_err(|error| json_problem(&files.shared_text(path), &error));
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
        let file = LinksPlace { files, path };
        let mut linker = Linker { file, bounds, parsed: &mut parsed, problems };
        for (link, span) in links {
            match json_link(text, link, span.clone(), &form, &mut uids) {
                Ok(link) => linker.add(link),
                Err(error) => {
                    linker.file.report(linker.problems, span, || (error.to_string(), None))
                }
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
        let entity = uids.parse(uid.get_ref());
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

/// Makes the links of one file.
struct Linker<'a, 'p> {
    file: LinksPlace<'a>,
    bounds: &'a Bounds,
    parsed: &'p mut ParsedPolicies,
    problems: &'p mut Problems,
}

/// The file of which links are made.
struct LinksPlace<'a> {
    files: &'a StoreFiles,
    path: &'a str,
}

impl LinksPlace<'_> {
    fn report(
        &self,
        problems: &mut Problems,
        span: Range<usize>,
        words: impl FnOnce() -> (String, Option<String>),
    ) {
        problems.add(&self.files.path(self.path), || {
            let (message, help) = words();
            let problem = Problem::at(&self.files.shared_text(self.path), span, message);
            match help {
                Some(help) => problem.with_help(help),
                None => problem,
            }
        });
    }
}

impl Linker<'_, '_> {
    fn add(&mut self, link: Link) {
        let Self { file, bounds, parsed, problems } = self;
        if parsed.linked_bytes > bounds.linked_bytes {
            return;
        }
        let found = problems.len();
        let id = PolicyId::new(&link.id);
        if let Some(other) = parsed.files.get(&id) {
            let other = file.files.path(other);
            file.report(problems, link.span.clone(), || {
                let message = format!("two policies have the id `{id}`: the other is in {other}");
                (message, Some("give this link another id".to_owned()))
            });
        }
        let template_id = PolicyId::new(&link.template);
        let Some(slots) = slots(parsed, &template_id) else {
            return file.report(problems, link.span, || no_template(parsed, &link.template));
        };
        let filled = fill(file, &template_id, &slots, link.slots, problems);
        for slot in slots.iter().filter(|slot| !filled.contains_key(slot)) {
            if problems.len() == found {
                file.report(problems, link.span.clone(), || {
                    let message = format!("the link does not fill `{slot}` of `{template_id}`");
                    let name = slot.to_string();
                    let help = format!("add an entity for `{}`", name.trim_start_matches('?'));
                    (message, Some(help))
                });
            }
        }
        if problems.len() > found {
            return;
        }
        let template_bytes = parsed.template_bytes.get(&template_id).copied().unwrap_or_default();
        parsed.linked_bytes = parsed.linked_bytes.saturating_add(template_bytes);
        if parsed.linked_bytes > bounds.linked_bytes {
            let bytes = parsed.linked_bytes;
            return file.report(problems, link.span, || {
                let what = format!(
                    "with this link, the templates of all links, each written out, have {bytes} bytes"
                );
                let help = "make the template shorter: Cedar keeps a copy of it for each link";
                (more_than(&what, bounds.linked_bytes, "linked_bytes"), Some(help.to_owned()))
            });
        }
        match parsed.set.link(template_id, id.clone(), filled) {
            Ok(()) => {
                parsed.files.insert(id.clone(), file.path.to_owned());
                parsed.places.insert(id, link.span);
            }
            Err(error) => file.report(problems, link.span, || (with_cause(&error), None)),
        }
    }
}

/// The entities for the slots of a template that a link fills.
fn fill(
    file: &LinksPlace<'_>,
    template: &PolicyId,
    slots: &[SlotId],
    given: Vec<Filled>,
    problems: &mut Problems,
) -> HashMap<SlotId, EntityUid> {
    let mut filled = HashMap::new();
    for Filled { slot, entity, span } in given {
        let known = slots.iter().find(|known| known.to_string() == slot);
        match (known, entity) {
            (None, _) => file.report(problems, span, || {
                let message = format!("the template `{template}` has no slot `{slot}`");
                let slots: Vec<_> = slots.iter().map(ToString::to_string).collect();
                let help = format!("leave it out: its slots are {}", slots.join(", "));
                (message, Some(help))
            }),
            (Some(_), Err(error)) => file.report(problems, span, || {
                let help = "an entity is written like `User::\"alice\"`".to_owned();
                (format!("in the slot `{slot}`: {error}"), Some(help))
            }),
            (Some(_), Ok(entity)) if AsRef::<str>::as_ref(entity.id()).is_empty() => {
                file.report(problems, span, || {
                    (format!("the entity in the slot `{slot}` has an empty id"), None)
                });
            }
            (Some(known), Ok(entity)) => drop(filled.insert(known.clone(), entity)),
        }
    }
    filled
}

/// The slots of a template, if there is one of that id.
fn slots(parsed: &ParsedPolicies, template: &PolicyId) -> Option<Vec<SlotId>> {
    Some(parsed.set.template(template)?.slots().cloned().collect())
}

fn no_template(parsed: &ParsedPolicies, id: &str) -> (String, Option<String>) {
    if parsed.set.policy(&PolicyId::new(id)).is_some() {
        let help = "only a policy with `?principal` or `?resource` can be linked".to_owned();
        return (format!("the policy `{id}` is no template"), Some(help));
    }
    let ids = parsed.set.templates().map(|template| template.id().to_string());
    let help = match nearest(id, ids) {
        Some(nearest) => Some(format!("did you mean `{nearest}`?")),
        None if parsed.set.num_of_templates() > 0 => None,
        None => Some("the store has no templates".to_owned()),
    };
    (format!("there is no template `{id}`"), help)
}

fn with_cause(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// Entities by their text. Cedar's parser is asked once for each type of which the ids are plain: it
/// makes ready for the whole language every time.
#[derive(Default)]
struct Uids {
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
