//! The kernel side as user space sees it: [`Probes`]. The only user of aya.
//!
//! In: [`Options`], decisions about processes, orders about connections. Out: the bytes of records, counters.

mod arch;
mod attach;
pub mod btf;
mod flavour;
pub mod info;
mod offsets;
mod order;
mod processes;
mod reader;
mod syscall;

use std::{fs, os::fd::AsFd as _};

use abi::{
    Settings,
    process::decision,
    settings::{control, counted, recover},
};
use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, PerCpuArray, RingBuf},
    programs::{ProgramError, ProgramType, RawTracePoint},
    sys::BpfHelper,
};
use engine::{Order, event::ConnectionId};
use zerocopy::IntoBytes as _;

pub use flavour::{Choice, Flavour};
pub use reader::Reader;

/// The object that `cargo xtask build` made.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/probes.o"));

/// From this size of the ring on, its fill level is looked at once in so many data records (less one, a mask) of a processor.
const WAKE_SELDOM_RING: u32 = 4 * 1024 * 1024;
const WAKE_SELDOM: u32 = 15;

/// Threads that fit into the map `BLOCKED`.
const BLOCKED_MAX: usize = 65_536;

/// What the kernel side is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes copied of one call.
    pub copy_limit: u32,
    /// Sizes of the tables.
    pub connections: u32,
    pub calls: u32,
    /// Bytes of the ring; a power of two.
    pub ring: u32,
    /// Only the processes that are told ([`Probes::decide`]) and their descendants are traced; a decision
    /// lasts through exec.
    pub only_told: bool,
    /// System calls are hooked whatever else the kernel offers.
    pub system_calls: bool,
}

/// The loaded and attached programs. Dropping detaches them.
pub struct Probes {
    ebpf: Ebpf,
    processes: processes::Processes,
    connections: HashMap<aya::maps::MapData, u64, RawConnection>,
    counters: PerCpuArray<aya::maps::MapData, u64>,
    control: Array<aya::maps::MapData, u32>,
    blocked: HashMap<aya::maps::MapData, u64, u8>,
    /// Calls in flight by thread. Their layout is the kernel side's own; only the keys are looked at.
    calls: HashMap<aya::maps::MapData, u64, [u64; 6]>,
    choice: Choice,
    /// What connections need whose positions are counted is hooked.
    counted: bool,
    /// Threads may still be in calls that entered before the probes were attached.
    settling: bool,
    only_told: bool,
    /// Connections that fit into the table.
    connections_max: usize,
    calls_max: usize,
}

/// A connection in the kernel side's table, as bytes.
#[derive(Clone, Copy)]
#[repr(transparent)]
struct RawConnection(abi::Connection);

// SAFETY: the contract type is plain data without padding (asserted in `abi`).
unsafe impl aya::Pod for RawConnection {}

/// What becomes of an entry that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// The decision holds either way.
    Replace,
    /// The entry stays; it is newer.
    Keep,
    /// Only an entry about the image of this generation is changed, or about any if that is not known: where there is
    /// none the process is gone, and a later image is decided when its record comes.
    Update(Option<u8>),
}

/// How many instructions the verifier walked to accept a program.
#[derive(Clone, Debug)]
pub struct Verified {
    pub program: String,
    pub instructions: u32,
}

impl Probes {
    /// Loads the programs; nothing is attached yet.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "aya knows many types of programs, the object has three"
    )]
    pub fn load(options: &Options) -> Result<(Self, Reader)> {
        if OBJECT.is_empty() {
            bail!("this binary was built without its BPF programs: build it with `cargo xtask build`");
        }
        raise_memory_limit();
        let path = "/sys/kernel/btf/vmlinux";
        let data = fs::read(path).with_context(|| {
            format!("cannot read {path}: the kernel must be built with CONFIG_DEBUG_INFO_BTF")
        })?;
        let btf = btf::Btf::parse(&data)?;
        let offsets = offsets::look_up(&btf).context("this kernel's structures are not as expected")?;
        let choice = flavour::choose(&btf, options.system_calls);
        let types =
            aya::Btf::parse(&data, aya::Endianness::default()).context("cannot read the kernel's types")?;
        drop(data);
        let settings = Settings {
            socket_events: u32::from(choice.flavour != Flavour::Calls),
            send_events: u32::from(choice.flavour == Flavour::Sends),
            offsets,
            copy_limit: options.copy_limit,
            unknown_process: if options.only_told { decision::SKIP } else { decision::UNDECIDED },
            exec_decides: u32::from(!options.only_told),
            own_tgid: std::process::id(),
            task_pointers: u32::from(supported(BpfHelper::BPF_FUNC_get_current_task_btf)),
            registers_helper: u32::from(
                supported(BpfHelper::BPF_FUNC_get_current_task_btf)
                    && supported(BpfHelper::BPF_FUNC_task_pt_regs),
            ),
            wake_mark: options.ring / 4,
            // A large ring has room for what many calls bring until the next look.
            wake_mask: if options.ring >= WAKE_SELDOM_RING { WAKE_SELDOM } else { 0 },
            calls: arch::kinds(),
        };
        let mut ebpf = EbpfLoader::new()
            .btf(&types)
            .override_global("SETTINGS", settings.as_bytes(), true)
            .map_max_entries("CONNECTIONS", options.connections)
            .map_max_entries("CALLS", options.calls)
            .map_max_entries("PROCESSES", processes::words())
            .map_max_entries("RECORDS", options.ring)
            .load(OBJECT)
            .context("cannot load the BPF object")?;
        for (name, program) in ebpf.programs_mut() {
            if choice.flavour.without().contains(&name) {
                continue;
            }
            let loaded = match program {
                aya::programs::Program::TracePoint(program) => program.load(),
                aya::programs::Program::RawTracePoint(program) => program.load(),
                aya::programs::Program::BtfTracePoint(program) => program.load(flavour::event(name), &types),
                _ => bail!("the BPF object has a program `{name}` of an unexpected type"),
            };
            loaded.map_err(|error| verifier_error(name, error))?;
        }
        let ring = RingBuf::try_from(take(&mut ebpf, "RECORDS")?)?;
        let probes = Self {
            processes: processes::Processes::new(&take(&mut ebpf, "PROCESSES")?)?,
            connections: HashMap::try_from(take(&mut ebpf, "CONNECTIONS")?)?,
            counters: PerCpuArray::try_from(take(&mut ebpf, "COUNTERS")?)?,
            control: Array::try_from(take(&mut ebpf, "CONTROL")?)?,
            blocked: HashMap::try_from(take(&mut ebpf, "BLOCKED")?)?,
            calls: HashMap::try_from(take(&mut ebpf, "CALLS")?)?,
            choice,
            counted: choice.flavour == Flavour::Calls,
            settling: false,
            only_told: options.only_told,
            calls_max: options.calls as usize,
            connections_max: options.connections as usize,
            ebpf,
        };
        let reader = Reader::new(ring).context("cannot prepare to wait for the ring")?;
        Ok((probes, reader))
    }

    /// Attaches every program. From here on records come.
    pub fn attach(&mut self) -> Result<()> {
        // A process that is told starts later: none is blocked in a call.
        let first = if self.only_told { recover::NONE } else { recover::ALL };
        self.control.set(control::RECOVER, &first, 0)?;
        attach::attach(&mut self.ebpf, self.choice.flavour)?;
        if self.only_told {
            return Ok(());
        }
        // From here on every entry is seen; what entered earlier is in the list.
        let blocked = attach::threads_in_calls(self.choice.flavour);
        for thread in &blocked {
            // A full table loses the calls that were blocked at attach; they are counted as unseen bytes.
            self.blocked.insert(thread, &0, 0).ok();
        }
        self.settling = !blocked.is_empty();
        let recovered = if self.settling { recover::BLOCKED } else { recover::NONE };
        self.control.set(control::RECOVER, &recovered, 0)?;
        Ok(())
    }

    /// Ends the search for entries that were not seen once every blocked thread came back. With `gone`, those that
    /// ended in their call are looked for: no exit tells of them.
    pub fn settle(&mut self, gone: bool) -> Result<()> {
        if !self.settling {
            return Ok(());
        }
        if gone {
            remove_ended(&mut self.blocked, BLOCKED_MAX);
        }
        if self.blocked.keys().next().is_none() {
            self.control.set(control::RECOVER, &recover::NONE, 0)?;
            self.settling = false;
        }
        Ok(())
    }

    /// How the bytes that calls move are seen.
    pub fn choice(&self) -> Choice {
        self.choice
    }

    /// Hooks what connections need whose positions are counted, once there is one. Until then nobody pays for it.
    pub fn adapt(&mut self) -> Result<()> {
        if self.counted || self.control.get(&control::COUNTED, 0)? == counted::NONE {
            return Ok(());
        }
        // Whatever comes of it: what failed would fail again.
        self.counted = true;
        attach::attach_counted(&mut self.ebpf, self.choice.flavour).or_else(|error| {
            // Nothing would tell whether calls on such connections overlap.
            self.control.set(control::COUNTED, &counted::REFUSED, 0)?;
            Err(error.context("Unix and MPTCP connections are not followed"))
        })
    }

    /// Stores a decision about a process. That the entry is, or is not, as `existing` wants it is no error: the
    /// process ended, or the kernel side knows better.
    pub fn decide(&mut self, tgid: u32, decision: u32, existing: Existing) -> Result<()> {
        if !self.processes.decide(tgid, decision, existing) {
            bail!(
                "cannot store the decision about process {tgid}: /proc/sys/kernel/pid_max was raised since the start; \
                 restart spandrel"
            );
        }
        Ok(())
    }

    /// The generation of the image that the kernel side knows of a process; `None`: of none.
    pub fn generation(&self, tgid: u32) -> Option<u8> {
        self.processes.generation(tgid)
    }

    /// Forgets a process whose end was not seen.
    pub fn forget(&mut self, tgid: u32) {
        self.processes.forget(tgid);
    }

    /// Passes an order on. An order for a connection that is gone has no effect.
    pub fn order(&self, order: &Order) -> Result<()> {
        let program = self.program_order()?;
        order::run(program.fd()?.as_fd(), order)?;
        Ok(())
    }

    /// Lets the kernel side report the end of those of these connections whose socket is no more.
    pub fn check<'a>(&self, connections: impl IntoIterator<Item = &'a ConnectionId>) -> Result<()> {
        let program = self.program_order()?;
        let fd = program.fd()?.as_fd();
        for conn in connections {
            order::check(fd, *conn)?;
        }
        Ok(())
    }

    /// The same for the whole table. The Unix connections in it, which no event ends.
    pub fn sweep(&self) -> Result<Vec<ConnectionId>> {
        const AF_UNIX: u16 = 1;
        // The table changes while it is walked. A walk starts again when the key it stands on is deleted, which
        // checking does: the keys are collected first, in so many steps. What is missed is met by the next sweep.
        let keys: Vec<u64> =
            self.connections.keys().take(self.connections_max).map_while(Result::ok).collect();
        let (mut all, mut unix) = (Vec::with_capacity(keys.len()), Vec::new());
        for sock in keys {
            let Ok(RawConnection(connection)) = self.connections.get(&sock, 0) else { continue };
            let conn = ConnectionId { sock, inode: connection.inode };
            all.push(conn);
            if connection.family == AF_UNIX {
                unix.push(conn);
            }
        }
        self.check(&all)?;
        Ok(unix)
    }

    /// Removes the entries of threads whose end was not seen from the table of calls.
    pub fn sweep_calls(&mut self) {
        remove_ended(&mut self.calls, self.calls_max);
    }

    /// The kernel side's counters, summed over processors.
    pub fn counters(&self) -> Result<Vec<(&'static str, u64)>> {
        abi::counter::NAMES
            .iter()
            .zip(0..)
            .map(|(name, id)| {
                let values = self.counters.get(&id, 0)?;
                Ok((*name, values.iter().sum()))
            })
            .collect()
    }

    /// Run-time figures of each program: those the kernel left out because one was already running on the
    /// processor may each be a lost record.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "aya knows many types of programs, the object has three"
    )]
    pub fn runs(&self) -> Vec<(String, info::Runs)> {
        self.ebpf
            .programs()
            .filter_map(|(name, program)| {
                let fd = match program {
                    aya::programs::Program::TracePoint(program) => program.fd().ok()?,
                    aya::programs::Program::RawTracePoint(program) => program.fd().ok()?,
                    aya::programs::Program::BtfTracePoint(program) => program.fd().ok()?,
                    _ => return None,
                };
                Some((name.to_owned(), info::runs(fd.as_fd()).ok()?))
            })
            .collect()
    }

    /// The verifier's cost of each program.
    pub fn verified(&self) -> Vec<Verified> {
        self.ebpf
            .programs()
            .filter_map(|(name, program)| {
                let instructions = program.info().ok()?.verified_instruction_count()?;
                Some(Verified { program: name.into(), instructions })
            })
            .collect()
    }

    fn program_order(&self) -> Result<&RawTracePoint> {
        let program = self.ebpf.program("order").context("the BPF object has no program `order`")?;
        Ok(program.try_into()?)
    }
}

/// Removes the threads that are no more from a table of `max` threads.
fn remove_ended<V: aya::Pod>(table: &mut HashMap<aya::maps::MapData, u64, V>, max: usize) {
    // A walk starts again when the key it stands on is deleted: the keys are collected first.
    let threads: Vec<u64> = table.keys().take(max).map_while(Result::ok).collect();
    for thread in threads.into_iter().filter(|thread| !attach::is_alive(*thread)) {
        // It may have come back, or have been removed, by now.
        table.remove(&thread).ok();
    }
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<aya::maps::Map> {
    ebpf.take_map(name).with_context(|| format!("the BPF object has no map `{name}`"))
}

/// The end of the verifier's log tells what it did not like.
fn verifier_error(program: &str, error: ProgramError) -> anyhow::Error {
    if let ProgramError::LoadError { io_error, verifier_log } = &error {
        let log = verifier_log.to_string();
        let tail: Vec<&str> = log.lines().rev().take(20).collect();
        let tail: Vec<&str> = tail.into_iter().rev().collect();
        return anyhow::anyhow!(
            "the kernel refused the BPF program `{program}`: {io_error}\n{}",
            tail.join("\n")
        );
    }
    anyhow::Error::new(error).context(format!("cannot load the BPF program `{program}`"))
}

/// Whether tracepoint programs may call a helper: by trying, not by version.
fn supported(helper: BpfHelper) -> bool {
    aya::sys::is_helper_supported(ProgramType::TracePoint, helper).unwrap_or(false)
}

/// Before 5.11 maps count against the limit of locked memory.
fn raise_memory_limit() {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the argument is a valid limit. Failure is harmless where maps do not count, and shows at load
    // where they do.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) };
}
