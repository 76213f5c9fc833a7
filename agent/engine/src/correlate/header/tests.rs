use super::{Context, Header, read};
use crate::{
    protocol::Field,
    span::{SpanId, TraceId},
};

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const SPAN: u64 = 0x00f0_67aa_0ba9_02b7;
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn header(fields: &[(&str, &str)]) -> (Option<Header>, u64) {
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| Field { name: name.as_bytes(), value: value.as_bytes() }).collect();
    read(&fields)
}

fn ids(trace: u128, span: u64) -> Option<Context> {
    Some(Context { trace_id: TraceId(trace), span_id: (span != 0).then_some(SpanId(span)) })
}

#[track_caller]
fn valid(fields: &[(&str, &str)], trace: u128, span: u64, sampled: Option<bool>) {
    let (found, malformed) = header(fields);
    let found = found.unwrap();
    assert_eq!((found.context, found.sampled, malformed), (ids(trace, span), sampled, 0), "{fields:?}");
}

#[track_caller]
fn malformed(fields: &[(&str, &str)]) {
    assert_eq!(header(fields), (None, 1), "{fields:?}");
}

#[test]
fn a_block_without_trace_headers_has_none() {
    assert_eq!(header(&[]), (None, 0));
    assert_eq!(header(&[("host", "a"), ("", ""), ("x-b3-trceid", "1"), ("tracestate", "a=b")]), (None, 0));
}

#[test]
fn w3c_is_read_whatever_the_case_of_the_name() {
    valid(&[("traceparent", PARENT)], TRACE, SPAN, Some(true));
    valid(&[("Accept", "*/*"), ("TraceParent", PARENT)], TRACE, SPAN, Some(true));
    let (found, _) = header(&[("traceparent", &PARENT.replace("-01", "-02"))]);
    assert_eq!(found.map(|found| (found.sampled, found.random)), Some((Some(false), true)));
}

#[test]
fn w3c_of_a_later_version_is_read_as_far_as_it_is_known() {
    let later = PARENT.replacen("00", "cc", 1);
    valid(&[("traceparent", &later)], TRACE, SPAN, Some(true));
    valid(&[("traceparent", &format!("{later}-what-the-future-will-be-like"))], TRACE, SPAN, Some(true));
    malformed(&[("traceparent", &format!("{later}.what"))]);
}

#[test]
fn w3c_that_is_malformed_or_duplicated_is_refused() {
    for text in [
        "",
        "00",
        &PARENT.replacen("00", "ff", 1),
        &PARENT.to_uppercase(),
        &format!("{PARENT}-"),
        &format!("{PARENT}-00"),
        &PARENT[..54],
        &PARENT.replace("-01", "-.1"),
        &PARENT.replacen('-', "_", 1),
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
    ] {
        malformed(&[("traceparent", text)]);
    }
    malformed(&[("traceparent", PARENT), ("Traceparent", PARENT)]);
}

#[test]
fn tracestate_is_combined_kept_verbatim_and_dropped_when_malformed() {
    let state = |values: &[&str]| {
        let mut fields = vec![("traceparent", PARENT)];
        fields.extend(values.iter().map(|value| ("tracestate", *value)));
        let (found, malformed) = header(&fields);
        assert_eq!(malformed, 0);
        found.unwrap().state.map(|state| state.to_string())
    };
    assert_eq!(state(&[]), None);
    assert_eq!(state(&["rojo=00f067aa0ba902b7"]).as_deref(), Some("rojo=00f067aa0ba902b7"));
    assert_eq!(state(&["a=1 , b=2", "", "t@v=3"]).as_deref(), Some("a=1 , b=2,t@v=3"));
    assert_eq!(state(&["a=1,,b=2"]).as_deref(), Some("a=1,,b=2"));
    for bad in ["A=1", "a", "a=", "a=b=c", "a =1", "=1", "é=1"] {
        assert_eq!(state(&[bad]), None, "{bad}");
    }
    let many = |count: usize| (0..count).map(|key| format!("k{key}=1")).collect::<Vec<_>>().join(",");
    assert!(state(&[&many(32)]).is_some());
    assert!(state(&[&many(33)]).is_none());
}

#[test]
fn b3_single_is_read_in_all_its_forms() {
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    valid(&[("b3", &format!("{trace}-{span}"))], TRACE, SPAN, None);
    valid(&[("B3", &format!("{trace}-{span}-1"))], TRACE, SPAN, Some(true));
    valid(&[("b3", &format!("{trace}-{span}-d-05e3ac9a4f6e3b90"))], TRACE, SPAN, Some(true));
    valid(&[("b3", &format!("a3ce929d0e0e4736-{span}-0"))], 0xa3ce_929d_0e0e_4736, SPAN, Some(false));
    for (decision, sampled) in [("0", false), ("1", true), ("d", true)] {
        let (found, malformed) = header(&[("b3", decision)]);
        assert_eq!((found.unwrap(), malformed), (Header { sampled: Some(sampled), ..Header::default() }, 0));
    }
}

#[test]
fn b3_single_that_is_malformed_or_duplicated_is_refused() {
    let good = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1";
    for text in [
        "",
        "2",
        &good.to_uppercase(),
        &format!("{good}-"),
        &format!("{good}-05e3ac9a4f6e3b90-1"),
        &good.replace("-1", "-x"),
        "0000000000000000-00f067aa0ba902b7",
        "a3ce929d0e0e4736-0000000000000000",
        "a3ce929d0e0e473-00f067aa0ba902b7",
    ] {
        malformed(&[("b3", text)]);
    }
    malformed(&[("b3", good), ("b3", good)]);
}

#[test]
fn b3_multi_is_read_and_refused_as_specified() {
    let (trace, span) =
        (("X-B3-TraceId", "4bf92f3577b34da6a3ce929d0e0e4736"), ("X-B3-SpanId", "00f067aa0ba902b7"));
    valid(&[trace, span], TRACE, SPAN, None);
    valid(&[trace, span, ("x-b3-parentspanid", "1"), ("x-b3-sampled", "0")], TRACE, SPAN, Some(false));
    valid(&[trace, span, ("x-b3-flags", "1")], TRACE, SPAN, Some(true));
    valid(&[("x-b3-traceid", "a3ce929d0e0e4736"), span], 0xa3ce_929d_0e0e_4736, SPAN, None);
    let (found, _) = header(&[("x-b3-sampled", "0")]);
    assert_eq!(found, Some(Header { sampled: Some(false), ..Header::default() }));
    malformed(&[trace]);
    malformed(&[span]);
    malformed(&[trace, trace, span]);
    malformed(&[trace, span, ("x-b3-sampled", "maybe")]);
    malformed(&[("x-b3-traceid", "a3ce"), span]);
}

#[test]
fn jaeger_ids_may_be_short_and_colons_encoded() {
    let full = "4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:1";
    valid(&[("uber-trace-id", full)], TRACE, SPAN, Some(true));
    valid(&[("Uber-Trace-Id", &full.replace(':', "%3A"))], TRACE, SPAN, Some(true));
    valid(&[("uber-trace-id", "a:b:0:00")], 0xa, 0xb, Some(false));
    valid(&[("uber-trace-id", "a:b:0:3")], 0xa, 0xb, Some(true));
    for text in ["", "a:b:0", "a:b:0:1:2", "0:b:0:1", "a:0:0:1", "a:b:0:111", "g:b:0:1", "a%3Bb:0:1", ":b:0:1"] {
        malformed(&[("uber-trace-id", text)]);
    }
    malformed(&[("uber-trace-id", "a:b:0:1"), ("uber-trace-id", "a:b:0:1")]);
}

#[test]
fn x_ray_is_read_in_any_order_and_may_lack_a_parent() {
    let root = 0x5759_e988_bd86_2e3f_e1be_46a9_9427_2793;
    let text = "Root=1-5759e988-bd862e3fe1be46a994272793";
    valid(&[("X-Amzn-Trace-Id", text)], root, 0, None);
    let more = format!("Sampled=1; Self=1-6-7;Parent=53995c3f42cd8ad8;{text}");
    valid(&[("x-amzn-trace-id", &more)], root, 0x5399_5c3f_42cd_8ad8, Some(true));
    valid(&[("x-amzn-trace-id", &format!("{text};Sampled=?"))], root, 0, None);
    for bad in [
        "",
        "Parent=53995c3f42cd8ad8",
        "Root=2-5759e988-bd862e3fe1be46a994272793",
        "Root=1-5759e988-bd862e3fe1be46a99427279",
        "Root=1-00000000-000000000000000000000000",
        &format!("{text};Parent=1"),
        &format!("{text};Parent=0000000000000000"),
        &format!("{text};Sampled=2"),
        &format!("{text};{text}"),
        &format!("{text};x"),
    ] {
        malformed(&[("x-amzn-trace-id", bad)]);
    }
    malformed(&[("x-amzn-trace-id", text), ("x-amzn-trace-id", text)]);
}

#[test]
fn datadog_ids_are_decimal_and_the_high_half_a_tag() {
    let low = ("x-datadog-trace-id", "11803532876627986230");
    let span = ("x-datadog-parent-id", "67667974448284343");
    let high = ("x-datadog-tags", "_dd.p.dm=-1,_dd.p.tid=4bf92f3577b34da6");
    valid(&[low, span, high, ("x-datadog-sampling-priority", "2")], TRACE, SPAN, Some(true));
    valid(&[low, span, ("x-datadog-sampling-priority", "-1")], TRACE & u128::from(u64::MAX), SPAN, Some(false));
    valid(&[low, span, ("x-datadog-tags", "_dd.p.tid=4BF9")], TRACE & u128::from(u64::MAX), SPAN, None);
    valid(&[low, ("x-datadog-parent-id", "0")], TRACE & u128::from(u64::MAX), 0, None);
    for text in ["", "0", "a", "-1", "18446744073709551616", "000000000000000000001"] {
        malformed(&[("x-datadog-trace-id", text), span]);
    }
    malformed(&[low, low, span]);
    malformed(&[low, span, span]);
    malformed(&[low, span, ("x-datadog-sampling-priority", "9")]);
}

#[test]
fn opentracing_is_read_and_refused() {
    let (trace, span) = (("ot-tracer-traceid", "a3ce929d0e0e4736"), ("ot-tracer-spanid", "00f067aa0ba902b7"));
    valid(&[trace, span, ("ot-tracer-sampled", "true")], 0xa3ce_929d_0e0e_4736, SPAN, Some(true));
    valid(&[("OT-Tracer-TraceId", "4bf92f3577b34da6a3ce929d0e0e4736"), span], TRACE, SPAN, None);
    malformed(&[trace]);
    malformed(&[trace, span, span]);
    malformed(&[trace, span, ("ot-tracer-sampled", "2")]);
    malformed(&[("ot-tracer-traceid", "0"), span]);
    malformed(&[trace, ("ot-tracer-spanid", "00f067aa0ba902b7a")]);
}

#[test]
fn of_two_formats_the_earlier_in_the_list_decides() {
    let b3 = ("b3", "000000000000000a-000000000000000b-0");
    let multi = [("x-b3-traceid", "000000000000000c"), ("x-b3-spanid", "000000000000000d")];
    let jaeger = ("uber-trace-id", "e:f:0:1");
    let datadog = [("x-datadog-trace-id", "16"), ("x-datadog-parent-id", "17")];
    let ot = [("ot-tracer-traceid", "12"), ("ot-tracer-spanid", "13")];
    let xray = ("x-amzn-trace-id", "Root=1-00000000-000000000000000000000014");
    valid(&[b3, ("traceparent", PARENT)], TRACE, SPAN, Some(true));
    valid(&[multi[0], multi[1], b3], 0xa, 0xb, Some(false));
    valid(&[jaeger, multi[0], multi[1]], 0xc, 0xd, None);
    valid(&[datadog[0], datadog[1], jaeger], 0xe, 0xf, Some(true));
    valid(&[ot[0], ot[1], datadog[0], datadog[1]], 0x10, 0x11, None);
    valid(&[xray, ot[0], ot[1]], 0x12, 0x13, None);
}

#[test]
fn a_malformed_format_is_counted_and_the_next_one_tried() {
    let (found, malformed) = header(&[("traceparent", "junk"), ("uber-trace-id", "e:f:0:1")]);
    assert_eq!((found.unwrap().context, malformed), (ids(0xe, 0xf), 1));
    let (found, malformed) = header(&[("b3", "0"), ("uber-trace-id", "e:f:0:1")]);
    assert_eq!((found.unwrap().context, malformed), (ids(0xe, 0xf), 0));
}
