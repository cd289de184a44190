//! The few system calls that have no safe wrapper. Each function here is safe to call.
#![allow(unsafe_code, reason = "system calls without a safe wrapper")]

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg, sendmsg, socketpair,
};
use std::ffi::{CStr, CString};
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// Marks every descriptor from `first` on close-on-exec, so that nothing that the agent was started
/// with reaches a job.
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: takes three integers and touches no memory.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A descriptor of the process: readable once it has ended.
///
/// # Errors
/// `ESRCH` where there is no such process.
pub fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes two integers; a result that is not negative is a new descriptor that nobody else owns.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0u32);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd as i32)) }
    }
}

/// Sends a signal to exactly the process that the descriptor stands for.
pub fn pidfd_signal(fd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    // SAFETY: the descriptor is borrowed and the siginfo pointer may be null.
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, fd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0u32)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A child that ended.
#[derive(Clone, Copy, Debug)]
pub struct Reaped {
    pub pid: u32,
    pub status: ExitStatus,
    pub user_cpu: Duration,
    pub system_cpu: Duration,
    pub max_rss_kib: u64,
}

/// Waits for any child, orphans that were handed to this process included. `None` where `block` is false and
/// none has ended.
///
/// # Errors
/// `ECHILD` where there are no children.
pub fn wait_any(block: bool) -> io::Result<Option<Reaped>> {
    let mut status = 0;
    // SAFETY: an all-zero rusage is a valid value, and both pointers lead to live locals.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let flags = if block { 0 } else { libc::WNOHANG };
        (libc::wait4(-1, &raw mut status, flags, &raw mut usage), usage)
    };
    let span = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.max(0) as u64) + Duration::from_micros(time.tv_usec.max(0) as u64)
    };
    match pid {
        0 => Ok(None),
        pid if pid < 0 => Err(io::Error::last_os_error()),
        pid => Ok(Some(Reaped {
            pid: pid as u32,
            status: ExitStatus::from_raw(status),
            user_cpu: span(usage.ru_utime),
            system_cpu: span(usage.ru_stime),
            max_rss_kib: usage.ru_maxrss.max(0) as u64,
        })),
    }
}

/// A copy of this process, which runs `child` and ends with what that returns. It has the same signals blocked.
///
/// # Errors
/// As the kernel says; and where this process has other threads, whose locks would never be let go in the copy.
pub fn fork(child: impl FnOnce() -> i32) -> io::Result<u32> {
    one_thread()?;
    // SAFETY: there is but this thread, so that the copy is whole: it may do whatever this process may.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => end_with(child),
        pid => Ok(pid as u32),
    }
}

/// As [`fork`], for what executes a program soon or ends: until then it works on the memory of this process, which waits
/// for it, so that none is copied. All else is its own: descriptors, signals, rights. Every signal is blocked in it until
/// it has [`default_signals`].
///
/// Whoever may signal the new process can kill it in the middle of a change to that memory, and then this process trusts
/// it no more: it ends at once, after `killed`, which must neither allocate nor free. Nobody may look into that memory or
/// change it, also when the new process has become its user's: the kernel forbids that for memory whose process has changed
/// its user. Where it is told not to, a copy is made.
///
/// # Errors
/// As [`fork`].
pub fn fork_until_executed<F: FnOnce() -> i32>(child: F, killed: impl FnOnce()) -> io::Result<u32> {
    if users_may_trace() {
        return fork(child);
    }
    extern "C" fn begin<F: FnOnce() -> i32>(child: *mut libc::c_void) -> i32 {
        // SAFETY: it is the option below, which lives on since its owner waits, and which nobody else looks at meanwhile.
        let child = unsafe { (*child.cast::<Option<F>>()).take() };
        end_with(|| {
            let code = child.map_or(101, |child| child());
            AT_REST.store(true, Ordering::SeqCst);
            code
        })
    }
    one_thread()?;
    AT_REST.store(false, Ordering::SeqCst);
    let stack = Stack::new()?;
    let mut child = Some(child);
    let (all, mut before) = (SigSet::all(), SigSet::empty());
    // A signal that this process catches would be caught in the new one as well, in the memory of both.
    nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&all), Some(&mut before))?;
    // SAFETY: the stack is as large as it says and used by nobody else. This process stands still until the new one has
    // another memory or is over, and it has no other threads: of what both see, one of them is at work at any moment.
    let pid = unsafe {
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
        libc::clone(begin::<F>, stack.top(), flags, (&raw mut child).cast())
    };
    if pid != -1 && !AT_REST.load(Ordering::SeqCst) {
        killed();
        // SAFETY: never returns, and touches nothing.
        unsafe { libc::_exit(101) }
    }
    let cloned = if pid == -1 { Err(io::Error::last_os_error()) } else { Ok(pid as u32) };
    nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    cloned
}

/// Whether a process that was root's and is now a user's may be traced by that user: `fs.suid_dumpable` of 1, which is for
/// debugging. Otherwise it is 0 or 2.
fn users_may_trace() -> bool {
    !matches!(std::fs::read("/proc/sys/fs/suid_dumpable").as_deref(), Ok(b"0\n" | b"2\n"))
}

/// Whether the process that works on the memory of another one has left it whole, and changes nothing of it any more.
static AT_REST: AtomicBool = AtomicBool::new(true);

/// Becomes another program. Returns only where that failed.
pub fn execute(path: &CStr, arguments: &[CString], environment: &[CString]) -> Errno {
    let pointers = |texts: &[CString]| -> Vec<*const libc::c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    AT_REST.store(true, Ordering::SeqCst);
    // SAFETY: texts that live on, and lists of them that end with a null pointer.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    let errno = Errno::last();
    AT_REST.store(false, Ordering::SeqCst);
    errno
}

/// The rest of a process. Nothing of the caller's goes on in it, also where it panics.
fn end_with(child: impl FnOnce() -> i32) -> ! {
    let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(101);
    // SAFETY: never returns, and runs none of what the original registered for its own end.
    unsafe { libc::_exit(code) }
}

/// Whether this process has but one thread: the kernel counts them as the links of their folder.
fn one_thread() -> io::Result<()> {
    match std::fs::metadata("/proc/self/task")?.nlink() {
        3 => Ok(()),
        _ => Err(io::Error::other("a process with several threads is not copied")),
    }
}

/// A stack for another process, with a page below it that ends whoever uses more.
struct Stack(*mut libc::c_void);

impl Stack {
    const GUARD: usize = 64 << 10;
    const BYTES: usize = Stack::GUARD + (512 << 10);

    fn new() -> io::Result<Stack> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK | libc::MAP_NORESERVE;
        let rights = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice, of which the lowest part is taken away again.
        unsafe {
            let stack = libc::mmap(std::ptr::null_mut(), Stack::BYTES, rights, flags, -1, 0);
            if stack == libc::MAP_FAILED {
                return Err(io::Error::last_os_error());
            }
            let stack = Stack(stack);
            match libc::mprotect(stack.0, Stack::GUARD, libc::PROT_NONE) {
                0 => Ok(stack),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    fn top(&self) -> *mut libc::c_void {
        self.0.wrapping_byte_add(Stack::BYTES)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is this value's own.
        unsafe { libc::munmap(self.0, Stack::BYTES) };
    }
}

/// Reads a file of `/proc` or of a control group that is short: those the kernel gives in one piece.
///
/// # Errors
/// As the kernel says.
pub fn read_short(path: &Path) -> io::Result<String> {
    let mut bytes = [0; 4096];
    let mut file = std::fs::File::open(path)?;
    let length = file.read(&mut bytes)?;
    let mut text = String::from_utf8_lossy(&bytes[..length]).into_owned();
    if length == bytes.len() {
        file.read_to_string(&mut text)?;
    }
    Ok(text)
}

/// Gives a file another name that nothing has. Only one of the system's libraries has a function for it.
///
/// # Errors
/// `EEXIST` where something has that name; `EINVAL` where the file system cannot do this.
pub fn rename_to_free(file: &Path, name: &Path) -> io::Result<()> {
    let (file, name) = (CString::new(file.as_os_str().as_bytes())?, CString::new(name.as_os_str().as_bytes())?);
    let at = libc::AT_FDCWD;
    // SAFETY: two texts that live on, and integers.
    let result =
        unsafe { libc::syscall(libc::SYS_renameat2, at, file.as_ptr(), at, name.as_ptr(), libc::RENAME_NOREPLACE) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether a folder has folders in it. Where the file system does not count them, it may have.
pub fn has_folders(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|folder| folder.nlink() != 2)
}

/// Every signal as a new program expects it: nothing blocked, nothing ignored.
pub fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL is a valid disposition for every signal; where it cannot be set (SIGKILL), nothing happens.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an initialised empty set, which is read only.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// A descriptor that the runtime waits for.
pub fn watched(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: what is asked for is that the descriptor stays the same and open while registered, and an `OwnedFd` does.
    unsafe { Ok(AsyncFd::register(fd)?) }
}

/// Makes the terminal that the descriptor leads to the one of the calling process's session.
pub fn control_terminal(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: takes an integer besides the borrowed descriptor.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSCTTY, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Says how large a terminal is now.
pub fn resize_terminal(terminal: BorrowedFd<'_>, rows: u16, columns: u16) -> io::Result<()> {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the pointer leads to a live winsize, which is only read.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Whether children that end are nobody's business: then the system forgets them by itself.
///
/// # Errors
/// As the kernel says.
pub fn leave_children(leave: bool) -> io::Result<()> {
    let handling = if leave { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: both are valid dispositions, and no handler of anybody's is replaced in the processes that call this.
    if unsafe { libc::signal(libc::SIGCHLD, handling) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Closes every descriptor from `first` but one: in a copy of a process, which ends without giving anything back.
///
/// # Errors
/// As the kernel says.
pub fn close_from(first: u32, but: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let close = |from: u32, to: u32| {
        // SAFETY: takes three integers. The caller is a copy that uses none of those descriptors again.
        let result = unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    match but.map(|fd| fd.as_raw_fd() as u32).filter(|fd| *fd >= first) {
        None => close(first, u32::MAX),
        Some(but) if but == first => close(but + 1, u32::MAX),
        Some(but) => close(first, but - 1).and_then(|()| close(but + 1, u32::MAX)),
    }
}

/// Two ends between which packets keep their limits.
///
/// # Errors
/// As the kernel says.
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)?)
}

/// Sends a packet, and a descriptor with it.
///
/// # Errors
/// As the kernel says, also where it would have to wait, and where the packet went out in part.
pub fn send(to: BorrowedFd<'_>, packet: &[u8], with: BorrowedFd<'_>) -> io::Result<()> {
    let with = [with.as_raw_fd()];
    let (rights, flags) = ([ControlMessage::ScmRights(&with)], MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT);
    let sent = sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(packet)], &rights, flags, None)?;
    if sent == packet.len() { Ok(()) } else { Err(io::Error::other("a packet was sent in part")) }
}

/// Receives a packet, and the descriptor that came with it. A length of 0 is the end.
///
/// # Errors
/// As the kernel says, and where the packet is longer than `packet`.
pub fn receive(from: BorrowedFd<'_>, packet: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut rights = nix::cmsg_space!(std::os::fd::RawFd);
    let mut into = [IoSliceMut::new(packet)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(from.as_raw_fd(), &mut into, Some(&mut rights), flags)?;
    let mut with = None;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(descriptors) = control {
            // SAFETY: the kernel has just made them for this process, and nobody else owns them.
            with = descriptors.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).next_back();
        }
    }
    match message.flags.contains(MsgFlags::MSG_TRUNC) {
        true => Err(io::Error::other("a packet is too long")),
        false => Ok((message.bytes, with)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// How a copy of this process ended that did this. The copy has but one thread.
    fn alone(act: impl FnOnce() -> i32) -> ExitStatus {
        // SAFETY: the C library makes its allocator usable in the copy, and the tests' other locks are not taken there.
        let pid = match unsafe { libc::fork() } {
            0 => end_with(act),
            pid => pid,
        };
        ended(pid)
    }

    fn ended(pid: i32) -> ExitStatus {
        let mut status = 0;
        // SAFETY: a child of this process, and a place for what became of it.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        ExitStatus::from_raw(status)
    }

    #[test]
    fn what_works_on_the_memory_of_another_executes_a_program_or_ends() {
        let name = CString::new("/bin/sh").unwrap();
        let words = ["sh", "-c", "exit 6"].map(|word| CString::new(word).unwrap());
        let stages: [(&dyn Fn() -> i32, i32); 3] = [
            (&|| 7, 7),
            (&|| execute(&name, &words, &[]) as i32, 6),
            (&|| execute(c"/none", &words, &[]) as i32, libc::ENOENT),
        ];
        for (stage, code) in stages {
            let code_of = || match fork_until_executed(stage, || ()) {
                Ok(pid) => ended(pid as i32).code().unwrap_or(-1),
                Err(_) => -2,
            };
            assert_eq!(alone(code_of).code(), Some(code));
        }
    }

    /// What it left of the memory may be half of a change.
    #[test]
    fn who_dies_in_the_memory_of_another_takes_it_along_after_its_last_words() {
        // SAFETY: a signal to itself.
        let dies = || unsafe { libc::raise(libc::SIGKILL) };
        let panics = || panic!("in the middle of a change");
        let stages: [&dyn Fn() -> i32; 2] = [&dies, &panics];
        for stage in stages {
            let (mut heard, said) = io::pipe().unwrap();
            let outcome = alone(|| i32::from(fork_until_executed(stage, || drop((&said).write(b"over"))).is_ok()));
            drop(said);
            let mut words = String::new();
            heard.read_to_string(&mut words).unwrap();
            assert_eq!((outcome.code(), words.as_str()), (Some(101), "over"));
        }
    }

    #[test]
    fn with_other_threads_nothing_is_copied() {
        let other = std::thread::spawn(std::thread::park);
        assert!(fork(|| 0).is_err() && fork_until_executed(|| 0, || ()).is_err());
        other.thread().unpark();
        other.join().unwrap();
    }
}
