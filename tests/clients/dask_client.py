"""dask-jobqueue: workers come with `scale`, compute, and are gone after `close`; and one scheduler under srun."""

import subprocess
import sys
import time

from dask.distributed import Client
from dask_jobqueue import SLURMCluster


def jobs():
    listed = subprocess.run(["squeue", "-h", "--me", "-n", "dask-worker", "-o", "%i"], capture_output=True, text=True)
    return listed.stdout.split()


def main():
    with SLURMCluster(
        queue="batch",
        cores=1,
        processes=1,
        memory="1GB",
        walltime="00:10:00",
        interface="lo",
        python=sys.executable,
        log_directory="dask-logs",
    ) as cluster:
        script = cluster.job_script()
        assert "#SBATCH -p batch" in script and "#SBATCH --mem=954M" in script, script
        cluster.scale(jobs=2)
        with Client(cluster) as client:
            client.wait_for_workers(2, timeout=120)
            assert len(jobs()) == 2, jobs()
            squares = client.map(lambda number: number * number, range(20))
            assert client.submit(sum, squares).result(timeout=60) == 2470
            cluster.scale(jobs=1)
            until = time.monotonic() + 60
            while len(jobs()) != 1:
                assert time.monotonic() < until, jobs()
                time.sleep(0.5)
            assert client.submit(lambda: 42).result(timeout=60) == 42
    until = time.monotonic() + 60
    while jobs():
        assert time.monotonic() < until, jobs()
        time.sleep(0.5)

    program = """
from dask.distributed import Client
from dask_jobqueue.slurm import SLURMRunner
with SLURMRunner(scheduler_file="scheduler-{job_id}.json", scheduler_options={"interface": "lo"}) as runner:
    with Client(runner) as client:
        client.wait_for_workers(runner.n_workers, timeout=120)
        print("RESULT", client.submit(sum, range(10)).result(timeout=60), runner.n_workers)
"""
    with open("runner.py", "w") as file:
        file.write(program)
    ran = subprocess.run(["srun", "-n3", sys.executable, "runner.py"], capture_output=True, text=True, timeout=240)
    assert "RESULT 45 1" in ran.stdout, (ran.returncode, ran.stdout, ran.stderr)


if __name__ == "__main__":
    sys.exit(main())
