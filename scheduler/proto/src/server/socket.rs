//! Connections to a Unix socket, each served as it begins.
//!
//! A command comes with a call in HTTP/1.1 and is gone; one thread serves those best, with as little around them as can
//! be. A program that makes thousands of calls keeps a connection of HTTP/2, and its calls are worth more threads than one.
//! Which of the two it is, the first bytes say: they are looked at where they are, and read by whoever serves the
//! connection.

use super::line::Line;
use crate::limits::{ACCEPT_PAUSE, SILENCE};
use futures_util::{Stream, StreamExt};
use http::{Request, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::fmt::Display;
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Bytes, Service, StdError};
use tonic_web::GrpcWebLayer;
use tower_layer::Layer;

/// Of `PRI * HTTP/2.0`, with which a connection of HTTP/2 begins (RFC 9113, 3.4), what no method of HTTP/1.1 begins with.
const HTTP2: [u8; 2] = *b"PR";

/// Connections of HTTP/2. They may be served on another runtime than the one that they came in on.
pub struct Lasting(UnboundedReceiver<StdUnixStream>);

/// Where connections come in: serves brief ones, and hands out those that last.
pub struct Entrance(UnboundedSender<StdUnixStream>);

/// An entrance, and the connections that it hands out.
pub fn by_length() -> (Entrance, Lasting) {
    let (lasting, taken) = unbounded_channel();
    (Entrance(lasting), Lasting(taken))
}

impl Entrance {
    /// Serves gRPC-Web in HTTP/1.1 on the runtime that polls this, until the listener ends.
    pub async fn serve<L, S, R>(self, mut listener: L, service: S)
    where
        L: Stream<Item = io::Result<StdUnixStream>> + Unpin,
        S: Service<Request<Body>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
        R: HttpBody<Data = Bytes> + Send + 'static,
        R::Error: Into<StdError> + Display,
    {
        while let Some(come) = listener.next().await {
            match come {
                Ok(stream) => drop(tokio::spawn(receive(stream, self.0.clone(), service.clone()))),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }
}

impl Stream for Lasting {
    type Item = io::Result<UnixStream>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<UnixStream>>> {
        let come = ready!(self.0.poll_recv(context));
        Poll::Ready(come.map(UnixStream::from_std))
    }
}

async fn receive<S, R>(stream: StdUnixStream, lasting: UnboundedSender<StdUnixStream>, service: S)
where
    S: Service<Request<Body>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    R: HttpBody<Data = Bytes> + Send + 'static,
    R::Error: Into<StdError> + Display,
{
    let mut line = Line::new(stream);
    let Ok(Ok(lasts)) = timeout(SILENCE, lasts(&mut line)).await else {
        // It has ended, or has nothing to say.
        return;
    };
    if lasts {
        // Where nobody serves those any more, the connection ends here.
        if let Some(stream) = line.into_std() {
            drop(lasting.send(stream));
        }
        return;
    }
    let Ok(peer) = line.peer() else { return };
    let gone = line.gone();
    let service = GrpcWebLayer::new().layer(service);
    let answer = service_fn(move |mut request| {
        Request::extensions_mut(&mut request).insert(peer);
        service.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE)
        // Whether somebody still listens is not asked of a connection that nobody watches.
        .half_close(true)
        .serve_connection(TokioIo::new(line), answer);
    // What was no call, or nobody waits for any more, ends its connection and concerns no other.
    tokio::select! {
        biased;
        _ = connection => {}
        () = gone => {}
    }
}

/// Whether it is one of HTTP/2; known once something was said on it.
async fn lasts(line: &mut Line) -> io::Result<bool> {
    let mut words = [0; HTTP2.len()];
    let length = line.peek(&mut words).await?;
    Ok(words[..length] == HTTP2)
}
