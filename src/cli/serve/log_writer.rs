//! Writing the process's log without waiting for whoever reads it.
//!
//! Lines wait in a bounded queue for a thread of their own. A line for which there is no room is left out
//! and counted, and the log says so when it goes on.
//!
//! `tracing-appender` does not serve here: it bounds its queue by lines and not by bytes, and where the
//! queue is full at the end, it prints to the standard output, which may be the decision log.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use opentelemetry::metrics::Meter;

/// Bytes of lines that may wait: some ten thousand lines.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// A writer to the log. Each call of `write` is a line. Clones write to the same log.
#[derive(Debug, Clone)]
pub(super) struct LogWriter {
    queue: mpsc::Sender<LogMessage>,
    counts: Arc<LineCounts>,
}

#[derive(Debug, Default)]
struct LineCounts {
    queued_bytes: AtomicUsize,
    /// Lines that were left out or could not be written.
    lost: AtomicU64,
}

#[derive(Debug)]
enum LogMessage {
    Line(Vec<u8>),
    /// Answers once everything before it is written.
    Flush(mpsc::Sender<()>),
}

impl LogWriter {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, messages) = mpsc::channel();
        let counts = Arc::new(LineCounts::default());
        let counted = Arc::clone(&counts);
        let thread = thread::Builder::new().name("process-log".to_owned());
        thread.spawn(move || run(&messages, out, &counted))?;
        Ok(Self { queue, counts })
    }

    /// Waits until every line is written, for at most `timeout`.
    pub fn finish(&self, timeout: Duration) {
        let (done, flushed) = mpsc::channel();
        // Lines that nobody takes in time are lost with the process.
        if self.queue.send(LogMessage::Flush(done)).is_ok() {
            let _ = flushed.recv_timeout(timeout);
        }
    }

    /// Adds the metric of lines that were left out.
    pub fn observe(&self, meter: &Meter) {
        let counts = Arc::clone(&self.counts);
        meter
            .u64_observable_counter("humbaba_log_lines_lost_total")
            .with_description(
                "Lines of the process's log that were left out because nobody took them",
            )
            .with_callback(move |observer| {
                observer.observe(counts.lost.load(Ordering::Relaxed), &[]);
            })
            .build();
    }
}

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let bytes = line.len();
        let waiting = self.counts.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
        // A line that is longer than the queue is written where nothing else waits.
        let has_room = waiting == 0 || waiting.saturating_add(bytes) <= QUEUE_BYTES;
        let is_sent = has_room && self.queue.send(LogMessage::Line(line.to_owned())).is_ok();
        if !is_sent {
            self.counts.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn run(messages: &mpsc::Receiver<LogMessage>, mut out: impl Write, counts: &LineCounts) {
    let mut told = 0;
    for message in messages {
        let line = match message {
            LogMessage::Line(line) => line,
            LogMessage::Flush(done) => {
                // Whoever asked may have stopped waiting.
                let _ = done.send(());
                continue;
            }
        };
        let is_written = out.write_all(&line).is_ok();
        let waiting = counts.queued_bytes.fetch_sub(line.len(), Ordering::Relaxed) - line.len();
        if !is_written {
            counts.lost.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        let lost = counts.lost.load(Ordering::Relaxed);
        // Only once there is room again, so that this line is not lost as well.
        if waiting == 0 && lost > told {
            tracing::warn!(lines = lost - told, "lines of the log were left out: nobody took them");
            told = lost;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Takes a line whenever the test says so.
    struct Reader(mpsc::Receiver<()>, Arc<AtomicUsize>);

    impl Write for Reader {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            self.0.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.1.fetch_add(line.len(), Ordering::Relaxed);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stalls_costs_a_bounded_memory_and_no_time() {
        let (take, taken) = mpsc::channel();
        let read = Arc::new(AtomicUsize::new(0));
        let mut writer = LogWriter::start(Reader(taken, Arc::clone(&read))).unwrap();
        let line = vec![b'x'; QUEUE_BYTES / 4];
        for _ in 0..6 {
            writer.write_all(&line).unwrap();
        }
        assert_eq!(writer.counts.lost.load(Ordering::Relaxed), 2);
        writer.finish(Duration::from_millis(1));
        (0..4).for_each(|_| take.send(()).unwrap());
        writer.finish(Duration::from_secs(30));
        assert_eq!(read.load(Ordering::Relaxed), QUEUE_BYTES);
        // There is room again. A line that cannot be written is lost, too.
        drop(take);
        writer.write_all(b"more\n").unwrap();
        writer.finish(Duration::from_secs(30));
        assert_eq!(writer.counts.lost.load(Ordering::Relaxed), 3);
    }
}
