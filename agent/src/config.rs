//! Configuration: defaults < file < environment < flags, validated once into a [`Config`]; nothing else reads
//! any of them.
//!
//! In: [`Options`] of the command line, a YAML file, `SPANDREL_<PATH_OF_KEY>` variables. Out: a [`Config`] whose
//! every value is usable as it stands, or a [`ConfigError`] that names the place, the value and what to do.

mod file;
mod selector;
mod size;
#[cfg(test)]
mod tests;

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
};

pub use selector::{CommandLine, Exe, PathGlob, Selector, Unit, User};
use serde::Deserialize;

use crate::cli::Options;

/// The default configuration with an explanation of every key: what `spandrel config --print` prints.
pub const DEFAULT_FILE: &str = include_str!("config/default.yaml");

/// A configuration file larger than this is a mistake.
const FILE_MAX: u64 = 1024 * 1024;

/// The validated configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// `NAME[=DESTINATION]`, as on the command line. Empty: the command's own default.
    pub export: Vec<String>,
    /// Which processes are traced: those that match any of these; empty: every process.
    pub select: Vec<Selector>,
    /// Which are not, whatever `select` says.
    pub exclude: Vec<Selector>,
    pub capture: Capture,
    pub telemetry_ingest: TelemetryIngest,
}

/// Bounds of the kernel side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capture {
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
            copy_limit: abi::limit::COPY_LIMIT_DEFAULT,
            connections: 65_536,
            calls: 32_768,
            processes: 32_768,
            ring: 16 * 1024 * 1024,
        }
    }
}

/// Whether requests that carry telemetry to a collector make spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TelemetryIngest {
    /// They make none: a trace of each export would never end.
    #[default]
    Exclude,
    /// They are traced like any other request.
    Trace,
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read the configuration file {}: {error}", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("the configuration file {} is larger than {FILE_MAX} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("{report}\n`spandrel config --print` explains every key")]
    File { report: String },
    #[error("environment variable {name}: {report}")]
    Variable { name: String, report: String },
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
        // An empty variable is an unset one; the command line reads SPANDREL_CONFIG as it is.
        let mut file = match options.config.as_ref().filter(|path| !path.as_os_str().is_empty()) {
            Some(path) => file::File::parse(&read(path)?, &path.to_string_lossy())?,
            None => file::File::default(),
        };
        file.apply_environment(environment)?;
        if !options.export.is_empty() {
            file.export = Some(options.export.clone());
        }
        Ok(file.into_config())
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |error| ConfigError::Unreadable { path: path.to_owned(), error };
    // A device such as /dev/stdin has no length; only what says that it is too large is refused.
    if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

/// Whether a variable is one that the command line reads itself.
fn is_flag(name: &OsStr) -> bool {
    name == "SPANDREL_CONFIG" || name == "SPANDREL_LOG"
}
