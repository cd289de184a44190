//! Metrics, gathered from the published state when they are asked for: by Prometheus, or for an OTLP receiver.
//!
//! `squall_*` are our own; `slurm_*` bear the names and meaning of Slurm's native ones, so that dashboards go on
//! working. Nothing is counted twice: what the state knows is read there. Ids of jobs are never labels.

mod cluster;
mod exposition;
mod families;
pub mod otlp;
mod process;
mod slurm;

pub use families::Families;

use crate::meters::Meters;
use crate::shell::Handle;
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Where metrics come from.
#[derive(Clone)]
pub struct Source {
    pub handle: Handle,
    pub meters: Arc<Meters>,
}

/// Answers `GET /metrics` at an address until the task is aborted.
///
/// # Errors
/// Where the address is taken.
pub async fn serve(address: SocketAddr, source: Source) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    let router = Router::new().route("/metrics", get(answer)).with_state(source);
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    });
    Ok((local, task))
}

async fn answer(State(source): State<Source>) -> impl IntoResponse {
    // The walk over all jobs takes a while in a large cluster.
    let text = tokio::task::spawn_blocking(move || exposition::text(&source.gather())).await;
    ([(CONTENT_TYPE, TEXT_FORMAT)], text.unwrap_or_default())
}

impl Source {
    /// All metrics as they are now.
    pub fn gather(&self) -> Families {
        let (published, now) = (self.handle.published(), self.handle.now());
        let mut out = Families::default();
        cluster::write(&mut out, &published, now);
        slurm::write(&mut out, &published.cluster);
        process::write(&mut out, &self.meters);
        out
    }
}
