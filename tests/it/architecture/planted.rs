//! Violations that are planted in sources made up for it, and found.

use std::collections::BTreeMap;

use super::{
    against_the_map, against_the_order, circles, circles_of_folders, outside_the_core,
    sources::Sources, stars,
};

const ROOT: &str = r#"
    pub mod model;
    pub mod store;
    #[cfg(feature = "server")]
    pub mod net;
    #[cfg(feature = "server")]
    pub mod grpc;
"#;

fn plant(path: &str, text: &str) -> Sources {
    let plain = ["model/mod.rs", "grpc/mod.rs", "grpc/a.rs", "grpc/b.rs", "store/mod.rs"];
    let mut files: BTreeMap<_, _> =
        plain.iter().map(|path| ((*path).to_owned(), String::new())).collect();
    files.insert("lib.rs".to_owned(), ROOT.to_owned());
    files.insert(path.to_owned(), text.to_owned());
    Sources::new(&files)
}

#[test]
fn paths_against_the_order_are_found() {
    for text in [
        "use crate::grpc::X;",
        "pub use crate::grpc::X;",
        "use crate::{grpc::{D, b::C}, model::A};",
        "use crate::{grpc as other, self as root};",
        "use crate::{self as root}; fn f() { root::grpc::run() }",
        "fn f() { crate::grpc::a::run(); }",
        "fn f(x: &crate::grpc::X) {}",
        "impl super::grpc::X for Y {}",
        "fn f() { log!(crate::grpc::X) }",
        "fn f() { vec![(1, super::grpc::X)] }",
        "fn f() { log!(0..super::grpc::X) }",
        "macro_rules! f { () => { $crate::grpc::X } }",
        "#[derive(Read, crate::grpc::X)] struct Y;",
        "struct Y { #[serde(with = \"crate::grpc\")] x: X }",
        "mod inner { use super::super::grpc::X; }",
        "mod inner { fn f() { log!(super::super::grpc::X) } }",
    ] {
        assert_ne!(against_the_order(&plant("store/mod.rs", text)), [""; 0], "{text}");
    }
    for text in [
        "use crate::model::{X, Y};",
        "#[cfg(test)] mod tests { use crate::grpc::X; }",
        "#[cfg(test)] fn test() { crate::grpc::run() }",
        "/// See [`crate::grpc::X`].\nuse std::grpc::X;",
        "fn f() { log!(\"crate::grpc::X\") }",
    ] {
        assert_eq!(against_the_order(&plant("store/mod.rs", text)), [""; 0], "{text}");
    }
    assert_ne!(against_the_order(&plant("other.rs", "")), [""; 0], "it is not in lib.rs");
}

#[test]
fn what_the_core_reaches_is_found() {
    for text in [
        "use std::{collections::HashMap, fs::{self, File}};",
        "pub use std::fs::File;",
        "pub(crate) use tokio::sync::Mutex as Lock;",
        "use std::time::{Duration, SystemTime};",
        "use std::time; fn f() { time::Instant::now() }",
        "use std::time::*;",
        "use std as s; fn f() { s::fs::read(path) }",
        "extern crate tokio;",
        "fn f() { std::thread::sleep(d) }",
        "fn f() { format!(\"{}\", std::env::var(\"X\")) }",
        "fn f() { vec![tokio::spawn(x)] }",
        "fn f() { tokio::select! {} }",
        "#[tracing::instrument] fn f() {}",
        "use tokio::sync::Mutex;",
        "use tonic as rpc;",
    ] {
        assert_ne!(outside_the_core(&plant("store/mod.rs", text)), [""; 0], "{text}");
    }
    for text in ["use std::time::Duration;", "fn f() { log!(x.fs::<A>(), self.tokio) }"] {
        assert_eq!(outside_the_core(&plant("store/mod.rs", text)), [""; 0], "{text}");
    }
    assert_eq!(outside_the_core(&plant("grpc/mod.rs", "use std::fs;")), [""; 0]);
}

#[test]
fn stars_are_found() {
    for text in ["use super::*;", "pub use a::*;", "use crate::store::{self, *};"] {
        let text = format!("mod a; {text}");
        assert_ne!(stars(&plant("grpc/mod.rs", &text)), [""; 0], "{text}");
    }
    assert_eq!(stars(&plant("grpc/mod.rs", "use rayon::prelude::*;")), [""; 0]);
    assert_eq!(stars(&plant("grpc/mod.rs", "#[cfg(test)] mod t { use super::*; }")), [""; 0]);
}

#[test]
fn a_map_that_differs_is_found() {
    let sources = plant("grpc/mod.rs", "");
    let page = |rows: [&str; 4], core: &str| {
        let rows = rows.map(|row| format!("| `{row}` | with `more` |\n")).concat();
        format!("# Page\n\n## The map\n\n| module |\n|---|\n{rows}\n{core}\n\n## Next\n\n| `x` |\n")
    };
    let core = "`model` to `store` are the **core**.";
    let order = ["model", "store", "net", "grpc"];
    assert_eq!(against_the_map(&sources, &page(order, core)), [""; 0]);
    assert_ne!(against_the_map(&sources, &page(["model", "store", "grpc", "net"], core)), [""; 0]);
    assert_ne!(against_the_map(&sources, &page(["model", "store", "net", "x"], core)), [""; 0]);
    let other = "`model` to `net` are the **core**.";
    assert_ne!(against_the_map(&sources, &page(order, other)), [""; 0]);
    assert_ne!(against_the_map(&sources, "# Page\n"), [""; 0]);
}

/// The circles of a folder `grpc` with these files; `mod.rs` only re-exports.
fn circles_of(a: &str, b: &str) -> Vec<Vec<String>> {
    circles_below("mod a; mod b; pub use b::{B, Other as Renamed}; pub(crate) use a::run;", a, b)
}

fn circles_below(parent: &str, a: &str, b: &str) -> Vec<Vec<String>> {
    let files = [
        ("lib.rs", ROOT),
        ("grpc/mod.rs", parent),
        ("grpc/a.rs", a),
        ("grpc/b.rs", b),
        ("net.rs", "use crate::grpc::Renamed;"),
    ];
    circles(&Sources::new(&files.map(|(path, text)| (path.into(), text.into())).into()))
}

const NONE: Vec<Vec<String>> = Vec::new();

#[test]
fn circles_of_two_files_are_found() {
    let found = vec![vec!["grpc/a.rs".to_owned(), "grpc/b.rs".to_owned()]];
    assert_eq!(circles_of("use super::b::B;", "use super::a::A;"), found);
    assert_eq!(circles_of("use super::B;", "use crate::grpc::a::A;"), found, "re-exported");
    assert_eq!(circles_of("use super::Renamed;", "fn f() { super::a::run() }"), found);
    assert_eq!(circles_of("use crate::grpc; fn f(x: grpc::B) {}", "use super::run;"), found);
    assert_eq!(circles_of("use super::b; fn f(x: b::B) {}", "use super::a::A;"), found);
    assert_eq!(circles_of("fn f() { vec![super::b::B] }", "fn f() { log!(super::run()) }"), found);
    assert_eq!(circles_of("", "use crate::net::X;").len(), 1, "through another module");
    assert_eq!(circles_of("use super::b::B;", "use std::run;"), NONE);
    assert_eq!(circles_of("use super::b::B;", "use super::b::X;"), NONE, "in one file");
    assert_eq!(
        circles_of("use super::b::B;", "#[cfg(test)] mod t { use super::super::run; }"),
        NONE
    );
}

#[test]
fn circles_of_a_folder_and_its_files_are_found() {
    let found = vec![vec!["grpc/a.rs".to_owned(), "grpc/mod.rs".to_owned()]];
    let uses_own = "use super::Own;";
    for parent in [
        "mod a; struct Own(a::A);",
        "mod a; use a::A; struct Own(A);",
        "mod a; use self::a::A; struct Own(A);",
        "mod a; pub use a::A; pub struct Own(A);",
        "mod a; pub use a::A as Public; pub struct Own; fn f() { log!(Public::new()) }",
        "mod a; struct Own; fn f() { a::run() }",
        "mod a; struct Own; fn f() { log!(a::run()) }",
        "mod a; use a as other; struct Own; fn f() { other::run() }",
        "mod a; struct Own; pub mod inner { pub use super::a::A; }",
    ] {
        assert_eq!(circles_below(parent, uses_own, ""), found, "{parent}");
    }
    assert_eq!(
        circles_below("mod a; struct Own; fn f() { a::run() }", "fn f() { super::own() }", ""),
        found
    );
    for (parent, a) in [
        ("mod a; pub use a::A; pub struct Own;", uses_own),
        ("mod a; pub use a::A; struct Own; fn f(a: Own) { a.run() }", uses_own),
        ("mod a; pub use a::A; struct Own(A);", "use super::b::B;"),
        ("mod a; mod b; pub use a::A; pub use b::B; fn f() { a::run() }", "use super::B;"),
    ] {
        assert_eq!(circles_below(parent, a, ""), NONE, "{parent} {a}");
    }
}

#[test]
fn circles_by_methods_of_a_type_are_found() {
    let found = vec![vec!["grpc/a.rs".to_owned(), "grpc/b.rs".to_owned()]];
    let of_b = "use super::A; impl A { pub fn other(&self) {} }";
    for a in [
        "pub struct A; impl A { fn f(&self) { self.other() } }",
        "pub struct A; impl A { fn f(&self) { Self::other(self) } }",
        "pub struct A; impl A { fn f(&self) { log!(1, self.other()) } }",
        "pub struct A; impl A { fn f(&self) { log!(Self::other(self)) } }",
        "pub struct A; impl Clone for A { fn clone(&self) -> Self { self.other() } }",
        "pub struct A; fn f(a: &A) { crate::grpc::A::other(a) }",
    ] {
        assert_eq!(circles_below("mod a; mod b; pub use a::A;", a, of_b), found, "{a}");
    }
    for a in [
        "pub struct A; impl A { fn f(&self) { self.own() } fn own(&self) {} }",
        "pub struct A; struct Z; impl Z { fn f(&self) { self.other() } }",
        "pub struct A; #[cfg(test)] mod t { impl super::A { fn f(&self) { self.other() } } }",
    ] {
        assert_eq!(circles_below("mod a; mod b; pub use a::A;", a, of_b), NONE, "{a}");
    }
}

#[test]
fn circles_of_folders_are_found() {
    let circles_of = |a: &str, b: &str| {
        let files = [
            ("lib.rs", ROOT),
            ("grpc/mod.rs", "mod x; mod y;"),
            ("grpc/x/mod.rs", "pub mod a; pub mod other;"),
            ("grpc/x/a.rs", a),
            ("grpc/x/other.rs", ""),
            ("grpc/y.rs", "pub mod b;"),
            ("grpc/y/b.rs", b),
            ("net.rs", "use crate::store::S;"),
            ("store/mod.rs", ""),
        ];
        let files = files.map(|(path, text)| (path.into(), text.into())).into();
        let sources = Sources::new(&files);
        assert_eq!(circles(&sources), NONE);
        circles_of_folders(&sources)
    };
    let found = vec![vec!["grpc/x".to_owned(), "grpc/y".to_owned()]];
    assert_eq!(circles_of("use crate::grpc::y::b::B;", "use super::super::x::other::O;"), found);
    assert_eq!(circles_of("use crate::grpc::y::b::B;", "use super::C;"), NONE);
    assert_eq!(circles_of("use super::other::O;", "use crate::grpc::x::a::A;"), NONE);
}
