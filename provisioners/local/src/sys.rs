//! The few system calls that have no safe wrapper. Each function here is safe to call.
#![allow(unsafe_code, reason = "system calls without a safe wrapper")]

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::{read, setsid, write};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// More than any line of `/proc/PID/stat`.
const STAT_BYTES: usize = 4_096;

/// Lets the child begin a session of its own and then write its line of `/proc/PID/stat` to `record`, before it
/// executes its program.
///
/// The child writes its own record because its parent may be killed between starting a child and noting who it is.
pub(crate) fn start_apart(command: &mut Command, record: OwnedFd) {
    let prepare = move || -> io::Result<()> {
        setsid()?;
        let stat = open(c"/proc/self/stat", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
        let mut line = [0; STAT_BYTES];
        let length = read(&stat, &mut line)?;
        if write(&record, &line[..length])? < length {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes plain system calls only, on descriptors and memory that it
    // owns: it allocates nothing and takes no lock that another thread of the parent could have held at the fork.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// A descriptor that stands for the process, even if its number is given away later.
///
/// # Errors
/// `ESRCH` where there is no such process.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes two integers; a result that is not negative is a new descriptor that nobody else owns.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0u32);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd as i32)) }
    }
}

/// Sends a signal to exactly the process that the descriptor stands for.
pub(crate) fn pidfd_signal(fd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed, and the pointer to the signal's details may be null.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0u32)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
