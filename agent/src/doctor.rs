//! `spandrel doctor`: what this machine allows, what is chosen and why, what is missing and how to get it.
//!
//! In: `/proc`, `/sys`, and what the caller can find out by loading programs. Out: a [`Report`], in plain words
//! or as JSON. Nothing is changed.

mod instrumented;
mod machine;
mod processes;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, collections::BTreeMap, io};

use serde::Serialize;

use crate::process::{Root, Seen};

/// What a check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// Tracing will not work without it.
    Missing,
    /// Good to know; tracing works.
    Note,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Note => "note",
        }
    }
}

/// One thing looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: Cow<'static, str>,
    pub state: State,
    /// What was found and what it means, in a sentence.
    pub finding: String,
    /// How to get what is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Check {
    pub fn ok(name: impl Into<Cow<'static, str>>, finding: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Ok, finding: finding.into(), remedy: None }
    }

    pub fn note(name: impl Into<Cow<'static, str>>, finding: impl Into<String>) -> Self {
        Self { name: name.into(), state: State::Note, finding: finding.into(), remedy: None }
    }

    pub fn missing(
        name: impl Into<Cow<'static, str>>,
        finding: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            state: State::Missing,
            finding: finding.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// Says how a note can be acted on.
    pub fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Looks at a machine.
#[derive(Debug)]
pub struct Doctor {
    root: Root,
    /// Bytes of the ring buffer.
    ring: u32,
    /// What an agent saw sending traces; the message says why that cannot be told.
    seen: Result<Vec<Seen>, String>,
}

impl Doctor {
    pub fn new(root: Root, ring: u32) -> Self {
        Self { root, ring, seen: Ok(Vec::new()) }
    }

    /// Takes the word of an agent that runs, or ran, for which programs send traces.
    #[must_use]
    pub fn told(mut self, seen: Result<Vec<Seen>, String>) -> Self {
        self.seen = seen;
        self
    }

    /// Runs every check. `extra` tries what only can be tried with everything else in place, such as loading the
    /// programs; it is not called where something is missing.
    pub fn run(&self, extra: impl FnOnce() -> Vec<Check>) -> Report {
        let mut checks = machine::checks(&self.root, self.ring);
        if checks.iter().all(|check| check.state != State::Missing) {
            checks.extend(extra());
        }
        checks.extend(processes::checks(&self.root, &self.seen));
        let works = checks.iter().all(|check| check.state != State::Missing);
        Report {
            works,
            kernel: machine::release(&self.root),
            flavour: "unknown",
            checks,
            programs: BTreeMap::new(),
        }
    }
}

/// Everything found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Tracing will work.
    pub works: bool,
    pub kernel: String,
    /// How sockets are watched; `unknown` if the programs were not loaded.
    pub flavour: &'static str,
    pub checks: Vec<Check>,
    /// Instructions that the verifier walked, by program; empty if the programs were not loaded.
    pub programs: BTreeMap<String, u32>,
}

impl Report {
    /// Writes the report in plain words.
    pub fn write_text(&self, out: &mut impl io::Write) -> io::Result<()> {
        for check in &self.checks {
            writeln!(out, "{:<8} {:<14} {}", check.state.as_str(), check.name, check.finding)?;
            if let Some(remedy) = &check.remedy {
                writeln!(out, "{:<8} {:<14} -> {remedy}", "", "")?;
            }
        }
        let missing: Vec<&str> = self
            .checks
            .iter()
            .filter(|check| check.state == State::Missing)
            .map(|check| check.name.as_ref())
            .collect();
        if missing.is_empty() {
            writeln!(out, "\nTracing will work on this machine (Linux {}).", self.kernel)
        } else {
            writeln!(
                out,
                "\nTracing will not work on this machine (Linux {}): {}.",
                self.kernel,
                missing.join(", ")
            )
        }
    }

    /// Writes the report as one JSON object.
    pub fn write_json(&self, out: &mut impl io::Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, self)?;
        writeln!(out)
    }
}
