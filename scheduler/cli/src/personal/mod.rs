//! A cluster of one's own on this machine: `squall up` and `squall down`, and what the demo stands on.

pub mod config;
pub mod controller;
mod down;
pub mod keeper;
mod place;
pub mod process;
pub mod remains;
mod up;

pub use down::{down, empty, listed};
pub use place::Place;
pub use up::up;

use tokio::signal::unix::{SignalKind, signal};

/// Resolves when this process is asked to stop: ^C, SIGTERM, or its terminal goes away.
pub async fn asked_to_stop() {
    let mut listen =
        [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(|kind| signal(kind).ok());
    let [interrupt, terminate, hangup] = &mut listen;
    let next = async |listener: &mut Option<tokio::signal::unix::Signal>| match listener {
        Some(listener) => {
            listener.recv().await;
        }
        None => std::future::pending().await,
    };
    tokio::select! {
        () = next(interrupt) => {}
        () = next(terminate) => {}
        () = next(hangup) => {}
    }
}

/// A runtime for commands that do several things at once.
///
/// # Errors
/// Where the system gives none.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
