//! Protocol: cuts the two streams of a connection into messages and pairs them into exchanges.
//!
//! In: ordered bytes and gaps of both directions of one connection ([`Protocol`]). Out: calls on an
//! [`Observer`], which builds the exchanges. A protocol is one folder here and one line in [`detect`].
//!
//! Limits: a protocol keeps no more than `limit::HEAD_MAX` bytes a direction, and never parses across a gap.

pub mod detect;
pub(crate) mod held;
pub mod http1;
pub mod http2;
pub mod proxy;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests themselves")]
pub(crate) mod testing;

use std::sync::Arc;

use crate::{
    Of, Secrecy,
    event::{Call, Direction, Framing, How, Quiet, Time},
};

/// Which end of the exchanges the traced process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Requests are sent, responses received.
    Client,
    /// Requests are received, responses sent.
    Server,
}

impl Side {
    /// The direction that carries the requests.
    pub fn requests(self) -> Direction {
        match self {
            Self::Client => Direction::Sent,
            Self::Server => Direction::Received,
        }
    }

    /// The direction that carries the requests, or the other one.
    pub(crate) fn direction(self, is_request: bool) -> Direction {
        let requests = self.requests();
        if is_request { requests } else { requests.opposite() }
    }
}

/// Number of an exchange on its connection: in order of appearance (HTTP/1) or the stream id (HTTP/2).
pub type Number = u64;

/// A field of a header block; the value is as on the wire, without the white space around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
}

/// Protocol of an exchange, for `network.protocol.*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    Http10,
    Http11,
    Http2,
}

/// The head of a request. What is unknown is `None`, never a guess.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    pub version: Version,
    pub method: Option<&'a [u8]>,
    /// Request target as on the wire (RFC 9112, 3.2); HTTP/2: `:path`.
    pub target: Option<&'a [u8]>,
    /// The target continues beyond what was captured.
    pub target_truncated: bool,
    /// HTTP/2 `:authority` and `:scheme`.
    pub authority: Option<&'a [u8]>,
    pub scheme: Option<&'a [u8]>,
    pub fields: &'a [Field<'a>],
    /// Fields were lost: beyond the capture limit, or unknown to the header decoder.
    pub fields_incomplete: bool,
    /// The call that moved the last byte of the head: its task read (or wrote) the request.
    pub call: Call,
}

/// The head of a final response.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'a> {
    pub version: Version,
    pub status: Option<u16>,
    pub fields: &'a [Field<'a>],
    /// Fields were lost.
    pub fields_incomplete: bool,
    pub call: Call,
}

/// The fields behind a response's content.
#[derive(Clone, Copy, Debug)]
pub struct Trailers<'a> {
    pub fields: &'a [Field<'a>],
    /// Fields were lost.
    pub fields_incomplete: bool,
}

/// Why an exchange ended without a complete response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ending {
    /// The connection failed with this errno: a failure.
    Failed(u32),
    /// The connection was closed before the response was complete: a failure. By the peer, if this side read that end
    /// before it closed, else by itself.
    Closed { by_peer: bool },
    /// The exchange became something else (101, CONNECT): not a failure.
    Upgraded,
    /// HTTP/2: one side ended the stream with this error code (RFC 9113, 7).
    Reset { code: u32, by: Side },
    /// HTTP/2: the server announced the end of the connection with this error code (RFC 9113, 6.8). A stream that was
    /// `served` was still open at that end, the others are those that the server refused to serve.
    GoneAway { code: u32, served: bool },
    /// Bytes of the exchange were not captured: not a failure of the request.
    Gap,
    /// The bytes do not follow the protocol: nothing is known from here.
    Malformed,
    /// The end was not seen (swept, process gone at attach, agent stopping).
    Unseen(Unseen),
}

/// Why the end of an exchange was not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unseen {
    /// The agent is stopping.
    AgentStopped,
    /// The connection was found gone.
    Swept,
    /// A table was full or the exchange too old.
    Evicted,
}

/// What a protocol tells the exchange stage. Calls for one exchange come in the order of this list, each at
/// most once except `informational`; the response may come before the end of the request.
pub trait Observer {
    /// The first byte of a request at this stream position, in this call.
    fn request_started(&mut self, number: Number, side: Side, position: u64, call: &Call);
    /// The head is complete.
    fn request_head(&mut self, number: Number, head: &RequestHead<'_>);
    /// The last byte of the request was moved by this call.
    fn request_ended(&mut self, number: Number, body: u64, call: &Call);
    /// An interim response (1xx except 101).
    fn informational(&mut self, number: Number, status: u16, call: &Call);
    /// The first byte of the final response.
    fn response_started(&mut self, number: Number, call: &Call);
    fn response_head(&mut self, number: Number, head: &ResponseHead<'_>);
    /// The trailers of the response; gRPC-Web has them in the content.
    fn trailers(&mut self, number: Number, trailers: &Trailers<'_>);
    /// It may be a gRPC call: how many messages its request and its response have, as far as is known.
    fn messages(&mut self, number: Number, request: Option<u64>, response: Option<u64>);
    /// The content of the request is none of gRPC: whatever its type is, it is no call.
    fn no_call(&mut self, _number: Number) {}
    /// The last byte of the response was moved by this call; HTTP/2: the last byte of both. Ends the exchange
    /// (HTTP/1: its request may still run, an early response); no more calls for it follow but `request_ended`.
    fn response_ended(&mut self, number: Number, body: u64, call: &Call);
    /// The exchange ended in another way, at this time. No more calls for it follow.
    fn ended(&mut self, number: Number, ending: Ending, time: Time);
    /// The request was never one: forget that it started (an undecided prefix, a mis-detection).
    fn retracted(&mut self, number: Number);
    /// So many bytes of `direction` from `position` on, seen or not, are content: nothing is read in them, so with any
    /// others in their place everything told here would be the same.
    fn content(&mut self, _direction: Direction, _position: u64, _length: u64) {}
    /// If excerpts are wanted: what of them is secret.
    fn secrecy(&self) -> Option<Arc<dyn Secrecy>> {
        None
    }
    /// These bytes say what is read of `direction` at this position, without secrets. What is told later counts.
    fn excerpt(&mut self, _direction: Direction, _position: u64, _bytes: &[u8], _of: Of) {}
    /// Bytes of `direction` below `position` are body and need no copy.
    fn skip(&mut self, direction: Direction, position: u64);
    /// From this position on `direction` is a sequence of HTTP/2 frames.
    fn frames(&mut self, direction: Direction, position: u64);
    /// `direction` is a sequence of HTTP/2 frames, and it is not known where they begin.
    fn search(&mut self, direction: Direction);
    /// DATA of this stream tells nothing in `direction` until it ends the stream; 0: of no stream any more.
    fn quiet(&mut self, direction: Direction, stream: u32);
    /// Nothing of interest can follow on this connection.
    fn ignore(&mut self);
    /// A refusal happened; see [`crate::counter`].
    fn count(&mut self, counter: crate::counter::Counter, amount: u64);
}

/// Ordered bytes of one direction.
#[derive(Clone, Copy, Debug)]
pub struct Bytes<'a> {
    pub direction: Direction,
    pub position: u64,
    pub bytes: &'a [u8],
    /// `bytes[0]` is the first byte of a call.
    pub call_start: bool,
    pub call: Call,
    pub framing: Framing,
}

/// Bytes of one direction that are not to be had.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    pub direction: Direction,
    pub position: u64,
    pub length: u64,
    /// The call that moved them, if it is known.
    pub call: Option<Call>,
    /// The latest time at which they were moved.
    pub time: Time,
    /// The kernel side knows what they are.
    pub quiet: Option<Quiet>,
}

/// A protocol's state for one connection.
pub trait Protocol: Send {
    /// Takes bytes; `position` continues where bytes and gaps ended before.
    fn bytes(&mut self, input: &Bytes<'_>, out: &mut dyn Observer);
    /// Takes a gap.
    fn gap(&mut self, gap: &Gap, out: &mut dyn Observer);
    /// A direction (`Some`) or the connection (`None`) ended; everything before it has been delivered.
    fn end(&mut self, direction: Option<Direction>, how: How, time: Time, out: &mut dyn Observer);
    /// Time passed: gives up what waits for too long (a response whose request was not seen).
    fn timeout(&mut self, now: Time, out: &mut dyn Observer);
    /// When [`Protocol::timeout`] wants to be called, if at all.
    fn deadline(&self) -> Option<Time>;
    /// Ends every open exchange for this reason.
    fn finish(&mut self, why: Unseen, time: Time, out: &mut dyn Observer);
    /// A gap of `length` bytes at `position` of `direction` would lie wholly in a body of known framing, so
    /// there is no point in waiting for late bytes.
    fn absorbs(&self, direction: Direction, position: u64, length: u64) -> bool;
    /// Which end of the exchanges the traced process is.
    fn side(&self) -> Side;
    /// A message was seen that leaves no doubt that this protocol is spoken.
    fn has_spoken(&self) -> bool;
    /// Nothing of interest can follow: input need not be delivered any more.
    fn is_done(&self) -> bool;
}
