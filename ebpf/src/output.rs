//! The ring: reserve, fill, submit; what did not fit is counted.

use abi::{
    Connection, ConnectionId, DataRecord, EndRecord, OpenRecord, ProcessRecord, QuietRecord, RecordHeader,
    conn::{direction, flag},
    counter, limit,
    record::{Kind, end, kind},
};
use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::{bpf_get_current_task, bpf_ktime_get_ns, generated::bpf_ringbuf_output},
    macros::map,
    maps::{PerCpuArray, RingBuf},
};

use crate::{
    connections, counters,
    error::ProbeError,
    filter::Thread,
    inflight, memory, quiet,
    settings::{offset, setting},
    socket::{AF_INET, AF_UNIX},
    verifier::at_most,
};

#[map]
static RECORDS: RingBuf = RingBuf::with_byte_size(16 * 1024 * 1024, 0);

/// A data record being built. Twice the room of a piece: an offset and a length that are each bounded by
/// [`limit::PIECE_MAX`] cannot leave it, which is all that the verifier can see.
#[repr(C)]
pub(crate) struct Scratch {
    pub(crate) record: DataRecord,
    pub(crate) payload: [u8; 2 * limit::PIECE_MAX],
}
const _: () = assert!(size_of::<Scratch>() <= 32_768);

/// One a processor: the programs that use it run with preemption disabled (perf tracepoints).
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
pub(crate) fn scratch() -> Result<*mut Scratch, ProbeError> {
    SCRATCH.get_ptr_mut(0).ok_or(ProbeError::Scratch)
}

/// Wakes the reader only when the ring fills faster than its timer drains it.
#[inline(always)]
fn wake() -> u64 {
    if RECORDS.query(u64::from(BPF_RB_AVAIL_DATA)) > u64::from(setting!(wake_mark)) {
        u64::from(BPF_RB_FORCE_WAKEUP)
    } else {
        u64::from(BPF_RB_NO_WAKEUP)
    }
}

/// Submits the scratch record with `copied` bytes of payload, standing for `covered` of the stream, and moves it
/// on to the bytes behind. Whether it fitted.
#[inline(always)]
pub(crate) fn data(copied: u32, covered: u32) -> u64 {
    let Ok(scratch) = scratch() else { return 0 };
    let copied = at_most(copied, limit::PIECE_MAX as u32);
    let length = size_of::<DataRecord>() as u32 + copied;
    // SAFETY: the scratch buffer is this processor's own.
    let record = unsafe { &mut (*scratch).record };
    record.copied = copied;
    record.covered = covered;
    record.header.length = length;
    // Asking the ring costs as much as a look-up: not for each record.
    let look = counters::next(counter::DATA_RECORDS) & u64::from(setting!(wake_mask)) == 0;
    let wake = if look { wake() } else { u64::from(BPF_RB_NO_WAKEUP) };
    // SAFETY: `length` bytes of the buffer are initialised.
    let result = unsafe {
        bpf_ringbuf_output((&raw const RECORDS).cast_mut().cast(), scratch.cast(), u64::from(length), wake)
    };
    record.position = record.position.wrapping_add(u64::from(covered));
    record.call_offset = record.call_offset.wrapping_add(covered);
    if result == 0 {
        counters::add(counter::COPIED_BYTES, u64::from(copied));
        1
    } else {
        counters::add(counter::RING_FULL, 1);
        counters::add(counter::RING_FULL_BYTES, u64::from(covered));
        0
    }
}

#[inline(always)]
fn header(kind: Kind, length: usize) -> RecordHeader {
    // SAFETY: the helper only reads the clock.
    RecordHeader { kind, flags: 0, length: length as u32, time: unsafe { bpf_ktime_get_ns() } }
}

/// Announces a connection, once, and once more when its initial sequence numbers became known. An
/// announcement that did not fit is tried again at the next call.
#[inline(always)]
pub(crate) fn announce(connection: &mut Connection, sk: u64, protocol: u16, thread: u64) {
    let known = connection.flags & flag::ISN_KNOWN != 0;
    let announced = connection.flags & flag::ANNOUNCED != 0;
    let announced_isn = connection.flags & flag::ISN_ANNOUNCED != 0;
    if announced && (announced_isn || !known) {
        return;
    }
    if announcement(sk, u64::from(protocol), thread) == 0 {
        return;
    }
    connection.flags |= flag::ANNOUNCED;
    if known {
        connection.flags |= flag::ISN_ANNOUNCED;
    }
}

/// Writes the announcement of the connection at `sk`. A global function: rare, large, and called from many places.
/// Whether it fitted.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn announcement(sk: u64, protocol: u64, thread: u64) -> u64 {
    let Some(connection) = connections::find_sock(sk) else { return 0 };
    // SAFETY: see `connections::find`.
    let connection = unsafe { &*connection };
    let Some(mut entry) = RECORDS.reserve::<OpenRecord>(0) else {
        counters::add(counter::RING_FULL, 1);
        return 0;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the reserved memory is zeroed, then written field by field.
    let result = unsafe {
        core::ptr::write_bytes(record, 0, 1);
        (*record).header = header(kind::OPEN, size_of::<OpenRecord>());
        (*record).conn = ConnectionId { sock: sk, inode: connection.inode };
        (*record).tgid = (thread >> 32) as u32;
        (*record).tid = thread as u32;
        (*record).family = connection.family;
        (*record).flags = connection.flags;
        (*record).protocol = protocol as u16;
        (*record).role = connection.role;
        (*record).isn_received = connection.isn[0];
        (*record).isn_sent = connection.isn[1];
        addresses(record, sk, connection.family)
    };
    if result.is_err() {
        counters::add(counter::KERNEL_UNREADABLE, 1);
    }
    let hurry =
        setting!(socket_events) != 0 && connection.flags & flag::SEQUENCED == 0 && inflight::note_counted();
    entry.submit(if hurry { u64::from(BPF_RB_FORCE_WAKEUP) } else { wake() });
    1
}

/// # Safety
/// `record` must point to a whole record.
#[inline(always)]
unsafe fn addresses(record: *mut OpenRecord, sk: u64, family: u16) -> Result<(), ProbeError> {
    // SAFETY: passed on from the caller.
    let record = unsafe { &mut *record };
    let net: u64 = memory::kernel(sk, offset!(sock_net))?;
    record.netns = memory::kernel(net, offset!(net_inode))?;
    if family == AF_UNIX {
        let peer: u64 = memory::kernel(sk, offset!(unix_peer))?;
        record.peer_sock = peer;
        // The accepting end inherits the listener's address, the connecting end's peer has it.
        let mut address: u64 = memory::kernel(sk, offset!(unix_address))?;
        if address == 0 && peer != 0 {
            address = memory::kernel(peer, offset!(unix_address))?;
        }
        if address != 0 {
            // `len` counts the two bytes of the family (struct sockaddr_un).
            let length: u32 = memory::kernel(address, offset!(unix_address_length))?;
            let length = length.wrapping_sub(2);
            memory::kernel_into(address, offset!(unix_address_name) + 2, &raw mut record.path)?;
            record.path_length =
                if length > limit::UNIX_PATH_MAX as u32 { limit::UNIX_PATH_MAX as u8 } else { length as u8 };
        }
        return Ok(());
    }
    record.local_port = memory::kernel(sk, offset!(sock_number))?;
    record.remote_port = u16::from_be(memory::kernel(sk, offset!(sock_destination_port))?);
    let (local, remote) = (&raw mut record.local_address, &raw mut record.remote_address);
    if family == AF_INET {
        // IPv4 takes the first four bytes.
        memory::kernel_into(sk, offset!(sock_source_v4), local.cast::<[u8; 4]>())?;
        memory::kernel_into(sk, offset!(sock_destination_v4), remote.cast::<[u8; 4]>())?;
    } else {
        memory::kernel_into(sk, offset!(sock_source_v6), local)?;
        memory::kernel_into(sk, offset!(sock_destination_v6), remote)?;
    }
    Ok(())
}

/// Lets `fill` write all of a record of frames that passed without records, `length` bytes of them. In the ring: on the
/// stack it would be a large part of what kernels before 6.13 allow several functions in a row.
#[inline(always)]
pub(crate) fn quiet(length: u32, fill: impl FnOnce(&mut QuietRecord)) {
    let Some(mut entry) = RECORDS.reserve::<QuietRecord>(0) else {
        counters::add(counter::RING_FULL, 1);
        counters::add(counter::RING_FULL_BYTES, u64::from(length));
        return;
    };
    // SAFETY: every field is written before the record is read.
    fill(unsafe { &mut *entry.as_mut_ptr() });
    entry.submit(u64::from(BPF_RB_NO_WAKEUP));
}

/// Reports the end of a direction or of the connection, if the connection was announced. Whether that is done: an
/// end that did not fit is to be tried again.
#[inline(always)]
pub(crate) fn end(
    connection: &mut Connection,
    sk: u64,
    thread: Thread,
    directions: u8,
    how: u8,
    error: u32,
) -> bool {
    const BOTH: u8 = 3;
    if connection.flags & flag::ANNOUNCED == 0 || connection.flags & flag::ENDED != 0 {
        return true;
    }
    // Of one that was found gone nothing more is known.
    if how != end::CALL_FAILED && how != end::SWEPT {
        for way in [direction::RECEIVED, direction::SENT] {
            if directions & 1 << way != 0 && connections::half(connection, way).quiet_length != 0 {
                quiet::report(sk, u64::from(way), thread.key());
            }
        }
    }
    let Some(mut entry) = RECORDS.reserve::<EndRecord>(0) else {
        counters::add(counter::RING_FULL, 1);
        return false;
    };
    entry.write(EndRecord {
        header: header(kind::END, size_of::<EndRecord>()),
        conn: ConnectionId { sock: sk, inode: connection.inode },
        tgid: thread.tgid,
        tid: thread.tid,
        positions: [connection.halves[0].position, connection.halves[1].position],
        error,
        directions,
        how,
        padding: [0; 2],
    });
    entry.submit(wake());
    if directions == BOTH {
        connection.flags |= flag::ENDED;
    }
    true
}

/// Reports that something happened to a process: `kind` of exit, fork, seen or io_uring.
#[inline(always)]
pub(crate) fn process(kind: Kind, tgid: u32, parent: u32, generation: u8) -> Result<(), ProbeError> {
    let Some(mut entry) = RECORDS.reserve::<ProcessRecord>(0) else {
        counters::add(counter::RING_FULL, 1);
        return Ok(());
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the reserved memory is zeroed, then written field by field.
    let result = unsafe {
        core::ptr::write_bytes(record, 0, 1);
        (*record).header = header(kind, size_of::<ProcessRecord>());
        (*record).tgid = tgid;
        (*record).parent = parent;
        (*record).generation = generation;
        identity(record)
    };
    entry.submit(wake());
    result
}

/// Fills in what is known of the current task: user, cgroup, namespaces.
///
/// # Safety
/// `record` must point to a whole record.
#[inline(always)]
pub(crate) unsafe fn identity(record: *mut ProcessRecord) -> Result<(), ProbeError> {
    use aya_ebpf::helpers::{bpf_get_current_uid_gid, generated::bpf_get_current_cgroup_id};
    // SAFETY: passed on from the caller; the helpers only return numbers.
    let record = unsafe { &mut *record };
    let both = bpf_get_current_uid_gid();
    record.uid = both as u32;
    record.gid = (both >> 32) as u32;
    // SAFETY: as above.
    record.cgroup = unsafe { bpf_get_current_cgroup_id() };
    // SAFETY: as above.
    let task = unsafe { bpf_get_current_task() };
    let namespaces: u64 = memory::kernel(task, offset!(task_nsproxy))?;
    // A task that is exiting has none any more.
    if namespaces != 0 {
        let mount: u64 = memory::kernel(namespaces, offset!(nsproxy_mount))?;
        record.mount_namespace = memory::kernel(mount, offset!(mount_namespace_inode))?;
        let net: u64 = memory::kernel(namespaces, offset!(nsproxy_net))?;
        record.network_namespace = memory::kernel(net, offset!(net_inode))?;
    }
    // The innermost of the process's ids: numbers[level] (kernel/pid.c, task_active_pid_ns).
    let leader: u64 = memory::kernel(task, offset!(task_group_leader))?;
    let pid: u64 = memory::kernel(leader, offset!(task_thread_pid))?;
    if pid != 0 {
        let level: u32 = memory::kernel(pid, offset!(pid_level))?;
        let level = (level & 31) as usize;
        let number = offset!(pid_numbers) + level * offset!(upid_size);
        record.inner_tgid = memory::kernel(pid, number + offset!(upid_number))?;
        let namespace: u64 = memory::kernel(pid, number + offset!(upid_namespace))?;
        record.pid_namespace = memory::kernel(namespace, offset!(pid_namespace_inode))?;
    }
    Ok(())
}

/// Room for an exec record and what follows it; submitted whole.
#[repr(C)]
pub(crate) struct ExecEntry {
    pub(crate) record: ProcessRecord,
    pub(crate) text: [u8; limit::FILENAME_MAX + limit::ARGUMENTS_MAX + 2 * limit::ENVIRONMENT_MAX],
    /// State of the loop over the environment: kept in memory, not in registers, so that the verifier
    /// can forget it (capture of 512 steps passes one million instructions on 5.10 otherwise).
    pub(crate) cursor: u64,
    pub(crate) used: u32,
    pub(crate) inside: u32,
}

/// Lets `fill` write an exec record in the ring.
#[inline(always)]
pub(crate) fn exec(
    tgid: u32,
    generation: u8,
    fill: impl FnOnce(&mut ExecEntry) -> Result<(), ProbeError>,
) -> Result<(), ProbeError> {
    let Some(mut entry) = RECORDS.reserve::<ExecEntry>(0) else {
        counters::add(counter::RING_FULL, 1);
        return Ok(());
    };
    let pointer = entry.as_mut_ptr();
    // SAFETY: the record is written whole; what follows it is valid up to the lengths that `fill` sets.
    let result = unsafe {
        core::ptr::write_bytes(&raw mut (*pointer).record, 0, 1);
        (*pointer).record.header = header(kind::EXEC, size_of::<ExecEntry>());
        (*pointer).record.tgid = tgid;
        (*pointer).record.generation = generation;
        identity(&raw mut (*pointer).record).and_then(|()| fill(&mut *pointer))
    };
    entry.submit(wake());
    result
}
