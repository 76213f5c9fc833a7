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

/// Bytes that went to the network, those that went with a SYN included (`tcp_sock.bytes_sent`).
#[inline(always)]
pub(crate) fn sent(sk: u64) -> Result<u64, ProbeError> {
    memory::kernel(sk, offset!(tcp_bytes_sent))
}

/// Bytes that came from the network (`tcp_sock.bytes_received`); 0 again once the program disconnected the socket.
#[inline(always)]
pub(crate) fn received(sk: u64) -> Result<u64, ProbeError> {
    memory::kernel(sk, offset!(tcp_bytes_received))
}

/// Whether the program that is to read the byte at `next` as the next one read up to the peer's FIN, which counts in
/// `copied_seq`. `tcp_fin` sets the flag SOCK_DONE; a reset or the program's own shutdown do not.
#[inline(always)]
pub(crate) fn is_behind_fin(sk: u64, next: u32) -> Result<bool, ProbeError> {
    const SOCK_DONE: u64 = 1 << 1;
    let flags: u64 = memory::kernel(sk, offset!(sock_flags))?;
    Ok(flags & SOCK_DONE != 0 && memory::kernel::<u32>(sk, offset!(tcp_next_received))? == next)
}

/// Whether another protocol sits above TCP (`icsk_ulp_ops`), TLS in the kernel above all: calls then do not move the bytes
/// that TCP counts.
#[inline(always)]
pub(crate) fn is_below(sk: u64) -> Result<bool, ProbeError> {
    Ok(memory::kernel::<u64>(sk, offset!(connection_upper))? != 0)
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

/// How far a direction of an established connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Sequence number of the first byte.
    pub(crate) first: u32,
    /// Stream position of the next byte that the program moves.
    pub(crate) position: u64,
}

/// How far both directions (received, sent) of a connection are whose opening was not seen, from the counters of
/// bytes. The network may move them while they are read, so the first bytes are worked out twice and believed when
/// both agree, and the state has to be the same before and after: a FIN counts in one of the numbers.
#[inline(always)]
pub(crate) fn ends(sk: u64) -> Result<Option<[End; 2]>, ProbeError> {
    if state(sk)? != ESTABLISHED {
        return Ok(None);
    }
    let first = ends_once(sk)?;
    let second = ends_once(sk)?;
    let same = first[0].first == second[0].first && first[1].first == second[1].first;
    Ok((same && state(sk)? == ESTABLISHED).then_some(second))
}

#[inline(always)]
fn ends_once(sk: u64) -> Result<[End; 2], ProbeError> {
    let next_received: u32 = memory::kernel(sk, offset!(tcp_next_received))?;
    let received = received(sk)?;
    let next_sent: u32 = memory::kernel(sk, offset!(tcp_next_sent))?;
    let sent: u64 = memory::kernel(sk, offset!(tcp_bytes_sent))?;
    let again: u64 = memory::kernel(sk, offset!(tcp_bytes_retransmitted))?;
    let sent = sent.wrapping_sub(again);
    let unread = next_received.wrapping_sub(copied(sk)?);
    let unsent = written(sk)?.wrapping_sub(next_sent);
    Ok([
        End {
            first: next_received.wrapping_sub(received as u32),
            position: received.wrapping_sub(u64::from(unread)),
        },
        End { first: next_sent.wrapping_sub(sent as u32), position: sent.wrapping_add(u64::from(unsent)) },
    ])
}
