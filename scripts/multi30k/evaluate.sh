#!/usr/bin/env bash
# Multi30k De→En, step 3: translate the test set with a trained system and score it.
#
#   SEED=1 bash scripts/multi30k/evaluate.sh SYSTEM [intra-distill evaluate's options…]
recipe=multi30k
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

evaluate "$@"
