//! `humbaba test`: the tests of policy stores.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;

use super::{
    CliError, Exit,
    output::{self, Format},
    progress::QuietFlag,
    setting_flags::SettingFlags,
    stores,
};
use crate::{
    model::{Problem, StoreName},
    store::{Bounds, PolicyStore, StoreFiles},
    testing::{self, Case, CoverageReport, MutantReport, TestReport},
};

/// Run the tests of policy stores
#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    /// Policies folders or folders of single stores [default: the stores that `serve` would load]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only the store of this name; may be given several times
    #[arg(long, value_name = "NAME")]
    store: Vec<StoreName>,
    /// Only the cases whose file or name contains this text; exit with 2 where there is none
    #[arg(long, value_name = "TEXT", conflicts_with = "mutants")]
    filter: Option<String>,
    /// Change the policies in every small way and see that a case fails on each change
    #[arg(long)]
    mutants: bool,
    /// The percentage of mutants that must be caught
    #[arg(long, value_name = "PERCENT", default_value_t = 99.0, requires = "mutants")]
    mutants_threshold: f64,
    /// Show which policies and conditions no case makes true, or false
    #[arg(long, conflicts_with = "filter")]
    coverage: bool,
    /// Write the results to this file as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    quiet: QuietFlag,
    #[command(flatten)]
    settings: SettingFlags,
}

/// The result of one store.
enum Tested {
    Ran { tests: TestReport, mutants: Option<MutantReport>, coverage: Option<CoverageReport> },
    Invalid { store: StoreName, problems: Vec<Problem> },
}

pub(super) fn run(args: &TestArgs) -> Result<Exit, CliError> {
    let settings = args.settings.settle(Vec::new())?.settings;
    let mut all = Vec::new();
    for files in stores::of_paths(&args.paths, &args.store, &settings)? {
        let tested = test(files, args, &settings.bounds);
        if args.format == Format::Human {
            tested.print(args)?;
        }
        all.push(tested);
    }
    if args.format == Format::Json {
        let stores: Vec<_> = all.iter().map(Tested::json).collect();
        output::print_json(&json!({ "stores": stores }))?;
    }
    if let Some(path) = &args.junit {
        write_junit(path, &all)?;
    }
    if let Some(filter) = &args.filter
        && all.iter().all(Tested::has_no_case)
    {
        eprintln!("no case has `{filter}` in its file or its name");
        return Ok(Exit::Refused);
    }
    let is = |exit| all.iter().any(|tested| tested.exit(args) == exit);
    let worst = [Exit::InvalidPolicies, Exit::Refused].into_iter().find(|exit| is(*exit));
    Ok(worst.unwrap_or(Exit::Ok))
}

fn test(files: StoreFiles, args: &TestArgs, bounds: &Bounds) -> Tested {
    let name = files.name().clone();
    let tested = PolicyStore::load(Arc::new(files), bounds).and_then(|store| {
        let name = store.name();
        // Each is wiped away before the next begins.
        let tests = {
            let _progress = args.quiet.progress(format!("testing {name}"));
            tests(&store, args)?
        };
        let mutants = mutants(&store, args)?;
        let _progress = args.quiet.progress(format!("covering {name}"));
        Ok((tests, mutants, coverage(&store, args)?))
    });
    match tested {
        Ok((tests, mutants, coverage)) => Tested::Ran { tests, mutants, coverage },
        Err(problems) => Tested::Invalid { store: name, problems },
    }
}

fn tests(store: &PolicyStore, args: &TestArgs) -> Result<TestReport, Vec<Problem>> {
    let Some(filter) = &args.filter else { return testing::run(store) };
    let wanted = |case: &Case| case.name.contains(filter) || case.file.contains(filter);
    testing::run_where(store, wanted)
}

fn mutants(store: &PolicyStore, args: &TestArgs) -> Result<Option<MutantReport>, Vec<Problem>> {
    if !args.mutants {
        return Ok(None);
    }
    let progress = args.quiet.progress(format!("changing {}", store.name()));
    testing::run_mutants(store, &|done, all| progress.set(done, all)).map(Some)
}

fn coverage(store: &PolicyStore, args: &TestArgs) -> Result<Option<CoverageReport>, Vec<Problem>> {
    if args.coverage { testing::run_coverage(store).map(Some) } else { Ok(None) }
}

impl Tested {
    fn has_no_case(&self) -> bool {
        match self {
            Self::Ran { tests, .. } => tests.results.is_empty(),
            Self::Invalid { .. } => false,
        }
    }

    fn exit(&self, args: &TestArgs) -> Exit {
        match self {
            Self::Invalid { .. } => Exit::InvalidPolicies,
            Self::Ran { tests, mutants, .. } => {
                let caught = mutants
                    .as_ref()
                    .is_none_or(|mutants| mutants.is_success(args.mutants_threshold));
                if tests.failed() == 0 && caught { Exit::Ok } else { Exit::Refused }
            }
        }
    }

    fn print(&self, args: &TestArgs) -> Result<(), CliError> {
        match self {
            Self::Ran { tests, mutants, coverage } => {
                let mut text = testing::tests_as_text(tests);
                if let Some(mutants) = mutants {
                    text.push_str(&testing::mutants_as_text(mutants, args.mutants_threshold));
                }
                if let Some(coverage) = coverage {
                    text.push_str(&testing::coverage_as_text(coverage));
                }
                output::print(&text)
            }
            Self::Invalid { problems, .. } => {
                problems.iter().try_for_each(|problem| output::print(&problem.render()))
            }
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::Ran { tests, mutants, coverage } => {
                testing::report_as_json(tests, mutants.as_ref(), coverage.as_ref())
            }
            Self::Invalid { store, problems } => {
                json!({ "store": store, "problems": problems })
            }
        }
    }
}

fn write_junit(path: &Path, all: &[Tested]) -> Result<(), CliError> {
    let reports = all.iter().filter_map(|tested| match tested {
        Tested::Ran { tests, mutants, .. } => Some((tests, mutants.as_ref())),
        Tested::Invalid { .. } => None,
    });
    let refused = all.iter().filter_map(|tested| match tested {
        Tested::Ran { .. } => None,
        Tested::Invalid { store, problems } => Some((store, problems.as_slice())),
    });
    let cannot =
        |error: String| CliError::Failure(format!("cannot write `{}`: {error}", path.display()));
    let document = testing::junit(reports, refused).map_err(|error| cannot(error.to_string()))?;
    fs::write(path, document).map_err(|error| cannot(error.to_string()))
}
