//! `humbaba directory schema`: the SQL of a directory in PostgreSQL.

use std::path::PathBuf;

use crate::{
    cli::{CliError, Exit, output, text_file},
    sources::postgres_schema::{DEFAULT_SCHEMA, Mapping, SchemaOptions, schema_sql},
};

/// Print the SQL of a directory in PostgreSQL
///
/// It makes the tables `assignments` and `entities`, which the application writes in its own
/// transactions, and triggers that record each change for the sidecars that follow. Running it again
/// brings functions and triggers up to date and keeps all rows.
///
/// With `--from` they are views of tables that the application has already. The file says how, in
/// SQL expressions over the columns of one row:
///
///   [[assignments]]
///   table = "public.members"
///   principal_type = "'User'"
///   principal_id = "user_id"
///   role = "role"
///   scope_type = "'Site'"
///   scope_id = "site_id"
///   where = "role <> 'pending'"
///
/// `expires_at`, `granted_at`, `granted_by`, `reason` and `where` may be left out. `[[entities]]` has
/// `table`, `type`, `id`, `entity` (Cedar's JSON, as jsonb) and `where`.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  humbaba directory schema --reader humbaba_reader --writer app | psql -v ON_ERROR_STOP=1 app"
)]
pub(super) struct SchemaArgs {
    /// The schema of PostgreSQL; a store with another one is followed as `STORE=postgres:NAME`
    #[arg(long, value_name = "NAME", default_value = DEFAULT_SCHEMA)]
    schema: String,
    /// A TOML file that says which tables of the application are read
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The role that the sidecars connect as: it gets to read; it must be there already
    #[arg(long, value_name = "ROLE")]
    reader: Option<String>,
    /// The role of the application: it gets to write, and to ask for versions
    #[arg(long, value_name = "ROLE")]
    writer: Option<String>,
}

pub(super) fn run(args: &SchemaArgs) -> Result<Exit, CliError> {
    for (flag, name) in [
        ("--schema", Some(&args.schema)),
        ("--reader", args.reader.as_ref()),
        ("--writer", args.writer.as_ref()),
    ] {
        // PostgreSQL cuts off what is longer.
        if name.is_some_and(|name| name.is_empty() || name.len() > 63 || name.contains(['\0', '@']))
        {
            return Err(CliError::Usage(format!(
                "{flag}: write a name of 1 to 63 bytes without `@`"
            )));
        }
    }
    let mapping = match &args.from {
        None => Mapping::default(),
        Some(path) => {
            let shown = path.display().to_string();
            let text = text_file::read(path)
                .map_err(|error| CliError::Usage(format!("cannot read `{shown}`: {error}")))?;
            Mapping::read(&shown, &text).map_err(|error| CliError::Usage(error.to_string()))?
        }
    };
    output::print(&schema_sql(&SchemaOptions {
        schema: Some(args.schema.clone()),
        mapping,
        reader: args.reader.clone(),
        writer: args.writer.clone(),
    }))?;
    Ok(Exit::Ok)
}
