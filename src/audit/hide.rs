//! Hiding fields of a record: leaving them out, or replacing them by a keyed hash or a mask.

use std::{fs, io::Read as _, path::Path};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value as Json};
use sha2::Sha256;

use super::{LogOptions, OpenError, RecordField};

const MASK: &str = "[masked]";
/// Shorter keys can be guessed.
const KEY_BYTES: usize = 16;

/// Which fields are hidden, and how.
pub(super) struct Hiding {
    rules: Vec<(RecordField, How)>,
    key: Hmac<Sha256>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Omit,
    Hash,
    Mask,
}

impl Hiding {
    /// What the options say; nothing where they hide nothing.
    pub fn new(options: &LogOptions) -> Result<Option<Self>, OpenError> {
        let rules = |fields: &[RecordField], how| -> Vec<_> {
            fields.iter().map(|field| (field.clone(), how)).collect()
        };
        // In this order: what is left out needs no hash, and what is hashed no mask.
        let rules = [
            rules(&options.omit, How::Omit),
            rules(&options.hash, How::Hash),
            rules(&options.mask, How::Mask),
        ]
        .concat();
        if rules.is_empty() {
            return Ok(None);
        }
        let key = match &options.hash_key_file {
            Some(path) => key_of(path)?,
            None => {
                if !options.hash.is_empty() {
                    tracing::info!(
                        "hashes in the decision log change with every start: name a key with \
                         `decision_log.hash_key_file` to compare them"
                    );
                }
                random_key().map_err(|error| OpenError::Key {
                    path: RANDOM.into(),
                    reason: error.to_string(),
                })?
            }
        };
        let key = Hmac::new_from_slice(&key)
            .map_err(|error| OpenError::Key { path: RANDOM.into(), reason: error.to_string() })?;
        Ok(Some(Self { rules, key }))
    }

    /// Hides the fields of a record and names those that were.
    pub fn apply(&self, record: &mut Map<String, Json>) {
        let mut hidden = Vec::new();
        for (field, how) in &self.rules {
            // Whoever hides a name in one place must not find it in the next.
            let same = self.entity_named_by(record, field);
            let mut applied = self.hide(record, field.steps(), *how);
            if let Some(uid) = same {
                for (name, value) in record.iter_mut() {
                    if field.steps().first() != Some(name) {
                        self.hide_entity(value, &uid, *how);
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
        // What went wrong is told in words that repeat ids and values.
        for steps in [&["errors", "message"][..], &["actions", "undecided", "reason"]] {
            let steps: Vec<_> = steps.iter().map(|step| (*step).to_owned()).collect();
            self.hide(record, &steps, How::Mask);
        }
        record.insert("hidden".to_owned(), Json::Array(hidden));
    }

    /// The entity of which `principal.id`, `resource.id` or the whole of it is hidden.
    fn entity_named_by(&self, record: &Map<String, Json>, field: &RecordField) -> Option<Uid> {
        let (root, whole) = match field.steps() {
            [root] => (root, true),
            [root, id] if id == "id" => (root, false),
            _ => return None,
        };
        if root != "principal" && root != "resource" {
            return None;
        }
        let uid = Uid::of(record.get(root)?)?;
        Some(Uid { whole, ..uid })
    }

    fn hide(&self, fields: &mut Map<String, Json>, steps: &[String], how: How) -> bool {
        let Some((name, more)) = steps.split_first() else { return false };
        if more.is_empty() {
            let Some(value) = fields.get_mut(name) else { return false };
            match self.replacement(value, how) {
                Some(hidden) => *value = hidden,
                None => drop(fields.remove(name)),
            }
            return true;
        }
        fields.get_mut(name).is_some_and(|value| self.hide_in(value, more, how))
    }

    fn hide_in(&self, value: &mut Json, steps: &[String], how: How) -> bool {
        match value {
            Json::Object(fields) => self.hide(fields, steps, how),
            Json::Array(values) => {
                let mut hidden = false;
                for value in values {
                    hidden |= self.hide_in(value, steps, how);
                }
                hidden
            }
            _ => false,
        }
    }

    /// Hides every reference to an entity.
    fn hide_entity(&self, value: &mut Json, uid: &Uid, how: How) {
        if Uid::of(value).is_some_and(|found| found.is_same_entity(uid)) {
            if let Json::Object(fields) = value {
                let names: &[&str] = if uid.whole { &["type", "id"] } else { &["id"] };
                for name in names {
                    // A reference must stay one: what is left out is masked here.
                    let how = if how == How::Omit { How::Mask } else { how };
                    self.hide(fields, &[(*name).to_owned()], how);
                }
            }
            return;
        }
        match value {
            Json::Object(fields) => {
                fields.values_mut().for_each(|value| self.hide_entity(value, uid, how));
            }
            Json::Array(values) => {
                values.iter_mut().for_each(|value| self.hide_entity(value, uid, how));
            }
            _ => {}
        }
    }

    fn replacement(&self, value: &Json, how: How) -> Option<Json> {
        match how {
            How::Omit => None,
            How::Mask => Some(MASK.into()),
            How::Hash => {
                let mut hash = self.key.clone();
                match value {
                    Json::String(text) => hash.update(text.as_bytes()),
                    other => hash.update(other.to_string().as_bytes()),
                }
                let bytes = hash.finalize().into_bytes();
                let hex: String = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
                Some(format!("hash:{hex}").into())
            }
        }
    }
}

/// The name of an entity.
struct Uid {
    type_name: String,
    id: String,
    whole: bool,
}

impl Uid {
    fn of(value: &Json) -> Option<Self> {
        let fields = value.as_object().filter(|fields| fields.len() == 2)?;
        let text = |name| fields.get(name).and_then(Json::as_str).map(str::to_owned);
        Some(Self { type_name: text("type")?, id: text("id")?, whole: false })
    }

    /// A type may be written with its namespace or without.
    fn is_same_entity(&self, other: &Self) -> bool {
        let last = |name: &str| name.rsplit("::").next().map(str::to_owned);
        self.id == other.id && last(&self.type_name) == last(&other.type_name)
    }
}

const RANDOM: &str = "/dev/urandom";

fn random_key() -> std::io::Result<Vec<u8>> {
    let mut key = vec![0; 32];
    fs::File::open(RANDOM)?.read_exact(&mut key)?;
    Ok(key)
}

fn key_of(path: &Path) -> Result<Vec<u8>, OpenError> {
    let refused = |reason: String| OpenError::Key { path: path.to_owned(), reason };
    let key = fs::read(path).map_err(|error| refused(error.to_string()))?;
    let key = key.trim_ascii();
    if key.len() < KEY_BYTES {
        return Err(refused(format!("it is shorter than {KEY_BYTES} bytes")));
    }
    Ok(key.to_vec())
}
