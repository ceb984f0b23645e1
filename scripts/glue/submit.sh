#!/usr/bin/env bash
# Predicts the test sets of all tasks with the runs of one system, and writes the zip that GLUE's
# server scores: SYSTEM-seedN.zip in the folder of the runs.
#
#   bash scripts/glue/submit.sh SYSTEM [intra-distill glue-submission's options…]
#   DATASETS="rte mrpc" SEED=2 bash scripts/glue/submit.sh intra_x --fill
#
#   DATASETS   the tasks that have a run (default: all eight); the server wants a file of each, which
#              --fill makes up
#
# scripts/recipe.sh lists the other variables.
recipe=glue
unset DATASET
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

system=${1:?name a system}
tasks=("${datasets[@]}") folders=() checkpoints=()
[[ -z ${DATASETS:-} ]] || words tasks "$DATASETS"
for task in "${tasks[@]}"; do
    use_dataset "$task"
    require_dataset DATASETS
    folders+=("$task=$data/bin")
    checkpoints+=("$task=$(checkpoint_of "$system")")
done
intra-distill glue-submission --data "${folders[@]}" --path "${checkpoints[@]}" \
    --output "$all_runs/$(evaluated "$system")-seed$seed.zip" "${@:2}"
