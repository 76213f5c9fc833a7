//! Which gRPC methods a service has, by how it answered.
//!
//! A method that was only ever answered with UNIMPLEMENTED is none of its methods, and does not name a span: a
//! scanner would make as many names as it likes. One that was not answered at all may be one; of these a few
//! are believed.
//!
//! Limits: [`METHODS_MAX`] methods a process, [`UNANSWERED_MAX`] of them unanswered; [`PROCESSES_MAX`] processes.

use std::hash::{BuildHasher, RandomState};

use rustc_hash::{FxHashMap, FxHashSet};

/// More than services have.
const METHODS_MAX: usize = 1000;
const UNANSWERED_MAX: usize = 100;
/// The methods of further processes are not told from what scanners make up.
const PROCESSES_MAX: usize = 10_000;

#[derive(Default)]
pub(crate) struct Methods {
    processes: FxHashMap<u32, Known>,
    /// Names are kept as hashes that nobody can foresee.
    hasher: RandomState,
}

#[derive(Default)]
struct Known {
    methods: FxHashSet<u64>,
    unanswered: usize,
}

/// How a call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// As only a method that there is can be.
    Served,
    Unimplemented,
    None,
}

impl Methods {
    /// Does the process have this method, as far as is known now?
    pub(crate) fn recognise(&mut self, tgid: u32, method: &[u8], answer: Answer) -> bool {
        let hash = self.hasher.hash_one(method);
        let full = self.processes.len() >= PROCESSES_MAX;
        if answer == Answer::Unimplemented || full && !self.processes.contains_key(&tgid) {
            return self.processes.get(&tgid).is_some_and(|known| known.methods.contains(&hash));
        }
        let known = self.processes.entry(tgid).or_default();
        let room = known.methods.len() < METHODS_MAX
            && (answer == Answer::Served || known.unanswered < UNANSWERED_MAX);
        if known.methods.contains(&hash) {
            return true;
        }
        if room {
            known.methods.insert(hash);
            known.unanswered = known.unanswered.saturating_add(usize::from(answer == Answer::None));
        }
        room
    }

    /// The process ended or started another image.
    pub(crate) fn forget(&mut self, tgid: u32) {
        self.processes.remove(&tgid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_known_from_its_first_real_answer_on() {
        let mut methods = Methods::default();
        assert!(!methods.recognise(1, b"a.B/C", Answer::Unimplemented));
        assert!(methods.recognise(1, b"a.B/C", Answer::Served));
        assert!(methods.recognise(1, b"a.B/C", Answer::Unimplemented));
        assert!(!methods.recognise(2, b"a.B/C", Answer::Unimplemented));
        methods.forget(1);
        assert!(!methods.recognise(1, b"a.B/C", Answer::Unimplemented));
    }

    #[test]
    fn names_are_bounded() {
        for (answer, bound) in
            [(Answer::Unimplemented, 0), (Answer::None, UNANSWERED_MAX), (Answer::Served, METHODS_MAX)]
        {
            let mut methods = Methods::default();
            let known = (0..10_000).filter(|n: &u32| methods.recognise(1, &n.to_le_bytes(), answer)).count();
            assert_eq!(known, bound);
        }
    }
}
