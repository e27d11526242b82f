//! `humbaba check`: one decision.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{
    CliError, Exit, check_record,
    healthcheck::seconds,
    output::{self, Format},
    remote,
    server_address::ServerAddress,
    setting_flags::{SettingFlags, assignment, flag},
    source, text_file,
    tls_flags::TlsFlags,
    token_flag::TokenFlag,
    verdict::Verdict,
};
use crate::{
    engine::decide,
    model::{self, Effect, Timestamp, Uid},
    proto,
    request::{FieldPath, RequestInput, RoleTextError, Violation, json::FactReader},
    schema::{RecordShape, Schema},
    settings::Settings,
    store::PolicyStore,
};

/// Make one decision
///
/// Decides with the policies of a folder or of the binary or, with `--server`, asks a running
/// Humbaba. Exits with 0 for an allow, 2 for a deny and 64 for bad input, of which everything that
/// is wrong is listed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
JSON:
  {\"decision\": \"allow\" | \"deny\", \"determining_policies\": [{\"policy_id\", \"annotations\": {}}],
   \"errors\": [{\"policy_id\", \"message\"}], \"explanation\": null | {\"summary\",
   \"missing_roles\": [{\"principal\", \"role\", \"scope\", \"expires_at\"}],
   \"obstacles\": [{\"policy_id\", \"advice\", \"file\", \"clauses\": [a clause]}],
   \"carried_by\": [as missing_roles],
   \"hints\": [{\"add\": a role, \"instead_of\": [as missing_roles]}],
   \"nearest\": [{\"policy_id\", \"file\", \"clauses_held\", \"clause\": a clause}]},
   \"revision\", \"decision_id\": null without a server}
  A clause: {\"kind\": \"principal\" | \"action\" | \"resource\" | \"when\" | \"unless\",
   \"text\", \"line\", \"column\", \"values\": [{\"expression\", \"value\": null where absent,
   \"is_in\": [an entity or role], \"is_in_more\"}], \"error\"}
  Bad input: {\"violations\": [{\"field\", \"description\"}]}

Values of the context and of entities are read by the type that the store's schema declares, e.g.
`--context reason=audit` or `--context amount=12.50`. With `--server` there is no schema at hand:
write them as JSON, with Cedar's `__entity` and `__extn` where needed.

Examples:
  humbaba check --store hitkeep --principal 'User::\"alice\"' --action site.goals.create \\
      --resource 'Site::\"42\"' --role editor --explain
  humbaba check --policies ./policies --record decisions.jsonl --decision-id 0192f0c1-…
  humbaba check --server unix:/run/humbaba.sock --principal 'User::\"alice\"' \\
      --action site.view --resource 'Site::\"42\"' \\
      --role 'admin@Instance::\"main\"' --role 'owner@Team::\"t\"=2026-01-01T00:00:00Z'")]
pub(super) struct CheckArgs {
    /// The policy store [default: the default store, or the only one]
    #[arg(long, value_name = "NAME")]
    store: Option<String>,
    /// The principal, e.g. `User::"alice"`
    #[arg(long, value_name = "UID", required_unless_present = "record")]
    principal: Option<String>,
    /// The action, e.g. `site.view`
    #[arg(long, value_name = "ID", required_unless_present = "record")]
    action: Option<String>,
    /// On what, e.g. `Site::"42"`
    #[arg(long, value_name = "UID", required_unless_present = "record")]
    resource: Option<String>,
    /// A role that the principal holds: `role`, on the resource, or `role@scope`, and `=time` where
    /// it expires
    #[arg(long = "role", value_name = "ROLE[@UID][=TIME]")]
    roles: Vec<String>,
    /// Facts of the request
    #[arg(long, value_name = "KEY=VALUE", num_args = 1.., value_parser = assignment)]
    context: Vec<(String, String)>,
    /// Facts of the request, as a JSON object in a file; `--context` is laid over it
    #[arg(long, value_name = "FILE")]
    context_file: Option<PathBuf>,
    /// Entities, in a file in Cedar's JSON
    #[arg(long, value_name = "FILE")]
    entities: Option<PathBuf>,
    /// Decide as if it were this time; a server is sent it as `context.now`
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    /// Make the decision of this record of the decision log again (`-`: the standard input), with
    /// the policies here and the time and facts of then. Exits with 0 where the answer is the
    /// recorded one, else with 2
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "store", "principal", "action", "resource", "roles", "context", "context_file", "entities",
        "now", "server",
    ])]
    record: Option<PathBuf>,
    /// The record of this decision, where there are several
    #[arg(long, value_name = "ID", requires = "record")]
    decision_id: Option<String>,
    /// The record of this item of a batch, from 0
    #[arg(long, value_name = "NUMBER", requires = "record")]
    item: Option<usize>,
    /// Explain the decision
    #[arg(long)]
    explain: bool,
    /// The policies folder [default: ./policies if it is there, else the embedded stores]
    #[arg(long, value_name = "DIR")]
    policies: Option<String>,
    /// Ask a running Humbaba instead: `http://host:port`, `https://host:port` or `unix:/path`
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["policies", "config", "set"])]
    server: Option<ServerAddress>,
    /// Seconds that the server's answer may take
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    token: TokenFlag,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    settings: SettingFlags,
}

/// The result of a question: a decision, or all violations.
type CheckAnswer = Result<Verdict, Vec<Violation>>;

pub(super) fn run(args: &CheckArgs) -> Result<Exit, CliError> {
    let settings = || {
        let own = flag("policies", args.policies.clone());
        args.settings.settle(own.into_iter().collect()).map(|settled| settled.settings)
    };
    if let Some(file) = &args.record {
        let again = check_record::RecordedQuestion {
            file,
            decision_id: args.decision_id.as_deref(),
            item: args.item,
            explain: args.explain,
            format: args.format,
        };
        return check_record::run(&again, &settings()?);
    }
    let answer = match &args.server {
        Some(server) => ask(args, server)?,
        None => {
            let settings = settings()?;
            let store = source::load_one(&settings, args.store.as_deref())?;
            decide_here(args, &settings, &store)?
        }
    };
    match answer {
        Ok(verdict) => {
            match args.format {
                Format::Human => output::print(&verdict.human())?,
                Format::Json => output::print_json(&verdict)?,
            }
            Ok(if verdict.decision == Effect::Allow { Exit::Ok } else { Exit::Refused })
        }
        Err(violations) => {
            if args.format == Format::Json {
                output::print_json(&BadInput::of(&violations))?;
                return Ok(Exit::Usage);
            }
            let lines: Vec<_> = violations.iter().map(|one| format!("\n  {one}")).collect();
            Err(CliError::Usage(format!("bad input{}", lines.concat())))
        }
    }
}

#[derive(Serialize)]
struct BadInput<'a> {
    violations: Vec<BadField<'a>>,
}

#[derive(Serialize)]
struct BadField<'a> {
    field: &'a str,
    description: &'a str,
}

impl<'a> BadInput<'a> {
    fn of(violations: &'a [Violation]) -> Self {
        let violations = violations
            .iter()
            .map(|one| BadField { field: &one.field, description: &one.description });
        Self { violations: violations.collect() }
    }
}

fn decide_here(
    args: &CheckArgs,
    settings: &Settings,
    store: &PolicyStore,
) -> Result<CheckAnswer, CliError> {
    let (input, mut violations) = args.read(Some(store.schema()))?;
    let now = args.now.unwrap_or_else(system_time);
    let request = match store.check(&input, now, &settings.limits.request) {
        Ok(request) if violations.is_empty() => request,
        checked => {
            // What cannot be read is missing in the rest, and moves the places of lists.
            let others = checked.err().into_iter().flatten();
            let is_new = |one: &Violation| {
                let list = one.field.split_once('[').map(|(list, _)| list);
                violations.iter().all(|unread| {
                    let is_of_list = list.is_some_and(|list| unread.field.starts_with(list));
                    unread.field != one.field && !is_of_list
                })
            };
            let others: Vec<_> = others.filter(is_new).collect();
            violations.extend(others);
            return Ok(Err(args.with_advice(violations)));
        }
    };
    let decision = decide(store.engine(), &request, settings.on_forbid_error);
    let explanation =
        args.explain.then(|| store.explain(&request, &decision, settings.on_forbid_error));
    Ok(Ok(Verdict::new(decision, explanation, store.revision())))
}

fn ask(args: &CheckArgs, server: &ServerAddress) -> Result<CheckAnswer, CliError> {
    let (mut input, violations) = args.read(None)?;
    if !violations.is_empty() {
        return Ok(Err(violations));
    }
    if let Some(now) = args.now {
        input.context.retain(|(name, _)| name != "now");
        input.context.push(("now".to_owned(), model::Value::Datetime(now)));
    }
    let store = args.store.clone().unwrap_or_default();
    let question =
        proto::IsAuthorizedRequest { policy_store: store, explain: args.explain, ..input.into() };
    let answer = remote::ask(server, (&args.tls, &args.token), args.timeout, question)?;
    Ok(answer.map_err(|violations| args.with_advice(violations)))
}

/// Types of values that a server cannot tell from texts, with the functions that make them.
const EXTENSIONS: [(&str, &str); 4] =
    [("datetime", "datetime"), ("decimal", "decimal"), ("duration", "duration"), ("ipaddr", "ip")];

/// Returns how a value is written for a server, where a violation is that it is only a text.
fn written_for_server(violation: &Violation) -> Option<String> {
    let (_, function) = EXTENSIONS
        .iter()
        .find(|(ty, _)| violation.description.contains(&format!("{ty} is expected here, not a")))?;
    let value = format!(r#"{{"__extn": {{"fn": "{function}", "arg": "…"}}}}"#);
    Some(format!(": write `{value}`"))
}

fn system_time() -> Timestamp {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::after_1970(elapsed)
}

impl CheckArgs {
    /// Adds to violations how what they miss is written on the command line.
    fn with_advice(&self, mut violations: Vec<Violation>) -> Vec<Violation> {
        let bare = self.roles.iter().find(|role| !role.contains('@'));
        for violation in &mut violations {
            let advice = match bare {
                Some(role) if violation.description.starts_with("no role can be held on a") => {
                    let role = role.split('=').next().unwrap_or_default();
                    Some(format!("; write the scope, as in `{role}@Type::\"id\"`"))
                }
                _ if self.server.is_some() => written_for_server(violation),
                _ => None,
            };
            violation.description.extend(advice);
        }
        violations
    }

    /// The question, as far as it can be told without checking it against the schema, and what of it cannot be
    /// read.
    fn read(&self, schema: Option<&Schema>) -> Result<(RequestInput, Vec<Violation>), CliError> {
        let mut reader = FactReader::default();
        // The arguments are required, but not beside a record.
        let text = |argument: &Option<String>| argument.clone().unwrap_or_default();
        let principal = uid(&mut reader, "principal", &text(&self.principal));
        let resource = uid(&mut reader, "resource", &text(&self.resource));
        let action = Uid::read_action(&text(&self.action));
        let shape = schema
            .and_then(|schema| schema.action(&action.type_name, &action.id))
            .map(|action| &*action.context);
        let context = self.context(&mut reader, shape)?;
        let entities = match &self.entities {
            Some(path) => reader.entities(&json(path)?, schema),
            None => Vec::new(),
        };
        let list = FieldPath::Field("role_assignments");
        let mut role_assignments = Vec::new();
        for (index, written) in self.roles.iter().enumerate() {
            match written.parse() {
                Ok(role) => role_assignments.push(role),
                Err(RoleTextError(error)) => {
                    reader.violation(&FieldPath::Index(&list, index), error)
                }
            }
        }
        let action = Some(action);
        let input =
            RequestInput { principal, action, resource, context, entities, role_assignments };
        Ok((input, reader.violations))
    }

    fn context(
        &self,
        reader: &mut FactReader,
        shape: Option<&RecordShape>,
    ) -> Result<Vec<(String, model::Value)>, CliError> {
        let path = FieldPath::Field("context");
        let mut context = Vec::new();
        if let Some(file) = &self.context_file {
            match json(file)? {
                Json::Object(fields) => {
                    let not_replaced: Map<_, _> = fields
                        .into_iter()
                        .filter(|(name, _)| self.context.iter().all(|(key, _)| key != name))
                        .collect();
                    context.extend(reader.fields(&path, &not_replaced, shape).unwrap_or_default());
                }
                _ => reader.violation(&path, "a JSON object is expected in the file"),
            }
        }
        for (index, (name, text)) in self.context.iter().enumerate() {
            let path = FieldPath::Of(&path, name);
            if self.context.iter().take(index).any(|(key, _)| key == name) {
                reader.violation(&path, "given more than once");
                continue;
            }
            let field = shape.and_then(|shape| shape.fields.get(name.as_str()));
            let value = reader.text(&path, text, field.map(|field| &field.shape));
            context.extend(value.map(|value| (name.clone(), value)));
        }
        Ok(context)
    }
}

fn uid(reader: &mut FactReader, field: &str, text: &str) -> Option<Uid> {
    text.parse()
        .map_err(|error| reader.violation(&FieldPath::Field(field), format!("{error}")))
        .ok()
}

/// Reads a file of JSON.
pub(super) fn json(path: &Path) -> Result<Json, CliError> {
    let bad = |error: String| CliError::Usage(format!("cannot read `{}`: {error}", path.display()));
    let text = text_file::read(path).map_err(|error| bad(error.to_string()))?;
    model::json::parse(&text).map_err(|error| bad(error.to_string()))
}
