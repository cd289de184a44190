//! Identities. Numbers are assigned by the one loop and never reused; names are what people type.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
        #[cbor(transparent)]
        #[serde(transparent)]
        pub struct $name(#[n(0)] pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
        #[cbor(transparent)]
        #[serde(transparent)]
        pub struct $name(#[n(0)] pub String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

number!(
    /// A job: a decimal integer as in Slurm, strictly increasing, never reused.
    JobId(u32)
);
number!(
    /// One run of a job; raised on every requeue. All agent news carries it. Counts from 1 in its lower 16 bits; above
    /// them stands how many backups were restored before it, so that no attempt that a backup has forgotten is repeated.
    Attempt(u32)
);

impl Attempt {
    /// The next one, after so many restored backups.
    pub fn next(self, restores: u32) -> Attempt {
        let count = (self.0 & 0xffff) + 1;
        Attempt((self.0.saturating_add(1)).max(restores << 16 | count & 0xffff))
    }

    /// The how manyth run of its job it is, as far as is known; 0 where there was none.
    pub fn count(self) -> u32 {
        self.0 & 0xffff
    }
}
number!(
    /// A step of an attempt. Batch and extern steps have the reserved numbers below.
    StepId(u32)
);
number!(
    /// A node record from order to gone; never reused. Its name may be.
    NodeId(u64)
);
number!(
    /// One launch: one ledger row, one provider call, one token.
    OrderId(u64)
);
number!(
    /// Raised each time a controller takes the journal; a lower epoch can write nothing.
    Epoch(u64)
);
number!(
    /// Position of a record in the journal, from 1.
    Seq(u64)
);
number!(
    /// Raised each time the set of duties of a node changes.
    Generation(u64)
);
number!(
    /// A user as the kernel numbers it.
    Uid(u32)
);
number!(
    /// A group as the kernel numbers it.
    Gid(u32)
);

impl StepId {
    /// The batch script itself; prints as `.batch`.
    pub const BATCH: StepId = StepId(u32::MAX - 1);
    /// What was started outside any step; prints as `.extern`.
    pub const EXTERN: StepId = StepId(u32::MAX - 2);

    /// The suffix that Slurm prints after the job id.
    pub fn suffix(self) -> String {
        match self {
            StepId::BATCH => "batch".to_owned(),
            StepId::EXTERN => "extern".to_owned(),
            StepId(n) => n.to_string(),
        }
    }
}

name!(
    /// What users name with `-p`.
    PartitionName
);
name!(
    /// Nodes alike enough to swap.
    PoolName
);
name!(
    /// On-prem: the machine's own. Cloud: pool name and a short number.
    NodeName
);
name!(
    /// Who pays.
    AccountName
);
name!(
    /// A quality of service.
    QosName
);
name!(
    /// What a provider calls a machine that it says exists.
    InstanceId
);
name!(
    /// Something that can be bought, unique within its pool: `TYPE/SCOPE/KIND`.
    OfferName
);
name!(
    /// A GPU model in lower case, as in `--gres=gpu:h100:4`.
    GpuModel
);
name!(
    /// What nodes hang on, or other switches do.
    SwitchName
);
name!(
    /// Money that may be spent in a period.
    BudgetName
);
name!(
    /// A provider's idempotency key, a function of the order alone.
    LaunchToken
);

/// A client's idempotency key for one submission. A clone shares the text: it stands with its job and in a look-up, for
/// every job that there is.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubmitToken(Arc<str>);

impl SubmitToken {
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubmitToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<&str> for SubmitToken {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl<C> Encode<C> for SubmitToken {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.str(&self.0).map(|_| ())
    }
}

impl<'b, C> Decode<'b, C> for SubmitToken {
    fn decode(d: &mut minicbor::Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        String::decode(d, ctx).map(Self::new)
    }
}

impl Serialize for SubmitToken {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SubmitToken {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d).map(Self::new)
    }
}

/// The SHA-256 of a script or environment, which are stored once and outside memory.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobDigest(pub [u8; 32]);

impl fmt::Display for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobDigest({self})")
    }
}

impl std::str::FromStr for BlobDigest {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err("a digest is 64 hexadecimal digits");
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |digit: u8| (digit as char).to_digit(16).unwrap_or(0) as u8;
            *byte = nibble(pair[0]) << 4 | nibble(pair[1]);
        }
        Ok(Self(bytes))
    }
}

impl<C> Encode<C> for BlobDigest {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0).map(|_| ())
    }
}

impl<'b, C> Decode<'b, C> for BlobDigest {
    fn decode(d: &mut minicbor::Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        d.bytes()?.try_into().map(Self).map_err(|_| minicbor::decode::Error::message("a digest has 32 bytes"))
    }
}

impl Serialize for BlobDigest {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BlobDigest {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One run of one job: what agents are told about and report on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct Run {
    #[n(0)]
    pub job: JobId,
    #[n(1)]
    pub attempt: Attempt,
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.job, self.attempt)
    }
}
