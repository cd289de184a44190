//! The log on standard error.

use crate::settings::{LogFormat, TelemetrySettings};
use std::sync::Arc;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, reload};

/// Changes what is logged while the process runs.
pub type Relog = Arc<dyn Fn(&str) + Send + Sync>;

/// Begins to log. Another subscriber, where this is a part of a larger program, stays.
pub fn start(settings: &TelemetrySettings) -> Relog {
    let filter = EnvFilter::try_new(&settings.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let (filter, handle) = reload::Layer::new(filter);
    let layer = match settings.log_format {
        LogFormat::Text => fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .with_target(false)
            .boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed(),
    };
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
    Arc::new(move |directives| match EnvFilter::try_new(directives) {
        Ok(filter) => {
            if let Err(error) = handle.reload(filter) {
                tracing::warn!(%error, "what is logged stays as it was");
            }
        }
        Err(error) => tracing::warn!(%error, "what is logged stays as it was"),
    })
}
