//! Contract: what a protocol may tell its observer, and in which order (`engine::protocol::Observer`).

use std::collections::HashMap;

use engine::{
    connection::Connection,
    counter::Counter,
    event::{Call, Direction, Event, Role, Time},
    protocol::{Ending, Number, Observer, RequestHead, ResponseHead, Side, Trailers, Unseen},
};

use crate::{AGAIN_MAX, script::Script, step::Step, world::World};

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    head: bool,
    request_ended: bool,
    responding: bool,
    response_head: bool,
    messages: bool,
    answered: bool,
    over: bool,
}

/// Panics where the contract is broken.
#[derive(Debug, Default)]
pub struct Contract {
    told: HashMap<Number, Told>,
    side: Option<Side>,
    ignored: bool,
}

impl Contract {
    /// Of an exchange that goes on.
    fn open(&mut self, number: Number) -> &mut Told {
        let told = self.told.get_mut(&number).expect("an exchange that was started");
        assert!(!told.over, "nothing is told of an exchange that ended");
        told
    }

    /// Nothing goes on any more.
    pub fn assert_all_ended(&self) {
        let open = self.told.iter().find(|(_, told)| !told.over && !told.answered);
        assert!(open.is_none(), "an exchange was left open: {open:?}");
    }
}

impl Observer for Contract {
    fn request_started(&mut self, number: Number, side: Side, _position: u64, call: &Call) {
        assert!(call.enter <= call.exit);
        assert!(self.told.insert(number, Told::default()).is_none(), "number {number} is used twice");
        assert!(*self.side.get_or_insert(side) == side, "a connection has one side");
    }

    fn request_head(&mut self, number: Number, head: &RequestHead<'_>) {
        assert!(head.fields.len() <= engine::limit::FIELDS_MAX);
        let told = self.open(number);
        assert!(!told.head && !told.request_ended && !told.responding);
        told.head = true;
    }

    fn request_ended(&mut self, number: Number, _body: u64, _call: &Call) {
        let told = self.open(number);
        assert!(told.head && !told.request_ended);
        told.request_ended = true;
    }

    fn informational(&mut self, number: Number, status: u16, _call: &Call) {
        assert!((100..200).contains(&status), "{status} is not informational");
        let told = self.open(number);
        assert!(told.head && !told.responding);
    }

    fn response_started(&mut self, number: Number, _call: &Call) {
        let told = self.open(number);
        assert!(told.head && !told.responding && !told.answered);
        told.responding = true;
    }

    fn response_head(&mut self, number: Number, head: &ResponseHead<'_>) {
        assert!(head.fields.len() <= engine::limit::FIELDS_MAX);
        let told = self.open(number);
        assert!(told.responding && !told.response_head && !told.answered);
        told.response_head = true;
    }

    fn trailers(&mut self, number: Number, _trailers: &Trailers<'_>) {
        let told = self.open(number);
        assert!(told.response_head && !told.answered);
    }

    fn messages(&mut self, number: Number, _request: Option<u64>, _response: Option<u64>) {
        let told = self.open(number);
        assert!(!told.messages && !told.answered);
        told.messages = true;
    }

    fn response_ended(&mut self, number: Number, _body: u64, _call: &Call) {
        let told = self.open(number);
        assert!(told.response_head && !told.answered);
        told.answered = true;
    }

    fn ended(&mut self, number: Number, _ending: Ending, _time: Time) {
        let told = self.open(number);
        assert!(!told.answered, "a response that ended ends the exchange");
        told.over = true;
    }

    fn retracted(&mut self, number: Number) {
        let told = self.open(number);
        assert!(!told.responding, "what was answered is a request");
        self.told.remove(&number);
    }

    fn skip(&mut self, _direction: Direction, _position: u64) {}

    fn frames(&mut self, _direction: Direction, _position: u64) {}

    fn search(&mut self, _direction: Direction) {}

    fn quiet(&mut self, _direction: Direction, _stream: u32) {}

    fn ignore(&mut self) {
        assert!(!self.ignored, "once is enough");
        self.ignored = true;
    }

    fn count(&mut self, _counter: Counter, _amount: u64) {}
}

/// Plays an input to one connection: a byte for what is known of it and how long steps may be, then steps.
pub fn play(input: &[u8]) {
    let mut script = Script::new(input);
    let start = script.byte();
    let role = match start & 3 {
        0 => Role::Accepted,
        1 => Role::Connected,
        _ => Role::Unknown,
    };
    let mut connection = Connection::new(role, start & 4 == 0);
    let mut contract = Contract::default();
    let mut world = World::new(true, start >> 5 == 7);
    while !script.is_empty() && !connection.is_closed() {
        world.step(&Step::read(&mut script), &mut |event, now| {
            time_out(&mut connection, now, &mut contract);
            match event {
                Event::Open(open) => connection.open(open, &mut contract),
                Event::Data(data) => connection.data(data, now, &mut contract),
                Event::End(end) => connection.end(end, now, &mut contract),
                _ => {}
            }
        });
    }
    time_out(&mut connection, world.now(), &mut contract);
    connection.finish(Unseen::AgentStopped, world.now(), &mut contract);
    contract.assert_all_ended();
}

/// What is due is done, and then not due any more: what waited may begin another wait, which is over as well.
fn time_out(connection: &mut Connection, now: Time, contract: &mut Contract) {
    let mut again = 0;
    while let Some(due) = connection.deadline().filter(|due| *due <= now) {
        assert!(again < AGAIN_MAX, "due at {due}, still, after {again} time-outs at {now}");
        again += 1;
        connection.timeout(now, contract);
    }
}
