//! Checks a merged configuration against the schema, value by value, so that every mistake is told at once and at its
//! place. What is left afterwards is sure to be readable as [`Settings`](super::Settings).

use super::error::ConfigError;
use super::sources::{KeyPath, Part, Sources};
use super::units;
use config::{Value, ValueKind};
use serde_json::{Map, Value as Json};
use squall_types::did_you_mean::closest;

/// More are counted, not told.
const MAX_ERRORS: usize = 100;

pub struct Walk<'a> {
    root: &'a Json,
    sources: &'a Sources,
    path: KeyPath,
    pub errors: Vec<ConfigError>,
}

impl<'a> Walk<'a> {
    pub fn new(schema: &'a Json, sources: &'a Sources) -> Self {
        Walk { root: schema, sources, path: KeyPath::new(), errors: Vec::new() }
    }

    /// The readable part of `value`; what is wrong with the rest is in `errors`.
    pub fn table(&mut self, value: &Value) -> Json {
        self.value(value, self.root).unwrap_or_default()
    }

    fn value(&mut self, value: &Value, schema: &'a Json) -> Option<Json> {
        let schema = self.resolve(schema);
        if schema.get("properties").is_some() || schema.get("additionalProperties").is_some_and(Json::is_object) {
            return self.entries(value, schema);
        }
        if is_free(schema) {
            return self.free(value);
        }
        if let Some(words) = words(schema) {
            return self.word(value, &words);
        }
        match schema.get("format").and_then(Json::as_str) {
            Some(format @ ("time" | "size" | "dollars")) => self.human(value, format, schema),
            _ => self.plain(value, schema),
        }
    }

    /// Follows references, and takes the one that is not `null` where a value may be absent.
    fn resolve(&self, schema: &'a Json) -> &'a Json {
        if let Some(choices) = schema.get("anyOf").and_then(Json::as_array) {
            let present = choices.iter().find(|choice| choice.get("type").and_then(Json::as_str) != Some("null"));
            return present.map_or(schema, |choice| self.resolve(choice));
        }
        let Some(name) = schema.get("$ref").and_then(Json::as_str) else { return schema };
        let definition = self.root.pointer(name.trim_start_matches('#'));
        definition.map_or(schema, |definition| self.resolve(definition))
    }

    fn entries(&mut self, value: &Value, schema: &'a Json) -> Option<Json> {
        let ValueKind::Table(table) = &value.kind else { return self.wrong_type(value, "a table") };
        let known = schema.get("properties").and_then(Json::as_object);
        // An object without properties of its own has entries of one kind under any name.
        let any = schema.get("additionalProperties").filter(|_| known.is_none());
        let mut read = Map::new();
        let mut names: Vec<&String> = table.keys().collect();
        names.sort();
        for name in names {
            self.path.push(name.clone());
            match known.and_then(|known| known.get(name)).or(any) {
                Some(schema) => {
                    if let Some(entry) = self.value(&table[name], schema) {
                        read.insert(name.clone(), entry);
                    }
                }
                None => self.unknown_key(name, known.into_iter().flat_map(Map::keys)),
            }
            self.path.pop();
        }
        for name in schema.get("required").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str) {
            if !table.contains_key(name) {
                let about = known.and_then(|known| known.get(name)?.get("description")?.as_str());
                let hint = about.map(|about| format!("{name}: {}", about.lines().next().unwrap_or_default()));
                self.error(Part::Key, format!("{} lacks `{name}`", self.here()), hint);
            }
        }
        Some(Json::Object(read))
    }

    /// Whatever stands there: somebody else knows what it means.
    fn free(&mut self, value: &Value) -> Option<Json> {
        Some(match &value.kind {
            ValueKind::Nil => Json::Null,
            ValueKind::Boolean(choice) => Json::Bool(*choice),
            ValueKind::I64(number) => Json::from(*number),
            ValueKind::U64(number) => Json::from(*number),
            ValueKind::Float(number) => Json::from(*number),
            ValueKind::I128(_) | ValueKind::U128(_) => return self.wrong_type(value, "a number of 64 bits"),
            ValueKind::String(text) => Json::String(text.clone()),
            ValueKind::Array(entries) => Json::Array(entries.iter().filter_map(|entry| self.free(entry)).collect()),
            ValueKind::Table(table) => {
                let entries = table.iter().filter_map(|(name, value)| Some((name.clone(), self.free(value)?)));
                Json::Object(entries.collect())
            }
        })
    }

    fn unknown_key(&mut self, name: &str, known: impl Iterator<Item = &'a String> + Clone) {
        let table = &self.path[..self.path.len() - 1];
        let place = if table.is_empty() { "at the top level".to_owned() } else { format!("in `{}`", joined(table)) };
        let hint = match closest(name, known.clone().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known there: {}", known.map(String::as_str).collect::<Vec<_>>().join(", ")),
        };
        self.error(Part::Key, format!("unknown key `{name}` {place}"), Some(hint));
    }

    fn word(&mut self, value: &Value, words: &[&str]) -> Option<Json> {
        let ValueKind::String(text) = &value.kind else { return self.wrong_type(value, "one of its words, as a text") };
        if words.contains(&text.as_str()) {
            return Some(Json::String(text.clone()));
        }
        let hint = match closest(text, words.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("known: {}", words.join(", ")),
        };
        self.error(Part::Value, format!("{} cannot be {text:?}", self.here()), Some(hint));
        None
    }

    fn human(&mut self, value: &Value, format: &str, schema: &Json) -> Option<Json> {
        let numbers = |kind: &str| types(schema).any(|known| known == kind);
        let text = match &value.kind {
            ValueKind::String(text) => text.clone(),
            ValueKind::I64(number) if numbers("integer") || numbers("number") => number.to_string(),
            ValueKind::Float(number) if numbers("number") => number.to_string(),
            ValueKind::I64(number) => {
                let hint = format!("write {} = \"{number}s\" or \"{number}m\"", self.path.last()?);
                self.error(Part::Value, format!("{} is {number} without a unit", self.here()), Some(hint));
                return None;
            }
            _ => return self.wrong_type(value, "a text"),
        };
        if let Some(problem) = units::problem_with(format, &text) {
            self.error(Part::Value, format!("{}: {problem}", self.here()), None);
            return None;
        }
        Some(Json::String(text))
    }

    fn plain(&mut self, value: &Value, schema: &'a Json) -> Option<Json> {
        let variable = value.origin() == Some("the environment");
        match (types(schema).next().unwrap_or("any"), &value.kind) {
            ("string", ValueKind::String(text)) => Some(Json::String(text.clone())),
            ("boolean", ValueKind::Boolean(choice)) => Some(Json::Bool(*choice)),
            ("boolean", ValueKind::String(text)) if variable && ["true", "false"].contains(&text.as_str()) => {
                Some(Json::Bool(text == "true"))
            }
            ("integer", ValueKind::I64(number)) => self.integer(i128::from(*number), schema),
            ("integer", ValueKind::String(text)) if variable => match text.parse() {
                Ok(number) => self.integer(number, schema),
                Err(_) => self.wrong_type(value, "a whole number"),
            },
            ("array", ValueKind::Array(entries)) => self.list(entries, schema),
            ("array", ValueKind::String(text)) if variable => {
                let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
                Some(Json::Array(entries.map(|entry| Json::String(entry.to_owned())).collect()))
            }
            ("string", _) => self.wrong_type(value, "a text"),
            ("boolean", _) => self.wrong_type(value, "true or false"),
            ("integer", _) => self.wrong_type(value, "a whole number"),
            _ => self.wrong_type(value, "a list"),
        }
    }

    fn list(&mut self, entries: &[Value], schema: &'a Json) -> Option<Json> {
        let items = schema.get("items")?;
        let mut read = Vec::with_capacity(entries.len());
        for (index, entry) in entries.iter().enumerate() {
            self.path.push(format!("[{index}]"));
            read.extend(self.value(entry, items));
            self.path.pop();
        }
        Some(Json::Array(read))
    }

    fn integer(&mut self, number: i128, schema: &Json) -> Option<Json> {
        let bound = |name| schema.get(name).and_then(Json::as_i64).map(i128::from);
        let most = match schema.get("format").and_then(Json::as_str) {
            Some("uint32") => i128::from(u32::MAX),
            _ => i128::from(i64::MAX),
        };
        let (least, most) = (bound("minimum").unwrap_or(i128::MIN), bound("maximum").unwrap_or(most));
        if number < least || number > most {
            let problem = format!("{} is {number}, which is not between {least} and {most}", self.here());
            self.error(Part::Value, problem, None);
            return None;
        }
        i64::try_from(number).ok().map(Json::from)
    }

    fn wrong_type(&mut self, value: &Value, wanted: &str) -> Option<Json> {
        let given = match &value.kind {
            ValueKind::Nil => "nothing".to_owned(),
            ValueKind::Boolean(choice) => choice.to_string(),
            ValueKind::Float(number) => format!("the number {number}"),
            ValueKind::String(text) => format!("the text {:?}", text.chars().take(80).collect::<String>()),
            ValueKind::Table(_) => "a table".to_owned(),
            ValueKind::Array(_) => "a list".to_owned(),
            ValueKind::I64(number) => format!("the number {number}"),
            ValueKind::I128(number) => format!("the number {number}"),
            ValueKind::U64(number) => format!("the number {number}"),
            ValueKind::U128(number) => format!("the number {number}"),
        };
        self.error(Part::Value, format!("{} must be {wanted}, not {given}", self.here()), None);
        None
    }

    fn here(&self) -> String {
        if self.path.is_empty() { "the configuration".to_owned() } else { format!("`{}`", joined(&self.path)) }
    }

    fn error(&mut self, part: Part, problem: String, hint: Option<String>) {
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(ConfigError { place: self.sources.place(&self.path, part), problem, hint });
        }
    }
}

/// A path as people write it: `partitions.gpu.pools[1]`.
pub fn joined(path: &[String]) -> String {
    let mut text = String::new();
    for name in path {
        let bare = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        match () {
            _ if name.starts_with('[') => text.push_str(name),
            _ if text.is_empty() && bare => text.push_str(name),
            _ if bare => text.extend([".", name]),
            _ => text.push_str(&format!("{}{name:?}", if text.is_empty() { "" } else { "." })),
        }
    }
    text
}

/// An object of which the schema says nothing.
fn is_free(schema: &Json) -> bool {
    schema.get("additionalProperties").and_then(Json::as_bool) == Some(true) && schema.get("properties").is_none()
}

fn types(schema: &Json) -> impl Iterator<Item = &str> {
    let (one, several) = match schema.get("type") {
        Some(Json::Array(several)) => (None, several.as_slice()),
        Some(Json::String(one)) => (Some(one.as_str()), [].as_slice()),
        _ => (None, [].as_slice()),
    };
    one.into_iter().chain(several.iter().filter_map(Json::as_str)).filter(|kind| *kind != "null")
}

/// The words of an enumeration.
fn words(schema: &Json) -> Option<Vec<&str>> {
    if let Some(words) = schema.get("enum").and_then(Json::as_array) {
        return Some(words.iter().filter_map(Json::as_str).collect());
    }
    let choices = schema.get("oneOf").and_then(Json::as_array)?;
    let mut known = Vec::new();
    for choice in choices {
        known.extend(choice.get("const").and_then(Json::as_str));
        known.extend(choice.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str));
    }
    Some(known)
}
