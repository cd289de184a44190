//! The terminal of `--pty`: its size, and passing every key on as it is.

use nix::sys::stat::{FileStat, SFlag, fstat, major, minor};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{getpgrp, isatty, tcgetpgrp};
use squall_types::step::TerminalSize;
use std::io::stdin;

/// What a terminal has that says nothing of its size.
const ORDINARY: TerminalSize = TerminalSize { rows: 24, columns: 80 };

/// The size of the terminal that this process reads from.
pub fn size() -> TerminalSize {
    // Asking the terminal takes a system call that has no safe form here; `stty` makes it.
    let asked = std::process::Command::new("stty").arg("size").stdin(std::process::Stdio::inherit()).output();
    let Ok(output) = asked else { return ORDINARY };
    let text = String::from_utf8_lossy(&output.stdout);
    let mut numbers = text.split_whitespace().filter_map(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(rows), Some(columns)) if rows > 0 && columns > 0 => TerminalSize { rows, columns },
        _ => ORDINARY,
    }
}

/// Whether standard input may be read: a process in the background that reads its terminal is stopped.
pub fn may_read() -> bool {
    match isatty(stdin()) {
        Ok(true) => tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp()),
        _ => true,
    }
}

/// Whether standard input is `/dev/null`, of which nothing but an end can be read.
pub fn reads_nothing() -> bool {
    let null = |stat: FileStat| {
        let device = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
        device && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3)
    };
    fstat(stdin()).is_ok_and(null)
}

/// A terminal without line editing, until this is dropped.
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// `None` where standard input is no terminal.
    pub fn enter() -> Option<Raw> {
        let before = tcgetattr(stdin()).ok()?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin(), SetArg::TCSANOW, &raw).ok()?;
        Some(Raw { before })
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &self.before);
    }
}
