//! Stores of Cedar's official corpus, decided as the server decides: by the compact form of the
//! policies where it is sure, else by Cedar's evaluator.

use std::{
    collections::{BTreeSet, HashMap},
    str::FromStr,
    sync::{Arc, Mutex},
};

use cedar_policy::{Context, Entities, EntityUid, PolicySet, Request, Schema};
use humbaba::{
    engine::{Decision, decide, decide_compiled},
    model::{OnForbidError, Timestamp, Uid, Value},
    request::{EntityInput, RequestInput, RequestLimits, Violation},
    store::{Bounds, PolicyStore, StoreFiles},
    testing::DEFAULT_NOW,
};
use serde_json::Value as Json;

use crate::{
    engine_corpus::{self, Test, TestRequest},
    engine_oracle::Answer,
};

const POLICIES: &str = "policies.cedar";

/// The results of the tests, and of their requests in each way of telling the entities.
#[derive(Debug, Default)]
struct Tally {
    /// Tests whose policies are valid, and those of which they are not.
    stores: usize,
    invalid: usize,
    /// Requests that the compact form decided, those left to Cedar, and those of them that have
    /// errors.
    compact: usize,
    left: usize,
    failed: usize,
    /// The allows and the forbidden among those that the compact form decided.
    allowed: usize,
    forbidden: usize,
    /// Requests with a moment outside the years 1 to 9999, which this server does not take.
    out_of_years: usize,
    /// Others that it does not take.
    refused: usize,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.stores += other.stores;
        self.invalid += other.invalid;
        self.compact += other.compact;
        self.left += other.left;
        self.failed += other.failed;
        self.allowed += other.allowed;
        self.forbidden += other.forbidden;
        self.out_of_years += other.out_of_years;
        self.refused += other.refused;
    }
}

#[test]
fn stores_of_the_corpus_decide_like_cedar() {
    let Some(mut files) = engine_corpus::files() else { return };
    for (name, text) in &mut files {
        name_what_has_no_id(name, text);
    }
    let tally = Mutex::new(Tally::default());
    engine_corpus::each(&files, |name| {
        let found = check(name, &files);
        *tally.lock().unwrap() += found;
    });
    let tally = tally.into_inner().unwrap();
    println!("{tally:?}");
    let decided = tally.compact + tally.left;
    // Four in five tests have policies that are valid, and nearly all requests are for the compact
    // form, each asked twice; those that are not keep the way to Cedar in the test.
    assert!(tally.stores > 3 * tally.invalid, "{tally:?}");
    assert!(tally.refused * 20 < decided, "{tally:?}");
    assert!(tally.out_of_years * 20 < decided, "{tally:?}");
    assert!(tally.compact * 10 > decided * 9, "{tally:?}");
    assert!(tally.allowed * 2 > tally.compact && tally.forbidden * 20 > tally.compact, "{tally:?}");
    assert!(tally.left > 0 && tally.failed > 0, "{tally:?}");
}

/// Gives entities without an id one, for a store takes none without and 6,711 of the 7,809 tests have
/// one.
fn name_what_has_no_id(name: &str, text: &mut String) {
    let mut replace = |without: &str, with: &str| {
        if text.contains(without) {
            *text = text.replace(without, with);
        }
    };
    replace("::\"\"", "::\"no id\"");
    replace("\"id\": \"\"", "\"id\": \"no id\"");
    if name.ends_with(".cedarschema") {
        for before in [" ", "["] {
            // Texts that follow an id of an enumeration or of an action, and never an attribute's name.
            for after in ["]", ",", ";", " in ", " appliesTo"] {
                replace(&format!("{before}\"\"{after}"), &format!("{before}\"no id\"{after}"));
            }
        }
    }
}

fn check(name: &str, files: &HashMap<String, String>) -> Tally {
    let test: Test = serde_json::from_str(&files[name]).unwrap();
    let schema = Schema::from_str(&files[&test.schema]).unwrap();
    let policies = PolicySet::from_str(&files[&test.policies]).unwrap();
    let entities = Entities::from_json_str(&files[&test.entities], Some(&schema)).unwrap();
    let schema_and_policies =
        [("s.cedarschema", &files[&test.schema]), (POLICIES, &files[&test.policies])];
    // The entities are held by the store, or they are sent.
    let fixed = ("e.cedarentities.json", &files[&test.entities]);
    let holding = store(schema_and_policies.into_iter().chain([fixed]));
    let empty = store(schema_and_policies);
    let (Some(holding), Some(empty)) = (holding, empty) else {
        return Tally { invalid: 1, ..Tally::default() };
    };
    let sent: Option<Vec<_>> = entities.iter().filter_map(entity).collect();
    let mut tally = Tally { stores: 1, ..Tally::default() };
    for asked in &test.requests {
        let place = format!("{name}, {}", asked.description);
        let (request, input) = request(asked, &schema);
        let cedar = Answer::of_cedar(&request, &policies, &entities);
        let Some(input) = input else {
            tally.refused += 2;
            continue;
        };
        ask(&holding, &input, &cedar, &place, &mut tally);
        match &sent {
            Some(sent) => {
                let input = RequestInput { entities: sent.clone(), ..input };
                ask(&empty, &input, &cedar, &format!("{place}, sent"), &mut tally);
            }
            None => tally.refused += 1,
        }
    }
    tally
}

fn store<'a>(files: impl IntoIterator<Item = (&'a str, &'a String)>) -> Option<PolicyStore> {
    let files = files.into_iter().map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
    let files = StoreFiles::new("corpus".parse().unwrap(), files);
    PolicyStore::load(Arc::new(files), &Bounds::default()).ok()
}

/// Asks a store, by the compact form alone and by all there is.
fn ask(store: &PolicyStore, input: &RequestInput, cedar: &Answer, place: &str, tally: &mut Tally) {
    let request = match store.check(input, DEFAULT_NOW, &RequestLimits::default()) {
        Ok(request) => request,
        Err(violations) => {
            let is_moment = |violation: &Violation| violation.description.contains("1 to 9999");
            let is_out = violations.iter().any(is_moment);
            *if is_out { &mut tally.out_of_years } else { &mut tally.refused } += 1;
            return;
        }
    };
    let decision = decide(store.engine(), &request, OnForbidError::Skip);
    assert_eq!(answer(&decision), *cedar, "{place}");
    match decide_compiled(store.engine(), &request) {
        Some(compact) => {
            assert_eq!(answer(&compact), *cedar, "{place}, by the compact form");
            tally.compact += 1;
            tally.allowed += usize::from(cedar.allow);
            tally.forbidden += usize::from(!cedar.allow && !cedar.reasons.is_empty());
        }
        None => {
            tally.left += 1;
            tally.failed += usize::from(!cedar.errors.is_empty());
        }
    }
}

/// A decision with the policies called as Cedar's parser calls them.
fn answer(decision: &Decision) -> Answer {
    let cedars = |id: &str| {
        let place = id.strip_prefix(POLICIES).unwrap().strip_prefix(':').unwrap();
        format!("policy{}", place.parse::<usize>().unwrap() - 1)
    };
    let ids: Vec<_> = decision.determining.iter().map(|policy| policy.id()).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let errors = decision.errors.iter();
    Answer {
        allow: decision.is_allow(),
        reasons: ids.into_iter().map(cedars).collect(),
        errors: errors.map(|e| (cedars(&e.policy_id), e.message.clone())).collect::<BTreeSet<_>>(),
    }
}

fn request(asked: &TestRequest, schema: &Schema) -> (Request, Option<RequestInput>) {
    let cedars = |json: &Json| EntityUid::from_json(json.clone()).unwrap();
    let (principal, action) = (cedars(&asked.principal), cedars(&asked.action));
    let resource = cedars(&asked.resource);
    let context = Context::from_json_value(asked.context.clone(), Some((schema, &action)));
    let context =
        context.unwrap_or_else(|_| Context::from_json_value(asked.context.clone(), None).unwrap());
    let facts = record(&context.to_json_value().unwrap());
    let input = facts.map(|context| RequestInput {
        principal: Some(uid(&principal)),
        action: Some(uid(&action)),
        resource: Some(uid(&resource)),
        context,
        ..RequestInput::default()
    });
    (Request::new(principal, action, resource, context, None).unwrap(), input)
}

fn uid(uid: &EntityUid) -> Uid {
    Uid::new(uid.type_name().to_string(), uid.id().unescaped())
}

/// An entity as it is sent; actions are the schema's.
fn entity(entity: &cedar_policy::Entity) -> Option<Option<EntityInput>> {
    if entity.uid().type_name().basename() == "Action" {
        return None;
    }
    let json = entity.to_json_value().unwrap();
    let parents = json["parents"].as_array().unwrap().iter();
    let parents = parents.map(|json| uid(&EntityUid::from_json(json.clone()).unwrap()));
    let tags = json.get("tags").cloned().unwrap_or_else(|| serde_json::json!({}));
    Some(record(&json["attrs"]).zip(record(&tags)).map(|(attributes, tags)| EntityInput {
        uid: Some(uid(&entity.uid())),
        attributes,
        parents: parents.collect(),
        tags,
        overrides: false,
    }))
}

fn record(json: &Json) -> Option<Vec<(String, Value)>> {
    json.as_object()?.iter().map(|(name, json)| Some((name.clone(), value(json)?))).collect()
}

/// A value in Cedar's JSON; none where this test cannot write it as one that is sent.
fn value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => Value::Long(number.as_i64()?),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(values) => Value::Set(values.iter().map(value).collect::<Option<_>>()?),
        Json::Object(fields) => match (fields.get("__entity"), fields.get("__extn")) {
            (Some(entity), _) => Value::Entity(uid(&EntityUid::from_json(entity.clone()).unwrap())),
            (_, Some(call)) => extension(call)?,
            _ => Value::Record(record(json)?),
        },
        Json::Null => return None,
    })
}

fn extension(call: &Json) -> Option<Value> {
    let argument = call.get("arg")?.as_str()?.to_owned();
    Some(match call.get("fn")?.as_str()? {
        "decimal" => Value::Decimal(argument),
        "ip" => Value::Ip(argument),
        "datetime" => Value::Datetime(moment(&argument)?),
        _ => return None,
    })
}

/// A moment as Cedar reads it. The year 0 is one to Cedar and to the engine, though none that can be
/// sent: it is read as the year 400, of which every day is as long after the same day of the year 0.
fn moment(text: &str) -> Option<Timestamp> {
    const MILLIS: i64 = 146_097 * 86_400_000;

    match text.strip_prefix("0000-") {
        Some(rest) => {
            let later: Timestamp = format!("0400-{rest}").parse().ok()?;
            Some(Timestamp::from_millis(later.as_millis() - MILLIS))
        }
        None => text.parse().ok(),
    }
}
