//! `cargo xtask build`: the BPF object, then the program that carries it.

mod elf;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    exec,
    toolchain::{self, Bpf},
};

/// A release is one file that people copy around.
const RELEASE_LIMIT: usize = 15_000_000;

/// How the program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Unoptimised, quick to build.
    Dev,
    /// Optimised without the long link, dynamically linked: for trying things out.
    Quick,
    /// Optimised, stripped, statically linked: what users get.
    Release,
}

impl Profile {
    /// What the tests, the demo and the benchmarks run unless told otherwise: the very file that users get.
    pub(crate) const TESTED: Self = Self::Release;

    /// The profile of this name.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        match name {
            "dev" => Ok(Self::Dev),
            "quick" => Ok(Self::Quick),
            "release" => Ok(Self::Release),
            _ => bail!("unknown profile `{name}`: dev, quick or release"),
        }
    }

    /// What cargo calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Quick => "quick",
            Self::Release => "release",
        }
    }

    fn directory(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Quick => "quick",
            Self::Release => "release",
        }
    }
}

/// Builds everything and returns where the program is.
pub(crate) fn all(profile: Profile) -> Result<PathBuf> {
    probes()?;
    program(profile)
}

/// Builds the BPF object and returns where it is.
///
/// It always lies in the source tree's own `target/bpf`, whatever CARGO_TARGET_DIR says: there
/// agent/build.rs looks for it, and two trees that share a target directory do not mix up their objects.
pub(crate) fn probes() -> Result<PathBuf> {
    let bpf = Bpf::find_or_install()?;
    eprintln!("BPF toolchain: {}", bpf.describe());
    let directory = exec::root().join("target/bpf");
    let mut cargo = bpf.build();
    cargo.args(["--package", "ebpf", "--profile", "bpf", "--target-dir"]).arg(&directory);
    exec::run(&mut cargo)?;
    Ok(directory.join(toolchain::BPF_TARGET).join("bpf/probes"))
}

/// Builds the program around the object that is there, and returns where it is.
pub(crate) fn program(profile: Profile) -> Result<PathBuf> {
    let target = target_directory()?;
    let mut cargo = exec::cargo();
    cargo.args(["build", "--package", "agent", "--bin", "spandrel", "--profile", profile.name()]);
    if profile != Profile::Release {
        toolchain::host(&mut cargo, &[])?;
        exec::run(&mut cargo)?;
        return Ok(target.join(profile.directory()).join("spandrel"));
    }
    // Named even though it is the host's own: without it the flags reach build scripts
    // and procedural macros too, and the latter cannot be linked statically.
    let triple = toolchain::release_target()?;
    cargo.args(["--target", &triple]);
    // A static program cannot ask the C library whether it has `getrandom`, and would read /dev/urandom, which
    // an empty root does not have. The system call is in every kernel that spandrel runs on.
    let random = r#"--cfg=getrandom_backend="linux_getrandom""#;
    toolchain::host(&mut cargo, &["-Ctarget-feature=+crt-static", random])?;
    exec::run(&mut cargo)?;
    let program = target.join("release/spandrel");
    place(&target.join(triple).join("release/spandrel"), &program)?;
    check_release(&program)?;
    Ok(program)
}

/// Copies by renaming, so that a program that runs from the old file goes on running.
fn place(from: &Path, to: &Path) -> Result<()> {
    let directory = to.parent().with_context(|| format!("{} has no directory", to.display()))?;
    let next = to.with_extension("next");
    fs::create_dir_all(directory)
        .and_then(|()| fs::copy(from, &next))
        .and_then(|_| fs::rename(&next, to))
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

/// A release must start anywhere: nothing but the kernel may be needed to load it.
fn check_release(program: &Path) -> Result<()> {
    let bytes = fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    if bytes.len() > RELEASE_LIMIT {
        bail!("{} has {} bytes, more than the {RELEASE_LIMIT} of a release", program.display(), bytes.len());
    }
    match elf::has_interpreter(&bytes) {
        Some(false) => Ok(()),
        Some(true) => bail!("{} is not linked statically: it asks for a dynamic loader", program.display()),
        None => bail!("{} is no 64-bit little-endian ELF file", program.display()),
    }
}

/// Where cargo puts what it builds for the host.
fn target_directory() -> Result<PathBuf> {
    let metadata = metadata()?;
    let directory = metadata.get("target_directory").and_then(|value| value.as_str());
    Ok(PathBuf::from(directory.context("cargo metadata names no target_directory")?))
}

/// What cargo knows of the workspace.
pub(crate) fn metadata() -> Result<serde_json::Value> {
    let text = exec::text(exec::cargo().args(["metadata", "--format-version=1", "--no-deps"]))?;
    serde_json::from_str(&text).context("cargo metadata printed no JSON")
}
