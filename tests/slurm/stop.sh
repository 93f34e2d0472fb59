#!/usr/bin/env bash
# Stop what start.sh DIR started: jobs first, then the daemons, by the ids in their pid files.
set -uo pipefail

dir=$(cd "$1" && pwd)
SLURM_CONF="$dir/slurm.conf" timeout 10 scancel --signal=KILL --user="$(id -un)" 2>/dev/null
SLURM_CONF="$dir/slurm.conf" timeout 10 scancel --user="$(id -un)" 2>/dev/null
sleep 1
alive() { # a process that ended but was not waited for by its parent does not count
  [ -f "$1" ] && [ -r "/proc/$(cat "$1")/stat" ] && ! grep -q ') Z ' "/proc/$(cat "$1")/stat"
}
pids=("$dir/slurmd.pid" "$dir/slurmctld.pid" "$dir/munge/pid")
for file in "${pids[@]}"; do
  alive "$file" && kill "$(cat "$file")"
done
for _ in $(seq 40); do
  left=0
  for file in "${pids[@]}"; do
    alive "$file" && left=1
  done
  [ $left = 0 ] && exit 0
  sleep 0.25
done
echo "error: something from $dir is still running" >&2
exit 1
