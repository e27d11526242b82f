//! A batch as it was sent. Of an item that only names its principal, action and resource, as nearly
//! all do, the names are read where they lie.

use prost::{
    DecodeError, Message as _,
    encoding::{self, DecodeContext, WireType},
};

use crate::proto::{BatchIsAuthorizedItem, BatchIsAuthorizedRequest, EntityUid};

/// The number of the field `items`, and the key of an item.
const ITEMS: u32 = 9;
const ITEM: u8 = key(9);
/// The keys of an item's `principal`, `action` and `resource`, and of a name's `type` and `id`.
const PRINCIPAL: u8 = key(1);
const ACTION: u8 = key(2);
const RESOURCE: u8 = key(3);
const TYPE: u8 = key(1);
const ID: u8 = key(2);

/// Room is made for so many items at once at most.
const ROOM_FOR: usize = 1_024;

const fn key(field: u8) -> u8 {
    field << 3 | WireType::LengthDelimited as u8
}

/// A batch as it was sent.
#[derive(Debug)]
pub(in crate::server) struct Sent<'m> {
    /// All of it but the items.
    pub shared: BatchIsAuthorizedRequest,
    /// The messages of the items. Thousands are cheaper to read when they are looked at than to be
    /// kept read.
    pub items: Vec<Message<'m>>,
}

/// The message of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Message<'m> {
    /// Its every byte is text, keys and lengths too, as in nearly all: then what is in it is text as
    /// well, and need not be looked at again.
    Text(&'m str),
    /// It may be anything.
    Bytes(&'m [u8]),
}

/// An item as it was sent.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::server) enum Item<'m> {
    /// It names parties and nothing else.
    Plain(Parties<'m>),
    /// There is more to it.
    Full(Box<BatchIsAuthorizedItem>),
}

/// Principal, action and resource of an item; what is missing is the shared one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::server) struct Parties<'m> {
    pub principal: Option<Name<'m>>,
    pub action: Option<Name<'m>>,
    pub resource: Option<Name<'m>>,
}

/// The name of an entity as it was sent.
#[derive(Debug, Clone, Copy, Default, Eq, Hash)]
pub(in crate::server) struct Name<'m> {
    pub type_name: &'m str,
    pub id: &'m str,
}

impl PartialEq for Name<'_> {
    fn eq(&self, other: &Self) -> bool {
        // Actions are mostly sent without a type, and an empty text may lie anywhere: processors that
        // compare under a mask take 200 ns to find that there is nothing at an address that is none.
        let is_same =
            |one: &str, other: &str| one.len() == other.len() && (one.is_empty() || one == other);
        is_same(self.id, other.id) && is_same(self.type_name, other.type_name)
    }
}

impl<'m> Sent<'m> {
    /// Reads all of a batch but its items.
    ///
    /// # Errors
    /// It is not a valid message.
    pub fn read(message: &'m [u8]) -> Result<Self, DecodeError> {
        let mut shared = BatchIsAuthorizedRequest::default();
        let mut items = Vec::new();
        let mut rest = message;
        while !rest.is_empty() {
            if items.is_empty() && rest.first() == Some(&ITEM) {
                rest = texts(rest, &mut items);
                if !items.is_empty() {
                    continue;
                }
            }
            let (field, wire_type) = encoding::decode_key(&mut rest)?;
            if field == ITEMS
                && wire_type == WireType::LengthDelimited
                && let Some((item, after)) = delimited(rest)
            {
                items.push(Message::Bytes(item));
                rest = after;
                continue;
            }
            shared.merge_field(field, wire_type, &mut rest, DecodeContext::default())?;
        }
        Ok(Self { shared, items })
    }
}

/// Takes the items with which a message goes on as long as they are text. What is left of it is
/// returned.
fn texts<'m>(message: &'m [u8], items: &mut Vec<Message<'m>>) -> &'m [u8] {
    let mut text = longest_text(message);
    let mut taken = 0;
    while let [ITEM, length @ 0..0x80, ..] = text.as_bytes()
        && let end = 2 + usize::from(*length)
        && let Some((item, after)) = text.split_at_checked(end)
        && let Some(item) = item.get(2..)
    {
        if items.is_empty() {
            // The others are about as long.
            items.reserve((message.len() / end).min(ROOM_FOR));
        }
        items.push(Message::Text(item));
        text = after;
        taken += end;
    }
    message.get(taken..).unwrap_or_default()
}

/// The longest text with which bytes begin.
fn longest_text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_else(|error| {
        let text = bytes.get(..error.valid_up_to()).unwrap_or_default();
        str::from_utf8(text).unwrap_or_default()
    })
}

impl<'m> Message<'m> {
    /// The resource of an item that is written as most are: it names that and nothing else, for the
    /// others are those of the batch.
    #[inline]
    pub fn resource(self, last_type: &mut &'m str) -> Option<Name<'m>> {
        let Self::Text(text) = self else { return None };
        let [RESOURCE, length @ 0..0x80, name @ ..] = text.as_bytes() else { return None };
        let is_all = name.len() == usize::from(*length);
        is_all.then(|| Name::in_order(text.get(2..)?, last_type)).flatten()
    }

    fn bytes(self) -> &'m [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

impl<'m> Item<'m> {
    /// Reads an item. `last_type` is the type of entity that was read last, which is likely to come
    /// again.
    ///
    /// # Errors
    /// It is not a valid message.
    pub fn read(item: Message<'m>, last_type: &mut &'m str) -> Result<Self, DecodeError> {
        match Parties::read(item, last_type) {
            Some(parties) => Ok(Self::Plain(parties)),
            None => {
                BatchIsAuthorizedItem::decode(item.bytes()).map(|item| Self::Full(Box::new(item)))
            }
        }
    }

    /// The parties of an item that has nothing else.
    pub fn parties(&self) -> Option<Parties<'m>> {
        match self {
            Self::Plain(parties) => Some(*parties),
            Self::Full(_) => None,
        }
    }

    /// The item as a message.
    pub fn into_message(self) -> BatchIsAuthorizedItem {
        match self {
            Self::Full(item) => *item,
            Self::Plain(parties) => BatchIsAuthorizedItem {
                principal: parties.principal.map(EntityUid::from),
                action: parties.action.map(EntityUid::from),
                resource: parties.resource.map(EntityUid::from),
                ..BatchIsAuthorizedItem::default()
            },
        }
    }
}

impl From<Name<'_>> for EntityUid {
    fn from(name: Name<'_>) -> Self {
        Self { r#type: name.type_name.to_owned(), id: name.id.to_owned() }
    }
}

impl<'m> Parties<'m> {
    /// The parties of an item that has nothing else, and each at most once.
    pub fn read(item: Message<'m>, last_type: &mut &'m str) -> Option<Self> {
        match item.resource(last_type) {
            Some(resource) => {
                Some(Self { principal: None, action: None, resource: Some(resource) })
            }
            None => Self::read_all(item.bytes(), last_type),
        }
    }

    fn read_all(item: &'m [u8], last_type: &mut &'m str) -> Option<Self> {
        let mut parties = Self::default();
        each(item, |key, content| {
            let party = match key {
                PRINCIPAL => &mut parties.principal,
                ACTION => &mut parties.action,
                RESOURCE => &mut parties.resource,
                _ => return None,
            };
            party.is_none().then_some(())?;
            *party = Some(Name::read(content, last_type)?);
            Some(())
        })?;
        Some(parties)
    }
}

impl<'m> Name<'m> {
    /// `last_type` is the type that was read last, which is likely to come again.
    fn read(name: &'m [u8], last_type: &mut &'m str) -> Option<Self> {
        let (type_name, id) = Self::in_any_order(name)?;
        Some(Self::of(str::from_utf8(type_name).ok()?, str::from_utf8(id).ok()?, last_type))
    }

    /// A name as nearly everybody writes it: a short type, and a short id after it.
    #[inline]
    fn in_order(name: &'m str, last_type: &mut &'m str) -> Option<Self> {
        let [TYPE, length @ 0..0x80, ..] = name.as_bytes() else { return None };
        let (type_name, rest) = name.split_at_checked(2 + usize::from(*length))?;
        let [ID, length @ 0..0x80, id @ ..] = rest.as_bytes() else { return None };
        let is_all = id.len() == usize::from(*length);
        is_all.then_some(Self::of(type_name.get(2..)?, rest.get(2..)?, last_type))
    }

    /// A type that comes again is the same text, which is quicker to see than that it says the same.
    #[inline]
    fn of(type_name: &'m str, id: &'m str, last_type: &mut &'m str) -> Self {
        if type_name != *last_type {
            *last_type = type_name;
        }
        Self { type_name: last_type, id }
    }

    fn in_any_order(name: &'m [u8]) -> Option<(&'m [u8], &'m [u8])> {
        let (mut type_name, mut id) = (None, None);
        each(name, |key, content| {
            let text = match key {
                TYPE => &mut type_name,
                ID => &mut id,
                _ => return None,
            };
            text.is_none().then(|| *text = Some(content))
        })?;
        Some((type_name.unwrap_or_default(), id.unwrap_or_default()))
    }
}

/// Goes through fields that all have a key of one byte and a length; nothing where one has not, or
/// where `take` does not want one.
#[inline]
fn each<'m>(mut message: &'m [u8], mut take: impl FnMut(u8, &'m [u8]) -> Option<()>) -> Option<()> {
    while let Some((key, rest)) = message.split_first() {
        let (content, rest) = delimited(rest)?;
        take(*key, content)?;
        message = rest;
    }
    Some(())
}

/// What is as long as is said before it, and the rest.
#[inline]
fn delimited(mut bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    // Nearly all is shorter than what one byte can say.
    if let [length @ 0..0x80, rest @ ..] = bytes {
        return rest.split_at_checked(usize::from(*length));
    }
    let length = encoding::decode_varint(&mut bytes).ok()?;
    bytes.split_at_checked(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::proto::{RoleAssignment, Value};

    /// What prost makes of a message, in our words.
    fn whole(message: &[u8]) -> Option<(BatchIsAuthorizedRequest, Vec<BatchIsAuthorizedItem>)> {
        let mut batch = BatchIsAuthorizedRequest::decode(message).ok()?;
        let items = std::mem::take(&mut batch.items);
        Some((batch, items))
    }

    fn read(message: &[u8]) -> Option<(BatchIsAuthorizedRequest, Vec<BatchIsAuthorizedItem>)> {
        let sent = Sent::read(message).ok()?;
        let items = sent.items.into_iter().map(|item| Item::read(item, &mut ""));
        let items = items.map(|item| item.map(Item::into_message));
        Some((sent.shared, items.collect::<Result<_, _>>().ok()?))
    }

    fn uid() -> impl Strategy<Value = Option<EntityUid>> {
        let text = || prop_oneof!["", "[a-z]{1,5}", "[aé]{60,90}", "[a-z]{8200,8300}"];
        let uid = (text(), text()).prop_map(|(r#type, id)| EntityUid { r#type, id });
        prop::option::of(uid)
    }

    fn item() -> impl Strategy<Value = BatchIsAuthorizedItem> {
        (uid(), uid(), uid(), 0..8_u8).prop_map(|(principal, action, resource, more)| {
            let mut item = BatchIsAuthorizedItem {
                principal,
                action,
                resource,
                ..BatchIsAuthorizedItem::default()
            };
            match more {
                0 => item.explain = true,
                1 => item.role_assignments.push(RoleAssignment::default()),
                2 => drop(item.context.insert(String::new(), Value::default())),
                _ => {}
            }
            item
        })
    }

    fn batch() -> impl Strategy<Value = Vec<u8>> {
        let items = prop::collection::vec(item(), 0..6);
        (uid(), items, any::<bool>()).prop_map(|(principal, items, explain)| {
            let batch =
                BatchIsAuthorizedRequest { principal, items, explain, ..Default::default() };
            batch.encode_to_vec()
        })
    }

    #[test]
    fn items_that_name_parties_only_are_read_where_they_lie() {
        let name = |id: &str| Some(EntityUid { r#type: "Site".to_owned(), id: id.to_owned() });
        let plain = BatchIsAuthorizedItem { resource: name("42"), ..Default::default() };
        let full = BatchIsAuthorizedItem { explain: true, ..plain.clone() };
        let items = vec![plain, full, BatchIsAuthorizedItem::default()];
        let batch = BatchIsAuthorizedRequest { items, ..Default::default() }.encode_to_vec();
        let sent = Sent::read(&batch).unwrap();
        let is_plain =
            |item: &Message<'_>| matches!(Item::read(*item, &mut ""), Ok(Item::Plain(_)));
        let is_plain: Vec<_> = sent.items.iter().map(is_plain).collect();
        assert_eq!(is_plain, [true, false, true]);
    }

    #[test]
    fn what_comes_twice_is_merged_as_in_any_message() {
        // An item of two principals, the first with a type and the second with an id.
        let twice = [0x4a, 10, 0x0a, 3, 0x0a, 1, b'A', 0x0a, 3, 0x12, 1, b'b'];
        assert_eq!(read(&twice), whole(&twice));
        let (_, items) = read(&twice).unwrap();
        let uid = EntityUid { r#type: "A".to_owned(), id: "b".to_owned() };
        assert_eq!(items.first().unwrap().principal, Some(uid));
        // A name of two ids, and one with a field that nobody knows.
        for twice in [
            &[0x4a, 8, 0x1a, 6, 0x12, 1, b'a', 0x12, 1, b'b'][..],
            &[0x4a, 5, 0x1a, 3, 0x1a, 1, b'a'],
        ] {
            assert_eq!(read(twice), whole(twice));
            assert!(read(twice).is_some());
        }
    }

    proptest! {
        #[test]
        fn every_batch_is_read_as_prost_reads_it(batch in batch()) {
            prop_assert!(read(&batch).is_some());
            prop_assert_eq!(read(&batch), whole(&batch));
        }

        #[test]
        fn whatever_is_sent_is_read_as_prost_reads_it(
            batch in batch(),
            at in any::<prop::sample::Index>(),
            byte in any::<u8>(),
            cut in any::<prop::sample::Index>(),
        ) {
            let mut batch = batch;
            if !batch.is_empty() {
                let at = at.index(batch.len());
                batch[at] = byte;
                prop_assert_eq!(read(&batch), whole(&batch));
                batch.truncate(cut.index(batch.len()));
            }
            prop_assert_eq!(read(&batch), whole(&batch));
        }

        #[test]
        fn short_nonsense_is_read_as_prost_reads_it(bytes in prop::collection::vec(
            prop_oneof![Just(0x4a), Just(0x0a), Just(0x12), Just(0x1a), 0..8_u8, any::<u8>()],
            0..24,
        )) {
            prop_assert_eq!(read(&bytes), whole(&bytes));
        }
    }
}
