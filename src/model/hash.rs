//! Maps that are looked up at every decision. What is in them came from the files of a policy store
//! and not from a caller, so nobody can choose keys that meet.

use foldhash::fast::RandomState;

/// A map.
pub type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;
/// A set.
pub type HashSet<T> = std::collections::HashSet<T, RandomState>;
