//! The changes of a directory that came in force last, for those who follow it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use crate::directory::{Change, DirectoryVersion, VersionError};

/// The most changes of one version that are told. More would make a message that clients do not take,
/// so whoever follows reads the directory anew.
const LONGEST: usize = 10_000;

/// The most bytes that the texts of one version may have to be told: in a message entities take up to
/// twice as much, and clients take 4 MiB.
const LONGEST_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of memory that the changes of one directory may take, which is enough for 100,000 assignments.
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// The changes of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionChanges {
    /// The changes, in order.
    pub changes: Arc<[Change]>,
    /// The version with them.
    pub version: DirectoryVersion,
}

impl VersionChanges {
    /// Returns the bytes of the texts of all changes.
    fn text_bytes(&self) -> usize {
        self.changes.iter().map(Change::text_bytes).sum()
    }

    /// The memory that the changes take, in bytes.
    fn memory(&self) -> usize {
        size_of_val(&*self.changes) + self.text_bytes()
    }
}

/// The changes that a directory keeps, those of the source before this process included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptChanges {
    /// The version before the first of them.
    pub after: DirectoryVersion,
    /// The changes of each version since, in order.
    pub versions: Vec<VersionChanges>,
}

/// A directory cannot be followed, or not any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// The version to begin with cannot be compared with that of the directory.
    #[error(transparent)]
    Version(#[from] VersionError),
    /// The directory has not come to the version to begin with: it was restored from a backup.
    #[error(
        "the directory has not reached the version `{0}`: list it, then follow it from then on"
    )]
    NotReached(String),
    /// Changes after the version are not kept.
    #[error(
        "changes after the version are not kept (setting `directory.kept_changes`, and 64 MiB), too many \
         rows changed at once, or the directory was read anew since: list it, then follow it from then on"
    )]
    Trimmed,
    /// The directory is not loaded, or the process is stopping.
    #[error("the directory is not loaded")]
    Unavailable,
}

/// The last changes of a directory.
#[derive(Debug)]
pub(super) struct ChangeLog {
    /// Changes that are kept.
    limit: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The number of the first version. Numbers are counted on when all is read anew, so that nobody
    /// who followed goes on over the gap.
    first: u64,
    /// The version before it; none before the first state.
    after: Option<DirectoryVersion>,
    versions: VecDeque<VersionChanges>,
    /// The changes of all versions.
    count: usize,
    /// The memory that they take, in bytes.
    bytes: usize,
}

/// Changes of a directory as they come in force, in order and each once.
#[derive(Debug)]
pub struct DirectoryFollower {
    log: Arc<ChangeLog>,
    changed: watch::Receiver<()>,
    /// The number of the version that is sent next.
    next: u64,
}

impl ChangeLog {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, kept: Mutex::default() }
    }

    /// Begins anew with a state, and with the changes that led to it.
    pub(super) fn restart(&self, KeptChanges { after, versions }: KeptChanges) {
        let mut kept = self.kept();
        kept.begin_after(after);
        for version in versions {
            kept.add(version, self.limit);
        }
    }

    /// Adds what came in force.
    pub(super) fn add(&self, changes: Vec<Change>, version: &DirectoryVersion) {
        let changes = VersionChanges { changes: changes.into(), version: version.clone() };
        self.kept().add(changes, self.limit);
    }

    /// Begins to follow after a version, or after the last one.
    ///
    /// A version that another sidecar gave, or the token of a transaction, may lie between two
    /// versions here. The first changes then are all those of the version that holds it.
    pub(super) fn follow(
        self: &Arc<Self>,
        after: Option<&str>,
        changed: watch::Receiver<()>,
    ) -> Result<DirectoryFollower, FollowError> {
        let kept = self.kept();
        let place = match after {
            None => kept.versions.len(),
            Some(after) => kept.place_after(after)?,
        };
        let next = kept.first + place as u64;
        drop(kept);
        Ok(DirectoryFollower { log: Arc::clone(self), changed, next })
    }

    /// Returns the changes of the version of that number; nothing while there is none.
    fn get(&self, number: u64) -> Result<Option<VersionChanges>, FollowError> {
        let kept = self.kept();
        let place = number.checked_sub(kept.first).ok_or(FollowError::Trimmed)?;
        Ok(usize::try_from(place).ok().and_then(|place| kept.versions.get(place)).cloned())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Forgets all versions, so that nobody who followed goes on over what led to this one.
    fn begin_after(&mut self, version: DirectoryVersion) {
        self.first += self.versions.len() as u64 + 1;
        self.after = Some(version);
        self.versions.clear();
        (self.count, self.bytes) = (0, 0);
    }

    /// Adds a version, and forgets the oldest until at most `limit` changes and [`KEPT_BYTES`] are kept.
    /// The latest stays unless it is too long to be told, or none is kept.
    fn add(&mut self, version: VersionChanges, limit: usize) {
        if version.changes.is_empty() {
            // It would never be forgotten.
            return;
        }
        if version.changes.len() > LONGEST || version.text_bytes() > LONGEST_BYTES {
            self.begin_after(version.version);
            return;
        }
        self.count += version.changes.len();
        self.bytes += version.memory();
        self.versions.push_back(version);
        while (self.count > limit || self.bytes > KEPT_BYTES)
            && (self.versions.len() > 1 || limit == 0)
            && let Some(oldest) = self.versions.pop_front()
        {
            self.count -= oldest.changes.len();
            self.bytes -= oldest.memory();
            self.first += 1;
            self.after = Some(oldest.version);
        }
    }

    /// Returns the place of the first version that is not held by that of the text.
    fn place_after(&self, text: &str) -> Result<usize, FollowError> {
        let start = self.after.as_ref().ok_or(FollowError::Unavailable)?;
        let asked = DirectoryVersion::read(text);
        let is_held = |version: &DirectoryVersion| {
            asked.as_ref().is_some_and(|asked| asked.has_reached(&version.to_string()) == Ok(true))
        };
        if start.has_reached(text)? {
            return if is_held(start) { Ok(0) } else { Err(FollowError::Trimmed) };
        }
        let lacks = |kept: &VersionChanges| kept.version.has_reached(text) == Ok(false);
        let place = self.versions.partition_point(lacks);
        let is_held = self.versions.get(place).is_some_and(|kept| is_held(&kept.version));
        Ok(if is_held { place + 1 } else { place })
    }
}

impl DirectoryFollower {
    /// Waits for the next version, and returns its changes. If it is dropped while it waits, nothing
    /// is lost.
    ///
    /// # Errors
    /// The changes are not kept any more, or the process is stopping.
    pub async fn next(&mut self) -> Result<VersionChanges, FollowError> {
        loop {
            self.changed.mark_unchanged();
            if let Some(changes) = self.log.get(self.next)? {
                self.next += 1;
                return Ok(changes);
            }
            self.changed.changed().await.map_err(|_| FollowError::Unavailable)?;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{
        directory::{EntityRow, Position, PostgresSnapshot},
        model::Uid,
    };

    fn count(count: u64) -> DirectoryVersion {
        DirectoryVersion { generation: "g".to_owned(), position: Position::Count(count) }
    }

    /// A state in which the transactions before `xmax` have ended but for some.
    fn state(xmax: u64, in_progress: &[u64], seq: u64) -> DirectoryVersion {
        let snapshot = PostgresSnapshot::new(xmax, in_progress.to_vec());
        let position = Position::Postgres { snapshot, seq };
        DirectoryVersion { generation: "g".to_owned(), position }
    }

    fn log(limit: usize, after: DirectoryVersion) -> Arc<ChangeLog> {
        let log = Arc::new(ChangeLog::new(limit));
        log.restart(KeptChanges { after, versions: Vec::new() });
        log
    }

    fn one(id: &str) -> Vec<Change> {
        vec![Change::DeleteEntity(Uid::new("User", id))]
    }

    /// The versions that are told to who follows after one.
    fn told(log: &Arc<ChangeLog>, after: &str) -> Result<Vec<String>, FollowError> {
        let changed = watch::Sender::new(()).subscribe();
        let mut follower = log.follow(Some(after), changed)?;
        let mut told = Vec::new();
        while let Some(next) = log.get(follower.next)? {
            follower.next += 1;
            told.push(next.version.to_string());
        }
        Ok(told)
    }

    #[test]
    fn all_that_came_after_a_version_is_told() {
        let log = log(10, count(3));
        for number in 4..=6 {
            log.add(one("a"), &count(number));
        }
        assert_eq!(told(&log, "g.3").unwrap(), ["g.4", "g.5", "g.6"]);
        assert_eq!(told(&log, "g.5").unwrap(), ["g.6"]);
        assert!(told(&log, "g.6").unwrap().is_empty());
        assert_eq!(told(&log, "g.2"), Err(FollowError::Trimmed));
        assert!(matches!(told(&log, "h.5"), Err(FollowError::Version(_))));
    }

    #[test]
    fn the_oldest_versions_are_forgotten_and_nobody_goes_on_over_the_gap() {
        let log = log(2, count(0));
        let follower = log.follow(None, watch::Sender::new(()).subscribe()).unwrap();
        for number in 1..=3 {
            log.add(one("a"), &count(number));
        }
        assert_eq!(log.get(follower.next), Err(FollowError::Trimmed));
        assert_eq!(told(&log, "g.0"), Err(FollowError::Trimmed));
        assert_eq!(told(&log, "g.1").unwrap(), ["g.2", "g.3"]);
        let follower = log.follow(None, watch::Sender::new(()).subscribe()).unwrap();
        log.restart(KeptChanges { after: count(9), versions: Vec::new() });
        log.add(one("a"), &count(10));
        assert_eq!(log.get(follower.next), Err(FollowError::Trimmed));
        assert_eq!(told(&log, "g.3"), Err(FollowError::Trimmed));
        assert_eq!(told(&log, "g.9").unwrap(), ["g.10"]);
    }

    #[test]
    fn a_version_of_very_many_changes_is_not_told() {
        let log = log(10, count(0));
        let follower = log.follow(None, watch::Sender::new(()).subscribe()).unwrap();
        let many = |count| vec![Change::DeleteEntity(Uid::new("User", "a")); count];
        log.add(many(LONGEST), &count(1));
        assert!(log.get(follower.next).unwrap().is_some());
        log.add(many(LONGEST + 1), &count(2));
        assert_eq!(log.get(follower.next + 1), Err(FollowError::Trimmed));
        assert_eq!(told(&log, "g.1"), Err(FollowError::Trimmed));
        assert!(told(&log, "g.2").unwrap().is_empty());
    }

    fn entity(bytes: usize) -> Vec<Change> {
        let (uid, json) = (Uid::new("User", "a"), "x".repeat(bytes));
        vec![Change::PutEntity(EntityRow { uid, json })]
    }

    #[test]
    fn large_changes_are_forgotten_sooner() {
        let log = log(1_000, count(0));
        for number in 1..=100 {
            log.add(entity(1024 * 1024), &count(number));
        }
        assert_eq!(told(&log, "g.0"), Err(FollowError::Trimmed));
        // A few bytes are taken by what is around the texts.
        assert_eq!(told(&log, "g.37").unwrap().len(), 63);
        assert_eq!(told(&log, "g.36"), Err(FollowError::Trimmed));
        for number in 101..=200 {
            log.add(one("a"), &count(number));
        }
        assert!(log.kept().bytes < KEPT_BYTES);
        assert_eq!(told(&log, "g.100").unwrap().len(), 100);
    }

    #[test]
    fn a_version_that_is_too_large_for_a_message_is_not_told() {
        let log = log(10, count(0));
        log.add(entity(LONGEST_BYTES - 100), &count(1));
        assert_eq!(told(&log, "g.0").unwrap(), ["g.1"]);
        log.add(entity(LONGEST_BYTES), &count(2));
        assert_eq!(told(&log, "g.1"), Err(FollowError::Trimmed));
        assert!(told(&log, "g.2").unwrap().is_empty());
    }

    #[test]
    fn versions_without_changes_are_not_kept() {
        let log = log(10, count(0));
        log.add(Vec::new(), &count(1));
        log.add(one("a"), &count(2));
        assert_eq!(told(&log, "g.0").unwrap(), ["g.2"]);
    }

    #[test]
    fn a_version_between_two_of_this_process_loses_nothing() {
        let log = log(10, state(10, &[], 1));
        let (second, third) = (state(12, &[11], 2), state(14, &[], 5));
        log.add(one("a"), &second);
        log.add(one("b"), &third);
        let (second, third) = (second.to_string(), [third.to_string()]);
        assert_eq!(told(&log, &second).unwrap(), third);
        // A version of another sidecar, which saw the end of 11 before that of 12.
        let between = state(13, &[12], 3).to_string();
        assert_eq!(told(&log, &between).unwrap(), third);
        // The same rows, asked a moment later.
        let same = state(14, &[], 5).to_string();
        assert!(told(&log, &same).unwrap().is_empty());
        // The token of a transaction is no state.
        assert_eq!(told(&log, "g.w11-4").unwrap(), third);
        assert_eq!(told(&log, "g.w9-1"), Err(FollowError::Trimmed));
    }
}
