//! `humbaba doctor`: everything that a process with those settings would meet.

mod addresses;
mod directories;
mod files;
mod finding;
mod machine;
mod policies;
mod running;

use std::{sync::Arc, time::Duration};

use serde_json::json;

use super::{
    CliError, Exit,
    healthcheck::seconds,
    output::{self, Format, counted},
    serve::flags::ServeFlags,
    tls_flags::TlsFlags,
};
use crate::settings::Settled;
use finding::{DoctorFindings, Severity};

/// Tell why a Humbaba does not start, or answers oddly
///
/// Takes the settings of `serve` and looks at all that a process with them would meet: policies,
/// addresses (is one free, or who is there?), directories, certificates, tokens, file handles, memory,
/// the clock, the decision log and the solver. What a start refuses is a problem here, in the same
/// words; the gates `invariants` and `no-gains` are not proved, which `humbaba prove` does. Where a Humbaba
/// runs with them it is asked for its state. No data is changed. An address that is free is listened on
/// for a moment, in which nothing else can, and an empty folder is made for a moment where `data` is to be; the
/// socket that a killed process left is removed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each line is `ok`, `warning` (it serves all the same) or `problem`, with what to do below it.

JSON:
  {\"healthy\": true, \"findings\": [{\"level\": \"ok\" | \"warning\" | \"problem\", \"about\",
   \"message\", \"advice\": null | text}]}

Exit codes:
  0   no problem
  1   a problem

Examples:
  humbaba doctor --config /etc/humbaba/humbaba.toml
  kubectl exec deploy/app -c humbaba -- humbaba doctor")]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    flags: ServeFlags,
    #[command(flatten)]
    tls: TlsFlags,
    /// Seconds that each look may take
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &DoctorArgs) -> Result<Exit, CliError> {
    let mut findings = DoctorFindings::default();
    match args.flags.settle() {
        Ok(settled) => look(&settled, args, &mut findings),
        Err(error) => {
            let advice = "nothing else was looked at, because it depends on the settings";
            findings.problem("settings", error.to_string(), advice);
        }
    }
    let problems = findings.count(Severity::Problem);
    match args.format {
        Format::Human => {
            let warnings = findings.count(Severity::Warning);
            let problems = counted(problems, "problem", "problems");
            let warnings = counted(warnings, "warning", "warnings");
            output::print(&format!("{}{problems}, {warnings}\n", findings.human()))?;
        }
        Format::Json => {
            output::print_json(&json!({ "healthy": problems == 0, "findings": findings.all() }))?;
        }
    }
    Ok(if problems == 0 { Exit::Ok } else { Exit::Failure })
}

fn look(settled: &Settled, args: &DoctorArgs, findings: &mut DoctorFindings) {
    findings.ok("settings", origins(settled));
    for (key, why) in settled.settings.without_effect() {
        let advice = "set what it needs, or remove it";
        findings.warning("settings", format!("`{key}` has no effect: {why}"), advice);
    }
    let (settings, timeout) = (Arc::new(settled.settings.clone()), args.timeout);
    let opened = files::look(&settings, timeout, findings);
    let stores = policies::look(&settings, opened.slow_gates.as_ref(), timeout, findings);
    directories::look(&settings, &stores, timeout, findings);
    let running = addresses::look(&settings, opened.tls.as_ref(), &args.tls, timeout, findings);
    if let Some(page) = &running {
        running::look(page, &stores, findings);
    }
    files::telemetry(&settings, running.as_ref(), timeout, findings);
    machine::look(&settings, running.as_ref(), findings);
}

/// Reports where the settings come from.
fn origins(settled: &Settled) -> String {
    let mut given: Vec<_> =
        settled.origins().map(|(key, origin)| format!("`{key}` from {origin}")).collect();
    given.sort();
    if given.is_empty() {
        return "all are defaults".to_owned();
    }
    format!("{}; all else by default", given.join(", "))
}
