//! Writes what the tests send: an encoder of header blocks that indexes everything, and frames.

use std::collections::VecDeque;

use super::super::frame::{END_HEADERS, END_STREAM, PADDED, PRIORITY};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub(crate) fn data(stream: u32, payload: impl AsRef<[u8]>, end: bool) -> Vec<u8> {
    frame(0, if end { END_STREAM } else { 0 }, stream, payload)
}

pub(crate) fn padded_data(stream: u32, payload: &[u8], padding: u8, end: bool) -> Vec<u8> {
    let mut bytes = vec![padding];
    bytes.extend(payload);
    bytes.resize(bytes.len() + usize::from(padding), 0);
    frame(0, PADDED | u8::from(end), stream, bytes)
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(3, 0, stream, code.to_be_bytes())
}

pub(crate) fn settings(parameters: &[(u16, u32)]) -> Vec<u8> {
    let parameter = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(4, 0, 0, parameters.iter().flat_map(parameter).collect::<Vec<u8>>())
}

pub(crate) fn acknowledged() -> Vec<u8> {
    frame(4, 1, 0, [])
}

pub(crate) fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, [last.to_be_bytes(), code.to_be_bytes()].concat())
}

pub(crate) fn window_update(stream: u32) -> Vec<u8> {
    frame(8, 0, stream, 1000_u32.to_be_bytes())
}

/// A gRPC message of this length.
pub(crate) fn message(length: u32) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(length.to_be_bytes());
    bytes.resize(bytes.len() + length as usize, b'm');
    bytes
}

/// The encoder of one direction.
#[derive(Clone, Default)]
pub(crate) struct Encoder {
    table: VecDeque<(String, String)>,
}

impl Encoder {
    pub(crate) fn block(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        const STATIC: [(&str, &str, u8); 5] = [
            (":method", "GET", 2),
            (":method", "POST", 3),
            (":path", "/", 4),
            (":scheme", "http", 6),
            (":status", "200", 8),
        ];
        const NAMES: [(&str, u8); 5] =
            [(":authority", 1), (":method", 2), (":path", 4), (":scheme", 6), (":status", 8)];
        let mut bytes = Vec::new();
        for (name, value) in fields {
            let fixed = STATIC.iter().find(|(known, text, _)| known == name && text == value);
            let index = self.table.iter().position(|(known, text)| known == name && text == value);
            match (fixed, index) {
                (Some((.., index)), _) => bytes.push(0x80 | index),
                (None, Some(index)) if index < 60 => bytes.push(0x80 | (62 + index) as u8),
                _ => {
                    let known = NAMES.iter().find(|(known, _)| known == name);
                    bytes.push(0x40 | known.map_or(0, |(_, index)| *index));
                    if known.is_none() {
                        string(name, &mut bytes);
                    }
                    string(value, &mut bytes);
                    self.table.push_front((name.to_string(), value.to_string()));
                    while self.size() > 4096 {
                        self.table.pop_back();
                    }
                }
            }
        }
        bytes
    }

    fn size(&self) -> usize {
        self.table.iter().map(|(name, value)| name.len() + value.len() + 32).sum()
    }

    pub(crate) fn headers(&mut self, stream: u32, fields: &[(&str, &str)], end: bool) -> Vec<u8> {
        frame(1, END_HEADERS | u8::from(end), stream, self.block(fields))
    }

    pub(crate) fn get(&mut self, stream: u32, path: &str) -> Vec<u8> {
        self.headers(stream, &Self::request("GET", path), true)
    }

    pub(crate) fn post(&mut self, stream: u32, path: &str) -> Vec<u8> {
        self.headers(stream, &Self::request("POST", path), false)
    }

    pub(crate) fn call(&mut self, stream: u32, path: &str) -> Vec<u8> {
        let mut fields = Self::request("POST", path).to_vec();
        fields.extend([("content-type", "application/grpc"), ("te", "trailers")]);
        self.headers(stream, &fields, false)
    }

    pub(crate) fn status(&mut self, stream: u32, status: &str, end: bool) -> Vec<u8> {
        self.headers(stream, &[(":status", status)], end)
    }

    pub(crate) fn request<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
        [(":method", method), (":scheme", "http"), (":path", path), (":authority", "shop")]
    }

    /// HEADERS with padding and priority, in so many frames.
    pub(crate) fn pieces(
        &mut self,
        stream: u32,
        fields: &[(&str, &str)],
        end: bool,
        pieces: usize,
    ) -> Vec<u8> {
        let block = self.block(fields);
        let mut parts: VecDeque<_> = block.chunks(block.len().div_ceil(pieces).max(1)).collect();
        let mut payload = vec![3, 0, 0, 0, 0, 16];
        payload.extend(parts.pop_front().unwrap_or_default());
        payload.extend([0; 3]);
        let last = |index: usize| if index == parts.len() { END_HEADERS } else { 0 };
        let mut bytes = frame(1, PADDED | PRIORITY | u8::from(end) | last(0), stream, payload);
        for (index, part) in parts.iter().enumerate() {
            bytes.extend(frame(9, last(index + 1), stream, part));
        }
        bytes
    }
}

fn string(text: &str, bytes: &mut Vec<u8>) {
    match text.len().checked_sub(127) {
        None => bytes.push(text.len() as u8),
        // An integer of two bytes more (RFC 7541, 5.1).
        Some(rest) if rest < 1 << 14 => bytes.extend([127, 0x80 | rest as u8, (rest >> 7) as u8]),
        Some(_) => panic!("too long: {}", text.len()),
    }
    bytes.extend(text.as_bytes());
}
