#!/usr/bin/env python3
"""Squall beside real Slurm: the same measurements on both, one after the other, on the same machine in the same run.

    tests/bench/beside_slurm.py --peers FOLDER --squall target/release/squall \
        --commands target/x86_64-unknown-linux-musl/commands/squall-commands [--rows NAME,...] [--times N] [--json FILE]

FOLDER holds `bench.py`, which measures any cluster whose commands are on PATH, and `slurm/`, which starts and ends
Debian's Slurm. Needs root, and Debian's slurm-wlm, slurmdbd, mariadb-server, munge, jq and bc. Every figure is printed
as measured, or with `--times` is the middle one of those that were measured by turns: either cluster's can change by a
third from one time to the next. Both keep the jobs of the times before, which slows Slurm more. A ratio is Squall's
figure over Slurm's. Nothing that either acknowledges is kept in memory alone: Squall has it on disk before it answers;
Slurm saves its state some seconds later, as it always does."""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from clusters import Slurm, Squall, until

ENVIRONMENT_BYTES = 4096


def bench(cluster, peers, *words):
    """One measurement of `bench.py`."""
    done = cluster.call(sys.executable, str(peers / "bench.py"), *words)
    try:
        return json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise SystemExit(f"bench.py {' '.join(words)} on {cluster.name}: {done.stdout}{done.stderr}") from None


def controller_ms(cluster, found, jobs):
    """Milliseconds of CPU that the controller alone has used for each job. Slurm's accounting has processes of its own,
    which are left out; Squall's is in its controller."""
    return found["cpu_s"][cluster.controller] * 1e3 / jobs


def submit_serial(cluster, peers):
    found = bench(cluster, peers, "submit-serial", "300")
    return {"sbatch, ms": found["held"]["median_ms"], "its p95, ms": found["held"]["p95_ms"]}


def submit_parallel(cluster, peers):
    found = bench(cluster, peers, "submit-parallel", "4000", "8")
    assert not found["failed"], found
    return {"submissions/s": found["submits_per_s"], "controller CPU, ms/job": controller_ms(cluster, found, 4000)}


def end_to_end(cluster, peers):
    found = bench(cluster, peers, "e2e", "2000", "8")
    assert not found["failed"] and not found["left"], found
    return {"jobs/s": found["jobs_per_s"]}


def array(cluster, peers):
    found = bench(cluster, peers, "array", "5000")
    assert not found["left"], found
    return {"tasks/s": found["jobs_per_s"]}


def srun(cluster, peers):
    one, two = bench(cluster, peers, "srun", "40"), bench(cluster, peers, "srun", "40", "-N2")
    return {"srun true, ms": one["srun_true"]["median_ms"], "srun -N2 true, ms": two["srun_true"]["median_ms"]}


def squeue(cluster, peers):
    bench(cluster, peers, "fill", "10000", "-H")
    found = bench(cluster, peers, "squeue", "9")
    assert found["rows"] >= 10000, found
    cancel_everything(cluster)
    return {"squeue, ms": found["squeue"]["median_ms"], "squeue -j ONE, ms": found["squeue_me_one"]["median_ms"]}


def cancel_everything(cluster):
    cluster.call("scancel", "-u", "root")
    until(300, "the queue is empty", lambda: not cluster.call("squeue", "-h").stdout.strip())


def distinct(cluster, _peers, jobs=50_000, submitters=8):
    """Held jobs of which each has an environment of its own; then the controller is killed."""
    before = cluster.rss_kib()
    numbers, printed, lock = itertools.count(), set(), threading.Lock()

    def submitter():
        while (number := next(numbers)) < jobs:
            env = cluster.env | {"OF_ITS_OWN": f"{number:08}" * (ENVIRONMENT_BYTES // 8)}
            words = ["sbatch", "--parsable", "-H", "-o/dev/null", "-J", f"job-{number}", "--wrap", f"sleep {number}"]
            done = subprocess.run(words, env=env, capture_output=True, stdin=subprocess.DEVNULL)
            with lock:
                if done.returncode:
                    raise SystemExit(f"sbatch on {cluster.name}: {done.stderr.decode()}")
                printed.add(done.stdout.strip())

    begun = time.monotonic()
    threads = [threading.Thread(target=submitter) for _ in range(submitters)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - begun
    assert len(printed) == jobs
    # Slurm saves its state only every few seconds: what it would lose is not what is measured here.
    time.sleep(10)
    found = {"submitted/s": jobs / took, "memory, MiB": cluster.rss_kib() / 1024, "empty, MiB": before / 1024}
    cluster.kill()
    begun = time.monotonic()
    cluster.start()
    until(300, f"{cluster.name} answers again", cluster.answers)
    found["kill -9 to answering, s"] = time.monotonic() - begun
    listed = set(cluster.call("squeue", "-h", "-r", "-o", "%i").stdout.encode().split())
    found["listed, s"] = time.monotonic() - begun
    found["lost"] = len(printed - listed)
    return found


# Name, what measures it, and of its figures: which, and what Squall's over Slurm's has to be.
ROWS = [
    ("serial", submit_serial, {"sbatch, ms": ("at most", 0.6)}),
    ("parallel", submit_parallel, {"submissions/s": ("at least", 3), "controller CPU, ms/job": ("at most", 0.2)}),
    ("jobs", end_to_end, {"jobs/s": ("at least", 8)}),
    ("array", array, {"tasks/s": ("at least", 8)}),
    ("srun", srun, {"srun true, ms": ("at most", 0.25)}),
    ("squeue", squeue, {"squeue, ms": ("at most", 0.25)}),
    ("distinct", distinct, {"memory, MiB": ("at most", 0.5), "kill -9 to answering, s": ("at most", 0.4)}),
]


def machine():
    model = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = int(next(line.split()[1] for line in open("/proc/meminfo"))) >> 20
    return f"{os.cpu_count()} cores of {model}, {memory} GiB, Linux {os.uname().release}"


def verdict(ratio, wanted):
    if wanted is None:
        return ""
    how, bound = wanted
    good = ratio <= bound if how == "at most" else ratio >= bound
    return f"{how} {bound}: {'yes' if good else 'NO'}"


def by_turns(measure, clusters, peers, times):
    """Figures of each cluster: the middle one of each, and of what was lost all."""
    found = [[measure(cluster, peers) for cluster in clusters] for _ in range(times)]
    middle = lambda name, values: sum(values) if name == "lost" else statistics.median(values)
    return [{name: middle(name, [one[name] for one in of]) for name in of[0]} for of in zip(*found)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--squall", type=Path, required=True)
    parser.add_argument("--commands", type=Path, help="squall-commands as it is installed, in place of the one beside squall; and the squall-shim beside it")
    parser.add_argument("--rows", default=",".join(name for name, _, _ in ROWS))
    parser.add_argument("--times", type=int, default=1, help="how often each row is measured, by turns")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    wanted = options.rows.split(",")
    unknown = set(wanted) - {name for name, _, _ in ROWS}
    if unknown:
        parser.error(f"no row is called {', '.join(sorted(unknown))}")
    peers = options.peers.resolve()
    folder = tempfile.mkdtemp(prefix="bench-", dir="/tmp")
    clusters = [Slurm(peers / "slurm"), Squall(options.squall, folder, options.commands)]
    kept = []
    try:
        for cluster in clusters:
            cluster.up()
        print(f"{machine()}; load {os.getloadavg()[0]:.2f} at the start")
        print(", ".join(f"{cluster.name}: {cluster.version()}" for cluster in clusters), flush=True)
        print(f"{'':10}{'':26}{'Slurm':>12}{'Squall':>12}{'ratio':>8}   load")
        for name, measure, targets in ROWS:
            if name not in wanted:
                continue
            load, (slurm, squall) = os.getloadavg()[0], by_turns(measure, clusters, peers, options.times)
            for figure, value in slurm.items():
                ratio = squall[figure] / value if value else float("nan")
                line = f"{name:10}{figure:26}{value:12.2f}{squall[figure]:12.2f}{ratio:8.2f}   {load:4.1f}"
                print(f"{line}  {verdict(ratio, targets.get(figure))}".rstrip(), flush=True)
                kept.append({"row": name, "figure": figure, "slurm": value, "squall": squall[figure], "load": load})
    finally:
        for cluster in clusters:
            cluster.down()
    if options.json:
        options.json.write_text(json.dumps({"machine": machine(), "figures": kept}, indent=1) + "\n")
    subprocess.run(["rm", "-rf", folder], check=False)


if __name__ == "__main__":
    main()
