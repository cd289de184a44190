//! Steps: what `srun` launches inside a job. The client comes with a credential that the controller signed for this step
//! and these nodes; input and output pass between the client and the step's own shim.

mod collect;
mod layout;
mod live;
mod relay;
mod service;
mod visit;

pub use collect::adopt;
pub use service::{Membership, StepService};
