//! Destination: where spans go, as named on the command line: `NAME[=VALUE]`.

use std::{fmt, path::PathBuf, str::FromStr};

use super::{
    Headers,
    delivery::{Settings, SettingsError},
};
use crate::secret;

/// Where spans go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// A collector, over HTTP or gRPC.
    Otlp(OtlpTarget),
    /// A Zipkin, at this address or where `OTEL_EXPORTER_ZIPKIN_ENDPOINT` says.
    Zipkin(Option<String>),
    /// OTLP/JSON lines, appended to a file; `-` is standard output.
    Json(PathBuf),
    /// A tree of each trace, on standard error: standard output belongs to the traced command.
    Console,
}

/// Which collector, and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OtlpTarget {
    /// As `OTEL_EXPORTER_OTLP_*` say.
    Environment,
    /// This address; the environment gives the rest, the protocol too.
    Address(String),
    /// OTLP over HTTP; the environment gives the rest, and the address too if none is here.
    Http(Option<String>),
    /// OTLP over gRPC; as above.
    Grpc(Option<String>),
}

impl Destination {
    /// Whether it is sent requests, which can have headers.
    pub fn has_headers(&self) -> bool {
        match self {
            Self::Otlp(_) | Self::Zipkin(_) => true,
            Self::Json(_) | Self::Console => false,
        }
    }
}

/// Says what is wrong with an address, whatever the environment adds to it.
fn check(destination: &Destination) -> Result<(), SettingsError> {
    let (headers, nothing) = (Headers::default(), |_: &str| None);
    match destination {
        // Without a scheme it may be one for gRPC.
        Destination::Otlp(OtlpTarget::Address(url)) if !url.contains("://") => {
            Settings::otlp(&OtlpTarget::Grpc(Some(url.clone())), &headers, nothing).map(drop)
        }
        Destination::Otlp(target) => Settings::otlp(target, &headers, nothing).map(drop),
        Destination::Zipkin(url) => Settings::zipkin(url.as_deref(), &headers, nothing).map(drop),
        Destination::Json(_) | Destination::Console => Ok(()),
    }
}

/// A destination that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    #[error(
        "unknown destination `{0}`: use one of `otlp[=URL]`, `otlp-http[=URL]`, `otlp-grpc[=URL]`, `zipkin[=URL]`, `json=FILE`, `console`"
    )]
    Unknown(String),
    #[error("`json` needs a file: `json=spans.jsonl`, or `json=-` for standard output")]
    NoFile,
    #[error("`console` takes no value, but was given `{0}`")]
    ConsoleValue(String),
    #[error(transparent)]
    Address(#[from] SettingsError),
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned()).filter(|value| !value.is_empty())),
            None => (text, None),
        };
        let destination = match (name, value) {
            ("otlp", None) => Self::Otlp(OtlpTarget::Environment),
            ("otlp", Some(url)) => Self::Otlp(OtlpTarget::Address(url)),
            ("otlp-http", url) => Self::Otlp(OtlpTarget::Http(url)),
            ("otlp-grpc", url) => Self::Otlp(OtlpTarget::Grpc(url)),
            ("zipkin", url) => Self::Zipkin(url),
            ("json", Some(file)) => Self::Json(file.into()),
            ("json", None) => return Err(DestinationError::NoFile),
            ("console", None) => Self::Console,
            // It may be an address with a password all the same.
            ("console", Some(value)) => return Err(DestinationError::ConsoleValue(secret::address(&value))),
            _ => return Err(DestinationError::Unknown(secret::address(text))),
        };
        check(&destination)?;
        Ok(destination)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Otlp(OtlpTarget::Environment) => f.write_str("otlp"),
            Self::Otlp(OtlpTarget::Address(url)) => write!(f, "otlp={url}"),
            Self::Otlp(OtlpTarget::Http(None)) => f.write_str("otlp-http"),
            Self::Otlp(OtlpTarget::Http(Some(url))) => write!(f, "otlp-http={url}"),
            Self::Otlp(OtlpTarget::Grpc(None)) => f.write_str("otlp-grpc"),
            Self::Otlp(OtlpTarget::Grpc(Some(url))) => write!(f, "otlp-grpc={url}"),
            Self::Zipkin(None) => f.write_str("zipkin"),
            Self::Zipkin(Some(url)) => write!(f, "zipkin={url}"),
            Self::Json(path) => write!(f, "json={}", path.display()),
            Self::Console => f.write_str("console"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_understood_and_printed_back() {
        for text in [
            "otlp",
            "otlp=http://c:4318",
            "otlp-http",
            "otlp-http=http://c:4318",
            "otlp-grpc",
            "otlp-grpc=https://c",
            "zipkin",
            "zipkin=http://z:9411",
            "json=-",
            "console",
        ] {
            assert_eq!(text.parse::<Destination>().unwrap().to_string(), text);
        }
        assert_eq!("json=a=b".parse(), Ok(Destination::Json("a=b".into())));
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_without_its_secrets() {
        for (text, expected) in [
            ("otlp=c:4318/x?key=hunter2", None),
            ("otlp-http=c:4318?key=hunter2", Some("`c:4318` is not the address of a collector")),
            ("otlp-grpc=ftp://c", Some("http:// or https://")),
            ("zipkin=http://z:port?key=hunter2", Some("`http://z:port` is not the address of a Zipkin")),
            ("otlp=http://u:hunter2@c", Some("the address of c carries credentials")),
            ("otlp=http://u:hun/hunter2@c:4318/v1", Some("the address of c:4318 carries credentials")),
            ("otlp=http://u:1?hunter2@c", Some("the address of c carries credentials")),
            ("otlp=http://[::1]:4318", None),
            ("jaeger=u:hunter2@c?key=hunter2", Some("unknown destination `jaeger=REDACTED@c`")),
            ("http://c/?key=hunter2", Some("unknown destination `http://c/`")),
            ("http://u:hunter2@c", Some("unknown destination `http://REDACTED@c`")),
            ("console=http://u:hun?ter2@c?key=hunter2", Some("given `http://REDACTED@c`")),
        ] {
            let message = text.parse::<Destination>().err().map(|error| error.to_string());
            assert_eq!(message.is_some(), expected.is_some(), "{text}: {message:?}");
            if let (Some(message), Some(expected)) = (message, expected) {
                assert!(message.contains(expected) && !message.contains("hunter2"), "{message}");
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_would_be() {
        let message = |text: &str| text.parse::<Destination>().unwrap_err().to_string();
        assert!(message("jaeger=x").starts_with("unknown destination `jaeger=x`: use one of `otlp[=URL]`"));
        assert!(message("json").contains("json=spans.jsonl"));
        assert!(message("console=x").contains("`x`"));
    }
}
