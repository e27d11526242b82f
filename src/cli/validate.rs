use std::{fmt::Write as _, path::PathBuf, sync::Arc};

use serde::Serialize;

use super::{
    CliError, Exit,
    output::{self, Format},
    setting_flags::SettingFlags,
    source,
};
use crate::{
    model::Problem,
    reload::Source,
    store::{Bounds, PolicyStore, StoreFiles},
};

/// Check policy stores and show every problem of every file
///
/// Parses, links and validates each store as `serve` would before it decides with it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
JSON:
  {\"valid\": false, \"stores\": [{\"name\", \"valid\", \"revision\", \"policies\", \"templates\",
   \"actions\", \"problems\": [{\"file\", \"line\", \"column\", \"message\", \"help\"}]}],
   \"problems\": [\"of a whole folder\", …]}
  `revision` is null and the counts are 0 for a store that is not valid; `line`, `column` and
  `help` may be null.

Example:
  humbaba validate ./policies")]
pub(super) struct ValidateArgs {
    /// Policies folders or folders of single stores [default: the stores that `serve` would load]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    valid: bool,
    stores: Vec<StoreReport>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct StoreReport {
    name: String,
    valid: bool,
    revision: Option<String>,
    policies: usize,
    templates: usize,
    actions: usize,
    problems: Vec<ProblemReport>,
}

#[derive(Debug, Serialize)]
struct ProblemReport {
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
    help: Option<String>,
    #[serde(skip)]
    rendered: String,
}

pub(super) fn run(args: &ValidateArgs) -> Result<Exit, CliError> {
    let settings = args.settings.settle(Vec::new())?.settings;
    let sources: Vec<_> = if args.paths.is_empty() {
        vec![source::source(&settings)]
    } else {
        args.paths.iter().cloned().map(Source::Folder).collect()
    };
    let mut report = Report::default();
    for source in &sources {
        match source::read(source, &settings.bounds) {
            Ok(stores) => report
                .stores
                .extend(stores.into_iter().map(|files| StoreReport::of(files, &settings.bounds))),
            Err(error) => report.problems.push(error.to_string()),
        }
    }
    if report.stores.is_empty() && report.problems.is_empty() {
        report.problems.push("there is no policy store to validate: name a folder".to_owned());
    }
    report.valid = report.problems.is_empty() && report.stores.iter().all(|store| store.valid);
    match args.format {
        Format::Human => output::print(&human(&report))?,
        Format::Json => output::print_json(&report)?,
    }
    Ok(if report.valid { Exit::Ok } else { Exit::InvalidPolicies })
}

impl StoreReport {
    fn of(files: StoreFiles, bounds: &Bounds) -> Self {
        let name = files.name().to_string();
        match PolicyStore::load(Arc::new(files), bounds) {
            Ok(store) => Self {
                name,
                valid: true,
                revision: Some(store.revision().to_string()),
                policies: store.policies().policies().count(),
                templates: store.policies().templates().count(),
                actions: store.schema().actions().count(),
                problems: Vec::new(),
            },
            Err(problems) => Self {
                name,
                valid: false,
                revision: None,
                policies: 0,
                templates: 0,
                actions: 0,
                problems: problems.iter().map(ProblemReport::of).collect(),
            },
        }
    }
}

impl ProblemReport {
    fn of(problem: &Problem) -> Self {
        let location = problem.location();
        Self {
            file: problem.file().to_owned(),
            line: location.map(|location| location.line),
            column: location.map(|location| location.column),
            message: problem.message().to_owned(),
            help: problem.help().map(str::to_owned),
            rendered: problem.render(),
        }
    }
}

fn human(report: &Report) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        let _ = writeln!(text, "error: {problem}");
    }
    for store in &report.stores {
        for problem in &store.problems {
            let _ = writeln!(text, "{}", problem.rendered.trim_end());
        }
        let _ = match (&store.revision, store.problems.len()) {
            (Some(revision), _) => writeln!(
                text,
                "ok       {}: {}, {}, {}, revision {revision}",
                store.name,
                counted(store.policies, "policy", "policies"),
                counted(store.templates, "template", "templates"),
                counted(store.actions, "action", "actions"),
            ),
            (None, problems) => writeln!(
                text,
                "invalid  {}: {}",
                store.name,
                counted(problems, "problem", "problems")
            ),
        };
    }
    text
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
