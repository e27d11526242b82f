//! `humbaba check --record`: a decision of the log, made again.

use std::{collections::BTreeSet, fmt::Write as _, path::Path};

use serde::Serialize;
use serde_json::Value as Json;

use super::{
    CliError, Exit,
    output::{self, Format},
    recorded::{self, RecordedDecision, uid_of},
    source,
    verdict::Verdict,
};
use crate::{
    engine::{decide, list_actions},
    model::{Effect, Timestamp, Uid},
    settings::Settings,
    store::PolicyStore,
};

/// The record that is decided again, and the form of the report.
pub(super) struct RecordedQuestion<'a> {
    pub file: &'a Path,
    pub decision_id: Option<&'a str>,
    pub item: Option<usize>,
    pub explain: bool,
    pub format: Format,
}

/// The result of asking again.
#[derive(Serialize)]
struct RecordComparison<'a> {
    same_answer: bool,
    same_revision: bool,
    recorded: RecordedAnswer<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<&'a Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_now: Option<&'a BTreeSet<String>>,
}

#[derive(Serialize)]
struct RecordedAnswer<'a> {
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
pub(super) fn run(again: &RecordedQuestion<'_>, settings: &Settings) -> Result<Exit, CliError> {
    let recorded = find(again)?;
    if recorded.listed.is_some() {
        return Err(CliError::Usage(format!(
            "the record {} is of a list of entities: only the server's directory can make it again",
            recorded.decision_id
        )));
    }
    let store = source::load_one(settings, Some(&recorded.store))?;
    let input = recorded.input()?;
    let limits = &settings.limits.request;
    let moment: Timestamp = recorded.now.parse().map_err(|error| {
        CliError::Usage(format!("the record {} has no `now`: {error}", recorded.decision_id))
    })?;
    let (mut verdict, mut allowed_now, mut allowed) = (None, None, None);
    if let Some(actions) = &recorded.actions {
        if recorded.directory_version.is_some() {
            return Err(CliError::Usage(format!(
                "the record {} is a list that a directory decided, and does not hold what the \
                 directory held: it cannot be made again",
                recorded.decision_id
            )));
        }
        let listed =
            list_actions(store.engine(), None, &input, moment, limits, recorded.on_forbid_error);
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
    let comparison = RecordComparison {
        same_answer: effect == recorded.decision && allowed_now == allowed,
        same_revision: store.revision().as_str() == recorded.revision,
        recorded: RecordedAnswer {
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

impl RecordComparison<'_> {
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

fn find(again: &RecordedQuestion<'_>) -> Result<RecordedDecision, CliError> {
    let name = again.file.display();
    let wanted = |record: &Json| {
        let id = record.get("decision_id").and_then(Json::as_str);
        let item = record.get("item").and_then(Json::as_u64);
        again.decision_id.is_none_or(|wanted| id == Some(wanted))
            && again.item.is_none_or(|wanted| item == Some(wanted as u64))
    };
    let (mut found, mut count) = (None, 0_usize);
    for record in recorded::read(again.file, wanted)? {
        found = Some(record?);
        count += 1;
    }
    found.filter(|_| count == 1).ok_or_else(|| {
        CliError::Usage(match count {
            0 => format!("`{name}` holds no such record"),
            _ => format!(
                "`{name}` holds {count} such records: choose one with `--decision-id` and, of a \
                 batch, `--item`"
            ),
        })
    })
}
