//! Recordings as `spandrel record` writes them: a header line, then frames of a kind (one byte), a length (four bytes) and
//! so many bytes. Only the records are taken: the clock of a replay here is theirs.

use std::{fs, path::Path};

use crate::variation::Records;

const RECORD: u8 = 1;

/// The records of a file.
pub fn read(path: &Path) -> Records {
    let bytes = fs::read(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    let end = bytes
        .iter()
        .position(|&byte| byte == b'\n')
        .unwrap_or_else(|| panic!("{}: no header", path.display()));
    let mut rest = &bytes[end + 1..];
    let mut records = Records::new();
    while let Some((&[kind, a, b, c, d], body)) = rest.split_first_chunk::<5>() {
        let length = u32::from_ne_bytes([a, b, c, d]) as usize;
        let (frame, after) =
            body.split_at_checked(length).unwrap_or_else(|| panic!("{}: cut short", path.display()));
        if kind == RECORD {
            records.push(frame.to_vec());
        }
        rest = after;
    }
    assert!(rest.is_empty(), "{}: cut short", path.display());
    records
}
