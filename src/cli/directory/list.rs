//! `humbaba directory list`: the role assignments of a directory.

use serde::Serialize;

use super::{
    client::ServerFlags,
    rows::{self, ListedVersions},
};
use crate::{
    cli::{CliError, Exit, output},
    directory::rows::COLUMNS,
    model::Uid,
    proto,
};

/// Print who holds which role
///
/// Prints the columns of a file `*.assignments.csv`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    server: ServerFlags,
    /// Roles of this holder alone, e.g. `User::"alice"`
    #[arg(long, value_name = "UID")]
    principal: Option<Uid>,
    /// Roles on this entity alone, e.g. `Site::"42"`
    #[arg(long, value_name = "UID")]
    scope: Option<Uid>,
    /// This role alone
    #[arg(long, value_name = "ROLE", default_value = "")]
    role: String,
    /// Expired roles too, and those that do not fit the schema
    #[arg(long)]
    all: bool,
    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: ListFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum ListFormat {
    /// A line a role, for people
    #[default]
    Human,
    /// A CSV file, as the source `files` reads it
    Csv,
    /// A JSON array of objects with the columns of the file
    Json,
}

#[derive(Serialize)]
struct ListedRow {
    principal_type: String,
    principal_id: String,
    role: String,
    scope_type: String,
    scope_id: String,
    expires_at: String,
    granted_at: String,
    granted_by: String,
    reason: String,
}

pub(super) fn run(args: &ListArgs) -> Result<Exit, CliError> {
    let question = proto::ListAssignmentsRequest {
        policy_store: args.server.store(),
        principal: args.principal.clone().map(Into::into),
        scope: args.scope.clone().map(Into::into),
        role: args.role.clone(),
        include_ineffective: args.all,
        ..proto::ListAssignmentsRequest::default()
    };
    let connection = args.server.connection();
    let mut versions = ListedVersions::default();
    let rows = args.server.ask(async |mut client| {
        rows::assignments(&mut client, connection, question, &mut versions).await
    })?;
    versions.warn();
    match args.format {
        ListFormat::Human => {
            let lines: Vec<_> = rows.iter().map(|row| format!("{}\n", line(row))).collect();
            output::print(&lines.concat())?;
        }
        ListFormat::Csv => output::print(&csv(rows)?)?,
        ListFormat::Json => {
            let rows: Vec<_> = rows.into_iter().map(ListedRow::from).collect();
            output::print_json(&rows)?;
        }
    }
    Ok(Exit::Ok)
}

fn csv(rows: Vec<proto::RoleAssignment>) -> Result<String, CliError> {
    let failed = |error: String| CliError::Failure(format!("cannot write CSV: {error}"));
    let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(|error| failed(error.to_string()))?;
    for row in rows {
        writer.serialize(ListedRow::from(row)).map_err(|error| failed(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

impl From<proto::RoleAssignment> for ListedRow {
    fn from(row: proto::RoleAssignment) -> Self {
        let (principal, scope) = (row.principal.unwrap_or_default(), row.scope.unwrap_or_default());
        let grant = row.grant.unwrap_or_default();
        let moment = |moment: Option<prost_types::Timestamp>| {
            moment.map(|moment| written(&moment)).unwrap_or_default()
        };
        Self {
            principal_type: principal.r#type,
            principal_id: principal.id,
            role: row.role,
            scope_type: scope.r#type,
            scope_id: scope.id,
            expires_at: moment(row.expires_at),
            granted_at: moment(grant.granted_at),
            granted_by: grant.granted_by,
            reason: grant.reason,
        }
    }
}

fn line(row: &proto::RoleAssignment) -> String {
    let mut line = key(row);
    if let Some(end) = &row.expires_at {
        line.push_str(&format!(" until {}", written(end)));
    }
    if let Some(grant) = &row.grant {
        if !grant.granted_by.is_empty() {
            line.push_str(&format!(", granted by {}", grant.granted_by));
        }
        if !grant.reason.is_empty() {
            line.push_str(&format!(": {}", grant.reason));
        }
    }
    line
}

/// Returns the principal, role and scope of an assignment.
pub(super) fn key(row: &proto::RoleAssignment) -> String {
    format!("{} {} {}", name(&row.principal), row.role, name(&row.scope))
}

/// Returns the name of an entity.
pub(super) fn name(uid: &Option<proto::EntityUid>) -> String {
    let uid = uid.clone().unwrap_or_default();
    Uid::new(uid.r#type, uid.id).to_string()
}

/// Returns a moment in RFC 3339.
pub(super) fn written(moment: &prost_types::Timestamp) -> String {
    super::rows::moment(moment).to_string()
}
