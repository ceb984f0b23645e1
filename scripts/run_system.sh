#!/usr/bin/env bash
# One run of a grid: trains a system and evaluates it. scripts/grid.sh starts it.
#
#   bash scripts/run_system.sh RECIPE DATASET|- SYSTEM SEED
#
#   GPUS, SLOT   the GPUs of the machine, separated by commas, and the number of the slot that the
#                run takes among those that run at a time
#
# What both steps print is in run.log, in the folder of the run.
recipe=${1:-} system=${3:?give RECIPE, DATASET or -, SYSTEM and SEED}
export DATASET=${2#-} SEED=${4:-1}
if [[ -n ${GPUS:-} ]]; then
    IFS=, read -ra gpus <<<"$GPUS"
    export CUDA_VISIBLE_DEVICES=${gpus[SLOT % ${#gpus[@]}]}
fi
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"

run=$(run_of "$system")
mkdir -p "$run"
echo "== $run: its log is run.log there"
{
    interruptible bash "$root/scripts/train.sh" "$recipe" "$system" &&
        interruptible bash "$root/scripts/evaluate.sh" "$recipe" "$system"
} >>"$run/run.log" 2>&1 || {
    if [[ $? == 75 ]]; then
        echo "== $run stopped: run again, it resumes" >&2
        [[ -z ${SLURM_ARRAY_JOB_ID:-} ]] ||
            scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
        exit 75
    fi
    echo "== $run failed: $(tail -n 1 "$run/run.log")" >&2
    exit 1
}
