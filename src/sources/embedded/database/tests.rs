#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::{
    directory::{Assignment, AssignmentKey, EntityRow},
    model::{Timestamp, Uid},
    request::Grant,
};

const KEPT: u64 = 1_000;

/// One bit in this many is flipped.
const STEP: usize = 377;

fn key(number: usize) -> AssignmentKey {
    AssignmentKey {
        principal: Uid::new("Acme::User", format!("user-{number}")),
        role: "editor".to_owned(),
        scope: Uid::new("Acme::Site", "42"),
    }
}

fn put(number: usize) -> Change {
    Change::Put(Assignment {
        key: key(number),
        expires_at: number.is_multiple_of(2).then_some(Timestamp::from_millis(1_893_456_000_123)),
        grant: Grant {
            granted_at: Some(Timestamp::from_millis(0)),
            granted_by: "root".to_owned(),
            reason: format!("ticket {number}"),
        },
    })
}

fn put_entity(id: &str, json: &str) -> Change {
    Change::PutEntity(EntityRow { uid: Uid::new("Acme::Site", id), json: json.to_owned() })
}

/// The rows of a database, in an order of their own.
fn sorted(rows: Vec<Change>) -> Vec<String> {
    let mut rows: Vec<_> = rows.iter().map(|row| format!("{row:?}")).collect();
    rows.sort();
    rows
}

fn opened(path: &Path) -> (Database, Vec<String>) {
    let (database, rows) = Database::open(path, KEPT).unwrap();
    (database, sorted(rows))
}

struct Place {
    _folder: TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("directory").join("acme.sqlite");
    Place { _folder: folder, path }
}

impl Place {
    fn log(&self) -> PathBuf {
        self.path.with_extension("sqlite-wal")
    }

    /// Puts files in place of the database and its log.
    fn restore(&self, database: &[u8], log: &[u8]) {
        let _ = fs::remove_file(self.path.with_extension("sqlite-shm"));
        fs::write(&self.path, database).unwrap();
        fs::write(self.log(), log).unwrap();
    }
}

/// A database with a few rows of each kind and some history.
fn filled(place: &Place) -> Vec<String> {
    let (mut database, _) = opened(&place.path);
    for number in 0..20 {
        database.commit([&[put(number), put_entity("42", "{}")][..]]).unwrap();
    }
    database.commit([&[Change::Delete(key(3)), put_entity("7", r#"{"attrs":{}}"#)][..]]).unwrap();
    sorted(database.rows().unwrap())
}

#[test]
fn rows_and_version_are_there_after_a_restart() {
    let place = place();
    let (mut database, rows) = opened(&place.path);
    assert!(rows.is_empty());
    database.commit([&[put(1), put(2)][..], &[Change::Delete(key(1))]]).unwrap();
    let (version, rows) = (database.version(), sorted(database.rows().unwrap()));
    assert_eq!(database.counter(), 2);
    assert_eq!(rows, sorted(vec![put(2)]));
    drop(database);
    let (database, again) = opened(&place.path);
    assert_eq!((database.version(), again), (version, rows));
    let history = database.history().unwrap();
    assert_eq!(history.after, database.version_of(0));
    let versions = [vec![put(1), put(2)], vec![Change::Delete(key(1))]];
    let versions = (1..).zip(versions).map(|(counter, changes)| VersionChanges {
        changes: changes.into(),
        version: database.version_of(counter),
    });
    assert_eq!(history.versions, versions.collect::<Vec<_>>());
}

#[test]
fn a_second_process_is_refused_and_files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = place();
    let (database, _) = opened(&place.path);
    assert!(matches!(Database::open(&place.path, KEPT), Err(DatabaseError::Locked(_))));
    for file in fs::read_dir(place.path.parent().unwrap()).unwrap() {
        let mode = file.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    drop(database);
    opened(&place.path);
}

#[test]
fn the_history_is_trimmed_by_whole_versions() {
    let place = place();
    let (mut database, _) = Database::open(&place.path, 5).unwrap();
    for number in 0..4 {
        database.commit([&[put(number), put(number + 10)][..]]).unwrap();
    }
    let trimmed = |database: &Database| database.history().unwrap().after;
    assert_eq!(trimmed(&database), database.version_of(2));
    let history = database.history().unwrap();
    assert_eq!(history.versions[0].version, database.version_of(3));
    // One that is longer than the limit is kept alone.
    let long: Vec<_> = (0..9).map(put).collect();
    database.commit([long.as_slice()]).unwrap();
    let last = database.version_of(4);
    assert_eq!(trimmed(&database), last);
    drop(database);
    assert_eq!(trimmed(&Database::open(&place.path, 5).unwrap().0), last);
}

#[test]
fn a_write_that_does_not_fit_on_the_disk_leaves_nothing() {
    let place = place();
    let before = filled(&place);
    let (mut database, _) = opened(&place.path);
    let version = database.version();
    let pages: i64 =
        database.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    database.connection.pragma_update(None, "max_page_count", pages).unwrap();
    let large: Vec<_> = (1_000..2_000).map(put).collect();
    let error = database.commit([large.as_slice()]).unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    assert_eq!(database.version(), version);
    // The limit went with the connection that failed: as if somebody had made room.
    database.commit([&[put(3)][..]]).unwrap();
    drop(database);
    let (_, after) = opened(&place.path);
    assert_eq!(after.len(), before.len() + 1);
}

#[test]
fn nothing_is_written_any_more_once_nobody_knows_what_the_file_holds() {
    let place = place();
    let before = filled(&place);
    let (mut database, _) = opened(&place.path);
    let aside = place.path.with_extension("aside");
    fs::rename(&place.path, &aside).unwrap();
    database.connection.pragma_update(None, "query_only", true).unwrap();
    let error = database.commit_seen([&[put(100)][..]]).unwrap_err();
    assert!(matches!(error, DatabaseError::Unknown(_)), "{error}");
    assert!(!database.is_known());
    fs::rename(&aside, &place.path).unwrap();
    database.connection.pragma_update(None, "query_only", false).unwrap();
    let error = database.commit([&[put(100)][..]]).unwrap_err();
    assert!(matches!(error, DatabaseError::Unknown(_)), "{error}");
    drop(database);
    assert_eq!(opened(&place.path).1, before);
}

/// Opens what is there: the exact rows of one of the states, or a refusal.
fn expect(place: &Place, states: &[&Vec<String>], what: &str) -> bool {
    match Database::open(&place.path, KEPT) {
        Ok((_, rows)) => {
            let rows = sorted(rows);
            assert!(states.contains(&&rows), "{what}: {} rows are read", rows.len());
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            false
        }
    }
}

#[test]
fn a_flipped_bit_is_refused_or_changes_nothing() {
    let place = place();
    let rows = filled(&place);
    let intact = fs::read(&place.path).unwrap();
    let mut refused = 0;
    // No multiple of two, so that each place of a bit in its byte has its turn.
    for bit in (0..intact.len() * 8).step_by(STEP) {
        let mut flipped = intact.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        place.restore(&flipped, &[]);
        refused += usize::from(!expect(&place, &[&rows], &format!("bit {bit}")));
    }
    assert!(refused > 100, "{refused}");
    place.restore(&intact, &[]);
    assert!(expect(&place, &[&rows], "intact"));
}

#[test]
fn a_cut_file_is_refused_or_changes_nothing() {
    let place = place();
    let rows = filled(&place);
    let intact = fs::read(&place.path).unwrap();
    for length in (0..intact.len()).step_by(257) {
        place.restore(&intact[..length], &[]);
        assert!(!expect(&place, &[&rows], &format!("cut to {length}")));
    }
    let longer = [intact.as_slice(), &[7; 5_000]].concat();
    place.restore(&longer, &[]);
    expect(&place, &[&rows], "longer");
}

/// Changes that are only in the log were not acknowledged: they are there as a whole or not at all.
#[test]
fn a_damaged_log_loses_no_more_than_what_nobody_was_told_of() {
    let place = place();
    let before = filled(&place);
    let (mut database, _) = opened(&place.path);
    let known = (database.meta.clone(), database.data_version);
    let write = [put(100), put(101), Change::Delete(key(5))];
    commit(&mut database.connection, known, KEPT, None, [&write[..]]).unwrap();
    let after = sorted(rows::read(&database.connection).unwrap().0);
    let (file, log) = (fs::read(&place.path).unwrap(), fs::read(place.log()).unwrap());
    drop(database);
    place.restore(&file, &log);
    assert!(expect(&place, &[&after], "intact"));
    for bit in (0..log.len() * 8).step_by(1_331) {
        let mut flipped = log.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        place.restore(&file, &flipped);
        expect(&place, &[&before, &after], &format!("bit {bit} of the log"));
        place.restore(&file, &log[..bit / 8]);
        expect(&place, &[&before, &after], &format!("the log cut to {}", bit / 8));
    }
}

#[test]
fn only_where_no_file_is_a_new_database_is_made() {
    let place = place();
    filled(&place);
    let log = place.log();
    fs::remove_file(&place.path).unwrap();
    fs::write(&log, b"what is left of a log").unwrap();
    let error = Database::open(&place.path, KEPT).unwrap_err();
    assert!(error.to_string().contains("restore the database from a backup"), "{error}");
    fs::remove_file(&log).unwrap();
    for not_a_database in [&b""[..], b"text", &[0; 8_192]] {
        fs::write(&place.path, not_a_database).unwrap();
        assert!(Database::open(&place.path, KEPT).is_err());
        assert!(fs::read(&place.path).unwrap() == not_a_database, "it is left as it was");
    }
    fs::remove_file(&place.path).unwrap();
    assert_eq!(opened(&place.path).1, Vec::<String>::new());
}

#[test]
fn what_this_process_writes_is_not_taken_for_another_programs() {
    let place = place();
    filled(&place);
    let (mut database, _) = opened(&place.path);
    let (seen, version) = (database.seen.clone(), database.data_version);
    database.commit([&[put(100)][..]]).unwrap();
    assert_ne!(database.seen, seen, "the log is emptied into the file");
    assert_eq!(data_version(&database.connection).unwrap(), version);
    assert_eq!(database.seen, DatabaseFile::at(&place.path).unwrap());
}

#[test]
fn a_program_that_reads_or_empties_the_log_harms_nothing() {
    let place = place();
    filled(&place);
    let (mut database, _) = opened(&place.path);
    let other = Connection::open(&place.path).unwrap();
    let count = "SELECT count(*) FROM assignments";
    let rows: i64 = other.query_row(count, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 19);
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    database.commit([&[put(100)][..]]).unwrap();
    drop(other);
    database.commit([&[put(101)][..]]).unwrap();
    assert!(database.is_known());
}

/// Does something to the file at a path.
type Harm = fn(&Path);

#[test]
fn what_another_program_does_to_the_file_ends_writing() {
    let harms: [(&str, Harm); 5] = [
        ("is gone", |path| fs::remove_file(path).unwrap()),
        ("is gone", |path| fs::remove_dir_all(path.parent().unwrap()).unwrap()),
        ("another file", |path| {
            let copy = path.with_extension("copy");
            fs::copy(path, &copy).unwrap();
            fs::rename(&copy, path).unwrap();
        }),
        ("its content", |path| {
            let other = Connection::open(path).unwrap();
            other.execute("DELETE FROM assignments WHERE principal_id = 'user-5'", []).unwrap();
        }),
        ("its content", |path| fs::write(path, b"an older copy, written in place").unwrap()),
    ];
    for (said, harm) in harms {
        let place = place();
        filled(&place);
        let (mut database, _) = opened(&place.path);
        harm(&place.path);
        let counter = database.counter();
        let error = database.commit([&[put(100)][..]]).unwrap_err();
        assert!(matches!(error, DatabaseError::Foreign(_)), "{said}: {error}");
        assert!(error.to_string().contains(said), "{said}: {error}");
        assert!(!database.is_known() && database.counter() == counter);
        assert!(database.rows().is_err() && database.look().is_err());
    }
}
