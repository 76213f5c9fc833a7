use std::{fs, os::unix::fs::symlink, path::Path};

use tempfile::TempDir;

use super::*;

/// A machine that can be traced.
fn machine() -> TempDir {
    let machine = tempfile::tempdir().unwrap();
    let at = machine.path();
    write(at, "proc/self/status", "CapEff:\tffffffffffffffff\n");
    write(at, "proc/sys/kernel/osrelease", "6.1.0-9-amd64\n");
    write(at, "sys/kernel/btf/vmlinux", "");
    write(at, "proc/filesystems", "nodev\ttracefs\n\text4\n");
    fs::create_dir_all(at.join("proc/self/ns")).unwrap();
    symlink("pid:[4026531836]", at.join("proc/self/ns/pid")).unwrap();
    symlink("user:[4026531837]", at.join("proc/self/ns/user")).unwrap();
    machine
}

fn write(at: &Path, path: &str, text: impl AsRef<[u8]>) {
    let path = at.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn report(machine: &TempDir) -> Report {
    Doctor::new(Root::new(machine.path()), 16 * 1024 * 1024).run(Vec::new)
}

fn find<'a>(report: &'a Report, name: &str) -> &'a Check {
    report.checks.iter().find(|check| check.name == name).unwrap()
}

#[test]
fn a_machine_with_everything_works() {
    let report = report(&machine());
    assert!(report.works, "{report:?}");
    assert_eq!(report.kernel, "6.1.0-9-amd64");
    let mut text = Vec::new();
    report.write_text(&mut text).unwrap();
    assert!(String::from_utf8(text).unwrap().contains("Tracing will work"));
}

#[test]
fn each_thing_that_is_missing_is_named_with_its_remedy() {
    type Damage = fn(&Path);
    let cases: &[(&str, &str, Damage)] = &[
        ("privileges", "CAP_BPF", |at| write(at, "proc/self/status", "CapEff:\t0000000000000000\n")),
        ("btf", "CONFIG_DEBUG_INFO_BTF", |at| fs::remove_file(at.join("sys/kernel/btf/vmlinux")).unwrap()),
        ("lockdown", "confidentiality", |at| {
            write(at, "sys/kernel/security/lockdown", "none integrity [confidentiality]\n");
        }),
        ("tracefs", "CONFIG_TRACING", |at| write(at, "proc/filesystems", "nodev\tproc\n")),
        ("tracefs", "CONFIG_FTRACE_SYSCALLS", |at| write(at, "sys/kernel/tracing/events/enable", "0")),
        ("namespaces", "--pid=host", |at| {
            fs::remove_file(at.join("proc/self/ns/pid")).unwrap();
            symlink("pid:[4026532001]", at.join("proc/self/ns/pid")).unwrap();
        }),
        ("memory", "LimitMEMLOCK", |at| {
            write(at, "proc/sys/kernel/osrelease", "5.10.0-30-amd64\n");
            // Everything but CAP_SYS_RESOURCE.
            write(at, "proc/self/status", "CapEff:\tfffffffffeffffff\n");
            write(
                at,
                "proc/self/limits",
                "Max locked memory         65536                65536                bytes\n",
            );
        }),
    ];
    for (name, words, damage) in cases {
        let machine = machine();
        damage(machine.path());
        let report = report(&machine);
        assert!(!report.works, "{name}");
        let check = find(&report, name);
        assert_eq!(check.state, State::Missing, "{name}");
        let text = format!("{} {}", check.finding, check.remedy.as_deref().unwrap());
        assert!(text.contains(words), "{name}: {text}");
    }
}

#[test]
fn what_only_can_be_tried_is_tried_when_nothing_is_missing() {
    let machine = machine();
    let doctor = Doctor::new(Root::new(machine.path()), 1 << 20);
    let report = doctor.run(|| vec![Check::missing("programs", "do not load", "report it")]);
    assert!(!report.works);
    fs::remove_file(machine.path().join("sys/kernel/btf/vmlinux")).unwrap();
    doctor.run(|| unreachable!("loading cannot work without types"));
}

#[test]
fn programs_that_cannot_be_traced_are_named() {
    let machine = machine();
    write(machine.path(), "bin/old", crate::process::elf32());
    for pid in 10..17 {
        fs::create_dir_all(machine.path().join(format!("proc/{pid}/fd"))).unwrap();
        symlink(machine.path().join("bin/old"), machine.path().join(format!("proc/{pid}/exe"))).unwrap();
    }
    symlink("anon_inode:[io_uring]", machine.path().join("proc/12/fd/5")).unwrap();
    let report = report(&machine);
    assert!(report.works, "they do not keep others from being traced");
    let old = find(&report, "32-bit");
    assert_eq!(old.state, State::Note);
    assert!(old.finding.contains("old (") && old.finding.ends_with("and 2 more"), "{}", old.finding);
    assert!(find(&report, "io_uring").finding.ends_with("old (12)"));
}

#[test]
fn programs_that_seem_to_be_instrumented_are_named() {
    let machine = machine();
    let at = machine.path();
    let run = |pid: u32, name: &str| {
        fs::create_dir_all(at.join(format!("proc/{pid}/fd"))).unwrap();
        fs::create_dir_all(at.join(format!("proc/{pid}/ns"))).unwrap();
        symlink(at.join("bin").join(name), at.join(format!("proc/{pid}/exe"))).unwrap();
        symlink("net:[4026531840]", at.join(format!("proc/{pid}/ns/net"))).unwrap();
        let table = "0: 0100007F:8D1C 0100007F:10DE 01 0:0 00:0 0 0 0 4711 1 0\n";
        write(at, &format!("proc/{pid}/net/tcp"), table);
    };
    for (pid, name) in [(20, "plain"), (21, "told"), (22, "connected"), (23, "spandrel")] {
        run(pid, name);
    }
    assert_eq!(find(&report(&machine), "instrumented").state, State::Ok);
    write(at, "proc/self/stat", "23 (spandrel) R 1");
    write(at, "proc/20/environ", "OTEL_EXPORTER_OTLP_ENDPOINT=\0OTEL_SERVICE_NAME=plain\0");
    write(at, "proc/21/environ", "A=b\0OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318\0");
    for pid in [22, 23] {
        symlink("socket:[4711]", at.join(format!("proc/{pid}/fd/3"))).unwrap();
    }
    let report = report(&machine);
    let check = find(&report, "instrumented");
    assert_eq!(check.state, State::Note);
    assert!(check.finding.contains("told (21)") && check.finding.contains("connected (22)"), "{check:?}");
    assert!(!check.finding.contains("plain") && !check.finding.contains("(23)"), "{check:?}");
}

#[test]
fn programs_that_an_agent_saw_are_named_while_they_run() {
    let machine = machine();
    let at = machine.path();
    for (pid, name) in [(20, "seen"), (21, "another"), (22, "told")] {
        fs::create_dir_all(at.join(format!("proc/{pid}"))).unwrap();
        symlink(format!("/bin/{name}"), at.join(format!("proc/{pid}/exe"))).unwrap();
    }
    for pid in [20, 22] {
        write(at, &format!("proc/{pid}/environ"), "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318\0");
    }
    let seen = |pid| Seen { pid, executable: "/bin/seen".to_owned() };
    let doctor = || Doctor::new(Root::new(at), 16 * 1024 * 1024);
    // 21 is another program by now, 30 is none any more.
    let report = doctor().told(Ok(vec![seen(20), seen(21), seen(30)])).run(Vec::new);
    let check = find(&report, "instrumented");
    let (were_seen, seem) = check.finding.split_once("; these seem").unwrap();
    assert!(were_seen.starts_with("these were seen") && were_seen.ends_with(": seen (20)"), "{check:?}");
    assert!(seem.ends_with(": told (22)"), "{check:?}");

    let report = doctor().told(Err("cannot read status.json".to_owned())).run(Vec::new);
    let check = find(&report, "status");
    assert!(check.state == State::Note && check.finding.contains("status.json"), "{check:?}");
    assert!(report.works);
}

#[test]
fn what_could_not_be_looked_at_is_not_said_to_be_absent() {
    let machine = machine();
    write(machine.path(), "proc/self/status", "CapEff:\t0000000000000000\n");
    let report = report(&machine);
    for name in ["32-bit", "io_uring", "instrumented"] {
        let check = find(&report, name);
        assert!(check.state == State::Note && check.finding.starts_with("not looked at"), "{check:?}");
    }
}

#[test]
fn the_json_form_has_every_check() {
    let mut json = Vec::new();
    let report = report(&machine());
    report.write_json(&mut json).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["works"], true);
    assert_eq!(json["flavour"], "unknown");
    assert_eq!(json["checks"].as_array().unwrap().len(), report.checks.len());
    assert_eq!(json["checks"][0]["state"], "ok");
}
