//! Reading the records of a decision log.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use super::{CliError, text_file};
use crate::{
    engine::RECORD_KIND,
    model::{self, Effect, OnForbidError, Uid},
    request::{FieldPath, RequestInput, RoleAssignmentInput, Violation, json::FactReader},
};

/// The fields that are read of a record.
#[derive(Deserialize)]
pub(super) struct RecordedDecision {
    pub(super) record: String,
    pub(super) time: String,
    pub(super) decision_id: String,
    pub(super) item: Option<usize>,
    pub(super) store: String,
    pub(super) revision: String,
    pub(super) directory_version: Option<String>,
    pub(super) decision: Option<Effect>,
    pub(super) actions: Option<RecordedActions>,
    pub(super) listed: Option<Json>,
    pub(super) principal: Option<Json>,
    pub(super) action: Option<Json>,
    pub(super) resource: Option<Json>,
    #[serde(default)]
    pub(super) context: Json,
    #[serde(default)]
    pub(super) entities: Json,
    #[serde(default)]
    pub(super) role_assignments: Json,
    pub(super) now: String,
    pub(super) on_forbid_error: OnForbidError,
    #[serde(default)]
    pub(super) hidden: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct RecordedActions {
    pub(super) allowed: Vec<Json>,
}

/// Reads the wanted records of a file, one when it is asked for; `-` is the standard input. Of the others only
/// the form as JSON matters.
pub(super) fn read(
    file: &Path,
    wanted: impl Fn(&Json) -> bool,
) -> Result<impl Iterator<Item = Result<RecordedDecision, CliError>>, CliError> {
    let name = file.display().to_string();
    let text = text_file::open_or_stdin(file)
        .map_err(|error| CliError::Usage(format!("cannot read `{name}`: {error}")))?;
    let records = model::json::parse_each(text);
    let records = records.filter(move |record| record.as_ref().map_or(true, &wanted));
    Ok(records.map(move |record| {
        record.map_err(|error| error.to_string()).and_then(recorded).map_err(|error| {
            let what = "holds something that is no decision record";
            CliError::Usage(format!("`{name}` {what}: {error}"))
        })
    }))
}

fn recorded(record: Json) -> Result<RecordedDecision, String> {
    let record: RecordedDecision =
        serde_json::from_value(record).map_err(|error| error.to_string())?;
    if record.record == RECORD_KIND {
        Ok(record)
    } else {
        Err(format!("its kind is `{}` and not `{RECORD_KIND}`", record.record))
    }
}

impl RecordedDecision {
    /// Returns what is wrong with a record that cannot be asked again.
    pub(super) fn bad(&self, violations: &[Violation]) -> CliError {
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

    /// Returns the question as it was sent.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn input(&self) -> Result<RequestInput, CliError> {
        let mut reader = FactReader { takes_overrides: true, ..FactReader::default() };
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

/// Reads `{"type", "id"}`.
pub(super) fn uid_of(json: &Json) -> Option<Uid> {
    let text = |name| json.get(name).and_then(Json::as_str);
    Some(Uid::new(text("type")?, text("id")?))
}
