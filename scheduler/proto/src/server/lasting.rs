//! Connections to a Unix socket, by how they begin.
//!
//! A command comes with a call in HTTP/1.1 and is gone; one thread serves those best. A program that makes thousands of
//! calls keeps a connection of HTTP/2, and its calls are worth more threads than one. Which of the two it is, the first
//! bytes say: they are looked at where they are, and read by whoever serves the connection.

use futures_util::stream::FuturesUnordered;
use futures_util::{Stream, StreamExt};
use nix::sys::socket::{MsgFlags, recv};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Of `PRI * HTTP/2.0`, with which a connection of HTTP/2 begins (RFC 9113, 3.4), what no method of HTTP/1.1 begins with.
const HTTP2: [u8; 2] = *b"PR";

/// Connections of HTTP/2. They may be served on another runtime than the one that they came in on.
pub struct Lasting(UnboundedReceiver<StdUnixStream>);

/// A connection on which nothing was said so far: it itself, and whether it lasts.
type Silent = Pin<Box<dyn Future<Output = (UnixStream, bool)> + Send>>;

/// All other connections, with errors of the listener. Has to be polled for either kind to come in.
pub struct Brief<L> {
    listener: L,
    silent: FuturesUnordered<Silent>,
    lasting: UnboundedSender<StdUnixStream>,
}

/// Tells connections that last from brief ones.
pub fn by_length<L: Stream<Item = io::Result<UnixStream>> + Unpin>(listener: L) -> (Brief<L>, Lasting) {
    let (lasting, taken) = unbounded_channel();
    (Brief { listener, silent: FuturesUnordered::new(), lasting }, Lasting(taken))
}

impl<L: Stream<Item = io::Result<UnixStream>> + Unpin> Stream for Brief<L> {
    type Item = io::Result<UnixStream>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<UnixStream>>> {
        while let Poll::Ready(come) = self.listener.poll_next_unpin(context) {
            match come {
                Some(Ok(stream)) => self.silent.push(Box::pin(begun(stream))),
                other => return Poll::Ready(other),
            }
        }
        while let Some((stream, lasts)) = ready!(self.silent.poll_next_unpin(context)) {
            if !lasts {
                return Poll::Ready(Some(Ok(stream)));
            }
            // Where nobody serves those any more, the connection ends here.
            if let Ok(stream) = stream.into_std() {
                drop(self.lasting.send(stream));
            }
        }
        // The listener wakes this when there is somebody again.
        Poll::Pending
    }
}

impl Stream for Lasting {
    type Item = io::Result<UnixStream>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<UnixStream>>> {
        let come = ready!(self.0.poll_recv(context));
        Poll::Ready(come.map(UnixStream::from_std))
    }
}

/// The connection once something was said on it, and whether it lasts. One that ends before that is brief.
async fn begun(stream: UnixStream) -> (UnixStream, bool) {
    let mut words = [0; HTTP2.len()];
    let look = || Ok(recv(stream.as_raw_fd(), &mut words, MsgFlags::MSG_PEEK)?);
    let seen = stream.async_io(Interest::READABLE, look).await;
    let lasts = seen.is_ok_and(|length| words[..length] == HTTP2);
    (stream, lasts)
}
