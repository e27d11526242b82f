//! The messages to the writer.

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Record;

/// A message to the writer.
#[derive(Debug)]
pub(super) enum WriterMessage {
    Record(Box<Record>, QueuePermit),
    /// Ends the writer once everything before it is written.
    Close(oneshot::Sender<()>),
}

/// The room that a record takes in the queue, and whoever waits for it. Dropping it gives the room back
/// and, if the record was not written, tells so.
#[derive(Debug)]
pub(super) struct QueuePermit {
    pub _room: OwnedSemaphorePermit,
    pub written: Option<oneshot::Sender<()>>,
}
