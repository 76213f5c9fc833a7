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
//! | the content of the request begins with what no message of gRPC begins with | HTTP |
//! | the request ends with its header block: that of a call ends with DATA | HTTP |
//!
//! `te: trailers`, what the path looks like and what other streams of the connection are say nothing. Nor does a response
//! of another content type that is no success: proxies give such ones to calls too.

mod deadline;

use self::deadline::Deadline;
use super::Exchange;
use crate::{
    percent,
    protocol::{
        Ending, Field, RequestHead, ResponseHead, Side, Trailers, Version,
        http2::{CANCEL, grpc::Content},
    },
};

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

    /// gRPC over HTTP/2, Errors: a stream that the server reset, but not with CANCEL. Of what is missing here clients
    /// make different codes (of NO_ERROR grpc-java UNAVAILABLE, of FLOW_CONTROL_ERROR grpc-go RESOURCE_EXHAUSTED, others
    /// INTERNAL).
    fn of_reset(code: u32) -> Option<Self> {
        match code {
            0x1 | 0x2 | 0x4 | 0x6 | 0x9 | 0xa => Some(Self::Internal),
            0x7 => Some(Self::Unavailable),
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

/// `grpc-message`, decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) text: Box<str>,
    /// It was longer.
    pub(crate) cut: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Rpc {
    /// `None`: it is not known whether it is one.
    content: Option<Content>,
    code: Option<Code>,
    message: Option<Message>,
    /// A response that is none of gRPC's means this code, whatever follows its head.
    refused: Option<Code>,
    deadline: Deadline,
    /// Fields of the response that may have held a code are unknown.
    incomplete: bool,
    /// A response of gRPC's, of HTTP status 200, whose trailers did not come so far: where it ends with DATA clients make
    /// different codes (grpc-go and grpc-java INTERNAL).
    untrailed: bool,
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
        let deadline = match value(head.fields, b"grpc-timeout") {
            Some(text) => Deadline::parse(text),
            None if head.fields_incomplete => Deadline::Unknown,
            None => Deadline::None,
        };
        Some(Box::new(Self {
            content,
            code: None,
            message: None,
            refused: None,
            deadline,
            incomplete: false,
            untrailed: false,
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

    /// What the response says, whatever became of the stream.
    pub(crate) fn answer(&self) -> Option<Code> {
        self.code.or(self.refused)
    }

    pub(crate) fn message(&self) -> Option<&Message> {
        self.message.as_ref()
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
        // HTTP/1 has trailers too, which are not read.
        let chunked = head.version != Version::Http2 && content == Some(Content::Grpc);
        rpc.read(head.fields, head.fields_incomplete || chunked);
        let foreign = matches!(content, Some(Content::Other)) || content.is_none() && !head.fields_incomplete;
        rpc.refused = head.status.filter(|status| foreign && *status != 200).map(Code::of_http);
        rpc.untrailed = head.status == Some(200) && content == Some(Content::Grpc);
        rpc.served |=
            rpc.code.is_none() && head.status == Some(200) && !matches!(content, Some(Content::Other));
    }

    pub(crate) fn trailers(&mut self, trailers: &Trailers<'_>) {
        if let Some(rpc) = &mut self.rpc {
            rpc.untrailed = false;
            rpc.read(trailers.fields, trailers.fields_incomplete);
            // A response whose only content is that the method is not there.
            rpc.served &= rpc.code != Some(Code::Unimplemented);
        }
    }

    /// The code of a gRPC call: that of the response, or the one that a client makes up for want of it.
    pub(crate) fn code(&self) -> Option<Code> {
        let rpc = self.rpc.as_ref()?;
        if let Some(code) = rpc.answer() {
            return Some(code);
        }
        match self.ending {
            Some(Ending::Reset { code: CANCEL, .. }) => {
                let end = self.end.unwrap_or_default();
                rpc.deadline.code(end.saturating_sub(self.start()), self.side)
            }
            Some(Ending::Reset { code, by: Side::Server }) => Code::of_reset(code),
            Some(Ending::GoneAway { served: false, .. }) => Some(Code::Unavailable),
            // A client that closes the connection itself has given the call up, for a reason of its own.
            Some(Ending::Failed(_) | Ending::Closed { by_peer: true }) if self.side == Side::Client => {
                Some(Code::Unavailable)
            }
            Some(_) => None,
            None if rpc.incomplete => None,
            // gRPC-Web has it in the content, which may not have been read to its end.
            None if rpc.content != Some(Content::Grpc) => None,
            None if rpc.untrailed => None,
            None => self.status.map(Code::of_http),
        }
    }
}

fn value<'a>(fields: &[Field<'a>], name: &[u8]) -> Option<&'a [u8]> {
    let named = |field: &&Field<'_>| field.name.len() == name.len() && field.name.eq_ignore_ascii_case(name);
    fields.iter().find(named).map(|field| field.value)
}

/// `grpc-message` is percent-encoded UTF-8; what is not is taken as it is (gRPC over HTTP/2, Status-Message).
fn percent_decoded(text: &[u8]) -> Message {
    let mut decoded = Vec::with_capacity(text.len().min(MESSAGE_MAX));
    let mut rest = text;
    while let Some((first, after)) = rest.split_first()
        && decoded.len() < MESSAGE_MAX
    {
        let (byte, after) = percent::escape(rest).unwrap_or((*first, after));
        decoded.push(byte);
        rest = after;
    }
    let cut = !rest.is_empty();
    // Between characters.
    if let Err(error) = core::str::from_utf8(&decoded)
        && cut
        && error.error_len().is_none()
    {
        decoded.truncate(error.valid_up_to());
    }
    Message { text: String::from_utf8_lossy(&decoded).into(), cut }
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
    fn messages_are_percent_decoded() {
        let decoded = |text: &[u8]| {
            let Message { text, cut } = percent_decoded(text);
            (text.into_string(), cut)
        };
        assert_eq!(decoded(b"not%20found: %E2%82%AC 100%"), ("not found: \u{20ac} 100%".to_owned(), false));
        assert_eq!(decoded(b"%zz%4"), ("%zz%4".to_owned(), false));
        assert_eq!(decoded(&[b'a'; MESSAGE_MAX]), ("a".repeat(MESSAGE_MAX), false));
        assert_eq!(decoded(&[b'a'; 5000]), ("a".repeat(MESSAGE_MAX), true));
        let euros = "%E2%82%AC".repeat(400);
        assert_eq!(
            decoded(euros.as_bytes()),
            ("\u{20ac}".repeat(MESSAGE_MAX / 3), true),
            "between characters"
        );
    }
}
