//! `humbaba generate`: a store's words as constants of a programming language.

use clap::ValueEnum;

use super::{
    CliError, Exit, output,
    setting_flags::{SettingFlags, flag},
    source,
};
use crate::generate::{self, Language, Vocabulary};

/// Write a store's actions, roles and entity types as constants of a programming language
///
/// A program that uses them and misspells an action does not compile or type-check. Actions that
/// are only groups of others are left out. The module goes to the standard output; write it again
/// when the schema has changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  humbaba generate --lang python hitkeep > hitkeep.py
  humbaba generate --lang rust --policies ./policies hitkeep > src/hitkeep.rs")]
pub(super) struct GenerateArgs {
    /// The language
    #[arg(long, value_name = "LANGUAGE", value_enum)]
    lang: Lang,
    /// The policy store
    #[arg(value_name = "STORE")]
    store: String,
    /// The policies folder [default: ./policies if it is there, else the embedded stores]
    #[arg(long, value_name = "DIR")]
    policies: Option<String>,
    #[command(flatten)]
    settings: SettingFlags,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Lang {
    /// Enumerations of texts, for Python 3.8 or later
    Python,
    /// Constant objects and unions of their values, for TypeScript 4 or later
    #[value(name = "typescript")]
    TypeScript,
    /// Enumerations that the questions of `humbaba::client` take
    Rust,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Python => Self::Python,
            Lang::TypeScript => Self::TypeScript,
            Lang::Rust => Self::Rust,
        }
    }
}

pub(super) fn run(args: &GenerateArgs) -> Result<Exit, CliError> {
    let own = flag("policies", args.policies.clone());
    let settings = args.settings.settle(own.into_iter().collect())?.settings;
    let store = source::load_one(&settings, Some(&args.store))?;
    let text = generate::generate(&Vocabulary::of(&store), args.lang.into())
        .map_err(|clash| CliError::Policies(format!("the store `{}`: {clash}", args.store)))?;
    output::print(&text)?;
    Ok(Exit::Ok)
}
