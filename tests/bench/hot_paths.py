#!/usr/bin/env python3
"""What a job costs each process that it passes through: system calls, allocations, page faults, switches and CPU.

    tests/bench/hot_paths.py --squall target/release/squall

Counted by `perf stat` while real commands run on a cluster of this machine, so it needs root and Linux's `perf`. A
figure is a mean over all jobs of a path. What a pass of the planner allocates, `cargo bench -p squall-core --bench plan`
says."""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from clusters import NODES, Squall, until

MALLOC = "probe_libc:malloc"
EVENTS = {
    "raw_syscalls:sys_enter": "system calls",
    MALLOC: "allocations",
    "page-faults": "page faults",
    "context-switches": "switches",
    "task-clock": "CPU, ms",
}


def libc():
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.split()[-1]
        if "/libc.so" in path or "/libc-" in path:
            return path
    raise SystemExit("this Python has no libc.so")


def probe():
    """A probe on malloc, unless it is there; `perf` keeps it until it is told otherwise."""
    listed = subprocess.run(["perf", "probe", "-l"], capture_output=True, text=True).stdout
    if MALLOC not in listed:
        subprocess.run(["perf", "probe", "-q", "-x", libc(), "malloc"], check=True)


class Count:
    """Counts in processes that run, and in all that they start, for as long as the block lasts."""

    def __init__(self, pids):
        self.pids = pids

    def __enter__(self):
        self.out = tempfile.NamedTemporaryFile("r")
        words = ["perf", "stat", "-x;", "-o", self.out.name, "-e", ",".join(EVENTS), "-p", ",".join(map(str, self.pids))]
        self.perf = subprocess.Popen(words, stdin=subprocess.DEVNULL)
        # It counts from when it has opened its events, of which nothing tells.
        until(10, "perf counts", lambda: len(os.listdir(f"/proc/{self.perf.pid}/fd")) > len(EVENTS))
        return self

    def __exit__(self, *_):
        self.perf.send_signal(2)
        self.perf.wait()
        self.found = read(self.out.name)


def read(path):
    found = {}
    for line in Path(path).read_text().splitlines():
        fields = line.split(";")
        if len(fields) > 2 and fields[2] in EVENTS:
            found[EVENTS[fields[2]]] = float(fields[0]) if fields[0][:1].isdigit() else float("nan")
    return found


def of_command(cluster, *words):
    """What one command costs, itself and what it starts."""
    with tempfile.NamedTemporaryFile("r") as out:
        done = cluster.call("perf", "stat", "-x;", "-o", out.name, "-e", ",".join(EVENTS), *words)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}: {done.stderr}")
        return read(out.name)


def with_nurseries(agents):
    """Agents and the processes of theirs that are copied for each job: those were there before anything is counted."""
    found = list(agents)
    for agent in agents:
        for children in Path(f"/proc/{agent}/task").glob("*/children"):
            for child in children.read_text().split():
                if b"nursery" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                    found.append(int(child))
    return found


def show(path, process, found, jobs):
    figures = "".join(f"{found.get(name, float('nan')) / jobs:14.2f}" for name in EVENTS.values())
    print(f"{path:22}{process:14}{figures}", flush=True)


def empty(cluster):
    until(120, "the queue is empty", lambda: not cluster.call("squeue", "-h").stdout.strip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squall", type=Path, required=True)
    parser.add_argument("--commands", type=Path, help="squall-commands as it is installed, in place of the one beside squall; and the squall-shim beside it")
    parser.add_argument("--jobs", type=int, default=300)
    options = parser.parse_args()
    probe()
    cluster = Squall(options.squall, tempfile.mkdtemp(prefix="hot-paths-", dir="/tmp"), options.commands)
    jobs, quiet = options.jobs, ("-o", "/dev/null")
    try:
        cluster.up()
        controller = [cluster.pid()]
        # Looked at anew each time: what an agent starts is called like the agent until it executes something else.
        until(20, "every agent has its nursery", lambda: len(with_nurseries(cluster.agents())) == 2 * NODES)
        agents = with_nurseries(cluster.agents())
        print(f"{'':36}" + "".join(f"{name:>14}" for name in EVENTS.values()))
        held = ("sbatch", "-H", *quiet, "--wrap", "true")
        with Count(controller) as count:
            for _ in range(jobs):
                cluster.call(*held)
        show("submit", "controller", count.found, jobs)
        show("submit", "sbatch", of_command(cluster, *held), 1)
        cluster.call("scancel", "-u", str(os.getuid()))
        empty(cluster)
        with Count(controller) as above, Count(agents) as below:
            cluster.call("sbatch", f"--array=0-{jobs - 1}", *quiet, "--wrap", "true")
            empty(cluster)
        show("start to end, array", "controller", above.found, jobs)
        show("start to end, array", "node", below.found, jobs)
        steps = max(1, jobs // 10)
        with Count(controller) as above, Count(agents) as below:
            for _ in range(steps):
                cluster.call("srun", "true")
        show("srun true", "controller", above.found, steps)
        show("srun true", "node", below.found, steps)
        show("srun true", "srun", of_command(cluster, "srun", "true"), 1)
    finally:
        cluster.down()
    subprocess.run(["rm", "-rf", str(cluster.dir)], check=False)


if __name__ == "__main__":
    sys.exit(main())
