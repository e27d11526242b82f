use std::{collections::BTreeSet, fmt::Write as _, io::stdout, path::PathBuf, sync::Arc};

use clap::ValueEnum;

use super::{
    CliError, Exit, output, progress::QuietFlag, setting_flags::SettingFlags,
    solver_flags::SolverFlags, stores,
};
use crate::{
    analysis::{
        Colours, Matrix, MatrixError, matrix_as_csv, matrix_as_html, matrix_as_json,
        matrix_as_markdown, matrix_as_table,
    },
    model::{Problem, StoreName, nearest},
    store::PolicyStore,
    testing::Expected,
};

/// Show who may do what: the matrix of roles and actions, computed from the policies
///
/// Each cell is `allow`, `deny` or a condition, with the policies that decide it. Rows and columns
/// are those of the store's matrix.csv and matrix.toml; without them there is a column for each
/// role slot and type of principal that can hold it, and a row for each action. Cells that evaluation and search leave open are settled by the
/// solver cvc5; without it they are `computed, not proved`.
#[derive(Debug, clap::Args)]
pub(super) struct MatrixArgs {
    /// Policies folders or folders of single stores [default: the stores that `serve` would load]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only the store of this name; may be given several times
    #[arg(long, value_name = "NAME")]
    store: Vec<StoreName>,
    /// Only rows whose action contains this text
    #[arg(long, value_name = "TEXT")]
    action: Option<String>,
    /// The form of the matrix
    #[arg(long, value_enum, default_value_t)]
    format: MatrixFormat,
    /// Compare with matrix.csv instead: exit with 2 where a cell is not as it says, a row is of no action
    /// of the schema, or there is no such file; actions without a row are named
    #[arg(long, conflicts_with_all = ["format", "action"])]
    check: bool,
    #[command(flatten)]
    solver: SolverFlags,
    #[command(flatten)]
    quiet: QuietFlag,
    #[command(flatten)]
    settings: SettingFlags,
}

/// Actions that are named where none is as the one that was asked for.
const NEAR: usize = 3;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum MatrixFormat {
    /// For a terminal
    #[default]
    Table,
    /// For a review
    Markdown,
    /// One page for a browser, a printer or an audit file
    Html,
    /// In the form of matrix.csv
    Csv,
    /// For programs
    Json,
}

pub(super) fn run(args: &MatrixArgs) -> Result<Exit, CliError> {
    let settings = args.settings.settle(Vec::new())?.settings;
    let mut exit = Exit::Ok;
    let mut actions = BTreeSet::new();
    let mut json = serde_json::Map::new();
    for files in stores::of_paths(&args.paths, &args.store, &settings)? {
        let store = stores::load(Arc::new(files), &settings.bounds)?;
        let progress = args.quiet.progress(format!("computing the matrix of {}", store.name()));
        let mut matrix = Matrix::of(&store).map_err(|error| cannot(&store, error))?;
        drop(progress);
        if let Some(text) = &args.action {
            actions.extend(matrix.rows.iter().map(|row| row.action.clone()));
            matrix.rows.retain(|row| row.action.contains(text));
            if matrix.rows.is_empty() {
                continue;
            }
        }
        args.solver.settle(&mut matrix, &store, &args.quiet)?;
        if args.check {
            if !check(&store, &matrix)? {
                exit = Exit::Refused;
            }
            continue;
        }
        let name = store.name().as_str();
        match args.format {
            MatrixFormat::Json => drop(json.insert(name.to_owned(), matrix_as_json(&matrix))),
            MatrixFormat::Table => {
                let colours =
                    if output::has_colours(&stdout()) { Colours::Ansi } else { Colours::None };
                output::print(&format!("{name}\n{}\n", matrix_as_table(&matrix, colours)))?;
            }
            MatrixFormat::Markdown => output::print(&matrix_as_markdown(name, &matrix))?,
            MatrixFormat::Html => {
                let title = format!("Who may do what: {name}");
                output::print(&matrix_as_html(&title, store.revision().as_str(), &matrix))?;
            }
            MatrixFormat::Csv => {
                let csv = matrix_as_csv(&matrix);
                output::print(&csv.map_err(|error| CliError::Failure(error.to_string()))?)?;
            }
        }
    }
    if let Some(text) = args
        .action
        .as_ref()
        .filter(|text| !actions.iter().any(|action| action.contains(text.as_str())))
    {
        return Err(CliError::Usage(no_action(text, &actions)));
    }
    if args.format == MatrixFormat::Json {
        output::print_json(&json)?;
    }
    Ok(exit)
}

/// Says that no action contains a text, and which come near.
fn no_action(text: &str, actions: &BTreeSet<String>) -> String {
    let mut near: Vec<_> = actions.iter().collect();
    near.sort_by_key(|action| strsim::damerau_levenshtein(action, text));
    let near: Vec<_> = near.into_iter().take(NEAR).map(|action| format!("`{action}`")).collect();
    format!("no action contains `{text}`; those that come near: {}", near.join(", "))
}

/// Prints the cells that are not as `matrix.csv` says, and returns whether there are none.
fn check(store: &PolicyStore, matrix: &Matrix) -> Result<bool, CliError> {
    if matrix.cells().all(|(_, _, cell)| cell.expected.is_none()) {
        let name = store.name();
        output::print(&format!(
            "{name}: there is no matrix.csv to compare with: `humbaba matrix … --format csv` writes \
             one\n"
        ))?;
        return Ok(false);
    }
    let mut text = String::new();
    let word = |value: Expected| match value {
        Expected::Allow => "allow",
        Expected::Deny => "deny",
        Expected::Cond => "cond",
    };
    let mut count = 0;
    for (row, column, cell) in matrix.unexpected() {
        count += 1;
        let ids: BTreeSet<_> = cell.policies.iter().map(|policy| policy.id.as_str()).collect();
        let ids = ids.into_iter().collect::<Vec<_>>().join(", ");
        let expected = cell.expected.map(word).unwrap_or_default();
        let _ = writeln!(
            text,
            "{}: {} / {} / {column}: matrix.csv says {expected}, the policies {}{}",
            store.name(),
            row.scope,
            row.action,
            word(cell.value),
            if ids.is_empty() { String::new() } else { format!(" ({ids})") },
        );
    }
    let ids = action_ids(store);
    let mut unknown = 0;
    for row in matrix.rows.iter().filter(|row| !ids.contains(&row.action)) {
        unknown += 1;
        let near = nearest(&row.action, ids.iter().cloned());
        let near = near.map(|near| format!("; the nearest is `{near}`")).unwrap_or_default();
        let _ = writeln!(
            text,
            "{}: {} / {}: matrix.csv has a row for it, and the schema no such action{near}",
            store.name(),
            row.scope,
            row.action,
        );
    }
    let missing = ids.iter().filter(|id| matrix.rows.iter().all(|row| row.action != **id));
    let missing: Vec<_> = missing.map(String::as_str).collect();
    if !missing.is_empty() {
        let _ = writeln!(text, "{}: not in matrix.csv: {}", store.name(), missing.join(", "));
    }
    let unknown_rows = match unknown {
        0 => String::new(),
        count => format!(", {} of no action", output::counted(count, "row", "rows")),
    };
    let compared = matrix.cells().filter(|(_, _, cell)| cell.expected.is_some()).count();
    let exempt = matrix.cells().filter(|(_, _, cell)| cell.exempt.is_some()).count();
    let not_proved = matrix.cells().filter(|(_, _, cell)| !cell.is_proved()).count();
    let not_proved =
        if not_proved == 0 { String::new() } else { format!(", {not_proved} not proved") };
    let _ = writeln!(
        text,
        "{}: {compared} cells, {exempt} of them exempt, {count} differ{unknown_rows}{not_proved}",
        store.name(),
    );
    output::print(&text)?;
    Ok(count == 0 && unknown == 0)
}

/// Returns the ids of the actions that can be asked for, without groups of actions.
fn action_ids(store: &PolicyStore) -> BTreeSet<String> {
    let actions = store.schema().actions();
    let asked = actions
        .filter(|action| !action.principals.is_empty() && !action.resources.is_empty())
        .map(|action| AsRef::<str>::as_ref(action.uid.eid()).to_owned());
    asked.collect()
}

/// Returns why a matrix cannot be computed.
pub(super) fn cannot(store: &PolicyStore, error: MatrixError) -> CliError {
    match error {
        MatrixError::Problems(problems) => {
            let problems: Vec<_> = problems.iter().map(Problem::render).collect();
            CliError::Policies(problems.join("\n"))
        }
        MatrixError::Violations { cell, violations } => {
            let violations: Vec<_> = violations.iter().map(ToString::to_string).collect();
            CliError::Policies(format!(
                "{}: the cell {cell} is no request: {}",
                store.name(),
                violations.join("; ")
            ))
        }
    }
}
