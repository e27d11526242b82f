//! A matrix as text: a table, Markdown, CSV, JSON and a page of HTML; a review in the same forms.

mod csv;
mod html;
mod json;
mod markdown;
mod notes;
mod review;
mod review_html;
mod table;

pub use csv::matrix_as_csv;
pub use html::matrix_as_html;
pub use json::matrix_as_json;
pub use markdown::matrix_as_markdown;
pub use review::{review_as_csv, review_as_json, review_as_table};
pub use review_html::review_as_html;
pub use table::{Colours, matrix_as_table};
