//! Resource: what a process is, in the words of OpenTelemetry's conventions.

use std::borrow::Cow;

use engine::span::{Attribute, Value, names};
use uuid::{Uuid, uuid};

use super::{Root, image::Image};

/// The name space that the conventions give for `service.instance.id` made by UUID version 5.
const INSTANCE_NAMESPACE: Uuid = uuid!("4d63009a-8d0f-11ee-aad7-4c796ed8e320");

/// What produced spans: exported once for all the spans of a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resource {
    pub attributes: Vec<Attribute>,
}

/// What the operator says of every process.
#[derive(Clone, Debug, Default)]
pub struct Operator {
    /// The name of services that do not state theirs.
    pub service_name: Option<Box<str>>,
    pub attributes: Vec<(Box<str>, Box<str>)>,
}

/// What is the same for every process of the machine.
#[derive(Debug)]
pub(super) struct Host {
    name: Option<String>,
    id: Option<String>,
    /// Process ids and start times repeat after a boot.
    boot: String,
    pub(super) operator: Operator,
}

impl Host {
    pub(super) fn read(root: &Root, operator: Operator) -> Self {
        let line = |path| root.text(path).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        Self {
            name: line("proc/sys/kernel/hostname"),
            id: line("etc/machine-id"),
            boot: line("proc/sys/kernel/random/boot_id").unwrap_or_default(),
            operator,
        }
    }
}

/// Describes an image that runs in a process. `start` tells the process from others with its id: without it no id of
/// the instance is one that every agent would give. `configured` is the service name that its selector gives it.
pub(super) fn describe(
    host: &Host,
    image: &Image,
    pid: u32,
    start: Option<u64>,
    configured: Option<&str>,
) -> Resource {
    let mut attributes = Vec::with_capacity(12);
    let configured = configured.or(host.operator.service_name.as_deref());
    let service = configured.filter(|_| !image.service_is_stated).unwrap_or(&image.service);
    let mut add = |key: &'static str, value: Value| {
        // What the program says of itself goes first.
        if !image.stated.iter().any(|(stated, _)| stated.as_ref() == key) {
            attributes.push(Attribute { key: Cow::Borrowed(key), value });
        }
    };
    add(names::SERVICE_NAME, string(service));
    if let Some(start) = start {
        add(names::SERVICE_INSTANCE_ID, string(&instance(host, image, service, pid, start)));
    }
    add(names::PROCESS_PID, Value::Integer(i64::from(pid)));
    if !image.path.is_empty() {
        add(names::PROCESS_EXECUTABLE_NAME, string(image.name()));
    }
    if image.path.starts_with('/') {
        add(names::PROCESS_EXECUTABLE_PATH, string(&image.path));
    }
    if !image.arguments.is_empty() {
        add(names::PROCESS_COMMAND_ARGS, Value::Strings(image.arguments.to_vec()));
    }
    if let Some(id) = &image.cgroup.container {
        add(names::CONTAINER_ID, string(id));
    }
    if let Some(name) = &host.name {
        add(names::HOST_NAME, string(name));
    }
    if let Some(id) = &host.id {
        add(names::HOST_ID, string(id));
    }
    if let Some(architecture) = architecture() {
        add(names::HOST_ARCH, Value::String(Cow::Borrowed(architecture)));
    }
    add(names::OS_TYPE, Value::String(Cow::Borrowed("linux")));
    // `telemetry.sdk.*` is for what an SDK in the process produced: there is none.
    add(names::TELEMETRY_DISTRO_NAME, Value::String(Cow::Borrowed("spandrel")));
    add(names::TELEMETRY_DISTRO_VERSION, Value::String(Cow::Borrowed(env!("CARGO_PKG_VERSION"))));
    // What is known of the process itself says more than what is said of all.
    let mut extend = |stated: &[(Box<str>, Box<str>)]| {
        for (key, value) in stated {
            if !attributes.iter().any(|known: &Attribute| known.key == **key) {
                attributes.push(Attribute { key: Cow::Owned(key.to_string()), value: string(value) });
            }
        }
    };
    extend(&image.stated);
    extend(&host.operator.attributes);
    Resource { attributes }
}

/// The same for as long as the process runs this executable, whatever agent looks at it.
fn instance(host: &Host, image: &Image, service: &str, pid: u32, start: u64) -> String {
    let machine = host.id.as_deref().unwrap_or_default();
    let name = format!("{machine}\0{}\0{pid}\0{start}\0{}\0{}", host.boot, image.path, service);
    Uuid::new_v5(&INSTANCE_NAMESPACE, name.as_bytes()).to_string()
}

fn string(text: &str) -> Value {
    Value::String(Cow::Owned(text.to_owned()))
}

/// The conventions' name of the machine's architecture.
fn architecture() -> Option<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Some("amd64"),
        "aarch64" => Some("arm64"),
        _ => None,
    }
}
