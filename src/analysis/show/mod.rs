//! A matrix as text: a table, Markdown, CSV, JSON and a page of HTML.

mod csv;
mod html;
mod json;
mod markdown;
mod notes;
mod table;

pub use csv::matrix_as_csv;
pub use html::matrix_as_html;
pub use json::matrix_as_json;
pub use markdown::matrix_as_markdown;
pub use table::{Colours, matrix_as_table};
