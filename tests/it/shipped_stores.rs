//! The shipped stores through the real server: every cell of every matrix and every rule.

use std::{sync::Arc, time::SystemTime};

use humbaba::{
    engine,
    model::{Effect, OnForbidError, Timestamp, Uid},
    proto::{
        BatchIsAuthorizedItem, BatchIsAuthorizedRequest, Decision, EntityUid, IsAuthorizedRequest,
        IsAuthorizedResponse, RoleAssignment, RoleAssignments, batch_is_authorized_result,
    },
    request::RequestLimits,
    schema::Schema,
    store::{Bounds, PolicyStore, embedded_stores},
    testing::{self, Case, Expectation, ExpectedPolicies},
};
use tonic::{Code, Status};

use crate::support::{ask, server::TestServer};

fn stores() -> Vec<Arc<PolicyStore>> {
    let load = |files| Arc::new(PolicyStore::load(Arc::new(files), &Bounds::default()).unwrap());
    embedded_stores().into_iter().map(load).collect()
}

fn store(name: &str) -> Arc<PolicyStore> {
    stores().into_iter().find(|store| store.name().as_str() == name).unwrap()
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since.as_millis().try_into().unwrap())
}

fn question(store: &PolicyStore, case: &Case) -> IsAuthorizedRequest {
    let now = now();
    let mut input = case.input_at(now, store.schema());
    // The call takes time: what is in force at its beginning stays so until its end.
    let later = Timestamp::from_millis(now.as_millis() + 3_600_000);
    for at in input.role_assignments.iter_mut().filter_map(|role| role.expires_at.as_mut()) {
        *at = if *at > now { later.max(*at) } else { *at };
    }
    let mut question = IsAuthorizedRequest::from(input);
    question.policy_store = store.name().to_string();
    question
}

/// The question as an item of a batch.
fn item(question: IsAuthorizedRequest) -> BatchIsAuthorizedItem {
    let IsAuthorizedRequest {
        policy_store: _,
        principal,
        action,
        resource,
        context,
        entities,
        role_assignments,
        explain,
        at_least_version: _,
    } = question;
    BatchIsAuthorizedItem {
        principal,
        action,
        resource,
        context,
        entities,
        role_assignments: Some(RoleAssignments { items: role_assignments }),
        explain,
    }
}

/// Returns the mistake of an answer to a case, if there is one.
fn fault(case: &Case, answer: &Result<IsAuthorizedResponse, Status>) -> Option<String> {
    match (&case.expectation, answer) {
        (Expectation::Invalid { message }, Err(status)) => {
            let told = message.as_deref().is_none_or(|message| status.message().contains(message));
            (status.code() != Code::InvalidArgument || !told).then(|| format!("{status}"))
        }
        (Expectation::Decision { effect, policies, errors }, Ok(answer)) => {
            let expected = match effect {
                Effect::Allow => Decision::Allow,
                Effect::Deny => Decision::Deny,
            };
            let ids: Vec<_> =
                answer.determining_policies.iter().map(|policy| policy.policy_id.clone()).collect();
            let policies = match policies {
                ExpectedPolicies::Any => true,
                ExpectedPolicies::Among(some) => some.iter().all(|id| ids.contains(id)),
                ExpectedPolicies::Exactly(all) => {
                    let mut all = all.clone();
                    all.sort();
                    all == ids
                }
            };
            let right = answer.decision() == expected
                && policies
                && answer.errors.len() == errors.unwrap_or_default();
            (!right)
                .then(|| format!("{:?} by {ids:?}, errors {:?}", answer.decision(), answer.errors))
        }
        (_, answer) => Some(format!("{answer:?}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_of_every_store_is_decided_right_over_grpc() {
    let stores = stores();
    let server = TestServer::start(stores.clone()).await;
    for store in &stores {
        let cases = testing::cases(store).unwrap();
        let mut faults = Vec::new();
        for chunk in cases.chunks(64) {
            let answers = chunk.iter().map(|case| server.ask(question(store, case)));
            let answers = futures_util::future::join_all(answers).await;
            for (case, answer) in chunk.iter().zip(&answers) {
                let place = format!("{}/{}:{} {}", store.name(), case.file, case.line, case.name);
                faults.extend(fault(case, answer).map(|fault| format!("{place}: {fault}")));
            }
        }
        println!("{}: {} cases over gRPC", store.name(), cases.len());
        assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_like_single_questions() {
    let stores = stores();
    let server = TestServer::start(stores.clone()).await;
    for store in &stores {
        for chunk in testing::cases(store).unwrap().chunks(500) {
            let items = chunk.iter().map(|case| item(question(store, case))).collect();
            let policy_store = store.name().to_string();
            let batch = BatchIsAuthorizedRequest { policy_store, items, ..Default::default() };
            let answers = server.client().batch_is_authorized(batch).await.unwrap().into_inner();
            assert_eq!(answers.revision, store.revision().as_str());
            assert_eq!(answers.items.len(), chunk.len());
            for (case, item) in chunk.iter().zip(answers.items) {
                let answer = match item.result.unwrap() {
                    batch_is_authorized_result::Result::Response(answer) => Ok(answer),
                    batch_is_authorized_result::Result::Error(status) => {
                        Err(Status::new(Code::from(status.code), status.message))
                    }
                };
                let place = format!("{}/{}:{} {}", store.name(), case.file, case.line, case.name);
                assert_eq!(fault(case, &answer), None, "{place}");
            }
        }
    }
}

/// A question as a batch: its facts for all items, and it as the first of them, with others that
/// are about entities of the same types, known and unknown.
fn among_its_likes(schema: &Schema, question: IsAuthorizedRequest) -> BatchIsAuthorizedRequest {
    let known = question.entities.iter().filter_map(|entity| entity.uid.clone());
    let roles = question.role_assignments.iter();
    let known =
        known.chain(roles.flat_map(|role| [role.principal.clone(), role.scope.clone()]).flatten());
    let known: Vec<EntityUid> = known.take(12).collect();
    let like = |uid: &Option<EntityUid>| {
        let of_type = uid.as_ref().map(|uid| uid.r#type.clone()).unwrap_or_default();
        let unknown = ["x-1", "x-2", "x-1"]
            .map(|id| EntityUid { r#type: of_type.clone(), id: id.to_owned() });
        let same = known.iter().filter(|other| other.r#type == of_type).cloned();
        unknown.into_iter().chain(same).collect::<Vec<_>>()
    };
    let own = || BatchIsAuthorizedItem {
        principal: question.principal.clone(),
        action: question.action.clone(),
        resource: question.resource.clone(),
        ..BatchIsAuthorizedItem::default()
    };
    let (principals, resources) = (like(&question.principal), like(&question.resource));
    let mut items = vec![own()];
    items.extend(
        resources.iter().map(|uid| BatchIsAuthorizedItem { resource: Some(uid.clone()), ..own() }),
    );
    for principal in &principals {
        items.push(BatchIsAuthorizedItem { principal: Some(principal.clone()), ..own() });
        items.extend(resources.iter().take(4).map(|resource| BatchIsAuthorizedItem {
            principal: Some(principal.clone()),
            resource: Some(resource.clone()),
            ..own()
        }));
    }
    items.push(own());
    // The batch's subject is named by none of its items, except where there are only a few ids.
    let is_enumerated = |uid: &EntityUid| {
        let entity_type = schema.entity_type(&uid.r#type).unwrap();
        schema.entity(entity_type).unwrap().ids.is_some()
    };
    let about = |uid: &Option<EntityUid>| {
        let uid = uid.clone()?;
        Some(if is_enumerated(&uid) { uid } else { EntityUid { id: "y".into(), ..uid } })
    };
    BatchIsAuthorizedRequest {
        policy_store: question.policy_store.clone(),
        principal: about(&question.principal),
        action: question.action.clone(),
        resource: about(&question.resource),
        context: question.context.clone(),
        entities: question.entities.clone(),
        // Shared, an assignment that names nobody would mean the batch's own.
        role_assignments: question
            .role_assignments
            .iter()
            .map(|role| RoleAssignment {
                principal: role.principal.clone().or_else(|| question.principal.clone()),
                scope: role.scope.clone().or_else(|| question.resource.clone()),
                ..role.clone()
            })
            .collect(),
        explain: false,
        items,
        at_least_version: String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_is_answered_among_its_likes_as_by_itself() {
    let stores = stores();
    let server = TestServer::start(stores.clone()).await;
    let mut count = 0;
    for store in &stores {
        // Many cases of a matrix differ in the role alone.
        let cases = testing::cases(store).unwrap();
        let decided = |case: &&Case| matches!(case.expectation, Expectation::Decision { .. });
        for case in cases.iter().filter(decided).step_by(5) {
            let asked = question(store, case);
            let batch = among_its_likes(store.schema(), asked.clone());
            let answers = server.client().batch_is_authorized(batch.clone()).await.unwrap();
            let now = now();
            for (item, answer) in batch.items.iter().zip(answers.into_inner().items) {
                let mut input = case.input_at(now, store.schema());
                for role in &mut input.role_assignments {
                    role.principal = role.principal.take().or_else(|| input.principal.clone());
                    role.scope = role.scope.take().or_else(|| input.resource.clone());
                }
                let uid =
                    |uid: &Option<EntityUid>| uid.clone().map(|uid| Uid::new(uid.r#type, uid.id));
                (input.principal, input.resource) = (uid(&item.principal), uid(&item.resource));
                let own = store.check(&input, now, &RequestLimits::default());
                let own = own.ok().map(|request| {
                    let decision =
                        engine::decide_by_cedar(store.engine(), &request, OnForbidError::Deny);
                    let by: Vec<_> =
                        decision.determining.iter().map(|policy| policy.id().to_owned()).collect();
                    (decision.is_allow(), by, decision.errors.len())
                });
                let told = match answer.result.unwrap() {
                    batch_is_authorized_result::Result::Response(answer) => {
                        let by = answer.determining_policies.iter();
                        let by = by.map(|policy| policy.policy_id.clone()).collect();
                        let is_allow = answer.decision() == Decision::Allow;
                        Some((is_allow, by, answer.errors.len()))
                    }
                    batch_is_authorized_result::Result::Error(_) => None,
                };
                let place = format!("{}/{}:{} {}", store.name(), case.file, case.line, case.name);
                assert_eq!(told, own, "{place}: {item:?}");
                count += 1;
            }
        }
    }
    assert!(count > 20_000, "{count}");
}

#[tokio::test]
async fn an_action_of_one_store_is_bad_input_in_another() {
    let server = TestServer::start(stores()).await;
    let mut question = IsAuthorizedRequest {
        policy_store: "hitkeep".into(),
        principal: Some(ask::uid("User::alice")),
        action: Some(ask::action("app.publish")),
        resource: Some(ask::uid("Site::42")),
        ..IsAuthorizedRequest::default()
    };
    assert_eq!(server.refuses(question.clone()).await.code(), Code::InvalidArgument);
    question.policy_store = "piwik-pro".into();
    question.action = Some(ask::action("app.publish"));
    let refused = server.refuses(question.clone()).await;
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().starts_with("resource.type: "), "{refused}");
    question.resource = Some(ask::uid("HitKeep::Site::42"));
    assert_eq!(server.refuses(question).await.code(), Code::InvalidArgument);
}

/// The numbered rules of each model. There is no HK-46.
#[test]
fn every_rule_has_a_case_that_names_it() {
    let rules = [
        ("hitkeep", "HK", 1..=45),
        ("hitkeep", "HK", 47..=53),
        ("hitkeep-v1", "HK", 47..=48),
        ("hitkeep-v1", "HK", 51..=53),
        ("piwik-pro", "PW", 1..=19),
        ("clicky", "CK", 1..=22),
        ("kissmetrics", "KM", 1..=25),
    ];
    for (name, prefix, numbers) in rules {
        let cases = testing::cases(&store(name)).unwrap();
        let named =
            |rule: &str| cases.iter().any(|case| case.name.starts_with(&format!("{rule} ")));
        let rules = numbers.map(|number| format!("{prefix}-{number:02}"));
        let missing: Vec<_> = rules.filter(|rule| !named(rule)).collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
    }
    assert!(
        testing::cases(&store("hitkeep"))
            .unwrap()
            .iter()
            .any(|case| case.name.starts_with("HK-36b "))
    );
}

/// A cell that is exempt would be a hole in the matrix, and a row without a case as well.
#[test]
fn every_cell_of_every_matrix_is_a_case() {
    for store in stores() {
        let matrix = store.files().get("matrix.csv").expect("each store ships its matrix");
        let mut rows = csv::Reader::from_reader(matrix);
        let columns = rows.headers().unwrap().len();
        let cells = rows.records().map(|row| row.unwrap().len() - 5).sum::<usize>();
        assert!(columns > 5, "scope, action, label, the roles, condition and source");
        let report = testing::run(&store).unwrap();
        let cases = report.results.iter().filter(|result| result.case.file == "matrix.csv").count();
        assert!(report.exempt.is_empty(), "{}: {:?}", store.name(), report.exempt);
        assert!(cases >= cells, "{}: {cases} cases of {cells} cells", store.name());
    }
}

#[test]
fn the_tests_of_every_store_notice_its_mutants() {
    std::thread::scope(|scope| {
        for store in stores() {
            scope.spawn(move || {
                let report = testing::run_mutants(&store, &|_, _| {}).unwrap();
                let text = testing::mutants_as_text(&report, 99.0);
                assert!(report.caught_percent() >= 99.0, "{text}");
            });
        }
    });
}
