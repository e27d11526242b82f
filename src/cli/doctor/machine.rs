//! File handles, memory, the time and a solver, as the machine gives them to the process.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{finding::DoctorFindings, running::RunningStatus};
use crate::{
    audit::LogMode,
    cli::{
        CliError,
        serve::file_handles::{self, Handles},
    },
    grpc::GrpcOptions,
    model::Timestamp,
    reload::SlowGates,
    settings::Settings,
};

/// A clock before this moment, 2026-01-01, is wrong: this program is younger.
const EARLIEST: i64 = 1_767_225_600;

/// Seconds by which the clock of a running process may differ: answers tell whole seconds.
const MOST_SECONDS_APART: i64 = 2;

/// Bytes that a process with the shipped stores takes when nobody calls, with room to reload them.
const AT_REST: u64 = 48 * 1024 * 1024;

const MIB: u64 = 1024 * 1024;

pub(super) fn look(
    settings: &Settings,
    running: Option<&RunningStatus>,
    findings: &mut DoctorFindings,
) {
    clock(running.and_then(|page| page.date.as_deref()), findings);
    handles(settings, findings);
    memory(settings, findings);
}

/// Reports whether there is a solver, and returns the gates that take it. `gates` are those of the settings,
/// or nothing where they could not be looked at.
pub(super) fn solver(
    gates: Option<Result<Option<Arc<dyn SlowGates>>, CliError>>,
    timeout: Duration,
    findings: &mut DoctorFindings,
) -> Option<Arc<dyn SlowGates>> {
    const SOLVER: &str = "solver";
    match gates? {
        Ok(Some(gates)) => {
            findings.ok(SOLVER, format!("{}, for `reload.require`", found(timeout)));
            Some(gates)
        }
        Ok(None) => {
            findings.ok(SOLVER, format!("{}; the settings need none", found(timeout)));
            None
        }
        Err(error) => {
            findings.problem(SOLVER, error.to_string(), "or leave the gate out");
            None
        }
    }
}

#[cfg(feature = "prove")]
fn found(timeout: Duration) -> String {
    let solver = super::finding::within(timeout, crate::proofs::Solver::find);
    match solver {
        Some(Ok(solver)) => format!("cvc5 {}", solver.version()),
        _ => "there is no cvc5 here".to_owned(),
    }
}

#[cfg(not(feature = "prove"))]
fn found(_: Duration) -> String {
    "this is built without the feature `prove`".to_owned()
}

fn clock(date: Option<&str>, findings: &mut DoctorFindings) {
    const CLOCK: &str = "clock";
    let advice = "set the clock: ends of roles and certificates are judged by it";
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let shown = Timestamp::from_seconds(seconds);
    if seconds < EARLIEST {
        findings.problem(CLOCK, format!("it says {shown}, which is long ago"), advice);
        return;
    }
    let theirs = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
    let apart = theirs.map(|theirs| theirs.timestamp().as_second().saturating_sub(seconds));
    match apart {
        Some(apart) if apart.abs() > MOST_SECONDS_APART => {
            let message =
                format!("that of the running Humbaba is {apart} s from the one here, {shown}");
            findings.warning(CLOCK, message, advice);
        }
        Some(_) => findings.ok(CLOCK, format!("{shown}, and the running Humbaba agrees")),
        None => findings.ok(CLOCK, format!("{shown}")),
    }
}

fn handles(settings: &Settings, findings: &mut DoctorFindings) {
    const HANDLES: &str = "file handles";
    let workers = GrpcOptions::default().workers;
    let Handles { handles, wanted, fitting } =
        file_handles::connection_limits(&settings.limits, workers);
    if fitting == wanted {
        let message = format!("enough for the {} gRPC connections of `limits`", wanted.grpc);
        findings.ok(HANDLES, message);
        return;
    }
    findings.warning(
        HANDLES,
        format!(
            "{handles} are left for connections, so there can be {} over gRPC and not the {} of \
             `limits.connections`",
            fitting.grpc, wanted.grpc
        ),
        "raise the limit (`ulimit -Hn`, systemd's `LimitNOFILE`), or lower `limits.connections`",
    );
}

fn memory(settings: &Settings, findings: &mut DoctorFindings) {
    const MEMORY: &str = "memory";
    let Some(limit) = memory_limit() else {
        findings.ok(MEMORY, "no cgroup limits it");
        return;
    };
    let log = (settings.decision_log.mode != LogMode::Off)
        .then_some(settings.decision_log.queue_bytes.get());
    let shadow = settings.shadow.folder.is_some().then_some(settings.shadow.queue_bytes.get());
    let queues = [Some(settings.limits.held_bytes.get()), log, shadow].into_iter().flatten();
    let wanted = queues.fold(AT_REST, |sum, bytes| sum.saturating_add(bytes as u64));
    let (limit, wanted_mib) = (limit / MIB, wanted.div_ceil(MIB));
    if limit >= wanted_mib {
        findings.ok(MEMORY, format!("the cgroup allows {limit} MiB"));
        return;
    }
    findings.warning(
        MEMORY,
        format!(
            "the cgroup allows {limit} MiB, and messages and queues as large as the settings allow \
             may take {wanted_mib} MiB, directories not counted"
        ),
        "raise the limit, or lower `limits.held_bytes` and the queues",
    );
}

/// Returns the bytes that the cgroup of this process may use, the least of it and those above it.
fn memory_limit() -> Option<u64> {
    let groups = procfs::process::Process::myself().ok()?.cgroups().ok()?;
    let limits = groups.into_iter().flat_map(|group| {
        let of_memory = group.controllers.iter().any(|controller| controller == "memory");
        let (root, file) = match (group.hierarchy, of_memory) {
            (0, _) => ("/sys/fs/cgroup", "memory.max"),
            (_, true) => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            (_, false) => return Vec::new(),
        };
        let own = Path::new(root).join(group.pathname.trim_start_matches('/'));
        let folders = own.ancestors().filter(|folder| folder.starts_with(root));
        folders.filter_map(|folder| limit_of(folder.join(file))).collect()
    });
    limits.min()
}

/// Reads a limit. The older form of cgroups writes none as a number that no machine has.
fn limit_of(file: PathBuf) -> Option<u64> {
    let bytes = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (bytes < 1 << 60).then_some(bytes)
}
