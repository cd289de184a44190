//! A connection of the Unix socket, read and written without asking first whether that can be done.
//!
//! Who comes with a call has said it before anybody looks, and takes the answer as fast as it is written. To have such a
//! connection watched is two system calls for nothing, so the runtime is told of it only where it has to be waited for.

use crate::channel::UnixPeer;
use futures_util::Stream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SocketFlags, accept_with, recv, sockopt};
use squall_types::{Gid, Uid};
use std::future::{pending, poll_fn};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::sleep;
use tokio_stream::wrappers::UnixListenerStream;

/// Calls that are answered sooner are over before it matters whether somebody still waits for them.
const SOON: Duration = Duration::from_millis(50);

/// A connection that does not block.
#[derive(Debug)]
pub(super) struct Line {
    stream: Arc<UnixStream>,
    watch: Watch,
}

/// How a connection is waited for, once somebody had to.
type Watch = Arc<OnceLock<AsyncFd<Arc<UnixStream>>>>;

#[derive(Clone, Copy)]
enum Way {
    In,
    Out,
}

impl Line {
    pub fn new(stream: UnixStream) -> Line {
        Line { stream: Arc::new(stream), watch: Watch::default() }
    }

    /// Who is at the other end, as the kernel knows it.
    pub fn peer(&self) -> io::Result<UnixPeer> {
        let peer = sockopt::socket_peercred(&self.stream)?;
        let pid = peer.pid.as_raw_pid();
        Ok(UnixPeer { uid: Uid(peer.uid.as_raw()), gid: Gid(peer.gid.as_raw()), pid: Some(pid) })
    }

    /// Waits for the first bytes, and leaves them where they are.
    pub async fn peek(&mut self, words: &mut [u8]) -> io::Result<usize> {
        let mut look = |stream: &UnixStream| Ok(recv(stream, &mut *words, RecvFlags::PEEK)?.0);
        poll_fn(|context| self.poll_io(context, Way::In, &mut look)).await
    }

    /// Waits until nobody is at the other end any more: a call that lasts is then for nobody. Who only says nothing more
    /// still listens.
    pub fn gone(&self) -> impl Future<Output = ()> + Send + use<> {
        let (stream, watch) = (self.stream.clone(), self.watch.clone());
        async move {
            sleep(SOON).await;
            let Ok(watch) = watched_by(&stream, &watch) else { return pending().await };
            // Hanging up ends writing as well; that somebody says nothing more would be news for ever.
            while let Ok(mut ready) = watch.writable().await {
                if is_hung_up(&stream) {
                    return;
                }
                ready.clear_ready();
            }
        }
    }

    /// The connection as it came. None where it is in other hands as well.
    pub fn into_std(self) -> Option<UnixStream> {
        drop(self.watch);
        Arc::into_inner(self.stream)
    }

    fn poll_io<R>(
        &mut self,
        context: &mut Context<'_>,
        way: Way,
        mut io: impl FnMut(&UnixStream) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        loop {
            // First of all, whatever is known of it: `gone` may have taken note of what this has not heard of.
            match io(&self.stream) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
            let watch = watched_by(&self.stream, &self.watch)?;
            let mut ready = ready!(match way {
                Way::In => watch.poll_read_ready(context),
                Way::Out => watch.poll_write_ready(context),
            })?;
            if let Ok(done) = ready.try_io(|watched| io(watched.get_ref())) {
                return Poll::Ready(done);
            }
        }
    }
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let count = ready!(self.poll_io(context, Way::In, |mut stream| stream.read(into.initialize_unfilled())))?;
        into.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_io(context, Way::Out, |mut stream| stream.write(bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_io(context, Way::Out, |mut stream| stream.write_vectored(bytes))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// What was written is with the other end already, and a connection that is dropped is shut down.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Lets the runtime watch what does not block.
#[expect(
    deprecated,
    reason = "what owns its descriptor keeps it open, which is all that `register` asks for in `unsafe`"
)]
fn watched<T: AsRawFd>(owner: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::new(owner)
}

/// Has a connection watched where it is not yet.
fn watched_by<'a>(stream: &Arc<UnixStream>, watch: &'a Watch) -> io::Result<&'a AsyncFd<Arc<UnixStream>>> {
    match watch.get() {
        Some(watch) => Ok(watch),
        None => {
            let begun = watched(stream.clone())?;
            Ok(watch.get_or_init(|| begun))
        }
    }
}

fn is_hung_up(stream: &UnixStream) -> bool {
    // Both are told without being asked for.
    let mut asked = [PollFd::new(stream, PollFlags::empty())];
    poll(&mut asked, Some(&Timespec::default())).is_ok()
        && asked[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
}

/// Connections of a listener as they come, watched by nobody.
#[derive(Debug)]
pub struct Arrivals(AsyncFd<UnixListener>);

impl Arrivals {
    /// # Errors
    /// What the system says.
    pub fn of(listening: UnixListenerStream) -> io::Result<Arrivals> {
        listening.into_inner().into_std().and_then(watched).map(Arrivals)
    }
}

impl Stream for Arrivals {
    type Item = io::Result<UnixStream>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        loop {
            let mut ready = ready!(self.0.poll_read_ready(context))?;
            if let Ok(come) = ready.try_io(|listener| Ok(accept_with(listener.get_ref(), flags)?)) {
                return Poll::Ready(Some(come.map(UnixStream::from)));
            }
        }
    }
}
