//! The console over HTTP: each view, its headers, and that nothing anybody wrote becomes markup.

use std::{net::SocketAddr, time::Duration};

use humbaba::{
    audit::{LogOptions, RecordField},
    http::WebOptions,
    net::BearerTokens,
    proto::IsAuthorizedRequest,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::support::{
    ask,
    ask::Asking as _,
    console::{ConsoleServer, copy_shipped},
    wait::until,
};

const SCHEMA: &str = r#"
namespace Acme {
    @role entity Role;
    entity User in [Role] = { name?: String };
    entity Plan enum ["free", "paid"];
    entity Site = { owner: Role, viewer: Role, locked?: Bool, plan?: Plan };
    action "site.view" appliesTo { principal: User, resource: Site };
    action "site.delete" appliesTo { principal: User, resource: Site, context: { reason: String } };
}
"#;

const POLICIES: &str = r#"
@id("view")
@doc("Owners and viewers look.")
permit (principal, action == Acme::Action::"site.view", resource is Acme::Site)
when { principal in [resource.owner, resource.viewer] };

@id("delete")
permit (principal, action == Acme::Action::"site.delete", resource is Acme::Site)
when { principal in resource.owner && context.reason == "audit" };
"#;

/// The actions as the matrix has them, with places where a line may break.
const VIEW: &str = "<code>site.<wbr>view<wbr></code>";
const DELETE: &str = "<code>site.<wbr>delete<wbr></code>";

/// A text that would become an element, an attribute or a script where it is not escaped.
const EVIL: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>";

async fn acme() -> ConsoleServer {
    ConsoleServer::start(&[(
        "acme",
        &[("schema.cedarschema", SCHEMA), ("policies.cedar", POLICIES)],
    )])
    .await
}

fn question() -> IsAuthorizedRequest {
    ask("User::alice", "site.view", "Site::1").role("viewer", "Site::1")
}

#[tokio::test]
async fn every_view_has_the_headers_that_keep_everything_else_out() {
    let console = acme().await;
    let paths = [
        "/",
        "/matrix",
        "/policies",
        "/try",
        "/changes",
        "/decisions",
        "/health",
        "/console.css",
        "/console.js",
        "/matrix?store=none",
        "/policies?store=acme&policy=none",
    ];
    for path in paths {
        let answer = console.get(path).await;
        let expected = if path.contains("none") { 404 } else { 200 };
        assert_eq!(answer.status, expected, "{path}");
        for header in [
            "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'; \
             img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
        ] {
            assert!(answer.head.contains(header), "{path}: {}", answer.head);
        }
        let is_page = !path.starts_with("/console.");
        assert_eq!(answer.head.contains("cache-control: no-store"), is_page, "{path}");
        if is_page {
            let page = &answer.body;
            assert!(!page.contains("style=") && !page.contains("<style"), "{path}");
            assert!(!page.contains("http://") && !page.contains("https://"), "{path}");
            assert_eq!(page.matches("<script").count(), 1, "{path}");
            assert!(page.contains("<html lang=\"en\">") && page.contains("<h1>"), "{path}");
        }
    }
}

#[tokio::test]
async fn the_matrix_shows_answers_conditions_and_their_policies_and_is_filtered_without_a_script() {
    let console = acme().await;
    let page = console.get("/matrix?store=acme").await.body;
    assert!(page.contains(VIEW) && page.contains(DELETE));
    assert!(page.contains("context.reason == &#34;audit&#34;"), "{page}");
    assert!(page.contains("href=\"/policies?store=acme&amp;policy=view#policy\""), "{page}");
    let cells = |page: &str, word: &str| page.matches(&format!("<td class=\"{word}\">")).count();
    // Owner and viewer, to view and to delete.
    assert_eq!((cells(&page, "yes"), cells(&page, "if"), cells(&page, "no")), (2, 1, 1), "{page}");
    let filtered = console.get("/matrix?store=acme&action=DELETE&role=Site+owner").await.body;
    assert!(!filtered.contains(VIEW), "{filtered}");
    let conditional = console.get("/matrix?store=acme&show=cond").await.body;
    assert!(!conditional.contains(VIEW), "{conditional}");
    let none = console.get("/matrix?store=acme&action=nothing").await.body;
    assert!(none.contains("No row fits the filter."));
}

#[tokio::test]
async fn a_broken_file_is_shown_with_its_caret_and_a_mended_one_is_not() {
    let console = acme().await;
    assert!(console.get("/").await.body.contains("in force"));
    let broken = POLICIES.replace("resource.owner &&", "resource.onwer &&");
    console.write("acme", "policies.cedar", &broken);
    let page = console.shows("/", "acme was refused").await;
    assert!(page.contains("acme/policies.cedar:9"), "{page}");
    assert!(page.contains('╰') && page.contains("last good revision in force"), "{page}");
    let text = console.get("/policies?store=acme&refused=1").await.body;
    assert!(text.contains("onwer") && text.contains("class=\"mark bad\""), "{text}");
    // The policies that decide are shown elsewhere.
    let policies = console.get("/policies?store=acme&file=policies.cedar").await.body;
    assert!(!policies.contains("onwer"), "{policies}");
    console.write("acme", "policies.cedar", POLICIES);
    until("it is mended", async || !console.get("/").await.body.contains("was refused")).await;
}

#[tokio::test]
async fn a_store_that_was_never_valid_says_so_and_has_no_other_page() {
    let files: &[(&str, &str)] = &[("schema.cedarschema", "entity User;"), ("a.cedar", "permit (")];
    let console = ConsoleServer::start(&[("bad", files)]).await;
    let page = console.get("/").await.body;
    assert!(page.contains("refused, decides nothing"), "{page}");
    let answer = console.get("/matrix?store=bad").await;
    assert_eq!(answer.status, 404);
    let answer = console.get("/try").await;
    assert!(answer.status == 404 && answer.body.contains("no policy store"), "{}", answer.body);
}

#[tokio::test]
async fn a_question_is_decided_explained_and_not_counted() {
    let console = acme().await;
    let asked = "/try?store=acme&ask=1&principal_id=alice&resource_id=1&action=site.delete";
    let page = console.get(&format!("{asked}&role=owner&c.reason=audit")).await.body;
    assert!(page.contains("<h2>Allow</h2>"), "{page}");
    assert!(page.contains("humbaba check --store acme"), "{page}");
    assert!(page.contains("/stores/acme/access/v1/evaluation"), "{page}");
    let page = console.get(&format!("{asked}&role=owner&c.reason=fun")).await.body;
    assert!(page.contains("<h2>Deny</h2>") && page.contains("came near to allowing it"), "{page}");
    assert!(page.contains("context.reason == &#34;audit&#34;") && page.contains("is false"));
    let page = console.get(asked).await.body;
    assert!(page.contains("This is no question to this store"), "{page}");
    assert!(page.contains("context.reason"), "the required fact is named: {page}");
    let page = console.get(&format!("{asked}&c.reason=x&roles=boss%40Site%3A%3A1")).await.body;
    assert!(page.contains("role_assignments[0]"), "{page}");
    let metrics = crate::support::http::get(console.server.http, "/metrics").await.body;
    assert!(!metrics.contains("humbaba_decisions_total{"), "{metrics}");
    assert!(console.get("/decisions").await.body.contains("No decision fits yet."));
}

#[tokio::test]
async fn changes_show_who_gains_first() {
    let console = acme().await;
    let page = console.get("/changes?store=acme").await.body;
    assert!(page.contains("one revision was in force"), "{page}");
    let next = POLICIES
        .replace("principal in resource.owner && context", "context")
        .replace("[resource.owner, resource.viewer]", "[resource.owner]");
    console.write("acme", "policies.cedar", &next);
    let page = console.shows("/changes?store=acme", ">gains<").await;
    assert!(page.contains("asks for site.delete on Site::&#34;"), "a request shows it: {page}");
    let (last_gain, first_loss) = (page.rfind(">gains<").unwrap(), page.find(">loses<").unwrap());
    assert!(last_gain < first_loss, "{page}");
    assert_eq!(page.matches("in force</span>").count(), 1, "{page}");
    console.write("acme", "policies.cedar", POLICIES);
    until("three revisions are listed", async || {
        let page = console.get("/changes?store=acme").await.body;
        page.matches("with the one before").count() == 2
    })
    .await;
    let answer = console.get("/changes?store=acme&from=abc&to=def").await;
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn nothing_that_anybody_wrote_becomes_markup() {
    let evil = EVIL.replace('"', "\\\"");
    let schema = SCHEMA.replace("site.delete", &evil);
    let policies = POLICIES
        .replace("site.delete", &evil)
        .replace("@doc(\"Owners and viewers look.\")", &format!("@doc(\"{evil}\")"))
        .replace("@id(\"delete\")", &format!("@id(\"{evil}\")"))
        .replace("\"audit\"", &format!("\"{evil}\""));
    let files = [("schema.cedarschema", schema.as_str()), ("policies.cedar", policies.as_str())];
    let console = ConsoleServer::start(&[("acme", &files)]).await;
    let of_caller = format!("User::{EVIL}");
    let _ = console.server.ask(ask(&of_caller, "site.view", "Site::1")).await;
    let evil = percent_encoding::utf8_percent_encode(EVIL, percent_encoding::NON_ALPHANUMERIC);
    until("the decision is there", async || {
        console.get("/decisions").await.body.contains("alert(1)")
    })
    .await;
    console.write("acme", "policies.cedar", &format!("{policies}\npermit (\"{EVIL}"));
    console.shows("/", "was refused").await;
    for path in [
        "/".to_owned(),
        "/matrix".to_owned(),
        "/policies".to_owned(),
        "/policies?refused=1".to_owned(),
        "/policies?file=policies.cedar".to_owned(),
        "/policies?file=schema.cedarschema".to_owned(),
        format!("/policies?policy={evil}"),
        format!("/policies?q={evil}"),
        format!("/matrix?action={evil}&role={evil}&scope={evil}"),
        format!("/try?ask=1&action={evil}&principal_id={evil}&resource_id={evil}&c.reason={evil}"),
        format!("/try?ask=1&principal_id={evil}&resource_id={evil}&role=viewer"),
        format!("/try?ask=1&principal_id=a&resource_id=b&roles={evil}&entities={evil}"),
        "/changes".to_owned(),
        format!("/changes?from={evil}&to={evil}"),
        "/decisions".to_owned(),
        format!("/decisions?principal={evil}&action={evil}&of={evil}"),
        format!("/?store={evil}"),
        format!("/matrix?store={evil}"),
    ] {
        let page = console.get(&path).await.body;
        assert_eq!(page.matches("<script").count(), 1, "{path}: {page}");
        assert!(!page.contains("<img"), "{path}: {page}");
        assert!(!page.contains("\"'><"), "{path}: {page}");
    }
}

/// Reads a stream until a text is there.
async fn read_until(stream: &mut TcpStream, part: &str) -> String {
    let mut all = Vec::new();
    let read = async {
        let mut piece = [0; 4_096];
        loop {
            let length = stream.read(&mut piece).await.unwrap();
            all.extend_from_slice(&piece[..length]);
            let text = String::from_utf8_lossy(&all).into_owned();
            if text.contains(part) || length == 0 {
                return text;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), read).await.unwrap()
}

async fn follow(address: SocketAddr, query: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /decisions/stream{query} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn decisions_are_followed_with_filters_and_hidden_fields_and_readers_are_bounded() {
    let files = [("schema.cedarschema", SCHEMA), ("policies.cedar", POLICIES)];
    let mask: RecordField = "principal.id".parse().unwrap();
    let log =
        LogOptions { recent: 10, recent_readers: 2, mask: vec![mask], ..LogOptions::default() };
    let console = ConsoleServer::recording(&[("acme", &files)], log).await;
    let mut all = follow(console.address, "").await;
    let head = read_until(&mut all, "\r\n\r\n").await;
    assert!(head.contains("text/event-stream"), "{head}");
    let mut denied = follow(console.address, "?decision=deny").await;
    read_until(&mut denied, "\r\n\r\n").await;
    let mut third = follow(console.address, "").await;
    let refusal = read_until(&mut third, "too many readers").await;
    assert!(refusal.starts_with("HTTP/1.1 503"), "{refusal}");
    assert!(console.server.allows(question()).await);
    let seen = read_until(&mut all, "[masked]").await;
    assert!(seen.contains("\"allow\"") && !seen.contains("alice"), "{seen}");
    assert!(!console.server.allows(ask("User::bob", "site.view", "Site::1")).await);
    let seen = read_until(&mut denied, "\"deny\"").await;
    assert!(!seen.contains("\"allow\""), "{seen}");
    let page = console.get("/decisions?decision=deny").await.body;
    assert!(page.contains("[masked]") && !page.contains("bob"), "{page}");
    assert!(!page.contains("<b class=\"allow\">"), "{page}");
    drop(all);
    until("the place of a reader that left is free", async || {
        let mut next = follow(console.address, "").await;
        read_until(&mut next, "\r\n\r\n").await.starts_with("HTTP/1.1 200")
    })
    .await;
}

#[tokio::test]
async fn decisions_are_not_kept_unless_asked_for() {
    let files = [("schema.cedarschema", SCHEMA), ("policies.cedar", POLICIES)];
    let console = ConsoleServer::recording(&[("acme", &files)], LogOptions::default()).await;
    assert!(console.server.allows(question()).await);
    let page = console.get("/decisions").await.body;
    assert!(page.contains("console.decisions = true") && !page.contains("alice"), "{page}");
    assert_eq!(console.get("/decisions/stream").await.status, 404);
}

#[tokio::test]
async fn the_largest_shipped_matrix_fits_a_page() {
    let folder = tempfile::TempDir::new().unwrap();
    copy_shipped("hitkeep", folder.path());
    let console = ConsoleServer::of_folder(folder, LogOptions::default()).await;
    let page = console.shows("/matrix", "<table class=\"matrix\">").await;
    let weight = page.len()
        + console.get("/console.css").await.body.len()
        + console.get("/console.js").await.body.len();
    assert!(weight < 200 * 1024, "{weight} bytes");
    let page = console.shows("/policies", "applies in").await;
    assert!(page.contains("inactive-clients-do-nothing"), "the invariants are listed");
}

#[tokio::test]
async fn where_a_token_is_asked_for_a_reader_shows_it_once_and_the_cookie_opens_pages_only() {
    let token = "0123456789abcdef/0123456789+abcdef=";
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join(".token");
    std::fs::write(&file, token).unwrap();
    let held = BearerTokens::load(&file).unwrap();
    let options = WebOptions { tokens: Some(held), ..WebOptions::default() };
    let console = ConsoleServer::with(folder, LogOptions::default(), options).await;
    for path in ["/", "/matrix", "/decisions/stream", "/health"] {
        let answer = console.get(path).await;
        assert_eq!(answer.status, 303, "{path}");
        assert!(answer.head.contains("location: /sign-in"), "{path}: {}", answer.head);
    }
    assert!(console.get("/sign-in").await.body.contains("type=\"password\""));
    assert_eq!(console.get("/console.css").await.status, 200);
    let send = async |method: &str, path: &str, headers: &str, body: &str| {
        let mut stream = TcpStream::connect(console.address).await.unwrap();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let refused = send("POST", "/sign-in", "", "token=wrong").await;
    assert!(refused.starts_with("HTTP/1.1 403") && !refused.contains("set-cookie"), "{refused}");
    let escaped = percent_encoding::utf8_percent_encode(token, percent_encoding::NON_ALPHANUMERIC);
    let taken = send("POST", "/sign-in", "", &format!("token={escaped}")).await;
    let cookie = taken.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = format!("Cookie: other=1; {}\r\n", cookie.split(';').next().unwrap());
    assert!(send("GET", "/", &cookie, "").await.starts_with("HTTP/1.1 200"));
    let json = format!("{cookie}Content-Type: application/json\r\n");
    let evaluation = send("POST", "/access/v1/evaluation", &json, "{}").await;
    assert!(evaluation.starts_with("HTTP/1.1 401"), "{evaluation}");
    let bearer = format!("Authorization: Bearer {token}\r\n");
    assert!(send("GET", "/", &bearer, "").await.starts_with("HTTP/1.1 200"));
    let huge = send("POST", "/sign-in", "", &"a".repeat(20_000)).await;
    assert!(huge.starts_with("HTTP/1.1 413"), "{huge}");
}
