//! What spans say only if their operator asks for it by name.

use thiserror::Error;

macro_rules! items {
    ($($(#[$doc:meta])* $variant:ident => $name:expr,)*) => {
        /// An attribute or event that is left out unless it is asked for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Item { $($(#[$doc])* $variant,)* }
        const ITEMS: &[Item] = &[$(Item::$variant),*];
        /// All names, in order.
        pub const NAMES: &[&str] = &[$($name),*];
    };
}

items! {
    RequestBodySize => crate::span::names::HTTP_REQUEST_BODY_SIZE,
    ResponseBodySize => crate::span::names::HTTP_RESPONSE_BODY_SIZE,
    LocalAddress => crate::span::names::NETWORK_LOCAL_ADDRESS,
    LocalPort => crate::span::names::NETWORK_LOCAL_PORT,
    Transport => crate::span::names::NETWORK_TRANSPORT,
    NetworkType => crate::span::names::NETWORK_TYPE,
    /// On client spans; server spans always have it.
    Scheme => crate::span::names::URL_SCHEME,
    /// On client spans; server spans always have it.
    UserAgent => crate::span::names::USER_AGENT_ORIGINAL,
    /// An event: the first byte of the response.
    FirstByte => "first_byte",
}

/// What was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptIn(u16);

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{name}` cannot be opted in to: these can: {}", NAMES.join(", "))]
pub struct OptInError {
    pub name: String,
}

impl OptIn {
    pub fn new(names: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, OptInError> {
        names.into_iter().try_fold(Self::default(), |Self(set), name| {
            let name = name.as_ref();
            let index = NAMES.iter().position(|known| *known == name);
            let item = index.and_then(|index| ITEMS.get(index));
            item.map(|item| Self(set | item.bit())).ok_or_else(|| OptInError { name: name.to_owned() })
        })
    }

    pub(crate) fn has(self, item: Item) -> bool {
        self.0 & item.bit() != 0
    }

    /// Nothing was asked for.
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Item {
    fn bit(self) -> u16 {
        1 << self as u16
    }
}
