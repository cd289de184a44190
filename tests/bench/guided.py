#!/usr/bin/env python3
"""Builds the three programs of an installation, guided by a profile: they are built to count what they do, make up a
cluster of this machine for half a minute, and are built again by what was counted. What was executed then lies together,
the rest of each function apart from it, which is most of what a call costs whose code is never in the processor's caches.

    tests/bench/guided.py --out DIR

Needs `rustup component add llvm-tools`, and what the small programs need (README). It takes as long as two builds."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clusters import Squall, until

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = "x86_64-unknown-linux-musl"
PROGRAMS = ("squall", "squall-commands", "squall-shim")


def rustc(*words):
    return subprocess.run(["rustc", *words], check=True, capture_output=True, text=True, cwd=REPOSITORY).stdout


def host():
    return next(line.split()[1] for line in rustc("-vV").splitlines() if line.startswith("host:"))


def profdata():
    """LLVM's tool of the version that the compiler has."""
    found = Path(rustc("--print", "target-libdir").strip()).parent / "bin" / "llvm-profdata"
    if not found.exists():
        raise SystemExit(f"{found} is not there: rustup component add llvm-tools")
    return found


def order(counts, into):
    """The functions that were executed, the most often executed first, as a file for the linker."""
    found, name = [], ""
    show = [profdata(), "show", "--all-functions", "--counts", counts]
    shown = subprocess.run(show, check=True, capture_output=True, text=True)
    for line in shown.stdout.splitlines():
        key, _, value = line.strip().rpartition(":")
        if key == "Block counts":
            found.append((max(map(int, value.strip(" []").split(","))), name))
        elif not value:
            # What only its own unit of the compiler sees has that before its name.
            name = key.split(";")[-1]
    into.write_text("".join(f"{name}\n" for count, name in sorted(found, key=lambda one: -one[0]) if count))


def guided_by(counts, functions):
    """Options of a build by what was counted. Of the linkers, LLVM's takes an order of functions; the compiler brings it."""
    return [
        f"-Cprofile-use={counts}",
        # Blocks that were never executed leave their function, however often others were.
        "-Cllvm-args=-enable-split-machine-functions -mfs-psi-cutoff=0",
        f"-Clink-arg=-B{profdata().parent / 'gcc-ld'}",
        "-Clink-arg=-fuse-ld=lld",
        f"-Clink-arg=-Wl,--symbol-ordering-file={functions}",
        "-Clink-arg=-Wl,--no-warn-symbol-ordering",
    ]


def build(folder, options, into):
    """The programs with more options for the compiler. A target is named, so that what runs in the build has none."""
    main = ["--release", "-p", "squall", "--bin", "squall", "--target", host()]
    small = ["--profile", "commands", "-p", "squall", "--no-default-features", "--features", "shim"]
    small += ["--bin", "squall-commands", "--bin", "squall-shim", "--target", SMALL]
    made = []
    for words, target, kind, names in (
        (main, host(), "release", PROGRAMS[:1]),
        (small, SMALL, "commands", PROGRAMS[1:]),
    ):
        flags = f"target.{target}.rustflags={options(names[0])}"
        environment = {**os.environ, "CARGO_TARGET_DIR": str(folder)}
        subprocess.run(["cargo", "build", *words, "--config", flags], check=True, cwd=REPOSITORY, env=environment)
        made += [folder / target / kind / name for name in names]
    into.mkdir(parents=True, exist_ok=True)
    for program in made:
        shutil.copy2(program, into)


def train(installed):
    """What people do with a cluster, each thing often enough to be seen."""
    folder = Path(tempfile.mkdtemp(prefix="guided-", dir="/tmp"))
    cluster = Squall(installed / "squall", folder / "cluster", installed / "squall-commands")

    def call(*words):
        done = cluster.call(*words)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}: {done.stderr}")

    def submit(count, *words):
        with ThreadPoolExecutor(8) as submitters:
            list(submitters.map(lambda _: call("sbatch", "-o", "/dev/null", *words, "--wrap", "true"), range(count)))

    def empty():
        until(300, "the queue is empty", lambda: not cluster.call("squeue", "-h").stdout.strip())

    try:
        cluster.up()
        submit(2000, "-H")
        for _ in range(10):
            call("squeue")
            call("squeue", "--me", "-h", "-o", "%i %T %r")
            call("scontrol", "show", "job", "1")
        call("scancel", "-u", str(os.getuid()))
        empty()
        submit(1000)
        submit(200, "--gpus=1", "--time=5")
        empty()
        call("sbatch", "--array=1-500", "-o", "/dev/null", "--wrap", "true")
        for _ in range(50):
            call("srun", "true")
            call("sinfo")
            call("sacct", "-X")
        empty()
        end(cluster)
    finally:
        cluster.down()
    shutil.rmtree(folder, ignore_errors=True)


def end(cluster):
    """Lets the daemons end by themselves, which is when they write down what they counted."""
    cluster.process.terminate()
    cluster.process.wait()
    for agent in cluster.agents():
        os.kill(agent, signal.SIGTERM)
    until(30, "the agents have ended", lambda: not cluster.agents())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="where the three programs are put")
    out = parser.parse_args().out.resolve()
    work = out / "guided"
    counts = {name: work / f"counts-{name}" for name in PROGRAMS[:2]}
    build(work / "counting", lambda name: [f"-Cprofile-generate={counts[name]}"], work / "trained")
    train(work / "trained")
    guides = {}
    for name, folder in counts.items():
        merged, functions = Path(f"{folder}.profdata"), work / f"order-{name}"
        subprocess.run([profdata(), "merge", "-o", merged, folder], check=True)
        order(merged, functions)
        guides[name] = guided_by(merged, functions)
    build(work / "guided", guides.get, out)
    print(f"{out}: {', '.join(PROGRAMS)}")


if __name__ == "__main__":
    sys.exit(main())
