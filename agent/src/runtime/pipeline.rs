//! From a record to a span that is handed over: decisions about processes, the engine, the exports.

use std::{io, sync::Arc, time::Instant};

use engine::{
    Engine, Order,
    event::{ConnectionId, Endpoint, Event, How, Role, Time},
    protocol::Unseen,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{failures::Failures, status::Status};
use crate::{
    export::{ExportSet, Exported, Exports},
    held::Held,
    kernel::{Existing, Probes},
    process::{Change, Decision, Processes, Resource},
    recording::{self, Writer},
};

/// Unix connections that are looked after each second; checking one takes a microsecond or so. Others are met by
/// the sweep of the whole table.
const UNIX_MAX: usize = 16_384;

/// Everything behind the ring.
pub struct Pipeline {
    engine: Engine,
    processes: Processes,
    /// Some processes are treated unlike the others.
    has_treatments: bool,
    probes: Probes,
    exports: Exports,
    held: Held,
    record: Option<Writer>,
    /// The recording could not be written to its end.
    record_failed: bool,
    failures: Failures,
    /// Open Unix connections, whose end no event tells.
    unix: FxHashSet<ConnectionId>,
    /// Spans of this turn.
    batch: Vec<Exported>,
    /// The Resource last written to the recording, by process.
    recorded: FxHashMap<u32, Arc<Resource>>,
}

impl Pipeline {
    pub(super) fn new(
        mut engine: Engine,
        processes: Processes,
        probes: Probes,
        exports: Exports,
        record: Option<Writer>,
    ) -> Self {
        if let Some(writer) = &record {
            engine.report_content();
            if let Some(secrecy) = writer.secrecy() {
                engine.report_excerpts(secrecy);
            }
        }
        Self {
            engine,
            has_treatments: processes.has_treatments(),
            processes,
            probes,
            exports,
            held: Held::default(),
            record,
            record_failed: false,
            failures: Failures::default(),
            unix: FxHashSet::default(),
            batch: Vec::new(),
            recorded: FxHashMap::default(),
        }
    }

    /// Learns the processes that run already. A process that shows itself meanwhile knows better.
    pub(super) fn scan(&mut self) {
        for change in self.processes.scan() {
            self.decide(change, Existing::Keep);
            self.tell_policy(change.tgid);
            self.tell_tasks(change.tgid);
        }
    }

    /// Traces a process and what it starts: the command of `run`.
    pub fn adopt(&mut self, tgid: u32) {
        let change = self.processes.adopt(tgid);
        self.decide(change, Existing::Replace);
    }

    /// Time passed.
    pub(super) fn tick(&mut self, now: Time) {
        let result = self.probes.adapt();
        self.failures.note("hooking what connections need whose positions are counted", result);
        self.write(|recording| recording.tick(now));
        self.engine.handle_timeout(now);
        self.write_content();
    }

    /// Tells the recording what of the records is content, and what of that may be written all the same.
    fn write_content(&mut self) {
        while let Some(content) = self.engine.poll_content() {
            if let Some(writer) = &mut self.record {
                writer.content(content);
            }
        }
        while let Some(excerpt) = self.engine.poll_excerpt() {
            if let Some(writer) = &mut self.record {
                writer.excerpt(excerpt);
            }
        }
    }

    /// Writes to the recording. The first error ends it: what follows a gap would replay as something else.
    fn write(&mut self, write: impl FnOnce(&mut Writer) -> io::Result<()>) {
        if let Some(writer) = &mut self.record
            && let Err(error) = write(writer)
        {
            tracing::error!("cannot write the recording: {error}; it ends here, tracing goes on");
            self.record = None;
            self.record_failed = true;
        }
    }

    /// Whether a recording ended before the tracing did.
    pub(super) fn record_failed(&self) -> bool {
        self.record_failed
    }

    /// Takes a record of the ring.
    pub(super) fn record(&mut self, record: &[u8], now: Time) {
        // What cannot be decoded is counted by the engine.
        let Ok(event) = Event::decode(record) else { return self.give_undecoded(record, now) };
        match &event {
            Event::Exec(exec) => {
                let change = self.processes.on_exec(exec);
                self.apply(change, now);
                // A recording is not to say what others on the machine do.
                if self.processes.decision(exec.process.tgid) != Decision::Skip {
                    self.give(record, &event, now);
                }
                self.tell_tasks(exec.process.tgid);
            }
            Event::Fork(process) => {
                let change = self.processes.on_fork(process);
                self.apply(change, now);
                self.tell_tasks(process.tgid);
            }
            Event::Seen(process) => {
                let change = self.processes.on_seen(process);
                self.apply(change, now);
                self.tell_tasks(process.tgid);
            }
            Event::Exit(process) => {
                let traced = self.processes.decision(process.tgid) == Decision::Trace;
                self.processes.on_exit(process);
                self.held.take(process.tgid);
                if traced {
                    self.give(record, &event, now);
                }
            }
            Event::IoUring(process) => self.processes.on_io_uring(process),
            Event::Open(open) => {
                if matches!(open.local, Endpoint::Unix(_)) && self.unix.len() < UNIX_MAX {
                    self.unix.insert(open.conn);
                }
                if open.tgid == std::process::id() {
                    return self.give(record, &event, now);
                }
                if let (Role::Accepted, Endpoint::Ip(address)) = (open.role, &open.local) {
                    let change = self.processes.on_accept(open.tgid, address.port());
                    self.apply(change, now);
                }
                self.admit(open.tgid, open.time, open.conn, record, &event, now);
            }
            Event::Data(data) => {
                self.admit(data.call.task.tgid, data.call.exit, data.conn, record, &event, now);
            }
            Event::End(end) => {
                if end.direction.is_none() && !matches!(end.how, How::CallFailed(_)) {
                    self.unix.remove(&end.conn);
                }
                match self.held.holder(end.conn) {
                    Some(tgid) => self.held.push(tgid, end.conn, record),
                    None => self.give(record, &event, now),
                }
            }
        }
    }

    /// Gives a record of a connection to the engine, if its process is traced.
    fn admit(
        &mut self,
        tgid: u32,
        time: Time,
        conn: ConnectionId,
        record: &[u8],
        event: &Event<'_>,
        now: Time,
    ) {
        match self.processes.decision(tgid) {
            Decision::Trace => self.give(record, event, now),
            Decision::Skip => {
                // It sends records because the kernel side was not told, or forgot.
                self.update(Change { tgid, decision: Decision::Skip });
            }
            Decision::Undecided => {
                let change = self.processes.on_unannounced(tgid, time);
                self.apply(change, now);
                match self.processes.decision(tgid) {
                    Decision::Trace => self.give(record, event, now),
                    Decision::Skip => {}
                    Decision::Undecided => self.held.push(tgid, conn, record),
                }
            }
        }
    }

    /// Gives a record to the recording, and its event, which is decoded once, to the engine.
    fn give(&mut self, record: &[u8], event: &Event<'_>, now: Time) {
        self.write(|recording| recording.record(record));
        self.engine.handle_event(event, now);
        self.write_content();
    }

    /// The same for a record that was held as bytes, or that cannot be decoded.
    fn give_undecoded(&mut self, record: &[u8], now: Time) {
        self.write(|recording| recording.record(record));
        self.engine.handle_record(record, now);
        self.write_content();
    }

    /// Carries out a decision of the table of processes.
    fn apply(&mut self, change: Option<Change>, now: Time) {
        let Some(change) = change else { return };
        self.update(change);
        // Before what was held is given to the engine.
        self.tell_policy(change.tgid);
        match change.decision {
            Decision::Undecided => {}
            Decision::Skip => {
                self.held.take(change.tgid);
            }
            Decision::Trace => {
                for record in self.held.take(change.tgid) {
                    self.give_undecoded(&record, now);
                }
            }
        }
    }

    /// Tells the kernel side, unless another image runs by now.
    fn update(&mut self, change: Change) {
        self.decide(change, Existing::Update(self.processes.generation(change.tgid)));
    }

    fn decide(&mut self, change: Change, existing: Existing) {
        let result = self.probes.decide(change.tgid, change.decision.to_kernel(), existing);
        self.failures.note("telling the kernel side which processes are traced", result);
    }

    /// Tells the engine how the exchanges of a process that is traced become spans.
    fn tell_policy(&mut self, tgid: u32) {
        if !self.has_treatments {
            return;
        }
        let traced = self.processes.decision(tgid) == Decision::Trace;
        let treatment = self.processes.treatment(tgid).filter(|_| traced);
        self.engine.set_policy(tgid, treatment.map(|treatment| Arc::clone(&treatment.policy)));
    }

    /// Tells the engine about a process whose threads say nothing about requests.
    fn tell_tasks(&mut self, tgid: u32) {
        if !self.processes.threads_are_not_tasks(tgid) {
            return;
        }
        self.engine.thread_is_not_task(tgid);
        self.write(|recording| recording.not_tasks(tgid));
    }

    /// Hands over what the engine has: spans to the exports, orders to the kernel side.
    pub(super) fn hand_over(&mut self) {
        while let Some(span) = self.engine.poll_span() {
            let resource = self.processes.resource(span.tgid, span.start);
            if self.record.is_some() {
                let known = self.recorded.get(&span.tgid);
                if !known.is_some_and(|known| Arc::ptr_eq(known, &resource)) {
                    let image = recording::Resource::new(span.tgid, span.start, &resource);
                    self.write(|recording| recording.resource(&image));
                    self.recorded.insert(span.tgid, Arc::clone(&resource));
                }
            }
            let to = if self.has_treatments {
                self.processes.export_set(span.tgid, span.start)
            } else {
                ExportSet::default()
            };
            self.batch.push(Exported { span, resource, to });
        }
        self.exports.hand_over(std::mem::take(&mut self.batch));
        while let Some(order) = self.engine.poll_order() {
            if let (Order::Frames { conn, .. }, Some(writer)) = (&order, &mut self.record) {
                writer.http2(*conn);
            }
            let result = self.probes.order(&order);
            self.failures.note("passing an order to the kernel side", result);
        }
        while let Some((pid, treated)) = self.engine.poll_instrumented() {
            self.processes.on_instrumented(pid, treated);
        }
    }

    /// What no event tells: Unix connections and, with `all`, everything whose end was lost.
    pub(super) fn look_after(&mut self, now: Time, all: bool) {
        let result = self.probes.settle(all);
        self.failures.note("looking for threads that are back from their calls", result);
        if all {
            let swept = self.probes.sweep();
            // Those that ended without a record leave the set, those that began without one enter it.
            if let Some(unix) = self.failures.note("sweeping the connections", swept) {
                self.unix = unix.into_iter().take(UNIX_MAX).collect();
            }
            self.probes.sweep_calls();
            for tgid in self.processes.sweep(now) {
                self.probes.forget(tgid);
                self.recorded.remove(&tgid);
                self.engine.set_policy(tgid, None);
            }
            for change in self.processes.catch_up(|tgid| self.probes.generation(tgid)) {
                self.apply(Some(change), now);
                self.tell_tasks(change.tgid);
            }
        } else {
            let result = self.probes.check(&self.unix);
            self.failures.note("checking the Unix connections", result);
        }
        self.write(Writer::flush);
    }

    /// Ends every exchange and waits for the exports until `deadline`.
    pub(super) fn finish(&mut self, now: Time, deadline: Instant) {
        self.tick(now);
        self.engine.finish(Unseen::AgentStopped, now);
        self.write_content();
        self.hand_over();
        self.write(Writer::finish);
        self.exports.flush(deadline);
    }

    pub(super) fn status(&mut self) -> Status {
        let counters = self.probes.counters();
        let counters = self.failures.note("reading the kernel side's counters", counters);
        Status::new(
            &self.engine,
            counters.unwrap_or_default(),
            self.probes.runs().iter().map(|(_, runs)| runs.missed).sum(),
            &self.exports,
            &self.processes,
            &self.held,
            self.failures.counts(),
        )
    }
}
