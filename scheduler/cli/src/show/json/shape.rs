//! How a value is written in a version of the shape. Whatever differs between versions for a kind of value is here;
//! which members a record has in a version stands with the record.

use super::value::{Amount, Value};
use super::version::{Shape, Version};
use squall_types::agent::ExitStatus;
use squall_types::api::JobState;
use squall_types::{Span, Timestamp};
use std::borrow::Cow;

/// What Slurm's v0.0.39 has for the return code of what a signal ended.
const RETURN_CODE_OF_SIGNALED: i64 = -127;

impl Shape {
    /// A member that came with a version.
    pub fn since<'a>(self, first: Version, value: Value<'a>) -> Value<'a> {
        if self.version >= first { value } else { Value::Absent }
    }

    /// A member that is written up to a version.
    pub fn until<'a>(self, last: Version, value: Value<'a>) -> Value<'a> {
        if self.version <= last { value } else { Value::Absent }
    }

    /// Text that may be missing.
    pub fn text<'a>(self, text: impl Into<Cow<'a, str>>) -> Value<'a> {
        let text = text.into();
        if self.complex && text.is_empty() { Value::Null } else { Value::Text(text) }
    }

    /// A member that Slurm has given up: nothing of its type.
    pub fn given_up<'a>(self, nothing: Value<'a>) -> Value<'a> {
        if self.complex { Value::Null } else { nothing }
    }

    /// A number that is known.
    pub fn number<'a>(self, number: impl Into<Value<'a>>) -> Value<'a> {
        match number.into() {
            Value::Int(number) => self.amount(Amount::Of(number)),
            other => other,
        }
    }

    /// A number that may be missing.
    pub fn perhaps<'a, T: Into<Value<'a>>>(self, number: Option<T>) -> Value<'a> {
        number.map_or_else(|| self.amount(Amount::Missing), |number| self.number(number))
    }

    /// A number that may be without bound.
    pub fn limit<'a, T: Into<Value<'a>>>(self, number: Option<T>) -> Value<'a> {
        number.map_or_else(|| self.amount(Amount::Infinite), |number| self.number(number))
    }

    fn amount<'a>(self, amount: Amount<i64>) -> Value<'a> {
        match amount {
            amount if !self.complex => Value::Amount(amount),
            Amount::Missing => Value::Null,
            Amount::Infinite => Value::Text("Infinity".into()),
            Amount::Of(number) => Value::Int(number),
        }
    }

    pub fn decimal<'a>(self, number: Option<f64>) -> Value<'a> {
        match number {
            Some(number) if self.complex => Value::Decimal(number),
            None if self.complex => Value::Null,
            number => Value::DecimalAmount(number.map_or(Amount::Missing, Amount::Of)),
        }
    }

    /// Seconds since the epoch; 0 where there is no such moment.
    pub fn moment<'a>(self, at: Option<Timestamp>) -> Value<'a> {
        self.stamp(seconds(at))
    }

    /// What Slurm keeps as a moment, in seconds.
    pub fn stamp<'a>(self, seconds: i64) -> Value<'a> {
        match self.version {
            Version::V39 => Value::Int(seconds),
            _ => self.number(seconds),
        }
    }

    /// Minutes of a time limit.
    pub fn minutes<'a>(self, limit: Option<Span>) -> Value<'a> {
        self.limit(minutes(limit))
    }

    pub fn state<'a>(self, state: JobState) -> Value<'a> {
        match self.version {
            Version::V39 => Value::Text(state.word().into()),
            _ => Value::words([state.word()]),
        }
    }

    /// How a job ended, as the queue has it: v0.0.39 has the number of the system there.
    pub fn exit<'a>(self, exit: ExitStatus) -> Value<'a> {
        match self.version {
            Version::V39 => self.number((exit.code & 0xff) << 8 | exit.signal & 0x7f),
            _ => self.ended(Some(exit)),
        }
    }

    /// How a job or step ended, as accounting has it; `None` where it has not.
    pub fn ended<'a>(self, exit: Option<ExitStatus>) -> Value<'a> {
        let status = match exit {
            None => "PENDING",
            Some(ExitStatus { code: 0, signal: 0 }) => "SUCCESS",
            Some(ExitStatus { signal: 0, .. }) => "ERROR",
            Some(_) => "SIGNALED",
        };
        let signal = exit.map(|exit| exit.signal).filter(|signal| *signal > 0);
        let code = exit.filter(|exit| exit.signal == 0).map(|exit| exit.code.max(0));
        let name = signal.and_then(squall_types::signal::signal_name).unwrap_or_default();
        if self.version == Version::V39 {
            let code = if signal.is_some() { RETURN_CODE_OF_SIGNALED } else { code.unwrap_or(0).into() };
            let named = |signal: i32| Value::object([("signal_id", signal.into()), ("name", Value::Text(name.into()))]);
            return Value::object([
                ("status", Value::Text(status.into())),
                ("return_code", Value::Int(code)),
                ("signal", signal.map_or(Value::Absent, named)),
            ]);
        }
        Value::object([
            ("status", Value::words([status])),
            ("return_code", self.perhaps(code)),
            ("signal", Value::object([("id", self.perhaps(signal)), ("name", self.text(name))])),
        ])
    }
}

/// Seconds since the epoch, as far as Slurm's kind of time reaches.
pub fn seconds(at: Option<Timestamp>) -> i64 {
    at.map_or(0, |at| at.as_secs().max(0))
}

/// `None` is without bound.
pub fn minutes(span: Option<Span>) -> Option<i64> {
    span.filter(|span| *span < Span::FOREVER).map(|span| span.as_secs() / 60)
}
