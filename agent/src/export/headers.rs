//! Headers: what the operator wants beside the exporter's own headers in each request, such as a tenant or a key.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers that the exporter sets itself, or that would break the framing of a request.
const RESERVED: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "grpc-accept-encoding",
    "grpc-encoding",
    "host",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Headers for the requests to a destination. Their values are never printed: they may be secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(HeaderMap);

/// A header that cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    #[error("`{0}` is not the name of a header: use letters, digits and `-`")]
    Name(String),
    #[error("the value of the header `{0}` has characters that no header can have (RFC 9110, section 5.5)")]
    Value(String),
    #[error("the header `{0}` is set by the exporter itself")]
    Reserved(String),
}

impl Headers {
    /// Adds a header; one of the same name is replaced.
    pub fn insert(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        let parsed: HeaderName = name.parse().map_err(|_| HeaderError::Name(name.to_owned()))?;
        if RESERVED.contains(&parsed.as_str()) {
            return Err(HeaderError::Reserved(name.to_owned()));
        }
        let mut value =
            HeaderValue::from_bytes(value.as_ref()).map_err(|_| HeaderError::Value(name.to_owned()))?;
        value.set_sensitive(true);
        self.0.insert(parsed, value);
        Ok(())
    }

    /// Lays these headers over others.
    pub(super) fn over(&self, mut others: Self) -> Self {
        others.0.extend(self.0.clone());
        others
    }

    pub(super) fn map(&self) -> &HeaderMap {
        &self.0
    }
}

/// The names alone.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_would_break_a_request_are_refused() {
        let refused = |name: &str, value: &str| {
            Headers::default().insert(name, value).map_err(|error| error.to_string()).unwrap_err()
        };
        assert!(refused("bad name", "x").contains("`bad name` is not the name"));
        assert!(refused("x-key", "a\r\nb: c").contains("`x-key`"));
        assert!(refused("Content-Length", "0").contains("set by the exporter"));
    }

    #[test]
    fn values_are_not_printed_and_names_are_compared_without_case() {
        let mut headers = Headers::default();
        headers.insert("X-Key", "first").unwrap();
        headers.insert("x-key", "secret").unwrap();
        assert_eq!(format!("{headers:?}"), r#"{"x-key"}"#);
        let mut environment = Headers::default();
        environment.insert("x-key", "general").unwrap();
        environment.insert("x-other", "kept").unwrap();
        let both = headers.over(environment);
        assert_eq!((both.map()["x-key"].to_str().unwrap(), both.map().len()), ("secret", 2));
    }
}
