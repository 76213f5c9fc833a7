//! `cargo xtask tidy`: house rules that neither the compiler nor clippy knows.

use std::{fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::exec;

/// A file past this many lines has a second subject.
const LINES: usize = 600;

/// The attributes of aya-ebpf that make a function a BPF program.
const HOOKS: &[&str] = &[
    "tracepoint",
    "raw_tracepoint",
    "btf_tracepoint",
    "fentry",
    "fexit",
    "uprobe",
    "uretprobe",
    "kprobe",
    "kretprobe",
    "sock_ops",
    "sk_msg",
    "cgroup_sock",
    "cgroup_skb",
    "cgroup_sock_addr",
    "classifier",
    "lsm",
    "iter",
];

/// The one file with the names that spans and Resources are exported with.
const NAMES: &str = "agent/engine/src/span/names.rs";

/// Not of the conventions that are followed, but of those that Zipkin's mapping still looks for.
const OLD_NAMES: &str = "agent/src/export/zipkin/remote.rs";

/// What such names begin with.
const NAMESPACES: &[&str] = &[
    "client",
    "container",
    "error",
    "host",
    "http",
    "network",
    "os",
    "otel",
    "process",
    "rpc",
    "server",
    "service",
    "spandrel",
    "telemetry",
    "url",
    "user_agent",
];

/// Checks every file that git knows; fails with a list of what is wrong.
pub(crate) fn run() -> Result<()> {
    let root = exec::root();
    let list =
        exec::text(exec::command("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let mut problems = Vec::new();
    for name in list.lines() {
        let file = root.join(name);
        if !file.is_file() {
            continue; // removed, but not yet in the index
        }
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let Ok(text) = String::from_utf8(bytes) else { continue };
        problems.extend(check(name, &text, &root));
    }
    if problems.is_empty() {
        return Ok(());
    }
    bail!("{} against the house rules:\n{}", problems.len(), problems.join("\n"))
}

fn check(name: &str, text: &str, root: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let mut problem = |line: usize, what: &str| problems.push(format!("{name}:{line}: {what}"));
    // A short path such as /src would be found in any text.
    let own = root.components().count() > 2;
    let own = own.then(|| format!("{}/", root.display()));
    let machine = [own, Some(concat!("/ho", "me/").to_owned())];
    for (number, line) in text.lines().enumerate() {
        if machine.iter().flatten().any(|path| line.contains(path.as_str())) {
            problem(number + 1, "names a directory of one machine");
        }
    }
    if !name.ends_with(".rs") {
        return problems;
    }
    let lines = text.lines().count();
    if lines > LINES {
        problem(lines, &format!("more than {LINES} lines: look for the second subject"));
    }
    if name.ends_with("/mod.rs") {
        problem(1, "call it by its module's name, not mod.rs");
    }
    if name.starts_with("agent/") && !is_test(name) && ![NAMES, OLD_NAMES].contains(&name) {
        for (number, literal) in attribute_names(text) {
            problem(number, &format!("\"{literal}\" belongs into {NAMES}"));
        }
    }
    if name.starts_with("ebpf/src/") {
        for number in hooks_without_prototype(text) {
            problem(number, "a hook without a line `/// hooks: PROTOTYPE` above it");
        }
    }
    problems
}

/// Tests say what they expect in words of their own.
fn is_test(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/") || name.contains("/examples/")
}

/// Literals that are names of attributes, with their lines; not those in comments and in the tests at the end of a file.
fn attribute_names(text: &str) -> Vec<(usize, &str)> {
    let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
        // What begins and ends between two quotes, whether they open or close: JSON in a literal has its own.
        let between = line.split('"').skip(1);
        found.extend(between.filter(|text| is_attribute_name(text)).map(|text| (number + 1, text)));
    }
    found
}

fn is_attribute_name(text: &str) -> bool {
    let Some((namespace, rest)) = text.split_once('.') else { return false };
    NAMESPACES.contains(&namespace)
        && !rest.is_empty()
        && rest.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte))
        // The name of a file.
        && !["rs", "yaml", "json", "log"].contains(&rest)
}

/// The lines of the attributes that make a BPF program of a function whose comment names no hooked prototype.
fn hooks_without_prototype(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut named = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("/// hooks: ") {
            named = true;
        } else if let Some(attribute) = line.strip_prefix("#[") {
            let word = attribute.split(['(', ']', ' ']).next().unwrap_or_default();
            if HOOKS.contains(&word) && !named {
                found.push(number + 1);
            }
        } else if !line.starts_with("///") {
            named = false;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hook_says_what_it_hooks() {
        let good = "/// hooks: tracepoint syscalls/sys_enter_close(unsigned int fd)\n/// More.\n#[tracepoint]\npub fn a() {}\n";
        assert!(hooks_without_prototype(good).is_empty());
        let bad = format!(
            "{good}\n/// Something else.\n#[btf_tracepoint(function = \"sys_enter\")]\nfn b() {{}}\n"
        );
        assert_eq!(hooks_without_prototype(&bad), [7]);
    }

    #[test]
    fn the_name_of_an_attribute_stands_in_one_file() {
        let text = concat!(
            "/// `\"url.path\"` is said here only.\n",
            "const A: &str = \"url.path\";\n",
            "let b = r#\"{\"otel.scope.name\":\"x\"}\"#;\n",
            "const C: [&str; 3] = [\"process.rs\", \"http://x\", \"shop.service\"];\n",
            "const D: &str = \"http.request.header.\";\n",
            "#[cfg(test)]\nmod tests {\n    const A: &str = \"url.path\";\n}\n",
        );
        let names = [(2, "url.path"), (3, "otel.scope.name"), (5, "http.request.header.")];
        assert_eq!(attribute_names(text), names);
        let problems = |name| check(name, text, Path::new("/src"));
        let first = format!("agent/src/config.rs:2: \"url.path\" belongs into {NAMES}");
        assert_eq!(problems("agent/src/config.rs").first(), Some(&first));
        for name in [NAMES, OLD_NAMES, "agent/src/process/tests.rs", "agent/engine/src/span/tests/client.rs"]
        {
            assert!(problems(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn a_long_file_and_a_mod_file_are_named() {
        let text = "//\n".repeat(LINES + 1);
        let problems = check("agent/src/kernel/mod.rs", &text, Path::new("/src"));
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(check("docs/long.md", &text, Path::new("/src")).is_empty());
    }

    #[test]
    fn a_path_of_the_machine_is_named_with_its_line() {
        let problems = check("README.md", "one\nsee /build/tree/target\n", Path::new("/build/tree"));
        assert_eq!(problems, ["README.md:2: names a directory of one machine"]);
    }
}
