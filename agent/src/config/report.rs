//! Report: what is wrong with a text of the configuration, where, and what was expected there.
//!
//! `NAME:LINE:COLUMN: what`, then the lines with a caret under the place. The YAML library speaks to those who program
//! with it; these messages are for those who write the file.

#![expect(clippy::wildcard_enum_match_arm, reason = "most of the library's many cases are one case here")]

use engine::policy::SecretKeys;
use serde_saphyr::{
    Error, Location,
    budget::BudgetBreach,
    granit_parser::{Marker, Scanner, StrInput, TokenType},
};

use super::{keys, mask::masked};
use crate::secret;

/// A line is shown this wide at most.
const WIDTH: usize = 100;

/// A place in a text; both count from one, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// The report of an error in this text.
pub(super) fn report(name: &str, text: &str, error: &Error) -> String {
    let place = error.location().and_then(|location| place(text, location));
    let shown = masked(text);
    let (what, place) = explain(text, &shown, error, place);
    // A value that is refused may be quoted.
    render(name, &shown, place, &secret::shown(&what, &SecretKeys::default()))
}

/// The report of a text that is not UTF-8 from this byte on.
pub(super) fn not_utf8(name: &str, bytes: &[u8], valid: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let before = String::from_utf8_lossy(bytes.get(..valid).unwrap_or_default());
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let byte = bytes.get(valid).copied().unwrap_or_default();
    let what = format!("the byte 0x{byte:02x} is not UTF-8: save the file as UTF-8 text");
    render(name, &masked(&text), Some(Place { line, column }), &what)
}

/// `text` is one that may be shown.
fn render(name: &str, text: &str, place: Option<Place>, what: &str) -> String {
    let Some(Place { line, column }) = place else { return format!("{name}: {what}") };
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let margin = " ".repeat(line.to_string().len());
    // What is far to the left of the place is not needed to find it.
    let left = column.saturating_sub(WIDTH / 2 + 1);
    let left = if shown.chars().count() > WIDTH { left } else { 0 };
    let visible = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
    let source: String = shown.chars().skip(left).take(WIDTH).map(visible).collect();
    // Tabs stay tabs, so that the caret stands right however wide they are.
    let padding: String = source
        .chars()
        .chain(std::iter::repeat(' '))
        .take(column.saturating_sub(left + 1))
        .map(|c| if c == '\t' { '\t' } else { ' ' })
        .collect();
    format!("{name}:{line}:{column}: {what}\n{margin} |\n{line} | {source}\n{margin} | {padding}^")
}

/// The place of an error, not behind the end of the text.
fn place(text: &str, location: Location) -> Option<Place> {
    let line = usize::try_from(location.line()).ok().filter(|line| *line > 0)?;
    let column = usize::try_from(location.column()).ok()?.max(1);
    let lines = text.lines().count().max(1);
    if line <= lines {
        return Some(Place { line, column });
    }
    let last = text.lines().last().unwrap_or_default();
    Some(Place { line: lines, column: last.chars().count() + 1 })
}

/// What is wrong, in words, and where that is best shown.
fn explain(text: &str, shown: &str, error: &Error, place: Option<Place>) -> (String, Option<Place>) {
    let found = place.map_or(Found::Nothing, |place| Found::at(shown, place));
    let line = |text| place.and_then(|place| str::lines(text).nth(place.line.saturating_sub(1)));
    let open = line(text) == line(shown);
    let what = match error {
        Error::WithSnippet { error, .. } | Error::AliasError { error, .. } => return explain(text, shown, error, place),
        Error::SerdeUnknownField { field, expected, .. } => keys::unknown(field, expected),
        Error::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().unwrap_or_default();
            format!("the key `{key}` is set a second time: keep one of them")
        }
        Error::SerdeInvalidType { expected, .. } | Error::SerdeInvalidValue { expected, .. } => match found {
            Found::Key(_) | Found::Nothing if open => format!("expected {expected} here, not {}", unexpected(error)),
            Found::Nothing => format!("expected {expected} here, not this"),
            found => format!("expected {expected} here, not {found}"),
        },
        Error::Unexpected { expected, .. } if expected.contains("scalar") => {
            format!("expected a single value here, not {found}")
        }
        Error::Unexpected { expected, .. } if expected.contains("mapping") => {
            format!("expected keys here, each with its value (`key: value`), not {found}")
        }
        Error::Unexpected { expected, .. } if expected.contains("sequence") => {
            format!("expected a list here (`[a, b]`, or lines that begin with `- `), not {found}")
        }
        Error::NullIntoString { .. } if matches!(&found, Found::Key(key) if key == "null" || key == "~") => {
            "expected the name of a key before the `:`, such as `export`: nothing, which is what null means, is none"
                .to_owned()
        }
        Error::NullIntoString { .. } => "expected a value here, but there is none".to_owned(),
        Error::UnknownAnchor { .. } => {
            "`*` stands for an earlier value that was marked with `&`, and there is none of this name: put a text \
             that begins with `*` in quotes"
                .to_owned()
        }
        Error::MultipleDocuments { .. } => {
            "expected the end of the file: a configuration is one document, but another one begins here".to_owned()
        }
        Error::Budget { breach, .. } => budget(breach),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayCounterOverflow { .. } => ALIASES.to_owned(),
        Error::TaggedScalarCannotDeserializeIntoString { .. }
        | Error::InvalidBinaryBase64 { .. }
        | Error::BinaryNotUtf8 { .. } => "expected a plain text: write it without `!!binary`".to_owned(),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => {
            "expected keys with values after `<<`, which lays another map under this one".to_owned()
        }
        // What the values of the configuration say of themselves.
        Error::Message { msg, .. } => msg.clone(),
        Error::ExternalMessage { msg, .. } => return syntax(text, msg, place),
        other if open => other.to_string(),
        _ => "this cannot be read as a part of the configuration".to_owned(),
    };
    (what, place)
}

const ALIASES: &str = "this value repeats other values too often: write it without `*`";

fn budget(breach: &BudgetBreach) -> String {
    match breach {
        BudgetBreach::Depth { .. } | BudgetBreach::InclusionDepth { .. } => TOO_DEEP.to_owned(),
        BudgetBreach::Aliases { .. }
        | BudgetBreach::Anchors { .. }
        | BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. } => ALIASES.to_owned(),
        _ => "the file is too large for a configuration".to_owned(),
    }
}

const TOO_DEEP: &str =
    "lists and maps are nested too deep here: no key of the configuration goes deeper than five";

/// What serde found where it expected something else.
fn unexpected(error: &Error) -> String {
    let (Error::SerdeInvalidType { unexpected, .. } | Error::SerdeInvalidValue { unexpected, .. }) = error
    else {
        return "this".to_owned();
    };
    match unexpected.as_str() {
        "sequence" => "a list".to_owned(),
        "map" => "a map".to_owned(),
        "unit value" | "Option value" => "an empty value".to_owned(),
        // floating point `1.1`, string "x"
        other => match (other.find(['`', '"']), other.rfind(['`', '"'])) {
            (Some(first), Some(last)) => format!("`{}`", other.get(first + 1..last).unwrap_or_default()),
            _ => other.to_owned(),
        },
    }
}

/// What the text shows at a place.
enum Found {
    Nothing,
    List,
    Map,
    /// A key: the place is that of the whole map, or of the key whose value is wrong.
    Key(String),
    Value(String),
}

impl Found {
    fn at(text: &str, place: Place) -> Self {
        let line = text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
        let rest: String = line.chars().skip(place.column.saturating_sub(1)).collect();
        let rest = rest.split(" #").next().unwrap_or_default().trim();
        match rest.chars().next() {
            None | Some('#') => Self::Nothing,
            Some('[') => Self::List,
            Some('{') => Self::Map,
            Some('-') if rest == "-" || rest.starts_with("- ") => Self::List,
            Some('"' | '\'') => Self::Value(rest.to_owned()),
            Some(_) => match rest.split_once(':') {
                Some((key, value)) if value.is_empty() || value.starts_with(' ') => Self::Key(key.to_owned()),
                // In brackets the value ends before what separates or closes.
                _ => Self::Value(
                    rest.split([',', ']', '}']).next().unwrap_or_default().chars().take(40).collect(),
                ),
            },
        }
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::List => f.write_str("a list"),
            Self::Map => f.write_str("a map"),
            Self::Key(key) => write!(f, "the key `{key}`"),
            Self::Value(value) => write!(f, "`{value}`"),
        }
    }
}

/// Explains what is no YAML. The scanner notices many mistakes late: a bracket or a quote that is not closed is shown
/// where it was opened.
fn syntax(text: &str, message: &str, place: Option<Place>) -> (String, Option<Place>) {
    if message.contains("recursion limit") || message.contains("nesting") {
        return (TOO_DEEP.to_owned(), place);
    }
    if message.contains("quoted scalar") && !message.contains("escape") || message.contains("unclosed quote")
    {
        let opened = place.and_then(|place| last_quote(text, place)).or(place);
        return (
            "a text in quotes begins here and does not end: expected a closing quote".to_owned(),
            opened,
        );
    }
    if message.contains("found a tab") || message.contains("tabs disallowed") {
        let tab = place.and_then(|place| first_tab(text, place)).or(place);
        return ("a tab cannot indent: expected spaces".to_owned(), tab);
    }
    let alone = message.strip_prefix("unclosed bracket '").and_then(|rest| rest.chars().next()).zip(place);
    if let Some((bracket, opened)) = unclosed(text, place).or(alone) {
        let (entries, closing) = if bracket == '[' { ("values", ']') } else { ("`key: value`", '}') };
        let what = format!(
            "expected {entries} with `,` between them and a `{closing}` after what this `{bracket}` opens; a text that \
             has one of , [ ] {{ }} in it needs quotes here"
        );
        return (what, Some(opened));
    }
    let what = if message.contains("escape") {
        "a backslash in double quotes begins an escape such as \\n or \\\\, and this is none: expected one, or single \
         quotes"
            .to_owned()
    } else if message.contains("mapping values are not allowed") {
        "a second `: ` in one line: put a text that has one in quotes, or begin a new line".to_owned()
    } else if let Some(what) = place.and_then(|place| uneven(text, place)) {
        what
    } else if message.contains("did not find expected key") || message.contains("did not find expected '-'") {
        "expected the next key or the next `- ` of the list, indented as the one before it".to_owned()
    } else if message.contains("simple key expected ':'") {
        "expected `key: value`: there is no `:` after this".to_owned()
    } else if message.contains("unexpected character") {
        "a text cannot begin with this character or have it in it: expected a text in quotes".to_owned()
    } else if message.contains("anchor or alias") {
        "`*` and `&` have a meaning of their own at the beginning of a text: expected a text in quotes"
            .to_owned()
    } else if message.contains("YAML major version") || message.contains("YAML version") {
        "this line asks for a version of YAML that there is not: leave it out, or write %YAML 1.2".to_owned()
    } else {
        format!("this is not YAML: {message}")
    };
    (what, place)
}

/// What is wrong if this is an entry of a list that is not indented like the one above it.
fn uneven(text: &str, place: Place) -> Option<String> {
    let indent = |line: &str| {
        let entry = line.trim_start();
        (entry.starts_with("- ") || entry == "-").then(|| line.chars().count() - entry.chars().count())
    };
    let lines: Vec<&str> = text.lines().take(place.line).collect();
    let (last, before) = lines.split_last()?;
    let here = indent(last)?;
    let (index, above) =
        before.iter().enumerate().rev().find_map(|(index, line)| Some((index, indent(line)?)))?;
    (here != above).then(|| {
        format!(
            "the entries of a list are indented alike: this `- ` stands behind {here} blanks, the one in line {} \
             behind {above}",
            index + 1
        )
    })
}

/// The last quote before a place at which a quoted text cannot go on.
fn last_quote(text: &str, place: Place) -> Option<Place> {
    let lines: Vec<&str> = text.lines().take(place.line).collect();
    let mut numbered = lines.iter().enumerate().rev().skip_while(|(index, _)| {
        // The place itself is where the text was found not to go on, unless it is all there is.
        index + 1 == place.line && place.line > 1 && place.column <= 1
    });
    numbered.find_map(|(index, line)| {
        let column = line.chars().enumerate().filter(|(_, c)| matches!(c, '"' | '\'')).last()?.0;
        Some(Place { line: index + 1, column: column + 1 })
    })
}

/// The first tab that indents a line, from the line of an error on.
fn first_tab(text: &str, place: Place) -> Option<Place> {
    text.lines().enumerate().skip(place.line.saturating_sub(1)).find_map(|(index, line)| {
        let indent = line.len() - line.trim_start().len();
        let tab = line.get(..indent)?.find('\t')?;
        Some(Place { line: index + 1, column: tab + 1 })
    })
}

/// The innermost bracket that is open at the place of an error, or where the scanner gives up.
fn unclosed(text: &str, place: Option<Place>) -> Option<(char, Place)> {
    let of = |mark: Marker| Place { line: mark.line(), column: mark.col() + 1 };
    let mut open = Vec::new();
    for token in Scanner::new(StrInput::new(text)) {
        let Ok(token) = token else { break };
        let start = of(token.span().start);
        if place.is_some_and(|place| (start.line, start.column) >= (place.line, place.column))
            && !open.is_empty()
        {
            break;
        }
        match token.token_type() {
            TokenType::FlowSequenceStart => open.push(('[', start)),
            TokenType::FlowMappingStart => open.push(('{', start)),
            TokenType::FlowSequenceEnd if open.last().is_some_and(|(bracket, _)| *bracket == '[') => {
                open.pop();
            }
            TokenType::FlowMappingEnd if open.last().is_some_and(|(bracket, _)| *bracket == '{') => {
                open.pop();
            }
            // The one that is open should have been closed first.
            TokenType::FlowSequenceEnd | TokenType::FlowMappingEnd => break,
            _ => {}
        }
    }
    open.pop()
}
