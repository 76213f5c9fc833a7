//! Line: what the tree shows of one span, taken from its attributes.

use engine::{
    event::Time,
    span::{Attribute, Kind, Parent, Span, SpanId, Status, Value, names},
};

use crate::export::Exported;

/// Characters of a request's target that are kept: no terminal is wider.
const TARGET_CHARACTERS: usize = 500;

/// How a request ended, for the colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Neutral,
    Doubtful,
    Bad,
}

/// What the tree shows of one span.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) span_id: SpanId,
    pub(super) parent: Option<Parent>,
    pub(super) kind: Kind,
    pub(super) service: String,
    /// Method and target.
    pub(super) request: String,
    /// The status code, or why there is none.
    pub(super) result: String,
    pub(super) mood: Mood,
    pub(super) start: Time,
    pub(super) end: Time,
}

impl Line {
    pub(super) fn new(Exported { span, resource, .. }: &Exported) -> Self {
        let (result, mood) = result(span);
        Self {
            span_id: span.span_id,
            parent: span.parent,
            kind: span.kind,
            service: printable(text(&resource.attributes, names::SERVICE_NAME).unwrap_or("unknown_service")),
            request: request(span),
            result,
            mood,
            start: span.start,
            end: span.end,
        }
    }
}

fn request(span: &Span) -> String {
    let attribute = |key| text(&span.attributes, key);
    let method =
        attribute(names::HTTP_REQUEST_METHOD_ORIGINAL).or_else(|| attribute(names::HTTP_REQUEST_METHOD));
    let target = match span.kind {
        Kind::Server => attribute(names::URL_PATH).or_else(|| attribute(names::URL_FULL)),
        Kind::Client => attribute(names::URL_FULL).or_else(|| attribute(names::URL_PATH)),
    };
    match (method, target) {
        (Some(method), Some(target)) => printable(&format!("{method} {target}")),
        _ => printable(&span.name),
    }
}

fn result(span: &Span) -> (String, Mood) {
    let code = span.attributes.iter().find(|attribute| attribute.key == names::HTTP_RESPONSE_STATUS_CODE);
    let code = code.and_then(|attribute| match attribute.value {
        Value::Integer(code) => Some(code),
        Value::String(_) | Value::Bool(_) | Value::Strings(_) => None,
    });
    let failed = matches!(span.status, Status::Error { .. });
    let mood = match code {
        _ if failed => Mood::Bad,
        Some(500..) => Mood::Bad,
        Some(400..) => Mood::Doubtful,
        Some(300..) => Mood::Neutral,
        Some(_) => Mood::Good,
        None => Mood::Doubtful,
    };
    let code = code.map(|code| code.to_string());
    let why = text(&span.attributes, names::ERROR_TYPE).or_else(|| text(&span.attributes, names::INCOMPLETE));
    let result = match (code, why) {
        (Some(code), Some(why)) if why != code => format!("{code} {}", printable(why)),
        (Some(code), _) => code,
        (None, Some(why)) => printable(why),
        (None, None) if failed => "failed".to_owned(),
        (None, None) => "?".to_owned(),
    };
    (result, mood)
}

fn text<'a>(attributes: &'a [Attribute], key: &str) -> Option<&'a str> {
    attributes.iter().find(|attribute| attribute.key == key).and_then(|attribute| match &attribute.value {
        Value::String(text) => Some(text.as_ref()),
        Value::Integer(_) | Value::Bool(_) | Value::Strings(_) => None,
    })
}

/// Text from the wire could steer the terminal, or turn the line around.
fn printable(text: &str) -> String {
    let harmful = |character: char| {
        character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let replaced = |character| if harmful(character) { '\u{fffd}' } else { character };
    text.chars().take(TARGET_CHARACTERS).map(replaced).collect()
}
