//! Trace headers: for each format valid, malformed and duplicated, and each format beside each other one; as fields of
//! HTTP/1, and as metadata of a gRPC call.

use super::*;
use crate::span::{LinkMethod, SpanId};

/// A format with the ids of its valid example.
struct Format {
    name: &'static str,
    valid: &'static [(&'static str, &'static str)],
    trace: u128,
    span: u64,
    /// Fields in place of the valid ones, all of them malformed.
    malformed: &'static [&'static [(&'static str, &'static str)]],
}

/// In order of precedence. No two have the same ids.
const FORMATS: [Format; 8] = [
    Format {
        name: "W3C",
        valid: &[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
        trace: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c,
        span: 0xb7ad_6b71_6920_3331,
        malformed: &[
            &[("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331")],
            &[("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01")],
            &[("traceparent", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")],
        ],
    },
    Format {
        name: "B3 single",
        valid: &[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90")],
        trace: 0x80f1_98ee_5634_3ba8_64fe_8b2a_57d3_eff7,
        span: 0xe457_b5a2_e4d8_6bd1,
        malformed: &[
            &[("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd")],
            &[("b3", "0000000000000000-e457b5a2e4d86bd1-1")],
            &[("b3", "maybe")],
        ],
    },
    Format {
        name: "B3 multi",
        valid: &[
            ("X-B3-TraceId", "463ac35c9f6413ad48485a3953bb6124"),
            ("X-B3-SpanId", "a2fb4a1d1a96d312"),
            ("X-B3-Sampled", "1"),
        ],
        trace: 0x463a_c35c_9f64_13ad_4848_5a39_53bb_6124,
        span: 0xa2fb_4a1d_1a96_d312,
        malformed: &[
            &[("X-B3-TraceId", "463ac35c9f6413ad48485a3953bb6124")],
            &[("X-B3-TraceId", "463ac35c"), ("X-B3-SpanId", "a2fb4a1d1a96d312")],
            &[("X-B3-Sampled", "yes")],
        ],
    },
    Format {
        name: "Jaeger",
        valid: &[("uber-trace-id", "5b8aa5a2d2c872e8321cf37308d69df2:51581bf3cb55c13:0:1")],
        trace: 0x5b8a_a5a2_d2c8_72e8_321c_f373_08d6_9df2,
        span: 0x0515_81bf_3cb5_5c13,
        malformed: &[
            &[("uber-trace-id", "5b8aa5a2d2c872e8321cf37308d69df2:51581bf3cb55c13:0")],
            &[("uber-trace-id", "0:51581bf3cb55c13:0:1")],
            &[("uber-trace-id", "nonsense:1:0:1")],
        ],
    },
    Format {
        name: "Datadog",
        valid: &[
            ("x-datadog-trace-id", "5208512171318403364"),
            ("x-datadog-parent-id", "1234567890123456789"),
            ("x-datadog-sampling-priority", "1"),
        ],
        trace: 5_208_512_171_318_403_364,
        span: 1_234_567_890_123_456_789,
        malformed: &[
            &[("x-datadog-trace-id", "0"), ("x-datadog-parent-id", "1")],
            &[("x-datadog-trace-id", "18446744073709551616"), ("x-datadog-parent-id", "1")],
            &[("x-datadog-trace-id", "1"), ("x-datadog-parent-id", "a")],
        ],
    },
    Format {
        name: "OpenTracing",
        valid: &[
            ("ot-tracer-traceid", "48485a3953bb6125"),
            ("ot-tracer-spanid", "a2fb4a1d1a96d313"),
            ("ot-tracer-sampled", "true"),
        ],
        trace: 0x4848_5a39_53bb_6125,
        span: 0xa2fb_4a1d_1a96_d313,
        malformed: &[
            &[("ot-tracer-traceid", "48485a3953bb6125")],
            &[("ot-tracer-traceid", "0"), ("ot-tracer-spanid", "a2fb4a1d1a96d313")],
            &[("ot-tracer-traceid", "x"), ("ot-tracer-spanid", "a2fb4a1d1a96d313")],
        ],
    },
    Format {
        name: "OpenCensus",
        valid: &[("grpc-trace-bin", "AABAQUJDREVGR0hJSktMTU5PAWFiY2RlZmdoAgE")],
        trace: 0x4041_4243_4445_4647_4849_4a4b_4c4d_4e4f,
        span: 0x6162_6364_6566_6768,
        malformed: &[
            &[("grpc-trace-bin", "AABAQUJDREVGR0hJSktMTU5PAWFiY2RlZmdoAg")],
            &[("grpc-trace-bin", "AQBAQUJDREVGR0hJSktMTU5PAWFiY2RlZmdoAgE")],
            &[("grpc-trace-bin", "AAAAAAAAAAAAAAAAAAAAAAAAAWFiY2RlZmdoAgE=")],
        ],
    },
    Format {
        name: "X-Ray",
        valid: &[(
            "X-Amzn-Trace-Id",
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
        )],
        trace: 0x5759_e988_bd86_2e3f_e1be_46a9_9427_2793,
        span: 0x5399_5c3f_42cd_8ad8,
        malformed: &[
            &[("X-Amzn-Trace-Id", "Parent=53995c3f42cd8ad8;Sampled=1")],
            &[("X-Amzn-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a99427279")],
            &[("X-Amzn-Trace-Id", "Root=2-5759e988-bd862e3fe1be46a994272793")],
        ],
    },
];

fn with(fields: &[(&str, &str)]) -> String {
    get("/", &fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>())
}

/// A request with these fields, as either end sees it, by HTTP/1 and as a gRPC call.
fn cases(fields: &[(&str, &str)]) -> [Case; 4] {
    let lower: Vec<_> = fields.iter().map(|(name, value)| (name.to_ascii_lowercase(), *value)).collect();
    let metadata: Vec<_> = lower.iter().map(|(name, value)| (&**name, *value)).collect();
    let grpc = |case: Case| case.answer(calls::answered(&[("grpc-status", "0")]));
    let asked = calls::asked(&metadata);
    [serve(with(fields)).ok(), call(with(fields)).ok(), grpc(serve(&asked)), grpc(call(&asked))]
}

/// The request continues the trace of this format, at both ends; so many formats were malformed.
#[track_caller]
fn continues(fields: &[(&str, &str)], format: &Format, malformed: u64) {
    for case in cases(fields) {
        let (span, engine) = case.play();
        let parent = span.parent.map(|parent| (parent.span_id, parent.method, parent.process));
        assert_eq!(
            parent,
            Some((SpanId(format.span), LinkMethod::Header, None)),
            "{}: {fields:?}",
            format.name
        );
        assert_eq!(span.trace_id.0, format.trace, "{}: {fields:?}", format.name);
        assert_eq!(span.trace_flags & 1, 1);
        assert_eq!(engine.counters().value(Counter::TraceHeadersMalformed), malformed, "{fields:?}");
    }
}

/// The request starts a trace of its own.
#[track_caller]
fn starts(fields: &[(&str, &str)]) {
    for case in cases(fields) {
        let (span, engine) = case.play();
        assert_eq!(span.parent, None, "{fields:?}");
        assert!(FORMATS.iter().all(|format| format.trace != span.trace_id.0), "{fields:?}");
        assert_eq!(engine.counters().value(Counter::TraceHeadersMalformed), 1, "{fields:?}");
    }
}

#[test]
fn each_valid_format_is_continued() {
    for format in &FORMATS {
        continues(format.valid, format, 0);
    }
}

#[test]
fn each_malformed_format_starts_a_trace_and_is_counted() {
    for malformed in FORMATS.iter().flat_map(|format| format.malformed) {
        starts(malformed);
    }
}

#[test]
fn each_duplicated_format_starts_a_trace_and_is_counted_whatever_the_second_says() {
    for format in &FORMATS {
        for (index, field) in format.valid.iter().enumerate() {
            let mut fields = format.valid.to_vec();
            fields.push(*field);
            starts(&fields);
            // In front, with another value.
            let mut fields = format.valid.to_vec();
            fields.insert(index, (field.0, "1"));
            starts(&fields);
        }
    }
}

#[test]
fn of_every_two_formats_the_first_in_the_list_decides_in_whatever_order_they_come() {
    for (index, first) in FORMATS.iter().enumerate() {
        for second in &FORMATS[index + 1..] {
            continues(&[first.valid, second.valid].concat(), first, 0);
            continues(&[second.valid, first.valid].concat(), first, 0);
        }
    }
}

#[test]
fn of_every_two_formats_the_one_that_is_not_malformed_decides() {
    for (index, first) in FORMATS.iter().enumerate() {
        for second in &FORMATS[index + 1..] {
            for malformed in first.malformed {
                continues(&[malformed, second.valid].concat(), second, 1);
            }
            // What comes after the one that decides is not looked at.
            for malformed in second.malformed {
                continues(&[malformed, first.valid].concat(), first, 0);
            }
            let mut twice = first.valid.to_vec();
            twice.extend_from_slice(first.valid);
            twice.extend_from_slice(second.valid);
            continues(&twice, second, 1);
        }
    }
}

#[test]
fn the_header_is_a_parent_and_leaves_the_attributes_as_they_are() {
    serve(with(FORMATS[0].valid)).ok().gives(
        "GET | Server | Unset
         http.request.method=GET
         url.path=/
         url.scheme=http
         server.address=shop
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:200
         spandrel.link.method=header
         PEER",
    );
}
