//! What all clients have in common: introductions, timeouts, conversions, and the meaning of errors.

use crate::channel::Introduction;
use crate::connect::Target;
use crate::failure::{ClientError, client_error};
use crate::limits::{CALL_TIMEOUT, STREAM_QUEUE};
use crate::page::{Page, Pages};
use crate::wire::Wire;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// A generated client with what goes along with each of its calls.
#[derive(Clone, Debug)]
pub(crate) struct Link<C> {
    stub: C,
    target: Arc<str>,
    pub introduction: Introduction,
    pub patience: Duration,
}

/// A stream that the server writes, as the client sees it.
pub(crate) type Received<T> = BoxStream<'static, Result<T, ClientError>>;

impl<C: Clone> Link<C> {
    pub(crate) fn new(stub: C, target: &Target) -> Self {
        let target = target.to_string().into();
        Link { stub, target, introduction: Introduction::default(), patience: CALL_TIMEOUT }
    }

    /// One question, one answer.
    pub(crate) async fn call<Q, A>(
        &self,
        ask: Q,
        rpc: impl AsyncFnOnce(C, Request<Q::Pb>) -> Result<Response<A::Pb>, Status>,
    ) -> Result<A, ClientError>
    where
        Q: Wire,
        A: Wire,
    {
        let request = self.introduction.request(ask.to_pb());
        // Calls are tens of kilobytes, which whoever has many of them under way would move about.
        let reply = Box::pin(self.patiently(rpc(self.stub.clone(), request))).await?;
        understood(reply.into_inner())
    }

    /// One question, an answer in pages.
    pub(crate) async fn pages<Q, P, T>(
        &self,
        ask: Q,
        rpc: impl AsyncFnOnce(C, Request<Q::Pb>) -> Result<Response<Streaming<P>>, Status>,
    ) -> Result<Pages<T>, ClientError>
    where
        Q: Wire,
        P: Page,
        T: Wire<Pb = P::Item> + Send + 'static,
    {
        let request = self.introduction.request(ask.to_pb());
        let reply = self.patiently(rpc(self.stub.clone(), request)).await?.into_inner();
        let (target, patience) = (self.target.clone(), self.patience);
        // A page that does not come in time ends the list: nobody waits for ever on a server that hangs.
        let pages = stream::unfold(Some(reply), move |reply| {
            let target = target.clone();
            async move {
                let mut reply = reply?;
                match timeout(patience, reply.message()).await {
                    Ok(Ok(None)) => None,
                    Ok(Ok(Some(page))) => {
                        let items = page.items().into_iter().map(understood).collect::<Result<Vec<T>, _>>();
                        Some((items, Some(reply)))
                    }
                    Ok(Err(status)) => Some((Err(client_error(&status, &target)), None)),
                    Err(_) => Some((Err(ClientError::TimedOut { after: patience }), None)),
                }
            }
        });
        Ok(pages.boxed())
    }

    /// One question, an answer that goes on.
    pub(crate) async fn stream<Q, T>(
        &self,
        ask: Q,
        rpc: impl AsyncFnOnce(C, Request<Q::Pb>) -> Result<Response<Streaming<T::Pb>>, Status>,
    ) -> Result<Received<T>, ClientError>
    where
        Q: Wire,
        T: Wire + Send + 'static,
        T::Pb: Send + 'static,
    {
        let request = self.introduction.request(ask.to_pb());
        let reply = self.patiently(rpc(self.stub.clone(), request)).await?;
        Ok(self.received(reply.into_inner()))
    }

    /// Both sides talk. `first` is sent with the call: a server may wait for it before it answers anything.
    pub(crate) async fn converse<Q, T>(
        &self,
        first: Q,
        rpc: impl AsyncFnOnce(C, Request<Sent<Q::Pb>>) -> Result<Response<Streaming<T::Pb>>, Status>,
    ) -> Result<(mpsc::Sender<Q>, Received<T>), ClientError>
    where
        Q: Wire + Send + 'static,
        Q::Pb: Send + 'static,
        T: Wire + Send + 'static,
        T::Pb: Send + 'static,
    {
        let (sender, queue) = mpsc::channel(STREAM_QUEUE);
        let sent = stream::iter([first]).chain(ReceiverStream::new(queue)).map(Q::to_pb);
        let request = self.introduction.request(Sent(sent.boxed()));
        let reply = self.patiently(rpc(self.stub.clone(), request)).await?;
        Ok((sender, self.received(reply.into_inner())))
    }

    fn received<T>(&self, stream: Streaming<T::Pb>) -> Received<T>
    where
        T: Wire + Send + 'static,
        T::Pb: Send + 'static,
    {
        let target = self.target.clone();
        let plain = stream.map(move |item| item.map_err(|status| client_error(&status, &target)).and_then(understood));
        plain.boxed()
    }

    async fn patiently<T>(&self, rpc: impl Future<Output = Result<T, Status>>) -> Result<T, ClientError> {
        match timeout(self.patience, rpc).await {
            Ok(answered) => answered.map_err(|status| client_error(&status, &self.target)),
            Err(_) => Err(ClientError::TimedOut { after: self.patience }),
        }
    }
}

/// A stream that the client writes. A type of its own, not a boxed trait object in sight: the compiler cannot show of a
/// call with one that any thread may wait for it.
pub(crate) struct Sent<P>(BoxStream<'static, P>);

impl<P> Stream for Sent<P> {
    type Item = P;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<P>> {
        self.0.poll_next_unpin(context)
    }
}

fn understood<T: Wire>(pb: T::Pb) -> Result<T, ClientError> {
    let text = |error| format!("answer not understood, the other side may be newer: {error}");
    T::from_pb(pb).map_err(|error| ClientError::Other(text(error)))
}
