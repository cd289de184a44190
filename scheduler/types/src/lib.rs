//! The words of the house: ids, resources, money, time, job specifications, offers, and the
//! messages between controller and agent as plain values.
//!
//! No IO, no clock, no async. Every value that can be part of a stored event encodes as CBOR with
//! numbered fields, so that a field can be added without an upcast.
#![forbid(unsafe_code)]

pub mod accounts;
pub mod agent;
pub mod api;
pub mod ask;
pub mod constraint;
pub mod cron;
pub mod dependency;
pub mod did_you_mean;
pub mod gres;
pub mod het;
pub mod hostlist;
pub mod ids;
pub mod indices;
pub mod mail;
pub mod money;
pub mod offer;
pub mod pattern;
pub mod quoted;
pub mod resources;
pub mod signal;
pub mod size;
pub mod span_text;
pub mod spec;
pub mod state;
pub mod step;
pub mod time;
pub mod visit;

pub use agent::{AgentReport, Assignment, AttemptEnd, AttemptState, ExitStatus, MeasuredNode};
pub use ask::{Ask, CpuAsk, GpuAsk, MemoryAsk, NodeCount};
pub use constraint::Constraint;
pub use dependency::{Dependency, DependencyKind, DependencyTerm, TargetJob};
pub use het::HetPlace;
pub use ids::*;
pub use indices::IndexSet;
pub use money::{HourlyPrice, MicroUsd};
pub use offer::{Capabilities, CapacityKind, LaunchFailure, LaunchOrder, Launched, Listing, Offer, SeenInstance};
pub use resources::{Allocation, GpuGroup, Gpus, Resources, Shape};
pub use spec::{JobKind, JobSpec, MailEvents, OpenMode, SignalSpec};
pub use state::{EndState, Reason};
pub use time::{Span, Timestamp};
