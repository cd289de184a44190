//! A submission, however often it has to be asked for.
//!
//! A controller that is restarted is back within seconds. Whoever submits in between waits for it, and notices nothing.

use crate::controller::NOWHERE;
use crate::invocation::Invocation;
use squall_proto::ClientError;
use squall_types::api::{SubmitReply, SubmitRequest};
use std::time::Duration;

/// Between two tries, and how many there are beyond the first: ten seconds.
const PAUSE: Duration = Duration::from_millis(500);
const TRIES: u32 = 20;

/// Asks again where nobody answered, with the same token: the job is there once in any case.
///
/// # Errors
/// The last answer, or that there was none.
pub fn submit(invocation: &Invocation<'_>, request: &SubmitRequest) -> Result<SubmitReply, ClientError> {
    let mut left = TRIES;
    loop {
        let answered = invocation.controller.submit(request);
        left = match &answered {
            // Nothing says where it could come back.
            Err(ClientError::Unreachable { target, .. }) if target == NOWHERE => return answered,
            Err(ClientError::Unreachable { .. } | ClientError::Busy(_)) if left > 0 => left - 1,
            // That took long enough; the answer may have been lost all the same.
            Err(ClientError::TimedOut { .. }) if left > 0 => 0,
            _ => return answered,
        };
        (invocation.pause)(PAUSE);
    }
}
