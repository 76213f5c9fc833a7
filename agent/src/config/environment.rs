//! `SPANDREL_<PATH_OF_KEY>`: a variable for each key, whose text is read as if it stood there in the file.

use std::ffi::OsString;

use serde::{
    Deserialize as _, Deserializer,
    de::{DeserializeSeed, IntoDeserializer, MapAccess, Visitor},
};

use super::{ConfigError, file::File, keys, near::nearest, report::report};

const PREFIX: &str = "SPANDREL_";

/// Variables that are not part of the configuration.
const OTHERS: [&str; 3] = ["SPANDREL_CONFIG", "SPANDREL_LOG", "SPANDREL_STATUS"];

/// How texts of the configuration are read: the place of an error is found by [`report`].
pub(super) fn options() -> serde_saphyr::Options {
    serde_saphyr::options! { with_snippet: false }
}

/// The keys that variables set. Empty is unset.
pub(super) fn read(environment: &[(OsString, OsString)]) -> Result<File, ConfigError> {
    let mut variables: Vec<_> = environment
        .iter()
        .filter_map(|(name, value)| Some((name.to_str().filter(|name| name.starts_with(PREFIX))?, value)))
        .filter(|(name, value)| !value.is_empty() && !OTHERS.contains(name))
        .collect();
    // The key of a map before the keys in it, which are laid over it.
    variables.sort_unstable();
    let mut file = File::default();
    for (name, value) in variables {
        let Some(path) = keys::all().iter().find(|path| self::name(path) == name) else {
            // Not refused: Kubernetes sets SPANDREL_SERVICE_HOST and the like for a service of that name.
            match nearest(
                name,
                keys::all()
                    .iter()
                    .map(|path| self::name(path))
                    .collect::<Vec<_>>()
                    .iter()
                    .map(|name| &**name),
            ) {
                Some(near) => {
                    tracing::warn!(name, near, "environment variable is no configuration key and is ignored")
                }
                None => tracing::warn!(name, "environment variable is no configuration key and is ignored"),
            }
            continue;
        };
        let refused = |report| ConfigError::Variable { report };
        let value = value.to_str().ok_or_else(|| refused(format!("{name}: expected UTF-8 text")))?;
        let read = serde_saphyr::with_deserializer_from_str_with_options(value, options(), |inner| {
            File::deserialize(At { path, inner: Some(inner) })
        });
        file = read.map_err(|error| refused(report(name, value, &error)))?.over(file);
    }
    Ok(file)
}

/// The variable of a key.
pub(super) fn name(path: &[&str]) -> String {
    format!("{PREFIX}{}", path.join("_").to_uppercase())
}

/// A value at the path of its key: a map with one key, in which there is another, and so on.
struct At<'p, D> {
    path: &'p [&'static str],
    inner: Option<D>,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for At<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_map(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, D: Deserializer<'de>> MapAccess<'de> for At<'_, D> {
    type Error = D::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, D::Error> {
        match (self.path.first(), &self.inner) {
            (Some(key), Some(_)) => seed.deserialize(key.into_deserializer()).map(Some),
            _ => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, D::Error> {
        let inner = self.inner.take().ok_or_else(|| serde::de::Error::custom("a value without its key"))?;
        match self.path {
            [_, rest @ ..] if !rest.is_empty() => seed.deserialize(At { path: rest, inner: Some(inner) }),
            _ => seed.deserialize(inner),
        }
    }
}
