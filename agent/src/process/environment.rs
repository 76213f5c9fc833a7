//! What a traced process's own `OTEL_*` variables say of its Resource.

use std::borrow::Cow;

use engine::{percent, span::names};

/// Attributes taken from one process: more is a mistake or worse.
const ATTRIBUTES_MAX: usize = 64;

/// The Resource as the process's environment states it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stated {
    pub(super) service: Option<Box<str>>,
    /// Without `service.name`.
    pub(super) attributes: Box<[(Box<str>, Box<str>)]>,
}

/// Reads NUL-separated variables. Empty is unset; of a variable that is set twice the first counts, as for
/// `getenv`.
pub(super) fn read(environment: &[u8]) -> Stated {
    let (mut name, mut attributes) = (None, None);
    for variable in environment.split(|&byte| byte == 0) {
        let variable = String::from_utf8_lossy(variable);
        match variable.split_once('=') {
            Some(("OTEL_SERVICE_NAME", value)) if name.is_none() => name = Some(value.trim().to_owned()),
            Some(("OTEL_RESOURCE_ATTRIBUTES", value)) if attributes.is_none() => {
                // Resource SDK, "Specifying resource information via an environment variable": on any
                // error the entire value is discarded.
                attributes = Some(parse(value).unwrap_or_default());
            }
            _ => {}
        }
    }
    let mut attributes = attributes.unwrap_or_default();
    let listed = attributes.iter().position(|(key, _)| key.as_ref() == names::SERVICE_NAME);
    let listed = listed.map(|index| attributes.swap_remove(index).1);
    let service = name.map(String::into_boxed_str).filter(|name| !name.is_empty());
    Stated { service: service.or(listed.filter(|name| !name.is_empty())), attributes: attributes.into() }
}

/// The value of `OTEL_RESOURCE_ATTRIBUTES`: `key1=value1,key2=value2`, values percent-encoded. The last of two equal keys counts.
pub(crate) fn parse(value: &str) -> Option<Vec<(Box<str>, Box<str>)>> {
    let mut attributes: Vec<(Box<str>, Box<str>)> = Vec::new();
    for pair in value.split(',').filter(|pair| !pair.trim().is_empty()) {
        let (key, value) = pair.split_once('=')?;
        // "The `,` and `=` characters in keys and values MUST be percent encoded."
        let (key, value) = (&*decode(key.trim())?, decode(value.trim())?);
        if key.is_empty() || attributes.len() >= ATTRIBUTES_MAX {
            return None;
        }
        attributes.retain(|(earlier, _)| earlier.as_ref() != key);
        attributes.push((key.into(), value.into()));
    }
    Some(attributes)
}

fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    String::from_utf8(percent::decoded(text.as_bytes())?).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stated(environment: &str) -> (Option<String>, Vec<(String, String)>) {
        let Stated { service, attributes } = read(environment.as_bytes());
        let attributes = attributes.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        (service.map(String::from), attributes.collect())
    }

    #[test]
    fn the_service_name_variable_wins_over_the_attributes() {
        let (service, attributes) =
            stated("OTEL_RESOURCE_ATTRIBUTES=service.name=a,team=b\0OTEL_SERVICE_NAME=c");
        assert_eq!(service.as_deref(), Some("c"));
        assert_eq!(attributes, [("team".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn an_empty_variable_is_an_unset_one() {
        assert_eq!(
            stated("OTEL_SERVICE_NAME=\0OTEL_RESOURCE_ATTRIBUTES=service.name=a").0.as_deref(),
            Some("a")
        );
        assert_eq!(stated("OTEL_SERVICE_NAME=\0OTEL_RESOURCE_ATTRIBUTES="), (None, vec![]));
    }

    #[test]
    fn keys_and_values_are_percent_decoded() {
        assert_eq!(
            stated("OTEL_RESOURCE_ATTRIBUTES= k%3D1 = a%2Cb%20c ").1,
            [("k=1".to_owned(), "a,b c".to_owned())]
        );
    }

    #[test]
    fn one_malformed_attribute_discards_the_variable() {
        for value in ["a=1,b", "a=1,=2", "a=%4", "a=%zz", "a=%ff"] {
            assert_eq!(stated(&format!("OTEL_RESOURCE_ATTRIBUTES={value}")), (None, vec![]), "{value}");
        }
    }
}
