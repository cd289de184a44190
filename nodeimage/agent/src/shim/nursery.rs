//! A process that waits to be copied: for whatever outlives the agent a copy of it is made, which costs a fraction of
//! executing a program anew. It has one thread and keeps nothing, and ends with the agent, not with its copies.

use crate::{clock, sys};
use nix::unistd::{chdir, dup2_stdin, dup2_stdout, setsid};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicU32, Ordering};

/// The longest call: two paths and some.
pub const MAX_CALL: usize = 16 << 10;

/// The nursery that this process is a copy of; 0 where it is none.
static NURSERY: AtomicU32 = AtomicU32::new(0);

/// Whether this process was copied by a nursery that lives, and with it the agent: the parent of a process changes when
/// it ends.
pub fn has_agent() -> bool {
    match NURSERY.load(Ordering::Relaxed) {
        0 => false,
        nursery => std::os::unix::process::parent_id() == nursery,
    }
}

/// Serves the agent, which holds the other end of standard input, until it is gone. `begin` is what a copy does with its
/// words; it returns the exit code. Returns that of this process.
pub fn run(begin: impl Fn(Vec<OsString>) -> i32) -> i32 {
    match serve(&begin) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("squalld nursery: error: {error}");
            1
        }
    }
}

fn serve(begin: &dyn Fn(Vec<OsString>) -> i32) -> io::Result<()> {
    // No terminal of the agent's reaches it.
    let _ = setsid();
    chdir("/")?;
    let agent = io::stdin().as_fd().try_clone_to_owned()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    dup2_stdin(&null)?;
    // Nobody waits for the copies: what they did stands in their folders.
    sys::leave_children(true)?;
    NURSERY.store(std::process::id(), Ordering::Relaxed);
    // What takes longer than all else, and copies know already: what the processor can do, and which boot this is.
    let _ = (crc32fast::hash(b"squall"), clock::boot_id());
    let mut call = vec![0; MAX_CALL];
    loop {
        let (length, said) = sys::receive(agent.as_fd(), &mut call)?;
        if length == 0 {
            return Ok(());
        }
        let words = || call[..length].split(|byte| *byte == 0).map(|word| OsString::from_vec(word.to_vec())).collect();
        let made = said.ok_or_else(|| io::Error::other("a call without a pipe")).and_then(|said| {
            sys::fork(|| {
                let ready = dup2_stdout(&said).is_ok() && sys::leave_children(false).is_ok();
                // Of what is only the nursery's; the end of the pipe is the standard output by now.
                match ready && sys::close_from(3, None).is_ok() {
                    true => begin(words()),
                    false => 1,
                }
            })
        });
        // Whoever asked reads the end of the pipe and finds nothing done.
        if let Err(error) = made {
            eprintln!("squalld nursery: error: {error}");
        }
    }
}
