#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::Arc;

use cedar_policy::Schema as CedarSchema;

use super::{file_rows::PROBLEMS, *};
use crate::{
    directory::{Assignment, Change, EntityRow},
    schema::Schema,
};

const HEADER: &str = "principal_type,principal_id,role,scope_type,scope_id";

fn schema() -> Schema {
    let text =
        "namespace Acme { entity Role; entity User in [Role]; entity Site { owner: Role }; }";
    let (cedar, _) = CedarSchema::from_cedarschema_str(text).unwrap();
    Schema::new(cedar, |ty| ty.to_string() == "Acme::Role").unwrap()
}

fn read_bytes(name: &str, bytes: &[u8]) -> Result<FileRows, RowFileError> {
    let schema = schema();
    RowReader::new(&schema, 100, 1_000).read(RowFileKind::of(name).unwrap(), bytes)
}

fn read(name: &str, text: &str) -> FileRows {
    read_bytes(name, text.as_bytes()).unwrap()
}

fn csv(rows: &str) -> FileRows {
    read("a.assignments.csv", &format!("{HEADER}\n{rows}"))
}

/// `line: principal role scope end` of each row, and `line! message` of each problem.
fn shown(read: &FileRows) -> Vec<String> {
    let rows = read.rows.iter().map(|row| match &row.change {
        Change::Put(Assignment { key, expires_at, .. }) => {
            let end = expires_at.map(|end| format!(" until {end}")).unwrap_or_default();
            let (principal, role, scope) = (&key.principal, &key.role, &key.scope);
            format!("{}: {principal} {role} {scope}{end}", row.line)
        }
        Change::PutEntity(EntityRow { uid, .. }) => format!("{}: {uid}", row.line),
        other => panic!("{other:?}"),
    });
    let problems = read.problems.first.iter();
    rows.chain(problems.map(|problem| format!("{}! {}", problem.line, problem.message))).collect()
}

fn row(line: usize, principal: &str, role: &str, scope: &str) -> String {
    format!("{line}: Acme::User::\"{principal}\" {role} Acme::Site::\"{scope}\"")
}

#[test]
fn files_are_known_by_their_names() {
    for (name, kind) in [
        ("assignments.csv", Some(RowFileKind::Csv)),
        ("team.assignments.csv", Some(RowFileKind::Csv)),
        ("team.assignments.jsonl", Some(RowFileKind::JsonLines)),
        ("team.cedarentities.json", Some(RowFileKind::Entities)),
        ("myassignments.csv", None),
        ("team.csv", None),
        ("team.assignments.csv.tmp", None),
    ] {
        assert_eq!(RowFileKind::of(name), kind, "{name}");
    }
}

#[test]
fn columns_may_stand_in_any_order_and_the_last_four_be_absent_or_empty() {
    let text = "scope_id,reason,role,granted_by,principal_id,expires_at,scope_type,granted_at,principal_type\n\
        1,\"trial, \"\"short\"\"\",owner,bob,alice,2027-01-01,Site,2026-01-01T00:00:00Z,Acme::User\n\
        2,,owner,,alice,,Acme::Site,,User";
    let read = read("assignments.csv", text);
    let until = format!("{} until 2027-01-01T00:00:00Z", row(2, "alice", "owner", "1"));
    assert_eq!(shown(&read), [until, row(3, "alice", "owner", "2")]);
    let Change::Put(first) = &read.rows[0].change else { panic!() };
    assert_eq!(first.grant.reason, "trial, \"short\"");
    assert_eq!(first.grant.granted_by, "bob");
    assert_eq!(first.grant.granted_at.unwrap().to_string(), "2026-01-01T00:00:00Z");
}

#[test]
fn line_ends_byte_order_marks_and_empty_lines_do_not_matter() {
    let text =
        format!("\u{feff}{HEADER}\r\n\r\nUser,alice,owner,Site,1\r\n\r\n\r\nUser,bob,owner,Site,1");
    let read = read("a.assignments.csv", &text);
    assert_eq!(shown(&read), [row(3, "alice", "owner", "1"), row(6, "bob", "owner", "1")]);
}

#[test]
fn a_header_that_is_not_one_is_a_problem_of_the_file() {
    for (header, said) in [
        ("", "the file has no header"),
        ("principal_type,principal_id", "a column is missing: role, scope_type, scope_id"),
        (
            "principal_type,principal_id,role,scope_type,scope_id,expires",
            "there is no column `expires`: the columns are principal_type",
        ),
        (
            "principal_type,principal_id,role,scope_type,scope_id,role",
            "the column `role` is there twice",
        ),
        ("User,alice,owner,Site,1", "there is no column `User`"),
    ] {
        let error = read_bytes("assignments.csv", header.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(said), "{header}: {error}");
    }
    let error = read_bytes("assignments.csv", b"principal_type,\xff").unwrap_err();
    assert!(matches!(error, RowFileError::NotText(_)));
}

#[test]
fn a_bad_row_is_told_with_its_line_and_the_others_count() {
    let long = "x".repeat(101);
    let read = csv(&format!(
        "User,alice,owner,Site,1\n\
         User,bob,owner,Site\n\
         User,bob,owner,Site,1,2\n\
         ,bob,owner,Site,1\n\
         User,{long},owner,Site,1\n\
         User,carol,owner,Site,1\n"
    ));
    assert_eq!(
        shown(&read),
        [
            row(2, "alice", "owner", "1"),
            row(7, "carol", "owner", "1"),
            "3! the row has 4 values, and the header 5 columns".to_owned(),
            "4! the row has 6 values, and the header 5 columns".to_owned(),
            "5! `principal_type` is empty".to_owned(),
            "6! `principal_id`: 101 bytes, more than the limit of 100".to_owned(),
        ]
    );
    let read = read_bytes(
        "assignments.csv",
        format!("{HEADER},expires_at\nUser,bob,owner,Site,1,soon\n").as_bytes(),
    );
    let said = "2! `expires_at`: `soon` is not a date and time: write it as RFC 3339, e.g. \
                `2026-01-31T09:00:00Z`";
    assert_eq!(shown(&read.unwrap()), [said]);
}

#[test]
fn an_open_quote_spoils_its_own_line_only() {
    let read = csv(
        "User,\"alice,owner,Site,1\nUser,bob,owner,Site,1\nUser,carol,owner,\"Site,1\nUser,dave,owner,Site,1",
    );
    let said = |line| format!("{line}! a quote is not closed: a row is one line");
    assert_eq!(
        shown(&read),
        [row(3, "bob", "owner", "1"), row(5, "dave", "owner", "1"), said(2), said(4)]
    );
}

#[test]
fn json_lines_are_read_like_rows() {
    let object = |more: &str| {
        format!(
            r#"{{"principal_type":"User","principal_id":"al\u0069ce","role":"owner","scope_type":"Site","scope_id":"1"{more}}}"#
        )
    };
    let text = [
        object(r#","expires_at":null,"reason":"x""#),
        String::new(),
        object(r#","role":"owner""#),
        object(r#","until":"2027-01-01""#),
        object(r#","expires_at":7"#),
        r#"{"principal_type":"User"}"#.to_owned(),
        "{".to_owned(),
        object(r#","expires_at":"2027-01-01""#),
    ]
    .join("\n");
    let read = read("a.assignments.jsonl", &text);
    let shown = shown(&read);
    assert_eq!(shown[0], row(1, "alice", "owner", "1"));
    assert_eq!(shown[1], format!("{} until 2027-01-01T00:00:00Z", row(8, "alice", "owner", "1")));
    for (shown, (line, said)) in shown[2..].iter().zip([
        ("3! column ", "duplicate field `role`"),
        ("4! column ", "unknown field `until`"),
        ("5! column ", "invalid type: integer `7`, expected a string"),
        ("6! column 25: ", "missing field `principal_id`"),
        ("7! column 1: ", "EOF"),
    ]) {
        assert!(shown.starts_with(line) && shown.contains(said), "{shown}");
    }
    assert_eq!(read.problems.count, 5);
}

#[test]
fn a_json_line_that_is_no_object_grants_nothing() {
    let array = r#"["User","alice","owner","Site","1",null,null,null,null]"#;
    let read = read("a.assignments.jsonl", &[array, "\"x\"", "7"].join("\n"));
    let said = "the line is no JSON object: write `{\"principal_type\": \"User\", …}`";
    assert_eq!(shown(&read), [1, 2, 3].map(|line| format!("{line}! {said}")));
}

#[test]
fn csv_and_json_lines_have_the_same_columns() {
    let object = |name: &str| format!("{{\"{name}\": \"x\"}}");
    let lines: Vec<_> = COLUMNS.iter().map(|name| object(name)).chain([object("none")]).collect();
    let read = read("a.assignments.jsonl", &lines.join("\n"));
    let (unknown, known) = shown(&read).split_last().map(|(a, b)| (a.clone(), b.to_vec())).unwrap();
    assert!(known.iter().all(|shown| shown.contains("missing field")), "{known:?}");
    let names: Vec<_> = unknown.split('`').skip(3).step_by(2).map(str::to_owned).collect();
    assert_eq!(names, COLUMNS, "{unknown}");
}

#[test]
fn entities_are_read_with_their_lines() {
    let text = r#"[
        {"uid": {"type": "Site", "id": "1"}, "attrs": {}, "parents": []},

        {"uid": {"__entity": {"type": "Acme::User", "id": "alice"}}}, {"uid": "Site::1"},
        {"uid": {"type": "User", "id": "bob"}, "attrs": {"a": 1, "a": 2}}, 7
    ]"#;
    let read = read("a.cedarentities.json", text);
    let shown = shown(&read);
    // What cannot be read of `bob` is told by the directory, which has to know of him.
    assert_eq!(
        shown[..3],
        ["2: Acme::Site::\"1\"", "4: Acme::User::\"alice\"", "5: Acme::User::\"bob\""]
    );
    for (shown, said) in shown[3..].iter().zip(["4! `uid.type` is missing", "5! `uid` is missing"])
    {
        assert!(shown.starts_with(said), "{shown}");
    }
}

#[test]
fn half_a_list_of_entities_is_a_problem_of_the_file() {
    for text in ["", "[", r#"[{"uid": {"type": "Site", "id": "1"}}"#, "{", "[] []"] {
        let error = read_bytes("a.cedarentities.json", text.as_bytes()).unwrap_err();
        assert!(matches!(error, RowFileError::Json(_)), "{text}: {error}");
    }
    let error = read_bytes("a.cedarentities.json", b"{}").unwrap_err();
    assert!(matches!(error, RowFileError::NoList));
}

#[test]
fn rows_are_bounded() {
    let (schema, row) = (schema(), "User,alice,owner,Site,1\n");
    let mut reader = RowReader::new(&schema, 100, 3);
    let text = |count| format!("{HEADER}\n{}", row.repeat(count));
    assert!(reader.read(RowFileKind::Csv, text(3).as_bytes()).is_ok());
    let error = reader.read(RowFileKind::Csv, text(4).as_bytes()).unwrap_err();
    assert!(matches!(error, RowFileError::TooManyRows(3)));
}

#[test]
fn problems_are_counted_beyond_those_that_are_kept() {
    let read = csv(&"User,alice\n".repeat(250));
    assert_eq!((read.problems.count, read.problems.first.len()), (250, PROBLEMS));
}

fn merged(files: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let files = files.iter().map(|(name, text)| (Arc::from(*name), read(name, text))).collect();
    let mut merged = merge(files, &RowHasher::default());
    let counting = merged.files.iter_mut().flat_map(MergedFile::take_rows).map(|(_, row)| row);
    let rows = FileRows { rows: counting.collect(), ..FileRows::default() };
    let problems = merged.files.iter().flat_map(|file| {
        let problems = file.problems.first.iter();
        problems.map(|problem| format!("{}:{}: {}", file.name, problem.line, problem.message))
    });
    (shown(&rows), problems.collect())
}

#[test]
fn of_two_rows_that_differ_the_one_counts_that_expires_first() {
    let with_end = |rows: &str| format!("{HEADER},expires_at\n{rows}");
    let [late, early, never] = ["2028-01-01", "2027-01-01", ""];
    for ends in [[late, early, never], [never, late, early], [early, never, late]] {
        let spelled = ["User", "Acme::User", "User"];
        let rows = ends
            .iter()
            .zip(spelled)
            .map(|(end, user)| format!("{user},alice,owner,Site,1,{end}\n"));
        let (rows, problems) = merged(&[("assignments.csv", &with_end(&rows.collect::<String>()))]);
        assert_eq!(rows.len(), 1);
        assert!(rows[0].ends_with("until 2027-01-01T00:00:00Z"), "{rows:?}");
        assert_eq!(problems.len(), 2);
        assert!(problems[0].starts_with("assignments.csv:3: `owner` on Acme::Site::\"1\" for"));
    }
}

#[test]
fn rows_alike_count_once_also_in_two_files() {
    let text = format!("{HEADER}\nUser,alice,owner,Site,1\nUser,alice,owner,Site,1\n");
    let (rows, problems) = merged(&[("a.assignments.csv", &text), ("b.assignments.csv", &text)]);
    assert_eq!((rows.len(), problems.len()), (1, 0));
}

#[test]
fn an_entity_of_which_two_rows_differ_cannot_be_read() {
    let entity = |team: &str| {
        format!(r#"[{{"uid": {{"type": "Site", "id": "1"}}, "attrs": {{"team": "{team}"}}}}]"#)
    };
    let same = entity("x").replace(": ", ":");
    let (rows, problems) =
        merged(&[("a.cedarentities.json", &entity("x")), ("b.cedarentities.json", &same)]);
    assert_eq!((rows.len(), problems.len()), (1, 0));
    let (rows, problems) = merged(&[
        ("a.cedarentities.json", &entity("x")),
        ("b.cedarentities.json", &entity("y")),
        ("c.cedarentities.json", &entity("x")),
    ]);
    assert_eq!((rows.len(), problems.len()), (1, 1), "{problems:?}");
    assert!(!rows[0].contains("team"), "{rows:?}");
}
