//! A selector: what a process must be to be traced, or to be left alone. Matching is in [`crate::process`].

use std::{fmt, str::FromStr};

use globset::{Glob, GlobBuilder, GlobMatcher};
use serde::{Deserialize, Deserializer, de};

use super::{
    settings::SettingsFile,
    value::{Parsed, Port},
};

/// Conditions that must all hold; at least one is set.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    pub exe: Option<Exe>,
    pub command_line: Option<CommandLine>,
    pub pid: Option<u32>,
    /// A local port on which the process accepts connections.
    pub port: Option<u16>,
    pub user: Option<User>,
    pub cgroup: Option<PathGlob>,
    pub unit: Option<Unit>,
}

/// A selector of `select`, with settings for its processes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) selector: Selector,
    pub(super) settings: Option<SettingsFile>,
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            exe: Option<Parsed<Exe>>,
            command_line: Option<Parsed<CommandLine>>,
            pid: Option<Parsed<Pid>>,
            port: Option<Parsed<Port>>,
            user: Option<Parsed<User>>,
            cgroup: Option<Parsed<PathGlob>>,
            unit: Option<Parsed<Unit>>,
            settings: Option<SettingsFile>,
        }
        let keys = Keys::deserialize(deserializer)?;
        let selector = Selector {
            exe: keys.exe.map(|exe| exe.0),
            command_line: keys.command_line.map(|line| line.0),
            pid: keys.pid.map(|pid| pid.0.0),
            port: keys.port.map(|port| port.0.0),
            user: keys.user.map(|user| user.0),
            cgroup: keys.cgroup.map(|glob| glob.0),
            unit: keys.unit.map(|unit| unit.0),
        };
        if selector.is_empty() {
            return Err(de::Error::custom(
                "a selector without a key matches nothing: expected exe, command_line, pid, port, user, cgroup or unit",
            ));
        }
        Ok(Self { selector, settings: keys.settings })
    }
}

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Entry { selector, settings } = Entry::deserialize(deserializer)?;
        match settings {
            None => Ok(selector),
            Some(_) => Err(de::Error::custom(
                "`settings` belongs to a selector of `select`: an excluded process makes no spans",
            )),
        }
    }
}

impl Selector {
    fn is_empty(&self) -> bool {
        let Self { exe, command_line, pid, port, user, cgroup, unit } = self;
        exe.is_none()
            && command_line.is_none()
            && pid.is_none()
            && port.is_none()
            && user.is_none()
            && cgroup.is_none()
            && unit.is_none()
    }
}

/// A compiled glob; equal if the patterns are.
#[derive(Clone)]
pub struct PathGlob(GlobMatcher);

impl PathGlob {
    /// `*` stays within a path component, `**` does not.
    fn new(pattern: &str) -> Result<Self, globset::Error> {
        Ok(Self(GlobBuilder::new(pattern).literal_separator(true).build()?.compile_matcher()))
    }

    pub fn matches(&self, path: &str) -> bool {
        self.0.is_match(path)
    }
}

impl fmt::Debug for PathGlob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.0.glob().glob())
    }
}

impl PartialEq for PathGlob {
    fn eq(&self, other: &Self) -> bool {
        self.0.glob() == other.0.glob()
    }
}

impl FromStr for PathGlob {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(something(text)?).map_err(|error| bad_glob(&error))
    }
}

/// A glob on the executable: on its path if the pattern has a slash, else on its file name.
#[derive(Clone, Debug, PartialEq)]
pub enum Exe {
    Path(PathGlob),
    Name(PathGlob),
}

impl Exe {
    pub fn matches(&self, path: &str) -> bool {
        match self {
            Self::Path(glob) => glob.matches(path),
            Self::Name(glob) => glob.matches(path.rsplit('/').next().unwrap_or(path)),
        }
    }
}

impl FromStr for Exe {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let glob = text.parse()?;
        Ok(if text.contains('/') { Self::Path(glob) } else { Self::Name(glob) })
    }
}

/// What the arguments, joined by spaces, must contain, or match as a whole if it is a glob.
#[derive(Clone, Debug, PartialEq)]
pub enum CommandLine {
    Contains(String),
    Matches(PathGlob),
}

impl CommandLine {
    pub fn matches(&self, line: &str) -> bool {
        match self {
            Self::Contains(text) => line.contains(text.as_str()),
            Self::Matches(glob) => glob.matches(line),
        }
    }
}

impl FromStr for CommandLine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !something(text)?.contains(['*', '?', '[', '{']) {
            return Ok(Self::Contains(text.to_owned()));
        }
        let glob = Glob::new(text).map_err(|error| bad_glob(&error))?;
        Ok(Self::Matches(PathGlob(glob.compile_matcher())))
    }
}

/// A user by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    Name(String),
    Id(u32),
}

impl FromStr for User {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(id));
        }
        // useradd(8): a name begins with a letter or an underscore.
        if text.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return Ok(Self::Name(text.to_owned()));
        }
        Err(format!("`{text}` is no user: expected a name, or a user id from 0 to {}", u32::MAX))
    }
}

/// A systemd unit: a full name, or the template `name@` of any instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit(String);

impl Unit {
    /// Whether the name of a unit, with its suffix, is the one meant.
    pub fn matches(&self, unit: &str) -> bool {
        let stem = unit.strip_suffix(".service").unwrap_or(unit);
        match self.0.strip_suffix('@') {
            Some(template) => stem.split_once('@').is_some_and(|(name, _)| name == template),
            None => stem == self.0,
        }
    }
}

impl FromStr for Unit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let stem = text.strip_suffix(".service").unwrap_or(text);
        if stem.is_empty() || stem.contains(['*', '/', ' ']) {
            return Err(format!(
                "`{text}` is no systemd unit: expected its name, such as shop, or shop@ for every instance of a template"
            ));
        }
        Ok(Self(stem.to_owned()))
    }
}

/// The id of a process.
struct Pid(u32);

impl FromStr for Pid {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pid = text.parse().ok().filter(|pid| (1..=PID_MAX).contains(pid)).map(Self);
        pid.ok_or_else(|| format!("`{text}` is no process id: expected a number from 1 to {PID_MAX}"))
    }
}

/// PID_MAX_LIMIT of a 64-bit kernel (`include/linux/threads.h`).
const PID_MAX: u32 = 4 * 1024 * 1024;

fn something(text: &str) -> Result<&str, String> {
    if text.is_empty() {
        Err("an empty text matches nothing: expected a pattern".to_owned())
    } else {
        Ok(text)
    }
}

fn bad_glob(error: &globset::Error) -> String {
    let pattern = error.glob().unwrap_or_default();
    format!("`{pattern}` is no pattern: {}; put a \\ before a character that stands for itself", error.kind())
}
