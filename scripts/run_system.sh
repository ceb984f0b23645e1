#!/usr/bin/env bash
# One run of a grid, trained and evaluated: bash scripts/cell.sh RECIPE PAIR|- SYSTEM SEED
#
# GPUS and SLOT, where scripts/grid.sh sets them: the machine's GPUs, and which of them is ours.
recipe=$1
export PAIR=${2#-} SEED=$4
if [[ -n ${GPUS:-} ]]; then
    IFS=, read -ra gpus <<<"$GPUS"
    export CUDA_VISIBLE_DEVICES=${gpus[SLOT % ${#gpus[@]}]}
fi
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"

run=$(run_of "$3")
mkdir -p "$run"
echo "== $run: its log is cell.log there"
steps=$root/scripts/$recipe
{
    interruptible bash "$steps/train.sh" "$3" && interruptible bash "$steps/evaluate.sh" "$3"
} >>"$run/cell.log" 2>&1 || {
    if [[ $? == 75 ]]; then
        echo "== $run stopped: run again, it goes on" >&2
        [[ -z ${SLURM_ARRAY_JOB_ID:-} ]] ||
            scontrol requeue "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
        exit 75
    fi
    echo "== $run failed: $(tail -n 1 "$run/cell.log")" >&2
    exit 1
}
