//! Hiding fields of a record: leaving them out, or replacing them by a keyed hash or a mask.

use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value as Json};
use sha2::Sha256;

use super::{LogOptions, OpenError, RecordField};
use crate::{
    model::{DecodeError, decode, hex},
    regular_file,
};

const MASK: &str = "[masked]";
/// The least length of a key that a user gives: shorter ones can be guessed.
const MIN_KEY_BYTES: usize = 16;
/// The length of a random key: that of an HMAC-SHA256.
const RANDOM_KEY_BYTES: usize = 32;

/// The fields that are hidden, and how each is.
pub(super) struct Hiding {
    rules: Vec<(RecordField, Method)>,
    key: Hmac<Sha256>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Omit,
    Hash,
    Mask,
}

impl Hiding {
    /// Reads the options; `None` where they hide nothing.
    ///
    /// # Errors
    /// The key of hashes cannot be had.
    pub fn new(options: &LogOptions) -> Result<Option<Self>, OpenError> {
        let rules = |fields: &[RecordField], method| -> Vec<_> {
            fields.iter().map(|field| (field.clone(), method)).collect()
        };
        // In this order: a field that is left out needs no hash, and one that is hashed no mask.
        let rules = [
            rules(&options.omit, Method::Omit),
            rules(&options.hash, Method::Hash),
            rules(&options.mask, Method::Mask),
        ]
        .concat();
        if rules.is_empty() {
            return Ok(None);
        }
        let key = match &options.hash_key_file {
            Some(path) => read_key(path)?,
            None => {
                if !options.hash.is_empty() {
                    tracing::info!(
                        "hashes in the decision log change with every start: name a key with \
                         `decision_log.hash_key_file` to compare them"
                    );
                }
                let mut key = vec![0; RANDOM_KEY_BYTES];
                getrandom::fill(&mut key).map_err(OpenError::Random)?;
                key
            }
        };
        let key = Hmac::new_from_slice(&key).map_err(|error| OpenError::Hmac(error.to_string()))?;
        Ok(Some(Self { rules, key }))
    }

    /// Hides the fields of a record and names those that were.
    pub fn apply(&self, record: &mut Map<String, Json>) {
        let mut hidden = Vec::new();
        for (field, method) in &self.rules {
            // An id that is hidden in one place must not be readable in another.
            let same = self.entity_named_by(record, field);
            let mut applied = self.hide(record, field.steps(), *method);
            if let Some(uid) = same {
                if uid.whole && uid.id.is_none() {
                    let steps = ["listed", "type"].map(str::to_owned);
                    self.hide(record, &steps, Method::Mask);
                }
                for (name, value) in record.iter_mut() {
                    if field.steps().first() != Some(name) {
                        self.hide_entity(value, &uid, *method);
                    }
                }
                applied = true;
            }
            if applied {
                hidden.push(Json::from(field.as_str()));
            }
        }
        if hidden.is_empty() {
            return;
        }
        // These texts repeat ids and values.
        for steps in [
            &["errors", "message"][..],
            &["actions", "undecided", "reason"],
            &["listed", "undecided", "reason"],
        ] {
            let steps: Vec<_> = steps.iter().map(|step| (*step).to_owned()).collect();
            self.hide(record, &steps, Method::Mask);
        }
        record.insert("hidden".to_owned(), Json::Array(hidden));
    }

    /// Returns the entity that a field names: `principal`, `resource`, or the id of one of them. Where
    /// a list has many in its place, that is every entity of their type.
    fn entity_named_by(
        &self,
        record: &Map<String, Json>,
        field: &RecordField,
    ) -> Option<HiddenUid> {
        let (root, whole) = match field.steps() {
            [root] => (root, true),
            [root, id] if id == "id" => (root, false),
            _ => return None,
        };
        if root != "principal" && root != "resource" {
            return None;
        }
        if let Some(listed) = record.get("listed")
            && listed.get("side").and_then(Json::as_str) == Some(root)
        {
            let type_name = listed.get("type")?.as_str()?.to_owned();
            return Some(HiddenUid { type_name, id: None, whole });
        }
        let uid = HiddenUid::of(record.get(root)?)?;
        Some(HiddenUid { whole, ..uid })
    }

    fn hide(&self, fields: &mut Map<String, Json>, steps: &[String], method: Method) -> bool {
        let Some((name, more)) = steps.split_first() else { return false };
        if more.is_empty() {
            let Some(value) = fields.get_mut(name) else { return false };
            match self.replacement(value, method) {
                Some(hidden) => *value = hidden,
                None => drop(fields.remove(name)),
            }
            return true;
        }
        fields.get_mut(name).is_some_and(|value| self.hide_in(value, more, method))
    }

    fn hide_in(&self, value: &mut Json, steps: &[String], method: Method) -> bool {
        match value {
            Json::Object(fields) => self.hide(fields, steps, method),
            Json::Array(values) => {
                let mut hidden = false;
                for value in values {
                    hidden |= self.hide_in(value, steps, method);
                }
                hidden
            }
            _ => false,
        }
    }

    /// Hides every reference to an entity in a value.
    fn hide_entity(&self, value: &mut Json, uid: &HiddenUid, method: Method) {
        if HiddenUid::of(value).is_some_and(|found| found.is_same_entity(uid)) {
            if let Json::Object(fields) = value {
                let names: &[&str] = if uid.whole { &["type", "id"] } else { &["id"] };
                for name in names {
                    // A reference needs both fields, so they are masked where they would be left out.
                    let method = if method == Method::Omit { Method::Mask } else { method };
                    self.hide(fields, &[(*name).to_owned()], method);
                }
            }
            return;
        }
        match value {
            Json::Object(fields) => {
                fields.values_mut().for_each(|value| self.hide_entity(value, uid, method));
            }
            Json::Array(values) => {
                values.iter_mut().for_each(|value| self.hide_entity(value, uid, method));
            }
            _ => {}
        }
    }

    fn replacement(&self, value: &Json, method: Method) -> Option<Json> {
        match method {
            Method::Omit => None,
            Method::Mask => Some(MASK.into()),
            Method::Hash => {
                let mut hash = self.key.clone();
                match value {
                    Json::String(text) => hash.update(text.as_bytes()),
                    other => hash.update(other.to_string().as_bytes()),
                }
                let bytes = hash.finalize().into_bytes();
                let digits = hex(bytes.get(..16).unwrap_or(&bytes));
                Some(format!("hash:{digits}").into())
            }
        }
    }
}

/// The name of an entity.
struct HiddenUid {
    type_name: String,
    /// None: that of every entity of the type.
    id: Option<String>,
    whole: bool,
}

impl HiddenUid {
    fn of(value: &Json) -> Option<Self> {
        let fields = value.as_object().filter(|fields| fields.len() == 2)?;
        let text = |name| fields.get(name).and_then(Json::as_str).map(str::to_owned);
        Some(Self { type_name: text("type")?, id: Some(text("id")?), whole: false })
    }

    /// Returns whether both name one entity. A type may be written with its namespace or without.
    fn is_same_entity(&self, other: &Self) -> bool {
        let last = |name: &str| name.rsplit("::").next().map(str::to_owned);
        (other.id.is_none() || self.id == other.id)
            && last(&self.type_name) == last(&other.type_name)
    }
}

/// Reads the key of hashes from its file.
fn read_key(path: &Path) -> Result<Vec<u8>, OpenError> {
    let refused = |reason: String| OpenError::Key { path: path.to_owned(), reason };
    let bytes = regular_file::read(path).map_err(|error| refused(error.to_string()))?;
    // A key may be any bytes. Of text, neither how a shell on Windows marks it nor its end is meant.
    if let [0xff, 0xfe, _, 0, _, 0, ..] = *bytes {
        return Err(refused(format!("it is {}", DecodeError::Utf16)));
    }
    let key = decode(&bytes).map_or(bytes.as_slice(), str::as_bytes).trim_ascii();
    if key.len() < MIN_KEY_BYTES {
        return Err(refused(format!("it is shorter than {MIN_KEY_BYTES} bytes")));
    }
    Ok(key.to_vec())
}
