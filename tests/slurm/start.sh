#!/usr/bin/env bash
# A Slurm of one node on this machine, for tests, with everything it writes in one folder:
#   tests/slurm/start.sh DIR && . DIR/environment && sinfo;  tests/slurm/stop.sh DIR
# Needs Debian's packages slurm-wlm and munge, and root. Touches no Slurm or munge that is already installed
# and running: own key, sockets and ports. `start.sh DIR controller` starts the controller alone again.
set -euo pipefail

dir=$(mkdir -p "$1" && cd "$1" && pwd)
controller() { SLURM_CONF="$dir/slurm.conf" slurmctld; }
[ "${2:-}" = controller ] && { controller; exit; }

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])'; }

mkdir -p "$dir"/{state,spool,bin,munge}
chmod 755 "$dir" "$dir/munge"
(umask 077 && head -c 1024 /dev/urandom >"$dir/munge/key")
# --force: munged would rather not run as root, nor below a folder that others may write to (/tmp)
munged --force --key-file="$dir/munge/key" --socket="$dir/munge/socket" --pid-file="$dir/munge/pid" \
  --log-file="$dir/munge/log" --seed-file="$dir/munge/seed" 2>>"$dir/munge/log"

cat >"$dir/slurm.conf" <<CONF
ClusterName=test
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$(free_port)
SlurmdPort=$(free_port)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge/socket
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=batch_sched_delay=1,sched_interval=5
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
MinJobAge=86400
KillWait=30
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=$(hostname -s) NodeAddr=127.0.0.1 CPUs=2 RealMemory=20000 Gres=gpu:2 State=UNKNOWN
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
printf 'Name=gpu File=%s\n' /dev/null /dev/zero >"$dir/gres.conf" # counted as two GPUs, nothing is behind them

# Snakemake's plugin drops SLURM_CONF before it calls srun inside a job: put it back
printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$dir/slurm.conf" "$(command -v srun)" >"$dir/bin/srun"
chmod 755 "$dir/bin/srun"
printf 'export SLURM_CONF=%s PATH=%s:$PATH\n' "$dir/slurm.conf" "$dir/bin" >"$dir/environment"

controller
SLURM_CONF="$dir/slurm.conf" slurmd -N "$(hostname -s)"
for _ in $(seq 60); do
  [ "$(SLURM_CONF="$dir/slurm.conf" sinfo --noheader --format=%T 2>/dev/null)" = idle ] && exit 0
  sleep 0.5
done
echo "error: the node is not idle after 30 s; see $dir/slurmctld.log and $dir/slurmd.log" >&2
exit 1
