//! Policy: how the exchanges of a process become spans, as its operator wants it.
//!
//! One is the default; a process that a selector with settings of its own matches has another
//! ([`crate::Engine::set_policy`]). An exchange keeps the one that its process had when it started.

pub mod query;

use std::sync::Arc;

use rustc_hash::FxHashMap;

pub use self::query::SecretKeys;
use crate::span::Attribute;

/// Whether exchanges of programs that send telemetry about themselves make spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Instrumented {
    /// They do not: the program makes those spans itself. They still carry links.
    #[default]
    Skip,
    Both,
}

/// How exchanges become spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Attributes that every span of the process has.
    pub attributes: Vec<Attribute>,
    pub instrumented: Instrumented,
}

/// The policies of all processes. Bounded by the processes that the agent follows.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    pub(crate) default: Arc<Policy>,
    own: FxHashMap<u32, Arc<Policy>>,
}

impl Policies {
    pub(crate) fn of(&self, tgid: u32) -> &Arc<Policy> {
        self.own.get(&tgid).unwrap_or(&self.default)
    }

    pub(crate) fn set(&mut self, tgid: u32, policy: Option<Arc<Policy>>) {
        match policy {
            Some(policy) => self.own.insert(tgid, policy),
            None => self.own.remove(&tgid),
        };
    }
}
