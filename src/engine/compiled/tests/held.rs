//! The same facts sent and held: decisions with a directory.

use std::{cell::RefCell, sync::Arc};

use proptest::{prelude::*, test_runner::TestRunner};

use super::{generated, generated::STORE, sample};
use crate::{
    directory::{Assignment, AssignmentKey, Change, Directory, EntityRow, Fault},
    engine::{Decision, Engine, PolicyNote, decide_by_cedar, decide_compiled},
    model::{Effect, OnForbidError},
    request::{
        EntityInput, Grant, Held, RequestFacts, RequestInput, RequestLimits, RoleAssignmentInput,
        check, json::EntityJson,
    },
    store::PolicyStore,
    testing::DEFAULT_NOW,
};

/// Facts of which the directory holds a part, and the caller sends the rest.
#[derive(Debug)]
pub struct Divided {
    /// The question with all facts.
    pub all: RequestInput,
    /// The question with the facts that are not held.
    pub sent: RequestInput,
    /// The others.
    pub held: Held,
}

impl Divided {
    /// Divides the facts of a request: those are held of which `is_held` is true, round and round.
    pub fn new(input: RequestInput, is_held: &[bool]) -> Self {
        let mut all = generated::possible(input);
        name_holders(&mut all);
        // A directory refuses roles as parents: an assignment gives them.
        for entity in &mut all.entities {
            entity
                .parents
                .retain(|parent| parent.type_name != "Role" && parent.type_name != "App::Role");
        }
        let mut held = is_held.iter().copied().cycle();
        let mut is_held = || held.next().unwrap_or(true);
        let (held_entities, sent_entities): (Vec<_>, Vec<_>) =
            all.entities.iter().cloned().partition(|_| is_held());
        let (held_roles, sent_roles): (Vec<_>, Vec<_>) =
            all.role_assignments.iter().cloned().partition(|_| is_held());
        let sent =
            RequestInput { entities: sent_entities, role_assignments: sent_roles, ..all.clone() };
        let (directory, faults) = directory(&STORE, &held_entities, &held_roles);
        assert_eq!(faults, []);
        let held = Held { facts: Arc::new(directory), request_facts: RequestFacts::Add };
        Self { all, sent, held }
    }
}

/// Names the principal and the scope of each role that leaves one to the question.
pub fn name_holders(input: &mut RequestInput) {
    for role in &mut input.role_assignments {
        role.principal = role.principal.take().or_else(|| input.principal.clone());
        role.scope = role.scope.take().or_else(|| input.resource.clone());
    }
}

/// Makes a directory of facts, and tells which of them do not fit the store. Each role names its
/// principal and scope.
pub fn directory(
    store: &PolicyStore,
    entities: &[EntityInput],
    roles: &[RoleAssignmentInput],
) -> (Directory, Vec<Fault>) {
    let directory = Directory::new(
        Arc::clone(store.schema_arc()),
        Arc::clone(store.stored_arc()),
        RequestLimits::default(),
    );
    let entities = entities.iter().map(|entity| {
        let json = serde_json::to_string(&EntityJson::new(entity)).unwrap();
        Change::PutEntity(EntityRow { uid: entity.uid.clone().unwrap(), json })
    });
    // The last of several alike holds in a directory, while each that is sent does: one that lasts is
    // put last.
    let mut roles: Vec<_> = roles.iter().collect();
    roles.sort_by_key(|role| role.expires_at.map_or(i64::MAX, |end| end.as_millis()));
    let roles = roles.into_iter().map(|role| {
        let key = AssignmentKey {
            principal: role.principal.clone().unwrap(),
            role: role.role.clone(),
            scope: role.scope.clone().unwrap(),
        };
        Change::Put(Assignment { key, expires_at: role.expires_at, grant: Grant::default() })
    });
    directory.apply(entities.chain(roles))
}

/// Returns the observable parts of a decision.
pub fn seen(decision: &Decision) -> (Effect, Vec<&str>, Vec<&str>) {
    let determining = decision.determining.iter().map(PolicyNote::id).collect();
    let errors = decision.errors.iter().map(|error| error.policy_id.as_str()).collect();
    (decision.effect, determining, errors)
}

/// Holds the compiled form, Cedar's evaluator and the same question with all facts sent against each
/// other. Returns the decision and whether the compiled form made it; nothing for a bad question.
fn compare(engine: &Engine, divided: &Divided) -> Result<Option<(Effect, bool)>, String> {
    let limits = RequestLimits::default();
    let check = |held, input: &_| check(engine.known(held), input, DEFAULT_NOW, &limits);
    let with_directory = check(Some(&divided.held), &divided.sent);
    let all_sent = check(None, &divided.all);
    let (with_directory, all_sent) = match (with_directory, all_sent) {
        (Ok(with_directory), Ok(all_sent)) => (with_directory, all_sent),
        (Err(_), Err(_)) => return Ok(None),
        (one, other) => return Err(format!("only one is refused: {one:?}\n{other:?}")),
    };
    let cedar = decide_by_cedar(engine, &with_directory, OnForbidError::Deny);
    let expected = decide_by_cedar(engine, &all_sent, OnForbidError::Deny);
    if seen(&cedar) != seen(&expected) {
        return Err(format!("{:?} with a directory, {:?} sent", seen(&cedar), seen(&expected)));
    }
    let compiled = decide_compiled(engine, &with_directory);
    match &compiled {
        Some(compiled) if seen(compiled) != seen(&cedar) => {
            Err(format!("{:?}, but Cedar {:?}", seen(compiled), seen(&cedar)))
        }
        compiled => Ok(Some((cedar.effect, compiled.is_some()))),
    }
}

#[test]
fn what_is_held_decides_as_what_is_sent_does() {
    let cases = ProptestConfig::default().cases.max(256) * 2;
    let mut runner = TestRunner::new(ProptestConfig { cases, ..ProptestConfig::default() });
    let tally = RefCell::new((0, 0, 0, 0));
    let question = (generated::request(), prop::collection::vec(any::<bool>(), 1..40));
    let strategy = (sample::policies(), sample::templates(), prop::collection::vec(question, 4));
    runner
        .run(&strategy, |(policies, templates, questions)| {
            let engine = STORE.engine_of(&sample::policy_set(&policies, &templates));
            for (input, is_held) in questions {
                let divided = Divided::new(input, &is_held);
                let decided = compare(&engine, &divided)
                    .map_err(|error| TestCaseError::fail(format!("{error}\n{divided:#?}")))?;
                let (refused, allowed, denied, compiled) = &mut *tally.borrow_mut();
                match decided {
                    None => *refused += 1,
                    Some((effect, is_compiled)) => {
                        *(if effect == Effect::Allow { allowed } else { denied }) += 1;
                        *compiled += u32::from(is_compiled);
                    }
                }
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    let (refused, allowed, denied, compiled) = tally.into_inner();
    println!("{refused} refused, {allowed} allowed, {denied} denied, {compiled} compiled");
    let decided = allowed + denied;
    assert!(refused * 10 < decided && allowed * 20 > decided && compiled * 4 > decided);
}
