//! One connection from any role and any first byte on: HTTP/1 of both directions, gaps, late bytes, ends.
#![no_main]

use fuzz::{contract, memory, world::REPEATED_MAX};
use libfuzzer_sys::fuzz_target;

/// What is repeated waits in one place, and is copied from there.
const FIXED: usize = (2 << 20) + 2 * REPEATED_MAX;

fuzz_target!(|input: &[u8]| memory::bounded(input, FIXED, 1024, || contract::play(input)));
