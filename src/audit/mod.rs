//! The decision log: one record for each decision, as a line of JSON on the standard output or in a file,
//! or as a log record at a collector.
//!
//! ```text
//! handler → Record → bounded queue → writer thread: hides fields, writes JSON → receipt
//! ```
//!
//! The handler hands over a record as it is. A thread of the log does what takes time: JSON, hashing,
//! the file. By default no decision waits for it: a record for which the queue has no room is dropped
//! and counted. Where records are required, the answer waits until its record is on disk; records that
//! arrive during one write share the next.

mod counts;
mod fields;
mod file;
mod hide;
mod json;
mod message;
mod options;
mod otlp;
mod recent;
mod record;
mod weight;
mod writer;

pub use counts::LogCounts;
pub use fields::{RecordField, RecordFieldError};
pub use options::{LogMode, LogOptions, OpenError};
pub use recent::{DecisionReader, NewDecisions, RecentDecision, RecentDecisions};
pub use record::{Caller, Record, RecordDirectory, RecordInput, RecordedCall, RecordedOutcome};

use std::{
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::{
    sync::{Semaphore, oneshot, watch},
    time::Instant,
};

use self::{
    counts::RecordCounts,
    message::{QueuePermit, WriterMessage},
    writer::RecordWriter,
};
use crate::{engine::Decision, telemetry::Sampler};

/// The decision log. Clones are the same log.
#[derive(Debug, Clone, Default)]
pub struct DecisionLog {
    /// `None` where the log is off.
    inner: Option<Arc<Inner>>,
}

#[derive(Debug)]
struct Inner {
    queue: mpsc::Sender<WriterMessage>,
    /// Room of the queue, in bytes.
    room: Arc<Semaphore>,
    capacity: usize,
    required: bool,
    destination: String,
    allows: Sampler,
    counts: Arc<RecordCounts>,
    recent: Option<Arc<RecentDecisions>>,
    /// The moment until which the exporter may try, once the log is closed.
    deadline: watch::Sender<Option<Instant>>,
}

/// A record that has been handed over.
#[derive(Debug)]
#[must_use]
pub struct Receipt(Option<oneshot::Receiver<()>>);

/// A required record could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record of this decision could not be written")]
pub struct NotRecorded;

impl DecisionLog {
    /// Creates a log that records nothing.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Looks whether a log with those options could be opened, and changes nothing. Needs a tokio runtime
    /// around it where it sends to a collector.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn check(options: &LogOptions) -> Result<(), OpenError> {
        if options.mode == LogMode::Off && options.recent == 0 {
            return Ok(());
        }
        RecordWriter::check(options)
    }

    /// Opens the log and starts its writer. Needs a tokio runtime around it where it sends to a
    /// collector.
    ///
    /// # Errors
    /// The file, the key of hashes, the collector or the thread cannot be had.
    pub fn open(options: LogOptions) -> Result<Self, OpenError> {
        if options.mode == LogMode::Off && options.recent == 0 {
            return Ok(Self::off());
        }
        let recent = (options.recent > 0)
            .then(|| Arc::new(RecentDecisions::new(options.recent, options.recent_readers)));
        let counts = Arc::new(RecordCounts::default());
        let required = options.mode == LogMode::Required;
        let capacity = options.queue_bytes.min(Semaphore::MAX_PERMITS);
        let allows = Sampler::one_in(options.sample_allows);
        let (deadline, until) = watch::channel(None);
        let writer = RecordWriter::open(options, Arc::clone(&counts), recent.clone(), until)?;
        let destination = writer.destination();
        let (queue, messages) = mpsc::channel();
        std::thread::Builder::new()
            .name("decision-log".to_owned())
            .spawn(move || writer.run(messages))
            .map_err(OpenError::Thread)?;
        let room = Arc::new(Semaphore::new(capacity));
        let inner = Inner {
            queue,
            room,
            capacity,
            required,
            destination,
            allows,
            counts,
            recent,
            deadline,
        };
        Ok(Self { inner: Some(Arc::new(inner)) })
    }

    /// Returns whether decisions are recorded at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.inner.is_some()
    }

    /// Returns whether a decision is to be recorded: every deny, every decision with an error or an
    /// obligation, and a sample of the other allows. Counts those that are left out.
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
        inner.allows == Sampler::ALL || !plain() || inner.sample()
    }

    /// Returns whether a list of actions is to be recorded. It is sampled as an allow is.
    #[must_use]
    pub fn wants_list(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.sample())
    }

    /// Hands over a record. Waits for room in the queue only where records are required.
    ///
    /// # Errors
    /// The record is required, and the log is closed.
    pub async fn submit(&self, record: Record) -> Result<Receipt, NotRecorded> {
        let Some(inner) = &self.inner else { return Ok(Receipt(None)) };
        let bytes = weight::bytes(&record).min(inner.capacity);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = Arc::clone(&inner.room);
        if inner.required {
            let room = room.acquire_many_owned(bytes).await.map_err(|_| NotRecorded)?;
            let (written, receipt) = oneshot::channel();
            let permit = QueuePermit { _room: room, written: Some(written) };
            let message = WriterMessage::Record(Box::new(record), permit);
            return match inner.queue.send(message) {
                Ok(()) => Ok(Receipt(Some(receipt))),
                Err(_) => {
                    inner.counts.failed(1);
                    Err(NotRecorded)
                }
            };
        }
        let sent = room.try_acquire_many_owned(bytes).is_ok_and(|room| {
            let permit = QueuePermit { _room: room, written: None };
            inner.queue.send(WriterMessage::Record(Box::new(record), permit)).is_ok()
        });
        if !sent {
            inner.counts.dropped(1);
        }
        Ok(Receipt(None))
    }

    /// Returns the last decisions; `None` where they are not kept.
    #[must_use]
    pub fn recent(&self) -> Option<&Arc<RecentDecisions>> {
        self.inner.as_ref()?.recent.as_ref()
    }

    /// Returns the counts of records so far; `None` where the log is off.
    #[must_use]
    pub fn counts(&self) -> Option<LogCounts> {
        let inner = self.inner.as_ref()?;
        let queued = inner.capacity.saturating_sub(inner.room.available_permits());
        Some(inner.counts.read(&inner.destination, inner.required, queued))
    }

    /// Writes what was handed over and ends the log. Returns false if that took longer than `timeout`.
    pub async fn close(&self, timeout: Duration) -> bool {
        let Some(inner) = &self.inner else { return true };
        let (done, closed) = oneshot::channel();
        // Before the timeout, so that what did not arrive is counted.
        inner.deadline.send_replace(Some(Instant::now() + timeout.mul_f64(0.8)));
        // It fails where the log is closed already.
        if inner.queue.send(WriterMessage::Close(done)).is_err() {
            return true;
        }
        tokio::time::timeout(timeout, closed).await.is_ok_and(|closed| closed.is_ok())
    }
}

impl Inner {
    fn sample(&self) -> bool {
        let kept = self.allows.takes();
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
    /// The record could not be written.
    pub async fn written(self) -> Result<(), NotRecorded> {
        match self.0 {
            None => Ok(()),
            // The writer drops the sender of a record that it cannot write.
            Some(written) => written.await.map_err(|_| NotRecorded),
        }
    }
}
