//! Prometheus metrics, made from the published state when they are asked for.
//!
//! `squall_*` are our own; `slurm_*` bear the names and meaning of Slurm's native ones, so that dashboards go on
//! working. Nothing is counted twice: what the state knows is read there. Ids of jobs are never labels.

mod cluster;
mod exposition;
mod process;
mod slurm;

use crate::meters::Meters;
use crate::shell::Handle;
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use exposition::Exposition;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

struct Source {
    handle: Handle,
    meters: Arc<Meters>,
}

/// Answers `GET /metrics` at an address until the task is aborted.
///
/// # Errors
/// Where the address is taken.
pub async fn serve(
    address: SocketAddr,
    handle: Handle,
    meters: Arc<Meters>,
) -> io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    let router = Router::new().route("/metrics", get(answer)).with_state(Arc::new(Source { handle, meters }));
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    });
    Ok((local, task))
}

async fn answer(State(source): State<Arc<Source>>) -> impl IntoResponse {
    // The walk over all jobs takes a while in a large cluster.
    let text = tokio::task::spawn_blocking(move || text(&source.handle, &source.meters)).await;
    ([(CONTENT_TYPE, TEXT_FORMAT)], text.unwrap_or_default())
}

/// All metrics in the text format.
fn text(handle: &Handle, meters: &Meters) -> String {
    let (published, now) = (handle.published(), handle.now());
    let mut out = Exposition::default();
    cluster::write(&mut out, &published, now);
    slurm::write(&mut out, &published.cluster);
    process::write(&mut out, meters);
    out.finish()
}
