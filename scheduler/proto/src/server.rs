//! Services in plain values: an implementation of a trait becomes a gRPC service.
//!
//! Identity is not decided here. Each call gets the [`Channel`] that it came through.

mod client_api;
mod forward;
mod line;
mod listen;
mod node_api;
mod provisioner_api;
mod socket;
mod step_api;
mod tls;

pub use crate::channel::{Channel, UnixPeer};
pub use crate::failure::{Broken, Failure};
pub use crate::page::Parts;
pub use client_api::{ClientApi, client_service};
pub use forward::Forward;
pub use line::Arrivals;
pub use listen::{LocalServer, bind_unix, builder, local_builder};
pub use node_api::{NodeApi, node_service};
pub use provisioner_api::{ProvisionerApi, provisioner_service};
pub use socket::{Entrance, Lasting, by_length};
pub use step_api::{StepApi, step_service};
pub use tls::{BadCertificate, ServerTls, accept_tls};

use crate::wire::Wire;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

/// A stream that the server writes.
pub type Outgoing<T> = BoxStream<'static, Result<T, Failure>>;
/// A stream that the client writes.
pub type Incoming<T> = BoxStream<'static, Result<T, Broken>>;

/// The channel that the request came through, and what is left of the request.
fn channel<T>(mut request: Request<T>) -> Result<(Channel, T), Status> {
    let admitted = request.extensions_mut().remove::<Channel>();
    let channel = admitted.map_or_else(|| Channel::of(&request), Ok)?;
    Ok((channel, request.into_inner()))
}

/// The channel that the request came through, and the plain request.
fn open<T: Wire>(request: Request<T::Pb>) -> Result<(Channel, T), Status> {
    let (channel, pb) = channel(request)?;
    Ok((channel, T::from_pb(pb)?))
}

fn answer<T: Wire>(result: Result<T, Failure>) -> Result<Response<T::Pb>, Status> {
    Ok(Response::new(result?.to_pb()))
}

fn outgoing<T>(stream: Outgoing<T>) -> BoxStream<'static, Result<T::Pb, Status>>
where
    T: Wire + Send + 'static,
    T::Pb: Send + 'static,
{
    stream.map(|item| item.map(T::to_pb).map_err(Status::from)).boxed()
}

fn incoming<T>(stream: Streaming<T::Pb>) -> Incoming<T>
where
    T: Wire + Send + 'static,
    T::Pb: Send + 'static,
{
    let plain = stream.map(|item| {
        let pb = item.map_err(|status| Broken(status.message().to_owned()))?;
        T::from_pb(pb).map_err(|error| Broken(format!("not understood: {error}")))
    });
    plain.boxed()
}
