//! TCP's own sequence counters.

use crate::{error::ProbeError, memory, settings::offset};

/// States of `sk_state` (include/net/tcp_states.h).
pub(crate) const ESTABLISHED: u8 = 1;
pub(crate) const FIN_WAIT1: u8 = 4;
pub(crate) const CLOSE: u8 = 7;
pub(crate) const CLOSE_WAIT: u8 = 8;
pub(crate) const LAST_ACK: u8 = 9;
/// `sk_shutdown` bits.
pub(crate) const RCV_SHUTDOWN: u8 = 1;
pub(crate) const SHUTDOWN_BOTH: u8 = 3;

/// Sequence number of the next byte to be written by the program (`tcp_sock.write_seq`).
#[inline(always)]
pub(crate) fn written(sk: u64) -> Result<u32, ProbeError> {
    memory::kernel(sk, offset!(tcp_write_sequence))
}

/// Sequence number of the next byte to be read by the program (`tcp_sock.copied_seq`).
#[inline(always)]
pub(crate) fn copied(sk: u64) -> Result<u32, ProbeError> {
    memory::kernel(sk, offset!(tcp_copied_sequence))
}

/// `sk_state`.
#[inline(always)]
pub(crate) fn state(sk: u64) -> Result<u8, ProbeError> {
    memory::kernel(sk, offset!(sock_state))
}

/// `sk_shutdown`: a byte, or two bits of one on kernels before 5.15; the low bits are the first byte.
#[inline(always)]
pub(crate) fn shutdown(sk: u64) -> Result<u8, ProbeError> {
    memory::kernel::<u8>(sk, offset!(sock_shutdown)).map(|bits| bits & SHUTDOWN_BOTH)
}

/// Initial sequence numbers (received, sent) of an established connection whose opening was not seen,
/// from the counters of bytes. The network may move them while they are read, so they are read twice and
/// believed when both agree.
#[inline(always)]
pub(crate) fn initial(sk: u64) -> Result<Option<[u32; 2]>, ProbeError> {
    let first = initial_once(sk)?;
    let second = initial_once(sk)?;
    Ok((first == second).then_some(first))
}

#[inline(always)]
fn initial_once(sk: u64) -> Result<[u32; 2], ProbeError> {
    let next_received: u32 = memory::kernel(sk, offset!(tcp_next_received))?;
    let received: u64 = memory::kernel(sk, offset!(tcp_bytes_received))?;
    let next_sent: u32 = memory::kernel(sk, offset!(tcp_next_sent))?;
    let sent: u64 = memory::kernel(sk, offset!(tcp_bytes_sent))?;
    let again: u64 = memory::kernel(sk, offset!(tcp_bytes_retransmitted))?;
    Ok([
        next_received.wrapping_sub(received as u32).wrapping_sub(1),
        next_sent.wrapping_sub(sent.wrapping_sub(again) as u32).wrapping_sub(1),
    ])
}
