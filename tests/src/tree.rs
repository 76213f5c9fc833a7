//! Traces as indented text, so that a test states a whole tree and a failure shows both.

use std::collections::BTreeSet;

use crate::span::Span;

/// The forest that the spans make: one line a span, two blanks a level, siblings by start time.
/// A span whose parent is not among them is a root; one with a remote parent is marked `^`.
pub fn render(spans: &[Span]) -> String {
    let mut lines = String::new();
    let ids: BTreeSet<_> = spans.iter().map(|span| (&span.trace, &span.span)).collect();
    let mut roots: Vec<_> = spans
        .iter()
        .filter(|span| span.parent.as_ref().is_none_or(|parent| !ids.contains(&(&span.trace, parent))))
        .collect();
    roots.sort_by_key(|span| span.start);
    for root in roots {
        branch(spans, root, 0, &mut lines);
    }
    lines
}

fn branch(spans: &[Span], span: &Span, depth: usize, lines: &mut String) {
    let remote = if depth == 0 && span.parent.is_some() { "^" } else { "" };
    *lines += &format!("{:1$}{remote}{2}\n", "", depth * 2, span.label());
    if depth > 64 {
        return; // A cycle of parents is a defect that must not hang the test.
    }
    let mut children: Vec<_> = spans
        .iter()
        .filter(|child| child.trace == span.trace && child.parent.as_ref() == Some(&span.span))
        .collect();
    children.sort_by_key(|child| child.start);
    for child in children {
        branch(spans, child, depth + 1, lines);
    }
}

/// Compares with an expected forest; indentation common to all its lines is taken off.
pub fn assert_tree(spans: &[Span], expected: &str) {
    let expected = without_margin(expected);
    let found = render(spans);
    assert!(
        found == expected,
        "the trace differs\n--- expected:\n{expected}--- found:\n{found}---\n{spans:#?}"
    );
}

/// A forest as it is written in a test, as [`render`] makes it.
pub fn without_margin(tree: &str) -> String {
    let lines: Vec<_> = tree.lines().filter(|line| !line.trim().is_empty()).collect();
    let margin = lines.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or_default();
    lines.iter().map(|line| format!("{}\n", &line[margin..])).collect()
}

/// The span that is its parent, if it is there.
pub fn parent<'a>(spans: &'a [Span], span: &Span) -> Option<&'a Span> {
    spans.iter().find(|other| other.trace == span.trace && Some(&other.span) == span.parent.as_ref())
}

#[cfg(test)]
mod tests;
