//! What the agent knows about processes: which are traced, and what they are.
//!
//! In: the engine's process events ([`Exec`], fork, exit, seen), and `/proc` where it still answers; nothing is
//! polled. Out: decisions for the kernel side's table ([`Change`]) and the [`Resource`] of the image that ran
//! in a process at a kernel time.
//!
//! Limits: as many live processes as configured, and some thousand gone ones for some seconds, so that late
//! spans find theirs. What does not fit is counted.

mod cgroup;
mod environment;
mod executable;
mod image;
mod instrumented;
mod interpreter;
mod listen;
pub mod namespace;
mod proc;
mod resource;
mod selection;
mod service_name;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use cgroup::Cgroup;
use engine::{
    event::{Exec, Process, Time},
    policy::SecretKeys,
    span::names,
};
pub(crate) use environment::parse as parse_attributes;
#[cfg(test)]
pub(crate) use executable::tests::elf32;
pub use executable::{Executable, is_32_bit};
use image::{Image, Observation, Observer};
pub use instrumented::Seen;
use listen::Listeners;
pub use proc::{Root, Stat};
use resource::{Host, describe};
pub use resource::{Operator, Resource};
pub use selection::{Decision, Selection, Treatment};
use selection::{Facts, Verdict};
use table::{Run, Table};

use crate::export::ExportSet;

/// A decision to be written to the kernel side's table.
///
/// The kernel side makes an entry before it sends a record about a process, and removes it when the process ends,
/// which may be by now: write to an existing entry only, and of the same image only ([`Processes::generation`]): the
/// process may run the next one, whose record is on the way. For those of [`Processes::scan`] it is the other way round:
/// where there is an entry by now, its record is on the way and knows better.
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
    table: Table,
    unknown: Arc<Resource>,
    counters: Counters,
}

impl Processes {
    /// A table without processes. `live_max` bounds it; `own` is the agent, which is never traced;
    /// `operator` has a say in every Resource.
    pub fn new(root: Root, scope: Scope, live_max: usize, own: u32, operator: Operator) -> Self {
        let host = Host::read(&root, operator);
        let image = Image { service: "unknown_service".into(), ..Image::default() };
        let mut unknown = describe(&host, &image, 0, None, None);
        unknown.attributes.retain(|attribute| attribute.key != names::PROCESS_PID);
        Self {
            observer: Observer::new(root),
            scope,
            host,
            own,
            table: Table::new(live_max),
            unknown: Arc::new(unknown),
            counters: Counters::default(),
        }
    }

    /// Shows the arguments of processes, without the credentials of URLs and the values of these keys in queries.
    #[must_use]
    pub fn showing_arguments(mut self, secret: SecretKeys) -> Self {
        self.observer.shows_arguments = Some(secret);
        self
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
            if stat.kernel_thread || self.table.live(tgid).is_some() {
                continue;
            }
            let decision = self.learn(tgid, Some(stat), None, &mut listeners);
            if decision != Decision::Skip && self.observer.root.uses_io_uring(tgid) {
                self.name_io_uring(tgid);
            }
            changes.push(Change { tgid, decision });
        }
        changes
    }

    /// Traces this process whatever the scope: the command of `run`, before its exec.
    pub fn adopt(&mut self, tgid: u32) -> Change {
        let stat = self.observer.root.stat(tgid);
        let seen = self.observer.running(tgid, stat, None);
        self.store(tgid, 0, None, seen, Verdict::fixed(Decision::Trace));
        Change { tgid, decision: Decision::Trace }
    }

    /// A process started an image.
    pub fn on_exec(&mut self, exec: &Exec<'_>) -> Option<Change> {
        let Process { tgid, time, generation, .. } = exec.process;
        self.table.expire(time);
        // The parent stands for a child whose fork was lost.
        let own = self.table.live(tgid);
        // An exec does not change when the process was created.
        let start = own.and_then(|entry| entry.images.last()).and_then(|run| run.start);
        let known = own.or_else(|| self.table.get(exec.process.parent));
        let inherited = known.map(|entry| entry.verdict.clone());
        if matches!(self.scope, Scope::Command) && inherited.is_none() {
            return None; // Not a descendant of the command.
        }
        let mut seen = self.observer.exec(exec);
        seen.start = seen.start.or(start);
        let verdict = self.judge(tgid, &seen, inherited);
        let decision = self.store(tgid, time, Some(generation), seen, verdict);
        // Under `run` the kernel side's decision stays what it was.
        matches!(self.scope, Scope::Selected(_)).then_some(Change { tgid, decision })
    }

    /// A process was created. It runs its parent's image and shares its decision; the kernel side copied what
    /// it knew at that moment, so a decision to trace that came later is repeated. One to skip is not: the child
    /// may have started an image of its own by now, whose data would be lost. If such a child sends records,
    /// [`Processes::decision`] says so, and the decision can be written then.
    pub fn on_fork(&mut self, child: &Process) -> Option<Change> {
        let (tgid, time) = (child.tgid, child.time);
        self.table.expire(time);
        let parent = self.table.live(child.parent);
        let Some((parent, image)) =
            parent.and_then(|entry| Some((entry, entry.images.last()?.image.clone())))
        else {
            return self.on_seen(child);
        };
        let verdict = parent.verdict.clone();
        let treatment = verdict.treatment.clone();
        let run = Run {
            since: time,
            generation: Some(child.generation),
            start: None,
            image,
            treatment,
            resource: None,
            instrumented: false,
        };
        let decision = self.table.insert(tgid, run, verdict);
        (decision == Decision::Trace && matches!(self.scope, Scope::Selected(_)))
            .then_some(Change { tgid, decision })
    }

    /// A process that the kernel side did not know used a socket.
    pub fn on_seen(&mut self, process: &Process) -> Option<Change> {
        self.table.expire(process.time);
        let tgid = process.tgid;
        if matches!(self.scope, Scope::Command) {
            return None;
        }
        if let Some(entry) = self.table.live(tgid) {
            return Some(Change { tgid, decision: entry.verdict.decision });
        }
        let stat = self.observer.root.stat(tgid).filter(|stat| stat.existed_at(process.time));
        let decision = self.learn(tgid, stat, Some(process), &mut Listeners::default());
        Some(Change { tgid, decision })
    }

    /// Data came from a process that no record announced: the record was lost. What runs under the id now is the
    /// same process if it existed then; if not, nothing is known of it.
    pub fn on_unannounced(&mut self, tgid: u32, time: Time) -> Option<Change> {
        let decision = match self.table.get(tgid) {
            Some(entry) => entry.verdict.decision,
            None if self.table.is_full() => Decision::Skip,
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
        self.table.exit(process.tgid, process.time);
        self.table.expire(process.time);
    }

    /// Finds processes whose end was not seen because its record was lost: their entries in the kernel side's
    /// table may be removed. Reads `/proc`: for once a minute, not for following processes.
    pub fn sweep(&mut self, now: Time) -> Vec<u32> {
        let root = &self.observer.root;
        let live = self.table.entries.iter().filter(|(_, entry)| entry.is_live());
        let swept: Vec<u32> = live.map(|(tgid, _)| *tgid).filter(|tgid| root.stat(*tgid).is_none()).collect();
        for tgid in &swept {
            self.table.exit(*tgid, now);
        }
        self.table.expire(now);
        swept
    }

    /// Decides anew about processes that run another image than the records told, since that of an exec was lost.
    /// `current` is the generation that the kernel side knows. As costly as [`Self::sweep`].
    pub fn catch_up(&mut self, current: impl Fn(u32) -> Option<u8>) -> Vec<Change> {
        if matches!(self.scope, Scope::Command) {
            return Vec::new();
        }
        let told = |tgid: &u32| self.generation(*tgid);
        let live = self.table.entries.iter().filter(|(_, entry)| entry.is_live()).map(|(tgid, _)| *tgid);
        let other = |tgid: &u32| told(tgid).zip(current(*tgid)).is_some_and(|(told, runs)| told != runs);
        let overtaken: Vec<u32> = live.filter(other).collect();
        let mut listeners = Listeners::default();
        let learn = |tgid| {
            let stat = self.observer.root.stat(tgid);
            Change { tgid, decision: self.learn(tgid, stat, None, &mut listeners) }
        };
        overtaken.into_iter().map(learn).collect()
    }

    /// A process created an io_uring.
    pub fn on_io_uring(&mut self, process: &Process) {
        self.name_io_uring(process.tgid);
    }

    /// The log names a process that uses io_uring, once.
    fn name_io_uring(&mut self, tgid: u32) {
        let Some(entry) = self.table.get_mut(tgid) else { return };
        if entry.verdict.decision != Decision::Skip && !std::mem::replace(&mut entry.io_uring, true) {
            let path = entry.images.last().map_or("", |run| &*run.image.path);
            tracing::warn!(
                pid = tgid,
                path,
                "the process uses io_uring: bytes that pass through it are gaps"
            );
        }
    }

    /// A process accepted a connection on a local port: decides those that are selected by port.
    pub fn on_accept(&mut self, tgid: u32, port: u16) -> Option<Change> {
        let entry = self.table.get_mut(tgid)?;
        let decision = entry.verdict.serve(port)?;
        if let Some(run) = entry.images.last_mut() {
            run.treatment = entry.verdict.treatment.clone();
            run.resource = None;
        }
        Some(Change { tgid, decision })
    }

    /// Whether a process is traced. Under `run` the kernel side alone knows the descendants, so whatever sends
    /// records is one.
    pub fn decision(&self, tgid: u32) -> Decision {
        match (self.table.get(tgid), &self.scope) {
            (Some(entry), _) => entry.verdict.decision,
            (None, Scope::Command) => Decision::Trace,
            (None, Scope::Selected(_)) => Decision::Undecided,
        }
    }

    /// Which of the images of a process the decision is about; `None`: no record announced it.
    pub fn generation(&self, tgid: u32) -> Option<u8> {
        self.table.get(tgid)?.images.last()?.generation
    }

    /// Whether the threads of a process say nothing about requests (Go), so that links by thread would be wrong.
    pub fn threads_are_not_tasks(&self, tgid: u32) -> bool {
        let image = self.table.get(tgid).and_then(|entry| entry.images.last());
        image.is_some_and(|run| run.image.executable.go)
    }

    /// Whether the configuration wants some processes treated unlike the others.
    pub fn has_treatments(&self) -> bool {
        matches!(&self.scope, Scope::Selected(selection) if selection.has_treatments())
    }

    /// How a process is treated from now on; `None`: like any other.
    pub fn treatment(&self, tgid: u32) -> Option<&Arc<Treatment>> {
        self.table.get(tgid)?.verdict.treatment.as_ref()
    }

    /// Where the spans of the image go that ran in a process at a kernel time.
    pub fn export_set(&self, tgid: u32, time: Time) -> ExportSet {
        let run = self.table.get(tgid).and_then(|entry| entry.at(time));
        run.and_then(|run| run.treatment.as_ref()).map_or_else(ExportSet::default, |treatment| treatment.to)
    }

    /// The Resource of the image that ran in a process at a kernel time.
    pub fn resource(&mut self, tgid: u32, time: Time) -> Arc<Resource> {
        if self.table.get(tgid).is_none() {
            self.on_unannounced(tgid, time);
        }
        let Some(entry) = self.table.get_mut(tgid) else {
            self.counters.unknown += 1;
            return self.unknown.clone();
        };
        let live = entry.is_live();
        let current = entry.images.len().saturating_sub(1);
        let index = entry.index(time);
        let Some(run) = entry.images.get_mut(index) else { return self.unknown.clone() };
        if let Some(resource) = &run.resource {
            return resource.clone();
        }
        let now =
            || self.observer.root.stat(tgid).filter(|_| live && index == current).map(|stat| stat.start);
        let start = run.start.or_else(now);
        let configured = run.treatment.as_ref().and_then(|treatment| treatment.service_name.as_deref());
        let resource = Arc::new(describe(&self.host, &run.image, tgid, start, configured));
        run.resource.insert(resource).clone()
    }

    /// How many processes are traced at this moment.
    pub fn traced(&self) -> usize {
        let entries = self.table.entries.values();
        entries.filter(|entry| entry.is_live() && entry.verdict.decision == Decision::Trace).count()
    }

    pub fn counters(&self) -> Counters {
        Counters { refused: self.table.refused, forgotten: self.table.forgotten, ..self.counters }
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
        let generation = event.map(|event| event.generation);
        self.store(tgid, event.map_or(0, |event| event.time), generation, seen, verdict)
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

    fn store(
        &mut self,
        tgid: u32,
        since: Time,
        generation: Option<u8>,
        seen: Observation,
        verdict: Verdict,
    ) -> Decision {
        let treatment = verdict.treatment.clone();
        let run = Run {
            since,
            generation,
            start: seen.start,
            image: Arc::new(seen.image),
            treatment,
            resource: None,
            instrumented: false,
        };
        self.table.insert(tgid, run, verdict)
    }
}
