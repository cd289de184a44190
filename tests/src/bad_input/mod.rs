//! What should not have come: each gets a clear error and an exit code, and nothing that was accepted is lost by it.

mod configuration;
mod crowd;
mod seconds;
mod submissions;
mod versions;

use crate::stage::{Stage, elastic};

/// A cluster with one job that waits for a word: what must not be lost.
struct Scene {
    stage: Stage,
    job: String,
}

impl Scene {
    fn set() -> Scene {
        let stage = Stage::set(|dir| elastic(dir, 2));
        stage.script("wait.sh", "#!/bin/sh\nuntil [ -e go ]; do sleep 0.2; done\nexit 6\n");
        stage.up();
        let job = stage.call(&["sbatch", "--parsable", "wait.sh"]).good().trim().to_owned();
        stage.eventually("the job runs", || {
            stage.call(&["squeue", "--noheader", "--format=%T"]).out.contains("RUNNING").then_some(())
        });
        Scene { stage, job }
    }

    /// The job ran through all of it, and no other came to be.
    fn nothing_was_lost(&self) {
        std::fs::write(self.stage.path("work/go"), "").expect("a word");
        self.stage.eventually("the job ends", || {
            let queue = self.stage.call(&["squeue", "--noheader"]);
            (queue.code == Some(0) && queue.out.is_empty()).then_some(())
        });
        let accounted = self.stage.call(&["sacct", "-X", "-n", "-P", "--format=JobID,State,ExitCode,Restarts"]).good();
        assert_eq!(accounted, format!("{}|FAILED|6:0|0\n", self.job));
        self.stage.ends_empty();
    }
}
