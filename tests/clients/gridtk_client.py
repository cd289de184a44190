"""gridtk: keeps its own list of jobs, and reads how they went from `sacct --json`."""

import json
import subprocess
import sys
import time
from pathlib import Path

SCRIPTS = {"good.sh": "srun hostname", "bad.sh": "exit 3", "long.sh": "srun sleep 600"}


def gridtk(*words):
    return subprocess.run(["gridtk", *words], check=True, capture_output=True, text=True).stdout


def states():
    """By gridtk's own numbers."""
    return {job["job_id"]: (job["state"], job["exit_code"]) for job in json.loads(gridtk("list", "--json"))}


def main():
    for name, line in SCRIPTS.items():
        Path(name).write_text(f"#!/bin/bash\n{line}\n")
    good, bad, long = [
        int(gridtk("submit", *options, name))
        for options, name in ((["--gpus=1"], "good.sh"), ([], "bad.sh"), (["--gpus=2"], "long.sh"))
    ]
    later = int(gridtk("submit", "--begin=now+1hour", "good.sh"))
    wanted = {good: ("COMPLETED", "0"), bad: ("FAILED", "3"), long: ("RUNNING", "0"), later: ("PENDING", "0")}
    while states() != wanted:
        time.sleep(0.2)
    gridtk("stop", "-j", f"{long},{later}")
    while {states()[number][0] for number in (long, later)} != {"CANCELLED"}:
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
