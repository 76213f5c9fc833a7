//! The header fields that an operator wants to see on spans.

use thiserror::Error;

use super::is_token;

/// Never exported, whoever asks for it.
const SECRET: [&str; 4] = ["authorization", "proxy-authorization", "cookie", "set-cookie"];
/// Names of one list.
const NAMES_MAX: usize = 64;

/// Allow-lists; what is on none of them is not exported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// For `http.request.header.<name>`.
    pub request: HeaderNames,
    /// For `http.response.header.<name>`.
    pub response: HeaderNames,
}

/// Names of fields, in lower case; none of them carries credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderNames(Box<[Box<str>]>);

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HeaderError {
    #[error("the header `{0}` carries credentials and is never exported: remove it from the list")]
    Secret(String),
    #[error("`{0}` is no name of a header: letters, digits and !#$%&'*+-.^_`|~ make one")]
    Name(String),
    #[error("{0} names of headers are more than {NAMES_MAX}")]
    TooMany(usize),
}

impl HeaderNames {
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, HeaderError> {
        let mut list: Vec<Box<str>> = Vec::new();
        for name in names {
            let given = name.as_ref();
            if !is_token(given) {
                return Err(HeaderError::Name(given.to_owned()));
            }
            let name = given.to_ascii_lowercase();
            if SECRET.contains(&&*name) {
                return Err(HeaderError::Secret(given.to_owned()));
            }
            if !list.iter().any(|listed| **listed == *name) {
                list.push(name.into());
            }
        }
        if list.len() > NAMES_MAX {
            return Err(HeaderError::TooMany(list.len()));
        }
        Ok(Self(list.into()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where a field of this name stands in the list.
    pub(crate) fn position(&self, name: &[u8]) -> Option<usize> {
        self.0.iter().position(|listed| listed.as_bytes().eq_ignore_ascii_case(name))
    }

    /// The names, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }
}
