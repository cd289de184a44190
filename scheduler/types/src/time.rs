//! Instants and durations in milliseconds. Nobody here reads a clock: time is an argument.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::ops::{Add, AddAssign, Sub};

/// Milliseconds since the Unix epoch, on the cluster's own slewed clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct Timestamp(#[n(0)] pub i64);

/// A length of time in milliseconds; may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(transparent)]
#[serde(transparent)]
pub struct Span(#[n(0)] pub i64);

impl Timestamp {
    pub const ZERO: Timestamp = Timestamp(0);
    /// Later than anything that will happen; far enough from the edge to add to.
    pub const NEVER: Timestamp = Timestamp(i64::MAX / 4);

    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }
    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }
    /// How long after `earlier` this is; never negative.
    pub fn since(self, earlier: Timestamp) -> Span {
        Span(self.0.saturating_sub(earlier.0).max(0))
    }
}

impl Span {
    pub const ZERO: Span = Span(0);
    /// Longer than anything is waited for.
    pub const FOREVER: Span = Span(i64::MAX / 4);

    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }
    pub const fn from_mins(mins: i64) -> Self {
        Self::from_secs(mins.saturating_mul(60))
    }
    pub const fn from_hours(hours: i64) -> Self {
        Self::from_mins(hours.saturating_mul(60))
    }
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }
    pub const fn as_millis(self) -> i64 {
        self.0
    }
    pub const fn times(self, factor: i64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl Add<Span> for Timestamp {
    type Output = Timestamp;
    fn add(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0))
    }
}

impl AddAssign<Span> for Timestamp {
    fn add_assign(&mut self, span: Span) {
        *self = *self + span;
    }
}

impl Sub<Span> for Timestamp {
    type Output = Timestamp;
    fn sub(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_sub(span.0))
    }
}

impl Sub for Timestamp {
    type Output = Span;
    fn sub(self, earlier: Timestamp) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}

impl Sub for Span {
    type Output = Span;
    fn sub(self, other: Span) -> Span {
        Span(self.0.saturating_sub(other.0))
    }
}
