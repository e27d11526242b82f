//! `humbaba test`

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use crate::{
    diagnostics::Problem,
    name::StoreName,
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
}

/// How the run ends. The worst outcome counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Outcome {
    Passed = 0,
    Failed = 2,
    Invalid = 3,
    BadUsage = 64,
}

/// Runs the tests of policy stores.
#[must_use]
pub fn run(args: TestArgs) -> ExitCode {
    let outcome = match stores(&args) {
        Ok(stores) => stores.into_iter().map(|files| test(files, &args)).max(),
        Err(message) => {
            say_wrong(&message);
            Some(Outcome::BadUsage)
        }
    };
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

fn test(files: StoreFiles, args: &TestArgs) -> Outcome {
    let tested = PolicyStore::load(Arc::new(files), &Bounds::default())
        .and_then(|store| Ok((tests(&store, args)?, mutants(&store, args)?)));
    let (report, mutants) = match tested {
        Ok(tested) => tested,
        Err(problems) => {
            problems.iter().for_each(|problem| say_wrong(&problem.render()));
            return Outcome::Invalid;
        }
    };
    say(&testing::tests_as_text(&report));
    let mut outcome = if report.failed() == 0 { Outcome::Passed } else { Outcome::Failed };
    if let Some(mutants) = mutants {
        say(&testing::mutants_as_text(&mutants, args.mutants_threshold));
        if !mutants.is_success(args.mutants_threshold) {
            outcome = Outcome::Failed;
        }
    }
    outcome
}

fn tests(store: &PolicyStore, args: &TestArgs) -> Result<TestReport, Vec<Problem>> {
    let Some(filter) = &args.filter else { return testing::run(store) };
    let wanted = |case: &Case| case.name.contains(filter) || case.file.contains(filter);
    testing::run_where(store, wanted)
}

fn mutants(store: &PolicyStore, args: &TestArgs) -> Result<Option<MutantReport>, Vec<Problem>> {
    if args.mutants { testing::run_mutants(store).map(Some) } else { Ok(None) }
}

/// Whoever closes the pipe has seen enough.
fn say(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn say_wrong(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
