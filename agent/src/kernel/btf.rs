//! The running kernel's type information (BTF): where a member lies in a structure.
//!
//! In: the bytes of `/sys/kernel/btf/vmlinux`. Out: byte offsets. The file is the kernel's own, but every
//! offset in it is checked all the same. Format: Documentation/bpf/btf.rst.

use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_VARIABLE: u32 = 14;
const KIND_TYPE_TAG: u32 = 18;
/// Anonymous members nest a few levels; more is a loop in a broken file.
const DEPTH_MAX: u32 = 32;

/// Why type information could not be used.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    #[error("type information is malformed at byte {0}")]
    Malformed(usize),
    #[error("this kernel's type information has no structure `{0}`")]
    Structure(String),
    #[error("this kernel's `struct {structure}` has no member `{member}`")]
    Member { structure: String, member: String },
    #[error("member `{member}` of `struct {structure}` is a bit field that does not start at a byte")]
    BitField { structure: String, member: String },
}

/// Parsed type information: the place of each type, and the structures by name.
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Offset of each type in `types`; type 0 is `void`.
    starts: Vec<u32>,
    structures: HashMap<&'a [u8], u32>,
}

impl<'a> Btf<'a> {
    /// Indexes the types. Members are looked at when they are asked for.
    pub fn parse(data: &'a [u8]) -> Result<Self, BtfError> {
        let magic = data.first_chunk::<2>().map(|bytes| u16::from_ne_bytes(*bytes));
        if magic != Some(MAGIC) {
            return Err(BtfError::Malformed(0));
        }
        let header_length = word(data, 4)? as usize;
        let section = |offset: usize| -> Result<&'a [u8], BtfError> {
            let start = header_length.checked_add(word(data, offset)? as usize);
            let end = start.and_then(|start| start.checked_add(word(data, offset + 4).ok()? as usize));
            start.zip(end).and_then(|(start, end)| data.get(start..end)).ok_or(BtfError::Malformed(offset))
        };
        let (types, strings) = (section(8)?, section(16)?);
        let mut btf = Self { types, strings, starts: vec![0], structures: HashMap::new() };
        let mut at = 0;
        while at < types.len() {
            let info = word(types, at + 4)?;
            let members = (info & 0xffff) as usize;
            let kind = (info >> 24) & 0x1f;
            if kind == KIND_STRUCT {
                let id = btf.starts.len() as u32;
                let name = btf.string(word(types, at)?)?;
                btf.structures.entry(name).or_insert(id);
            }
            btf.starts.push(at as u32);
            // Bytes that follow the 12 of `struct btf_type`, by kind.
            at += 12
                + match kind {
                    1 | KIND_VARIABLE | 17 => 4,
                    KIND_ARRAY => 12,
                    KIND_STRUCT | KIND_UNION | 15 | 19 => members * 12,
                    6 | 13 => members * 8,
                    0 | 2 | 7..=12 | 16 | 18 => 0,
                    _ => return Err(BtfError::Malformed(at)),
                };
        }
        Ok(btf)
    }

    /// Byte offset of a member; `path` may go through embedded structures (`__sk_common.skc_family`).
    pub fn offset(&self, structure: &str, path: &str) -> Result<u32, BtfError> {
        let missing = |member: &str| BtfError::Member { structure: structure.into(), member: member.into() };
        let mut id = self.structure(structure)?;
        let mut bits = 0_u32;
        for member in path.split('.') {
            let (offset, member_type) =
                self.member(id, member.as_bytes(), 0)?.ok_or_else(|| missing(path))?;
            bits = bits.checked_add(offset).ok_or_else(|| missing(path))?;
            id = self.strip(member_type)?;
        }
        if !bits.is_multiple_of(8) {
            return Err(BtfError::BitField { structure: structure.into(), member: path.into() });
        }
        Ok(bits / 8)
    }

    /// Size of a structure in bytes.
    pub fn size(&self, structure: &str) -> Result<u32, BtfError> {
        let start = self.start(self.structure(structure)?)?;
        word(self.types, start + 8)
    }

    /// Whether there is a structure of this name.
    pub fn has_structure(&self, name: &str) -> bool {
        self.structures.contains_key(name.as_bytes())
    }

    /// Whether there is a tracepoint of this name, with its prototype: programs can be attached to it raw.
    pub fn has_tracepoint(&self, name: &str) -> bool {
        self.has(KIND_TYPEDEF, &format!("btf_trace_{name}"))
    }

    /// Whether there is a per-CPU variable of this name; of other variables the kernel does not tell.
    pub fn has_variable(&self, name: &str) -> bool {
        self.has(KIND_VARIABLE, name)
    }

    fn has(&self, kind: u32, name: &str) -> bool {
        self.starts.iter().skip(1).any(|start| {
            let at = *start as usize;
            let of_kind = word(self.types, at + 4).is_ok_and(|info| (info >> 24) & 0x1f == kind);
            of_kind
                && word(self.types, at)
                    .and_then(|offset| self.string(offset))
                    .is_ok_and(|found| found == name.as_bytes())
        })
    }

    fn structure(&self, name: &str) -> Result<u32, BtfError> {
        self.structures.get(name.as_bytes()).copied().ok_or_else(|| BtfError::Structure(name.into()))
    }

    fn start(&self, id: u32) -> Result<usize, BtfError> {
        self.starts.get(id as usize).map(|start| *start as usize).ok_or(BtfError::Malformed(id as usize))
    }

    /// Bit offset and type of a member, looked for in anonymous members too.
    fn member(&self, id: u32, name: &[u8], depth: u32) -> Result<Option<(u32, u32)>, BtfError> {
        let start = self.start(id)?;
        let info = word(self.types, start + 4)?;
        let kind = (info >> 24) & 0x1f;
        if (kind != KIND_STRUCT && kind != KIND_UNION) || depth > DEPTH_MAX {
            return Ok(None);
        }
        let bit_fields = info >> 31 != 0;
        for index in 0..(info & 0xffff) as usize {
            let at = start + 12 + index * 12;
            let member_name = self.string(word(self.types, at)?)?;
            let member_type = word(self.types, at + 4)?;
            let mut offset = word(self.types, at + 8)?;
            if bit_fields {
                offset &= 0x00ff_ffff;
            }
            if member_name == name {
                return Ok(Some((offset, member_type)));
            }
            if member_name.is_empty()
                && let Some((inner, found)) = self.member(self.strip(member_type)?, name, depth + 1)?
            {
                return Ok(Some((offset.saturating_add(inner), found)));
            }
        }
        Ok(None)
    }

    /// The type behind names and qualifiers.
    fn strip(&self, mut id: u32) -> Result<u32, BtfError> {
        for _ in 0..DEPTH_MAX {
            let start = self.start(id)?;
            match (word(self.types, start + 4)? >> 24) & 0x1f {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => {
                    id = word(self.types, start + 8)?;
                }
                _ => return Ok(id),
            }
        }
        Err(BtfError::Malformed(id as usize))
    }

    fn string(&self, offset: u32) -> Result<&'a [u8], BtfError> {
        let malformed = BtfError::Malformed(offset as usize);
        let rest = self.strings.get(offset as usize..).ok_or(malformed)?;
        Ok(rest.split(|byte| *byte == 0).next().unwrap_or_default())
    }
}

fn word(data: &[u8], at: usize) -> Result<u32, BtfError> {
    data.get(at..)
        .and_then(|rest| rest.first_chunk::<4>())
        .map(|bytes| u32::from_ne_bytes(*bytes))
        .ok_or(BtfError::Malformed(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `struct a { int x; union { struct { int y; }; int z; }; }` in BTF.
    fn sample() -> Vec<u8> {
        let strings = b"\0a\0x\0y\0z\0int\0";
        let mut types = Vec::new();
        let mut words = |list: &[u32]| list.iter().for_each(|word| types.extend(word.to_ne_bytes()));
        words(&[9, 1 << 24, 4, 32]); // 1: int
        words(&[0, KIND_STRUCT << 24 | 1, 4, 5, 1, 0]); // 2: struct { y }
        words(&[0, KIND_UNION << 24 | 2, 4, 0, 2, 0, 7, 1, 0]); // 3: union { 2; z }
        words(&[1, KIND_STRUCT << 24 | 2, 8, 3, 1, 0, 0, 3, 32]); // 4: a
        let mut data = Vec::new();
        data.extend(MAGIC.to_ne_bytes());
        data.extend([1, 0]);
        for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
            data.extend(word.to_ne_bytes());
        }
        data.extend(types);
        data.extend(strings);
        data
    }

    #[test]
    fn members_are_found_through_anonymous_structures_and_unions() {
        let data = sample();
        let btf = Btf::parse(&data).unwrap();
        assert_eq!(btf.offset("a", "x").unwrap(), 0);
        assert_eq!(btf.offset("a", "y").unwrap(), 4);
        assert_eq!(btf.offset("a", "z").unwrap(), 4);
        assert_eq!(btf.size("a").unwrap(), 8);
        assert!(btf.has_structure("a") && !btf.has_structure("b"));
        assert!(!btf.has_tracepoint("a") && !btf.has_variable("a"));
        assert!(matches!(btf.offset("a", "q"), Err(BtfError::Member { .. })));
        assert!(matches!(btf.offset("b", "q"), Err(BtfError::Structure(_))));
    }

    #[test]
    fn no_prefix_and_no_flipped_byte_of_a_file_makes_a_panic() {
        let data = sample();
        for length in 0..data.len() {
            if let Ok(btf) = Btf::parse(&data[..length]) {
                btf.offset("a", "y").ok();
            }
        }
        for index in 0..data.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut broken = data.clone();
                broken[index] = value;
                if let Ok(btf) = Btf::parse(&broken) {
                    btf.offset("a", "y").ok();
                    btf.size("a").ok();
                }
            }
        }
    }
}
