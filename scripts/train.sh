#!/usr/bin/env bash
# Trains one system of a recipe. Run again, it resumes.
#
#   bash scripts/train.sh RECIPE SYSTEM [fairseq-train's options…]
#   DATASET=de-en SEED=2 bash scripts/train.sh iwslt14 intra_x
#   DATASET=de-en bash scripts/train.sh multi30k intra_x+task.num_passes=5
#
# scripts/recipe.sh lists the variables.
recipe=${1:-}
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/recipe.sh"

require_dataset
train "${2:-}" "${@:3}"
