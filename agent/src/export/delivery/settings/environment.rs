//! Environment: `OTEL_EXPORTER_OTLP_*` and `OTEL_EXPORTER_ZIPKIN_*`, by OpenTelemetry's rules
//! (<https://opentelemetry.io/docs/specs/otel/protocol/exporter/>,
//! <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>).
//!
//! The variables for traces come before the general ones, an empty variable is as good as none, and a value that is
//! not understood is warned about and ignored. An address that cannot be used is an error.

use std::time::Duration;

use engine::{percent, protocol::detect};
use http::Uri;
use opentelemetry_otlp::{
    OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_INSECURE, OTEL_EXPORTER_OTLP_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL_GRPC,
    OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF, OTEL_EXPORTER_OTLP_TIMEOUT,
    OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT, OTEL_EXPORTER_OTLP_TRACES_COMPRESSION,
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_TRACES_HEADERS,
    OTEL_EXPORTER_OTLP_TRACES_INSECURE, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT,
};

use super::{
    File, Protocol, SettingsError, TlsFiles,
    endpoint::{self, Path},
};
use crate::{
    export::{delivery::compression::Compression, headers::Headers},
    secret,
};

const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";
const TRACES_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE";
const CLIENT_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const TRACES_CLIENT_CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE";
const CLIENT_KEY: &str = "OTEL_EXPORTER_OTLP_CLIENT_KEY";
const TRACES_CLIENT_KEY: &str = "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY";
const ZIPKIN_ENDPOINT: &str = "OTEL_EXPORTER_ZIPKIN_ENDPOINT";
const ZIPKIN_TIMEOUT: &str = "OTEL_EXPORTER_ZIPKIN_TIMEOUT";
const ZIPKIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// The variables, as they are when the program starts.
pub(super) struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Environment<'a> {
    pub(super) fn new(variable: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { variable }
    }

    fn read(&self, name: &'static str) -> Option<(&'static str, String)> {
        (self.variable)(name)
            .map(|value| value.trim().to_owned())
            .filter(|value| !value.is_empty())
            .map(|value| (name, value))
    }

    /// The first of the variables that is set.
    fn set(&self, names: [&'static str; 2]) -> Option<(&'static str, String)> {
        names.into_iter().find_map(|name| self.read(name))
    }

    /// The first of the variables that is set and understood; one that is not is warned about and passed over.
    fn first<T>(
        &self,
        names: impl IntoIterator<Item = &'static str>,
        parse: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Option<T> {
        names.into_iter().filter_map(|name| self.read(name)).find_map(|(name, value)| match parse(&value) {
            Ok(parsed) => Some(parsed),
            Err(why) => {
                tracing::warn!("ignoring {name}={}: {why}", secret::address(&value));
                None
            }
        })
    }

    pub(super) fn protocol(&self) -> Protocol {
        let parse = |value: &str| match value {
            OTEL_EXPORTER_OTLP_PROTOCOL_HTTP_PROTOBUF => Ok(Protocol::HttpProtobuf),
            OTEL_EXPORTER_OTLP_PROTOCOL_GRPC => Ok(Protocol::Grpc),
            _ => Err("use http/protobuf or grpc"),
        };
        self.first([OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_EXPORTER_OTLP_PROTOCOL], parse)
            .unwrap_or(Protocol::HttpProtobuf)
    }

    /// The traces' own address is used as it is, the general one is a base to which the path is appended.
    pub(super) fn otlp_endpoint(&self, protocol: Protocol) -> Result<Uri, SettingsError> {
        let insecure = self.insecure();
        if let Some((name, url)) = self.read(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT) {
            return endpoint::endpoint(protocol, &url, name, Path::AsIs, insecure);
        }
        match self.read(OTEL_EXPORTER_OTLP_ENDPOINT) {
            Some((name, url)) => endpoint::endpoint(protocol, &url, name, Path::Append, insecure),
            None => endpoint::default(protocol),
        }
    }

    pub(super) fn zipkin_endpoint(&self) -> Result<Uri, SettingsError> {
        match self.read(ZIPKIN_ENDPOINT) {
            Some((name, url)) => endpoint::endpoint(Protocol::Zipkin, &url, name, Path::AsIs, false),
            None => endpoint::default(Protocol::Zipkin),
        }
    }

    /// For gRPC addresses without a scheme.
    pub(super) fn insecure(&self) -> bool {
        self.boolean([OTEL_EXPORTER_OTLP_TRACES_INSECURE, OTEL_EXPORTER_OTLP_INSECURE])
    }

    /// Unlike others, one that is set to what is not understood is not passed over: "any value not explicitly defined here
    /// as a true value [...] MUST be interpreted as false", and warned about.
    fn boolean(&self, names: [&'static str; 2]) -> bool {
        let Some((name, value)) = self.set(names) else { return false };
        let is = |word: &str| value.eq_ignore_ascii_case(word);
        if !is("true") && !is("false") {
            tracing::warn!("taking {name}={} for false: use true or false", secret::address(&value));
        }
        is("true")
    }

    pub(super) fn otlp_timeout(&self) -> Option<Duration> {
        self.timeout(
            &[OTEL_EXPORTER_OTLP_TRACES_TIMEOUT, OTEL_EXPORTER_OTLP_TIMEOUT],
            OTEL_EXPORTER_OTLP_TIMEOUT_DEFAULT,
        )
    }

    pub(super) fn zipkin_timeout(&self) -> Option<Duration> {
        self.timeout(&[ZIPKIN_TIMEOUT], ZIPKIN_TIMEOUT_DEFAULT)
    }

    /// Zero means no limit.
    fn timeout(&self, names: &[&'static str], default: Duration) -> Option<Duration> {
        let parse = |value: &str| value.parse().map_err(|_| "it is not a number of milliseconds");
        let timeout = self.first(names.iter().copied(), parse).map_or(default, Duration::from_millis);
        (!timeout.is_zero()).then_some(timeout)
    }

    pub(super) fn compression(&self) -> Compression {
        let parse = |value: &str| match value.to_ascii_lowercase().as_str() {
            "none" => Ok(Compression::None),
            "gzip" => Ok(Compression::Gzip),
            "zstd" => Ok(Compression::Zstd),
            _ => Err("use gzip, zstd or none"),
        };
        self.first([OTEL_EXPORTER_OTLP_TRACES_COMPRESSION, OTEL_EXPORTER_OTLP_COMPRESSION], parse)
            .unwrap_or_default()
    }

    pub(super) fn tls(&self) -> Result<TlsFiles, SettingsError> {
        let file =
            |what, names| self.set(names).map(|(variable, path)| File { variable, path: path.into(), what });
        let authority = file("certificate", [TRACES_CERTIFICATE, CERTIFICATE]);
        let certificate = file("certificate", [TRACES_CLIENT_CERTIFICATE, CLIENT_CERTIFICATE]);
        let key = file("private key", [TRACES_CLIENT_KEY, CLIENT_KEY]);
        let half = |set: &File, missing| Err(SettingsError::HalfClient { set: set.variable, missing });
        let client = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (Some(certificate), None) => return half(&certificate, CLIENT_KEY),
            (None, Some(key)) => return half(&key, CLIENT_CERTIFICATE),
            (None, None) => None,
        };
        Ok(TlsFiles { authority, client })
    }

    pub(super) fn headers(&self) -> Headers {
        let mut headers = Headers::default();
        let Some((variable, text)) =
            self.set([OTEL_EXPORTER_OTLP_TRACES_HEADERS, OTEL_EXPORTER_OTLP_HEADERS])
        else {
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

/// `name=value`, the value percent-encoded.
fn add_header(headers: &mut Headers, entry: &str) -> Result<(), String> {
    let (name, value) =
        entry.split_once('=').ok_or("it is not `name=value`, separated from the next by a comma")?;
    let name = name.trim();
    // What is no name may be a part of a value.
    if !detect::is_token(name.as_bytes()) {
        return Err("it does not begin with the name of a header and `=`".to_owned());
    }
    let value = percent::decoded(value.trim().as_bytes())
        .ok_or_else(|| format!("the value of {name} is not percent-encoded"))?;
    headers.insert(name, value).map_err(|error| error.to_string())
}
