//! `--mail-type`: what becomes of a job is told by the mail program, whichever controller sees it.

use crate::stage::{Stage, elastic};
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_job_is_told_of_across_the_death_of_the_controller() {
    let stage = Stage::set(|dir| {
        let program = format!("[controller]\nmail_program = \"{}/mail.sh\"", dir.display());
        elastic(dir, 1).replace("[controller]", &program)
    });
    let script = format!("#!/bin/sh\necho \"$3: $2\" >> {}/letters\n", stage.dir().display());
    std::fs::write(stage.path("mail.sh"), script).expect("a mail program");
    std::fs::set_permissions(stage.path("mail.sh"), PermissionsExt::from_mode(0o755)).expect("a program");
    stage.up();
    let wrap = "--wrap=until [ -e go ]; do sleep 0.1; done; exit 3";
    let words = ["sbatch", "--parsable", "-J", "told", "--mail-type=BEGIN,FAIL", "--mail-user=ann@example.org", wrap];
    let job = stage.call(&words).good().trim().to_owned();
    let quiet = stage.call(&["sbatch", "--parsable", "-J", "quiet", "--wrap=true"]).good().trim().to_owned();
    let letters = || std::fs::read_to_string(stage.path("letters")).unwrap_or_default();
    stage.eventually("the begin is told", || letters().contains("Began").then_some(()));
    assert!(stage.kill());
    stage.up();
    std::fs::write(stage.path("work/go"), "").expect("a word");
    stage.eventually("the end is told", || letters().contains("Failed").then_some(()));
    let told = letters();
    let begin = format!("ann@example.org: Slurm Job_id={job} Name=told ");
    assert!(told.lines().count() == 2 && told.lines().all(|line| line.starts_with(&begin)), "{told}");
    assert!(told.contains("Began, Queued time 00:") && told.ends_with(", FAILED, ExitCode 3\n"), "{told}");
    stage.eventually("the other is over", || {
        let state = stage.call(&["sacct", "-n", "-X", "-P", "-o", "State", "-j", &quiet]).good();
        (state.trim() == "COMPLETED").then_some(())
    });
    assert!(std::fs::read_dir(stage.path("state/mail")).expect("an outbox").next().is_none(), "nothing waits any more");
    stage.ends_empty();
}
