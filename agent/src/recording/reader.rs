//! Reads recordings.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use engine::event::Time;

use super::{FORMAT, FRAME_MAX, Frame, HEADER_MAX, Header, NOT_TASKS, RECORD, RESOURCE, TICK, byte_order};

/// Why a recording could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read the recording: {0}")]
    Io(#[from] io::Error),
    #[error("this is not a recording of spandrel: {0}")]
    Header(String),
    #[error("the recording is of format version {0}, this program reads version {version}", version = abi::VERSION)]
    Version(u32),
    #[error("the recording was made on a machine with the other byte order")]
    ByteOrder,
    #[error("the recording is broken at frame {frame}: {reason}")]
    Broken { frame: u64, reason: String },
}

/// Reads a recording: an iterator of frames that ends at the first error.
pub struct Reader<R> {
    header: Header,
    input: R,
    frame: u64,
    failed: bool,
}

impl Reader<BufReader<File>> {
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        Self::new(BufReader::with_capacity(1024 * 1024, File::open(path)?))
    }
}

impl<R: BufRead> Reader<R> {
    /// Reads the header.
    pub fn new(mut input: R) -> Result<Self, ReadError> {
        let mut line = Vec::new();
        input.by_ref().take(HEADER_MAX).read_until(b'\n', &mut line)?;
        let header: Header =
            serde_json::from_slice(&line).map_err(|error| ReadError::Header(error.to_string()))?;
        if header.format != FORMAT {
            return Err(ReadError::Header(format!("its format is `{}`", header.format)));
        }
        if header.abi != abi::VERSION {
            return Err(ReadError::Version(header.abi));
        }
        if header.byte_order != byte_order() {
            return Err(ReadError::ByteOrder);
        }
        Ok(Self { header, input, frame: 0, failed: false })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    fn read(&mut self) -> Result<Option<Frame>, ReadError> {
        self.frame += 1;
        let frame = self.frame;
        let broken = |reason: &str| ReadError::Broken { frame, reason: reason.into() };
        let mut kind = [0];
        if self.input.read(&mut kind)? == 0 {
            return Ok(None);
        }
        let mut length = [0; 4];
        self.input.read_exact(&mut length).map_err(|_| broken("it ends in a length"))?;
        let length = u32::from_ne_bytes(length) as usize;
        if length > FRAME_MAX {
            return Err(broken(&format!("{length} bytes are more than any frame has")));
        }
        let mut bytes = vec![0; length];
        self.input.read_exact(&mut bytes).map_err(|_| broken("the file ends in it"))?;
        let [kind] = kind;
        match kind {
            RECORD => Ok(Frame::Record(bytes)),
            TICK => bytes
                .try_into()
                .map(|bytes| Frame::Tick(Time::from_ne_bytes(bytes)))
                .map_err(|_| broken("a time is 8 bytes")),
            RESOURCE => serde_json::from_slice(&bytes)
                .map(Frame::Resource)
                .map_err(|error| broken(&error.to_string())),
            NOT_TASKS => bytes
                .try_into()
                .map(|bytes| Frame::NotTasks(u32::from_ne_bytes(bytes)))
                .map_err(|_| broken("a process id is 4 bytes")),
            unknown => Err(broken(&format!("its kind {unknown} is unknown"))),
        }
        .map(Some)
    }
}

impl<R: BufRead> Iterator for Reader<R> {
    type Item = Result<Frame, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let frame = self.read();
        self.failed = frame.is_err();
        frame.transpose()
    }
}
