"""parsl: blocks of workers through SlurmProvider, started with srun, asked after with sacct and with squeue."""

import os
import subprocess
import sys

import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SrunLauncher
from parsl.providers import SlurmProvider


@parsl.python_app
def where():
    import os

    return os.environ["SLURM_JOB_ID"], os.environ["SLURM_PROCID"]


@parsl.python_app
def square(number):
    return number * number


def run(**options):
    provider = SlurmProvider(
        partition="batch",
        nodes_per_block=2,
        init_blocks=1,
        max_blocks=1,
        cores_per_node=1,
        mem_per_node=1,
        walltime="00:10:00",
        exclusive=False,
        launcher=SrunLauncher(),
        worker_init=f"export PATH={os.path.dirname(sys.executable)}:$PATH",
        **options,
    )
    executor = HighThroughputExecutor(
        label="slurm", address="127.0.0.1", max_workers_per_node=1, provider=provider, cores_per_worker=1
    )
    with parsl.load(Config(executors=[executor], strategy="none", run_dir="parsl-runs")):
        numbers = [square(number) for number in range(10)]
        assert [future.result(timeout=240) for future in numbers] == [number * number for number in range(10)]
        job, _ = where().result(timeout=60)
        states = provider.status([job])
        assert states[0].state.name == "RUNNING", states
    ended = subprocess.run(["squeue", "-h", "-j", job, "-o", "%t"], capture_output=True, text=True).stdout.split()
    assert ended in ([], ["CG"]), ended


def main():
    run()
    # Without accounting it asks squeue.
    os.makedirs("without-sacct", exist_ok=True)
    with open("without-sacct/sacct", "w") as file:
        file.write("#!/bin/sh\necho 'Slurm accounting storage is disabled' >&2\nexit 1\n")
    os.chmod("without-sacct/sacct", 0o755)
    os.environ["PATH"] = os.path.abspath("without-sacct") + ":" + os.environ["PATH"]
    run()


if __name__ == "__main__":
    sys.exit(main())
