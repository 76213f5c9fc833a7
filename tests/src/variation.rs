//! Variations of a recording: the same bytes cut differently, with a record missing, or twice at the same time.
//!
//! A recording here is the list of its records, each the exact bytes that were in the ring.

use abi::{
    DataRecord, EndRecord, OpenRecord, ProcessRecord, QuietRecord, RecordHeader, conn::ConnectionId,
    record::kind,
};
use zerocopy::{FromBytes, IntoBytes};

pub type Records = Vec<Vec<u8>>;

/// The kind of a record.
pub fn kind_of(record: &[u8]) -> Option<u16> {
    RecordHeader::read_from_prefix(record).ok().map(|(header, _)| header.kind)
}

/// The copied bytes of a data record.
pub fn payload(record: &[u8]) -> Option<&[u8]> {
    let (data, payload) = DataRecord::ref_from_prefix(record).ok()?;
    (data.header.kind == kind::DATA).then(|| payload.get(..data.copied as usize)).flatten()
}

/// A data record cut in two before its byte `at`, as if the kernel side had copied it in two pieces.
pub fn cut(record: &[u8], at: usize) -> Option<[Vec<u8>; 2]> {
    let bytes = payload(record)?;
    let (head, tail) =
        bytes.split_at_checked(at).filter(|(head, tail)| !head.is_empty() && !tail.is_empty())?;
    let (whole, _) = DataRecord::read_from_prefix(record).ok()?;
    let at = u32::try_from(at).ok()?;
    let first = DataRecord { covered: at, copied: at, ..whole };
    let second = DataRecord {
        position: whole.position + u64::from(at),
        call_offset: whole.call_offset + at,
        covered: whole.covered - at,
        copied: whole.copied - at,
        ..whole
    };
    Some([join(first, head), join(second, tail)])
}

fn join(mut data: DataRecord, payload: &[u8]) -> Vec<u8> {
    data.header.length = u32::try_from(size_of::<DataRecord>() + payload.len()).unwrap_or(u32::MAX);
    [data.as_bytes(), payload].concat()
}

/// Every data record in pieces of at most so many bytes.
pub fn in_pieces_of(records: &[Vec<u8>], size: usize) -> Records {
    let mut pieces = Records::new();
    for record in records {
        let mut rest = record.clone();
        while let Some([first, second]) = cut(&rest, size) {
            pieces.push(first);
            rest = second;
        }
        pieces.push(rest);
    }
    pieces
}

/// Each way to cut one record of the recording in two.
pub fn every_cut(records: &[Vec<u8>]) -> impl Iterator<Item = (String, Records)> + '_ {
    records.iter().enumerate().flat_map(move |(index, record)| {
        (1..payload(record).map_or(0, <[u8]>::len)).filter_map(move |at| {
            let pieces = cut(record, at)?;
            let mut varied = records.to_vec();
            varied.splice(index..=index, pieces);
            Some((format!("record {index} cut before byte {at}"), varied))
        })
    })
}

/// The same cuts, those before one and the same byte of every record at once: for recordings of which there are too many
/// to be made one by one.
pub fn every_cut_at_once(records: &[Vec<u8>]) -> impl Iterator<Item = (String, Records)> + '_ {
    let longest = records.iter().filter_map(|record| payload(record)).map(<[u8]>::len).max();
    (1..longest.unwrap_or_default()).map(move |at| {
        let pieces = |record: &Vec<u8>| cut(record, at).map_or_else(|| vec![record.clone()], Vec::from);
        (format!("all records cut before byte {at}"), records.iter().flat_map(pieces).collect())
    })
}

/// The recording without one record, each in turn.
pub fn every_loss(records: &[Vec<u8>]) -> impl Iterator<Item = (String, Records)> + '_ {
    (0..records.len()).map(move |index| {
        let mut varied = records.to_vec();
        let lost = varied.remove(index);
        (format!("without record {index} (kind {:?})", kind_of(&lost)), varied)
    })
}

/// The recording without about one record of so many, by chance: the same ones for the same seed.
pub fn thinned(records: &[Vec<u8>], one_in: u64, seed: u64) -> Records {
    let mut state = seed;
    let mut lost = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31).is_multiple_of(one_in)
    };
    records.iter().filter(|_| !lost()).cloned().collect()
}

/// The recording and a twin of it, record by record in turn. The twin is of other connections between other
/// processes, so that the two have nothing to do with each other.
pub fn with_twin(records: &[Vec<u8>]) -> Records {
    records.iter().flat_map(|record| [record.clone(), twin(record)]).collect()
}

/// Added to ids: larger than any process id, and not a multiple of an alignment.
const OTHER: u32 = 1 << 23;

fn twin(record: &[u8]) -> Vec<u8> {
    let mut record = record.to_vec();
    let other = |conn: &mut ConnectionId| {
        conn.sock ^= 1 << 40;
        conn.inode ^= 1 << 40;
    };
    match kind_of(&record) {
        Some(kind::OPEN) => {
            if let Ok((open, _)) = OpenRecord::mut_from_prefix(&mut record) {
                other(&mut open.conn);
                open.tgid += OTHER;
                open.tid += OTHER;
                // Another network, where the same addresses are other machines.
                open.netns ^= OTHER;
                open.isn_sent ^= OTHER;
                open.isn_received ^= OTHER;
                if open.peer_sock != 0 {
                    open.peer_sock ^= 1 << 40;
                }
            }
        }
        Some(kind::DATA) => {
            if let Ok((data, _)) = DataRecord::mut_from_prefix(&mut record) {
                other(&mut data.conn);
                data.tgid += OTHER;
                data.tid += OTHER;
                data.task += u64::from(OTHER);
            }
        }
        Some(kind::QUIET) => {
            if let Ok((quiet, _)) = QuietRecord::mut_from_prefix(&mut record) {
                other(&mut quiet.conn);
                quiet.tgid += OTHER;
                quiet.tid += OTHER;
            }
        }
        Some(kind::END) => {
            if let Ok((end, _)) = EndRecord::mut_from_prefix(&mut record) {
                other(&mut end.conn);
                end.tgid += OTHER;
                end.tid += OTHER;
            }
        }
        Some(_) => {
            if let Ok((process, _)) = ProcessRecord::mut_from_prefix(&mut record) {
                process.tgid += OTHER;
                process.parent += OTHER;
                process.inner_tgid += OTHER;
            }
        }
        None => {}
    }
    record
}

#[cfg(test)]
mod tests;
