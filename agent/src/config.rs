//! Configuration: defaults < file < environment < flags, validated once into a [`Config`]; nothing else reads
//! any of them.
//!
//! In: [`Options`] of the command line, a YAML file, `SPANDREL_<PATH_OF_KEY>` variables. Out: a [`Config`] whose
//! every value is usable as it stands, or a [`ConfigError`] that names the place, the value and what to do.

mod environment;
mod file;
mod ignore;
mod keys;
mod mask;
mod near;
mod otel;
mod report;
mod sampler;
mod selector;
mod settings;
mod size;
#[cfg(test)]
mod tests;
mod value;

use std::{
    ffi::OsString,
    io::Read as _,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use engine::policy::Policy;

pub use selector::{CommandLine, Exe, PathGlob, Selector, Unit, User};
pub use settings::Settings;

use crate::{cli::Options, export::Destination, secret};

/// The default configuration with an explanation of every key: what `spandrel config --print` prints.
pub const DEFAULT_FILE: &str = include_str!("config/default.yaml");

/// A configuration file larger than this is a mistake.
const FILE_MAX: u64 = 1024 * 1024;

/// The validated configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Where spans go. `None`: the command's own default.
    pub export: Option<Vec<Destination>>,
    /// Which processes are traced: those that match any of these; empty: every process.
    pub select: Vec<Select>,
    /// Which are not, whatever `select` says.
    pub exclude: Vec<Selector>,
    /// How exchanges become spans, of processes whose selector has no settings.
    pub policy: Arc<Policy>,
    /// The name of services that do not state theirs.
    pub service_name: Option<Box<str>>,
    /// Attributes of every Resource.
    pub resource: Vec<(Box<str>, Box<str>)>,
    /// Resources have the arguments of their process.
    pub command_arguments: bool,
    pub telemetry_ingest: TelemetryIngest,
    pub capture: Capture,
}

/// A selector, and how the processes are treated for which it is the first that matches.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    pub selector: Selector,
    /// `None`: as the top of the file says.
    pub settings: Option<Arc<Settings>>,
}

/// How the kernel side sees what moves, and its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture {
    /// System calls are hooked whatever else the kernel offers.
    pub system_calls: bool,
    /// Bytes copied of one call.
    pub copy_limit: u32,
    /// Connections followed at once.
    pub connections: u32,
    /// Socket calls in flight at once: one for every thread that is blocked in a read.
    pub calls: u32,
    /// Processes known at once.
    pub processes: u32,
    /// Bytes of the ring buffer: a power of two.
    pub ring: u32,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            system_calls: false,
            copy_limit: abi::limit::COPY_LIMIT_DEFAULT,
            connections: 65_536,
            calls: 32_768,
            processes: 32_768,
            ring: 16 * 1024 * 1024,
        }
    }
}

/// Whether requests that carry telemetry to a collector make spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TelemetryIngest {
    /// They make none: a trace of each export would never end.
    #[default]
    Exclude,
    /// They are traced like any other request.
    Trace,
}

impl FromStr for TelemetryIngest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        value::choice(text, &[("exclude", Self::Exclude), ("trace", Self::Trace)])
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("the configuration file {} is larger than {FILE_MAX} bytes: expected a few kilobytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("{report}\n`spandrel config --print` explains every key")]
    File { report: String },
    #[error("environment variable {report}\n`spandrel config --print` explains every key")]
    Variable { report: String },
    #[error("--export {text}: {error}")]
    Export { text: String, error: String },
}

impl Default for Config {
    fn default() -> Self {
        Self::new(file::File::default(), otel::Otel::default())
    }
}

impl Config {
    /// Reads and merges every source.
    pub fn load(options: &Options) -> Result<Self, ConfigError> {
        Self::from_sources(options, std::env::vars_os())
    }

    /// [`Config::load`] with the environment as an argument.
    pub fn from_sources(
        options: &Options,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let environment: Vec<_> = environment.into_iter().collect();
        // An empty variable is an unset one; the command line reads SPANDREL_CONFIG as it is.
        let written = match options.config.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => file::File::parse(&read(path)?, &path.to_string_lossy())?,
            None => file::File::default(),
        };
        let mut otel = otel::read(&environment);
        let own = environment::read(&environment)?;
        // `none` is what the standard variable says, unless something over it names destinations.
        otel.no_export &= own.export.is_none();
        let mut file = own.over(std::mem::take(&mut otel.file).over(written));
        if !options.export.is_empty() {
            file.export = Some(value::List(
                options.export.iter().map(|text| destination(text)).collect::<Result<_, _>>()?,
            ));
        }
        // A selector with settings may have the sampler that it is for.
        let argument = file.sampler_argument.as_ref().map(|argument| &argument.0);
        if file.select.iter().flatten().all(|entry| entry.settings.is_none())
            && let Some(unused) = sampler::unused(file.sampler.as_ref().map(|name| name.0), argument)
        {
            tracing::warn!("{unused}");
        }
        Ok(Self::new(file, otel))
    }

    fn new(file: file::File, otel: otel::Otel) -> Self {
        let policy = Arc::new(settings::policy(&file, &otel.methods));
        let entries = file.select.iter().flatten().cloned();
        let select = entries.map(|selector::Entry { selector, settings }| Select {
            selector,
            settings: settings.map(|settings| Arc::new(settings.resolve(&file, &otel.methods))),
        });
        let select = select.collect();
        let default = Capture::default();
        let capture = Capture {
            system_calls: file.capture.flavour.map_or(default.system_calls, |word| word.0.0),
            copy_limit: file.capture.copy_limit.map_or(default.copy_limit, |bytes| bytes.0.0),
            connections: file.capture.connections.map_or(default.connections, |count| count.0.0),
            calls: file.capture.calls.map_or(default.calls, |count| count.0.0),
            processes: file.capture.processes.map_or(default.processes, |count| count.0.0),
            ring: file.capture.ring.map_or(default.ring, |ring| ring.0.0),
        };
        Self {
            export: file.export.map(|list| list.0).filter(|list| !list.is_empty() || otel.no_export),
            select,
            exclude: file.exclude.unwrap_or_default(),
            policy,
            service_name: file.service_name.map(|name| name.0.0),
            resource: otel.resource,
            command_arguments: file.command_arguments.is_some_and(|switch| switch.0.0),
            telemetry_ingest: file.telemetry_ingest.map_or_else(TelemetryIngest::default, |word| word.0),
            capture,
        }
    }
}

fn destination(text: &str) -> Result<Destination, ConfigError> {
    // The value may be an address with credentials: the error says of it what may be shown.
    let name = text.split_once('=').map_or(text, |(name, _)| name);
    text.parse().map_err(|error: <Destination as FromStr>::Err| ConfigError::Export {
        text: secret::address(name),
        error: error.to_string(),
    })
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable { path: path.to_owned(), error };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    // A device has no length and may have no end.
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        ConfigError::File { report: report::not_utf8(&path.to_string_lossy(), error.as_bytes(), valid) }
    })
}
