"""submitit: single jobs, arrays, failures, cancellation, and a job that runs out of time and goes on by requeue."""

import os
import sys
import time
from pathlib import Path

import submitit

FOLDER = Path("submitit-logs")


class Counting:
    """Counts to a number, a little at a time; a checkpoint goes on where it was."""

    def __init__(self, stop):
        self.stop = stop
        self.at = 0
        self.restarts = 0

    def __call__(self):
        while self.at < self.stop:
            time.sleep(1)
            self.at += 1
        return self.at, self.restarts, os.environ.get("SLURM_RESTART_COUNT", "0")

    def checkpoint(self):
        self.restarts += 1
        # What is left after the first run is little.
        self.at = self.stop - 1
        return submitit.helpers.DelayedSubmission(self)


def add(one, other):
    return one + other


def environment():
    env = submitit.JobEnvironment()
    return env.global_rank, env.num_tasks, env.num_nodes, len(env.hostnames), env.job_id


def fail():
    raise ValueError("this job is meant to fail")


def main():
    executor = submitit.AutoExecutor(folder=FOLDER, cluster="slurm")
    executor.update_parameters(timeout_min=5, cpus_per_task=1, mem_gb=1, slurm_partition="batch")

    job = executor.submit(add, 2, 3)
    assert job.result() == 5, job.result()
    assert job.job_id.isdigit(), job.job_id

    jobs = executor.map_array(add, range(5), range(10, 15))
    assert [job.result() for job in jobs] == [10, 12, 14, 16, 18]
    assert len({job.job_id.split("_")[0] for job in jobs}) == 1, [job.job_id for job in jobs]

    def states_now():
        return {job.job_id: job.watcher.get_state(job.job_id, mode="force") for job in jobs}

    # A result is there a moment before its job has ended.
    while "RUNNING" in (states := states_now()).values():
        time.sleep(0.5)
    assert set(states.values()) == {"COMPLETED"}, states

    executor.update_parameters(nodes=2, tasks_per_node=2)
    job = executor.submit(environment)
    results = sorted(job.results())
    assert [rank for rank, *_ in results] == [0, 1, 2, 3], results
    assert all(seen[1:] == (4, 2, 2, job.job_id) for seen in results), results
    executor.update_parameters(nodes=1, tasks_per_node=1)

    job = executor.submit(fail)
    error = job.exception()
    assert isinstance(error, submitit.core.utils.FailedJobError), error
    assert "this job is meant to fail" in str(error) and "ValueError" in job.stderr(), (error, job.stderr())

    job = executor.submit(time.sleep, 600)
    while job.watcher.get_state(job.job_id, mode="force") != "RUNNING":
        time.sleep(0.5)
    job.cancel(check=True)
    while not job.watcher.get_state(job.job_id, mode="force").startswith("CANCELLED"):
        time.sleep(0.5)

    # The warning before the time limit: checkpoint, requeue under the same id, and on.
    executor.update_parameters(timeout_min=1, slurm_signal_delay_s=45)
    job = executor.submit(Counting(600))
    count, restarts, requeued = job.result()
    assert (count, restarts, requeued) == (600, 1, "1"), (count, restarts, requeued)
    # What the first run said is still there.
    assert "Job has timed out" in job.stdout() + job.stderr(), (job.stdout(), job.stderr())

    # Preemption, as submitit plays it: TERM is bypassed, USR2 checkpoints.
    executor.update_parameters(timeout_min=5, slurm_signal_delay_s=90)
    with executor.batch():
        jobs = [executor.submit(Counting(600)) for _ in range(2)]
    for job in jobs:
        while job.watcher.get_state(job.job_id, mode="force") != "RUNNING":
            time.sleep(0.5)
    # Long enough for the program to listen.
    while any("Starting with" not in (job.stdout() or "") for job in jobs):
        time.sleep(0.5)
    time.sleep(2)
    for job in jobs:
        job._interrupt()
    assert [job.result()[:2] for job in jobs] == [(600, 1), (600, 1)]


if __name__ == "__main__":
    sys.exit(main())
