//! `OTEL_*` variables, by OpenTelemetry's rules
//! (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>): empty is unset, and a value
//! that is not understood is warned about and ignored. Those of the exporters are read in [`crate::export`].
//!
//! Not read: `OTEL_SERVICE_NAME`, which would name this program and none that it traces, and `OTEL_SDK_DISABLED`, which
//! speaks to the SDKs in the traced programs; under `run` they have the same environment.

use std::{ffi::OsString, fmt::Display, str::FromStr};

use engine::{policy::Methods, span::names};

use super::{
    file::File,
    value::{List, Parsed},
};
use crate::{export::Destination, process::parse_attributes, secret};

const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const METHODS: &str = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS";
const RESOURCE: &str = "OTEL_RESOURCE_ATTRIBUTES";

/// What the variables say.
#[derive(Debug, Default)]
pub(super) struct Otel {
    /// Keys of the file that have a standard variable.
    pub(super) file: File,
    pub(super) methods: Methods,
    pub(super) resource: Vec<(Box<str>, Box<str>)>,
    /// `OTEL_TRACES_EXPORTER=none`.
    pub(super) no_export: bool,
}

pub(super) fn read(environment: &[(OsString, OsString)]) -> Otel {
    let variable = |name: &str| {
        let value = environment.iter().find(|(known, _)| known == name)?.1.to_string_lossy();
        Some(value.trim().to_owned()).filter(|value| !value.is_empty())
    };
    let mut otel = Otel::default();
    if let Some(value) = variable(EXPORTER) {
        otel.exporter(&value);
    }
    // "The specified value will only be used if OTEL_TRACES_SAMPLER is set."
    otel.file.sampler = variable(SAMPLER).and_then(|value| parse(SAMPLER, &value));
    if otel.file.sampler.is_some() {
        otel.file.sampler_argument =
            variable(SAMPLER_ARGUMENT).and_then(|value| parse(SAMPLER_ARGUMENT, &value));
    }
    if let Some(value) = variable(METHODS) {
        // HTTP conventions: "a comma-separated list of case-sensitive known HTTP methods", a full override.
        let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
        otel.methods = understood(METHODS, &value, Methods::new(names)).unwrap_or_default();
    }
    if let Some(value) = variable(RESOURCE) {
        let parsed = parse_attributes(&value).ok_or("expected name=value,name=value, percent-encoded");
        // Its values are anybody's.
        otel.resource = understood(RESOURCE, "...", parsed).unwrap_or_default();
        // They would name every service after this program.
        otel.resource
            .retain(|(name, _)| !matches!(&**name, names::SERVICE_NAME | names::SERVICE_INSTANCE_ID));
    }
    otel
}

impl Otel {
    /// A list of known names; `none` is one by itself.
    fn exporter(&mut self, value: &str) {
        let parsed: Result<Vec<Destination>, String> = value
            .split(',')
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .filter(|name| !name.eq_ignore_ascii_case("none"))
            .map(|name| match name.to_ascii_lowercase().as_str() {
                // The older name of `console`.
                "logging" => Ok(Destination::Console),
                name @ ("otlp" | "zipkin" | "console") => name.parse().map_err(|error| format!("{error}")),
                _ => Err(format!("`{name}` is none of otlp, zipkin, console, none")),
            })
            .collect();
        let Some(list) = understood(EXPORTER, value, parsed) else { return };
        self.no_export = list.is_empty();
        self.file.export = Some(List(list));
    }
}

fn parse<T: FromStr<Err: Display>>(name: &str, value: &str) -> Option<Parsed<T>> {
    understood(name, value, value.parse().map(Parsed))
}

/// Warns of what is not understood, without the credentials and queries of what may be addresses in it.
fn understood<T>(name: &str, value: &str, parsed: Result<T, impl Display>) -> Option<T> {
    let warn = |error: &dyn Display| {
        let (mut shown, mut error) = (value.to_owned(), error.to_string());
        for part in value.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let address = secret::address(part);
            shown = shown.replace(part, &address);
            // It may be quoted there.
            error = error.replace(part, &address);
        }
        tracing::warn!("ignoring {name}={shown}: {error}");
    };
    parsed.map_err(|error| warn(&error)).ok()
}
