//! The only protobuf in the house.
#![forbid(unsafe_code)]

pub mod credential;
