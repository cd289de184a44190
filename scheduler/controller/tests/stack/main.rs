//! The controller as a whole: a real journal, a real Unix socket, real TLS, and clients and agents over them.

#![allow(clippy::unwrap_used)]

mod access;
mod accounts;
mod agent;
mod configuration;
mod conversation;
mod crontabs;
mod joining;
mod load;
mod programs;
mod stage;
mod survival;
mod tokens;
