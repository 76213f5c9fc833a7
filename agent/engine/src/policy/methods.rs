//! The HTTP methods that keep their name.

use thiserror::Error;

use super::is_token;

/// RFC 9110 (9.3), PATCH (RFC 5789) and QUERY, as OpenTelemetry's HTTP conventions have it.
pub const STANDARD: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY"];

/// The known methods: any other is `_OTHER`, so that a stranger cannot make up values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods {
    /// Which of the standard ones are known: a bit each.
    standard: u16,
    others: Vec<Box<str>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no HTTP method: letters, digits and !#$%&'*+-.^_`|~ make one")]
pub struct MethodError(pub String);

impl Default for Methods {
    fn default() -> Self {
        Self { standard: u16::MAX, others: Vec::new() }
    }
}

impl Methods {
    /// These and no others; upper and lower case are different methods.
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, MethodError> {
        let mut methods = Self { standard: 0, others: Vec::new() };
        for name in names {
            let name = name.as_ref();
            if !is_token(name) {
                return Err(MethodError(name.to_owned()));
            }
            match STANDARD.iter().position(|standard| *standard == name) {
                Some(index) => methods.standard |= 1 << index,
                None => methods.others.push(name.into()),
            }
        }
        Ok(methods)
    }

    /// A standard method, by its place in [`STANDARD`].
    pub(crate) fn knows_standard(&self, index: usize) -> bool {
        self.standard & (1 << index) != 0
    }

    /// Any other method.
    pub(crate) fn knows_other(&self, name: &[u8]) -> bool {
        self.others.iter().any(|other| other.as_bytes() == name)
    }
}
