//! What makes an exchange a gRPC call, and how that ended.
//!
//! The content type of the request says whether it is one. If that is unknown (a connection joined late, a gap), what
//! else is known may say so, and if nothing does, the exchange is shown as neither:
//!
//! | known | it is |
//! |---|---|
//! | a method other than POST, which is the only one of gRPC | HTTP |
//! | the content type of the response is one of gRPC's, or it has `grpc-status` | a call |
//! | the response is successful (2xx), of another content type | HTTP |
//!
//! `te: trailers`, what the path looks like and what other streams of the connection are say nothing. Nor does a response
//! of another content type that is no success: proxies give such ones to calls too.

use crate::{
    event::Time,
    percent,
    protocol::{
        Ending, Field, RequestHead, ResponseHead, Side, Trailers,
        http2::{CANCEL, grpc::Content},
    },
};

use super::Exchange;

const MILLISECOND: Time = 1_000_000;
const SECOND: Time = 1_000 * MILLISECOND;
/// Longest text of a status that is kept.
const MESSAGE_MAX: usize = 1024;

/// A status code (https://grpc.github.io/grpc/core/md_doc_statuscodes.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Ok,
    Cancelled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

/// In the order of their numbers.
const CODES: [(Code, &str); 17] = [
    (Code::Ok, "OK"),
    (Code::Cancelled, "CANCELLED"),
    (Code::Unknown, "UNKNOWN"),
    (Code::InvalidArgument, "INVALID_ARGUMENT"),
    (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"),
    (Code::NotFound, "NOT_FOUND"),
    (Code::AlreadyExists, "ALREADY_EXISTS"),
    (Code::PermissionDenied, "PERMISSION_DENIED"),
    (Code::ResourceExhausted, "RESOURCE_EXHAUSTED"),
    (Code::FailedPrecondition, "FAILED_PRECONDITION"),
    (Code::Aborted, "ABORTED"),
    (Code::OutOfRange, "OUT_OF_RANGE"),
    (Code::Unimplemented, "UNIMPLEMENTED"),
    (Code::Internal, "INTERNAL"),
    (Code::Unavailable, "UNAVAILABLE"),
    (Code::DataLoss, "DATA_LOSS"),
    (Code::Unauthenticated, "UNAUTHENTICATED"),
];

impl Code {
    /// Of `grpc-status`. A number that is none of these means UNKNOWN.
    fn parse(text: &[u8]) -> Option<Self> {
        let number: u32 = core::str::from_utf8(text).ok()?.parse().ok()?;
        let known = usize::try_from(number).ok().and_then(|number| CODES.get(number));
        Some(known.map_or(Self::Unknown, |(code, _)| *code))
    }

    pub(crate) fn name(self) -> &'static str {
        CODES.get(self as usize).map_or("UNKNOWN", |(_, name)| name)
    }

    /// gRPC's `http-grpc-status-mapping.md`: a response without `grpc-status`.
    fn of_http(status: u16) -> Self {
        match status {
            400 => Self::Internal,
            401 => Self::Unauthenticated,
            403 => Self::PermissionDenied,
            404 => Self::Unimplemented,
            429 | 502 | 503 | 504 => Self::Unavailable,
            _ => Self::Unknown,
        }
    }

    /// gRPC over HTTP/2, Errors: a stream that the server reset.
    fn of_reset(code: u32) -> Option<Self> {
        match code {
            0x0..=0x4 | 0x6 | 0x9 | 0xa => Some(Self::Internal),
            0x7 => Some(Self::Unavailable),
            CANCEL => Some(Self::Cancelled),
            0xb => Some(Self::ResourceExhausted),
            0xc => Some(Self::PermissionDenied),
            _ => None,
        }
    }

    /// OpenTelemetry's conventions for gRPC: which codes are errors.
    pub(crate) fn is_error(self, side: Side) -> bool {
        match side {
            Side::Client => self != Self::Ok,
            Side::Server => matches!(
                self,
                Self::Unknown
                    | Self::DeadlineExceeded
                    | Self::Unimplemented
                    | Self::Internal
                    | Self::Unavailable
                    | Self::DataLoss
            ),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Rpc {
    /// `None`: it is not known whether it is one.
    content: Option<Content>,
    code: Option<Code>,
    message: Option<Box<str>>,
    /// How long the client wants to wait.
    timeout: Option<Time>,
    /// Fields of the response that may have held a code are unknown.
    incomplete: bool,
    /// It was answered by more than trailers.
    served: bool,
    /// How many messages the request and the response have.
    pub(crate) messages: [Option<u64>; 2],
    /// Server: its method is none that the service is known to have.
    pub(crate) unrecognised: bool,
}

impl Rpc {
    pub(crate) fn of_request(head: &RequestHead<'_>) -> Option<Box<Self>> {
        let content = match Content::of_fields(head.fields) {
            Some(Content::Other) => return None,
            None if !head.fields_incomplete => return None,
            None if head.method.is_some_and(|method| method != b"POST") => return None,
            content => content,
        };
        Some(Box::new(Self {
            content,
            code: None,
            message: None,
            timeout: value(head.fields, b"grpc-timeout").and_then(timeout),
            incomplete: false,
            served: false,
            messages: [None; 2],
            unrecognised: false,
        }))
    }

    pub(crate) fn is_sure(&self) -> bool {
        self.content.is_some()
    }

    /// What the response says, by itself.
    pub(crate) fn returned(&self) -> Option<Code> {
        self.code
    }

    pub(crate) fn message(&self) -> Option<&str> {
        self.message.as_deref()
    }

    /// The service has this method: it was answered by something else than that it has not.
    pub(crate) fn is_served(&self) -> bool {
        self.served || self.code.is_some_and(|code| code != Code::Unimplemented)
    }

    /// The service said that it has no such method, in whatever way.
    pub(crate) fn is_unimplemented(&self, status: Option<u16>) -> bool {
        self.code == Some(Code::Unimplemented) || self.code.is_none() && status == Some(404)
    }

    fn read(&mut self, fields: &[Field<'_>], incomplete: bool) {
        if let Some(code) = value(fields, b"grpc-status").and_then(Code::parse) {
            self.code = Some(code);
            // Nobody else sends this field.
            self.content = self.content.or(Some(Content::Grpc));
            self.message =
                value(fields, b"grpc-message").filter(|text| !text.is_empty()).map(percent_decoded);
        } else {
            self.incomplete |= incomplete;
        }
    }
}

impl Exchange {
    /// The head of the final response.
    pub(crate) fn answered_by(&mut self, head: &ResponseHead<'_>) {
        let Some(rpc) = &mut self.rpc else { return };
        let content = Content::of_fields(head.fields);
        if !rpc.is_sure() {
            match content {
                Some(Content::Other) if head.status.is_some_and(|status| status / 100 == 2) => {
                    self.rpc = None;
                    return;
                }
                content => rpc.content = content.filter(|content| *content != Content::Other),
            }
        }
        rpc.read(head.fields, head.fields_incomplete);
        rpc.served |=
            rpc.code.is_none() && head.status == Some(200) && !matches!(content, Some(Content::Other));
    }

    pub(crate) fn trailers(&mut self, trailers: &Trailers<'_>) {
        if let Some(rpc) = &mut self.rpc {
            rpc.read(trailers.fields, trailers.fields_incomplete);
            // A response whose only content is that the method is not there.
            rpc.served &= rpc.code != Some(Code::Unimplemented);
        }
    }

    /// The code of a gRPC call: that of the response, or the one that a client makes up for want of it.
    pub(crate) fn code(&self) -> Option<Code> {
        let rpc = self.rpc.as_ref()?;
        if rpc.code.is_some() {
            return rpc.code;
        }
        match self.ending {
            Some(Ending::Reset { code: CANCEL, by: Side::Client }) if self.is_overdue() => {
                Some(Code::DeadlineExceeded)
            }
            Some(Ending::Reset { code: CANCEL, by: Side::Client }) => Some(Code::Cancelled),
            Some(Ending::Reset { code, by: Side::Server }) => Code::of_reset(code),
            Some(Ending::Failed(_) | Ending::Closed) if self.side == Side::Client => Some(Code::Unavailable),
            Some(_) => None,
            // gRPC-Web has it in the content, which may not have been looked at.
            None if self.status == Some(200) && (rpc.incomplete || rpc.content != Some(Content::Grpc)) => {
                None
            }
            None if rpc.incomplete => None,
            None => self.status.map(Code::of_http),
        }
    }

    /// The client gave up when its time was over. It counts from a little before the request is written, and
    /// writes the time rounded, by up to a hundredth (gRPC's C core).
    fn is_overdue(&self) -> bool {
        const SLACK: Time = 5 * MILLISECOND;
        let timeout = self.rpc.as_ref().and_then(|rpc| rpc.timeout);
        timeout.zip(self.end).is_some_and(|(timeout, end)| {
            let slack = SLACK.saturating_add(timeout.checked_div(100).unwrap_or_default());
            end.saturating_sub(self.start()).saturating_add(slack) >= timeout
        })
    }
}

fn value<'a>(fields: &[Field<'a>], name: &[u8]) -> Option<&'a [u8]> {
    let named = |field: &&Field<'_>| field.name.len() == name.len() && field.name.eq_ignore_ascii_case(name);
    fields.iter().find(named).map(|field| field.value)
}

/// Up to 8 digits and a unit (gRPC over HTTP/2, Timeout).
fn timeout(text: &[u8]) -> Option<Time> {
    let (unit, digits) = text.split_last()?;
    let unit = match unit {
        b'H' => 3_600 * SECOND,
        b'M' => 60 * SECOND,
        b'S' => SECOND,
        b'm' => MILLISECOND,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    if digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    core::str::from_utf8(digits).ok()?.parse::<Time>().ok()?.checked_mul(unit)
}

/// `grpc-message` is percent-encoded UTF-8; what is not is taken as it is (gRPC over HTTP/2, Status-Message).
fn percent_decoded(text: &[u8]) -> Box<str> {
    let mut decoded = Vec::with_capacity(text.len().min(MESSAGE_MAX));
    let mut rest = text;
    while let Some((first, after)) = rest.split_first()
        && decoded.len() < MESSAGE_MAX
    {
        let (byte, after) = percent::escape(rest).unwrap_or((*first, after));
        decoded.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&decoded).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_named_by_their_numbers() {
        for (number, (code, name)) in CODES.into_iter().enumerate() {
            assert_eq!(Code::parse(number.to_string().as_bytes()), Some(code));
            assert_eq!((code as usize, code.name()), (number, name));
        }
        assert_eq!(Code::parse(b"17"), Some(Code::Unknown));
        assert_eq!(Code::parse(b"x"), None);
        assert_eq!(Code::parse(b""), None);
    }

    #[test]
    fn a_client_takes_all_codes_but_ok_for_errors_and_a_server_six() {
        let errors = |side| CODES.iter().filter(move |(code, _)| code.is_error(side)).map(|(_, name)| *name);
        assert_eq!(errors(Side::Client).count(), 16);
        assert_eq!(
            errors(Side::Server).collect::<Vec<_>>(),
            ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"]
        );
    }

    #[test]
    fn timeouts_have_a_unit() {
        assert_eq!(timeout(b"100m"), Some(100 * MILLISECOND));
        assert_eq!(timeout(b"2S"), Some(2 * SECOND));
        assert_eq!(timeout(b"99999999M"), Some(99_999_999 * 60 * SECOND));
        // For ever, as far as a clock of 64 bits goes.
        assert_eq!(timeout(b"99999999H"), None);
        for wrong in ["", "m", "1", "123456789m", "-1m", "1x"] {
            assert_eq!(timeout(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn messages_are_percent_decoded() {
        assert_eq!(&*percent_decoded(b"not%20found: %E2%82%AC 100%"), "not found: \u{20ac} 100%");
        assert_eq!(&*percent_decoded(b"%zz%4"), "%zz%4");
        assert_eq!(percent_decoded(&[b'a'; 5000]).len(), MESSAGE_MAX);
    }
}
