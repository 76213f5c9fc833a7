//! From a record to a span that is handed over: decisions about processes, the engine, the exports.

use std::{sync::Arc, time::Instant};

use abi::process::decision;
use anyhow::{Context as _, Result};
use engine::{
    Engine,
    event::{Endpoint, Event, Role, Time},
    protocol::Unseen,
};

use super::status::Status;
use crate::{
    export::{Exported, Exports},
    held::Held,
    kernel::{Existing, Probes},
    process::{Change, Decision, Processes, Resource},
    recording::{self, Writer},
};

/// Everything behind the ring.
pub struct Pipeline {
    engine: Engine,
    processes: Processes,
    probes: Probes,
    exports: Exports,
    held: Held,
    record: Option<Writer>,
    /// Spans of this turn.
    batch: Vec<Exported>,
    /// The Resource last written to the recording, by process.
    recorded: rustc_hash::FxHashMap<u32, Arc<Resource>>,
}

impl Pipeline {
    pub(super) fn new(
        engine: Engine,
        processes: Processes,
        probes: Probes,
        exports: Exports,
        record: Option<Writer>,
    ) -> Self {
        Self {
            engine,
            processes,
            probes,
            exports,
            held: Held::default(),
            record,
            batch: Vec::new(),
            recorded: rustc_hash::FxHashMap::default(),
        }
    }

    /// Learns the processes that run already. A process that shows itself meanwhile knows better.
    pub(super) fn scan(&mut self) {
        for change in self.processes.scan() {
            self.decide(change, Existing::Keep);
            self.tell_tasks(change.tgid);
        }
    }

    /// Traces a process and what it starts: the command of `run`.
    pub fn adopt(&mut self, tgid: u32) {
        let change = self.processes.adopt(tgid);
        self.decide(change, Existing::Replace);
    }

    /// Time passed.
    pub(super) fn tick(&mut self, now: Time) -> Result<()> {
        if let Some(record) = &mut self.record {
            record.tick(now).context("cannot write the recording")?;
        }
        self.engine.handle_timeout(now);
        Ok(())
    }

    /// Takes a record of the ring.
    pub(super) fn record(&mut self, record: &[u8], now: Time) -> Result<()> {
        // What cannot be decoded is counted by the engine.
        let Ok(event) = Event::decode(record) else { return self.give(record, now) };
        match &event {
            Event::Exec(exec) => {
                let change = self.processes.on_exec(exec);
                self.apply(change, now)?;
                self.give(record, now)?;
                self.tell_tasks(exec.process.tgid);
                return Ok(());
            }
            Event::Fork(process) => {
                let change = self.processes.on_fork(process);
                self.apply(change, now)?;
                self.tell_tasks(process.tgid);
            }
            Event::Seen(process) => {
                let change = self.processes.on_seen(process);
                self.apply(change, now)?;
                self.tell_tasks(process.tgid);
            }
            Event::Exit(process) => {
                self.processes.on_exit(process);
                self.held.take(process.tgid);
                self.give(record, now)?;
            }
            Event::IoUring(process) => self.processes.on_io_uring(process),
            Event::Open(open) => {
                if open.tgid == std::process::id() {
                    return self.give(record, now);
                }
                if let (Role::Accepted, Endpoint::Ip(address)) = (open.role, &open.local) {
                    let change = self.processes.on_accept(open.tgid, address.port());
                    self.apply(change, now)?;
                }
                return self.admit(open.tgid, open.time, open.conn, record, now);
            }
            Event::Data(data) => {
                return self.admit(data.call.task.tgid, data.call.exit, data.conn, record, now);
            }
            Event::End(end) => match self.held.holder(end.conn) {
                Some(tgid) => self.held.push(tgid, end.conn, record),
                None => return self.give(record, now),
            },
        }
        Ok(())
    }

    /// Gives a record of a connection to the engine, if its process is traced.
    fn admit(
        &mut self,
        tgid: u32,
        time: Time,
        conn: engine::event::ConnectionId,
        record: &[u8],
        now: Time,
    ) -> Result<()> {
        match self.processes.decision(tgid) {
            Decision::Trace => self.give(record, now),
            Decision::Skip => {
                // It sends records because the kernel side was not told, or forgot.
                self.decide(Change { tgid, decision: Decision::Skip }, Existing::Update);
                Ok(())
            }
            Decision::Undecided => {
                let change = self.processes.on_unannounced(tgid, time);
                self.apply(change, now)?;
                match self.processes.decision(tgid) {
                    Decision::Trace => self.give(record, now),
                    Decision::Skip => Ok(()),
                    Decision::Undecided => {
                        self.held.push(tgid, conn, record);
                        Ok(())
                    }
                }
            }
        }
    }

    fn give(&mut self, record: &[u8], now: Time) -> Result<()> {
        if let Some(writer) = &mut self.record {
            writer.record(record).context("cannot write the recording")?;
        }
        self.engine.handle_record(record, now);
        Ok(())
    }

    /// Carries out a decision of the table of processes.
    fn apply(&mut self, change: Option<Change>, now: Time) -> Result<()> {
        let Some(change) = change else { return Ok(()) };
        self.decide(change, Existing::Update);
        match change.decision {
            Decision::Undecided => {}
            Decision::Skip => {
                self.held.take(change.tgid);
            }
            Decision::Trace => {
                for record in self.held.take(change.tgid) {
                    self.give(&record, now)?;
                }
            }
        }
        Ok(())
    }

    fn decide(&mut self, change: Change, existing: Existing) {
        if let Err(error) = self.probes.decide(change.tgid, change.decision.to_kernel(), existing) {
            tracing::warn!(%error, "a process may be traced or left out against the configuration");
        }
    }

    /// Tells the engine about a process whose threads say nothing about requests.
    fn tell_tasks(&mut self, tgid: u32) {
        if !self.processes.threads_are_not_tasks(tgid) {
            return;
        }
        self.engine.thread_is_not_task(tgid);
        if let Some(writer) = &mut self.record
            && let Err(error) = writer.not_tasks(tgid)
        {
            tracing::error!(%error, "cannot write the recording");
        }
    }

    /// Hands over what the engine has: spans to the exports, orders to the kernel side.
    pub(super) fn hand_over(&mut self) -> Result<()> {
        while let Some(span) = self.engine.poll_span() {
            let resource = self.processes.resource(span.tgid, span.start);
            if let Some(writer) = &mut self.record {
                let known = self.recorded.get(&span.tgid);
                if !known.is_some_and(|known| Arc::ptr_eq(known, &resource)) {
                    writer
                        .resource(&recording::Resource::new(span.tgid, span.start, &resource))
                        .context("cannot write the recording")?;
                    self.recorded.insert(span.tgid, Arc::clone(&resource));
                }
            }
            self.batch.push(Exported { span, resource });
        }
        self.exports.hand_over(std::mem::take(&mut self.batch));
        while let Some(order) = self.engine.poll_order() {
            self.probes.order(&order).context("cannot pass an order to the kernel side")?;
        }
        Ok(())
    }

    /// What no event tells: Unix connections and, with `all`, everything whose end was lost.
    pub(super) fn look_after(&mut self, now: Time, all: bool) -> Result<()> {
        self.probes.settle()?;
        self.probes.sweep(!all)?;
        if all {
            for tgid in self.processes.sweep(now) {
                self.probes.forget(tgid);
                self.recorded.remove(&tgid);
            }
        }
        if let Some(writer) = &mut self.record {
            writer.flush().context("cannot write the recording")?;
        }
        Ok(())
    }

    /// Ends every exchange and waits for the exports until `deadline`.
    pub(super) fn finish(&mut self, now: Time, deadline: Instant) -> Result<()> {
        self.tick(now)?;
        self.engine.finish(Unseen::AgentStopped, now);
        self.hand_over()?;
        if let Some(writer) = &mut self.record {
            writer.flush().context("cannot write the recording")?;
        }
        self.exports.flush(deadline);
        Ok(())
    }

    pub(super) fn status(&self) -> Result<Status> {
        Status::new(
            &self.engine,
            self.probes.counters()?,
            self.probes.runs().iter().map(|(_, runs)| runs.missed).sum(),
            &self.exports,
            &self.processes,
            &self.held,
        )
    }
}

impl From<Decision> for u32 {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Undecided => decision::UNDECIDED,
            Decision::Trace => decision::TRACE,
            Decision::Skip => decision::SKIP,
        }
    }
}
