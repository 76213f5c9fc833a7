//! Values: what a key may be set to. A value that deserializes is valid; one that does not says what was expected.

use std::{fmt, marker::PhantomData, str::FromStr};

use engine::{
    policy::{HeaderNames, Instrumented, OptIn, Routes, SecretKeys},
    span::{Attribute, Value},
};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};

use super::{keys, near::nearest};
use crate::export::{Destination, Headers};

/// A text that is read as `T`: numbers too, as they are written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Parsed<T>(pub(super) T);

impl<'de, T: FromStr<Err: fmt::Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(de::Error::custom)
    }
}

/// A text that says something.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name(pub(super) Box<str>);

impl FromStr for Name {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() { Err("expected a name, not an empty text") } else { Ok(Self(text.into())) }
    }
}

/// `true` or `false`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Switch(pub(super) bool);

impl FromStr for Switch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        choice(text, &[("true", Self(true)), ("false", Self(false))])
    }
}

/// A value of `capture.flavour`: whether system calls are hooked whatever else the kernel offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlavourWord(pub(super) bool);

impl FromStr for FlavourWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        choice(text, &[("auto", Self(false)), ("syscall", Self(true))])
    }
}

/// A value of `instrumented`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct InstrumentedWord(pub(super) Instrumented);

impl FromStr for InstrumentedWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        choice(text, &[("skip", Self(Instrumented::Skip)), ("both", Self(Instrumented::Both))])
    }
}

/// A TCP port.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Port(pub(super) u16);

impl FromStr for Port {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = text.parse().ok().filter(|port| *port > 0).map(Self);
        port.ok_or_else(|| format!("`{text}` is no port: expected a number from 1 to 65535"))
    }
}

/// The value of one of these words; upper and lower case are the same.
pub(super) fn choice<T: Clone>(text: &str, words: &[(&'static str, T)]) -> Result<T, String> {
    if let Some((_, value)) = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)) {
        return Ok(value.clone());
    }
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let guess = nearest(text, words.iter().copied());
    let guess = guess.map_or_else(|| ".".to_owned(), |near| format!(": did you mean `{near}`?"));
    Err(format!("unknown value `{text}`{guess} Expected {}", keys::list(&words, "or")))
}

/// What a list of texts makes.
pub(super) trait FromList: Sized {
    /// Also called for each text alone, so that one that is refused is shown where it stands.
    fn from_list(texts: &[String]) -> Result<Self, String>;
    /// Of one text.
    const EXAMPLE: &str;
}

impl FromList for HeaderNames {
    fn from_list(texts: &[String]) -> Result<Self, String> {
        Self::new(texts).map_err(|error| error.to_string())
    }
    const EXAMPLE: &str = "x-request-id";
}

impl FromList for OptIn {
    fn from_list(texts: &[String]) -> Result<Self, String> {
        let names = engine::policy::opt_in::NAMES;
        let near = |text: &String| nearest(text, names.iter().copied()).filter(|near| near != text);
        Self::new(texts).map_err(|error| match texts.iter().find_map(near) {
            Some(near) => format!("did you mean `{near}`? {error}"),
            None => error.to_string(),
        })
    }
    const EXAMPLE: &str = engine::span::names::NETWORK_TRANSPORT;
}

impl FromList for Routes {
    fn from_list(texts: &[String]) -> Result<Self, String> {
        Self::new(texts).map_err(|error| error.to_string())
    }
    const EXAMPLE: &str = "\"/users/{id}\"";
}

impl FromList for SecretKeys {
    fn from_list(texts: &[String]) -> Result<Self, String> {
        Self::new(texts).map_err(|error| error.to_string())
    }
    const EXAMPLE: &str = "token";
}

impl FromList for Vec<Destination> {
    fn from_list(texts: &[String]) -> Result<Self, String> {
        texts.iter().map(|text| text.parse().map_err(|error| format!("{error}"))).collect()
    }
    const EXAMPLE: &str = "otlp";
}

/// A list of texts; one text stands for a list of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct List<T>(pub(super) T);

impl<'de, T: FromList> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListVisitor(PhantomData))
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: FromList> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list of texts, such as [{}],", T::EXAMPLE)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<List<T>, E> {
        T::from_list(&[text.to_owned()]).map(List).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<List<T>, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = sequence.next_element_seed(Element(PhantomData::<T>))? {
            texts.push(text);
        }
        T::from_list(&texts).map(List).map_err(de::Error::custom)
    }
}

/// A text that would make a list by itself.
struct Element<T>(PhantomData<T>);

impl<'de, T: FromList> DeserializeSeed<'de> for Element<T> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        /// Errors get the place of what is deserialized as a whole.
        struct Text<T>(String, PhantomData<T>);
        impl<'de, T: FromList> Deserialize<'de> for Text<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let texts = [String::deserialize(deserializer)?];
                T::from_list(&texts).map_err(de::Error::custom)?;
                let [text] = texts;
                Ok(Self(text, PhantomData))
            }
        }
        Text::<T>::deserialize(deserializer).map(|text| text.0)
    }
}

/// Attributes of every span, in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Attributes(pub(super) Vec<Attribute>);

impl Attributes {
    /// The attributes of both; where both have one of a name, this one's.
    pub(super) fn over(&self, below: &Self) -> Self {
        let is_ours = |key: &str| self.0.iter().any(|attribute| attribute.key == key);
        let kept = below.0.iter().filter(|attribute| !is_ours(&attribute.key));
        Self(kept.chain(&self.0).cloned().collect())
    }
}

/// What spans say themselves begins so.
const TAKEN: [&str; 9] =
    ["http.", "url.", "network.", "server.", "client.", "user_agent.", "error.", "rpc.", "spandrel."];
const ATTRIBUTES_MAX: usize = 64;

impl<'de> Deserialize<'de> for Attributes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Attributes;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("names with values, such as { team: shop },")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Attributes, A::Error> {
                let mut attributes = Vec::new();
                while let Some(AttributeName(key)) = map.next_key()? {
                    let AttributeValue(value) = map.next_value()?;
                    attributes.push(Attribute { key: key.into(), value });
                }
                if attributes.len() > ATTRIBUTES_MAX {
                    let count = attributes.len();
                    let what = format!(
                        "{count} attributes: expected {ATTRIBUTES_MAX} at most, as every span has them"
                    );
                    return Err(de::Error::custom(what));
                }
                Ok(Attributes(attributes))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

struct AttributeName(String);

impl<'de> Deserialize<'de> for AttributeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name.trim().is_empty() {
            return Err(de::Error::custom("expected the name of an attribute, not an empty text"));
        }
        match TAKEN.iter().find(|prefix| name.starts_with(**prefix)) {
            None => Ok(Self(name)),
            Some(prefix) => Err(de::Error::custom(format!(
                "`{name}` is no name for an attribute of your own, as spans have `{prefix}*` from what they saw: \
                 expected another, such as `shop.{name}`"
            ))),
        }
    }
}

struct AttributeValue(Value);

impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(
                    "a text, a whole number, true or false, or a list of texts (a number with a point in quotes)",
                )
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Integer(value))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
                i64::try_from(value).map(Value::Integer).map_err(|_| {
                    E::custom(format!("{value} is too large: expected at most {}, or quotes", i64::MAX))
                })
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::String(text.to_owned().into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = sequence.next_element()? {
                    texts.push(text);
                }
                Ok(Value::Strings(texts))
            }
        }
        deserializer.deserialize_any(Any).map(Self)
    }
}

/// Headers of the requests to destinations.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ExportHeaders(pub(super) Headers);

impl<'de> Deserialize<'de> for ExportHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = ExportHeaders;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("names of headers with values, such as { x-scope-orgid: shop },")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ExportHeaders, A::Error> {
                let mut headers = Headers::default();
                while let Some(HeaderName(name)) = map.next_key()? {
                    // The value may be a secret: an error does not show it, but the name.
                    headers.insert(&name, map.next_value::<String>()?).map_err(de::Error::custom)?;
                }
                Ok(ExportHeaders(headers))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// A name that can be sent.
struct HeaderName(String);

impl<'de> Deserialize<'de> for HeaderName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Headers::default().insert(&name, "").map_err(de::Error::custom)?;
        Ok(Self(name))
    }
}
