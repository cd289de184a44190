//! The demo on a terminal: one page, drawn again in place.

use super::look::{Group, Look, Stage, groups};
use crate::books::seconds;
use crate::terminal::escaped;
use squall_types::Span;
use squall_types::api::NodeView;
use std::io::{self, Write};

/// Nodes and jobs that have a line of their own.
const MAX_ROWS: usize = 8;
/// Of the bar that shows how much of a node is used.
const BAR: usize = 16;

const HOME: &str = "\r";
const CLEAR_REST: &str = "\x1b[J";
const CLEAR_LINE: &str = "\x1b[K";
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";
/// Longer lines are cut by the terminal instead of wrapped, so that the page keeps its height.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";
const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// The page, and how high it was when it was drawn last.
#[derive(Debug, Default)]
pub struct Screen {
    height: usize,
    /// Lines that stay at the bottom of the page.
    pub notes: Vec<String>,
}

impl Screen {
    /// # Errors
    /// A terminal that is gone.
    pub fn open(out: &mut dyn Write) -> io::Result<Screen> {
        write!(out, "{HIDE_CURSOR}{NO_WRAP}")?;
        Ok(Screen::default())
    }

    /// Leaves the last page where it is.
    ///
    /// # Errors
    /// A terminal that is gone.
    pub fn close(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{WRAP}{SHOW_CURSOR}")?;
        out.flush()
    }

    /// # Errors
    /// A terminal that is gone.
    pub fn draw(&mut self, out: &mut dyn Write, look: &Look, elapsed: Span) -> io::Result<()> {
        let page = page(look, elapsed, &self.notes);
        write!(out, "{HOME}")?;
        if self.height > 1 {
            write!(out, "\x1b[{}A", self.height - 1)?;
        }
        let last = page.len().saturating_sub(1);
        for (at, line) in page.iter().enumerate() {
            write!(out, "{line}{CLEAR_LINE}{}", if at < last { "\n" } else { "" })?;
        }
        write!(out, "{CLEAR_REST}")?;
        self.height = page.len();
        out.flush()
    }
}

/// The lines of the page.
pub fn page(look: &Look, elapsed: Span, notes: &[String]) -> Vec<String> {
    let summary = &look.summary;
    let mut lines = vec![
        format!("{BOLD}squall demo{PLAIN}   {}   spent {}", seconds(elapsed), summary.spent),
        String::new(),
        format!(
            "{BOLD}queue{PLAIN}  {} waiting  {} starting  {} running  {} ended",
            summary.jobs_pending,
            summary.jobs_configuring,
            summary.jobs_running + summary.jobs_completing,
            summary.jobs_ended
        ),
    ];
    let groups = groups(&look.jobs);
    lines.extend(groups.iter().take(MAX_ROWS).map(|(id, group)| group_line(&id.to_string(), group)));
    lines.push(String::new());
    let stages = [Stage::Ordered, Stage::Booting, Stage::Ready, Stage::Leaving];
    let counts: Vec<String> = stages.iter().map(|stage| format!("{} {}", look.count(*stage), stage.word())).collect();
    lines.push(format!("{BOLD}nodes{PLAIN}  {}  {} gone", counts.join("  "), summary.nodes_gone));
    lines.extend(look.nodes.iter().take(MAX_ROWS).map(node_line));
    // Room for the nodes that are still to come, so that the page does not jump.
    lines.extend(std::iter::repeat_n(String::new(), 4usize.saturating_sub(look.nodes.len())));
    lines.extend(notes.iter().map(|note| format!("{DIM}{note}{PLAIN}")));
    lines
}

fn group_line(id: &str, group: &Group) -> String {
    let mut parts = Vec::new();
    let mut part = |count: u64, colour: &str, word: &str| {
        if count > 0 {
            parts.push(format!("{colour}{count} {word}{PLAIN}"));
        }
    };
    part(group.waiting, DIM, "waiting");
    part(group.starting, YELLOW, "starting");
    part(group.running, GREEN, "running");
    part(group.completed, "", "completed");
    part(group.failed, BOLD, "failed");
    let reason = if group.waiting > 0 { format!("  {DIM}({}){PLAIN}", group.reason) } else { String::new() };
    format!("  {id:>4}  {:<8} {}{reason}", escaped(&group.name), parts.join("  "))
}

fn node_line(node: &NodeView) -> String {
    let stage = Stage::of(node);
    let colour = match stage {
        Stage::Ready => GREEN,
        Stage::Ordered | Stage::Booting => YELLOW,
        Stage::Leaving => DIM,
    };
    let all = usize::from(node.shape.gpus.count());
    let (used, whole, what) = match all {
        0 => (node.cpus_used as usize, node.shape.cpus as usize, "CPUs"),
        gpus => (node.gpus_used.len(), gpus, "GPUs"),
    };
    let filled = (BAR * used).checked_div(whole).unwrap_or(0).min(BAR);
    let bar = format!("{}{}", "#".repeat(filled), ".".repeat(BAR - filled));
    let used = if stage == Stage::Ready { format!("[{bar}] {used}/{whole} {what}") } else { String::new() };
    format!("  {:<10} {colour}{:<8}{PLAIN} {used}", node.name.as_str(), stage.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_drawn_over_the_page_before() {
        let mut out = Vec::new();
        let mut screen = Screen::default();
        screen.draw(&mut out, &Look::default(), Span(1_200)).unwrap();
        let height = screen.height;
        screen.draw(&mut out, &Look::default(), Span(1_400)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(&format!("\x1b[{}A", height - 1)), "up by its own height");
        assert!(text.contains("1.4 s"));
        assert!(text.contains("0 ordered  0 booting  0 ready  0 leaving"));
    }
}
