//! Policy: how the exchanges of a process become spans, as its operator wants it.
//!
//! One is the default; a process that a selector with settings of its own matches has another
//! ([`crate::Engine::set_policy`]). An exchange keeps the one that its process had when it started.

pub mod headers;
pub mod methods;
pub mod opt_in;
pub mod query;
pub mod routes;

use std::sync::Arc;

use rustc_hash::FxHashMap;

pub use self::{
    headers::{HeaderNames, Headers},
    methods::Methods,
    opt_in::OptIn,
    query::SecretKeys,
    routes::Routes,
};
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
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Attributes that every span of the process has.
    pub attributes: Vec<Attribute>,
    pub instrumented: Instrumented,
    /// Methods that keep their name.
    pub methods: Methods,
    /// `Forwarded` and `X-Forwarded-*` of a request are believed.
    pub forwarded: bool,
    /// Patterns for `http.route`.
    pub routes: Routes,
    /// Header fields that become attributes.
    pub headers: Headers,
    pub opt_in: OptIn,
    /// Keys of queries whose values are replaced.
    pub redact: SecretKeys,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attributes: Vec::new(),
            instrumented: Instrumented::default(),
            methods: Methods::default(),
            forwarded: true,
            routes: Routes::default(),
            headers: Headers::default(),
            opt_in: OptIn::default(),
            redact: SecretKeys::default(),
        }
    }
}

/// RFC 9110, 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
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
