//! Paint: a trace as text, in aligned columns, with colours where they are wanted.

use engine::span::Kind;

use super::{
    line::Mood,
    traces::{Placed, Trace},
};

/// Width of the first column where the terminal's is not known: longer lines push the others to the right.
const UNKNOWN_WIDTH: usize = 80;
/// The first column keeps at least this much, even on a narrow terminal.
const LABEL_MIN: usize = 30;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

/// How traces are painted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Painter {
    coloured: bool,
    /// Characters in a line of the terminal.
    width: Option<usize>,
}

/// The parts of a line that take part in the alignment.
struct Label {
    branch: String,
    service: String,
    request: String,
}

impl Painter {
    pub(super) fn new(coloured: bool, width: Option<usize>) -> Self {
        Self { coloured, width }
    }

    /// The tree of a trace, its lines ended, an empty line after it.
    pub(super) fn tree(&self, trace: &Trace) -> String {
        let lines = &trace.lines;
        let start = lines.iter().map(|line| line.start).min().unwrap_or_default();
        let end = lines.iter().map(|line| line.end).max().unwrap_or_default();
        let result_width = lines.iter().map(|line| width(&line.result)).max().unwrap_or_default();
        // What follows the label: result, duration, offset.
        let columns = 2 + result_width + 2 + DURATION_WIDTH + 2 + DURATION_WIDTH;
        let room = self.width.map_or(usize::MAX, |width| width.saturating_sub(columns).max(LABEL_MIN));
        let placed = trace.tree();
        let labels: Vec<Label> = placed.iter().map(|place| Label::new(place, room)).collect();
        let widest = labels.iter().map(Label::width).max().unwrap_or_default();
        let label_width = self.width.map_or(widest.min(UNKNOWN_WIDTH), |_| widest);

        let id = self.paint(DIM, &format!("{:032x}", trace.id.0));
        let spans = if lines.len() == 1 { "span" } else { "spans" };
        let mut text = format!(
            "{} {id}  {} {spans}  {}\n",
            self.paint(BOLD, "trace"),
            lines.len(),
            duration(end.saturating_sub(start)),
        );
        for (Placed { line, root, .. }, label) in placed.iter().zip(&labels) {
            text.push_str(&self.paint(DIM, &label.branch));
            text.push_str(&self.paint(CYAN, &label.service));
            text.push_str(&label.request);
            text.push_str(&" ".repeat(label_width.saturating_sub(label.width())));
            let result = format!("  {}", self.paint(colour(line.mood), &line.result));
            let padding = " ".repeat(result_width.saturating_sub(width(&line.result)));
            let took = duration(line.end.saturating_sub(line.start));
            let offset = format!("+{}", duration(line.start.saturating_sub(start)));
            let offset = self.paint(DIM, &format!("{offset:>DURATION_WIDTH$}"));
            text.push_str(&format!("{result}{padding}  {took:>DURATION_WIDTH$}  {offset}"));
            if let (true, Some(parent)) = (root, line.parent) {
                let known = if parent.process.is_none() { "as its header says" } else { "not seen yet" };
                text.push_str(&self.paint(DIM, &format!("  (parent {:016x}, {known})", parent.span_id.0)));
            }
            text.push('\n');
        }
        text.push('\n');
        text
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.coloured { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

impl Label {
    /// The label of a line, the request cut to fit into the room.
    fn new(place: &Placed<'_>, room: usize) -> Self {
        let Placed { line, depth, root, .. } = place;
        let mut branch: String =
            (0..*depth).map(|level| if place.follows_at(level) { "│ " } else { "  " }).collect();
        branch.push_str(if place.follows_at(*depth) { "├ " } else { "└ " });
        if *root && line.parent.is_some() {
            branch.push_str("… ");
        }
        let arrow = match line.kind {
            Kind::Server => " ⇐ ",
            Kind::Client => " ⇒ ",
        };
        let mut label =
            Self { branch, service: line.service.clone(), request: format!("{arrow}{}", line.request) };
        let excess = label.width().saturating_sub(room);
        if excess > 0 {
            let keep = width(&label.request).saturating_sub(excess + 1);
            label.request = label.request.chars().take(keep).chain(['…']).collect();
        }
        label
    }

    fn width(&self) -> usize {
        width(&self.branch) + width(&self.service) + width(&self.request)
    }
}

/// Characters; what is wider or narrower than one column is rare in requests.
fn width(text: &str) -> usize {
    text.chars().count()
}

fn colour(mood: Mood) -> &'static str {
    match mood {
        Mood::Good => GREEN,
        Mood::Neutral => CYAN,
        Mood::Doubtful => YELLOW,
        Mood::Bad => RED,
    }
}

/// Width of a duration's column: `+999.9 ms`.
const DURATION_WIDTH: usize = 9;

/// Nanoseconds, in the unit that gives one to three digits before the point.
fn duration(nanoseconds: u64) -> String {
    let microseconds = nanoseconds as f64 / 1e3;
    match microseconds {
        ..999.5 => format!("{microseconds:.0} µs"),
        ..999_950.0 => format!("{:.1} ms", microseconds / 1e3),
        _ => format!("{:.2} s", microseconds / 1e6),
    }
}
