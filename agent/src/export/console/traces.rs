//! Traces: spans gathered by trace until the trace seems complete, and put into the order of a tree.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use engine::span::{SpanId, TraceId};
use tokio::time::Instant;

use super::line::Line;
use crate::export::Exported;

/// A trace with its root is complete when no span of it came for this long.
const QUIET: Duration = Duration::from_millis(300);
/// Its root may be a span of another host, or still to come from a program that made trace headers itself.
const QUIET_REMOTE: Duration = Duration::from_secs(1);
/// Its root is still to come: requests that take longer than this are printed in parts.
const QUIET_ROOTLESS: Duration = Duration::from_secs(5);

/// Traces that are gathered at once; at the bound the oldest is printed as it is. Ids come from the wire.
const TRACES_MAX: usize = 1024;
/// Spans that are gathered at once, at the bound as above; less than the queue holds, since it counts them too.
const SPANS_MAX: usize = 8192;

/// A trace to print: the lines as they came.
#[derive(Debug)]
pub(super) struct Trace {
    pub(super) id: TraceId,
    pub(super) lines: Vec<Line>,
}

/// Traces that are gathered.
#[derive(Debug, Default)]
pub(super) struct Traces {
    open: HashMap<TraceId, Open>,
    /// Ids by age; those that are not open any more are passed over.
    by_age: VecDeque<TraceId>,
    spans: usize,
    evicted: Vec<Trace>,
}

#[derive(Debug)]
struct Open {
    lines: Vec<Line>,
    patience: Duration,
    due: Instant,
}

impl Traces {
    pub(super) fn add(&mut self, exported: &Exported, now: Instant) {
        let id = exported.span.trace_id;
        if !self.open.contains_key(&id) && self.open.len() >= TRACES_MAX || self.spans >= SPANS_MAX {
            self.evict();
        }
        let line = Line::new(exported);
        let patience = match line.parent {
            None => QUIET,
            Some(parent) if parent.process.is_none() => QUIET_REMOTE,
            Some(_) => QUIET_ROOTLESS,
        };
        let open = self.open.entry(id).or_insert_with(|| {
            self.by_age.push_back(id);
            Open { lines: Vec::new(), patience, due: now }
        });
        open.patience = open.patience.min(patience);
        open.due = now + open.patience;
        open.lines.push(line);
        self.spans += 1;
    }

    /// When the next trace is complete, if nothing more comes.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.open.values().map(|open| open.due).min()
    }

    /// The traces that are complete, in the order in which they began to arrive.
    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Trace> {
        self.take(|open| open.due <= now)
    }

    /// All traces, complete or not.
    pub(super) fn take_all(&mut self) -> Vec<Trace> {
        self.take(|_| true)
    }

    fn take(&mut self, wanted: impl Fn(&Open) -> bool) -> Vec<Trace> {
        let mut taken = std::mem::take(&mut self.evicted);
        self.by_age.retain(|id| {
            if self.open.get(id).is_some_and(|open| !wanted(open)) {
                return true;
            }
            taken.extend(self.open.remove(id).map(|open| Trace { id: *id, lines: open.lines }));
            false
        });
        self.spans = self.open.values().map(|open| open.lines.len()).sum();
        taken
    }

    fn evict(&mut self) {
        while let Some(id) = self.by_age.pop_front() {
            if let Some(open) = self.open.remove(&id) {
                self.spans -= open.lines.len();
                self.evicted.push(Trace { id, lines: open.lines });
                return;
            }
        }
    }
}

/// A line at its place in the tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed<'a> {
    pub(super) line: &'a Line,
    pub(super) depth: u32,
    /// By level, from the root down to this one: does a sibling follow further down?
    pub(super) follows: u64,
    /// Not under another line.
    pub(super) root: bool,
}

impl Placed<'_> {
    pub(super) fn follows_at(&self, level: u32) -> bool {
        self.follows >> level & 1 == 1
    }
}

/// The deepest level that is indented; what is below it stays at that level.
const DEPTH_MAX: u32 = 63;

impl Trace {
    /// The lines in the order of the tree: each under its parent, children by their start.
    pub(super) fn tree(&self) -> Vec<Placed<'_>> {
        let mut lines: Vec<&Line> = self.lines.iter().collect();
        lines.sort_by_key(|line| (line.start, Reverse(line.end)));
        let here: HashSet<SpanId> = lines.iter().map(|line| line.span_id).collect();
        let mut children: HashMap<SpanId, Vec<&Line>> = HashMap::new();
        let mut roots = Vec::new();
        for &line in &lines {
            match line.parent {
                Some(parent) if here.contains(&parent.span_id) => {
                    children.entry(parent.span_id).or_default().push(line)
                }
                _ => roots.push(line),
            }
        }
        let mut placed = Vec::with_capacity(lines.len());
        place(roots, &mut children, &mut placed);
        // A parent that a header names can be a lie. Lines that are each other's ancestors are under no root: the
        // first of them is made one.
        for line in lines {
            let Some(parent) = line.parent else { continue };
            if let Some(siblings) = children.get_mut(&parent.span_id) {
                siblings.retain(|sibling| !std::ptr::eq(*sibling, line));
                place(vec![line], &mut children, &mut placed);
            }
        }
        placed
    }
}

/// Places siblings and all that is under them. Children are taken out of the map, so each line is placed once.
fn place<'a>(
    siblings: Vec<&'a Line>,
    children: &mut HashMap<SpanId, Vec<&'a Line>>,
    placed: &mut Vec<Placed<'a>>,
) {
    let mut stack: Vec<Placed<'a>> = Vec::new();
    let put = |stack: &mut Vec<Placed<'a>>, lines: Vec<&'a Line>, depth: u32, above: u64, root: bool| {
        for (distance, line) in lines.into_iter().rev().enumerate() {
            let follows = above & !(1 << depth) | u64::from(distance > 0) << depth;
            stack.push(Placed { line, depth, follows, root });
        }
    };
    put(&mut stack, siblings, 0, 0, true);
    while let Some(next) = stack.pop() {
        placed.push(next);
        if let Some(lines) = children.remove(&next.line.span_id) {
            put(&mut stack, lines, (next.depth + 1).min(DEPTH_MAX), next.follows, false);
        }
    }
}
