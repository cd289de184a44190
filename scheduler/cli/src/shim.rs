//! What stands between the agent and a job, and nothing else: each job starts one, so its start has to cost little.

fn main() {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    std::process::exit(squalld::program::shim(&arguments));
}
