#!/usr/bin/env bash
# cluster.sh [--install] COMMAND…: run COMMAND beside a real Slurm whose two nodes are this machine.
#
# All of it lies in a folder of its own, with a key and ports of its own, and ends with COMMAND: a
# Slurm that is here already is neither used nor touched. COMMAND finds it by SLURM_CONF, as every
# program of Slurm does; beside that file lie logs and process ids (run/slurmd-node1.pid). Ends with
# COMMAND's status, or with 3 where Slurm cannot be had.
set -euo pipefail
packages=(munge slurmctld slurmd slurm-client slurm-wlm-basic-plugins)  # 3 MB
export PATH=$PATH:/usr/sbin

say() { echo "cluster.sh: $*" >&2; }

missing() { ! command -v munged slurmctld slurmd sbatch >/dev/null; }

[ "$(id -u)" = 0 ] || { say "slurmd starts as root only."; exit 3; }
if [ "${1:-}" = --install ]; then
    shift
    if missing && command -v apt-get >/dev/null; then
        apt-get install --yes --no-install-recommends "${packages[@]}" >&2
    fi
fi
if missing; then
    say "programs are missing; on Debian and Ubuntu: apt-get install ${packages[*]}"
    exit 3
fi

folder=$(mktemp -d "${TMPDIR:-/tmp}/nano-os-slurm-XXXXXX")
chmod 755 "$folder"
mkdir -m 700 "$folder/munge" "$folder/spool" "$folder/state"
mkdir -m 755 "$folder/run"
export SLURM_CONF=$folder/slurm.conf
daemons=(slurmd-node1 slurmd-node2 slurmctld munged)

pid_of() { cat "$folder/run/$1.pid" 2>/dev/null || echo 0; }

running() {  # and no zombie, which a killed one is where nobody waits for it
    ps -o stat= -p "$(pid_of "$1")" 2>/dev/null | grep -qv Z
}

stop() {
    local name signal
    scancel --user "$(id -un)" 2>/dev/null && sleep 0.5
    for signal in TERM KILL; do
        for name in "${daemons[@]}"; do
            ! running "$name" || kill -$signal "$(pid_of "$name")"
        done
        for _ in $(seq 50); do
            for name in "${daemons[@]}"; do running "$name" && break; done || break
            sleep 0.1
        done
    done
    rm -rf "$folder"
}
trap 'set +e; stop' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

host=$(hostname -s)
read -r -a ports < <(python3 -c '
import socket
taken = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(one.getsockname()[1] for one in taken))')
cat > "$SLURM_CONF" <<CONF
ClusterName=nano-os
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdSpoolDir=$folder/spool/%n
SlurmdPidFile=$folder/run/slurmd-%n.pid
SlurmdLogFile=$folder/slurmd-%n.log
SlurmdTimeout=10
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=2
MinJobAge=86400
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
NodeName=node1 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[1]} CPUs=2
NodeName=node2 NodeHostname=$host NodeAddr=127.0.0.1 Port=${ports[2]} CPUs=2
PartitionName=batch Nodes=ALL Default=YES MaxTime=01:00:00
CONF

(umask 377 && head -c 1024 /dev/urandom > "$folder/munge/key")
munged --key-file="$folder/munge/key" --seed-file="$folder/munge/seed" \
    --socket="$folder/run/munge.socket" --pid-file="$folder/run/munged.pid" \
    --log-file="$folder/munge/log"
slurmctld
slurmd -N node1
slurmd -N node2
up=
for _ in $(seq 150); do
    [ "$(sinfo --noheader --format '%D %t' 2>/dev/null)" = '2 idle' ] && up=yes && break
    sleep 0.2
done
[ "$up" ] || { say "the nodes do not come up:"; tail -n 20 "$folder"/*.log >&2; exit 1; }
"$@"
