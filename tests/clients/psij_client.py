"""psij-python: jobs by its slurm executor; their states come from squeue alone."""

import sys
from datetime import timedelta
from pathlib import Path

from psij import Job, JobAttributes, JobExecutor, JobSpec, JobState, ResourceSpecV1

PATIENCE = timedelta(minutes=3)


def spec(executable, *arguments, **more):
    attributes = JobAttributes(queue_name="batch", duration=timedelta(minutes=10))
    return JobSpec(executable=executable, arguments=list(arguments), attributes=attributes, **more)


def main():
    executor = JobExecutor.get_instance("slurm")

    job = Job(spec("/bin/echo", "hello", stdout_path=Path("hello.txt").absolute(), directory=Path(".").absolute()))
    executor.submit(job)
    status = job.wait(timeout=PATIENCE)
    assert status.state == JobState.COMPLETED and status.exit_code == 0, status
    assert Path("hello.txt").read_text() == "hello\n"
    assert job.native_id.isdigit(), job.native_id

    job = Job(spec("/bin/sh", "-c", "exit 3"))
    executor.submit(job)
    status = job.wait(timeout=PATIENCE)
    assert status.state == JobState.FAILED and status.exit_code == 3, status

    wide = spec("/bin/hostname", launcher="srun", stdout_path=Path("wide.txt").absolute())
    wide.resources = ResourceSpecV1(node_count=2, processes_per_node=2, cpu_cores_per_process=1, memory=2 << 30)
    job = Job(wide)
    executor.submit(job)
    status = job.wait(timeout=PATIENCE)
    assert status.state == JobState.COMPLETED, status
    assert len(Path("wide.txt").read_text().split()) == 4, Path("wide.txt").read_text()

    job = Job(spec("/bin/sleep", "600"))
    executor.submit(job)
    assert job.wait(timeout=PATIENCE, target_states=[JobState.ACTIVE]).state == JobState.ACTIVE
    assert job.native_id in executor.list(), executor.list()
    job.cancel()
    status = job.wait(timeout=PATIENCE)
    assert status.state == JobState.CANCELED, status

    attached = Job()
    job = Job(spec("/bin/sleep", "5"))
    executor.submit(job)
    executor.attach(attached, job.native_id)
    status = attached.wait(timeout=PATIENCE)
    assert status.state == JobState.COMPLETED, status


if __name__ == "__main__":
    sys.exit(main())
