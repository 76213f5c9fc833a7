//! The one question that a build asks of an ELF file.

/// `PT_INTERP`: the segment that names the dynamic loader (System V ABI, "Program Header").
const INTERPRETER: u32 = 3;

/// Whether the file asks for a dynamic loader; nothing if it is no 64-bit little-endian ELF file.
pub(super) fn has_interpreter(file: &[u8]) -> Option<bool> {
    if file.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(u64::from_le_bytes(field(file, 32)?)).ok()?;
    let size = usize::from(u16::from_le_bytes(field(file, 54)?));
    let count = usize::from(u16::from_le_bytes(field(file, 56)?));
    for number in 0..count {
        let kind = field(file, table.checked_add(number.checked_mul(size)?)?)?;
        if u32::from_le_bytes(kind) == INTERPRETER {
            return Some(true);
        }
    }
    Some(false)
}

fn field<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamically_linked_program_asks_for_a_loader() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(has_interpreter(&own), Some(cfg!(not(target_feature = "crt-static"))));
    }

    #[test]
    fn what_is_no_elf_file_or_only_a_part_of_one_is_neither() {
        assert_eq!(has_interpreter(b"#!/bin/sh"), None);
        assert_eq!(has_interpreter(b"\x7fELF\x02\x01"), None);
    }
}
