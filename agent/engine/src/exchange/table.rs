//! A table whose keys are never mistaken for those of an earlier entry in the same place.

use core::{fmt, hash, marker::PhantomData};

use slab::Slab;

/// Names an entry for as long as it exists, and nothing afterwards.
pub(crate) struct Key<T> {
    index: u32,
    serial: u32,
    of: PhantomData<fn() -> T>,
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Key<T> {}
impl<T> PartialEq for Key<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.index, self.serial) == (other.index, other.serial)
    }
}
impl<T> Eq for Key<T> {}
impl<T> hash::Hash for Key<T> {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        state.write_u64((u64::from(self.serial) << 32) | u64::from(self.index));
    }
}
impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{}", self.index, self.serial)
    }
}

pub(crate) struct Table<T> {
    entries: Slab<(u32, T)>,
    serial: u32,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { entries: Slab::new(), serial: 0 }
    }
}

impl<T> Table<T> {
    pub(crate) fn insert(&mut self, entry: T) -> Key<T> {
        self.serial = self.serial.wrapping_add(1);
        // Every table is bounded far below 2^32 entries.
        let index = self.entries.insert((self.serial, entry)) as u32;
        Key { index, serial: self.serial, of: PhantomData }
    }

    pub(crate) fn get(&self, key: Key<T>) -> Option<&T> {
        self.entries.get(key.index as usize).filter(|(serial, _)| *serial == key.serial).map(|(_, entry)| entry)
    }

    pub(crate) fn get_mut(&mut self, key: Key<T>) -> Option<&mut T> {
        let (serial, entry) = self.entries.get_mut(key.index as usize)?;
        (*serial == key.serial).then_some(entry)
    }

    pub(crate) fn remove(&mut self, key: Key<T>) -> Option<T> {
        self.get(key)?;
        self.entries.try_remove(key.index as usize).map(|(_, entry)| entry)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Key<T>> + '_ {
        self.entries.iter().map(|(index, (serial, _))| Key { index: index as u32, serial: *serial, of: PhantomData })
    }

    /// The first entry at or behind this place, and the place after it; from the start again at the end.
    pub(crate) fn next_from(&self, place: usize) -> Option<(Key<T>, usize)> {
        let capacity = self.entries.capacity();
        (place..capacity).chain(0..place.min(capacity)).find_map(|index| {
            let (serial, _) = self.entries.get(index)?;
            let key = Key { index: index as u32, serial: *serial, of: PhantomData };
            Some((key, index.saturating_add(1)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn a_key_outlives_its_entry_without_naming_another() {
        let mut table = Table::default();
        let first = table.insert('a');
        assert_eq!(table.remove(first), Some('a'));
        let second = table.insert('b');
        assert_eq!((table.get(first), table.get(second)), (None, Some(&'b')));
        assert_eq!(table.remove(first), None);
        assert_eq!(table.len(), 1);
        assert_eq!(table.next_from(5), Some((second, 1)));
    }
}
