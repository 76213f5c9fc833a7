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

/// Says so if an argument is for a sampler that takes none: whoever wrote it wants a ratio.
pub(super) fn unused(name: Option<SamplerName>, argument: Option<&SamplerArgument>) -> Option<String> {
    let name = name.map_or("parentbased_always_on", |name| name.0);
    let unused = argument.is_some() && !name.ends_with("traceidratio");
    unused.then(|| {
        format!(
            "sampler_argument has no effect, as {name} takes none: set sampler to parentbased_traceidratio"
        )
    })
}
