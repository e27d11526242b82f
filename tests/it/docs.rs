//! Links of the documentation lead somewhere, and its example store is right.

use std::{fs, path::Path};

use crate::cli::run;

const PAGES: [&str; 4] = ["docs", "deploy", "policies", "examples"];

/// The pages for readers, relative to the repository.
fn pages() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    for folder in PAGES {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                pages.push(format!("{folder}/{name}"));
            }
            let of_folder = format!("{folder}/{name}/README.md");
            if root.join(&of_folder).exists() {
                pages.push(of_folder);
            }
        }
    }
    pages
}

/// The targets of links in Markdown.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
}

/// The anchors of headings, as forges make them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = words.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut dead, mut count) = (Vec::new(), 0);
    for page in pages() {
        let path = root.join(&page);
        let text = fs::read_to_string(&path).unwrap();
        for link in links(&text).filter(|link| !link.starts_with("http")) {
            count += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let there = match fs::read_to_string(&target) {
                Ok(text) if !anchor.is_empty() => anchors(&text).iter().any(|one| one == anchor),
                Ok(_) => true,
                Err(_) => target.exists(),
            };
            if !there {
                dead.push(format!("{page}: {link}"));
            }
        }
    }
    assert!(count > 50, "{count} links");
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn the_store_of_those_who_come_from_elsewhere_passes_its_tests() {
    let test = run(&["test", "docs/examples/coming-from/humbaba", "--mutants"]);
    assert_eq!(test.code, 0, "{}", test.out);
}

#[test]
fn the_page_of_settings_is_that_of_the_code() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/settings.md");
    let written = fs::read_to_string(page).unwrap_or_default();
    let printed = run(&["settings"]);
    assert_eq!(printed.code, 0, "{printed:?}");
    let advice = "docs/settings.md is out of date: cargo run -- settings > docs/settings.md";
    assert!(printed.out == written, "{advice}");
}

#[test]
fn every_flag_of_a_setting_is_in_the_page_of_settings() {
    let page = run(&["settings"]).out;
    let help = run(&["serve", "--help"]).out;
    let words = help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    let flags: std::collections::BTreeSet<_> =
        words.filter(|word| word.starts_with("--") && word.len() > 3).collect();
    // These are no settings.
    let others = ["--addr-file", "--config", "--help", "--print-config", "--set"];
    let missing: Vec<_> = flags
        .iter()
        .filter(|flag| !others.contains(flag) && !page.contains(&format!("`{flag}`")))
        .collect();
    assert!(flags.len() > 20 && missing.is_empty(), "{missing:?} of {flags:?}");
}
