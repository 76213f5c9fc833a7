//! The keys of the file, absent until a source sets them. A value that deserializes is valid.

use engine::policy::{HeaderNames, OptIn, Routes, SecretKeys};
use serde::Deserialize;

use super::{
    ConfigError, TelemetryIngest, environment,
    ignore::IgnoreRules,
    report::report,
    sampler::{SamplerArgument, SamplerName},
    selector::{Entry, Selector},
    size::{Bytes, Count, Ring},
    value::{Attributes, FlavourWord, InstrumentedWord, List, Name, Parsed, Switch},
};
use crate::export::Destination;

/// Every key.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) export: Option<List<Vec<Destination>>>,
    pub(super) select: Option<Vec<Entry>>,
    pub(super) exclude: Option<Vec<Selector>>,
    pub(super) service_name: Option<Parsed<Name>>,
    pub(super) attributes: Option<Attributes>,
    pub(super) headers: HeadersFile,
    pub(super) opt_in: Option<List<OptIn>>,
    pub(super) routes: Option<List<Routes>>,
    pub(super) forwarded: Option<Parsed<Switch>>,
    pub(super) sampler: Option<Parsed<SamplerName>>,
    pub(super) sampler_argument: Option<Parsed<SamplerArgument>>,
    pub(super) ignore: Option<IgnoreRules>,
    pub(super) instrumented: Option<Parsed<InstrumentedWord>>,
    pub(super) telemetry_ingest: Option<Parsed<TelemetryIngest>>,
    pub(super) redact_query: Option<List<SecretKeys>>,
    pub(super) command_arguments: Option<Parsed<Switch>>,
    pub(super) capture: CaptureFile,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HeadersFile {
    pub(super) request: Option<List<HeaderNames>>,
    pub(super) response: Option<List<HeaderNames>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct CaptureFile {
    pub(super) flavour: Option<Parsed<FlavourWord>>,
    pub(super) copy_limit: Option<Parsed<Bytes<1024, { abi::limit::COPY_LIMIT_MAX }>>>,
    pub(super) connections: Option<Parsed<Count<64, 4_194_304>>>,
    pub(super) calls: Option<Parsed<Count<64, 4_194_304>>>,
    pub(super) processes: Option<Parsed<Count<64, 4_194_304>>>,
    pub(super) ring: Option<Parsed<Ring>>,
}

impl File {
    pub(super) fn parse(text: &str, name: &str) -> Result<Self, ConfigError> {
        // An empty file, or one with every key commented out, is a null document.
        let parsed: Result<Option<Self>, _> =
            serde_saphyr::from_str_with_options(text, environment::options());
        parsed
            .map(Option::unwrap_or_default)
            .map_err(|error| ConfigError::File { report: report(name, text, &error) })
    }

    /// The keys of both; where both set one, this one's value.
    pub(super) fn over(self, below: Self) -> Self {
        Self {
            export: self.export.or(below.export),
            select: self.select.or(below.select),
            exclude: self.exclude.or(below.exclude),
            service_name: self.service_name.or(below.service_name),
            attributes: self.attributes.or(below.attributes),
            headers: self.headers.over(below.headers),
            opt_in: self.opt_in.or(below.opt_in),
            routes: self.routes.or(below.routes),
            forwarded: self.forwarded.or(below.forwarded),
            sampler: self.sampler.or(below.sampler),
            sampler_argument: self.sampler_argument.or(below.sampler_argument),
            ignore: self.ignore.or(below.ignore),
            instrumented: self.instrumented.or(below.instrumented),
            telemetry_ingest: self.telemetry_ingest.or(below.telemetry_ingest),
            redact_query: self.redact_query.or(below.redact_query),
            command_arguments: self.command_arguments.or(below.command_arguments),
            capture: self.capture.over(below.capture),
        }
    }
}

impl HeadersFile {
    pub(super) fn over(self, below: Self) -> Self {
        Self { request: self.request.or(below.request), response: self.response.or(below.response) }
    }
}

impl CaptureFile {
    fn over(self, below: Self) -> Self {
        Self {
            flavour: self.flavour.or(below.flavour),
            copy_limit: self.copy_limit.or(below.copy_limit),
            connections: self.connections.or(below.connections),
            calls: self.calls.or(below.calls),
            processes: self.processes.or(below.processes),
            ring: self.ring.or(below.ring),
        }
    }
}
