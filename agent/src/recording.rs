//! Recordings: what the engine was given, so that a replay gives the same spans.
//!
//! A file is a header line (JSON, so that `head -1` shows what it is) and frames. A frame is a kind (one byte), a
//! length (4 bytes) and so many bytes; numbers are in the byte order of the machine that recorded, which the header
//! states. Records stand as they were in the ring, ahead of any decoding, but for secrets ([`Writer`]).

mod fields;
mod lines;
mod reader;
mod scrub;
#[cfg(test)]
mod tests;
mod writer;

use engine::{
    event::Time,
    span::{Attribute, Value},
};
use serde::{Deserialize, Serialize};

pub use self::{
    reader::{ReadError, Reader},
    writer::Writer,
};
use crate::process;

/// Marks a recording in its header.
const FORMAT: &str = "spandrel recording";
/// A frame longer than this is a broken file: records are below 64 KiB.
const FRAME_MAX: usize = 1024 * 1024;
/// A header longer than this is none.
const HEADER_MAX: u64 = 4096;

const RECORD: u8 = 1;
const TICK: u8 = 2;
const RESOURCE: u8 = 3;
const NOT_TASKS: u8 = 4;

/// What a recording says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    format: String,
    /// `abi::VERSION`.
    pub abi: u32,
    /// `little` or `big`.
    byte_order: String,
    /// Version of the agent, and release of the kernel.
    pub agent: String,
    pub kernel: String,
    /// What the ids were made from, in hexadecimal.
    seed: String,
    /// The agent's own process.
    pub own_tgid: u32,
    /// Wall time minus kernel time, in nanoseconds.
    pub clock_offset: i64,
}

impl Header {
    /// The header of a recording that starts now.
    pub fn new(kernel: String, seed: u128, own_tgid: u32, clock_offset: i64) -> Self {
        Self {
            format: FORMAT.into(),
            abi: abi::VERSION,
            byte_order: byte_order().into(),
            agent: env!("CARGO_PKG_VERSION").into(),
            kernel,
            seed: format!("{seed:032x}"),
            own_tgid,
            clock_offset,
        }
    }

    /// What the ids were made from.
    pub fn seed(&self) -> u128 {
        u128::from_str_radix(&self.seed, 16).unwrap_or_default()
    }
}

fn byte_order() -> &'static str {
    if cfg!(target_endian = "little") { "little" } else { "big" }
}

/// A part of a recording.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// A record, as in the ring.
    Record(Vec<u8>),
    /// The ring was drained at this kernel time: the records that follow are given with it.
    Tick(Time),
    /// The Resource of the image that ran in a process from this time on.
    Resource(Resource),
    /// The threads of this process say nothing about requests.
    NotTasks(u32),
}

/// A Resource in a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    pub tgid: u32,
    /// A span start that it is for; spans that started later have it too, until another one.
    pub since: Time,
    /// Names and values; of the kinds of values, Resources use strings, integers and lists of strings.
    pub attributes: Vec<(String, serde_json::Value)>,
}

impl Resource {
    pub fn new(tgid: u32, since: Time, resource: &process::Resource) -> Self {
        let attributes = resource.attributes.iter().map(|attribute| {
            let value = match &attribute.value {
                Value::String(text) => text.as_ref().into(),
                Value::Integer(number) => (*number).into(),
                Value::Bool(value) => (*value).into(),
                Value::Strings(list) => list.clone().into(),
            };
            (attribute.key.clone().into_owned(), value)
        });
        Self { tgid, since, attributes: attributes.collect() }
    }

    /// The Resource. A value of a kind that Resources do not have is left out.
    pub fn restore(self) -> process::Resource {
        use serde_json::Value as Json;
        let attributes = self.attributes.into_iter().filter_map(|(key, value)| {
            let value = match value {
                Json::String(text) => Value::String(text.into()),
                Json::Bool(value) => Value::Bool(value),
                Json::Number(number) => Value::Integer(number.as_i64()?),
                Json::Array(list) => Value::Strings(
                    list.into_iter().filter_map(|item| item.as_str().map(str::to_owned)).collect(),
                ),
                Json::Null | Json::Object(_) => return None,
            };
            Some(Attribute { key: key.into(), value })
        });
        process::Resource { attributes: attributes.collect() }
    }
}
