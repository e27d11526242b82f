//! `humbaba settings`: the reference of all settings.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{CliError, Exit, output, serve::flags::ServeFlags};
use crate::settings::{SettingReference, reference};

const INTRODUCTION: &str = "\
# Settings

Written by `humbaba settings > docs/settings.md`, from the table of the code.

A value comes from the last of these that gives one:

1. the default;
2. the TOML file that `--config FILE` or `HUMBABA_CONFIG` names: `entities = 100` below `[limits]`;
3. the environment: `HUMBABA_LIMITS__ENTITIES=100`, with two underscores where the table ends;
4. a flag: `--set limits.entities=100`, which every setting has, or its own.

A list is a TOML array of strings. In a variable or flag its parts are set apart by commas, and a flag \
may be given several times. An address is `host:port`, `tls:host:port`, `plain:host:port` or \
`unix:/path`; port 0 lets the system choose. A name that is no setting is refused, in every layer, and \
so is a value that does not fit; all mistakes are told at once, with file and line.

`humbaba serve --print-config` prints the settled settings as such a file, with where each comes from. \
`humbaba doctor` looks at what they lead to. The process reads them once, at its start; the files that \
they name (policies, certificates, tokens, directories) are followed.

What an OpenTelemetry collector gets is set by the standard `OTEL_…` variables: \
[observability](observability.md#sending-to-a-collector).
";

/// Print the reference of all settings, as Markdown
///
/// Name, variable, default, form with unit and bounds, flag and meaning of each.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  humbaba settings | grep limits.batch_items")]
pub(super) struct SettingsArgs {}

pub(super) fn run(_: &SettingsArgs) -> Result<Exit, CliError> {
    output::print(&page())?;
    Ok(Exit::Ok)
}

fn page() -> String {
    let flags: BTreeMap<_, _> = ServeFlags::of_settings().into_iter().collect();
    let mut text = INTRODUCTION.to_owned();
    let mut before = None;
    for setting in reference() {
        let table = setting.name.split_once('.').map_or("", |(table, _)| table);
        if before != Some(table) {
            let heading = if table.is_empty() { "No table" } else { table };
            let _ = write!(text, "\n## {heading}\n\n{HEAD}");
            before = Some(table);
        }
        row(&mut text, &setting, flags.get(setting.name).map(String::as_str));
    }
    text
}

const HEAD: &str = "\
| setting and variable | default | value | flag | meaning |
|---|---|---|---|---|
";

fn row(text: &mut String, setting: &SettingReference, flag: Option<&str>) {
    let SettingReference { name, variable, form, default, about } = setting;
    let flag = flag.map(|flag| format!("`{flag}`")).unwrap_or_default();
    let about = about.replace('|', "\\|");
    let _ =
        writeln!(text, "| `{name}`<br>`{variable}` | `{default}` | {form} | {flag} | {about} |");
}
