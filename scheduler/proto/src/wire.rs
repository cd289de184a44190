//! One trait for all conversions between plain values and their form on the wire.
//!
//! Sending cannot fail. Receiving checks every length, every enum and every message that must be there, and says in
//! which field it stumbled. Nothing here allocates by a number that the sender states.

use crate::limits::{MAX_BYTES, MAX_LIST, MAX_NAME, MAX_TEXT};
use squall_types::*;
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong with a received message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct WireError {
    /// A path of field names, `spec.ask.gpus`.
    pub field: String,
    pub problem: Problem,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("is missing, or of a kind that this version does not know")]
    Missing,
    #[error("{0} is not known to this version")]
    Unknown(i32),
    #[error("{value} is more than {most}")]
    TooLarge { value: u64, most: u64 },
    #[error("has {length} {unit}, {most} are allowed")]
    TooLong { length: usize, unit: &'static str, most: usize },
    #[error("is nested deeper than {0}")]
    TooDeep(usize),
    #[error("{0}")]
    Malformed(&'static str),
}

impl From<Problem> for WireError {
    fn from(problem: Problem) -> Self {
        WireError { field: String::new(), problem }
    }
}

impl WireError {
    /// Puts the name of the enclosing field before the path.
    pub(crate) fn within(mut self, field: &str) -> Self {
        self.field = match self.field.as_str() {
            "" => field.to_owned(),
            inner => format!("{field}.{inner}"),
        };
        self
    }
}

/// A plain value and its form on the wire.
pub(crate) trait Wire: Sized {
    type Pb;
    fn to_pb(self) -> Self::Pb;
    fn from_pb(pb: Self::Pb) -> Result<Self, WireError>;
}

fn limited(length: usize, unit: &'static str, most: usize) -> Result<(), WireError> {
    if length > most { Err(Problem::TooLong { length, unit, most }.into()) } else { Ok(()) }
}

/// What is the same on the wire.
macro_rules! same {
    ($($type:ty),*) => { $(
        impl Wire for $type {
            type Pb = $type;
            fn to_pb(self) -> $type {
                self
            }
            fn from_pb(pb: $type) -> Result<$type, WireError> {
                Ok(pb)
            }
        }
    )* };
}
same!(bool, u32, u64, i32, i64);

impl Wire for u16 {
    type Pb = u32;
    fn to_pb(self) -> u32 {
        self.into()
    }
    fn from_pb(pb: u32) -> Result<u16, WireError> {
        u16::try_from(pb).map_err(|_| Problem::TooLarge { value: pb.into(), most: u16::MAX.into() }.into())
    }
}

impl Wire for String {
    type Pb = String;
    fn to_pb(self) -> String {
        self
    }
    fn from_pb(pb: String) -> Result<String, WireError> {
        limited(pb.len(), "bytes", MAX_TEXT)?;
        Ok(pb)
    }
}

impl Wire for Vec<u8> {
    type Pb = Vec<u8>;
    fn to_pb(self) -> Vec<u8> {
        self
    }
    fn from_pb(pb: Vec<u8>) -> Result<Vec<u8>, WireError> {
        limited(pb.len(), "bytes", MAX_BYTES)?;
        Ok(pb)
    }
}

impl Wire for BlobDigest {
    type Pb = Vec<u8>;
    fn to_pb(self) -> Vec<u8> {
        self.0.to_vec()
    }
    fn from_pb(pb: Vec<u8>) -> Result<BlobDigest, WireError> {
        pb.try_into().map(BlobDigest).map_err(|_| Problem::Malformed("a digest has 32 bytes").into())
    }
}

impl<T: Wire> Wire for Option<T> {
    type Pb = Option<T::Pb>;
    fn to_pb(self) -> Self::Pb {
        self.map(T::to_pb)
    }
    fn from_pb(pb: Self::Pb) -> Result<Self, WireError> {
        pb.map(T::from_pb).transpose()
    }
}

impl<T: Wire> Wire for Vec<T> {
    type Pb = Vec<T::Pb>;
    fn to_pb(self) -> Self::Pb {
        self.into_iter().map(T::to_pb).collect()
    }
    fn from_pb(pb: Self::Pb) -> Result<Self, WireError> {
        limited(pb.len(), "entries", MAX_LIST)?;
        pb.into_iter().map(T::from_pb).collect()
    }
}

impl<T: Wire> Wire for Box<T> {
    type Pb = T::Pb;
    fn to_pb(self) -> Self::Pb {
        T::to_pb(*self)
    }
    fn from_pb(pb: Self::Pb) -> Result<Self, WireError> {
        T::from_pb(pb).map(Box::new)
    }
}

impl Wire for BTreeSet<String> {
    type Pb = Vec<String>;
    fn to_pb(self) -> Vec<String> {
        self.into_iter().collect()
    }
    fn from_pb(pb: Vec<String>) -> Result<Self, WireError> {
        Vec::from_pb(pb).map(BTreeSet::from_iter)
    }
}

impl Wire for BTreeMap<String, String> {
    type Pb = BTreeMap<String, String>;
    fn to_pb(self) -> Self {
        self
    }
    fn from_pb(pb: Self) -> Result<Self, WireError> {
        limited(pb.len(), "entries", MAX_LIST)?;
        pb.into_iter().map(|(key, value)| Ok((String::from_pb(key)?, String::from_pb(value)?))).collect()
    }
}

macro_rules! numbers {
    ($($name:ident: $inner:ty),* $(,)?) => { $(
        impl Wire for $name {
            type Pb = $inner;
            fn to_pb(self) -> $inner {
                self.0
            }
            fn from_pb(pb: $inner) -> Result<$name, WireError> {
                Ok($name(pb))
            }
        }
    )* };
}
numbers! {
    JobId: u32, Attempt: u32, StepId: u32, NodeId: u64, OrderId: u64, Epoch: u64, Generation: u64, Uid: u32, Gid: u32,
    Timestamp: i64, Span: i64, MicroUsd: i64, HourlyPrice: i64,
}

macro_rules! names {
    ($($name:ident),* $(,)?) => { $(
        impl Wire for $name {
            type Pb = String;
            fn to_pb(self) -> String {
                self.0
            }
            fn from_pb(pb: String) -> Result<$name, WireError> {
                limited(pb.len(), "bytes", MAX_NAME)?;
                Ok($name(pb))
            }
        }
    )* };
}
names!(
    PartitionName,
    PoolName,
    NodeName,
    AccountName,
    QosName,
    SwitchName,
    InstanceId,
    OfferName,
    GpuModel,
    LaunchToken
);

impl Wire for SubmitToken {
    type Pb = String;
    fn to_pb(self) -> String {
        self.as_str().to_owned()
    }
    fn from_pb(pb: String) -> Result<SubmitToken, WireError> {
        limited(pb.len(), "bytes", MAX_NAME)?;
        Ok(SubmitToken::new(pb))
    }
}

/// A plain struct and its message. Fields have the same names; a nested message that is not optional is `required`, or
/// `boxed` where the build says so of a large one, which calls would move about.
macro_rules! message {
    ($($plain:ident { $($field:ident $(: $kind:ident)?),* $(,)? })*) => { $(
        impl $crate::wire::Wire for $plain {
            type Pb = $crate::pb::$plain;
            fn to_pb(self) -> Self::Pb {
                // Without `..`: a field that is added to the plain value must be sent.
                let $plain { $($field),* } = self;
                $crate::pb::$plain { $($field: put!($field $(, $kind)?)),* }
            }
            fn from_pb(pb: Self::Pb) -> Result<Self, $crate::wire::WireError> {
                let $crate::pb::$plain { $($field),* } = pb;
                Ok($plain { $($field: take!($field, stringify!($field) $(, $kind)?)),* })
            }
        }

        #[cfg(test)]
        impl $crate::sample::Sample for $plain {
            fn sample(source: &mut $crate::sample::Source<'_>) -> Self {
                $plain { $($field: $crate::sample::Sample::sample(source)),* }
            }
        }
    )* };
}

/// A plain enum without contents and its enum on the wire.
macro_rules! words {
    ($($plain:ident { $($word:ident),* $(,)? })*) => { $(
        impl $crate::wire::Wire for $plain {
            type Pb = i32;
            fn to_pb(self) -> i32 {
                match self { $($plain::$word => $crate::pb::$plain::$word as i32),* }
            }
            fn from_pb(pb: i32) -> Result<Self, $crate::wire::WireError> {
                match $crate::pb::$plain::try_from(pb) {
                    $(Ok($crate::pb::$plain::$word) => Ok($plain::$word),)*
                    Ok($crate::pb::$plain::Unspecified) | Err(_) => Err($crate::wire::Problem::Unknown(pb).into()),
                }
            }
        }

        #[cfg(test)]
        impl $crate::sample::Sample for $plain {
            fn sample(source: &mut $crate::sample::Source<'_>) -> Self {
                source.one_of(&[$(|_| $plain::$word),*])
            }
        }
    )* };
}

/// A plain enum with contents and the message that holds a `oneof`: variants without content, variants around one
/// value, and variants with fields, which have a message of their own.
macro_rules! choice {
    ($plain:ident in $module:ident::$choice:ident ($slot:ident) {
        units { $($unit:ident),* $(,)? }
        values { $($value:ident),* $(,)? }
        records { $($record:ident as $message:ident { $($field:ident $(: $kind:ident)?),* $(,)? }),* $(,)? }
    }) => {
        impl $crate::wire::Wire for $plain {
            type Pb = $crate::pb::$plain;
            fn to_pb(self) -> Self::Pb {
                #[allow(unused_imports, reason = "a choice of units and values alone names it nowhere else")]
                use $crate::pb::$module::$choice;
                let chosen = match self {
                    $($plain::$unit => $choice::$unit($crate::pb::Unit {}),)*
                    $($plain::$value(content) => $choice::$value($crate::wire::Wire::to_pb(content)),)*
                    $($plain::$record { $($field),* } =>
                        $choice::$record($crate::pb::$message { $($field: put!($field $(, $kind)?)),* }),)*
                };
                $crate::pb::$plain { $slot: Some(chosen) }
            }
            fn from_pb(pb: Self::Pb) -> Result<Self, $crate::wire::WireError> {
                use $crate::pb::$module::$choice;
                Ok(match pb.$slot.ok_or($crate::wire::Problem::Missing)? {
                    $($choice::$unit(_) => $plain::$unit,)*
                    $($choice::$value(content) => $plain::$value(take!(content, stringify!($value))),)*
                    $($choice::$record($crate::pb::$message { $($field),* }) =>
                        $plain::$record { $($field: take!($field, stringify!($field) $(, $kind)?)),* },)*
                })
            }
        }

        #[cfg(test)]
        impl $crate::sample::Sample for $plain {
            fn sample(source: &mut $crate::sample::Source<'_>) -> Self {
                source.one_of(&[
                    $(|_| $plain::$unit,)*
                    $(|source| $plain::$value($crate::sample::Sample::sample(source)),)*
                    $(|source| $plain::$record { $($field: $crate::sample::Sample::sample(source)),* },)*
                ])
            }
        }
    };
}

/// One field on its way out.
macro_rules! put {
    ($value:expr) => {
        $crate::wire::Wire::to_pb($value)
    };
    ($value:expr, required) => {
        Some($crate::wire::Wire::to_pb($value))
    };
    ($value:expr, boxed) => {
        Some(Box::new($crate::wire::Wire::to_pb($value)))
    };
}

/// One field on its way in.
macro_rules! take {
    ($value:expr, $name:expr) => {
        $crate::wire::Wire::from_pb($value).map_err(|error| error.within($name))?
    };
    ($value:expr, $name:expr, required) => {
        $value
            .ok_or_else(|| $crate::wire::WireError::from($crate::wire::Problem::Missing))
            .and_then($crate::wire::Wire::from_pb)
            .map_err(|error| error.within($name))?
    };
    ($value:expr, $name:expr, boxed) => {
        $crate::wire::take!($value.map(|boxed| *boxed), $name, required)
    };
}

pub(crate) use {choice, message, put, take, words};
