//! What is configured, value by value, with where it was said.

use super::sources::KeyPath;
use super::walk::joined;
use super::{Loaded, json_schema};
use serde_json::Value as Json;
use squall_types::api::ConfigEntry;

impl Loaded {
    /// Every value, defaults included, in the order of their keys.
    pub fn entries(&self) -> Vec<ConfigEntry> {
        let values = serde_json::to_value(&self.settings).expect("settings are JSON");
        let mut entries = Vec::new();
        self.collect(&mut KeyPath::new(), &values, &mut entries);
        entries
    }

    fn collect(&self, path: &mut KeyPath, value: &Json, entries: &mut Vec<ConfigEntry>) {
        match value {
            Json::Object(table) if !table.is_empty() => {
                for (name, inner) in table {
                    path.push(name.clone());
                    self.collect(path, inner, entries);
                    path.pop();
                }
            }
            _ => {
                let source = self.sources.origin(path).to_string();
                entries.push(ConfigEntry { key: joined(path), value: shown(value), source });
            }
        }
    }
}

fn shown(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Object(_) => "{}".to_owned(),
        other => other.to_string(),
    }
}

/// The JSON Schema of configuration files as people read it.
pub fn schema_text() -> String {
    let mut text = serde_json::to_string_pretty(&json_schema()).expect("a schema is JSON");
    text.push('\n');
    text
}
