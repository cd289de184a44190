#!/usr/bin/env bash
# Real Slurm beside Squall, to compare with: one controller, accounting and four nodes on this machine, on loopback.
# Needs root and Debian's packages. `peer.sh up FOLDER` prints what a client needs; `peer.sh down FOLDER` ends it.
set -u
readonly DO=${1:?up or down} DIR=${2:?folder}
readonly CONTROL=46817 DATABASE_DAEMON=46819 DATABASE=43306 NODES=47000
export SLURM_CONF=$DIR/slurm.conf

ended() { # PIDFILE: ends the process that it names, by number, and waits.
    local pid
    pid=$(cat "$1" 2>/dev/null) || return 0
    kill "$pid" 2>/dev/null
    for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done
    kill -9 "$pid" 2>/dev/null
    return 0
}

wait_for() { # SECONDS COMMAND...: until it succeeds.
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < until)) || { echo "peer: gave up waiting for: $*" >&2; return 1; }
        sleep 0.1
    done
}

down() {
    for pid in "$DIR"/run/slurmd-*.pid "$DIR"/run/slurmctld.pid "$DIR"/run/slurmdbd.pid "$DIR"/run/maria.pid "$DIR"/run/munged.pid; do
        ended "$pid"
    done
}

daemon() { # NAME COMMAND...: in a session of its own; its output is its log.
    local name=$1
    shift
    setsid "$@" >>"$DIR/log/$name.out" 2>&1 </dev/null &
}

up() {
    mkdir -p "$DIR"/{run,log,state,spool,maria,munge,dev} && chmod 755 "$DIR" "$DIR"/*
    chmod 700 "$DIR/munge"
    for gpu in 0 1 2 3; do : >"$DIR/dev/gpu$gpu"; done

    [ -s "$DIR/munge.key" ] || head -c 128 /dev/urandom >"$DIR/munge.key"
    chmod 600 "$DIR/munge.key"
    munged --force --key-file="$DIR/munge.key" --socket="$DIR/run/munge.sock" --pid-file="$DIR/run/munged.pid" \
        --log-file="$DIR/log/munged.log" --seed-file="$DIR/munge.seed" || return 1

    chown mysql "$DIR/maria" && chmod 777 "$DIR/run"
    mariadb-install-db --no-defaults --datadir="$DIR/maria" --user=mysql --skip-test-db >"$DIR/log/maria-install" 2>&1
    daemon maria mariadbd --no-defaults --datadir="$DIR/maria" --user=mysql --socket="$DIR/run/maria.sock" \
        --pid-file="$DIR/run/maria.pid" --bind-address=127.0.0.1 --port=$DATABASE --innodb-flush-log-at-trx-commit=0
    local sql=(mariadb --no-defaults -S "$DIR/run/maria.sock" -u root)
    wait_for 60 "${sql[@]}" -e 'select 1' || return 1
    "${sql[@]}" -e "create user slurm@'%' identified by 'slurm'; create user slurm@localhost identified by 'slurm';
        grant all on *.* to slurm@'%'; grant all on *.* to slurm@localhost"

    local host
    host=$(hostname -s)
    cat >"$DIR/slurmdbd.conf" <<END
AuthType=auth/munge
AuthInfo=socket=$DIR/run/munge.sock
DbdHost=$host
DbdAddr=127.0.0.1
DbdPort=$DATABASE_DAEMON
SlurmUser=root
PidFile=$DIR/run/slurmdbd.pid
LogFile=$DIR/log/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$DATABASE
StorageUser=slurm
StoragePass=slurm
END
    chmod 600 "$DIR/slurmdbd.conf"
    cat >"$SLURM_CONF" <<END
ClusterName=twin
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$CONTROL
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$DIR/run/munge.sock
CryptoType=crypto/munge
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool/%n
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmdPidFile=$DIR/run/slurmd-%n.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd-%n.log
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SlurmdParameters=config_overrides
CommunicationParameters=NoCtldInAddrAny
KillWait=5
MinJobAge=300
FirstJobId=1000
MaxArraySize=1001
EnforcePartLimits=ALL
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,bf_continue,sched_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=4000
GresTypes=gpu
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$DATABASE_DAEMON
AccountingStoragePass=$DIR/run/munge.sock
AccountingStorageTRES=gres/gpu
NodeName=n-[1-4] NodeAddr=127.0.0.1 Port=[$((NODES + 1))-$((NODES + 4))] CPUs=16 Sockets=1 CoresPerSocket=16 ThreadsPerCore=1 RealMemory=64000 Gres=gpu:h100:4 Feature=gpu,static
PartitionName=batch Nodes=n-[1-4] Default=YES MaxTime=7-0 DefaultTime=60 DefMemPerCPU=4000
PartitionName=low Nodes=n-[1-4] MaxTime=7-0 DefaultTime=60 DefMemPerCPU=4000
END
    echo "NodeName=n-[1-4] Name=gpu Type=h100 File=$DIR/dev/gpu[0-3]" >"$DIR/gres.conf"
    printf 'CgroupAutomount=no\nConstrainCores=no\n' >"$DIR/cgroup.conf"

    (cd "$DIR" && SLURM_CONF=$SLURM_CONF daemon slurmdbd slurmdbd -D)
    wait_for 60 sacctmgr -n show cluster || return 1
    sacctmgr -i add cluster twin >/dev/null 2>&1
    sacctmgr -i add account default Description=default Organization=default cluster=twin >/dev/null 2>&1
    sacctmgr -i add user root account=default cluster=twin AdminLevel=Admin >/dev/null 2>&1
    daemon slurmctld slurmctld -D -f "$SLURM_CONF"
    wait_for 60 sh -c 'scontrol ping | grep -q "is UP"' || return 1
    for node in 1 2 3 4; do
        mkdir -p "$DIR/spool/n-$node"
        daemon slurmd slurmd -D -N "n-$node" -f "$SLURM_CONF"
    done
    wait_for 60 sh -c 'sinfo -h -p batch -o "%D %t" | grep -qx "4 idle"' || return 1
    echo "export SLURM_CONF=$SLURM_CONF"
}

case $DO in
up) up || { down; exit 1; } ;;
down) down ;;
*) echo "usage: peer.sh up|down FOLDER" >&2; exit 2 ;;
esac
