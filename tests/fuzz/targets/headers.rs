//! The fields of a request, in HTTP/1 form, where trace contexts are looked for, and the client behind proxies.
//! They come in at a server that calls another one with the same fields.
#![no_main]

use engine::event::Direction::{Received, Sent};
use fuzz::{
    ledger::Ledger,
    memory,
    script::Script,
    step::{Place, Step},
    world::World,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| memory::bounded(input, 2 << 20, 1024, || play(input)));

fn play(input: &[u8]) {
    let mut script = Script::new(input);
    let mut ledger = Ledger::new(script.byte());
    let head = [b"GET /b HTTP/1.1\r\n", script.bytes(input.len()), b"\r\n\r\n"].concat();
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let (server, client) = (Place::new(1, Received), Place::new(2, Sent));
    let answered = |place: Place| Place { direction: place.direction.opposite(), ..place };
    let open = |place: Place, accepted| Step::Open {
        place,
        accepted,
        role_known: true,
        from_opening: true,
        sequence: false,
        again: false,
    };
    let mut world = World::new(false, false);
    let steps = [
        open(server, true),
        Step::data(server, &head),
        open(client, false),
        Step::data(client, &head),
        Step::data(answered(client), answer),
        Step::data(answered(server), answer),
    ];
    for step in steps {
        world.step(&step, &mut |event, now| ledger.event(event, now));
    }
    ledger.finish();
}
