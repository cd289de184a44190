//! Fields of a width, as `squeue` and `sinfo` lay them out.

use crate::terminal::escaped;

/// Where text stands in a field that is wider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Side {
    #[default]
    Left,
    Right,
}

/// How wide a field is, and what follows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// `None` takes what the text needs.
    pub width: Option<usize>,
    pub side: Side,
    pub suffix: String,
}

/// A field is never wider than this, whatever a format says.
pub const MAX_WIDTH: usize = 4096;

impl Layout {
    /// Appends `text`, cut or padded to the width, and the suffix. What other people wrote comes out escaped.
    pub fn write(&self, text: &str, line: &mut String) {
        self.put(text, true, line);
    }

    /// The same, but longer text than the width stays whole.
    pub fn write_whole(&self, text: &str, line: &mut String) {
        self.put(text, false, line);
    }

    fn put(&self, text: &str, cut: bool, line: &mut String) {
        let text = escaped(text);
        match self.width {
            None => append(&text, line),
            Some(width) => {
                let width = width.min(MAX_WIDTH);
                let length = if text.is_ascii() { text.len() } else { text.chars().count() };
                let pad = width.saturating_sub(length);
                if self.side == Side::Right {
                    line.extend(std::iter::repeat_n(' ', pad));
                }
                let cut_at = || text.char_indices().nth(width).map_or(text.len(), |(at, _)| at);
                let end = if cut && length > width { cut_at() } else { text.len() };
                append(&text[..end], line);
                if self.side == Side::Left {
                    line.extend(std::iter::repeat_n(' ', pad));
                }
            }
        }
        append(&self.suffix, line);
    }
}

/// Letters, where they are as few as in most fields: to begin copying a block costs more than eight of them.
fn append(text: &str, line: &mut String) {
    if text.len() > 8 {
        line.push_str(text);
    } else {
        text.chars().for_each(|letter| line.push(letter));
    }
}
