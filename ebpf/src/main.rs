//! The BPF programs of Spandrel: they see bytes cross sockets and write records to a ring.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)] // the BPF target's assembly: atomic additions

mod connections;
mod copy;
mod counters;
mod error;
mod filter;
mod frames;
mod hook;
mod inflight;
mod judge;
mod memory;
mod output;
mod quiet;
mod registers;
mod settings;
mod socket;
mod tcp;
mod verifier;

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
