"""What Nextflow's SLURM executor calls and how it reads the answers, call by call.

Nextflow itself is a Java program from another registry; this plays its `sbatch`, `squeue` and `scancel` calls with its
own rules for reading them: standard error is folded into standard output, lines that are not two words are dropped,
and what is not listed any more has ended.
"""

import getpass
import os
import re
import subprocess
import sys
import time
from pathlib import Path

KNOWN = "PD R CA CF CG CD F TO NF S ST PR BF".split()


def call(*words, **options):
    merged = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    return merged.returncode, merged.stdout


def submitted(text):
    for line in text.splitlines():
        found = re.search(r"Submitted batch job (\d+)", line)
        if found:
            return found[1]
    assert text.strip().isdigit(), text
    return text.strip()


def queue(partition=None):
    words = ["squeue", "--noheader", "-o", "%i %t", "-t", "all"]
    words += ["-p", partition] if partition else []
    code, text = call(*words, "-u", getpass.getuser())
    assert code == 0, text
    rows = dict(line.split() for line in text.splitlines() if len(line.split()) == 2)
    assert all(state in KNOWN for state in rows.values()), rows
    return rows


def header(name, folder, *more):
    rows = [
        ("-J", f"nf-{name}"),
        ("-o", f"{folder}/.command.log"),
        ("--no-requeue", ""),
        ("--signal", "B:USR2@30"),
        ("-c", "2"),
        ("-t", "01:00:00"),
        ("--mem", "100M"),
        ("-p", "batch"),
        *more,
    ]
    return "".join(f"#SBATCH {key} {value}\n" for key, value in rows)


def task(name, body, *more):
    folder = Path("work", name).absolute()
    folder.mkdir(parents=True)
    script = "#!/bin/bash\n" + header(name, folder, *more)
    script += f"# NEXTFLOW TASK: {name}\nset -e\nset -u\nNXF_DEBUG=${{NXF_DEBUG:=0}}\n"
    script += "on_exit() { status=${1:-$?}; echo $status > .exitcode; }\n"
    script += "trap on_exit EXIT\ntrap 'on_exit 143; trap - EXIT; exit 143' TERM USR2\n"
    script += f"cd {folder}\n: > .command.begin\n{body}\n#SBATCH --nonsense\n"
    (folder / ".command.run").write_text(script)
    return folder


def until(holds, what):
    end = time.monotonic() + 90
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(0.2)


def main():
    first, second = task("one", "echo hello > out.txt"), task("two", "exit 7")
    code, text = call("sbatch", ".command.run", cwd=first)
    assert code == 0, text
    one = submitted(text)
    # On standard input, as with `executor.perJobMemLimit` and cloud work folders.
    with open(second / ".command.run") as script:
        code, text = call("sbatch", stdin=script, cwd=second)
    two = submitted(text)
    assert one in queue() and two in queue("batch"), queue()
    until(lambda: (first / ".exitcode").exists() and (second / ".exitcode").exists(), "two tasks end")
    assert (first / ".exitcode").read_text() == "0\n" and (second / ".exitcode").read_text() == "7\n"
    until(lambda: queue()[one] == "CD" and queue()[two] == "F", "their ends are listed")

    # An array: elements are listed by themselves once they run.
    folder = task("many", "echo $SLURM_ARRAY_TASK_ID > out-$SLURM_ARRAY_TASK_ID.txt; sleep 2", ("--array", "0-2"))
    many = submitted(call("sbatch", ".command.run", cwd=folder)[1])
    until(lambda: all(queue().get(f"{many}_{index}") == "CD" for index in range(3)), "three elements end")
    assert sorted(path.name for path in folder.glob("out-*")) == ["out-0.txt", "out-1.txt", "out-2.txt"]

    # Killed tasks write their exit code: the batch shell is told, and has time to say what it has to.
    folders = [task(f"long{index}", "sleep 600 & wait") for index in range(2)]
    jobs = [submitted(call("sbatch", ".command.run", cwd=folder)[1]) for folder in folders]
    until(lambda: all((folder / ".command.begin").exists() for folder in folders), "both run")
    assert call("scancel", *jobs) == (0, "")
    until(lambda: all((folder / ".exitcode").exists() for folder in folders), "both have written how they ended")
    assert {(folder / ".exitcode").read_text() for folder in folders} == {"143\n"}
    until(lambda: all(queue()[job] == "CA" for job in jobs), "both are listed as cancelled")
    assert call("scancel", *jobs) == (0, "")

    # The warning before the time limit reaches the batch shell alone.
    folder = task("late", "sleep 600 & wait", ("-t", "00:01:00"))
    late = submitted(call("sbatch", ".command.run", cwd=folder)[1])
    until(lambda: (folder / ".exitcode").exists(), "the warning comes 30 s before the end")
    assert (folder / ".exitcode").read_text() == "143\n"

    code, text = call("sbatch", ".command.run", cwd=task("wrong", "true", ("-p", "nowhere")))
    assert code == 1 and "Invalid partition name specified" in text, (code, text)
    # What newer releases ask, where squeue knows it.
    code, text = call("squeue", "--noheader", "-o", "%i %t", "-t", "all", "--only-job-state", "-u", getpass.getuser())
    assert code == 0 and f"{late} " in text, text


if __name__ == "__main__":
    assert os.path.realpath(".") != "/"
    sys.exit(main())
