use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::ValueEnum;
use serde_json::{Value as Json, json};

use super::{
    CliError, Exit, folder_at, matrix, output, recorded, setting_flags::SettingFlags, stores,
};
use crate::{
    analysis::{CellChange, Diff, Direction, OtherChange, PolicyChangeKind, Witness, diff},
    engine::decide,
    model::{Effect, StoreName, Timestamp},
    settings::Settings,
    store::{PolicyStore, StoreFiles},
    testing::Expected,
};

/// Show who gains and who loses what between two states of the policies
///
/// Compares two folders of policy stores, or `git:REV[:PATH]`, a folder in a commit: the cells of
/// the matrix that change, gains first, the policies that changed, and for each gain and loss a
/// request that shows it. Exits with 2 where anyone gains. What is found replays; that there is no
/// more is proved by `humbaba prove --against`.
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
    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    format: DiffFormat,
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

/// A store in both states.
struct Compared {
    name: StoreName,
    stores: Option<(PolicyStore, PolicyStore)>,
    what: What,
}

enum What {
    Added,
    Removed,
    Differs(Diff, Vec<Flip>),
}

/// Recorded requests whose answer differs.
struct Flip {
    principal: String,
    action: String,
    gains: bool,
    count: usize,
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
    let gains = compared.iter().any(Compared::has_gains);
    let losses = args.deny_losses && compared.iter().any(Compared::has_losses);
    Ok(if gains || losses { Exit::Refused } else { Exit::Ok })
}

fn compare(args: &DiffArgs, settings: &Settings) -> Result<Vec<Compared>, CliError> {
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
    let old = stores::load(Arc::new(old), &settings.bounds)?;
    let new = stores::load(Arc::new(new), &settings.bounds)?;
    let found = diff(&old, &new).map_err(|error| matrix::cannot(&new, error))?;
    let flips = match &args.replay {
        Some(log) => flips(log, &old, &new, settings)?,
        None => Vec::new(),
    };
    Ok(Compared { name, what: What::Differs(found, flips), stores: Some((old, new)) })
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
        let input = record.input()?;
        let now: Timestamp = record.now.parse().map_err(|error| {
            CliError::Usage(format!("the record {} has no `now`: {error}", record.decision_id))
        })?;
        // What does not fit the schema of a state is not allowed by it.
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

impl Compared {
    fn has_gains(&self) -> bool {
        match &self.what {
            What::Added => true,
            What::Removed => false,
            What::Differs(diff, flips) => diff.has_gains() || flips.iter().any(|flip| flip.gains),
        }
    }

    fn has_losses(&self) -> bool {
        match &self.what {
            What::Added => false,
            What::Removed => true,
            What::Differs(diff, flips) => diff.has_losses() || flips.iter().any(|flip| !flip.gains),
        }
    }

    fn sentences(&self) -> Vec<(Direction, String, Option<&Witness>)> {
        match &self.what {
            What::Differs(diff, _) => sentences(diff),
            What::Added | What::Removed => Vec::new(),
        }
    }
}

/// Returns every change as a sentence with the request that shows it, gains first.
pub(super) fn sentences(diff: &Diff) -> Vec<(Direction, String, Option<&Witness>)> {
    let mut sentences = Vec::new();
    for cell in &diff.cells {
        for (direction, witness) in [(Direction::Gain, &cell.gain), (Direction::Loss, &cell.loss)] {
            if let Some(witness) = witness {
                sentences.push((direction, of_cell(cell, direction), Some(witness)));
            }
        }
    }
    for other in &diff.others {
        sentences.push((other.direction, of_other(other), Some(&other.witness)));
    }
    sentences.sort_by_key(|(direction, ..)| *direction);
    sentences
}

fn of_cell(cell: &CellChange, direction: Direction) -> String {
    let verb = if direction == Direction::Loss { "loses" } else { "gains" };
    let how = match (direction, cell.before, cell.after) {
        (Direction::Loss, _, Expected::Deny) | (Direction::Gain, _, Expected::Allow) => "",
        _ => " under conditions",
    };
    format!("{} {verb} {}{how}", cell.column, cell.action)
}

fn of_other(other: &OtherChange) -> String {
    let verb = if other.direction == Direction::Loss { "loses" } else { "gains" };
    format!("a {} {verb} {} on a {}", other.principal, other.action, other.resource)
}

fn human(compared: &[Compared]) -> String {
    let mut text = String::new();
    for store in compared {
        let _ = writeln!(text, "{}", store.name);
        let (diff, flips) = match &store.what {
            What::Added => {
                text.push_str("  a new store: all that it allows is gained\n");
                continue;
            }
            What::Removed => {
                text.push_str("  the store is gone: all that it allowed is lost\n");
                continue;
            }
            What::Differs(diff, flips) => (diff, flips),
        };
        for change in &diff.policies {
            let (sign, what) = sign(change.kind);
            let _ = writeln!(text, "  {sign} {}{what}", change.id);
        }
        for (_, sentence, witness) in store.sentences() {
            let _ = writeln!(text, "  {sentence}");
            for line in witness.map(ToString::to_string).unwrap_or_default().lines() {
                let _ = writeln!(text, "      {line}");
            }
        }
        for flip in flips {
            let answer = if flip.gains { "is allowed now" } else { "is denied now" };
            let _ = writeln!(
                text,
                "  recorded {} times: {} {answer}: {}",
                flip.count, flip.principal, flip.action
            );
        }
        for reason in &diff.not_comparable {
            let _ = writeln!(text, "  not comparable: {reason}");
        }
        for place in &diff.unknown {
            let _ = writeln!(text, "  unknown: the search was given up for {place}");
        }
        let _ = writeln!(text, "  {}", summary(diff));
    }
    text
}

fn sign(kind: PolicyChangeKind) -> (char, &'static str) {
    match kind {
        PolicyChangeKind::Added => ('+', ""),
        PolicyChangeKind::Removed => ('-', ""),
        PolicyChangeKind::Changed => ('~', ""),
        PolicyChangeKind::Annotations => ('~', " (annotations only)"),
    }
}

/// Returns how many cells gain and how many lose.
pub(super) fn summary(diff: &Diff) -> String {
    let gains = diff.cells.iter().filter(|cell| cell.direction.is_gain()).count();
    let losses = diff.cells.iter().filter(|cell| cell.direction != Direction::Gain).count();
    let others = match diff.others.len() {
        0 => String::new(),
        count => format!(", {count} changes outside the matrix"),
    };
    if gains + losses + diff.others.len() == 0 {
        return "nobody gains or loses anything".to_owned();
    }
    format!("cells that gain: {gains}, that lose: {losses}{others}")
}

fn markdown(compared: &[Compared]) -> String {
    let mut text = String::from("# Who gains and who loses what\n");
    for store in compared {
        let _ = writeln!(text, "\n## {}\n", store.name);
        let (diff, flips) = match &store.what {
            What::Added => {
                text.push_str("A new store: all that it allows is gained.\n");
                continue;
            }
            What::Removed => {
                text.push_str("The store is gone: all that it allowed is lost.\n");
                continue;
            }
            What::Differs(diff, flips) => (diff, flips),
        };
        for change in &diff.policies {
            let (sign, what) = sign(change.kind);
            let _ = writeln!(text, "- `{sign} {}`{what}", change.id);
        }
        let _ = writeln!(text, "\n**{}**", summary(diff));
        let mut last = None;
        for (direction, sentence, witness) in store.sentences() {
            if last != Some(direction) {
                let head = if direction == Direction::Loss { "Losses" } else { "Gains" };
                let _ = writeln!(text, "\n### {head}\n");
                last = Some(direction);
            }
            let _ = writeln!(text, "- {sentence}");
            if let Some(witness) = witness {
                let _ = writeln!(text, "  ```");
                for line in witness.to_string().lines() {
                    let _ = writeln!(text, "  {line}");
                }
                let _ = writeln!(text, "  ```");
            }
        }
        if !flips.is_empty() {
            text.push_str("\n### Recorded decisions\n\n| times | principal | action | answer |\n|---|---|---|---|\n");
        }
        for flip in flips {
            let answer = if flip.gains { "allowed now" } else { "denied now" };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {answer} |",
                flip.count, flip.principal, flip.action
            );
        }
        for reason in &diff.not_comparable {
            let _ = writeln!(text, "\nNot comparable: {reason}");
        }
        for place in &diff.unknown {
            let _ = writeln!(text, "\nUnknown: the search was given up for {place}.");
        }
    }
    text
}

fn github(compared: &[Compared]) -> String {
    let mut text = String::new();
    for store in compared {
        let mut line = |kind: &str, message: &str| {
            let _ = writeln!(text, "::{kind} title={}::{message}", store.name);
        };
        let diff = match &store.what {
            What::Added => {
                line("warning", "a new store: all that it allows is gained");
                continue;
            }
            What::Removed => {
                line("warning", "the store is gone: all that it allowed is lost");
                continue;
            }
            What::Differs(diff, _) => diff,
        };
        for (direction, sentence, _) in store.sentences() {
            let kind = if direction == Direction::Loss { "notice" } else { "warning" };
            line(kind, &sentence);
        }
        for reason in &diff.not_comparable {
            line("error", &format!("not comparable: {}", reason.replace('\n', " ")));
        }
        for place in &diff.unknown {
            line("error", &format!("unknown: the search was given up for {place}"));
        }
        line("notice", &summary(diff));
    }
    text
}

fn as_json(compared: &[Compared]) -> Vec<Json> {
    compared.iter().map(Compared::as_json).collect()
}

impl Compared {
    fn as_json(&self) -> Json {
        let (diff, flips) = match &self.what {
            What::Added => return json!({ "store": self.name, "change": "added" }),
            What::Removed => return json!({ "store": self.name, "change": "removed" }),
            What::Differs(diff, flips) => (diff, flips),
        };
        let stores = self.stores.as_ref();
        let revision = |store: &PolicyStore| store.revision().as_str().to_owned();
        let witness = |witness: &Witness| -> Json {
            let record = stores.and_then(|(_, new)| witness.record(new, "witness").ok());
            record.and_then(|record| serde_json::from_str(&record).ok()).unwrap_or_default()
        };
        let kind = |kind| match kind {
            PolicyChangeKind::Added => "added",
            PolicyChangeKind::Removed => "removed",
            PolicyChangeKind::Changed => "changed",
            PolicyChangeKind::Annotations => "annotations",
        };
        let word = |direction| match direction {
            Direction::Gain => "gain",
            Direction::Loss => "loss",
            Direction::Both => "both",
        };
        let value = |value| match value {
            Expected::Allow => "allow",
            Expected::Deny => "deny",
            Expected::Cond => "cond",
        };
        let policies = diff
            .policies
            .iter()
            .map(|change| json!({ "id": change.id, "change": kind(change.kind) }));
        let cells = diff.cells.iter().map(|cell| {
            json!({
                "scope": cell.scope,
                "action": cell.action,
                "column": cell.column,
                "before": value(cell.before),
                "after": value(cell.after),
                "direction": word(cell.direction),
                "gain": cell.gain.as_ref().map(witness),
                "loss": cell.loss.as_ref().map(witness),
            })
        });
        let others = diff.others.iter().map(|other| {
            json!({
                "action": other.action,
                "principal_type": other.principal,
                "resource_type": other.resource,
                "direction": word(other.direction),
                "witness": witness(&other.witness),
            })
        });
        let flips = flips.iter().map(|flip| {
            json!({
                "principal": flip.principal,
                "action": flip.action,
                "gains": flip.gains,
                "count": flip.count,
            })
        });
        json!({
            "store": self.name,
            "change": "compared",
            "old_revision": stores.map(|(old, _)| revision(old)),
            "new_revision": stores.map(|(_, new)| revision(new)),
            "policies": policies.collect::<Vec<_>>(),
            "cells": cells.collect::<Vec<_>>(),
            "others": others.collect::<Vec<_>>(),
            "recorded": flips.collect::<Vec<_>>(),
            "unknown": diff.unknown,
            "not_comparable": diff.not_comparable,
        })
    }
}

/// Writes the request of each gain and loss as a decision record of the new state.
fn write_witnesses(file: &Path, compared: &[Compared]) -> Result<(), CliError> {
    let mut lines = String::new();
    for store in compared {
        let Some((_, new)) = &store.stores else { continue };
        for (number, (_, sentence, witness)) in store.sentences().into_iter().enumerate() {
            let id = format!("{}-{}", store.name, number + 1);
            let Some(witness) = witness else { continue };
            let record = witness.record(new, &id).map_err(|violations| {
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
