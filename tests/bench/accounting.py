#!/usr/bin/env python3
"""What accounting costs people when a controller has many finished jobs: its start, and `sacct` as a process.

    SQUALL_BENCH_JOBS=1000000 SQUALL_BENCH_KEEP=FOLDER cargo bench -p squall-journal --bench query
    tests/bench/accounting.py --squall target/release/squall --journal FOLDER

FOLDER is copied, and the copy goes with the run."""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from clusters import Squall, until

RUNS = 21


def timed(cluster, *words):
    """Median milliseconds of a command, and how many lines it printed."""
    took = []
    for _ in range(RUNS):
        begun = time.monotonic()
        done = cluster.call(*words)
        took.append((time.monotonic() - begun) * 1e3)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}: {done.stderr}")
    return statistics.median(took), len(done.stdout.splitlines())


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--squall", required=True, type=Path)
    options.add_argument("--journal", required=True, type=Path)
    given = options.parse_args()
    met = True

    def row(what, milliseconds, lines, most):
        nonlocal met
        met &= milliseconds <= most
        verdict = "yes" if milliseconds <= most else "NO"
        print(f"{what:<52} {milliseconds:>10.2f} ms {lines:>6} lines  at most {most}: {verdict}")

    with tempfile.TemporaryDirectory() as folder:
        cluster = Squall(given.squall, folder)
        state = cluster.dir / "state"
        state.mkdir(mode=0o700)
        shutil.copytree(given.journal, state / "journal")
        try:
            cluster.up()
            cluster.kill()
            begun = time.monotonic()
            cluster.start()
            until(60, "Squall answers", cluster.answers)
            print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}; {cluster.version()}")
            row("start to answering", (time.monotonic() - begun) * 1e3, 0, 3000)
            number = cluster.call("sacct", "-X", "-n", "-P", "-a", "-o", "jobid", "-S", "1970-01-01").stdout.split()
            middle = number[len(number) // 2]
            print(f"{len(number)} jobs")
            row(f"sacct -j {middle}", *timed(cluster, "sacct", "-j", middle), 10)
            ended = cluster.call("sacct", "-X", "-n", "-P", "-j", middle, "-o", "end").stdout.strip()
            day = datetime.fromisoformat(ended).replace(hour=0, minute=0, second=0)
            within = ["-S", day.isoformat(), "-E", (day + timedelta(days=1)).isoformat()]
            for user, who in ((1007, "of one user"), (1000, "of the user with half of all jobs")):
                row(f"sacct, a day {who}", *timed(cluster, "sacct", "-u", str(user), *within), 100)
        finally:
            cluster.down()
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
