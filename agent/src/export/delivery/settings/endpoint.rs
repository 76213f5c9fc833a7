//! Endpoint: the address of the requests, from the address of a backend as people write it.

use std::fmt::Display;

use http::{Uri, uri};

use super::{Protocol, SettingsError};

const GRPC_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What to do about the path of an address.
#[derive(Clone, Copy)]
pub(super) enum Path {
    AsIs,
    /// The address is a base.
    Append,
    /// The address is a base, unless it has a path of its own.
    AppendIfNone,
}

/// What is particular to the addresses of a protocol.
struct Form {
    backend: &'static str,
    default: &'static str,
    example: &'static str,
    /// Where credentials belong instead.
    credentials: &'static str,
}

fn form(protocol: Protocol) -> Form {
    let credentials = "OTEL_EXPORTER_OTLP_HEADERS, like authorization=Basic%20...";
    match protocol {
        Protocol::HttpProtobuf => Form {
            backend: "collector",
            default: "http://localhost:4318",
            example: "http://collector:4318",
            credentials,
        },
        Protocol::Grpc => Form {
            backend: "collector",
            default: "http://localhost:4317",
            example: "http://collector:4317",
            credentials,
        },
        Protocol::Zipkin => Form {
            backend: "Zipkin",
            default: "http://localhost:9411",
            example: "http://zipkin:9411/api/v2/spans",
            credentials: "the headers of the export",
        },
    }
}

/// The address of the specification.
pub(super) fn default(protocol: Protocol) -> Result<Uri, SettingsError> {
    endpoint(protocol, form(protocol).default, "", Path::Append, false)
}

/// An address on the command line or in the configuration.
pub(super) fn named(protocol: Protocol, url: &str, insecure: bool) -> Result<Uri, SettingsError> {
    endpoint(protocol, url, "", Path::AppendIfNone, insecure)
}

/// The address of the requests. `from` names the variable that the address comes from. Without a scheme, a gRPC
/// address is one for TLS, unless that is turned off.
pub(super) fn endpoint(
    protocol: Protocol,
    url: &str,
    from: &'static str,
    path: Path,
    insecure: bool,
) -> Result<Uri, SettingsError> {
    let refused = |why: &dyn Display| endpoint_error(protocol, url, from, why);
    let suffix = match protocol {
        Protocol::HttpProtobuf => "v1/traces",
        Protocol::Zipkin => "api/v2/spans",
        Protocol::Grpc => {
            let scheme = match url.split_once("://") {
                Some(_) => "",
                None if insecure => "http://",
                None => "https://",
            };
            let base = parse(protocol, &format!("{scheme}{url}"), url, from)?;
            return with_path(base, GRPC_PATH).map_err(|error| refused(&error));
        }
    };
    let base = parse(protocol, url, url, from)?;
    let appended = match path {
        Path::AsIs => base.path().to_owned(),
        Path::AppendIfNone if base.path() != "/" => base.path().to_owned(),
        Path::Append | Path::AppendIfNone => format!("{}/{suffix}", base.path().trim_end_matches('/')),
    };
    let path_and_query = match base.query() {
        Some(query) => format!("{appended}?{query}"),
        None => appended,
    };
    with_path(base, &path_and_query).map_err(|error| refused(&error))
}

fn parse(protocol: Protocol, completed: &str, url: &str, from: &'static str) -> Result<Uri, SettingsError> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    // A password may have a `/` or a `?`, so that its `@` may seem to be behind the authority.
    if let Some((_, behind)) = rest.rsplit_once('@') {
        let host = behind.split(['/', '?']).next().unwrap_or_default().to_owned();
        let instead = form(protocol).credentials;
        return Err(SettingsError::Credentials { host, from: origin(from), instead });
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let port = authority.rsplit(']').next().and_then(|behind| behind.rsplit_once(':'));
    if port.is_some_and(|(_, port)| port.parse::<u16>().is_err()) {
        return Err(endpoint_error(protocol, url, from, &"its port is no number up to 65535"));
    }
    let uri: Uri =
        completed.parse().map_err(|error: uri::InvalidUri| endpoint_error(protocol, url, from, &error))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(endpoint_error(protocol, url, from, &"it does not begin with http:// or https://"));
    }
    Ok(uri)
}

fn with_path(uri: Uri, path_and_query: &str) -> Result<Uri, http::Error> {
    let mut parts = uri.into_parts();
    parts.path_and_query = Some(path_and_query.parse()?);
    Ok(Uri::from_parts(parts)?)
}

fn endpoint_error(protocol: Protocol, url: &str, from: &'static str, why: &dyn Display) -> SettingsError {
    let Form { backend, example, .. } = form(protocol);
    SettingsError::Endpoint {
        // What follows may be a key.
        url: url.split('?').next().unwrap_or_default().to_owned(),
        from: origin(from),
        why: why.to_string(),
        backend,
        example,
    }
}

fn origin(variable: &'static str) -> String {
    if variable.is_empty() { String::new() } else { format!(" in {variable}") }
}
