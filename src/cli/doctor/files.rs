//! Certificates, tokens and other files that the settings name.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rustix::fs::{Access, access};

use super::finding::Findings;
use crate::{
    audit::LogMode,
    cli::{
        CliError,
        serve::{certificate, token},
    },
    model::Timestamp,
    net::ServerTls,
    settings::Settings,
};

const TLS: &str = "tls";
const TOKENS: &str = "tokens";
const LOG: &str = "decision log";

/// Before its end, in seconds, a certificate should have been renewed.
const SOON: i64 = 14 * 24 * 60 * 60;

/// Reads the files as `serve` would, and returns the certificate, if there is one.
pub(super) fn look(
    settings: &Arc<Settings>,
    timeout: Duration,
    findings: &mut Findings,
) -> Option<ServerTls> {
    let tls = certificates(settings, timeout, findings);
    let tokens = [
        (settings.token_file.as_deref(), "auth.token_file"),
        (settings.directory.token_file.as_deref(), "directory.token_file"),
    ];
    for (path, setting) in tokens {
        token_file(path, setting, timeout, findings);
    }
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
    decision_log(settings, findings);
    tls
}

fn certificates(
    settings: &Arc<Settings>,
    timeout: Duration,
    findings: &mut Findings,
) -> Option<ServerTls> {
    let named = Arc::clone(settings);
    let tls = match findings.take(TLS, timeout, move || certificate::load(&named))? {
        Ok(tls) => tls?,
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

/// Returns an error without the line that says that it is one of the configuration.
fn without_heading(error: &CliError) -> String {
    let text = error.to_string();
    text.strip_prefix("bad configuration\n").map(ToOwned::to_owned).unwrap_or(text)
}

fn expiry(subject: &str, expires: i64, findings: &mut Findings) {
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

fn token_file(
    path: Option<&Path>,
    setting: &'static str,
    timeout: Duration,
    findings: &mut Findings,
) {
    let Some(path) = path.map(Path::to_owned) else { return };
    let shown = path.display().to_string();
    match findings.take(TOKENS, timeout, move || token::load(Some(&path), setting)) {
        Some(Ok(_)) => findings.ok(TOKENS, format!("`{shown}` of `{setting}` holds a token")),
        Some(Err(error)) => findings.error(TOKENS, without_heading(&error)),
        None => {}
    }
}

/// Warns of a file with a secret that every account of the machine may read.
fn is_secret(about: &'static str, setting: &str, path: &Path, findings: &mut Findings) {
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

fn decision_log(settings: &Settings, findings: &mut Findings) {
    let log = &settings.decision_log;
    if log.mode == LogMode::Off {
        return;
    }
    if let Some(key) = &log.hash_key_file
        && let Err(error) = access(key, Access::READ_OK)
    {
        let message = format!("cannot read `{}`: {error}", key.display());
        findings.problem(LOG, message, "`decision_log.hash_key_file` must name a file with a key");
    }
    let Some(file) = &log.file else {
        let collector = log.mode == LogMode::Otlp;
        let to = if collector { "a collector" } else { "the standard output" };
        findings.ok(LOG, format!("records go to {to}"));
        return;
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let writes = if file.exists() {
        access(file, Access::WRITE_OK)
    } else {
        access(folder, Access::WRITE_OK | Access::EXEC_OK)
    };
    match writes {
        Ok(()) => findings.ok(LOG, format!("`{}` can be written", file.display())),
        Err(error) => findings.problem(
            LOG,
            format!("`{}` cannot be written: {error}", file.display()),
            "make its folder, give it to the account of the process, or name another file with \
             `decision_log.file`",
        ),
    }
}
