//! Records of processes that are not decided yet, held back within a bound.
//!
//! A process that is selected by the port it serves on is decided at its first accepted connection; what it did
//! before belongs to its traces if it is selected then, and to nobody if it is not.

use std::collections::{VecDeque, hash_map::Entry};

use engine::event::ConnectionId;
use rustc_hash::FxHashMap;

/// Bytes held in all: the calls of some thousand processes before their first accept.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// A record and what it waits for.
#[derive(Debug)]
struct Waiting {
    tgid: u32,
    conn: ConnectionId,
    record: Vec<u8>,
}

/// Records in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Held {
    records: VecDeque<Waiting>,
    /// Connections with held records: their end is held as well. With the process of the last record, and how
    /// many there are.
    connections: FxHashMap<ConnectionId, (u32, usize)>,
    /// How many records are held for each process: most process events find none.
    processes: FxHashMap<u32, usize>,
    bytes: usize,
    dropped: u64,
}

impl Held {
    /// Holds a record. The oldest go where it does not fit.
    pub(crate) fn push(&mut self, tgid: u32, conn: ConnectionId, record: &[u8]) {
        if record.len() > BYTES_MAX {
            self.dropped += 1;
            return;
        }
        let (holder, count) = self.connections.entry(conn).or_default();
        (*holder, *count) = (tgid, *count + 1);
        *self.processes.entry(tgid).or_default() += 1;
        self.bytes += record.len();
        self.records.push_back(Waiting { tgid, conn, record: record.to_vec() });
        while self.bytes > BYTES_MAX {
            let Some(old) = self.records.pop_front() else { break };
            self.forget(&old);
            self.dropped += 1;
        }
    }

    /// The process that a connection's records wait for.
    pub(crate) fn holder(&self, conn: ConnectionId) -> Option<u32> {
        self.connections.get(&conn).map(|(tgid, _)| *tgid)
    }

    /// Takes the records of a process, in order.
    pub(crate) fn take(&mut self, tgid: u32) -> Vec<Vec<u8>> {
        let Some(&count) = self.processes.get(&tgid) else { return Vec::new() };
        let mut taken = Vec::with_capacity(count);
        for waiting in std::mem::take(&mut self.records) {
            if waiting.tgid == tgid {
                self.forget(&waiting);
                taken.push(waiting.record);
            } else {
                self.records.push_back(waiting);
            }
        }
        taken
    }

    /// A record left the queue.
    fn forget(&mut self, waiting: &Waiting) {
        self.bytes = self.bytes.saturating_sub(waiting.record.len());
        if let Entry::Occupied(mut entry) = self.connections.entry(waiting.conn) {
            let (_, count) = entry.get_mut();
            *count = count.saturating_sub(1);
            if *count == 0 {
                entry.remove();
            }
        }
        if let Entry::Occupied(mut entry) = self.processes.entry(waiting.tgid) {
            *entry.get_mut() = entry.get().saturating_sub(1);
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }

    /// Records that did not fit.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONN: ConnectionId = ConnectionId { sock: 1, inode: 2 };

    #[test]
    fn a_process_gets_its_own_records_in_order() {
        let mut held = Held::default();
        held.push(1, CONN, b"a");
        held.push(2, ConnectionId { sock: 3, inode: 4 }, b"b");
        held.push(1, CONN, b"c");
        assert_eq!(held.holder(CONN), Some(1));
        assert_eq!(held.take(1), [b"a".to_vec(), b"c".to_vec()]);
        assert_eq!(held.holder(CONN), None);
        assert_eq!(held.take(1), Vec::<Vec<u8>>::new());
        assert_eq!(held.take(2), [b"b".to_vec()]);
        assert_eq!(held.bytes, 0);
        assert!(held.connections.is_empty() && held.processes.is_empty());
    }

    #[test]
    fn a_connection_is_forgotten_with_its_last_record() {
        let mut held = Held::default();
        let record = vec![0; BYTES_MAX / 2];
        held.push(1, CONN, &record);
        held.push(1, CONN, &record);
        let other = ConnectionId { sock: 3, inode: 4 };
        held.push(2, other, &record);
        assert_eq!(held.holder(CONN), Some(1), "one of two was pushed out");
        held.push(2, other, &record);
        assert_eq!(held.holder(CONN), None);
        assert!(held.take(1).is_empty());
        assert_eq!(held.take(2).len(), 2);
        assert!(held.connections.is_empty() && held.processes.is_empty());
    }

    #[test]
    fn what_does_not_fit_pushes_out_the_oldest_and_is_counted() {
        let mut held = Held::default();
        let record = vec![0; BYTES_MAX / 4];
        for _ in 0..6 {
            held.push(1, CONN, &record);
        }
        assert_eq!(held.dropped(), 2);
        assert_eq!(held.take(1).len(), 4);
    }
}
