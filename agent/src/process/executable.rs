//! What the ELF file of a process says: whether it can be traced, and whether its threads stand for requests.

use std::{
    fs::{self, File},
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
};

use object::{
    Endianness,
    elf::{EM_X86_64, FileHeader32, FileHeader64, SectionHeader64},
    pod,
    read::elf::{FileHeader, SectionHeader},
};
use rustc_hash::FxHashMap;

/// Sections and bytes of section names that are looked at: real executables have below 100 and 2 KiB.
const SECTIONS_MAX: u16 = 2048;
const NAMES_MAX: u64 = 64 * 1024;
/// Files remembered.
const CACHE_MAX: usize = 1024;

/// What is known of an executable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Executable {
    /// `ELFCLASS32`, x32 (the same with `EM_X86_64`) included: its system calls are other ones.
    pub thirty_two_bit: bool,
    pub x32: bool,
    /// Built by Go: goroutines move between threads, so a thread does not stand for a request.
    pub go: bool,
}

/// Inspects executables, each file once.
#[derive(Debug, Default)]
pub(super) struct Executables {
    /// By device, inode, size and time of change.
    known: FxHashMap<(u64, u64, u64, i64, i64), Executable>,
}

impl Executables {
    /// Looks at a file; one that cannot be read or is no ELF file is nothing special.
    pub(super) fn inspect(&mut self, path: &Path) -> Executable {
        let Ok(metadata) = fs::metadata(path) else { return Executable::default() };
        // Opening anything but a regular file may block.
        if !metadata.is_file() {
            return Executable::default();
        }
        let key = (metadata.dev(), metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec());
        if let Some(&known) = self.known.get(&key) {
            return known;
        }
        let executable = inspect(path).unwrap_or_default();
        if self.known.len() >= CACHE_MAX {
            self.known.clear();
        }
        self.known.insert(key, executable);
        executable
    }
}

/// Whether an executable's processes cannot be traced because they make 32-bit system calls.
pub fn is_32_bit(path: &Path) -> bool {
    inspect(path).is_some_and(|executable| executable.thirty_two_bit)
}

fn inspect(path: &Path) -> Option<Executable> {
    let file = File::open(path).ok()?;
    let mut head = [0; size_of::<FileHeader64<Endianness>>()];
    let length = file.read_at(&mut head, 0).ok()?;
    let head = head.get(..length)?;
    if let Ok(header) = FileHeader32::<Endianness>::parse(head) {
        let x32 = header.endian().is_ok_and(|endian| header.e_machine(endian) == EM_X86_64);
        return Some(Executable { thirty_two_bit: true, x32, go: false });
    }
    let header = FileHeader64::<Endianness>::parse(head).ok()?;
    Some(Executable { go: is_go(&file, header).unwrap_or_default(), ..Executable::default() })
}

/// Go's linker leaves these sections in every executable; `strip` keeps them.
fn is_go(file: &File, header: &FileHeader64<Endianness>) -> Option<bool> {
    let endian = header.endian().ok()?;
    let count = header.e_shnum(endian).min(SECTIONS_MAX);
    let table = read(
        file,
        header.e_shoff(endian),
        u64::from(count) * size_of::<SectionHeader64<Endianness>>() as u64,
    )?;
    let (sections, _) =
        pod::slice_from_bytes::<SectionHeader64<Endianness>>(&table, usize::from(count)).ok()?;
    let names = sections.get(usize::from(header.e_shstrndx(endian).0))?;
    let names = read(file, names.sh_offset(endian), names.sh_size(endian).min(NAMES_MAX))?;
    Some(sections.iter().any(|section| {
        let start = usize::try_from(section.sh_name(endian)).unwrap_or(usize::MAX);
        let name = names.get(start..).unwrap_or_default();
        name.starts_with(b".go.buildinfo\0") || name.starts_with(b".note.go.buildid\0")
    }))
}

fn read(file: &File, offset: u64, length: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).ok()?];
    file.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The start of a 32-bit executable.
    pub(crate) fn elf32() -> Vec<u8> {
        elf(1, 3)
    }

    /// The start of an ELF file of this class and machine, without sections.
    fn elf(class: u8, machine: u16) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1, 1]);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[20] = 1;
        bytes
    }

    /// A 64-bit file with one section besides the names.
    fn elf_with_section(name: &str) -> Vec<u8> {
        let mut bytes = elf(2, EM_X86_64.0);
        let names = format!("\0{name}\0");
        let table = 64 + names.len() as u64;
        bytes[40..48].copy_from_slice(&table.to_le_bytes());
        bytes[58..60].copy_from_slice(&64u16.to_le_bytes());
        bytes[60..62].copy_from_slice(&2u16.to_le_bytes());
        bytes[62..64].copy_from_slice(&1u16.to_le_bytes());
        bytes.extend(names.as_bytes());
        let mut section = [0; 64];
        section[..4].copy_from_slice(&1u32.to_le_bytes());
        bytes.extend(section);
        let mut section = [0; 64];
        section[24..32].copy_from_slice(&64u64.to_le_bytes());
        section[32..40].copy_from_slice(&(names.len() as u64).to_le_bytes());
        bytes.extend(section);
        bytes
    }

    fn inspected(bytes: &[u8]) -> Executable {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        Executables::default().inspect(file.path())
    }

    #[test]
    fn the_class_of_a_file_is_told() {
        assert_eq!(inspected(&elf(2, 62)), Executable::default());
        assert_eq!(inspected(&elf(1, 3)), Executable { thirty_two_bit: true, x32: false, go: false });
        assert_eq!(inspected(&elf(1, 62)), Executable { thirty_two_bit: true, x32: true, go: false });
    }

    #[test]
    fn a_go_program_is_known_by_its_sections() {
        assert!(inspected(&elf_with_section(".go.buildinfo")).go);
        assert!(inspected(&elf_with_section(".note.go.buildid")).go);
        assert!(!inspected(&elf_with_section(".text")).go);
    }

    #[test]
    fn what_is_no_elf_file_is_nothing_special() {
        let whole = elf_with_section(".go.buildinfo");
        for length in 0..whole.len() - 1 {
            assert!(!inspected(&whole[..length]).go, "{length}");
        }
        assert_eq!(inspected(b"#!/bin/sh\n"), Executable::default());
        assert_eq!(Executables::default().inspect(Path::new("/")), Executable::default());
        assert_eq!(Executables::default().inspect(Path::new("/nonexistent")), Executable::default());
    }

    #[test]
    fn hostile_section_tables_are_survived() {
        let mut bytes = elf_with_section(".go.buildinfo");
        for at in 40..64 {
            bytes[at] = 0xff;
            inspected(&bytes);
        }
    }
}
