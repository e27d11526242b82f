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
    Held, LogMode, LogOptions, Message, OpenError, Record,
    counts::Counts,
    file::LogFile,
    hide::Hiding,
    otlp::{self, Exporter, GiveUp},
};

/// How many bytes are written at once.
const ROUND_BYTES: usize = 1024 * 1024;
/// How long records are gathered where nobody waits for them, so that a busy decision seldom has to
/// wake the writer.
const PAUSE: Duration = Duration::from_millis(2);
/// The same where each round is a call to a collector.
const EXPORT_PAUSE: Duration = Duration::from_millis(50);
/// How often it is said that records are being dropped.
const COMPLAINT: Duration = Duration::from_secs(10);

pub(super) struct Writer {
    sink: Sink,
    hiding: Option<Hiding>,
    required: bool,
    counts: Arc<Counts>,
    told: (u64, Option<Instant>),
}

enum Sink {
    Stdout,
    File(PathBuf, LogFile),
    Otlp(Box<Exporter>),
}

/// Records that are written together.
#[derive(Default)]
struct Round {
    lines: Vec<u8>,
    /// Instead of lines, for a collector.
    exported: Vec<LogRecord>,
    bytes: usize,
    held: Vec<Held>,
}

impl Writer {
    pub fn open(
        options: LogOptions,
        counts: Arc<Counts>,
        give_up: GiveUp,
    ) -> Result<Self, OpenError> {
        let hiding = Hiding::new(&options)?;
        let required = options.mode == LogMode::Required;
        let sink = match options.file {
            _ if options.mode == LogMode::Otlp => {
                let exporter = Exporter::new(&options.otlp, Arc::clone(&counts), give_up);
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
        Ok(Self { sink, hiding, required, counts, told: (0, None) })
    }

    /// Writes until it is told to end or nobody is left to send anything.
    pub fn run(mut self, messages: mpsc::Receiver<Message>) {
        let mut round = Round::default();
        while let Ok(first) = messages.recv() {
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    Message::Record(record, held) => self.add(&mut round, &record, held),
                    Message::Close(done) => {
                        self.write(&mut round);
                        self.leave(&messages);
                        // Before anybody is told: who finds the log closed counts what it loses.
                        drop(messages);
                        // Nobody may be waiting any more.
                        let _ = done.send(());
                        return;
                    }
                }
                next = if round.bytes < ROUND_BYTES { messages.try_recv().ok() } else { None };
            }
            let is_full = round.bytes >= ROUND_BYTES;
            self.write(&mut round);
            self.complain_of_drops();
            match &self.sink {
                Sink::Otlp(_) if is_full => {}
                Sink::Otlp(_) => thread::sleep(EXPORT_PAUSE),
                _ if self.required => {}
                _ => thread::sleep(PAUSE),
            }
        }
        self.write(&mut round);
    }

    /// Counts what came after the end.
    fn leave(&self, messages: &mpsc::Receiver<Message>) {
        let left = messages.try_iter().filter(|left| matches!(left, Message::Record(..))).count();
        if self.required {
            self.counts.failed(left);
        } else {
            self.counts.dropped(left);
        }
    }

    fn add(&mut self, round: &mut Round, record: &Record, held: Held) {
        let line = match self.line(record) {
            Ok(line) => line,
            Err(error) => {
                tracing::error!(%error, "a decision record cannot be written as JSON");
                self.counts.failed(1);
                return;
            }
        };
        let room = match &self.sink {
            Sink::Stdout | Sink::Otlp(_) => u64::MAX,
            Sink::File(_, file) => file.room(),
        };
        if round.bytes > 0 && (round.bytes + line.len() + 1) as u64 > room {
            self.write(round);
        }
        round.bytes += line.len() + 1;
        if let Sink::Otlp(_) = &self.sink {
            round.exported.push(otlp::log_record(record, line));
        } else {
            round.lines.extend_from_slice(line.as_bytes());
            round.lines.push(b'\n');
        }
        round.held.push(held);
    }

    fn line(&self, record: &Record) -> serde_json::Result<String> {
        match &self.hiding {
            None => serde_json::to_string(record),
            Some(hiding) => {
                let mut json = serde_json::to_value(record)?;
                if let Json::Object(record) = &mut json {
                    hiding.apply(record);
                }
                serde_json::to_string(&json)
            }
        }
    }

    fn write(&mut self, round: &mut Round) {
        if round.held.is_empty() {
            return;
        }
        // How many records were refused one by one.
        let written = match &mut self.sink {
            Sink::Stdout => {
                let mut out = io::stdout().lock();
                let written = out.write_all(&round.lines).and_then(|()| out.flush());
                written.map(|()| 0).map_err(|error| error.to_string())
            }
            Sink::File(_, file) => {
                file.append(&round.lines).map(|()| 0).map_err(|error| error.to_string())
            }
            Sink::Otlp(exporter) => exporter.send(mem::take(&mut round.exported)),
        };
        round.lines.clear();
        round.bytes = 0;
        let held = round.held.drain(..);
        let records = held.len();
        match written {
            Ok(refused) => {
                let refused = refused.min(records);
                self.counts.written(records - refused);
                self.counts.failed(refused);
                for written in held.filter_map(|held| held.written) {
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
                // Dropping the other end tells everybody who waits.
                drop(held);
                self.counts.failed(records);
                self.counts.tell_trouble(&self.destination(), &error);
            }
        }
    }

    pub fn destination(&self) -> String {
        match &self.sink {
            Sink::Stdout => "stdout".to_owned(),
            Sink::File(path, _) => path.display().to_string(),
            Sink::Otlp(exporter) => exporter.address().to_owned(),
        }
    }

    fn complain_of_drops(&mut self) {
        let (told, at) = self.told;
        let dropped = self.counts.all_dropped();
        if dropped > told && at.is_none_or(|at| at.elapsed() > COMPLAINT) {
            tracing::warn!(
                records = dropped - told,
                "decision records were dropped: the queue was full"
            );
            self.told = (dropped, Some(Instant::now()));
        }
    }
}
