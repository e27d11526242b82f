//! `humbaba validate`

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use crate::{
    reload::read_folder,
    store::{Bounds, PolicyStore},
};

/// The arguments of `humbaba validate`.
#[derive(Debug, clap::Args)]
pub(super) struct ValidateArgs {
    /// Policies folders, or folders of single stores.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

pub(super) fn run(args: ValidateArgs) -> ExitCode {
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
            let name = files.name().clone();
            match PolicyStore::load(Arc::new(files), &Bounds::default()) {
                Ok(store) => {
                    println!("{name}: valid, {} policies", store.policies().policies().count())
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
