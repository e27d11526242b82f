//! The console in a real Chromium: `tests/browser/console.mjs` says what is looked at.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use humbaba::audit::LogOptions;
use tempfile::TempDir;

use crate::support::{
    ask,
    ask::Asking as _,
    console::{ConsoleServer, copy_shipped},
    skip::skip,
};

const SCHEMA: &str = r#"
namespace Shop {
    @role entity Role;
    entity User in [Role];
    entity Shop = { owner: Role, clerk: Role };
    action "order.view" appliesTo { principal: User, resource: Shop };
    action "order.refund" appliesTo { principal: User, resource: Shop, context: { amount: Long } };
    action "shop.close" appliesTo { principal: User, resource: Shop };
}
"#;

const POLICIES: &str = r#"// Who handles orders.

@id("view-orders")
@doc("Owners and clerks see the orders of their shop.")
permit (principal, action == Shop::Action::"order.view", resource is Shop::Shop)
when { principal in [resource.owner, resource.clerk] };

@id("refund")
@doc("An owner refunds any amount.")
permit (principal, action == Shop::Action::"order.refund", resource is Shop::Shop)
when { principal in resource.owner };

@id("refund-small")
@doc("A clerk refunds small amounts.")
@advice("Ask an owner of the shop.")
permit (principal, action == Shop::Action::"order.refund", resource is Shop::Shop)
when { principal in resource.clerk && context.amount <= 100 };

@id("close")
permit (principal, action == Shop::Action::"shop.close", resource is Shop::Shop)
when { principal in resource.owner };
"#;

/// Chromium, by the name that a distribution gives it.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser"];
    let files = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    files.into_iter().find(|file| file.is_file())
}

/// Installs what the script needs beside it, as `package-lock.json` says.
fn install(folder: &Path) -> Result<(), String> {
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
    let ended = npm.output().map_err(|error| format!("npm cannot be run: {error}"))?;
    match ended.status.success() {
        true => Ok(()),
        false => Err(format!("npm ci failed: {}", String::from_utf8_lossy(&ended.stderr))),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_view_is_read_and_driven_in_a_browser_without_a_finding() {
    let Some(chromium) = chromium() else { return skip("there is no chromium") };
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    if let Err(why) = install(&scripts) {
        return skip(&why);
    }
    let folder = TempDir::new().unwrap();
    copy_shipped("hitkeep", folder.path());
    fs::create_dir(folder.path().join("shop")).unwrap();
    fs::write(folder.path().join("shop/schema.cedarschema"), SCHEMA).unwrap();
    fs::write(folder.path().join("shop/orders.cedar"), POLICIES).unwrap();
    let log = LogOptions { recent: 500, recent_readers: 10, ..LogOptions::default() };
    let console = ConsoleServer::of_folder(folder, log).await;

    // Something happens all the time.
    let mut client = console.server.client();
    let asking = tokio::spawn(async move {
        for number in 0_u32.. {
            let user = ["User::alice", "User::bob", "User::carol"][number as usize % 3];
            let action = ["order.view", "shop.close"][number as usize % 2];
            let question = ask(user, action, "Shop::42").of_store("shop");
            let question =
                if number % 3 == 0 { question.role("owner", "Shop::42") } else { question };
            let _ = client.is_authorized(question).await;
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    });
    let mut node = tokio::process::Command::new("node");
    node.arg(scripts.join("console.mjs"))
        .env("CONSOLE", format!("http://{}", console.address))
        .env("POLICIES", console.folder.path())
        .env("CHROMIUM", chromium)
        .kill_on_drop(true);
    let ended = tokio::time::timeout(Duration::from_secs(600), node.output()).await;
    asking.abort();
    let ended = ended.expect("the browser ends in time").expect("node is there");
    let printed = [ended.stdout, ended.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(ended.status.success(), "{}", printed.concat());
}
