//! Linking templates: `*.links.toml`, `*.links.json` and the links of policy sets in JSON.

use std::{collections::HashMap, ops::Range};

use cedar_policy::{EntityUid, PolicyId, SlotId};

use super::{
    Bounds, FileKind, StoreFiles,
    bounds::more_than,
    json_problem,
    link_forms::{Filled, JsonLinks, Link, Uids, toml_links},
    parsed_policies::ParsedPolicies,
    problems::Problems,
    settings::toml_problem,
};
use crate::model::{Problem, json, nearest};

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
        match toml_links(text, &mut uids) {
            Ok(links) => {
                let file = LinksPlace { files, path };
                let mut linker = Linker { file, bounds, parsed: &mut parsed, problems };
                for link in links {
                    if linker.leaves_rest() {
                        break;
                    }
                    linker.add(link);
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
            JsonLinks::of_command_line(path, text, links)
                .ok_or_else(|| Problem::of_file(files.path(path), "expected a list of links"))
        });
        match links {
            Ok(links) => all.push(links),
            Err(problem) => problems.push(problem),
        }
    }
    for links in all {
        let file = LinksPlace { files, path: links.path() };
        let mut linker = Linker { file, bounds, parsed: &mut parsed, problems };
        for link in links.read(&mut uids) {
            if linker.leaves_rest() {
                break;
            }
            match link {
                Ok(link) => linker.add(link),
                Err((span, error)) => {
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
    /// Returns whether no more links of the file are to be made, for nobody would see what is wrong
    /// with them.
    fn leaves_rest(&mut self) -> bool {
        // The name of the file is not written for each link of a store without problems.
        !self.problems.is_empty()
            && self.problems.leaves_rest(&self.file.files.path(self.file.path))
    }

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
