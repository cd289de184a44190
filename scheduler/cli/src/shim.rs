//! What stands between the agent and a job, and nothing else: each job starts one, so its start has to cost little.

/// Each copy of this program begins with what the program keeps: one that is small and in one place.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    std::process::exit(squalld::program::shim(&arguments));
}
