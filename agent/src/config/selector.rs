//! A selector: what a process must be to be traced, or to be left alone. Matching is in [`crate::process`].

use std::fmt;

use globset::{Glob, GlobBuilder, GlobMatcher};
use serde::{Deserialize, Deserializer, de};

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

impl<'de> Deserialize<'de> for Selector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            exe: Option<Exe>,
            command_line: Option<CommandLine>,
            pid: Option<u32>,
            port: Option<u16>,
            user: Option<User>,
            cgroup: Option<PathGlob>,
            unit: Option<Unit>,
        }
        let Keys { exe, command_line, pid, port, user, cgroup, unit } = Keys::deserialize(deserializer)?;
        let selector = Self { exe, command_line, pid, port, user, cgroup, unit };
        if selector.is_empty() {
            return Err(de::Error::custom(
                "a selector without a key matches nothing: expected exe, command_line, pid, port, user, cgroup or unit",
            ));
        }
        Ok(selector)
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

impl<'de> Deserialize<'de> for PathGlob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(&text(deserializer)?).map_err(de::Error::custom)
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

impl<'de> Deserialize<'de> for Exe {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pattern = text(deserializer)?;
        let glob = PathGlob::new(&pattern).map_err(de::Error::custom)?;
        Ok(if pattern.contains('/') { Self::Path(glob) } else { Self::Name(glob) })
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

impl<'de> Deserialize<'de> for CommandLine {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer)?;
        if !text.contains(['*', '?', '[', '{']) {
            return Ok(Self::Contains(text));
        }
        let glob = Glob::new(&text).map_err(de::Error::custom)?;
        Ok(Self::Matches(PathGlob(glob.compile_matcher())))
    }
}

/// A user by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    Name(String),
    Id(u32),
}

impl<'de> Deserialize<'de> for User {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = User;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a user name or a user id")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<User, E> {
                u32::try_from(value)
                    .map(User::Id)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<User, E> {
                u32::try_from(value)
                    .map(User::Id)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<User, E> {
                match value.parse() {
                    Ok(id) => Ok(User::Id(id)),
                    Err(_) if value.is_empty() => Err(E::invalid_value(de::Unexpected::Str(value), &self)),
                    Err(_) => Ok(User::Name(value.to_owned())),
                }
            }
        }
        deserializer.deserialize_any(Visitor)
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

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = text(deserializer)?;
        Ok(Self(name.strip_suffix(".service").unwrap_or(&name).to_owned()))
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() { Err(de::Error::custom("an empty text matches nothing")) } else { Ok(text) }
}
