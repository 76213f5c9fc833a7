//! Outcome: what a collector's answer means for the request, by the tables of the OTLP specification
//! (<https://opentelemetry.io/docs/specs/otlp/#failures>, `#failures-1`).

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{
    HeaderMap, StatusCode, Uri,
    header::{CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER},
};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    compression::decompress,
    settings::Protocol,
    transport::{ANSWER_BYTES, hint},
};

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Delivered, but for spans that the collector rejected (partial success).
    Accepted { rejected: u64, message: String },
    /// Send it again, not before the time that the collector asked for.
    Retry { after: Option<Duration>, error: String },
    /// Never send it again.
    Refused { error: String },
}

/// An answer; of a long body the beginning.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) trailers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn outcome(&self, protocol: Protocol, endpoint: &Uri) -> Outcome {
        match protocol {
            Protocol::HttpProtobuf => self.http(endpoint),
            Protocol::Grpc => self.grpc(endpoint),
            Protocol::Zipkin => self.zipkin(endpoint),
        }
    }

    fn http(&self, endpoint: &Uri) -> Outcome {
        if self.is_grpc() {
            let error =
                format!("HTTP {} with a gRPC answer{}", self.status, hint(Protocol::HttpProtobuf, endpoint));
            return Outcome::Refused { error };
        }
        if self.status.is_success() {
            let coding = self.headers.contains_key(CONTENT_ENCODING).then_some(CONTENT_ENCODING.as_str());
            return self.accepted(&self.body, coding);
        }
        self.http_failure(Protocol::HttpProtobuf, endpoint)
    }

    /// Zipkin says 202 before it looks at the spans, so there is nothing to read. What fails is tried again like
    /// OTLP: its API says no more of answers than that.
    fn zipkin(&self, endpoint: &Uri) -> Outcome {
        if self.status.is_success() {
            return Outcome::Accepted { rejected: 0, message: String::new() };
        }
        self.http_failure(Protocol::Zipkin, endpoint)
    }

    fn http_failure(&self, protocol: Protocol, endpoint: &Uri) -> Outcome {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                Outcome::Retry { after: self.retry_after(), error: self.http_error() }
            }
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                let error = self.http_error();
                Outcome::Refused {
                    error: format!("{error} for {}{}", endpoint.path(), hint(protocol, endpoint)),
                }
            }
            _ => Outcome::Refused { error: self.http_error() },
        }
    }

    fn grpc(&self, endpoint: &Uri) -> Outcome {
        if !self.is_grpc() {
            let error = self.http_error();
            // A proxy in between answers for a collector that is away.
            // (<https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md>)
            return match self.status.as_u16() {
                429 | 502..=504 => Outcome::Retry { after: self.retry_after(), error },
                _ => Outcome::Refused {
                    error: format!("{error}, which is no gRPC answer{}", hint(Protocol::Grpc, endpoint)),
                },
            };
        }
        // A call that fails at once has its status in the headers.
        let status =
            Status::from_header_map(&self.trailers).or_else(|| Status::from_header_map(&self.headers));
        let Some(status) = status else {
            return Outcome::Refused { error: format!("a gRPC answer without status, HTTP {}", self.status) };
        };
        if status.code() == Code::Ok {
            // A flag and a length.
            let message = self.body.get(5..).unwrap_or_default();
            let compressed = self.body.first().is_some_and(|flag| flag & 1 == 1);
            return self.accepted(message, compressed.then_some("grpc-encoding"));
        }
        let retry_info = status.get_details_retry_info();
        let says_when = retry_info.is_some();
        let after = retry_info.and_then(|info| info.retry_delay);
        let error = format!("gRPC status {:?}: {}", status.code(), printable(status.message()));
        match status.code() {
            Code::Cancelled
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unavailable
            | Code::DataLoss => Outcome::Retry { after, error },
            Code::ResourceExhausted if says_when => Outcome::Retry { after, error },
            Code::Unimplemented => {
                Outcome::Refused { error: format!("{error}{}", hint(Protocol::Grpc, endpoint)) }
            }
            Code::Ok
            | Code::Unknown
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Internal
            | Code::Unauthenticated => Outcome::Refused { error },
        }
    }

    /// A success, whose message may be compressed as this header says. One that is not understood is a success all the
    /// same: the spans were taken.
    fn accepted(&self, message: &[u8], coding: Option<&str>) -> Outcome {
        let Some(header) = coding else { return accepted(message) };
        let coding = self.headers.get(header).and_then(|value| value.to_str().ok()).unwrap_or("identity");
        if coding.eq_ignore_ascii_case("identity") {
            return accepted(message);
        }
        match decompress(&coding.to_ascii_lowercase(), message, ANSWER_BYTES) {
            Some(message) => accepted(&message),
            None => {
                let message = printable(&format!("its answer cannot be read ({header}: {coding})"));
                Outcome::Accepted { rejected: 0, message }
            }
        }
    }

    pub(super) fn is_grpc(&self) -> bool {
        self.headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
    }

    /// The status, and the message of the `Status` that failed answers carry.
    fn http_error(&self) -> String {
        let status = self.status;
        match tonic_types::pb::Status::decode(self.body.clone()) {
            Ok(details) if !details.message.is_empty() => {
                format!("HTTP {status}: {}", printable(&details.message))
            }
            _ => format!("HTTP {status}"),
        }
    }

    /// Seconds or a date (RFC 9110, section 10.2.3).
    fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        Some(date.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

/// A success with this message.
fn accepted(body: &[u8]) -> Outcome {
    let partial = ExportTraceServiceResponse::decode(body).ok().and_then(|response| response.partial_success);
    let partial = partial.unwrap_or_default();
    Outcome::Accepted {
        rejected: u64::try_from(partial.rejected_spans).unwrap_or_default(),
        message: printable(&partial.error_message),
    }
}

/// A collector's message for the log: one short line without control characters.
fn printable(message: &str) -> String {
    message.chars().map(|character| if character.is_control() { ' ' } else { character }).take(300).collect()
}
