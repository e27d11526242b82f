//! `humbaba shadow-report`: what candidate policies would change.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use super::{
    CliError, Exit,
    healthcheck::seconds,
    http_get::get,
    output::{self, Format},
    server_address::{self, ServerAddress},
    setting_flags::SettingFlags,
    text_file,
    tls_flags::TlsFlags,
};

/// Tell what the candidate policies of `serve --shadow` would change
///
/// Reads `/status` of a running Humbaba. Exits with 2 if the candidate allows something that was
/// denied, with 3 if it cannot be loaded, else with 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
JSON, as `shadow` in `/status`:
  {\"source\", \"folder_problem\", \"unread\", \"watch_problem\", \"stores\": [as in `/status`],
   \"left_out\", \"failed\", \"waiting_bytes\", \"comparisons\": [{\"store\", \"live_revision\",
   \"candidate_revision\", \"compared\", \"gains\", \"losses\", \"refused\", \"differences\":
   [{\"action\", \"direction\": \"gain\" | \"loss\" | \"refused\", \"count\", \"decision_id\",
   \"live\": an answer, \"candidate\": null | an answer, \"refused_field\"}], \"unlisted\"}]}
  An answer: {\"decision\": \"allow\" | \"deny\", \"policies\": [id]}

Where the status is behind something that asks for more than TLS, read it by other means:
  curl --user ops https://ops.example/sidecar/status | humbaba shadow-report --status -

Examples:
  humbaba shadow-report --address http://127.0.0.1:8181
  humbaba shadow-report --address https://sidecar:8181 --ca ca.pem")]
pub(super) struct ShadowReportArgs {
    /// The address at which it serves HTTP: `http://host:port`, `https://host:port` or `unix:/path`
    /// [default: `http_listen` of the settings]
    #[arg(long, value_name = "ADDR")]
    address: Option<ServerAddress>,
    /// Read the answer of `/status` from this file instead (`-`: the standard input)
    #[arg(long, value_name = "FILE", conflicts_with = "address")]
    status: Option<PathBuf>,
    /// Seconds that the answer may take
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    timeout: Duration,
    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    settings: SettingFlags,
}

/// The fields of `/status` that are read.
#[derive(Debug, Deserialize)]
struct Status {
    shadow: Option<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct ReportedShadow {
    source: String,
    folder_problem: Option<String>,
    stores: Vec<ReportedCandidate>,
    left_out: u64,
    failed: u64,
    comparisons: Vec<ReportedComparison>,
}

#[derive(Debug, Deserialize)]
struct ReportedCandidate {
    name: String,
    revision: Option<String>,
    problems: Vec<ReportedProblem>,
}

#[derive(Debug, Deserialize)]
struct ReportedProblem {
    rendered: String,
}

#[derive(Debug, Deserialize)]
struct ReportedComparison {
    store: String,
    live_revision: String,
    candidate_revision: String,
    compared: u64,
    gains: u64,
    losses: u64,
    refused: u64,
    differences: Vec<ReportedDifference>,
    unlisted: u64,
}

#[derive(Debug, Deserialize)]
struct ReportedDifference {
    action: String,
    direction: String,
    count: u64,
    decision_id: String,
    live: ReportedAnswer,
    candidate: Option<ReportedAnswer>,
    refused_field: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ReportedAnswer {
    decision: String,
    policies: Vec<String>,
}

pub(super) fn run(args: &ShadowReportArgs) -> Result<Exit, CliError> {
    let text = match &args.status {
        Some(file) => read(file)?,
        None => {
            let address = match &args.address {
                Some(address) => address.clone(),
                None => {
                    let settings = args.settings.settle(Vec::new())?.settings;
                    let off = || CliError::Usage("the settings name no HTTP address".to_owned());
                    ServerAddress::of_http(&settings).ok_or_else(off)?
                }
            };
            server_address::run(args.timeout, get(&address, &args.tls, "/status"))?.body
        }
    };
    let unknown =
        |error| CliError::Failure(format!("this is not the status of a Humbaba: {error}"));
    let Status { shadow } = serde_json::from_str(&text).map_err(unknown)?;
    let Some(shadow) = shadow else {
        let message = "no shadow decisions are made there: serve with `--shadow DIR`";
        return Err(CliError::Failure(message.to_owned()));
    };
    let report = ReportedShadow::deserialize(&shadow).map_err(unknown)?;
    match args.format {
        Format::Human => output::print(&report.human())?,
        Format::Json => output::print_json(&shadow)?,
    }
    Ok(report.exit())
}

fn read(file: &Path) -> Result<String, CliError> {
    text_file::read_or_stdin(file)
        .map_err(CliError::io(format!("cannot read `{}`", file.display())))
}

impl ReportedShadow {
    fn exit(&self) -> Exit {
        if self.comparisons.iter().any(|comparison| comparison.gains > 0) {
            Exit::Refused
        } else if self.folder_problem.is_some()
            || self.stores.iter().any(|store| !store.problems.is_empty())
        {
            Exit::InvalidPolicies
        } else {
            Exit::Ok
        }
    }

    fn human(&self) -> String {
        let mut text = format!("candidate: {}\n", self.source);
        if let Some(problem) = &self.folder_problem {
            let _ = writeln!(text, "  refused: {problem}");
        }
        for store in &self.stores {
            let ReportedCandidate { name, revision, problems } = store;
            for ReportedProblem { rendered } in problems {
                let kept = match revision {
                    Some(revision) => format!("{revision} is compared still"),
                    None => "nothing is compared".to_owned(),
                };
                let _ = writeln!(text, "{name}: refused, {kept}\n{}", rendered.trim_end());
            }
            let is_compared = self.comparisons.iter().any(|one| one.store == *name);
            if let Some(revision) = revision
                && !is_compared
            {
                let _ = writeln!(text, "{name}: {revision}, nothing was compared yet");
            }
        }
        self.comparisons.iter().for_each(|comparison| comparison.write(&mut text));
        let Self { left_out, failed, .. } = self;
        let _ = writeln!(text, "{left_out} answers were left out, {failed} failed");
        text
    }
}

impl ReportedComparison {
    fn write(&self, text: &mut String) {
        let Self { store, live_revision, candidate_revision, compared, .. } = self;
        let Self { gains, losses, refused, .. } = self;
        let _ = writeln!(text, "{store}: {live_revision} -> {candidate_revision}");
        let _ = writeln!(
            text,
            "  {compared} answers compared: {gains} gained, {losses} lost, {refused} refused"
        );
        for difference in &self.differences {
            let ReportedDifference { action, direction, count, decision_id, live, .. } = difference;
            let candidate = match (&difference.candidate, &difference.refused_field) {
                (Some(answer), _) => answer.text(),
                (None, field) => {
                    format!("refused because of `{}`", field.as_deref().unwrap_or_default())
                }
            };
            let _ = writeln!(text, "  {direction} {action}: {count}");
            let _ = writeln!(text, "    {} -> {candidate}", live.text());
            let _ = writeln!(text, "    decision {decision_id}");
        }
        if self.unlisted > 0 {
            let _ = writeln!(text, "  and {} on other actions", self.unlisted);
        }
    }
}

impl ReportedAnswer {
    fn text(&self) -> String {
        let Self { decision, policies } = self;
        match policies.as_slice() {
            [] => format!("{decision} by no policy"),
            policies => format!("{decision} by {}", policies.join(", ")),
        }
    }
}
