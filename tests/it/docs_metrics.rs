//! The reference of metrics in `docs/observability.md`.

use std::{collections::BTreeSet, fs, path::Path};

use tempfile::TempDir;

use crate::{cli::policies, cli_sidecar::Sidecar, observe_http::http, support::pki::Authority};

/// The names in the first column of the table of metrics.
fn documented() -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/observability.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, table) = page.split_once("\n## Metrics\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    rows.flat_map(|cell| cell.split(['`', ',', ' ']))
        .filter(|name| name.contains('_'))
        .map(ToOwned::to_owned)
        .collect()
}

/// The names of the metrics of a process that does everything that has some.
fn exported() -> BTreeSet<String> {
    let (folder, rows, files) =
        (policies(&["one"]), TempDir::new().unwrap(), TempDir::new().unwrap());
    Authority::new("servers").server(2088).write(files.path());
    let head = "principal_type,principal_id,role,scope_type,scope_id\n";
    fs::write(rows.path().join("x.assignments.csv"), head).unwrap();
    let path = |name: &str| files.path().join(name).to_str().unwrap().to_owned();
    let source = format!("one=files:{}", rows.path().display());
    let more = [
        "--directory",
        &source,
        "--tls-cert",
        &path("tls.crt"),
        "--tls-key",
        &path("tls.key"),
        "--decision-log",
        "--decision-log-file",
        &path("decisions"),
        "--shadow",
        folder.path().to_str().unwrap(),
    ];
    let sidecar = Sidecar::start(folder.path(), &more);
    assert_eq!(sidecar.check(&sidecar.tcp(), &["--action", "view"]).code, 2);
    assert_eq!(sidecar.check(&sidecar.tcp(), &["--action", "vieww"]).code, 64);
    let (status, body) = http(&sidecar, "GET", "/metrics", "", "");
    assert_eq!(status, 200);
    let types = body.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect()
}

#[test]
fn every_metric_is_in_the_reference() {
    let (documented, exported) = (documented(), exported());
    assert!(exported.len() > 30, "{exported:?}");
    let missing: Vec<_> = exported.difference(&documented).collect();
    assert!(missing.is_empty(), "{missing:?} of {exported:?}");
}

#[test]
fn every_row_of_the_reference_is_a_metric() {
    let mut sources = String::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut sources);
    let documented = documented();
    assert!(documented.len() > 40, "{documented:?}");
    // Those of what never happened are not exported.
    let unknown: Vec<_> =
        documented.iter().filter(|name| !sources.contains(&format!("\"{name}\""))).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

fn read(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}
