//! The first file system of a guest: busybox, the modules to reach the host's tree, and `/init`.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use super::{
    Job,
    guest::{EXIT, STARTED},
    kernel::Kernel,
};
use crate::exec;

/// What it takes to see a 9p share over PCI and to lay a writable layer on top.
const MODULES: &[&str] = &["virtio_pci", "9pnet_virtio", "9p", "overlay"];

const INIT: &str = include_str!("init.sh");

/// Writes the initramfs for one job.
pub(crate) fn write(kernel: &Kernel, job: &Job, to: &Path) -> Result<()> {
    let mut archive = Archive::default();
    for directory in ["bin", "modules", "proc", "sys", "dev", "lower", "upper", "root"] {
        archive.directory(directory);
    }
    let busybox = exec::find("busybox").context("no busybox on PATH")?;
    archive.file("bin/busybox", 0o755, &read(&busybox)?);
    let mut load = String::new();
    for (number, module) in modules(&kernel.modules)?.iter().enumerate() {
        let name = format!("modules/{number}.ko");
        archive.file(&name, 0o644, &module_bytes(module)?);
        load.push_str(&format!("/bin/busybox insmod /{name} || fail 'cannot load {}'\n", module.display()));
    }
    archive.file("load", 0o755, load.as_bytes());
    archive.file("job", 0o755, script(kernel, job).as_bytes());
    archive.file("init", 0o755, INIT.as_bytes());
    fs::write(to, archive.finish()).with_context(|| format!("cannot write {}", to.display()))
}

/// The shell script that becomes the guest's first process once the host's tree is in place.
fn script(kernel: &Kernel, job: &Job) -> String {
    let mut text = String::from("#!/bin/sh\n");
    if let Some(all) = kernel.modules.parent() {
        text.push_str(&format!("mount --bind {} /lib/modules\n", exec::quote(all.as_os_str())));
    }
    text.push_str(&format!("cd {}\n", exec::quote(job.directory.as_ref())));
    for (name, value) in &job.environment {
        text.push_str(&format!("export {name}={}\n", exec::quote(value.as_ref())));
    }
    let words: Vec<String> = job.command.iter().map(|word| exec::quote(word.as_ref())).collect();
    text.push_str(&format!("echo {STARTED} >/dev/ttyS2\n"));
    // In a process of its own: what it starts and leaves behind becomes a child of the first process, as on any system.
    text.push_str(&format!("{} </dev/null >/dev/ttyS1 2>&1\n", words.join(" ")));
    // The last word needs no file: the tree may be gone while the power goes off.
    text.push_str(&format!("echo \"{EXIT}$?\" >/dev/ttyS2\n"));
    text.push_str("exec 2>/dev/null\necho o >/proc/sysrq-trigger\nread forever </dev/ttyS2\n");
    text
}

/// The files of the wanted modules and all they depend on, in the order to load them; what is built in has no file.
fn modules(directory: &Path) -> Result<Vec<PathBuf>> {
    let list = directory.join("modules.dep");
    let list = fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
    let by_name: HashMap<String, (&str, &str)> = list
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(file, needs)| (module_name(file), (file, needs)))
        .collect();
    let mut order: Vec<PathBuf> = Vec::new();
    for &wanted in MODULES {
        let Some(&(file, needs)) = by_name.get(wanted) else { continue };
        // modules.dep names what is to be loaded first last.
        for file in needs.split_whitespace().rev().chain([file]) {
            let file = directory.join(file);
            if !order.contains(&file) {
                order.push(file);
            }
        }
    }
    Ok(order)
}

fn module_name(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split('.').next().unwrap_or(name).replace('-', "_")
}

/// The module, decompressed: busybox may not know the compression.
fn module_bytes(file: &Path) -> Result<Vec<u8>> {
    let tool = match file.extension().and_then(|extension| extension.to_str()) {
        Some("ko") => return read(file),
        Some("xz") => "xz",
        Some("zst") => "zstd",
        _ => bail!("{} is compressed in an unknown way", file.display()),
    };
    Ok(exec::output(exec::command(tool).arg("-dc").arg(file))?.stdout)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

/// A cpio archive of the form "newc", the one that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst).
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn directory(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    fn file(&mut self, name: &str, permissions: u32, content: &[u8]) {
        self.entry(name, 0o100_000 | permissions, content);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        let fields = [
            self.entries, // inode
            mode,
            0, // user
            0, // group
            1, // links
            0, // time of change
            content.len() as u32,
            0, // device, major
            0, // device, minor
            0, // special file, major
            0, // special file, minor
            name.len() as u32 + 1,
            0, // checksum, unused
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_entry_is_aligned_and_says_its_lengths() {
        let mut archive = Archive::default();
        archive.file("init", 0o755, b"hello");
        let bytes = archive.finish();
        assert!(bytes.starts_with(b"07070100000001000081ED"));
        assert_eq!(bytes.get(54..62), Some(b"00000005".as_slice()));
        assert_eq!(bytes.get(110..121), Some(b"init\0\0hello".as_slice()));
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn a_modules_name_has_no_path_no_suffix_and_no_hyphen() {
        assert_eq!(module_name("kernel/fs/9p/9p.ko.xz"), "9p");
        assert_eq!(module_name("kernel/drivers/virtio/virtio-pci.ko"), "virtio_pci");
    }
}
