//! Writes recordings.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
};

use abi::{DataRecord, ProcessRecord, RecordHeader, limit};
use engine::{
    Content, Excerpt, Secrecy,
    event::{ConnectionId, Event, How, Time},
    policy::SecretKeys,
};
use zerocopy::FromBytes as _;

use super::{
    Header, NOT_TASKS, RECORD, RESOURCE, Resource, TICK,
    fields::Fields,
    scrub::{Piece, Scrubber},
};

/// How long a record waits for what the engine makes of it: longer than the engine waits for others.
const SETTLE: Time = 2 * (engine::limit::REORDER_WAIT + engine::limit::PAIRING_WAIT);
/// Less is not worth a write.
const WRITE_MIN: usize = 256 * 1024;
/// More than this waits for nothing any more.
const WAITING_MAX: usize = 32 * 1024 * 1024;

/// Writes a recording. Readable by its owner alone: traffic is in it.
///
/// Unless it is to be raw, secrets are overwritten: see [`super::scrub`].
#[derive(Debug)]
pub struct Writer {
    file: File,
    /// What is not written yet.
    frames: Vec<u8>,
    /// Payloads in it, in order.
    pieces: VecDeque<Piece>,
    /// Connections that end in it, and where.
    ends: VecDeque<(usize, ConnectionId)>,
    /// Ticks in it, and where.
    ticks: VecDeque<(Time, usize)>,
    /// The last one.
    now: Time,
    scrubber: Option<Scrubber>,
}

impl Writer {
    /// Creates the file, or empties it. `secret`: the keys of queries whose values are overwritten, beside
    /// credentials and content; `None`: nothing is.
    pub fn create(path: &Path, header: &Header, secret: Option<SecretKeys>) -> io::Result<Self> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let found = file.metadata()?;
        if found.is_file() {
            // SAFETY: it has no preconditions.
            let own = unsafe { libc::geteuid() };
            if found.uid() != own {
                return Err(io::Error::other(format!(
                    "the file belongs to user {}, who could read the recording: remove it, or name another one",
                    found.uid()
                )));
            }
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.set_len(0)?;
        }
        serde_json::to_writer(&mut file, header)?;
        file.write_all(b"\n")?;
        Ok(Self {
            file,
            frames: Vec::new(),
            pieces: VecDeque::new(),
            ends: VecDeque::new(),
            ticks: VecDeque::new(),
            now: 0,
            scrubber: secret.map(Scrubber::new),
        })
    }

    /// Takes a record. What the engine says of its content is to follow.
    pub fn record(&mut self, record: &[u8]) -> io::Result<()> {
        let scrubs = self.scrubber.is_some();
        match Event::decode(record) {
            Ok(Event::Exec(_)) => return self.frame(RECORD, &exec(record, scrubs)),
            Ok(Event::Data(data)) if scrubs => {
                self.frame(RECORD, record)?;
                let start =
                    self.frames.len().saturating_sub(record.len()).saturating_add(size_of::<DataRecord>());
                let payload = start..start.saturating_add(data.bytes.len());
                // Whatever stands behind it is nothing.
                self.frames.get_mut(payload.end..).unwrap_or_default().fill(0);
                self.pieces.push_back(Piece::new(&data, payload));
            }
            Ok(Event::Open(open)) if scrubs => {
                self.frame(RECORD, record)?;
                if let Some(scrubber) = &mut self.scrubber
                    && open.from_opening
                {
                    scrubber.opened(open.conn);
                }
            }
            Ok(Event::End(end)) if scrubs => {
                self.frame(RECORD, record)?;
                if end.direction.is_none() && !matches!(end.how, How::CallFailed(_)) {
                    self.ends.push_back((self.frames.len(), end.conn));
                }
            }
            // The engine counts it and does nothing else with it: one of no kind is as good.
            Err(_) if scrubs => self.frame(RECORD, &[0; size_of::<RecordHeader>()])?,
            Ok(_) | Err(_) => self.frame(RECORD, record)?,
        }
        if self.frames.len() > WAITING_MAX { self.write(self.frames.len()) } else { Ok(()) }
    }

    /// Part of a record that was given is content.
    pub fn content(&mut self, content: Content) {
        if let Some(scrubber) = &mut self.scrubber {
            scrubber.content(content, self.now);
        }
    }

    /// What of records that were given may be written although their content may not.
    pub fn excerpt(&mut self, excerpt: Excerpt) {
        if let Some(scrubber) = &mut self.scrubber {
            scrubber.excerpt(excerpt, self.now);
        }
    }

    /// What is secret in excerpts, unless nothing is to be.
    pub fn secrecy(&self) -> Option<Arc<dyn Secrecy>> {
        let scrubber = self.scrubber.as_ref()?;
        Some(Arc::new(Fields(scrubber.keys().clone())))
    }

    /// A connection of which records were given speaks HTTP/2.
    pub fn http2(&mut self, conn: ConnectionId) {
        if let Some(scrubber) = &mut self.scrubber {
            scrubber.http2(conn);
        }
    }

    pub fn tick(&mut self, now: Time) -> io::Result<()> {
        let before = self.frames.len();
        self.ticks.push_back((now, before));
        self.now = now;
        self.frame(TICK, &now.to_ne_bytes())?;
        if before > WRITE_MIN { self.flush() } else { Ok(()) }
    }

    pub fn resource(&mut self, resource: &Resource) -> io::Result<()> {
        self.frame(RESOURCE, &serde_json::to_vec(resource)?)
    }

    pub fn not_tasks(&mut self, tgid: u32) -> io::Result<()> {
        self.frame(NOT_TASKS, &tgid.to_ne_bytes())
    }

    /// Writes what waits for nothing any more.
    pub fn flush(&mut self) -> io::Result<()> {
        let old = self.ticks.partition_point(|(time, _)| time.saturating_add(SETTLE) <= self.now);
        let settled = old.checked_sub(1).and_then(|last| self.ticks.get(last)).map_or(0, |(_, at)| *at);
        self.write(if self.scrubber.is_some() { settled } else { self.frames.len() })
    }

    /// Writes everything.
    pub fn finish(&mut self) -> io::Result<()> {
        self.write(self.frames.len())?;
        self.file.flush()
    }

    fn frame(&mut self, kind: u8, bytes: &[u8]) -> io::Result<()> {
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        self.frames.push(kind);
        self.frames.extend_from_slice(&length.to_ne_bytes());
        self.frames.extend_from_slice(bytes);
        Ok(())
    }

    /// Writes the frames up to here.
    fn write(&mut self, length: usize) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        let frames = self.frames.get_mut(..length).unwrap_or_default();
        if let Some(scrubber) = &mut self.scrubber {
            let pieces = self.pieces.partition_point(|piece| piece.range.end <= length);
            let mut pieces: Vec<_> = self.pieces.drain(..pieces).collect();
            scrubber.scrub(frames, &mut pieces, self.now.saturating_sub(SETTLE).saturating_sub(SETTLE));
            let ends = self.ends.partition_point(|(at, _)| *at <= length);
            for (_, conn) in self.ends.drain(..ends) {
                scrubber.ended(conn);
            }
        }
        self.file.write_all(frames)?;
        self.frames.drain(..length);
        for piece in &mut self.pieces {
            piece.range = piece.range.start.saturating_sub(length)..piece.range.end.saturating_sub(length);
        }
        for (at, _) in &mut self.ends {
            *at = at.saturating_sub(length);
        }
        let ticks = self.ticks.partition_point(|(_, at)| *at < length);
        self.ticks.drain(..ticks);
        for (_, at) in &mut self.ticks {
            *at = at.saturating_sub(length);
        }
        Ok(())
    }
}

/// An exec record without what stands behind the valid part of each area: other variables of the environment that the
/// kernel side looked at, and what was in the ring before. If secrets are to go, arguments and environment go with
/// them: what they say of the process is in its Resource.
fn exec(record: &[u8], scrubs: bool) -> Vec<u8> {
    let mut bytes = record.to_vec();
    let Ok((process, mut rest)) = ProcessRecord::mut_from_prefix(&mut bytes) else { return Vec::new() };
    if scrubs {
        process.arguments_length = 0;
        process.environment_length = 0;
    }
    let areas = [
        (limit::FILENAME_MAX, process.filename_length),
        (limit::ARGUMENTS_MAX, process.arguments_length),
        (usize::MAX, process.environment_length),
    ];
    for (size, valid) in areas {
        let (area, behind) = rest.split_at_mut(size.min(rest.len()));
        area.get_mut(usize::from(valid)..).unwrap_or_default().fill(0);
        rest = behind;
    }
    bytes
}
