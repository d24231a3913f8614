#!/bin/bash
# HLG-Mobile on @NODES@ nodes, @CARDS@ x @TARGET@ on each, under Slurm.
#
# Made by  @COMMAND@
# From     @COMMIT@
#
# Before   this project and the data lie on storage that every node sees; without --python, every node has docker or
#          podman and the image, or with --engine apptainer that program, and sees the image's file
# Submit   sbatch @FILE@
#          in the project's folder; more options (--account, --qos, ...) go before the file
# Go on    RESUME=<a run's folder in @RUNS_TEXT@> sbatch @FILE@
# Watch    squeue --me; tail -f @NAME@-<job>.log
# Stop     scontrol update JobId=<job> Requeue=0; scancel --batch --signal=TERM <job>
#          scancel <job> alone saves too, where the ranks need less than the cluster's KillWait (30 s) for it
#
# At its time limit, when it is preempted and when a node fails, the job is queued again and goes on by itself.

#SBATCH --job-name=@NAME@
#SBATCH --output=@NAME@-%j.log
#SBATCH --open-mode=append
#SBATCH --nodes=@NODES@
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --mem=0
#SBATCH --time=@TIME@
#SBATCH --signal=B:TERM@300
#SBATCH --requeue
#SBATCH --gres=@GRES@
#SBATCH --partition=@QUEUE@

set -euo pipefail

imagenet=@IMAGENET@
runs=@RUNS@
config=@CONFIG@
cards=@CARDS@ # of each node
keys=(@KEYS@)
python=(@PYTHON@)
export ENGINE=@ENGINE@
export IMAGE=@IMAGE@

# The first host of the allocation is the master. Some hosts find themselves at 127.0.1.1, where nobody else does.
mapfile -t hosts < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
nodes=${#hosts[@]}
if [ "$nodes" -gt 1 ] && [ -z "${MASTER:-}" ] && getent ahostsv4 "${hosts[0]}" | grep -q '^127\.'; then
  echo "error: ${hosts[0]} finds itself at a loopback address (/etc/hosts): MASTER=<its address> sbatch ..." >&2
  exit 2
fi
master=${MASTER:-${hosts[0]}}

# Here the launchers keep their logs, the first one also the name of its run. A job that is queued again keeps its number.
logs=$runs/.ranks/slurm-$SLURM_JOB_ID/node
run=${RESUME:-}
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then
  begun=$(cat "$logs"-0/*/run_folder 2> /dev/null | tail -n 1) || true
  if [ -n "$begun" ] && [ -e "$begun/SHA256SUMS" ]; then
    echo "$begun is finished"
    exit 0
  elif [ -n "$begun" ] && [ -e "$begun/checkpoints/last.ckpt" ]; then
    run=$begun
  fi
fi
start=(--config_path "$config")
if [ -n "$run" ]; then start=(--resume "$run"); fi

# One launcher a node. Not msrun: ended by SIGTERM, it leaves its workers running. Not make: it turns 75 into 2.
launch=("${python[@]}" -m hlg.launch --ranks $((nodes * cards)) --nodes "$nodes" --master "$master")
train=(hlg.train "${start[@]}" --save_checkpoint_path "$runs" --dataset_path "$imagenet/train"
  --eval_path "$imagenet/val" --device_target @TARGET@ "${keys[@]}")
# Both are handed to the tasks, after the number of words in the first.
# shellcheck disable=SC2016 # the variables are the task's
node='exec "${@:3:$2}" --node_rank "$SLURM_NODEID" --logs "$1-$SLURM_NODEID" "${@:$2+3}"'
# The nodes end within minutes of each other, after a fault too; --wait ends those that do not.
srun --wait=360 --cpu-bind=none --export=ALL \
  bash -c "$node" node "$logs" "${#launch[@]}" "${launch[@]}" "${train[@]}" &
step=$!

# Slurm signals this script alone (B:), and a signalled srun kills its tasks: scancel passes the signal on to them. At
# a scancel of the whole job, Slurm has done so itself.
again=1
trap 'again=1; scancel --quiet --signal=TERM "$SLURM_JOB_ID" || true' TERM
while ((again)); do # a signal ends the wait, not the step
  again=0 code=0
  wait "$step" || code=$?
done

# 75: stopped, everything is saved, "resume me". A job that somebody cancels is not RUNNING any more.
if [ "$code" -eq 75 ] && [ "$(squeue --noheader --jobs "$SLURM_JOB_ID" --format %T)" = RUNNING ]; then
  trap '' TERM
  scontrol requeue "$SLURM_JOB_ID" && echo "stopped and saved, queued again"
fi
exit "$code"
