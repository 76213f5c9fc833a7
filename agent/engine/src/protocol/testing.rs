//! Test support: an observer that writes down what it is told and checks the order of the calls, and
//! conversations that are played to a connection whole, cut and with losses.

use std::collections::BTreeMap;

use super::{Ending, Number, Observer, RequestHead, ResponseHead, Side, Trailers, Unseen};
use crate::{
    connection::Connection,
    counter::{Counter, Counters},
    event::{Call, ConnectionId, Data, Direction, End, How, Role, Task, Time},
};

pub(crate) const MILLISECOND: Time = 1_000_000;

/// One exchange as it was told, without the calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) request: String,
    pub(crate) position: u64,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) incomplete: bool,
    pub(crate) request_body: Option<u64>,
    pub(crate) informational: Vec<u16>,
    pub(crate) status: Option<u16>,
    pub(crate) response_body: Option<u64>,
    pub(crate) ending: Option<Ending>,
    pub(crate) trailers: Vec<(String, String)>,
    pub(crate) messages: Option<(Option<u64>, Option<u64>)>,
    pub(crate) started: Option<Call>,
    pub(crate) request_last: Option<Call>,
    pub(crate) response_first: Option<Call>,
    pub(crate) response_last: Option<Call>,
    head: bool,
    response_started: bool,
    response_head: bool,
}

impl Told {
    pub(crate) fn summary(&self) -> String {
        let mut text = if self.head { self.request.clone() } else { "?".into() };
        if self.incomplete {
            text += " incomplete";
        }
        text += &self.request_body.map_or(String::new(), |body| format!(" +{body}"));
        for status in &self.informational {
            text += &format!(" ({status})");
        }
        text += &self.status.map_or(String::new(), |status| format!(" -> {status}"));
        text += &self.response_body.map_or(String::new(), |body| format!(" +{body}"));
        text + &self.ending.map_or(String::new(), |ending| format!(" {ending:?}"))
    }
}

#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) told: BTreeMap<Number, Told>,
    pub(crate) side: Option<Side>,
    pub(crate) skips: Vec<(Direction, u64)>,
    pub(crate) frames: Vec<(Direction, u64)>,
    pub(crate) searches: Vec<Direction>,
    pub(crate) quiet: Vec<(Direction, u32)>,
    pub(crate) ignored: bool,
    pub(crate) counters: Counters,
}

impl Recorder {
    pub(crate) fn summaries(&self) -> Vec<String> {
        self.told.values().map(Told::summary).collect()
    }

    fn open(&mut self, number: Number) -> &mut Told {
        let told = self.told.get_mut(&number).expect("an exchange that was started");
        assert!(told.ending.is_none(), "nothing is told of an exchange that ended: {told:?}");
        told
    }
}

impl Observer for Recorder {
    fn request_started(&mut self, number: Number, side: Side, position: u64, call: &Call) {
        let told = Told { position, started: Some(*call), ..Told::default() };
        assert!(self.told.insert(number, told).is_none(), "a number is used once");
        assert!(*self.side.get_or_insert(side) == side, "a connection has one side");
    }

    fn request_head(&mut self, number: Number, head: &RequestHead<'_>) {
        let text = |bytes: Option<&[u8]>| bytes.map_or("?".into(), |bytes| bytes.escape_ascii().to_string());
        let told = self.open(number);
        assert!(!told.head && told.request_body.is_none() && !told.response_started);
        told.head = true;
        told.request = format!("{} {}", text(head.method), text(head.target));
        if head.target_truncated {
            told.request += "...";
        }
        told.fields =
            head.fields.iter().map(|field| (text(Some(field.name)), text(Some(field.value)))).collect();
        told.incomplete = head.fields_incomplete;
    }

    fn request_ended(&mut self, number: Number, body: u64, call: &Call) {
        let told = self.open(number);
        assert!(told.head && told.request_body.is_none());
        told.request_body = Some(body);
        told.request_last = Some(*call);
    }

    fn informational(&mut self, number: Number, status: u16, _call: &Call) {
        let told = self.open(number);
        assert!(told.head && !told.response_started && told.response_body.is_none());
        told.informational.push(status);
    }

    fn response_started(&mut self, number: Number, call: &Call) {
        let told = self.open(number);
        assert!(told.head && !told.response_started);
        told.response_started = true;
        told.response_first = Some(*call);
    }

    fn response_head(&mut self, number: Number, head: &ResponseHead<'_>) {
        let told = self.open(number);
        assert!(told.response_started && !told.response_head);
        told.response_head = true;
        told.status = head.status;
    }

    fn trailers(&mut self, number: Number, trailers: &Trailers<'_>) {
        let told = self.open(number);
        assert!(told.response_head && told.response_body.is_none());
        let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
        told.trailers.extend(trailers.fields.iter().map(|field| (text(field.name), text(field.value))));
    }

    fn messages(&mut self, number: Number, request: Option<u64>, response: Option<u64>) {
        let told = self.open(number);
        assert!(told.messages.is_none() && told.response_body.is_none());
        told.messages = Some((request, response));
    }

    fn response_ended(&mut self, number: Number, body: u64, call: &Call) {
        let told = self.open(number);
        assert!(told.response_head && told.response_body.is_none());
        told.response_body = Some(body);
        told.response_last = Some(*call);
    }

    fn ended(&mut self, number: Number, ending: Ending, _time: Time) {
        let told = self.open(number);
        assert!(told.response_body.is_none(), "a response that ended ends the exchange");
        told.ending = Some(ending);
    }

    fn retracted(&mut self, number: Number) {
        let told = self.open(number);
        assert!(!told.response_started, "what was answered is a request");
        self.told.remove(&number);
    }

    fn skip(&mut self, direction: Direction, position: u64) {
        self.skips.push((direction, position));
    }

    fn frames(&mut self, direction: Direction, position: u64) {
        self.frames.push((direction, position));
    }

    fn search(&mut self, direction: Direction) {
        self.searches.push(direction);
    }

    fn quiet(&mut self, direction: Direction, stream: u32) {
        self.quiet.push((direction, stream));
    }

    fn ignore(&mut self) {
        assert!(!self.ignored, "once is enough");
        self.ignored = true;
    }

    fn count(&mut self, counter: Counter, amount: u64) {
        self.counters.add(counter, amount);
    }
}

/// A thing that happens on a connection, each in a call of its own and a millisecond after the one before.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Of the requests, of the responses.
    Request(Vec<u8>),
    Response(Vec<u8>),
    /// The capture limit cut this many bytes off the call of the step before.
    Cut(u64),
    /// `None`: the connection; `Some(true)`: the direction of the requests.
    End(Option<bool>, How),
}

pub(crate) fn request(bytes: impl AsRef<[u8]>) -> Step {
    Step::Request(bytes.as_ref().to_vec())
}

pub(crate) fn response(bytes: impl AsRef<[u8]>) -> Step {
    Step::Response(bytes.as_ref().to_vec())
}

pub(crate) fn closed() -> Step {
    Step::End(None, How::Closed)
}

/// An event that owns its bytes.
#[derive(Clone, Debug)]
pub(crate) enum Owned {
    Data { direction: Direction, position: u64, bytes: Vec<u8>, gap: u64, call: Call },
    End(End),
}

pub(crate) fn call_at(time: Time) -> Call {
    Call { enter: time, exit: time + 1000, tid: 1, task: Task { tgid: 1, id: 1 } }
}

/// The events of a conversation, as one side of it sees them.
pub(crate) fn events(side: Side, steps: &[Step]) -> Vec<Owned> {
    let mut positions = [0_u64; 2];
    let mut events: Vec<Owned> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let time = (index as u64 + 1) * MILLISECOND;
        let direction = |requests: bool| if requests { side.requests() } else { side.requests().opposite() };
        match step {
            Step::Request(bytes) | Step::Response(bytes) => {
                let direction = direction(matches!(step, Step::Request(_)));
                let position = &mut positions[direction as usize];
                let data = Owned::Data {
                    direction,
                    position: *position,
                    bytes: bytes.clone(),
                    gap: 0,
                    call: call_at(time),
                };
                events.push(data);
                *position += bytes.len() as u64;
            }
            Step::Cut(length) => match events.last_mut() {
                Some(Owned::Data { direction, gap, .. }) => {
                    *gap += length;
                    positions[*direction as usize] += length;
                }
                _ => panic!("a cut follows data"),
            },
            Step::End(requests, how) => events.push(Owned::End(End {
                time,
                conn: ConnectionId::default(),
                tgid: 1,
                direction: requests.map(direction),
                how: *how,
                positions: (positions[0], positions[1]),
            })),
        }
    }
    events
}

/// Cuts the data of event `index` in two calls at `at`.
pub(crate) fn cut(events: &[Owned], index: usize, at: usize) -> Vec<Owned> {
    let mut events = events.to_vec();
    if let Owned::Data { direction, position, bytes, gap, call } = events[index].clone() {
        let (first, second) = bytes.split_at(at);
        let later = Call { enter: call.exit + 1, exit: call.exit + 1000, ..call };
        let first = Owned::Data { direction, position, bytes: first.to_vec(), gap: 0, call };
        let position = position + at as u64;
        let second = Owned::Data { direction, position, bytes: second.to_vec(), gap, call: later };
        events.splice(index..=index, [first, second]);
    }
    events
}

/// Every byte in a call of its own.
pub(crate) fn shred(events: &[Owned]) -> Vec<Owned> {
    let mut shredded = Vec::new();
    for event in events {
        match event {
            Owned::Data { direction, position, bytes, gap, call } if !bytes.is_empty() => {
                for (index, byte) in bytes.iter().enumerate() {
                    let time = call.enter + index as u64;
                    let last = index + 1 == bytes.len();
                    shredded.push(Owned::Data {
                        direction: *direction,
                        position: position + index as u64,
                        bytes: vec![*byte],
                        gap: if last { *gap } else { 0 },
                        call: Call { enter: time, exit: time, ..*call },
                    });
                }
            }
            Owned::Data { .. } | Owned::End(_) => shredded.push(event.clone()),
        }
    }
    shredded
}

/// Plays events to a connection, lets time pass and stops.
pub(crate) fn play(mut connection: Connection, events: &[Owned]) -> Recorder {
    let mut out = Recorder::default();
    let mut now = 0;
    for event in events {
        now = now.max(match event {
            Owned::Data { call, .. } => call.exit,
            Owned::End(end) => end.time,
        });
        connection.timeout(now, &mut out);
        feed(&mut connection, event, now, &mut out);
    }
    while let Some(deadline) = connection.deadline() {
        now = now.max(deadline);
        connection.timeout(now, &mut out);
    }
    connection.finish(Unseen::AgentStopped, now, &mut out);
    out
}

pub(crate) fn feed(connection: &mut Connection, event: &Owned, now: Time, out: &mut Recorder) {
    match event {
        Owned::Data { direction, position, bytes, gap, call } => {
            let data = Data {
                conn: ConnectionId::default(),
                call: *call,
                direction: *direction,
                position: *position,
                bytes,
                gap: *gap,
                call_offset: 0,
                framing: crate::event::Framing::Unknown,
                ambiguous: false,
            };
            connection.data(&data, now, out);
        }
        Owned::End(end) => connection.end(end, now, out),
    }
}

pub(crate) fn role(side: Side) -> Role {
    match side {
        Side::Client => Role::Connected,
        Side::Server => Role::Accepted,
    }
}

/// Asserts that of the exchanges in `part` each is one of `whole`, in its order: its request by position.
pub(crate) fn assert_none_invented(whole: &Recorder, part: &Recorder, context: &str) {
    for told in part.told.values() {
        let known = whole.told.values().find(|other| other.position == told.position);
        let known = known.unwrap_or_else(|| panic!("invented {told:?} {context}"));
        let method = |told: &Told| told.request.split(' ').next().unwrap_or_default().to_owned();
        assert_eq!(method(known), method(told), "{context}");
        if let (Some(status), Some(expected)) = (told.status, known.status) {
            assert_eq!(status, expected, "the response of another request: {told:?} {context}");
        }
    }
}

/// A small generator of numbers (xorshift64*), so that a failure is repeated by its seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    pub(crate) fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }
}
