//! One connection that speaks HTTP/2: frames of the length that they say, and of any other.
#![no_main]

use fuzz::{contract, memory};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| memory::bounded(input, 2 << 20, 1024, || contract::play(input)));
