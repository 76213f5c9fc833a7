//! What the agent knows about processes: which are traced, and what they are.
//!
//! In: the engine's process events ([`Exec`], fork, exit, seen), and `/proc` where it still answers; nothing is
//! polled. Out: decisions for the kernel side's table ([`Change`]) and the [`Resource`] of the image that ran
//! in a process at a kernel time.
//!
//! Limits: as many live processes as configured, and [`RETAINED_MAX`] gone ones for [`RETAINED`], so that late
//! spans find theirs. What does not fit is counted.

mod cgroup;
mod environment;
mod executable;
mod image;
mod interpreter;
mod listen;
pub mod namespace;
mod proc;
mod resource;
mod selection;
mod service_name;
#[cfg(test)]
mod tests;

use std::{
    collections::{VecDeque, hash_map},
    sync::Arc,
};

pub use cgroup::Cgroup;
use engine::event::{Exec, Process, Time};
#[cfg(test)]
pub(crate) use executable::tests::elf32;
pub use executable::{Executable, is_32_bit};
use image::{Image, Observation, Observer};
use listen::Listeners;
pub use proc::{Root, Stat};
pub use resource::Resource;
use resource::{Host, describe};
use rustc_hash::FxHashMap;
pub use selection::{Decision, Selection};
use selection::{Facts, Verdict};
use smallvec::SmallVec;

/// How long a gone process stays known: a client span waits up to 10 s for its owner (`engine::limit`).
const RETAINED: Time = 15_000_000_000;
/// Gone processes known at once: a machine that starts 500 a second.
const RETAINED_MAX: usize = 8192;
/// Images of one process that are remembered: a chain of wrappers that exec one another.
const IMAGES_MAX: usize = 4;
/// A tick of `/proc/PID/stat` in kernel time.
const TICK: Time = 10_000_000;

/// A decision to be written to the kernel side's table.
///
/// The process may have gone meanwhile, and its entry with it: write so that no entry is made anew (`BPF_EXIST`),
/// except for those of [`Processes::scan`] and [`Processes::adopt`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    pub tgid: u32,
    pub decision: Decision,
}

/// Which processes are of interest.
#[derive(Debug)]
pub enum Scope {
    /// A command and its descendants (`run`): what is adopted, and what it forks.
    Command,
    /// What the configuration selects (`agent`).
    Selected(Selection),
}

/// What was refused or given up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Processes not followed because the table was full.
    pub refused: u64,
    /// Gone processes forgotten early because there were too many.
    pub forgotten: u64,
    /// Images that are not traced because they make 32-bit system calls.
    pub thirty_two_bit: u64,
    /// Spans whose process was unknown.
    pub unknown: u64,
}

/// The table of processes.
#[derive(Debug)]
pub struct Processes {
    observer: Observer,
    scope: Scope,
    host: Host,
    /// The agent itself.
    own: u32,
    table: FxHashMap<u32, Entry>,
    live: usize,
    live_max: usize,
    /// Processes that ended, oldest first.
    gone: VecDeque<(Time, u32)>,
    unknown: Arc<Resource>,
    counters: Counters,
}

#[derive(Debug)]
struct Entry {
    verdict: Verdict,
    exited: Option<Time>,
    /// Oldest first.
    images: SmallVec<[Run; 1]>,
}

/// An image in a process.
#[derive(Debug)]
struct Run {
    since: Time,
    /// When the process was created, in ticks, if `/proc` still said.
    start: Option<u64>,
    image: Arc<Image>,
    resource: Option<Arc<Resource>>,
}

impl Processes {
    /// A table without processes. `live_max` bounds it; `own` is the agent, which is never traced.
    pub fn new(root: Root, scope: Scope, live_max: usize, own: u32) -> Self {
        let host = Host::read(&root);
        let image = Image { service: "unknown_service".into(), ..Image::default() };
        let mut unknown = describe(&host, &image, 0, 0);
        unknown
            .attributes
            .retain(|attribute| !matches!(&*attribute.key, "process.pid" | "service.instance.id"));
        Self {
            observer: Observer::new(root),
            scope,
            host,
            own,
            table: FxHashMap::default(),
            live: 0,
            live_max,
            gone: VecDeque::new(),
            unknown: Arc::new(unknown),
            counters: Counters::default(),
        }
    }

    /// Learns every process that runs already. With [`Scope::Command`] there is nothing to learn.
    pub fn scan(&mut self) -> Vec<Change> {
        if matches!(self.scope, Scope::Command) {
            return Vec::new();
        }
        let mut listeners = Listeners::default();
        let mut changes = Vec::new();
        for tgid in self.observer.root.pids() {
            let Some(stat) = self.observer.root.stat(tgid) else { continue };
            if stat.kernel_thread || self.is_live(tgid) {
                continue;
            }
            let decision = self.learn(tgid, Some(stat), None, &mut listeners);
            changes.push(Change { tgid, decision });
        }
        changes
    }

    /// Traces this process whatever the scope: the command of `run`, before its exec.
    pub fn adopt(&mut self, tgid: u32) -> Change {
        let stat = self.observer.root.stat(tgid);
        let seen = self.observer.running(tgid, stat, None);
        self.store(tgid, 0, seen, Verdict::fixed(Decision::Trace));
        Change { tgid, decision: Decision::Trace }
    }

    /// A process started an image.
    pub fn on_exec(&mut self, exec: &Exec<'_>) -> Option<Change> {
        let Process { tgid, time, .. } = exec.process;
        self.expire(time);
        let known = self.table.get(&tgid).filter(|entry| entry.exited.is_none());
        // The parent stands for a child whose fork was lost.
        let known = known.or_else(|| self.table.get(&exec.process.parent));
        let inherited = known.map(|entry| entry.verdict.clone());
        if matches!(self.scope, Scope::Command) && inherited.is_none() {
            return None; // Not a descendant of the command.
        }
        let seen = self.observer.exec(exec);
        let verdict = self.judge(tgid, &seen, inherited);
        let decision = self.store(tgid, time, seen, verdict);
        // Under `run` the kernel side's decision stays what it was.
        matches!(self.scope, Scope::Selected(_)).then_some(Change { tgid, decision })
    }

    /// A process was created. It runs its parent's image and shares its decision; the kernel side copied what
    /// it knew at that moment, so a decision to trace that came later is repeated. One to skip is not: the child
    /// may have started an image of its own by now, whose data would be lost. If such a child sends records,
    /// [`Processes::decision`] says so, and the decision can be written then.
    pub fn on_fork(&mut self, child: &Process) -> Option<Change> {
        let (tgid, time) = (child.tgid, child.time);
        self.expire(time);
        let parent = self.table.get(&child.parent).filter(|entry| entry.exited.is_none());
        let Some((parent, image)) =
            parent.and_then(|entry| Some((entry, entry.images.last()?.image.clone())))
        else {
            return self.on_seen(child);
        };
        let verdict = parent.verdict.clone();
        let run = Run { since: time, start: None, image, resource: None };
        let decision = self.insert(tgid, run, verdict);
        (decision == Decision::Trace && matches!(self.scope, Scope::Selected(_)))
            .then_some(Change { tgid, decision })
    }

    /// A process that the kernel side did not know used a socket.
    pub fn on_seen(&mut self, process: &Process) -> Option<Change> {
        self.expire(process.time);
        let tgid = process.tgid;
        if matches!(self.scope, Scope::Command) {
            return None;
        }
        if let Some(entry) = self.table.get(&tgid).filter(|entry| entry.exited.is_none()) {
            return Some(Change { tgid, decision: entry.verdict.decision });
        }
        let stat = self.observer.root.stat(tgid).filter(|stat| stat.existed_at(process.time));
        let decision = self.learn(tgid, stat, Some(process), &mut Listeners::default());
        Some(Change { tgid, decision })
    }

    /// Data came from a process that no record announced: the record was lost. What runs under the id now is the
    /// same process if it existed then; if not, nothing is known of it.
    pub fn on_unannounced(&mut self, tgid: u32, time: Time) -> Option<Change> {
        let decision = match self.table.get(&tgid) {
            Some(entry) => entry.verdict.decision,
            None if self.live >= self.live_max => Decision::Skip,
            None => {
                let stat = self.observer.root.stat(tgid).filter(|stat| stat.existed_at(time));
                match (stat, &self.scope) {
                    (Some(_), _) => self.learn(tgid, stat, None, &mut Listeners::default()),
                    (None, Scope::Command) => Decision::Trace,
                    (None, Scope::Selected(selection)) => selection.decide(&Facts::unknown(tgid)).decision,
                }
            }
        };
        matches!(self.scope, Scope::Selected(_)).then_some(Change { tgid, decision })
    }

    /// The last thread of a process ended. It stays known for a while.
    pub fn on_exit(&mut self, process: &Process) {
        let hash_map::Entry::Occupied(mut slot) = self.table.entry(process.tgid) else { return };
        let entry = slot.get_mut();
        if entry.exited.is_some() {
            return;
        }
        self.live = self.live.saturating_sub(1);
        if entry.verdict.decision == Decision::Skip {
            slot.remove(); // It makes no spans.
        } else {
            entry.exited = Some(process.time);
            self.gone.push_back((process.time, process.tgid));
        }
        self.expire(process.time);
    }

    /// A process accepted a connection on a local port: decides those that are selected by port.
    pub fn on_accept(&mut self, tgid: u32, port: u16) -> Option<Change> {
        let entry = self.table.get_mut(&tgid)?;
        let decision = entry.verdict.serve(port)?;
        Some(Change { tgid, decision })
    }

    /// Whether a process is traced. Under `run` the kernel side alone knows the descendants, so whatever sends
    /// records is one.
    pub fn decision(&self, tgid: u32) -> Decision {
        match (self.table.get(&tgid), &self.scope) {
            (Some(entry), _) => entry.verdict.decision,
            (None, Scope::Command) => Decision::Trace,
            (None, Scope::Selected(_)) => Decision::Undecided,
        }
    }

    /// Whether the threads of a process say nothing about requests (Go), so that links by thread would be wrong.
    pub fn threads_are_not_tasks(&self, tgid: u32) -> bool {
        let image = self.table.get(&tgid).and_then(|entry| entry.images.last());
        image.is_some_and(|run| run.image.executable.go)
    }

    /// The Resource of the image that ran in a process at a kernel time.
    pub fn resource(&mut self, tgid: u32, time: Time) -> Arc<Resource> {
        if !self.table.contains_key(&tgid) {
            self.on_unannounced(tgid, time);
        }
        let Some(entry) = self.table.get_mut(&tgid) else {
            self.counters.unknown += 1;
            return self.unknown.clone();
        };
        let live = entry.exited.is_none();
        let current = entry.images.len().saturating_sub(1);
        let index = entry.images.iter().rposition(|run| run.since <= time).unwrap_or(0);
        let Some(run) = entry.images.get_mut(index) else { return self.unknown.clone() };
        if let Some(resource) = &run.resource {
            return resource.clone();
        }
        let now =
            || self.observer.root.stat(tgid).filter(|_| live && index == current).map(|stat| stat.start);
        let start = run.start.or_else(now).unwrap_or(run.since / TICK);
        let resource = Arc::new(describe(&self.host, &run.image, tgid, start));
        run.resource.insert(resource).clone()
    }

    /// How many processes are traced at this moment.
    pub fn traced(&self) -> usize {
        let is_traced = |entry: &&Entry| entry.exited.is_none() && entry.verdict.decision == Decision::Trace;
        self.table.values().filter(is_traced).count()
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn is_live(&self, tgid: u32) -> bool {
        self.table.get(&tgid).is_some_and(|entry| entry.exited.is_none())
    }

    /// Takes in a process that runs already.
    fn learn(
        &mut self,
        tgid: u32,
        stat: Option<Stat>,
        event: Option<&Process>,
        listeners: &mut Listeners,
    ) -> Decision {
        let seen = self.observer.running(tgid, stat, event);
        let inherited = matches!(self.scope, Scope::Command).then_some(Verdict::fixed(Decision::Trace));
        let mut verdict = self.judge(tgid, &seen, inherited);
        if verdict.depends_on_ports() {
            for port in listeners.ports(&self.observer.root, tgid) {
                verdict.serve(port);
            }
        }
        // Without an event its image may be any age. With one, an earlier process may have had the id.
        self.store(tgid, event.map_or(0, |event| event.time), seen, verdict)
    }

    fn judge(&mut self, tgid: u32, seen: &Observation, inherited: Option<Verdict>) -> Verdict {
        let (path, cgroup) = (&*seen.image.path, &*seen.image.cgroup);
        let thirty_two_bit = seen.image.executable.thirty_two_bit;
        if thirty_two_bit {
            self.counters.thirty_two_bit += 1;
            tracing::info!(pid = tgid, path, "a 32-bit process is not traced");
        }
        match &self.scope {
            // The kernel side passes 32-bit calls over by itself, and the process may start a 64-bit one.
            Scope::Command => inherited.unwrap_or(Verdict::fixed(Decision::Trace)),
            Scope::Selected(_) if thirty_two_bit || tgid == self.own => Verdict::fixed(Decision::Skip),
            Scope::Selected(selection) => {
                selection.decide(&Facts { pid: tgid, path, line: &seen.line, user: seen.user, cgroup })
            }
        }
    }

    fn store(&mut self, tgid: u32, since: Time, seen: Observation, verdict: Verdict) -> Decision {
        let run = Run { since, start: seen.start, image: Arc::new(seen.image), resource: None };
        self.insert(tgid, run, verdict)
    }

    /// Returns the decision that holds: a process that does not fit is not traced.
    fn insert(&mut self, tgid: u32, run: Run, verdict: Verdict) -> Decision {
        let decision = verdict.decision;
        match self.table.entry(tgid) {
            hash_map::Entry::Occupied(mut slot) => {
                let entry = slot.get_mut();
                if entry.exited.take().is_some() {
                    self.live += 1;
                }
                if entry.images.len() >= IMAGES_MAX {
                    entry.images.remove(0);
                }
                entry.images.push(run);
                entry.verdict = verdict;
            }
            hash_map::Entry::Vacant(_) if self.live >= self.live_max => {
                self.counters.refused += 1;
                return Decision::Skip;
            }
            hash_map::Entry::Vacant(slot) => {
                self.live += 1;
                slot.insert(Entry { verdict, exited: None, images: smallvec::smallvec![run] });
            }
        }
        decision
    }

    /// Forgets processes that ended long ago, or the oldest if there are too many.
    fn expire(&mut self, now: Time) {
        while let Some(&(time, tgid)) = self.gone.front() {
            let crowded = self.gone.len() > RETAINED_MAX;
            if !crowded && time.saturating_add(RETAINED) > now {
                break;
            }
            self.gone.pop_front();
            // A new process may have the id.
            if self.table.get(&tgid).is_some_and(|entry| entry.exited == Some(time)) {
                self.table.remove(&tgid);
                self.counters.forgotten += u64::from(crowded);
            }
        }
    }
}
