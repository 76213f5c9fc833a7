//! Which processes are traced: the configured selectors applied to what is known of a process.

use std::sync::LazyLock;

use abi::process::decision;

use super::{Root, cgroup::Cgroup};
use crate::config::{Selector, User};

/// Whether a process is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// Not known yet: what it does is held back.
    Undecided,
    Trace,
    Skip,
}

impl Decision {
    /// The value in the kernel side's table.
    pub fn to_kernel(self) -> u32 {
        match self {
            Self::Undecided => decision::UNDECIDED,
            Self::Trace => decision::TRACE,
            Self::Skip => decision::SKIP,
        }
    }
}

/// What selectors look at.
#[derive(Debug)]
pub(super) struct Facts<'a> {
    pub(super) pid: u32,
    pub(super) path: &'a str,
    /// The arguments, joined by spaces.
    pub(super) line: &'a str,
    pub(super) user: Option<u32>,
    pub(super) cgroup: &'a Cgroup,
}

impl Facts<'_> {
    /// Of a process of which there is no trace but its id.
    pub(super) fn unknown(pid: u32) -> Self {
        static NOWHERE: LazyLock<Cgroup> = LazyLock::new(Cgroup::default);
        Self { pid, path: "", line: "", user: None, cgroup: &NOWHERE }
    }
}

/// A decision, and what may still change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) decision: Decision,
    /// The decision once the process serves on a port.
    ports: Box<[(u16, Decision)]>,
}

impl Verdict {
    pub(super) fn fixed(decision: Decision) -> Self {
        Self { decision, ports: Box::default() }
    }

    /// Whether serving on some port would change the decision.
    pub(super) fn depends_on_ports(&self) -> bool {
        !self.ports.is_empty()
    }

    /// The process serves on a port: the decision, if that changes it. Excluding wins.
    pub(super) fn serve(&mut self, port: u16) -> Option<Decision> {
        let has = |decision| self.ports.contains(&(port, decision));
        let decision = if has(Decision::Skip) {
            Decision::Skip
        } else if self.decision == Decision::Undecided && has(Decision::Trace) {
            Decision::Trace
        } else {
            return None;
        };
        self.decision = decision;
        let left = self.ports.iter().copied();
        // A traced process can still be excluded by another port; a skipped one stays skipped.
        self.ports = left.filter(|rule| decision == Decision::Trace && rule.1 == Decision::Skip).collect();
        Some(decision)
    }
}

/// The selectors of the configuration.
#[derive(Debug, Default)]
pub struct Selection {
    select: Vec<Rule>,
    exclude: Vec<Rule>,
}

/// A selector with its user looked up.
#[derive(Debug)]
struct Rule {
    selector: Selector,
    /// The id that `selector.user` stands for; `None` in `Some`: there is no such user.
    user: Option<Option<u32>>,
}

enum Answer {
    Yes,
    No,
    /// Yes, once it serves on this port.
    Serving(u16),
}

impl Selection {
    /// User names are looked up in `/etc/passwd`: a statically linked program has no name service.
    pub fn new(root: &Root, select: &[Selector], exclude: &[Selector]) -> Self {
        let users = root.text("etc/passwd").unwrap_or_default();
        let rules =
            |selectors: &[Selector]| selectors.iter().map(|selector| Rule::new(selector, &users)).collect();
        Self { select: rules(select), exclude: rules(exclude) }
    }

    pub(super) fn decide(&self, facts: &Facts<'_>) -> Verdict {
        let mut ports = Vec::new();
        for rule in &self.exclude {
            match rule.answer(facts) {
                Answer::Yes => return Verdict::fixed(Decision::Skip),
                Answer::Serving(port) => ports.push((port, Decision::Skip)),
                Answer::No => {}
            }
        }
        let mut decision = if self.select.is_empty() { Decision::Trace } else { Decision::Skip };
        for rule in &self.select {
            match rule.answer(facts) {
                Answer::Yes => {
                    decision = Decision::Trace;
                    ports.retain(|rule| rule.1 == Decision::Skip);
                    break;
                }
                Answer::Serving(port) => {
                    decision = Decision::Undecided;
                    ports.push((port, Decision::Trace));
                }
                Answer::No => {}
            }
        }
        if decision == Decision::Skip {
            Verdict::fixed(decision)
        } else {
            Verdict { decision, ports: ports.into() }
        }
    }
}

impl Rule {
    fn new(selector: &Selector, users: &str) -> Self {
        let user = selector.user.as_ref().map(|user| match user {
            User::Id(id) => Some(*id),
            User::Name(name) => {
                let id = user_id(users, name);
                if id.is_none() {
                    tracing::warn!(
                        user = name.as_str(),
                        "no such user in /etc/passwd: its selector matches nothing"
                    );
                }
                id
            }
        });
        Self { selector: selector.clone(), user }
    }

    fn answer(&self, facts: &Facts<'_>) -> Answer {
        let Selector { exe, command_line, pid, port, user: _, cgroup, unit } = &self.selector;
        let matches = exe.as_ref().is_none_or(|exe| exe.matches(facts.path))
            && command_line.as_ref().is_none_or(|pattern| pattern.matches(facts.line))
            && pid.is_none_or(|pid| pid == facts.pid)
            && self.user.is_none_or(|user| user.is_some() && user == facts.user)
            && cgroup.as_ref().is_none_or(|glob| glob.matches(&facts.cgroup.path))
            && unit
                .as_ref()
                .is_none_or(|unit| facts.cgroup.unit.as_deref().is_some_and(|name| unit.matches(name)));
        match (matches, port) {
            (false, _) => Answer::No,
            (true, None) => Answer::Yes,
            (true, Some(port)) => Answer::Serving(*port),
        }
    }
}

/// `name:password:uid:...` (passwd(5)).
fn user_id(users: &str, name: &str) -> Option<u32> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() == Some(name) { fields.nth(1)?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(select: &str, exclude: &str) -> Selection {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let users = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/false\n";
        std::fs::write(root.path().join("etc/passwd"), users).unwrap();
        let parse = |text: &str| serde_saphyr::from_str::<Vec<Selector>>(text).unwrap();
        Selection::new(&Root::new(root.path()), &parse(select), &parse(exclude))
    }

    fn verdict(select: &str, exclude: &str) -> Verdict {
        let cgroup = Cgroup::parse("0::/system.slice/shop@1.service");
        let facts = Facts {
            pid: 7,
            path: "/opt/shop/server",
            line: "server --port 80",
            user: Some(33),
            cgroup: &cgroup,
        };
        selection(select, exclude).decide(&facts)
    }

    #[test]
    fn a_process_is_decided_by_every_kind_of_selector() {
        use Decision::{Skip, Trace, Undecided};
        for (select, exclude, expected) in [
            ("[]", "[]", Trace),
            ("[{exe: server}]", "[]", Trace),
            ("[{exe: /opt/**}]", "[]", Trace),
            ("[{exe: /opt/*}]", "[]", Skip),
            ("[{command_line: --port 80}]", "[]", Trace),
            ("[{command_line: --port 81}]", "[]", Skip),
            ("[{pid: 7}]", "[]", Trace),
            ("[{pid: 8}]", "[]", Skip),
            ("[{user: www-data}]", "[]", Trace),
            ("[{user: 33}]", "[]", Trace),
            ("[{user: root}]", "[]", Skip),
            ("[{user: nobody-here}]", "[]", Skip),
            ("[{cgroup: /system.slice/*}]", "[]", Trace),
            ("[{cgroup: /user.slice/**}]", "[]", Skip),
            ("[{unit: shop@}]", "[]", Trace),
            ("[{unit: shop}]", "[]", Skip),
            ("[{exe: server, user: root}]", "[]", Skip),
            ("[{exe: server, user: www-data}]", "[]", Trace),
            ("[{exe: other}, {pid: 7}]", "[]", Trace),
            ("[{port: 80}]", "[]", Undecided),
            ("[{port: 80, exe: other}]", "[]", Skip),
            ("[{port: 80}, {exe: server}]", "[]", Trace),
            ("[]", "[{exe: server}]", Skip),
            ("[]", "[{exe: other}]", Trace),
            ("[]", "[{port: 80}]", Trace),
            ("[{pid: 7}]", "[{user: 33}]", Skip),
            ("[{exe: other}]", "[{port: 80}]", Skip),
        ] {
            assert_eq!(verdict(select, exclude).decision, expected, "select {select} exclude {exclude}");
        }
    }

    #[test]
    fn serving_on_a_port_decides() {
        let mut process = verdict("[{port: 80}, {port: 81}]", "[]");
        assert_eq!(process.serve(79), None);
        assert_eq!(process.serve(81), Some(Decision::Trace));
        assert_eq!(process.serve(80), None, "decided already");
        assert!(!process.depends_on_ports());
    }

    #[test]
    fn serving_on_an_excluded_port_wins_and_is_final() {
        let mut process = verdict("[{port: 80}]", "[{port: 9090}, {port: 80}]");
        assert_eq!(process.serve(80), Some(Decision::Skip));

        let mut process = verdict("[{port: 80}]", "[{port: 9090}]");
        assert_eq!(process.serve(80), Some(Decision::Trace));
        assert_eq!(process.serve(9090), Some(Decision::Skip));
        assert_eq!(process.serve(80), None);
    }
}
