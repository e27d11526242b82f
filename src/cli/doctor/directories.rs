//! The sources of directories.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use super::{finding::DoctorFindings, policies::LoadedStores};
use crate::{
    cli::{output::counted, serve::options::source_options, server_address},
    model::StoreName,
    settings::Settings,
    sources::{self, DirectorySource, FolderRows, SourceOf},
    store::PolicyStore,
};

const DIRECTORIES: &str = "directories";

/// Rows with a problem that are shown.
const SHOWN: usize = 5;

/// Reads each folder once, and asks each database.
pub(super) fn look(
    settings: &Arc<Settings>,
    stores: &LoadedStores,
    timeout: Duration,
    findings: &mut DoctorFindings,
) {
    if let Some(data) = &settings.data {
        data_folder(data, findings);
    }
    for SourceOf { store, source } in &settings.directory.sources {
        let Some(loaded) = stores.get(store) else {
            findings.problem(
                DIRECTORIES,
                format!("`{store}={source}` is for a store that is not there or not valid"),
                "`directory.sources` must name a store of the policies folder",
            );
            continue;
        };
        match source {
            DirectorySource::Files(folder) => files(folder, loaded, settings, timeout, findings),
            DirectorySource::Embedded => embedded(loaded, settings, timeout, findings),
            DirectorySource::Postgres { schema } => {
                postgres(store.as_str(), schema.clone(), settings, timeout, findings);
            }
        }
    }
}

/// Looks whether the folder can be written to, or the folder that it would be made in.
fn data_folder(data: &Path, findings: &mut DoctorFindings) {
    let there = data.ancestors().map(|folder| match folder {
        empty if empty.as_os_str().is_empty() => Path::new("."),
        folder => folder,
    });
    let nearest = there.into_iter().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let shown = data.display();
    if !nearest.is_dir() {
        findings.problem(
            DIRECTORIES,
            format!("`{}` is no folder, so `data` cannot be in it", nearest.display()),
            "name another folder with `data`",
        );
        return;
    }
    // Nothing else tells of every file system whether a folder can be made in it, for root too.
    let probe = nearest.join(format!(".humbaba-doctor-{}", std::process::id()));
    match fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)) {
        Ok(()) => {
            findings.ok(DIRECTORIES, format!("the folder of `data`, `{shown}`, can be written"));
        }
        Err(error) => findings.problem(
            DIRECTORIES,
            format!("the folder of `data`, `{shown}`, cannot be written: {error}"),
            "give it to the account of the process, mount a volume that can be written, or name \
             another folder with `data`",
        ),
    }
}

fn files(
    folder: &Path,
    store: &Arc<PolicyStore>,
    settings: &Arc<Settings>,
    timeout: Duration,
    findings: &mut DoctorFindings,
) {
    let (folder, name): (PathBuf, _) = (folder.to_owned(), store.name().clone());
    let (store, settings) = (Arc::clone(store), Arc::clone(settings));
    let read = move || {
        let (limits, bounds) = (&settings.limits.request, &settings.directory.bounds);
        sources::read_folder(&folder, &store, limits, bounds)
    };
    match findings.take(DIRECTORIES, timeout, read) {
        Some(Ok(rows)) => report(&name, rows, "mend them: `humbaba review` lists all", findings),
        Some(Err(error)) => {
            let message = format!("the directory of `{name}` cannot be read: {error}");
            let advice = "its store decides nothing until it can: mend the files, or name \
                          another folder in `directory.sources`";
            findings.problem(DIRECTORIES, message, advice);
        }
        None => {}
    }
}

/// Reads the database as a start does, and writes nothing.
fn embedded(
    store: &Arc<PolicyStore>,
    settings: &Arc<Settings>,
    timeout: Duration,
    findings: &mut DoctorFindings,
) {
    // The settings are refused without it.
    let Some(data) = settings.data.clone() else { return };
    let name = store.name().clone();
    let (store, limits) = (Arc::clone(store), settings.limits.request.clone());
    let read = move || sources::look_at_embedded(&data, &store, &limits);
    match findings.take(DIRECTORIES, timeout, read) {
        Some(Ok(Some(rows))) => {
            let advice = "write or delete them with `humbaba directory`, or bring the schema of the \
                          store back";
            report(&name, rows, advice, findings);
        }
        Some(Ok(None)) => findings.ok(DIRECTORIES, format!("`{name}`: it has no database yet")),
        Some(Err(error)) => {
            let message = format!("the directory of `{name}` cannot be used: {error}");
            let advice = "its store decides nothing until it can: stop the process, put a backup in \
                          its place with `humbaba directory restore`, and start again";
            findings.problem(DIRECTORIES, message, advice);
        }
        None => {}
    }
}

fn report(name: &StoreName, rows: FolderRows, advice: &str, findings: &mut DoctorFindings) {
    let FolderRows { directory, problems, problem_count } = rows;
    let counts = directory.counts();
    findings.ok(
        DIRECTORIES,
        format!(
            "`{name}`: {}, {}",
            counted(counts.assignments, "assignment", "assignments"),
            counted(counts.entities, "entity", "entities")
        ),
    );
    if problem_count > 0 {
        let rows = counted(problem_count, "row grants", "rows grant");
        let shown = problems.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n");
        findings.warning(DIRECTORIES, format!("`{name}`: {rows} nothing\n{shown}"), advice);
    }
}

fn postgres(
    store: &str,
    schema: Option<String>,
    settings: &Settings,
    timeout: Duration,
    findings: &mut DoctorFindings,
) {
    let options = source_options(settings);
    let look = async { Ok(sources::look_at_postgres(schema.as_deref(), &options).await) };
    let advice = "is PostgreSQL there, does the role of `directory.postgres_url_file` exist, and was \
                  `humbaba directory schema` run in that database, with that role as `--reader`?";
    match server_address::run(timeout, look) {
        Ok(Ok(has_rows)) => {
            let rows = if has_rows { "its rows can be read" } else { "it has no rows yet" };
            findings.ok(DIRECTORIES, format!("`{store}`: PostgreSQL answers, and {rows}"));
        }
        Ok(Err(error)) => findings.problem(DIRECTORIES, format!("`{store}`: {error}"), advice),
        Err(error) => {
            let message = format!("`{store}`: PostgreSQL: {error}");
            findings.problem(DIRECTORIES, message, advice);
        }
    }
}
