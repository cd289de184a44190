//! What is wrong with a configuration, and where.

use std::fmt;
use std::path::PathBuf;

/// One thing that is wrong. A reader gets all of them at once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub struct ConfigError {
    pub place: Place,
    /// What is wrong, in words that name the key and the value.
    pub problem: String,
    /// What would be right, where that can be said.
    pub hint: Option<String>,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Counted from 1; a column counts characters.
    File {
        path: PathBuf,
        line: usize,
        column: usize,
    },
    /// A whole file.
    Path(PathBuf),
    /// An environment variable.
    Environment(String),
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Place::Path(path) => write!(f, "{}", path.display()),
            Place::Environment(name) => write!(f, "environment variable {name}"),
            Place::Default => f.write_str("default"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}
