//! A chain of five processes and the connections between them: exchanges are paired, linked, sampled, left out,
//! and each of them is accounted for at every moment.
#![no_main]

use fuzz::{ledger::Ledger, memory, script::Script, step::Step, world::World};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| memory::bounded(input, 2 << 20, 2048, || play(input)));

fn play(input: &[u8]) {
    let mut script = Script::new(input);
    let mut ledger = Ledger::new(script.byte());
    let mut world = World::new(false);
    while !script.is_empty() {
        let step = Step::read(&mut script);
        if let Step::Process { place, what: 255 } = step {
            ledger.thread_is_not_task(world.tgid(place));
        }
        world.step(&step, &mut |event, now| ledger.event(event, now));
        ledger.pass(world.now());
    }
    ledger.finish();
}
