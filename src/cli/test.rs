//! `humbaba test`

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use serde_json::json;

use crate::{
    model::{Problem, StoreName},
    reload::read_folder,
    store::{Bounds, PolicyStore, StoreFiles, embedded_stores},
    testing::{self, Case, MutantReport, TestReport},
};

/// The arguments of `humbaba test`.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Policies folders, or folders of single stores. Without one, `./policies` if it is there,
    /// else the stores that this program carries.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only the store of this name; may be given several times.
    #[arg(long, value_name = "NAME")]
    store: Vec<StoreName>,
    /// Only the cases whose file or name contains this text.
    #[arg(long, value_name = "TEXT", conflicts_with = "mutants")]
    filter: Option<String>,
    /// Change the policies in every small way and see that a case fails on each change.
    #[arg(long)]
    mutants: bool,
    /// How many per cent of the mutants must be caught.
    #[arg(long, value_name = "PERCENT", default_value_t = 99.0, requires = "mutants")]
    mutants_threshold: f64,
    /// Write the results to this file as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A short tree with details of what failed.
    Human,
    /// One JSON document.
    Json,
}

/// How the run ends. The worst outcome counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Outcome {
    Passed = 0,
    Failed = 2,
    Invalid = 3,
}

/// No stores to test: a mistake in how the command is used.
const BAD_USAGE: u8 = 64;
/// Something else went wrong.
const FAILURE: u8 = 1;

/// What was found of one store.
enum Tested {
    Ran { tests: TestReport, mutants: Option<MutantReport> },
    Invalid { store: StoreName, problems: Vec<Problem> },
}

/// Runs the tests of policy stores.
#[must_use]
pub fn run(args: TestArgs) -> ExitCode {
    let stores = match stores(&args) {
        Ok(stores) => stores,
        Err(message) => {
            say_wrong(&format!("error: {message}"));
            return ExitCode::from(BAD_USAGE);
        }
    };
    let mut all = Vec::new();
    for files in stores {
        let tested = test(files, &args);
        if args.format == Format::Human {
            tested.say(&args);
        }
        all.push(tested);
    }
    if args.format == Format::Json {
        let stores: Vec<_> = all.iter().map(Tested::json).collect();
        say(&format!("{:#}\n", json!({ "stores": stores })));
    }
    if let Some(path) = &args.junit
        && let Err(message) = write_junit(path, &all)
    {
        say_wrong(&format!("error: cannot write `{}`: {message}", path.display()));
        return ExitCode::from(FAILURE);
    }
    let outcome = all.iter().map(|tested| tested.outcome(&args)).max();
    ExitCode::from(outcome.unwrap_or(Outcome::Passed) as u8)
}

fn stores(args: &TestArgs) -> Result<Vec<StoreFiles>, String> {
    let default = Path::new("policies");
    let mut stores = Vec::new();
    if args.paths.is_empty() && !default.is_dir() {
        stores = embedded_stores();
    } else if args.paths.is_empty() {
        stores = read_folder(default).map_err(|error| error.to_string())?;
    }
    for path in &args.paths {
        stores.extend(read_folder(path).map_err(|error| error.to_string())?);
    }
    if let Some(unknown) =
        args.store.iter().find(|name| !stores.iter().any(|store| store.name() == *name))
    {
        let names: Vec<_> = stores.iter().map(|store| store.name().as_str()).collect();
        return Err(format!("no policy store `{unknown}`: there are {}", names.join(", ")));
    }
    stores.retain(|store| args.store.is_empty() || args.store.contains(store.name()));
    Ok(stores)
}

fn test(files: StoreFiles, args: &TestArgs) -> Tested {
    let name = files.name().clone();
    let tested = PolicyStore::load(Arc::new(files), &Bounds::default())
        .and_then(|store| Ok((tests(&store, args)?, mutants(&store, args)?)));
    match tested {
        Ok((tests, mutants)) => Tested::Ran { tests, mutants },
        Err(problems) => Tested::Invalid { store: name, problems },
    }
}

fn tests(store: &PolicyStore, args: &TestArgs) -> Result<TestReport, Vec<Problem>> {
    let Some(filter) = &args.filter else { return testing::run(store) };
    let wanted = |case: &Case| case.name.contains(filter) || case.file.contains(filter);
    testing::run_where(store, wanted)
}

fn mutants(store: &PolicyStore, args: &TestArgs) -> Result<Option<MutantReport>, Vec<Problem>> {
    if args.mutants { testing::run_mutants(store).map(Some) } else { Ok(None) }
}

impl Tested {
    fn outcome(&self, args: &TestArgs) -> Outcome {
        match self {
            Self::Invalid { .. } => Outcome::Invalid,
            Self::Ran { tests, mutants } => {
                let caught = mutants
                    .as_ref()
                    .is_none_or(|mutants| mutants.is_success(args.mutants_threshold));
                if tests.failed() == 0 && caught { Outcome::Passed } else { Outcome::Failed }
            }
        }
    }

    fn say(&self, args: &TestArgs) {
        match self {
            Self::Ran { tests, mutants } => {
                say(&testing::tests_as_text(tests));
                if let Some(mutants) = mutants {
                    say(&testing::mutants_as_text(mutants, args.mutants_threshold));
                }
            }
            Self::Invalid { problems, .. } => {
                problems.iter().for_each(|problem| say_wrong(&problem.render()));
            }
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::Ran { tests, mutants } => testing::report_as_json(tests, mutants.as_ref()),
            Self::Invalid { store, problems } => {
                let problems: Vec<_> = problems.iter().map(testing::problem_as_json).collect();
                json!({ "store": store, "problems": problems })
            }
        }
    }
}

fn write_junit(path: &Path, all: &[Tested]) -> Result<(), String> {
    let reports = all.iter().filter_map(|tested| match tested {
        Tested::Ran { tests, mutants } => Some((tests, mutants.as_ref())),
        Tested::Invalid { .. } => None,
    });
    let refused = all.iter().filter_map(|tested| match tested {
        Tested::Ran { .. } => None,
        Tested::Invalid { store, problems } => Some((store, problems.as_slice())),
    });
    let document = testing::junit(reports, refused).map_err(|error| error.to_string())?;
    fs::write(path, document).map_err(|error| error.to_string())
}

/// Whoever closes the pipe has seen enough.
fn say(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn say_wrong(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
