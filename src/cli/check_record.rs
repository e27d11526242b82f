//! `humbaba check --record`: a decision of the log, made again.

use std::{collections::BTreeSet, fmt::Write as _, fs, io::Read as _, path::Path};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use super::{
    CliError, Exit,
    output::{self, Format},
    source,
    verdict::Verdict,
};
use crate::{
    engine::{RECORD_KIND, decide, list_actions},
    model::{self, Effect, OnForbidError, Timestamp, Uid},
    request::{FieldPath, RequestInput, RoleAssignmentInput, Violation, json::FactReader},
    settings::Settings,
    store::PolicyStore,
};

/// Which record, and how to tell what came of it.
pub(super) struct Again<'a> {
    pub file: &'a Path,
    pub decision_id: Option<&'a str>,
    pub item: Option<usize>,
    pub explain: bool,
    pub format: Format,
}

/// The fields that are read of a record.
#[derive(Deserialize)]
struct Recorded {
    record: String,
    time: String,
    decision_id: String,
    item: Option<usize>,
    store: String,
    revision: String,
    decision: Option<Effect>,
    actions: Option<RecordedActions>,
    principal: Option<Json>,
    action: Option<Json>,
    resource: Option<Json>,
    #[serde(default)]
    context: Json,
    #[serde(default)]
    entities: Json,
    #[serde(default)]
    role_assignments: Json,
    now: String,
    on_forbid_error: OnForbidError,
    #[serde(default)]
    hidden: Vec<String>,
}

#[derive(Deserialize)]
struct RecordedActions {
    allowed: Vec<Json>,
}

/// The result of asking again.
#[derive(Serialize)]
struct Comparison<'a> {
    same_answer: bool,
    same_revision: bool,
    recorded: Known<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<&'a Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_now: Option<&'a BTreeSet<String>>,
}

#[derive(Serialize)]
struct Known<'a> {
    time: &'a str,
    decision_id: &'a str,
    store: &'a str,
    revision: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    decision: Option<Effect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed: Option<&'a BTreeSet<String>>,
    hidden: &'a [String],
}

/// Makes the decision again. Exits with 0 where the answer is the one that was recorded, else with 2.
pub(super) fn run(again: &Again<'_>, settings: &Settings) -> Result<Exit, CliError> {
    let recorded = find(again)?;
    let store = source::load_one(settings, Some(&recorded.store))?;
    let input = recorded.input()?;
    let limits = &settings.limits.request;
    let moment: Timestamp = recorded.now.parse().map_err(|error| {
        CliError::Usage(format!("the record {} has no `now`: {error}", recorded.decision_id))
    })?;
    let (mut verdict, mut allowed_now, mut allowed) = (None, None, None);
    if let Some(actions) = &recorded.actions {
        let listed = list_actions(store.engine(), &input, moment, limits, recorded.on_forbid_error);
        let listed = listed.map_err(|violations| recorded.bad(&violations))?;
        let name = |uid: &Json| Some(format!("{}", uid_of(uid)?));
        allowed = Some(actions.allowed.iter().filter_map(name).collect::<BTreeSet<_>>());
        let names = listed.allowed.iter().map(|uid| {
            Uid::new(uid.entity_type().to_string(), AsRef::<str>::as_ref(uid.eid())).to_string()
        });
        allowed_now = Some(names.collect::<BTreeSet<_>>());
    } else {
        let request = store.check(&input, moment, limits);
        let request = request.map_err(|violations| recorded.bad(&violations))?;
        let decision = decide(store.engine(), &request, recorded.on_forbid_error);
        let explanation =
            again.explain.then(|| store.explain(&request, &decision, recorded.on_forbid_error));
        verdict = Some(Verdict::new(decision, explanation, store.revision()));
    }
    let effect = verdict.as_ref().map(|verdict| verdict.decision);
    let comparison = Comparison {
        same_answer: effect == recorded.decision && allowed_now == allowed,
        same_revision: store.revision().as_str() == recorded.revision,
        recorded: Known {
            time: &recorded.time,
            decision_id: &recorded.decision_id,
            store: &recorded.store,
            revision: &recorded.revision,
            decision: recorded.decision,
            allowed: allowed.as_ref(),
            hidden: &recorded.hidden,
        },
        now: verdict.as_ref(),
        allowed_now: allowed_now.as_ref(),
    };
    match again.format {
        Format::Human => output::print(&comparison.human(&store))?,
        Format::Json => output::print_json(&comparison)?,
    }
    Ok(if comparison.same_answer { Exit::Ok } else { Exit::Refused })
}

impl Comparison<'_> {
    fn human(&self, store: &PolicyStore) -> String {
        let mut text = self.now.map(Verdict::human).unwrap_or_default();
        if let (Some(now), Some(then)) = (self.allowed_now, self.recorded.allowed) {
            let _ = writeln!(text, "{} actions allowed", now.len());
            for name in now.difference(then) {
                let _ = writeln!(text, "  + {name}");
            }
            for name in then.difference(now) {
                let _ = writeln!(text, "  - {name}");
            }
        }
        let same = if self.same_answer { "the same answer as" } else { "NOT THE ANSWER that was" };
        let _ = writeln!(text, "{same} recorded at {}", self.recorded.time);
        if !self.same_revision {
            let (then, now) = (self.recorded.revision, store.revision());
            let _ = writeln!(text, "the revision differs: {then} decided then, {now} is here");
        }
        if !self.recorded.hidden.is_empty() {
            let hidden = self.recorded.hidden.join(", ");
            let _ = writeln!(text, "not recorded as sent, so the answer may differ: {hidden}");
        }
        text
    }
}

fn find(again: &Again<'_>) -> Result<Recorded, CliError> {
    let name = again.file.display();
    let text = if again.file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(again.file)
    };
    let text = text.map_err(|error| CliError::Usage(format!("cannot read `{name}`: {error}")))?;
    let bad = |error: &dyn std::fmt::Display| {
        CliError::Usage(format!("`{name}` holds something that is no decision record: {error}"))
    };
    let mut found = Vec::new();
    for record in model::json::parse_each(&text) {
        let record = record.map_err(|error| bad(&error))?;
        let id = record.get("decision_id").and_then(Json::as_str);
        let item = record.get("item").and_then(Json::as_u64);
        if again.decision_id.is_none_or(|wanted| id == Some(wanted))
            && again.item.is_none_or(|wanted| item == Some(wanted as u64))
        {
            found.push(record);
        }
    }
    let count = found.len();
    let [record] = <[Json; 1]>::try_from(found).map_err(|_| {
        CliError::Usage(match count {
            0 => format!("`{name}` holds no such record"),
            _ => format!(
                "`{name}` holds {count} such records: choose one with `--decision-id` and, of a \
                 batch, `--item`"
            ),
        })
    })?;
    let record: Recorded = serde_json::from_value(record).map_err(|error| bad(&error))?;
    if record.record != RECORD_KIND {
        return Err(bad(&format!("its kind is `{}` and not `{RECORD_KIND}`", record.record)));
    }
    Ok(record)
}

impl Recorded {
    fn bad(&self, violations: &[Violation]) -> CliError {
        let of_item = self.item.map(|item| format!(", item {item}")).unwrap_or_default();
        let lines: Vec<_> = violations.iter().map(|one| format!("\n  {one}")).collect();
        let hidden = match self.hidden.as_slice() {
            [] => String::new(),
            hidden => format!("\nnot recorded as they were sent: {}", hidden.join(", ")),
        };
        CliError::Usage(format!(
            "the record {}{of_item} cannot be asked again{}{hidden}",
            self.decision_id,
            lines.concat()
        ))
    }

    /// The question as it was sent.
    fn input(&self) -> Result<RequestInput, CliError> {
        let mut reader = FactReader::default();
        let context = match &self.context {
            Json::Null => Vec::new(),
            Json::Object(fields) => {
                reader.fields(&FieldPath::Field("context"), fields, None).unwrap_or_default()
            }
            _ => {
                reader.violation(&FieldPath::Field("context"), "an object is expected");
                Vec::new()
            }
        };
        let entities = match &self.entities {
            Json::Null => Vec::new(),
            entities => reader.entities(entities, None),
        };
        let role_assignments = match &self.role_assignments {
            Json::Null => Vec::new(),
            Json::Array(roles) => {
                roles.iter().filter_map(|role| self.role(&mut reader, role)).collect()
            }
            _ => {
                reader.violation(&FieldPath::Field("role_assignments"), "an array is expected");
                Vec::new()
            }
        };
        if !reader.violations.is_empty() {
            return Err(self.bad(&reader.violations));
        }
        let uid = |uid: &Option<Json>| uid.as_ref().and_then(uid_of);
        Ok(RequestInput {
            principal: uid(&self.principal),
            action: uid(&self.action),
            resource: uid(&self.resource),
            context,
            entities,
            role_assignments,
        })
    }

    fn role(&self, reader: &mut FactReader, json: &Json) -> Option<RoleAssignmentInput> {
        let path = FieldPath::Field("role_assignments");
        let read = || -> Result<RoleAssignmentInput, String> {
            let role: &Map<_, _> = json.as_object().ok_or("an object is expected")?;
            let uid = |name: &str| match role.get(name) {
                None => Ok(None),
                Some(uid) => uid_of(uid).map(Some).ok_or(format!("`{name}` names no entity")),
            };
            let text = |name: &str| role.get(name).and_then(Json::as_str);
            let expires_at = match role.get("expires_at") {
                None => None,
                Some(moment) => {
                    let moment = moment.as_str().unwrap_or_default();
                    Some(moment.parse().map_err(|error| format!("{error}"))?)
                }
            };
            Ok(RoleAssignmentInput {
                principal: uid("principal")?,
                role: text("role").ok_or("`role` is missing")?.to_owned(),
                scope: uid("scope")?,
                expires_at,
            })
        };
        read().map_err(|error| reader.violation(&path, error)).ok()
    }
}

fn uid_of(json: &Json) -> Option<Uid> {
    let text = |name| json.get(name).and_then(Json::as_str);
    Some(Uid::new(text("type")?, text("id")?))
}
