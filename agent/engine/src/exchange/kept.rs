//! The values of header fields that an operator asked for.

use crate::{limit, policy::HeaderNames, protocol::Field};

/// What an entry costs beside its value.
const ENTRY: usize = size_of::<Entry>();

#[derive(Debug)]
struct Entry {
    /// Where its name stands in the list that was asked for.
    name: usize,
    value: Box<[u8]>,
}

/// Values, in the order of the fields.
#[derive(Debug, Default)]
pub(crate) struct Kept(Vec<Entry>);

impl Kept {
    /// Keeps the fields of these names within `room`; says how many there was no room for. They are left out whole:
    /// a value that is cut is another value.
    pub(crate) fn new(names: &HeaderNames, fields: &[Field<'_>], room: usize) -> (Self, u64) {
        let (mut kept, mut left_out) = (Self::default(), 0_u64);
        if names.is_empty() {
            return (kept, left_out);
        }
        let mut room = room.min(limit::HEADERS_KEPT_MAX);
        for field in fields {
            let Some(name) = names.position(field.name) else { continue };
            match room.checked_sub(field.value.len().saturating_add(ENTRY)) {
                Some(left) => {
                    room = left;
                    kept.0.push(Entry { name, value: field.value.into() });
                }
                None => left_out = left_out.saturating_add(1),
            }
        }
        (kept, left_out)
    }

    /// The values of the name at this position in the list.
    pub(crate) fn of(&self, name: usize) -> impl Iterator<Item = &[u8]> {
        self.0.iter().filter(move |entry| entry.name == name).map(|entry| &*entry.value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes that are kept.
    pub(crate) fn size(&self) -> usize {
        self.0.iter().map(|entry| entry.value.len().saturating_add(ENTRY)).fold(0, usize::saturating_add)
    }
}
