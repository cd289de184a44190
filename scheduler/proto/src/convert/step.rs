//! What a client of a step and the agents that run it say to each other.

use crate::wire::{choice, message, put, take, words};
use squall_types::step::*;
use squall_types::visit::*;

message! {
    TerminalSize { rows, columns }
    StepStart {
        credential, name, command, environment, work_dir, umask, stdin: required,
        stdout: required, stderr, open_mode, label, unbuffered, kill_on_bad_exit, wait_after, time_limit, signal,
        terminal, cpus_per_task, options, resume_after, whole,
    }
    WholeLaunch { nodes, tasks_per_node, first_node }
    StartedTask { rank, pid }
    StepAttach { credential, step }
    LiveTask {
        rank, pids, user_cpu, system_cpu, rss_kib, max_rss_kib, vm_kib, pages, read_bytes, written_bytes,
    }
    LiveStep { step, tasks }
    FileBegin { credential, path, mode, size, force, accessed_at, modified_at }
    FileStored { errno, text }
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
        values { Start, Resize, Attach }
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

choice! {
    FilePart in file_part::Part (part) {
        units {}
        values { Begin, Bytes }
        records {}
    }
}
