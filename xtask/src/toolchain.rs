//! Which compilers this machine has, and what each needs to build which part.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{exec, packages};

/// The target of the BPF programs: little-endian, as are all hosts that Spandrel runs on.
pub(crate) const BPF_TARGET: &str = "bpfel-unknown-none";

/// Older linkers lay out BTF in ways that aya 0.16 does not take.
const BPF_LINKER: (u32, u32) = (0, 13);

/// The first rustc with `Result::map_or_default`, the only newer thing that aya 0.16 uses.
const AYA_RUSTC: (u32, u32) = (1, 98);

/// Adds to a cargo command of the host crates what the default rustc needs for aya: nothing from 1.98 on.
pub(crate) fn host(cargo: &mut Command, more_flags: &[&str]) -> Result<()> {
    let mut flags = inherited_flags();
    if version(Path::new("rustc"))? < AYA_RUSTC {
        cargo.arg("--ignore-rust-version").env("RUSTC_BOOTSTRAP", "1");
        flags.push("-Zcrate-attr=feature(result_option_map_or_default)".to_owned());
    }
    flags.extend(more_flags.iter().map(|&flag| flag.to_owned()));
    if !flags.is_empty() {
        cargo.env_remove("CARGO_ENCODED_RUSTFLAGS").env("RUSTFLAGS", flags.join(" "));
    }
    Ok(())
}

/// What builds the BPF programs.
pub(crate) struct Bpf {
    rustc: Rustc,
    linker: PathBuf,
}

enum Rustc {
    /// A rustc that comes with `core` for the BPF target.
    Prebuilt(PathBuf),
    /// rustup's nightly with the source of `core`.
    Nightly,
}

impl Bpf {
    /// Finds the BPF toolchain; installs Debian's where there is none.
    pub(crate) fn find_or_install() -> Result<Self> {
        let rustc = match find_rustc() {
            Some(rustc) => rustc,
            None => {
                packages::ensure(packages::BPF_RUSTC, "a rustc with `core` for the BPF target").context(
                    "no compiler for BPF: this needs either a rustc whose target-libdir for bpfel-unknown-none \
                     has libcore (Debian 12: the packages rustc-web and libstd-rust-web-dev-bpf), or rustup's nightly \
                     with its source (`rustup toolchain install nightly --component rust-src`)",
                )?;
                find_rustc()
                    .context("the packages are installed, but no rustc finds `core` for the BPF target")?
            }
        };
        let linker = match find_linker() {
            Some(linker) => linker,
            None => {
                install_linker()?;
                find_linker()
                    .context("bpf-linker was installed, but neither PATH nor cargo's bin directory has it")?
            }
        };
        Ok(Self { rustc, linker })
    }

    /// What was found, for people.
    pub(crate) fn describe(&self) -> String {
        let rustc = match &self.rustc {
            Rustc::Prebuilt(rustc) => format!("{} (has core for {BPF_TARGET})", rustc.display()),
            Rustc::Nightly => "rustup's nightly (builds core from rust-src)".to_owned(),
        };
        format!("{rustc}, {}", self.linker.display())
    }

    /// `cargo build` for the BPF target; the caller adds package and profile.
    pub(crate) fn build(&self) -> Command {
        self.cargo("build", &[])
    }

    /// Clippy for the BPF target, warnings denied: its driver must come from the same release as the rustc.
    pub(crate) fn clippy(&self) -> Result<Command> {
        let deny = "-Dwarnings"; // dependencies are not affected: cargo caps their lints
        let Rustc::Prebuilt(rustc) = &self.rustc else { return Ok(self.cargo("clippy", &[deny])) };
        let driver = rustc.with_file_name("clippy-driver");
        if !driver.is_file() {
            packages::ensure(packages::BPF_CLIPPY, "the clippy of the rustc that builds for BPF")?;
        }
        if !driver.is_file() {
            bail!("no clippy-driver beside {}: the lints of the BPF programs need it", rustc.display());
        }
        // What `cargo clippy` does, with a driver that is not the one beside cargo.
        let mut cargo = self.cargo("check", &[deny]);
        cargo.env("RUSTC_WORKSPACE_WRAPPER", driver);
        Ok(cargo)
    }

    fn cargo(&self, subcommand: &str, more_flags: &[&str]) -> Command {
        let mut cargo = match &self.rustc {
            Rustc::Prebuilt(rustc) => {
                let mut cargo = exec::cargo();
                // BPF needs unstable features, which a released rustc grants to those who ask.
                cargo.arg(subcommand).env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1");
                cargo
            }
            Rustc::Nightly => {
                let mut cargo = exec::command("rustup");
                cargo.args(["run", "nightly", "cargo", subcommand, "-Zbuild-std=core"]).env_remove("RUSTC");
                cargo
            }
        };
        let arch = format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH);
        let linker = format!("-Clinker={}", self.linker.display());
        // Debug information is what the linker makes BTF from.
        let mut flags = vec![arch.as_str(), linker.as_str(), "-Clink-arg=--btf", "-Cdebuginfo=2"];
        flags.extend(more_flags);
        // Encoded: the path of the linker may have a blank.
        cargo
            .args(["--target", BPF_TARGET])
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        cargo
    }
}

/// Makes sure that cargo has these subcommands of rustup's.
pub(crate) fn ensure_components(components: &[&str]) -> Result<()> {
    for &component in components {
        let subcommand = if component == "rustfmt" { "fmt" } else { component };
        if exec::output(exec::cargo().args([subcommand, "--version"])).is_err() {
            eprintln!("Installing {component} with rustup.");
            exec::run(exec::command("rustup").args(["component", "add", component]))?;
        }
    }
    Ok(())
}

fn find_rustc() -> Option<Rustc> {
    let mut places: Vec<PathBuf> =
        std::env::var_os("SPANDREL_BPF_RUSTC").map(PathBuf::from).into_iter().collect();
    places.extend(exec::find_all("rustc"));
    places.extend(["/usr/bin/rustc", "/usr/local/bin/rustc"].map(PathBuf::from));
    if let Some(rustc) = places.into_iter().find(|rustc| has_core(rustc)) {
        return Some(Rustc::Prebuilt(rustc));
    }
    let sysroot =
        exec::text(exec::command("rustup").args(["run", "nightly", "rustc", "--print", "sysroot"])).ok()?;
    Path::new(&sysroot).join("lib/rustlib/src/rust/library/core").is_dir().then_some(Rustc::Nightly)
}

fn has_core(rustc: &Path) -> bool {
    let mut ask = exec::command(rustc);
    ask.args(["--print", "target-libdir", "--target", BPF_TARGET]);
    let Ok(dir) = exec::text(&mut ask) else { return false };
    let Ok(entries) = std::fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

fn find_linker() -> Option<PathBuf> {
    let mut places = exec::find_all("bpf-linker");
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo_home = cargo_home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    places.extend(cargo_home.map(|home| home.join("bin/bpf-linker")));
    places.into_iter().find(|linker| version(linker).is_ok_and(|found| found >= BPF_LINKER))
}

fn install_linker() -> Result<()> {
    packages::ensure(packages::BPF_LINKER, "LLVM, which bpf-linker is linked with").context(
        "no bpf-linker 0.13 or newer: install a released one (`cargo install bpf-linker`) and run this again",
    )?;
    let prefix = exec::text(exec::command("llvm-config-22").arg("--prefix"))?;
    eprintln!("Installing bpf-linker 0.13.0 with cargo.");
    let mut cargo = exec::cargo();
    cargo.args(["install", "bpf-linker", "--version", "0.13.0", "--locked", "--force"]);
    cargo.args(["--no-default-features", "--features", "llvm-22"]);
    // Without -L the linking fails: the library is not on the linker's own path.
    cargo.env("LLVM_PREFIX", &prefix).env("RUSTFLAGS", format!("-L {prefix}/lib"));
    exec::run(&mut cargo)
}

/// The major and minor number that `PROGRAM --version` prints.
fn version(program: &Path) -> Result<(u32, u32)> {
    let text = exec::text(exec::command(program).arg("--version"))?;
    parse_version(&text)
        .with_context(|| format!("no version number in `{text}`, printed by {} --version", program.display()))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Flags that the caller set for every build and that must not be lost.
fn inherited_flags() -> Vec<String> {
    if let Ok(encoded) = std::env::var("CARGO_ENCODED_RUSTFLAGS") {
        return encoded.split('\x1f').filter(|flag| !flag.is_empty()).map(str::to_owned).collect();
    }
    let plain = std::env::var("RUSTFLAGS").unwrap_or_default();
    plain.split_whitespace().map(str::to_owned).collect()
}

/// The target of a release build: the host's own, with the C library that can be linked statically.
pub(crate) fn release_target() -> Result<String> {
    let arch = std::env::consts::ARCH;
    if !matches!(arch, "x86_64" | "aarch64") {
        bail!("no release build for the architecture {arch}: only x86_64 and aarch64");
    }
    Ok(format!("{arch}-unknown-linux-gnu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_second_word() {
        assert_eq!(parse_version("rustc 1.96.0-nightly (ac68faa20 2026-05-25)"), Some((1, 96)));
        assert_eq!(parse_version("bpf-linker 0.13.0"), Some((0, 13)));
        assert_eq!(parse_version("rustc"), None);
    }
}
