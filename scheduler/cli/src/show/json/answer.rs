//! What surrounds the records of an answer.

use super::Notation;
use super::value::{Member, Value};
use super::version::{Shape, Version};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::select::group_name;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// `{"jobs": [...], "meta": {...}, "errors": [], "warnings": []}`.
pub struct Answer<'a, T> {
    name: &'static str,
    value: T,
    surroundings: &'a Surroundings,
    beside: Vec<Member<'a>>,
}

/// A list of which each record is made when it is written.
pub struct Records<'a, T, F> {
    items: &'a [T],
    record: F,
}

/// Who asks whom.
pub struct Surroundings {
    shape: Shape,
    command: Vec<String>,
    user: String,
    group: String,
    /// The cluster's name.
    pub cluster: String,
}

impl Surroundings {
    pub fn of(invocation: &Invocation<'_>, shape: Shape) -> Surroundings {
        let words = std::iter::once(invocation.name().to_owned());
        Surroundings {
            shape,
            command: words.chain(invocation.arguments.iter().cloned()).collect(),
            user: invocation.caller.name.clone(),
            group: group_name(invocation.caller.gid),
            cluster: invocation.controller.ping().map(|reply| reply.cluster).unwrap_or_default(),
        }
    }

    fn meta(&self) -> Value<'_> {
        let shape = self.shape;
        let text = |text| Value::Text(std::borrow::Cow::Borrowed(text));
        let version = || Value::object([("major", text("24")), ("micro", text("4")), ("minor", text("05"))]);
        let slurm = || {
            Value::object([
                ("version", version()),
                ("release", text("24.05.4")),
                ("cluster", shape.text(&self.cluster)),
            ])
        };
        Value::object([
            (
                "plugin",
                Value::object([
                    ("type", shape.text("")),
                    ("name", shape.text("")),
                    ("data_parser", text(shape.version.full_name())),
                    ("accounting_storage", shape.text("")),
                ]),
            ),
            (
                "client",
                Value::object([
                    ("source", shape.text("")),
                    ("user", shape.text(&self.user)),
                    ("group", shape.text(&self.group)),
                ]),
            ),
            ("command", Value::words(&self.command)),
            ("slurm", slurm()),
            // So the commands of 23.02 named it, which had v0.0.39 alone.
            ("Slurm", shape.until(Version::V39, slurm())),
        ])
    }
}

impl<'a, T, F: Fn(&'a T) -> Value<'a>> Answer<'a, Records<'a, T, F>> {
    pub fn list(name: &'static str, items: &'a [T], surroundings: &'a Surroundings, record: F) -> Self {
        Answer::of(name, Records { items, record }, surroundings)
    }
}

impl<'a, T: Serialize> Answer<'a, T> {
    pub fn of(name: &'static str, value: T, surroundings: &'a Surroundings) -> Self {
        Answer { name, value, surroundings, beside: Vec::new() }
    }

    /// With moments that Slurm tells beside this kind of records and nobody keeps here.
    pub fn with_moments(self, names: &[&'static str]) -> Self {
        let shape = self.surroundings.shape;
        // What surrounds the records of v0.0.39 has none.
        let moment = |name: &&'static str| (*name, shape.since(Version::V40, shape.moment(None)));
        Answer { beside: names.iter().map(moment).collect(), ..self }
    }

    /// # Errors
    /// Where nobody reads any more.
    pub fn write(&self, invocation: &mut Invocation<'_>, notation: Notation) -> Result<i32, Failure> {
        notation.write(invocation.out, self)?;
        Ok(0)
    }
}

impl<T: Serialize> Serialize for Answer<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.name, &self.value)?;
        let written = self.beside.iter().filter(|(_, value)| *value != Value::Absent);
        written.into_iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
        map.serialize_entry("meta", &self.surroundings.meta())?;
        map.serialize_entry("errors", &Value::NONE)?;
        map.serialize_entry("warnings", &Value::NONE)?;
        map.end()
    }
}

impl<'a, T, F: Fn(&'a T) -> Value<'a>> Serialize for Records<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.items.iter().map(&self.record))
    }
}
