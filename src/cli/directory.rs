//! `humbaba directory`: who holds which role, asked of and told to a running Humbaba.

mod client;
mod list;
mod rows;
mod schema;

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    CliError, Exit,
    check::json,
    output::{self, Format},
    progress::QuietFlag,
};
use crate::{
    model::{StoreName, Timestamp, Uid},
    proto::{self, directory_change::Change},
    request::{RoleAssignmentInput, json::FactReader},
    sources,
};
use client::ServerFlags;

pub(super) use client::ConnectionFlags;
pub(super) use rows::{DirectoryRows, ListedVersions, RowsWanted};

/// Write and read the directory of a running Humbaba
///
/// Asks the listener that its setting `directory.listen` names. Only directories that the sidecar keeps
/// itself (`STORE=embedded`) can be written.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  humbaba directory put --server unix:/run/humbaba-directory.sock --store hitkeep \\
      'User::\"alice\"' editor 'Site::\"42\"' --granted-by root --reason 'ticket 7'
  humbaba directory list --server unix:/run/humbaba-directory.sock --format csv")]
pub(super) struct DirectoryArgs {
    #[command(subcommand)]
    command: DirectoryCommand,
}

#[derive(Debug, clap::Subcommand)]
enum DirectoryCommand {
    Put(PutArgs),
    Delete(DeleteArgs),
    List(list::ListArgs),
    Watch(WatchChangesArgs),
    Restore(RestoreArgs),
    Schema(schema::SchemaArgs),
}

/// Give a role, or write entities
///
/// Prints the version of the directory with the change, which a question can ask for as
/// `at_least_version`.
#[derive(Debug, clap::Args)]
struct PutArgs {
    #[command(flatten)]
    server: ServerFlags,
    /// The holder of the role, e.g. `User::"alice"`
    #[arg(value_name = "PRINCIPAL", required_unless_present = "entities")]
    principal: Option<Uid>,
    /// The role slot, e.g. `editor`
    #[arg(value_name = "ROLE", required_unless_present = "entities")]
    role: Option<String>,
    /// The entity on which it is held, e.g. `Site::"42"`
    #[arg(value_name = "SCOPE", required_unless_present = "entities")]
    scope: Option<Uid>,
    /// From this moment on the role is not held any more
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Timestamp>,
    /// The name of the one who gives it
    #[arg(long, value_name = "TEXT", default_value = "")]
    granted_by: String,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Write the entities of this file instead, in Cedar's JSON; values that are neither text, number
    /// nor truth with `__entity` and `__extn`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["principal", "role", "scope", "expires_at",
        "granted_by", "reason"])]
    entities: Option<PathBuf>,
    #[command(flatten)]
    write: WriteFlags,
}

/// Take a role away, or the attributes, parents and tags of an entity
///
/// Prints the version of the directory with the change. What is not there is no fault.
#[derive(Debug, clap::Args)]
struct DeleteArgs {
    #[command(flatten)]
    server: ServerFlags,
    /// The holder of the role, e.g. `User::"alice"`
    #[arg(value_name = "PRINCIPAL", required_unless_present = "entity")]
    principal: Option<Uid>,
    /// The role slot, e.g. `editor`
    #[arg(value_name = "ROLE", required_unless_present = "entity")]
    role: Option<String>,
    /// The entity on which it is held, e.g. `Site::"42"`
    #[arg(value_name = "SCOPE", required_unless_present = "entity")]
    scope: Option<Uid>,
    /// Delete this entity instead; roles that it has, and that are held on it, stay
    #[arg(long, value_name = "UID", conflicts_with_all = ["principal", "role", "scope"])]
    entity: Option<Uid>,
    #[command(flatten)]
    write: WriteFlags,
}

#[derive(Debug, clap::Args)]
struct WriteFlags {
    /// Write only if this is the version of the directory
    #[arg(long, value_name = "VERSION", default_value = "")]
    if_version: String,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    quiet: QuietFlag,
}

/// Print changes as they come in force, until it is interrupted
///
/// Prints a line a change: the version, then what changes. The first line is the version of now.
#[derive(Debug, clap::Args)]
struct WatchChangesArgs {
    #[command(flatten)]
    server: ServerFlags,
    /// Begin with what changed after this version [default: now]
    #[arg(long, value_name = "VERSION", default_value = "")]
    after: String,
}

/// Put a backup in place of a directory that the sidecar keeps itself
///
/// The process must not run. The backup is verified before anything is replaced. Versions that were
/// given before do not count any more: prints the version that the directory now has.
#[derive(Debug, clap::Args)]
struct RestoreArgs {
    /// The backup: a copy of the file `directory/STORE.sqlite`
    #[arg(value_name = "FILE")]
    backup: PathBuf,
    /// The folder of the setting `data`
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The policy store
    #[arg(long, value_name = "NAME")]
    store: StoreName,
    #[command(flatten)]
    quiet: QuietFlag,
}

pub(super) fn run(args: &DirectoryArgs) -> Result<Exit, CliError> {
    match &args.command {
        DirectoryCommand::Put(args) => write(&args.server, &args.write, args.changes()?),
        DirectoryCommand::Delete(args) => write(&args.server, &args.write, vec![args.change()]),
        DirectoryCommand::List(args) => list::run(args),
        DirectoryCommand::Watch(args) => watch(args),
        DirectoryCommand::Schema(args) => schema::run(args),
        DirectoryCommand::Restore(RestoreArgs { backup, data, store, quiet }) => {
            let progress = quiet.progress(format!("restoring {store}"));
            let restored = sources::restore(backup, data, store);
            drop(progress);
            let version = restored.map_err(|error| CliError::Failure(error.to_string()))?;
            output::print(&format!("{version}\n"))?;
            Ok(Exit::Ok)
        }
    }
}

impl PutArgs {
    fn changes(&self) -> Result<Vec<Change>, CliError> {
        if let Some(file) = &self.entities {
            return entities(file);
        }
        let grant = proto::Grant {
            granted_at: Some(SystemTime::now().into()),
            granted_by: self.granted_by.clone(),
            reason: self.reason.clone(),
        };
        Ok(vec![Change::PutAssignment(proto::RoleAssignment {
            grant: Some(grant),
            ..assignment(&self.principal, &self.role, &self.scope, self.expires_at)
        })])
    }
}

impl DeleteArgs {
    fn change(&self) -> Change {
        match &self.entity {
            Some(entity) => Change::DeleteEntity(entity.clone().into()),
            None => {
                let assignment = assignment(&self.principal, &self.role, &self.scope, None);
                Change::DeleteAssignment(assignment)
            }
        }
    }
}

fn assignment(
    principal: &Option<Uid>,
    role: &Option<String>,
    scope: &Option<Uid>,
    expires_at: Option<Timestamp>,
) -> proto::RoleAssignment {
    let (principal, scope) = (principal.clone(), scope.clone());
    let role = role.clone().unwrap_or_default();
    RoleAssignmentInput { principal, role, scope, expires_at }.into()
}

fn entities(file: &Path) -> Result<Vec<Change>, CliError> {
    let mut reader = FactReader::default();
    let entities = reader.entities(&json(file)?, None);
    if !reader.violations.is_empty() {
        let lines: Vec<_> = reader.violations.iter().map(|one| format!("\n  {one}")).collect();
        let file = file.display();
        return Err(CliError::Usage(format!("`{file}` holds bad entities{}", lines.concat())));
    }
    Ok(entities.into_iter().map(|entity| Change::PutEntity(entity.into())).collect())
}

fn write(server: &ServerFlags, write: &WriteFlags, changes: Vec<Change>) -> Result<Exit, CliError> {
    let changes = changes.into_iter();
    let request = proto::WriteRequest {
        policy_store: server.store(),
        changes: changes.map(|change| proto::DirectoryChange { change: Some(change) }).collect(),
        if_version: write.if_version.clone(),
    };
    let progress = write.quiet.progress("writing");
    let response = server.ask(async |mut client| {
        let written = client.write(server.request(request)?).await;
        Ok(written?)
    })?;
    drop(progress);
    let version = response.into_inner().directory_version;
    match write.format {
        Format::Human => output::print(&format!("{version}\n"))?,
        Format::Json => output::print_json(&serde_json::json!({ "directory_version": version }))?,
    }
    Ok(Exit::Ok)
}

fn watch(args: &WatchChangesArgs) -> Result<Exit, CliError> {
    let request = proto::WatchRequest {
        policy_store: args.server.store(),
        after_version: args.after.clone(),
    };
    args.server.follow(async |mut client| {
        let mut answers = client.watch(args.server.request(request)?).await?.into_inner();
        while let Some(answer) = answers.message().await? {
            let version = &answer.directory_version;
            let mut lines: Vec<_> = answer
                .changes
                .iter()
                .map(|change| format!("{version} {}\n", line(change)))
                .collect();
            if lines.is_empty() {
                lines.push(format!("{version}\n"));
            }
            output::print(&lines.concat())?;
        }
        Ok(())
    })?;
    Ok(Exit::Ok)
}

/// Returns a change as one line.
fn line(change: &proto::DirectoryChange) -> String {
    match &change.change {
        Some(Change::PutAssignment(row)) => match &row.expires_at {
            Some(end) => format!("put {} until {}", list::key(row), list::written(end)),
            None => format!("put {}", list::key(row)),
        },
        Some(Change::DeleteAssignment(row)) => format!("delete {}", list::key(row)),
        Some(Change::PutEntity(entity)) => format!("put {}", list::name(&entity.uid)),
        Some(Change::DeleteEntity(uid)) => format!("delete {}", list::name(&Some(uid.clone()))),
        None => "a change of a later version of Humbaba".to_owned(),
    }
}
