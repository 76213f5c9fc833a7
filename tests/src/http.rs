//! Just enough HTTP/1.1 to be both ends of a test: blocking, and strict about what it accepts.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    time::Duration,
};

/// Nothing in a test takes this long on an idle machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    pub fn loopback(port: u16) -> Self {
        Self::Tcp(([127, 0, 0, 1], port).into())
    }

    /// `HOST:PORT` or `unix:PATH`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.strip_prefix("unix:") {
            Some(path) => Some(Self::Unix(path.into())),
            None => text.parse().ok().map(Self::Tcp),
        }
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A stream of either family.
#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    pub fn connect(address: &Address) -> io::Result<Self> {
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, TIMEOUT)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                Ok(Self::Tcp(stream))
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(TIMEOUT))?;
                Ok(Self::Unix(stream))
            }
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The head of a message, and its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub start_line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        self.start_line.split(' ').nth(1)?.parse().ok()
    }
}

/// A connection with what was read from it and not yet used.
#[derive(Debug)]
pub struct Connection<S = Stream> {
    pub stream: S,
    buffer: Vec<u8>,
    used: usize,
}

impl Connection {
    pub fn open(address: &Address) -> io::Result<Self> {
        Stream::connect(address).map(Self::new)
    }
}

impl<S: Read + Write> Connection<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(4096), used: 0 }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Reads one message; `None` at an end of stream before its first byte.
    /// `bodiless` is for responses to HEAD and the like.
    pub fn receive(&mut self, bodiless: bool) -> io::Result<Option<Message>> {
        let Some(end) = self.head_end()? else { return Ok(None) };
        let head = String::from_utf8_lossy(&self.buffer[self.used..end]).into_owned();
        self.used = end;
        let mut lines = head.split("\r\n");
        let mut message =
            Message { start_line: lines.next().unwrap_or_default().to_owned(), ..Message::default() };
        message.headers.extend(
            lines
                .filter_map(|line| line.split_once(':'))
                .map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned())),
        );
        if !bodiless {
            message.body = self.body(&message)?;
        }
        Ok(Some(message))
    }

    fn body(&mut self, message: &Message) -> io::Result<Vec<u8>> {
        if message.header("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            let mut body = Vec::new();
            loop {
                let line = self.line()?;
                let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16)
                    .map_err(|e| invalid(format!("chunk size {line:?}: {e}")))?;
                body.extend(self.take(size)?);
                self.line()?;
                if size == 0 {
                    return Ok(body);
                }
            }
        }
        match message.header("content-length") {
            Some(length) => {
                let length =
                    length.parse().map_err(|e| invalid(format!("content-length {length:?}: {e}")))?;
                self.take(length)
            }
            // A response without a length ends with the connection (RFC 9112, 6.3); a request has no body.
            None if message.start_line.starts_with("HTTP/") && message.status() != Some(204) => {
                while self.fill()? > 0 {}
                self.take(self.buffer.len() - self.used)
            }
            None => Ok(Vec::new()),
        }
    }

    /// Position behind the empty line.
    fn head_end(&mut self) -> io::Result<Option<usize>> {
        let mut searched = self.used;
        loop {
            if let Some(at) = self.buffer[searched..].windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(Some(searched + at + 4));
            }
            let unread = self.buffer.len() - self.used;
            searched = self.used + unread.saturating_sub(3);
            if self.used > 0 && self.used == self.buffer.len() {
                (self.used, searched) = (0, 0);
                self.buffer.clear();
            }
            if self.fill()? == 0 {
                return if unread == 0 { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(length) = self.buffer[self.used..].windows(2).position(|window| window == b"\r\n") {
                let line = self.take(length)?;
                self.take(2)?;
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() - self.used < length {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let bytes = self.buffer[self.used..self.used + length].to_vec();
        self.used += length;
        Ok(bytes)
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 16 << 10];
        let length = self.stream.read(&mut bytes)?;
        self.buffer.extend_from_slice(&bytes[..length]);
        Ok(length)
    }
}

/// One GET on a connection of its own; the status.
pub fn get(address: &Address, target: &str) -> io::Result<Message> {
    let mut connection = Connection::open(address)?;
    connection.send(format!("GET {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))?;
    connection.receive(false)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
