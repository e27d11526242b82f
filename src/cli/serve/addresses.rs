//! Telling others which addresses were bound, which they cannot know where the port was 0.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

/// The addresses that were bound, written as settings write them.
#[derive(Debug, Default, Clone, Serialize)]
pub(super) struct Addresses {
    pub grpc: Vec<String>,
    pub http: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    pub web: Option<String>,
}

/// A file with the addresses as JSON, which goes with the process.
#[derive(Debug)]
pub(super) struct AddressFile(PathBuf);

impl AddressFile {
    /// Writes the file in one step: who sees it sees all of it.
    pub(super) fn write(path: &Path, addresses: &Addresses) -> io::Result<Self> {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        let temporary = path.with_file_name(name);
        let json = serde_json::to_string(addresses)?;
        let written = fs::write(&temporary, json + "\n");
        if let Err(error) = written.and_then(|()| fs::rename(&temporary, path)) {
            let _ = fs::remove_file(&temporary);
            return Err(error);
        }
        Ok(Self(path.to_owned()))
    }
}

impl Drop for AddressFile {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = fs::remove_file(&self.0);
    }
}
