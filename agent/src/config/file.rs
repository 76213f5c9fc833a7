//! The file as it is written, and the environment laid over it. A value that deserializes is valid.

use std::ffi::OsString;

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Capture, Config, ConfigError, Selector, TelemetryIngest,
    size::{Bytes, Count, Ring},
};

const PREFIX: &str = "SPANDREL_";

/// Every key, absent until a source sets it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) export: Option<Vec<String>>,
    select: Option<Vec<Selector>>,
    exclude: Option<Vec<Selector>>,
    capture: CaptureFile,
    telemetry_ingest: Option<TelemetryIngest>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CaptureFile {
    copy_limit: Option<Bytes<1024, { abi::limit::COPY_LIMIT_MAX }>>,
    connections: Option<Count<64, 4_194_304>>,
    calls: Option<Count<64, 4_194_304>>,
    processes: Option<Count<64, 4_194_304>>,
    ring: Option<Ring>,
}

impl File {
    pub(super) fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        // An empty file, or one with every key commented out, is a null document.
        let parsed: Result<Option<Self>, _> = serde_saphyr::from_str(text);
        match parsed {
            Ok(file) => Ok(file.unwrap_or_default()),
            Err(error) => {
                let options = serde_saphyr::render_options! { source_name: Some(name) };
                Err(ConfigError::File { report: error.render_with_options(options) })
            }
        }
    }

    /// Lays `SPANDREL_<PATH_OF_KEY>` over the file. A value is written as in the file; lists in YAML's `[a, b]`.
    /// Empty is unset.
    pub(super) fn apply_environment(
        &mut self,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in environment {
            if value.is_empty() || super::is_flag(&name) {
                continue;
            }
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else { continue };
            let Some(value) = value.to_str() else {
                return Err(variable(name, "the value is not UTF-8".to_owned()));
            };
            match name.get(PREFIX.len()..).unwrap_or_default() {
                "EXPORT" => self.export = Some(list(name, value)?),
                "SELECT" => self.select = Some(parse(name, value)?),
                "EXCLUDE" => self.exclude = Some(parse(name, value)?),
                "CAPTURE_COPY_LIMIT" => self.capture.copy_limit = Some(parse(name, value)?),
                "CAPTURE_CONNECTIONS" => self.capture.connections = Some(parse(name, value)?),
                "CAPTURE_CALLS" => self.capture.calls = Some(parse(name, value)?),
                "CAPTURE_PROCESSES" => self.capture.processes = Some(parse(name, value)?),
                "CAPTURE_RING" => self.capture.ring = Some(parse(name, value)?),
                "TELEMETRY_INGEST" => self.telemetry_ingest = Some(parse(name, value)?),
                // Not refused: Kubernetes sets SPANDREL_SERVICE_HOST and the like for a service of that name.
                _ => tracing::warn!(name, "environment variable is no configuration key and is ignored"),
            }
        }
        Ok(())
    }

    pub(super) fn into_config(self) -> Config {
        let default = Capture::default();
        let capture = Capture {
            copy_limit: self.capture.copy_limit.map_or(default.copy_limit, |bytes| bytes.0),
            connections: self.capture.connections.map_or(default.connections, |count| count.0),
            calls: self.capture.calls.map_or(default.calls, |count| count.0),
            processes: self.capture.processes.map_or(default.processes, |count| count.0),
            ring: self.capture.ring.map_or(default.ring, |ring| ring.0),
        };
        Config {
            export: self.export.unwrap_or_default(),
            select: self.select.unwrap_or_default(),
            exclude: self.exclude.unwrap_or_default(),
            capture,
            telemetry_ingest: self.telemetry_ingest.unwrap_or_default(),
        }
    }
}

fn parse<T: DeserializeOwned>(name: &str, value: &str) -> Result<T, ConfigError> {
    serde_saphyr::from_str(value).map_err(|error| variable(name, error.without_snippet().render()))
}

/// A list of strings; a value that does not start like a YAML list is its only element.
fn list(name: &str, value: &str) -> Result<Vec<String>, ConfigError> {
    if value.trim_start().starts_with('[') { parse(name, value) } else { Ok(vec![value.to_owned()]) }
}

fn variable(name: &str, report: String) -> ConfigError {
    ConfigError::Variable { name: name.to_owned(), report }
}
