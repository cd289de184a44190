//! The file and the environment, merged, and where each value came from.

use super::error::{ConfigError, Place};
use config::{Config, Environment, FileFormat, Source, Value, ValueKind};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml_edit::{Item, TableLike};

/// `SQUALL__PARTITIONS__GPU__MAX_TIME` is `partitions.gpu.max_time`. Two underscores also after the first word, so that
/// variables such as `SQUALL_CONF` are no settings.
pub const PREFIX: &str = "SQUALL";
pub const SEPARATOR: &str = "__";

/// The names of tables and keys that lead to a value; `[3]` is the fourth entry of an array.
pub type KeyPath = Vec<String>;

/// Where values come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    file: PathBuf,
    /// Byte offsets at which lines begin.
    lines: Vec<usize>,
    text: String,
    spans: BTreeMap<KeyPath, Spans>,
    variables: BTreeMap<KeyPath, String>,
}

#[derive(Clone, Debug, Default)]
struct Spans {
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
}

/// Which part of `key = value` an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Key,
    Value,
}

impl Sources {
    /// Reads a file's text and the variables of an environment: what they say together, and where they say it.
    pub fn read(
        path: &Path,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(Sources, Value), ConfigError> {
        let mut sources = Sources { file: path.to_owned(), text: text.to_owned(), ..Sources::default() };
        sources.lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let document = toml_edit::Document::parse(text).map_err(|error| sources.syntax(&error))?;
        sources.note_table(&mut Vec::new(), document.as_table());

        let file = config::File::from_str(text, FileFormat::Toml);
        let tree = sources.merged(Config::builder().add_source(file.clone()))?;
        let overrides = Overrides::new(&tree, environment, &mut sources.variables);
        let merged = sources.merged(Config::builder().add_source(file).add_source(overrides))?;
        Ok((sources, merged))
    }

    /// Where a value is set; for one that is nowhere set, where the table is that it belongs to.
    pub fn place(&self, path: &[String], part: Part) -> Place {
        if let Some(name) = self.variables.get(path) {
            return Place::Environment(name.clone());
        }
        // A table that only variables made is where they are.
        let below = || self.variables.iter().find(|(known, _)| known.starts_with(path));
        if !path.is_empty()
            && !self.spans.contains_key(path)
            && let Some((_, name)) = below()
        {
            return Place::Environment(name.clone());
        }
        for length in (1..=path.len()).rev() {
            let Some(spans) = self.spans.get(&path[..length]) else { continue };
            // Of an enclosing table only its name is worth pointing at.
            let wanted = if length < path.len() { Part::Key } else { part };
            let span = match wanted {
                Part::Key => spans.key.as_ref().or(spans.value.as_ref()),
                Part::Value => spans.value.as_ref().or(spans.key.as_ref()),
            };
            if let Some(span) = span {
                return self.at(span.start);
            }
        }
        Place::Path(self.file.clone())
    }

    /// Whether the value is set at all, and where.
    pub fn origin(&self, path: &[String]) -> Place {
        let set = self.variables.contains_key(path) || self.spans.contains_key(path);
        if set { self.place(path, Part::Key) } else { Place::Default }
    }

    fn at(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= offset);
        let start = self.lines[line - 1];
        let column = self.text.get(start..offset).map_or(1, |before| before.chars().count() + 1);
        Place::File { path: self.file.clone(), line, column }
    }

    fn syntax(&self, error: &toml_edit::TomlError) -> ConfigError {
        let place = error.span().map_or_else(|| Place::Path(self.file.clone()), |span| self.at(span.start));
        ConfigError { place, problem: format!("this is not TOML: {}", error.message().replace('\n', "; ")), hint: None }
    }

    fn merged(&self, builder: config::ConfigBuilder<config::builder::DefaultState>) -> Result<Value, ConfigError> {
        builder.build().map(|config| config.cache).map_err(|error| ConfigError {
            place: Place::Path(self.file.clone()),
            problem: error.to_string(),
            hint: None,
        })
    }

    fn note_table(&mut self, path: &mut KeyPath, table: &dyn TableLike) {
        for (name, item) in table.iter() {
            path.push(name.to_owned());
            let key = table.key(name).and_then(toml_edit::Key::span);
            self.spans.insert(path.clone(), Spans { key, value: item.span() });
            self.note_item(path, item);
            path.pop();
        }
    }

    fn note_item(&mut self, path: &mut KeyPath, item: &Item) {
        if let Some(table) = item.as_table_like() {
            self.note_table(path, table);
        } else if let Some(array) = item.as_array() {
            for (index, entry) in array.iter().enumerate() {
                path.push(format!("[{index}]"));
                self.spans.insert(path.clone(), Spans { key: None, value: entry.span() });
                if let Some(table) = entry.as_inline_table() {
                    self.note_table(path, table);
                }
                path.pop();
            }
        } else if let Some(tables) = item.as_array_of_tables() {
            for (index, table) in tables.iter().enumerate() {
                path.push(format!("[{index}]"));
                self.spans.insert(path.clone(), Spans { key: None, value: table.span() });
                self.note_table(path, table);
                path.pop();
            }
        }
    }
}

/// The environment's values, with the names of tables spelt as the file spells them: variables are in capitals.
#[derive(Clone, Debug)]
struct Overrides(Vec<(KeyPath, Value)>);

impl Overrides {
    fn new(
        file: &Value,
        environment: impl IntoIterator<Item = (String, String)>,
        variables: &mut BTreeMap<KeyPath, String>,
    ) -> Self {
        let mut found = Vec::new();
        for (name, text) in environment {
            let single = HashMap::from([(name.clone(), text)]);
            let source = Environment::with_prefix(PREFIX).prefix_separator(SEPARATOR).separator("\u{1f}");
            // One variable at a time: whatever it is called, its value is text and cannot fail to be read.
            let Ok(values) = source.source(Some(single)).collect() else { continue };
            for (key, value) in values {
                let path = spelt(file, key.split(SEPARATOR));
                variables.insert(path.clone(), name.clone());
                found.push((path, value));
            }
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Overrides(found)
    }
}

fn spelt<'a>(file: &Value, segments: impl Iterator<Item = &'a str>) -> KeyPath {
    let mut table = Some(file);
    let mut path = KeyPath::new();
    for segment in segments {
        let known = table.and_then(|value| match &value.kind {
            ValueKind::Table(table) => {
                table.iter().find(|(name, _)| name.eq_ignore_ascii_case(segment) || dashed(name) == segment)
            }
            _ => None,
        });
        path.push(known.map_or_else(|| segment.to_owned(), |(name, _)| name.clone()));
        table = known.map(|(_, value)| value);
    }
    path
}

/// Shells cannot name variables with dashes: `GPU_A100` also means `gpu-a100`.
fn dashed(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

impl Source for Overrides {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, Value>, config::ConfigError> {
        let mut root = config::Map::new();
        for (path, value) in &self.0 {
            insert(&mut root, path, value.clone());
        }
        Ok(root)
    }
}

fn insert(table: &mut config::Map<String, Value>, path: &[String], value: Value) {
    let Some((name, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        table.insert(name.clone(), value);
        return;
    }
    let entry = table.entry(name.clone()).or_insert_with(|| Value::new(None, ValueKind::Table(config::Map::new())));
    if let ValueKind::Table(inner) = &mut entry.kind {
        insert(inner, rest, value);
    }
}
