//! The decision log where it is full, required, moved away or not to be written.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    time::Duration,
};

use humbaba::{
    audit::{DecisionLog, LogMode, LogOptions, OpenError},
    proto::{BatchIsAuthorizedItem, BatchIsAuthorizedRequest, ListActionsRequest},
};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tonic::Code;

use crate::{
    decision_log::{Recorded, edit, records},
    support::{
        ask::{action, ask, uid},
        http,
        wait::until,
    },
};

#[tokio::test]
async fn a_decision_never_waits_for_its_record() {
    // There is room for less than one record while another is being held.
    let recorded = Recorded::start(|options| {
        options.file = Some("/dev/full".into());
        options.queue_bytes = 1;
    })
    .await;
    for _ in 0..200 {
        assert!(recorded.server.allows(edit()).await);
    }
    assert!(recorded.log.close(Duration::from_secs(20)).await);
    let counts = recorded.log.counts().unwrap();
    assert_eq!(counts.written, 0);
    assert_eq!(counts.dropped + counts.failed, 200, "{counts:?}");
    assert!(counts.failed > 0 && counts.problem.is_some(), "{counts:?}");
    // A log that has ended takes nothing any more, and says so.
    assert!(recorded.server.allows(edit()).await);
    assert_eq!(recorded.log.counts().unwrap().dropped, counts.dropped + 1);

    let metrics = http::get(recorded.server.http, "/metrics").await.body;
    for (result, count) in [("dropped", counts.dropped + 1), ("failed", counts.failed)] {
        let line = format!("humbaba_decision_log_records_total{{result=\"{result}\"}} {count}");
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    }
    let status = http::get(recorded.server.http, "/status").await.body;
    let status: Json = serde_json::from_str(&status).unwrap();
    assert_eq!(status["decision_log"]["failed"], json!(counts.failed));
    assert!(status["decision_log"]["problem"].as_str().unwrap().contains("No space left"));
}

#[tokio::test]
async fn a_required_record_is_there_before_the_answer() {
    let recorded = Recorded::start(|options| options.mode = LogMode::Required).await;
    let asking = (0..32).map(|number| {
        let (mut client, path) = (recorded.server.client(), recorded.path());
        tokio::spawn(async move {
            let question = ask(&format!("User::u{number}"), "site.view", "Site::42");
            let answer = client.is_authorized(question).await.unwrap().into_inner();
            let text = fs::read_to_string(path).unwrap();
            assert!(text.contains(&answer.decision_id), "{number}");
        })
    });
    for asked in asking.collect::<Vec<_>>() {
        asked.await.unwrap();
    }
    assert_eq!(recorded.records().await.len(), 32);
}

#[tokio::test]
async fn without_its_required_record_no_answer_leaves() {
    let folder = TempDir::new().unwrap();
    let (path, disk) = (folder.path().join("log"), folder.path().join("disk.jsonl"));
    symlink("/dev/full", &path).unwrap();
    let recorded = Recorded::start(|options| {
        options.mode = LogMode::Required;
        options.file = Some(path.clone());
    })
    .await;
    let batch = || BatchIsAuthorizedRequest {
        principal: Some(uid("User::alice")),
        resource: Some(uid("Site::42")),
        action: Some(action("site.view")),
        items: vec![BatchIsAuthorizedItem::default(); 3],
        ..BatchIsAuthorizedRequest::default()
    };
    let list = || ListActionsRequest {
        principal: Some(uid("User::alice")),
        resource: Some(uid("Site::42")),
        ..ListActionsRequest::default()
    };
    let mut client = recorded.server.client();
    for status in [
        recorded.server.refuses(edit()).await,
        client.batch_is_authorized(batch()).await.unwrap_err(),
        client.list_actions(list()).await.unwrap_err(),
    ] {
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(status.message().contains("record"), "{status:?}");
    }
    // Bad input is still told as such.
    let status = recorded.server.refuses(ask("User::a", "no.such", "Site::1")).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    // There is room again.
    fs::remove_file(&path).unwrap();
    symlink(&disk, &path).unwrap();
    assert!(recorded.server.allows(edit()).await);
    client.batch_is_authorized(batch()).await.unwrap();
    client.list_actions(list()).await.unwrap();
    assert!(recorded.log.close(Duration::from_secs(20)).await);
    assert_eq!(records(&disk).len(), 5);
    let counts = recorded.log.counts().unwrap();
    assert_eq!((counts.written, counts.failed, counts.problem), (5, 5, None));
    // And once the log has ended nothing can be promised.
    assert_eq!(recorded.server.refuses(edit()).await.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_large_batch_waits_for_room_where_records_are_required() {
    let recorded = Recorded::start(|options| {
        options.mode = LogMode::Required;
        options.queue_bytes = 4_096;
    })
    .await;
    let batch = BatchIsAuthorizedRequest {
        principal: Some(uid("User::alice")),
        resource: Some(uid("Site::42")),
        action: Some(action("site.view")),
        items: vec![BatchIsAuthorizedItem::default(); 200],
        ..BatchIsAuthorizedRequest::default()
    };
    recorded.server.client().batch_is_authorized(batch).await.unwrap();
    assert_eq!(recorded.records().await.len(), 200);
}

#[tokio::test]
async fn the_file_is_opened_anew_when_it_was_moved_or_deleted() {
    let recorded = Recorded::start(|options| options.mode = LogMode::Required).await;
    let (path, moved) = (recorded.path(), recorded.folder.path().join("moved.jsonl"));
    recorded.server.allows(edit()).await;
    fs::rename(&path, &moved).unwrap();
    recorded.server.allows(edit()).await;
    assert_eq!((records(&moved).len(), records(&path).len()), (1, 1));
    fs::remove_file(&path).unwrap();
    recorded.server.allows(edit()).await;
    assert_eq!(records(&path).len(), 1);
    // As logrotate's `copytruncate` does.
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(0).unwrap();
    recorded.server.allows(edit()).await;
    assert_eq!(records(&path).len(), 1);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640 & mode);
    // The folder is gone for a while.
    let (folder, aside) = (recorded.folder.path(), recorded.folder.path().with_extension("aside"));
    fs::rename(folder, &aside).unwrap();
    assert_eq!(recorded.server.refuses(edit()).await.code(), Code::Unavailable);
    fs::rename(&aside, folder).unwrap();
    recorded.server.allows(edit()).await;
    assert_eq!(recorded.records().await.len(), 2);
}

#[tokio::test]
async fn files_are_rotated_by_size_and_the_oldest_deleted() {
    let recorded = Recorded::start(|options| {
        options.mode = LogMode::Required;
        options.rotate_bytes = 2_000;
        options.keep_files = 2;
    })
    .await;
    for _ in 0..30 {
        recorded.server.allows(edit()).await;
    }
    let newest = recorded.records().await;
    let older = |number| recorded.folder.path().join(format!("decisions.jsonl.{number}"));
    let all = [records(&older(2)), records(&older(1)), newest];
    assert!(!older(3).exists());
    for path in [older(2), older(1), recorded.path()] {
        let size = fs::metadata(path).unwrap().len();
        assert!((1..=2_000).contains(&size), "{size}");
    }
    let times: Vec<_> =
        all.iter().flatten().map(|record| record["time"].as_str().unwrap()).collect();
    assert!(times.len() > 4 && times.is_sorted(), "{times:?}");
}

#[tokio::test]
async fn a_link_stays_and_the_file_that_it_leads_to_is_rotated_where_it_is() {
    let disk = TempDir::new().unwrap();
    let recorded = Recorded::start(|options| {
        options.mode = LogMode::Required;
        options.rotate_bytes = 2_000;
        let link = options.file.as_ref().unwrap();
        symlink(disk.path().join("real.jsonl"), link).unwrap();
    })
    .await;
    for _ in 0..10 {
        recorded.server.allows(edit()).await;
    }
    assert_eq!(names(recorded.folder.path()), ["decisions.jsonl"]);
    assert!(fs::symlink_metadata(recorded.path()).unwrap().is_symlink());
    let files = names(disk.path());
    assert!(files.len() > 2 && files.contains(&"real.jsonl.2".to_owned()), "{files:?}");
    let count = files.iter().map(|name| records(&disk.path().join(name)).len()).sum::<usize>();
    assert_eq!(count, 10);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[tokio::test]
async fn older_files_that_cannot_be_moved_cost_no_record() {
    let recorded = Recorded::start(|options| {
        options.mode = LogMode::Required;
        options.rotate_bytes = 2_000;
        options.keep_files = 3;
        let older =
            |number: usize| format!("{}.{number}", options.file.as_ref().unwrap().display());
        fs::write(older(1), "1\n").unwrap();
        fs::write(older(2), "2\n").unwrap();
        // No file takes the place of a folder.
        fs::create_dir_all(older(3)).unwrap();
    })
    .await;
    for _ in 0..20 {
        recorded.server.allows(edit()).await;
    }
    let file = |name: &str| recorded.folder.path().join(name);
    for number in 1..3 {
        let older = fs::read_to_string(file(&format!("decisions.jsonl.{number}"))).unwrap();
        assert_eq!(older, format!("{number}\n"));
    }
    // The file itself made way once, and the one after it grows until it is tried again.
    let (moved, last) = (records(&file("decisions.jsonl.0")), records(&recorded.path()));
    assert!(!moved.is_empty(), "{moved:?}");
    assert_eq!(moved.len() + last.len(), 20);
}

#[tokio::test]
async fn half_a_line_of_a_killed_process_spoils_no_record() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log");
    fs::write(&path, "{\"record\": \"humb").unwrap();
    let recorded = Recorded::start(|options| options.file = Some(path.clone())).await;
    recorded.server.allows(edit()).await;
    assert!(recorded.log.close(Duration::from_secs(20)).await);
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    serde_json::from_str::<Json>(lines[1]).unwrap();
}

#[test]
fn a_log_that_cannot_be_opened_is_refused() {
    let folder = TempDir::new().unwrap();
    let options = |file: &Path| LogOptions {
        mode: LogMode::On,
        file: Some(file.to_owned()),
        ..LogOptions::default()
    };
    for path in [folder.path().to_owned(), folder.path().join("no/such/folder")] {
        let error = DecisionLog::open(options(&path)).unwrap_err();
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
    let path = folder.path().join("log");
    let first = DecisionLog::open(options(&path)).unwrap();
    let error = DecisionLog::open(options(&path)).unwrap_err();
    assert!(error.to_string().contains("another process"), "{error}");
    drop(first);
    let key = folder.path().join("key");
    fs::write(&key, "short\n").unwrap();
    let options = LogOptions {
        hash: vec!["principal.id".parse().unwrap()],
        hash_key_file: Some(key),
        ..options(&folder.path().join("other"))
    };
    assert!(matches!(DecisionLog::open(options), Err(OpenError::Key { .. })));
}

#[tokio::test]
async fn the_log_is_flushed_when_it_is_closed() {
    let recorded = Recorded::start(|_| ()).await;
    for _ in 0..500 {
        recorded.server.allows(edit()).await;
    }
    assert_eq!(recorded.records().await.len(), 500);
    until("nothing waits", async || recorded.log.counts().unwrap().queued_bytes == 0).await;
}
