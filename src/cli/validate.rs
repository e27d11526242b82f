//! `humbaba validate`: every problem of policy stores.

use std::{fmt::Write as _, path::PathBuf, sync::Arc};

use clap::ValueEnum;
use serde::Serialize;

use super::{CliError, Exit, output, setting_flags::SettingFlags, source};
use crate::{
    analysis,
    model::Problem,
    reload::{FolderStores, StoresPlace},
    store::{Bounds, PolicyStore, StoreFiles},
    testing,
};

/// Check policy stores and show every problem of every file
///
/// Parses, links and validates each store as `serve` would before it decides with it, its invariants,
/// which `prove` proves, and the tests and the matrix, which `test` runs. Warnings are of what is valid and looks like a mistake: a policy
/// that can never apply, letters that look like others, a file that is not read.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
JSON:
  {\"valid\": false, \"stores\": [{\"name\", \"valid\", \"revision\", \"policies\", \"templates\",
   \"actions\", \"invariants\",
   \"problems\": [{\"file\", \"line\", \"column\", \"message\", \"help\"}],
   \"warnings\": [as problems]}], \"problems\": [\"of a whole folder\", …],
   \"warnings\": [as these]}
  `revision` is null and the counts are 0 for a store that is not valid; `line`, `column` and
  `help` may be null.

Example:
  humbaba validate ./policies")]
pub(super) struct ValidateArgs {
    /// Policies folders or folders of single stores [default: the stores that `serve` would load]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// Exit with 3 where there are warnings, too
    #[arg(long)]
    deny_warnings: bool,
    #[command(flatten)]
    settings: SettingFlags,
}

/// The reader of the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ReportFormat {
    /// For people
    #[default]
    Human,
    /// One JSON object, for programs
    Json,
    /// Workflow commands of GitHub Actions, which show problems beside the lines of a change
    Github,
}

#[derive(Debug, Default, Serialize)]
struct ValidationReport {
    valid: bool,
    stores: Vec<StoreReport>,
    problems: Vec<String>,
    warnings: Vec<String>,
}

#[derive(Debug, Serialize)]
struct StoreReport {
    name: String,
    valid: bool,
    revision: Option<String>,
    policies: usize,
    templates: usize,
    actions: usize,
    invariants: usize,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    #[serde(skip)]
    place: StoresPlace,
}

pub(super) fn run(args: &ValidateArgs) -> Result<Exit, CliError> {
    let settings = args.settings.settle(Vec::new())?.settings;
    let mut report = ValidationReport::default();
    for source in source::sources(&args.paths, &settings) {
        match source::read(&source, &settings.bounds) {
            Ok(FolderStores { place, stores, errors, unread }) => {
                report.warnings.extend(unread.iter().map(|file| {
                    format!("`{file}` is not read: move it into the folder of a store")
                }));
                let stores = stores.into_iter();
                report.stores.extend(
                    stores.map(|files| StoreReport::of(files, &settings.bounds, place.clone())),
                );
                report.problems.extend(errors.iter().map(ToString::to_string));
            }
            Err(error) => report.problems.push(error.to_string()),
        }
    }
    if report.stores.is_empty() && report.problems.is_empty() {
        report.problems.push("there is no policy store to validate: name a folder".to_owned());
    }
    report.valid = report.problems.is_empty() && report.stores.iter().all(|store| store.valid);
    match args.format {
        ReportFormat::Human => output::print(&human(&report))?,
        ReportFormat::Json => output::print_json(&report)?,
        ReportFormat::Github => output::print(&github(&report))?,
    }
    let warns =
        !report.warnings.is_empty() || report.stores.iter().any(|store| !store.warnings.is_empty());
    let passes = report.valid && !(args.deny_warnings && warns);
    Ok(if passes { Exit::Ok } else { Exit::InvalidPolicies })
}

impl StoreReport {
    fn of(files: StoreFiles, bounds: &Bounds, place: StoresPlace) -> Self {
        let name = files.name().to_string();
        let loaded = PolicyStore::load(Arc::new(files), bounds).and_then(|store| {
            // These decide nothing, and `serve` reads them for gates alone.
            match (analysis::read_invariants(&store, bounds), testing::cases(&store)) {
                (Ok(invariants), Ok(_)) => Ok((store, invariants.len())),
                (invariants, cases) => {
                    let problems = [invariants.err(), cases.err()];
                    Err(problems.into_iter().flatten().flatten().collect())
                }
            }
        });
        match loaded {
            Ok((store, invariants)) => Self {
                name,
                valid: true,
                revision: Some(store.revision().to_string()),
                policies: store.policies().policies().count(),
                templates: store.policies().templates().count(),
                actions: store.schema().actions().count(),
                invariants,
                problems: Vec::new(),
                warnings: store.warnings().to_vec(),
                place,
            },
            Err(problems) => Self {
                name,
                valid: false,
                revision: None,
                policies: 0,
                templates: 0,
                actions: 0,
                invariants: 0,
                problems,
                warnings: Vec::new(),
                place,
            },
        }
    }
}

fn human(report: &ValidationReport) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        let _ = writeln!(text, "error: {problem}");
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    for store in &report.stores {
        for problem in store.problems.iter().chain(&store.warnings) {
            let _ = writeln!(text, "{}", problem.render().trim_end());
        }
        let _ = match &store.revision {
            Some(revision) => writeln!(
                text,
                "ok       {}: {}, {}, {}{}{}, revision {revision}",
                store.name,
                output::counted(store.policies, "policy", "policies"),
                output::counted(store.templates, "template", "templates"),
                output::counted(store.actions, "action", "actions"),
                match store.invariants {
                    0 => String::new(),
                    count => format!(", {}", output::counted(count, "invariant", "invariants")),
                },
                match store.warnings.len() {
                    0 => String::new(),
                    count => format!(", {}", output::counted(count, "warning", "warnings")),
                },
            ),
            None => writeln!(
                text,
                "invalid  {}: {}",
                store.name,
                output::counted(store.problems.len(), "problem", "problems")
            ),
        };
    }
    text
}

/// Writes the report as workflow commands, with paths from the folder in which the command runs
/// (<https://docs.github.com/actions/reference/workflow-commands-for-github-actions>).
fn github(report: &ValidationReport) -> String {
    let mut text = String::new();
    for problem in &report.problems {
        let _ = writeln!(text, "::error::{}", escaped(problem));
    }
    for warning in &report.warnings {
        let _ = writeln!(text, "::warning::{}", escaped(warning));
    }
    for store in &report.stores {
        let problems = store.problems.iter().map(|problem| ("error", problem));
        let warnings = store.warnings.iter().map(|warning| ("warning", warning));
        for (kind, problem) in problems.chain(warnings) {
            let file = store.place.path_of(problem.file());
            let file = escaped(&file.to_string_lossy()).replace(':', "%3A").replace(',', "%2C");
            let place = problem.location().map_or_else(String::new, |location| {
                format!(",line={},col={}", location.line, location.column)
            });
            let help = problem.help().map_or_else(String::new, |help| format!(": {help}"));
            let message = escaped(&format!("{}{help}", problem.message()));
            let _ = writeln!(text, "::{kind} file={file}{place}::{message}");
        }
    }
    text
}

/// Escapes text as workflow commands want it.
pub(super) fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}
