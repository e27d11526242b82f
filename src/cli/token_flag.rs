//! The flag of a client that sends a token.

use std::path::PathBuf;

use super::{CliError, text_file};

/// The flag for a server that asks for a token.
#[derive(Debug, Default, Clone, clap::Args)]
pub(super) struct TokenFlag {
    /// The file with the token of the server; of several, one on a line, the first is sent
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl TokenFlag {
    /// Says what to do where a server asks for another token than was sent, or for one at all.
    pub(super) fn advice(&self) -> String {
        match &self.token_file {
            Some(file) => {
                let file = file.display();
                format!("the token in `{file}` is none of those of this listener")
            }
            None => "this listener asks for a token: name its file with `--token-file`".to_owned(),
        }
    }

    /// Reads the token, if a file is named: the first one, where it holds several as the server's own
    /// does. Blanks around it are left out.
    pub(super) fn read(&self) -> Result<Option<String>, CliError> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let named = file.display();
        let token = text_file::read(file);
        let token = token.map_err(CliError::io(format!("cannot read `{named}`")))?;
        let token = token.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(CliError::Usage(format!("`{named}` holds no token")));
        }
        Ok(Some(token.to_owned()))
    }
}
