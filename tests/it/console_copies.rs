//! Commands that the view Try gives to copy run as written, and decide as the page says.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::{
    cli::{policies, run},
    cli_sidecar::Sidecar,
    support::{http, skip::skip},
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Questions of the view, and whether they are allowed.
const QUESTIONS: [(&str, bool); 4] = [
    ("principal_id=alice&resource_id=42&action=edit&role=editor", true),
    ("principal_id=alice&resource_id=42&action=edit&role=viewer", false),
    ("principal_id=alice&resource_id=42&action=edit&role=editor&c.reason=audit", false),
    // An id that a shell and Python could take for something else.
    ("principal_id=al%27i%22c%24e%60%5C%20x&resource_id=42&action=view&role=owner", true),
];

/// The texts to copy, in the order of the page: the command, perhaps a file, curl, Python.
fn copies(page: &str) -> Vec<String> {
    let blocks = page.split("data-copy>").skip(1);
    let blocks = blocks.map(|block| block.split_once("</pre>").unwrap().0);
    blocks.map(unescape).collect()
}

fn unescape(html: &str) -> String {
    let parts = html.split('&').collect::<Vec<_>>();
    let mut text = parts[0].to_owned();
    for part in &parts[1..] {
        let (entity, rest) = part.split_once(';').unwrap();
        let character = match entity.strip_prefix('#') {
            Some(number) => char::from_u32(number.parse().unwrap()).unwrap(),
            None => match entity {
                "amp" => '&',
                "lt" => '<',
                "gt" => '>',
                "quot" => '"',
                other => panic!("&{other};"),
            },
        };
        text.push(character);
        text.push_str(rest);
    }
    text
}

/// Runs a line in a shell whose path begins with the folder of the binary.
fn shell(line: &str, folder: &Path) -> String {
    let binary = assert_cmd::cargo::cargo_bin!("humbaba").parent().unwrap().to_owned();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", binary.display()))
        .env("AUTHZEN_TOKEN", TOKEN)
        .env_remove("http_proxy")
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    format!("{}{err}", String::from_utf8_lossy(&output.stdout))
}

async fn each_copy_decides_as_the_page_does(more: &[&str], headers: &str) {
    for program in ["curl", "python3"] {
        if !run_quietly(program) {
            skip(&format!("there is no `{program}`"));
            return;
        }
    }
    let folder = policies(&["guard"]);
    let toml = "[authzen]\nroles = \"assignments\"\n";
    fs::write(folder.path().join("guard/store.toml"), toml).unwrap();
    let sidecar = Sidecar::start(folder.path(), more);
    let web = sidecar.addresses["web"].as_str().unwrap().parse().unwrap();
    let work = TempDir::new().unwrap();
    std::os::unix::fs::symlink(folder.path(), work.path().join("policies")).unwrap();
    for (question, is_allowed) in QUESTIONS {
        let path = format!("/try?store=guard&ask=1&{question}");
        let page = http::get_with(web, &path, headers).await;
        let title = if is_allowed { "<h2>Allow</h2>" } else { "<h2>Deny</h2>" };
        assert!(page.body.contains(title), "{question}: {}", page.body);
        let [check, curl, python] = copies(&page.body).try_into().unwrap();
        let said = shell(&check, work.path());
        let word = if is_allowed { "allow" } else { "deny" };
        assert!(said.to_lowercase().starts_with(word), "{check}\n{said}");
        let said = shell(&curl, work.path());
        assert_eq!(said, format!("{{\"decision\":{is_allowed}}}"), "{curl}");
        fs::write(work.path().join("copy.py"), &python).unwrap();
        let said = shell("python3 copy.py", work.path());
        let word = if is_allowed { "True\n" } else { "False\n" };
        assert_eq!(said, word, "{python}");
    }
}

fn run_quietly(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_copy_of_a_question_decides_as_the_page_does() {
    assert_eq!(run(&["--version"]).code, 0);
    each_copy_decides_as_the_page_does(&[], "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_token_is_asked_for_copies_take_it_from_the_environment() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, TOKEN).unwrap();
    let token = ["--token-file", file.to_str().unwrap()];
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    each_copy_decides_as_the_page_does(&token, &bearer).await;
}
