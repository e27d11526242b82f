//! Why a file of rows cannot be read.

use crate::model::DecodeError;

/// A file of rows cannot be read as a whole.
#[derive(Debug, thiserror::Error)]
pub enum RowFileError {
    /// It is not UTF-8.
    #[error("the file is {0}; save it as UTF-8")]
    NotText(#[from] DecodeError),
    /// It has no first line.
    #[error(
        "the file has no header: its first line names the columns, e.g. `principal_type,principal_id,role,scope_type,scope_id`"
    )]
    NoHeader,
    /// The first line is not that of such a file.
    #[error("line 1: {0}")]
    Header(String),
    /// It is not JSON.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// It is JSON, but no list.
    #[error(
        "expected a list of entities: `[{{\"uid\": {{\"type\": \"Site\", \"id\": \"42\"}}, …}}]`"
    )]
    NoList,
    /// It has too many rows.
    #[error(
        "the file has more than {0} rows, the bound of the directory (`bounds.directory_rows`)"
    )]
    TooManyRows(usize),
}
