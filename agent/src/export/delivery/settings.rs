//! Settings: where a backend is and what it is sent, from the destination, its headers and OpenTelemetry's variables.

use std::{fmt, path::PathBuf, time::Duration};

use http::Uri;

use self::environment::Environment;
use super::compression::Compression;
use crate::export::{destination::OtlpTarget, headers::Headers};

mod endpoint;
mod environment;

/// How a backend is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::export) enum Protocol {
    HttpProtobuf,
    Grpc,
    /// Zipkin's API of version 2, in JSON.
    Zipkin,
}

/// Where a backend is and what it is sent.
#[derive(Clone, Debug)]
pub(in crate::export) struct Settings {
    pub(super) protocol: Protocol,
    /// The address of the requests themselves, path included.
    pub(super) endpoint: Uri,
    pub(super) headers: Headers,
    /// `None`: as long as it takes.
    pub(super) timeout: Option<Duration>,
    pub(super) compression: Compression,
    pub(super) tls: TlsFiles,
}

/// Certificates that the operator names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TlsFiles {
    /// Those that are trusted, instead of the system's.
    pub(super) authority: Option<File>,
    /// The client's certificate and its key.
    pub(super) client: Option<(File, File)>,
}

/// A file that a variable names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) variable: &'static str,
    pub(super) path: PathBuf,
    /// What it is to hold.
    pub(super) what: &'static str,
}

/// Settings that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("`{url}`{from} is not the address of a {backend} ({why}): write it like {example}")]
    Endpoint { url: String, from: String, why: String, backend: &'static str, example: &'static str },
    #[error(
        "the address of {host}{from} carries credentials, which would end up in logs: put them in {instead} (an `@` that belongs to a path is written %40)"
    )]
    Credentials { host: String, from: String, instead: &'static str },
    #[error("cannot prepare TLS for {endpoint}: {why}")]
    Tls { endpoint: String, why: String },
    #[error("cannot use {file}: {why}")]
    File { file: String, why: String },
    #[error("{set} is set without {missing}: a client's certificate and its key go together")]
    HalfClient { set: &'static str, missing: &'static str },
}

impl Settings {
    /// The settings of a collector, where `variable` reads the environment. `headers` come before those of the
    /// environment.
    pub(in crate::export) fn otlp(
        target: &OtlpTarget,
        headers: &Headers,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let environment = Environment::new(&variable);
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
        let endpoint = match named {
            Some(url) => endpoint::named(protocol, url, environment.insecure())?,
            None => environment.otlp_endpoint(protocol)?,
        };
        Ok(Self {
            protocol,
            endpoint,
            headers: headers.over(environment.headers()),
            timeout: environment.otlp_timeout(),
            compression: environment.compression(),
            tls: environment.tls()?,
        })
    }

    /// The settings of a Zipkin, likewise.
    pub(in crate::export) fn zipkin(
        url: Option<&str>,
        headers: &Headers,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, SettingsError> {
        let environment = Environment::new(&variable);
        Ok(Self {
            protocol: Protocol::Zipkin,
            endpoint: match url {
                Some(url) => endpoint::named(Protocol::Zipkin, url, false)?,
                None => environment.zipkin_endpoint()?,
            },
            headers: headers.clone(),
            timeout: environment.zipkin_timeout(),
            compression: Compression::None,
            tls: TlsFiles::default(),
        })
    }
}

impl Settings {
    /// The address of the requests as it may be shown: its query may be a key.
    pub(super) fn address(&self) -> String {
        let mut address = self.endpoint.to_string();
        address.truncate(address.find('?').unwrap_or(address.len()));
        address
    }
}

impl File {
    pub(super) fn unusable(&self, why: String) -> SettingsError {
        SettingsError::File { file: self.to_string(), why }
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.variable, self.path.display())
    }
}

#[cfg(test)]
mod tests;
