"""simple-slurm: scripts on standard input, srun, the queue read as a table, scancel."""

import datetime
import sys
import time
from pathlib import Path

from simple_slurm import Slurm


def main():
    slurm = Slurm(
        array=range(3, 6),
        cpus_per_task=1,
        job_name="simple",
        output=f"{Slurm.JOB_ARRAY_MASTER_ID}_{Slurm.JOB_ARRAY_ID}.txt",
        time=datetime.timedelta(minutes=5),
        partition="batch",
    )
    job = slurm.sbatch("echo element " + Slurm.SLURM_ARRAY_TASK_ID, verbose=False)
    assert isinstance(job, int) and job > 0, job
    outputs = [Path(f"{job}_{element}.txt") for element in range(3, 6)]
    while not all(output.exists() and output.read_text() for output in outputs):
        time.sleep(0.2)
    assert [output.read_text() for output in outputs] == ["element 3\n", "element 4\n", "element 5\n"]

    after = Slurm(dependency={"afterok": job}, output="after.txt", nodes=1, ntasks=2, mem="512M", exclusive=True)
    second = after.sbatch("srun hostname", verbose=False)
    while not Path("after.txt").exists() or len(Path("after.txt").read_text().split()) < 2:
        time.sleep(0.2)
    assert second > job

    assert Slurm(ntasks=1, time="2").srun("true") == 0

    bare = Slurm(output="/dev/null", parsable="")
    number = bare.sbatch("true", verbose=False)
    assert isinstance(number, int), number

    long = Slurm(job_name="long", output="/dev/null").sbatch("sleep 600", verbose=False)
    slurm.squeue.update_squeue()
    row = slurm.squeue.jobs[long]
    assert row["NAME"] == "long" and row["ST"] in ("R", "PD", "CF"), row
    slurm.scancel.cancel_job(long)
    while True:
        slurm.squeue.update_squeue()
        if long not in slurm.squeue.jobs:
            break
        time.sleep(0.2)

    signalled = Slurm(job_name="signalled", output="signalled.txt").sbatch("sleep 600", verbose=False)
    while not Path("signalled.txt").exists():
        time.sleep(0.2)
    # TERM reaches steps alone, of which there is none; the second time it sends KILL, which ends the job.
    slurm.scancel.signal_job(signalled)
    slurm.scancel.signal_job(signalled)
    while True:
        slurm.squeue.update_squeue()
        if signalled not in slurm.squeue.jobs:
            break
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
