//! Ignore rules: exchanges that make no span, nor do the calls they caused.
//!
//! A rule holds if all of its conditions do. A condition about something that is not known, such as a path
//! that was not captured whole, does not hold: an exchange is left out only for what it is known to be.
//!
//! Rules are applied to each end of an exchange by itself; one end that is ignored takes the other with it, if
//! that is on this host. A port is a listening one, which only the server's end has.

mod glob;
#[cfg(test)]
mod tests;

use core::str::FromStr;

pub use self::glob::{AgentPattern, PathGlob, PatternError};

/// Rules, of which one is enough.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ignore {
    rules: Vec<Rule>,
}

/// Conditions, all of which have to hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// A request method, as sent: they are case-sensitive (RFC 9110, 9.1).
    pub method: Option<String>,
    /// The path, without the query.
    pub path: Option<PathGlob>,
    pub user_agent: Option<AgentPattern>,
    pub status: Option<Status>,
    /// The port that the server listens on.
    pub port: Option<u16>,
}

/// A status code or a class of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    Code(u16),
    /// The first digit.
    Class(u16),
}

/// Why rules are none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    #[error(
        "a rule without a condition would ignore everything; give it one of method, path, user_agent, status, port"
    )]
    Empty,
    #[error("`{0}` is no status; expected a code such as 404, or a class such as 4xx")]
    Status(String),
}

/// What rules look at; `None`: not known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts<'a> {
    pub(crate) method: Option<&'a [u8]>,
    pub(crate) path: Option<&'a [u8]>,
    pub(crate) user_agent: Option<&'a [u8]>,
    pub(crate) port: Option<u16>,
    pub(crate) status: Option<u16>,
    /// A status that is not known may yet be.
    pub(crate) status_may_come: bool,
}

impl Ignore {
    pub fn new(rules: Vec<Rule>) -> Result<Self, IgnoreError> {
        if rules.contains(&Rule::default()) {
            return Err(IgnoreError::Empty);
        }
        Ok(Self { rules })
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Only one end of an exchange can be known to be ignored: it has the port.
    pub(crate) fn is_by_port(&self) -> bool {
        self.rules.iter().any(|rule| rule.port.is_some())
    }

    /// Whether an exchange is ignored; `None`: its status will tell.
    pub(crate) fn covers(&self, facts: &Facts<'_>) -> Option<bool> {
        let mut open = false;
        for rule in &self.rules {
            match rule.holds(facts) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => open = true,
            }
        }
        if open { None } else { Some(false) }
    }
}

impl Rule {
    fn holds(&self, facts: &Facts<'_>) -> Option<bool> {
        let request = is(&self.method, facts.method, |rule, method| rule.as_bytes() == method)
            && is(&self.port, facts.port, |rule, port| *rule == port)
            && is(&self.path, facts.path, PathGlob::matches)
            && is(&self.user_agent, facts.user_agent, AgentPattern::matches);
        match (&self.status, facts.status) {
            _ if !request => Some(false),
            (None, _) => Some(true),
            (Some(rule), Some(status)) => Some(rule.matches(status)),
            (Some(_), None) if facts.status_may_come => None,
            (Some(_), None) => Some(false),
        }
    }
}

/// A condition holds that is not made, or that a known fact meets.
fn is<R, F>(rule: &Option<R>, fact: Option<F>, matches: impl FnOnce(&R, F) -> bool) -> bool {
    rule.as_ref().is_none_or(|rule| fact.is_some_and(|fact| matches(rule, fact)))
}

impl Status {
    fn matches(self, status: u16) -> bool {
        match self {
            Self::Code(code) => status == code,
            Self::Class(class) => status / 100 == class,
        }
    }
}

impl FromStr for Status {
    type Err = IgnoreError;

    fn from_str(text: &str) -> Result<Self, IgnoreError> {
        let refused = || IgnoreError::Status(text.to_owned());
        match text.as_bytes() {
            [class @ b'1'..=b'5', b'x' | b'X', b'x' | b'X'] => {
                Ok(Self::Class(u16::from(class.saturating_sub(b'0'))))
            }
            [b'1'..=b'5', ..] if text.len() == 3 => text.parse().map(Self::Code).map_err(|_| refused()),
            _ => Err(refused()),
        }
    }
}
