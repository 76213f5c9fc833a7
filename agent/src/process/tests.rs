mod resources;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use engine::span::Value;
use tempfile::TempDir;

use super::*;
use crate::{cli::Options, config::Config, export::Routes};

const SECOND: Time = 1_000_000_000;

/// A machine made of files.
struct Machine {
    directory: TempDir,
}

/// A process of it.
struct Program<'a> {
    path: &'a str,
    arguments: &'a str,
    environment: &'a str,
    cgroup: &'a str,
    user: u32,
}

const SERVER: Program<'_> = Program {
    path: "/opt/shop/server",
    arguments: "server --port 80",
    environment: "PATH=/bin",
    cgroup: "0::/\n",
    user: 1000,
};

impl Machine {
    fn new() -> Self {
        let machine = Self { directory: tempfile::tempdir().unwrap() };
        machine.write("proc/sys/kernel/hostname", "box\n");
        machine.write("proc/sys/kernel/random/boot_id", "boot\n");
        machine.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        machine
    }

    fn root(&self) -> Root {
        Root::new(self.directory.path())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn link(&self, path: &str, target: impl AsRef<Path>) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    fn start(&self, pid: u32, program: &Program<'_>) {
        self.end(pid);
        let stat = format!("{pid} (a ) b) S 1 0 0 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0");
        self.write(&format!("proc/{pid}/stat"), stat);
        let nul = |text: &str| format!("{}\0", text.replace(' ', "\0"));
        self.write(&format!("proc/{pid}/cmdline"), nul(program.arguments));
        self.write(&format!("proc/{pid}/environ"), nul(program.environment));
        self.write(&format!("proc/{pid}/cgroup"), program.cgroup);
        self.write(&format!("proc/{pid}/status"), format!("Name:\tx\nUid:\t{}\t0\t0\t0\n", program.user));
        self.link(&format!("proc/{pid}/exe"), program.path);
    }

    fn end(&self, pid: u32) {
        let path = self.path(&format!("proc/{pid}"));
        if path.exists() {
            fs::remove_dir_all(path).unwrap();
        }
    }

    fn processes(&self, select: &str, exclude: &str) -> Processes {
        let selection = selection(&self.root(), select, exclude);
        Processes::new(self.root(), Scope::Selected(selection), 100, 1, Operator::default())
    }

    fn command(&self) -> Processes {
        Processes::new(self.root(), Scope::Command, 100, 1, Operator::default())
    }
}

/// The selectors of a configuration, written as in the file.
pub(super) fn selection(root: &Root, select: &str, exclude: &str) -> Selection {
    selection_with(root, select, exclude, &mut Routes::new(&[]))
}

fn selection_with(root: &Root, select: &str, exclude: &str, routes: &mut Routes) -> Selection {
    let environment = [("SPANDREL_SELECT", select), ("SPANDREL_EXCLUDE", exclude)];
    let environment = environment.map(|(name, value)| (name.into(), value.into()));
    let config = Config::from_sources(&Options::default(), environment).unwrap();
    Selection::new(root, &config.select, &config.exclude, routes).unwrap()
}

fn process(tgid: u32, parent: u32, time: Time) -> Process {
    Process {
        time,
        tgid,
        parent,
        uid: 1000,
        gid: 1000,
        cgroup: 1,
        pid_namespace: 0,
        mount_namespace: 0,
        network_namespace: 0,
        inner_tgid: tgid,
        generation: 0,
    }
}

/// An exec record; `arguments` by spaces.
fn exec(
    processes: &mut Processes,
    process: Process,
    filename: &str,
    arguments: &str,
    environment: &str,
) -> Option<Change> {
    let arguments = format!("{}\0", arguments.replace(' ', "\0"));
    processes.on_exec(&Exec {
        process,
        filename: filename.as_bytes(),
        arguments: arguments.as_bytes(),
        environment: environment.as_bytes(),
    })
}

fn attribute<'a>(resource: &'a Resource, key: &str) -> Option<&'a str> {
    let mut found = resource.attributes.iter().filter(|attribute| attribute.key == key);
    let value = found.next().map(|attribute| {
        let Value::String(text) = &attribute.value else { panic!("{attribute:?}") };
        text.as_ref()
    });
    assert!(found.next().is_none(), "{key} stands twice");
    value
}

fn service(processes: &mut Processes, tgid: u32, time: Time) -> String {
    attribute(&processes.resource(tgid, time), "service.name").unwrap().to_owned()
}

#[test]
fn a_process_of_the_same_id_that_started_later_is_not_asked() {
    let machine = Machine::new();
    machine.start(7, &SERVER);
    let stat = fs::read_to_string(machine.path("proc/7/stat")).unwrap();
    let later = stat.replace("1 0 5 0 0", "1 0 99999999999 0 0");
    machine.write("proc/7/stat", later);
    let mut processes = machine.processes("[]", "[]");
    exec(&mut processes, process(7, 1, SECOND), "server", SERVER.arguments, "");
    assert_eq!(attribute(&processes.resource(7, SECOND), "process.executable.path"), None);
}

#[test]
fn an_exec_replaces_the_image_from_its_time_on() {
    let machine = Machine::new();
    let mut processes = machine.processes("[]", "[]");
    exec(&mut processes, process(7, 1, SECOND), "/bin/first", "first", "");
    exec(&mut processes, process(7, 1, 3 * SECOND), "/bin/second", "second", "");
    assert_eq!(service(&mut processes, 7, 2 * SECOND), "unknown_service:first");
    assert_eq!(service(&mut processes, 7, 3 * SECOND), "unknown_service:second");
    assert_eq!(service(&mut processes, 7, 9 * SECOND), "unknown_service:second");
}

#[test]
fn an_id_that_is_used_again_is_another_process() {
    let machine = Machine::new();
    let mut processes = machine.processes("[]", "[]");
    exec(&mut processes, process(6, 1, SECOND), "/bin/parent", "parent", "");
    exec(&mut processes, process(7, 1, SECOND), "/bin/first", "first", "");
    processes.on_exit(&process(7, 1, 2 * SECOND));
    processes.on_fork(&process(7, 6, 3 * SECOND));
    assert_eq!(service(&mut processes, 7, SECOND), "unknown_service:first");
    assert_eq!(service(&mut processes, 7, 3 * SECOND), "unknown_service:parent");
    processes.on_exit(&process(6, 1, 40 * SECOND));
    assert_eq!(processes.decision(7), Decision::Trace, "the first user's time is over, not the second's");
    assert_eq!(processes.traced(), 1);
}

#[test]
fn a_forked_child_runs_its_parents_image_as_a_process_of_its_own() {
    let machine = Machine::new();
    let mut processes = machine.processes("[{exe: server}]", "[]");
    exec(&mut processes, process(7, 1, SECOND), "/opt/server", "server", "OTEL_SERVICE_NAME=shop");
    let change = processes.on_fork(&process(8, 7, 2 * SECOND));
    assert_eq!(change, Some(Change { tgid: 8, decision: Decision::Trace }));
    assert_eq!(service(&mut processes, 8, 2 * SECOND), "shop");
    let pid = |resource: &Resource| {
        resource.attributes.iter().find(|attribute| attribute.key == "process.pid").unwrap().value.clone()
    };
    assert_eq!(pid(&processes.resource(8, 2 * SECOND)), Value::Integer(8));
}

#[test]
fn a_child_is_decided_anew_by_its_exec() {
    let machine = Machine::new();
    let mut processes = machine.processes("[{exe: curl}]", "[]");
    let change = exec(&mut processes, process(7, 1, SECOND), "/bin/sh", "sh", "");
    assert_eq!(change, Some(Change { tgid: 7, decision: Decision::Skip }));
    assert_eq!(processes.on_fork(&process(8, 7, SECOND)), None, "the kernel side has copied it");
    assert_eq!(processes.decision(8), Decision::Skip);
    let change = exec(&mut processes, process(8, 7, SECOND), "/usr/bin/curl", "curl", "");
    assert_eq!(change, Some(Change { tgid: 8, decision: Decision::Trace }));
}

#[test]
fn the_agent_and_kernel_threads_are_not_traced() {
    let machine = Machine::new();
    machine.start(1, &SERVER);
    machine.start(2, &SERVER);
    machine.write("proc/2/stat", "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0");
    let mut processes = machine.processes("[]", "[]");
    assert_eq!(processes.scan(), [Change { tgid: 1, decision: Decision::Skip }]);
}

#[test]
fn a_32_bit_process_is_counted_and_not_traced() {
    let machine = Machine::new();
    machine.write("old", elf32());
    machine.start(7, &Program { path: machine.path("old").to_str().unwrap(), ..SERVER });
    assert!(is_32_bit(&machine.path("proc/7/exe")));
    let mut processes = machine.processes("[]", "[]");
    assert_eq!(processes.scan(), [Change { tgid: 7, decision: Decision::Skip }]);
    assert_eq!(processes.counters().thirty_two_bit, 1);
}

#[test]
fn a_process_selected_by_port_is_undecided_until_it_accepts_there() {
    let machine = Machine::new();
    machine.start(7, &SERVER);
    let mut processes = machine.processes("[{port: 8080}]", "[]");
    assert_eq!(processes.scan(), [Change { tgid: 7, decision: Decision::Undecided }]);
    processes.on_fork(&process(8, 7, SECOND));
    assert_eq!(processes.on_accept(8, 80), None);
    assert_eq!(processes.on_accept(8, 8080), Some(Change { tgid: 8, decision: Decision::Trace }));
    assert_eq!(processes.on_accept(8, 8080), None);
    assert_eq!(processes.decision(7), Decision::Undecided, "each process by what it does itself");
}

#[test]
fn a_user_is_the_same_at_start_and_by_record() {
    let machine = Machine::new();
    machine.start(7, &SERVER);
    let mut processes = machine.processes("[{user: 1000}]", "[]");
    assert_eq!(processes.scan(), [Change { tgid: 7, decision: Decision::Trace }]);
    let change = exec(&mut processes, process(7, 1, SECOND), "/bin/x", "x", "");
    assert_eq!(change, Some(Change { tgid: 7, decision: Decision::Trace }));
}

#[test]
fn a_listening_socket_decides_when_the_agent_starts() {
    let machine = Machine::new();
    machine.start(7, &SERVER);
    machine.start(8, &SERVER);
    for pid in [7, 8] {
        machine.link(&format!("proc/{pid}/ns/net"), "net:[4026531833]");
        machine.write(
            &format!("proc/{pid}/net/tcp"),
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0\n",
        );
    }
    machine.link("proc/7/fd/3", "socket:[4711]");
    machine.link("proc/8/fd/3", "socket:[4712]");
    let mut processes = machine.processes("[{port: 8080}]", "[]");
    processes.scan();
    assert_eq!(processes.decision(7), Decision::Trace);
    assert_eq!(processes.decision(8), Decision::Undecided);
}

#[test]
fn under_run_the_command_and_its_descendants_are_traced_and_nothing_else() {
    let machine = Machine::new();
    machine.start(5, &SERVER);
    machine.start(7, &SERVER);
    let mut processes = machine.command();
    assert!(processes.scan().is_empty());
    assert_eq!(processes.adopt(7), Change { tgid: 7, decision: Decision::Trace });
    assert_eq!(exec(&mut processes, process(7, 1, SECOND), "/bin/sh", "sh -c x", ""), None);
    assert_eq!(processes.on_fork(&process(8, 7, SECOND)), None);
    assert_eq!(exec(&mut processes, process(8, 7, SECOND), "/usr/bin/curl", "curl", ""), None);
    assert_eq!(exec(&mut processes, process(99, 98, SECOND), "/usr/bin/ps", "ps", ""), None);
    assert_eq!(processes.traced(), 2);
    assert_eq!(service(&mut processes, 8, SECOND), "unknown_service:curl");
    assert_eq!(processes.decision(1234), Decision::Trace, "whatever sends records is a descendant");
}

#[test]
fn a_process_whose_record_was_lost_is_looked_up_once_it_makes_a_span() {
    let machine = Machine::new();
    machine.start(7, &SERVER);
    let mut processes = machine.processes("[]", "[]");
    assert_eq!(processes.decision(7), Decision::Undecided);
    assert_eq!(service(&mut processes, 7, SECOND), "unknown_service:server");
    assert_eq!(service(&mut processes, 70, SECOND), "unknown_service");
    assert_eq!(processes.counters().unknown, 1);
}

#[test]
fn data_of_an_unannounced_process_is_decided() {
    let machine = Machine::new();
    machine.start(7, &SERVER);
    let mut processes = machine.processes("[{exe: server}]", "[]");
    let change = |tgid, decision| Some(Change { tgid, decision });
    assert_eq!(processes.on_unannounced(7, SECOND), change(7, Decision::Trace));
    assert_eq!(processes.decision(7), Decision::Trace);
    assert_eq!(processes.on_unannounced(70, SECOND), change(70, Decision::Skip), "unknown is not selected");
    assert_eq!(machine.processes("[]", "[]").on_unannounced(70, SECOND), change(70, Decision::Trace));
    assert_eq!(machine.command().on_unannounced(70, SECOND), None);
}

#[test]
fn under_run_a_child_whose_fork_was_lost_is_known_by_its_parent() {
    let machine = Machine::new();
    let mut processes = machine.command();
    processes.adopt(7);
    exec(&mut processes, process(8, 7, SECOND), "/usr/bin/curl", "curl", "");
    assert_eq!(service(&mut processes, 8, SECOND), "unknown_service:curl");
}

#[test]
fn a_process_met_by_its_socket_is_decided_even_if_it_is_gone() {
    let machine = Machine::new();
    machine.start(7, &SERVER);
    let mut processes = machine.processes("[{user: 1000}]", "[]");
    let change = |tgid, decision| Some(Change { tgid, decision });
    assert_eq!(processes.on_seen(&process(7, 1, SECOND)), change(7, Decision::Trace));
    assert_eq!(processes.on_seen(&process(7, 1, SECOND)), change(7, Decision::Trace));
    assert_eq!(processes.on_seen(&process(70, 1, SECOND)), change(70, Decision::Trace));
    assert_eq!(processes.on_seen(&Process { uid: 0, ..process(71, 1, SECOND) }), change(71, Decision::Skip));
}

#[test]
fn a_gone_process_is_forgotten_after_a_while() {
    let machine = Machine::new();
    let mut processes = machine.processes("[]", "[]");
    exec(&mut processes, process(7, 1, SECOND), "/bin/first", "first", "");
    processes.on_exit(&process(7, 1, 2 * SECOND));
    assert_eq!(processes.traced(), 0);
    processes.on_exit(&process(9, 1, 16 * SECOND));
    assert_eq!(service(&mut processes, 7, 2 * SECOND), "unknown_service:first");
    exec(&mut processes, process(8, 1, 18 * SECOND), "/bin/second", "second", "");
    assert_eq!(service(&mut processes, 7, 2 * SECOND), "unknown_service");
}

#[test]
fn a_process_whose_exec_was_lost_is_decided_anew() {
    let machine = Machine::new();
    machine.start(7, &SERVER);
    machine.start(8, &SERVER);
    let mut processes = machine.processes("[{ exe: server }]", "[]");
    let started = |tgid| Process { generation: 5, ..process(tgid, 1, SECOND) };
    for tgid in [7, 8] {
        exec(&mut processes, started(tgid), "/bin/sh", "sh", "");
    }
    assert_eq!((processes.traced(), processes.generation(7)), (0, Some(5)));
    assert_eq!(processes.catch_up(|_| Some(5)), [], "nothing was lost");
    assert_eq!(processes.catch_up(|_| None), [], "they are gone, which the sweep sees");
    let changes = processes.catch_up(|tgid| Some(if tgid == 7 { 6 } else { 5 }));
    assert_eq!(changes, [Change { tgid: 7, decision: Decision::Trace }]);
    assert_eq!((processes.traced(), processes.generation(7)), (1, None));
    assert_eq!(processes.catch_up(|tgid| Some(if tgid == 7 { 6 } else { 5 })), [], "once");
}

#[test]
fn a_process_whose_end_was_lost_is_swept() {
    let machine = Machine::new();
    machine.start(7, &SERVER);
    machine.start(8, &SERVER);
    let mut processes = machine.processes("[]", "[]");
    processes.scan();
    machine.end(8);
    assert_eq!(processes.sweep(SECOND), [8]);
    assert_eq!((processes.sweep(SECOND), processes.traced()), (vec![], 1));
    assert_eq!(service(&mut processes, 8, SECOND), "unknown_service:server", "late spans find it");
}

#[test]
fn arguments_that_the_kernel_side_could_not_read_are_looked_up() {
    let machine = Machine::new();
    machine.start(7, &Program { path: "/usr/bin/python3.11", arguments: "python3 app.py", ..SERVER });
    let mut processes = machine.processes("[]", "[]");
    let process = process(7, 1, SECOND);
    processes.on_exec(&Exec { process, filename: b"/bin/python3.11", arguments: b"", environment: b"" });
    assert_eq!(service(&mut processes, 7, SECOND), "app");
}

#[test]
fn a_full_table_refuses_and_counts() {
    let machine = Machine::new();
    let mut processes = machine.processes("[]", "[]");
    processes.table = Table::new(2);
    for tgid in 10..20 {
        exec(&mut processes, process(tgid, 1, SECOND), "/bin/x", "x", "");
    }
    assert_eq!((processes.traced(), processes.counters().refused), (2, 8));
    processes.on_exit(&process(10, 1, SECOND));
    let change = exec(&mut processes, process(30, 1, SECOND), "/bin/x", "x", "");
    assert_eq!(change, Some(Change { tgid: 30, decision: Decision::Trace }));
}

#[test]
fn gone_processes_are_bounded() {
    let machine = Machine::new();
    let mut processes = machine.processes("[]", "[]");
    exec(&mut processes, process(1_000_000, 1, SECOND), "/bin/x", "x", "");
    for tgid in 10..10 + 2 * u32::try_from(table::RETAINED_MAX).unwrap() {
        processes.on_fork(&process(tgid, 1_000_000, SECOND));
        processes.on_exit(&process(tgid, 1_000_000, SECOND));
    }
    assert_eq!(processes.table.gone.len(), table::RETAINED_MAX);
    assert_eq!(processes.table.entries.len(), table::RETAINED_MAX + 1);
    assert_eq!(processes.counters().forgotten, table::RETAINED_MAX as u64);
}

#[test]
fn only_the_initial_namespaces_are_accepted() {
    let check = |pid: &str, user: &str| {
        let machine = Machine::new();
        machine.link("proc/self/ns/pid", pid);
        machine.link("proc/self/ns/user", user);
        namespace::check(&machine.root())
    };
    assert_eq!(check("pid:[4026531836]", "user:[4026531837]"), Ok(()));
    let inner = check("pid:[4026532000]", "user:[4026531837]").unwrap_err();
    assert!(inner.to_string().contains("--pid=host"), "{inner}");
    assert!(check("pid:[4026531836]", "user:[4026532000]").is_err());
    assert!(namespace::check(&Machine::new().root()).is_err());
}

#[test]
fn a_fork_is_treated_like_its_parent_and_an_exec_is_judged_anew() {
    let machine = Machine::new();
    machine.start(7, &SERVER);
    let select = "[{ exe: server, settings: { service_name: seven, export: [console] } }, { pid: 70 }]";
    let mut processes = machine.processes(select, "[]");
    processes.scan();
    assert!(processes.has_treatments());
    processes.on_fork(&process(70, 7, 2 * SECOND));
    let own = processes.export_set(7, SECOND);
    assert_ne!(own, ExportSet::default());
    assert_eq!(processes.export_set(70, 2 * SECOND), own);
    assert_eq!(service(&mut processes, 70, 2 * SECOND), "seven");
    exec(&mut processes, process(70, 7, 3 * SECOND), "/usr/bin/curl", "curl", "");
    assert_eq!(processes.treatment(70), None);
    assert_eq!(processes.export_set(70, 3 * SECOND), ExportSet::default());
    assert_eq!(processes.export_set(70, 2 * SECOND), own, "what ran before is treated as it was then");
}
