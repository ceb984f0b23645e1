#!/usr/bin/env bash
# Iterated self-distillation, Table 1 of the paper: trains and evaluates the plain transformer and
# then its students self_distillation_1, _2, …, each the teacher of the next; ends with the table.
#
#   bash scripts/self_distill.sh RECIPE ROUNDS
#   DATASET=de-en SEED=2 bash scripts/self_distill.sh iwslt14 2
#
# scripts/recipe.sh lists the variables. The teacher is the best checkpoint, also with AVERAGE, which
# changes nothing that is trained.
recipe=${1:-} rounds=${2:-}
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"

[[ $rounds =~ ^[1-9][0-9]*$ ]] ||
    refuse "give a number of rounds: bash scripts/self_distill.sh $recipe 2"
require_dataset
train transformer
evaluate transformer
results=("$(result_of transformer)")
teacher=transformer
for ((round = 1; round <= rounds; round++)); do
    student=self_distillation_$round
    config=self_distillation train "$student" \
        --teacher-path "$(run_of "$teacher")/checkpoint_best.pt"
    config=self_distillation evaluate "$student" --baseline "${results[0]}"
    results+=("$(result_of "$student")")
    teacher=$student
done
intra-distill table "${results[@]}"
