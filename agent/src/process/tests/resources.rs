//! What a process is said to be.

use engine::{policy::Instrumented, span::Attribute};

use super::*;

#[test]
fn arguments_are_shown_only_when_asked_for_and_without_credentials_of_urls() {
    let machine = Machine::new();
    let program = Program { arguments: "server --db=http://user:pass@db/?sig=abc --port 80", ..SERVER };
    machine.start(7, &program);
    let arguments = |processes: &mut Processes| {
        let resource = processes.resource(7, SECOND);
        let found = resource.attributes.iter().find(|attribute| attribute.key == "process.command_args");
        found.map(|attribute| attribute.value.clone())
    };
    assert_eq!(arguments(&mut machine.processes("[]", "[]")), None);
    let mut processes = machine.processes("[]", "[]").showing_arguments(SecretKeys::default());
    let shown = ["server", "--db=http://REDACTED@db/?sig=REDACTED", "--port", "80"];
    assert_eq!(arguments(&mut processes), Some(Value::Strings(shown.map(str::to_owned).to_vec())));
}

/// All that a Resource says, a line for each attribute.
fn shown(resource: &Resource) -> Vec<String> {
    let show = |Attribute { key, value }: &Attribute| match value {
        Value::String(text) => format!("{key}={text}"),
        Value::Integer(number) => format!("{key}:{number}"),
        Value::Bool(_) | Value::Strings(_) => panic!("{key}: {value:?}"),
    };
    resource.attributes.iter().map(show).collect()
}

#[test]
fn a_running_process_is_described_by_the_conventions() {
    let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let machine = Machine::new();
    let cgroup = format!("0::/system.slice/docker-{id}.scope\n");
    machine.start(7, &Program { cgroup: &cgroup, ..SERVER });
    let mut processes = machine.processes("[]", "[]");
    assert_eq!(processes.scan(), [Change { tgid: 7, decision: Decision::Trace }]);
    let resource = processes.resource(7, SECOND);
    let architecture = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    // `telemetry.sdk.*` is left out: there is no SDK in the process.
    let expected = [
        "service.name=unknown_service:server",
        "service.instance.id=bfb8c294-c64e-5245-b5cb-c4d372f29114",
        "process.pid:7",
        "process.executable.name=server",
        "process.executable.path=/opt/shop/server",
        &format!("container.id={id}"),
        "host.name=box",
        "host.id=0123456789abcdef0123456789abcdef",
        &format!("host.arch={architecture}"),
        "os.type=linux",
        "telemetry.distro.name=spandrel",
        concat!("telemetry.distro.version=", env!("CARGO_PKG_VERSION")),
    ];
    assert_eq!(shown(&resource), expected);
    assert!(Arc::ptr_eq(&resource, &processes.resource(7, 2 * SECOND)), "made once");
}

#[test]
fn of_a_process_that_nobody_knows_the_machine_is_known() {
    let mut processes = Machine::new().processes("[]", "[]");
    let resource = processes.resource(70, SECOND);
    assert_eq!(attribute(&resource, "service.name"), Some("unknown_service"));
    assert_eq!(attribute(&resource, "service.instance.id"), None);
    assert_eq!(attribute(&resource, "host.name"), Some("box"));
    assert!(!shown(&resource).iter().any(|line| line.starts_with("process.")));
}

#[test]
fn a_service_is_named_by_the_configuration_else_its_unit_else_its_script() {
    let machine = Machine::new();
    let script = Program { path: "/usr/bin/python3.11", arguments: "python3 script.py", ..SERVER };
    let unit = Program { cgroup: "0::/system.slice/unit@1.service\n", ..script };
    let stated = Program { environment: "OTEL_RESOURCE_ATTRIBUTES=service.name=stated", ..unit };
    for (pid, program) in [(7, &stated), (8, &unit), (9, &script)] {
        machine.start(pid, program);
    }
    let names = |operator: Option<&str>, select: &str| {
        let mut routes = Routes::new(&[]);
        let selection = selection_with(&machine.root(), select, "[]", &mut routes);
        let operator = Operator { service_name: operator.map(Into::into), ..Operator::default() };
        let mut processes = Processes::new(machine.root(), Scope::Selected(selection), 100, 1, operator);
        processes.scan();
        [7, 8, 9].map(|pid| service(&mut processes, pid, SECOND))
    };
    assert_eq!(names(None, "[]"), ["stated", "unit", "script"]);
    assert_eq!(names(Some("top"), "[]"), ["stated", "top", "top"]);
    let select = "[{ exe: python3.11, settings: { service_name: selected } }]";
    assert_eq!(names(Some("top"), select), ["stated", "selected", "selected"]);
}

#[test]
fn the_instance_id_is_the_same_for_every_agent_and_another_for_every_process() {
    let machine = Machine::new();
    machine.start(7, &SERVER);
    machine.start(8, &SERVER);
    let instance = |pid| {
        let mut processes = machine.processes("[]", "[]");
        processes.scan();
        attribute(&processes.resource(pid, SECOND), "service.instance.id").unwrap().to_owned()
    };
    assert_eq!(instance(7), instance(7));
    assert_ne!(instance(7), instance(8));
    // UUID version 5 of machine, boot, process id, start, path and name, as the documentation has it.
    assert_eq!(instance(7), "bfb8c294-c64e-5245-b5cb-c4d372f29114");
    assert_eq!(instance(8), "318baf78-81f6-5ad5-89bd-32afbca51a8d");

    // An agent that saw the exec gives the same id as one that came later.
    let mut processes = machine.processes("[]", "[]");
    exec(&mut processes, process(7, 1, SECOND), "/opt/shop/server", SERVER.arguments, "");
    assert_eq!(attribute(&processes.resource(7, SECOND), "service.instance.id"), Some(instance(7).as_str()));
}

#[test]
fn without_a_start_time_that_every_agent_would_find_there_is_no_instance_id() {
    let machine = Machine::new();
    let mut processes = machine.processes("[]", "[]");
    // It was gone before anyone looked.
    exec(&mut processes, process(7, 1, SECOND), "/usr/bin/curl", "curl http://x/", "");
    processes.on_exit(&process(7, 1, 2 * SECOND));
    assert_eq!(attribute(&processes.resource(7, SECOND), "service.instance.id"), None);

    // The next image of a process that was looked at started when the process did.
    machine.start(8, &SERVER);
    processes.scan();
    machine.end(8);
    exec(&mut processes, process(8, 1, 3 * SECOND), "/usr/bin/curl", "curl http://x/", "");
    let resource = processes.resource(8, 3 * SECOND);
    assert_eq!(attribute(&resource, "service.instance.id"), Some("a02dd1be-6c32-5edc-bedc-bd3b387f4c43"));

    // Another one with the same id started later.
    processes.on_exit(&process(8, 1, 4 * SECOND));
    exec(&mut processes, process(8, 1, 5 * SECOND), "/usr/bin/curl", "curl http://x/", "");
    assert_eq!(attribute(&processes.resource(8, 5 * SECOND), "service.instance.id"), None);
}

#[test]
fn what_the_program_states_of_itself_goes_first() {
    let machine = Machine::new();
    let environment = "A=b OTEL_SERVICE_NAME=shop OTEL_RESOURCE_ATTRIBUTES=team=x,host.name=mine";
    machine.start(7, &Program { environment, cgroup: "0::/system.slice/unit.service\n", ..SERVER });
    let mut processes = machine.processes("[]", "[]");
    processes.scan();
    let resource = processes.resource(7, SECOND);
    assert_eq!(attribute(&resource, "service.name"), Some("shop"));
    assert_eq!(attribute(&resource, "team"), Some("x"));
    assert_eq!(attribute(&resource, "host.name"), Some("mine"));
}

#[test]
fn a_process_that_is_gone_is_known_from_its_exec_record() {
    let machine = Machine::new();
    let mut processes = machine.processes("[]", "[]");
    exec(
        &mut processes,
        process(7, 1, SECOND),
        "/usr/bin/curl",
        "curl http://x/",
        "OTEL_RESOURCE_ATTRIBUTES=team=x",
    );
    processes.on_exit(&process(7, 1, SECOND + 5_000_000));
    let resource = processes.resource(7, SECOND + 1_000_000);
    assert_eq!(attribute(&resource, "service.name"), Some("unknown_service:curl"));
    assert_eq!(attribute(&resource, "process.executable.path"), Some("/usr/bin/curl"));
    assert_eq!(attribute(&resource, "team"), Some("x"));
}

#[test]
fn a_script_that_is_gone_ran_in_its_interpreter() {
    let machine = Machine::new();
    let mut processes = machine.processes("[]", "[]");
    exec(&mut processes, process(7, 1, SECOND), "./shop.py", "/usr/bin/python3 ./shop.py --fast", "");
    let resource = processes.resource(7, SECOND);
    assert_eq!(attribute(&resource, "service.name"), Some("shop"));
    assert_eq!(attribute(&resource, "process.executable.path"), Some("/usr/bin/python3"));
}

#[test]
fn the_link_of_a_live_process_is_the_truth() {
    let machine = Machine::new();
    machine
        .start(7, &Program { path: "/usr/bin/python3.11 (deleted)", arguments: "python3 app.py", ..SERVER });
    let mut processes = machine.processes("[]", "[]");
    exec(&mut processes, process(7, 1, SECOND), "/usr/bin/env", "python3 app.py", "");
    let resource = processes.resource(7, SECOND);
    assert_eq!(attribute(&resource, "process.executable.path"), Some("/usr/bin/python3.11"));
}

#[test]
fn the_link_of_the_next_image_is_not_taken_for_that_of_the_last() {
    let machine = Machine::new();
    machine.start(7, &SERVER);
    let mut processes = machine.processes("[]", "[]");
    exec(&mut processes, process(7, 1, SECOND), "/bin/wrapper", "wrapper server", "");
    assert_eq!(service(&mut processes, 7, SECOND), "unknown_service:wrapper");
}

#[test]
fn a_program_in_memory_has_a_name_and_no_path() {
    let machine = Machine::new();
    machine.start(7, &Program { path: "/memfd:tool (deleted)", ..SERVER });
    let mut processes = machine.processes("[]", "[]");
    processes.scan();
    let resource = processes.resource(7, SECOND);
    assert_eq!(attribute(&resource, "process.executable.name"), Some("tool"));
    assert_eq!(attribute(&resource, "process.executable.path"), None);
}

#[test]
fn the_configuration_names_services_that_do_not_state_their_names() {
    let machine = Machine::new();
    machine.start(7, &SERVER);
    machine.start(
        8,
        &Program { environment: "OTEL_SERVICE_NAME=own\0OTEL_RESOURCE_ATTRIBUTES=team=own", ..SERVER },
    );
    machine.start(9, &SERVER);
    let select = "[{ pid: 7, settings: { service_name: seven, export: [] } }, \
                   { pid: 8, settings: { service_name: eight } }, { pid: 9 }]";
    let mut routes = Routes::new(&[]);
    let selection = selection_with(&machine.root(), select, "[]", &mut routes);
    let attributes = vec![("team".into(), "ops".into())];
    let operator = Operator { service_name: Some("top".into()), attributes };
    let mut processes = Processes::new(machine.root(), Scope::Selected(selection), 100, 1, operator);
    processes.scan();
    let mut described = |tgid| {
        let resource = processes.resource(tgid, SECOND);
        let [name, team] = ["service.name", "team"].map(|key| attribute(&resource, key).unwrap().to_owned());
        (name, team)
    };
    assert_eq!(described(7), ("seven".to_owned(), "ops".to_owned()), "its selector names it");
    assert_eq!(described(8), ("own".to_owned(), "own".to_owned()), "what the process states wins");
    assert_eq!(described(9), ("top".to_owned(), "ops".to_owned()));
}

#[test]
fn programs_that_send_traces_are_known_until_they_end_or_run_another_image() {
    let machine = Machine::new();
    for pid in [7, 8, 9] {
        machine.start(pid, &SERVER);
    }
    let mut processes = machine.processes("[]", "[]");
    processes.scan();
    let known = |processes: &Processes| {
        let mut known: Vec<_> = processes.instrumented().collect();
        known.sort_unstable();
        known.into_iter().map(|seen| (seen.pid, seen.executable)).collect::<Vec<_>>()
    };
    assert_eq!(known(&processes), []);
    processes.on_instrumented(7, Instrumented::Skip);
    processes.on_instrumented(8, Instrumented::Both);
    processes.on_instrumented(70, Instrumented::Skip);
    let server = || SERVER.path.to_owned();
    assert_eq!(known(&processes), [(7, server()), (8, server())]);
    processes.on_exit(&process(7, 1, SECOND));
    exec(&mut processes, process(8, 1, SECOND), "/bin/x", "x", "");
    assert_eq!(known(&processes), []);
}
