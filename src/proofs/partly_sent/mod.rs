//! Requests that refer to entities of which nothing is sent, told to the solver.
//!
//! To the solver each entity that is referred to is there, with all that its type requires. A caller may
//! refer to one that neither it nor a directory or the store describes: it has its role slots and nothing
//! else, is in nothing but roles and what these are in, and to look at an attribute of it fails, though the
//! schema requires the attribute. A permit that fails grants nothing, and a forbid that fails denies, or is
//! skipped where the settings say so.
//!
//! Here schema and policies are rewritten so that this is said without failing: what is sent of an entity is
//! one optional record, and each policy asks for it before it looks into it. An operand that would fail makes
//! neither the condition nor its negation hold.
//!
//! A rewritten policy must decide a request of which some entities are not sent as the policy itself
//! does. So nothing is left as it is where the type of an expression is not known: the rewriting says
//! that it cannot be done, and nothing is proved.

mod expr_types;
mod rewriter;
mod schema;

pub(super) use rewriter::{Rewriter, is_sent};
pub(super) use schema::{schema, sent};
