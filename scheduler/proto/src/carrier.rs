//! How calls to the controller travel: in HTTP/2, as gRPC does, or over a Unix socket as gRPC-Web in HTTP/1.1.
//!
//! Commands come for one call and are gone. What HTTP/2 says before the first call, settings and windows and their
//! acknowledgements, costs both sides more than the call; HTTP/1.1 begins with it. Whoever makes thousands of calls has
//! them all on one connection of HTTP/2. Which of the two it is, servers on Unix sockets see by the first bytes
//! ([`crate::server::by_length`]); those of an agent serve both alike ([`crate::server::local_builder`]).

use crate::connect::Target;
use crate::failure::ClientError;
use http::HeaderValue;
use http::header::CONNECTION;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::{fmt, io};
use tokio::net::UnixStream;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::transport::Channel;
use tonic_web::{GrpcWebCall, GrpcWebClientService};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Request = http::Request<Body>;
type Response = http::Response<Body>;

/// A way to a server. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Carrier {
    /// All calls over one connection.
    Multiplexed(Channel),
    Brief(GrpcWebClientService<Socket>),
}

impl Carrier {
    /// Connects now, for any number of calls. The connection is made again when it is lost and the next call needs it.
    pub async fn connect(target: &Target) -> Result<Carrier, ClientError> {
        Ok(Carrier::Multiplexed(target.connect().await?))
    }

    /// Connects when the first call needs it.
    pub fn lazy(target: &Target) -> Result<Carrier, ClientError> {
        Ok(Carrier::Multiplexed(target.connect_lazily()?))
    }

    /// Connects now, for a call or two.
    pub async fn connect_briefly(target: &Target) -> Result<Carrier, ClientError> {
        let Some(path) = target.socket() else { return Carrier::connect(target).await };
        let socket = Socket::new(path);
        let first = target.reached(socket.connection()).await?;
        *socket.first() = Some(first);
        Ok(Carrier::Brief(GrpcWebClientService::new(socket)))
    }
}

impl Service<Request> for Carrier {
    type Response = Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Carrier::Multiplexed(channel) => channel.poll_ready(context).map_err(BoxError::from),
            Carrier::Brief(socket) => socket.poll_ready(context),
        }
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self {
            Carrier::Multiplexed(channel) => {
                let answer = channel.call(request);
                Box::pin(async move { answer.await.map_err(BoxError::from) })
            }
            Carrier::Brief(socket) => {
                let answer = socket.call(request);
                Box::pin(async move { Ok(answer.await?.map(Body::new)) })
            }
        }
    }
}

type Sender = SendRequest<GrpcWebCall<Body>>;

/// A Unix socket. Each call has a connection of its own, which the server ends with its answer.
#[derive(Clone)]
pub(crate) struct Socket {
    path: Arc<Path>,
    /// The first connection, until it is used: that somebody answers is known before there is anything to ask.
    first: Arc<Mutex<Option<Sender>>>,
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Socket").field(&self.path).finish()
    }
}

impl Socket {
    fn new(path: &Path) -> Socket {
        Socket { path: path.into(), first: Arc::default() }
    }

    async fn connection(&self) -> io::Result<Sender> {
        let stream = UnixStream::connect(&self.path).await?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn first(&self) -> MutexGuard<'_, Option<Sender>> {
        self.first.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(self, mut request: http::Request<GrpcWebCall<Body>>) -> Result<http::Response<Incoming>, BoxError> {
        let first = self.first().take().filter(|sender| !sender.is_closed());
        let mut sender = match first {
            Some(sender) => sender,
            None => self.connection().await.map_err(unavailable)?,
        };
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Ok(sender.send_request(request).await.map_err(unavailable)?)
    }
}

/// What the transport says, as gRPC says it: the request may have been carried out.
fn unavailable(error: impl Into<BoxError>) -> tonic::Status {
    let error = error.into();
    let mut status = tonic::Status::unavailable(error.to_string());
    status.set_source(error.into());
    status
}

impl Service<http::Request<GrpcWebCall<Body>>> for Socket {
    type Response = http::Response<Incoming>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<GrpcWebCall<Body>>) -> Self::Future {
        Box::pin(self.clone().ask(request))
    }
}
