//! The decision log: one record a decision, as a line of JSON on the standard output, in a file or
//! at a collector.
//!
//! ```text
//! handler ─ Record ─ bounded queue ─ writer thread: fields hidden, JSON, file ─ receipt
//! ```
//!
//! A record is handed over as it is; what takes time (JSON, hashing, the file) is done by a thread
//! of its own. By default nothing waits for it: a record for which the queue has no room is dropped
//! and counted. Where records are required, the answer waits until its record is on disk; records
//! that arrive during one write are written together by the next.

mod counts;
mod fields;
mod file;
mod hide;
mod json;
mod options;
mod otlp;
mod record;
mod sampling;
mod trace_context;
mod weight;
mod writer;

pub use counts::LogCounts;
pub use fields::{RecordField, RecordFieldError};
pub use options::{LogMode, LogOptions, OpenError};
pub use record::{Call, Caller, Outcome, RECORD_KIND, Record, RecordInput};
pub use trace_context::TraceContext;

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch},
    time::Instant,
};

use self::{counts::Counts, sampling::Sampling, writer::Writer};
use crate::engine::Decision;

/// Takes records. Clones are the same log.
#[derive(Debug, Clone, Default)]
pub struct DecisionLog {
    /// None: the log is off.
    inner: Option<Arc<Inner>>,
}

#[derive(Debug)]
struct Inner {
    queue: mpsc::Sender<Message>,
    /// Bytes that the queue may still take.
    room: Arc<Semaphore>,
    capacity: usize,
    required: bool,
    destination: String,
    sampling: Sampling,
    counts: Arc<Counts>,
    /// When whoever waits for a collector gives up, once the log is closed.
    give_up: watch::Sender<Option<Instant>>,
}

/// What the writer is sent.
#[derive(Debug)]
enum Message {
    Record(Box<Record>, Held),
    /// Everything before it is to be written, and then the writer ends.
    Close(oneshot::Sender<()>),
}

/// What is given back once a record is written or lost.
#[derive(Debug)]
struct Held {
    _room: OwnedSemaphorePermit,
    written: Option<oneshot::Sender<()>>,
}

/// A record that has been handed over.
#[derive(Debug)]
#[must_use]
pub struct Receipt(Option<oneshot::Receiver<()>>);

/// A record that is required and could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record of this decision could not be written")]
pub struct NotRecorded;

impl DecisionLog {
    /// A log that takes nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Opens the log and starts its writer. Needs a runtime around it where it sends to a collector.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub fn open(options: LogOptions) -> Result<Self, OpenError> {
        if options.mode == LogMode::Off {
            return Ok(Self::off());
        }
        let counts = Arc::new(Counts::default());
        let required = options.mode == LogMode::Required;
        let capacity = options.queue_bytes.min(Semaphore::MAX_PERMITS);
        let sampling = Sampling::new(options.sample_allows);
        let (give_up, when) = watch::channel(None);
        let writer = Writer::open(options, Arc::clone(&counts), when)?;
        let destination = writer.destination();
        let (queue, messages) = mpsc::channel();
        std::thread::Builder::new()
            .name("decision-log".to_owned())
            .spawn(move || writer.run(messages))
            .map_err(OpenError::Thread)?;
        let room = Arc::new(Semaphore::new(capacity));
        let inner =
            Inner { queue, room, capacity, required, destination, sampling, counts, give_up };
        Ok(Self { inner: Some(Arc::new(inner)) })
    }

    /// Whether records are taken at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.inner.is_some()
    }

    /// Whether a decision is to be recorded: every deny, every decision with an error or an
    /// obligation, and of the other allows a sample. Counts what is left out.
    #[must_use]
    pub fn wants(&self, decision: &Decision) -> bool {
        let Some(inner) = &self.inner else { return false };
        let plain = || {
            decision.is_allow()
                && decision.errors.is_empty()
                && decision
                    .determining
                    .iter()
                    .all(|policy| policy.annotation("obligation").is_none())
        };
        inner.sampling.keeps_all() || !plain() || inner.sample()
    }

    /// Whether the answer to a question about many actions is to be recorded: as an allow.
    #[must_use]
    pub fn wants_list(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.sample())
    }

    /// Hands a record over. Waits for room only where records are required.
    ///
    /// # Errors
    /// The record is required, and the log has ended.
    pub async fn submit(&self, record: Record) -> Result<Receipt, NotRecorded> {
        let Some(inner) = &self.inner else { return Ok(Receipt(None)) };
        let weight = weight::of(&record).min(inner.capacity);
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        let room = Arc::clone(&inner.room);
        if inner.required {
            let room = room.acquire_many_owned(weight).await.map_err(|_| NotRecorded)?;
            let (written, receipt) = oneshot::channel();
            let held = Held { _room: room, written: Some(written) };
            let message = Message::Record(Box::new(record), held);
            return match inner.queue.send(message) {
                Ok(()) => Ok(Receipt(Some(receipt))),
                Err(_) => {
                    inner.counts.failed(1);
                    Err(NotRecorded)
                }
            };
        }
        let sent = room.try_acquire_many_owned(weight).is_ok_and(|room| {
            let held = Held { _room: room, written: None };
            inner.queue.send(Message::Record(Box::new(record), held)).is_ok()
        });
        if !sent {
            inner.counts.dropped(1);
        }
        Ok(Receipt(None))
    }

    /// What has become of the records so far; none where the log is off.
    #[must_use]
    pub fn counts(&self) -> Option<LogCounts> {
        let inner = self.inner.as_ref()?;
        let queued = inner.capacity.saturating_sub(inner.room.available_permits());
        Some(inner.counts.read(&inner.destination, inner.required, queued))
    }

    /// Writes what was handed over and ends the log. Whether that was done in time.
    pub async fn close(&self, timeout: Duration) -> bool {
        let Some(inner) = &self.inner else { return true };
        let (done, closed) = oneshot::channel();
        // Early enough to count what did not arrive.
        inner.give_up.send_replace(Some(Instant::now() + timeout.mul_f64(0.8)));
        // It fails where the log has ended already.
        if inner.queue.send(Message::Close(done)).is_err() {
            return true;
        }
        tokio::time::timeout(timeout, closed).await.is_ok_and(|closed| closed.is_ok())
    }
}

impl Inner {
    fn sample(&self) -> bool {
        let kept = self.sampling.keeps();
        if !kept {
            self.counts.sampled_out();
        }
        kept
    }
}

impl Receipt {
    /// Waits until the record is on disk, where that is required.
    ///
    /// # Errors
    /// It could not be written.
    pub async fn written(self) -> Result<(), NotRecorded> {
        match self.0 {
            None => Ok(()),
            // The writer drops the other end of what it cannot write.
            Some(written) => written.await.map_err(|_| NotRecorded),
        }
    }
}
