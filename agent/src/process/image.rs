//! Image: what runs in a process, from an exec record and from `/proc` where that still answers.

use std::{borrow::Cow, cell::LazyCell, sync::Arc};

use engine::{
    event::{Exec, Process, Time},
    policy::SecretKeys,
};

use super::{
    Root,
    cgroup::{Cgroup, Cgroups},
    environment,
    executable::{Executable, Executables},
    proc::Stat,
    service_name::service_name,
};
use crate::secret;

/// What runs in a process since its exec; children that fork share it.
#[derive(Debug, Default)]
pub(super) struct Image {
    /// Of the executable; empty if unknown.
    pub(super) path: Box<str>,
    pub(super) service: Box<str>,
    /// The program's own environment states it.
    pub(super) service_is_stated: bool,
    /// Attributes that the program's own environment states.
    pub(super) stated: Box<[(Box<str>, Box<str>)]>,
    pub(super) cgroup: Arc<Cgroup>,
    pub(super) executable: Executable,
    /// What is to be shown of its arguments.
    pub(super) arguments: Box<[String]>,
}

impl Image {
    /// The file name of the executable.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// An image, and what else selectors look at.
#[derive(Debug)]
pub(super) struct Observation {
    pub(super) image: Image,
    /// The arguments, joined by spaces.
    pub(super) line: String,
    pub(super) user: Option<u32>,
    /// When the process was created, in ticks.
    pub(super) start: Option<u64>,
}

/// Looks at processes.
#[derive(Debug)]
pub(super) struct Observer {
    pub(super) root: Root,
    executables: Executables,
    cgroups: Cgroups,
    /// Arguments are shown, without the credentials of URLs and the values of these keys.
    pub(super) shows_arguments: Option<SecretKeys>,
}

impl Observer {
    pub(super) fn new(root: Root) -> Self {
        Self { root, executables: Executables::default(), cgroups: Cgroups::default(), shows_arguments: None }
    }

    fn shown(&self, arguments: &[Cow<'_, str>]) -> Box<[String]> {
        let Some(keys) = &self.shows_arguments else { return Box::default() };
        arguments.iter().map(|argument| secret::shown(argument, keys).into_owned()).collect()
    }

    /// An image that a record announces. By now the process may have gone, or run the next image.
    pub(super) fn exec(&mut self, exec: &Exec<'_>) -> Observation {
        let Process { tgid, time, cgroup, .. } = exec.process;
        let recorded = split(exec.arguments);
        let now = LazyCell::new(|| self.root.arguments(tgid).unwrap_or_default());
        let stat = self.root.stat(tgid).filter(|stat| stat.existed_at(time));
        let link = stat.and_then(|_| self.root.executable(tgid));
        let filename = String::from_utf8_lossy(exec.filename);
        let link =
            link.filter(|link| file_name(link) == file_name(&filename) || is_same(exec.arguments, &now));
        let same = link.is_some();
        let path = link.map_or_else(|| recorded_path(&filename, &recorded), Cow::Owned);
        // The record's arguments are cut at a bound, or could not be read; the process may still have them all.
        let cut = exec.arguments.len() >= abi::limit::ARGUMENTS_MAX;
        let more = recorded.is_empty() || cut && is_same(exec.arguments, &now);
        let arguments = if same && more { split(&now) } else { recorded };
        let executable =
            if same { self.executables.inspect(&self.root.of(tgid, "exe")) } else { Executable::default() };
        let group = self.cgroups.of(&self.root, tgid, Some(cgroup), time);
        let mut image = image(&path, &arguments, exec.environment, group, executable);
        image.arguments = self.shown(&arguments);
        let start = stat.map(|stat| stat.start);
        Observation { image, line: arguments.join(" "), user: Some(exec.process.uid), start }
    }

    /// A process that runs already. `event` is what the kernel side says of it, if that is how it was met.
    pub(super) fn running(&mut self, tgid: u32, stat: Option<Stat>, event: Option<&Process>) -> Observation {
        let arguments = self.root.arguments(tgid).unwrap_or_default();
        let arguments = split(&arguments);
        let path = self.root.executable(tgid).unwrap_or_default();
        let environment = self.root.environment(tgid).unwrap_or_default();
        let executable = self.executables.inspect(&self.root.of(tgid, "exe"));
        let (id, time): (_, Time) = (event.map(|event| event.cgroup), event.map_or(0, |event| event.time));
        let group = self.cgroups.of(&self.root, tgid, id, time);
        let mut image = image(&path, &arguments, &environment, group, executable);
        image.arguments = self.shown(&arguments);
        let user = event.map(|event| event.uid).or_else(|| self.root.user(tgid));
        Observation { image, line: arguments.join(" "), user, start: stat.map(|stat| stat.start) }
    }
}

fn image(
    path: &str,
    arguments: &[Cow<'_, str>],
    environment: &[u8],
    cgroup: Arc<Cgroup>,
    executable: Executable,
) -> Image {
    let stated = environment::read(environment);
    let service_is_stated = stated.service.is_some();
    let service = stated.service.unwrap_or_else(|| {
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        service_name(cgroup.unit.as_deref(), path, &arguments).into()
    });
    Image {
        path: path.into(),
        service,
        service_is_stated,
        stated: stated.attributes,
        cgroup,
        executable,
        arguments: Box::default(),
    }
}

/// Whether `/proc` shows the arguments of the record, which may be cut.
fn is_same(recorded: &[u8], now: &[u8]) -> bool {
    let recorded = recorded.strip_suffix(b"\0").unwrap_or(recorded);
    !recorded.is_empty() && now.starts_with(recorded)
}

/// The executable of an image that is gone. A script's record has the script as file name and the interpreter
/// as first argument (`fs/binfmt_script.c`: interpreter, its option if any, script, arguments).
fn recorded_path<'a>(filename: &'a str, arguments: &[Cow<'a, str>]) -> Cow<'a, str> {
    let script = arguments.iter().skip(1).take(2).any(|argument| argument == filename);
    match arguments.first() {
        Some(interpreter) if script && interpreter.starts_with('/') => interpreter.clone(),
        _ => Cow::Borrowed(filename),
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// NUL-separated arguments; the last one ends with a NUL or at the bound.
fn split(arguments: &[u8]) -> Vec<Cow<'_, str>> {
    let arguments = arguments.strip_suffix(b"\0").unwrap_or(arguments);
    if arguments.is_empty() {
        return Vec::new();
    }
    arguments.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect()
}
