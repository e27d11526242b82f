//! The meaning of policies for all requests, not only for those that somebody thought of: the
//! computed matrix of roles and actions, the differences between two states, requests that show
//! them, and the invariants of a store.
//!
//! The matrix and the changes rest on an evaluation with three values over a request of which some
//! facts are open (`evaluate`), and on a search that tries open facts one by one (`search`).

mod abstract_value;
mod ancestry;
mod build;
mod cell;
mod cell_world;
mod complete;
mod constants;
mod declared;
mod diff;
mod doubt;
mod evaluate;
mod evaluation;
mod fact;
mod fields;
mod find;
mod gather;
pub mod invariants;
mod knowledge;
mod known_facts;
mod known_members;
mod literals;
mod matrix;
mod matrix_error;
mod membership;
mod names;
mod near;
mod open_cell;
mod origin;
mod other_schema;
mod people;
mod policies;
mod policy_reads;
mod projection;
mod reach;
mod review;
mod role_uses;
mod role_ways;
mod search;
mod seen_schema_change;
mod settled;
mod show;
mod singletons;
mod slots;
pub(crate) mod terms;
mod texts;
mod truth;
pub mod witness;
mod world;

pub use cell::{Cell, CellPolicy, Clause};
pub use diff::{
    CellChange, Diff, Direction, NotSettled, OtherChange, PolicyChange, PolicyChangeKind, diff,
    same_entities,
};
pub use find::{Finder, Kind};
pub use invariants::{Claim, Invariant, read_invariants};
pub use matrix::{Matrix, Row};
pub use matrix_error::MatrixError;
#[cfg(feature = "prove")]
pub(crate) use names::entity_named;
pub use open_cell::{Answered, OpenCell};
pub use people::{PersonChange, StoreWithDirectory, people};
#[cfg(any(feature = "prove", test))]
pub(crate) use projection::taken_by;
pub use reach::{Reach, Reaches};
pub use review::{Finding, FindingKind, Review, ReviewRow, RowState};
#[cfg(feature = "prove")]
pub(crate) use role_ways::RoleWays;
pub use seen_schema_change::{not_comparable, seen_schema_change};
pub use show::{
    Colours, matrix_as_csv, matrix_as_html, matrix_as_json, matrix_as_markdown, matrix_as_table,
    review_as_csv, review_as_html, review_as_json, review_as_table,
};
pub use witness::Witness;

#[cfg(test)]
pub(crate) mod tests;
