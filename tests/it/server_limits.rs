//! Every limit: what just fits is answered, one more is refused.

use humbaba::{grpc::GrpcOptions, proto::IsAuthorizedRequest, request::RequestLimits};
use prost::Message as _;
use tonic::Code;

use crate::support::{
    TestServer,
    ask::{Asking as _, Knowing as _, ask, entity, fields, long, set, text, uid, violations},
    raw::{call_with, frame},
    stores,
};

fn limits(limits: RequestLimits) -> GrpcOptions {
    GrpcOptions { limits, ..GrpcOptions::default() }
}

fn view() -> IsAuthorizedRequest {
    ask("User::alice", "site.view", "Site::1")
}

fn send() -> IsAuthorizedRequest {
    ask("User::alice", "form.send", "Form::f")
}

/// Asks questions of growing size; the last is the only one that is beyond the limit.
async fn only_the_last_is_refused(
    options: GrpcOptions,
    questions: impl IntoIterator<Item = IsAuthorizedRequest>,
    field: &str,
    message: &str,
) {
    let server = TestServer::with([stores::acme()], options).await;
    let mut questions: Vec<_> = questions.into_iter().collect();
    let last = questions.pop().unwrap();
    for (index, question) in questions.into_iter().enumerate() {
        let answer = server.ask(question).await;
        assert!(answer.is_ok(), "question {index}: {answer:?}");
    }
    let found = violations(&server.refuses(last).await);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, field);
    assert!(found[0].1.contains(message), "{}", found[0].1);
}

#[tokio::test]
async fn entities() {
    let question =
        |count| (0..count).fold(view(), |ask, n| ask.entity(entity(&format!("Site::{n}"))));
    only_the_last_is_refused(
        limits(RequestLimits { entities: 3, ..RequestLimits::default() }),
        [question(2), question(3), question(4)],
        "entities",
        "4 elements, more than the limit of 3",
    )
    .await;
}

#[tokio::test]
async fn role_assignments() {
    let question = |count| (0..count).fold(view(), |ask, _| ask.role("viewer", "Site::1"));
    only_the_last_is_refused(
        limits(RequestLimits { role_assignments: 3, ..RequestLimits::default() }),
        [question(2), question(3), question(4)],
        "role_assignments",
        "4 elements, more than the limit of 3",
    )
    .await;
}

#[tokio::test]
async fn parents() {
    let question = |count| {
        let alice = entity("User::alice");
        view().entity((0..count).fold(alice, |alice, n| alice.within(&format!("Group::{n}"))))
    };
    only_the_last_is_refused(
        limits(RequestLimits { parents: 3, ..RequestLimits::default() }),
        [question(2), question(3), question(4)],
        "entities[0].parents",
        "4 elements, more than the limit of 3",
    )
    .await;
}

#[tokio::test]
async fn context_values_counted_at_every_depth() {
    // The set counts too.
    let question = |count| send().fact("numbers", set((1..count).map(long)));
    only_the_last_is_refused(
        limits(RequestLimits { context_values: 5, ..RequestLimits::default() }),
        [question(4), question(5), question(6)],
        "context.numbers[4]",
        "the limit on the number of values is reached here",
    )
    .await;
}

#[tokio::test]
async fn values_of_one_entity() {
    let question = |count| {
        let tagged = (0..count)
            .fold(entity("User::alice"), |user, n| user.tag(&format!("tag{n}"), text("x")));
        // Another entity has a count of its own.
        view().entity(entity("User::bob").attribute("name", text("Bob"))).entity(tagged)
    };
    only_the_last_is_refused(
        limits(RequestLimits { entity_values: 3, ..RequestLimits::default() }),
        [question(2), question(3), question(4)],
        "entities[1].tags.tag3",
        "the limit on the number of values is reached here",
    )
    .await;
}

#[tokio::test]
async fn depth() {
    let one = || set([long(1)]);
    only_the_last_is_refused(
        limits(RequestLimits { depth: 3, ..RequestLimits::default() }),
        [
            send().fact("numbers", one()),
            send().fact("d2", set([one()])),
            send().fact("d3", set([set([one()])])),
        ],
        "context.d3[0][0][0]",
        "nested deeper than the limit of 3",
    )
    .await;
}

#[tokio::test]
async fn bytes_of_a_text() {
    let name = |length: usize| {
        view().entity(entity("User::alice").attribute("name", text(&"ä".repeat(length / 2))))
    };
    let id = |length: usize| {
        let mut question = view();
        question.principal.as_mut().unwrap().id = "x".repeat(length);
        question
    };
    let tag =
        |length: usize| view().entity(entity("User::alice").tag(&"t".repeat(length), text("")));
    let options = || limits(RequestLimits { text_bytes: 10, ..RequestLimits::default() });
    let message = "12 bytes, more than the limit of 10";
    only_the_last_is_refused(
        options(),
        [name(10), name(12)],
        "entities[0].attributes.name",
        message,
    )
    .await;
    only_the_last_is_refused(options(), [id(10), id(12)], "principal.id", message).await;
    only_the_last_is_refused(
        options(),
        [tag(10), tag(12)],
        "entities[0].tags.tttttttttttt",
        message,
    )
    .await;
}

#[tokio::test]
async fn the_default_limits_are_those_that_are_documented() {
    let server = TestServer::start([stores::acme()]).await;
    let entities =
        |count| (0..count).fold(view(), |ask, n| ask.entity(entity(&format!("Site::{n}"))));
    assert!(server.ask(entities(1_000)).await.is_ok());
    assert_eq!(fields(&server.refuses(entities(1_001)).await), ["entities"]);
    let name =
        |length| view().entity(entity("User::alice").attribute("name", text(&"x".repeat(length))));
    assert!(server.ask(name(65_536)).await.is_ok());
    assert_eq!(fields(&server.refuses(name(65_537)).await), ["entities[0].attributes.name"]);
    let numbers = |count: i64| send().fact("numbers", set((0..count - 1).map(long)));
    assert!(server.ask(numbers(1_000)).await.is_ok());
    assert_eq!(fields(&server.refuses(numbers(1_001)).await), ["context.numbers[999]"]);
}

#[tokio::test]
async fn violations_that_are_listed() {
    let options = limits(RequestLimits { violations: 2, ..RequestLimits::default() });
    let server = TestServer::with([stores::acme()], options).await;
    let question = |count| (0..count).fold(view(), |ask, _| ask.role("king", "Site::1"));
    let found = violations(&server.refuses(question(2)).await);
    assert_eq!(found.len(), 2);
    let found = violations(&server.refuses(question(5)).await);
    assert_eq!(found.len(), 3);
    assert_eq!(found[2], ("request".to_owned(), "there are 3 violations more".to_owned()));
}

#[tokio::test]
async fn bytes_of_a_message() {
    let question = |length| {
        let mut question = view();
        question.resource = Some(uid("Site::1"));
        question.policy_store = "x".repeat(length);
        question
    };
    let fits = question(5_000).encoded_len();
    let options = GrpcOptions { message_bytes: fits, ..GrpcOptions::default() };
    let server = TestServer::with([stores::acme()], options).await;
    // It is read, and then there is no such store.
    assert_eq!(server.refuses(question(5_000)).await.code(), Code::NotFound);
    assert_eq!(server.refuses(question(5_001)).await.code(), Code::OutOfRange);
    // The connection goes on.
    assert!(server.ask(view()).await.is_ok());
}

/// A request of which a fact is that many sets or records in one another, as bytes: no client
/// library writes what is so deep.
fn nested(levels: usize, of_records: bool) -> Vec<u8> {
    let field = |number: u8, bytes: Vec<u8>| {
        let mut field = vec![number << 3 | 2];
        prost::encode_length_delimiter(bytes.len(), &mut field).unwrap();
        [field, bytes].concat()
    };
    let entry = |name: &str, value| [field(1, name.into()), field(2, value)].concat();
    let value = (0..levels).fold(long(1).encode_to_vec(), |value, _| {
        if of_records {
            field(6, field(1, entry("more", value)))
        } else {
            field(5, field(1, value))
        }
    });
    [send().encode_to_vec(), field(5, entry("numbers", value))].concat()
}

#[tokio::test]
async fn what_nests_too_deep_is_bad_input() {
    let server = TestServer::start([stores::acme()]).await;
    for of_records in [false, true] {
        for levels in [17, 30, 49, 50, 60, 100, 200, 2_000, 20_000] {
            let request = frame(&nested(levels, of_records));
            let status = call_with(server.channel(), request).await.unwrap_err();
            assert_eq!(status.code(), Code::InvalidArgument, "{levels}: {status:?}");
        }
    }
    assert!(server.ask(view()).await.is_ok());
}
