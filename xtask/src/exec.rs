//! Running other programs: each failure is shown with its command line.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output, Stdio},
};

use anyhow::{Context, Result, bail};

/// The root of the source tree.
pub(crate) fn root() -> PathBuf {
    // Cargo says where it runs this program from; what is compiled in may be another tree that shares the target directory.
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let manifest = Path::new(&manifest);
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// A command that runs in the root of the source tree, without the variables
/// that `cargo run` set for this very program: build scripts watch some of them, and
/// dependencies would be built again each time.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|p| text.starts_with(p))
        {
            command.env_remove(&name);
        }
    }
    command
}

/// The cargo that runs this program, or the one on PATH.
pub(crate) fn cargo() -> Command {
    command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The command line as a shell would take it, the variables set for it first.
pub(crate) fn describe(command: &Command) -> String {
    let set = command.get_envs().filter_map(|(name, value)| {
        value.map(|value| format!("{}={}", name.to_string_lossy(), quote(value)))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args()).map(quote);
    set.chain(words).collect::<Vec<_>>().join(" ")
}

/// Shows the command line, runs it, and fails when it fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    if status(command)?.success() {
        return Ok(());
    }
    bail!("failed: {}", describe(command))
}

/// Shows the command line, runs it, and returns how it ended.
pub(crate) fn status(command: &mut Command) -> Result<ExitStatus> {
    eprintln!("+ {}", describe(command));
    command.status().with_context(|| format!("cannot start: {}", describe(command)))
}

/// Runs a command quietly and returns what it wrote; its error output is in the error.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    let line = describe(command);
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start: {line}"))?;
    if !output.status.success() {
        bail!("failed ({}): {line}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(output)
}

/// The standard output of a command as text, without the last line end.
pub(crate) fn text(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&output(command)?.stdout).trim_end().to_owned())
}

/// Where PATH has a program of this name.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    find_all(program).into_iter().next()
}

/// Every place where PATH has a program of this name, in order.
pub(crate) fn find_all(program: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|dir| dir.join(program)).filter(|file| file.is_file()).collect()
}

/// The word as a shell would take it.
pub(crate) fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=+./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into_owned();
    }
    // The separator that cargo wants between encoded flags: bash has a notation for it.
    if word.contains('\x1f') && !word.contains(['\'', '\\']) {
        return format!("$'{}'", word.replace('\x1f', r"\x1f"));
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_described_command_can_be_pasted_into_a_shell() {
        let mut command = Command::new("cargo");
        command.args(["build", "it's", ""]).env("RUSTFLAGS", "-L /usr/lib");
        assert_eq!(describe(&command), r"RUSTFLAGS='-L /usr/lib' cargo build 'it'\''s' ''");
    }
}
