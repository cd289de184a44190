//! Services in plain values: an implementation of a trait becomes a gRPC service.
//!
//! Identity is not decided here. Each call gets the [`Channel`] that it came through.

mod client_api;
mod listen;
mod node_api;
mod provisioner_api;
mod step_api;

pub use crate::channel::{Channel, UnixPeer};
pub use crate::failure::{Broken, Failure};
pub use crate::page::Parts;
pub use client_api::{ClientApi, client_service};
pub use listen::{bind_unix, builder};
pub use node_api::{NodeApi, node_service};
pub use provisioner_api::{ProvisionerApi, provisioner_service};
pub use step_api::{StepApi, step_service};

use crate::wire::Wire;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

/// A stream that the server writes.
pub type Outgoing<T> = BoxStream<'static, Result<T, Failure>>;
/// A stream that the client writes.
pub type Incoming<T> = BoxStream<'static, Result<T, Broken>>;

/// The plain request, and the channel it came through.
fn open<T: Wire>(request: Request<T::Pb>) -> Result<(Channel, T), Status> {
    let channel = Channel::of(&request)?;
    Ok((channel, T::from_pb(request.into_inner())?))
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
