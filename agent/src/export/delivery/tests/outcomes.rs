//! The tables of the OTLP specification: which answers are retried.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::export::delivery::{
    outcome::{Answer, Outcome},
    settings::Protocol,
};

fn endpoint() -> Uri {
    "http://collector:4318/v1/traces".parse().unwrap()
}

fn http(status: u16, retry_after: Option<&str>) -> Outcome {
    let mut headers = HeaderMap::new();
    if let Some(value) = retry_after {
        headers.insert("retry-after", value.parse().unwrap());
    }
    let body = tonic_types::pb::Status { code: 3, message: "because\x1b".to_owned(), details: Vec::new() };
    let status = StatusCode::from_u16(status).unwrap();
    let body = if status.is_success() { Bytes::new() } else { body.encode_to_vec().into() };
    Answer { status, headers, trailers: HeaderMap::new(), body }.outcome(Protocol::HttpProtobuf, &endpoint())
}

/// The status stands in the trailers, or for a call that failed at once in the headers.
fn grpc(status: Status, at_once: bool) -> Outcome {
    let http = status.into_http::<()>();
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    let mut trailers = http.headers().clone();
    if at_once {
        headers.extend(std::mem::take(&mut trailers));
    }
    Answer { status: StatusCode::OK, headers, trailers, body: Bytes::new() }
        .outcome(Protocol::Grpc, &endpoint())
}

fn is_retried(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Retry { .. })
}

#[test]
fn http_answers_are_retried_as_the_table_says() {
    for status in [429, 502, 503, 504] {
        assert!(is_retried(&http(status, None)), "{status}");
    }
    for status in [301, 400, 401, 403, 404, 405, 413, 415, 500, 501, 505] {
        let Outcome::Refused { error } = http(status, Some("1")) else { panic!("{status}") };
        assert!(error.contains(&status.to_string()) && error.contains("because "), "{error}");
    }
    for status in [200, 202, 204] {
        assert_eq!(http(status, None), Outcome::Accepted { rejected: 0, message: String::new() });
    }
    let Outcome::Refused { error } = http(404, None) else { panic!() };
    assert!(error.contains("for /v1/traces") && error.contains("otlp-grpc=http://collector:4318"), "{error}");
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let after = |value: &str| match http(503, Some(value)) {
        Outcome::Retry { after, .. } => after,
        outcome @ (Outcome::Accepted { .. } | Outcome::Refused { .. }) => panic!("{outcome:?}"),
    };
    assert_eq!(after("7"), Some(Duration::from_secs(7)));
    assert_eq!(after("soon"), None);
    assert_eq!(after("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO));
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
    assert!(after(&date).is_some_and(|wait| wait > Duration::from_secs(90)));
}

#[test]
fn grpc_answers_are_retried_as_the_table_says() {
    use Code::*;
    let retried = [Cancelled, DeadlineExceeded, Aborted, OutOfRange, Unavailable, DataLoss];
    for code in (1..=16).map(Code::from_i32) {
        for at_once in [false, true] {
            let outcome = grpc(Status::new(code, "because"), at_once);
            assert_eq!(is_retried(&outcome), retried.contains(&code), "{code:?}");
        }
    }
    assert_eq!(grpc(Status::ok(""), false), Outcome::Accepted { rejected: 0, message: String::new() });
}

#[test]
fn an_exhausted_collector_is_asked_again_only_if_it_says_when() {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(3)));
    let status = |code| Status::with_error_details(code, "full", details.clone());
    let three = Some(Duration::from_secs(3));
    for code in [Code::ResourceExhausted, Code::Unavailable] {
        assert!(matches!(grpc(status(code), false), Outcome::Retry { after, .. } if after == three));
    }
    assert!(!is_retried(&grpc(status(Code::InvalidArgument), false)));
    let no_time = ErrorDetails::with_retry_info(None);
    let status = Status::with_error_details(Code::ResourceExhausted, "full", no_time);
    assert!(
        matches!(grpc(status, false), Outcome::Retry { after: None, .. }),
        "it says that it will recover"
    );
}

#[test]
fn an_answer_that_is_no_grpc_is_a_proxys_or_names_the_other_protocol() {
    let answer = |status: u16| {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { status, headers: HeaderMap::new(), trailers: HeaderMap::new(), body: Bytes::new() }
            .outcome(Protocol::Grpc, &endpoint())
    };
    assert!(is_retried(&answer(503)));
    let Outcome::Refused { error } = answer(200) else { panic!() };
    assert!(error.contains("use otlp-http=http://collector:4318"), "{error}");
}
