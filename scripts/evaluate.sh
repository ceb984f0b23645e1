#!/usr/bin/env bash
# Evaluates the best checkpoint of a system, in tydiqa the last, or the average of its last ones: on the
# test set in a recipe of translation, on the subsets of dataset.gen_subset or the test sets of all
# languages in others. Run again, it goes on with the subsets that are left.
#
#   bash scripts/evaluate.sh RECIPE SYSTEM [intra-distill evaluate's options…]
#   DATASET=de-en SEED=2 AVERAGE=5 bash scripts/evaluate.sh iwslt14 intra_x
#
# scripts/recipe.sh lists the variables.
recipe=${1:-}
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"

require_dataset
evaluate "${2:-}" "${@:3}"
