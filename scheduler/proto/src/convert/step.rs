//! What a client of a step and the agents that run it say to each other.

use crate::wire::{choice, message, put, take, words};
use squall_types::step::*;

message! {
    TerminalSize { rows, columns }
    StepStart {
        credential, name, command, environment, work_dir, umask, stdin: required,
        stdout: required, stderr, open_mode, label, unbuffered, kill_on_bad_exit, wait_after, time_limit, signal,
        terminal, cpus_per_task, options, resume_after,
    }
    StartedTask { rank, pid }
}

words! {
    OutputStream { Stdout, Stderr }
}

choice! {
    StepStdio in step_stdio::Stdio (stdio) {
        units { Client, Nothing }
        values { OneTask, File }
        records {}
    }
}

choice! {
    StepCommand in step_command::Command (command) {
        units {}
        values { Start, Resize }
        records {
            Stdin as StdinBytes { rank, bytes, end },
            Signal as StepSignal { signal },
        }
    }
}

choice! {
    StepNews in step_news::News (news) {
        units { Finished }
        values {}
        records {
            Started as StartedTasks { tasks },
            Output as TaskOutput { rank, stream, bytes },
            TaskExit as TaskExit { rank, exit: required },
            Failed as StepFailed { text },
        }
    }
}
