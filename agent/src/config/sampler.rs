//! Sampler: its two keys, which are checked one by one and understood together.

use std::str::FromStr;

use engine::policy::{
    Sampler,
    sampler::{SAMPLERS, SamplerError},
};

use super::value::choice;

/// A value of `sampler`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SamplerName(&'static str);

/// A value of `sampler_argument`: every sampler that takes one takes a ratio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SamplerArgument(Box<str>);

impl FromStr for SamplerName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        choice(text, &SAMPLERS.map(|name| (name, Self(name))))
    }
}

impl FromStr for SamplerArgument {
    type Err = SamplerError;

    fn from_str(text: &str) -> Result<Self, SamplerError> {
        Sampler::parse("traceidratio", Some(text)).map(|_| Self(text.into()))
    }
}

/// The sampler that these keys make.
pub(super) fn sampler(name: Option<SamplerName>, argument: Option<&SamplerArgument>) -> Sampler {
    let argument = argument.map(|argument| &*argument.0);
    // Both were parsed before.
    name.and_then(|name| Sampler::parse(name.0, argument).ok()).unwrap_or_default()
}
