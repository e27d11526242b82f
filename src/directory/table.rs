//! Records that are found by their number and by their hash, of which two states share what is the
//! same.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Records of one chunk: a change copies the chunks that it touches. A chunk of records of 64 bytes
/// takes 8 KiB with the count of its owners, which is a size that allocators keep.
const CHUNK: usize = 127;
/// Parts of the index: a change copies the parts that it touches.
const SHARDS: usize = 256;

/// A record of a [`Table`].
pub(super) trait TableRecord: Clone {
    /// Returns the hash of what the record is found by.
    fn hash(&self, state: &RandomState) -> u64;

    /// The number of its uses; one at first.
    fn uses(&mut self) -> &mut u32;
}

/// Numbered records. A number stays that of its record until the last use of it has ended, and is
/// then given to another.
#[derive(Clone)]
pub(super) struct Table<T> {
    chunks: Arc<Vec<Arc<Chunk<T>>>>,
    /// The first of the free cells, each of which names the next.
    free: Option<u32>,
    shards: Arc<[Arc<HashTable<u32>>]>,
    state: RandomState,
}

type Chunk<T> = [Cell<T>; CHUNK];

#[derive(Clone)]
enum Cell<T> {
    Used(T),
    Free { next: Option<u32> },
}

impl<T: TableRecord> Table<T> {
    pub(super) fn new() -> Self {
        Self {
            chunks: Arc::default(),
            free: None,
            shards: vec![Arc::default(); SHARDS].into(),
            state: RandomState::default(),
        }
    }

    /// The seed of the hashes of records.
    pub(super) fn state(&self) -> &RandomState {
        &self.state
    }

    pub(super) fn get(&self, number: u32) -> Option<&T> {
        match cell(&self.chunks, number)? {
            Cell::Used(record) => Some(record),
            Cell::Free { .. } => None,
        }
    }

    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        match self.cell_mut(number)? {
            Cell::Used(record) => Some(record),
            Cell::Free { .. } => None,
        }
    }

    /// Returns the number of the record of that hash for which `is_it` holds.
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<u32> {
        let shard = self.shards.get(shard_of(hash))?;
        shard.find(hash, |number| self.get(*number).is_some_and(&is_it)).copied()
    }

    /// Returns all records in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let cells = self.chunks.iter().flat_map(|chunk| chunk.iter());
        (0..).zip(cells).filter_map(|(number, cell)| match cell {
            Cell::Used(record) => Some((number, record)),
            Cell::Free { .. } => None,
        })
    }

    /// Adds a record that is not there yet, with one use.
    pub(super) fn insert(&mut self, record: T) -> u32 {
        let hash = record.hash(&self.state);
        let number = self.free.unwrap_or_else(|| self.add_chunk());
        let used = Cell::Used(record);
        if let Some(cell) = self.cell_mut(number)
            && let Cell::Free { next } = std::mem::replace(cell, used)
        {
            self.free = next;
        }
        let (chunks, state) = (&self.chunks, &self.state);
        let hash_of = |number: &u32| match cell(chunks, *number) {
            Some(Cell::Used(record)) => record.hash(state),
            _ => 0,
        };
        if let Some(shard) = Arc::make_mut(&mut self.shards).get_mut(shard_of(hash)) {
            Arc::make_mut(shard).insert_unique(hash, number, hash_of);
        }
        number
    }

    #[cfg(test)]
    pub(super) fn indexed(&self) -> usize {
        self.shards.iter().map(|shard| shard.len()).sum()
    }

    /// Counts one use more of a record.
    pub(super) fn retain(&mut self, number: u32) {
        if let Some(record) = self.get_mut(number) {
            *record.uses() = record.uses().saturating_add(1);
        }
    }

    /// Counts one use less of a record, and returns whether that was the last.
    pub(super) fn unuse(&mut self, number: u32) -> bool {
        let Some(record) = self.get_mut(number) else { return false };
        let uses = record.uses();
        *uses = uses.saturating_sub(1);
        *uses == 0
    }

    /// Counts one use less of a record, and removes it if that was the last.
    pub(super) fn release(&mut self, number: u32) {
        if self.unuse(number) {
            self.remove(number);
        }
    }

    /// Removes a record; its number becomes free.
    pub(super) fn remove(&mut self, number: u32) -> Option<T> {
        let hash = self.get(number)?.hash(&self.state);
        if let Some(shard) = Arc::make_mut(&mut self.shards).get_mut(shard_of(hash))
            && let Ok(entry) = Arc::make_mut(shard).find_entry(hash, |other| *other == number)
        {
            entry.remove();
        }
        let next = self.free;
        let cell = std::mem::replace(self.cell_mut(number)?, Cell::Free { next });
        self.free = Some(number);
        match cell {
            Cell::Used(record) => Some(record),
            Cell::Free { .. } => None,
        }
    }

    fn cell_mut(&mut self, number: u32) -> Option<&mut Cell<T>> {
        let chunk = Arc::make_mut(&mut self.chunks).get_mut(chunk_of(number))?;
        Arc::make_mut(chunk).get_mut(place_in_chunk(number))
    }

    /// Adds a chunk of free cells, and returns the number of the first.
    fn add_chunk(&mut self) -> u32 {
        let first = self.chunks.len() * CHUNK;
        let numbered = |place: usize| u32::try_from(first + place).unwrap_or(u32::MAX);
        let next = |place| (place + 1 < CHUNK).then(|| numbered(place + 1));
        let chunk = std::array::from_fn(|place| Cell::Free { next: next(place) });
        Arc::make_mut(&mut self.chunks).push(Arc::new(chunk));
        numbered(0)
    }
}

fn cell<T>(chunks: &[Arc<Chunk<T>>], number: u32) -> Option<&Cell<T>> {
    chunks.get(chunk_of(number))?.get(place_in_chunk(number))
}

fn chunk_of(number: u32) -> usize {
    number as usize / CHUNK
}

fn place_in_chunk(number: u32) -> usize {
    number as usize % CHUNK
}

/// Returns the part of the index that has a hash. Its bits are others than those that the part
/// itself goes by.
fn shard_of(hash: u64) -> usize {
    usize::from(u8::try_from((hash >> 40) & 0xff).unwrap_or_default())
}
