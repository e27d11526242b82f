//! The people who gain and lose by a change of policies, judged with a directory.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::SystemTime};

use super::{
    CliError,
    directory::{ConnectionFlags, DirectoryRows, ListedVersions, RowsWanted},
    server_address::ServerAddress,
};
use crate::{
    analysis::{Diff, PersonChange, StoreWithDirectory, people},
    model::{StoreName, Timestamp},
    request::Held,
    settings::Settings,
    sources::{FolderRows, read_folder},
    store::PolicyStore,
};

/// The directory with which people are judged: a folder, or that of a running Humbaba.
pub(super) struct JudgedBy<'a> {
    pub folder: Option<&'a Path>,
    pub server: Option<&'a ServerAddress>,
    pub connection: &'a ConnectionFlags,
}

/// The people of a directory who gain and lose.
#[derive(Default)]
pub(super) struct People {
    pub changes: Vec<PersonChange>,
    /// The versions of the directory, where it is that of a running Humbaba.
    pub versions: Option<ListedVersions>,
    /// Rows that count for nothing in one of the states.
    pub ignored: BTreeSet<String>,
}

impl JudgedBy<'_> {
    /// Finds the people who gain and lose between two states of a store.
    pub(super) fn people(
        &self,
        name: &StoreName,
        (old, new): (&PolicyStore, &PolicyStore),
        diff: &Diff,
        settings: &Settings,
    ) -> Result<People, CliError> {
        let limits = &settings.limits.request;
        let bounds = &settings.directory.bounds;
        if let Some(server) = self.server {
            let (connection, wanted) = (self.connection, RowsWanted::All);
            let running = DirectoryRows::read(server, connection, name, wanted, limits)?;
            let rows = |store: &PolicyStore| running.of_store(store, limits);
            let people = between((old, rows(old)), (new, rows(new)), diff, settings);
            return Ok(People { versions: Some(running.versions), ..people });
        }
        let Some(folder) = self.folder else { return Ok(People::default()) };
        let rows = |store: &PolicyStore| {
            read_folder(folder, store, limits, bounds).map_err(CliError::Usage)
        };
        Ok(between((old, rows(old)?), (new, rows(new)?), diff, settings))
    }
}

fn between(
    (old, old_rows): (&PolicyStore, FolderRows),
    (new, new_rows): (&PolicyStore, FolderRows),
    diff: &Diff,
    settings: &Settings,
) -> People {
    let ignored = old_rows.problems.iter().chain(&new_rows.problems).cloned().collect();
    let held = |store: &PolicyStore, rows: FolderRows| Held {
        facts: Arc::new(rows.directory),
        request_facts: store.request_facts(),
    };
    let (held_before, held_now) = (held(old, old_rows), held(new, new_rows));
    let before = StoreWithDirectory { store: old, held: &held_before };
    let now = StoreWithDirectory { store: new, held: &held_now };
    let moment = Timestamp::after_1970(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
    let (limits, on_forbid_error) = (&settings.limits.request, settings.on_forbid_error);
    let changes = people(before, now, diff, moment, limits, on_forbid_error);
    People { changes, versions: None, ignored }
}

impl People {
    /// Returns what people were judged with, in words; nothing for a folder.
    pub(super) fn judged_with(&self) -> Option<String> {
        let versions = self.versions.as_ref()?.as_list();
        Some(match versions.as_slice() {
            [first, last] => format!(
                "people judged with a directory that changed while it was read, from version {first} \
                 to {last}"
            ),
            _ => format!("people judged with version {} of the directory", versions.concat()),
        })
    }
}

/// Returns the change of one principal in words.
pub(super) fn in_words(person: &PersonChange) -> String {
    let PersonChange { is_loss, principal, action, count, example } = person;
    let verb = if *is_loss { "loses" } else { "gains" };
    match count {
        1 => format!("{principal} {verb} {action} on {example}"),
        _ => format!("{principal} {verb} {action} on {count}, e.g. {example}"),
    }
}
