//! The thread that writes records.

use std::{
    io::{self, Write as _},
    mem,
    path::PathBuf,
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::Value as Json;

use super::{
    LogMode, LogOptions, OpenError, QueuePermit, RecentDecisions, Record, WriterMessage,
    counts::RecordCounts,
    file::LogFile,
    hide::Hiding,
    otlp::{self, Deadline, Exporter},
};
use crate::telemetry::LogSender;

/// Bytes that are written at once.
const BATCH_BYTES: usize = 1024 * 1024;
/// The time for which records are gathered where no answer waits for them: waking the writer costs the
/// thread that decides.
const GATHER: Duration = Duration::from_millis(2);
/// The time for which records are gathered where each batch is a call to a collector.
const EXPORT_GATHER: Duration = Duration::from_millis(50);
/// The interval at which dropped records are logged.
const DROPS_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Writes records, on a thread of its own.
pub(super) struct RecordWriter {
    sink: Sink,
    hiding: Option<Hiding>,
    required: bool,
    counts: Arc<RecordCounts>,
    recent: Option<Arc<RecentDecisions>>,
    /// The number of dropped records when they were last logged, and when that was.
    drops_logged: (u64, Option<Instant>),
}

enum Sink {
    /// Records are kept in memory alone.
    Memory,
    Stdout,
    File(PathBuf, LogFile),
    Otlp(Box<Exporter>),
}

/// Records that are written together.
#[derive(Default)]
struct Batch {
    lines: Vec<u8>,
    /// The records for a collector, in place of lines.
    exported: Vec<LogRecord>,
    bytes: usize,
    permits: Vec<QueuePermit>,
}

impl RecordWriter {
    /// Opens the file or prepares the exporter.
    ///
    /// # Errors
    /// The file, the key of hashes or the collector cannot be had.
    pub fn open(
        options: LogOptions,
        counts: Arc<RecordCounts>,
        recent: Option<Arc<RecentDecisions>>,
        deadline: Deadline,
    ) -> Result<Self, OpenError> {
        let hiding = Hiding::new(&options)?;
        let required = options.mode == LogMode::Required;
        let sink = match options.file {
            _ if options.mode == LogMode::Off => Sink::Memory,
            _ if options.mode == LogMode::Otlp => {
                let exporter = Exporter::new(&options.otlp, Arc::clone(&counts), deadline);
                Sink::Otlp(Box::new(exporter.map_err(OpenError::Otlp)?))
            }
            None => Sink::Stdout,
            Some(path) => {
                let (rotate_bytes, keep_files) = (options.rotate_bytes, options.keep_files);
                let file = LogFile::open(path.clone(), rotate_bytes, keep_files, required);
                let file = file.map_err(|error| OpenError::File { path: path.clone(), error })?;
                Sink::File(path, file)
            }
        };
        Ok(Self { sink, hiding, required, counts, recent, drops_logged: (0, None) })
    }

    /// Looks whether [`Self::open`] would succeed, and changes nothing.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn check(options: &LogOptions) -> Result<(), OpenError> {
        Hiding::new(options)?;
        match (options.mode, &options.file) {
            (LogMode::Off, _) | (LogMode::On | LogMode::Required, None) => Ok(()),
            (LogMode::Otlp, _) => {
                LogSender::new(&options.otlp).map_err(OpenError::Otlp)?;
                Ok(())
            }
            (LogMode::On | LogMode::Required, Some(path)) => {
                LogFile::check(path).map_err(|error| OpenError::File { path: path.clone(), error })
            }
        }
    }

    /// Writes until the log is closed or dropped.
    pub fn run(mut self, messages: mpsc::Receiver<WriterMessage>) {
        let mut batch = Batch::default();
        while let Ok(first) = messages.recv() {
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    WriterMessage::Record(record, permit) => self.add(&mut batch, &record, permit),
                    WriterMessage::Close(done) => {
                        self.write(&mut batch);
                        self.count_unwritten(&messages);
                        // Before the answer, so that whoever finds the log closed counts its record.
                        drop(messages);
                        // The one who closed it may have stopped waiting.
                        let _ = done.send(());
                        return;
                    }
                }
                next = if batch.bytes < BATCH_BYTES { messages.try_recv().ok() } else { None };
            }
            let is_full = batch.bytes >= BATCH_BYTES;
            self.write(&mut batch);
            self.log_drops();
            match &self.sink {
                Sink::Otlp(_) if is_full => {}
                Sink::Otlp(_) => thread::sleep(EXPORT_GATHER),
                _ if self.required => {}
                _ => thread::sleep(GATHER),
            }
        }
        self.write(&mut batch);
    }

    /// Counts records that came after the log was closed.
    fn count_unwritten(&self, messages: &mpsc::Receiver<WriterMessage>) {
        let left =
            messages.try_iter().filter(|left| matches!(left, WriterMessage::Record(..))).count();
        if self.required {
            self.counts.failed(left);
        } else {
            self.counts.dropped(left);
        }
    }

    fn add(&mut self, batch: &mut Batch, record: &Record, permit: QueuePermit) {
        let line = match self.line(record) {
            Ok(line) => line,
            Err(error) => {
                tracing::error!(%error, "a decision record cannot be written as JSON");
                self.counts.failed(1);
                return;
            }
        };
        let room = match &self.sink {
            Sink::Memory | Sink::Stdout | Sink::Otlp(_) => u64::MAX,
            Sink::File(_, file) => file.room(),
        };
        if batch.bytes > 0 && (batch.bytes + line.len() + 1) as u64 > room {
            self.write(batch);
        }
        batch.bytes += line.len() + 1;
        match &self.sink {
            Sink::Memory => {}
            Sink::Otlp(_) => batch.exported.push(otlp::log_record(record, line)),
            Sink::Stdout | Sink::File(..) => {
                batch.lines.extend_from_slice(line.as_bytes());
                batch.lines.push(b'\n');
            }
        }
        batch.permits.push(permit);
    }

    fn line(&self, record: &Record) -> serde_json::Result<String> {
        if self.hiding.is_none() && self.recent.is_none() {
            return serde_json::to_string(record);
        }
        let mut json = serde_json::to_value(record)?;
        if let (Some(hiding), Json::Object(record)) = (&self.hiding, &mut json) {
            hiding.apply(record);
        }
        if let Some(recent) = &self.recent {
            recent.add(&json);
        }
        serde_json::to_string(&json)
    }

    fn write(&mut self, batch: &mut Batch) {
        if batch.permits.is_empty() {
            return;
        }
        // The number of records that the collector rejected one by one.
        let written = match &mut self.sink {
            Sink::Memory => Ok(0),
            Sink::Stdout => {
                let mut out = io::stdout().lock();
                let written = out.write_all(&batch.lines).and_then(|()| out.flush());
                written.map(|()| 0).map_err(|error| error.to_string())
            }
            Sink::File(_, file) => {
                file.append(&batch.lines).map(|()| 0).map_err(|error| error.to_string())
            }
            Sink::Otlp(exporter) => exporter.send(mem::take(&mut batch.exported)),
        };
        batch.lines.clear();
        batch.bytes = 0;
        let permits = batch.permits.drain(..);
        let records = permits.len();
        match written {
            Ok(rejected) => {
                let rejected = rejected.min(records);
                self.counts.written(records - rejected);
                self.counts.failed(rejected);
                for written in permits.filter_map(|permit| permit.written) {
                    // Its caller may have given up.
                    let _ = written.send(());
                }
                if self.counts.set_problem(None) {
                    tracing::info!(
                        destination = self.destination(),
                        "decision records are written again"
                    );
                }
            }
            Err(error) => {
                // Dropping the permits fails the waiting callers.
                drop(permits);
                self.counts.failed(records);
                self.counts.report_problem(&self.destination(), &error);
            }
        }
    }

    /// The destination of records, for messages and the status.
    pub fn destination(&self) -> String {
        match &self.sink {
            Sink::Memory => "memory".to_owned(),
            Sink::Stdout => "stdout".to_owned(),
            Sink::File(path, _) => path.display().to_string(),
            Sink::Otlp(exporter) => exporter.address().to_owned(),
        }
    }

    fn log_drops(&mut self) {
        let (logged, at) = self.drops_logged;
        let dropped = self.counts.dropped_so_far();
        if dropped > logged && at.is_none_or(|at| at.elapsed() > DROPS_LOG_INTERVAL) {
            tracing::warn!(
                records = dropped - logged,
                "decision records were dropped: the queue was full"
            );
            self.drops_logged = (dropped, Some(Instant::now()));
        }
    }
}
