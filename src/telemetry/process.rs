//! Metrics of the process, under the names that Prometheus' own libraries use. Linux only.

use std::sync::OnceLock;

use opentelemetry::metrics::Meter;
use procfs::{
    ProcResult,
    process::{LimitValue, Process, Stat},
};

/// Adds the metrics of the process. What cannot be read is left out.
pub(super) fn observe(meter: &Meter) {
    meter
        .f64_observable_counter("process_cpu_seconds_total")
        .with_description("Processor time of the process, user and system")
        .with_unit("s")
        .with_callback(|observer| {
            if let Ok(stat) = stat() {
                observer.observe(seconds(stat.utime + stat.stime), &[]);
            }
        })
        .build();
    gauge(meter, "process_resident_memory_bytes", "By", "Memory that is in use", || {
        Ok(stat()?.rss * procfs::page_size())
    });
    gauge(meter, "process_virtual_memory_bytes", "By", "Address space that is in use", || {
        Ok(stat()?.vsize)
    });
    gauge(meter, "process_threads", "", "Threads of the process", || {
        Ok(u64::try_from(stat()?.num_threads).unwrap_or_default())
    });
    gauge(meter, "process_open_fds", "", "Open file descriptors", || {
        Ok(Process::myself()?.fd_count()? as u64)
    });
    gauge(meter, "process_max_fds", "", "File descriptors that may be open", || {
        Ok(match Process::myself()?.limits()?.max_open_files.soft_limit {
            LimitValue::Value(max) => max,
            LimitValue::Unlimited => u64::MAX,
        })
    });
    meter
        .f64_observable_gauge("process_start_time_seconds")
        .with_description("Start of the process, in Unix time")
        .with_unit("s")
        .with_callback(|observer| {
            // Read once: the kernel derives the time of boot from a clock that is adjusted.
            static START: OnceLock<Option<f64>> = OnceLock::new();
            if let Some(start) = START.get_or_init(|| start_time().ok()) {
                observer.observe(*start, &[]);
            }
        })
        .build();
}

fn gauge(
    meter: &Meter,
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    read: impl Fn() -> ProcResult<u64> + Send + Sync + 'static,
) {
    meter
        .u64_observable_gauge(name)
        .with_description(description)
        .with_unit(unit)
        .with_callback(move |observer| {
            if let Ok(value) = read() {
                observer.observe(value, &[]);
            }
        })
        .build();
}

fn stat() -> ProcResult<Stat> {
    Process::myself()?.stat()
}

#[expect(clippy::cast_precision_loss, reason = "Unix time in seconds is exact in floating point")]
fn start_time() -> ProcResult<f64> {
    Ok(procfs::boot_time_secs()? as f64 + seconds(stat()?.starttime))
}

#[expect(clippy::cast_precision_loss, reason = "ticks of centuries are exact in floating point")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / procfs::ticks_per_second() as f64
}
