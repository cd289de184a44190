#!/usr/bin/env bash
# A cluster of Squall as `peer.sh` makes one of Slurm: nodes of the same shape, in partitions of the same names.
# `squall.sh up FOLDER SQUALL [IDLE]` prints what a client needs; `squall.sh down FOLDER` ends it. Its nodes are bought
# when there is work, and given back when they have had none for IDLE.
set -u
readonly DO=${1:?up or down} DIR=${2:?folder}

up() {
    local squall=$1 idle=${2:-2h}
    mkdir -p "$DIR" && chmod 711 "$DIR"
    cat >"$DIR/squall.toml" <<END
cluster = "twin"
admins = ["$(id -u)"]
first_job = 1000
default_account = "root"

[controller]
state_dir = "$DIR/state"
socket = "$DIR/ctld.sock"
socket_mode = "0666"
listen = "127.0.0.1:0"
heartbeat = "1s"
disk_reserve = "64M"

[timing]
batch_idle = "200ms"
kill_wait = "5s"
min_job_age = "300s"

[limits]
max_array_size = 1001

[partitions.batch]
pools = ["n"]
default = true
max_time = "7d"
default_time = "1h"
def_mem_per_cpu = "4000M"

[partitions.low]
pools = ["n"]
max_time = "7d"
default_time = "1h"
def_mem_per_cpu = "4000M"

[pools.n]
provisioner = "local"
max_nodes = 4
idle_after = "$idle"
min_lifetime = "0s"
settle = "0s"
listing_every = "5s"
absence_grace = "5s"
register_within = "2m"
features = ["static", "gpu"]
local = { agent = ["$squall", "agent"], dir = "$DIR/nodes" }

[pools.n.offers.n]
cpus = 16
memory = 64000
gpus = "h100:4"
gpu_memory = 81559
price = "1.00"
typical_boot = "2s"
END
    "$squall" up --detach --dir "$DIR" >"$DIR/up.out" 2>&1 || { cat "$DIR/up.out" >&2; return 1; }
    echo "export PATH=$DIR/bin:\$PATH SQUALL_CONTROLLER=unix:$DIR/ctld.sock"
}

case $DO in
up) up "${@:3}" ;;
down) [ -x "$DIR/bin/squall" ] && "$DIR/bin/squall" down --yes --dir "$DIR" ;;
*) echo "usage: squall.sh up FOLDER SQUALL [IDLE] | down FOLDER" >&2; exit 2 ;;
esac
