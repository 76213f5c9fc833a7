//! World: makes the events of steps, as a kernel side would see them.
//!
//! Four connections, both ends of each on this host, make a chain of five processes: what comes in at one process
//! can go out at it again.

use std::net::{Ipv4Addr, SocketAddr};

use engine::event::{
    Call, ConnectionId, Data, End, Endpoint, Event, Exec, Framing, How, Open, Process, Role, Task, Time,
};

use crate::{
    frames::Frames,
    step::{Place, Said, Step},
};

const QUARTER: Time = 250_000;
const CONNECTIONS: usize = 8;
const HEADER: usize = 9;
/// Bytes that one step may come to by repetition: some more than the longest header block that is kept.
const PIECE_MAX: usize = engine::limit::HEAD_MAX + (64 << 10);
/// Bytes that all steps of an input may come to so, what is left out not counted: for most inputs enough for bounds of
/// 16 KiB, and for some that ask for more enough for the longest header block. Such a one takes ten times as long.
const REPEATED: [usize; 2] = [24 << 10, REPEATED_MAX];
pub const REPEATED_MAX: usize = PIECE_MAX + (24 << 10);

#[derive(Clone, Copy, Debug, Default)]
struct Socket {
    /// The position that is next, received and sent.
    next: [u64; 2],
    /// What is known of frames, received and sent.
    frames: [Frames; 2],
    generation: u16,
}

/// Bytes of a step, and how many more there are that are not copied.
#[derive(Clone, Copy, Debug)]
struct Moved<'a> {
    bytes: &'a [u8],
    gap: u64,
    said: Said,
    /// A frame begins with the first byte.
    framed: bool,
}

#[derive(Debug)]
pub struct World {
    now: Time,
    sockets: [Socket; CONNECTIONS],
    /// All steps happen on the first connection.
    single: bool,
    /// Bytes that may still be made by repetition.
    left: usize,
}

impl World {
    /// `long`: its steps may come to many bytes.
    pub fn new(single: bool, long: bool) -> Self {
        Self { now: 1_000_000_000, sockets: Default::default(), single, left: REPEATED[usize::from(long)] }
    }

    pub fn now(&self) -> Time {
        self.now
    }

    /// Tells what a step comes to; at most two events.
    pub fn step(&mut self, step: &Step<'_>, tell: &mut dyn FnMut(&Event<'_>, Time)) {
        match *step {
            Step::Open { place, accepted, role_known, from_opening, sequence, again } => {
                let index = self.begin(place);
                if again {
                    let generation = self.sockets[index].generation.wrapping_add(1);
                    self.sockets[index] = Socket { generation, ..Socket::default() };
                }
                let role = match (role_known, accepted) {
                    (true, true) => Role::Accepted,
                    (true, false) => Role::Connected,
                    (false, _) => Role::Unknown,
                };
                tell(&Event::Open(self.open(index, role, from_opening, sequence)), self.now);
            }
            Step::Data { place, bytes, times, said } => {
                let (bytes, gap) = self.repeated(&[], bytes, times, said);
                self.move_bytes(place, Moved { bytes: &bytes, gap, said, framed: false }, tell);
            }
            Step::Gap { place, length } => {
                let moved = Moved { bytes: &[], gap: length.into(), said: Said::Nothing, framed: false };
                self.move_bytes(place, moved, tell);
            }
            Step::Frame { place, kind, flags, stream, payload, times, said } => {
                let head = [0, 0, 0, kind, flags, 0, 0, 0, stream];
                let (mut frame, gap) = self.repeated(&head, payload, times, said);
                let length = (frame.len() - HEADER) as u64 + gap;
                frame[..3].copy_from_slice(&(length as u32).to_be_bytes()[1..]);
                self.move_bytes(place, Moved { bytes: &frame, gap, said, framed: true }, tell);
            }
            Step::Elsewhere { place, offset, ambiguous, gap, said, bytes } => {
                let index = self.begin(place);
                let next = self.sockets[index].next[place.direction as usize];
                let position = next.saturating_add_signed(offset.into());
                let mut data = self.data(place, index, position, bytes, gap.into());
                data.ambiguous = ambiguous;
                data.framing = said_of(said, position, Framing::Unknown);
                self.sockets[index].frames[place.direction as usize].lose();
                let end = position.saturating_add(bytes.len() as u64).saturating_add(gap.into());
                self.sockets[index].next[place.direction as usize] = next.max(end);
                tell(&Event::Data(data), self.now);
            }
            Step::End { place, whole, how, error, offset } => {
                let index = self.begin(place);
                let how = match how % 6 {
                    0 => How::Eof,
                    1 => How::Shutdown,
                    2 => How::Closed,
                    3 => How::Failed(error.into()),
                    4 => How::Swept,
                    _ => How::CallFailed(error.into()),
                };
                let [received, sent] =
                    self.sockets[index].next.map(|next| next.saturating_add_signed(offset.into()));
                let direction = (!whole).then_some(place.direction);
                let (conn, tgid) = (self.id(index), tgid(index));
                let end = End { time: self.now, conn, tgid, direction, how, positions: (received, sent) };
                tell(&Event::End(end), self.now);
            }
            Step::Wait { quarters } => self.now += QUARTER * Time::from(quarters),
            Step::Process { place, what } => {
                let index = self.begin(place);
                let process = process(tgid(index), self.now);
                let event = match what % 4 {
                    0 => Event::Exec(Exec { process, filename: b"", arguments: b"", environment: b"" }),
                    1 => Event::Exit(process),
                    2 => Event::Fork(process),
                    _ => Event::IoUring(process),
                };
                tell(&event, self.now);
            }
        }
    }

    /// The process of a connection's end.
    pub fn tgid(&self, place: Place) -> u32 {
        tgid(self.index(place))
    }

    fn index(&self, place: Place) -> usize {
        if self.single { 0 } else { usize::from(place.connection) % CONNECTIONS }
    }

    fn begin(&mut self, place: Place) -> usize {
        self.now += QUARTER * Time::from(place.delay);
        self.index(place)
    }

    /// Bytes so often behind a head, and how much of that is left out.
    fn repeated(&mut self, head: &[u8], bytes: &[u8], times: usize, said: Said) -> (Vec<u8>, u64) {
        let most = PIECE_MAX.checked_div(bytes.len()).unwrap_or_default();
        let more = times.min(most).saturating_sub(1);
        let copies = if said == Said::Short { 0 } else { more.min(self.left / bytes.len().max(1)) };
        self.left -= copies * bytes.len();
        let all =
            if copies == 0 { [head, bytes].concat() } else { [head, &bytes.repeat(copies + 1)].concat() };
        let gap = if said == Said::Short { more * bytes.len() } else { 0 };
        (all, gap as u64)
    }

    fn move_bytes(&mut self, place: Place, moved: Moved<'_>, tell: &mut dyn FnMut(&Event<'_>, Time)) {
        let index = self.begin(place);
        self.move_at(index, place, moved, tell);
        if place.both && !self.single {
            self.now += 1;
            let direction = place.direction.opposite();
            self.move_at(index ^ 1, Place { direction, ..place }, moved, tell);
        }
    }

    fn move_at(
        &mut self,
        index: usize,
        place: Place,
        moved: Moved<'_>,
        tell: &mut dyn FnMut(&Event<'_>, Time),
    ) {
        let Moved { bytes, gap, said, framed } = moved;
        let socket = &mut self.sockets[index];
        let position = socket.next[place.direction as usize];
        socket.next[place.direction as usize] = position + bytes.len() as u64 + gap;
        let frames = &mut socket.frames[place.direction as usize];
        if framed {
            frames.begin();
        }
        let truth = frames.pass(position, bytes, gap);
        let mut data = self.data(place, index, position, bytes, gap);
        data.framing = said_of(said, position, truth);
        tell(&Event::Data(data), self.now);
    }

    fn data<'a>(&self, place: Place, index: usize, position: u64, bytes: &'a [u8], gap: u64) -> Data<'a> {
        let tgid = tgid(index);
        let tid = tgid * 10 + u32::from(place.thread);
        let enter = self.now.saturating_sub(1000);
        Data {
            conn: self.id(index),
            call: Call { enter, exit: self.now, tid, task: Task { tgid, id: tid.into() } },
            direction: place.direction,
            position,
            bytes,
            gap,
            call_offset: 0,
            framing: Framing::Unknown,
            ambiguous: false,
        }
    }

    fn open(&self, index: usize, role: Role, from_opening: bool, sequence: bool) -> Open {
        let pair = index as u16 / 2;
        let generation = self.sockets[index].generation;
        let client = address(40_000 + 16 * pair + generation % 16);
        let server = address(80 + pair);
        let numbers = (u32::from(generation) * 16 + u32::from(pair), u32::MAX - u32::from(pair));
        let (local, remote, numbers) = if index.is_multiple_of(2) {
            (client, server, numbers)
        } else {
            (server, client, (numbers.1, numbers.0))
        };
        Open {
            time: self.now,
            conn: self.id(index),
            tgid: tgid(index),
            netns: 1,
            role,
            from_opening,
            sequence: sequence.then_some(numbers),
            local,
            remote,
            peer_sock: None,
        }
    }

    fn id(&self, index: usize) -> ConnectionId {
        ConnectionId { sock: index as u64 + 1, inode: self.sockets[index].generation.into() }
    }
}

fn said_of(said: Said, position: u64, truth: Framing) -> Framing {
    match said {
        Said::Nothing => Framing::Unknown,
        Said::Truth | Said::Short => truth,
        Said::Anything(0) => Framing::Inside,
        Said::Anything(said) => Framing::From(position + u64::from(said) - 1),
    }
}

/// The accepting end of a connection and the connecting end of the next are of one process.
fn tgid(index: usize) -> u32 {
    100 + index.div_ceil(2) as u32
}

fn address(port: u16) -> Endpoint {
    Endpoint::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn process(tgid: u32, time: Time) -> Process {
    Process {
        time,
        tgid,
        parent: 1,
        uid: 0,
        gid: 0,
        cgroup: 1,
        pid_namespace: 1,
        mount_namespace: 1,
        network_namespace: 1,
        inner_tgid: tgid,
        generation: 0,
    }
}
