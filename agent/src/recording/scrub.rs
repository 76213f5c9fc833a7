//! Scrub: the payload of data records without secrets, at equal length.
//!
//! In: records as they will be in the file, in batches, and what the engine says of them. Content is overwritten
//! wholly: nothing is read in it. Everything else is taken as lines of heads ([`super::lines`]), stream by stream
//! and in the order of positions, across records and batches. Where bytes are missing it may be that what follows is
//! the rest of a secret: it is overwritten up to the next line, unless that starts a message.
//!
//! Of HTTP/2 nothing is left but what the engine gives to be written in its place ([`Excerpt`]): header blocks do not show
//! where a secret is. It may not be known for HTTP/2 yet, or never be: so nothing is taken as lines unless it is shown to
//! be ([`Trust`]).

mod excerpts;
mod trust;

use std::{mem, ops::Range};

use engine::{
    Content, Excerpt, Of,
    event::{ConnectionId, Data, Direction, Time},
    policy::SecretKeys,
};
use rustc_hash::{FxHashMap, FxHashSet};

use self::{
    excerpts::Excerpts,
    trust::{HTTP2_LINE, Trust, opening, starts_message},
};
use super::lines::{self, Line};

/// What content is overwritten with. It can begin no message, as a letter could.
const CONTENT: u8 = 0;
/// What HTTP/2 is overwritten with: no frame, no header block and no message of gRPC begins like this.
const OPAQUE: u8 = 0xff;
/// Bytes of an unfinished line that are remembered; beyond, all of it up to its end is overwritten.
const LINE_MAX: usize = 64 * 1024;
/// Streams remembered. When there are more, all are forgotten: what follows in them is missing something.
const STREAMS_MAX: usize = 400_000;
/// Pieces of content that wait for their records. What is dropped is taken as lines.
const CONTENTS_MAX: usize = 1_000_000;
/// The length of what an HTTP/2 client sends first (RFC 9113, 3.4).
const HTTP2_PREFACE: u64 = 24;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct StreamId {
    conn: ConnectionId,
    sent: bool,
}

impl StreamId {
    fn new(conn: ConnectionId, direction: Direction) -> Self {
        Self { conn, sent: direction == Direction::Sent }
    }
}

/// The payload of a record.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    stream: StreamId,
    position: u64,
    call_start: bool,
    /// Where it lies among the frames.
    pub(super) range: Range<usize>,
}

impl Piece {
    pub(super) fn new(data: &Data<'_>, payload: Range<usize>) -> Self {
        Self {
            stream: StreamId::new(data.conn, data.direction),
            position: data.position,
            call_start: data.call_offset == 0,
            range: payload,
        }
    }

    fn end(&self) -> u64 {
        self.position.saturating_add(self.range.len() as u64)
    }
}

/// Where a stream stands.
#[derive(Debug, Default)]
struct Stream {
    trust: Trust,
    /// The position behind what was scrubbed; `None` before anything was.
    next: Option<u64>,
    /// The unfinished line, as it was.
    line: Vec<u8>,
    before: Line,
    /// The line began where bytes are missing.
    doubtful: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Scrubber {
    keys: SecretKeys,
    streams: FxHashMap<StreamId, Stream>,
    /// Content, and when it was told of.
    contents: Vec<(Content, Time)>,
    /// Connections that are recorded from their first byte.
    whole: FxHashSet<ConnectionId>,
    /// Positions from which on nothing is kept: received, sent.
    opaque: FxHashMap<ConnectionId, [u64; 2]>,
    /// Connections that the engine found to speak HTTP/2.
    http2: Vec<ConnectionId>,
    excerpts: Excerpts,
}

impl Scrubber {
    pub(super) fn new(keys: SecretKeys) -> Self {
        Self {
            keys,
            streams: FxHashMap::default(),
            contents: Vec::new(),
            whole: FxHashSet::default(),
            opaque: FxHashMap::default(),
            http2: Vec::new(),
            excerpts: Excerpts::default(),
        }
    }

    /// A connection is recorded from its first byte.
    pub(super) fn opened(&mut self, conn: ConnectionId) {
        if self.whole.len() >= STREAMS_MAX {
            self.whole.clear();
        }
        self.whole.insert(conn);
    }

    /// A connection speaks HTTP/2.
    pub(super) fn http2(&mut self, conn: ConnectionId) {
        self.http2.push(conn);
    }

    pub(super) fn excerpt(&mut self, excerpt: Excerpt, now: Time) {
        if excerpt.of == Of::Http2 && self.http2.last() != Some(&excerpt.conn) {
            self.http2.push(excerpt.conn);
        }
        self.excerpts.push(excerpt, now);
    }

    pub(super) fn keys(&self) -> &SecretKeys {
        &self.keys
    }

    pub(super) fn content(&mut self, content: Content, now: Time) {
        if self.contents.len() < CONTENTS_MAX {
            self.contents.push((content, now));
        }
    }

    /// Forgets a connection that ended.
    pub(super) fn ended(&mut self, conn: ConnectionId) {
        self.streams.remove(&StreamId { conn, sent: false });
        self.streams.remove(&StreamId { conn, sent: true });
        self.opaque.remove(&conn);
        self.whole.remove(&conn);
        self.excerpts.ended(conn);
    }

    /// Overwrites the secrets in frames; `pieces` says where there are payloads. Content of which was told before
    /// `old` had its record.
    pub(super) fn scrub(&mut self, frames: &mut [u8], pieces: &mut [Piece], old: Time) {
        pieces.sort_by_key(|piece| (piece.stream, piece.position));
        self.contents.sort_unstable_by_key(|(content, _)| (id_of(content), content.position));
        let contents: Vec<Content> = self.contents.iter().map(|(content, _)| *content).collect();
        for group in pieces.chunk_by(|one, other| one.stream == other.stream) {
            let Some(first) = group.first() else { continue };
            let start = contents.partition_point(|content| id_of(content) < first.stream);
            let of_stream = contents.get(start..).unwrap_or_default();
            let length = of_stream.partition_point(|content| id_of(content) == first.stream);
            self.stream(frames, group, of_stream.get(..length).unwrap_or_default());
        }
        let streams = &self.streams;
        self.contents.retain(|(content, told)| match streams.get(&id_of(content)) {
            Some(Stream { next: Some(next), .. }) => end_of(content) > *next,
            Some(_) | None => *told > old,
        });
        for conn in self.http2.drain(..) {
            let all = [0, 0];
            // Of one whose preface was seen that is left.
            let from = self.opaque.entry(conn).or_insert(all);
            if !self.whole.contains(&conn) {
                *from = all;
            }
        }
        self.overwrite_opaque(frames, pieces);
        self.excerpts.write(frames, pieces);
        self.excerpts.forget(&self.streams, old);
        if self.streams.len() > STREAMS_MAX {
            self.streams.clear();
        }
    }

    /// Scrubs the pieces of one stream.
    fn stream(&mut self, frames: &mut [u8], pieces: &[Piece], contents: &[Content]) {
        let Some(id) = pieces.first().map(|piece| piece.stream) else { return };
        let mut stream = self.streams.remove(&id).unwrap_or_default();
        let mut run = Run::default();
        if stream.next.is_none() && self.whole.contains(&id.conn) {
            stream.next = Some(0);
            stream.trust = Trust::Opening;
        }
        for piece in pieces {
            let next = stream.next.unwrap_or(piece.position);
            // Nothing looks at bytes that come a second time.
            let late = next.saturating_sub(piece.position).min(piece.range.len() as u64) as usize;
            let (seen, fresh) = split(&piece.range, late);
            fill(frames, seen);
            let position = piece.position.max(next);
            let mut call_start = piece.call_start && late == 0;
            if piece.position > next && !covers(contents, next, piece.position) {
                run.finish(frames, &mut stream, &self.keys);
                let text = frames.get(fresh.clone()).unwrap_or_default();
                stream.line.clear();
                stream.before = Line::Plain;
                stream.doubtful = !(piece.call_start && starts_message(text));
                if stream.trust != Trust::Whole {
                    stream.trust = Trust::None;
                }
            } else if piece.position > next {
                run.content(frames, &mut stream, &self.keys);
            }
            let mut at = position;
            let mut rest = fresh;
            let first = contents.partition_point(|content| end_of(content) <= at);
            for content in contents.get(first..).unwrap_or_default() {
                if content.position >= piece.end() || rest.is_empty() {
                    break;
                }
                let (text, behind) = split(&rest, content.position.saturating_sub(at) as usize);
                run.text(text.clone(), at, mem::take(&mut call_start));
                at = at.saturating_add(text.len() as u64);
                let length = end_of(content).saturating_sub(at).min(behind.len() as u64) as usize;
                let (body, behind) = split(&behind, length);
                if !body.is_empty() {
                    run.content(frames, &mut stream, &self.keys);
                }
                at = at.saturating_add(body.len() as u64);
                fill(frames, body);
                rest = behind;
            }
            run.text(rest, at, call_start);
            stream.next = Some(next.max(piece.end()));
        }
        run.finish(frames, &mut stream, &self.keys);
        if let Some(start) = run.opaque {
            let preface = start.saturating_add(HTTP2_PREFACE);
            self.opaque.entry(id.conn).or_insert(if id.sent { [0, preface] } else { [preface, 0] });
        }
        self.streams.insert(id, stream);
    }

    fn overwrite_opaque(&self, frames: &mut [u8], pieces: &[Piece]) {
        if self.opaque.is_empty() {
            return;
        }
        for piece in pieces {
            let Some([received, sent]) = self.opaque.get(&piece.stream.conn) else { continue };
            let upgraded = self.excerpts.upgraded(piece.stream.conn);
            let [received, sent] =
                upgraded.filter(|_| self.whole.contains(&piece.stream.conn)).unwrap_or([*received, *sent]);
            let from = if piece.stream.sent { sent } else { received };
            let kept = usize::try_from(from.saturating_sub(piece.position)).unwrap_or(usize::MAX);
            let opaque = split(&piece.range, kept).1;
            frames.get_mut(opaque).unwrap_or_default().fill(OPAQUE);
        }
    }
}

impl Stream {
    /// Scrubs a line, and remembers one whose end is missing.
    fn take(&mut self, line: &mut [u8], keys: &SecretKeys) {
        let complete = line.last() == Some(&b'\n');
        if self.doubtful {
            lines::overwrite(line);
            self.doubtful = !complete;
            // A field that is folded goes on.
            self.before = Line::Credentials;
            return;
        }
        if !complete {
            self.line = line.to_vec();
        }
        let kind = lines::scrub(line, self.before, complete, keys);
        if complete {
            self.before = kind;
        }
    }
}

/// Text of a stream without content in it.
#[derive(Debug, Default)]
struct Run {
    parts: Vec<Range<usize>>,
    length: usize,
    /// Where in the text calls began.
    calls: Vec<usize>,
    /// Position of the first one.
    position: u64,
    /// Where HTTP/2 starts.
    opaque: Option<u64>,
}

impl Run {
    fn text(&mut self, part: Range<usize>, position: u64, call_start: bool) {
        if !part.is_empty() {
            if self.parts.is_empty() {
                self.position = position;
            }
            if call_start {
                self.calls.push(self.length);
            }
            self.length = self.length.saturating_add(part.len());
            self.parts.push(part);
        }
    }

    /// Content follows: behind it a line begins.
    fn content(&mut self, frames: &mut [u8], stream: &mut Stream, keys: &SecretKeys) {
        self.finish(frames, stream, keys);
        stream.line.clear();
        stream.before = Line::Plain;
        stream.doubtful = false;
    }

    /// Scrubs the lines, and remembers the one whose end is missing.
    fn finish(&mut self, frames: &mut [u8], stream: &mut Stream, keys: &SecretKeys) {
        if self.parts.is_empty() {
            return;
        }
        let mut text = mem::take(&mut stream.line);
        let known = text.len();
        for part in &self.parts {
            text.extend_from_slice(frames.get(part.clone()).unwrap_or_default());
        }
        let start = self.position.saturating_sub(known as u64);
        let calls: Vec<_> = self.calls.drain(..).map(|call| call.saturating_add(known)).collect();
        self.length = 0;
        let mut at = 0;
        while at < text.len() {
            let rest = text.get_mut(at..).unwrap_or_default();
            match stream.trust {
                Trust::Opening => match opening(rest) {
                    Some(length) => {
                        stream.trust = if length.is_some() { Trust::Whole } else { Trust::None };
                        at = at.saturating_add(length.unwrap_or_default());
                    }
                    None => {
                        stream.line = rest.to_vec();
                        break;
                    }
                },
                Trust::None => {
                    let from = at;
                    let begins =
                        |call: &&usize| **call >= from && text.get(**call..).is_some_and(starts_message);
                    let begin = calls.iter().find(begins).copied();
                    at = begin.unwrap_or(text.len());
                    text.get_mut(from..at).unwrap_or_default().fill(CONTENT);
                    if begin.is_some() {
                        (stream.trust, stream.before, stream.doubtful) = (Trust::Message, Line::Plain, false);
                    }
                }
                Trust::Message | Trust::Whole => {
                    let length = rest
                        .iter()
                        .position(|&byte| byte == b'\n')
                        .map_or(rest.len(), |end| end.saturating_add(1));
                    let line = rest.get_mut(..length).unwrap_or_default();
                    if line.iter().any(|byte| byte.is_ascii_control() && !b"\t\r\n".contains(byte)) {
                        stream.trust = Trust::None;
                        continue;
                    }
                    if line == HTTP2_LINE {
                        self.opaque.get_or_insert(start.saturating_add(at as u64));
                    }
                    stream.take(line, keys);
                    at = at.saturating_add(length);
                }
            }
        }
        if stream.line.len() > LINE_MAX {
            stream.line = Vec::new();
            stream.doubtful = true;
            if stream.trust == Trust::Opening {
                stream.trust = Trust::None;
            }
        }
        let mut scrubbed = text.get(known..).unwrap_or_default();
        for part in self.parts.drain(..) {
            let Some((bytes, behind)) = scrubbed.split_at_checked(part.len()) else { return };
            if let Some(target) = frames.get_mut(part) {
                target.copy_from_slice(bytes);
            }
            scrubbed = behind;
        }
    }
}

/// Whether all of this is content.
fn covers(contents: &[Content], mut from: u64, to: u64) -> bool {
    for content in contents {
        if content.position <= from {
            from = from.max(end_of(content));
        }
    }
    from >= to
}

fn fill(frames: &mut [u8], range: Range<usize>) {
    frames.get_mut(range).unwrap_or_default().fill(CONTENT);
}

fn split(range: &Range<usize>, length: usize) -> (Range<usize>, Range<usize>) {
    let middle = range.start.saturating_add(length).min(range.end);
    (range.start..middle, middle..range.end)
}

fn id_of(content: &Content) -> StreamId {
    StreamId::new(content.conn, content.direction)
}

fn end_of(content: &Content) -> u64 {
    content.position.saturating_add(content.length)
}
