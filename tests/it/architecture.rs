//! Dependencies point one way: each module sees only those above it in `src/lib.rs`, no two files use
//! each other, and the core reaches neither the network, a clock nor the file system.
//!
//! A file uses another by the paths that it names, and by the methods that a type calls on itself where
//! another file gives them to it. Methods of other values are not seen: a call of one names no type.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::LazyLock,
};

use self::sources::Sources;

mod planted;
mod reader;
mod sources;

/// The crates and modules that the core does not reach. `cargo check --no-default-features` holds it to that for crates.
const OUTSIDE: &[&str] = &[
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
    "tokio",
    "tonic",
    "axum",
    "hyper",
    "tower",
    "notify",
    "tracing",
    "opentelemetry",
];

static THIS_CRATE: LazyLock<Sources> = LazyLock::new(Sources::of_this_crate);

#[test]
fn each_module_sees_only_those_above_it() {
    assert_eq!(against_the_order(&THIS_CRATE), [""; 0]);
}

#[test]
fn files_do_not_use_each_other_in_a_circle() {
    let circles = circles(&THIS_CRATE);
    let uses: String = circles.iter().map(|circle| inside(&THIS_CRATE, circle)).collect();
    assert!(circles.is_empty(), "{} circles:\n{uses}", circles.len());
}

#[test]
fn modules_and_folders_do_not_use_each_other_in_a_circle() {
    assert_eq!(circles_of_folders(&THIS_CRATE), Vec::<Vec<String>>::new());
}

#[test]
fn the_core_reaches_no_network_clock_or_file() {
    assert_eq!(outside_the_core(&THIS_CRATE), [""; 0]);
}

#[test]
fn no_path_ends_in_a_star() {
    assert_eq!(stars(&THIS_CRATE), [""; 0]);
}

#[test]
fn the_map_names_the_modules_in_their_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    assert_eq!(against_the_map(&THIS_CRATE, &page), [""; 0]);
    let code = page.split('`').skip(1).step_by(2);
    let (there, gone): (Vec<_>, Vec<_>) =
        code.filter(|code| code.starts_with("src/")).partition(|path| root.join(path).exists());
    assert_eq!(gone, [""; 0], "the page names files that are not there");
    assert!(there.len() > 30, "the page's files were found");
}

/// The paths that lead to a module below the file's own.
fn against_the_order(sources: &Sources) -> Vec<String> {
    let place = |module: &str| sources.modules.iter().position(|other| other.name == module);
    let mut found = Vec::new();
    for (file, names) in &sources.files {
        let Some(own) = sources::module_of(file).get(1).cloned() else { continue };
        let Some(own_place) = place(&own) else {
            found.push(format!("{file}: `{own}` has no place in lib.rs"));
            continue;
        };
        for path in names.used.iter().chain(&names.passed_on) {
            let [root, module, ..] = path.as_slice() else { continue };
            if root == "crate" && place(module).is_some_and(|place| place > own_place) {
                found.push(format!("{file}: {}", path.join("::")));
            }
        }
    }
    found
}

/// The paths by which the core reaches outwards. The core is what needs no feature.
fn outside_the_core(sources: &Sources) -> Vec<String> {
    let is_core = |file: &str| {
        let module = sources::module_of(file).get(1).cloned();
        sources.modules.iter().any(|other| other.is_core && Some(&other.name) == module.as_ref())
    };
    let reaches = |path: &str, outside: &str| {
        let rest = path.strip_prefix(outside);
        let all_of = path.strip_suffix('*').is_some_and(|all| outside.starts_with(all));
        all_of || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let mut found = Vec::new();
    for (file, names) in sources.files.iter().filter(|(file, _)| is_core(file)) {
        for path in names.used.iter().chain(&names.passed_on).map(|path| path.join("::")) {
            if OUTSIDE.iter().any(|outside| reaches(&path, outside)) {
                found.push(format!("{file}: {path}"));
            }
        }
    }
    found
}

/// The paths of this crate that bring in everything, so that no reader sees where a name is from.
fn stars(sources: &Sources) -> Vec<String> {
    let mut found = Vec::new();
    for (file, names) in &sources.files {
        for path in names.used.iter().chain(&names.passed_on) {
            if let [root, .., star] = path.as_slice()
                && root == "crate"
                && star == "*"
            {
                found.push(format!("{file}: {}", path.join("::")));
            }
        }
    }
    found
}

/// The differences between the order of the modules and what the page says of it.
fn against_the_map(sources: &Sources, page: &str) -> Vec<String> {
    let map = page.split("\n## ").find_map(|part| part.strip_prefix("The map\n"));
    let Some(map) = map else { return vec!["there is no map".to_owned()] };
    let rows = map.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let (rows, order): (Vec<_>, Vec<_>) =
        (rows.collect(), sources.modules.iter().map(|module| module.name.as_str()).collect());
    let core: Vec<_> = sources.modules.iter().filter(|module| module.is_core).collect();
    let mut found = Vec::new();
    if rows != order {
        found.push(format!("the map has {rows:?}, lib.rs {order:?}"));
    }
    if let [first, .., last] = &core[..] {
        let says = format!("`{}` to `{}` are the **core**", first.name, last.name);
        found.extend((!map.contains(&says)).then(|| format!("the page does not say: {says}")));
    }
    found
}

/// The groups of files that use each other. A file that only re-exports another's item does not use it.
fn circles(sources: &Sources) -> Vec<Vec<String>> {
    let uses =
        |file: &String| (file.clone(), sources.uses(file).into_keys().map(str::to_owned).collect());
    circles_in(&sources.files.keys().map(uses).collect())
}

/// The groups of modules, and of the folders and files of one folder, that use each other.
fn circles_of_folders(sources: &Sources) -> Vec<Vec<String>> {
    let mut folders: BTreeMap<&str, Graph> = BTreeMap::new();
    for file in sources.files.keys() {
        for other in sources.uses(file).into_keys() {
            // Both are below the folders that their paths have in common.
            let shared = file.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
            let parent = file[..shared].rfind('/').map_or(0, |slash| slash + 1);
            let below = |path: &str| {
                let end = path[parent..].find('/').map_or(path.len(), |slash| parent + slash);
                path[..end].trim_end_matches(".rs").to_owned()
            };
            let (from, to) = (below(file), below(other));
            if from != to {
                let graph = folders.entry(&file[..parent]).or_default();
                graph.entry(to.clone()).or_default();
                graph.entry(from).or_default().insert(to);
            }
        }
    }
    folders.values().flat_map(circles_in).collect()
}

/// The uses of each file by others.
type Graph = BTreeMap<String, BTreeSet<String>>;

fn circles_in(graph: &Graph) -> Vec<Vec<String>> {
    let reached = |start: &str| {
        let mut reached = BTreeSet::new();
        let mut pending: Vec<&String> = graph[start].iter().collect();
        while let Some(one) = pending.pop() {
            if reached.insert(one) {
                pending.extend(&graph[one]);
            }
        }
        reached
    };
    let reaches: BTreeMap<&String, BTreeSet<&String>> =
        graph.keys().map(|one| (one, reached(one))).collect();
    let mut circles = BTreeSet::new();
    for (one, reached) in &reaches {
        if reached.contains(one) {
            let back = reached.iter().filter(|other| reaches[**other].contains(one));
            circles.insert(back.map(|other| (*other).clone()).collect::<Vec<_>>());
        }
    }
    circles.into_iter().collect()
}

/// Lists the uses between the files of a circle, a line each.
fn inside(sources: &Sources, circle: &[String]) -> String {
    let mut lines = format!("{} files\n", circle.len());
    for file in circle {
        for (other, paths) in sources.uses(file) {
            if circle.iter().any(|file| file == other) {
                let paths: Vec<_> = paths.iter().map(|path| path.join("::")).collect();
                lines.push_str(&format!("  {file} uses {other}: {}\n", paths.join(", ")));
            }
        }
    }
    lines
}
