#!/usr/bin/env bash
# WMT'17 En→De, step 3: translate the test set with a trained system and score it.
#
#   SEED=1 bash scripts/wmt17/evaluate.sh SYSTEM [intra-distill evaluate's options…]
recipe=wmt17
# shellcheck source=scripts/recipe.sh
source "$(dirname "${BASH_SOURCE[0]}")/../recipe.sh"

evaluate "$@"
