//! What an agent and the shim of a step say to each other, over a socket in the step's own folder.
//!
//! Each message is four bytes of length and so much CBOR.

use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use squall_types::agent::ExitStatus;

/// The longest message: a chunk of input or output and what goes around it.
pub const MAX_FRAME: usize = 256 * 1024;

/// From the agent.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ToStep {
    /// First on a connection: news from this number on, counted from 0.
    #[n(0)]
    From(#[n(0)] u64),
    #[n(1)]
    Stdin {
        #[n(0)]
        rank: Option<u32>,
        #[n(1)]
        bytes: ByteVec,
        #[n(2)]
        end: bool,
    },
    #[n(2)]
    Signal(#[n(0)] i32),
    #[n(3)]
    Resize {
        #[n(0)]
        rows: u16,
        #[n(1)]
        columns: u16,
    },
    /// The client was lost, and may come back.
    #[n(4)]
    ClientLost,
    /// The client has had everything.
    #[n(5)]
    Received,
}

/// From the shim: what the client is told, in order.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum FromStep {
    /// Rank and process of each task.
    #[n(0)]
    Started(#[n(0)] Vec<(u32, u32)>),
    #[n(1)]
    Output {
        #[n(0)]
        rank: u32,
        #[n(1)]
        error: bool,
        #[n(2)]
        bytes: ByteVec,
    },
    #[n(2)]
    Exit {
        #[n(0)]
        rank: u32,
        #[n(1)]
        status: ExitStatus,
    },
    #[n(3)]
    Finished,
}

/// A message with its length before it.
pub fn frame<T: Encode<()>>(message: &T) -> Vec<u8> {
    let body = minicbor::to_vec(message).expect("memory takes what is written to it");
    let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(&body);
    bytes
}

/// The next whole message at the beginning of what was received, which is then taken out.
///
/// # Errors
/// A message that is too long or not understood: nothing after it can be.
pub fn unframe<T>(received: &mut Vec<u8>) -> Result<Option<T>, String>
where
    T: for<'b> Decode<'b, ()>,
{
    let Some(header) = received.first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*header) as usize;
    if length > MAX_FRAME {
        return Err(format!("a message of {length} bytes"));
    }
    let Some(body) = received.get(4..4 + length) else { return Ok(None) };
    let message = minicbor::decode(body).map_err(|error| error.to_string())?;
    received.drain(..4 + length);
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut() {
        let messages = [
            ToStep::From(3),
            ToStep::Stdin { rank: None, bytes: ByteVec::from(vec![1, 2, 3]), end: true },
            ToStep::Received,
        ];
        let bytes: Vec<u8> = messages.iter().flat_map(frame).collect();
        let (mut received, mut out) = (Vec::new(), Vec::new());
        for byte in bytes {
            received.push(byte);
            while let Some(message) = unframe::<ToStep>(&mut received).unwrap() {
                out.push(message);
            }
        }
        assert_eq!(out, messages);
    }

    #[test]
    fn what_is_too_long_or_no_message_is_refused() {
        assert!(unframe::<ToStep>(&mut u32::MAX.to_le_bytes().to_vec()).is_err());
        assert!(unframe::<ToStep>(&mut vec![1, 0, 0, 0, 0xff]).is_err());
    }
}
