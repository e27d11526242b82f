//! The question of the view Try in the forms in which others ask it.

use serde_json::{Map, Value as Json, json};

use crate::{
    model::{StoreName, Uid, Value},
    request::{
        EntityInput, RequestInput,
        json::{EntityJson, Fields},
    },
};

/// The environment variable that holds the token where the listener asks for one.
const TOKEN: &str = "AUTHZEN_TOKEN";
const CONTENT_TYPE: &str = "Content-Type: application/json";

/// A question as a command and in two languages.
#[derive(Debug)]
pub(super) struct Copies {
    pub check: String,
    /// The file that the command names, where there are entities.
    pub entities: Option<String>,
    pub curl: String,
    pub python: String,
    /// The question has parents or tags, which AuthZEN cannot say.
    pub says_less: bool,
    /// The question has roles, which AuthZEN takes only where the store says so.
    pub has_roles: bool,
}

impl Copies {
    /// Writes a question to a store of the server at `base`, e.g. `http://127.0.0.1:8182`. A token is
    /// taken from the environment.
    pub fn of(store: &StoreName, input: &RequestInput, base: &str, needs_token: bool) -> Self {
        let url = format!("{base}/stores/{store}/access/v1/evaluation");
        let question = authzen(input).to_string();
        let entities: Vec<_> = input.entities.iter().map(EntityJson::new).collect();
        let is_asked_for =
            |entity: &EntityInput| entity.uid == input.principal || entity.uid == input.resource;
        let mut curl =
            vec![format!("curl -s {}", quoted(&url)), format!("  -H {}", quoted(CONTENT_TYPE))];
        let modules = if needs_token { "json, os" } else { "json" };
        let mut python = vec![
            format!("import {modules}, urllib.request"),
            format!("question = json.loads({})", quoted_for_python(&question)),
            format!(
                "request = urllib.request.Request({}, json.dumps(question).encode(), \
                 {{\"Content-Type\": \"application/json\"}})",
                quoted_for_python(&url)
            ),
        ];
        if needs_token {
            curl.push(format!("  -H \"Authorization: Bearer ${TOKEN}\""));
            python.push(format!(
                "request.add_header(\"Authorization\", \"Bearer \" + os.environ[\"{TOKEN}\"])"
            ));
        }
        curl.push(format!("  -d {}", quoted(&question)));
        python.push("print(json.load(urllib.request.urlopen(request))[\"decision\"])".to_owned());
        Self {
            check: check(store, input),
            entities: (!entities.is_empty())
                .then(|| serde_json::to_string_pretty(&entities).unwrap_or_default()),
            curl: curl.join(" \\\n"),
            python: python.join("\n"),
            says_less: input.entities.iter().any(|entity| {
                !is_asked_for(entity) || !entity.parents.is_empty() || !entity.tags.is_empty()
            }),
            has_roles: !input.role_assignments.is_empty(),
        }
    }
}

fn check(store: &StoreName, input: &RequestInput) -> String {
    let uid = |uid: &Option<Uid>| uid.as_ref().map(Uid::to_string).unwrap_or_default();
    let action = input.action.as_ref().map(|action| match action.type_name.as_str() {
        "" => action.id.clone(),
        _ => action.to_string(),
    });
    let mut lines = vec![
        format!("humbaba check --store {store}"),
        format!("  --principal {}", quoted(&uid(&input.principal))),
        format!("  --action {}", quoted(&action.unwrap_or_default())),
        format!("  --resource {}", quoted(&uid(&input.resource))),
    ];
    let roles = input.role_assignments.iter();
    lines.extend(roles.map(|role| format!("  --role {}", quoted(&role.to_string()))));
    let context = serde_json::to_value(Fields(&input.context)).unwrap_or_default();
    for (name, value) in context.as_object().into_iter().flatten() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        lines.push(format!("  --context {}", quoted(&format!("{name}={text}"))));
    }
    if !input.entities.is_empty() {
        lines.push("  --entities entities.json".to_owned());
    }
    lines.push("  --explain".to_owned());
    lines.join(" \\\n")
}

/// Returns a question as AuthZEN asks it.
fn authzen(input: &RequestInput) -> Json {
    let entity = |uid: &Option<Uid>, roles: Vec<Json>| {
        let uid = uid.clone().unwrap_or_default();
        let of = input.entities.iter().find(|entity| entity.uid.as_ref() == Some(&uid));
        let attributes = of.map(|entity| entity.attributes.as_slice()).unwrap_or_default();
        let mut properties = object(attributes);
        if !roles.is_empty() {
            properties.insert("roles".to_owned(), roles.into());
        }
        let mut entity = json!({ "type": uid.type_name, "id": uid.id });
        if let (Json::Object(fields), false) = (&mut entity, properties.is_empty()) {
            fields.insert("properties".to_owned(), properties.into());
        }
        entity
    };
    let roles = input.role_assignments.iter().map(|role| {
        let scope = role.scope.clone().or_else(|| input.resource.clone()).unwrap_or_default();
        let mut json = json!({
            "role": role.role,
            "scope": { "type": scope.type_name, "id": scope.id },
        });
        if let (Json::Object(fields), Some(moment)) = (&mut json, role.expires_at) {
            fields.insert("expires_at".to_owned(), moment.to_string().into());
        }
        json
    });
    let action = input.action.clone().unwrap_or_default();
    let mut question = json!({
        "subject": entity(&input.principal, roles.collect()),
        "action": { "name": action.id },
        "resource": entity(&input.resource, Vec::new()),
    });
    if let (Json::Object(fields), false) = (&mut question, input.context.is_empty()) {
        fields.insert("context".to_owned(), object(&input.context).into());
    }
    question
}

fn object(fields: &[(String, Value)]) -> Map<String, Json> {
    fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
}

/// Writes a value as AuthZEN has it: without Cedar's escapes.
fn plain(value: &Value) -> Json {
    match value {
        Value::Missing => Json::Null,
        Value::Bool(value) => (*value).into(),
        Value::Long(value) => (*value).into(),
        Value::String(text) | Value::Decimal(text) | Value::Ip(text) => text.clone().into(),
        Value::Entity(uid) => json!({ "type": uid.type_name, "id": uid.id }),
        Value::Set(values) => values.iter().map(plain).collect(),
        Value::Record(fields) => object(fields).into(),
        Value::Datetime(moment) => moment.to_string().into(),
        Value::Duration(millis) => format!("{millis}ms").into(),
    }
}

/// Quotes a text for a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-/:".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Quotes a text for Python, whose escapes include those of JSON.
fn quoted_for_python(text: &str) -> String {
    Json::from(text).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn hostile_names_stay_in_their_quotes() {
        let evil = "a'; rm -rf / #\"\n";
        let input = RequestInput {
            principal: Some(Uid::new("User", evil)),
            action: Some(Uid::action("site.view")),
            resource: Some(Uid::new("Site", "1")),
            context: vec![("reason".into(), Value::String(evil.into()))],
            role_assignments: vec!["editor".parse().unwrap()],
            ..RequestInput::default()
        };
        let copies = Copies::of(&"acme".parse().unwrap(), &input, "http://h:1", false);
        let lines: Vec<_> = copies.check.lines().collect();
        assert_eq!(lines[1], r#"  --principal 'User::"a\'\''; rm -rf / #\"\n"' \"#);
        assert!(copies.check.contains(r"--role editor \"), "{}", copies.check);
        let sent: Json = authzen(&input);
        assert_eq!(sent["subject"]["properties"]["roles"][0]["scope"]["id"], "1");
        assert_eq!(sent["subject"]["id"], evil);
    }
}
