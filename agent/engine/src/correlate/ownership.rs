//! The reader rule: the task that read a request owns the calls it makes until it has answered.
//!
//! True of threads that handle one request at a time, and only of those. Three signs show that a task is not
//! one, and end the rule before a call is given out with a wrong parent (calls wait for their owner's end):
//!
//! * it reads a request while one that it read is unanswered: neither owns a call, and if the earlier one is
//!   answered later than that (its answer was neither lost to us nor just recorded late, as one is that the
//!   close of its connection completes) the task **multiplexes** for good;
//! * the answer is written by another task: the threads of the **process are not tasks** for good;
//! * a request ended without an answer: for a while its task may or may not still work on it (**doubt**).
//!
//! "For good" ends when the process execs or exits. Limits: [`limit::TASKS_MAX`]; at the bound idle tasks are
//! forgotten first, then new ones get no owner.

use rustc_hash::FxHashMap;

use crate::{
    event::{Task, Time},
    exchange::{Exchange, Key, Owner},
    limit,
    span::SpanLink,
};

#[derive(Default)]
pub(crate) struct Ownership {
    processes: FxHashMap<u32, Process>,
    tasks: usize,
    /// Tasks at which idle ones are forgotten next.
    prune_at: usize,
}

#[derive(Default)]
struct Process {
    not_tasks: bool,
    tasks: FxHashMap<u64, State>,
}

#[derive(Default)]
struct State {
    current: Option<Current>,
    /// Requests read and not answered.
    unanswered: u32,
    /// Times that it became unknown what the task works on.
    voids: u32,
    multiplexes: bool,
    doubtful_until: Time,
}

struct Current {
    exchange: Key<Exchange>,
    /// Set when it is given out, if calls may follow from it; and when it ended.
    gone: Option<(SpanLink, Time)>,
    /// The task has begun to read another request: once this one is answered nothing follows from it.
    superseded: bool,
}

/// What reading a request meant.
pub(crate) struct Read {
    /// Reasons why the calls of its task cannot be told from others.
    pub(crate) taints: u32,
    /// The request that the task read before and has not answered, as far as is known.
    pub(crate) overlaps: Option<Key<Exchange>>,
}

impl Ownership {
    /// Who owns a call that this task starts, and how often it had been void.
    pub(crate) fn owner(&self, task: Task, start: Time) -> Option<(Owner, u32)> {
        let process = self.processes.get(&task.tgid)?;
        let state = process.tasks.get(&task.id)?;
        if process.not_tasks || state.multiplexes {
            return None;
        }
        let current = state.current.as_ref().filter(|it| !it.superseded || state.unanswered > 0)?;
        let owner = match &current.gone {
            None => Owner::Exchange(current.exchange),
            Some((link, end)) if start <= end.saturating_add(limit::FOLLOWS_MAX) => Owner::Gone(link.clone()),
            Some(_) => return None,
        };
        Some((owner, state.voids))
    }

    /// A task read a request.
    pub(crate) fn read(&mut self, task: Task, exchange: Key<Exchange>, time: Time) -> Read {
        let Some(state) = self.state_or_new(task) else { return Read { taints: 1, overlaps: None } };
        let former = state.current.replace(Current { exchange, gone: None, superseded: false });
        let overlaps = former.filter(|_| state.unanswered > 0).map(|former| former.exchange);
        let doubt = state.multiplexes || time < state.doubtful_until;
        let taints = state.unanswered.saturating_add(u32::from(doubt));
        state.unanswered = state.unanswered.saturating_add(1);
        Read { taints, overlaps }
    }

    /// A request that a task read ended; `answered`: by a response that was seen to its end; `overlapped`: and
    /// only after the task had read another one.
    pub(crate) fn ended(&mut self, task: Task, answered: bool, overlapped: bool, time: Time) {
        let Some(state) = self.state(task) else { return };
        state.unanswered = state.unanswered.saturating_sub(1);
        if !answered {
            state.doubtful_until = time.saturating_add(limit::DOUBT);
        } else if overlapped {
            state.multiplexes = true;
        }
    }

    /// An exchange that a task read was given out (or left out: `None`).
    pub(crate) fn given_out(&mut self, task: Task, exchange: Key<Exchange>, link: Option<(SpanLink, Time)>) {
        if let Some(state) = self.state(task)
            && let Some(current) = state.current.as_mut().filter(|current| current.exchange == exchange)
        {
            match link {
                Some(link) => current.gone = Some(link),
                None => state.current = None,
            }
        }
    }

    /// A task begins to read a request that is not complete, and may never be.
    pub(crate) fn begins(&mut self, task: Task) {
        if let Some(current) = self.state(task).and_then(|state| state.current.as_mut()) {
            current.superseded = true;
        }
    }

    /// A task did something for a request that was not seen: what it works on next is unknown.
    pub(crate) fn void(&mut self, task: Task) {
        if let Some(state) = self.state(task) {
            state.voids = state.voids.wrapping_add(1);
            if state.unanswered == 0 {
                state.current = None;
            }
        }
    }

    /// A call of this task may still be taken for one of its owner's.
    pub(crate) fn holds(&self, task: Task) -> bool {
        self.processes.get(&task.tgid).is_none_or(|process| {
            !process.not_tasks && process.tasks.get(&task.id).is_none_or(|state| !state.multiplexes)
        })
    }

    /// Nothing has come between this task's last answer and its call.
    pub(crate) fn undisturbed(&self, task: Task, voids: u32) -> bool {
        let state = self.processes.get(&task.tgid).and_then(|process| process.tasks.get(&task.id));
        state.is_some_and(|state| state.voids == voids) && self.holds(task)
    }

    pub(crate) fn not_tasks(&mut self, tgid: u32) {
        if self.processes.len() < limit::TASKS_MAX || self.processes.contains_key(&tgid) {
            self.processes.entry(tgid).or_default().not_tasks = true;
        }
    }

    /// The process started another image or ended.
    pub(crate) fn forget(&mut self, tgid: u32) {
        if let Some(process) = self.processes.remove(&tgid) {
            self.tasks = self.tasks.saturating_sub(process.tasks.len());
        }
    }

    fn state(&mut self, task: Task) -> Option<&mut State> {
        self.processes.get_mut(&task.tgid)?.tasks.get_mut(&task.id)
    }

    fn state_or_new(&mut self, task: Task) -> Option<&mut State> {
        if self.tasks >= self.prune_at.max(limit::TASKS_PRUNE) {
            self.prune();
        }
        let process = self.processes.entry(task.tgid).or_default();
        if !process.tasks.contains_key(&task.id) {
            if self.tasks >= limit::TASKS_MAX {
                return None;
            }
            self.tasks = self.tasks.saturating_add(1);
        }
        Some(process.tasks.entry(task.id).or_default())
    }

    /// Forgets tasks that work on nothing: at most a link to what they did before is lost.
    fn prune(&mut self) {
        let mut kept = 0_usize;
        self.processes.retain(|_, process| {
            process.tasks.retain(|_, state| state.unanswered > 0 || state.multiplexes);
            kept = kept.saturating_add(process.tasks.len());
            process.not_tasks || !process.tasks.is_empty()
        });
        self.tasks = kept;
        // Twice what is left, so that pruning costs O(1) a task.
        self.prune_at = kept.saturating_mul(2).min(limit::TASKS_MAX);
    }
}
