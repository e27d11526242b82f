use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use clap::ValueEnum;

use super::{
    CliError, Exit,
    directory::{ConnectionFlags, DirectoryRows, RowsWanted},
    matrix, output,
    progress::QuietFlag,
    server_address::ServerAddress,
    setting_flags::{SettingFlags, flag},
    source,
};
use crate::{
    analysis::{
        FindingKind, Review, review_as_csv, review_as_html, review_as_json, review_as_table,
    },
    model::{StoreName, Timestamp},
    settings::Settings,
    sources::{self, FolderRows},
    store::PolicyStore,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Show who holds which role where: since when, until when, by whom and why
///
/// Reads a folder of `*.assignments.csv`, `*.assignments.jsonl` and `*.cedarentities.json`, or asks a
/// running Humbaba, and lists the assignments with what a reviewer should look at: scopes on which all or none hold the
/// strongest role, who holds roles on most scopes, roles that no policy uses, assignments that have
/// expired or soon will, rows that cannot be read. The strongest role is the one that makes most
/// actions possible, whatever its name.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
JSON:
  {\"store\", \"revision\", \"as_of\", \"rows\": [{\"principal_type\", \"principal_id\", \"role\",
   \"scope_type\", \"scope_id\", \"expires_at\", \"granted_at\", \"granted_by\", \"reason\": the last
   four may be null, \"state\": \"in force\" | \"expired\" | \"does not fit\"}],
   \"findings\": [{\"kind\": \"all-strongest\" | \"holds-most\" | \"no-strongest\" | \"unused\" |
   \"expired\" | \"expires-soon\" | \"bad-row\", \"about\", \"message\", \"rows\": [places in rows]}]}

Examples:
  humbaba review hitkeep --directory ./directory
  humbaba review hitkeep --server unix:/run/humbaba-directory.sock
  humbaba review hitkeep --directory ./directory --problems-only --strict
  humbaba review hitkeep --directory ./directory --format html > review.html")]
pub(super) struct ReviewArgs {
    /// The policy store
    #[arg(value_name = "STORE")]
    store: StoreName,
    /// The folder with the files of its directory
    #[arg(long, value_name = "DIR", required_unless_present = "server")]
    directory: Option<PathBuf>,
    /// The address of `directory.listen` of a running Humbaba, whatever the source of the directory:
    /// `unix:/path`, `http://host:port` or `https://host:port`
    #[arg(long, value_name = "ADDR", conflicts_with = "directory")]
    server: Option<ServerAddress>,
    #[command(flatten)]
    connection: ConnectionFlags,
    /// The policies folder [default: ./policies if it is there, else the embedded stores]
    #[arg(long, value_name = "DIR")]
    policies: Option<String>,
    /// The form of the review
    #[arg(long, value_enum, default_value_t)]
    format: ReviewFormat,
    /// Judge the ends of assignments at this time [default: now]
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
    /// Days within which an assignment that ends is a finding
    #[arg(long, value_name = "DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(..=36_500))]
    soon: u32,
    /// Only what a reviewer should look at
    #[arg(long)]
    problems_only: bool,
    /// Exit with 2 where there are findings
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    quiet: QuietFlag,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum ReviewFormat {
    /// For a terminal
    #[default]
    Table,
    /// The assignments, each with the kinds of its findings; a finding of no row has a line of its own
    Csv,
    /// For programs
    Json,
    /// One page for a browser, a printer or an audit file
    Html,
}

pub(super) fn run(args: &ReviewArgs) -> Result<Exit, CliError> {
    let own = flag("policies", args.policies.clone()).into_iter().collect();
    let settings = args.settings.settle(own)?.settings;
    let as_of = as_of(args.as_of)?;
    let store = source::load_one(&settings, Some(args.store.as_str()))?;
    let folder = args.directory.as_ref().map(|folder| folder.display().to_string());
    let from = folder.unwrap_or_else(|| "the running Humbaba".to_owned());
    let progress = args.quiet.progress(format!("reading {from}"));
    let read = rows(args, &store, &settings)?;
    let soon = DAY.saturating_mul(args.soon);
    let mut review = Review::of(&store, &read.directory, as_of, soon, &read.problems)
        .map_err(|error| matrix::cannot(&store, error))?;
    if args.problems_only {
        review = review.of_findings_only();
    }
    drop(progress);
    print(args.format, &store, &review)?;
    let more = read.problem_count.saturating_sub(read.problems.len());
    if more > 0 {
        eprintln!("{more} more rows have a problem");
    }
    let has_findings = !review.findings.is_empty();
    Ok(if args.strict && has_findings { Exit::Refused } else { Exit::Ok })
}

/// Reads the rows of the directory.
fn rows(
    args: &ReviewArgs,
    store: &PolicyStore,
    settings: &Settings,
) -> Result<FolderRows, CliError> {
    let (limits, bounds) = (&settings.limits.request, &settings.directory.bounds);
    match (&args.server, &args.directory) {
        (Some(server), _) => {
            let (connection, wanted) = (&args.connection, RowsWanted::Assignments);
            let running = DirectoryRows::read(server, connection, store.name(), wanted, limits)?;
            running.versions.warn();
            Ok(running.of_store(store, limits))
        }
        (None, Some(folder)) => {
            sources::read_folder(folder, store, limits, bounds).map_err(CliError::Usage)
        }
        (None, None) => Err(CliError::Usage("name `--directory` or `--server`".to_owned())),
    }
}

/// Returns the time at which ends are judged. No source keeps what was, so it cannot be in the past.
fn as_of(wanted: Option<Timestamp>) -> Result<Timestamp, CliError> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp::after_1970(now);
    match wanted {
        Some(wanted) if wanted < now => Err(CliError::Usage(format!(
            "`--as-of {wanted}` is in the past, of which a directory keeps nothing: name a time to come"
        ))),
        wanted => Ok(wanted.unwrap_or(now)),
    }
}

fn print(format: ReviewFormat, store: &PolicyStore, review: &Review) -> Result<(), CliError> {
    let name = store.name();
    match format {
        ReviewFormat::Table => {
            let bad = |kind| review.findings.iter().filter(|finding| finding.kind == kind).count();
            let summary = format!(
                "{name}: {}, judged at {}, {}, {}",
                output::counted(review.rows.len(), "assignment", "assignments"),
                review.as_of,
                output::counted(review.findings.len(), "finding", "findings"),
                output::counted(bad(FindingKind::BadRow), "bad row", "bad rows"),
            );
            output::print(&format!("{summary}\n\n{}", review_as_table(review)))
        }
        ReviewFormat::Csv => {
            let csv = review_as_csv(review);
            output::print(&csv.map_err(|error| CliError::Failure(error.to_string()))?)
        }
        ReviewFormat::Json => {
            output::print_json(&review_as_json(name.as_str(), store.revision().as_str(), review))
        }
        ReviewFormat::Html => {
            let title = format!("Who holds what: {name}");
            output::print(&review_as_html(&title, store.revision().as_str(), review))
        }
    }
}
