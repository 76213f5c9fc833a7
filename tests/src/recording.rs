//! Recordings as `spandrel record` writes them: a header line, then frames of a kind (one byte), a length (four bytes) and
//! so many bytes. Resources are not taken: they describe the machine, not the traffic.

use std::{collections::BTreeSet, fs, path::Path};

use abi::{DataRecord, EndRecord, OpenRecord, ProcessRecord, QuietRecord, record::kind};
use zerocopy::FromBytes;

use crate::variation::{Records, kind_of};

const RECORD: u8 = 1;
const TICK: u8 = 2;
const RESOURCE: u8 = 3;
const NOT_TASKS: u8 = 4;

/// A part of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The exact bytes that were in the ring.
    Record(Vec<u8>),
    /// The kernel time at which the records that follow were taken.
    Tick(u64),
    /// The threads of this process say nothing about requests.
    NotTasks(u32),
}

impl Frame {
    /// The bytes of a record.
    pub fn record(&self) -> Option<&[u8]> {
        match self {
            Self::Record(record) => Some(record),
            Self::Tick(_) | Self::NotTasks(_) => None,
        }
    }
}

/// The records of a file.
pub fn read(path: &Path) -> Records {
    parse(path)
        .1
        .into_iter()
        .filter_map(|frame| match frame {
            Frame::Record(record) => Some(record),
            Frame::Tick(_) | Frame::NotTasks(_) => None,
        })
        .collect()
}

/// The header line, and the frames.
fn parse(path: &Path) -> (Vec<u8>, Vec<Frame>) {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    let end = bytes
        .iter()
        .position(|&byte| byte == b'\n')
        .unwrap_or_else(|| panic!("{}: no header", path.display()));
    let (header, mut rest) = bytes.split_at(end + 1);
    let mut frames = Vec::new();
    while let Some((&[kind, a, b, c, d], body)) = rest.split_first_chunk::<5>() {
        let length = u32::from_ne_bytes([a, b, c, d]) as usize;
        let (frame, after) =
            body.split_at_checked(length).unwrap_or_else(|| panic!("{}: cut short", path.display()));
        match kind {
            RECORD => frames.push(Frame::Record(frame.to_vec())),
            TICK => {
                frames.push(Frame::Tick(u64::from_ne_bytes(frame.try_into().expect("a frame of its length"))))
            }
            NOT_TASKS => frames
                .push(Frame::NotTasks(u32::from_ne_bytes(frame.try_into().expect("a frame of its length")))),
            RESOURCE => {}
            _ => panic!("{}: a frame of the unknown kind {kind}", path.display()),
        }
        rest = after;
    }
    assert!(rest.is_empty(), "{}: cut short", path.display());
    (header.to_vec(), frames)
}

/// Makes a capture of a recording: without Resources, without ticks that nothing follows, and only if all of it is of
/// these processes and of what they started.
pub fn store(recording: &Path, capture: &Path, pids: &[u32]) {
    let (mut bytes, frames) = parse(recording);
    let mut known: BTreeSet<u32> = pids.iter().copied().collect();
    for record in frames.iter().filter_map(Frame::record) {
        let tgid = process_of(record).expect("a record of a known layout");
        if kind_of(record) == Some(kind::FORK)
            && ProcessRecord::ref_from_prefix(record).is_ok_and(|(fork, _)| known.contains(&fork.parent))
        {
            known.insert(tgid);
        }
        // An end can be seen by whoever the processor was working for.
        let own = kind_of(record) == Some(kind::END) || known.contains(&tgid);
        let kind = kind_of(record);
        assert!(own, "{}: process {tgid} is none of {known:?} (kind {kind:?})", recording.display());
    }
    let mut put = |kind: u8, body: &[u8]| {
        bytes.push(kind);
        bytes.extend_from_slice(&u32::try_from(body.len()).expect("a short frame").to_ne_bytes());
        bytes.extend_from_slice(body);
    };
    for (index, frame) in frames.iter().enumerate() {
        match frame {
            Frame::Record(record) => put(RECORD, record),
            Frame::Tick(_) if matches!(frames.get(index + 1), Some(Frame::Tick(_)) | None) => {}
            Frame::Tick(time) => put(TICK, &time.to_ne_bytes()),
            Frame::NotTasks(tgid) => put(NOT_TASKS, &tgid.to_ne_bytes()),
        }
    }
    fs::write(capture, bytes).unwrap_or_else(|e| panic!("write {}: {e}", capture.display()));
}

/// The process that a record is of.
fn process_of(record: &[u8]) -> Option<u32> {
    match kind_of(record)? {
        kind::OPEN => OpenRecord::ref_from_prefix(record).ok().map(|(open, _)| open.tgid),
        kind::DATA => DataRecord::ref_from_prefix(record).ok().map(|(data, _)| data.tgid),
        kind::END => EndRecord::ref_from_prefix(record).ok().map(|(end, _)| end.tgid),
        kind::QUIET => QuietRecord::ref_from_prefix(record).ok().map(|(quiet, _)| quiet.tgid),
        _ => ProcessRecord::ref_from_prefix(record).ok().map(|(process, _)| process.tgid),
    }
}
