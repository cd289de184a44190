//! What the tasks print, put where it belongs, with labels where they were asked for.

use super::streams::{Output, Streams, no_file};
use crate::failure::Failure;
use squall_types::step::OutputStream;
use squall_types::{OpenMode, StepId};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A line without end is passed on when it is so long.
const MAX_LINE: usize = 64 * 1024;

/// Where output goes on this side.
pub struct Sinks<'a> {
    out: Sink<'a>,
    /// `None` where standard error joins standard output.
    err: Option<Sink<'a>>,
    /// How wide the largest task number is; 0 without labels.
    label_width: usize,
    /// Begun lines by task and stream, while there are labels.
    begun: BTreeMap<(u32, OutputStream), Vec<u8>>,
}

enum Sink<'a> {
    Stream(&'a mut dyn Write),
    File(File),
    Nothing,
}

impl<'a> Sinks<'a> {
    /// Opens the files that are written here.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn open(
        streams: &Streams,
        step: StepId,
        directory: &Path,
        label: bool,
        tasks: u32,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Result<Self, Failure> {
        let open = |output: &Output, what, stream: &'a mut dyn Write| match output {
            Output::Here(_) => Ok(Sink::Stream(stream)),
            Output::Remote(_) | Output::Nothing => Ok(Sink::Nothing),
            Output::File(given) => {
                let path = directory.join(streams.expanded(given, step));
                let mut options = OpenOptions::new();
                match streams.open_mode {
                    OpenMode::Append => options.append(true).create(true),
                    OpenMode::Truncate => options.write(true).create(true).truncate(true),
                };
                let opened = options.open(&path);
                opened.map(Sink::File).map_err(|error| no_file(what, &path.display().to_string(), &error))
            }
        };
        let label_width = if label { tasks.saturating_sub(1).to_string().len() } else { 0 };
        Ok(Sinks {
            out: open(&streams.output, "stdout", out)?,
            err: streams.error.as_ref().map(|error| open(error, "stderr", err)).transpose()?,
            label_width,
            begun: BTreeMap::new(),
        })
    }

    /// All output on these streams, with labels for so many tasks where it has any.
    pub fn here(label: bool, tasks: u32, out: &'a mut dyn Write, err: &'a mut dyn Write) -> Self {
        let label_width = if label { tasks.saturating_sub(1).to_string().len() } else { 0 };
        Sinks { out: Sink::Stream(out), err: Some(Sink::Stream(err)), label_width, begun: BTreeMap::new() }
    }

    /// Takes what a task printed.
    ///
    /// # Errors
    /// The stream or file takes no more.
    pub fn write(&mut self, rank: u32, stream: OutputStream, bytes: &[u8]) -> io::Result<()> {
        if self.label_width == 0 {
            return self.sink(stream).write(bytes);
        }
        let mut text = self.begun.remove(&(rank, stream)).unwrap_or_default();
        text.extend_from_slice(bytes);
        let whole = match text.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => last + 1,
            None if text.len() >= MAX_LINE => text.len(),
            None => 0,
        };
        let rest = text.split_off(whole);
        if !rest.is_empty() {
            self.begun.insert((rank, stream), rest);
        }
        let labelled = self.labelled(rank, &text);
        self.sink(stream).write(&labelled)
    }

    /// Writes the lines that were never ended.
    ///
    /// # Errors
    /// The stream or file takes no more.
    pub fn finish(&mut self) -> io::Result<()> {
        for ((rank, stream), mut rest) in std::mem::take(&mut self.begun) {
            rest.push(b'\n');
            let labelled = self.labelled(rank, &rest);
            self.sink(stream).write(&labelled)?;
        }
        self.out.flush()?;
        self.err.as_mut().map_or(Ok(()), Sink::flush)
    }

    fn labelled(&self, rank: u32, lines: &[u8]) -> Vec<u8> {
        let label = format!("{rank:>width$}: ", width = self.label_width);
        let mut text = Vec::with_capacity(lines.len() + label.len());
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            text.extend_from_slice(label.as_bytes());
            text.extend_from_slice(line);
        }
        text
    }

    fn sink(&mut self, stream: OutputStream) -> &mut Sink<'a> {
        match (stream, &mut self.err) {
            (OutputStream::Stderr, Some(err)) => err,
            _ => &mut self.out,
        }
    }

    /// A line of `srun`'s own, on its standard error.
    pub fn say(&mut self, line: &str) {
        if let Some(Sink::Stream(err)) = &mut self.err {
            let _ = writeln!(err, "{line}");
        } else {
            let _ = writeln!(io::stderr(), "{line}");
        }
    }
}

impl Sink<'_> {
    /// Written at once: whoever reads a step's output wants it as it comes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::Stream(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Sink::File(file) => file.write_all(bytes),
            Sink::Nothing => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Stream(stream) => stream.flush(),
            Sink::File(file) => file.flush(),
            Sink::Nothing => Ok(()),
        }
    }
}
