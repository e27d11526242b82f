//! The pages on threats and on hostile peers name tests, and they are there.

use std::{fs, path::Path};

#[test]
fn every_test_that_the_threat_model_names_is_there() {
    check("docs/threat-model.md");
}

#[test]
fn every_test_that_the_page_on_hostile_peers_names_is_there() {
    check("docs/hostility.md");
}

fn check(page: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join(page)).unwrap();
    let is_name = |word: &&str| {
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c);
        word.contains("::") && !word.starts_with(':') && word.chars().all(is_part)
    };
    let mut found = 0;
    for name in page.split('`').filter(is_name).filter(|name| *name != "module::test") {
        let (module, test) = name.rsplit_once("::").unwrap();
        let path = module.strip_suffix("::tests").unwrap_or(module).replace("::", "/");
        let files = ["tests/it", "src"].map(|folder| root.join(folder).join(format!("{path}.rs")));
        let text = files.iter().find_map(|file| fs::read_to_string(file).ok());
        let text = text.unwrap_or_else(|| panic!("no file of {name}"));
        assert!(text.contains(&format!("fn {test}(")), "no test {name}");
        found += 1;
    }
    assert!(found > 30, "the names were found: {found}");
}
