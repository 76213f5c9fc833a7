//! A chain of five processes and the connections between them: exchanges are paired, linked, sampled, left out,
//! and each of them is accounted for at every moment.
#![no_main]

use engine::limit::KEPT_TEXT_MAX;
use fuzz::{
    ledger::Ledger,
    memory,
    script::Script,
    step::Step,
    world::{REPEATED_MAX, World},
};
use libfuzzer_sys::fuzz_target;

/// What is repeated waits in one place of each end, and is copied from there; and an entry of a header table can be the
/// target of any number of requests.
const FIXED: usize = (2 << 20) + 4 * REPEATED_MAX + KEPT_TEXT_MAX;

fuzz_target!(|input: &[u8]| memory::bounded(input, FIXED, 2048, || play(input)));

fn play(input: &[u8]) {
    let mut script = Script::new(input);
    let setup = script.byte();
    let mut ledger = Ledger::new(setup);
    let mut world = World::new(false, setup & 128 != 0);
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
