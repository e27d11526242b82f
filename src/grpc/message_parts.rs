//! The number of fields of a message, counted before it is decoded.
//!
//! Two bytes on the wire may become two hundred in memory: an entity of which nothing is said, for
//! example. So what a message holds is counted before it is read.

use std::{collections::HashMap, sync::LazyLock};

use prost::Message as _;
use prost_types::{DescriptorProto, FileDescriptorSet};

use crate::proto::FILE_DESCRIPTOR_SET;

/// Levels to which messages are followed; prost reads no deeper.
const DEPTH: usize = 100;

/// The messages of the contract.
#[derive(Default)]
struct Contract {
    /// The request of each method, by the method's name.
    requests: HashMap<String, MessageType>,
    /// For each message the fields that hold messages, by number.
    fields: HashMap<(MessageType, u64), MessageType>,
}

/// A message, by its index in the list of all messages of the contract.
type MessageType = usize;

static CONTRACT: LazyLock<Contract> = LazyLock::new(|| {
    FileDescriptorSet::decode(FILE_DESCRIPTOR_SET)
        .map(|files| Contract::new(&files))
        .unwrap_or_default()
});

impl Contract {
    fn new(files: &FileDescriptorSet) -> Self {
        let mut messages = Vec::new();
        for file in &files.file {
            collect(&format!(".{}", file.package()), &file.message_type, &mut messages);
        }
        let places = messages.iter().enumerate().map(|(place, (name, _))| (name.as_str(), place));
        let places: HashMap<&str, MessageType> = places.collect();
        let mut contract = Self::default();
        for method in files.file.iter().flat_map(|file| &file.service).flat_map(|one| &one.method) {
            let request = places.get(method.input_type());
            contract.requests.extend(request.map(|place| (method.name().to_owned(), *place)));
        }
        for (place, (_, message)) in messages.iter().enumerate() {
            for field in &message.field {
                let number = u64::try_from(field.number()).unwrap_or_default();
                let held = places.get(field.type_name());
                contract.fields.extend(held.map(|held| ((place, number), *held)));
            }
        }
        contract
    }

    /// Counts the fields up to the first mistake, those of the messages in it included.
    fn parts(&self, message: MessageType, mut bytes: &[u8], depth: usize) -> usize {
        let mut parts = 0;
        while let Some((number, content, rest)) = field(bytes) {
            parts += 1;
            if let (Some(held), 1..) = (self.fields.get(&(message, number)), depth) {
                parts += self.parts(*held, content, depth - 1);
            }
            bytes = rest;
        }
        parts
    }
}

/// Collects messages and those that are declared in them, each with its full name.
fn collect<'a>(
    scope: &str,
    declared: &'a [DescriptorProto],
    messages: &mut Vec<(String, &'a DescriptorProto)>,
) {
    for message in declared {
        let name = format!("{scope}.{}", message.name());
        collect(&name, &message.nested_type, messages);
        messages.push((name, message));
    }
}

/// Returns whether the request of a method has more fields than a limit, those of the messages in it
/// included. It need not be well formed, for it is read up to its first mistake.
pub(super) fn has_more_parts(method: &str, request: &[u8], limit: usize) -> bool {
    // Nearly every part is two bytes at least; one that is less takes no room.
    request.len() / 2 > limit
        && CONTRACT
            .requests
            .get(method)
            .is_none_or(|message| CONTRACT.parts(*message, request, DEPTH) > limit)
}

/// The number and the content of the first field, and what follows it. Only a field that may be a
/// message has content.
fn field(mut bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let nothing = &[][..];
    let key = varint(&mut bytes)?;
    let (content, rest) = match key & 7 {
        0 => varint(&mut bytes).map(|_| (nothing, bytes))?,
        1 => (nothing, bytes.get(8..)?),
        5 => (nothing, bytes.get(4..)?),
        2 => {
            let length = usize::try_from(varint(&mut bytes)?).ok()?;
            bytes.split_at_checked(length)?
        }
        // The beginning or the end of a group: its fields are counted as if they stood outside.
        3 | 4 => (nothing, bytes),
        _ => return None,
    };
    Some((key >> 3, content, rest))
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::grpc::metrics::Rpc;
    use crate::proto::{
        BatchIsAuthorizedItem, BatchIsAuthorizedRequest, Entity, EntityUid, IsAuthorizedRequest,
        ListActionsRequest, RoleAssignment, RoleAssignments, Value, ValueRecord, ValueSet,
        value::Kind,
    };

    const PARTS: usize = 400_000;

    fn has_more(request: &[u8]) -> bool {
        has_more_parts(Rpc::IsAuthorized.name(), request, PARTS)
    }

    fn parts(rpc: Rpc, request: &[u8]) -> usize {
        CONTRACT.parts(*CONTRACT.requests.get(rpc.name()).unwrap(), request, DEPTH)
    }

    fn numbers(count: usize) -> Value {
        let values = vec![Value { kind: Some(Kind::Long(1)) }; count];
        Value { kind: Some(Kind::Set(ValueSet { values })) }
    }

    #[test]
    fn parts_are_counted_at_every_depth() {
        let entity = |count| Entity {
            attributes: [("numbers".to_owned(), numbers(count))].into(),
            ..Entity::default()
        };
        let request = |count| IsAuthorizedRequest {
            entities: vec![entity(count), Entity::default()],
            ..IsAuthorizedRequest::default()
        };
        let counted = |count| parts(Rpc::IsAuthorized, &request(count).encode_to_vec());
        assert_eq!(counted(0) + 20, counted(10));
        assert!(!has_more(&request(130_000).encode_to_vec()));
        assert!(has_more(&request(210_000).encode_to_vec()));
    }

    #[test]
    fn parts_are_counted_in_every_message_of_every_request() {
        let grows = |rpc, request: &dyn Fn(usize) -> Vec<u8>| {
            assert_eq!(parts(rpc, &request(1)) + 20, parts(rpc, &request(11)), "{}", rpc.name());
        };
        let fields = |count| [("a".to_owned(), numbers(count))].into();
        let record =
            |count| Value { kind: Some(Kind::Record(ValueRecord { fields: fields(count) })) };
        let tags = |count| vec![Entity { tags: fields(count), ..Entity::default() }];
        grows(Rpc::ListActions, &|count| {
            let context = [("record".to_owned(), record(count))].into();
            ListActionsRequest { context, ..ListActionsRequest::default() }.encode_to_vec()
        });
        grows(Rpc::ListActions, &|count| {
            let request = ListActionsRequest { entities: tags(count), ..Default::default() };
            request.encode_to_vec()
        });
        grows(Rpc::BatchIsAuthorized, &|count| {
            let role = RoleAssignment { role: "viewer".to_owned(), ..RoleAssignment::default() };
            let role_assignments = Some(RoleAssignments { items: vec![role; count] });
            let items = vec![BatchIsAuthorizedItem { role_assignments, ..Default::default() }];
            BatchIsAuthorizedRequest { items, ..Default::default() }.encode_to_vec()
        });
    }

    #[test]
    fn text_is_no_part_whatever_it_looks_like() {
        let text = "x".repeat(3 * PARTS);
        let request = IsAuthorizedRequest {
            policy_store: text.clone(),
            principal: Some(EntityUid { r#type: "User".to_owned(), id: text.clone() }),
            context: [(text.clone(), Value { kind: Some(Kind::String(text)) })].into(),
            ..IsAuthorizedRequest::default()
        };
        assert!(!has_more(&request.encode_to_vec()));
    }

    #[test]
    fn a_mistake_hides_nothing_that_is_read_before_it() {
        let many = [0x32, 0].repeat(PARTS + 1);
        for (before, after) in [(&[][..], &[0xff; 11][..]), (&[0x7b, 0x7c], &[]), (&[], &[0x0f])] {
            assert!(has_more(&[before, &many, after].concat()));
        }
        for bytes in [&[0xff; 11][..], &[0x0a, 5, 1], &[0x0f], &[0x09, 1], &[0x08], &[]] {
            assert_eq!(parts(Rpc::IsAuthorized, bytes), 0, "{bytes:?}");
        }
        let endless = [&[0x0a][..], &[0xff; 9], &[1]].concat();
        assert_eq!(parts(Rpc::IsAuthorized, &endless), 0);
    }
}
