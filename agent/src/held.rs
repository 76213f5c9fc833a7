//! Records of processes that are not decided yet, held back within a bound.
//!
//! A process that is selected by the port it serves on is decided at its first accepted connection; what it did
//! before belongs to its traces if it is selected then, and to nobody if it is not.

use std::collections::VecDeque;

use engine::event::ConnectionId;
use rustc_hash::FxHashMap;

/// Bytes held in all: the calls of some thousand processes before their first accept.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// Records in the order of their arrival, each with the process it waits for.
#[derive(Debug, Default)]
pub struct Held {
    records: VecDeque<(u32, Vec<u8>)>,
    /// Connections with held records: their end is held as well.
    connections: FxHashMap<ConnectionId, u32>,
    bytes: usize,
    dropped: u64,
}

impl Held {
    /// Holds a record. The oldest go where it does not fit.
    pub fn push(&mut self, tgid: u32, conn: ConnectionId, record: &[u8]) {
        if record.len() > BYTES_MAX {
            self.dropped += 1;
            return;
        }
        self.connections.insert(conn, tgid);
        self.bytes += record.len();
        self.records.push_back((tgid, record.to_vec()));
        while self.bytes > BYTES_MAX {
            let Some((_, old)) = self.records.pop_front() else { break };
            self.bytes -= old.len();
            self.dropped += 1;
        }
    }

    /// The process that a connection's records wait for.
    pub fn holder(&self, conn: ConnectionId) -> Option<u32> {
        self.connections.get(&conn).copied()
    }

    /// Takes the records of a process, in order.
    pub fn take(&mut self, tgid: u32) -> Vec<Vec<u8>> {
        if self.records.is_empty() {
            return Vec::new();
        }
        self.connections.retain(|_, holder| *holder != tgid);
        let mut taken = Vec::new();
        self.records.retain_mut(|(holder, record)| {
            let keep = *holder != tgid;
            if !keep {
                self.bytes -= record.len();
                taken.push(std::mem::take(record));
            }
            keep
        });
        taken
    }

    /// Records that did not fit.
    pub fn dropped(&self) -> u64 {
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
