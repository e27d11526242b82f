//! The view Try: a question, decided as a call is and explained, and counted nowhere.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use askama::Template;
use axum::{Extension, extract::State, http::StatusCode, response::Response};
use tokio::time::timeout;

use super::{
    Console, Query,
    ask_copy::Copies,
    ask_form::{AskForm, FormField},
    respond,
    shell::{self, Shell, View},
};
use crate::{
    engine::{self, ClauseKind, ClauseNote, Decision, Explanation},
    http::caller_base::CallerBase,
    model::{OnForbidError, Timestamp, Uid},
    reload::InForce,
    request::{Request, RequestFacts, RequestInput, RequestLimits, RoleAssignment},
    store::PolicyStore,
};

/// Time that a question waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Template)]
#[template(path = "ask.html")]
struct AskPage {
    shell: Shell,
    form: AskForm,
    /// Roles are held by the directory, and a question may not bring any.
    roles_are_held: bool,
    has_directory: bool,
    answer: Option<AskOutcome>,
}

/// The outcome of a question.
enum AskOutcome {
    Refused(Vec<(String, String)>),
    Unavailable(String),
    Decided(Box<ShownDecision>, Box<Copies>),
}

/// A decision with its reasons.
struct ShownDecision {
    is_allow: bool,
    revision: String,
    directory_version: String,
    policies: Vec<DecidingPolicy>,
    errors: Vec<(String, String)>,
    summary: String,
    carried_by: Vec<RoleLine>,
    hints: Vec<(String, Vec<String>)>,
    missing_roles: Vec<String>,
    clauses: Vec<PolicyClauses>,
}

struct DecidingPolicy {
    id: String,
    doc: String,
    advice: String,
}

/// A role that carries an allow, and who gave it.
struct RoleLine {
    role: String,
    grant: Option<String>,
}

/// The clauses of a policy that decided.
struct PolicyClauses {
    id: String,
    title: &'static str,
    clauses: Vec<ClauseLine>,
}

struct ClauseLine {
    place: String,
    text: String,
    verdict: String,
    values: Vec<(String, String)>,
}

/// The store and options that a question is decided with.
struct Rules {
    limits: RequestLimits,
    on_forbid_error: OnForbidError,
}

pub(super) async fn show(
    State(console): State<Console>,
    Extension(CallerBase(base)): Extension<CallerBase>,
    query: Query,
) -> Response {
    let store = match shell::store_of(&console, View::Try, &query) {
        Ok(store) => store,
        Err(page) => return *page,
    };
    let form = AskForm::new(store.schema(), &query);
    let has_directory = console.live().state().directories.contains_key(store.name());
    let mut page = AskPage {
        shell: Shell::new(&console, View::Try, store.name().as_str()),
        roles_are_held: has_directory && store.request_facts() == RequestFacts::Refuse,
        has_directory,
        form,
        answer: None,
    };
    if query.get("ask").is_empty() {
        return respond::page(&page);
    }
    let question = match page.form.question(store.schema()) {
        Ok(question) => question,
        Err(violations) => {
            let violations = violations.into_iter().map(|one| (one.field, one.description));
            page.answer = Some(AskOutcome::Refused(violations.collect()));
            return respond::page(&page);
        }
    };
    let Ok(Ok(_permit)) = timeout(PATIENCE, console.0.asking.acquire()).await else {
        let message = "Others are trying questions: try again in a moment.".to_owned();
        let status = StatusCode::SERVICE_UNAVAILABLE;
        return shell::notice(&console, View::Try, status, "Busy", message);
    };
    page.answer = Some(answer(&console, &store, question, &base).await);
    respond::page(&page)
}

async fn answer(
    console: &Console,
    store: &Arc<PolicyStore>,
    question: RequestInput,
    base: &str,
) -> AskOutcome {
    let in_force = match console.live().in_force(store.name().as_str()) {
        Ok(in_force) => in_force,
        Err(error) => return AskOutcome::Unavailable(error.to_string()),
    };
    let options = console.0.grpc.options();
    let rules = Rules { limits: options.limits.clone(), on_forbid_error: options.on_forbid_error };
    let copies = Copies::of(store.name(), &question, base, console.0.tokens.is_some());
    // It may take longer than a call should wait for.
    let decided = tokio::task::spawn_blocking(move || decide(&in_force, &question, &rules)).await;
    match decided {
        Ok(Ok(answered)) => AskOutcome::Decided(Box::new(answered), Box::new(copies)),
        Ok(Err(violations)) => AskOutcome::Refused(violations),
        Err(error) => AskOutcome::Unavailable(format!("the decision broke off: {error}")),
    }
}

fn decide(
    in_force: &InForce,
    question: &RequestInput,
    rules: &Rules,
) -> Result<ShownDecision, Vec<(String, String)>> {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::after_1970(elapsed);
    let store = &in_force.store;
    let request =
        store.check_with(in_force.held(), question, now, &rules.limits).map_err(|all| {
            all.into_iter().map(|one| (one.field, one.description)).collect::<Vec<_>>()
        })?;
    let decision = engine::decide(store.engine(), &request, rules.on_forbid_error);
    let explanation = store.explain(&request, &decision, rules.on_forbid_error);
    Ok(ShownDecision::new(in_force, &request, &decision, explanation))
}

impl ShownDecision {
    fn new(
        in_force: &InForce,
        request: &Request,
        decision: &Decision,
        explanation: Explanation,
    ) -> Self {
        let Explanation { summary, missing_roles, obstacles, nearest, hints, carried_by } =
            explanation;
        let annotation = |policy: &engine::PolicyNote, name| {
            policy.annotation(name).unwrap_or_default().to_owned()
        };
        let policies = decision.determining.iter().map(|policy| DecidingPolicy {
            id: policy.id().to_owned(),
            doc: annotation(policy, "doc"),
            advice: annotation(policy, "advice"),
        });
        let near = nearest.iter().map(|near| PolicyClauses {
            id: near.policy_id.clone(),
            title: "came near to allowing it",
            clauses: vec![ClauseLine::new(&near.clause, near.file.as_deref(), false)],
        });
        let forbids = obstacles.iter().filter(|obstacle| !obstacle.clauses.is_empty());
        let forbids = forbids.map(|obstacle| PolicyClauses {
            id: obstacle.policy_id.clone(),
            title: "forbids it",
            clauses: obstacle
                .clauses
                .iter()
                .map(|clause| ClauseLine::new(clause, obstacle.file.as_deref(), true))
                .collect(),
        });
        let errors = decision.errors.iter();
        let errors = errors.map(|error| (error.policy_id.clone(), error.message.clone()));
        Self {
            is_allow: decision.is_allow(),
            revision: in_force.store.revision().to_string(),
            directory_version: in_force.directory_version(),
            policies: policies.collect(),
            errors: errors.collect(),
            summary,
            carried_by: carried_by.iter().map(|role| RoleLine::new(role, request)).collect(),
            hints: hints
                .iter()
                .map(|hint| (role(&hint.add), hint.instead_of.iter().map(role).collect()))
                .collect(),
            missing_roles: missing_roles.iter().map(role).collect(),
            clauses: forbids.chain(near).collect(),
        }
    }
}

impl RoleLine {
    fn new(of: &RoleAssignment, request: &Request) -> Self {
        let grant = request.facts.held.as_ref().and_then(|held| {
            let (principal, scope) = (held.place(&of.principal)?, held.place(&of.scope)?);
            held.grant(principal, scope, of.slot.as_str())
        });
        let grant = grant.map(|grant| {
            let by = match grant.granted_by.as_str() {
                "" => "by nobody known".to_owned(),
                by => format!("by {by}"),
            };
            let at = grant.granted_at.map(|moment| format!(" on {moment}")).unwrap_or_default();
            let reason = match grant.reason.as_str() {
                "" => String::new(),
                reason => format!(": {reason}"),
            };
            format!("granted {by}{at}{reason}")
        });
        let until = of.expires_at.map(|moment| format!(" until {moment}")).unwrap_or_default();
        let holder = Uid::from(&of.principal);
        Self { role: format!("{holder} is {}{until}", role(of)), grant }
    }
}

fn role(role: &RoleAssignment) -> String {
    format!("{} on {}", role.slot, Uid::from(&role.scope))
}

impl ClauseLine {
    /// Makes the line of a clause. `holds` tells whether the clause held, as those of a forbid that
    /// applied do.
    fn new(note: &ClauseNote, file: Option<&str>, holds: bool) -> Self {
        let place = match note.location {
            Some(place) => {
                format!("{}:{}:{}", file.unwrap_or_default(), place.line, place.column)
            }
            None => file.unwrap_or_default().to_owned(),
        };
        let is_unless = note.kind == ClauseKind::Unless;
        // The condition of an `unless` is false where the clause holds.
        let verdict = match (&note.error, holds == is_unless) {
            (Some(error), _) => format!("failed: {error}"),
            (None, true) => "is false".to_owned(),
            (None, false) => "is true".to_owned(),
        };
        let values = note.values.iter().map(|value| {
            let mut text = value.value.clone().unwrap_or_else(|| "absent".to_owned());
            if !value.is_in.is_empty() {
                text.push_str(", in ");
                text.push_str(&value.is_in.join(", "));
            }
            if value.is_in_more > 0 {
                text.push_str(&format!(" and {} more", value.is_in_more));
            }
            (value.expression.clone(), text)
        });
        let unless = if is_unless { "unless " } else { "" };
        let text = format!("{unless}{}", note.text);
        Self { place, text, verdict, values: values.collect() }
    }
}

impl AskPage {
    /// Returns the groups of fields that the schema declares, each with its title.
    fn groups(&self) -> Vec<(&'static str, &[FormField])> {
        [
            ("Context", self.form.context.as_slice()),
            ("Attributes of the principal", &self.form.principal),
            ("Attributes of the resource", &self.form.resource),
        ]
        .into_iter()
        .filter(|(_, fields)| !fields.is_empty())
        .collect()
    }
}
