//! Lets connections in: at once, or a few together where the [`Pace`] says so.

use crate::pace::Pace;
use futures_util::{Stream, StreamExt};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, Sleep, sleep_until};

/// A stream of connections, in which some wait for others.
pub(super) struct Door<S, T> {
    outside: S,
    pace: Arc<Pace>,
    /// The first of those that gather; the others wait where they came in.
    first: Option<T>,
    opens: Pin<Box<Sleep>>,
    letting_in: bool,
    /// When the last ones were let in.
    shut: Instant,
}

impl<S, T> Door<S, T> {
    /// To be called, and used, on a runtime with a clock.
    pub fn new(outside: S, pace: Arc<Pace>) -> Door<S, T> {
        let shut = Instant::now();
        Door { outside, pace, first: None, opens: Box::pin(sleep_until(shut)), letting_in: false, shut }
    }
}

impl<T: Unpin, S: Stream<Item = io::Result<T>> + Unpin> Stream for Door<S, T> {
    type Item = io::Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<T>>> {
        let door = &mut *self;
        if door.first.is_none() {
            match door.outside.poll_next_unpin(context) {
                Poll::Ready(Some(Ok(connection))) => {
                    let now = Instant::now();
                    let opens = door.shut + door.pace.width();
                    if door.letting_in || opens <= now {
                        door.letting_in = true;
                        return Poll::Ready(Some(Ok(connection)));
                    }
                    door.first = Some(connection);
                    door.opens.as_mut().reset(opens);
                }
                Poll::Pending => {
                    if std::mem::take(&mut door.letting_in) {
                        door.shut = Instant::now();
                    }
                    return Poll::Pending;
                }
                ended => return ended,
            }
        }
        ready!(door.opens.as_mut().poll(context));
        door.letting_in = true;
        Poll::Ready(door.first.take().map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    #[tokio::test(start_paused = true)]
    async fn those_that_come_soon_after_others_are_let_in_together_and_in_order() {
        let (outside, come) = mpsc::unbounded_channel();
        let mut door = Door::new(UnboundedReceiverStream::new(come), Arc::new(Pace::of(Duration::from_millis(4))));
        let begun = Instant::now();
        tokio::spawn(async move {
            for (number, pause) in [0, 10, 1, 1, 30].into_iter().enumerate() {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                outside.send(Ok(number)).unwrap();
            }
            outside.send(Err(io::Error::other("no file descriptors"))).unwrap();
        });
        let mut let_in = Vec::new();
        while let Some(come) = door.next().await {
            let_in.push((come.ok(), begun.elapsed().as_millis()));
        }
        // The first of each crowd goes straight in, the next two wait for each other, and an error for nobody.
        assert_eq!(let_in, [(Some(0), 4), (Some(1), 10), (Some(2), 14), (Some(3), 14), (Some(4), 42), (None, 42)]);
    }
}
