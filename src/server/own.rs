//! References that are counted apart.

use std::{ops::Deref, sync::Arc};

/// A reference to something that the whole process shares. Clones of it are counted for themselves:
/// where each connection has its own, connections of different threads do not meet at one count.
#[derive(Debug)]
pub(super) struct Own<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T>(Arc<T>);

impl<T> Own<T> {
    pub fn new(shared: Arc<T>) -> Self {
        Self(Arc::new(Shared(shared)))
    }
}

impl<T> Clone for Own<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Own<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.0
    }
}
