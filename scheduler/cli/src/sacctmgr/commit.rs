//! Whether what was told is to be done: Slurm's question, and its half a minute.

use crate::invocation::Invocation;
use std::io;
use std::time::Duration;

/// Nobody who is asked keeps a script waiting for longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until somebody says yes or no. An empty line, the end of the input and silence are no.
///
/// # Errors
/// The input or the output cannot be used.
pub fn agrees(invocation: &mut Invocation<'_>, question: &str) -> io::Result<bool> {
    writeln!(invocation.out, "{question} (You have {} seconds to decide)", PATIENCE.as_secs())?;
    loop {
        write!(invocation.out, "(N/y): ")?;
        invocation.out.flush()?;
        if !(invocation.heard_within)(PATIENCE) {
            writeln!(invocation.out, "timeout")?;
            return Ok(false);
        }
        let first = next(invocation)?;
        writeln!(invocation.out)?;
        match first {
            Some(b'y' | b'Y') => return Ok(true),
            // Slurm asks for ever at the end of the input.
            Some(b'n' | b'N' | b'\n') | None => return Ok(false),
            Some(_) => writeln!(invocation.out, "Y or N please")?,
        }
        while !matches!(next(invocation)?, Some(b'\n') | None) {}
    }
}

fn next(invocation: &mut Invocation<'_>) -> io::Result<Option<u8>> {
    let mut byte = [0u8];
    Ok((invocation.input.read(&mut byte)? == 1).then_some(byte[0]))
}
