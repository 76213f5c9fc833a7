//! Lines of OTLP/JSON, compared in everything: events, flags, schema and scope as well.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Spans by their ids, each with its Resource, scope and schemas.
type Spans = BTreeMap<String, Value>;

/// Compares all that is in two files, however the spans are grouped.
pub(crate) fn assert_equal(sent: &str, found: &str) {
    let (sent, found) = (spans(sent), spans(found));
    assert_eq!(sent.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (id, span) in &sent {
        assert!(found[id] == *span, "--- sent:\n{span:#}\n--- found:\n{:#}", found[id]);
    }
}

fn spans(lines: &str) -> Spans {
    let mut spans = Spans::new();
    for line in lines.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        for of_resource in request["resourceSpans"].as_array().unwrap() {
            for of_scope in of_resource["scopeSpans"].as_array().unwrap() {
                for span in of_scope["spans"].as_array().unwrap() {
                    let whole = json!({
                        "schemas": [of_resource["schemaUrl"], of_scope["schemaUrl"]],
                        "resource": of_resource["resource"],
                        "scope": of_scope["scope"],
                        "span": span,
                    });
                    let id = format!("{} {}", span["traceId"], span["spanId"]);
                    assert!(spans.insert(id, stated(&whole)).is_none(), "two spans have one id: {span}");
                }
            }
        }
    }
    spans
}

/// Without members that say nothing: in protobuf's JSON a default value may be left out or not.
fn stated(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().map(|(key, value)| (key.clone(), stated(value)));
            members.filter(|(_, value)| !says_nothing(value)).collect::<Map<_, _>>().into()
        }
        Value::Array(values) => values.iter().map(stated).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_u64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}
