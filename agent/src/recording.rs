//! Recordings: what the engine was given, so that a replay gives the same spans.
//!
//! A file is a header line (JSON, so that `head -1` shows what it is) and frames. A frame is a kind (one byte), a
//! length (4 bytes) and so many bytes; numbers are in the byte order of the machine that recorded, which the header
//! states. Records stand as they were in the ring, ahead of any decoding.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use abi::{ProcessRecord, limit, record::kind};
use engine::{
    event::Time,
    span::{Attribute, Value},
};
use serde::{Deserialize, Serialize};

use zerocopy::FromBytes as _;

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

/// Why a recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read the recording: {0}")]
    Io(#[from] io::Error),
    #[error("this is not a recording of spandrel: {0}")]
    Header(String),
    #[error("the recording is of format version {0}, this program reads version {version}", version = abi::VERSION)]
    Version(u32),
    #[error("the recording was made on a machine with the other byte order")]
    ByteOrder,
    #[error("the recording is broken at frame {frame}: {reason}")]
    Broken { frame: u64, reason: String },
}

/// Writes a recording. Readable by its owner alone: traffic is in it.
pub struct Writer {
    out: BufWriter<File>,
}

impl Writer {
    /// Creates the file, or empties it.
    pub fn create(path: &Path, header: &Header) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let mut out = BufWriter::with_capacity(1024 * 1024, file);
        serde_json::to_writer(&mut out, header)?;
        out.write_all(b"\n")?;
        Ok(Self { out })
    }

    pub fn record(&mut self, record: &[u8]) -> io::Result<()> {
        match scrubbed(record) {
            Some(exec) => self.frame(RECORD, &exec),
            None => self.frame(RECORD, record),
        }
    }

    pub fn tick(&mut self, now: Time) -> io::Result<()> {
        self.frame(TICK, &now.to_ne_bytes())
    }

    pub fn resource(&mut self, resource: &Resource) -> io::Result<()> {
        self.frame(RESOURCE, &serde_json::to_vec(resource)?)
    }

    pub fn not_tasks(&mut self, tgid: u32) -> io::Result<()> {
        self.frame(NOT_TASKS, &tgid.to_ne_bytes())
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn frame(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.out.write_all(&[kind])?;
        self.out.write_all(&length.to_ne_bytes())?;
        self.out.write_all(bytes)
    }
}

/// An exec record without what stands behind the valid part of each area: other variables of the environment that the
/// kernel side looked at, and what was in the ring before. `None` for every other record, which is whole.
fn scrubbed(record: &[u8]) -> Option<Vec<u8>> {
    let (process, _) = ProcessRecord::ref_from_prefix(record).ok()?;
    if process.header.kind != kind::EXEC {
        return None;
    }
    let areas = [
        (limit::FILENAME_MAX, process.filename_length),
        (limit::ARGUMENTS_MAX, process.arguments_length),
        (usize::MAX, process.environment_length),
    ];
    let mut scrubbed = record.to_vec();
    let mut rest = scrubbed.get_mut(size_of::<ProcessRecord>()..)?;
    for (size, valid) in areas {
        let (area, behind) = rest.split_at_mut(size.min(rest.len()));
        if let Some(stale) = area.get_mut(usize::from(valid)..) {
            stale.fill(0);
        }
        rest = behind;
    }
    Some(scrubbed)
}

/// Reads a recording: an iterator of frames that ends at the first error.
pub struct Reader<R> {
    header: Header,
    input: R,
    frame: u64,
    failed: bool,
}

impl Reader<BufReader<File>> {
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::new(BufReader::with_capacity(1024 * 1024, File::open(path)?))
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    pub fn new(mut input: R) -> Result<Self, ReadError> {
        let mut line = Vec::new();
        input.by_ref().take(HEADER_MAX).read_until(b'\n', &mut line)?;
        let header: Header =
            serde_json::from_slice(&line).map_err(|error| ReadError::Header(error.to_string()))?;
        if header.format != FORMAT {
            return Err(ReadError::Header(format!("its format is `{}`", header.format)));
        }
        if header.abi != abi::VERSION {
            return Err(ReadError::Version(header.abi));
        }
        if header.byte_order != byte_order() {
            return Err(ReadError::ByteOrder);
        }
        Ok(Self { header, input, frame: 0, failed: false })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    fn read(&mut self) -> Result<Option<Frame>, ReadError> {
        self.frame += 1;
        let frame = self.frame;
        let broken = |reason: &str| ReadError::Broken { frame, reason: reason.into() };
        let mut kind = [0];
        if self.input.read(&mut kind)? == 0 {
            return Ok(None);
        }
        let mut length = [0; 4];
        self.input.read_exact(&mut length).map_err(|_| broken("it ends in a length"))?;
        let length = u32::from_ne_bytes(length) as usize;
        if length > FRAME_MAX {
            return Err(broken(&format!("{length} bytes are more than any frame has")));
        }
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).map_err(|_| broken("the file ends in it"))?;
        let [kind] = kind;
        match kind {
            RECORD => Ok(Frame::Record(bytes)),
            TICK => bytes
                .try_into()
                .map(|bytes| Frame::Tick(Time::from_ne_bytes(bytes)))
                .map_err(|_| broken("a time is 8 bytes")),
            RESOURCE => serde_json::from_slice(&bytes)
                .map(Frame::Resource)
                .map_err(|error| broken(&error.to_string())),
            NOT_TASKS => bytes
                .try_into()
                .map(|bytes| Frame::NotTasks(u32::from_ne_bytes(bytes)))
                .map_err(|_| broken("a process id is 4 bytes")),
            unknown => Err(broken(&format!("its kind {unknown} is unknown"))),
        }
        .map(Some)
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Frame, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let frame = self.read();
        self.failed = frame.is_err();
        frame.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Header, Vec<Frame>, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.records");
        let header = Header::new("6.1".into(), 7, 42, -5);
        let resource = Resource {
            tgid: 3,
            since: 9,
            attributes: vec![("service.name".into(), serde_json::Value::from("shop"))],
        };
        let mut writer = Writer::create(&path, &header).unwrap();
        writer.tick(11).unwrap();
        writer.record(b"abc").unwrap();
        writer.resource(&resource).unwrap();
        writer.not_tasks(3).unwrap();
        writer.flush().unwrap();
        let frames = vec![
            Frame::Tick(11),
            Frame::Record(b"abc".to_vec()),
            Frame::Resource(resource),
            Frame::NotTasks(3),
        ];
        (header, frames, std::fs::read(path).unwrap())
    }

    #[test]
    fn an_exec_record_is_written_without_what_stands_behind_its_texts() {
        let mut record = vec![0x55; 64 + limit::FILENAME_MAX + limit::ARGUMENTS_MAX + limit::ENVIRONMENT_MAX];
        record[..2].copy_from_slice(&kind::EXEC.to_ne_bytes());
        record[56..58].copy_from_slice(&3_u16.to_ne_bytes());
        record[58..60].copy_from_slice(&5_u16.to_ne_bytes());
        record[60..62].copy_from_slice(&7_u16.to_ne_bytes());
        let scrubbed = scrubbed(&record).unwrap();
        assert_eq!(scrubbed.len(), record.len());
        assert_eq!(scrubbed[64..].iter().filter(|byte| **byte == 0x55).count(), 3 + 5 + 7);
        assert!(engine::event::Event::decode(&scrubbed).is_ok());
        record[..2].copy_from_slice(&kind::DATA.to_ne_bytes());
        assert_eq!(super::scrubbed(&record), None);
    }

    #[test]
    fn what_is_written_is_read() {
        let (header, frames, bytes) = sample();
        let reader = Reader::new(&bytes[..]).unwrap();
        assert_eq!(reader.header(), &header);
        assert_eq!(reader.header().seed(), 7);
        assert_eq!(reader.map(Result::unwrap).collect::<Vec<_>>(), frames);
    }

    #[test]
    fn a_cut_or_broken_file_is_an_error_and_never_a_panic() {
        let (_, frames, bytes) = sample();
        let body = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        assert!(Reader::new(&bytes[..body - 2]).is_err());
        for length in body..bytes.len() {
            let read: Vec<_> = Reader::new(&bytes[..length]).unwrap().collect();
            assert!(read.len() <= frames.len());
            let whole = read.iter().filter(|frame| frame.is_ok()).count();
            assert!(read.iter().take(whole).flatten().eq(frames.iter().take(whole)));
        }
        for index in body..bytes.len() {
            let mut broken = bytes.clone();
            broken[index] ^= 0x55;
            assert!(Reader::new(&broken[..]).unwrap().count() <= frames.len() + 1);
        }
    }
}
