"""Real Slurm and Squall, each a whole cluster on this machine, alike in what is measured: one controller with
accounting, and four nodes of 16 CPUs and 4 declared GPUs each. Both keep what they acknowledge on the same file system."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

# What must not lead one cluster's commands to the other.
FOREIGN = ("SLURM_", "SBATCH_", "SRUN_", "SQUEUE_", "SQUALL_", "OTEL_", "RUST_LOG", "TRACEPARENT", "BENCH_")
NODES = 4

SQUALL = """
cluster = "bench"
admins = ["{user}"]

[controller]
state_dir = "{dir}/state"
socket = "{dir}/ctld.sock"
listen = "127.0.0.1:0"
disk_reserve = "64M"

[timing]
min_job_age = "5m"

[limits]
max_array_size = 20001
max_jobs = 200000

[partitions.batch]
pools = ["n"]
default = true
max_time = "7d"
default_time = "1h"

[partitions.cloud]
pools = ["c"]
max_time = "7d"
default_time = "1h"

[pools.n]
provisioner = "local"
min_nodes = {nodes}
max_nodes = {nodes}
local = {{ agent = ["{squall}", "agent"], dir = "{dir}/nodes" }}

[pools.n.offers.n]
cpus = 16
memory = 64000
gpus = "h100:4"
price = "1.00"
typical_boot = "2s"

[pools.c]
provisioner = "local"
max_nodes = 16
idle_after = "5s"
min_lifetime = "0s"
settle = "0s"
local = {{ agent = ["{squall}", "agent"], dir = "{dir}/cloud" }}

[pools.c.offers.c]
cpus = 4
memory = 16000
gpus = "h100:1"
price = "1.00"
typical_boot = "2s"
"""


def clean_environment():
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def until(seconds, what, look):
    """Waits until `look` finds it; its answer."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = look()
        if found:
            return found
        time.sleep(0.02)
    raise SystemExit(f"it never came: {what}")


def status(pid, key):
    """A figure of /proc/PID/status, in KiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise KeyError(key)


class Cluster:
    """What both have: commands with an environment of their own, and pid files of their daemons."""

    name: str
    controller: str

    def call(self, *words, **more):
        return subprocess.run(words, env=self.env, text=True, capture_output=True, stdin=subprocess.DEVNULL, **more)

    def pid(self, daemon=None):
        return int((self.dir / "run" / f"{daemon or self.controller}.pid").read_text())

    def answers(self):
        return "is UP" in self.call("scontrol", "ping").stdout

    def nodes_up(self):
        rows = self.call("sinfo", "-h", "-p", "batch", "-t", "idle,mix,alloc", "-o", "%D").stdout.split()
        return sum(map(int, rows)) == NODES

    def rss_kib(self):
        return status(self.pid(), "VmRSS")

    def kill(self):
        """kill -9 of the controller."""
        pid = self.pid()
        os.kill(pid, signal.SIGKILL)
        until(30, f"{self.controller} is dead", lambda: not Path(f"/proc/{pid}").exists() or zombie(pid))
        (self.dir / "run" / f"{self.controller}.pid").unlink(missing_ok=True)


def zombie(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


class Slurm(Cluster):
    """Debian's, by the scripts in a folder `slurm`, as an instance beside any other."""

    name, controller = "Slurm", "slurmctld"

    def __init__(self, scripts):
        self.scripts = Path(scripts)
        shell = f". {self.scripts}/bench-env.sh && env -0"
        out = subprocess.run(["bash", "-c", shell], env=clean_environment(), capture_output=True, check=True).stdout
        self.env = dict(entry.split("=", 1) for entry in out.decode().split("\0") if "=" in entry)
        self.dir = Path(self.env["PEER"])

    def up(self):
        self.down()
        done = self.call(str(self.scripts / "up.sh"))
        if not self.nodes_up():
            raise SystemExit(f"Slurm did not start:\n{done.stdout}{done.stderr}")

    def start(self):
        log = open(self.dir / "log/slurmctld.out", "ab")
        words = ["slurmctld", "-D", "-f", self.env["SLURM_CONF"]]
        subprocess.Popen(words, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def down(self):
        self.call(str(self.scripts / "down.sh"), "--wipe")

    def version(self):
        return self.call("sinfo", "--version").stdout.strip()


def install(program, commands, folder):
    """The programs of an installation in one folder; which of them is `squall`. The shim is that beside the commands, or
    beside `squall` where there is none."""
    folder.mkdir(parents=True)
    beside = [path.with_name("squall-shim") for path in (commands, program)]
    shim = next(path for path in beside if path.exists())
    for name, source in [("squall", program), ("squall-commands", commands), ("squall-shim", shim)]:
        shutil.copy2(source, folder / name)
    return folder / "squall"


class Squall(Cluster):
    """Of one program, with a configuration of its own, and with other commands than those beside it where some are named."""

    name, controller = "Squall", "squallctld"

    def __init__(self, program, folder, commands=None):
        self.program, self.dir = Path(program).resolve(), Path(folder)
        if commands:
            self.program = install(self.program, Path(commands), self.dir / "installed")
        self.env = clean_environment()
        self.env["PATH"] = f"{self.dir}/bin:{self.env['PATH']}"
        self.env["SQUALL_CONTROLLER"] = f"unix:{self.dir}/ctld.sock"
        self.env["PEER"], self.env["BENCH_CTLD"] = str(self.dir), self.controller
        # An update of a part of an array leaves one record here, where Slurm makes one for each element.
        self.env["BENCH_FILL"] = "single"
        self.process = None

    def up(self):
        (self.dir / "run").mkdir(parents=True)
        text = SQUALL.format(user=os.getuid(), dir=self.dir, nodes=NODES, squall=self.program)
        (self.dir / "squall.toml").write_text(text)
        links = [str(self.program), "install-links", str(self.dir / "bin")]
        subprocess.run(links, env=self.env, check=True, capture_output=True)
        self.start()
        until(60, "Squall answers", self.answers)
        until(60, "Squall's nodes are up", self.nodes_up)
        for number, pid in enumerate(self.agents()):
            (self.dir / "run" / f"squalld-{number}.pid").write_text(str(pid))

    def start(self):
        log = open(self.dir / "controller.log", "ab")
        words = [str(self.program), "ctld", "run", "--config", str(self.dir / "squall.toml")]
        self.process = subprocess.Popen(words, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        (self.dir / "run" / "squallctld.pid").write_text(str(self.process.pid))

    def kill(self):
        super().kill()
        self.process.wait()

    def agents(self):
        """The agents of this cluster, by what they were started with."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().split(b"\0")
            except OSError:
                continue
            if words[1:3] == [b"agent", b"run"] and str(self.dir).encode() in b" ".join(words):
                found.append(int(entry.parent.name))
        return sorted(found)

    def down(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
        for pid in self.agents():
            os.kill(pid, signal.SIGKILL)

    def version(self):
        return self.call("sinfo", "--version").stdout.strip()
