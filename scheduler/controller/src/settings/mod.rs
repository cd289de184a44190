//! Configuration: one schema, a file and the environment, every mistake told with its place.

mod error;
mod lower;
mod personal;
mod schema;
mod show;
mod sources;
mod units;
mod walk;

pub use error::{ConfigError, Place};
pub use personal::{Personal, PersonalShape};
pub use schema::*;
pub use show::schema_text;
pub use sources::{PREFIX, SEPARATOR, Sources};
pub use units::{Dollars, Size, Time};

use crate::limits::CONFIG_BYTES;
use squall_core::ClusterConfig;
use squall_types::Uid;
use std::io::Read;
use std::ops::RangeInclusive;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A configuration that holds together.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the state takes in, all at once.
    pub cluster: ClusterConfig,
    /// What it says, for everything around the state.
    pub settings: Settings,
    /// Where each value comes from.
    pub sources: Sources,
    pub path: PathBuf,
}

/// Reads a configuration file, with the overrides of this process's environment.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn load(path: &Path) -> Result<Loaded, Vec<ConfigError>> {
    let text = read_file(path).map_err(|error| vec![error])?;
    load_text(path, &text, std::env::vars())
}

/// The same for a text that was read from `path`, and any environment.
///
/// # Errors
/// Everything that is wrong with it, in the order of the file.
pub fn load_text(
    path: &Path,
    text: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Loaded, Vec<ConfigError>> {
    let ours = environment.into_iter().filter(|(name, _)| name.starts_with(PREFIX));
    let (sources, merged) = Sources::read(path, text, ours).map_err(|error| vec![error])?;
    let schema = json_schema();
    let mut walk = walk::Walk::new(&schema, &sources);
    let checked = walk.table(&merged);
    let mut errors = walk.errors;
    let lowered = serde_json::from_value::<Settings>(checked).map(|settings| {
        let cluster = lower::lower(&settings, &sources);
        (settings, cluster)
    });
    match lowered {
        Ok((settings, Ok(cluster))) if errors.is_empty() => {
            return Ok(Loaded { cluster, settings, sources, path: path.to_owned() });
        }
        // A value that could not be read is missing below, which is no mistake of its own.
        Ok((_, Err(further))) if errors.is_empty() => errors = further,
        Ok(_) => {}
        Err(error) if errors.is_empty() => {
            let problem = error.to_string();
            errors.push(ConfigError { place: Place::Path(path.to_owned()), problem, hint: None });
        }
        Err(_) => {}
    }
    errors.sort();
    errors.dedup();
    Err(errors)
}

/// The schema of a configuration file, as JSON Schema.
pub fn json_schema() -> serde_json::Value {
    let mut settings = schemars::generate::SchemaSettings::draft2020_12();
    settings.meta_schema = Some("https://json-schema.org/draft/2020-12/schema".into());
    let mut schema = settings.into_generator().into_root_schema_for::<Settings>().to_value();
    close(&mut schema);
    schema
}

/// What a table does not list it does not take.
fn close(schema: &mut serde_json::Value) {
    let Some(object) = schema.as_object_mut() else {
        return schema.as_array_mut().into_iter().flatten().for_each(close);
    };
    object.values_mut().for_each(close);
    if object.get("type").is_some_and(|kind| kind == "object") && object.contains_key("properties") {
        object.insert("additionalProperties".to_owned(), false.into());
    }
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    let wrong = |problem: String, hint: Option<&str>| ConfigError {
        place: Place::Path(path.to_owned()),
        problem,
        hint: hint.map(str::to_owned),
    };
    let unreadable = |error: std::io::Error| wrong(format!("the file cannot be read: {error}"), None);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(wrong("this is no file".to_owned(), None));
    }
    // Whoever can write it can name himself an admin.
    if metadata.mode() & 0o022 != 0 {
        let problem = format!("the file has mode {:04o}: others than its owner can write it", metadata.mode() & 0o7777);
        return Err(wrong(problem, Some("chmod go-w makes it safe")));
    }
    let mut text = String::new();
    file.take(CONFIG_BYTES + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > CONFIG_BYTES {
        return Err(wrong(format!("the file is longer than {CONFIG_BYTES} bytes"), None));
    }
    Ok(text)
}

/// An octal file mode.
pub fn socket_mode(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0o").unwrap_or(text), 8).ok().filter(|mode| *mode <= 0o777)
}

/// `host:7000`, `[::1]:7000`.
pub fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').map_or(Some(host), |inner| inner.strip_suffix(']'))?;
    (!host.is_empty() && !host.contains(char::is_whitespace)).then_some(())?;
    Some((host, port.parse().ok()?))
}

/// `1000-59999`; never root.
pub fn uid_range(text: &str) -> Option<RangeInclusive<Uid>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (0 < first && first <= last).then_some(Uid(first)..=Uid(last))
}

#[cfg(test)]
mod tests;
