//! Frame headers (RFC 9113, 4.1): what may stand where, and what surely does not.

/// Length of a frame header.
pub(super) const HEADER: usize = 9;
/// The payload that every receiver accepts, and the largest that is used unless SETTINGS allow more (4.2).
pub(super) const PAYLOAD_USUAL: u32 = 16_384;

/// Flags (6.1, 6.2, 6.5).
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const ACK: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

/// Types of frames (11.2 and the registry). Extensions carry nothing that is of interest here (5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// ALTSVC, ORIGIN, PRIORITY_UPDATE.
    Registered,
    Unknown,
}

impl Kind {
    fn of(number: u8) -> Self {
        match number {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::Reset,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            0xa | 0xc | 0x10 => Self::Registered,
            _ => Self::Unknown,
        }
    }

    /// Flags that are defined for this type.
    fn flags(self) -> u8 {
        match self {
            Self::Data => END_STREAM | PADDED,
            Self::Headers => END_STREAM | END_HEADERS | PADDED | PRIORITY,
            Self::PushPromise => END_HEADERS | PADDED,
            Self::Continuation => END_HEADERS,
            Self::Settings | Self::Ping => ACK,
            Self::Priority | Self::Reset | Self::GoAway | Self::WindowUpdate | Self::Registered => 0,
            Self::Unknown => u8::MAX,
        }
    }
}

/// A frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: u32,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    pub(super) stream: u32,
    /// The reserved bit, which a sender leaves unset.
    reserved: bool,
}

impl Head {
    /// Reads the first 9 bytes, if they are there.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, d, e, f, g] = *bytes.first_chunk::<HEADER>()?;
        let stream = u32::from_be_bytes([d, e, f, g]);
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]),
            kind: Kind::of(kind),
            flags,
            stream: stream & 0x7fff_ffff,
            reserved: stream >> 31 != 0,
        })
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Follows the rules that every receiver enforces: lengths and streams (6.1 to 6.10).
    pub(super) fn is_valid(&self) -> bool {
        let (length, stream) = (self.length, self.stream != 0);
        let padding = u32::from(self.has(PADDED));
        match self.kind {
            Kind::Data => stream && length >= padding,
            Kind::Headers => {
                stream && length >= padding.saturating_add(if self.has(PRIORITY) { 5 } else { 0 })
            }
            // One of another length is an error of its stream, not of the connection (6.3).
            Kind::Priority => stream,
            Kind::Reset => stream && length == 4,
            Kind::Settings => !stream && length.is_multiple_of(6) && (length == 0 || !self.has(ACK)),
            Kind::PushPromise => stream && length >= padding.saturating_add(4),
            Kind::Ping => !stream && length == 8,
            Kind::GoAway => !stream && length >= 8,
            Kind::WindowUpdate => length == 4,
            Kind::Continuation => stream,
            Kind::Registered | Kind::Unknown => true,
        }
    }

    /// Follows the rules that a frame header keeps and other bytes hardly do: where one is sought.
    /// `requests`: these are the frames of a client; `None`: it is not known whose they are.
    pub(super) fn is_plausible(&self, requests: Option<bool>) -> bool {
        const SETTINGS_MAX: u32 = 6 * 32;
        const SMALL: u32 = 1024;
        let odd = self.stream % 2 == 1;
        let usual = match self.kind {
            Kind::Unknown => false,
            // Only a server's streams are even, and nobody sends requests on them (5.1.1).
            Kind::Data | Kind::Headers | Kind::Continuation => odd || requests != Some(true),
            Kind::PushPromise => odd && requests != Some(true),
            Kind::Settings => self.length <= SETTINGS_MAX,
            Kind::GoAway | Kind::Registered => self.length <= SMALL,
            Kind::Priority => self.length == 5,
            Kind::Reset | Kind::Ping | Kind::WindowUpdate => true,
        };
        let flags = self.flags & !self.kind.flags() == 0;
        usual && flags && !self.reserved && (self.kind == Kind::Data || self.is_usual()) && self.is_valid()
    }

    /// It is no longer than every receiver accepts.
    pub(super) fn is_usual(&self) -> bool {
        self.length <= PAYLOAD_USUAL
    }
}

/// The name of an error code (RFC 9113, 7); one that is not registered is the conventions' fallback.
pub(crate) fn error_name(code: u32) -> &'static str {
    match code {
        0x0 => "NO_ERROR",
        0x1 => "PROTOCOL_ERROR",
        0x2 => "INTERNAL_ERROR",
        0x3 => "FLOW_CONTROL_ERROR",
        0x4 => "SETTINGS_TIMEOUT",
        0x5 => "STREAM_CLOSED",
        0x6 => "FRAME_SIZE_ERROR",
        0x7 => "REFUSED_STREAM",
        0x8 => "CANCEL",
        0x9 => "COMPRESSION_ERROR",
        0xa => "CONNECT_ERROR",
        0xb => "ENHANCE_YOUR_CALM",
        0xc => "INADEQUATE_SECURITY",
        0xd => "HTTP_1_1_REQUIRED",
        _ => "_OTHER",
    }
}

pub(crate) const NO_ERROR: u32 = 0x0;
pub(crate) const REFUSED_STREAM: u32 = 0x7;
pub(crate) const CANCEL: u32 = 0x8;
