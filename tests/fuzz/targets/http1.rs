//! One connection from any role and any first byte on: HTTP/1 of both directions, gaps, late bytes, ends.
#![no_main]

use fuzz::{contract, memory};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| memory::bounded(input, 2 << 20, 1024, || contract::play(input)));
