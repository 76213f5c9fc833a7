//! Every documented key is read, from the file and from its variable.

use std::collections::BTreeSet;

use super::{super::keys, *};

/// A value of each key that differs from its default; keys within lists follow the key of the list.
const CASES: &[(&str, &str)] = &[
    ("export", "[console]"),
    ("select", "[{ pid: 1 }]"),
    ("select.exe", "nginx"),
    ("select.command_line", "app.py"),
    ("select.pid", "7"),
    ("select.port", "80"),
    ("select.user", "www-data"),
    ("select.cgroup", "/system.slice/**"),
    ("select.unit", "shop"),
    ("select.settings.service_name", "shop"),
    ("select.settings.attributes", "{ team: shop }"),
    ("select.settings.headers", "{ request: [x-request-id] }"),
    ("select.settings.routes", "[/users]"),
    ("select.settings.sampler", "always_off"),
    ("select.settings.sampler_argument", "0.5"),
    ("select.settings.export", "[console]"),
    ("select.settings.export_headers", "{ x-scope-orgid: shop }"),
    ("exclude", "[{ pid: 1 }]"),
    ("service_name", "shop"),
    ("attributes", "{ team: shop }"),
    ("headers", "{ request: [accept] }"),
    ("headers.request", "[x-request-id]"),
    ("headers.response", "[x-request-id]"),
    ("opt_in", "[network.transport]"),
    ("routes", "['/users/{id}']"),
    ("forwarded", "false"),
    ("sampler", "always_off"),
    ("sampler_argument", "0.5"),
    ("ignore", "[{ path: /healthz }]"),
    ("ignore.method", "GET"),
    ("ignore.path", "/healthz"),
    ("ignore.user_agent", "kube-probe/*"),
    ("ignore.status", "4xx"),
    ("ignore.port", "8080"),
    ("instrumented", "both"),
    ("telemetry_ingest", "trace"),
    ("redact_query", "[token]"),
    ("command_arguments", "true"),
    ("capture", "{ ring: 64KiB }"),
    ("capture.flavour", "syscall"),
    ("capture.copy_limit", "64KiB"),
    ("capture.connections", "64"),
    ("capture.calls", "64"),
    ("capture.processes", "64"),
    ("capture.ring", "64KiB"),
];

/// The keys that the printed configuration explains in comments: `#   key: WHAT` below the lists that have them.
fn commented() -> Vec<String> {
    let mut keys = Vec::new();
    let mut pending = Vec::new();
    for line in DEFAULT_FILE.lines() {
        let Some(comment) = line.strip_prefix("#   ") else {
            match line.split_once(':') {
                Some((key, _)) if !line.starts_with(['#', ' ']) => {
                    keys.extend(pending.drain(..).map(|inner: String| format!("{key}.{inner}")));
                }
                _ => {}
            }
            continue;
        };
        let nested = comment.starts_with("  ");
        let comment = comment.strip_prefix("  ").unwrap_or(comment);
        let Some((key, rest)) = comment.split_once(':') else { continue };
        if !key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            continue;
        }
        // An example sets values; an explanation is a word in capitals, or what is nested below.
        let explains = rest.trim_start().starts_with(|c: char| c.is_ascii_uppercase() || "[{".contains(c));
        match (nested, explains) {
            (false, true) => pending.push(key.to_owned()),
            (true, true) => pending.push(format!("settings.{key}")),
            _ => {}
        }
    }
    keys
}

/// A file that sets one key, and the same without it.
fn files(key: &str, value: &str) -> (String, String) {
    let path: Vec<&str> = key.split('.').collect();
    match path.as_slice() {
        ["select", "settings", "sampler_argument"] => {
            settings(&format!("sampler_argument: {value}"), "sampler: traceidratio, ")
        }
        ["select", "settings", key] => settings(&format!("{key}: {value}"), ""),
        // Another selector stands there without it.
        ["select", key] => {
            (format!("select: [{{ {key}: {value} }}]"), "select: [{ exe: other, pid: 9 }]".to_owned())
        }
        ["ignore", key] => {
            (format!("ignore: [{{ {key}: {value} }}]"), "ignore: [{ path: /other }]".to_owned())
        }
        ["sampler_argument"] => {
            (format!("sampler: traceidratio\nsampler_argument: {value}"), "sampler: traceidratio".to_owned())
        }
        [outer, inner] => (format!("{outer}:\n  {inner}: {value}"), String::new()),
        _ => (format!("{key}: {value}"), String::new()),
    }
}

fn settings(key: &str, context: &str) -> (String, String) {
    let select = |keys: &str| format!("select: [{{ pid: 1, settings: {{ {keys} }} }}]");
    (select(&format!("{context}{key}")), select(context))
}

#[test]
fn every_documented_key_has_a_case_here() {
    let documented: BTreeSet<String> =
        keys::all().iter().map(|path| path.join(".")).chain(commented()).collect();
    let cases: BTreeSet<String> = CASES.iter().map(|(key, _)| (*key).to_owned()).collect();
    assert_eq!(documented, cases);
    assert_eq!(cases.len(), CASES.len(), "a case stands twice");
}

#[test]
fn every_documented_key_is_read_from_the_file() {
    for (key, value) in CASES {
        let (with, without) = files(key, value);
        let config = load(&with).unwrap_or_else(|error| panic!("{key}: {error}"));
        assert_ne!(config, load(&without).unwrap(), "{key} changes nothing");
    }
}

#[test]
fn every_documented_key_is_read_from_its_variable() {
    for path in keys::all() {
        let key = path.join(".");
        let (_, value) = CASES.iter().find(|(case, _)| *case == key).unwrap();
        let (with, without) = files(&key, value);
        let variable = environment::name(path);
        assert_eq!(variable, format!("SPANDREL_{}", key.replace('.', "_").to_uppercase()));
        let config = load_with(&without, &[(&variable, value)]).unwrap();
        assert_eq!(config, load(&with).unwrap(), "{variable} is not what {key} is in the file");
    }
}

#[test]
fn no_two_keys_have_the_same_variable() {
    let names: BTreeSet<String> = keys::all().iter().map(|path| environment::name(path)).collect();
    assert_eq!(names.len(), keys::all().len());
}

/// The keys that the deserializer knows in this place: it lists them when it meets one that it does not.
fn known(yaml: &str) -> BTreeSet<String> {
    let report = load(yaml).unwrap_err().to_string();
    let (_, expected) = report.lines().next().unwrap().split_once("Expected ").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The keys that the printed configuration has below this one.
fn documented(outer: &str) -> BTreeSet<String> {
    let paths = keys::all().iter().map(|path| path.join(".")).chain(commented());
    let below = paths.filter_map(|path| path.strip_prefix(outer).map(str::to_owned));
    below.filter_map(|path| path.split('.').next().filter(|key| !key.is_empty()).map(str::to_owned)).collect()
}

#[test]
fn every_key_stands_in_the_printed_configuration() {
    for (yaml, outer) in [
        ("zzzzzzzzzzzz: 1", ""),
        ("capture: { zzzzzzzzzzzz: 1 }", "capture."),
        ("headers: { zzzzzzzzzzzz: 1 }", "headers."),
        ("ignore: [{ zzzzzzzzzzzz: 1 }]", "ignore."),
        ("select: [{ zzzzzzzzzzzz: 1 }]", "select."),
        ("exclude: [{ zzzzzzzzzzzz: 1 }]", "select."),
        ("select: [{ pid: 1, settings: { zzzzzzzzzzzz: 1 } }]", "select.settings."),
        // They stand instead of those at the top.
        ("select: [{ pid: 1, settings: { headers: { zzzzzzzzzzzz: 1 } } }]", "headers."),
    ] {
        assert_eq!(known(yaml), documented(outer), "{yaml}");
        assert!(!documented(outer).is_empty(), "{outer}");
    }
    // A map of the deserializer that stands nowhere above would be one of these.
    let with_keys: BTreeSet<String> = keys::all()
        .iter()
        .map(|path| path.join("."))
        .chain(commented())
        .filter_map(|path| path.rsplit_once('.').map(|(outer, _)| outer.to_owned()))
        .collect();
    assert_eq!(
        with_keys.into_iter().collect::<Vec<_>>(),
        ["capture", "headers", "ignore", "select", "select.settings"]
    );
}
