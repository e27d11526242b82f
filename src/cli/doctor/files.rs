//! Certificates, tokens and other files that the settings name.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{finding::DoctorFindings, machine, running::RunningStatus};
use crate::{
    audit::LogMode,
    cli::{
        CliError,
        output::counted,
        serve::{
            options::telemetry_variables,
            prerequisites::{Prerequisite, Prerequisites},
        },
        server_address,
    },
    model::Timestamp,
    net::{BearerTokens, ServerTls},
    settings::Settings,
    telemetry::Telemetry,
};

const TLS: &str = "tls";
const TOKENS: &str = "tokens";
const LOG: &str = "decision log";

/// Before its end, in seconds, a certificate should have been renewed.
const SOON: i64 = 14 * 24 * 60 * 60;

/// Looks at all that a start opens but the decision log, and returns what could be opened.
pub(super) fn look(
    settings: &Arc<Settings>,
    timeout: Duration,
    findings: &mut DoctorFindings,
) -> Prerequisites {
    let mut opened = Prerequisites::default();
    for one in Prerequisite::ALL {
        match one {
            // Looked at once it is known whether a Humbaba that runs writes it.
            Prerequisite::DecisionLog => {}
            Prerequisite::Gates => {
                let checked = check(one, "solver", settings, timeout, findings);
                let gates = checked.map(|checked| checked.map(|checked| checked.slow_gates));
                opened.slow_gates = machine::solver(gates, timeout, findings);
            }
            Prerequisite::Certificate => {
                let checked = check(one, TLS, settings, timeout, findings);
                opened.tls = checked.and_then(|checked| certificate(checked, findings));
            }
            Prerequisite::DirectoryTokens => {
                let checked = check(one, TOKENS, settings, timeout, findings);
                opened.directory_tokens = checked.and_then(|checked| {
                    let tokens = checked.map(|checked| checked.directory_tokens);
                    token_file("directory.token_file", tokens, findings)
                });
            }
            Prerequisite::Tokens => {
                let checked = check(one, TOKENS, settings, timeout, findings);
                opened.tokens = checked.and_then(|checked| {
                    token_file("auth.token_file", checked.map(|checked| checked.tokens), findings)
                });
            }
        }
    }
    secrets(settings, findings);
    opened
}

/// Checks one thing as a start would; nothing where that took too long, which is reported.
fn check(
    one: Prerequisite,
    about: &'static str,
    settings: &Arc<Settings>,
    timeout: Duration,
    findings: &mut DoctorFindings,
) -> Option<Result<Prerequisites, CliError>> {
    let settings = Arc::clone(settings);
    findings.take(about, timeout, move || {
        server_address::run(timeout, async {
            let mut checked = Prerequisites::default();
            checked.check(one, &settings)?;
            Ok(checked)
        })
    })
}

fn certificate(
    checked: Result<Prerequisites, CliError>,
    findings: &mut DoctorFindings,
) -> Option<ServerTls> {
    let tls = match checked {
        Ok(checked) => checked.tls?,
        Err(error) => {
            findings.problem(TLS, without_heading(&error), "the process does not start with it");
            return None;
        }
    };
    let status = tls.status();
    expiry("the certificate", status.expires, findings);
    if let Some(expires) = status.client_ca_expires {
        expiry("the certification authority of clients", expires, findings);
    }
    Some(tls)
}

fn token_file(
    setting: &'static str,
    tokens: Result<Option<BearerTokens>, CliError>,
    findings: &mut DoctorFindings,
) -> Option<BearerTokens> {
    match tokens {
        Ok(Some(tokens)) => {
            let (file, count) =
                (tokens.path().display(), counted(tokens.count(), "token", "tokens"));
            findings.ok(TOKENS, format!("`{file}` of `{setting}` holds {count}"));
            Some(tokens)
        }
        Ok(None) => None,
        Err(error) => {
            findings.error(TOKENS, without_heading(&error));
            None
        }
    }
}

/// Returns an error without the line that says that it is one of the configuration.
fn without_heading(error: &CliError) -> String {
    let text = error.to_string();
    text.strip_prefix("bad configuration\n").map(ToOwned::to_owned).unwrap_or(text)
}

fn expiry(subject: &str, expires: i64, findings: &mut DoctorFindings) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let left = expires.saturating_sub(i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
    let until = Timestamp::from_seconds(expires);
    let advice = "replace the files: a running Humbaba takes new ones over by itself";
    if left <= 0 {
        findings.problem(TLS, format!("{subject} has ended at {until}"), advice);
    } else if left < SOON {
        findings.warning(TLS, format!("{subject} ends soon, at {until}"), advice);
    } else {
        findings.ok(TLS, format!("{subject} fits its key and ends at {until}"));
    }
}

/// Warns of each file with a secret that every account of the machine may read.
fn secrets(settings: &Settings, findings: &mut DoctorFindings) {
    let secrets = [
        (TLS, "tls.key", &settings.tls.key),
        (TOKENS, "auth.token_file", &settings.token_file),
        (TOKENS, "directory.token_file", &settings.directory.token_file),
        ("directories", "directory.postgres_url_file", &settings.directory.postgres_url_file),
        (LOG, "decision_log.hash_key_file", &settings.decision_log.hash_key_file),
    ];
    for (about, setting, path) in secrets {
        if let Some(path) = path {
            is_secret(about, setting, path, findings);
        }
    }
}

/// Warns of a file with a secret that every account of the machine may read.
fn is_secret(about: &'static str, setting: &str, path: &Path, findings: &mut DoctorFindings) {
    // One that cannot be read is reported by its reader.
    let Ok(metadata) = fs::metadata(path) else { return };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o004 != 0 {
        findings.warning(
            about,
            format!(
                "`{}` of `{setting}` can be read by everybody (mode {mode:04o})",
                path.display()
            ),
            "`chmod 600` it; in Kubernetes set the volume's `defaultMode`",
        );
    }
}

/// Looks at the decision log and at the collector. `running` is the Humbaba that has the addresses.
pub(super) fn telemetry(
    settings: &Arc<Settings>,
    running: Option<&RunningStatus>,
    timeout: Duration,
    findings: &mut DoctorFindings,
) {
    let checked = check(Prerequisite::DecisionLog, LOG, settings, timeout, findings);
    match (checked, &settings.decision_log.file) {
        (Some(Err(error)), file) => match file {
            Some(file) if running.is_some_and(|running| running.writes_records_to(file)) => {
                let file = file.display();
                findings.ok(LOG, format!("the Humbaba that runs writes to `{file}`"));
            }
            _ => findings.problem(
                LOG,
                error.to_string(),
                "mend what it names, give it to the account of the process, or change \
                 `decision_log`",
            ),
        },
        (Some(Ok(_)), file) => match (settings.decision_log.mode, file) {
            (LogMode::Off, _) => {}
            (LogMode::Otlp, _) => findings.ok(LOG, "records go to a collector"),
            (LogMode::On | LogMode::Required, None) => {
                findings.ok(LOG, "records go to the standard output");
            }
            (LogMode::On | LogMode::Required, Some(file)) => {
                findings.ok(LOG, format!("`{}` can be written", file.display()));
            }
        },
        (None, _) => {}
    }
    let problems =
        server_address::run(timeout, async { Ok(Telemetry::problems(&telemetry_variables())) });
    for problem in problems.unwrap_or_default() {
        findings.problem("collector", problem, "correct or unset the variables `OTEL_…`");
    }
}
