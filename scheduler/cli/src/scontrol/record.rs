//! Records as `scontrol show` writes them: `Key=value` in lines of a block, or all in one line.

use crate::terminal::escaped;

/// In which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Block,
    /// `-o`.
    Line,
}

/// A record that grows line by line.
pub struct Record {
    form: Form,
    lines: Vec<String>,
}

impl Record {
    pub fn new(form: Form) -> Self {
        Record { form, lines: Vec::new() }
    }

    /// One line of the block. What other people wrote comes out escaped.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.lines.push(escaped(text.as_ref()).into_owned());
    }

    /// With what Slurm puts behind each line, also behind the last.
    pub fn finished(self) -> String {
        match self.form {
            Form::Block => self.lines.join("\n   ") + "\n   \n\n",
            Form::Line => self.lines.join(" ") + " \n",
        }
    }

    /// For the records behind whose last line Slurm puts nothing.
    pub fn finished_bare(self) -> String {
        match self.form {
            Form::Block => self.lines.join("\n   ") + "\n\n",
            Form::Line => self.lines.join(" ") + "\n",
        }
    }
}

/// What Slurm writes for nothing.
pub fn null(text: &str) -> &str {
    if text.is_empty() { "(null)" } else { text }
}
