//! Mask: a text of the configuration as it may be shown, with its secrets as `*` and every character in its place.
//!
//! The text is one that something is wrong with, so nothing relies on its being YAML: keys are looked for as they stand
//! in a line, and where it is doubtful how far a value goes, more is hidden rather than less. Hidden are
//!
//! * what is under a key such as `export_headers`, but for the keys there;
//! * the values of keys that are named like a header with credentials, wherever they stand;
//! * credentials and queries of addresses.

use std::ops::Range;

use crate::secret::is_credential;

/// The text with the same characters and lines, but for what is hidden.
pub(super) fn masked(text: &str) -> String {
    let mut mask = Mask { hidden: vec![false; text.len()], ..Mask::default() };
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        mask.start = start;
        mask.line(content);
        mask.addresses(content);
        start += line.len();
    }
    let hidden = |at: usize| mask.hidden.get(at).copied().unwrap_or_default();
    text.char_indices().map(|(at, c)| if !c.is_whitespace() && hidden(at) { '*' } else { c }).collect()
}

#[derive(Default)]
struct Mask {
    /// Which bytes are.
    hidden: Vec<bool>,
    /// Where the line starts.
    start: usize,
    /// Lines that are indented deeper than this go on with what is hidden.
    block: Option<usize>,
    /// So many brackets are open around what is hidden.
    open: usize,
}

impl Mask {
    fn line(&mut self, line: &str) {
        let indent = line.len() - unindented(line).len();
        let mut at = if self.open > 0 {
            self.brackets(line, 0)
        } else if self.block.is_some_and(|outer| line.trim().is_empty() || indent > outer) {
            let value = key(line, indent).map_or(indent, |(_, value)| value);
            self.value(line, value)
        } else {
            self.block = None;
            indent
        };
        while at < line.len() {
            at = match key(line, at) {
                Some((name, value)) if is_secret(name) => {
                    self.block = Some(self.block.unwrap_or(indent));
                    self.value(line, value)
                }
                Some((_, value)) => value,
                None => next_word(line, at),
            };
        }
    }

    fn hide(&mut self, range: Range<usize>) {
        let range = self.start + range.start..self.start + range.end;
        self.hidden.get_mut(range).unwrap_or_default().fill(true);
    }

    /// Hides a value that begins here, and says where it ends.
    fn value(&mut self, line: &str, at: usize) -> usize {
        if line.get(at..).is_some_and(|rest| rest.trim_start().starts_with(['{', '['])) {
            return self.brackets(line, at);
        }
        self.hide(at..line.len());
        line.len()
    }

    /// Hides what is in brackets, and says where they end.
    fn brackets(&mut self, line: &str, from: usize) -> usize {
        let mut at = from;
        let mut entry = true;
        while let Some(c) = line.get(at..).and_then(|rest| rest.chars().next()) {
            let mut end = at + c.len_utf8();
            match c {
                '{' | '[' => {
                    self.open += 1;
                    entry = true;
                }
                '}' | ']' => {
                    self.open = self.open.saturating_sub(1);
                    if self.open == 0 {
                        let rest = line.get(end..).unwrap_or_default().trim_start();
                        if !rest.starts_with([',', '}', ']', '#']) {
                            // It was a bracket in a secret.
                            self.hide(end..line.len());
                            return line.len();
                        }
                        return end;
                    }
                }
                ',' => entry = true,
                _ if c.is_whitespace() => {}
                _ => {
                    let named = if std::mem::take(&mut entry) { key(line, at) } else { None };
                    if let Some((_, value)) = named {
                        end = value;
                    } else {
                        if matches!(c, '"' | '\'') {
                            let close = line.get(end..).and_then(|rest| rest.find(c));
                            end = close.map_or(line.len(), |close| end + close + 1);
                        }
                        self.hide(at..end);
                    }
                }
            }
            at = end;
        }
        line.len()
    }

    /// Hides what addresses of a line have before an `@` and behind a `?`.
    fn addresses(&mut self, line: &str) {
        let mut at = 0;
        for part in line.split_inclusive(", ").flat_map(|part| part.split_inclusive(['"', '\''])) {
            // `otlp=host`, and a whole URL.
            let mark = part.find("://").map(|mark| mark + 3);
            if let Some(begin) = [mark, part.find('=').map(|mark| mark + 1)].into_iter().flatten().min() {
                let credentials = part.rfind('@').filter(|end| *end > begin).unwrap_or(begin);
                let host = mark.filter(|mark| *mark < credentials).unwrap_or(begin);
                self.hide(at + host..at + credentials);
                if let Some(query) = part.get(credentials..).and_then(|rest| rest.find('?')) {
                    let query = credentials + query + 1;
                    let rest = part.get(query..).unwrap_or_default();
                    let end = rest.find([' ', '\t', '"', '\'']).map_or(part.len(), |end| query + end);
                    self.hide(at + query..at + end);
                }
            }
            at += part.len();
        }
    }
}

/// The line without what indents it: blanks, and the dashes of lists.
fn unindented(line: &str) -> &str {
    let mut rest = line.trim_start();
    while let Some(item) = rest.strip_prefix("- ") {
        rest = item.trim_start();
    }
    rest
}

/// The key that begins here, and where its value does.
fn key(line: &str, at: usize) -> Option<(&str, usize)> {
    let rest = line.get(at..)?;
    let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
    let inner = quote.map_or(rest, |_| rest.get(1..).unwrap_or_default());
    let length =
        inner.find(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c)).unwrap_or(inner.len());
    let (name, rest) = inner.split_at_checked(length).filter(|(name, _)| !name.is_empty())?;
    let rest = match quote {
        Some(quote) => rest.strip_prefix(quote)?,
        None => rest,
    };
    let rest = rest.trim_start().strip_prefix(':')?;
    let ends = quote.is_some() || rest.is_empty() || rest.starts_with([' ', '\t']);
    ends.then_some((name, line.len() - rest.len()))
}

/// Where the next word begins.
fn next_word(line: &str, at: usize) -> usize {
    let rest = line.get(at..).unwrap_or_default();
    let is_mark = |c: char| c.is_whitespace() || "{}[],\"'".contains(c);
    let word = rest.find(is_mark).unwrap_or(rest.len()).max(rest.chars().next().map_or(1, char::len_utf8));
    let behind = rest.get(word..).unwrap_or_default();
    let skipped = behind.find(|c: char| !c.is_whitespace()).unwrap_or(behind.len());
    at + word + skipped
}

/// Whether what is under this key are secrets. `headers` has lists of names.
fn is_secret(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    (lower.contains("header") && lower != "headers")
        || lower.starts_with("x-")
        || is_credential(lower.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_nothing_moves() {
        for (text, expected) in [
            ("export: [otlp]\nroutes: ['/a?b=c']", "export: [otlp]\nroutes: ['/a?b=c']"),
            ("headers: { request: [accept, cookie] }", "headers: { request: [accept, cookie] }"),
            (
                "export_headers: { authorization: Bearer ab, host: x }",
                "export_headers: { authorization: ****** **, host: * }",
            ),
            (
                "[{pid: 1, settings: {export_headers: {a: \"b, c: d\", e: f}, service_name: g}}]",
                "[{pid: 1, settings: {export_headers: {a: *** ** **, e: *}, service_name: g}}]",
            ),
            (
                "  export_headers:\n    a: Bearer b, c: d\n    'e': {\n f\n  }\n  service_name: g",
                "  export_headers:\n    a: ****** ** ** *\n    'e': {\n *\n  }\n  service_name: g",
            ),
            ("export_headers: { a: b\nc: d", "export_headers: { a: *\nc: *"),
            ("export_headers: { a: b}c, d: e }", "export_headers: { a: *}** ** * *"),
            ("exportheaders: a=b", "exportheaders: ***"),
            (
                "- export-header:\n    - a: b\n      c\n  pid: 1",
                "- export-header:\n    - a: *\n      *\n  pid: 1",
            ),
            (
                "settings:\n  Authorization: Bearer a\n  x-tenant: b",
                "settings:\n  Authorization: ****** *\n  x-tenant: *",
            ),
            ("export_headers:\n  a: {b}\n  c: d\ne: f", "export_headers:\n  a: {*}\n  c: *\ne: f"),
            ("attributes: { api-key: |\n    a\n}", "attributes: { api-key: *\n    *\n}"),
            ("export: [otlp=http://c/?key=K, jaeger]", "export: [otlp=http://c/?****** jaeger]"),
            (
                "export: [otlp=http://u:p?@c/?a, 'zipkin=u:p@z?b']",
                "export: [otlp=http://****@c/?** 'zipkin=***@z?*']",
            ),
            ("größe: 'http://ü:p ß@c'", "größe: 'http://*** *@c'"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }

    #[test]
    fn any_text_keeps_its_characters_and_lines() {
        let parts =
            ["export_headers", ":", " ", "\n", "{", "}", "[", "'", "\"", "ü", "- ", "http://", "@", "?", ","];
        // Every sequence of four of them.
        for number in 0..parts.len().pow(4) {
            let text: String =
                (0..4).map(|digit| parts[number / parts.len().pow(digit) % parts.len()]).collect();
            let shown = masked(&text);
            let lengths = |text: &str| text.split('\n').map(|line| line.chars().count()).collect::<Vec<_>>();
            assert_eq!(lengths(&shown), lengths(&text), "{text:?}");
        }
    }
}
