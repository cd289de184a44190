//! Tables with named columns, as Slurm's commands about accounting print them: `--format=account%20,user`, `-n`, `-P`.

use super::columns::{MAX_WIDTH, Side};
use crate::options::Given;
use crate::terminal::escaped;
use squall_types::did_you_mean;

/// A column of rows of this kind.
pub struct Column<R> {
    /// As the heading has it; found in any case.
    pub name: &'static str,
    pub width: usize,
    pub side: Side,
    pub value: fn(&R) -> String,
}

/// A column with its text on the right.
pub const fn right<R>(name: &'static str, width: usize, value: fn(&R) -> String) -> Column<R> {
    Column { name, width, side: Side::Right, value }
}

/// A column with its text on the left.
pub const fn left<R>(name: &'static str, width: usize, value: fn(&R) -> String) -> Column<R> {
    Column { name, width, side: Side::Left, value }
}

/// A column as it was asked for.
pub struct Chosen<R: 'static> {
    column: &'static Column<R>,
    width: usize,
    side: Side,
}

/// The columns that `text` names, with their widths.
///
/// # Errors
/// A name that is no column, and the nearest that is one.
pub fn chosen<R: 'static>(
    text: &str,
    known: &'static [Column<R>],
) -> Result<Vec<Chosen<R>>, (String, Option<&'static str>)> {
    let one = |item: &str| {
        // A heading may begin with the sign that parts a name from its width.
        let sign = item.char_indices().skip(1).find(|(_, letter)| *letter == '%');
        let (name, width) = sign.map_or((item, ""), |(at, _)| (&item[..at], &item[at + 1..]));
        let by_name = |column: &&Column<R>| column.name.eq_ignore_ascii_case(name);
        let Some(column) = known.iter().find(by_name) else {
            let near = did_you_mean::closest(name, known.iter().map(|column| column.name));
            return Err((name.to_owned(), near));
        };
        let (side, digits) = match width.strip_prefix('-') {
            Some(digits) => (Side::Left, digits),
            None if width.is_empty() => (column.side, width),
            None => (Side::Right, width),
        };
        let width = digits.parse().ok().filter(|width| *width > 0).map(|width: usize| width.min(MAX_WIDTH));
        Ok(Chosen { column, width: width.unwrap_or(column.width), side })
    };
    crate::select::names(text).map(one).collect()
}

/// How rows are written.
pub enum Style {
    /// Padded, with a blank after each, under a rule.
    Columns,
    /// With a bar after each field, perhaps not after the last.
    Parsable { trailing: bool },
}

impl Style {
    pub fn of(given: &Given) -> Style {
        match given.later_of(&["parsable", "parsable2"]) {
            Some("parsable") => Style::Parsable { trailing: true },
            Some(_) => Style::Parsable { trailing: false },
            None => Style::Columns,
        }
    }

    /// The whole table.
    pub fn table<R: 'static>(&self, columns: &[Chosen<R>], rows: &[R], header: bool) -> String {
        let mut text = String::new();
        if header {
            text.push_str(&self.headings(columns));
            if matches!(self, Style::Columns) {
                columns.iter().for_each(|chosen| text.push_str(&format!("{} ", "-".repeat(chosen.width))));
                text.push('\n');
            }
        }
        for row in rows {
            text.push_str(&self.line(columns, |column| (column.value)(row)));
        }
        text
    }

    /// Headings are cut where they have no room, and say nothing of it.
    fn headings<R: 'static>(&self, columns: &[Chosen<R>]) -> String {
        match self {
            Style::Parsable { .. } => self.line(columns, |column| column.name.to_owned()),
            Style::Columns => {
                let cut = |chosen: &Chosen<R>| chosen.column.name.chars().take(chosen.width).collect::<String>();
                columns.iter().map(|chosen| padded(chosen, &cut(chosen))).collect::<String>() + "\n"
            }
        }
    }

    fn line<R: 'static>(&self, columns: &[Chosen<R>], text: impl Fn(&Column<R>) -> String) -> String {
        let values = columns.iter().map(|chosen| (chosen, text(chosen.column)));
        match self {
            Style::Parsable { trailing } => {
                let joined = values.map(|(_, value)| escaped(&value).into_owned()).collect::<Vec<_>>().join("|");
                if *trailing { format!("{joined}|\n") } else { joined + "\n" }
            }
            Style::Columns => values.map(|(chosen, value)| padded(chosen, &value)).collect::<String>() + "\n",
        }
    }
}

/// In its width, and a blank; what is cut says so.
fn padded<R: 'static>(chosen: &Chosen<R>, value: &str) -> String {
    let (value, width) = (escaped(value), chosen.width);
    let shown: String = match value.chars().count() <= width {
        true => value.into_owned(),
        false => value.chars().take(width.saturating_sub(1)).chain(['+']).collect(),
    };
    match chosen.side {
        Side::Left => format!("{shown:<width$} "),
        Side::Right => format!("{shown:>width$} "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static COLUMNS: [Column<(&str, u32)>; 2] =
        [left("Name", 6, |row| row.0.to_owned()), right("Count", 5, |row| row.1.to_string())];

    #[test]
    fn widths_sides_and_cuts_are_slurms() {
        let shown = |format, style: Style| match chosen(format, &COLUMNS) {
            Ok(columns) => style.table(&columns, &[("one", 1), ("a long name", 22)], true),
            Err((name, near)) => format!("no {name}, perhaps {near:?}"),
        };
        assert_eq!(shown("name,count", Style::Columns), "Name   Count \n------ ----- \none        1 \na lon+    22 \n");
        assert_eq!(shown("COUNT%-3", Style::Columns), "Cou \n--- \n1   \n22  \n");
        assert_eq!(shown("count,name", Style::Parsable { trailing: true }), "Count|Name|\n1|one|\n22|a long name|\n");
        assert_eq!(shown("counts", Style::Columns), "no counts, perhaps Some(\"Count\")");
    }
}
