use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{Write as _, stderr},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use clap::ValueEnum;
use serde_json::{Value as Json, json};

#[cfg(feature = "prove")]
use super::diff_solver;
use super::{
    CliError, Exit,
    diff_people::JudgedBy,
    diff_report::{Compared, Flip, What, as_json, github, human, markdown},
    directory::ConnectionFlags,
    folder_at, matrix, output,
    progress::QuietFlag,
    recorded,
    server_address::ServerAddress,
    setting_flags::SettingFlags,
    stores,
};
use crate::{
    analysis::diff,
    engine::decide,
    model::{Effect, StoreName, Timestamp, duration_millis},
    settings::Settings,
    store::{APPROVED_GAINS, PolicyStore, StoreFiles},
};

/// Show who gains and who loses what between two states of the policies
///
/// Compares two folders of policy stores, or `git:REV[:PATH]`, a folder in a commit: the cells of
/// the matrix that change, gains first, the policies that changed, and for each gain and loss a
/// request that shows it. Exits with 2 where anyone gains, or where that is not settled. What is found
/// replays. What the search does not settle the solver cvc5 is asked, if there is one; `humbaba prove
/// --against` proves all of it.
#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// The old state: a folder, or `git:REV[:PATH]`
    #[arg(value_name = "OLD")]
    old: String,
    /// The new state, in the same form
    #[arg(value_name = "NEW", default_value = "policies")]
    new: String,
    /// Only the store of this name; may be given several times
    #[arg(long, value_name = "NAME")]
    store: Vec<StoreName>,
    /// Exit with 2 where anyone loses, too
    #[arg(long)]
    deny_losses: bool,
    /// Write the request of each gain and loss to this file, a decision record of the new state on
    /// each line, for `humbaba check --record`
    #[arg(long, value_name = "FILE")]
    witness: Option<PathBuf>,
    /// Decide the records of this decision log by both states, and show which answers differ
    #[arg(long, value_name = "LOG")]
    replay: Option<PathBuf>,
    /// Show which people of this directory gain and lose, and on how much: a folder of
    /// `*.assignments.csv`, `*.assignments.jsonl` and `*.cedarentities.json`
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The same of the directory of a running Humbaba: the address of its `directory.listen`,
    /// `unix:/path`, `http://host:port` or `https://host:port`
    #[arg(long, value_name = "ADDR", conflicts_with = "directory")]
    server: Option<ServerAddress>,
    #[command(flatten)]
    connection: ConnectionFlags,
    /// Approve the gains: append this step to `approved-gains.toml` of each store in NEW in which
    /// somebody gains, or in which that is not settled, so that the gate `no-gains` lets exactly this
    /// step in. With the solver it is asked, too, what the gate asks
    #[arg(long, requires_all = ["by", "reason"])]
    approve: bool,
    /// The name of the one who approves
    #[arg(long, value_name = "NAME", requires = "approve")]
    by: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", requires = "approve")]
    reason: Option<String>,
    /// How long the approval holds, e.g. `7d` or `12h` [default: it does not end]
    #[arg(long = "for", value_name = "TIME", requires = "approve", value_parser = millis)]
    valid_for: Option<i64>,
    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    format: DiffFormat,
    #[command(flatten)]
    quiet: QuietFlag,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum DiffFormat {
    /// For people
    #[default]
    Human,
    /// For a review
    Markdown,
    /// Annotations of a GitHub workflow
    Github,
    /// One JSON object, for programs
    Json,
}

pub(super) fn run(args: &DiffArgs) -> Result<Exit, CliError> {
    let settings = args.settings.settle(Vec::new())?.settings;
    let compared = compare(args, &settings)?;
    match args.format {
        DiffFormat::Human => output::print(&human(&compared))?,
        DiffFormat::Markdown => output::print(&markdown(&compared))?,
        DiffFormat::Github => output::print(&github(&compared))?,
        DiffFormat::Json => output::print_json(&json!({ "stores": as_json(&compared) }))?,
    }
    if let Some(file) = &args.witness {
        write_witnesses(file, &compared)?;
    }
    if let (true, Some(by), Some(reason)) = (args.approve, &args.by, &args.reason) {
        let expires_at = args.valid_for.map(|millis| now().as_millis().saturating_add(millis));
        let expires_at = expires_at.map(Timestamp::from_millis);
        approve(&args.new, &compared, by, reason, expires_at)?;
        let losses = args.deny_losses && compared.iter().any(Compared::has_losses);
        return Ok(if losses { Exit::Refused } else { Exit::Ok });
    }
    let gains = compared.iter().any(Compared::has_gains);
    let losses = args.deny_losses && compared.iter().any(Compared::has_losses);
    Ok(if gains || losses { Exit::Refused } else { Exit::Ok })
}

/// Reads a time as Cedar writes durations.
fn millis(text: &str) -> Result<i64, String> {
    // A longer one would end after the year 9999.
    let is_bounded = |millis: &i64| (1..=100 * 366 * 24 * 60 * 60 * 1_000).contains(millis);
    let millis = duration_millis(text).filter(is_bounded);
    millis.ok_or_else(|| "write days, hours or minutes, e.g. `7d`, `12h` or `1d12h`".to_owned())
}

fn now() -> Timestamp {
    Timestamp::after_1970(SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default())
}

fn compare(args: &DiffArgs, settings: &Settings) -> Result<Vec<Compared>, CliError> {
    let real = |written: &str| fs::canonicalize(written).ok();
    if real(&args.old).is_some_and(|old| real(&args.new) == Some(old)) {
        return Err(CliError::Usage(format!(
            "OLD and NEW are the same folder, `{}`: to compare it with the last commit, write \
             `humbaba diff git:HEAD`",
            args.new
        )));
    }
    let usual = Path::new("policies");
    let read = |written: &str| folder_at::stores(written, usual, &settings.bounds);
    let (mut old, mut new) = (read(&args.old)?, read(&args.new)?);
    // Two folders of one store each are compared whatever they are called.
    if let ([one], [other]) = (old.as_slice(), new.as_slice())
        && args.store.is_empty()
    {
        let name = other.name().clone();
        return Ok(vec![both(name, one.clone(), other.clone(), args, settings)?]);
    }
    let is_wanted = |files: &StoreFiles| args.store.is_empty() || args.store.contains(files.name());
    let unknown =
        args.store.iter().find(|name| !old.iter().chain(&new).any(|files| files.name() == *name));
    if let Some(name) = unknown {
        return Err(CliError::Usage(format!("neither state has a policy store `{name}`")));
    }
    old.retain(is_wanted);
    new.retain(is_wanted);
    let is_in_both = |files: &&StoreFiles| old.iter().any(|other| other.name() == files.name());
    if args.replay.as_deref() == Some(Path::new("-")) && new.iter().filter(is_in_both).count() > 1 {
        let message = "the standard input can be replayed for one store: name it with `--store`";
        return Err(CliError::Usage(message.to_owned()));
    }
    let mut old: BTreeMap<_, _> =
        old.into_iter().map(|files| (files.name().as_str().to_owned(), files)).collect();
    let mut compared = Vec::new();
    for files in new {
        let name = files.name().clone();
        compared.push(match old.remove(name.as_str()) {
            Some(before) => both(name, before, files, args, settings)?,
            None => Compared { name, stores: None, what: What::Added },
        });
    }
    for files in old.into_values() {
        let name = files.name().clone();
        compared.push(Compared { name, stores: None, what: What::Removed });
    }
    Ok(compared)
}

fn both(
    name: StoreName,
    old: StoreFiles,
    new: StoreFiles,
    args: &DiffArgs,
    settings: &Settings,
) -> Result<Compared, CliError> {
    let progress = args.quiet.progress(format!("comparing {name}"));
    let old = stores::load(Arc::new(old), &settings.bounds)?;
    let new = stores::load(Arc::new(new), &settings.bounds)?;
    #[cfg_attr(not(feature = "prove"), expect(unused_mut, reason = "the solver adds to it"))]
    let mut found =
        diff(&old, &new, settings.on_forbid_error).map_err(|error| matrix::cannot(&new, error))?;
    drop(progress);
    #[cfg(feature = "prove")]
    {
        diff_solver::settle(&mut found, &old, &new, settings.on_forbid_error, &args.quiet)?;
        if args.approve {
            diff_solver::ask_like_gate(&mut found, &old, &new, settings, &args.quiet)?;
        }
    }
    let flips = match &args.replay {
        Some(log) => flips(log, &old, &new, settings)?,
        None => Vec::new(),
    };
    let directory = JudgedBy {
        folder: args.directory.as_deref(),
        server: args.server.as_ref(),
        connection: &args.connection,
    };
    let people = directory.people(&name, (&old, &new), &found, settings)?;
    // Rows of either state, for what one does not know makes a difference, too.
    for problem in people.ignored.iter().filter(|_| !args.quiet.quiet) {
        let _ = writeln!(stderr(), "note: {name}: a row counts for nothing: {problem}");
    }
    Ok(Compared {
        name,
        what: What::Differs(Box::new(found), flips, people),
        stores: Some((old, new)),
    })
}

/// Decides the records of a log by both states.
fn flips(
    log: &Path,
    old: &PolicyStore,
    new: &PolicyStore,
    settings: &Settings,
) -> Result<Vec<Flip>, CliError> {
    let of_store = |record: &Json| {
        record.get("store").and_then(Json::as_str) == Some(new.name().as_str())
            && record.get("decision").is_some()
    };
    let mut flips: BTreeMap<(String, String, bool), usize> = BTreeMap::new();
    for record in recorded::read(log, of_store)? {
        let record = record?;
        let input = record.input()?;
        let now: Timestamp = record.now.parse().map_err(|error| {
            CliError::Usage(format!("the record {} has no `now`: {error}", record.decision_id))
        })?;
        // A request that does not fit the schema of a state is not allowed by it.
        let allows = |store: &PolicyStore| {
            let request = store.check(&input, now, &settings.limits.request);
            request.is_ok_and(|request| {
                decide(store.engine(), &request, record.on_forbid_error).effect == Effect::Allow
            })
        };
        let (before, after) = (allows(old), allows(new));
        if before != after {
            let name = |uid: &Option<crate::model::Uid>| {
                uid.as_ref().map(ToString::to_string).unwrap_or_default()
            };
            let action = input.action.as_ref().map(|uid| uid.id.clone()).unwrap_or_default();
            *flips.entry((name(&input.principal), action, after)).or_default() += 1;
        }
    }
    let mut flips: Vec<_> = flips
        .into_iter()
        .map(|((principal, action, gains), count)| Flip { principal, action, gains, count })
        .collect();
    flips.sort_by_key(|flip| (!flip.gains, std::cmp::Reverse(flip.count)));
    Ok(flips)
}

/// Appends the step of each store in which somebody gains, or may gain for all that is known, to its file
/// of approved gains.
fn approve(
    new: &str,
    compared: &[Compared],
    by: &str,
    reason: &str,
    expires_at: Option<Timestamp>,
) -> Result<(), CliError> {
    let folder = Path::new(new);
    if new.starts_with("git:") || !folder.is_dir() {
        return Err(CliError::Usage(
            "an approval is written into the folder of the store: give NEW as a folder".to_owned(),
        ));
    }
    let mut is_written = false;
    for store in compared {
        let cells = store.to_approve();
        if cells.is_empty() && !store.has_gains() {
            continue;
        }
        let Some((old, new)) = &store.stores else {
            return Err(CliError::Usage(format!(
                "`{}` is a new store, of which there is no step to approve: `reload.first` \
                 decides",
                store.name
            )));
        };
        let text = |text: &str| toml::Value::from(text).to_string();
        let cells: Vec<_> = cells.iter().map(|cell| format!("    {},\n", text(cell))).collect();
        let until = expires_at.map(|moment| format!("expires_at = \"{moment}\"\n"));
        let trust = match store.trust() {
            trust if trust.is_empty() => String::new(),
            trust => format!("trust = {}\n", toml::Value::from(trust)),
        };
        let step = format!(
            "[[approved]]\nfrom = {}\nto = {}\n{trust}by = {}\nreason = {}\n{}cells = [\n{}]\n",
            text(old.revision().as_str()),
            text(new.revision().as_str()),
            text(by),
            text(reason),
            until.unwrap_or_default(),
            cells.concat(),
        );
        let within = folder.join(store.name.as_str());
        let of_store = if within.is_dir() { within } else { folder.to_owned() };
        let file = of_store.join(APPROVED_GAINS);
        append(&file, &step).map_err(CliError::io(format!("cannot write `{}`", file.display())))?;
        output::print(&format!("approved in {}\n", file.display()))?;
        is_written = true;
    }
    if !is_written {
        output::print("nobody gains: there is nothing to approve\n")?;
    }
    Ok(())
}

/// Appends a step to a file, which is written as a whole under another name first.
fn append(file: &Path, step: &str) -> std::io::Result<()> {
    let before = match fs::read_to_string(file) {
        Ok(text) => format!("{}\n\n", text.trim_end()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error),
    };
    let beside = file.with_extension("toml.new");
    let written = fs::write(&beside, format!("{before}{step}"));
    let written = written.and_then(|()| fs::rename(&beside, file));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

/// Writes the request of each gain and loss as a decision record of the new state.
fn write_witnesses(file: &Path, compared: &[Compared]) -> Result<(), CliError> {
    let mut lines = String::new();
    for store in compared {
        let Some((old, new)) = &store.stores else { continue };
        for (number, (_, sentence, witness)) in store.sentences().into_iter().enumerate() {
            let id = format!("{}-{}", store.name, number + 1);
            let Some(witness) = witness else { continue };
            // A request that only the old schema knows is a record of the old state.
            let record = witness.record(new, &id).or_else(|_| witness.record(old, &id));
            let record = record.map_err(|violations| {
                let violations: Vec<_> = violations.iter().map(ToString::to_string).collect();
                CliError::Failure(format!(
                    "the request for `{sentence}` does not fit the schema: {}",
                    violations.join("; ")
                ))
            })?;
            let _ = writeln!(lines, "{record}");
        }
    }
    fs::write(file, lines).map_err(CliError::io(format!("cannot write `{}`", file.display())))
}
