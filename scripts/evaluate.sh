#!/usr/bin/env bash
# Translates the test set of a recipe with the best checkpoint of a system, or with the average
# of its last ones, and scores it.
#
#   bash scripts/evaluate.sh RECIPE SYSTEM [intra-distill evaluate's options…]
#   PAIR=de-en SEED=2 AVERAGE=5 bash scripts/evaluate.sh iwslt14 intra_x
#
# scripts/recipe.sh lists the variables.
recipe=${1:-}
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"

require_pair
evaluate "${2:-}" "${@:3}"
