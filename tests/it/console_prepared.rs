//! The matrix of what is in force is computed before anybody opens it, on a thread of its own.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{
    cli_sidecar::{Sidecar, until},
    support::http,
};

/// The name of the threads that compute for the console.
const THREAD: &str = "console";

/// Returns whether the process has a thread that computes for the console.
fn computes(sidecar: &Sidecar) -> bool {
    let tasks = Path::new("/proc").join(sidecar.child.id().to_string()).join("task");
    // A thread may end at any time.
    let names = fs::read_dir(tasks)
        .unwrap()
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.into_iter().any(|name| name.trim() == THREAD)
}

/// A table that takes a while to compute.
fn large_store(folder: &Path) {
    let roles: Vec<_> = (0..40).map(|role| format!("role{role}")).collect();
    let mut table = format!("action,{}\n", roles.join(","));
    for action in 0..60 {
        let cells =
            (0..roles.len()).map(|role| if (action + role) % 3 == 0 { "yes" } else { "no" });
        table += &format!("act.{action},{}\n", cells.collect::<Vec<_>>().join(","));
    }
    let (csv, store) = (folder.join("roles.csv"), folder.join("large"));
    fs::write(&csv, table).unwrap();
    let (csv, store) = (csv.to_str().unwrap(), store.to_str().unwrap());
    let ended = crate::cli::run(&["import", "csv", csv, store]);
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_matrix_is_computed_after_the_start_and_after_a_reload_before_anybody_asks() {
    let folder = TempDir::new().unwrap();
    large_store(folder.path());
    let sidecar = Sidecar::start(folder.path(), &["--set", "reload.settle_ms=10"]);
    for text in ["// one\n", "// two\n"] {
        until("the matrix is computed", || computes(&sidecar).then_some(()));
        until("the matrix is there", || (!computes(&sidecar)).then_some(()));
        let web = sidecar.addresses["web"].as_str().unwrap().parse().unwrap();
        let page = http::get(web, "/matrix").await;
        assert!(page.body.contains("<table class=\"matrix\">"), "{}", page.body);
        // The page is made of what was computed.
        assert!(!computes(&sidecar));
        fs::write(folder.path().join("large").join("more.cedar"), text).unwrap();
    }
}
