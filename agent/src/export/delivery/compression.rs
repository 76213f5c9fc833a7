//! Compression of requests and answers, the same for HTTP and gRPC.

use std::io::{Read, Write};

use flate2::{read::MultiGzDecoder, write::GzEncoder};
use http::HeaderValue;

/// The level of zstd: its own default takes twice the time for a tenth less.
const ZSTD_LEVEL: i32 = 1;

/// The codings that answers may have.
pub(super) const ACCEPTED: &str = "gzip,zstd";

/// How requests are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Compression {
    #[default]
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// What `Content-Encoding` or `grpc-encoding` says.
    pub(super) fn coding(self) -> Option<HeaderValue> {
        match self {
            Self::None => None,
            Self::Gzip => Some(HeaderValue::from_static("gzip")),
            Self::Zstd => Some(HeaderValue::from_static("zstd")),
        }
    }

    pub(super) fn compress(self, message: Vec<u8>) -> Vec<u8> {
        match self {
            Self::None => message,
            Self::Gzip => {
                let level = flate2::Compression::fast();
                let mut encoder = GzEncoder::new(Vec::with_capacity(message.len() / 4), level);
                encoder
                    .write_all(&message)
                    .and_then(|()| encoder.finish())
                    .expect("writing to memory does not fail")
            }
            Self::Zstd => zstd::bulk::compress(&message, ZSTD_LEVEL)
                .expect("a message of known size fits the buffer that is made for it"),
        }
    }
}

/// An answer in this coding, so much of it at most: what is behind that is left out. `None`: it cannot be read.
pub(super) fn decompress(coding: &str, body: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let mut read = |reader: &mut dyn Read| reader.take(most as u64).read_to_end(&mut plain);
    match coding {
        "gzip" | "x-gzip" => read(&mut MultiGzDecoder::new(body)).ok()?,
        "zstd" => read(&mut zstd::Decoder::new(body).ok()?).ok()?,
        _ => return None,
    };
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_compressed_is_read_up_to_a_bound() {
        let message = vec![7; 10_000_000];
        for compression in [Compression::Gzip, Compression::Zstd] {
            let coding = compression.coding().unwrap();
            let body = compression.compress(message.clone());
            assert_eq!(decompress(coding.to_str().unwrap(), &body, 100), Some(vec![7; 100]));
            assert_eq!(decompress(coding.to_str().unwrap(), b"what is this", 100), None);
        }
        assert_eq!(decompress("br", b"", 100), None);
    }
}
