//! Which processes are traced: the configured selectors applied to what is known of a process.

use std::sync::{Arc, LazyLock};

use abi::process::decision;
use engine::policy::Policy;

use super::{Root, cgroup::Cgroup};
use crate::{
    config::{Select, Selector, Settings, User},
    export::{ExportSet, Routes, TooManySets},
};

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

/// How the processes of a selector with settings are treated.
#[derive(Debug, PartialEq)]
pub struct Treatment {
    pub policy: Arc<Policy>,
    /// The name of services that do not state theirs.
    pub service_name: Option<Box<str>>,
    /// Where their spans go.
    pub to: ExportSet,
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
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    pub(super) decision: Decision,
    pub(super) treatment: Option<Arc<Treatment>>,
    /// What serving on a port would make of it, first what goes before all others.
    ports: Box<[PortRule]>,
}

#[derive(Clone, Debug, PartialEq)]
struct PortRule {
    port: u16,
    decision: Decision,
    treatment: Option<Arc<Treatment>>,
}

impl Verdict {
    pub(super) fn fixed(decision: Decision) -> Self {
        Self { decision, treatment: None, ports: Box::default() }
    }

    /// Whether serving on some port would change the decision.
    pub(super) fn depends_on_ports(&self) -> bool {
        !self.ports.is_empty()
    }

    /// The process serves on a port: the decision, if that changes it or the treatment. Excluding wins, then the first
    /// selector.
    pub(super) fn serve(&mut self, port: u16) -> Option<Decision> {
        let index = self.ports.iter().position(|rule| rule.port == port)?;
        let mut ports = std::mem::take(&mut self.ports).into_vec();
        // What comes after this rule has nothing more to say, and what comes before it only if it says something else.
        let rule = ports.drain(index..).next()?;
        if rule.decision == Decision::Trace {
            ports.retain(|other| (other.decision, &other.treatment) != (rule.decision, &rule.treatment));
            self.ports = ports.into();
        }
        self.decision = rule.decision;
        self.treatment = rule.treatment;
        Some(self.decision)
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
    treatment: Option<Arc<Treatment>>,
}

enum Answer {
    Yes,
    No,
    /// Yes, once it serves on this port.
    Serving(u16),
}

impl Selection {
    /// User names are looked up in `/etc/passwd`: a statically linked program has no name service. The destinations
    /// that selectors name are added to the routes.
    pub fn new(
        root: &Root,
        select: &[Select],
        exclude: &[Selector],
        routes: &mut Routes,
    ) -> Result<Self, TooManySets> {
        let users = root.text("etc/passwd").unwrap_or_default();
        let mut treatment = |settings: &Settings| {
            let to = routes.add(settings.export.as_deref(), &settings.export_headers)?;
            let (policy, service_name) = (Arc::clone(&settings.policy), settings.service_name.clone());
            Ok(Arc::new(Treatment { policy, service_name, to }))
        };
        let mut rules = Vec::with_capacity(select.len());
        for Select { selector, settings } in select {
            let treatment = settings.as_deref().map(&mut treatment).transpose()?;
            rules.push(Rule { treatment, ..Rule::new(selector, &users) });
        }
        let exclude = exclude.iter().map(|selector| Rule::new(selector, &users)).collect();
        Ok(Self { select: rules, exclude })
    }

    /// Whether any process is treated unlike the others.
    pub(super) fn has_treatments(&self) -> bool {
        self.select.iter().any(|rule| rule.treatment.is_some())
    }

    pub(super) fn decide(&self, facts: &Facts<'_>) -> Verdict {
        let mut ports = Vec::new();
        for rule in &self.exclude {
            match rule.answer(facts) {
                Answer::Yes => return Verdict::fixed(Decision::Skip),
                Answer::Serving(port) => {
                    ports.push(PortRule { port, decision: Decision::Skip, treatment: None })
                }
                Answer::No => {}
            }
        }
        let mut decision = if self.select.is_empty() { Decision::Trace } else { Decision::Skip };
        for rule in &self.select {
            let treatment = rule.treatment.clone();
            match rule.answer(facts) {
                Answer::Yes => {
                    return Verdict { decision: Decision::Trace, treatment, ports: ports.into() };
                }
                Answer::Serving(port) => {
                    decision = Decision::Undecided;
                    ports.push(PortRule { port, decision: Decision::Trace, treatment });
                }
                Answer::No => {}
            }
        }
        if decision == Decision::Skip {
            return Verdict::fixed(decision);
        }
        Verdict { decision, treatment: None, ports: ports.into() }
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
        Self { selector: selector.clone(), user, treatment: None }
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
    use super::{super::tests::selection, *};

    fn decide(select: &str, exclude: &str, facts: &Facts<'_>) -> Verdict {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        let users = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/false\n";
        std::fs::write(root.path().join("etc/passwd"), users).unwrap();
        selection(&Root::new(root.path()), select, exclude).decide(facts)
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
        decide(select, exclude, &facts)
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
    fn service(process: &Verdict) -> Option<&str> {
        process.treatment.as_ref()?.service_name.as_deref()
    }

    #[test]
    fn the_first_selector_that_matches_gives_its_settings() {
        let named = |keys: &str, name: &str| format!("{{ {keys}, settings: {{ service_name: {name} }} }}");
        let both = format!("[{}, {}]", named("exe: server", "a"), named("pid: 7", "b"));
        assert_eq!(service(&verdict(&both, "[]")), Some("a"));
        let other = format!("[{}, {}]", named("exe: other", "a"), named("pid: 7", "b"));
        assert_eq!(service(&verdict(&other, "[]")), Some("b"));
        let plain = format!("[{{exe: server}}, {}]", named("pid: 7", "b"));
        assert_eq!(service(&verdict(&plain, "[]")), None, "the first has none");
    }

    #[test]
    fn a_selector_with_a_port_takes_its_turn_when_the_process_serves() {
        let select = "[{ port: 80, settings: { service_name: a } }, { port: 81, settings: { service_name: b } }, \
                      { exe: server, settings: { service_name: c } }, { port: 82, settings: { service_name: d } }]";
        let mut process = verdict(select, "[{port: 9090}]");
        assert_eq!((process.decision, service(&process)), (Decision::Trace, Some("c")));
        assert_eq!(process.serve(82), None, "a selector before it matched already");
        assert_eq!(process.serve(81), Some(Decision::Trace));
        assert_eq!(service(&process), Some("b"));
        assert_eq!(process.serve(80), Some(Decision::Trace));
        assert_eq!(service(&process), Some("a"));
        assert_eq!(process.serve(81), None);
        assert_eq!(process.serve(9090), Some(Decision::Skip));
        assert_eq!(service(&process), None);
        assert_eq!(process.serve(80), None, "excluding is final");
    }
}
