//! What policies allow, computed from the policies themselves: the matrix of roles and actions, what
//! a change changes in it, and requests that show it.
//!
//! Everything here rests on an evaluation with three values over a request of which some facts are
//! open (`evaluate`), and on a search that tries open facts one by one (`search`).

mod candidates;
mod evaluate;
mod search;
mod world;
