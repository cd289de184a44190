//! Format strings: `%[.][width]letter` and `name[:[.][width]]`, as `squeue` and `sinfo` read them.

use super::columns::{Layout, MAX_WIDTH, Side};
use std::borrow::Cow;

/// How wide a field of `-O` is that says no width.
pub const NAMED_WIDTH: usize = 20;

/// The text of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    pub text: Cow<'a, str>,
    /// Slurm never cuts some fields, however narrow they are.
    pub whole: bool,
}

/// One thing that a line shows.
#[derive(Debug)]
pub struct Column<F: 'static> {
    pub field: &'static F,
    pub layout: Layout,
}

/// Columns, and what stands before the first.
#[derive(Debug)]
pub struct Format<F: 'static> {
    pub prefix: String,
    pub parts: Vec<Part<F>>,
    /// Specifications that are unknown: they are told, and the rest is shown, as in Slurm.
    pub unknown: Vec<String>,
}

#[derive(Debug)]
pub enum Part<F: 'static> {
    Column(Column<F>),
    /// What could not be understood is written as it was given.
    Literal(String),
}

impl<F> Format<F> {
    /// Reads a format with letters.
    ///
    /// A `%` only separates, so that `%%i` is `%i`. A width without a dot stands on the left, with one on the right;
    /// `-` stands on the left, too.
    pub fn of_letters(text: &str, field: impl Fn(char) -> Option<&'static F>) -> Self {
        let mut format = Format { prefix: String::new(), parts: Vec::new(), unknown: Vec::new() };
        let mut tokens = text.split('%').filter(|token| !token.is_empty());
        if !text.starts_with('%') {
            format.prefix = tokens.next().unwrap_or_default().to_owned();
        }
        for token in tokens {
            let (side, rest) = flag(token);
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (width, rest) = rest.split_at(digits);
            let mut letters = rest.chars();
            match letters.next().map(|letter| (letter, field(letter))) {
                Some((_, Some(field))) => {
                    let layout = Layout { width: width_of(width), side, suffix: letters.as_str().to_owned() };
                    format.parts.push(Part::Column(Column { field, layout }));
                }
                Some((letter, None)) => {
                    format.unknown.push(letter.to_string());
                    format.parts.push(Part::Literal(format!("%{token}")));
                }
                None => format.parts.push(Part::Literal(format!("%{token}"))),
            }
        }
        format
    }

    /// Reads a format with names between commas.
    pub fn of_names(text: &str, field: impl Fn(&str) -> Option<&'static F>) -> Self {
        let mut format = Format { prefix: String::new(), parts: Vec::new(), unknown: Vec::new() };
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, layout) = match item.split_once(':') {
                None => (item, Layout { width: Some(NAMED_WIDTH), ..Layout::default() }),
                Some((name, rest)) => {
                    let (side, rest) = flag(rest);
                    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                    let (width, suffix) = rest.split_at(digits);
                    // `Name:|` is as wide as the name is long.
                    (name, Layout { width: width_of(width), side, suffix: suffix.to_owned() })
                }
            };
            match field(name) {
                Some(field) => format.parts.push(Part::Column(Column { field, layout })),
                None => format.unknown.push(name.to_owned()),
            }
        }
        format
    }

    /// `%all`: every field, with bars between them.
    pub fn of_all(fields: impl Iterator<Item = &'static F>) -> Self {
        let column =
            |field| Part::Column(Column { field, layout: Layout { suffix: "|".to_owned(), ..Layout::default() } });
        let mut parts: Vec<Part<F>> = fields.map(column).collect();
        if let Some(Part::Column(last)) = parts.last_mut() {
            last.layout.suffix.clear();
        }
        Format { prefix: String::new(), parts, unknown: Vec::new() }
    }

    /// The line of headings.
    pub fn headings(&self, text: impl Fn(&'static F) -> &'static str) -> String {
        self.line(|field| Shown { text: text(field).into(), whole: false })
    }

    /// One line; `text` says what a field shows.
    pub fn line<'a>(&self, text: impl Fn(&'static F) -> Shown<'a>) -> String {
        let mut line = String::new();
        self.write(text, &mut line);
        line
    }

    /// Appends one line.
    pub fn write<'a>(&self, text: impl Fn(&'static F) -> Shown<'a>, line: &mut String) {
        line.push_str(&self.prefix);
        for part in &self.parts {
            match part {
                Part::Column(column) => match text(column.field) {
                    Shown { text, whole: true } => column.layout.write_whole(&text, line),
                    Shown { text, whole: false } => column.layout.write(&text, line),
                },
                Part::Literal(text) => line.push_str(text),
            }
        }
        line.push('\n');
    }

    /// The fields that are shown.
    pub fn fields(&self) -> impl Iterator<Item = &'static F> {
        self.parts.iter().filter_map(|part| match part {
            Part::Column(column) => Some(column.field),
            Part::Literal(_) => None,
        })
    }
}

fn flag(text: &str) -> (Side, &str) {
    match text.strip_prefix('.') {
        Some(rest) => (Side::Right, rest),
        None => (Side::Left, text.strip_prefix('-').unwrap_or(text)),
    }
}

/// A width beyond all bounds is the bound.
fn width_of(digits: &str) -> Option<usize> {
    if digits.is_empty() { None } else { Some(digits.parse().unwrap_or(MAX_WIDTH).min(MAX_WIDTH)) }
}
