//! Records as the ring has them, in the form of a recording: kind, length, bytes. A capture is an input.
#![no_main]

use fuzz::{ledger::Ledger, memory};
use libfuzzer_sys::fuzz_target;

const RECORD: u8 = 1;
const TICK: u8 = 2;
const NOT_TASKS: u8 = 4;

fuzz_target!(|input: &[u8]| memory::bounded(input, 2 << 20, 1024, || play(input)));

fn play(input: &[u8]) {
    let mut ledger = Ledger::new(0);
    let mut rest = input;
    while let Some((&[kind, a, b, c, d], body)) = rest.split_first_chunk::<5>() {
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let (frame, after) = body.split_at(length.min(body.len()));
        match (kind, frame.first_chunk::<8>(), frame.first_chunk::<4>()) {
            (RECORD, ..) => {
                // The time of a record, where its header has it.
                let time = frame.get(8..16).and_then(|time| time.first_chunk::<8>());
                ledger.record(frame, time.map_or(0, |time| u64::from_le_bytes(*time)));
            }
            (TICK, Some(time), _) => ledger.pass(u64::from_le_bytes(*time)),
            (NOT_TASKS, _, Some(tgid)) => ledger.thread_is_not_task(u32::from_le_bytes(*tgid)),
            _ => {}
        }
        rest = after;
    }
    ledger.finish();
}
