//! `humbaba test`

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use crate::{
    reload::read_folder,
    store::{Bounds, PolicyStore},
    testing,
};

/// The arguments of `humbaba test`.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Policies folders, or folders of single stores.
    paths: Vec<PathBuf>,
}

/// Runs the tests of policy stores.
#[must_use]
pub fn run(args: TestArgs) -> ExitCode {
    let mut code = 0;
    for path in &args.paths {
        let stores = match read_folder(path) {
            Ok(stores) => stores,
            Err(error) => {
                eprintln!("{error}");
                code = 3;
                continue;
            }
        };
        for files in stores {
            let report = PolicyStore::load(Arc::new(files), &Bounds::default())
                .and_then(|store| testing::run(&store));
            match report {
                Ok(report) => {
                    println!(
                        "{}: {} cases, {} failed, {} exempt",
                        report.store,
                        report.results.len(),
                        report.failed(),
                        report.exempt.len()
                    );
                    for result in &report.results {
                        if let Some(failure) = &result.failure {
                            println!(
                                "{}:{}: {}\n  {}\n  expected {:?}\n  got {:?}\n  {:?}\n",
                                result.case.file,
                                result.case.line,
                                result.case.name,
                                failure.reason,
                                result.case.expectation,
                                failure.got,
                                result.case.input
                            );
                        }
                    }
                    if report.failed() > 0 && code == 0 {
                        code = 2;
                    }
                }
                Err(problems) => {
                    problems.iter().for_each(|problem| eprintln!("{}", problem.render()));
                    code = 3;
                }
            }
        }
    }
    ExitCode::from(code)
}
