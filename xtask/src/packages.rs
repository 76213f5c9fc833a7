//! What each step needs from the distribution, and how it is installed.

use std::{fs, io::Write, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::{Context, Result, bail};

use crate::exec;

/// A Debian package that a step needs.
pub(crate) struct Package {
    name: &'static str,
    /// Any of these programs on PATH does as well, wherever it came from.
    instead: &'static [&'static str],
}

const fn package(name: &'static str) -> Package {
    Package { name, instead: &[] }
}

const fn unless(name: &'static str, instead: &'static [&'static str]) -> Package {
    Package { name, instead }
}

/// A rustc with `core` for BPF: beside rustup's, which has none.
pub(crate) const BPF_RUSTC: &[Package] =
    &[package("rustc-web"), package("libstd-rust-web-dev-bpf"), package("rust-web-llvm")];

/// To build bpf-linker.
pub(crate) const BPF_LINKER: &[Package] =
    &[package("llvm-22-dev"), package("libzstd-dev"), package("zlib1g-dev"), unless("g++", &["g++"])];

/// To build libFuzzer.
pub(crate) const FUZZ: &[Package] = &[unless("g++", &["c++", "g++"])];

/// To lint the BPF programs.
pub(crate) const BPF_CLIPPY: &[Package] = &[package("rust-web-clippy")];

/// To run guests: QEMU, what is in their first file system, and what unpacks kernels.
pub(crate) const VM: &[Package] = &[
    unless("qemu-system-x86", &["qemu-system-x86_64"]),
    package("busybox-static"),
    package("debian-archive-keyring"),
    unless("kmod", &["depmod"]),
    unless("xz-utils", &["xz"]),
    unless("zstd", &["zstd"]),
];

/// The languages and servers of the demo.
pub(crate) const DEMO: &[Package] = &[
    unless("python3", &["python3"]),
    unless("openjdk-17-jdk-headless", &["javac"]),
    unless("golang", &["go"]),
    unless("nodejs", &["node"]),
    unless("nginx", &["nginx"]),
    unless("curl", &["curl"]),
];

/// What the tests trace beside the demo's, generate load with, and build networks of.
pub(crate) const TESTS: &[Package] = &[
    unless("haproxy", &["haproxy"]),
    unless("apache2", &["apache2"]),
    unless("apache2-utils", &["ab"]),
    unless("nghttp2-client", &["h2load"]),
    unless("nghttp2-server", &["nghttpd"]),
    unless("ruby", &["ruby"]),
    unless("wrk", &["wrk"]),
    unless("iproute2", &["ip"]),
    unless("iptables", &["iptables"]),
    unless("procps", &["ps"]),
    // For the system's own python3, which the tests run.
    package("python3-pip"),
    // For what the tests run of gRPC in Node, in C++, and in Java; Maven fetches Zipkin as well.
    unless("npm", &["npm"]),
    unless("g++", &["g++"]),
    package("libgrpc++-dev"),
    unless("maven", &["mvn"]),
];

/// Installs those packages that are missing. Says so first; without the right to install it fails with the command to run.
pub(crate) fn ensure(packages: &[Package], purpose: &str) -> Result<()> {
    let missing: Vec<&str> = packages.iter().filter(|p| !present(p)).map(|p| p.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let line = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    if exec::find("apt-get").is_none() {
        bail!(
            "missing: {purpose}. This is not a Debian system: install what Debian calls {}",
            missing.join(" ")
        );
    }
    if !is_root()? {
        bail!("missing: {purpose}. Run this as root, then try again:\n    sudo {line}");
    }
    eprintln!("Installing Debian packages ({purpose}): {}", missing.join(" "));
    let _services = KeepServicesDown::new()?;
    // A third-party source that is down is no reason to stop: the installation itself shows what is lacking.
    if !exec::status(apt_get().args(["-q", "update"]))?.success() {
        eprintln!("warning: the package lists could not all be brought up to date");
    }
    exec::run(apt_get().args(["-q", "-y", "install", "--no-install-recommends"]).args(&missing))
}

/// Whether this process may install packages and load BPF programs.
pub(crate) fn is_root() -> Result<bool> {
    let status = fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let ids =
        status.lines().find_map(|line| line.strip_prefix("Uid:")).context("no Uid in /proc/self/status")?;
    Ok(ids.split_whitespace().nth(1) == Some("0"))
}

/// Fails, with the command to run, unless this process is root's.
pub(crate) fn need_root(why: &str) -> Result<()> {
    if is_root()? {
        return Ok(());
    }
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| exec::quote(&word)).collect();
    // rustup and cargo of this user, not root's own.
    let keep = "PATH=\"$PATH\" CARGO_HOME=\"${CARGO_HOME:-$HOME/.cargo}\" RUSTUP_HOME=\"${RUSTUP_HOME:-$HOME/.rustup}\"";
    bail!("{why}, which takes root. Run:\n    sudo env {keep} cargo xtask {}", words.join(" "))
}

/// `apt-get` that asks nothing and waits for another one to finish.
pub(crate) fn apt_get() -> std::process::Command {
    let mut command = exec::command("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "DPkg::Lock::Timeout=300"]);
    command
}

fn present(package: &Package) -> bool {
    if package.instead.iter().any(|program| exec::find(program).is_some()) {
        return true;
    }
    let mut query = exec::command("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package.name]);
    exec::text(&mut query).is_ok_and(|status| status == "installed")
}

/// Keeps packages from starting the services they bring, for as long as it lives: the tests start
/// their own, and the machine must not be left with daemons that nobody asked for.
struct KeepServicesDown {
    ours: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";
const NEVER_START: &str = "#!/bin/sh\n# Of `cargo xtask`, for the time of an installation.\nexit 101\n";

impl KeepServicesDown {
    fn new() -> Result<Self> {
        if Path::new(POLICY).exists() {
            // The machine's own policy stays; ours is there if an earlier installation was interrupted.
            return Ok(Self { ours: fs::read_to_string(POLICY).is_ok_and(|text| text == NEVER_START) });
        }
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o755).open(POLICY);
        let mut file = file.with_context(|| format!("cannot create {POLICY}"))?;
        file.write_all(NEVER_START.as_bytes()).with_context(|| format!("cannot write {POLICY}"))?;
        Ok(Self { ours: true })
    }
}

impl Drop for KeepServicesDown {
    fn drop(&mut self) {
        if self.ours
            && let Err(error) = fs::remove_file(POLICY)
        {
            eprintln!("warning: cannot remove {POLICY}, remove it by hand: {error}");
        }
    }
}
