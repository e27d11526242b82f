//! Role slots: how `alice is editor on Site 42` becomes Cedar entities.
//!
//! Every attribute of the namespace's entity type `Role` is a role slot of the type that declares
//! it. The slot `editor` of `Site::"42"` is the entity `HitKeep::Role::"Site::42#editor"`, and a
//! role assignment makes it a parent of the principal.

mod role_id;
mod slot;

pub use role_id::{RoleId, RoleIdError};
pub use slot::Slot;
