//! Settings: `OTEL_EXPORTER_OTLP_*`, by OpenTelemetry's rules
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>).
//!
//! The variables for traces come before the general ones, an empty variable is as good as none, and a value of a known
//! set that is not understood is warned about and ignored. An address that cannot be used is an error.

use std::{fmt::Display, time::Duration};

use http::{Uri, uri};
use opentelemetry_otlp::{
    Compression, OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_INSECURE, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL_GRPC,
    OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF, OTEL_EXPORTER_OTLP_TIMEOUT,
    OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, OTEL_EXPORTER_OTLP_TRACES_COMPRESSION,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_HEADERS,
    OTEL_EXPORTER_OTLP_TRACES_INSECURE, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
};

use crate::export::{destination::OtlpTarget, headers::Headers};

const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS, like authorization=Basic%20...";
const HTTP_PATH: &str = "v1/traces";
const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::export) enum Protocol {
    HttpProtobuf,
    Grpc,
}

/// Where a collector is and what it is sent.
#[derive(Clone, Debug)]
pub(in crate::export) struct Settings {
    pub(super) protocol: Protocol,
    /// The address of the requests themselves, path included.
    pub(super) endpoint: Uri,
    pub(super) headers: Headers,
    pub(super) timeout: Duration,
    pub(super) gzip: bool,
}

/// Settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("`{url}`{from} is not the address of a collector ({why}): write it like http://collector:{port}")]
    Endpoint { url: String, from: String, why: String, port: u16 },
    #[error(
        "the address of {host}{from} carries credentials, which would end up in logs: put them in {HEADERS}"
    )]
    Credentials { host: String, from: String },
    #[error("cannot prepare TLS for {endpoint}: {why}; certificates come with the package ca-certificates")]
    Tls { endpoint: String, why: String },
}

impl Settings {
    /// The settings for a target, where `variable` reads the environment.
    pub(in crate::export) fn new(
        target: &OtlpTarget,
        headers: &Headers,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let environment = Environment(&variable);
        let protocol = match target {
            OtlpTarget::Environment | OtlpTarget::Address(_) => environment.protocol(),
            OtlpTarget::Http(_) => Protocol::HttpProtobuf,
            OtlpTarget::Grpc(_) => Protocol::Grpc,
        };
        let named = match target {
            OtlpTarget::Environment => None,
            OtlpTarget::Address(url) => Some(url),
            OtlpTarget::Http(url) | OtlpTarget::Grpc(url) => url.as_ref(),
        };
        let endpoint = match (named, protocol) {
            (Some(url), Protocol::HttpProtobuf) => http_endpoint(url, "", Path::AppendIfNone)?,
            (Some(url), Protocol::Grpc) => grpc_endpoint(url, "", environment.insecure())?,
            (None, Protocol::HttpProtobuf) => environment.http_endpoint()?,
            (None, Protocol::Grpc) => environment.grpc_endpoint()?,
        };
        Ok(Self {
            protocol,
            endpoint,
            headers: headers.over(environment.headers()),
            timeout: environment.timeout(),
            gzip: environment.gzip(),
        })
    }
}

struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    fn read(&self, name: &'static str) -> Option<(&'static str, String)> {
        (self.0)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .map(|value| (name, value))
    }

    /// The first of two variables that is set and understood; one that is not is warned about and passed over.
    fn first<T>(&self, names: [&'static str; 2], parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        names.into_iter().filter_map(|name| self.read(name)).find_map(|(name, value)| match parse(&value) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                tracing::warn!("ignoring {name}={value}: {why}");
                None
            }
        })
    }

    fn protocol(&self) -> Protocol {
        let parse = |value: &str| match value {
            OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF => Ok(Protocol::HttpProtobuf),
            OTEL_EXPORTER_OTLP_PROTOCOL_GRPC => Ok(Protocol::Grpc),
            _ => Err("use http/protobuf or grpc".to_owned()),
        };
        self.first([OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL], parse)
            .unwrap_or(Protocol::HttpProtobuf)
    }

    /// The traces' own address is used as it is, the general one is a base to which the path is appended.
    fn http_endpoint(&self) -> Result<Uri, SettingsError> {
        if let Some((name, url)) = self.read(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) {
            return http_endpoint(&url, name, Path::AsIs);
        }
        match self.read(OTEL_EXPORTER_OTLP_ENDPOINT) {
            Some((name, url)) => http_endpoint(&url, name, Path::Append),
            None => http_endpoint("http://localhost:4318", "", Path::Append),
        }
    }

    fn grpc_endpoint(&self) -> Result<Uri, SettingsError> {
        let names = [OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT];
        match names.into_iter().find_map(|name| self.read(name)) {
            Some((name, url)) => grpc_endpoint(&url, name, self.insecure()),
            None => grpc_endpoint("http://localhost:4317", "", false),
        }
    }

    /// For gRPC addresses without a scheme.
    fn insecure(&self) -> bool {
        self.first([OTEL_EXPORTER_OTLP_TRACES_INSECURE, OTEL_EXPORTER_OTLP_INSECURE], |value| {
            Ok(value.eq_ignore_ascii_case("true"))
        })
        .unwrap_or_default()
    }

    fn timeout(&self) -> Duration {
        let parse = |value: &str| value.parse().map_err(|_| "it is not a number of milliseconds".to_owned());
        self.first([OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT], parse)
            .map_or(OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, Duration::from_millis)
    }

    fn gzip(&self) -> bool {
        let parse = |value: &str| match value.to_ascii_lowercase().as_str() {
            "none" => Ok(false),
            value => match value.parse::<Compression>() {
                Ok(Compression::Gzip) => Ok(true),
                Ok(other) => Err(format!("{other} is not built in, use gzip or none")),
                Err(error) => Err(error.to_string()),
            },
        };
        self.first([OTEL_EXPORTER_OTLP_TRACES_COMPRESSION, OTEL_EXPORTER_OTLP_COMPRESSION], parse)
            .unwrap_or_default()
    }

    fn headers(&self) -> Headers {
        let names = [OTEL_EXPORTER_OTLP_TRACES_HEADERS, OTEL_EXPORTER_OTLP_HEADERS];
        let mut headers = Headers::default();
        let Some((variable, text)) = names.into_iter().find_map(|name| self.read(name)) else {
            return headers;
        };
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            // The value may be a secret, so only the name is told.
            if let Err(why) = add_header(&mut headers, entry) {
                tracing::warn!("ignoring a part of {variable}: {why}");
            }
        }
        headers
    }
}

/// What to do about the path of an address.
#[derive(Clone, Copy)]
enum Path {
    AsIs,
    Append,
    AppendIfNone,
}

fn http_endpoint(url: &str, from: &'static str, path: Path) -> Result<Uri, SettingsError> {
    let base = parse(url, url, from, 4318)?;
    let appended = match path {
        Path::AsIs => base.path().to_owned(),
        Path::AppendIfNone if base.path() != "/" => base.path().to_owned(),
        Path::Append | Path::AppendIfNone => format!("{}/{HTTP_PATH}", base.path().trim_end_matches('/')),
    };
    let path_and_query = match base.query() {
        Some(query) => format!("{appended}?{query}"),
        None => appended,
    };
    with_path(base, &path_and_query).map_err(|error| endpoint_error(url, from, &error, 4318))
}

/// Without a scheme, a gRPC address is one for TLS, unless that is turned off.
fn grpc_endpoint(url: &str, from: &'static str, insecure: bool) -> Result<Uri, SettingsError> {
    let scheme = match url.split_once("://") {
        Some(_) => "",
        None if insecure => "http://",
        None => "https://",
    };
    let base = parse(&format!("{scheme}{url}"), url, from, 4317)?;
    with_path(base, GRPC_PATH).map_err(|error| endpoint_error(url, from, &error, 4317))
}

fn parse(completed: &str, url: &str, from: &'static str, port: u16) -> Result<Uri, SettingsError> {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    if let Some((_, host)) = authority.rsplit_once('@') {
        return Err(SettingsError::Credentials { host: host.to_owned(), from: origin(from) });
    }
    let uri: Uri =
        completed.parse().map_err(|error: uri::InvalidUri| endpoint_error(url, from, &error, port))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(endpoint_error(url, from, &"it does not begin with http:// or https://", port));
    }
    Ok(uri)
}

fn with_path(uri: Uri, path_and_query: &str) -> Result<Uri, http::Error> {
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(path_and_query.parse()?);
    Ok(Uri::from_parts(parts)?)
}

fn endpoint_error(url: &str, from: &'static str, why: &dyn Display, port: u16) -> SettingsError {
    SettingsError::Endpoint { url: url.to_owned(), from: origin(from), why: why.to_string(), port }
}

fn origin(variable: &'static str) -> String {
    if variable.is_empty() { String::new() } else { format!(" in {variable}") }
}

/// `name=value`, the value percent-encoded.
fn add_header(headers: &mut Headers, entry: &str) -> Result<(), String> {
    let (name, value) =
        entry.split_once('=').ok_or("it is not `name=value`, separated from the next by a comma")?;
    let name = name.trim();
    let value = percent_decoded(value.trim().as_bytes())
        .ok_or_else(|| format!("the value of {name} is not percent-encoded"))?;
    headers.insert(name, value).map_err(|error| error.to_string())
}

fn percent_decoded(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    while let Some((&byte, rest)) = text.split_first() {
        text = rest;
        if byte == b'%' {
            let (digits, rest) = text.split_first_chunk::<2>()?;
            let digit = |byte: &u8| char::from(*byte).to_digit(16);
            let [high, low] = digits.each_ref().map(digit);
            decoded.push(u8::try_from(high? << 4 | low?).ok()?);
            text = rest;
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests;
