//! What must hold for every message, and for the answers that are no result.

mod messages;
mod refused;
mod statuses;
