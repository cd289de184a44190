//! What an answer is made of, before it is JSON or YAML.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// A record has some hundred values and an answer some ten thousand records: text is borrowed where it can be, and an
/// object keeps its members in the order in which they were named.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// What this version of the shape does not have: a member of that value is not written.
    Absent,
    Null,
    Bool(bool),
    Int(i64),
    Decimal(f64),
    Text(Cow<'a, str>),
    /// A number that may be missing or without bound, in the long form.
    Amount(Amount<i64>),
    /// The same with a fraction.
    DecimalAmount(Amount<f64>),
    List(Vec<Value<'a>>),
    Object(Vec<Member<'a>>),
}

pub type Member<'a> = (&'static str, Value<'a>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount<T> {
    Missing,
    Infinite,
    Of(T),
}

impl<'a> Value<'a> {
    pub fn object<const N: usize>(members: [Member<'a>; N]) -> Value<'a> {
        Value::Object(members.into())
    }

    pub fn list(values: impl IntoIterator<Item = Value<'a>>) -> Value<'a> {
        Value::List(values.into_iter().collect())
    }

    /// Words that Slurm's shape has in a list.
    pub fn words<T: Into<Cow<'a, str>>>(words: impl IntoIterator<Item = T>) -> Value<'a> {
        Value::list(words.into_iter().map(|word| Value::Text(word.into())))
    }

    pub const NONE: Value<'static> = Value::List(Vec::new());
}

macro_rules! whole_numbers {
    ($($kind:ty)*) => { $(
        impl From<$kind> for Value<'_> {
            fn from(number: $kind) -> Self {
                Value::Int(i64::from(number))
            }
        }
    )* };
}
whole_numbers! { i64 u32 u16 i32 u8 }

impl From<u64> for Value<'_> {
    fn from(number: u64) -> Self {
        Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value<'_> {
    fn from(number: usize) -> Self {
        Value::from(number as u64)
    }
}

impl From<bool> for Value<'_> {
    fn from(flag: bool) -> Self {
        Value::Bool(flag)
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Absent | Value::Null => serializer.serialize_unit(),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Decimal(number) => serializer.serialize_f64(*number),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Amount(amount) => amount.serialize(serializer),
            Value::DecimalAmount(amount) => amount.serialize(serializer),
            Value::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                values.iter().try_for_each(|value| list.serialize_element(value))?;
                list.end()
            }
            Value::Object(members) => {
                let mut map = serializer.serialize_map(None)?;
                let written = members.iter().filter(|(_, value)| !matches!(value, Value::Absent));
                written.into_iter().try_for_each(|(name, value)| map.serialize_entry(name, value))?;
                map.end()
            }
        }
    }
}

impl<T: Serialize + Default + Copy> Serialize for Amount<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = match self {
            Amount::Of(number) => *number,
            Amount::Missing | Amount::Infinite => T::default(),
        };
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("set", &matches!(self, Amount::Of(_)))?;
        map.serialize_entry("infinite", &matches!(self, Amount::Infinite))?;
        map.serialize_entry("number", &number)?;
        map.end()
    }
}
